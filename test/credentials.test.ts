/** The Authorization field as text: what is read from it, and what never is. */
import { describe, expect, test } from 'vitest'
import { requireToken68 } from '../src/access-token/token68.js'
import { type CredentialRules, readCredentials, readUsedScheme } from '../src/credentials.js'
import { CredentialsMissing, InvalidRequest, InvalidToken } from '../src/errors/errors.js'
import { get, refusal } from './support/refusals.js'

const MAX_TOKEN_LENGTH = 16_384
const BOTH: CredentialRules = { accepted: ['Bearer', 'DPoP'], rejectQueryToken: false, maxTokenLength: 16_384 }
const BEARER: CredentialRules = { accepted: ['Bearer'], rejectQueryToken: false, maxTokenLength: 16_384 }
const DPOP: CredentialRules = { accepted: ['DPoP'], rejectQueryToken: false, maxTokenLength: 16_384 }
const read = (...authorization: string[]): unknown => readCredentials(get({ authorization }), BOTH)

describe('readCredentials', () => {
  test('returns the same field for all spellings of the same credentials, by which a token is cached', () => {
    for (const line of ['Bearer abc', 'bearer abc', 'BEARER   abc', 'Bearer  abc']) {
      expect(readCredentials(get({ authorization: [line] }), BOTH)?.field).toBe('Bearer abc')
    }
    expect(readCredentials(get({ authorization: ['dpop abc'] }), BOTH)?.field).toBe('DPoP abc')
    expect(readCredentials(get({ authorization: ['bearer abcBearer'] }), BOTH)?.field).toBe('Bearer abcBearer')
  })

  test('returns scheme and token as sent', () => {
    expect(read('Bearer abc')).toMatchObject({ scheme: 'Bearer', field: 'Bearer abc', token: 'abc', proofs: [] })
    expect(read('bearer   AbC==')).toMatchObject({
      scheme: 'Bearer',
      field: 'Bearer AbC==',
      token: 'AbC==',
      proofs: []
    })
  })

  test('returns undefined without a field, and for another scheme', () => {
    for (const lines of [
      [],
      ['Basic eDp5'],
      ['Bearer-ish abc'],
      ['Token'],
      ['HOBA abc'],
      ['Basic dpop\tx'],
      ['Digest xBearer']
    ]) {
      expect(read(...lines)).toBeUndefined()
    }
  })

  test('does not take a list in another scheme’s credentials for second credentials', () => {
    expect(read('Digest username="bearer", realm="x", uri="/a, b"')).toBeUndefined()
  })

  const refused: readonly [reason: string, status: number, ...lines: string[]][] = [
    ['multiple_credentials', 400, 'Bearer abc', 'Bearer abc'],
    ['multiple_credentials', 400, 'Basic eA==', 'Basic eA=='],
    ['multiple_credentials', 400, 'Basic eA==, Bearer abc'],
    ['malformed_authorization', 400, ''],
    ['malformed_authorization', 400, ' Bearer abc'],
    ['malformed_authorization', 400, 'Bearer'],
    ['malformed_authorization', 400, 'dpop'],
    ['malformed_authorization', 400, 'Bearer   '],
    ['malformed_authorization', 400, 'Bearer\tabc'],
    ['malformed', 401, `Bearer ${'a'.repeat(MAX_TOKEN_LENGTH + 1)}`]
  ]
  test.each(refused)('refuses a malformed field as %s, %i: %j', (reason, status, ...lines) => {
    expect(() => read(...lines)).toThrow(expect.objectContaining({ reason, status }))
  })

  test('reads a token of the maximum length, and refuses a longer one by its length alone', () => {
    expect(read(`Bearer ${'a'.repeat(MAX_TOKEN_LENGTH)}`)).toMatchObject({ scheme: 'Bearer' })
    expect(() => read(`Bearer ${'a'.repeat(MAX_TOKEN_LENGTH + 1)}`)).toThrow(InvalidToken)
    expect(() => read(`Bearer ${'a b'.repeat(MAX_TOKEN_LENGTH)}`)).toThrow(InvalidToken)
  })

  test.each(['Bearer', 'Bearer   ', 'dpop'])(
    'tells the operator that %j has no token after its scheme',
    async (line) => {
      const { hint } = await refusal(() => read(line))
      expect(hint).toContain('The scheme is not followed by a token')
    }
  )

  test('tells the operator how long a refused token was, the limit, and the option that raises it', async () => {
    const limited = { ...BOTH, maxTokenLength: 10 }
    const attempt = (): unknown => readCredentials(get({ authorization: `Bearer  ${'a'.repeat(11)}` }), limited)
    expect(await refusal(attempt)).toMatchObject({
      expected: 'at most 10 characters',
      received: '11 characters',
      hint: expect.stringMatching(/longer than 10 characters.*raise `maxTokenLength`/)
    })
  })

  test('does not count spaces before a token in its length', () => {
    expect(read(`Bearer${' '.repeat(20_000)}abc`)).toMatchObject({
      scheme: 'Bearer',
      field: 'Bearer abc',
      token: 'abc',
      proofs: []
    })
  })

  test('does not read the query without the option', () => {
    const request = get({ authorization: 'Bearer abc' }, { url: '/?access_token=x' })
    expect(readCredentials(request, BOTH)).toMatchObject({
      scheme: 'Bearer',
      field: 'Bearer abc',
      token: 'abc',
      proofs: []
    })
    expect(() => readCredentials(request, { ...BOTH, rejectQueryToken: true })).toThrow(
      expect.objectContaining({ status: 400, reason: 'multiple_credentials' })
    )
  })
})

describe('the scheme DPoP', () => {
  const request = get({ authorization: 'dpop abc', dpop: ['x', 'y'] })

  test('reads the lines of the DPoP field, which Bearer ignores', () => {
    expect(readCredentials(request, BOTH)).toMatchObject({
      scheme: 'DPoP',
      field: 'DPoP abc',
      token: 'abc',
      proofs: ['x', 'y']
    })
    expect(readCredentials(get({ authorization: 'Bearer abc', dpop: 'x' }), BOTH)).toMatchObject({ proofs: [] })
  })

  test('does not treat a token under a disabled scheme as absent', () => {
    expect(() => readCredentials(request, BEARER)).toThrow(CredentialsMissing)
    expect(() => readCredentials(get({ authorization: 'Bearer abc' }), DPOP)).toThrow(CredentialsMissing)
    expect(() => readCredentials(get({ authorization: 'Bearer abc, DPoP def' }), DPOP)).toThrow(
      expect.objectContaining({ status: 400, reason: 'multiple_credentials' })
    )
  })

  test('treats DPoP behind other credentials as second credentials, and DPoP behind a tab as malformed', () => {
    for (const line of ['Basic eA==, DPoP abc', 'Basic eA==,DPoP abc', 'Basic eA==, \tDPoP abc', 'DPoP\tabc'])
      expect(() => read(line), line).toThrow(InvalidRequest)
  })
})

describe('readUsedScheme', () => {
  test.each([
    ['Bearer abc', 'Bearer'],
    ['bEaReR', 'Bearer'],
    ['DPoP\tabc', 'DPoP'],
    ['dpop a b', 'DPoP'],
    ['Basic eA==', undefined],
    ['', undefined],
    ['Bearer a, DPoP b', undefined],
    ['Bearer a,DPoP b', undefined],
    ['Bearer a, DPoP  b', undefined],
    ['Bearer a, bcd', 'Bearer']
  ])('%j → %s', (authorization, scheme) => {
    expect(readUsedScheme(get({ authorization }), BOTH.accepted)).toBe(scheme)
  })

  test('finds no scheme without a field, in two fields, and for a disabled scheme', () => {
    expect(readUsedScheme(get(), BOTH.accepted)).toBeUndefined()
    expect(readUsedScheme(get({ authorization: ['Bearer a', 'Bearer a'] }), BOTH.accepted)).toBeUndefined()
    expect(readUsedScheme(get({ authorization: 'DPoP a' }), BEARER.accepted)).toBeUndefined()
  })
})

describe('requireToken68', () => {
  test.each(['a', 'a=', 'a==', 'a.b.c', '-._~+/', 'A'.repeat(5000)])('accepts the characters of %j', (token) => {
    expect(requireToken68(token)).toBeUndefined()
  })

  const others: readonly [string, string, string][] = [
    ['a b', 'malformed_authorization', 'a second part'],
    ['a\tb', 'malformed_authorization', 'a second part behind a tab'],
    ['a, b', 'malformed_authorization', 'a comma and a word'],
    ['a, Basic b', 'multiple_credentials', 'another scheme with its credentials'],
    ['a,Basic b', 'multiple_credentials', 'the same without a space'],
    ['a,\t Basic \t b', 'multiple_credentials', 'the same with more blanks and tabs'],
    ['a,Basic', 'malformed', 'a comma and another scheme, without credentials'],
    ['a,b', 'malformed', 'a comma'],
    ['=a', 'malformed', 'padding in front'],
    ['a=b', 'malformed', 'padding in between'],
    ['a"', 'malformed', 'a quote'],
    ['\u212A', 'malformed', 'a Kelvin sign, which is no K'],
    ['a\n', 'malformed', 'a line feed at the end'],
    ['', 'malformed', 'nothing']
  ]
  test.each(others)('refuses %j as %s: %s', (token, reason) => {
    expect(() => requireToken68(token)).toThrow(expect.objectContaining({ reason }))
  })

  const mistakes: readonly (readonly [reason: string, words: string, ...tokens: string[]])[] = [
    ['malformed', 'a word in place of', 'undefined', 'NULL', 'nil', 'None', 'nan', 'false', 'Bearer', 'dpop'],
    ['malformed', 'The token is in quotes', '"a"', "'a'", '`a`', '%22a%22', '%27a%27'],
    ['malformed', 'a placeholder in place of a token', '{{token}}', `\${TOKEN}`, '$TOKEN', '<token>'],
    ['malformed_authorization', 'The scheme is written twice', 'Bearer abc', 'dpop\tabc'],
    ['malformed', 'a character that is not allowed in a token', 'a!', 'a"', 'a%22', 'a$', 'a{{b', 'a<b']
  ]
  test.each(mistakes)(
    'refuses a client’s mistake as %s with a hint that says %j: %j',
    async (reason, words, ...tokens) => {
      const hint: unknown = expect.stringContaining(words)
      for (const token of tokens)
        expect(await refusal(() => requireToken68(token)), token).toMatchObject({ reason, hint })
    }
  )

  test('does not mistake a token that only contains such a word, or two tokens, for a client’s empty variable', async () => {
    for (const token of ['nullable', 'xnull', 'undefined.', 'null=='])
      expect(requireToken68(token), token).toBeUndefined()
    for (const token of ['abc def', 'x Bearer abc', 'bearers abc'])
      expect((await refusal(() => requireToken68(token))).hint, token).not.toContain('scheme is written twice')
  })

  test('takes no longer for a token that was crafted to be slow', () => {
    // Each would take years if the expressions could backtrack.
    for (const token of [
      `${'a'.repeat(16_000)}!`,
      `a${'='.repeat(16_000)}!`,
      `a${', a'.repeat(5000)}`,
      `a,${' '.repeat(16_000)}`
    ]) {
      expect(() => requireToken68(token)).toThrow()
    }
  })
})
