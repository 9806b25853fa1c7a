/** Segments as bytes and as objects, and how many a text has. The rules are in rfc/rfc7515-jws.test.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBase64url, decodeObject, decodeSignature, isCanonical, isJwe, splitJws } from '../../src/jwt/compact.js'
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

describe('splitJws', () => {
  /** What RFC 7515 §7.1 says, as one expression. The code decides by decoded lengths, which costs less. */
  const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)$/

  const requireSame = (text: string): void => {
    const jws = splitJws(text)
    const [, header, payload, signature] = COMPACT.exec(text) ?? []
    const isSame =
      jws?.header === header &&
      jws?.signature === signature &&
      jws?.signingInput === (header && `${header}.${payload}`) &&
      (signature === undefined || decodeSignature(signature)?.equals(Buffer.from(signature, 'base64url')))
    // Asserted only where it differs: an assertion for each of so many texts takes seconds.
    if (!isSame) expect([text, jws?.header, jws?.signature]).toEqual([text, header, signature, 'and the same bytes'])
  }

  test('JOS-02: takes the same texts as the expression, whatever is written in place of any character', () => {
    // U+0141 and U+0141 + 0xFF00 have the lower eight bits of "A"; U+212A is a Kelvin sign.
    const codes = [...Array.from({ length: 0x180 }, (_, code) => code), 0x212a, 0xff41, 0x2e2e, 0x012d, 0xfffd]
    for (const lengths of [
      [4, 4, 4],
      [5, 6, 7],
      [6, 7, 5],
      [7, 5, 6],
      [1, 1, 1],
      [2, 3, 0]
    ]) {
      const text = lengths.map((length) => 'abcdefgh'.slice(0, length)).join('.')
      for (let at = 0; at <= text.length; at++)
        for (const code of codes)
          for (const removed of [0, 1])
            requireSame(text.slice(0, at) + String.fromCharCode(code) + text.slice(at + removed))
    }
  })

  test('JOS-02: takes the same texts as the expression, for any text', () => {
    const character = fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom(...Array.from(ALPHABET)) },
      { weight: 2, arbitrary: fc.constant('.') },
      { weight: 1, arbitrary: fc.constantFrom(...Array.from('+/=~ \n\t,\0\x7f\xa0\xe9\u0141\u012e\ud800')) }
    )
    const segment = fc.string({ unit: character, maxLength: 40 })
    const text = fc.oneof(
      fc.string({ unit: character, maxLength: 60 }),
      fc.tuple(segment, segment, segment).map((parts) => parts.join('.'))
    )
    fc.assert(fc.property(text, requireSame), { numRuns: 20_000 })
  })

  test('takes segments longer than its buffers, and a signature longer than any key makes', () => {
    for (const length of [16_383, 16_384, 16_385, 100_001, 100_002]) {
      const long = 'A'.repeat(length)
      for (const text of [`${long}.a.b`, `a.${long}.b`, `a.b.${long}`, `a.b.${long}!`, `a.${long}!.b`])
        requireSame(text)
    }
  })

  test('does not read a part of another text: neither one that is decoded between, nor a longer one before', () => {
    const payloads = ['{"a":"long enough to leave something behind"}', '{"b":2}', '{"c":"\u0141"}', '{']
    const all = payloads.map((text) => splitJws(`aa.${Buffer.from(text).toString('base64url')}.aa`))
    expect(all.map((jws) => jws?.unverifiedPayload)).toEqual([
      ...payloads.slice(0, 3).map((one) => JSON.parse(one)),
      undefined
    ])
    const [first, second] = [Buffer.alloc(64, 1), Buffer.alloc(64, 2)].map((bytes) => bytes.toString('base64url'))
    for (const one of [first, second, first, first, 'AAAA', first] as string[])
      expect(decodeSignature(one)).toEqual(Buffer.from(one, 'base64url'))
  })
})
