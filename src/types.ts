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
}

/** An unverified credential, well-formed by RFC 6750 §2.1 and no more than that. */
export interface Credentials {
  readonly scheme: 'Bearer'
  /** The token as sent: 1 to `16384` characters of token68. */
  readonly token: string
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
  /** `aud` as a list. Holds an identifier of this resource, unless the issuer is configured with `audience: null`. */
  readonly audience: readonly string[]
  /** Granted scopes, each once, with those implied by `scopeHierarchy`. Empty where the token names none. */
  readonly scopes: readonly string[]
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
  /** The authentication scheme the token came with. */
  readonly scheme: 'Bearer'
}

/**
 * One rule about a verified access token. Throw a {@link ResourceServerError} (`Forbidden`, `InsufficientScope`)
 * to refuse; any other error is a fault of the check and becomes the framework's 500. `false` refuses too (403).
 *
 * A check runs after every cache, on every request.
 */
export interface Check<Scope extends string = never> {
  (access: Access, request: ResourceRequest): void | Promise<void>
  /** The scopes this check requires, where it knows them: they are advertised in challenges and in the metadata. */
  readonly scopes?: readonly Scope[]
  /** `'all'` of `scopes` (the default) or `'any'` one of them. */
  readonly mode?: 'all' | 'any'
}

/**
 * A waiver is the only way for a request to pass without an access token, and says so where it is used.
 */
export interface Waiver {
  readonly waives: 'absent credentials' | 'CORS preflight'
}

/** What a route asks for: checks to pass, and at most the waivers it names. */
export type Requirement<Scope extends string = string> = Check<Scope> | Waiver

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

/** A JSON Web Key Set as published (RFC 7517 §5). */
export interface JsonWebKeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** Algorithms a token may be signed with. `none` and the symmetric ones cannot be named. */
export type SignatureAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA'
  | 'Ed25519'

/** The members of authorization server metadata that a resource server reads (RFC 8414 §2), plus all others. */
export interface AuthorizationServerMetadata {
  readonly issuer: string
  readonly jwks_uri?: string
  readonly introspection_endpoint?: string
  readonly [member: string]: unknown
}

/**
 * Authenticates this resource server to the authorization server by adding to the form or the header fields of a
 * request (RFC 6749 §2.3). The same shape as `ClientAuth` of oauth4webapi, whose functions fit here.
 */
export type ClientAuth = {
  // Written as a method, whose parameters compare both ways: other libraries type the metadata more narrowly.
  authenticate(
    as: AuthorizationServerMetadata,
    client: { readonly client_id: string; readonly [member: string]: unknown },
    body: URLSearchParams,
    headers: Headers
  ): void | Promise<void>
}['authenticate']

/** Introspection of opaque tokens at one issuer (RFC 7662). */
export interface IntrospectionOptions {
  /** `https` URL of the endpoint; default: the issuer's `introspection_endpoint` metadata. */
  readonly endpoint?: string
  /** Our client identifier at the authorization server, for the methods of `auth` that need one. */
  readonly clientId?: string
  /** How we authenticate (RFC 7662 §2.1): `clientSecretBasic(…)`, `privateKeyJwt(…)`, `bearerToken(…)`, … */
  readonly auth: ClientAuth
  /** Seconds an `active: true` answer is reused, never past its `exp`: the time a revocation may go unseen. Default 30, 0 to 300. */
  readonly cacheFor?: number
  /** Accept answers without `aud` (RFC 7662 §2.2 makes it optional). Only where `auth` is itself limited to this resource, and the server calls nothing but access tokens active. Default false. */
  readonly allowMissingAudience?: boolean
  /** Opaque tokens of this issuer begin with this text. Needed where several issuers introspect: each token goes to exactly one. */
  readonly tokenPrefix?: string
}

/** One trusted authorization server. */
export interface IssuerOptions {
  /** Issuer identifier (RFC 8414 §2): `https`, no query, no fragment; compared to `iss` code point by code point. */
  readonly issuer: string
  /** Identifiers of this resource that a token may name in `aud`. Default: `resource`. `null` skips the check: any token of the issuer is then good for this API. */
  readonly audience?: string | readonly string[] | null
  /** `'rfc9068'` (default) admits `typ` `at+jwt` only and requires RFC 9068 §2.2's claims; `'legacy'` also admits `JWT` or none, and refuses what looks like another kind of token. */
  readonly profile?: 'rfc9068' | 'legacy'
  /** Default: every {@link SignatureAlgorithm}. Metadata never widens it. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** The issuer's keys, given here: nothing is fetched for JWTs. Excludes `jwksUri`. */
  readonly jwks?: JsonWebKeySet
  /** Where the issuer's keys are, instead of its metadata's `jwks_uri`. */
  readonly jwksUri?: string
  /** Where the issuer's metadata is, instead of its well-known places. Its `issuer` is still compared. */
  readonly metadataUrl?: string
  /** The `issuer` that the metadata names, where an authorization server is known to publish another one than its tokens carry. Default: `issuer`. */
  readonly expectedMetadataIssuer?: string
  /** Further exact `iss` values signed by the same keys. */
  readonly acceptedIssuers?: readonly string[]
  readonly introspection?: IntrospectionOptions
  /** `'jwt'`: verified here, nothing else is accepted. `'opaque'`: every token is introspected. `'both'`: by structure. Default: `'both'` with `introspection`, else `'jwt'`. */
  readonly tokens?: 'jwt' | 'opaque' | 'both'
  /** Claim (or claims, the first present counts) that holds the scopes, as a space-delimited string or an array. Default: `['scope', 'scp']`. */
  readonly scopeClaim?: string | readonly string[]
  /** Claim (or claims) that holds the client identifier. Default: `client_id`. */
  readonly clientIdClaim?: string | readonly string[]
  /** Claims a JWT must have besides `iss`, `exp` and `aud`. Default: RFC 9068 §2.2's `sub`, `client_id` (as `clientIdClaim`), `iat`, `jti`; none with `profile: 'legacy'`. */
  readonly requiredClaims?: readonly string[]
}

/**
 * Names the issuer for a token, before any network: dynamic tenants.
 * Asked with the token's *unverified* `iss`, or with undefined for an opaque token. Answer undefined or null to refuse.
 * Answers are remembered: 1000 issuers for 300 s, refusals for 30 s. It has `http.deadline` seconds; anybody can make
 * up a name, so an unknown one should cost little.
 */
export type IssuerResolver = (
  unverifiedIssuer: string | undefined
) => Awaitable<string | IssuerOptions | null | undefined>

/** What `http` needs of an undici `Dispatcher`, by shape, so that any version of it fits. */
export interface HttpDispatcher {
  request(options: never): Promise<unknown>
}

export interface HttpOptions {
  /** An undici `Agent`, `Pool`, `ProxyAgent` or `MockAgent` of yours: for a private CA, a proxy, a test. It is not closed by `close()`. */
  readonly dispatcher?: HttpDispatcher
  /** Seconds one attempt may take, from connect to the last byte. Default 3. */
  readonly timeout?: number
  /** Seconds all attempts may take together; also what `introspection.auth` and an issuer resolver may take. Default 5. */
  readonly deadline?: number
}

export interface ResourceServerOptions<Scope extends string = string> {
  /** This API's identifier (RFC 8707 §2, RFC 9728 §1.2): an `https` URL without fragment, kept byte for byte. The expected audience unless an issuer says otherwise. */
  readonly resource: string
  /** The authorization servers whose tokens are accepted, or a function that knows them. */
  readonly issuers: readonly (string | IssuerOptions)[] | IssuerResolver
  /** Every scope the routes use: a scope not in this list does not compile, and does not start. */
  readonly scopes?: readonly Scope[]
  /** A granted scope → the scopes it includes: `{ admin: ['read', 'write'] }`. Followed to any depth. */
  readonly scopeHierarchy?: Readonly<Record<string, readonly string[]>>
  /** Checks for every request, before a route's own. */
  readonly checks?: readonly Check<Scope>[]
  /** Seconds by which `exp` and `nbf` may be missed (RFC 7519 §4.1.4). Default 30, at most 300. */
  readonly clockTolerance?: number
  /** The current time in seconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /** `realm` of every challenge (RFC 9110 §11.5). Default: none, unless a challenge would be empty without. */
  readonly realm?: string
  /** Further members of the protected resource metadata (RFC 9728 §2), by their names on the wire; `false` publishes and advertises none. */
  readonly metadata?: Readonly<Record<string, unknown>> | false
  /** Refuse (400) a request whose query carries `access_token`, to find clients that leak tokens into logs. A query token is never read. Default false. */
  readonly rejectQueryToken?: boolean
  readonly http?: HttpOptions
}
