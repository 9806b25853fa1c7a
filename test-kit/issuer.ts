/**
 * For the tests of an API: an authorization server that needs no network, no container and no mocking library, and whose
 * tokens are really signed and really verified. Tokens with one flaw each, a clock that you move, outages that you make.
 *
 * Not for production: it gives anybody any token.
 */
import { randomUUID } from 'node:crypto'
import {
  type Access,
  clientSecretBasic,
  type IssuerOptions,
  type ResourceRequest,
  type ResourceServerOptions,
  resourceServer,
  type Scheme
} from '../src/index.js'
import { createEndpoints, type Failure, type TestEndpoint, type TestRequest } from './endpoints.js'
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
  thumbprint
} from './keys.js'

export type { ClientCertificate, DpopKey, Failure, TestAlgorithm, TestEndpoint, TestRequest }

const LIFETIME = 300
const DAY = 86_400

/** Of `createTestIssuer()`. */
export interface TestIssuerOptions {
  /** The issuer identifier. Default `https://as.test`. */
  readonly issuer?: string
  /** What tokens are signed with. Default `ES256`. */
  readonly algorithm?: TestAlgorithm
}

/** Claims, set over those that a good token has, or with `undefined` removed. */
export interface TestClaims {
  /** Space-delimited, or an array that becomes so. Default: none. */
  readonly scope?: string | readonly string[] | undefined
  /** For an issuer with `rolesClaim: 'roles'`; another place is written as the token has it: `realm_access: { roles: ['admin'] }`. */
  readonly roles?: readonly string[] | undefined
  readonly [claim: string]: unknown
}

/** What a client sends with a token that is bound to its key. */
export interface DpopFields {
  readonly authorization: string
  readonly dpop: string
}

/** The request that a proof is for. */
export interface DpopRequest {
  /** Default `GET`. */
  readonly method?: string
  /** The whole URL that is called. */
  readonly url: string
  /** Of the token. */
  readonly claims?: TestClaims
  /** Of an answer that said `use_dpop_nonce` (RFC 9449 §9). */
  readonly nonce?: string
  /** The client's, for several requests. Default: a new one. */
  readonly key?: DpopKey
  /** Of the proof, set over those that a good one has, or with `undefined` removed: for one flaw. */
  readonly proof?: JsonObject
}

/** An authorization server of a test: tokens, keys, answers, failures and a clock. */
export interface TestIssuer {
  /** The issuer identifier. */
  readonly issuer: string
  /** Seconds since the epoch: the time of day, and whatever was added by `advance`. */
  readonly now: () => number
  /** What the resource server asked of it. */
  readonly requests: readonly TestRequest[]
  /**
   * Options for `resourceServer()`: this issuer, its clock, and a way to it. Tokens are for `resource` from then on.
   *
   * @param options yours; in `issuer`, those of this issuer: a profile, an audience …
   */
  options<const Scope extends string = string, const Role extends string = string>(
    options: Omit<ResourceServerOptions<Scope, Role>, 'issuers' | 'now'> & { readonly issuer?: Partial<IssuerOptions> }
  ): ResourceServerOptions<Scope, Role>
  /** A JWT access token (RFC 9068): for 300 seconds, of `user-1` and `client-1`. */
  token(claims?: TestClaims): string
  /** A token that ended an hour ago. */
  expired(claims?: TestClaims): string
  /** One that begins in an hour (`nbf`). */
  notYetValid(claims?: TestClaims): string
  /** One for another API. */
  wrongAudience(claims?: TestClaims): string
  /** One of another issuer, signed by this one. */
  wrongIssuer(claims?: TestClaims): string
  /** An ID token: `typ` is `JWT`. */
  wrongType(claims?: TestClaims): string
  /** `alg: none`, and no signature. */
  unsigned(claims?: TestClaims): string
  /** A good signature of other claims. */
  tampered(claims?: TestClaims): string
  /** Signed by a key that the issuer does not publish. */
  unknownKey(claims?: TestClaims): string
  /** An opaque token, and what introspection answers about it (RFC 7662 §2.2). `active: false`: nothing else is said. */
  opaque(members?: TestClaims & { readonly active?: boolean }): string
  /** An opaque token is inactive from now on. For a JWT, use `api.revoke()`. */
  revoke(token: string): void
  /** A token that is bound to a key, and a proof for one request. Sent twice, it is a replay. */
  dpop(request: DpopRequest): DpopFields
  /** A client's key, to be used for several requests. */
  dpopKey(): DpopKey
  /** A token that is bound to a client certificate (RFC 8705 §3); without one of yours, to a new one. */
  certificateBound(
    claims?: TestClaims,
    certificate?: string | Uint8Array
  ): { readonly token: string; readonly certificate: ClientCertificate | undefined }
  /** Another key signs, and is the only one that is published. */
  rotateKeys(): void
  /**
   * @param failure a status, `timeout`, `reset` or `garbage`
   * @param times   default: until `recover()`. A failed request is made once more, so two spoil one attempt.
   */
  fail(endpoint: TestEndpoint, failure: Failure, times?: number): void
  recover(): void
  /** Moves the clock of the issuer, and of the resource servers that were given its options. @param seconds may be negative */
  advance(seconds: number): void
  /**
   * Serves it on a real socket, for a process of its own or another language: `issuer` is its origin from then on, so call
   * it before anything else.
   *
   * @returns the issuer identifier
   */
  listen(): Promise<string>
  /** Ends what `listen` began. */
  close(): Promise<void>
}

/** An authorization server of a test's own, in memory: real keys and signatures, and no network. */
export async function createTestIssuer({
  issuer: name = 'https://as.test',
  algorithm = 'ES256'
}: TestIssuerOptions = {}): Promise<TestIssuer> {
  let issuer = name
  let isListening = false
  let resource = 'https://api.example.com'
  let ahead = 0
  let generation = 1
  let key = createKey(algorithm, `key-${generation}`)
  const opaque = new Map<string, object>()
  const now = (): number => Date.now() / 1000 + ahead
  const place = (path: string): string => new URL(path, issuer).href
  const endpoints = createEndpoints({
    metadata: () => ({
      issuer,
      jwks_uri: place('/jwks'),
      introspection_endpoint: place('/introspect'),
      authorization_endpoint: place('/authorize'),
      token_endpoint: place('/token'),
      response_types_supported: ['code']
    }),
    jwks: () => ({ keys: [key.publicJwk] }),
    introspection: (token) => opaque.get(token) ?? { active: false },
    now
  })

  const claimsOf = ({ scope, ...claims }: TestClaims): JsonObject => {
    const time = Math.floor(now())
    return {
      iss: issuer,
      aud: resource,
      sub: 'user-1',
      client_id: 'client-1',
      iat: time,
      exp: time + LIFETIME,
      jti: randomUUID(),
      scope: Array.isArray(scope) ? scope.join(' ') : scope,
      ...claims
    }
  }
  const header = (): JsonObject => ({ typ: 'at+jwt', alg: key.alg, kid: key.kid })
  const token = (claims: TestClaims = {}): string => signJwt(header(), claimsOf(claims), key)
  const at = (seconds: number): number => Math.floor(now() + seconds)
  const withFlaw =
    (flaw: () => TestClaims) =>
    (claims: TestClaims = {}): string =>
      token({ ...claims, ...flaw() })

  return {
    get issuer() {
      return issuer
    },
    now,
    requests: endpoints.requests,
    options: ({ issuer: more, ...options }) => {
      resource = options.resource
      const introspection = { clientId: 'api', auth: clientSecretBasic('a secret of this test') }
      return {
        ...options,
        issuers: [{ issuer, introspection, ...more }],
        now,
        ...(!isListening && { http: { ...options.http, dispatcher: endpoints.dispatcher as never } })
      }
    },
    token,
    expired: withFlaw(() => ({ iat: at(-3600 - LIFETIME), exp: at(-3600) })),
    notYetValid: withFlaw(() => ({ nbf: at(3600), exp: at(DAY) })),
    wrongAudience: withFlaw(() => ({ aud: 'https://another-api.example' })),
    wrongIssuer: withFlaw(() => ({ iss: 'https://another-issuer.example' })),
    wrongType: (claims = {}) => signJwt({ ...header(), typ: 'JWT' }, claimsOf(claims), key),
    unsigned: (claims = {}) => `${encode({ typ: 'at+jwt', alg: 'none' })}.${encode(claimsOf(claims))}.`,
    tampered: (claims = {}) => {
      const [first, , signature] = token(claims).split('.')
      return [first, encode(claimsOf({ ...claims, sub: 'somebody-else' })), signature].join('.')
    },
    unknownKey: (claims = {}) => {
      const stranger = createKey(algorithm, `stranger-${randomUUID()}`)
      return signJwt({ ...header(), kid: stranger.kid }, claimsOf(claims), stranger)
    },
    opaque: ({ active = true, ...members } = {}) => {
      const made = randomUUID().replaceAll('-', '')
      opaque.set(made, active ? { active, token_type: 'Bearer', ...claimsOf(members) } : { active })
      return made
    },
    revoke: (one) => void opaque.delete(one),
    dpop: ({ method = 'GET', url, claims = {}, nonce, key: client = createDpopKey(), proof }) => {
      const bound = token({ ...claims, cnf: { jkt: client.jkt } })
      const made = client.proof({ method, url, token: bound, at: now(), nonce }, proof)
      return { authorization: `DPoP ${bound}`, dpop: made }
    },
    dpopKey: createDpopKey,
    certificateBound: (claims = {}, given) => {
      const certificate = given === undefined ? createCertificate('client-1') : undefined
      const x5t = thumbprint(given ?? (certificate as ClientCertificate).cert)
      return { token: token({ ...claims, cnf: { 'x5t#S256': x5t } }), certificate }
    },
    rotateKeys: () => {
      key = createKey(algorithm, `key-${++generation}`)
    },
    fail: (endpoint, failure, times = Number.POSITIVE_INFINITY) => endpoints.fail(endpoint, failure, times),
    recover: () => endpoints.recover(),
    advance: (seconds) => {
      ahead += seconds
    },
    listen: async () => {
      issuer = await endpoints.listen()
      isListening = true
      return issuer
    },
    close: () => endpoints.close()
  }
}

/** What a handler may look at. */
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
  /** How it came. Default `Bearer`; with `DPoP`, bound to a new key. */
  readonly scheme?: Scheme
}

/**
 * An {@link Access} for the unit test of a handler: made by a resource server from a token, so that it is whatever a real
 * one is, frozen too. For express: `req.auth = await fakeAccess({ scopes: ['orders:read'] })`.
 *
 * A server's `enforce()` does NOT take it for one of its own: test what that decides by a request.
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
