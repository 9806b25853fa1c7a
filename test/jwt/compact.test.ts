/** Segments as bytes and as objects, and how many a text has. The rules are in rfc/rfc7515-jws.test.ts. */
import { describe, expect, test } from 'vitest'
import { decodeBase64url, decodeObject, isCanonical, isJwe } from '../../src/jwt/compact.js'
import { base64url } from '../support/issuer.js'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

describe('decodeObject', () => {
  test('reads an object of any length: a status list is longer than a token may be', () => {
    for (const length of [10, 12_000, 12_280, 12_300, 16_384, 100_000]) {
      const lst = 'x'.repeat(length)
      expect(decodeObject(base64url({ lst })), `${length}`).toEqual({ lst })
    }
  })

  test('JOS-03 (RFC 7519 §7.2): accepts U+FFFD itself, which also marks invalid UTF-8', () => {
    for (const length of [0, 100_000]) {
      const name = `\ufffd${'x'.repeat(length)}`
      expect(decodeObject(base64url({ name }))).toEqual({ name })
      const bytes = Buffer.from(JSON.stringify({ name }))
      const cut = Buffer.concat([bytes.subarray(0, 10), bytes.subarray(11)])
      expect(decodeObject(cut.toString('base64url'))).toBeUndefined()
    }
  })
})

describe('decodeObject', () => {
  test.each([1, 2])('JOS-21: reads an object of 64 levels, and refuses one of 65 (kind %i)', (kind) => {
    const nest = (levels: number): unknown => {
      let value: unknown = { text: '[{[{'.repeat(30) }
      for (let i = 1; i < levels; i++) value = kind === 1 || i === levels - 1 ? { a: value } : [value]
      return value
    }
    expect(decodeObject(base64url(nest(64)))).toEqual(nest(64))
    expect(decodeObject(base64url(nest(65)))).toBeUndefined()
    expect(decodeObject(base64url(nest(3000)))).toBeUndefined()
  })
})

describe('JOS-02 (RFC 7515 §2): of the segments that decode to the same bytes', () => {
  test.each([1, 2, 3, 4, 5, 6])('exactly one is canonical, for %i bytes', (length) => {
    const bytes = Buffer.from([0xfb, 0xff, 0xbf, 0x00, 0x10, 0x83].slice(0, length))
    const segment = bytes.toString('base64url')
    const same = Array.from(ALPHABET)
      .map((last) => segment.slice(0, -1) + last)
      .filter((one) => Buffer.from(one, 'base64url').equals(bytes))
    expect(same).toHaveLength([1, 16, 4][length % 3] as number)
    expect(same.filter(isCanonical)).toEqual([segment])
    for (const one of same) expect(decodeBase64url(one)).toEqual(one === segment ? bytes : undefined)
  })

  test('none has a lone last character', () => {
    for (const last of ALPHABET) for (const before of ['', 'AAAA']) expect(isCanonical(before + last)).toBe(false)
  })
})

test('JOS-15 (RFC 7516 §7.1): five segments are a JWE, of which the first says how; four are none, nor are six', () => {
  for (const text of ['a.b.c.d.e', 'a.b.c.d.', 'a....', 'eyJ-_0.AZaz09-_.c.d.e']) expect(isJwe(text), text).toBe(true)
  for (const text of [
    '',
    'a',
    'a.b.c',
    'a.b.c.d',
    'a.b.c.d.e.f',
    '.b.c.d.e',
    '..a.b.c.d.e',
    'a.b.c.d.e=',
    'a b.c.d.e.f'
  ])
    expect(isJwe(text), text).toBe(false)
})
