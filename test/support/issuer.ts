/**
 * An authorization server for tests, as a resource server sees one: metadata, a key set and introspection, over real
 * sockets. It signs tokens with `node:crypto` alone, so that it shares no mistake with the code it tests, and it can
 * rotate keys, stall, lie, overflow and count.
 *
 * ```ts
 * const clock = createClock(1750000000)
 * const issuer = await startIssuer({ algorithms: ['ES256', 'RS256'], now: clock.now })
 * issuer.token({ claims: { scope: 'write', jti: undefined } })   // other scope, no jti
 * issuer.script('jwks', fault.status(503), fault.hang())         // the next two answers, then normal
 * await issuer.close()
 * ```
 */
import {
  constants,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  type SigningOptions,
  sign
} from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { deflateSync, gzipSync } from 'node:zlib'

/** What an access token may be signed with. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519'
] as const

export type Algorithm = (typeof ALGORITHMS)[number]

/** What a JWS is signed with. `HS256`, `HS384`, `HS512` (a secret key) and `none` exist for forgeries. */
export interface Signer {
  readonly kid?: string
  readonly alg: Algorithm | 'HS256' | 'HS384' | 'HS512' | 'none'
  readonly privateKey: KeyObject
}

export interface SigningKey extends Signer {
  readonly kid: string
  readonly alg: Algorithm
  readonly publicJwk: JsonObject
  readonly publicKey: KeyObject
}

/** `other`: a path the issuer does not know, such as the target of a redirect; answered 404. */
export type Endpoint = 'metadata' | 'jwks' | 'introspection' | 'status' | 'other'

export interface RecordedRequest {
  readonly endpoint: Endpoint
  readonly method: string
  /** The request target: path and query. */
  readonly path: string
  /** As Node joins them; `authorization` is here. */
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The body's fields, where it is a form; else empty. */
  readonly form: URLSearchParams
  /** Seconds, by the issuer's clock. */
  readonly at: number
}

/** What the issuer would answer if nothing were scripted. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Answers one request, well or badly. `normal` is the answer that it replaces. */
export type Behaviour = (exchange: {
  readonly request: RecordedRequest
  readonly response: ServerResponse
  readonly normal: Answer
}) => void

export interface IssuerSettings {
  /** Path of the issuer identifier, such as `/tenant`, or `/tenant/` for one with a final slash. Default: none. */
  readonly path?: string
  /** One signing key for each, `k1`, `k2`, … in this order; tokens are signed with the first. Default `['ES256']`. */
  readonly algorithms?: readonly Algorithm[]
  /** Seconds since the epoch, for `iat` and `exp`. Default: the system clock. */
  readonly now?: () => number
  /** The well-known places that have the metadata; the others are 404. Default `'rfc8414'`. */
  readonly discovery?: Discovery | readonly Discovery[]
  /** RSA keys of its own too. By default all issuers of a test file share theirs, which are slow to make. */
  readonly distinctKeys?: boolean
}

export type Discovery = 'rfc8414' | 'openid-insert' | 'openid-append'

export interface TokenOverrides {
  /** Members set, or with `undefined` removed. An `alg` here changes what the header says, not how it is signed. */
  readonly header?: JsonObject
  /** Claims set, or with `undefined` removed. */
  readonly claims?: JsonObject
  /** Signs with the issuer's current key of this algorithm. */
  readonly alg?: Algorithm
  /** Signs with this key, of whomever. Its `kid` and `alg` go into the header. */
  readonly key?: Signer
  /** Makes the signature itself. */
  readonly sign?: (input: string, key: Signer) => Uint8Array
}

/** `lst` as it is, or the bytes to compress. */
export interface StatusListMembers {
  readonly bits?: unknown
  readonly lst: unknown
}

export interface TestIssuer {
  /** The issuer identifier: origin, and `path`. */
  readonly issuer: string
  readonly origin: string
  /** The metadata as served. Change it in place. */
  readonly metadata: JsonObject
  /** The key set as served. Change it in place: `issuer.jwks.keys.push(…)`. */
  readonly jwks: { keys: JsonObject[] }
  /** The keys that sign now, one for each algorithm. */
  readonly keys: readonly SigningKey[]
  /** The key that signs now for `alg`; without it the first one. */
  key(alg?: Algorithm): SigningKey
  /** An RFC 9068 access token, valid unless overridden: for `https://api.example.com`, 300 s, scope `read`. */
  token(overrides?: TokenOverrides): string
  /** Registers an active opaque token and its introspection answer, altered by `members` (`undefined` removes one). */
  opaque(members?: JsonObject, token?: string): string
  /** Makes a registered token unknown: `{ "active": false }`. */
  revoke(token: string): void
  /**
   * Publishes a status list token (draft-ietf-oauth-status-list §5.1) with these members, altered by `overrides`; under
   * the same name it takes the place of the one before.
   *
   * @returns its URI
   */
  statusList(list: StatusListMembers, overrides?: TokenOverrides, name?: string): string
  /** Whether an introspection request is authenticated; if not it is 401. Default: always. */
  introspectionAuth: (request: RecordedRequest) => boolean
  /**
   * One step of a key rotation: `publish` adds the next keys to the set, `switch` signs with them (publishing them
   * first if that was left out), `retire` takes the keys that no longer sign out of the set.
   */
  rotate(step: 'publish' | 'switch' | 'retire'): void
  /** Every request so far, in order of arrival. */
  readonly requests: readonly RecordedRequest[]
  /** How many requests for `endpoint` arrived. `metadata` counts every well-known place, those answered 404 too. */
  count(endpoint: Endpoint): number
  /** Resolves once `count(endpoint)` is `count`, be they answered or not: to await what happens in the background. */
  received(endpoint: Endpoint, count: number): Promise<void>
  /** Forgets the recorded requests; scripts, keys and tokens stay. */
  reset(): void
  /** Queues behaviours for the next answers of `endpoint`. */
  script(endpoint: Endpoint, ...behaviours: readonly Behaviour[]): void
  /** Sets (or with `undefined` ends) the behaviour of `endpoint` whenever nothing is queued. */
  always(endpoint: Endpoint, behaviour: Behaviour | undefined): void
  /** Lets requests for `endpoint` arrive and wait, until `release()`; then they are answered as scripted. */
  hold(endpoint: Endpoint): { release(): void }
  /** Stops at once: open sockets are destroyed, the port refuses connections. */
  close(): Promise<void>
}

type JsonObject = Record<string, unknown>

const RESOURCE = 'https://api.example.com'

/** Starts an issuer on a free port of 127.0.0.1. */
export async function startIssuer(settings: IssuerSettings = {}): Promise<TestIssuer> {
  const now = settings.now ?? (() => Math.floor(Date.now() / 1000))
  const path = settings.path ?? ''
  const base = path.replace(/\/$/, '')
  const server = createServer((incoming, response) => void receive(incoming, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer = origin + path

  const wellKnown: Record<Discovery, string> = {
    rfc8414: `/.well-known/oauth-authorization-server${base}`,
    'openid-insert': `/.well-known/openid-configuration${base}`,
    'openid-append': `${base}/.well-known/openid-configuration`
  }
  const published = new Set([settings.discovery ?? 'rfc8414'].flat().map((place) => wellKnown[place as Discovery]))
  const metadata: JsonObject = {
    issuer,
    authorization_endpoint: `${origin}${base}/authorize`,
    token_endpoint: `${origin}${base}/token`,
    jwks_uri: `${origin}${base}/jwks`,
    introspection_endpoint: `${origin}${base}/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    response_types_supported: ['code']
  }

  const nextKeys = keySource(settings.algorithms ?? ['ES256'], settings.distinctKeys ?? false)
  let keys = nextKeys()
  let upcoming: SigningKey[] | undefined
  const retired = new Set<string>()
  const jwks = { keys: keys.map((key) => key.publicJwk) }

  const answers = new Map<string, JsonObject>()
  const statusLists = new Map<string, string>()
  const requests: RecordedRequest[] = []
  const waiting = new Set<() => void>()
  const queued: Record<Endpoint, Behaviour[]> = { metadata: [], jwks: [], introspection: [], status: [], other: [] }
  const lasting: Partial<Record<Endpoint, Behaviour | undefined>> = {}
  const gates = new Set<{ endpoint: Endpoint; opened: Promise<void>; release: () => void }>()
  let serial = 0

  async function receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await record(incoming)
    if (!request) return
    requests.push(request)
    for (const check of waiting) check()
    await Promise.all([...gates].filter((gate) => gate.endpoint === request.endpoint).map((gate) => gate.opened))
    const behaviour = queued[request.endpoint].shift() ?? lasting[request.endpoint] ?? fault.none()
    if (response.destroyed) return // Held until the client had gone.
    behaviour({ request, response, normal: normalAnswer(request) })
  }

  async function record(incoming: IncomingMessage): Promise<RecordedRequest | undefined> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
    } catch {
      return undefined // The client gave up before its request was complete.
    }
    const target = incoming.url ?? '/'
    const body = Buffer.concat(chunks).toString()
    const isForm = /^application\/x-www-form-urlencoded\b/i.test(incoming.headers['content-type'] ?? '')
    return {
      endpoint: endpointOf(target.replace(/\?.*/, '')),
      method: incoming.method ?? '',
      path: target,
      headers: incoming.headers,
      body,
      form: new URLSearchParams(isForm ? body : ''),
      at: now()
    }
  }

  function endpointOf(pathname: string): Endpoint {
    if (Object.values(wellKnown).includes(pathname)) return 'metadata'
    if (pathname === `${base}/jwks`) return 'jwks'
    if (pathname.startsWith(`${base}/status/`)) return 'status'
    return pathname === `${base}/introspect` ? 'introspection' : 'other'
  }

  function normalAnswer(request: RecordedRequest): Answer {
    if (request.endpoint === 'introspection') return introspect(request)
    if (request.method !== 'GET') return json({ error: 'method_not_allowed' }, 405, { allow: 'GET' })
    if (request.endpoint === 'jwks') return json(jwks)
    const list = statusLists.get(request.path)
    if (list !== undefined)
      return { status: 200, headers: { 'content-type': 'application/statuslist+jwt' }, body: list }
    return published.has(request.path) ? json(metadata) : json({ error: 'not_found' }, 404)
  }

  function introspect(request: RecordedRequest): Answer {
    const token = request.form.getAll('token')
    if (request.method !== 'POST') return json({ error: 'method_not_allowed' }, 405, { allow: 'POST' })
    if (!result.introspectionAuth(request)) {
      return json({ error: 'invalid_client' }, 401, { 'www-authenticate': `Basic realm="${issuer}"` })
    }
    if (token.length !== 1) return json({ error: 'invalid_request' }, 400)
    return json(answers.get(token[0] as string) ?? { active: false })
  }

  /** The claims of a token and the members of an introspection answer are nearly the same (RFC 7662 §2.2). */
  function grant(): JsonObject {
    serial += 1
    return {
      iss: issuer,
      aud: RESOURCE,
      sub: 'u1',
      client_id: 'c1',
      iat: now() - 10,
      exp: now() + 300,
      jti: `t${serial}`,
      scope: 'read'
    }
  }

  const result: TestIssuer = {
    issuer,
    origin,
    metadata,
    jwks,
    get keys() {
      return keys
    },
    key(alg) {
      const found = alg ? keys.find((key) => key.alg === alg) : keys[0]
      if (!found) throw new Error(`this issuer has no ${alg} key: name it in \`algorithms\``)
      return found
    },
    token(overrides = {}) {
      const key = overrides.key ?? result.key(overrides.alg)
      const header = { typ: 'at+jwt', alg: key.alg, kid: key.kid, ...overrides.header }
      return signJws(header, { ...grant(), ...overrides.claims }, key, overrides.sign)
    },
    opaque(members = {}, token = randomBytes(24).toString('base64url')) {
      answers.set(token, { active: true, token_type: 'Bearer', ...grant(), ...members })
      return token
    },
    revoke(token) {
      if (!answers.delete(token)) throw new Error('no such token is registered')
    },
    statusList({ bits = 1, lst }, overrides = {}, name = '1') {
      const key = overrides.key ?? result.key(overrides.alg)
      const path = `${base}/status/${name}`
      const header = { typ: 'statuslist+jwt', alg: key.alg, kid: key.kid, ...overrides.header }
      const list = { bits, lst: lst instanceof Uint8Array ? base64url(deflateSync(lst)) : lst }
      const claims = { iss: issuer, sub: origin + path, iat: now(), status_list: list, ...overrides.claims }
      statusLists.set(path, signJws(header, claims, key, overrides.sign))
      return origin + path
    },
    introspectionAuth: () => true,
    rotate(step) {
      if (step !== 'retire' && !upcoming) {
        upcoming = nextKeys()
        jwks.keys.push(...upcoming.map((key) => key.publicJwk))
      }
      if (step === 'switch') {
        for (const key of keys) retired.add(key.kid)
        keys = upcoming as SigningKey[]
        upcoming = undefined
      }
      if (step === 'retire') jwks.keys = jwks.keys.filter((jwk) => !retired.has(jwk.kid as string))
    },
    requests,
    count: (endpoint) => requests.filter((request) => request.endpoint === endpoint).length,
    received(endpoint, count) {
      return new Promise((resolve) => {
        const check = (): void => {
          if (result.count(endpoint) < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      })
    },
    reset() {
      requests.length = 0
    },
    script(endpoint, ...behaviours) {
      queued[endpoint].push(...behaviours)
    },
    always(endpoint, behaviour) {
      lasting[endpoint] = behaviour
    },
    hold(endpoint) {
      let open = (): void => {}
      const opened = new Promise<void>((resolve) => {
        open = resolve
      })
      const gate = {
        endpoint,
        opened,
        release: () => {
          gates.delete(gate)
          open()
        }
      }
      gates.add(gate)
      return gate
    },
    async close() {
      for (const gate of gates) gate.release()
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
  return result
}

/**
 * What can go wrong with an answer. One flaw each: what is not named is as in the normal answer, so that nothing
 * but the flaw can be the cause of what a test sees.
 */
export const fault = {
  /** The normal answer as it is now, once `arrive` is called; `asked` resolves when there is one. */
  late: (): { readonly behaviour: Behaviour; readonly asked: Promise<void>; arrive(): void } => {
    let arrive = (): void => undefined
    let ask = (): void => undefined
    const asked = new Promise<void>((resolve) => {
      ask = resolve
    })
    const behaviour: Behaviour = ({ response, normal }) => {
      arrive = () => send(response, normal)
      ask()
    }
    return { behaviour, asked, arrive: () => arrive() }
  },

  /** None: the normal answer, to leave one out in a script. */
  none:
    (): Behaviour =>
    ({ response, normal }) =>
      send(response, normal),

  /** The normal answer with these header fields: `fault.headers({ 'cache-control': 'max-age=60' })`. */
  headers:
    (headers: Record<string, string>): Behaviour =>
    ({ response, normal }) =>
      send(response, { ...normal, headers: { ...normal.headers, ...headers } }),

  /** This status; the body is a JSON error unless given. */
  status:
    (status: number, { headers = {}, body }: { headers?: Record<string, string>; body?: string } = {}): Behaviour =>
    ({ response }) => {
      const error = json({ error: 'scripted' }, status, headers)
      send(response, body === undefined ? error : { ...error, body })
    },

  /** 429 (or another status) with `Retry-After`, in seconds or as a date. */
  retryAfter: (value: number | string, status = 429): Behaviour =>
    fault.status(status, { headers: { 'retry-after': String(value) } }),

  /** 200 with a page, as a proxy or a single-page application answers what it does not know. */
  html200:
    (): Behaviour =>
    ({ response }) =>
      send(response, {
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: '<!doctype html><title>Sign in</title>'
      }),

  /** A redirect, by default to a path of the issuer that is recorded as `other`. */
  redirect: (location = '/elsewhere', status = 302): Behaviour => fault.status(status, { headers: { location } }),

  /** No answer, ever. */
  hang: (): Behaviour => () => {},

  /** The header fields and half of the body, then silence. */
  stall:
    (): Behaviour =>
    ({ response, normal }) => {
      start(response, normal).write(firstHalf(normal.body))
    },

  /** Header fields, then white space for ever, a byte every few milliseconds: never silent, never done. */
  drip:
    (milliseconds = 5): Behaviour =>
    ({ response, normal }) => {
      response.writeHead(normal.status, normal.headers)
      const timer = setInterval(() => response.write(' '), milliseconds).unref()
      response.once('close', () => clearInterval(timer))
    },

  /** The connection is reset before a byte of the answer. */
  reset:
    (): Behaviour =>
    ({ response }) => {
      response.socket?.resetAndDestroy()
    },

  /** The connection ends after half of the body that `Content-Length` promised. */
  cut:
    (): Behaviour =>
    ({ response, normal }) => {
      start(response, normal).write(firstHalf(normal.body), () => response.socket?.destroySoon())
    },

  /** `bytes` of white space before the body, without `Content-Length`: valid JSON, but too much of it. */
  oversize:
    (bytes: number): Behaviour =>
    ({ response, normal }) => {
      response.writeHead(normal.status, normal.headers)
      let left = bytes
      const more = (): void => {
        while (left > 0 && !response.destroyed) {
          const chunk = Buffer.alloc(Math.min(left, 65_536), ' ')
          left -= chunk.length
          if (!response.write(chunk)) {
            response.once('drain', more)
            return
          }
        }
        response.end(normal.body)
      }
      more()
    },

  /** The same, compressed: a small body of `bytes` when decoded. Sent whether or not the client accepts gzip. */
  gzipBomb:
    (bytes: number): Behaviour =>
    ({ response, normal }) => {
      const body = gzipSync(Buffer.concat([Buffer.alloc(bytes, ' '), Buffer.from(normal.body)]))
      response.writeHead(normal.status, {
        ...normal.headers,
        'content-encoding': 'gzip',
        'content-length': body.length
      })
      response.end(body)
    },

  /** The normal body under another media type; with `undefined` under none. */
  contentType:
    (type: string | undefined): Behaviour =>
    ({ response, normal }) => {
      const { 'content-type': _, ...headers } = normal.headers
      send(response, { ...normal, headers: type === undefined ? headers : { ...headers, 'content-type': type } })
    },

  /** `application/json` that is not. */
  invalidJson:
    (): Behaviour =>
    ({ response, normal }) =>
      send(response, { ...normal, body: normal.body.slice(0, -1) }),

  /** Any JSON value, 200. */
  body:
    (value: unknown): Behaviour =>
    ({ response }) =>
      send(response, json(value)),

  /** Metadata that names another issuer. */
  wrongIssuer:
    (issuer: unknown = 'https://other.example'): Behaviour =>
    ({ response, normal }) =>
      send(response, { ...normal, body: JSON.stringify({ ...(JSON.parse(normal.body) as JsonObject), issuer }) }),

  /** A key set without keys: valid, and of no use. */
  emptySet: (): Behaviour => fault.body({ keys: [] })
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

function send(response: ServerResponse, answer: Answer): void {
  start(response, answer).end(answer.body)
}

/** Writes the head of an answer, with the length its whole body would have. */
function start(response: ServerResponse, answer: Answer): ServerResponse {
  return response.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(answer.body) })
}

function firstHalf(body: string): string {
  return body.slice(0, Math.ceil(body.length / 2))
}

/**
 * Signs a compact JWS (RFC 7515 §3.1), exactly as given: the header may contradict the key, a payload that is a
 * string or bytes is used as it is.
 *
 * @param key decides how it is signed; the header's `alg` does not
 */
export function signJws(
  header: JsonObject | string,
  payload: JsonObject | string | Uint8Array,
  key: Signer,
  makeSignature: (input: string, key: Signer) => Uint8Array = signature
): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${base64url(makeSignature(input, key))}`
}

/** Base64url (RFC 7515 §2) of bytes, of the UTF-8 of a string, or of the JSON of anything else. */
export function base64url(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url')
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

/** The signature of RFC 7518 §3 or RFC 8037 §3.1 for `key.alg`. */
export function signature(input: string, { alg, privateKey: key }: Signer): Uint8Array {
  const message = Buffer.from(input)
  const digest = `sha${alg.slice(2)}`
  const options: Record<string, SigningOptions> = {
    RS: { padding: constants.RSA_PKCS1_PADDING },
    PS: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
    ES: { dsaEncoding: 'ieee-p1363' }
  }
  if (alg === 'none') return new Uint8Array()
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, message, key)
  if (alg.startsWith('HS')) return createHmac(digest, key).update(message).digest()
  return sign(digest, message, { key, ...options[alg.slice(0, 2)] })
}

/** A new key pair, for an attacker or for a set by hand. `modulusLength` is for RSA. */
export function createSigningKey(alg: Algorithm, { kid = 'k1', modulusLength = 2048 } = {}): SigningKey {
  return signingKey(alg, kid, generatePair(alg, modulusLength))
}

interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

function signingKey(alg: Algorithm, kid: string, pair: KeyPair): SigningKey {
  return { kid, alg, ...pair, publicJwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

function generatePair(alg: Algorithm, modulusLength: number): KeyPair {
  const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  if (alg === 'ES256' || alg === 'ES384' || alg === 'ES512')
    return generateKeyPairSync('ec', { namedCurve: curves[alg] })
  if (alg === 'EdDSA' || alg === 'Ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('rsa', { modulusLength })
}

/** RSA pairs made so far, by generation: the only keys slow enough to share. */
const sharedRsaPairs: KeyPair[] = []

/**
 * Successive generations of keys, named `k1`, `k2`, … One generation's RSA algorithms are of one pair, so that a
 * verifier that mixes them up is found out: `PS256` by a key for `RS256` has a good signature.
 */
function keySource(algorithms: readonly Algorithm[], distinct: boolean): () => SigningKey[] {
  const rsaPairs = distinct ? [] : sharedRsaPairs
  let generation = -1
  let kid = 0
  return () => {
    generation += 1
    return algorithms.map((alg) => {
      kid += 1
      if (!/^[RP]S/.test(alg)) return signingKey(alg, `k${kid}`, generatePair(alg, 0))
      rsaPairs[generation] ??= generatePair(alg, 2048)
      return signingKey(alg, `k${kid}`, rsaPairs[generation] as KeyPair)
    })
  }
}

export interface Clock {
  /** The time in seconds, as a function that can be passed on: `now: clock.now`. */
  readonly now: () => number
  advance(seconds: number): void
}

/** A clock that stands still until told otherwise. */
export function createClock(start = 1_750_000_000): Clock {
  let time = start
  return {
    now: () => time,
    advance(seconds) {
      time += seconds
    }
  }
}
