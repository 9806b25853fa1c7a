/** Signatures: the same decision wherever it is made, and nothing but the exact form of each algorithm. */
import { constants, createPublicKey, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SignatureAlgorithm } from '../../src/jwt/algorithms.js'
import { algorithmsFor, createSignatureKey, SIGNATURE_ALGORITHMS } from '../../src/jwt/algorithms.js'
import { MAX_ECDSA, writeEcdsa } from '../../src/jwt/ecdsa.js'
import { createVerifySignature } from '../../src/jwt/verify-signature.js'
import { createSigningKey, type SigningKey, signature } from '../support/issuer.js'
import { api, keySet } from '../support/refusals.js'
import { decideIn, PLACES, type Place } from '../support/verify-signature.js'

const text = 'header.payload'
const input = Buffer.from(text)
const rsa = createSigningKey('RS256')
const keys = new Map<SignatureAlgorithm, SigningKey>(
  SIGNATURE_ALGORITHMS.map((alg) => [alg, /^[RP]S/.test(alg) ? { ...rsa, alg } : createSigningKey(alg)])
)

function segment(bytes: Buffer): string {
  return bytes.toString('base64url')
}

function decide(alg: SignatureAlgorithm, bytes: Buffer, place: Place): Promise<boolean> {
  return decideIn(place, createSignatureKey(alg, (keys.get(alg) as SigningKey).publicKey), text, segment(bytes))
}

function good(alg: SignatureAlgorithm): Buffer {
  return Buffer.from(signature(input.toString(), keys.get(alg) as SigningKey))
}

describe.each(PLACES)('%s', (place) => {
  test.each(SIGNATURE_ALGORITHMS)(
    'ATV-05 JOS-12: %s accepts its signature, but not with a flipped bit, a byte more or a byte less',
    async (alg) => {
      const bytes = good(alg)
      expect(await decide(alg, bytes, place)).toBe(true)
      const flipped = Buffer.from(bytes)
      flipped[flipped.length - 1] = (flipped.at(-1) as number) ^ 1
      const others = [
        flipped,
        bytes.subarray(1),
        bytes.subarray(0, -1),
        Buffer.concat([bytes, Buffer.alloc(1)]),
        Buffer.alloc(0)
      ]
      for (const one of others) expect(await decide(alg, one, place)).toBe(false)
      expect(await decide(alg, Buffer.alloc(bytes.length), place)).toBe(false)
      expect(await decide(alg, Buffer.alloc(bytes.length, 0xff), place)).toBe(false)
    }
  )

  test.each([3072, 4096])('JOS-12: RSA keys of %i bits work like those of 2048 bits', async (bits) => {
    const pair = createSigningKey('RS256', { modulusLength: bits })
    const verify = (bytes: Buffer): Promise<boolean> =>
      decideIn(place, createSignatureKey('RS256', pair.publicKey), text, segment(bytes))
    const bytes = Buffer.from(signature(text, pair))
    expect(await verify(bytes)).toBe(true)
    bytes[bits / 8 - 1] = (bytes.at(-1) as number) ^ 1
    expect(await verify(bytes)).toBe(false)
  })

  test('JOS-12 (RFC 7518 §3.4): ECDSA in DER is refused, whatever its length', async () => {
    const key = (keys.get('ES256') as SigningKey).privateKey
    for (let i = 0; i < 8; i++) expect(await decide('ES256', sign('sha256', input, key), place)).toBe(false)
  })

  test.each(['ES256', 'ES384', 'ES512'] as const)(
    'JOS-12 (RFC 7518 §3.4): %s accepts numbers that begin with a zero',
    async (alg) => {
      const { privateKey, publicKey } = keys.get(alg) as SigningKey
      const key = createSignatureKey(alg, publicKey)
      const half = key.signatureLength / 2
      const missing = new Set(['whole, whole', 'whole, short', 'short, whole'])
      // One number in 256 begins with a zero.
      while (missing.size > 0) {
        const bytes = sign(key.digest, input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
        const kind = [0, half].map((at) => (bytes[at] === 0 ? 'short' : 'whole')).join(', ')
        if (!missing.delete(kind)) continue
        expect(await decideIn(place, key, text, segment(bytes)), kind).toBe(true)
        bytes[half] = (bytes[half] as number) ^ 1
        expect(await decideIn(place, key, text, segment(bytes)), kind).toBe(false)
      }
    }
  )

  test('JOS-12 (RFC 7518 §3.5): refuses a PSS salt of another length than the digest', async () => {
    const key = rsa.privateKey
    const padding = constants.RSA_PKCS1_PSS_PADDING
    for (const [saltLength, accepted] of [
      [32, true],
      [0, false],
      [20, false],
      [31, false],
      [33, false],
      [64, false]
    ] as const) {
      const bytes = sign('sha256', input, { key, padding, saltLength })
      expect(await decide('PS256', bytes, place)).toBe(accepted)
    }
  })

  test('JOS-07: tells RSA paddings and digests apart', async () => {
    for (const [made, taken] of [
      ['RS256', 'PS256'],
      ['PS256', 'RS256'],
      ['RS256', 'RS384'],
      ['PS512', 'PS256']
    ] as const) {
      expect(await decide(taken, good(made), place)).toBe(false)
    }
  })
})

describe('writeEcdsa', () => {
  /** INTEGER (X.690 §8.3): of as few bytes as there can be, the first bit of which is the sign. */
  const integer = (bytes: Uint8Array): Buffer => {
    const hex = BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString(16)
    const even = hex.length % 2 === 1 ? `0${hex}` : hex
    const content = Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, 'hex')
    return Buffer.concat([Buffer.from([0x02, content.length]), content])
  }
  const number = (length: number): fc.Arbitrary<Uint8Array> =>
    fc
      .tuple(fc.nat(length), fc.uint8Array({ minLength: length, maxLength: length }))
      .map(([zeros, bytes]) => bytes.fill(0, 0, zeros))

  test.each([
    [61, 62, [0x30, 127]],
    [62, 62, [0x30, 0x81, 128]]
  ])('writes numbers of %i and %i bytes around the change to a two-byte length', (r, s, header) => {
    const [half, der] = [66, Buffer.alloc(MAX_ECDSA)]
    const numbers = Buffer.alloc(2 * half, 1)
      .fill(0, 0, half - r)
      .fill(0, half, 2 * half - s)
    expect(writeEcdsa(numbers, der)).toBe(header.length + (header.at(-1) ?? 0))
    expect([...der.subarray(0, header.length)]).toEqual(header)
  })

  test('the largest possible signature fits into the buffer', () => {
    const der = Buffer.alloc(MAX_ECDSA + 1, 0xaa)
    expect(writeEcdsa(Buffer.alloc(132, 0xff), der)).toBe(MAX_ECDSA)
    expect(der[MAX_ECDSA]).toBe(0xaa)
  })

  test.each([32, 48, 66])('writes two numbers of %i bytes as X.690 requires', (length) => {
    fc.assert(
      fc.property(number(length), number(length), (r, s) => {
        const content = Buffer.concat([integer(r), integer(s)])
        const header = content.length < 128 ? [0x30, content.length] : [0x30, 0x81, content.length]
        const der = Buffer.alloc(MAX_ECDSA + 1, 0xaa)
        const written = writeEcdsa(Buffer.concat([r, s]), der)
        expect(der.subarray(0, written)).toEqual(Buffer.concat([Buffer.from(header), content]))
        expect(written).toBeLessThanOrEqual(MAX_ECDSA)
        expect(der[written]).toBe(0xaa)
      })
    )
  })
})

describe('keys', () => {
  test('JOS-07 DEF-03: each supported type and curve has its algorithms, and others have none', () => {
    expect(algorithmsFor('RSA', undefined)).toEqual(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
    expect([algorithmsFor('EC', 'P-256'), algorithmsFor('EC', 'P-384'), algorithmsFor('EC', 'P-521')]).toEqual([
      ['ES256'],
      ['ES384'],
      ['ES512']
    ])
    expect(algorithmsFor('OKP', 'Ed25519')).toEqual(['EdDSA', 'Ed25519'])
    for (const [kty, crv] of [
      ['EC', 'secp256k1'],
      ['EC', undefined],
      ['OKP', 'Ed448'],
      ['OKP', 'X25519'],
      ['oct', undefined],
      [1, 2]
    ]) {
      expect(algorithmsFor(kty, crv)).toEqual([])
    }
  })

  test('JOS-12 (RFC 7518 §3.3): refuses configured RSA keys below 2048 bits at start', () => {
    const weak = createSigningKey('RS256', { modulusLength: 1024 })
    expect(() => api({}, { jwks: keySet(weak) })).toThrow('keys[0] has 1024 bits; RSA keys need 2048 to 8192')
  })

  test('a key of an odd modulus length verifies signatures of the rounded-up number of bytes', () => {
    const odd = createSigningKey('RS256', { modulusLength: 2052 })
    expect(createSignatureKey('RS256', odd.publicKey).signatureLength).toBe(257)
    const verify = createVerifySignature()
    const bytes = Buffer.from(signature(input.toString(), odd))
    expect(verify(createSignatureKey('RS256', odd.publicKey), text, segment(bytes))).toBe(true)
  })

  test('a key is created once, from public parts only', () => {
    const { publicKey } = keys.get('ES256') as SigningKey
    const { input: made } = createSignatureKey(
      'ES256',
      createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
    )
    expect((made.key as KeyObject).type).toBe('public')
  })
})
