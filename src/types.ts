/**
 * Types shared by all steps of a request. This file defines no values. Wire names are snake_case; the file that reads a
 * member renames it to camelCase, once.
 */

/** A value or a promise of it. Known values are returned directly, so the warm path creates no promise. */
export type Awaitable<T> = T | Promise<T>

/** A line about a refusal or a failure, for the host's own log. Holds nothing that comes from a token. */
export interface LogLine {
  /** `error`: 500. `warn`: 503. `info`: below 500. */
  readonly level: 'error' | 'warn' | 'info'
  /** The reason, the hint, the accepted values and the request's route, or `resource` alone, for structured logs. */
  readonly fields: object
  /** The fields as one line of text. */
  readonly message: string
}

/**
 * An HTTP request as it arrived, before any decision. Adapters create it; other hosts (a WebSocket handshake, a lambda)
 * can too.
 */
export interface ResourceRequest {
  /** The method as received, case-sensitive (RFC 9110 §9.1). */
  readonly method: string
  /** The request target as received, before any router shortened it: path and query, `/items?page=2`. */
  readonly url: string
  /**
   * Every field line with this name, in order.
   * Two lines must come as two elements: Node's `req.headers` hides a second `Authorization`.
   *
   * @param name lower-case field name
   */
  fieldLines(name: string): readonly string[]
  /**
   * DER bytes of the certificate that the client authenticated with on this TLS connection, or undefined. The
   * certificate need not chain to a trusted CA (RFC 8705 §6.2). Omit the method where the host cannot know.
   */
  certificate?(): Uint8Array | undefined
  /** IP address of the connection's other end, never taken from a header field. Omit it where unknown. */
  readonly peerAddress?: string | undefined
  /** Pattern of the matched route, such as `/orders/:id`, for logs. Omit it where unknown. */
  readonly route?: string | undefined
  /** The host's identifier of this request, for logs. Omit it where unknown. */
  readonly requestId?: string | undefined
  /**
   * Writes a line to the host's own log of this request. Called while no `logTo()` logs this API, for a few lines an
   * hour (see the option `log`). Omit the method where the host has no log.
   *
   * @returns false if the host's log is switched off: the line becomes a process warning
   */
  tell?(line: LogLine): boolean
  /**
   * A mistake in how the application mounted the protection, as sentences for the operator that end with the cure. Must
   * not contain data of the request. Read for refused requests without credentials; each text is said once. Omit it
   * where unknown.
   */
  readonly mistake?: string | undefined
  /**
   * Calls the listener once when the client disconnects, or at once if it already has. Called only for requests that
   * wait for an authorization server, so that a waiting request gives up its place in the queue. Omit the method where
   * the host cannot know.
   *
   * @returns a function that unsubscribes; called when the request no longer waits
   */
  onGone?(listener: () => void): () => void
}

/** How an access token is presented (RFC 6750 §2.1, RFC 9449 §7.1). */
export type Scheme = 'Bearer' | 'DPoP'

/** An unverified credential: well-formed by RFC 6750 §2.1, and nothing more is known about it. */
export interface Credentials {
  readonly scheme: Scheme
  /**
   * The scheme as RFC 6750 and RFC 9449 spell it, one space, the token: the same text however the client wrote the
   * field.
   */
  readonly field: string
  /** The token as sent: 1 to `maxTokenLength` characters of token68. */
  readonly token: string
  /** The lines of the `DPoP` field with the scheme `DPoP`; otherwise empty. */
  readonly proofs: readonly string[]
}

/** `cnf`, the key a token is bound to (RFC 7800 §3.1): member names to values, as the issuer wrote them. */
export type Confirmation = Readonly<Record<string, unknown>>

/** A JSON object whose every level is frozen. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * A verified access token: issuer, signature or introspection answer, type, audience and times were checked. The sender
 * was NOT checked (see {@link Access}). JWTs and introspected tokens have the same shape; later code does not tell them
 * apart.
 */
export interface AccessToken {
  /** The token itself. Not enumerable: it appears in no JSON, no `console.log`, no spread. */
  readonly token: string
  /** `iss`: one of the configured issuers, exactly (RFC 9068 §4). */
  readonly issuer: string
  /** `sub`, or undefined where an introspection answer has no `sub` (RFC 7662 §2.2). Unique per issuer, not globally. */
  readonly subject: string | undefined
  /**
   * `'client'` where `sub` equals the client identifier and no user authenticated (RFC 9068 §2.2, RFC 9700 §4.15).
   * `'unknown'` otherwise: a token cannot prove that its subject is a person.
   */
  readonly subjectType: 'client' | 'unknown'
  /** `client_id` (or the issuer's `clientIdClaim`), or undefined where the token has no such claim. */
  readonly clientId: string | undefined
  /**
   * `aud` (or the issuer's `audienceClaim`) as a list. Contains an identifier of this resource, unless the issuer is
   * configured with `audience: null`.
   */
  readonly audience: readonly string[]
  /** Granted scopes without duplicates, including those implied by `scopeHierarchy`. Empty where the token names none. */
  readonly scopes: readonly string[]
  /**
   * Roles without duplicates, as the issuer's `rolesClaim` finds them. Empty without that option, or where the token
   * has none. Roles describe the user; scopes describe what the client was granted.
   */
  readonly roles: readonly string[]
  /** `iat`, seconds since the epoch. */
  readonly issuedAt: number | undefined
  /** `exp`, seconds since the epoch; undefined only where an introspection answer has no `exp`. */
  readonly expiresAt: number | undefined
  /** `cnf` (RFC 7800), or undefined for a token that is not bound to a key. */
  readonly confirmation: Confirmation | undefined
  /**
   * Every claim (JWT) or member (introspection), frozen at every level. `act` is included here and is never used as the
   * subject.
   */
  readonly claims: Claims
  /** True if this exact scope was granted (case-sensitive, RFC 6749 §3.3). */
  hasScope(scope: string): boolean
}

/** An {@link AccessToken} whose sender was confirmed. Handlers can rely on it. */
export interface Access extends AccessToken {
  /**
   * The last second at which requests with this token are accepted, in seconds since the epoch: `expiresAt` plus the
   * API's `clockTolerance`. Undefined where `expiresAt` is. Does NOT consider revocation: see {@link signal}. Not
   * enumerable.
   */
  readonly acceptedUntil: number | undefined
  /**
   * Fires when the token ends (at {@link acceptedUntil}), or when this process learns of its revocation through
   * `api.revoke()`, a receiver of events, or `shared.log`. Its `reason` is the `InvalidToken` that a request would
   * get at that moment. Use it for work that outlives the request: server-sent events, WebSockets, long jobs. Pass `{
   * once: true }`, and remove the listener when the connection closes. The timer does not keep the process alive. The
   * signal is created on first read and shared by all requests with the token; it is already aborted where the token
   * ended earlier. Not enumerable.
   *
   * Does NOT query the authorization server: it does not learn from status lists or introspection. Call `enforce()` on
   * a timer for those. Does NOT fire when the key that signed the token leaves the issuer's key set: the next request
   * is refused, but open connections stay. Revoke the issuer's tokens to end them. After `api.close()` it reports
   * revocations only.
   */
  readonly signal: AbortSignal
  /** The authentication scheme the token came with. */
  readonly scheme: Scheme
  /** How the sender was confirmed: the members of `cnf` that this package knows. Empty for an unbound token. */
  readonly confirmedBy: readonly ('dpop' | 'certificate')[]
  /**
   * Header fields for the response to this request: `DPoP-Nonce` (RFC 9449 §8.2), `Vary`. Adapters set them, except
   * `fetch`: its guard has no response, so the caller sets them. Not enumerable.
   */
  readonly responseHeaders: HeaderFields
}

/** Context for a check, besides the access and the request. */
export interface CheckContext {
  /** The identifier of this API. */
  readonly resource: string
  /** Seconds since the epoch, by the server's clock. */
  readonly now: () => number
  /** Seconds. */
  readonly clockTolerance: number
}

/**
 * One rule about a verified access token. Throw a {@link ResourceServerError} (`Forbidden`, `InsufficientScope`) to
 * refuse. Returning `false` also refuses (403). Anything else that is thrown counts as a fault of the check and becomes
 * the framework's 500.
 *
 * A check runs on every request, after all caches.
 */
export interface Check<Scope extends string = never, Role extends string = never> {
  // biome-ignore lint/suspicious/noConfusingVoidType: a check that returns nothing has passed
  (access: Access, request: ResourceRequest, context: CheckContext): void | boolean | Promise<void | boolean>
  /** Scopes that this check requires, if it declares them. Challenges and the metadata advertise them. */
  readonly scopes?: readonly Scope[]
  /**
   * Roles that this check requires, if it declares them, for an OpenAPI document. Challenges never name roles: a client
   * cannot request a role.
   */
  readonly roles?: readonly Role[]
  /** `'all'`: every entry of `scopes` or `roles` is required. `'any'`: one is enough. Default `'all'`. */
  readonly mode?: 'all' | 'any'
  /** The authentication that this check requires (RFC 9470 §3). A challenge names it together with the scopes. */
  readonly authentication?: AuthenticationRequirement
  /** Types of `authorization_details` that this check reads (RFC 9396 §2), for the metadata. */
  readonly authorizationDetailsTypes?: readonly string[]
  /** True if the check needs facts that the authorization server confirms during this request: see `fresh()`. */
  readonly fresh?: true
}

/** How the user must have authenticated (RFC 9470 §3). At least one of the two members is set. */
export interface AuthenticationRequirement {
  /** Accepted authentication context class references, in order of preference. The token must have one of them. */
  readonly acr?: readonly string[]
  /** Maximum seconds since the user actively authenticated. */
  readonly maxAge?: number
}

/** Lets a request pass without an access token. Waivers are the only way, and each is named where it is used. */
export interface Waiver {
  readonly waives: 'absent credentials' | 'CORS preflight'
}

/** A route's requirement: a check that must pass, or a waiver. */
export type Requirement<Scope extends string = string, Role extends string = string> = Check<Scope, Role> | Waiver

/** `Access`, or `Access | undefined` where a waiver lets requests pass without a token. */
export type Granted<Requirements extends readonly Requirement[]> =
  Extract<Requirements[number], Waiver> extends never ? Access : Access | undefined

/** Header fields by name: one value, or a list with one value per line. */
export type HeaderFields = Readonly<Record<string, string | readonly string[]>>

/** A route's requirements, compiled once. */
export interface Protection<A extends Access | undefined = Access> {
  /**
   * Decides one request. Returns a value where everything is known, and a promise where something must be fetched or
   * computed asynchronously.
   *
   * @param established the access that this server granted to this same request earlier (an outer `protect`). Its
   * credentials are not verified again; only the time, revocation and the checks are
   * @throws {ResourceServerError} the refusal with its complete HTTP response, thrown or as a rejection
   */
  authorize(request: ResourceRequest, established?: Access): Awaitable<A>
  /** Header fields for every response of the route. Merge list fields (`Vary`) with existing values. */
  readonly headers: HeaderFields
}
