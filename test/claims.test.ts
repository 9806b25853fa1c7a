/** The rules about what a token says, apart from how the token came. */
import { describe, expect, test } from 'vitest'
import { deepFreeze, readAudience, readScopes, requireAccessTokenClaims, verifyClaims } from '../src/claims.js'
import { readIssuerOptions } from '../src/issuer-settings.js'
import type { IssuerOptions } from '../src/options.js'
import { Problems } from '../src/problems.js'
import type { Claims } from '../src/types.js'
import { ISSUER, NOW, RESOURCE, refusal, validClaims } from './support/refusals.js'

const settings = (options: Partial<IssuerOptions> = {}): ReturnType<typeof readIssuerOptions> =>
  readIssuerOptions({ issuer: ISSUER, ...options }, 'issuers[0]', RESOURCE, new Problems())
const rules = { required: ['exp', 'sub'], allowMissingAudience: false, clockTolerance: 30 }

const verify = (
  claims: Record<string, unknown>,
  {
    now = NOW,
    issuer = settings(),
    ...others
  }: Partial<typeof rules> & { now?: number; issuer?: ReturnType<typeof settings> } = {}
): void => verifyClaims({ ...validClaims, ...claims }, issuer, { ...rules, ...others }, now)
const reasonOf = async (attempt: () => void): Promise<string> => (await refusal(attempt)).reason

describe('verifyClaims', () => {
  test('says nothing of what is right', () => {
    expect(verify({})).toBeUndefined()
  })

  test('names the first broken rule: presence, type, issuer, audience, time', async () => {
    const broken = { sub: undefined, jti: 1, iss: 'x', aud: 'x', exp: 1 }
    expect((await refusal(() => verify(broken))).expected).toBe('a claim sub')
    expect((await refusal(() => verify({ ...broken, sub: 'u' }))).expected).toBe('jti: a string')
    expect(await reasonOf(() => verify({ iss: 'x', aud: 'x', exp: 1 }))).toBe('issuer')
    expect(await reasonOf(() => verify({ aud: 'x', exp: 1 }))).toBe('audience')
    expect(await reasonOf(() => verify({ exp: 1, nbf: NOW + 100 }))).toBe('expired')
    expect(await reasonOf(() => verify({ nbf: NOW + 100, iat: NOW + 100 }))).toBe('not_yet_valid')
  })

  test('a missing issuer is checked by whoever needs it: an introspection answer may have none (RFC 7662 §2.2)', () => {
    expect(verify({ iss: undefined })).toBeUndefined()
  })

  test('a missing audience passes only where that is said, a wrong one never', async () => {
    expect(verify({ aud: undefined }, { allowMissingAudience: true })).toBeUndefined()
    for (const aud of ['x', [], '']) {
      expect(await reasonOf(() => verify({ aud }, { allowMissingAudience: true }))).toBe('audience')
    }
    expect(await reasonOf(() => verify({ aud: null }, { allowMissingAudience: true }))).toBe('claim')
  })

  test('ATV-06 DEF-05 (RFC 7519 §4.1.4): the leeway counts to the second, and to the fraction', async () => {
    expect(verify({ exp: NOW }, { now: NOW + 29.999 })).toBeUndefined()
    expect(await reasonOf(() => verify({ exp: NOW }, { now: NOW + 30 }))).toBe('expired')
    expect(await reasonOf(() => verify({ exp: NOW }, { now: NOW, clockTolerance: 0 }))).toBe('expired')
  })

  test('DEF-05: where the leeway is more than a minute, iat may be as far ahead', async () => {
    expect(verify({ iat: NOW + 300 }, { clockTolerance: 300 })).toBeUndefined()
    expect(await reasonOf(() => verify({ iat: NOW + 301 }, { clockTolerance: 300 }))).toBe('not_yet_valid')
  })

  test('a clock that answers no number lets nothing in', async () => {
    expect(await reasonOf(() => verify({}, { now: Number.NaN }))).toBe('expired')
    expect(await reasonOf(() => verify({ exp: undefined }, { now: Number.NaN, required: [] }))).toBe('not_yet_valid')
  })

  test('the client is there under any of its names', async () => {
    const issuer = settings({ clientIdClaim: ['client_id', 'azp', 'cid'] })
    const required = ['client_id']
    expect(verify({ client_id: undefined, cid: 'c' }, { issuer, required })).toBeUndefined()
    expect(await reasonOf(() => verify({ client_id: undefined }, { issuer, required }))).toBe('claim')
    expect(await reasonOf(() => verify({ azp: 1 }, { issuer, required }))).toBe('claim')
  })

  test('says what was expected and what came, for the log', async () => {
    const { expected, received } = await refusal(() => verify({ exp: NOW - 100 }))
    expect([expected, received]).toEqual([`exp after ${NOW - 30}`, NOW - 100])
  })
})

describe('readAudience and readScopes', () => {
  test('an audience is a list, however it is written', () => {
    expect([readAudience(undefined), readAudience('a'), readAudience(['a', 'b'])]).toEqual([[], ['a'], ['a', 'b']])
  })

  test('scopes are read from the first claim that is there', () => {
    const claims = { scp: 'c', scope: 'a b' }
    expect(readScopes(claims, ['scope', 'scp'])).toEqual(['a', 'b'])
    expect(readScopes(claims, ['scp', 'scope'])).toEqual(['c'])
    expect(readScopes(claims, ['permissions'])).toEqual([])
    expect(readScopes({ scope: '' }, ['scope', 'scp'])).toEqual([])
  })
})

describe('requireAccessTokenClaims', () => {
  test('ATV-12: knows the marks of other tokens, and lets unknown ones be', () => {
    for (const claims of [{}, { typ: 'Bearer' }, { typ: 1 }, { token_use: 'access' }, { at: 'x' }] as Claims[]) {
      expect(requireAccessTokenClaims(claims)).toBeUndefined()
    }
  })
})

describe('deepFreeze', () => {
  test('freezes every level, and gives back what it was given', () => {
    const value = { a: [{ b: { c: 1 } }], d: null, e: 'x' }
    expect(deepFreeze(value)).toBe(value)
    for (const one of [value, value.a, value.a[0], value.a[0]?.b]) expect(Object.isFrozen(one)).toBe(true)
  })

  test('as deep as a token of the greatest length may nest', () => {
    const deep = JSON.parse(`${'['.repeat(6000)}${']'.repeat(6000)}`) as unknown[]
    expect(Object.isFrozen(deepFreeze(deep))).toBe(true)
  })
})
