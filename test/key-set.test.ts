/** A published key set as signature keys: what is read, what is passed over and why, and what is found. */
import { describe, expect, test } from 'vitest'
import { MAX_KEYS, readKeySet } from '../src/key-set.js'
import type { SignatureKey } from '../src/signature.js'
import type { SignatureAlgorithm } from '../src/types.js'
import { createVerifySignature } from '../src/verify-signature.js'
import { ALGORITHMS, type Algorithm, createSigningKey, signature } from './support/issuer.js'

const ec = createSigningKey('ES256', { kid: 'ec' })
const rsa = createSigningKey('RS256', { kid: 'rsa' })
const ed = createSigningKey('EdDSA', { kid: 'ed' })

/** A key as a publisher who leaves everything optional out would write it. */
function bare({ publicJwk }: typeof ec, members: Record<string, unknown> = {}): Record<string, unknown> {
  const { alg: _alg, use: _use, kid: _kid, ...rest } = publicJwk
  return { ...rest, ...members }
}

const ALL: readonly SignatureAlgorithm[] = ALGORITHMS

/** The algorithms under which a set finds a key for this kid. */
function algorithms(keys: readonly unknown[], kid: string | undefined): SignatureAlgorithm[] {
  const set = readKeySet({ keys })
  return ALL.filter((algorithm) => set.find(algorithm, kid).length > 0)
}

describe('what a key can be used for', () => {
  test('a key that names no algorithm is good for those of its type and curve', () => {
    expect(algorithms([bare(rsa, { kid: 'k' })], 'k')).toEqual(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
    expect(algorithms([bare(ec, { kid: 'k' })], 'k')).toEqual(['ES256'])
    expect(algorithms([bare(createSigningKey('ES384'), { kid: 'k' })], 'k')).toEqual(['ES384'])
    expect(algorithms([bare(createSigningKey('ES512'), { kid: 'k' })], 'k')).toEqual(['ES512'])
    expect(algorithms([bare(ed, { kid: 'k' })], 'k')).toEqual(['EdDSA', 'Ed25519'])
  })

  test('a key that names one is good for that one (RFC 8725 §3.1)', () => {
    expect(algorithms([bare(rsa, { kid: 'k', alg: 'PS384' })], 'k')).toEqual(['PS384'])
    expect(algorithms([bare(ed, { kid: 'k', alg: 'Ed25519' })], 'k')).toEqual(['Ed25519'])
  })

  test('what is found verifies what was signed', () => {
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
  test('by kid: the keys of that kid that fit the algorithm, in order, four at most', () => {
    const keys = [1, 2, 3, 4, 5].map(() => createSigningKey('ES256', { kid: 'same' }).publicJwk)
    const set = readKeySet({ keys: [rsa.publicJwk, ...keys, { ...rsa.publicJwk, kid: 'same' }] })
    expect(set.find('ES256', 'same')).toHaveLength(4)
    expect(set.find('RS256', 'same')).toHaveLength(1)
    expect(set.find('RS256', 'rsa')).toHaveLength(1)
    expect(set.find('ES256', 'rsa')).toEqual([])
    expect(set.find('ES256', 'nobody')).toEqual([])
  })

  test('without kid: the only key that fits, and none if there are two (RFC 7515 §4.1.4)', () => {
    const other = createSigningKey('ES256', { kid: 'other' }).publicJwk
    expect(readKeySet({ keys: [ec.publicJwk, rsa.publicJwk] }).find('ES256', undefined)).toHaveLength(1)
    expect(readKeySet({ keys: [ec.publicJwk, other] }).find('ES256', undefined)).toEqual([])
    expect(readKeySet({ keys: [ec.publicJwk] }).find('ES384', undefined)).toEqual([])
  })

  test('a key without kid is found without one only', () => {
    const set = readKeySet({ keys: [bare(ec)] })
    expect(set.find('ES256', undefined)).toHaveLength(1)
    expect(set.find('ES256', 'undefined')).toEqual([])
    expect(set.has('undefined')).toBe(false)
  })

  test.each(['__proto__', 'constructor', 'toString', ''])('the kid %j is a name like any other', (kid) => {
    expect(readKeySet({ keys: [ec.publicJwk] }).find('ES256', kid)).toEqual([])
    expect(readKeySet({ keys: [{ ...ec.publicJwk, kid }] }).find('ES256', kid)).toHaveLength(1)
  })

  test('has: a kid is known whatever its algorithm, if its key is usable', () => {
    const set = readKeySet({ keys: [ec.publicJwk, { ...rsa.publicJwk, use: 'enc' }] })
    expect([set.has('ec'), set.has('rsa'), set.has('nobody')]).toEqual([true, false, false])
  })
})

describe('what is passed over, and what is said of it', () => {
  const { privateKey } = rsa
  const rows: readonly [string, unknown, string][] = [
    ['null', null, 'is not an object'],
    ['a number', 1, 'is not an object'],
    [
      'a private RSA key',
      privateKey.export({ format: 'jwk' }),
      'is a private or symmetric key: it must not be published'
    ],
    [
      'a private member that is null',
      { ...ec.publicJwk, d: null },
      'is a private or symmetric key: it must not be published'
    ],
    ['an oct key', { kty: 'oct', k: 'AAAA' }, 'is a private or symmetric key: it must not be published'],
    ['a kid that is no text', { ...ec.publicJwk, kid: null }, 'has an unusable kid'],
    ['a kid of 257 characters', { ...ec.publicJwk, kid: 'k'.repeat(257) }, 'has an unusable kid'],
    ['use enc', { ...ec.publicJwk, use: 'enc' }, 'is not for signatures (use)'],
    ['use SIG', { ...ec.publicJwk, use: 'SIG' }, 'is not for signatures (use)'],
    ['key_ops sign', { ...ec.publicJwk, key_ops: ['sign'] }, 'is not for verifying (key_ops)'],
    ['an unknown kty', { ...ec.publicJwk, kty: 'AKP' }, 'is of no supported kty, crv and alg'],
    ['secp256k1', { ...ec.publicJwk, crv: 'secp256k1', alg: 'ES256K' }, 'is of no supported kty, crv and alg'],
    ['Ed448', { kty: 'OKP', crv: 'Ed448', x: 'AAAA' }, 'is of no supported kty, crv and alg'],
    ['X25519', { kty: 'OKP', crv: 'X25519', x: 'AAAA' }, 'is of no supported kty, crv and alg'],
    ['HS256 of an EC key', { ...ec.publicJwk, alg: 'HS256' }, 'is of no supported kty, crv and alg'],
    ['alg none', { ...ec.publicJwk, alg: 'none' }, 'is of no supported kty, crv and alg'],
    ['a missing coordinate', { ...ec.publicJwk, x: undefined }, 'has missing or invalid members'],
    ['a point off the curve', { ...ec.publicJwk, x: ec.publicJwk.y }, 'has missing or invalid members'],
    ['a modulus that is a number', { ...rsa.publicJwk, n: 5 }, 'has missing or invalid members'],
    ['an even RSA exponent', { ...rsa.publicJwk, e: 'Ag' }, 'has an unusable RSA exponent'],
    ['RSA exponent 1', { ...rsa.publicJwk, e: 'AQ' }, 'has an unusable RSA exponent'],
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

  test('a kid of 256 characters and a modulus of 2048 bits are within the bounds', () => {
    const set = readKeySet({ keys: [{ ...rsa.publicJwk, kid: 'k'.repeat(256) }] })
    expect(set.skipped).toEqual([])
    expect(set.has('k'.repeat(256))).toBe(true)
  })
})

describe('the set', () => {
  test.each([[null], [undefined], [{}], [[]], ['keys'], [{ keys: null }], [{ keys: {} }], [{ keys: 'x' }], [1]])(
    '%j is none',
    (document) => {
      expect(() => readKeySet(document)).toThrow(new TypeError('not a JSON Web Key Set: it has no list `keys`'))
    }
  )

  test('100 keys are read, 101 refused whole', () => {
    const keys = Array.from({ length: MAX_KEYS }, () => ec.publicJwk)
    expect(readKeySet({ keys }).size).toBe(1)
    expect(() => readKeySet({ keys: [...keys, ec.publicJwk] })).toThrow(
      new TypeError('a key set of 101 keys; at most 100 are read')
    )
  })

  test('no key is a set, of nothing', () => {
    expect(readKeySet({ keys: [] })).toMatchObject({ size: 0, skipped: [] })
  })

  test('fingerprints tell sets apart by kid, algorithm and material, not by order or other members', () => {
    const of = (...keys: unknown[]) => [...readKeySet({ keys }).fingerprints].sort()
    const original = of(ec.publicJwk, rsa.publicJwk)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, x5c: ['x'], use: undefined })).toEqual(original)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, kid: 'other' })).not.toEqual(original)
    expect(of(rsa.publicJwk, { ...ec.publicJwk, alg: undefined })).not.toEqual(original)
    const replaced = createSigningKey('ES256', { kid: 'ec' }).publicJwk
    expect(of(rsa.publicJwk, replaced)).not.toEqual(original)
  })

  test('the same key twice is one key', () => {
    const set = readKeySet({ keys: [ec.publicJwk, ec.publicJwk] })
    expect(set.size).toBe(1)
  })
})
