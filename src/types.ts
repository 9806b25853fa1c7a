/**
 * The shapes that travel between the stations of a request, and nothing else: no value is made here.
 * Names on the wire are snake_case and become camelCase once, in the file that reads them.
 */

/** A value, or a promise of it. What is already known is returned, not awaited: a warm path makes no promise. */
export type Awaitable<T> = T | Promise<T>

/**
 * What HTTP said, nothing decided. Adapters make one; any other host (a WebSocket handshake, a lambda) can too.
 */
export interface ResourceRequest {
  /** The method as received, case-sensitive (RFC 9110 §9.1). */
  readonly method: string
  /** The request target as received, before any router cut it: path and query, `/items?page=2`. */
  readonly url: string
  /**
   * Every field line with this name, in order.
   * Two lines must come as two elements: Node's `req.headers` hides a second `Authorization`.
   *
   * @param name lower-case field name
   */
  fieldLines(name: string): readonly string[]
  /**
   * DER of the certificate with which the client authenticated on this very TLS connection, or undefined. Whether
   * somebody vouches for it does not matter (RFC 8705 §6.2). Leave it out where the host cannot know.
   */
  certificate?(): Uint8Array | undefined
  /** IP address of the other end of the connection, not of anything that a field claims. Leave it out where unknown. */
  readonly peerAddress?: string | undefined
  /** Pattern of the route that the request was matched to, such as `/orders/:id`, for logs. Leave it out where unknown. */
  readonly route?: string | undefined
  /**
   * Calls back once when the client is gone, at once if it is gone already. Asked only for a request that has to wait for
   * an authorization server: its place in the queue is then for others. Leave it out where the host cannot know.
   *
   * @returns ends it: called when the request waits no longer
   */
  onGone?(listener: () => void): () => void
}

/** How an access token is presented (RFC 6750 §2.1, RFC 9449 §7.1). */
export type Scheme = 'Bearer' | 'DPoP'

/** An unverified credential, well-formed by RFC 6750 §2.1 and no more than that. */
export interface Credentials {
  readonly scheme: Scheme
  /** The scheme as RFC 6750 and RFC 9449 write it, one space, the token: one text for all ways to write the field. */
  readonly field: string
  /** The token as sent: 1 to `maxTokenLength` characters of token68. */
  readonly token: string
  /** The lines of the `DPoP` field, with the scheme `DPoP`; else none. */
  readonly proofs: readonly string[]
}

/** `cnf`, the key a token is bound to (RFC 7800 §3.1): member names to values, as the issuer wrote them. */
export type Confirmation = Readonly<Record<string, unknown>>

/** A JSON object whose every level is frozen. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * A verified access token: issuer, signature or introspection answer, type, audience and time were all checked.
 * Its sender was not (see {@link Access}). JWT and introspection make the same value; no later code can tell which.
 */
export interface AccessToken {
  /** The token itself. Not enumerable: it appears in no JSON, no `console.log`, no spread. */
  readonly token: string
  /** `iss`: one of the configured issuers, exactly (RFC 9068 §4). */
  readonly issuer: string
  /** `sub`, or undefined where an introspection answer has none (RFC 7662 §2.2). Unique per issuer, not globally. */
  readonly subject: string | undefined
  /**
   * `'client'` where `sub` equals the client identifier and no user authenticated (RFC 9068 §2.2, RFC 9700 §4.15);
   * `'unknown'` otherwise: nothing in a token proves that a subject is a person.
   */
  readonly subjectType: 'client' | 'unknown'
  /** `client_id` (or the issuer's `clientIdClaim`), or undefined where the token has none. */
  readonly clientId: string | undefined
  /** `aud` (or the issuer's `audienceClaim`) as a list. Holds an identifier of this resource, unless the issuer is configured with `audience: null`. */
  readonly audience: readonly string[]
  /** Granted scopes, each once, with those implied by `scopeHierarchy`. Empty where the token names none. */
  readonly scopes: readonly string[]
  /**
   * Roles, each once, as the issuer's `rolesClaim` finds them; empty without that option, or where the token names none. They
   * say who the user is, not what the client was granted: scopes say that.
   */
  readonly roles: readonly string[]
  /** `iat`, seconds since the epoch. */
  readonly issuedAt: number | undefined
  /** `exp`, seconds since the epoch; undefined only where an introspection answer has none. */
  readonly expiresAt: number | undefined
  /** `cnf` (RFC 7800), or undefined for a token bound to no key. */
  readonly confirmation: Confirmation | undefined
  /** Every claim (JWT) or member (introspection), frozen at every level. `act` is here, and is never the subject. */
  readonly claims: Claims
  /** True if this exact scope was granted (case-sensitive, RFC 6749 §3.3). */
  hasScope(scope: string): boolean
}

/** An {@link AccessToken} whose sender was confirmed: what a handler may rely on. */
export interface Access extends AccessToken {
  /**
   * Until when requests with this token are let in, seconds since the epoch: `expiresAt` and the API's `clockTolerance`. See
   * {@link signal}. Undefined where `expiresAt` is. Does NOT tell of a revocation. Not enumerable.
   */
  readonly acceptedUntil: number | undefined
  /**
   * Fires when the token ends (at {@link acceptedUntil}), or when a revocation is heard in this process: by `api.revoke()`, a
   * receiver of events, or `shared.channel`. Its `reason` is the `InvalidToken` that a request would get then. For what
   * outlives its request: server-sent events, WebSockets, long jobs. Give `{ once: true }`, and remove the listener when
   * the connection closes. It keeps no process alive. Made on the first read, the same one for all requests with the
   * token, and fired already where the token has ended by then. Not enumerable.
   *
   * Does NOT ask anybody: it learns nothing of status lists and introspection. Call `enforce()` on a timer for those. Does NOT fire when
   * the key that signed the token leaves the issuer's key set: the next request is refused, and what is open stays. Revoke the
   * issuer's tokens to end it. After `api.close()` it tells of revocations only.
   */
  readonly signal: AbortSignal
  /** The authentication scheme the token came with. */
  readonly scheme: Scheme
  /** The keys by which the sender was confirmed: each member of `cnf` that is known here; empty for an unbound token. */
  readonly confirmedBy: readonly ('dpop' | 'certificate')[]
  /**
   * Header fields that belong on the answer to this request: `DPoP-Nonce` (RFC 9449 §8.2), `Vary`. Adapters set them;
   * of `fetch`, whose guard has no response, the caller does. Not enumerable.
   */
  readonly responseHeaders: HeaderFields
}

/** What a check may need besides the access and the request. */
export interface CheckContext {
  /** The identifier of this API. */
  readonly resource: string
  /** Seconds since the epoch, by the server's clock. */
  readonly now: () => number
  /** Seconds. */
  readonly clockTolerance: number
}

/**
 * One rule about a verified access token. Throw a {@link ResourceServerError} (`Forbidden`, `InsufficientScope`)
 * to refuse; whatever else is thrown, an error or not, is a fault of the check and becomes the framework's 500. `false`
 * refuses too (403).
 *
 * A check runs after every cache, on every request.
 */
export interface Check<Scope extends string = never, Role extends string = never> {
  // biome-ignore lint/suspicious/noConfusingVoidType: a check that returns nothing has passed
  (access: Access, request: ResourceRequest, context: CheckContext): void | boolean | Promise<void | boolean>
  /** The scopes this check requires, where it knows them: they are advertised in challenges and in the metadata. */
  readonly scopes?: readonly Scope[]
  /** The roles this check requires, where it knows them, for an OpenAPI document. No challenge names them: a client cannot ask for a role. */
  readonly roles?: readonly Role[]
  /** `'all'` of `scopes` or `roles` (the default) or `'any'` one of them. */
  readonly mode?: 'all' | 'any'
  /** The authentication this check requires (RFC 9470 §3), for a challenge that names it together with scopes. */
  readonly authentication?: AuthenticationRequirement
  /** The types of `authorization_details` this check reads (RFC 9396 §2), for the metadata. */
  readonly authorizationDetailsTypes?: readonly string[]
  /** True where the check is only good for facts asked of the authorization server just now: see `fresh()`. */
  readonly fresh?: true
}

/** How a user must have authenticated (RFC 9470 §3). At least one of the two. */
export interface AuthenticationRequirement {
  /** Authentication context class references, any one of which will do; the preferred one first. */
  readonly acr?: readonly string[]
  /** Seconds that may have passed since the user actively authenticated. */
  readonly maxAge?: number
}

/**
 * A waiver is the only way for a request to pass without an access token, and says so where it is used.
 */
export interface Waiver {
  readonly waives: 'absent credentials' | 'CORS preflight'
}

/** What a route asks for: checks to pass, and at most the waivers it names. */
export type Requirement<Scope extends string = string, Role extends string = string> = Check<Scope, Role> | Waiver

/** `Access`, or `Access | undefined` where a waiver lets a request through without a token. */
export type Granted<Requirements extends readonly Requirement[]> =
  Extract<Requirements[number], Waiver> extends never ? Access : Access | undefined

/** One field value, or one per line. */
export type HeaderFields = Readonly<Record<string, string | readonly string[]>>

/** A route's requirements, compiled once. */
export interface Protection<A extends Access | undefined = Access> {
  /**
   * Decides about one request: a value where everything is already known, a promise where something must be
   * fetched or computed elsewhere.
   *
   * @param established the access this same server granted to this same request earlier (an outer `protect`),
   *   whose credentials need no second look: only the checks run
   * @throws {ResourceServerError} the refusal with its whole HTTP answer; thrown or rejected alike
   */
  authorize(request: ResourceRequest, established?: Access): Awaitable<A>
  /** Header fields that belong on every answer of the route, merged into lists already there (`Vary`). */
  readonly headers: HeaderFields
}
