/** A published key set as signature keys: what is read, what is passed over and why, and what is found. */
import type { KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SignatureAlgorithm, SignatureKey } from '../../src/jwt/algorithms.js'
import { importPublicKey, MAX_IMPORTED, MAX_KEYS, readKeySet, sha256, thumbprint } from '../../src/jwt/key-set.js'
import { createVerifySignature } from '../../src/jwt/verify-signature.js'
import { thumbprintOf } from '../support/dpop.js'
import { ALGORITHMS, type Algorithm, createSigningKey, signature } from '../support/issuer.js'

const ec = createSigningKey('ES256', { kid: 'ec' })
const rsa = createSigningKey('RS256', { kid: 'rsa' })
const ed = createSigningKey('EdDSA', { kid: 'ed' })

/** A key as a publisher who leaves everything optional out would write it. */
function bare({ publicJwk }: typeof ec, members: Record<string, unknown> = {}): Record<string, unknown> {
  const { alg: _alg, use: _use, kid: _kid, ...rest } = publicJwk
  return { ...rest, ...members }
}

const ALL: readonly SignatureAlgorithm[] = ALGORITHMS

/** A number as a JWK has it. */
function base64url(number: bigint): string {
  const hex = number.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
}

/** The algorithms under which a set finds a key for this kid. */
function algorithms(keys: readonly unknown[], kid: string | undefined): SignatureAlgorithm[] {
  const set = readKeySet({ keys })
  return ALL.filter((algorithm) => set.find(algorithm, kid).length > 0)
}

describe('algorithms of a key', () => {
  test('a key that names no algorithm is used with those of its type and curve', () => {
    expect(algorithms([bare(rsa, { kid: 'k' })], 'k')).toEqual(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
    expect(algorithms([bare(ec, { kid: 'k' })], 'k')).toEqual(['ES256'])
    expect(algorithms([bare(createSigningKey('ES384'), { kid: 'k' })], 'k')).toEqual(['ES384'])
    expect(algorithms([bare(createSigningKey('ES512'), { kid: 'k' })], 'k')).toEqual(['ES512'])
    expect(algorithms([bare(ed, { kid: 'k' })], 'k')).toEqual(['EdDSA', 'Ed25519'])
  })

  test('a key that names an algorithm is used with that one only (RFC 8725 §3.1)', () => {
    expect(algorithms([bare(rsa, { kid: 'k', alg: 'PS384' })], 'k')).toEqual(['PS384'])
    expect(algorithms([bare(ed, { kid: 'k', alg: 'Ed25519' })], 'k')).toEqual(['Ed25519'])
  })

  test('a found key verifies the signature', () => {
    for (const alg of ALL as readonly Algorithm[]) {
      const key = createSigningKey(alg)
      const [found] = readKeySet({ keys: [key.publicJwk] }).find(alg, key.kid)
      const signed = signature('input', key)
      expect(found?.signatureLength).toBe(signed.length)
      const [verify, segment] = [createVerifySignature(), Buffer.from(signed).toString('base64url')]
      expect(verify(found as SignatureKey, 'input', segment)).toBe(true)
      expect(verify(found as SignatureKey, 'other', segment)).toBe(false)
    }
  })
})

describe('find', () => {
  test('by kid: finds the keys with that kid that fit the algorithm, in order, four at most', () => {
    const keys = [1, 2, 3, 4, 5].map(() => createSigningKey('ES256', { kid: 'same' }).publicJwk)
    const set = readKeySet({ keys: [rsa.publicJwk, ...keys, { ...rsa.publicJwk, kid: 'same' }] })
    expect(set.find('ES256', 'same')).toHaveLength(4)
    expect(set.find('RS256', 'same')).toHaveLength(1)
    expect(set.find('RS256', 'rsa')).toHaveLength(1)
    expect(set.find('ES256', 'rsa')).toEqual([])
    expect(set.find('ES256', 'nobody')).toEqual([])
  })

  test('without kid: finds up to four keys that fit, and none if there are more (RFC 7515 §4.1.4)', () => {
    const other = createSigningKey('ES256', { kid: 'other' }).publicJwk
    expect(readKeySet({ keys: [ec.publicJwk, rsa.publicJwk] }).find('ES256', undefined)).toHaveLength(1)
    expect(readKeySet({ keys: [ec.publicJwk, other] }).find('ES256', undefined)).toHaveLength(2)
    const five = [1, 2, 3, 4, 5].map((i) => createSigningKey('ES256', { kid: `k${i}` }).publicJwk)
    expect(readKeySet({ keys: five.slice(1) }).find('ES256', undefined)).toHaveLength(4)
    expect(readKeySet({ keys: five }).find('ES256', undefined)).toEqual([])
    expect(readKeySet({ keys: five }).count('ES256')).toBe(5)
    expect(readKeySet({ keys: [ec.publicJwk] }).find('ES384', undefined)).toEqual([])
  })

  test('finds a key without kid only for a token without kid', () => {
    const set = readKeySet({ keys: [bare(ec)] })
    expect(set.find('ES256', undefined)).toHaveLength(1)
    expect(set.find('ES256', 'undefined')).toEqual([])
    expect(set.has('undefined')).toBe(false)
  })

  test.each(['__proto__', 'constructor', 'toString', ''])('treats the kid %j as any other name', (kid) => {
    expect(readKeySet({ keys: [ec.publicJwk] }).find('ES256', kid)).toEqual([])
    expect(readKeySet({ keys: [{ ...ec.publicJwk, kid }] }).find('ES256', kid)).toHaveLength(1)
  })

  test('has() knows a kid of a usable key, whatever its algorithm', () => {
    const set = readKeySet({ keys: [ec.publicJwk, { ...rsa.publicJwk, use: 'enc' }] })
    expect([set.has('ec'), set.has('rsa'), set.has('nobody')]).toEqual([true, false, false])
  })
})

describe('skipped keys and the reported reasons', () => {
  const { privateKey } = rsa
  const rows: readonly [string, unknown, string][] = [
    ['null', null, 'is not an object'],
    ['a number', 1, 'is not an object'],
    [
      'a private RSA key',
      privateKey.export({ format: 'jwk' }),
      'is a private or symmetric key: it must not be published'
    ],
    ['an oct key', { kty: 'oct', k: 'AAAA' }, 'is a private or symmetric key: it must not be published'],
    ['a kid that is a number', { ...ec.publicJwk, kid: 7 }, 'has an unusable kid'],
    ['a kid of 257 characters', { ...ec.publicJwk, kid: 'k'.repeat(257) }, 'has an unusable kid'],
    ['use SIG', { ...ec.publicJwk, use: 'SIG' }, 'is not for signatures (use)'],
    ['key_ops that is a text', { ...ec.publicJwk, key_ops: 'verify' }, 'is not for verifying (key_ops)'],
    ['an unknown kty', { ...ec.publicJwk, kty: 'AKP' }, 'has an unsupported combination of kty, crv and alg'],
    [
      'secp256k1',
      { ...ec.publicJwk, crv: 'secp256k1', alg: 'ES256K' },
      'has an unsupported combination of kty, crv and alg'
    ],
    ['Ed448', { kty: 'OKP', crv: 'Ed448', x: 'AAAA' }, 'has an unsupported combination of kty, crv and alg'],
    ['HS256 of an EC key', { ...ec.publicJwk, alg: 'HS256' }, 'has an unsupported combination of kty, crv and alg'],
    ['alg none', { ...ec.publicJwk, alg: 'none' }, 'has an unsupported combination of kty, crv and alg'],
    ['a missing coordinate', { ...ec.publicJwk, x: undefined }, 'has missing or invalid members'],
    ['a modulus that is a number', { ...rsa.publicJwk, n: 5 }, 'has missing or invalid members'],
    ['RSA exponent 2', { ...rsa.publicJwk, e: 'Ag' }, 'has an unusable RSA exponent'],
    ['an even RSA exponent', { ...rsa.publicJwk, e: 'BA' }, 'has an unusable RSA exponent'],
    ['RSA exponent 1', { ...rsa.publicJwk, e: 'AQ' }, 'has an unusable RSA exponent'],
    ['an RSA exponent of 33 bits', { ...rsa.publicJwk, e: 'AQAAAAE' }, 'has an unusable RSA exponent'],
    [
      'a modulus as the flawed generator makes them, a power of 65537 modulo small primes',
      { ...rsa.publicJwk, n: base64url(65_537n ** 128n) },
      'has a modulus whose factors can be computed (CVE-2017-15361)'
    ],
    [
      '1024 bits',
      createSigningKey('RS256', { modulusLength: 1024 }).publicJwk,
      'has 1024 bits; RSA keys need 2048 to 8192'
    ],
    [
      '16384 bits',
      { ...rsa.publicJwk, n: Buffer.alloc(2048, 0xff).toString('base64url') },
      'has 16384 bits; RSA keys need 2048 to 8192'
    ]
  ]
  test.each(rows)('%s', (_, jwk, why) => {
    const set = readKeySet({ keys: [ed.publicJwk, jwk] })
    expect(set.skipped).toEqual([`keys[1] ${why}`])
    expect(set.size).toBe(1)
    expect(set.find('EdDSA', 'ed')).toHaveLength(1)
  })

  test('accepts a kid of 256 characters and a modulus of 2048 bits', () => {
    const set = readKeySet({ keys: [{ ...rsa.publicJwk, kid: 'k'.repeat(256) }] })
    expect(set.skipped).toEqual([])
    expect(set.has('k'.repeat(256))).toBe(true)
  })

  test.each([
    ['key_ops that has verify among others', { key_ops: ['sign', 'verify'] }],
    ['exponent 3', { e: 'Aw' }],
    ['an exponent of 32 bits', { e: '_____w' }],
    ['a modulus of 8192 bits', { n: base64url(2n ** 8192n - 1n) }]
  ])('does not skip a key because of %s', (_, members) => {
    expect(readKeySet({ keys: [{ ...rsa.publicJwk, ...members }] }).skipped).toEqual([])
  })

  test.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])('treats a key with a member %s as private', (member) => {
    expect(readKeySet({ keys: [{ ...rsa.publicJwk, [member]: '' }] }).skipped).toEqual([
      'keys[0] is a private or symmetric key: it must not be published'
    ])
  })
})

describe('keys that are passed over silently, read as if members were absent, or imported late', () => {
  test.each([
    ['use enc', { use: 'enc' }],
    ['an unknown use', { use: 'tls' }],
    ['key_ops without verify', { key_ops: ['sign'] }],
    ['alg RSA-OAEP', { use: undefined, alg: 'RSA-OAEP' }],
    ['X25519', { use: undefined, alg: undefined, kty: 'OKP', crv: 'X25519', x: 'AAAA' }]
  ])('skips a key for another use without a report: %s', (_, members) => {
    expect(readKeySet({ keys: [ed.publicJwk, { ...rsa.publicJwk, ...members }] })).toMatchObject({
      size: 1,
      otherUse: 1,
      skipped: []
    })
  })

  test.each([
    ['key_ops', []],
    ['oth', []],
    ['x5c', []],
    ['d', null],
    ['use', null],
    ['use', ''],
    ['alg', null],
    ['alg', '']
  ])('treats a %s of %j as missing', (member, value) => {
    const set = readKeySet({ keys: [{ ...rsa.publicJwk, [member]: value }] })
    expect(set.skipped).toEqual([])
    expect(set.find('RS256', 'rsa')).toHaveLength(1)
  })

  test('skips a key that fails to import, and warns once, when a token first names it', () => {
    const warnings: string[] = []
    const off = { ...ec.publicJwk, kid: 'off', x: ec.publicJwk.y }
    const set = readKeySet({ keys: [off, ec.publicJwk] }, { broken: (why) => warnings.push(why) })
    expect(set.broken()).toEqual(['keys[0] has missing or invalid members'])
    expect(warnings).toEqual([])
    expect([1, 2].map(() => set.find('ES256', 'off'))).toEqual([[], []])
    expect(warnings).toEqual(['keys[0] has missing or invalid members'])
    expect([set.has('off'), set.has('ec')]).toEqual([false, true])
  })

  test('holds 32 imported keys: the least recently used one is imported again', () => {
    const { publicJwk } = ec
    const set = readKeySet({ keys: Array.from({ length: MAX_KEYS }, (_, i) => ({ ...publicJwk, kid: `k${i}` })) })
    const [first, second] = ['k0', 'k1'].map((kid) => set.find('ES256', kid)[0])
    for (let i = 2; i < MAX_IMPORTED; i++) set.find('ES256', `k${i}`)
    expect(set.find('ES256', 'k0')[0]).toBe(first)
    set.find('ES256', 'k99')
    expect(set.find('ES256', 'k0')[0]).toBe(first)
    expect(set.find('ES256', 'k1')[0]).not.toBe(second)
  })

  test('KEY-05: x5t#S256 and x5t select among more than four keys that fit a token without kid', () => {
    const five = [1, 2, 3, 4, 5].map((i) => createSigningKey('ES256', { kid: `k${i}` }).publicJwk)
    const set = readKeySet({ keys: five.map((jwk, i) => ({ ...jwk, x5t: `t${i}`, 'x5t#S256': `s${i}` })) })
    expect(set.find('ES256', undefined, { x5t: undefined, 'x5t#S256': 's3' })).toEqual(set.find('ES256', 'k4'))
    expect(set.find('ES256', undefined, { x5t: 't2', 'x5t#S256': undefined })).toEqual(set.find('ES256', 'k3'))
    expect(set.find('ES256', undefined, { x5t: 'x', 'x5t#S256': undefined })).toEqual([])
  })

  test.each([
    '00'.repeat(32),
    `${'00'.repeat(31)}80`,
    `01${'00'.repeat(31)}`,
    `01${'00'.repeat(30)}80`,
    ...['ec', 'ed', 'ee'].flatMap((first) => ['7f', 'ff'].map((last) => `${first}${'ff'.repeat(30)}${last}`)),
    ...['7a', 'fa'].map((last) => `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03${last}`),
    ...['05', '85'].map((last) => `26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc${last}`)
  ])('refuses the Ed25519 key of small order %s', (hex) => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(hex, 'hex').toString('base64url') }
    expect(importPublicKey(jwk)).toMatch(/small order/)
    expect(readKeySet({ keys: [jwk] }).skipped).toEqual(['keys[0] is of small order: anyone can sign for it'])
  })
})

describe('the set', () => {
  test.each([[null], [undefined], [{}], [[]], ['keys'], [{ keys: null }], [{ keys: {} }], [{ keys: 'x' }], [1]])(
    'refuses %j as a set',
    (document) => {
      expect(() => readKeySet(document)).toThrow(new TypeError('not a JSON Web Key Set: `keys` must be an array'))
    }
  )

  test('reads 100 keys, and refuses a set of 101 as a whole', () => {
    const keys = Array.from({ length: MAX_KEYS }, () => ec.publicJwk)
    expect(readKeySet({ keys }).size).toBe(1)
    expect(() => readKeySet({ keys: [...keys, ec.publicJwk] })).toThrow(
      new TypeError('a key set of 101 keys; at most 100 are read')
    )
  })

  test('accepts an empty set', () => {
    expect(readKeySet({ keys: [] })).toMatchObject({ size: 0, skipped: [] })
  })

  test('fingerprints compare sets by kid, algorithm and material, not by order or other members', () => {
    const of = (...keys: unknown[]) => [...readKeySet({ keys }).fingerprints].sort()
    const original = of(ec.publicJwk, rsa.publicJwk)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, x5c: ['x'], use: undefined })).toEqual(original)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, kid: 'other' })).not.toEqual(original)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, alg: undefined })).not.toEqual(original)
    const replaced = createSigningKey('ES256', { kid: 'ec' }).publicJwk
    expect(of(rsa.publicJwk, replaced)).not.toEqual(original)
  })

  test('treats a repeated key as one key', () => {
    const set = readKeySet({ keys: [ec.publicJwk, ec.publicJwk] })
    expect(set.size).toBe(1)
  })
})

describe('thumbprints', () => {
  test.each([
    [
      'RSA, of RFC 7638 §3.1',
      {
        kty: 'RSA',
        n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
        e: 'AQAB',
        alg: 'RS256',
        kid: '2011-04-29'
      },
      'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'
    ],
    [
      'OKP, of RFC 8037 appendix A.3',
      { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'
    ],
    ['EC', ec.publicJwk, thumbprintOf(ec.publicJwk)]
  ])('%s', (_, jwk, expected) => {
    expect(thumbprint(importPublicKey(jwk) as KeyObject)).toBe(expected)
  })

  test('are digests of UTF-8, or of bytes, in base64url', () => {
    expect(sha256('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
    expect(sha256('é')).toBe(sha256(Uint8Array.of(0xc3, 0xa9)))
  })
})
