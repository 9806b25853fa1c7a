/** The rules about what a token says, apart from how the token came. */
import { describe, expect, test } from 'vitest'
import { withAnswer } from '../../src/access-token/fresh.js'
import { readScopes, withImplied } from '../../src/access-token/scopes.js'
import { deepFreeze, MAX_DEPTH, parseObject } from '../../src/base/json.js'
import { Problems } from '../../src/base/options/problems.js'
import type { IssuerOptions } from '../../src/issuer/settings.js'
import { readIssuerOptions } from '../../src/issuer/settings.js'
import {
  issuerHint,
  readAudience,
  requireAccessTokenClaims,
  requireAccessTokenKind,
  requireClaimValues,
  verifyClaims
} from '../../src/jwt/claims.js'
import type { Claims } from '../../src/types.js'
import { ISSUER, NOW, RESOURCE, refusal, validClaims } from '../support/refusals.js'

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
  test('accepts correct claims', () => {
    expect(verify({})).toBeUndefined()
  })

  test('reports the first broken rule: presence, type, issuer, audience, time', async () => {
    const broken = { sub: undefined, jti: 1, iss: 'x', aud: 'x', exp: 1 }
    expect((await refusal(() => verify(broken))).expected).toBe('a claim sub')
    expect((await refusal(() => verify({ ...broken, sub: 'u' }))).expected).toBe('jti: a string')
    expect(await reasonOf(() => verify({ iss: 'x', aud: 'x', exp: 1 }))).toBe('issuer')
    expect(await reasonOf(() => verify({ aud: 'x', exp: 1 }))).toBe('audience')
    expect(await reasonOf(() => verify({ exp: 1, nbf: NOW + 100 }))).toBe('expired')
    expect(await reasonOf(() => verify({ nbf: NOW + 100, iat: NOW + 100 }))).toBe('not_yet_valid')
  })

  test('does not require an issuer, which the caller checks: an introspection answer may have none (RFC 7662 §2.2)', () => {
    expect(verify({ iss: undefined })).toBeUndefined()
  })

  test('accepts a missing audience only if the caller allows it, and never a wrong one', async () => {
    expect(verify({ aud: undefined }, { allowMissingAudience: true })).toBeUndefined()
    for (const aud of ['x', []]) {
      expect(await reasonOf(() => verify({ aud }, { allowMissingAudience: true }))).toBe('audience')
    }
    expect(await reasonOf(() => verify({ aud: [null] }, { allowMissingAudience: true }))).toBe('claim')
  })

  test('ATV-03 (RFC 7519 §4.1.3): one of several audiences must be ours', async () => {
    const issuer = settings({ audience: [RESOURCE, 'api'] })
    for (const aud of [RESOURCE, 'api', [RESOURCE], ['x', 'api'], ['x', 'api', 'y']]) {
      expect(verify({ aud }, { issuer })).toBeUndefined()
    }
    for (const aud of ['x', ['x'], ['x', 'y'], []]) {
      expect(await reasonOf(() => verify({ aud }, { issuer }))).toBe('audience')
    }
  })

  test('ATV-06 DEF-05 (RFC 7519 §4.1.4): applies the leeway to the second, and to the fraction', async () => {
    expect(verify({ exp: NOW }, { now: NOW + 29.999 })).toBeUndefined()
    expect(await reasonOf(() => verify({ exp: NOW }, { now: NOW + 30 }))).toBe('expired')
    expect(await reasonOf(() => verify({ exp: NOW }, { now: NOW, clockTolerance: 0 }))).toBe('expired')
  })

  test('DEF-05: allows an iat as far ahead as a leeway of more than a minute', async () => {
    expect(verify({ iat: NOW + 300 }, { clockTolerance: 300 })).toBeUndefined()
    expect(await reasonOf(() => verify({ iat: NOW + 301 }, { clockTolerance: 300 }))).toBe('not_yet_valid')
  })

  test('refuses every token if the clock returns NaN', async () => {
    expect(await reasonOf(() => verify({}, { now: Number.NaN }))).toBe('expired')
    expect(await reasonOf(() => verify({ exp: undefined }, { now: Number.NaN, required: [] }))).toBe('not_yet_valid')
  })

  test('finds the client under each of its claims', async () => {
    const issuer = settings({ clientIdClaim: ['client_id', 'azp', 'cid'] })
    const required = ['client_id']
    expect(verify({ client_id: undefined, cid: 'c' }, { issuer, required })).toBeUndefined()
    expect(await reasonOf(() => verify({ client_id: undefined }, { issuer, required }))).toBe('claim')
    expect(await reasonOf(() => verify({ azp: 1 }, { issuer, required }))).toBe('claim')
  })

  test('tells the log what was expected and what was received', async () => {
    const { expected, received } = await refusal(() => verify({ exp: NOW - 100 }))
    expect([expected, received]).toEqual([`exp after ${NOW - 30}`, NOW - 100])
  })

  test('says of a refused iss that it cannot be an issuer, except for https URLs and http URLs of this machine', async () => {
    const hintOf = async (iss: string) => (await refusal(() => verify({ iss }))).hint
    for (const iss of ['https://as.test', 'http://127.0.0.1:4010/', 'http://localhost:4010', 'http://[::1]:4010'])
      expect(await hintOf(iss), iss).toContain('exactly equal to a configured `issuer`, including a trailing slash')
    for (const iss of ['http://127.0.0.1.example.com', 'http://as.example.com', 'http://', 'localhost', 'as'])
      expect(await hintOf(iss), iss).toContain('is not an https URL')
  })

  const strings = ['iss', 'sub', 'jti', 'client_id']
  const dates = ['exp', 'nbf', 'iat', 'auth_time']
  const told: readonly (readonly [claims: Record<string, unknown>, reason: string, expected: unknown])[] = [
    ...strings.flatMap((name) => [7, ['x']].map((value) => [{ [name]: value }, 'claim', `${name}: a string`] as const)),
    ...dates.flatMap((name) =>
      ['1', true, Number.POSITIVE_INFINITY].map(
        (value) => [{ [name]: value }, 'claim', `${name}: a number of seconds`] as const
      )
    ),
    ...['x', 7, []].map((cnf) => [{ cnf }, 'claim', 'cnf: an object'] as const),
    ...[7, [RESOURCE, 7], {}].map((aud) => [{ aud }, 'claim', 'aud: a string or an array of strings'] as const),
    [{ iss: 'x' }, 'issuer', [ISSUER]],
    [{ aud: ['x'] }, 'audience', [RESOURCE]],
    [{ nbf: NOW + 31 }, 'not_yet_valid', `nbf up to ${NOW + 30}`],
    [{ iat: NOW + 61 }, 'not_yet_valid', `iat up to ${NOW + 60}`]
  ]
  test.each(told)('ATV-08: %j is refused, and the log gets the reason', async (claims, reason, expected) => {
    const [received] = Object.values(claims)
    expect(await refusal(() => verify(claims))).toMatchObject({ reason, expected, received })
  })

  test('ATV-06 DEF-05: accepts a token that begins within the leeway, and one without nbf', () => {
    for (const nbf of [NOW - 100, NOW, NOW + 30]) expect(verify({ nbf })).toBeUndefined()
    for (const iat of [undefined, NOW - 100, NOW + 60]) expect(verify({ iat })).toBeUndefined()
  })

  test('accepts any audience if none is configured, but requires a valid one', async () => {
    const issuer = settings({ audience: null })
    for (const aud of ['x', [], undefined]) expect(verify({ aud }, { issuer })).toBeUndefined()
    expect(await reasonOf(() => verify({ aud: 7 }, { issuer }))).toBe('claim')
  })

  test.each(['exp', 'nbf', 'iat'])('ATV-08: refuses %s in milliseconds, and tells the operator', async (name) => {
    expect(await refusal(() => verify({ [name]: 1e11 + 1 }))).toMatchObject({
      reason: 'claim',
      expected: `${name}: seconds since the epoch`,
      received: 1e11 + 1,
      hint: expect.stringContaining(`\`${name}\` is in milliseconds`)
    })
  })

  test('reads 1e11 as seconds, and leaves an auth_time in the future to the policy', async () => {
    expect(verify({ exp: 1e11 })).toBeUndefined()
    expect(await reasonOf(() => verify({ nbf: 1e11 }))).toBe('not_yet_valid')
    expect(verify({ auth_time: NOW * 1000 })).toBeUndefined()
  })

  test('tells the operator the limit of a time in whole seconds', async () => {
    const now = NOW + 0.5
    expect((await refusal(() => verify({ exp: 1 }, { now }))).expected).toBe(`exp after ${NOW - 30}`)
    expect((await refusal(() => verify({ nbf: NOW + 99 }, { now }))).expected).toBe(`nbf up to ${NOW + 30}`)
    expect((await refusal(() => verify({ iat: NOW + 99 }, { now }))).expected).toBe(`iat up to ${NOW + 60}`)
  })

  test('accepts any object as cnf, which is confirmed later', () => {
    expect(verify({ cnf: { x: 1 } })).toBeUndefined()
  })
})

describe('the hint of a refused issuer', () => {
  test('a refused iss that is not an https URL has a hint that names the options, and another has not', async () => {
    for (const iss of ['acme', 'http://as.example.com', 'ftp://localhost', '']) {
      expect(issuerHint(iss).hint, iss).toContain('`iss` is not an https URL')
    }
    expect(issuerHint(7).hint).toContain('`acceptedIssuers`')
    for (const iss of ['https://other.example.com', 'http://localhost:3000', 'http://127.0.0.1'])
      expect(issuerHint(iss), iss).toEqual({})
    expect((await refusal(() => verify({ iss: 'acme' }))).hint).toContain('`iss` is not an https URL')
    expect((await refusal(() => verify({ iss: 'https://x' }))).hint).not.toContain('is not an https URL')
  })
})

describe('the hint of a refused audience', () => {
  const hintFor = async (aud: unknown, audience: string[], options: Partial<IssuerOptions> = {}): Promise<string> =>
    (await refusal(() => verify({ aud }, { issuer: settings({ audience, ...options }) }))).hint

  test('a token without an audience is refused with a hint that says so, by the name of the claim', async () => {
    for (const aud of [undefined, []]) expect(await hintFor(aud, ['a'])).toContain('The token has no `aud`.')
    expect(await hintFor('x', ['a'], { audienceClaim: 'azp' })).toContain('The token has no `azp`.')
  })

  test('an audience that differs only by its final slash is refused with a hint that writes both spellings', async () => {
    const hint = await hintFor(['x', `${RESOURCE}/`], ['other', RESOURCE])
    expect(hint).toContain(`\`aud\` differs from ${RESOURCE} only by its final slash`)
    expect(hint).toContain(`\`audience: ['${RESOURCE}', '${RESOURCE}/']\``)
    expect(await hintFor(RESOURCE, [`${RESOURCE}/`])).toContain(`\`audience: ['${RESOURCE}/', '${RESOURCE}']\``)
  })

  test('an audience that differs by more than its final slash is refused with a hint that does not mention the slash', async () => {
    const slashes = [
      ['x', 'y'],
      ['a/b', 'ab'],
      ['a//', 'a'],
      ['/a', 'a']
    ] as const
    for (const [aud, audience] of slashes) expect(await hintFor(aud, [audience]), aud).not.toContain('final slash')
  })
})

describe.each([
  ['null', null],
  ['an empty text', '']
])('a claim that is %s', (_, nothing) => {
  test.each(['iss', 'sub', 'jti', 'client_id', 'exp', 'nbf', 'iat', 'auth_time', 'cnf'])(
    'counts as missing if %s is not required',
    (name) => {
      expect(verify({ [name]: nothing }, { required: [] })).toBeUndefined()
    }
  )

  test.each(['sub', 'jti', 'client_id', 'exp', 'iat', 'tenant'])('is refused if %s is required', async (name) => {
    const lacking = { reason: 'claim', expected: `a claim ${name}` }
    expect(await refusal(() => verify({ [name]: nothing }, { required: [name] }))).toMatchObject(lacking)
  })

  test('is a missing aud: refused unless a missing one is allowed or none is checked', async () => {
    expect(await reasonOf(() => verify({ aud: nothing }))).toBe('audience')
    expect(verify({ aud: nothing }, { allowMissingAudience: true })).toBeUndefined()
    expect(verify({ aud: nothing }, { issuer: settings({ audience: null }) })).toBeUndefined()
    expect(readAudience(nothing)).toEqual([])
  })

  test('never removes a binding or an audience: {} and [] are values', async () => {
    expect(await reasonOf(() => verify({ aud: [] }, { allowMissingAudience: true }))).toBe('audience')
    expect(await reasonOf(() => verify({ cnf: [] }))).toBe('claim')
  })

  test('grants no scope', () => {
    expect(readScopes({ scope: nothing }, ['scope', 'scp'])).toEqual([])
  })

  test('leaves the client to the next claim', async () => {
    const issuer = settings({ clientIdClaim: ['azp', 'cid'] })
    expect(verify({ azp: nothing, cid: 'c' }, { issuer, required: ['client_id'] })).toBeUndefined()
    expect(await reasonOf(() => verify({ azp: nothing }, { issuer, required: ['client_id'] }))).toBe('claim')
  })

  test('is no evidence under `legacy` that a token is an access token', async () => {
    const issuer = settings({ tokenProfile: 'legacy' })
    for (const claims of [{ scope: nothing }, { scp: nothing }, { azp: nothing }] as Claims[])
      expect(await reasonOf(() => requireAccessTokenClaims({ aud: RESOURCE, ...claims }, issuer))).toBe('type')
  })

  test('in an introspection answer changes nothing', () => {
    const claims: Claims = Object.freeze({ sub: 'u', acr: 'low' })
    expect(withAnswer(claims, { acr: nothing, auth_time: nothing, authorization_details: nothing })).toBe(claims)
  })
})

test('SCP-02: an empty scope is an empty list, so scp is not read; after null it is read', () => {
  expect(readScopes({ scope: '', scp: 'a' }, ['scope', 'scp'])).toEqual([])
  expect(readScopes({ scope: null, scp: 'a' }, ['scope', 'scp'])).toEqual(['a'])
})

describe('readAudience and readScopes', () => {
  test('returns an audience as a list, however it is written', () => {
    expect([readAudience(undefined), readAudience('a'), readAudience(['a', 'b'])]).toEqual([[], ['a'], ['a', 'b']])
  })

  test('reports an audience of another type by its claim', async () => {
    const expected = 'a string or an array of strings'
    expect(await refusal(() => readAudience(7))).toMatchObject({ expected: `aud: ${expected}` })
    expect(await refusal(() => readAudience(7, 'resource'))).toMatchObject({ expected: `resource: ${expected}` })
  })

  test('reads scopes from the first claim that is present', () => {
    const claims = { scp: 'c', scope: 'a b' }
    expect(readScopes(claims, ['scope', 'scp'])).toEqual(['a', 'b'])
    expect(readScopes(claims, ['scp', 'scope'])).toEqual(['c'])
    expect(readScopes(claims, ['permissions'])).toEqual([])
    expect(readScopes({ scope: '' }, ['scope', 'scp'])).toEqual([])
  })

  test('reports invalid scopes by their claim', async () => {
    const expected = 'scp: space-delimited scopes or an array of them'
    expect(await refusal(() => readScopes({ scp: 7 }, ['scope', 'scp']))).toMatchObject({ expected, received: 7 })
  })

  test('SCP-03 (RFC 6749 §3.3): returns scopes without duplicates, from a string or a list, whose elements are never split', () => {
    expect(readScopes({ scope: ' a  b a ' }, ['scope'])).toEqual(['a', 'b'])
    expect(readScopes({ scope: ['a b', 'c', 'c'] }, ['scope'])).toEqual(['a b', 'c'])
    expect(readScopes({ scope: [] }, ['scope'])).toEqual([])
  })

  test.each([['a\tb'], ['a"'], ['é'], [7], [['a', 7]], [[7, 'a']], [{ 0: 'a' }]])(
    'SCP-03: refuses the scopes %j',
    async (scope) => {
      expect(await refusal(() => readScopes({ scope }, ['scope']))).toMatchObject({
        reason: 'claim',
        expected: 'scope: space-delimited scopes or an array of them',
        received: scope
      })
    }
  )
})

describe('requireAccessTokenClaims', () => {
  const judge = (claims: Claims, options: Partial<IssuerOptions> = {}): void =>
    requireAccessTokenClaims({ aud: RESOURCE, ...claims }, settings({ tokenProfile: 'legacy', ...options }))

  test('ATV-12: accepts unknown claims and words beside a scope claim or another client', () => {
    for (const mark of [{}, { typ: 'Bearer' }, { typ: 1 }, { token_use: 'access' }, { at: 'x' }] as Claims[])
      for (const other of [{ scope: 'a' }, { scp: [] }, { scopes: ['a'] }, { azp: 'c1' }])
        expect(judge({ ...mark, ...other })).toBeUndefined()
    // Each usual scope claim counts, also where the issuer has one of its own.
    for (const name of ['scope', 'scp', 'scopes'])
      expect(judge({ [name]: 'a' }, { scopeClaim: 'permissions' }), name).toBeUndefined()
  })

  test.each(['at_hash', 'c_hash', 's_hash', 'events'])(
    'ATV-12 (RFC 8725 §3.12): refuses a claim %s, which other kinds of tokens have',
    async (name) => {
      const expected = `no claim ${name}`
      for (const value of ['x', null, {}])
        expect(await refusal(() => judge({ ...validClaims, [name]: value }))).toMatchObject({
          reason: 'type',
          expected
        })
    }
  )

  test('ATV-12: tells the operator which claims are missing beside a nonce, and the remedy', async () => {
    expect(await refusal(() => judge({ nonce: 'n', azp: 'c1', tty: 'at' }))).toMatchObject({
      reason: 'type',
      expected: 'no claim nonce, or a scope claim and a client claim beside it',
      hint: expect.stringMatching(
        /^The token has a `nonce`.*`requiredClaimValues: \{ tty: \[\.\.\.\] \}`.*This token has `tty`\.$/
      )
    })
  })

  test('ATV-12: tells the operator that nothing shows an access token, and the remedy', async () => {
    expect(await refusal(() => judge({ tty: 'at', role: 'r', sub: 'repo:a' }))).toMatchObject({
      reason: 'type',
      expected: 'a scope claim, or a client claim that is not the audience',
      hint: expect.stringMatching(
        /^The token does not show.*\{ tty: \[\.\.\.\] \}`\. This token has `tty`, `role`, `sub`\.$/
      )
    })
    for (const claims of [{}, { sub: 'u1' }, { tty: '' }, { tty: 7 }, { sub: [':'] }] as Claims[])
      expect((await refusal(() => judge(claims))).hint).toMatch(
        /`requiredClaimValues: \{ claim: \[\.\.\.\] \}`\. This token has no claim that could show it\.$/
      )
  })

  test('ATV-12: reads scopes and clients in the configured claims too', async () => {
    expect(judge({ rights: 'a' }, { scopeClaim: 'rights' })).toBeUndefined()
    expect(judge({ a: { rights: ['b'] } }, { scopeClaim: [['a', 'rights']] })).toBeUndefined()
    expect(judge({ nonce: 'n', scope: 'a', app: 'c1' }, { clientIdClaim: 'app' })).toBeUndefined()
    expect(judge({ app: 'c1' }, { clientIdClaim: 'app' })).toBeUndefined()
    for (const claims of [{ nonce: 'n', scope: 'a', app: 'c1' }, { app: 'c1' }, { rights: 'a' }] as Claims[])
      expect(await reasonOf(() => judge(claims)), JSON.stringify(claims)).toBe('type')
  })

  test('ATV-12: refuses any client claim that equals the matched audience, also beside another client', async () => {
    for (const claims of [{ azp: RESOURCE }, { azp: 'c1', cid: RESOURCE }] as Claims[])
      expect(await reasonOf(() => judge(claims))).toBe('type')
    expect(await reasonOf(() => judge({ azp: 'c1', app: RESOURCE }, { clientIdClaim: 'app' }))).toBe('type')
    expect(judge({ aud: [RESOURCE, 'c1'], azp: 'c1' })).toBeUndefined()
    expect(await reasonOf(() => judge({ aud: [RESOURCE, 'c1'], azp: 'c1' }, { audience: null }))).toBe('type')
    expect(await reasonOf(() => judge({ aud: undefined }, { audience: null }))).toBe('type')
    expect(judge({ aud: undefined, azp: 'c1' }, { audience: null })).toBeUndefined()
    expect(judge({ aud: 'x' })).toBeUndefined()
  })

  test('ATV-12: a requirement on any value of a claim about the kind is evidence; one about the owner is not', async () => {
    expect(judge({ kind: 'x', nonce: 'n' }, { requiredClaimValues: { kind: true } })).toBeUndefined()
    for (const name of ['iss', 'aud', 'tid', 'zid', 'hd', 'org_id', 'client_id', 'azp', 'cid', 'appid', 'app'])
      expect(
        await reasonOf(() =>
          judge(
            { aud: RESOURCE, nonce: 'n', [name]: RESOURCE },
            { requiredClaimValues: { [name]: true }, clientIdClaim: 'app' }
          )
        ),
        name
      ).toBe('type')
    const owner = { requiredClaimValues: { resource: true }, audienceClaim: 'resource' } as const
    expect(await reasonOf(() => judge({ resource: RESOURCE, nonce: 'n' }, owner))).toBe('type')
  })

  test('ATV-12: either word for an access token is evidence by itself, even beside a nonce and an at_hash', () => {
    for (const word of [{ token_use: 'access' }, { tokenName: 'access_token' }])
      expect(judge({ ...word, nonce: 'n', at_hash: 'h' })).toBeUndefined()
  })

  test('ATV-12: also reads what a token says about its own kind', async () => {
    expect(await reasonOf(() => judge({ ...validClaims, token_use: 'id' }))).toBe('type')
  })

  test('ATV-12: refuses words for other kinds and accepts those for access tokens, in any case', async () => {
    const words =
      'id ID_token Refresh refresh_token Offline offline_token logout Logout-Token RefreshToken refresh-token N_A n_a N/A urn:ietf:params:oauth:token-type:refresh_token'
    for (const word of [...words.split(' '), 'id token']) {
      const refused = { reason: 'type', expected: 'an access token', received: word }
      expect(await refusal(() => requireAccessTokenKind({ typ: word }))).toMatchObject(refused)
      expect(await refusal(() => requireAccessTokenKind({ token_type: word }))).toMatchObject(refused)
    }
    for (const use of ['id', 'refresh', '', 7, null, ['access']])
      expect(await refusal(() => requireAccessTokenKind({ token_use: use }))).toMatchObject({
        reason: 'type',
        expected: 'token_use: access',
        received: use
      })
    for (const name of ['id_token', 'access', '', 7, null, ['access_token']])
      expect(await refusal(() => requireAccessTokenKind({ tokenName: name }))).toMatchObject({
        reason: 'type',
        expected: 'tokenName: access_token',
        received: name
      })
    for (const use of ['access', 'Access_Token', undefined])
      expect(requireAccessTokenKind({ token_use: use, typ: 'Bearer', token_type: 'Bearer' })).toBeUndefined()
    for (const tokenName of ['access_token', 'AccessToken', undefined])
      expect(requireAccessTokenKind({ tokenName })).toBeUndefined()
    expect(requireAccessTokenKind({ typ: 'x-urn:ietf:params:oauth:token-type:id_token' })).toBeUndefined()
  })
})

describe('requireClaimValues', () => {
  const required = { kind: new Set(['a', 'b']), tenant: new Set(['t1']) }

  test('ATV-12: requires one of the configured values of a claim', async () => {
    expect(requireClaimValues({ kind: 'b', tenant: 't1' }, required)).toBeUndefined()
    expect(requireClaimValues({}, {})).toBeUndefined()
    for (const received of ['c', undefined, ['a'], null])
      expect(await refusal(() => requireClaimValues({ kind: received, tenant: 't1' }, required))).toMatchObject({
        reason: 'type',
        expected: 'kind: one of a, b',
        received
      })
    expect(await reasonOf(() => requireClaimValues({ kind: 'a', tenant: 't2' }, required))).toBe('type')
  })

  test('ATV-12: `true` requires any value but null, in the token’s own members', async () => {
    for (const kind of ['x', '', 0, false, []]) expect(requireClaimValues({ kind }, { kind: true })).toBeUndefined()
    const expected = 'a claim kind'
    expect(await refusal(() => requireClaimValues({}, { kind: true }))).toMatchObject({ reason: 'type', expected })
    expect(await refusal(() => requireClaimValues({ kind: null }, { kind: true }))).toMatchObject({
      reason: 'type',
      expected,
      received: null
    })
    expect(await reasonOf(() => requireClaimValues({}, Object.fromEntries([['constructor', true as const]])))).toBe(
      'type'
    )
  })

  test('does not read requirements from a prototype', () => {
    const inherited = Object.create({ kind: true }) as Readonly<Record<string, true>>
    expect(requireClaimValues({}, inherited)).toBeUndefined()
  })
})

describe('deepFreeze', () => {
  test('freezes every level, and returns its argument', () => {
    const value = { a: [{ b: { c: 1 } }], d: null, e: 'x' }
    expect(deepFreeze(value)).toBe(value)
    for (const one of [value, value.a, value.a[0], value.a[0]?.b]) expect(Object.isFrozen(one)).toBe(true)
  })

  test('ignores values that cannot be frozen', () => {
    for (const one of [null, 'x', 7, undefined]) expect(deepFreeze(one)).toBe(one)
  })

  test('freezes the innermost value of the deepest object that is accepted', () => {
    const text = `${'{"a":'.repeat(MAX_DEPTH - 1)}[]${'}'.repeat(MAX_DEPTH - 1)}`
    let inner: unknown = deepFreeze(parseObject(text))
    for (let i = 1; i < MAX_DEPTH; i++) inner = (inner as Claims)['a']
    expect(inner).toEqual([])
    expect(Object.isFrozen(inner)).toBe(true)
  })
})

describe('withAnswer', () => {
  const claims: Claims = Object.freeze({ sub: 'u', acr: 'low', scope: 'a' })

  test('returns the same claims if the answer says nothing about changeable ones', () => {
    expect(withAnswer(claims, {})).toBe(claims)
    expect(withAnswer(claims, { sub: 'another', scope: 'b', active: true })).toBe(claims)
  })

  test('INT-14 (RFC 9396 §9.2, RFC 9470 §6.2): takes the changeable claims from the answer, and no others; frozen', () => {
    const details = [{ type: 'payment' }]
    const answer = { acr: 'high', auth_time: 5, authorization_details: details, sub: 'another', scope: 'b' }
    const changed = withAnswer(claims, answer)
    expect(changed).toEqual({ sub: 'u', scope: 'a', acr: 'high', auth_time: 5, authorization_details: details })
    expect(Object.isFrozen(changed)).toBe(true)
    expect(withAnswer(claims, { auth_time: 5 })).toEqual({ ...claims, auth_time: 5 })
  })
})

describe('withImplied', () => {
  const implied = new Map([
    ['admin', ['write', 'read']],
    ['write', ['read']]
  ])

  test('adds the implied scopes at the end, each once', () => {
    expect(withImplied(['write', 'other', 'admin'], implied)).toEqual(['write', 'read', 'other', 'admin'])
    expect(withImplied([], implied)).toEqual([])
  })

  test('returns the same list if nothing is implied', () => {
    const granted = ['admin']
    expect(withImplied(granted, new Map())).toBe(granted)
  })
})
