/** The grammar of a challenge, as it is written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatChallenge, isQuotable, isScopeToken, reduceErrorText } from '../../src/errors/challenge.js'
import { parseChallenge } from '../support/challenge-parser.js'

describe('formatChallenge', () => {
  test('writes its parameters in a fixed order, and omits undefined ones', () => {
    const all = { resourceMetadata: 'https://r', scope: ['a', 'b'], errorDescription: 'd', error: 'e', realm: 'r' }
    expect(formatChallenge('Bearer', all)).toBe(
      'Bearer realm="r", error="e", error_description="d", scope="a b", resource_metadata="https://r"'
    )
    expect(formatChallenge('DPoP', { ...all, algs: ['ES256', 'EdDSA'], maxAge: 0, acrValues: ['x', 'y'] })).toBe(
      'DPoP realm="r", error="e", error_description="d", scope="a b", acr_values="x y", max_age="0", ' +
        'algs="ES256 EdDSA", resource_metadata="https://r"'
    )
    expect(formatChallenge('Bearer', { error: 'e', realm: undefined, scope: undefined })).toBe('Bearer error="e"')
  })

  test('omits empty lists of scopes and acr values', () => {
    expect(formatChallenge('Bearer', { realm: '', scope: [], acrValues: [] })).toBe('Bearer realm=""')
  })

  test('HTTP-10 (RFC 9110 §5.6.4): escapes quotes and backslashes of a realm', () => {
    expect(formatChallenge('Bearer', { realm: '"a"\\b' })).toBe(String.raw`Bearer realm="\"a\"\\b"`)
  })

  test('HTTP-09 (RFC 6750 §3): omits values that a list cannot carry, and no error text ends its quotes', () => {
    const odd = ['a', 'b c', '"', '\\', '', 'd']
    expect(formatChallenge('Bearer', { error: 'x"y', scope: odd, acrValues: odd })).toBe(
      'Bearer error="x y", scope="a d", acr_values="a d"'
    )
    expect(formatChallenge('Bearer', { realm: '', scope: ['"'], acrValues: [''] })).toBe('Bearer realm=""')
  })

  test('HTTP-02 (RFC 6750 §3): throws for a challenge without a parameter', () => {
    expect(() => formatChallenge('Bearer', {})).toThrow(new TypeError('a Bearer challenge needs a parameter'))
    expect(() => formatChallenge('Bearer', { scope: [] })).toThrow(TypeError)
  })

  test('HTTP-09 HTTP-11 (RFC 9110 §5.6.4): for any input, the challenge parses back to the input', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 })
    const realm = fc.string({ unit: 'grapheme-ascii' })
    fc.assert(
      fc.property(realm, text, (one, description) => {
        const line = formatChallenge('Bearer', {
          realm: one,
          error: 'invalid_token',
          errorDescription: `x${description}`
        })
        const { parameters } = parseChallenge(line)
        expect(parameters.map(({ name }) => name)).toEqual(['realm', 'error', 'error_description'])
        expect(parameters[0]?.value).toBe(one)
      })
    )
  })
})

describe('the character sets', () => {
  test('HTTP-09 (RFC 6750 §3): replaces characters that are not allowed in a description by spaces', () => {
    expect(reduceErrorText('plain text, with (all) of it!')).toBe('plain text, with (all) of it!')
    expect(reduceErrorText('a"b\\c\r\nd\u00e9\0e')).toBe('a b c d e')
    expect(reduceErrorText('"x"')).toBe('x')
    expect(reduceErrorText('\u00e9')).toBe('')
  })

  test('SCP-08 (RFC 6749 §3.3): accepts as a scope only allowed characters, at least one', () => {
    for (let code = 0; code < 256; code++) {
      const allowed = code === 0x21 || (code >= 0x23 && code <= 0x5b) || (code >= 0x5d && code <= 0x7e)
      expect(isScopeToken(String.fromCharCode(code))).toBe(allowed)
      expect(isScopeToken(`a${String.fromCharCode(code)}`)).toBe(allowed)
    }
    expect(isScopeToken('')).toBe(false)
  })

  test('HTTP-10 (RFC 9110 §5.6.4): accepts printable ASCII as a realm', () => {
    for (let code = 0; code < 256; code++) {
      expect(isQuotable(`a${String.fromCharCode(code)}`)).toBe(code >= 0x20 && code <= 0x7e)
    }
    expect(isQuotable('')).toBe(true)
  })
})
