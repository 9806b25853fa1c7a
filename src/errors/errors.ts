/**
 * All errors of this package. The code that throws one states facts only. `advertise` adds the server's own values
 * (realm, schemes, scopes of the route, `resource_metadata`) once, before the error leaves.
 */

import type { AuthenticationRequirement, HeaderFields } from '../types.js'
import type { ChallengeParameters } from './challenge.js'
import {
  type Entry,
  LIMIT_REASONS,
  type LimitReason,
  PROOF_REASONS,
  type ProofReason,
  REQUEST_REASONS,
  type RequestReason,
  TOKEN_REASONS,
  type TokenReason
} from './reasons.js'
import { Refusal } from './refusal.js'
import { type Answer, type Evidence, ResourceServerError } from './resource-server-error.js'

export { type Advertisement, Refusal } from './refusal.js'
export { ResourceServerError } from './resource-server-error.js'

/** Longest `Retry-After` passed on, in seconds; a server can ask again. */
const MAX_RETRY_AFTER = 3600

/**
 * The dependency that an {@link Unavailable} needed. `revocations` is the log that the processes share,
 * `replay` the store of used DPoP proofs, `decryption` this process.
 */
export type Dependency =
  | 'issuer'
  | 'metadata'
  | 'jwks'
  | 'introspection'
  | 'status_list'
  | 'revocations'
  | 'replay'
  | 'decryption'

/** Details for the operator, with advice that replaces the catalogue's where more is known. */
type Advice = Evidence & { readonly hint?: string }

/**
 * The answer of an error of the catalogue, which clients can cause at any rate: written member by member, because copying
 * members took half of the time of a refusal.
 */
function answer(status: number, code: string, reason: string, entry: Entry, evidence?: Advice): Answer {
  return {
    status,
    code,
    reason,
    stack: false,
    description: entry.description,
    hint: evidence?.hint ?? entry.hint,
    expected: evidence?.expected,
    received: evidence?.received
  }
}

/** 401 without an error code: the request has no authentication information (RFC 6750 §3.1). */
export class CredentialsMissing extends Refusal {
  constructor() {
    super({
      status: 401,
      reason: 'credentials_missing',
      stack: false,
      description: 'An access token is required',
      hint: 'The request has no `Authorization` field with a scheme that this server accepts. The client must send the token there; tokens in the query, the body or a cookie are not read.'
    })
  }
}

/** 400 `invalid_request`: the request is malformed (RFC 6750 §3.1). */
export class InvalidRequest extends Refusal {
  declare readonly reason: RequestReason

  /** @param evidence.hint replaces the catalogue's hint where more is known; never contains data of the request */
  constructor(reason: RequestReason, evidence?: Pick<Advice, 'hint'>) {
    super(answer(400, 'invalid_request', reason, REQUEST_REASONS[reason], evidence))
  }

  // Other scopes do not fix a malformed request, so none are named.
  protected override requiredScopes(): undefined {
    return undefined
  }
}

/**
 * 401 `invalid_token`: expired, revoked, malformed, or invalid for other reasons (RFC 6750 §3.1). `reason`
 * distinguishes them, for the operator only.
 */
export class InvalidToken extends Refusal {
  declare readonly reason: TokenReason

  /** @param evidence.hint replaces the catalogue's hint where more is known; never contains data of the token */
  constructor(reason: TokenReason, evidence?: Advice) {
    super(answer(401, 'invalid_token', reason, TOKEN_REASONS[reason], evidence))
  }
}

/** 401 `invalid_dpop_proof`: the token is valid, its proof is not (RFC 9449 §7.1). */
export class InvalidProof extends Refusal {
  declare readonly reason: ProofReason

  /** @param evidence.hint replaces the catalogue's hint where more is known; never contains data of the proof */
  constructor(reason: ProofReason, evidence?: Advice) {
    super(answer(401, 'invalid_dpop_proof', reason, PROOF_REASONS[reason], evidence))
  }
}

/** 401 `use_dpop_nonce`: the client must create another proof with this nonce (RFC 9449 §9). */
export class ProofNonceRequired extends Refusal {
  /** Value of `DPoP-Nonce`. */
  readonly nonce: string

  constructor(nonce: string) {
    super({
      status: 401,
      code: 'use_dpop_nonce',
      reason: 'proof_nonce',
      description: 'Resource server requires nonce in DPoP proof',
      hint: 'The proof has no nonce from this server, or the nonce is too old. The client must repeat the request with the nonce in `DPoP-Nonce` (RFC 9449 §9). If processes refuse each other’s nonces, give them the same `dpop.nonceSecret`.'
    })
    this.nonce = nonce
  }

  // The token needs no other scopes, so none are named.
  protected override requiredScopes(): undefined {
    return undefined
  }

  protected override ownFields(): HeaderFields {
    return { 'DPoP-Nonce': this.nonce }
  }
}

/** 401 `insufficient_user_authentication`: the user must authenticate more strongly, or again (RFC 9470 §3). */
export class InsufficientAuthentication extends Refusal {
  /** The requirement that the challenge names. */
  readonly requirement: AuthenticationRequirement
  /** All scopes of the operation if one of them is missing; otherwise empty. */
  scopes: readonly string[]

  /** @param more.lacking the unmet part, where both are required. Default: `acr` if it is required, otherwise `maxAge` */
  constructor(
    requirement: AuthenticationRequirement,
    scopes: readonly string[] = [],
    more: Evidence & { readonly lacking?: 'acr' | 'maxAge' } = {}
  ) {
    const { lacking = requirement.acr === undefined ? 'maxAge' : 'acr', ...evidence } = more
    super({
      status: 401,
      code: 'insufficient_user_authentication',
      reason: 'insufficient_authentication',
      description:
        lacking === 'acr' ? 'A different authentication level is required' : 'More recent authentication is required',
      hint: 'The client must send its user to the authorization server with the `acr_values` or `max_age` of the challenge. If it did, check that the token has `acr` and `auth_time` (RFC 9470 §6).',
      ...evidence
    })
    this.requirement = requirement
    this.scopes = scopes
  }

  protected override requiredScopes(): readonly string[] {
    return this.scopes
  }

  protected override ownParameters(): ChallengeParameters {
    return { acrValues: this.requirement.acr, maxAge: this.requirement.maxAge }
  }
}

/**
 * 403 `insufficient_scope` without `scope`: the granted authorization details are not enough (RFC 9396 defines no error
 * for this).
 */
export class InsufficientAuthorizationDetails extends Refusal {
  constructor(evidence?: Evidence) {
    super({
      status: 403,
      code: 'insufficient_scope',
      reason: 'insufficient_authorization_details',
      description: 'The access token lacks a required authorization detail',
      hint: 'No entry of `authorization_details` has a required type, is for this API (`locations`) and passes the route’s check. The client must request such an entry (RFC 9396 §2).',
      ...evidence
    })
  }

  protected override requiredScopes(): undefined {
    return undefined
  }
}

/**
 * 403 `insufficient_scope` without `scope`: the token lacks a role. RFC 6750 §3.1 has only this code for a request that
 * "requires higher privileges than provided by the access token", and `scope` is optional. No scope is named, since a
 * client cannot request a role. The challenge means that other credentials may be enough (RFC 9110 §11.6.1), such as
 * those of a user with the role.
 */
export class InsufficientRole extends Refusal {
  constructor(evidence?: Evidence) {
    super({
      status: 403,
      code: 'insufficient_scope',
      reason: 'insufficient_role',
      description: 'The access token lacks a required role',
      hint: 'The token lacks a required role, as found by the issuer’s `rolesClaim`. Give the user (or the application) the role at the authorization server, include it in the token, and get a new token. A scope does not replace a role.',
      ...evidence
    })
  }

  protected override requiredScopes(): undefined {
    return undefined
  }
}

/** 403 `insufficient_scope`: the token is valid but lacks a scope (RFC 6750 §3.1). */
export class InsufficientScope extends Refusal {
  /** All scopes that the operation needs, not only the missing ones. The challenge names them. */
  scopes: readonly string[]

  constructor(scopes: readonly string[], evidence?: Evidence) {
    super({
      status: 403,
      code: 'insufficient_scope',
      reason: 'insufficient_scope',
      description: 'The access token lacks a required scope',
      hint: 'The client must request the scopes named in the challenge from its authorization server, which must grant them. If the route misspells a scope, correct it there; the option `scopes` finds that at the start.',
      ...evidence
    })
    this.scopes = scopes
  }

  protected override requiredScopes(): readonly string[] {
    return this.scopes
  }
}

/** 403 without a challenge: the application's own policy, which another token would not satisfy. */
export class Forbidden extends ResourceServerError {
  /** @param description one sentence; sent to the client */
  constructor(description: string = 'Access is not allowed', evidence?: Evidence & { readonly cause?: unknown }) {
    super({
      status: 403,
      code: 'access_denied',
      reason: 'forbidden',
      description,
      hint: 'A check in your application refused a valid access token. Look at that check; `cause` and `received` may say more.',
      ...evidence
    })
  }

  protected ownHeaders(): HeaderFields {
    return { 'Cache-Control': 'no-store' }
  }
}

/**
 * 429 with `Retry-After` and without a challenge (RFC 6585 §4). The client used up its share of a bounded resource, or
 * its token names a key that may not be fetched yet. The token may be valid, so the response does not ask for another
 * token. The server is healthy, so the status is not 5xx, which would make a mesh remove this process.
 */
export class TooManyRequests extends ResourceServerError {
  declare readonly reason: LimitReason
  /** Seconds until a retry may succeed, rounded up, 1 to 3600. */
  readonly retryAfter: number

  /** @param options.retryAfter  seconds, default 1 */
  constructor(reason: LimitReason, { retryAfter = 1, ...evidence }: Evidence & { readonly retryAfter?: number } = {}) {
    super(answer(429, 'too_many_requests', reason, LIMIT_REASONS[reason], evidence))
    this.retryAfter = wholeSeconds(retryAfter)
  }

  protected ownHeaders(): HeaderFields {
    return { 'Retry-After': String(this.retryAfter), 'Cache-Control': 'no-store' }
  }
}

/** Whole seconds for `Retry-After`, rounded up, 1 to {@link MAX_RETRY_AFTER}. */
function wholeSeconds(seconds: number): number {
  return Math.min(MAX_RETRY_AFTER, Math.max(1, Math.ceil(seconds)))
}

const UNAVAILABLE: Partial<Readonly<Record<Dependency, string>>> = {
  revocations: 'It cannot be checked now whether the token was revoked',
  replay: 'The proof cannot be checked now',
  decryption: 'The token cannot be decrypted now'
}

/**
 * How a dependency failed. Rules that accept tokens during an outage apply to `down` and `rate_limited` only.
 *
 * - `down`: not reachable, or it answered that it cannot serve now (408, 5xx)
 * - `rate_limited`: it is up and asked for fewer requests (429), so it counts as healthy
 * - `other`: a limit of this process, or an unusable answer
 *
 * @internal
 */
export type FailureKind = 'down' | 'rate_limited' | 'other'

/**
 * 503 with `Retry-After` and without a challenge: the token cannot be judged now, because the authorization server (or
 * its replacement) did not answer. Never the client's fault.
 */
export class Unavailable extends ResourceServerError {
  readonly dependency: Dependency
  /** Seconds until a retry may help, rounded up, at most an hour. */
  readonly retryAfter: number
  readonly #problem: string
  readonly #failureKind: FailureKind
  #isAsked: boolean

  /**
   * @param problem what happened, for the operator; not sent
   * @param options.retryAfter seconds, default 5
   */
  constructor(
    dependency: Dependency,
    problem: string,
    options: {
      retryAfter?: number
      cause?: unknown
      /** Default `other`. @internal */
      failureKind?: FailureKind
    } = {}
  ) {
    super({
      status: 503,
      code: 'temporarily_unavailable',
      reason: `${dependency}_unavailable`,
      description: UNAVAILABLE[dependency] ?? 'The authorization server cannot be asked now',
      hint: `${problem}. ${dependency in UNAVAILABLE ? '' : 'Look at the authorization server and the network between; '}\`cause\` has the failure.`,
      cause: options.cause
    })
    this.dependency = dependency
    this.retryAfter = wholeSeconds(options.retryAfter ?? 5)
    this.#problem = problem
    this.#failureKind = options.failureKind ?? 'other'
    this.#isAsked = options.retryAfter !== undefined
  }

  /** The problem without advice. @internal */
  get problem(): string {
    return this.#problem
  }

  /** @internal */
  get failureKind(): FailureKind {
    return this.#failureKind
  }

  /** Seconds for which the dependency asked not to be called; 0 if it did not ask. */
  get askedFor(): number {
    return this.#isAsked ? this.retryAfter : 0
  }

  /**
   * Copies the outage for a later request.
   *
   * @param retryAfter seconds from then
   */
  later(retryAfter: number): Unavailable {
    const told = new Unavailable(this.dependency, this.#problem, {
      retryAfter,
      cause: this.cause,
      failureKind: this.#failureKind
    })
    told.#isAsked = this.#isAsked
    return told
  }

  protected ownHeaders(): HeaderFields {
    return { 'Retry-After': String(this.retryAfter), 'Cache-Control': 'no-store' }
  }
}

/**
 * 500 without a challenge: our fault, not the client's. For example, the authorization server refused *our*
 * credentials, or its metadata names another issuer.
 */
export class Misconfigured extends ResourceServerError {
  /** @param problem the expected value, the received one and the correction; for the operator, not sent */
  constructor(problem: string, options: Evidence & { readonly cause?: unknown } = {}) {
    super({
      status: 500,
      code: 'server_error',
      reason: 'misconfigured',
      description: 'The resource server is misconfigured',
      hint: problem,
      ...options
    })
  }

  protected ownHeaders(): HeaderFields {
    return { 'Cache-Control': 'no-store' }
  }
}

/**
 * A copy of a failure whose message is its hint, for a program that awaits `ready()`. The original keeps its fixed
 * words: requests may wait for the same failure, and frameworks send messages to clients.
 */
export function forOperator(error: unknown): unknown {
  if (!(error instanceof Unavailable || error instanceof Misconfigured)) return error
  const { hint, expected, received, cause } = error
  const copy =
    error instanceof Unavailable
      ? error.later(error.retryAfter)
      : new Misconfigured(hint, { expected, received, cause })
  copy.message = hint
  return copy
}
