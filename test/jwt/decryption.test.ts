/** Our private keys: what may be one, what is published of it, and what it decrypts. The rules are in rfc/rfc7516-jwe.test.ts. */
import {
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKeyInput,
  type KeyObject
} from 'node:crypto'
import fc from 'fast-check'
import { CompactEncrypt, calculateJwkThumbprint, type JWK } from 'jose'
import { describe, expect, test } from 'vitest'
import { Problems } from '../../src/base/options/problems.js'
import { InvalidToken, Unavailable } from '../../src/errors/errors.js'
import { createDecrypt } from '../../src/jwt/decryption.js'
import { type DecryptionKeySettings, publicKeySet, readDecryptionKeys } from '../../src/jwt/decryption-keys.js'
import { encryptJwe } from '../support/jwe.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const x25519 = generateKeyPairSync('x25519')

/** The problems that these options have, without what they should be instead. */
function problemsOf(value: unknown): readonly string[] {
  const problems = new Problems()
  readDecryptionKeys(value, problems)
  if (!problems.any) return []
  const [, ...lines] = problems.error().message.split('\n')
  return lines.map((line) => line.replace(/^- /, '').replace(/: .*$/, ''))
}

function read(...keys: readonly object[]): readonly DecryptionKeySettings[] {
  const problems = new Problems()
  const settings = readDecryptionKeys(keys, problems)
  if (problems.any) throw problems.error()
  return settings
}

async function failure(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => undefined,
    (error: unknown) => error
  )
}

const tooSmall = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey

describe('the option decryptionKeys', () => {
  test.each([
    ['nothing', undefined, []],
    ['an empty list', [], ['`decryptionKeys` must be a list of at least one key']],
    ['no list', { key: rsa.privateKey, kid: 'a' }, ['`decryptionKeys` must be a list of at least one key']],
    [
      'no object',
      [rsa],
      [
        '`decryptionKeys[0].publicKey` is not an option here',
        '`decryptionKeys[0].privateKey` is not an option here',
        '`decryptionKeys[0].kid` is not a key identifier',
        '`decryptionKeys[0].key` is not a private key'
      ]
    ],
    ['null', [null], ['`decryptionKeys[0]` is null']],
    ['a public key', [{ key: rsa.publicKey, kid: 'a' }], ['`decryptionKeys[0].key` is not a private key']],
    [
      'a secret',
      [{ key: createSecretKey(Buffer.alloc(32)), kid: 'a' }],
      ['`decryptionKeys[0].key` is not a private key']
    ],
    [
      'PEM',
      [{ key: rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }), kid: 'a' }],
      ['`decryptionKeys[0].key` is not a private key']
    ],
    [
      'a small RSA key',
      [{ key: tooSmall, kid: 'a' }],
      ['`decryptionKeys[0].key` has 1024 bits; RSA keys need 2048 to 8192']
    ],
    [
      'a signature key',
      [{ key: generateKeyPairSync('ed25519').privateKey, kid: 'a' }],
      ['`decryptionKeys[0].key` is not an RSA, P-256, P-384, P-521 or X25519 key']
    ],
    [
      'an RSA-PSS key',
      [{ key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey, kid: 'a' }],
      ['`decryptionKeys[0].key` is not an RSA, P-256, P-384, P-521 or X25519 key']
    ],
    [
      'another curve',
      [{ key: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey, kid: 'a' }],
      ['`decryptionKeys[0].key` is not an RSA, P-256, P-384, P-521 or X25519 key']
    ],
    ['no kid', [{ key: rsa.privateKey }], ['`decryptionKeys[0].kid` is not a key identifier']],
    ['an empty kid', [{ key: rsa.privateKey, kid: '' }], ['`decryptionKeys[0].kid` is not a key identifier']],
    ['a kid of 256 characters', [{ key: rsa.privateKey, kid: 'k'.repeat(256) }], []],
    [
      'a kid of 257 characters',
      [{ key: rsa.privateKey, kid: 'k'.repeat(257) }],
      ['`decryptionKeys[0].kid` is not a key identifier']
    ],
    [
      'a kid twice',
      [
        { key: rsa.privateKey, kid: 'a' },
        { key: p256.privateKey, kid: 'a' }
      ],
      ['`decryptionKeys[1].kid` is that of an earlier key']
    ],
    ['RSA1_5', [{ key: rsa.privateKey, kid: 'a', algorithm: 'RSA1_5' }], ['`decryptionKeys[0].algorithm` is "RSA1_5"']],
    ['RSA-OAEP with SHA-1, by name', [{ key: rsa.privateKey, kid: 'a', algorithm: 'RSA-OAEP' }], []],
    [
      'RSA-OAEP with SHA-1 for another key type',
      [{ key: p256.privateKey, kid: 'a', algorithm: 'RSA-OAEP' }],
      ['`decryptionKeys[0].algorithm` is "RSA-OAEP"']
    ],
    ['dir', [{ key: p256.privateKey, kid: 'a', algorithm: 'dir' }], ['`decryptionKeys[0].algorithm` is "dir"']],
    [
      'an algorithm of another key type',
      [{ key: p256.privateKey, kid: 'a', algorithm: 'RSA-OAEP-256' }],
      ['`decryptionKeys[0].algorithm` is "RSA-OAEP-256"']
    ],
    [
      'an unknown member',
      [{ key: p256.privateKey, kid: 'a', alg: 'ECDH-ES' }],
      ['`decryptionKeys[0].alg` is not an option']
    ]
  ] as const)('%s', (_, value, expected) => {
    expect(problemsOf(value)).toEqual(expected)
  })

  test('the key determines the default algorithm, and the settings are frozen', () => {
    const keys = read(
      { key: rsa.privateKey, kid: 'a' },
      { key: p521.privateKey, kid: 'b' },
      { key: x25519.privateKey, kid: 'c', algorithm: 'ECDH-ES' },
      { key: rsa.privateKey, kid: 'd', algorithm: 'RSA-OAEP' }
    )
    expect(keys.map(({ kid, algorithm }) => [kid, algorithm])).toEqual([
      ['a', 'RSA-OAEP-256'],
      ['b', 'ECDH-ES+A256KW'],
      ['c', 'ECDH-ES'],
      ['d', 'RSA-OAEP']
    ])
    expect(Object.isFrozen(keys) && keys.every((key) => Object.isFrozen(key))).toBe(true)
  })
})

describe('publicKeySet', () => {
  test('contains the public half of each key, in order, and no private member', async () => {
    const pairs = { a: rsa, b: p256, c: p384, d: p521, e: x25519 }
    const settings = read(...Object.entries(pairs).map(([kid, { privateKey: key }]) => ({ kid, key })))
    const { keys } = publicKeySet(settings)
    expect(keys.map(({ kid, use, alg }) => [kid, use, alg])).toEqual([
      ['a', 'enc', 'RSA-OAEP-256'],
      ...['b', 'c', 'd', 'e'].map((kid) => [kid, 'enc', 'ECDH-ES+A256KW'])
    ])
    for (const jwk of keys) {
      const members = jwk['kty'] === 'RSA' ? ['n', 'e'] : jwk['kty'] === 'EC' ? ['crv', 'x', 'y'] : ['crv', 'x']
      expect(Object.keys(jwk).sort()).toEqual(['kty', 'kid', 'use', 'alg', ...members].sort())
      const { publicKey } = pairs[jwk['kid'] as keyof typeof pairs]
      expect(await calculateJwkThumbprint(jwk as JWK)).toBe(
        await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }) as JWK)
      )
      expect(createPublicKey({ key: jwk as JsonWebKeyInput['key'], format: 'jwk' }).equals(publicKey)).toBe(true)
    }
  })
})

const pairOf = (algorithm: string, { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }) =>
  [algorithm, publicKey, privateKey] as const
const ECDH = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW']
const ENCRYPTIONS = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512']

describe('createDecrypt', () => {
  test.each([
    ...['RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'RSA-OAEP'].map((alg) => pairOf(alg, rsa)),
    ...[p256, p384, p521, x25519].flatMap((pair) => ECDH.map((alg) => pairOf(alg, pair)))
  ])('decrypts what jose encrypted with %s to %o, in every content encryption', async (algorithm, publicKey, key) => {
    const decrypt = createDecrypt(read({ key, kid: 'ours', algorithm }))
    for (const enc of ENCRYPTIONS) {
      const encrypt = new CompactEncrypt(Buffer.from('a.b.c ä')).setProtectedHeader({
        alg: algorithm,
        enc,
        kid: 'ours'
      })
      expect(await decrypt(await encrypt.encrypt(publicKey))).toBe('a.b.c ä')
    }
  })

  test('selects the key by kid and alg; without kid the only one that fits alg', async () => {
    const decrypt = createDecrypt(
      read(
        { key: p256.privateKey, kid: 'new', algorithm: 'ECDH-ES' },
        { key: x25519.privateKey, kid: 'old', algorithm: 'ECDH-ES' },
        { key: rsa.privateKey, kid: 'rsa' }
      )
    )
    const encrypt = (publicKey: KeyObject, header: object): string =>
      encryptJwe('text', { publicKey, kid: 'none' }, { header: header as Record<string, unknown> })
    expect(await decrypt(encrypt(p256.publicKey, { kid: 'new' }))).toBe('text')
    expect(await decrypt(encrypt(x25519.publicKey, { kid: 'old' }))).toBe('text')
    expect(await decrypt(encrypt(rsa.publicKey, { kid: undefined }))).toBe('text')
    for (const [publicKey, header] of [
      [p256.publicKey, { kid: undefined }],
      [p256.publicKey, { kid: 'old' }],
      [p256.publicKey, { kid: 'New' }],
      [p256.publicKey, { kid: ['new'] }],
      [p256.publicKey, { kid: null }],
      [rsa.publicKey, { kid: 'new' }]
    ] as const) {
      expect(await failure(decrypt(encrypt(publicKey, header)))).toMatchObject({ reason: 'decryption' })
    }
  })

  test.each([
    ['ours by its kid', { kid: 'ours' }, true],
    ['ours by its kid, with an alg that is not', { kid: 'ours', alg: 'RSA1_5' }, true],
    ['ours by its alg', { kid: undefined }, true],
    ['nobody’s', { kid: undefined, alg: 'dir' }, false],
    ['another’s by its kid', { kid: 'theirs' }, false]
  ] as const)('isForUs: %s', (_, header, expected) => {
    const { isForUs } = createDecrypt(read({ key: p256.privateKey, kid: 'ours', algorithm: 'ECDH-ES' }))
    expect(isForUs(encryptJwe('text', { publicKey: p256.publicKey, kid: 'ours' }, { header }))).toBe(expected)
  })

  test.each(['', 'a.b.c', 'a.b.c.d.e.f', '....', '!.a.b.c.d', 'eyJhbGciOiJFUzI1NiJ9.e30.AA'])(
    'isForUs: false for %j, with or without keys',
    (text) => {
      expect(createDecrypt([]).isForUs(text)).toBe(false)
      expect(createDecrypt(read({ key: p256.privateKey, kid: 'ours' })).isForUs(text)).toBe(false)
    }
  )

  test.each([
    ['ECDH-ES', p256],
    ['RSA-OAEP-256', rsa]
  ])('%s: decrypts nothing if any character was altered', async (_, { publicKey, privateKey }) => {
    const algorithm = publicKey.asymmetricKeyType === 'rsa' ? 'RSA-OAEP-256' : 'ECDH-ES'
    const decrypt = createDecrypt(read({ key: privateKey, kid: 'ours', algorithm }))
    const jwe = encryptJwe('text', { publicKey, kid: 'ours' })
    const character = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 })
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: jwe.length - 1 }), character, async (at, other) => {
        fc.pre(jwe[at] !== other)
        const altered = jwe.slice(0, at) + other + jwe.slice(at + 1)
        expect(await failure(decrypt(altered))).toMatchObject({ status: 401, reason: 'decryption' })
      }),
      { numRuns: 500 }
    )
  })

  test('32 decryptions run and 256 wait; one more is 503, and a token that needs no key is still refused as before', async () => {
    const decrypt = createDecrypt(read({ key: p256.privateKey, kid: 'ours', algorithm: 'ECDH-ES' }))
    const jwe = encryptJwe('text', { publicKey: p256.publicKey, kid: 'ours' })
    const broken = encryptJwe('text', { publicKey: p256.publicKey, kid: 'ours' }, { header: { enc: 'A128GCM' } })
    const running = Array.from({ length: 288 }, (_, i) => failure(decrypt(i % 2 === 0 ? jwe : broken)))
    const error = await failure(decrypt(jwe))
    expect(error).toBeInstanceOf(Unavailable)
    expect(error).toMatchObject({ dependency: 'decryption', retryAfter: 1, status: 503 })
    const refusedUnread = encryptJwe('text', { publicKey: p256.publicKey, kid: 'ours' }, { header: { zip: 'DEF' } })
    expect(await failure(decrypt(refusedUnread))).toBeInstanceOf(InvalidToken)
    const results = await Promise.all(running)
    expect(results.filter((one) => one === undefined)).toHaveLength(144)
    expect(results.filter((one) => one instanceof InvalidToken)).toHaveLength(144)
    expect(await decrypt(jwe)).toBe('text')
  })

  test('decrypts a JWE that was verified before while 288 junk ones hold every place of strangers', async () => {
    const decrypt = createDecrypt(read({ key: p256.privateKey, kid: 'ours', algorithm: 'ECDH-ES' }))
    const [good, junk] = ['good', 'junk'].map((text) => encryptJwe(text, { publicKey: p256.publicKey, kid: 'ours' }))
    expect(await decrypt(good as string)).toBe('good')
    decrypt.confirm(good as string)
    const flood = Array.from({ length: 400 }, () => failure(decrypt(junk as string)))
    const victims = Array.from({ length: 272 }, () => decrypt(good as string))
    expect(await failure(decrypt(good as string))).toBeInstanceOf(Unavailable)
    expect(new Set(await Promise.all(victims))).toEqual(new Set(['good']))
    expect((await Promise.all(flood)).filter((one) => one instanceof Unavailable)).toHaveLength(112)
  })
})

test('jose reads what the tests encrypt by hand', async () => {
  const { compactDecrypt } = await import('jose')
  for (const { publicKey, privateKey } of [rsa, p256, p384, p521, x25519]) {
    const { plaintext, protectedHeader } = await compactDecrypt(encryptJwe('text', { publicKey, kid: 'k' }), privateKey)
    expect(Buffer.from(plaintext).toString()).toBe('text')
    expect(protectedHeader.kid).toBe('k')
  }
})
