/**
 * A check of the conformance suite: plain data, and a function that sends requests and judges the answers. To add one is to
 * add one object to a file of `checks/`.
 *
 * Does NOT send anything itself: the context that `run` gets does, within the rate that the user allowed.
 *
 * Tests: `test/conformance/mutants.test.ts`.
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

export type Profile = (typeof PROFILES)[number]

/** The keyword of the cited text (RFC 2119). `hardening` where no text demands it. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'hardening'

/** The text that demands what is checked. */
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
 * What a check needs beside a URL.
 *
 * - `issuer`: the API trusts the suite's authorization server, and accepts its good token
 * - `introspection`: the API accepts its opaque tokens; `dpop`, `mtls`: tokens bound to a key or certificate
 * - `metadata`: the API serves RFC 9728 metadata; `scopes`: the user named a route and the scope that it needs
 * - `second-issuer`: the API trusts a second authorization server of the suite
 * - `https`, `methods`: the URL is https; the user allowed other methods than GET, HEAD and OPTIONS
 * - `revocation`: the API takes revocations in the way that the user named
 */
export type Need =
  | 'issuer'
  | 'introspection'
  | 'dpop'
  | 'mtls'
  | 'metadata'
  | 'scopes'
  | 'second-issuer'
  | 'https'
  | 'methods'
  | 'revocation'

/** A request as it goes over the wire: header fields as lines in order, names as written, repetition allowed. */
export interface WireRequest {
  /** Default `GET`. */
  readonly method?: string
  /** The request target as written. Default: that of the URL under test. */
  readonly target?: string
  readonly fields?: readonly (readonly [name: string, value: string])[]
  readonly body?: string
  /** PEM of a client certificate and its key, where the URL is https. */
  readonly certificate?: { readonly cert: string; readonly key: string }
  /** The newest TLS version that the handshake offers. Default: that of Node.js. */
  readonly maxTls?: 'TLSv1.1' | 'TLSv1.2'
}

export interface WireResponse {
  readonly status: number
  /** All lines in order; names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** At most 64 KiB. */
  readonly body: string
}

/** How a failed check is told. */
export interface Finding {
  /** One sentence each. */
  readonly expected: string
  readonly received: string
  /** What to change in the API, in one sentence. */
  readonly change: string
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

/** Thrown by `context.skip()`: the API does not have what is checked. Never counted as passed. */
export class NotApplicable extends Error {
  override readonly name = 'NotApplicable'
}

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
  run(context: CheckContext): Promise<void>
}

/** What a check works with. */
export interface CheckContext {
  readonly url: URL
  /** Sends a request and waits for its answer, within the allowed rate. Each one is told in the report, tokens shortened. */
  send(request?: WireRequest): Promise<WireResponse>
  /** The features that were declared or detected. */
  readonly has: ReadonlySet<Need>
  /** The answer to the first request of the run: a GET of the URL without a token. */
  readonly probe: WireResponse
  /** The metadata document (RFC 9728), read before the first check. Undefined if the API serves none. */
  readonly metadata: Metadata | undefined
  /** True for a loopback or private address, where http is in order. */
  readonly isPrivate: boolean
  /** The suite's authorization server. @throws {NotApplicable} without one */
  readonly issuer: SuiteIssuer
  /** @throws {Failed} */
  fail(finding: Finding): never
  /** @throws {NotApplicable} */
  skip(why: string): never
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

/** The authorization server that the suite serves: made of `test-kit/`. See `conformance/issuer.ts`. */
export interface SuiteIssuer {
  readonly url: string
  /** A good token for the API, or one with other header members, claims, key or text. */
  token(flaw?: TokenFlaw): string
  /** Requests that the API sent to the authorization server, the canary and other endpoints, in order. */
  readonly requests: readonly { readonly method: string; readonly path: string }[]
}

/** What differs from a good token. A member that is undefined is left out of the token. */
export interface TokenFlaw {
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}
