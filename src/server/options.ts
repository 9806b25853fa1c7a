/** What a user may configure: types of options, and nothing else. Defaults and checks are in `settings.ts` and `settings.ts`. */
import type { HttpOptions } from '../http/settings.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import type { ClaimPlaces } from '../jwt/claim-places.js'
import type { DecryptionKey } from '../jwt/decryption-keys.js'
import type { JsonWebKeySet } from '../jwt/key-set.js'
import type { SharedOptions } from '../sharing/settings.js'
import type { OnceStore } from '../sharing/stores.js'
import type { Awaitable, Check, Claims, ClientAuth } from '../types.js'

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
  /**
   * Accept answers without `aud` (RFC 7662 §2.2 makes it optional). Only where `auth` is itself limited to this resource, and
   * the server calls nothing but access tokens active. Default false.
   *
   * An answer whose `token_type`, `token_use` or `typ` names another kind of token is refused. It does NOT tell a refresh
   * token apart where the answer says nothing of the kind (oidc-provider), or calls it `Bearer` (Doorkeeper).
   */
  readonly allowMissingAudience?: boolean
  /** Opaque tokens of this issuer begin with this text. Needed where several issuers introspect: each token goes to exactly one. */
  readonly tokenPrefix?: string
  /** Ask for a signed answer (RFC 9701) and take no other: what a server once said can then be proved. Default false. */
  readonly signedResponse?: boolean
  /** `aud` of signed answers, where the server names neither `clientId` nor `resource` there (RFC 9701 §5). */
  readonly responseAudience?: string
  /** How a server is asked that has something else than RFC 7662. Default: RFC 7662. */
  readonly dialect?: IntrospectionDialect
}

/** What stands for RFC 7662 where a server does not speak it. */
export interface IntrospectionDialect {
  /** The fields of the form that asks about a token. */
  readonly form: (token: string) => Readonly<Record<string, string>>
  /**
   * The answer in RFC 7662's words: its members, without `active`; undefined for a token that is not active.
   *
   * @param status  HTTP status: 200, or any from 300 to 499 but 408 and 429
   * @param body    the JSON of the answer, or undefined where it is none
   * @throws where the answer is neither: it becomes a 500, our misconfiguration
   */
  readonly read: (status: number, body: unknown) => Claims | undefined
}

/** Token Status List (draft-ietf-oauth-status-list) for the JWTs of one issuer. */
export interface StatusListOptions {
  /** Where lists may be, `https://status.example.com`: nothing is fetched from elsewhere, whatever a token names. Default: the issuer's origin. */
  readonly origins?: readonly string[]
  /** A token whose list cannot be had: `'refuse'` is a 503; `'allow'` lets it in while their server is down (not reached, 408, 429, 5xx), unless it was not valid when last heard of. Default `'refuse'`. */
  readonly onUnavailable?: 'refuse' | 'allow'
}

/** Where the credentials for a key endpoint come from: a function of yours that returns header fields by name, or a file that holds a bearer token of at most 16 KiB. */
export type JwksAuth = (() => Awaitable<Readonly<Record<string, string>>>) | { readonly tokenFile: string }

/** One trusted authorization server. */
export interface IssuerOptions {
  /** Issuer identifier (RFC 8414 §2): `https`, no query, no fragment; compared to `iss` code point by code point. */
  readonly issuer: string
  /** Identifiers of this resource that a token may name in `aud`. Default: `resource`. `null` skips the check: any token of the issuer is then good for this API. */
  readonly audience?: string | readonly string[] | null
  /** `'rfc9068'` (default) admits `typ` `at+jwt` only and requires RFC 9068 §2.2's claims; `'legacy'` also admits `JWT` or none, where the claims say that it is an access token: `requiredClaimValues`, `token_use`, `tokenName`, a scope claim, or a client claim that is not the audience. An ID token with one of the last two passes. */
  readonly tokenProfile?: 'rfc9068' | 'legacy'
  /** Default: every {@link SignatureAlgorithm}. Metadata never widens it. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** The issuer's keys, given here: nothing is fetched for JWTs. Excludes `jwksUri`. */
  readonly jwks?: JsonWebKeySet
  /** Where the issuer's keys are, instead of its metadata's `jwks_uri`. */
  readonly jwksUri?: string
  /**
   * Credentials for a key endpoint that wants them, as Kubernetes' does: a function that returns header fields, or a file
   * with a bearer token. It is asked before each fetch of the keys, has `callbackTimeout` seconds, and needs `jwksUri`: the
   * fields are sent there and nowhere else. A function or file that fails is a 500, unless keys are still at hand.
   */
  readonly jwksAuth?: JwksAuth
  /** Where the issuer's metadata is, instead of its well-known places. Its `issuer` is still compared. */
  readonly metadataUrl?: string
  /** The `issuer` that the metadata names, where an authorization server is known to publish another one than its tokens carry. Default: `issuer`. */
  readonly expectedMetadataIssuer?: string
  /**
   * The origin at which the authorization server is reached, where that is not the origin of `issuer`: a name inside a
   * network, `http://keycloak:8080`. The metadata, and those of its URLs whose origin is the issuer's, are asked there by
   * the same path; so are status lists at the issuer's origin. Other URLs, and those of these options, stay as they are.
   * `iss` and the metadata's `issuer` are still compared with `issuer`. Plain http needs `http.insecureHosts`, except on loopback.
   */
  readonly reachedAt?: string
  /** The claim that must hold an identifier of `audience`. Default `aud`; only for servers whose access tokens have none. */
  readonly audienceClaim?: string
  /** Further exact `iss` values signed by the same keys. */
  readonly acceptedIssuers?: readonly string[]
  readonly introspection?: IntrospectionOptions
  /** `'jwt'`: verified here, nothing else is accepted. `'opaque'`: every token is introspected. `'both'`: by structure. Default: `'both'` with `introspection`, else `'jwt'`. */
  readonly tokens?: 'jwt' | 'opaque' | 'both'
  /** Where the scopes are, as a space-delimited string or an array: see {@link ClaimPlaces}. Default: `['scope', 'scp']`. Roles do not belong here: a client would have every scope that its user has a role for, whatever it was granted. */
  readonly scopeClaim?: ClaimPlaces
  /** Where the roles are, as an array of texts: see {@link ClaimPlaces}. Anything else but null and `""` makes the token bad. Default: none is read. */
  readonly rolesClaim?: ClaimPlaces
  /** Claim (or claims) that holds the client identifier. Default: `client_id`. */
  readonly clientIdClaim?: string | readonly string[]
  /** Claims a JWT must have besides `iss`, `exp` and `aud`. Default: RFC 9068 §2.2's `sub`, `client_id` (as `clientIdClaim`), `iat`, `jti`; none with `tokenProfile: 'legacy'`. */
  readonly requiredClaims?: readonly string[]
  /** Claims a token must have, in a JWT or an introspection answer, each with one of these values (`true`: any value but null, for a claim whose presence tells): where a server says in a claim of its own what kind of token it is, or whose. With `tokenProfile: 'legacy'`, a claim that does not only say whose it is (as `azp` or `tid`) makes the token an access token, `nonce` or not. */
  readonly requiredClaimValues?: Readonly<Record<string, readonly string[] | true>>
  /** Refuse a JWT that is not encrypted (RFC 9068 §4): where encryption was agreed on. Needs `decryptionKeys`. Default false. */
  readonly requireEncrypted?: boolean
  /** Look up JWTs that have a claim `status` in the status list it names (draft-ietf-oauth-status-list), on every request; lists are kept for the `ttl` they name. Default false: the claim is not read. */
  readonly statusList?: boolean | StatusListOptions
}

/**
 * Names the issuer for a token, before any network: dynamic tenants.
 * Asked with the token's *unverified* `iss`, or with undefined for an opaque token. Answer undefined or null to refuse.
 * Answers are remembered: 1000 issuers for 300 s, refusals and unusable answers for 30 s. It has `callbackTimeout` seconds;
 * anybody can make up a name, so an unknown one should cost little. While it is asked again, a known issuer is served for
 * at most 60 s more. A URL whose path would not be asked as it is written is refused before; a prefix is no trust.
 */
export type IssuerResolver = (
  unverifiedIssuer: string | undefined
) => Awaitable<string | IssuerOptions | null | undefined>

/** DPoP (RFC 9449). */
export interface DpopOptions {
  /** Name the scheme DPoP in challenges, and proof algorithms in the metadata (RFC 9449 §7.1, §5.1). A client that knows of DPoP anyway is served either way. Default false; true with `requireSenderConstrained: 'dpop'`. */
  readonly advertise?: boolean
  /** What proofs may be signed with, the same in challenges and in the metadata. Default `ES256 EdDSA Ed25519 PS256 RS256`. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** Seconds since its `iat` for which a proof is fresh (RFC 9449 §11.1). Default 60, 5 to 300. 10 s ahead are forgiven. */
  readonly proofLifetime?: number
  /** `'required'`: every proof must have a nonce of ours (RFC 9449 §9). `'offered'`: nonces are handed out, and checked where a proof has one, which protects nobody yet: for changing over. Default `'off'`. */
  readonly nonces?: 'off' | 'offered' | 'required'
  /** What nonces are made with, at least 32 characters: the same for every process of this API. A second one, the one before, is still accepted. Default: random, known to this process alone, or derived from `shared.secret`. */
  readonly nonceSecret?: string | readonly [current: string, previous: string]
  /** Remembers which proofs were used. Default: `shared.store`, else this process's memory, `memoryOnceStore()`. */
  readonly replayStore?: OnceStore
}

/**
 * Reads the certificate from a field that a proxy wrote. Without it, the certificate is the TLS connection's.
 */
export interface ClientCertificateOptions {
  /** IP addresses and CIDR ranges of the proxies that write the field. From anybody else it is not read. They must remove a field of this name that a client sent (RFC 9440 §4). */
  readonly trustedProxies: readonly string[]
  /** Name of the field. Default `Client-Cert` (RFC 9440 §2.2). */
  readonly field?: string
  /** The field's one value → DER of the client's certificate; undefined or an exception: none. Default: RFC 9440 §2.2. Ready-made: `urlEncodedPem`, `urlEncodedPemChain`, `plainPem`, `base64Der`, `base64DerChain`, `forwardedClientCert`. */
  readonly parse?: (value: string) => Uint8Array | undefined
}

/** What `api.revoke()` remembers. */
export interface RevocationOptions {
  /** Seconds a revocation is remembered that has no `until`: at least as long as any access token lives. Default 86400 (24 h), 60 to 2678400. */
  readonly keepFor?: number
  /** Entries in all; when there are as many, `revoke()` throws, and nothing is forgotten. Default 100000 (up to about 50 MB; about 40 MB where names have 32 characters), at most 1000000. An eighth, at least one, is kept for `revoke()`: events never take it. */
  readonly maxEntries?: number
}

/** What `resourceServer()` is told. All mistakes in it are reported together. */
export interface ResourceServerOptions<Scope extends string = string, Role extends string = string> {
  /** This API's identifier (RFC 8707 §2, RFC 9728 §1.2): an `https` URL without fragment, kept byte for byte. The expected audience unless an issuer says otherwise. */
  readonly resource: string
  /** The authorization servers whose tokens are accepted, or a function that knows them. */
  readonly issuers: readonly (string | IssuerOptions)[] | IssuerResolver
  /** Every scope the routes use: a scope not in this list does not compile, and does not start. */
  readonly scopes?: readonly Scope[]
  /** Every role the routes use: a role not in this list does not compile, and does not start. */
  readonly roles?: readonly Role[]
  /** A granted scope → the scopes it includes: `{ admin: ['read', 'write'] }`. Followed to any depth. */
  readonly scopeHierarchy?: Readonly<Record<string, readonly string[]>>
  /** Checks for every request, before a route's own. */
  readonly checks?: readonly Check<Scope, string>[]
  /** Seconds by which `exp` and `nbf` may be missed (RFC 7519 §4.1.4). Default 30, at most 300. */
  readonly clockTolerance?: number
  /** The current time in seconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /** `realm` of every challenge (RFC 9110 §11.5). Default: none, unless a challenge would be empty without. */
  readonly realm?: string
  /** Further members of the protected resource metadata (RFC 9728 §2), by their names on the wire; `false` publishes and advertises none. */
  readonly metadata?: Readonly<Record<string, unknown>> | false
  /**
   * Serve older MCP clients (revision 2025-03-26), which know nothing of RFC 9728: the metadata at the root as well where `resource` has a
   * path, and the authorization server's own metadata (RFC 8414) at `/.well-known/oauth-authorization-server` of this origin, as its
   * discovery found it, with its limits; 503 while it cannot be had. Of several issuers, the first. Never asks another URL. Default false.
   */
  readonly legacyClients?: boolean
  /** Refuse (400) a request whose query carries `access_token`, to find clients that leak tokens into logs. A query token is never read. Default false. */
  readonly rejectQueryToken?: boolean
  /** Characters that a token may have; a longer one is refused (401) unread. Default 16384, 1024 to 65536. Node itself refuses (431) more than 16 KiB of header fields unless it is started with `--max-http-header-size`, which proxies limit too. */
  readonly maxTokenLength?: number
  readonly http?: HttpOptions
  /**
   * DPoP (RFC 9449). A token that is bound to a DPoP key is accepted with a proof by default; `advertise` names the scheme
   * in challenges and metadata; `false` treats the scheme DPoP as unknown.
   */
  readonly dpop?: DpopOptions | false
  /** Where this server is reached from outside, `https://api.example.com`: what `/` of a request's target is put behind to compare a DPoP proof's `htu`. Several are alternatives. Default: the origin of `resource`. */
  readonly publicUrl?: string | readonly string[]
  /** The client's certificate, where a proxy ends its TLS. Default: the connection's own. */
  readonly clientCertificate?: ClientCertificateOptions
  /**
   * Refuse tokens that are not bound to a key of the client (RFC 9700 §2.2.1): `true` accepts DPoP keys and certificates,
   * `'dpop'` only tokens bound to a DPoP key (RFC 9449), `'certificate'` only tokens bound to a client certificate (RFC 8705 §3).
   * Default false. The binding of a token that has one is always confirmed.
   */
  readonly requireSenderConstrained?: boolean | 'dpop' | 'certificate'
  /** Seconds that a function of yours may take: `introspection.auth`, `jwksAuth`, the function `issuers`, a `replayStore`, a `shared.channel`, and the functions of `securityEventReceiver()`. Then the request gets 503. Default 5, 0.01 to 120. */
  readonly callbackTimeout?: number
  /** Private keys for encrypted tokens, the current one first; those before it stay while tokens for them live. Their public keys are published. */
  readonly decryptionKeys?: readonly DecryptionKey[]
  /** Tokens that are refused though they verify: see `api.revoke()`. */
  readonly revocation?: RevocationOptions
  /** What all processes of this API share, where there is more than one. Default: each keeps to itself. */
  readonly shared?: SharedOptions
}
