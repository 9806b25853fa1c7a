/** RFC 9449 §8: nonces that anybody with the secret can check, and nobody without it can make. */
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createNonces, NONCE_LIFETIME } from '../../src/confirmation/nonce.js'

const SECRET = 'a secret of thirty-two characters'
const RESOURCE = 'https://api.example.com'
const NOW = 1_750_000_000
const nonces = createNonces([SECRET], RESOURCE)

/** A nonce as the opening of nonce.ts describes it, by another hand. */
function made(second: number, { secret = SECRET as string | Uint8Array, resource = RESOURCE } = {}): string {
  const time = Buffer.from(second.toString(16).padStart(12, '0'), 'hex')
  const mac = createHmac('sha256', secret)
    .update(Buffer.concat([Buffer.from(`dpop-nonce\n${resource}\n`), time]))
    .digest()
  return Buffer.concat([time, mac.subarray(0, 16)]).toString('base64url')
}

test('a nonce is its time and a MAC over time and resource', () => {
  expect(nonces.create(NOW)).toBe(made(NOW))
  expect(createNonces([Buffer.from(SECRET)], RESOURCE).create(NOW)).toBe(made(NOW))
})

test('DPP-29 (RFC 9449 §8.1): a nonce has the characters of NQCHAR, and always the same length', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 40 }), fc.string({ minLength: 32 }), (second, secret) => {
      expect(createNonces([secret], RESOURCE).create(second)).toMatch(/^[\x21\x23-\x5B\x5D-\x7E]{30}$/)
    })
  )
})

test('a nonce is valid from 10 s ahead of this clock until 300 s after its creation', () => {
  const nonce = nonces.create(NOW)
  for (const [age, expected] of [
    [-10.001, undefined],
    [-10, 0],
    [-1, 0],
    [0, 0],
    [1.5, 1.5],
    [299.999, 299.999],
    [NONCE_LIFETIME, undefined],
    [1e9, undefined],
    [-1e9, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined]
  ] as const) {
    const is = nonces.age(nonce, NOW + age)
    if (expected === undefined) expect(is, `${age}`).toBeUndefined()
    else expect(is, `${age}`).toBeCloseTo(expected, 3)
  }
})

test('a nonce stays the same within a second, and differs in the next one', () => {
  expect(nonces.create(NOW)).toBe(nonces.create(NOW + 0.999))
  expect(nonces.create(NOW + 1)).not.toBe(nonces.create(NOW))
  // A clock set back is the one that counts.
  expect(nonces.create(NOW - 5)).toBe(made(NOW - 5))
})

describe('DPP-13 DPP-31: a nonce that this API did not create is invalid', () => {
  const strangers: readonly (readonly [string, string])[] = [
    ['of another secret', made(NOW, { secret: `${SECRET}!` })],
    ['of another resource', made(NOW, { resource: 'https://api.example.com/' })],
    ['of another resource, moved into the time', made(NOW, { resource: 'https://api.example.com\n' })],
    ['empty', ''],
    ['a character short', made(NOW).slice(0, -1)],
    ['a character long', `${made(NOW)}A`],
    ['padded', `${made(NOW).slice(0, -1)}=`],
    ['of the other alphabet', `${made(NOW).slice(0, -2)}+/`],
    ['with a line end', `${made(NOW)}\n`],
    ['of characters that only count as thirty', 'é'.repeat(30)],
    ['zeros', 'A'.repeat(30)],
    ['very long', 'A'.repeat(100_000)]
  ]
  for (const [title, nonce] of strangers) {
    test(`DPP-31: ${title}`, () => expect(nonces.age(nonce, NOW)).toBeUndefined())
  }

  test('DPP-13: a MAC of another time', () => {
    const bytes = Buffer.from(made(NOW - 1000), 'base64url')
    bytes.writeUIntBE(NOW, 0, 6)
    expect(nonces.age(bytes.toString('base64url'), NOW)).toBeUndefined()
  })

  test('DPP-13: a nonce with a flipped bit', () => {
    const good = Buffer.from(made(NOW), 'base64url')
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bytes = Buffer.from(good)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(nonces.age(bytes.toString('base64url'), NOW), `${bit}`).toBeUndefined()
    }
  })

  test('DPP-13: any other text', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: 'binary', minLength: 30, maxLength: 30 }), fc.base64String()),
        (text) => {
          expect(nonces.age(text, NOW)).toBeUndefined()
        }
      )
    )
  })
})

test('DEF-07: the first of several secrets creates nonces, and all of them verify', () => {
  const old = 'the secret of before, 32 characters'
  const rotating = createNonces([SECRET, old], RESOURCE)
  expect(rotating.create(NOW)).toBe(made(NOW))
  expect(rotating.age(made(NOW), NOW)).toBe(0)
  expect(rotating.age(made(NOW, { secret: old }), NOW)).toBe(0)
  expect(nonces.age(made(NOW, { secret: old }), NOW)).toBeUndefined()
})

test('no nonce is valid if the clock returns NaN', () => {
  expect(nonces.age(nonces.create(Number.NaN), NOW)).toBeUndefined()
  for (const time of [Number.POSITIVE_INFINITY, -1]) expect(() => nonces.create(time)).toThrow(RangeError)
})
