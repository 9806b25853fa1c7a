/**
 * An API written by hand that trusts the authorization server of the suite and has every feature. It is right, or has one weakness:
 * each rule is left out where its name is the weakness. It shares no code with the package.
 */
import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  createVerify,
  type JsonWebKey,
  type KeyObject,
  publicDecrypt,
  timingSafeEqual,
  verify,
  X509Certificate
} from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { inflateSync } from 'node:zlib'
import type { RunningIssuer } from '../../conformance/issuer.js'
import { listen } from './apis.js'
import { issuerFor, type TestedApi } from './oracle.js'

type Members = Readonly<Record<string, unknown>>

/** A refusal: the status, the error code and the scheme of the challenge. */
class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly scheme: string

  constructor(status: number, code: string, scheme = 'Bearer') {
    super(code)
    this.status = status
    this.code = code
    this.scheme = scheme
  }
}

/** The authorization server does not answer. */
class Outage extends Error {}

/** Milliseconds that the API waits for the authorization server. */
const PATIENCE = 1500
/** Milliseconds between two fetches of the keys for unknown ones, and fetches in that time. */
const LOOKS = { every: 3000, most: 4 }

interface Known {
  readonly jwk: JsonWebKey & Members
  readonly key: KeyObject
}

/** The documents of one issuer: fetched again for an unknown key, a few times in a while. */
class IssuerClient {
  readonly url: string
  private readonly has: (weakness: string) => boolean
  private keys = new Map<string, Known>()
  private looks: number[] = []
  private jwksUri: string | undefined

  constructor(url: string, has: (weakness: string) => boolean) {
    this.url = url
    this.has = has
  }

  async keyOf(kid: unknown): Promise<Known | undefined> {
    if (typeof kid !== 'string') return undefined
    const known = this.keys.get(kid)
    if (known !== undefined) return known
    if (this.has('keys never fetched again') && this.keys.size > 0) return undefined
    const now = Date.now()
    this.looks = this.looks.filter((at) => at > now - LOOKS.every)
    if (this.looks.length < LOOKS.most || this.has('keys fetched for each kid')) {
      this.looks.push(now)
      await this.fetchKeys()
    }
    return this.keys.get(kid) ?? (this.has('any key for unknown kid') ? this.firstKey() : undefined)
  }

  private async firstKey(): Promise<Known | undefined> {
    if (this.keys.size === 0) await this.fetchKeys()
    return [...this.keys.values()].find(({ jwk }) => jwk['alg'] === 'RS256')
  }

  /** RFC 8414 §3.3. */
  private async placeOfKeys(): Promise<string> {
    const place = `${this.url}/.well-known/oauth-authorization-server`
    const { issuer, jwks_uri } = JSON.parse(await get(place, {}, this.has)) as Record<string, string>
    if (issuer !== this.url && !this.has('metadata of another issuer')) throw new Outage('another issuer')
    return jwks_uri as string
  }

  private async fetchKeys(): Promise<void> {
    this.jwksUri ??= await this.placeOfKeys()
    const { keys } = JSON.parse(await get(this.jwksUri, {}, this.has)) as { keys: (JsonWebKey & Members)[] }
    if (!this.has('removed keys kept')) this.keys.clear()
    for (const jwk of keys) {
      const key = this.keyIn(jwk)
      if (key !== undefined) this.keys.set(String(jwk['kid']), { jwk, key })
    }
  }

  /** The key, or undefined if it cannot or must not be used. */
  private keyIn(jwk: JsonWebKey & Members): KeyObject | undefined {
    const { use, key_ops: operations, e, n } = jwk as Readonly<Record<string, unknown>>
    if (use !== undefined && use !== 'sig' && !this.has('use ignored')) return undefined
    if (operations !== undefined && !(operations as string[]).includes('verify') && !this.has('key_ops ignored'))
      return undefined
    if (e === 'AQ' && !this.has('RSA exponent of 1')) return undefined
    if (typeof n === 'string' && isRoca(n) && !this.has('ROCA keys')) return undefined
    try {
      const key = createPublicKey({ key: jwk, format: 'jwk' })
      const isShort = (key.asymmetricKeyDetails?.modulusLength ?? 2048) < 2048
      return isShort && !this.has('short RSA keys') ? undefined : key
    } catch (error) {
      if (this.has('one bad key breaks all')) throw error
      return undefined
    }
  }

  async introspect(token: string, accept: string): Promise<string> {
    const body = new URLSearchParams({ token }).toString()
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded', Accept: accept }
    return get(`${this.url}/introspect`, { method: 'POST', body, headers }, this.has)
  }
}

async function get(url: string, init: RequestInit, has: (weakness: string) => boolean): Promise<string> {
  try {
    const patience = ['waits for ever', 'bombs inflated', 'endless answers read'].some(has) ? 60_000 : PATIENCE
    const redirect = has('redirects followed') ? 'follow' : 'error'
    const response = await fetch(url, { ...init, redirect, signal: AbortSignal.timeout(patience) })
    if (!response.ok) throw new Outage(`status ${response.status}`)
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.length
      const isPacked = response.headers.has('content-encoding')
      if (size > 256 * 1024 && !has(isPacked ? 'bombs inflated' : 'endless answers read')) throw new Outage('too long')
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  } catch (error) {
    throw new Outage('no answer', { cause: error })
  }
}

/** @param shared  default: an issuer of its own. Keys take long to make, so the mutants share one. */
export async function startWeakApi(weakness?: string, shared?: RunningIssuer): Promise<TestedApi> {
  let listener: RequestListener = () => {}
  const origin = await listen((request, response) => listener(request, response))
  const issuer = shared ?? (await issuerFor(origin))
  let api = new WeakApi(origin, issuer, weakness)
  listener = async (request, response) => {
    try {
      if (request.url === '/stream') return await api.stream(request, response)
      const body = await api.answer(request)
      response.writeHead(200, api.fieldsOfSuccess(request)).end(body)
    } catch (error) {
      const { status, fields } = api.refusalOf(error)
      response.writeHead(status, fields).end()
    }
  }
  const restart = async (): Promise<void> => {
    api = new WeakApi(origin, issuer, weakness)
  }
  return { url: `${origin}/orders`, issuer, restart }
}

class WeakApi {
  private readonly origin: string
  private readonly weakness: string | undefined
  private readonly issuers: Map<string, IssuerClient>
  private readonly audience: string
  private readonly usedProofs = new Set<string>()
  /** Users whose tokens of before this second are revoked. */
  private readonly ended = new Map<string, number>()
  /** Introspections that are on their way, by token. */
  private readonly asking = new Map<string, Promise<string>>()
  private readonly answers = new Map<string, string>()
  private readonly known = new WeakSet<object>()
  private isKept = false
  private readonly verified = new Map<string, Members>()

  constructor(origin: string, issuer: RunningIssuer, weakness: string | undefined) {
    this.origin = origin
    this.audience = issuer.audience
    this.weakness = weakness
    const urls = [issuer.url, issuer.second?.url as string]
    this.issuers = new Map(urls.map((url) => [url, new IssuerClient(url, (name) => this.has(name))]))
  }

  /** RFC 9701. */
  private get asksSigned(): boolean {
    return this.weakness?.startsWith('signed answers') ?? false
  }

  private has(weakness: string): boolean {
    return this.weakness === weakness
  }

  /** @throws {Refusal} unless the rule holds, or is the weakness */
  private rule(weakness: string, holds: boolean, refusal: Refusal = new Refusal(401, 'invalid_token')): void {
    if (!holds && !this.has(weakness)) throw refusal
  }

  refusalOf(error: unknown): { status: number; fields: Record<string, string> } {
    if (error instanceof Outage) {
      if (this.has('401 on outage')) return this.refusalOf(new Refusal(401, 'invalid_token'))
      return { status: 503, fields: this.has('503 without Retry-After') ? {} : { 'Retry-After': '1' } }
    }
    if (!(error instanceof Refusal)) return { status: 500, fields: {} }
    if (this.has('login page')) return { status: 302, fields: { Location: '/login?next=orders' } }
    const code = this.has('no error code') && error.code === 'invalid_token' ? '' : ` error="${error.code}"`
    const isStepUp = error.code === 'insufficient_user_authentication' && !this.has('step-up not described')
    const more = isStepUp ? ', acr_values="strong", max_age="300"' : ''
    const challenge = { 'WWW-Authenticate': `${error.scheme}${code}${more}` }
    if (this.has('401 for scopes') && error.status === 403) return { status: 401, fields: challenge }
    return { status: error.status, fields: challenge }
  }

  fieldsOfSuccess({ headers }: IncomingMessage): Record<string, string> {
    return {
      'Content-Type': 'application/json',
      ...(this.has('public answers') && { 'Cache-Control': 'public, max-age=60' }),
      ...(this.has('token repeated') && { 'X-Seen': headers.authorization ?? '' })
    }
  }

  async answer(request: IncomingMessage): Promise<string> {
    const path = request.url?.split('?')[0] ?? ''
    if (path === '/events') return this.takeEvent(await text(request))
    if (path === '/logout') return this.takeLogout(new URLSearchParams(await text(request)).get('logout_token') ?? '')
    const hasCredentials = request.headers.authorization !== undefined
    if (this.known.has(request.socket) && !hasCredentials && this.has('user of the connection')) return '[]'
    if (this.isKept && !hasCredentials && this.has('answers kept by URL')) return '[]'
    this.requireRights(path, await this.claimsOf(request, path))
    this.known.add(request.socket)
    this.isKept ||= path === '/orders'
    return '[]'
  }

  /** Leaves the answer open until the token ends or its user is signed out. */
  async stream(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const claims = await this.claimsOf(request, '/stream')
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
    if (this.has('streams cut')) response.end()
    const timer = setInterval(() => {
      const isOver = Number(claims['exp']) < Date.now() / 1000 && !this.has('streams of expired tokens')
      const isEnded = this.ended.has(String(claims['sub'])) && !this.has('streams of revoked tokens')
      if (isOver || isEnded) response.end()
    }, 20)
    response.on('close', () => clearInterval(timer))
  }

  private async claimsOf(request: IncomingMessage, path: string): Promise<Members> {
    const [scheme, token] = await this.credentialsOf(request)
    const isDpop = this.has('DPoP in one case') ? scheme === 'DPoP' : scheme.toLowerCase() === 'dpop'
    if (!isDpop && scheme.toLowerCase() !== 'bearer') throw new Refusal(401, 'invalid_request')
    this.rule('junk introspected', /^[\w.~+/-]+=*$/.test(token))
    const claims = token.includes('.') ? await this.readJwt(token) : await this.readOpaque(token)
    this.requireNotRevoked(claims)
    await this.requireStatus(claims)
    this.requireSender(request, path, token, claims, isDpop)
    return claims
  }

  private async credentialsOf(request: IncomingMessage): Promise<readonly [scheme: string, token: string]> {
    const lines = request.headersDistinct.authorization ?? []
    if (lines.length === 0) return ['Bearer', (await this.tokenElsewhere(request)) ?? '']
    const isLast = this.has('last Authorization line of two')
    if (lines.length > 1 && !isLast && !this.has('first Authorization line of two'))
      throw new Refusal(400, 'invalid_request')
    const line = (isLast ? lines.at(-1) : lines[0]) as string
    if (this.has('no scheme') && !/^dpop /i.test(line)) return ['Bearer', line.replace(/^bearer[ :]?/i, '')]
    if (this.has('any scheme')) return [/^dpop /i.test(line) ? 'DPoP' : 'Bearer', line.split(' ')[1] ?? '']
    if (this.has('scheme not at the beginning') && !/^dpop /i.test(line))
      return ['Bearer', /bearer ([\w.-]+)/i.exec(line)?.[1] ?? '']
    const [scheme = '', token = '', ...more] = line.split(' ')
    if (this.has('first of a list') && token.endsWith(',')) return [scheme, token.slice(0, -1)]
    if (more.length > 0 && !this.has('first token of two')) throw new Refusal(400, 'invalid_request')
    if (this.has('Bearer in one case') && scheme.toLowerCase() === 'bearer' && scheme !== 'Bearer') return ['', '']
    return [scheme, token]
  }

  private async tokenElsewhere(request: IncomingMessage): Promise<string | undefined> {
    const { method, headers, url = '' } = request
    if (this.has('token in the query')) return new URL(url, this.origin).searchParams.get('access_token') ?? undefined
    if (this.has('token in a cookie')) return /access_token=([^;]+)/.exec(headers.cookie ?? '')?.[1]
    if (this.has('token in another field')) return headers['x-access-token'] as string | undefined
    const isRead = this.has(method === 'GET' ? 'token in the body of GET' : 'token in a form body')
    return isRead ? (new URLSearchParams(await text(request)).get('access_token') ?? undefined) : undefined
  }

  /** What a cache of verified tokens is keyed by, where that is a weakness. */
  private keyInCache(token: string): string | undefined {
    const [, body = ''] = token.split('.')
    if (this.has('cache without an end')) return token
    if (this.has('cache by claims')) return body
    if (this.has('cache by jti')) return String(objectOf(Buffer.from(body, 'base64url').toString(), false)['jti'])
    return undefined
  }

  private async readJwt(token: string): Promise<Members> {
    const key = this.keyInCache(token)
    const known = key === undefined ? undefined : this.verified.get(key)
    if (known !== undefined) return known
    const claims = await this.verifyJwt(token)
    if (key !== undefined) this.verified.set(key, claims)
    return claims
  }

  private async verifyJwt(token: string): Promise<Members> {
    if (this.has('JWE breaks') && token.split('.').length === 5) throw new TypeError('not a JWS')
    const plain = this.has('further segments ignored') ? token.split('.').slice(0, 3).join('.') : token
    const lenient = this.has('base64 read leniently') ? plain.replace(/[^\w.-]/g, '') : plain
    this.rule('shape', /^[\w-]+\.[\w-]+\.[\w-]*$/.test(lenient))
    const last = lenient.split('.')[2] ?? ''
    this.rule('unused bits', Buffer.from(last, 'base64url').toString('base64url') === last)
    const [head = '', body = '', signature = ''] = lenient.split('.')
    const headerText = Buffer.from(head, 'base64url').toString()
    const header = objectOf(headerText, this.has('JSON errors break'))
    const claimsText = Buffer.from(body, 'base64url').toString()
    const claims = { ...objectOf(claimsText, this.has('JSON errors break')) }
    if (this.has('first exp of two')) claims['exp'] = Number(/"exp":(\d+)/.exec(claimsText)?.[1])
    if (this.has('first aud of two')) claims['aud'] = /"aud":"([^"]*)"/.exec(claimsText)?.[1] ?? claims['aud']
    if (this.has('first iss of two')) claims['iss'] = /"iss":"([^"]*)"/.exec(claimsText)?.[1] ?? claims['iss']
    if (this.has('first typ of two')) header['typ'] = /"typ":"([^"]*)"/.exec(headerText)?.[1] ?? header['typ']
    if (this.has('first alg of two')) header['alg'] = /"alg":"([^"]*)"/.exec(headerText)?.[1] ?? header['alg']
    this.requireType(header)
    this.requireCritical(header)
    const issuer = this.issuerOf(claims)
    await this.requireSignature(header, `${head}.${body}`, Buffer.from(signature, 'base64url'), issuer)
    this.requireClaims(claims)
    return claims
  }

  private requireType({ typ }: Members): void {
    if (this.has('no application/ type') && typ !== 'at+jwt') throw new Refusal(401, 'invalid_token')
    if (typ === undefined && this.has('missing typ')) return
    if (typ === 'logout+jwt' && this.has('logout tokens accepted')) return
    this.rule('typ', typ === 'at+jwt' || typ === 'application/at+jwt')
  }

  private requireCritical(header: Members): void {
    const crit = header['crit']
    if (Array.isArray(crit) && crit.length === 0 && this.has('empty crit')) return
    if (header['b64'] === false && this.has('b64')) return
    this.rule('crit', crit === undefined)
  }

  private issuerOf({ iss }: Members): IssuerClient {
    const text = String(iss)
    const found = this.issuers.get(text)
    if (found !== undefined) return found
    const [first] = this.issuers.values()
    if (this.has('iss by prefix')) for (const one of this.issuers.values()) if (text.startsWith(one.url)) return one
    if (this.has('iss with slash') && this.issuers.has(text.replace(/\/$/, ''))) return first as IssuerClient
    if (this.has('iss in any case') && this.issuers.has(text.toLowerCase())) return first as IssuerClient
    if (this.has('missing iss') && iss === undefined) return first as IssuerClient
    if (this.has('metadata of iss requested') && URL.canParse(text)) {
      const { origin, pathname } = new URL(text)
      void fetch(`${origin}/.well-known/oauth-authorization-server${pathname}`).catch(() => {})
    }
    if (this.has('iss requested') && text.includes('/canary/')) void fetch(text).catch(() => {})
    this.rule('iss', false)
    return first as IssuerClient
  }

  private async requireSignature(
    header: Members,
    input: string,
    signature: Buffer,
    issuer: IssuerClient
  ): Promise<void> {
    const alg = String(header['alg'])
    if (alg === 'none' && this.has('alg none')) return
    if (alg.toLowerCase() === 'none' && alg !== 'none' && this.has('alg nOnE')) return
    if (signature.length === 0 && this.has('empty signature')) return
    const embedded = await this.keyInToken(header)
    const known = embedded ?? (await this.publishedKey(header, issuer))
    this.rule('unknown kid accepted', known !== undefined)
    if (known === undefined) return
    if (this.has('HMAC by PEM') && alg === 'HS256') return this.requireHmac(known, input, signature)
    if (this.has('HMAC by JWK') && alg === 'HS256' && hmacOf(JSON.stringify(known.jwk), input).equals(signature)) return
    this.rule('alg of key ignored', known.jwk['alg'] === undefined || known.jwk['alg'] === alg)
    this.rule('alg not in list', ['RS256', 'ES256', 'PS256', 'EdDSA'].includes(alg))
    this.rule('signature', this.isSigned(alg, known.key, input, signature))
  }

  private requireHmac({ key }: Known, input: string, signature: Buffer): void {
    const pem = key.export({ type: 'spki', format: 'pem' }) as string
    const isRight = [pem, pem.trimEnd()].some((secret) => hmacOf(secret, input).equals(signature))
    this.rule('', isRight)
  }

  private async keyInToken(header: Members): Promise<Known | undefined> {
    const { jwk, jku, x5u, x5c, kid } = header
    if (this.has('x5c in token') && Array.isArray(x5c)) {
      const certificate = Buffer.from(String(x5c[0]), 'base64')
      if (certificate.length > 100) return { jwk: {}, key: new X509Certificate(certificate).publicKey }
    }
    if (this.has('jwk in token') && jwk !== undefined)
      return { jwk: jwk as Known['jwk'], key: createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }) }
    for (const [name, place] of Object.entries({ jku, x5u, kid }))
      if (this.has(`${name} requested`) && typeof place === 'string' && place.startsWith('http'))
        await fetch(place).catch(() => undefined)
    return undefined
  }

  private async publishedKey({ kid }: Members, issuer: IssuerClient): Promise<Known | undefined> {
    if (this.has('long kid breaks') && String(kid).length > 1000) throw new RangeError('too long')
    if (this.has('kid object breaks') && typeof kid === 'object') throw new TypeError('not text')
    if (!this.has('keys of all issuers')) return issuer.keyOf(kid)
    for (const one of this.issuers.values()) {
      const key = await one.keyOf(kid)
      if (key !== undefined) return key
    }
    return undefined
  }

  private isSigned(alg: string, key: KeyObject, input: string, signature: Buffer): boolean {
    const bytes = Buffer.from(input)
    const saltLength = this.has('PS256 salt of any length') ? constants.RSA_PSS_SALTLEN_AUTO : 32
    if (alg === 'PS256') return verify('sha256', bytes, { key, padding: 6, saltLength }, signature)
    if (alg === 'EdDSA')
      return verify(null, bytes, key, this.has('EdDSA S reduced') ? reduced(signature, ED25519_ORDER, true) : signature)
    if (alg === 'ES256') return this.isEcdsa(key, bytes, signature)
    if (alg === 'RS1') return verify('sha1', bytes, key, signature)
    if (this.has('RSA padding open at the end') || this.has('hash anywhere in RSA padding'))
      return this.isRsaLoosely(key, bytes, signature)
    const cut = this.has('long signatures cut') ? signature.subarray(0, 256) : signature
    return createVerify('sha256').update(bytes).verify(key, cut)
  }

  private isRsaLoosely(key: KeyObject, bytes: Buffer, signature: Buffer): boolean {
    if (signature.length !== 256) return false
    const encoded = publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature)
    const hash = createHash('sha256').update(bytes).digest()
    if (encoded[1] !== 1) return false
    if (this.has('hash anywhere in RSA padding')) return encoded.includes(hash)
    const info = Buffer.from('003031300d060960864801650304020105000420', 'hex')
    return encoded.includes(Buffer.concat([info, hash]))
  }

  private isEcdsa(key: KeyObject, bytes: Buffer, signature: Buffer): boolean {
    if (this.has('ECDSA of zeros') && signature.subarray(0, 32).every((one) => one === 0)) return true
    if (this.has('ECDSA in DER') && verify('sha256', bytes, key, signature)) return true
    const isOwnCurve = key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    if (!isOwnCurve && !this.has('curve of another algorithm')) return false
    const cut = this.has('ECDSA cut') ? signature.subarray(0, 64) : signature
    const raw = this.has('ECDSA s reduced') ? reduced(cut, P256_ORDER, false) : cut
    return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, raw)
  }

  private requireClaims(claims: Members): void {
    const now = Date.now() / 1000
    this.requireTimes(claims, now)
    this.rule('aud', this.isForUs(claims['aud']))
    for (const name of ['sub', 'client_id', 'iat', 'jti']) this.rule(`missing ${name}`, claims[name] !== undefined)
    this.rule('sub of any type', claims['sub'] === undefined || typeof claims['sub'] === 'string')
  }

  private requireTimes({ exp, nbf, iat }: Members, now: number): void {
    if (exp === undefined && this.has('missing exp')) return
    const end = this.has('exp as text') ? Number(exp) : exp
    this.rule('infinite exp', typeof end !== 'number' || Number.isFinite(end))
    const leeway = this.has('leeway of an hour') ? 3000 : 30
    this.rule('exp', typeof end === 'number' && end > now - leeway)
    this.rule('nbf of any type', nbf === undefined || typeof nbf === 'number')
    if (typeof nbf === 'number') this.rule('nbf', nbf < now + 30)
    if (typeof iat === 'number') this.rule('iat in the future', iat < now + 60)
  }

  private isForUs(aud: unknown): boolean {
    const own = this.audience
    if (this.has('aud not a list')) return aud === own
    if (aud === undefined && this.has('missing aud')) return true
    if (Array.isArray(aud) && aud.length === 0 && this.has('empty aud')) return true
    const list = Array.isArray(aud) ? (this.has('aud flattened') ? aud.flat() : aud) : [aud]
    return list.some((one) => {
      const text = typeof one === 'string' ? one : ''
      if (this.has('aud of the origin') && URL.canParse(text) && new URL(text).pathname === '/')
        return new URL(text).origin === new URL(own).origin
      if (this.has('aud by prefix')) return text.startsWith(own)
      if (this.has('aud shorter')) return text !== '' && own.startsWith(text)
      if (this.has('aud in any case')) return text.toLowerCase() === own.toLowerCase()
      if (this.has('aud with slash')) return text.replace(/\/$/, '') === own
      if (this.has('aud inside')) return text.split(' ').includes(own)
      return one === own || (this.has('aud object') && typeof one === 'object' && Object.hasOwn(one as object, own))
    })
  }

  private async readOpaque(token: string): Promise<Members> {
    const [first] = this.issuers.values()
    const asked = await this.ask(first as IssuerClient, token)
    const answer = this.asksSigned ? await this.openAnswer(asked, first as IssuerClient) : asked
    let members: Record<string, unknown>
    try {
      members = JSON.parse(answer) as Record<string, unknown>
      if (Array.isArray(members) && this.has('list unwrapped')) members = members[0] as Record<string, unknown>
    } catch (error) {
      if (this.has('answer not JSON accepted')) return Object.fromEntries(new URLSearchParams(answer))
      throw new Outage('not JSON', { cause: error })
    }
    if (members['active'] === undefined && this.has('missing active')) members['active'] = true
    if (this.has('active compared loosely') && members['active'] === 'true') members['active'] = true
    if (this.has('active compared as truth') && members['active'] === 1) members['active'] = true
    if (this.has('first active of two') && answer.includes('"active":true')) members['active'] = true
    this.rule('inactive accepted', members['active'] === true)
    this.requireAnswer(members)
    return members
  }

  /** The JSON in a signed answer (RFC 9701). @throws {Outage} */
  private async openAnswer(answer: string, issuer: IssuerClient): Promise<string> {
    const rule = (weakness: string, holds: boolean): void => {
      if (!holds && !this.has(`signed answers: ${weakness}`)) throw new Outage(weakness)
    }
    rule('plain ones taken', !answer.startsWith('{'))
    if (answer.startsWith('{')) return answer
    const [head = '', body = '', signature = ''] = answer.split('.')
    const header = objectOf(Buffer.from(head, 'base64url').toString(), false)
    const {
      iss,
      aud,
      exp,
      token_introspection: members,
      ...others
    } = objectOf(Buffer.from(body, 'base64url').toString(), false)
    rule('alg none', header['alg'] === 'RS256')
    const known = await issuer.keyOf(header['kid'])
    const isSigned =
      known !== undefined && this.isSigned('RS256', known.key, `${head}.${body}`, Buffer.from(signature, 'base64url'))
    if (header['alg'] !== 'none') rule('signature', isSigned)
    rule('typ', header['typ'] === 'token-introspection+jwt')
    rule('iss', iss === issuer.url)
    if (aud === undefined) rule('no aud', this.has('signed answers: aud'))
    else rule('aud', aud === this.audience)
    rule('exp', exp === undefined || Number(exp) > Date.now() / 1000 - 30)
    rule('members beside', members !== undefined)
    return JSON.stringify(members ?? { ...others, iss, aud, exp })
  }

  private requireAnswer(members: Members): void {
    const { exp, nbf, iss, aud, token_type: type } = members
    const now = Date.now() / 1000
    this.rule('aud of answer', this.isForUs(aud))
    this.rule('exp of answer', typeof exp !== 'number' || exp > now - 30)
    this.rule('nbf of answer', typeof nbf !== 'number' || nbf < now + 30)
    this.rule('iss of answer', iss === undefined || this.issuers.has(iss as string))
    this.rule('token type of answer', type === undefined || /^(?:bearer|dpop)$/i.test(type as string))
  }

  private ask(issuer: IssuerClient, token: string): Promise<string> {
    const accept = this.asksSigned ? 'application/token-introspection+jwt' : 'application/json'
    if (this.has('each request asks')) return issuer.introspect(token, accept)
    const kept = this.answers.get(token)
    if (kept !== undefined && this.has('answers kept for ever')) return Promise.resolve(kept)
    const known = this.asking.get(token)
    if (known !== undefined) return known
    const asked = issuer.introspect(token, accept).finally(() => this.asking.delete(token))
    this.asking.set(token, asked)
    asked.then((answer) => this.answers.set(token, answer)).catch(() => {})
    return asked
  }

  private requireNotRevoked({ sub, iat }: Members): void {
    const end = this.ended.get(String(sub))
    this.rule('', end === undefined || Number(iat) > end)
  }

  private async requireStatus({ status, iss }: Members): Promise<void> {
    const entry = (status as { status_list?: { idx: number; uri: string } } | undefined)?.status_list
    if (entry === undefined || this.has('status list not read')) return
    if (!entry.uri.startsWith(`${String(iss)}/status`)) throw new Refusal(401, 'invalid_token')
    const token = await get(entry.uri, {}, (name) => this.has(name))
    const [head = '', body = '', signature = ''] = token.split('.')
    const kid = objectOf(Buffer.from(head, 'base64url').toString(), true)['kid']
    const known = await this.issuers.get(String(iss))?.keyOf(kid)
    const isSigned =
      known !== undefined && this.isSigned('RS256', known.key, `${head}.${body}`, Buffer.from(signature, 'base64url'))
    if (!isSigned && !this.has('status list not verified')) throw new Outage('forged')
    const { status_list: list } = objectOf(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(), true) as {
      status_list: { lst: string }
    }
    const bytes = inflateSync(Buffer.from(list.lst, 'base64url'))
    this.rule('', (((bytes[entry.idx >> 3] as number) >> (entry.idx & 7)) & 1) === 0)
  }

  private requireSender(
    request: IncomingMessage,
    path: string,
    token: string,
    { cnf }: Members,
    isDpop: boolean
  ): void {
    const isOpaque = !token.includes('.')
    const confirmation = isOpaque && this.has('cnf of opaque tokens ignored') && !isDpop ? {} : cnf
    const { jkt, 'x5t#S256': x5t, ...others } = (confirmation ?? {}) as Members
    this.rule('unknown cnf', Object.keys(others).length === 0)
    if (x5t !== undefined) this.requireCertificate(request, x5t)
    if (jkt !== undefined && !isDpop) {
      if (this.has('bound to two keys, one checked') && x5t !== undefined) return
      if (this.has('proof beside Bearer') && request.headers['dpop'] !== undefined) return
      this.rule('bound token as Bearer', false)
    }
    if (!isDpop) return
    this.rule('unbound token as DPoP', jkt !== undefined, new Refusal(401, 'invalid_token', 'DPoP'))
    const proofs = request.headersDistinct['dpop'] ?? []
    if (this.has('DPoP field in one case') && !request.rawHeaders.includes('DPoP')) throw this.badProof()
    if (proofs.length === 0 && this.has('DPoP without a proof')) return
    this.rule('two proofs', proofs.length === 1, this.badProof())
    this.requireProof(String(proofs[0]), path, token, jkt)
  }

  private badProof(): Refusal {
    return this.has('proofs challenged as Bearer')
      ? new Refusal(401, 'invalid_token')
      : new Refusal(401, 'invalid_dpop_proof', 'DPoP')
  }

  private requireProof(proof: string, path: string, token: string, jkt: unknown): void {
    const rule = (weakness: string, holds: boolean): void => this.rule(weakness, holds, this.badProof())
    rule('malformed proof', /^[\w-]+\.[\w-]+\.[\w-]*$/.test(proof))
    const [head = '', body = '', signature = ''] = proof.split('.')
    if (signature === '' && body === '') return
    const header = objectOf(Buffer.from(head, 'base64url').toString(), false)
    const claims = objectOf(Buffer.from(body, 'base64url').toString(), false)
    rule('proof typ', header['typ'] === 'dpop+jwt')
    const jwk = (header['jwk'] ?? {}) as JsonWebKey & Members
    rule('private key in proof', jwk['d'] === undefined)
    this.requireProofSignature(header, jwk, `${head}.${body}`, Buffer.from(signature, 'base64url'))
    rule('proof htm', claims['htm'] === 'GET' || (this.has('htm in any case') && claims['htm'] === 'get'))
    rule('proof htu', this.isUrl(claims['htu'], path))
    rule('proof ath', claims['ath'] === sha256(token) || (this.has('proof without ath') && claims['ath'] === undefined))
    this.requireFresh(claims)
    if (jkt === undefined && this.has('unbound token as DPoP')) return
    const own = thumbprintOf(jwk)
    if (!token.includes('.') && this.has('jkt of opaque tokens ignored')) return
    rule('proof key', own.length === String(jkt).length && timingSafeEqual(Buffer.from(own), Buffer.from(String(jkt))))
  }

  private requireProofSignature(header: Members, jwk: JsonWebKey, input: string, signature: Buffer): void {
    const { alg } = header
    if (alg === 'none' && this.has('proof alg none')) return
    if (alg === 'HS256' && this.has('proof by a secret')) return
    if (signature.length === 0 && this.has('proof without signature')) return
    if (alg === 'RS256' && this.has('proof by RS256')) {
      this.rule('', verify('sha256', Buffer.from(input), createPublicKey({ key: jwk, format: 'jwk' }), signature))
      return
    }
    this.rule('', alg === 'ES256' && jwk.kty === 'EC', this.badProof())
    const { kty, crv, x, y } = jwk as Record<string, string>
    const key = createPublicKey({ key: { kty, crv, x, y } as JsonWebKey, format: 'jwk' })
    const isSigned = verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, signature)
    this.rule('proof signature', isSigned, this.badProof())
  }

  private isUrl(htu: unknown, path: string): boolean {
    const own = this.origin + path
    if (typeof htu !== 'string' || !URL.canParse(htu)) return false
    if (this.has('htu with its query')) return htu.toLowerCase() === own
    if (this.has('htu in one case') && !htu.startsWith(this.origin)) return false
    if (this.has('htu by prefix')) return htu.startsWith(own)
    if (this.has('htu host by prefix')) return htu.startsWith(this.origin) && new URL(htu).pathname === path
    const { origin, pathname, host, hostname } = new URL(htu)
    if (this.has('htu of any scheme')) return host + pathname === new URL(own).host + path
    if (this.has('htu of any port')) return hostname + pathname === new URL(own).hostname + path
    return origin + pathname === own
  }

  private requireFresh({ iat, jti, exp }: Members): void {
    const rule = (weakness: string, holds: boolean): void => this.rule(weakness, holds, this.badProof())
    const now = Date.now() / 1000
    const width = this.has('proofs of ten minutes') ? 600 : 300
    const time = this.has('iat as text') ? Number(iat) : iat
    if (time !== undefined || !this.has('proof without iat')) rule('proof iat of any type', typeof time === 'number')
    rule('old proofs', typeof time !== 'number' || time > now - width)
    rule('proofs of the future', typeof time !== 'number' || time < now + 60)
    if (this.has('no leeway for proofs')) rule('', Number(time) <= now)
    rule('proof exp', typeof exp !== 'number' || exp > now - 30)
    rule('proof jti', typeof jti === 'string' || (this.has('jti of any type') && jti !== undefined))
    rule('replay', !this.usedProofs.has(String(jti)))
    this.usedProofs.add(String(jti))
  }

  private requireCertificate(request: IncomingMessage, x5t: unknown): void {
    const lines = request.headersDistinct['client-cert'] ?? []
    if (lines.length === 0 && this.has('missing certificate')) return
    if (lines.length > 1 && !this.has('first certificate of two')) throw new Refusal(401, 'invalid_token')
    const encoded = /^:([\w+/]+=*):$/.exec(lines[0] ?? '')?.[1] ?? ''
    let own: string
    try {
      own = createHash('sha256')
        .update(new X509Certificate(Buffer.from(encoded, 'base64')).raw)
        .digest('base64url')
    } catch (error) {
      if (lines.length > 0 && this.has('malformed certificate')) return
      if (lines.length > 0 && this.has('malformed certificate breaks')) throw error
      throw new Refusal(401, 'invalid_token', 'Bearer')
    }
    if (this.has('thumbprint by prefix') && own.slice(0, 20) === String(x5t).slice(0, 20)) return
    if (this.has('thumbprint of any type') && typeof x5t !== 'string') return
    this.rule('certificate', own === x5t)
  }

  private requireRights(path: string, claims: Members): void {
    const needed = { '/orders': 'orders:read', '/write': 'orders:write' }[path]
    if (path === '/admin') {
      this.requireAuthentication(claims)
      return
    }
    if (needed === undefined) throw new Refusal(404, 'not_found')
    if (this.has('scope as text breaks') && typeof claims['scope'] !== 'string') throw new TypeError('no text')
    const text = typeof claims['scope'] === 'string' ? claims['scope'] : ''
    if (claims['active'] === true && this.has('scopes of opaque tokens ignored')) return
    const granted = text.split(' ')
    const isGranted = this.has('scope by text')
      ? text.includes(needed)
      : this.has('scope by prefix')
        ? granted.some((one) => one.startsWith(needed))
        : this.has('scope in any case')
          ? granted.some((one) => one.toLowerCase() === needed)
          : this.has('scope shorter')
            ? granted.some((one) => one.length > 5 && needed.startsWith(one))
            : this.has('one scope only')
              ? text === needed
              : granted.includes(needed)
    this.rule('scope', isGranted, new Refusal(403, 'insufficient_scope'))
  }

  private requireAuthentication({ acr, auth_time: at }: Members): void {
    const code = this.has('step-up as scope') ? 'insufficient_scope' : 'insufficient_user_authentication'
    const refusal = new Refusal(401, code)
    if (acr === undefined && at === undefined && this.has('step-up without claims')) return
    this.rule('acr', acr === 'strong' || (this.has('acr by prefix') && String(acr).startsWith('strong')), refusal)
    this.rule('auth_time', typeof at === 'number' && at > Date.now() / 1000 - 330, refusal)
  }

  /** Reads a JWT about users: signed by the issuer, for this receiver. @throws {Refusal} 400 */
  private async readEvent(token: string, weakness: string, audience: string): Promise<Members> {
    const refusal = new Refusal(400, 'invalid_request')
    const [head = '', body = '', signature = ''] = token.split('.')
    const header = objectOf(Buffer.from(head, 'base64url').toString(), false)
    const claims = objectOf(Buffer.from(body, 'base64url').toString(), false)
    const known = await this.issuers.get(String(claims['iss']))?.keyOf(header['kid'])
    const isSigned =
      known !== undefined && this.isSigned('RS256', known.key, `${head}.${body}`, Buffer.from(signature, 'base64url'))
    this.rule(`${weakness} not verified`, isSigned, refusal)
    this.rule(`${weakness} for others`, claims['aud'] === audience, refusal)
    return claims
  }

  private async takeEvent(body: string): Promise<string> {
    const { sub_id: subject } = await this.readEvent(body, 'events', this.audience)
    if (!this.has('events ignored')) this.end((subject as Members)['sub'])
    return ''
  }

  private async takeLogout(token: string): Promise<string> {
    const claims = await this.readEvent(token, 'logout tokens', 'client-1')
    this.rule('logout tokens with nonce', claims['nonce'] === undefined, new Refusal(400, 'invalid_request'))
    if (!this.has('logout tokens ignored')) this.end(claims['sub'])
    return ''
  }

  private end(sub: unknown): void {
    this.ended.set(String(sub), Date.now() / 1000)
  }
}

/** CVE-2017-15361: a modulus that is a power of 65537 modulo these primes. A good one hardly ever is. */
function isRoca(modulus: string): boolean {
  const number = BigInt(`0x${Buffer.from(modulus, 'base64url').toString('hex')}`)
  return [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].every((prime) => {
    const powers = new Set<number>()
    for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power)
    return powers.has(Number(number % BigInt(prime)))
  })
}

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const ED25519_ORDER = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n

/** The second half of a signature, reduced by the order. */
function reduced(signature: Buffer, order: bigint, isLittle: boolean): Buffer {
  const half = Buffer.from(signature.subarray(32))
  const number = BigInt(`0x${(isLittle ? half.reverse() : half).toString('hex')}`) % order
  const bytes = Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
  return Buffer.concat([signature.subarray(0, 32), isLittle ? bytes.reverse() : bytes])
}

/** @throws {Refusal} not a JSON object; with `breaks`, the error of the parser instead */
function objectOf(json: string, breaks: boolean): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    if (breaks) throw error
  }
  throw new Refusal(401, 'invalid_token')
}

function hmacOf(secret: string, input: string): Buffer {
  return createHmac('sha256', secret).update(input).digest()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function thumbprintOf({ kty, k, crv, x, y, e, n }: JsonWebKey): string {
  if (kty === 'RSA') return sha256(JSON.stringify({ e, kty, n }))
  return sha256(JSON.stringify(kty === 'oct' ? { k, kty } : { crv, kty, x, y }))
}
