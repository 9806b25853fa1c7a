/**
 * An authorization server for the tests of an API. It needs no network, container or mocking library, and its tokens are
 * signed and verified for real. It issues good tokens and tokens with one flaw each; you move its clock and cause outages.
 *
 * Not for production: any caller gets any token.
 */
import { randomUUID } from 'node:crypto'
import { requireOptions } from '../src/base/options/spelling.js'
import {
  type Access,
  clientSecretBasic,
  type IssuerOptions,
  type ResourceRequest,
  type ResourceServerOptions,
  resourceServer,
  type Scheme
} from '../src/index.js'
import { accessTokenClaims, type TestClaims } from './claims.js'
import {
  createEndpoints,
  type Documents,
  type Endpoints,
  type Failure,
  type TestEndpoint,
  type TestRequest
} from './endpoints.js'
import {
  type ClientCertificate,
  createCertificate,
  createDpopKey,
  createKey,
  type DpopKey,
  encode,
  type JsonObject,
  signJwt,
  type TestAlgorithm,
  type TestKey,
  thumbprint
} from './keys.js'

export { type LogContractNeeds, type LogContractTest, logContract } from './log-contract.js'
export { createTestLog, type TestLog, type TestLogOptions } from './test-log.js'
export type { ClientCertificate, DpopKey, Failure, TestAlgorithm, TestClaims, TestEndpoint, TestRequest }

/** Seconds from `iat` to `exp`. */
const LIFETIME = 300
/** Seconds. */
const DAY = 86_400

/** Options of `createTestIssuer()`. */
export interface TestIssuerOptions {
  /** The issuer identifier. Default `https://as.test`. */
  readonly issuer?: string
  /** The signature algorithm of tokens. Default `ES256`. */
  readonly algorithm?: TestAlgorithm
}

/** The header fields that a client sends with a token bound to its key. */
export interface DpopFields {
  readonly authorization: string
  readonly dpop: string
}

/** The request that a DPoP proof is for. */
export interface DpopRequest {
  /** Default `GET`. */
  readonly method?: string
  /** The whole URL of the request. */
  readonly url: string
  /** Claims of the token. */
  readonly claims?: TestClaims
  /** The nonce of an answer with `use_dpop_nonce` (RFC 9449 §9). */
  readonly nonce?: string
  /** The client's key, to use one key for several requests. Default: a new key. */
  readonly key?: DpopKey
  /** Claims that replace those of a good proof, to give it one flaw; `undefined` removes a claim. */
  readonly proof?: JsonObject
}

/** An authorization server of a test: tokens, keys, answers, failures and a clock. */
export interface TestIssuer {
  /** The issuer identifier. */
  readonly issuer: string
  /** Seconds since the epoch: the time of day plus the seconds added by `advance`. */
  readonly now: () => number
  /** The requests that the resource server sent to it. */
  readonly requests: readonly TestRequest[]
  /**
   * Options for `resourceServer()`: this issuer, its clock, a dispatcher to reach it, and `log: false`. Later tokens
   * have the audience `resource`.
   *
   * @param options  your own options; `issuer` holds options of this issuer: a profile, an audience …
   */
  options<const Scope extends string = string, const Role extends string = string>(
    options: Omit<ResourceServerOptions<Scope, Role>, 'issuers' | 'now'> & { readonly issuer?: Partial<IssuerOptions> }
  ): ResourceServerOptions<Scope, Role>
  /** A JWT access token (RFC 9068) of `user-1` and `client-1`, valid for 300 seconds. */
  token(claims?: TestClaims): string
  /** A token that expired an hour ago. */
  expired(claims?: TestClaims): string
  /** A token that becomes valid in an hour (`nbf`). */
  notYetValid(claims?: TestClaims): string
  /** A token for another API. */
  wrongAudience(claims?: TestClaims): string
  /** A token with another `iss`, signed by this issuer. */
  wrongIssuer(claims?: TestClaims): string
  /** An ID token: `typ` is `JWT`. */
  wrongType(claims?: TestClaims): string
  /** A token with `alg: none` and without a signature. */
  unsigned(claims?: TestClaims): string
  /** A token whose signature belongs to other claims. */
  tampered(claims?: TestClaims): string
  /** A token signed by a key that the issuer does not publish. */
  unknownKey(claims?: TestClaims): string
  /** An opaque token with the members of its introspection answer (RFC 7662 §2.2). With `active: false` the answer has no other member. */
  opaque(members?: TestClaims & { readonly active?: boolean }): string
  /** Makes an opaque token inactive. For a JWT, use `api.revoke()`. */
  revoke(token: string): void
  /** A token bound to a key, and a proof for one request. Sending the proof twice is a replay. */
  dpop(request: DpopRequest): DpopFields
  /** Creates a client's key, to use it for several requests. */
  dpopKey(): DpopKey
  /** A token bound to your client certificate (RFC 8705 §3), or by default to a new certificate. */
  certificateBound(
    claims?: TestClaims,
    certificate?: string | Uint8Array
  ): { readonly token: string; readonly certificate: ClientCertificate | undefined }
  /** Replaces the signing key; the issuer then publishes only the new key. */
  rotateKeys(): void
  /**
   * @param failure a status, `timeout`, `reset` or `garbage`
   * @param times   default: until `recover()`. A failed request is retried once, so one attempt takes two failures.
   */
  fail(endpoint: TestEndpoint, failure: Failure, times?: number): void
  recover(): void
  /** Moves the clock of the issuer and of each resource server with its options. @param seconds may be negative */
  advance(seconds: number): void
  /**
   * Serves the issuer on a real socket, for an API in another process or language. `issuer` becomes the origin of the
   * socket, so call this first.
   *
   * @returns the issuer identifier
   */
  listen(): Promise<string>
  /** Closes the socket of `listen`. */
  close(): Promise<void>
}

/**
 * Creates an authorization server for a test, in memory: real keys and signatures, and no network.
 *
 * @throws {TypeError} a name that is not an option, or a value of another type
 */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  requireOptions('createTestIssuer()', options, { issuer: 'https://as.test', algorithm: 'ES256' })
  const { issuer = 'https://as.test', algorithm = 'ES256' } = options
  const state = new IssuerState(issuer, algorithm)
  const endpoints = createEndpoints(documentsOf(state))
  const now = (): number => state.now()
  return {
    get issuer() {
      return state.issuer
    },
    now,
    requests: endpoints.requests,
    options: ({ issuer: more, ...options }) => {
      state.resource = options.resource
      const introspection = { clientId: 'api', auth: clientSecretBasic('a secret of this test') }
      return {
        log: false,
        ...options,
        issuers: [{ issuer: state.issuer, introspection, ...more }],
        now,
        ...(!state.isListening && { http: { ...options.http, dispatcher: endpoints.dispatcher as never } })
      }
    },
    token: (claims) => state.token(claims),
    ...flawedTokens(state),
    ...opaqueTokens(state),
    ...boundTokens(state),
    ...controls(state, endpoints)
  }
}

/** The state that the functions of one test issuer share. */
class IssuerState {
  issuer: string
  isListening = false
  resource = 'https://api.example.com'
  key: TestKey
  /** Introspection answers by opaque token. */
  readonly opaque = new Map<string, object>()
  private readonly algorithm: TestAlgorithm
  /** Seconds that `advance` added to the time of day. */
  private ahead = 0
  private generation = 1

  constructor(issuer: string, algorithm: TestAlgorithm) {
    this.issuer = issuer
    this.algorithm = algorithm
    this.key = this.createKey(`key-${this.generation}`)
  }

  now(): number {
    return Date.now() / 1000 + this.ahead
  }

  advance(seconds: number): void {
    this.ahead += seconds
  }

  createKey(kid: string): TestKey {
    return createKey(this.algorithm, kid)
  }

  rotateKeys(): void {
    this.key = this.createKey(`key-${++this.generation}`)
  }

  token(claims: TestClaims = {}): string {
    return signJwt(this.header(), this.claimsOf(claims), this.key)
  }

  header(): JsonObject {
    return { typ: 'at+jwt', alg: this.key.alg, kid: this.key.kid }
  }

  /** The claims of a good token, with these set over them. */
  claimsOf(claims: TestClaims): JsonObject {
    const { issuer, resource: audience } = this
    return accessTokenClaims({ issuer, audience, at: this.now(), lifetime: LIFETIME }, claims)
  }
}

function documentsOf(state: IssuerState): Documents {
  const place = (path: string): string => new URL(path, state.issuer).href
  return {
    metadata: () => ({
      issuer: state.issuer,
      jwks_uri: place('/jwks'),
      introspection_endpoint: place('/introspect'),
      authorization_endpoint: place('/authorize'),
      token_endpoint: place('/token'),
      response_types_supported: ['code']
    }),
    jwks: () => ({ keys: [state.key.publicJwk] }),
    introspection: (token) => state.opaque.get(token) ?? { active: false },
    now: () => state.now()
  }
}

type Flaw =
  | 'expired'
  | 'notYetValid'
  | 'wrongAudience'
  | 'wrongIssuer'
  | 'wrongType'
  | 'unsigned'
  | 'tampered'
  | 'unknownKey'

function flawedTokens(state: IssuerState): Pick<TestIssuer, Flaw> {
  const at = (seconds: number): number => Math.floor(state.now() + seconds)
  const withFlaw =
    (flaw: () => TestClaims) =>
    (claims: TestClaims = {}): string =>
      state.token({ ...claims, ...flaw() })
  return {
    expired: withFlaw(() => ({ iat: at(-3600 - LIFETIME), exp: at(-3600) })),
    notYetValid: withFlaw(() => ({ nbf: at(3600), exp: at(DAY) })),
    wrongAudience: withFlaw(() => ({ aud: 'https://another-api.example' })),
    wrongIssuer: withFlaw(() => ({ iss: 'https://another-issuer.example' })),
    wrongType: (claims = {}) => signJwt({ ...state.header(), typ: 'JWT' }, state.claimsOf(claims), state.key),
    unsigned: (claims = {}) => `${encode({ typ: 'at+jwt', alg: 'none' })}.${encode(state.claimsOf(claims))}.`,
    tampered: (claims = {}) => {
      const [first, , signature] = state.token(claims).split('.')
      return [first, encode(state.claimsOf({ ...claims, sub: 'somebody-else' })), signature].join('.')
    },
    unknownKey: (claims = {}) => {
      const stranger = state.createKey(`stranger-${randomUUID()}`)
      return signJwt({ ...state.header(), kid: stranger.kid }, state.claimsOf(claims), stranger)
    }
  }
}

function opaqueTokens(state: IssuerState): Pick<TestIssuer, 'opaque' | 'revoke'> {
  return {
    opaque: ({ active = true, ...members } = {}) => {
      const made = randomUUID().replaceAll('-', '')
      state.opaque.set(made, active ? { active, token_type: 'Bearer', ...state.claimsOf(members) } : { active })
      return made
    },
    revoke: (one) => void state.opaque.delete(one)
  }
}

/** Tokens that are bound to a client's key (RFC 9449) or certificate (RFC 8705 §3). */
function boundTokens(state: IssuerState): Pick<TestIssuer, 'dpop' | 'dpopKey' | 'certificateBound'> {
  return {
    dpop: ({ method = 'GET', url, claims = {}, nonce, key: client = createDpopKey(), proof }) => {
      const bound = state.token({ ...claims, cnf: { jkt: client.jkt } })
      const made = client.proof({ method, url, token: bound, at: state.now(), nonce }, proof)
      return { authorization: `DPoP ${bound}`, dpop: made }
    },
    dpopKey: createDpopKey,
    certificateBound: (claims = {}, given) => {
      const certificate = given === undefined ? createCertificate('client-1') : undefined
      const x5t = thumbprint(given ?? (certificate as ClientCertificate).cert)
      return { token: state.token({ ...claims, cnf: { 'x5t#S256': x5t } }), certificate }
    }
  }
}

type Control = 'rotateKeys' | 'fail' | 'recover' | 'advance' | 'listen' | 'close'

function controls(state: IssuerState, endpoints: Endpoints): Pick<TestIssuer, Control> {
  return {
    rotateKeys: () => state.rotateKeys(),
    fail: (endpoint, failure, times = Number.POSITIVE_INFINITY) => endpoints.fail(endpoint, failure, times),
    recover: () => endpoints.recover(),
    advance: (seconds) => state.advance(seconds),
    listen: async () => {
      state.issuer = await endpoints.listen()
      state.isListening = true
      return state.issuer
    },
    close: () => endpoints.close()
  }
}

/** The parts of an access that a handler can read. */
export interface FakeAccess {
  /** `sub`. Default `user-1`. */
  readonly subject?: string
  /** Default `client-1`. */
  readonly clientId?: string
  /** Default: none. */
  readonly scopes?: readonly string[]
  /** In the claim `roles`. Default: none. */
  readonly roles?: readonly string[]
  /** The audience. Default `https://api.example.com`. */
  readonly resource?: string
  /** Other claims. */
  readonly claims?: JsonObject
  /** The scheme of the token. Default `Bearer`; with `DPoP`, the token is bound to a new key. */
  readonly scheme?: Scheme
}

/**
 * Creates an {@link Access} for the unit test of a handler. A resource server creates it from a token, so it behaves
 * like a real one and is frozen. For express: `req.auth = await fakeAccess({ scopes: ['orders:read'] })`.
 *
 * Another server's `enforce()` does NOT accept it: test decisions of `enforce()` with a request.
 */
export async function fakeAccess({
  subject = 'user-1',
  clientId = 'client-1',
  scopes = [],
  roles = [],
  resource = 'https://api.example.com',
  claims = {},
  scheme = 'Bearer'
}: FakeAccess = {}): Promise<Access> {
  const issuer = await createTestIssuer()
  const api = resourceServer(issuer.options({ resource, issuer: { rolesClaim: 'roles' } }))
  const content = {
    ...claims,
    sub: subject,
    client_id: clientId,
    ...(scopes.length > 0 && { scope: scopes }),
    ...(roles.length > 0 && { roles })
  }
  const url = new URL('/', resource).href
  const fields: Readonly<Record<string, string>> =
    scheme === 'DPoP'
      ? { ...issuer.dpop({ url, claims: content }) }
      : { authorization: `Bearer ${issuer.token(content)}` }
  const request: ResourceRequest = {
    method: 'GET',
    url: '/',
    fieldLines: (name) => (fields[name] === undefined ? [] : [fields[name]])
  }
  return (await api.authorize(request)) as Access
}
