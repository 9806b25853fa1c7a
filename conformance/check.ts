/**
 * A check of the conformance suite: plain data, and a function that sends requests and judges the answers. To add one is to
 * add one object to a file of `checks/`.
 *
 * Does NOT send anything itself: the context that `run` gets does, within the rate that the user allowed.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */

/** The groups of checks. A group is run where the API has the feature: declared by the user, or detected. */
export const PROFILES = [
  'rfc6750',
  'rfc9728',
  'rfc9068',
  'rfc7662',
  'dpop',
  'mtls',
  'fapi2',
  'mcp',
  'revocation',
  'hardening',
  'faults'
] as const

/** The name of a group of checks. */
export type Profile = (typeof PROFILES)[number]

/** The keyword of the cited text (RFC 2119). `hardening` where no text demands it. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'hardening'

/** From the strictest to the laxest. */
export const LEVELS: readonly Level[] = ['MUST', 'SHOULD', 'MAY', 'hardening']

/** The text that demands the behaviour. */
export interface Source {
  /** For example `RFC 6750`. */
  readonly name: string
  /** For example `§3.1`. */
  readonly section: string
  readonly url: string
  /** The sentence, as it stands there, at most 300 characters. */
  readonly quote: string
}

/**
 * A check's needs beside a URL.
 *
 * - `issuer`: the API trusts the suite's authorization server, and accepts its good JWT
 * - `introspection`: the API trusts it, and accepts its opaque tokens; `dpop`, `mtls`: tokens bound to a key or certificate
 * - `metadata`: the API serves RFC 9728 metadata; `scopes`: the user named a route and the scope that it needs
 * - `second-issuer`: the API trusts a second authorization server of the suite
 * - `bearer`: the API takes Bearer tokens, and not DPoP alone
 * - `https`, `methods`: the URL is https; the user allowed other methods than GET, HEAD and OPTIONS
 * - `fapi2`: the API follows the FAPI 2.0 Security Profile: declared, or selected by its profile
 * - `revocation`: the API takes revocations in the way that the user named
 */
export type Need =
  | 'bearer'
  | 'issuer'
  | 'introspection'
  | 'dpop'
  | 'mtls'
  | 'metadata'
  | 'scopes'
  | 'second-issuer'
  | 'https'
  | 'methods'
  | 'fapi2'
  | 'revocation'

/** A request as it goes over the wire: header fields as lines in order, names as written, repetition allowed. */
export interface WireRequest {
  /** Default `GET`. */
  readonly method?: string
  /** The request target as written. Default: that of the URL under test. */
  readonly target?: string
  /** An access token, which the run adds as the API takes it: as a Bearer token, with a DPoP proof, or with a client certificate. */
  readonly token?: string
  readonly fields?: readonly (readonly [name: string, value: string])[]
  readonly body?: string
  /** The client certificate of the TLS connection, and its key, as PEM. */
  readonly certificate?: ClientCertificate
  /** The newest TLS version that the handshake offers. Default: that of Node.js. */
  readonly maxTls?: 'TLSv1.1' | 'TLSv1.2'
  /** True for a request of a flood: 429 is its answer. Default: the suite waits as long as a 429 asks for, and sends it again. */
  readonly isOnce?: true
}

/** An answer of the API. */
export interface WireResponse {
  readonly status: number
  /** All lines in order; names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** At most 64 KiB. */
  readonly body: string
  /** True if the API redirects to the place to which it redirects a request without a token: a login page accepts nothing. */
  readonly isTurnedAway?: true
}

/** An answer whose body may go on. */
export interface OpenAnswer {
  readonly status: number
  readonly fields: WireResponse['fields']
  /** True if the API has ended the body or the connection. */
  readonly hasEnded: boolean
  close(): void
}

/** How a failed check is told. */
export interface Finding {
  /** One sentence each. */
  readonly expected: string
  readonly received: string
  /** The change to make in the API, in one sentence. */
  readonly change: string
  /** A level below that of the check, for an answer that breaks less than the quoted text: a 500 has not accepted the token. */
  readonly level?: Level
}

/** Thrown by `context.fail()`: the check has failed. */
export class Failed extends Error {
  override readonly name = 'Failed'
  readonly finding: Finding

  constructor(finding: Finding) {
    super(finding.expected)
    this.finding = finding
  }
}

/** Thrown by `context.skip()`: the API lacks the feature. Never counted as passed. */
export class NotApplicable extends Error {
  override readonly name = 'NotApplicable'
}

/** One check: its identity, the text that demands it, and the function that sends and judges. */
export interface Check {
  /** Stable for ever, for example `rfc6750-query-token`. */
  readonly id: string
  /** One sentence about the API: `A token in the query does not authorize a request.` */
  readonly title: string
  readonly profile: Profile
  readonly level: Level
  /** Undefined only for `hardening`. */
  readonly source?: Source
  readonly needs?: readonly Need[]
  /** Names of the same check elsewhere: MCP's SEP, a module of the OpenID suite. */
  readonly also?: readonly string[]
  /** True if it measures time: it is repeated once before it fails. */
  readonly isTimed?: true
  /**
   * Sends and judges.
   *
   * @throws {Failed} @throws {NotApplicable} @throws anything else: the check could not be run, which is an error of the run
   */
  readonly run: (context: CheckContext) => Promise<void>
}

/** The key of the client to which an API wants all tokens bound: that of DPoP proofs, or of a client certificate. */
export type Binding = 'dpop' | 'certificate'

/** Facts about the API that the user declares, because no request can find them out. */
export interface Declared {
  /** The API accepts only tokens that are bound in this way. Default: the run finds it out. */
  readonly binding?: Binding
  /** The form of a request with credentials, for an API that does not answer GET. Another method needs `methods`. */
  readonly request?: Pick<WireRequest, 'fields' | 'body'> & { readonly method: string }
  /** Routes that need one scope each, which the good token does not have. */
  readonly scopedRoutes?: readonly { readonly target: string; readonly scope: string }[]
  /** A route that needs another authentication (RFC 9470): by `acr`, by age in seconds, or both. */
  readonly stepUp?: { readonly target: string; readonly acr?: string; readonly maxAge?: number }
  /** The field in which the API takes a client certificate from a proxy (RFC 9440), such as `Client-Cert`. */
  readonly certificateField?: string
  /** The ways in which the API learns of revoked tokens. */
  readonly revokedBy?: readonly RevocationWay[]
  /** The request target that takes security events (RFC 8935). */
  readonly eventTarget?: string
  /** The request target that takes logout tokens (OpenID Connect Back-Channel Logout 1.0) for the client `client-1`. */
  readonly logoutTarget?: string
  /** The request target of a route whose answer stays open for as long as its token is good. */
  readonly stream?: string
  /** Seconds that a revocation may take. Default 60. */
  readonly revocationSeconds?: number
  /** Seconds in which the API learns of new keys and recovers from an outage. Default 90. */
  readonly recoverySeconds?: number
  /** Starts the API again, and resolves when it listens: it then reads the metadata of its issuer once more. */
  readonly restart?: () => Promise<unknown>
}

/** The ways in which an API may learn that a token was revoked. */
export type RevocationWay = 'introspection' | 'status-list' | 'event' | 'logout'

/** The tools of a check. */
export interface CheckContext {
  readonly url: URL
  readonly declared: Declared
  /** Sends a request and waits for its answer, within the allowed rate. Each one is told in the report, tokens shortened. */
  readonly send: (request?: WireRequest) => Promise<WireResponse>
  /** As `send`, but for an answer that may stay open. The run closes it at its end. */
  readonly open: (request: WireRequest) => Promise<OpenAnswer>
  /** The scheme of tokens: `DPoP` for an API that takes no Bearer tokens. */
  readonly scheme: 'Bearer' | 'DPoP'
  /** The features that were declared or detected. */
  readonly has: ReadonlySet<Need>
  /** The answer to the first request of the run: a GET of the URL without a token. */
  readonly probe: WireResponse
  /** The metadata document (RFC 9728), read before the first check. Undefined if the API serves none. */
  readonly metadata: Metadata | undefined
  /** Facts that a check leaves for later ones of the same run. */
  readonly notes: Set<string>
  /** True for a loopback or private address, where http is in order. */
  readonly isPrivate: boolean
  /** The suite's authorization server. @throws {NotApplicable} without one */
  readonly issuer: SuiteIssuer
  /** Tells seconds that the check measured, in the report of each verdict: `from the revocation to the refusal`. */
  readonly measured: (seconds: number, what: string) => void
  /** @throws {Failed} */
  readonly fail: (finding: Finding) => never
  /** @throws {NotApplicable} */
  readonly skip: (why: string) => never
}

/** Where the metadata document (RFC 9728) was found, and what it says. */
export interface Metadata {
  /** On the origin of the URL under test. */
  readonly url: URL
  /** True if the challenge of the API named this URL. */
  readonly isNamed: boolean
  readonly response: WireResponse
  /** Undefined if the body is not a JSON object. */
  readonly document: Readonly<Record<string, unknown>> | undefined
}

/** A request that the authorization server received, as its log keeps it. */
export interface SuiteRequest {
  readonly method: string
  readonly path: string
  /** The field `Accept`, or an empty text. */
  readonly accept: string
  /** Bytes of an `endless` answer that the connection took before the API closed it. */
  readonly taken: number
}

/** The endpoints of the authorization server that can fail. */
export type SuiteEndpoint = 'metadata' | 'keys' | 'introspection' | 'status-list'

/**
 * An HTTP status, with fields if need be; or an answer that does not come, comes half a second `late`, redirects, or is not what it
 * should be. `bomb`: 32 MiB in a few kilobytes; `endless`: 64 MiB, if the API takes them; `lie`, of metadata: that of another issuer,
 * whose keys are at `/lie/keys`; of the status list: one that an unknown key signed.
 */
export type SuiteFailure =
  | { readonly status: number; readonly fields?: Readonly<Record<string, string>> }
  | 'silence'
  | 'late'
  | 'reset'
  | 'garbage'
  | 'redirect'
  | 'bomb'
  | 'endless'
  | 'empty'
  | 'lie'

/** The authorization server that the suite serves: made of `test-kit/`. See `conformance/issuer.ts`. */
export interface SuiteIssuer {
  /** The issuer identifier. */
  readonly url: string
  /** `aud` of good tokens. */
  readonly audience: string
  /** A URL that no API may request: tokens and fields name it. Its requests have a path that begins with `/canary/`. */
  readonly canary: string
  /** The authorization server that the API trusts beside this one, or undefined. */
  readonly second: SuiteIssuer | undefined
  /** Requests that the API sent to this server, the oldest first; at most the last 10,000. */
  readonly requests: readonly SuiteRequest[]
  /** Seconds since the epoch. */
  now(): number
  /** A good JWT access token (RFC 9068) for the API, or one with a flaw. */
  token(flaw?: TokenFlaw): string
  /**
   * An opaque token with members of its introspection answer over good ones, or with a function that changes the JSON text of a good
   * answer.
   *
   * @param flaw  of the signed answer (RFC 9701), if the API asks for one
   */
  opaque(answer?: Readonly<Record<string, unknown>> | ((json: string) => string), flaw?: AnswerFlaw): string
  /** A token with these claims that `revoke()` marks in the status list. */
  listed(claims?: Readonly<Record<string, unknown>>): string
  /** Makes an opaque or listed token invalid. */
  revoke(token: string): void
  /** Signs a security event or a logout token with these claims; `unpublished`: by an unknown key with a published `kid`. */
  signed(typ: string, claims: Readonly<Record<string, unknown>>, key?: 'unpublished'): string
  dpopKey(algorithm?: SigningAlgorithm): ProofKey
  certificate(): ClientCertificate
  /** `cnf.x5t#S256` (RFC 8705 §3.1). */
  thumbprintOf(certificate: ClientCertificate): string
  /** The published key of this algorithm. */
  publicKey(algorithm: SigningAlgorithm): { readonly jwk: Readonly<Record<string, unknown>>; readonly pem: string }
  /** The public part of the RS256 key that signs tokens with `key: 'unpublished'`. */
  strangerKey(): Readonly<Record<string, unknown>>
  /** A certificate of that key, as `x5c` writes it (RFC 7515 §4.1.6). */
  strangerCertificate(): string
  /** Replaces all keys; the former ones are no longer published. */
  rotateKeys(): void
  /** True while the set has keys that no API may use. */
  readonly hasOddKeys: boolean
  /**
   * Adds keys that no API may use to the set, and a good one, which tells whether the API has read it; or withdraws them.
   *
   * @param claims  of the tokens that they sign, over good ones
   */
  publishOddKeys(isPublished: boolean, claims?: Readonly<Record<string, unknown>>): void
  /** A token that such a key signed. @throws {Error} they are not published */
  odd(key: OddKey): string
  fail(endpoint: SuiteEndpoint, failure: SuiteFailure): void
  recover(): void
}

/**
 * A key that is published and verifies nothing: `roca`, whose factors can be computed; `exponent`: 1; `operations`: for encryption;
 * `curve`: P-384 for ES256; `sha1`: the token is signed by RS1. `control` and `ecdsa-one`, where s = 1, are good; in
 * `ecdsa-above-order` s is above the order.
 */
export type OddKey =
  | 'control'
  | 'roca'
  | 'exponent'
  | 'operations'
  | 'curve'
  | 'sha1'
  | 'ecdsa-one'
  | 'ecdsa-above-order'

export type SigningAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

/** A client certificate and its key, as PEM. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** A client's key for DPoP proofs. */
export interface ProofKey {
  /** RFC 7638 thumbprint: `cnf.jkt`. */
  readonly jkt: string
  /** The public key, as it is in the header of a proof. */
  readonly jwk: Readonly<Record<string, unknown>>
  /** A good proof for this request and token, with a new `jti`, or one with a flaw. */
  proof(request: { readonly method: string; readonly url: string; readonly token: string }, flaw?: ProofFlaw): string
}

/** How a proof differs from a good one. A member that is undefined is left out. */
export interface ProofFlaw {
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
  /** Replaces the signature. `none`: it is empty. */
  readonly signature?: (signature: Buffer) => Uint8Array
}

/** How a signed introspection answer differs from a good one. A member that is undefined is left out. */
export interface AnswerFlaw {
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
  readonly key?: 'unpublished'
  readonly signature?: (signature: Buffer) => Uint8Array
  /** The members are claims of their own, without `token_introspection`. */
  readonly isFlat?: true
  /** The answer is JSON, as if the API had not asked for a signed one. */
  readonly isPlain?: true
}

/** How a token differs from a good one. A member that is undefined is left out of the token. */
export interface TokenFlaw {
  /** Default `RS256`: RFC 9068 §2.1 obliges every API to know it. */
  readonly algorithm?: SigningAlgorithm
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
  /** Changes the JSON text of the header, for members that stand twice. */
  readonly headerText?: (json: string) => string
  /** Changes the JSON text of the claims. */
  readonly claimsText?: (json: string) => string
  /**
   * The key that signs. `published` (default); `unpublished`: an unknown key with the published `kid`; `weak`: a published RSA key
   * of 1024 bits; `encryption`: a published key with `use: enc`; or a function of the signing input.
   */
  readonly key?: 'published' | 'unpublished' | 'weak' | 'encryption' | ((input: string) => Uint8Array)
  /** Signs by `algorithm` with the published key of this other algorithm. */
  readonly keyOf?: SigningAlgorithm
  /** Changes the signature. */
  readonly signature?: (signature: Buffer) => Uint8Array
  /** RS256: what the published key signs, with all of its padding. */
  readonly encoding?: (input: string) => Uint8Array
  /** Octets of the salt of PS256. Default 32. */
  readonly saltLength?: number
  /** Changes the text of the token. */
  readonly text?: (token: string) => string
}
