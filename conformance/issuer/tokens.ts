/**
 * Issues the tokens of the suite: good ones, and those with one flaw each. A flaw changes the JSON text, the key, the signature or
 * the text of the token, so that a token can also have what no JSON library would write.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { type KeyObject, randomUUID } from 'node:crypto'
import { accessTokenClaims } from '../../test-kit/claims.js'
import type { AnswerFlaw, SigningAlgorithm, SuiteIssuer, TokenFlaw } from '../check.js'
import type { Question } from './endpoints.js'
import type { Answer } from './failures.js'
import { createKeyRing, encodeText, type KeyRing, type SuiteKey, signInput } from './keys.js'
import { createOddKeys, createRocaKey, type OddKeys, signEncoded } from './odd-keys.js'
import { createStatusList, type StatusList } from './status-list.js'

/** The media type of signed introspection answers (RFC 9701 §5). */
const SIGNED = 'application/token-introspection+jwt'
/** Seconds from `iat` to `exp`. */
const LIFETIME = 600
/** Maximum opaque tokens that one run issues. */
const MAX_OPAQUE = 10_000

type Members = Readonly<Record<string, unknown>>

export interface TokensOptions {
  readonly issuer: string
  readonly audience: string
  /** `scope` of good tokens. */
  readonly scope?: string | undefined
}

/** The tokens of one issuer, and all that its endpoints tell about them. */
export class Tokens {
  readonly options: TokensOptions
  readonly statusList: StatusList
  keys: KeyRing
  /** Bodies of introspection answers by token. */
  private readonly answers = new Map<string, { readonly body: string; readonly flaw: AnswerFlaw }>()
  private readonly listedAt = new Map<string, number>()
  private readonly name = randomUUID().slice(0, 8)
  /** Keys that are never published. Made once, because RSA keys take long. */
  private strangers: KeyRing | undefined
  private generation = 1
  /** Keys that no API may use, while they are published. */
  odd: OddKeys | undefined
  private roca: KeyObject | undefined

  constructor(options: TokensOptions) {
    this.options = options
    this.keys = createKeyRing(`${this.name}-1`)
    this.statusList = createStatusList()
  }

  now(): number {
    return Date.now() / 1000
  }

  /** The key set. */
  get published(): KeyRing['published'] {
    return [...(this.odd?.published ?? []), ...this.keys.published]
  }

  publishOddKeys(isPublished: boolean, claims: Members = {}): void {
    this.odd = undefined
    if (!isPublished) return
    this.roca ??= createRocaKey()
    this.odd = createOddKeys(
      `${this.name}-odd-${++this.generation}`,
      this.keys,
      JSON.stringify({ ...this.claims(), ...claims }),
      this.roca
    )
  }

  rotateKeys(): void {
    this.keys = createKeyRing(`${this.name}-${++this.generation}`, this.keys)
  }

  issue(flaw: TokenFlaw = {}): string {
    const { algorithm = 'RS256', headerText = same, claimsText = same, text = same } = flaw
    const key = this.keyOf(flaw.key, flaw.keyOf ?? algorithm)
    const header = { typ: 'at+jwt', alg: algorithm, kid: key.kid, ...flaw.header }
    const claims = { ...this.claims(), ...flaw.claims }
    const input = `${encodeText(headerText(JSON.stringify(header)))}.${encodeText(claimsText(JSON.stringify(claims)))}`
    const signature = signatureOf(input, flaw, key)
    return text(`${input}.${Buffer.from((flaw.signature ?? same)(signature)).toString('base64url')}`)
  }

  private keyOf(key: TokenFlaw['key'], algorithm: NonNullable<TokenFlaw['algorithm']>): SuiteKey {
    if (key === 'weak' || key === 'encryption') return this.keys[key]
    const published = this.keys.of(algorithm)
    return key === 'unpublished' ? { ...this.stranger(algorithm), kid: published.kid } : published
  }

  stranger(algorithm: SigningAlgorithm): SuiteKey {
    this.strangers ??= createKeyRing('unpublished', this.keys)
    return this.strangers.of(algorithm)
  }

  private claims(): Members {
    const { issuer, audience, scope } = this.options
    return accessTokenClaims({ issuer, audience, at: this.now(), lifetime: LIFETIME }, { scope })
  }

  opaque(answer: Parameters<SuiteIssuer['opaque']>[0] = {}, flaw: AnswerFlaw = {}): string {
    if (this.answers.size >= MAX_OPAQUE) throw new RangeError(`the suite issues at most ${MAX_OPAQUE} opaque tokens`)
    const token = randomUUID().replaceAll('-', '')
    const good = { active: true, token_type: 'Bearer', ...this.claims() }
    const body = typeof answer === 'function' ? answer(JSON.stringify(good)) : JSON.stringify({ ...good, ...answer })
    this.answers.set(token, { body, flaw })
    return token
  }

  /** The introspection answer (RFC 7662 §2.2), signed if the API asks for it (RFC 9701). */
  introspect({ token, accept, client }: Question): Answer {
    const { body, flaw } = this.answers.get(token) ?? { body: '{"active":false}', flaw: {} }
    if (!accept.includes(SIGNED) || flaw.isPlain) return ['application/json', body]
    const good = { iss: this.options.issuer, aud: client ?? this.options.audience, iat: Math.floor(this.now()) }
    const claims = JSON.stringify({ ...good, ...flaw.claims }).slice(0, -1)
    // The body is text, because some answers are not JSON.
    const payload = flaw.isFlat ? `${claims},${body.slice(1)}` : `${claims},"token_introspection":${body}}`
    const key = this.keyOf(flaw.key, 'RS256')
    const header = { typ: 'token-introspection+jwt', alg: key.alg, kid: key.kid, ...flaw.header }
    const input = `${encodeText(JSON.stringify(header))}.${encodeText(payload)}`
    const signature = Buffer.from((flaw.signature ?? same)(signInput(input, key)))
    return [SIGNED, `${input}.${signature.toString('base64url')}`]
  }

  listed(claims: Members = {}): string {
    const index = this.statusList.add()
    const status = { status_list: { idx: index, uri: new URL('/status', this.options.issuer).href } }
    const token = this.issue({ claims: { ...claims, status } })
    this.listedAt.set(token, index)
    return token
  }

  revoke(token: string): void {
    const index = this.listedAt.get(token)
    if (index === undefined) this.answers.delete(token)
    else this.statusList.revoke(index)
  }

  signed(typ: string, claims: Readonly<Record<string, unknown>>, signer?: 'unpublished'): string {
    const good = { iss: this.options.issuer, iat: Math.floor(this.now()), jti: randomUUID() }
    const key = this.keyOf(signer, 'RS256')
    const header = encodeText(JSON.stringify({ typ, alg: key.alg, kid: key.kid }))
    const input = `${header}.${encodeText(JSON.stringify({ ...good, ...claims }))}`
    return `${input}.${signInput(input, key).toString('base64url')}`
  }
}

function signatureOf(input: string, flaw: TokenFlaw, key: SuiteKey): Buffer {
  if (typeof flaw.key === 'function') return Buffer.from(flaw.key(input))
  if (flaw.encoding !== undefined) return signEncoded(flaw.encoding(input), key.privateKey)
  return signInput(input, key, flaw.algorithm ?? 'RS256', flaw.saltLength)
}

function same<T>(value: T): T {
  return value
}
