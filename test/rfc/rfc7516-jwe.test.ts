/** The rules about encrypted access tokens: RFC 7516, RFC 7518 §4, RFC 8725 and RFC 9068 §4. */
import { generateKeyPairSync } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { CompactEncrypt, importJWK, type JWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { type DecryptionKey, type IssuerOptions, type ResourceServer, resourceServer } from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  RESOURCE,
  refusal,
  request,
  strangeKey,
  unavailableFor
} from '../support/exchange.js'
import { base64url, type TestIssuer } from '../support/issuer.js'
import { type Encryption, encryptJwe } from '../support/jwe.js'

const bed = createBed()

beforeAll(() => Promise.all([import('jose'), import('undici')]))

/** A private key with an odd number: with an even one a point of order two would vanish instead of giving itself away. */
function oddKeyPair() {
  for (;;) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { d } = pair.privateKey.export({ format: 'jwk' })
    if (((Buffer.from(d as string, 'base64url').at(-1) as number) & 1) === 1) return pair
  }
}

const ec = { kid: 'ec', ...oddKeyPair() }
const rsa = { kid: 'rsa', ...generateKeyPairSync('rsa', { modulusLength: 2048 }) }
const okp = { kid: 'okp', ...generateKeyPairSync('x25519') }
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })

const decryptionKeys: readonly DecryptionKey[] = [
  { kid: 'ec', key: ec.privateKey, algorithm: 'ECDH-ES' },
  { kid: 'rsa', key: rsa.privateKey },
  { kid: 'okp', key: okp.privateKey, algorithm: 'ECDH-ES' }
]

/** An API with these keys, and its issuer. */
async function start(options: Partial<IssuerOptions> = {}): Promise<{ issuer: TestIssuer; api: ResourceServer }> {
  const issuer = await bed.issuer()
  return { issuer, api: bed.api({ issuers: [{ issuer: issuer.issuer, ...options }], decryptionKeys }) }
}

/** The same, where what is not verified here is introspected. Every token is active there. */
async function startIntrospecting(options: Partial<IssuerOptions> = {}) {
  const issuer = await bed.issuer()
  return { issuer, api: bed.api({ issuers: [introspecting(issuer, {}, options)], decryptionKeys }) }
}

describe('JOS-15 (RFC 8725 §3.3): encrypted is not signed', () => {
  test('JOS-15 (RFC 7516 §9): refuses a JWE without a key to read it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, encryptJwe(issuer.token(), ec))).toEqual(denial.type)
  })

  test('JOS-15 (RFC 7662 §2.1): introspects a JWE without a key to read it, where that is configured', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const jwe = encryptJwe(issuer.token(), ec)
    expect(await ask(api, jwe)).toEqual(denial.inactive)
    issuer.opaque({}, jwe)
    bed.clock.advance(10)
    expect(await ask(api, jwe)).toEqual(granted)
    expect(issuer.requests.at(-1)?.form.get('token')).toBe(jwe)
  })

  test.each([
    ['ECDH-ES on P-256', ec],
    ['RSA-OAEP-256', rsa],
    ['ECDH-ES on X25519', okp]
  ])('JOS-15 (RFC 9068 §2.1): accepts a signed token that is encrypted with %s', async (_, recipient) => {
    const { issuer, api } = await start()
    const jwe = encryptJwe(issuer.token(), recipient)
    const access = await authorize(api, jwe)
    expect(access).toMatchObject({ issuer: issuer.issuer, subject: 'u1', clientId: 'c1', scopes: ['read'] })
    expect(access.token).toBe(jwe)
  })

  test('JOS-15: caches the encrypted text, not the token inside, and for no longer than it lives', async () => {
    const { issuer, api } = await start()
    const inner = issuer.token()
    const jwe = encryptJwe(inner, ec)
    const first = await authorize(api, jwe)
    expect(authorize(api, jwe)).toBe(first)
    expect(api.stats().cache.verified.entries).toBe(1)
    expect((await authorize(api, inner)).token).toBe(inner)
    bed.clock.advance(330)
    expect(await ask(api, jwe)).toEqual(denial.expired)
  })

  test('JOS-15 (RFC 8725 §3.3): refuses a token that a stranger signed and encrypted to this API', async () => {
    const { issuer, api } = await startIntrospecting()
    const jwe = encryptJwe(issuer.token({ key: strangeKey('k1') }), ec)
    issuer.opaque({}, jwe)
    expect(await ask(api, jwe)).toEqual(denial.signature)
    expect(issuer.count('introspection')).toBe(0)
  })

  test.each([
    ['expired', { claims: { exp: 1 } }, denial.expired],
    ['for another API', { claims: { aud: 'https://other.example' } }, denial.audience],
    ['of another issuer', { claims: { iss: 'https://other.example' } }, denial.issuer],
    ['without jti', { claims: { jti: undefined } }, denial.claim]
  ])('JOS-15 (RFC 9068 §4): refuses a token inside that is %s, like any other', async (_, overrides, expected) => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(issuer.token(overrides), ec))).toEqual(expected)
  })
})

describe('JOS-16 (RFC 9068 §4): the token inside', () => {
  test.each([
    ['plain claims', (issuer: TestIssuer) => Buffer.from(issuer.token().split('.')[1] as string, 'base64url')],
    ['nothing', () => ''],
    ['an opaque token', () => 'b64token'],
    ['bytes that are no text', () => Buffer.from([0xff, 0xfe, 0x2e, 0x80])],
    ['another JWE', (issuer: TestIssuer) => encryptJwe(issuer.token(), ec)],
    ['an ID token', (issuer: TestIssuer) => issuer.token({ header: { typ: 'JWT' } })],
    ['a signed JWT without typ', (issuer: TestIssuer) => issuer.token({ header: { typ: undefined } })]
  ] as const)('JOS-16 (RFC 8725 §3.3): does not accept %s inside a JWE', async (_, content) => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(content(issuer), ec))).toEqual(denial.type)
  })

  test('JOS-16 (RFC 8725 §3.2): refuses an unsigned JWT inside a JWE', async () => {
    const { issuer, api } = await start()
    const { privateKey } = issuer.key()
    const unsigned = issuer.token({ key: { alg: 'none', privateKey } })
    expect(await ask(api, encryptJwe(unsigned, ec))).toEqual(denial.signature)
  })

  test.each([
    ['RSA1_5', rsa],
    ['RSA-OAEP', rsa],
    ['RSA-OAEP-512', rsa],
    ['dir', rsa],
    ['A256KW', rsa],
    ['A256GCMKW', rsa],
    ['PBES2-HS512+A256KW', rsa],
    ['none', rsa],
    ['rsa-oaep-256', rsa],
    ['', rsa],
    [undefined, rsa],
    [['RSA-OAEP-256'], rsa],
    ['ECDH-ES+A256KW', ec],
    ['dir', ec]
  ] as const)('JOS-16 (RFC 8725 §3.2): refuses the key management algorithm %j', async (alg, recipient) => {
    const { issuer, api } = await startIntrospecting()
    const jwe = encryptJwe(issuer.token(), recipient, { header: { alg } })
    issuer.opaque({}, jwe)
    expect(await ask(api, jwe)).toEqual(denial.decryption)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('JOS-16 (RFC 8725 §3.1): reads RSA-OAEP (SHA-1) with a key that names it, which then reads nothing else', async () => {
    const issuer = await bed.issuer()
    const sha1 = { kid: 'rsa', key: rsa.privateKey, algorithm: 'RSA-OAEP' } as const
    const api = bed.api({ issuers: [issuer.issuer], decryptionKeys: [sha1] })
    const wrap = (alg: string) => encryptJwe(issuer.token(), rsa, { header: { alg } })
    expect(await ask(api, wrap('RSA-OAEP'))).toEqual(granted)
    expect(await ask(api, wrap('RSA-OAEP-256'))).toEqual(denial.decryption)
    expect(await ask(api, wrap('RSA1_5'))).toEqual(denial.decryption)
    const strange = issuer.token({ key: strangeKey('k1') })
    expect(await ask(api, encryptJwe(strange, rsa, { header: { alg: 'RSA-OAEP' } }))).toEqual(denial.signature)
  })

  test('JOS-16 (RFC 8725 §3.1): uses a key only for the algorithm that it is configured with', async () => {
    const { issuer, api } = await start()
    const wrap = (alg: string) =>
      new CompactEncrypt(Buffer.from(issuer.token()))
        .setProtectedHeader({ alg, enc: 'A256GCM', kid: 'ec' })
        .encrypt(ec.publicKey)
    expect(await ask(api, await wrap('ECDH-ES'))).toEqual(granted)
    expect(await ask(api, await wrap('ECDH-ES+A256KW'))).toEqual(denial.decryption)
  })

  test.each(['A128CBC', 'none', '', undefined, 1, 'a256gcm', 'A128GCM', 'A256CBC-HS512'])(
    'JOS-16 (RFC 7518 §5.1): refuses the content encryption %j, which the token was not encrypted with',
    async (enc) => {
      const { issuer, api } = await start()
      expect(await ask(api, encryptJwe(issuer.token(), ec, { header: { enc } }))).toEqual(denial.decryption)
    }
  )

  test.each([
    ['crit', { crit: ['exp'], exp: 1 }],
    ['an empty crit', { crit: [] }]
  ])('JOS-16 (RFC 7516 §4.1.13): refuses %s', async (_, header) => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(issuer.token(), ec, { header }))).toEqual(denial.decryption)
  })

  test.each([
    ['header', 0],
    ['encrypted key', 1],
    ['initialization vector', 2],
    ['ciphertext', 3],
    ['authentication tag', 4]
  ])('JOS-16 (RFC 7516 §5.2): refuses a token with its %s altered, and asks no other server', async (_, index) => {
    const { issuer, api } = await startIntrospecting()
    const jwe = encryptJwe(issuer.token(), rsa)
    expect(await ask(api, jwe)).toEqual(granted)
    const segments = jwe.split('.')
    const [header] = segments as [string]
    const flipped = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
    segments[index] =
      index === 0
        ? base64url({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), more: 1 })
        : flipped(segments[index] as string)
    const altered = segments.join('.')
    expect(altered).not.toBe(jwe)
    issuer.opaque({}, altered)
    expect(await ask(api, altered)).toEqual(denial.decryption)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('JOS-16 (RFC 7515 §2): refuses another text that decodes to the same bytes', async () => {
    const { issuer, api } = await start()
    const jwe = encryptJwe(issuer.token(), ec)
    expect(await ask(api, jwe)).toEqual(granted)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(jwe.at(-1) as string)
    const other = jwe.slice(0, -1) + alphabet[last + 1]
    expect(Buffer.from(other.split('.')[4] as string, 'base64url')).toEqual(
      Buffer.from(jwe.split('.')[4] as string, 'base64url')
    )
    expect(await ask(api, other)).toEqual(denial.decryption)
  })

  test('JOS-16 (RFC 7518 §5.3): refuses a shortened authentication tag', async () => {
    const { issuer, api } = await start()
    const jwe = encryptJwe(issuer.token(), ec)
    expect(await ask(api, jwe)).toEqual(granted)
    expect(await ask(api, jwe.slice(0, -6))).toEqual(denial.decryption)
  })
})

describe('JOS-17 (RFC 8725 §3.6): compression', () => {
  test.each([
    ['a token that is compressed', (token: string) => deflateRawSync(token), 'DEF'],
    ['10 MiB of nothing', () => deflateRawSync(Buffer.alloc(10 * 1024 * 1024)), 'DEF'],
    ['a zip that names nothing known', (token: string) => token, 'none'],
    ['a zip that is null', (token: string) => token, null]
  ] as const)('JOS-17 (RFC 7516 §4.1.3): refuses %s without reading it', async (_, content, zip) => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(content(issuer.token()), ec, { header: { zip } }))).toEqual(denial.decryption)
  })

  test('JOS-17 (RFC 7518 §4.8.1.2): never derives a key from a password that would take long', async () => {
    const { issuer, api } = await start()
    const header = { alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31 - 1, p2s: base64url('salt of 16 bytes') }
    expect(await ask(api, encryptJwe(issuer.token(), ec, { header }))).toEqual(denial.decryption)
  })
})

describe('JOS-18 (RFC 8725 §3.4): the ephemeral public key', () => {
  const point = (crv: string, x: Buffer, y?: Buffer) => ({
    kty: y ? 'EC' : 'OKP',
    crv,
    x: base64url(x),
    ...(y && { y: base64url(y) })
  })
  const number = (value: number, bytes = 32): Buffer => Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex')
  const { epk: _, ...otherCurve } = { epk: 1, ...p384.publicKey.export({ format: 'jwk' }) }

  // Doubling and adding points never uses the curve's `b`. With y = 0 a point is of order two on the curve of another
  // `b`: multiplied with an odd private key by whoever does not look, it gives itself, and its x is the shared secret.
  const invalidCurve: Encryption = {
    header: { epk: point('P-256', number(7), number(0)) },
    sharedSecret: number(7)
  }
  // Points of small order: whatever the private key, the shared secret is zero (RFC 7748 §6.1).
  const lowOrder = (x: Buffer): Encryption => ({ header: { epk: point('X25519', x) }, sharedSecret: Buffer.alloc(32) })

  test.each([
    ['of order two on another curve', ec, invalidCurve],
    ['of X25519, zero', okp, lowOrder(Buffer.alloc(32))],
    ['of X25519, one', okp, lowOrder(Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]))],
    [
      'of X25519, of order eight',
      okp,
      lowOrder(Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex'))
    ],
    ['of another curve', ec, { header: { epk: otherCurve } }],
    ['the point at infinity', ec, { header: { epk: point('P-256', number(0), number(0)) } }],
    ['without y', ec, { header: { epk: { kty: 'EC', crv: 'P-256', x: base64url(number(7)) } } }],
    ['that is missing', ec, { header: { epk: undefined } }],
    ['that is null', ec, { header: { epk: null } }],
    ['that is a text', ec, { header: { epk: 'P-256' } }],
    ['with a private part', ec, { header: { epk: ec.privateKey.export({ format: 'jwk' }) } }],
    ['of RSA', ec, { header: { epk: rsa.publicKey.export({ format: 'jwk' }) } }]
  ] as const)('JOS-18 (RFC 7518 §4.6.1.1): refuses a key %s', async (_, recipient, encryption) => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(issuer.token(), recipient, encryption))).toEqual(denial.decryption)
  })
})

describe('ATV-02 (RFC 9068 §4): required encryption', () => {
  test('ATV-02: refuses a token that is only signed, and accepts an encrypted one', async () => {
    const { issuer, api } = await start({ requireEncrypted: true })
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(denial.notEncrypted)
    expect(await ask(api, encryptJwe(token, ec))).toEqual(granted)
    expect(await ask(api, token)).toEqual(denial.notEncrypted)
    expect(((await refusal(() => authorize(api, token))) as { reason?: string }).reason).toBe('not_encrypted')
  })

  test('ATV-02: accepts both without `requireEncrypted`', async () => {
    const { issuer, api } = await start()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, encryptJwe(token, ec))).toEqual(granted)
  })

  test('ATV-02: introspects an opaque token of the same issuer all the same', async () => {
    const { issuer, api } = await startIntrospecting({ requireEncrypted: true })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(await ask(api, issuer.token())).toEqual(denial.notEncrypted)
  })

  test.each([
    ['without keys', { requireEncrypted: true }, undefined, /issuers\[0\]\.requireEncrypted` is true without/],
    [
      'where nothing is verified here',
      { requireEncrypted: true, tokens: 'opaque', introspection: { auth: () => {} } },
      decryptionKeys,
      /issuers\[0\]\.requireEncrypted` has no effect/
    ],
    ['that is no boolean', { requireEncrypted: 'yes' }, decryptionKeys, /issuers\[0\]\.requireEncrypted` is "yes"/]
  ] as const)('ATV-02: refuses at start requireEncrypted %s', (_, options, keys, expected) => {
    const issuers = [{ issuer: 'https://as.example.com', ...options } as IssuerOptions]
    expect(() => resourceServer({ resource: RESOURCE, issuers, ...(keys && { decryptionKeys: keys }) })).toThrow(
      expected
    )
  })

  test('ATV-02: an issuer of a resolver may require encryption too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: () => ({ issuer: issuer.issuer, requireEncrypted: true }), decryptionKeys })
    expect(await ask(api, issuer.token())).toEqual(denial.notEncrypted)
    expect(await ask(api, encryptJwe(issuer.token(), ec))).toEqual(granted)
    const without = bed.api({ issuers: () => ({ issuer: issuer.issuer, requireEncrypted: true }) })
    expect(await ask(without, issuer.token())).toEqual(denial.misconfigured)
  })
})

describe('ASQ-09: a JWE for another recipient', () => {
  test.each([
    ['names another key', { kid: 'theirs' }],
    ['names no key, and an algorithm of none of ours', { kid: undefined, alg: 'dir' }]
  ])('ASQ-09: introspects a JWE that %s', async (_, header) => {
    const { issuer, api } = await startIntrospecting()
    const jwe = encryptJwe(issuer.token(), ec, { header })
    issuer.opaque({}, jwe)
    expect(await ask(api, jwe)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('ASQ-09: refuses a JWE that it cannot read without introspection', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, encryptJwe(issuer.token(), ec, { header: { kid: 'theirs' } }))).toEqual(denial.decryption)
  })

  test("ASQ-09: decrypts nothing where every token is introspected (tokens: 'opaque')", async () => {
    const { issuer, api } = await startIntrospecting({ tokens: 'opaque' })
    const jwe = encryptJwe(issuer.token(), ec)
    expect(await ask(api, jwe)).toEqual(denial.inactive)
    expect(issuer.count('jwks')).toBe(0)
  })
})

describe('RFC 9728 §2: the keys of this API', () => {
  test('the metadata name the URL of the keys, and a token encrypted to one is accepted', async () => {
    const { issuer, api } = await start()
    const uri = api.metadata?.document()['jwks_uri']
    expect(uri).toBe(`${RESOURCE}/.well-known/jwks.json`)
    const answer = api.metadata?.respond(request(undefined, {}, '/.well-known/jwks.json'))
    expect(answer?.headers['Content-Type']).toBe('application/jwk-set+json')
    const { keys } = JSON.parse(answer?.body as string) as { keys: JWK[] }
    expect(keys.map(({ kid }) => kid)).toEqual(['ec', 'rsa', 'okp'])
    for (const jwk of keys) {
      const jwe = new CompactEncrypt(Buffer.from(issuer.token()))
        .setProtectedHeader({ alg: jwk.alg as string, enc: 'A128CBC-HS256', kid: jwk.kid as string })
        .encrypt(await importJWK(jwk))
      expect(await ask(api, await jwe)).toEqual(granted)
    }
  })

  test('decrypts with a key that is to be replaced, while it is listed', async () => {
    const issuer = await bed.issuer()
    const [first, second] = decryptionKeys as [DecryptionKey, DecryptionKey]
    const jwe = encryptJwe(issuer.token(), ec)
    const withKeys = (...keys: DecryptionKey[]) => bed.api({ issuers: [issuer.issuer], decryptionKeys: keys })
    expect(await ask(withKeys(second, first), jwe)).toEqual(granted)
    expect(await ask(withKeys(second), jwe)).toEqual(denial.decryption)
  })

  test('answers a flood of tokens to decrypt with 503 and never a challenge', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.token())).toEqual(granted)
    const answers = Array.from({ length: 289 }, () => ask(api, encryptJwe('no token', ec)))
    const results = await Promise.all(answers)
    expect(results.at(-1)).toEqual(unavailableFor(1))
    expect(results.filter(({ status }) => status === 503)).toHaveLength(1)
    expect(results[0]).toEqual(denial.type)
  })

  test('serves a client whose encrypted token was verified before, while 400 junk JWEs wait', async () => {
    const { issuer, api } = await start()
    const victim = encryptJwe(issuer.token({ claims: { exp: bed.clock.now() + 3600 } }), ec)
    expect(await ask(api, victim)).toEqual(granted)
    // Past the time for which a verified token is remembered.
    bed.clock.advance(301)
    const flood = Array.from({ length: 400 }, () => ask(api, encryptJwe('no token', ec)))
    expect(await ask(api, victim)).toEqual(granted)
    expect((await Promise.all(flood)).filter(({ status }) => status === 503)).toHaveLength(112)
  })
})
