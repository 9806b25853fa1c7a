/**
 * Every way this package says no. An error carries its whole HTTP answer: status, body and header fields, so that no
 * adapter needs to look inside. Where it is thrown it states facts only; what the server advertises about itself
 * (realm, scopes of the route, `resource_metadata`) is added once, by `advertise`, on the way out.
 *
 * The message and the body are fixed words: nothing from a token or a request is in them. What went wrong on our side
 * is in `hint`; what was received is on `received`, which is not enumerable, so that an error logged whole does not
 * carry it.
 */
import { type ChallengeParameters, formatChallenge, reduceErrorText } from './challenge.js'
import { REQUEST_REASONS, type RequestReason, TOKEN_REASONS, type TokenReason } from './reasons.js'
import type { HeaderFields } from './types.js'

/** Seconds: what a server asks for beyond, it may ask again. */
const MAX_RETRY_AFTER = 3600

/** What the authorization server side of an {@link Unavailable} was asked for. */
export type Dependency = 'issuer' | 'metadata' | 'jwks' | 'introspection'

/** What a refusal may tell the operator: never sent, never enumerable. */
export interface Evidence {
  readonly expected?: unknown
  readonly received?: unknown
}

interface Answer extends Evidence {
  readonly status: number
  /** OAuth error code of the body (and of the challenge, for a {@link Refusal}). */
  readonly code?: string
  readonly reason: string
  readonly description: string
  readonly hint: string
  readonly cause?: unknown
}

/** Common to all: a status, a body, header fields, and a reason for the log. */
export abstract class ResourceServerError extends Error {
  /** HTTP status code. */
  readonly status: number
  /** `error` of the answer's body, or undefined where RFC 6750 §3.1 wants none. */
  readonly code: string | undefined
  /** A stable, low-cardinality name for logs and metrics. */
  readonly reason: string
  /** One sentence for the client: fixed words. */
  readonly description: string
  /** What the operator should look at or change. Not sent to the client. */
  readonly hint: string
  /** What would have been accepted, where that helps. Not enumerable. */
  declare readonly expected: unknown
  /** What came instead: from the token, so for careful eyes only. Not enumerable. */
  declare readonly received: unknown

  protected constructor(answer: Answer) {
    super(
      answer.status < 500 ? answer.description : answer.hint,
      answer.cause === undefined ? undefined : { cause: answer.cause }
    )
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true })
    if (answer.status >= 500) {
      // The stack, which goes to logs, begins with the hint; it is formatted when first read, so before the message
      // becomes fixed words, since frameworks may send that.
      Object.defineProperty(this, 'stack', { value: this.stack, configurable: true, writable: true })
      this.message = answer.description
    }
    this.status = answer.status
    this.code = answer.code
    this.reason = answer.reason
    this.description = answer.description
    this.hint = answer.hint
    Object.defineProperty(this, 'expected', { value: answer.expected })
    Object.defineProperty(this, 'received', { value: answer.received })
  }

  #headers: HeaderFields | undefined

  /**
   * The answer's header fields; a list is one line each. An adapter sets them to what they are together with the
   * response's own: frameworks disagree on whether an error's fields or the response's survive.
   */
  get headers(): HeaderFields {
    this.#headers ??= this.ownHeaders()
    return this.#headers
  }

  set headers(fields: HeaderFields) {
    this.#headers = fields
  }

  /** The header fields that this error asks for by itself. */
  protected abstract ownHeaders(): HeaderFields

  /** True if the client may read `message` (the convention of http-errors, which Koa follows). */
  get expose(): boolean {
    return this.status < 500
  }

  /** The same as `status`, by the name that Express and Fastify read. */
  get statusCode(): number {
    return this.status
  }

  /** The answer's body as a JSON value, or undefined where the answer has no body. */
  toJSON(): { error: string; error_description?: string } | undefined {
    if (this.code === undefined) return undefined
    return this.expose
      ? { error: this.code, error_description: reduceErrorText(this.description) }
      : { error: this.code }
  }

  /** The whole answer as a WHATWG `Response`. */
  toResponse(): Response {
    const body = this.toJSON()
    const headers = new Headers()
    for (const [name, value] of Object.entries(this.headers)) {
      for (const line of typeof value === 'string' ? [value] : value) headers.append(name, line)
    }
    if (body === undefined) return new Response(null, { status: this.status, headers })
    headers.set('Content-Type', 'application/json')
    return new Response(JSON.stringify(body), { status: this.status, headers })
  }

  /** {@link toResponse}, by the name that Hono's error handler calls. */
  getResponse(): Response {
    return this.toResponse()
  }
}

/** What a server says about itself in a challenge. */
export interface Advertisement {
  readonly realm?: string | undefined
  /** The scopes that the route needs, all of them once. */
  readonly scope?: readonly string[] | undefined
  readonly resourceMetadata?: string | undefined
  /** True for a request from another origin, whose script may read a field only if it is exposed (RFC 9449 §7.1). */
  readonly crossOrigin?: boolean
}

/** The request's fault: its answer has a challenge (RFC 6750 §3, RFC 9110 §11.6.1). */
export abstract class Refusal extends ResourceServerError {
  protected ownHeaders(): HeaderFields {
    // Thrown where no server advertises: a challenge all the same, of what the error itself knows.
    return this.#answer({ realm: this.code === undefined ? 'api' : undefined })
  }

  /** @internal The one place where a refusal learns what the server advertises. */
  advertise(advertisement: Advertisement): this {
    this.headers = this.#answer(advertisement)
    return this
  }

  /** The scopes to ask for, where they differ from those the route advertises; undefined leaves those. */
  protected requiredScopes(advertised: readonly string[] | undefined): readonly string[] | undefined {
    return advertised
  }

  #answer({ realm, scope, resourceMetadata, crossOrigin }: Advertisement): HeaderFields {
    const parameters: ChallengeParameters = {
      realm,
      error: this.code,
      errorDescription: this.code === undefined ? undefined : this.description,
      scope: this.requiredScopes(scope),
      resourceMetadata
    }
    const fields = { 'WWW-Authenticate': [formatChallenge('Bearer', parameters)], 'Cache-Control': 'no-store' }
    return crossOrigin ? { ...fields, 'Access-Control-Expose-Headers': 'WWW-Authenticate' } : fields
  }
}

/** 401 without an error code: the request lacks any authentication information (RFC 6750 §3.1). */
export class CredentialsMissing extends Refusal {
  constructor() {
    super({
      status: 401,
      reason: 'credentials_missing',
      description: 'An access token is required',
      hint: 'The request has no `Authorization: Bearer` field. Tokens in the query, the body or a cookie are not read.'
    })
  }
}

/** 400 `invalid_request`: the request is malformed (RFC 6750 §3.1). */
export class InvalidRequest extends Refusal {
  declare readonly reason: RequestReason

  constructor(reason: RequestReason) {
    super({ status: 400, code: 'invalid_request', reason, ...REQUEST_REASONS[reason] })
  }

  // A malformed request is not cured by other scopes, so none are named.
  protected override requiredScopes(): undefined {
    return undefined
  }
}

/** 401 `invalid_token`: expired, revoked, malformed, or invalid for other reasons (RFC 6750 §3.1). `reason` tells which, to us only. */
export class InvalidToken extends Refusal {
  declare readonly reason: TokenReason

  constructor(reason: TokenReason, evidence?: Evidence) {
    super({ status: 401, code: 'invalid_token', reason, ...TOKEN_REASONS[reason], ...evidence })
  }
}

/** 403 `insufficient_scope`: the token is good and not enough (RFC 6750 §3.1). */
export class InsufficientScope extends Refusal {
  /** Every scope that the operation needs, not only those missing: what the challenge asks for. */
  scopes: readonly string[]

  constructor(scopes: readonly string[], evidence?: Evidence) {
    super({
      status: 403,
      code: 'insufficient_scope',
      reason: 'insufficient_scope',
      description: 'The access token lacks a required scope',
      hint: 'The client must ask its authorization server for the scopes named in the challenge, and be allowed them.',
      ...evidence
    })
    this.scopes = scopes
  }

  protected override requiredScopes(): readonly string[] {
    return this.scopes
  }
}

/** 403 without a challenge: the application's own policy, which no other token could satisfy. */
export class Forbidden extends ResourceServerError {
  /** @param description one sentence that the client may read */
  constructor(description: string = 'Access is not allowed', evidence?: Evidence & { readonly cause?: unknown }) {
    super({
      status: 403,
      code: 'access_denied',
      reason: 'forbidden',
      description,
      hint: 'A check of the application refused a valid access token.',
      ...evidence
    })
  }

  protected ownHeaders(): HeaderFields {
    return { 'Cache-Control': 'no-store' }
  }
}

/**
 * 503 with Retry-After and no challenge: whether the token is good cannot be known now, because the authorization
 * server (or what stands for it) did not answer. Never the client's fault.
 */
export class Unavailable extends ResourceServerError {
  readonly dependency: Dependency
  /** Seconds after which a retry may help, rounded up, at most an hour. */
  readonly retryAfter: number

  /** @param problem what happened: for the operator, not sent */
  constructor(dependency: Dependency, problem: string, options: { retryAfter?: number; cause?: unknown } = {}) {
    super({
      status: 503,
      code: 'temporarily_unavailable',
      reason: `${dependency}_unavailable`,
      description: 'The authorization server cannot be asked now',
      hint: `${problem}. Look at the authorization server and the network between; \`cause\` has the failure.`,
      cause: options.cause
    })
    this.dependency = dependency
    this.retryAfter = Math.min(MAX_RETRY_AFTER, Math.max(1, Math.ceil(options.retryAfter ?? 5)))
  }

  protected ownHeaders(): HeaderFields {
    return { 'Retry-After': String(this.retryAfter), 'Cache-Control': 'no-store' }
  }
}

/** 500 without a challenge: ours, not the client's. The authorization server refused *our* credentials, or its metadata names another issuer. */
export class Misconfigured extends ResourceServerError {
  /** @param problem what was expected, what came, what to change: for the operator, not sent */
  constructor(problem: string, options: { cause?: unknown } = {}) {
    super({
      status: 500,
      code: 'server_error',
      reason: 'misconfigured',
      description: 'The resource server is misconfigured',
      hint: problem,
      cause: options.cause
    })
  }

  protected ownHeaders(): HeaderFields {
    return { 'Cache-Control': 'no-store' }
  }
}
