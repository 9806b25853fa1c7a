/**
 * jose as the oracle: over valid, mutated and hand-broken tokens of every algorithm, this package accepts what jose's
 * `jwtVerify` accepts, with the same claims, except where {@link STRICTER} says that it is stricter and why. It accepts
 * nothing that jose refuses.
 */
import { constants, createPublicKey, createSecretKey, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { type Access, Refusal, type ResourceServer, resourceServer } from '../../src/index.js'
import { SIGNATURE_ALGORITHMS } from '../../src/jwt/algorithms.js'
import { RESOURCE, request } from '../support/exchange.js'
import { type Algorithm, createClock, createSigningKey, type Signer, signature } from '../support/issuer.js'

const ISSUER = 'https://as.example.com'
const NOW = 1_750_000_000
const TOLERANCE = 30

// ---- keys

const pairs: Readonly<Record<string, Signer & { readonly publicKey: KeyObject }>> = {
  RSA: createSigningKey('RS256'),
  'P-256': createSigningKey('ES256'),
  'P-384': createSigningKey('ES384'),
  'P-521': createSigningKey('ES512'),
  Ed25519: createSigningKey('EdDSA')
}
const strangers: typeof pairs = {
  RSA: createSigningKey('RS256'),
  'P-256': createSigningKey('ES256'),
  'P-384': createSigningKey('ES384'),
  'P-521': createSigningKey('ES512'),
  Ed25519: createSigningKey('EdDSA')
}
const curveOf: Partial<Record<Algorithm, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
const pairName = (alg: Algorithm): string => (/^[RP]S/.test(alg) ? 'RSA' : (curveOf[alg] ?? 'Ed25519'))
const signer = (alg: Algorithm, of = pairs): Signer => ({
  alg,
  privateKey: (of[pairName(alg)] as Signer).privateKey
})

/** Six keys for one name, of which at most four are tried. */
const crowd = Array.from({ length: 6 }, () => createSigningKey('ES256', { kid: 'crowd' }))

/** Issuers' key sets: one key an algorithm, keys that leave the algorithm open, many keys of one name. */
const keySets: Readonly<Record<'named' | 'open' | 'crowded', JSONWebKeySet>> = {
  named: {
    keys: SIGNATURE_ALGORITHMS.map((alg) => ({
      ...publicJwk(pairs[pairName(alg)]),
      kid: alg,
      alg,
      use: 'sig'
    }))
  },
  open: { keys: Object.entries(pairs).map(([kid, pair]) => ({ ...publicJwk(pair), kid, key_ops: ['verify'] })) },
  crowded: { keys: crowd.map(({ publicJwk: jwk }) => jwk as JSONWebKeySet['keys'][number]) }
}
type KeySetName = keyof typeof keySets

function publicJwk(pair: { readonly publicKey: KeyObject } | undefined): JSONWebKeySet['keys'][number] {
  return (pair?.publicKey.export({ format: 'jwk' }) ?? {}) as JSONWebKeySet['keys'][number]
}

// ---- the two decisions

const clock = createClock(NOW)
const apis = Object.fromEntries(
  Object.entries(keySets).map(([name, jwks]) => [
    name,
    resourceServer({ resource: RESOURCE, issuers: [{ issuer: ISSUER, jwks }], now: clock.now })
  ])
) as Record<KeySetName, ResourceServer>

afterAll(() => Promise.all(Object.values(apis).map((api) => api.close())))

/** The claims, or the reason of the refusal; any other error is a fault of ours and is thrown on. */
async function ours(token: string, set: KeySetName): Promise<Access['claims'] | string> {
  try {
    return (await apis[set].authorize(request(token))).claims
  } catch (error) {
    if (error instanceof Refusal) return error.reason
    throw error
  }
}

/** The claims, or undefined for a token that jose refuses. */
async function theirs(sent: string, set: KeySetName): Promise<JWTPayload | undefined> {
  // Spaces before a token are the field's, not the token's: 1*SP (RFC 9110 §11.4).
  const token = sent.replace(/^ +/, '')
  const options = {
    issuer: ISSUER,
    audience: RESOURCE,
    typ: 'at+jwt',
    clockTolerance: TOLERANCE,
    algorithms: [...SIGNATURE_ALGORITHMS],
    currentDate: new Date(clock.now() * 1000),
    requiredClaims: ['exp', 'sub', 'client_id', 'iat', 'jti']
  }
  try {
    return (await jwtVerify(token, createLocalJWKSet(keySets[set]), options)).payload
  } catch (error) {
    // jose leaves it to its caller to try each of several keys; here every one is tried.
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return undefined
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch {}
    }
    return undefined
  }
}

// ---- where we are stricter, and why

interface Parts {
  readonly token: string
  readonly segments: readonly string[]
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  readonly bytes: readonly Buffer[]
  readonly set: KeySetName
}

interface Stricter {
  /** The reasons under which it may be refused. */
  readonly reasons: readonly string[]
  /** What a token must be like for this to explain its refusal. */
  readonly applies: (parts: Parts) => boolean
  /** Tokens that jose accepts and this package refuses, for this alone. */
  readonly examples: () => readonly string[]
  /** The key set of the examples; default: `named`. */
  readonly set?: KeySetName
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const isObject = (value: unknown): boolean => Object.prototype.toString.call(value) === '[object Object]'
const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === ''
const isScopes = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === 'string'
    ? /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(value)
    : Array.isArray(value) && value.every((one) => typeof one === 'string'))

/** Lists in lists, so many levels of them. */
const nested = (levels: number): unknown => (levels === 0 ? 0 : [nested(levels - 1)])

function levelsOf(text: string): number {
  let [level, deepest] = [0, 0]
  // Brackets within texts do not count.
  for (const one of text.replace(/"(?:[^"\\]|\\.)*"/g, '')) {
    if (one === '{' || one === '[') deepest = Math.max(deepest, ++level)
    if (one === '}' || one === ']') level--
  }
  return deepest
}

const STRICTER: Readonly<Record<string, Stricter>> = {
  'JOS-02 (RFC 7515 §2): base64url has no padding, no white space and no unused bits': {
    reasons: ['malformed', 'malformed_authorization', 'multiple_credentials'],
    applies: ({ segments }) => segments.some((one) => Buffer.from(one, 'base64url').toString('base64url') !== one),
    examples: () => [
      `${mint({ alg: 'RS256' })}==`,
      // The unused bits of the last character, of each segment.
      withUnusedBits(mint({ alg: 'ES256' })),
      withUnusedBits(mint({ alg: 'RS256' })),
      ...['x', 'xy', 'xyz'].map((x) => mint({ claims: { x }, encoded: withUnusedBits })),
      mint({ encoded: (segment) => `${segment} ` })
    ]
  },
  'JOS-03 (RFC 8259 §8.1): JSON has no byte order mark': {
    reasons: ['malformed'],
    applies: ({ bytes }) => bytes.slice(0, 2).some((one) => one.subarray(0, 3).equals(BOM)),
    examples: () =>
      (['headerText', 'payload'] as const).map((part) =>
        mint({ [part]: (text: string) => Buffer.concat([BOM, Buffer.from(text)]) })
      )
  },
  'JOS-08 JOS-09 (RFC 7797 §7): no critical extension, and `b64: false` not even without `crit`': {
    reasons: ['critical_header'],
    applies: ({ header }) => header['crit'] !== undefined || header['b64'] === false,
    examples: () => [mint({ header: { b64: false } }), mint({ header: { crit: ['b64'], b64: true } })]
  },
  'JSON of a header or of claims is nested at most 64 levels deep': {
    reasons: ['malformed'],
    applies: ({ bytes }) => bytes.slice(0, 2).some((one) => levelsOf(one.toString()) > 64),
    examples: () => [mint({ header: { x: nested(64) } }), mint({ claims: { x: nested(64) } })]
  },
  'RFC 7519 §2: a time is in seconds, and none is after the year 5138': {
    reasons: ['claim'],
    applies: ({ claims }) => Number.isFinite(claims['exp']) && (claims['exp'] as number) > 1e11,
    examples: () => [mint({ claims: { exp: NOW * 1000 } }), mint({ claims: { exp: 1e300 } })]
  },
  'TRN-09: a token is at most 16384 characters': {
    reasons: ['malformed'],
    applies: ({ token }) => token.length > 16_384,
    examples: () => [mint({ claims: { padding: 'x'.repeat(13_000) } })]
  },
  'KEY-05 (RFC 7515 §4.1.4): without `kid` exactly one key must fit': {
    reasons: ['unknown_key'],
    applies: ({ header, set }) => header['kid'] === undefined && set === 'crowded',
    examples: () => crowd.map((key) => mint({ key, header: { kid: undefined } })),
    set: 'crowded'
  },
  'KEY-04 (RFC 7517 §4.5): of several keys with one `kid`, four are tried': {
    reasons: ['signature'],
    applies: ({ header, set }) => header['kid'] === 'crowd' && set === 'crowded',
    examples: () => crowd.slice(4).map((key) => mint({ key, header: { kid: 'crowd' } })),
    set: 'crowded'
  },
  'ATV-08 JOS-19 (RFC 7519 §4.1): registered claims have their types, `aud` in every element, dates are finite': {
    reasons: ['claim'],
    applies: ({ claims }) =>
      ['iss', 'sub', 'jti', 'client_id'].some((name) => typeof claims[name] !== 'string' || claims[name] === '') ||
      ['exp', 'nbf', 'iat', 'auth_time'].some((name) => !isAbsent(claims[name]) && !Number.isFinite(claims[name])) ||
      [claims['aud']].flat().some((one) => typeof one !== 'string') ||
      (!isAbsent(claims['cnf']) && !isObject(claims['cnf'])),
    examples: () => [
      ...['sub', 'jti', 'client_id'].flatMap((name) =>
        [7, '', null].map((value) => mint({ claims: { [name]: value } }))
      ),
      mint({ claims: { aud: [RESOURCE, 7] } }),
      mint({ claims: { auth_time: '1' } }),
      mint({ claims: { cnf: 'x' } }),
      mint({ payload: (text) => text.replace(/}$/, ',"exp":1e999}') })
    ]
  },
  'SCP-03 (RFC 6749 §3.3): `scope` is made of scope tokens': {
    reasons: ['claim'],
    applies: ({ claims }) => !isScopes(claims['scope'] ?? claims['scp']),
    examples: () => ['read\twrite', 'a"b', 'é', 7, [7], {}].map((value) => mint({ claims: { scope: value } }))
  },
  'DEF-05: `iat` lies at most 60 s ahead': {
    reasons: ['not_yet_valid', 'claim'],
    applies: ({ claims }) => (claims['iat'] as number) > clock.now() + 60,
    examples: () => [mint({ claims: { iat: NOW + 61 } })]
  },
  'DEF-17 (RFC 7800 §3.1): a token bound to a key is no plain bearer token': {
    reasons: ['dpop_downgrade', 'certificate_binding', 'confirmation_unknown'],
    applies: ({ claims }) => isObject(claims['cnf']) || String(claims['token_type']).toLowerCase() === 'dpop',
    examples: () => [
      ...[{ jkt: 'x' }, { 'x5t#S256': 'x' }, { kid: 'x' }, {}].map((cnf) => mint({ claims: { cnf } })),
      mint({ claims: { token_type: 'DPoP' } })
    ]
  }
}

/** For a token that jose accepted: what may be read of it without a doubt. */
function parts(token: string, set: KeySetName): Parts {
  const segments = token.split('.')
  const bytes = segments.map((one) => Buffer.from(one.replace(/[\s=]/g, ''), 'base64url'))
  const read = (part: Buffer | undefined): Parts['header'] => JSON.parse(new TextDecoder().decode(part))
  return { token, segments, bytes, set, header: read(bytes[0]), claims: read(bytes[1]) }
}

// ---- tokens

interface Recipe {
  readonly alg?: Algorithm
  /** Who signs; default: the issuer's key for `alg`. */
  readonly key?: Signer
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
  /** Alters the JSON texts before they are encoded. */
  readonly headerText?: (text: string) => string | Uint8Array
  readonly payload?: (text: string) => string | Uint8Array
  /** Alters the encoded segments before they are signed. */
  readonly encoded?: (segment: string) => string
  readonly signature?: (bytes: Buffer, alg: Algorithm) => Uint8Array
}

function mint(recipe: Recipe): string {
  const { encoded = (segment) => segment } = recipe
  const alg = recipe.alg ?? 'ES256'
  const header = { typ: 'at+jwt', alg, kid: alg, ...recipe.header }
  const claims = {
    iss: ISSUER,
    aud: RESOURCE,
    sub: 'u1',
    client_id: 'c1',
    iat: NOW - 10,
    exp: NOW + 300,
    jti: 't1',
    scope: 'read',
    ...recipe.claims
  }
  const encode = (text: string, alter: Recipe['payload']): string =>
    encoded(Buffer.from((alter ?? ((same) => same))(text)).toString('base64url'))
  const input = `${encode(JSON.stringify(header), recipe.headerText)}.${encode(JSON.stringify(claims), recipe.payload)}`
  const bytes = Buffer.from(signature(input, recipe.key ?? signer(alg)))
  return `${input}.${Buffer.from(recipe.signature?.(bytes, alg) ?? bytes).toString('base64url')}`
}

const odd = fc.constantFrom<unknown>(
  undefined,
  null,
  true,
  false,
  0,
  -1,
  1.5,
  '',
  ' ',
  'x',
  [],
  {},
  ['x'],
  [RESOURCE],
  [null],
  '__proto__',
  'constructor'
)
const algorithm = fc.constantFrom(...SIGNATURE_ALGORITHMS)
const instant = fc.constantFrom<unknown>(
  ...[-1000, -60, -31, -30, -29, -1, 0, 1, 29, 30, 31, 59, 60, 61, 1000].flatMap((one) => [NOW + one, NOW + one + 0.5]),
  -NOW,
  0,
  1e300,
  `${NOW + 300}`,
  null
)

const claimEdits: fc.Arbitrary<Recipe['claims']> = fc.oneof(
  fc.constant({}),
  fc.record({ exp: instant }),
  fc.record({ nbf: instant }),
  fc.record({ iat: instant }),
  fc.record({
    iss: fc.oneof(odd, fc.constantFrom(`${ISSUER}/`, ISSUER.toUpperCase(), [ISSUER], 'https://evil.example'))
  }),
  fc.record({
    aud: fc.oneof(
      odd,
      fc.constantFrom<unknown>(`${RESOURCE}/`, [RESOURCE], ['x', RESOURCE], [RESOURCE, 7], [[RESOURCE]], {
        0: RESOURCE
      })
    )
  }),
  fc
    .tuple(fc.constantFrom('sub', 'client_id', 'jti', 'auth_time', 'scope', 'scp', 'cnf', 'token_type', 'typ'), odd)
    .map(([name, value]) => ({ [name]: value })),
  fc.record({ scope: fc.constantFrom<unknown>('a  b', ' a ', 'a\tb', 'a"b', 'é', ['a b'], ['a', 'b'], [1]) }),
  fc.record({ cnf: fc.constantFrom<unknown>({ jkt: 'x' }, { 'x5t#S256': 'x' }, { kid: 'x' }) }),
  fc.constantFrom(
    { token_type: 'DPoP' },
    { token_type: 'Bearer' },
    { events: {} },
    { nonce: 'n' },
    { act: { sub: 'x' } }
  ),
  fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
)

const headerEdits: fc.Arbitrary<Recipe['header']> = fc.oneof(
  fc.constant({}),
  fc.record({
    typ: fc.oneof(
      odd,
      fc.constantFrom(
        'AT+JWT',
        'at+JWT',
        'application/at+jwt',
        'APPLICATION/AT+JWT',
        'text/at+jwt',
        'JWT',
        'at+jwt ',
        'dpop+jwt'
      )
    )
  }),
  fc.record({
    alg: fc.oneof(odd, algorithm, fc.constantFrom('none', 'nOnE', 'HS256', 'es256', 'ES256 ', 'ES256K', 'ML-DSA-44'))
  }),
  fc.record({ kid: fc.oneof(odd, algorithm, fc.constantFrom('crowd', 'RSA', 'P-256', '../k', 'k'.repeat(300))) }),
  fc.record({ crit: fc.oneof(odd, fc.constantFrom(['exp'], ['b64'], ['alg'], ['b64', 'b64'])) }),
  fc.constantFrom(
    { crit: ['b64'], b64: true },
    { crit: ['b64'], b64: false },
    { b64: false },
    { b64: true },
    { zip: 'DEF' },
    { cty: 'JWT' },
    { jku: 'https://evil.example/jwks' },
    { x5u: 'https://evil.example/x5u' },
    { x5c: ['MIIB'] },
    { x5t: 'x', nonce: 'n', iss: ISSUER }
  ),
  algorithm.map((alg) => ({ jwk: publicJwk(strangers[pairName(alg)]) })),
  fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
)

type TextEdit = (text: string) => string | Uint8Array
const same: TextEdit = (text) => text
const nest = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

/** JSON texts that a parser may read in more than one way, or not at all. */
const textEdit = fc.oneof(
  { weight: 10, arbitrary: fc.constant(same) },
  fc.constantFrom<TextEdit>(
    (text) => ` \t\r\n${text} `,
    (text) => Buffer.concat([BOM, Buffer.from(text)]),
    (text) => `\u00a0${text}`,
    (text) => `${text}x`,
    (text) => `${text}\0`,
    (text) => `[${text}]`,
    (text) => text.slice(0, -1),
    (text) => text.replaceAll('"', "'"),
    (text) => text.replace('}', ',}'),
    (text) =>
      Buffer.concat([
        Buffer.from(text.slice(0, -1)),
        Buffer.from(',"x":"'),
        Buffer.from([0xc3, 0x28]),
        Buffer.from('"}')
      ]),
    (text) => Buffer.from(text, 'utf16le'),
    (text) => text.replace('}', ',"x":"\\ud800"}'),
    (text) => text.replace('}', `,"x":${nest(1500)}}`),
    () => '',
    () => 'null',
    () => '1',
    () => '"x"',
    () => '{}',
    // Duplicate members: the last one counts, for both.
    (text) => text.replace('{', '{"iss":"https://evil.example","alg":"none","exp":1,'),
    (text) => text.replace(/}$/, ',"iss":"https://evil.example"}'),
    (text) => text.replace(/}$/, ',"alg":"none"}'),
    (text) => text.replace(/}$/, `,"exp":${NOW - 60}}`),
    (text) => text.replace(/}$/, ',"exp":1e999}'),
    (text) => text.replace(/}$/, ',"exp":-1e999,"nbf":-1e999}'),
    (text) => text.replace(/}$/, ',"__proto__":{"admin":true}}'),
    (text) => text.replace(/"exp":\d+/, '"\\u0065xp":1.75e9')
  )
)

/** Segments spelt otherwise, and signed so. */
const encodedEdit = fc.oneof(
  { weight: 12, arbitrary: fc.constant((segment: string) => segment) },
  fc.constantFrom(
    (segment: string) => `${segment}=`,
    (segment: string) => segment.padEnd(Math.ceil(segment.length / 4) * 4, '='),
    (segment: string) => ` ${segment}`,
    (segment: string) => `${segment}\n`,
    (segment: string) => `${segment}A`,
    withUnusedBits
  )
)

/** The last character with other unused bits, where it has any: the same bytes, another text. */
function withUnusedBits(segment: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  if (segment.length % 4 < 2) return segment
  return segment.slice(0, -1) + (alphabet[alphabet.indexOf(segment.slice(-1)) | 1] as string)
}

const toInteger = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`)
const toBytes = (value: bigint, length: number): Buffer =>
  Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')

/** Orders of the curves' groups, for the other valid signature (r, n − s) and for values out of range. */
const ORDERS: Partial<Record<Algorithm, bigint>> = {
  ES256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ES384: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ES512:
    0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n
}

function der(bytes: Buffer): Buffer {
  const integer = (part: Buffer): Buffer => {
    const trimmed = toBytes(toInteger(part), Math.max(1, Math.ceil(toInteger(part).toString(16).length / 2)))
    const content = (trimmed[0] as number) & 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed
    return Buffer.concat([Buffer.from([2, content.length]), content])
  }
  const half = bytes.length / 2
  const body = Buffer.concat([integer(bytes.subarray(0, half)), integer(bytes.subarray(half))])
  return Buffer.concat([Buffer.from(body.length < 128 ? [0x30, body.length] : [0x30, 0x81, body.length]), body])
}

type SignatureEdit = NonNullable<Recipe['signature']>
const halves = (edit: (r: bigint, s: bigint, order: bigint) => readonly [bigint, bigint]): SignatureEdit => {
  return (bytes, alg) => {
    const order = ORDERS[alg]
    if (order === undefined) return Buffer.alloc(bytes.length)
    const half = bytes.length / 2
    const [r, s] = edit(toInteger(bytes.subarray(0, half)), toInteger(bytes.subarray(half)), order)
    return Buffer.concat([toBytes(r, half), toBytes(s, half)])
  }
}

const signatureEdit = fc.oneof(
  { weight: 12, arbitrary: fc.constant<SignatureEdit>((bytes) => bytes) },
  fc.constantFrom<SignatureEdit>(
    (bytes) => bytes.subarray(1),
    (bytes) => bytes.subarray(0, -1),
    (bytes) => bytes.subarray(0, bytes.length / 2),
    (bytes) => Buffer.concat([bytes, Buffer.from([0])]),
    (bytes) => Buffer.concat([Buffer.from([0]), bytes]),
    (bytes) => Buffer.concat([bytes, bytes]),
    () => Buffer.alloc(0),
    (bytes) => Buffer.alloc(bytes.length),
    (bytes) => Buffer.alloc(bytes.length, 0xff),
    (bytes) => Buffer.from(bytes).reverse(),
    (bytes, alg) => (alg.startsWith('ES') ? der(bytes) : bytes),
    halves((r, s, n) => [r, n - s]),
    halves((r, s) => [s, r]),
    halves((_, s) => [0n, s]),
    halves((r) => [r, 0n]),
    halves((_, s, n) => [n, s]),
    halves(() => [1n, 1n])
  )
)

/** Keys that should not have signed: a stranger's, another algorithm's, and public keys taken for secrets. */
const forgers = (alg: Algorithm): readonly Signer[] => {
  const { publicKey } = pairs[pairName(alg)] as { readonly publicKey: KeyObject }
  const secrets = [
    publicKey.export({ type: 'spki', format: 'pem' }),
    publicKey.export({ type: 'spki', format: 'der' }),
    JSON.stringify(publicKey.export({ format: 'jwk' }))
  ]
  return [
    signer(alg, strangers),
    ...(pairName(alg) === 'RSA' ? [signer('RS256'), signer('PS256'), signer('PS512')] : []),
    { alg: 'none', privateKey: publicKey },
    ...secrets.map((one) => ({ alg: 'HS256', privateKey: createSecretKey(Buffer.from(one)) }) as const)
  ]
}

/** Edits of a finished token that need no key. */
type TokenEdit = (token: string) => string
const segmentEdit = (edit: (segments: string[]) => readonly string[]): TokenEdit => {
  return (token) => edit(token.split('.')).join('.')
}
const flipBit: fc.Arbitrary<TokenEdit> = fc.tuple(fc.nat(2), fc.nat(), fc.nat(7)).map(([segment, at, bit]) =>
  segmentEdit((all) =>
    all.map((one, i) => {
      const bytes = Buffer.from(one, 'base64url')
      if (i !== segment || bytes.length === 0) return one
      bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << bit)
      return bytes.toString('base64url')
    })
  )
)
const replaceCharacter: fc.Arbitrary<TokenEdit> = fc
  .tuple(fc.nat(), fc.constantFrom(...'AZaz09-_+/=.~, \t"'.split('')), fc.boolean())
  .map(([at, character, insert]) => (token) => {
    const i = at % Math.max(1, token.length)
    return token.slice(0, i) + character + token.slice(insert ? i : i + 1)
  })
const tokenEdit: fc.Arbitrary<TokenEdit> = fc.oneof(
  { weight: 12, arbitrary: fc.constant((token: string) => token) },
  flipBit,
  flipBit,
  replaceCharacter,
  fc
    .shuffledSubarray([0, 1, 2], { minLength: 1 })
    .map((order) => segmentEdit((all) => order.map((i) => all[i] as string))),
  fc.constantFrom<TokenEdit>(
    (token) => `${token}.`,
    (token) => `.${token}`,
    (token) => `${token}=`,
    (token) => `${token}==`,
    (token) => ` ${token}`,
    (token) => `${token} `,
    (token) => `${token}.${token}`,
    (token) => `${token}, Bearer ${token}`,
    (token) => token.toLowerCase(),
    segmentEdit((all) => all.map(withUnusedBits)),
    segmentEdit(([h, p, s]) => [h as string, p as string, withUnusedBits(s as string)]),
    segmentEdit(([, p, s]) => [
      Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url'),
      p as string,
      s as string
    ]),
    segmentEdit(([h, p]) => [h as string, p as string, '']),
    segmentEdit(([h, , s]) => [h as string, '', s as string]),
    segmentEdit(([h, p, s]) => [h as string, p as string, s as string, '', ''])
  )
)

interface Sample {
  readonly token: string
  readonly set: KeySetName
  readonly now: number
}

/** One token, with any mixture of the edits above, and mostly few of them. */
const sample: fc.Arbitrary<Sample> = fc
  .record({
    alg: algorithm,
    set: fc.constantFrom<KeySetName>('named', 'named', 'open', 'open', 'crowded'),
    withKid: fc.boolean(),
    crowded: fc.nat(crowd.length - 1),
    forger: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.nat(20)),
    header: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: headerEdits }),
    claims: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: claimEdits }),
    headerText: textEdit,
    payload: textEdit,
    encoded: encodedEdit,
    signature: signatureEdit,
    edit: tokenEdit,
    now: fc.constantFrom(NOW, NOW, NOW, NOW, NOW, NOW - 41, NOW + 329, NOW + 330, NOW + 100_000)
  })
  .map(({ alg: chosen, set, withKid, crowded, forger, edit, header, claims, now, ...recipe }) => {
    const alg = set === 'crowded' ? 'ES256' : chosen
    const kid = { named: alg, open: pairName(alg), crowded: 'crowd' }[set]
    const rightful = set === 'crowded' ? (crowd[crowded] as Signer) : signer(alg)
    const list = forgers(alg)
    const key = forger === undefined ? rightful : (list[forger % list.length] as Signer)
    const forgedAlg = key.alg.startsWith('HS') || key.alg === 'none' ? { alg: key.alg } : {}
    const named = { kid: withKid ? kid : undefined }
    const token = edit(
      mint({
        ...recipe,
        alg,
        key,
        header: { ...named, ...forgedAlg, ...header },
        claims: claims ?? {}
      })
    )
    return { token, set, now }
  })

// ---- where we are more lenient, and why

/** RFC 7519 §4.1.5: `nbf` is optional. One that is null or an empty text says nothing here, and jose calls it no number. */
const isMoreLenient = ({ claims }: Parts): boolean => claims['nbf'] !== undefined && isAbsent(claims['nbf'])

// ---- the property

describe('jose as the oracle', () => {
  const tally = { accepted: 0, stricter: 0, refused: 0 }

  test('ATV-05 JOS-01 JOS-05 JOS-07: accepts valid, mutated and broken tokens exactly as jose does, or is stricter by a listed rule', async () => {
    await fc.assert(
      fc.asyncProperty(sample, async ({ token, set, now }) => {
        clock.advance(now - clock.now())
        const [our, their] = [await ours(token, set), await theirs(token, set)]
        // Once more, now that a verified token may be remembered: the decision is the same.
        expect(await ours(token, set)).toEqual(our)
        if (typeof our !== 'string') {
          if (!isMoreLenient(parts(token, set))) {
            expect(their, 'accepted here, refused by jose').toBeDefined()
            expect(JSON.stringify(our)).toBe(JSON.stringify(their))
          }
          tally.accepted++
        } else if (their !== undefined) {
          const rules = Object.values(STRICTER).filter((one) => one.applies(parts(token, set)))
          expect(
            rules.flatMap((one) => one.reasons),
            'accepted by jose, refused here'
          ).toContain(our)
          tally.stricter++
        } else tally.refused++
      }),
      { numRuns: 2000, endOnFailure: false }
    )
  }, 60_000)

  test('the property generates many tokens of either kind', () => {
    expect(tally.accepted).toBeGreaterThan(200)
    expect(tally.stricter).toBeGreaterThan(40)
    expect(tally.refused).toBeGreaterThan(400)
  })

  test('ATV-06 (RFC 7519 §4.1.5): is more lenient than jose about an nbf that is null or empty, and about no other claim', async () => {
    clock.advance(NOW - clock.now())
    for (const nbf of [null, '']) {
      const token = mint({ claims: { nbf } })
      expect(await ours(token, 'named')).toMatchObject({ nbf })
      expect(await theirs(token, 'named')).toBeUndefined()
    }
  })

  test.each(SIGNATURE_ALGORITHMS)(
    'ATV-05 (RFC 7518 §3.1): jose and this package accept a valid %s token, with and without kid',
    async (alg) => {
      clock.advance(NOW - clock.now())
      for (const header of [{}, { kid: undefined }]) {
        const token = mint({ alg, header })
        expect(await theirs(token, 'named')).toMatchObject({ sub: 'u1' })
        expect(await ours(token, 'named')).toEqual(await theirs(token, 'named'))
      }
    }
  )

  test.each(SIGNATURE_ALGORITHMS)(
    'ATV-05 (RFC 7515 §5.2): jose and this package refuse every flipped bit of an %s signature',
    async (alg) => {
      clock.advance(NOW - clock.now())
      const token = mint({ alg })
      const [header, payload, last] = token.split('.') as [string, string, string]
      const bytes = Buffer.from(last, 'base64url')
      // Every byte, each time another bit of it.
      for (let i = 0; i < bytes.length; i += Math.ceil(bytes.length / 64)) {
        const forged = Buffer.from(bytes)
        forged[i] = (forged[i] as number) ^ (1 << (i % 8))
        const mutated = `${header}.${payload}.${forged.toString('base64url')}`
        expect(await ours(mutated, 'named')).toBe('signature')
        expect(await theirs(mutated, 'named')).toBeUndefined()
      }
    }
  )

  test.each(Object.entries(STRICTER))(
    'is stricter than jose: %s',
    async (_, { examples, set = 'named', reasons, applies }) => {
      clock.advance(NOW - clock.now())
      for (const token of examples()) {
        expect(await theirs(token, set), token).toMatchObject({ iss: ISSUER })
        expect(reasons, token).toContain(await ours(token, set))
        expect(applies(parts(token, set))).toBe(true)
        // Of all the rules, this one alone explains it.
        expect(Object.values(STRICTER).filter((one) => one.applies(parts(token, set)))).toHaveLength(1)
      }
    }
  )

  test.each(['PS256', 'PS384', 'PS512'] as const)(
    'ATV-05 (RFC 7518 §3.5): jose and this package refuse a %s signature with a salt of another length',
    async (alg) => {
      clock.advance(NOW - clock.now())
      const digest = `sha${alg.slice(2)}`
      const key = (pairs['RSA'] as Signer).privateKey
      const right = Number(alg.slice(2)) / 8
      for (const saltLength of [0, 20, right - 1, right, right + 1, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
        const [header, payload] = mint({ alg }).split('.') as [string, string]
        const input = `${header}.${payload}`
        const bytes = sign(digest, Buffer.from(input), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
        const token = `${input}.${bytes.toString('base64url')}`
        expect(typeof (await ours(token, 'named')) === 'object', `salt of ${saltLength}`).toBe(saltLength === right)
        expect((await theirs(token, 'named')) !== undefined).toBe(saltLength === right)
      }
    }
  )

  test('JOS-06 (RFC 8725 §2.1): jose and this package refuse an HMAC keyed with a published key, however the key is written', async () => {
    clock.advance(NOW - clock.now())
    for (const alg of SIGNATURE_ALGORITHMS) {
      for (const key of forgers(alg).filter((one) => one.alg === 'HS256')) {
        for (const claimed of ['HS256', alg]) {
          const token = mint({ alg, key, header: { alg: claimed } })
          expect(['algorithm', 'signature']).toContain(await ours(token, 'named'))
          expect(await theirs(token, 'named')).toBeUndefined()
        }
      }
    }
  })

  test('JOS-10 (RFC 8725 §3.10): jose and this package refuse a token signed by the key in its own header', async () => {
    clock.advance(NOW - clock.now())
    const key = signer('ES256', strangers)
    const jwk = createPublicKey(key.privateKey).export({ format: 'jwk' })
    for (const kid of ['ES256', undefined, 'unknown']) {
      const token = mint({ key, header: { jwk, kid } })
      expect(await ours(token, 'named')).not.toBeInstanceOf(Object)
      expect(await theirs(token, 'named')).toBeUndefined()
    }
  })
})
