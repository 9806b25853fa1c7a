/** Step-up, authorization details and fresh answers as checks: what is refused at the start, and what they say as data. */
import { describe, expect, test } from 'vitest'
import {
  type Access,
  anyScope,
  authentication,
  authorizationDetails,
  claims,
  fresh,
  optional,
  resourceServer,
  scope,
  skipPreflight
} from '../../src/index.js'
import { lackingAuthentication, requireAuthenticationRequirement } from '../../src/policy/authentication.js'
import { hasScopes } from '../../src/policy/scope.js'
import { ISSUER, NOW, RESOURCE, refusal } from '../support/refusals.js'

const context = { resource: RESOURCE, now: () => NOW, clockTolerance: 30 }

/** An access of which only this much is looked at. */
function accessOf(claims: Record<string, unknown>, scopes: readonly string[] = []): Access {
  return { claims, scopes, hasScope: (one: string) => scopes.includes(one) } as unknown as Access
}

describe('scope', () => {
  test('checks a list again on each request if it can still change', () => {
    const scopes = ['read']
    const check = scope('read')
    const access = accessOf({}, scopes)
    expect(check(access, {} as never, context)).toBeUndefined()
    scopes.pop()
    expect(() => check(access, {} as never, context)).toThrow('The access token lacks a required scope')
  })

  test('called by a custom check, requires all its scopes, or for anyScope() names the first', async () => {
    for (const [check, scopes] of [
      [scope('a', 'b', 'a'), ['a', 'b']],
      [anyScope('a', 'b'), ['a']]
    ] as const) {
      const error = await refusal(() => check(accessOf({}, ['c']), {} as never, context))
      expect(error).toMatchObject({ reason: 'insufficient_scope', scopes, expected: ['a', 'b'], received: ['c'] })
    }
  })

  test('hasScopes requires all scopes, or any one', () => {
    const access = accessOf({}, ['a', 'b'])
    expect([hasScopes(access, ['a', 'b']), hasScopes(access, ['a', 'c']), hasScopes(access, [])]).toEqual([
      true,
      false,
      true
    ])
    expect([
      hasScopes(access, ['c', 'a'], 'any'),
      hasScopes(access, ['c'], 'any'),
      hasScopes(access, [], 'any')
    ]).toEqual([true, false, false])
  })
})

describe('claims', () => {
  test('tells the log the issues of a schema, but not the client', async () => {
    const issues = [{ message: 'secret' }]
    const schema = { '~standard': { version: 1, vendor: 'x', validate: () => ({ issues }) } } as const
    const error = await refusal(() => claims(schema)(accessOf({}), {} as never, context))
    expect([error.reason, error.received]).toEqual(['forbidden', issues])
    expect(JSON.stringify(error)).not.toContain('secret')
  })
})

describe('authentication', () => {
  test('SCP-08 STP-02 (RFC 9470 §3): refuses an acr that no challenge can carry, at start', () => {
    for (const acr of ['', 'a b', 'a"', 'a\\', 'a\r\nX: y', 'é', 1, null, {}, ['a', ''], ['a', 'b c'], ['a', 1]]) {
      expect(() => authentication({ acr: acr as string }), JSON.stringify(acr)).toThrow(TypeError)
    }
  })

  test('STP-03 (RFC 9470 §3): refuses a maxAge that is not a natural number of seconds, at start', () => {
    for (const maxAge of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '300', null, true, {}]) {
      expect(() => authentication({ maxAge: maxAge as number }), JSON.stringify(maxAge)).toThrow(TypeError)
    }
    for (const maxAge of [0, 1, 86_400]) expect(authentication({ maxAge }).authentication).toStrictEqual({ maxAge })
  })

  test('refuses an empty requirement at start', () => {
    for (const nothing of [{}, { acr: undefined }, { acr: [] }, { maxAge: undefined }, { acr: [], maxAge: 1 }]) {
      expect(() => authentication(nothing as object), JSON.stringify(nothing)).toThrow(TypeError)
    }
    for (const nothing of [undefined, null, 'mfa', 300])
      expect(() => authentication(nothing as never)).toThrow(TypeError)
  })

  test('refuses a misspelt requirement at start, since every token would meet it', () => {
    expect(() => authentication({ acr: 'mfa', maxage: 300 } as never)).toThrow(TypeError)
    expect(() => authentication({ max_age: 300, acr: 'mfa' } as never)).toThrow(TypeError)
  })

  test('is a frozen check that declares its needs, unaffected by later changes of its argument', () => {
    const acr = ['mfa', 'hwk']
    const check = authentication({ acr, maxAge: 60 })
    acr.push('pwd')
    expect(check.authentication).toEqual({ acr: ['mfa', 'hwk'], maxAge: 60 })
    for (const one of [check, check.authentication, check.authentication?.acr]) expect(Object.isFrozen(one)).toBe(true)
    expect(authentication({ acr: 'mfa' }).authentication).toStrictEqual({ acr: ['mfa'] })
  })
})

describe('lackingAuthentication', () => {
  const lacking = (claims: Record<string, unknown>, requirement: object, clockTolerance = 30): unknown =>
    lackingAuthentication(requirement, accessOf(claims), { ...context, clockTolerance })

  test('STP-03 (RFC 9470 §3): accepts an auth_time within maxAge, and up to a minute or the leeway in the future', () => {
    for (const [age, maxAge, tolerance, expected] of [
      [300, 300, 0, undefined],
      [301, 300, 0, 'maxAge'],
      [330, 300, 30, undefined],
      [331, 300, 30, 'maxAge'],
      [-60, 0, 0, undefined],
      [-61, 0, 0, 'maxAge'],
      [-60, 0, 30, undefined],
      [-61, 0, 30, 'maxAge'],
      [-120, 0, 120, undefined],
      [-121, 0, 120, 'maxAge']
    ] as const)
      expect(lacking({ auth_time: NOW - age }, { maxAge }, tolerance), `${age} of ${maxAge}`).toBe(expected)
  })

  test('treats an invalid auth_time as not recent', () => {
    for (const auth_time of [undefined, 'x', Number.NaN, {}])
      expect(lacking({ auth_time }, { maxAge: 300 })).toBe('maxAge')
  })

  test('called by a custom check, returns the unmet part', async () => {
    const check = authentication({ acr: 'mfa', maxAge: 300 })
    for (const [claims, description] of [
      [{ auth_time: NOW }, 'A different authentication level is required'],
      [{ acr: 'mfa' }, 'More recent authentication is required']
    ] as const)
      expect(await refusal(() => check(accessOf(claims), {} as never, context))).toMatchObject({ description })
  })

  test('reports acr first if both are unmet', () => {
    const requirement = { acr: ['mfa'], maxAge: 300 }
    expect(lacking({}, requirement)).toBe('acr')
    expect(lacking({ acr: 'mfa' }, requirement)).toBe('maxAge')
    expect(lacking({ acr: 'mfa', auth_time: NOW }, requirement)).toBeUndefined()
  })
})

describe('authorizationDetails', () => {
  const yes = (): boolean => true

  test('RAR-01 (RFC 9396 §2): refuses a call without a function or without a type at start', () => {
    for (const types of [undefined, [], 'payment', [''], ['a', 1], [null], {}]) {
      expect(() => authorizationDetails(yes, { types: types as never }), JSON.stringify(types)).toThrow(TypeError)
    }
    for (const allows of [undefined, null, 'payment', {}]) {
      expect(() => authorizationDetails(allows as never, { types: ['payment'] })).toThrow(TypeError)
    }
    for (const options of [undefined, null])
      expect(() => authorizationDetails(yes, options as never)).toThrow(TypeError)
  })

  test('is a frozen check that declares its types, unaffected by later changes of its argument', () => {
    const types = ['payment']
    const check = authorizationDetails(yes, { types })
    types.push('account')
    expect(check.authorizationDetailsTypes).toEqual(['payment'])
    for (const one of [check, check.authorizationDetailsTypes]) expect(Object.isFrozen(one)).toBe(true)
    const access = { claims: { authorization_details: [{ type: 'account' }] } } as unknown as Access
    expect(() => check(access, {} as never, context)).toThrow('The access token lacks a required authorization detail')
  })
})

describe('authorization details that a token has', () => {
  const detail = (members: object): object => ({ type: 'payment', ...members })

  /** The details that the function was asked about, and the reason of the refusal. */
  async function asked(details: unknown, allows: (detail: object) => unknown): Promise<[readonly object[], unknown]> {
    const seen: object[] = []
    const check = authorizationDetails((one) => seen.push(one) > 0 && (allows(one) as boolean), { types: ['payment'] })
    const reason = await Promise.resolve()
      .then(() => check(accessOf({ authorization_details: details }), {} as never, context))
      .then(
        () => 'granted',
        (error) => error.reason
      )
    return [seen, reason]
  }

  test('RAR-01 (RFC 9396 §2): calls the function for details of its types that are for this API, until one is allowed', async () => {
    const [one, two, three] = [detail({ n: 1 }), detail({ n: 2, locations: ['x', RESOURCE] }), detail({ n: 3 })]
    const others = [{ type: 'account' }, detail({ locations: [] }), detail({ locations: [`${RESOURCE}/`] })]
    const all = [...others, one, two, three]
    for (const later of [(answer: unknown) => answer, (answer: unknown) => Promise.resolve(answer)]) {
      expect(await asked(all, () => later(true))).toEqual([[one], 'granted'])
      expect(await asked(all, (each) => later(each === two))).toEqual([[one, two], 'granted'])
      expect(await asked(all, (each) => later(each === three))).toEqual([[one, two, three], 'granted'])
      for (const no of [false, undefined, 1, 'yes', {}])
        expect(await asked(all, () => later(no))).toEqual([[one, two, three], 'insufficient_authorization_details'])
    }
    expect(await asked(all, (each) => each === two || Promise.resolve(false))).toEqual([[one, two], 'granted'])
    expect(await asked(undefined, () => true)).toEqual([[], 'insufficient_authorization_details'])
  })

  test('decides synchronously if the function is synchronous', () => {
    const access = accessOf({ authorization_details: [detail({})] })
    const check = authorizationDetails(() => true, { types: ['payment'] })
    expect(check(access, {} as never, context)).toBeUndefined()
  })

  test('RAR-01 (RFC 9396 §2): refuses a claim that is not a list of details, and tells the log', async () => {
    const unfit = [null, {}, 'payment', 1, [null], ['payment'], [1], [{}], [{ type: '' }], [{ type: 1 }]]
    const locations = [null, RESOURCE, {}, [1], [RESOURCE, null]].map((one) => [detail({ locations: one })])
    for (const details of [...unfit, ...locations, [detail({}), null]]) {
      const check = authorizationDetails(() => true, { types: ['payment'] })
      const error = await refusal(() => check(accessOf({ authorization_details: details }), {} as never, context))
      expect([error.reason, error.expected], JSON.stringify(details)).toEqual([
        'claim',
        'authorization_details: an array of objects with a type'
      ])
    }
  })
})

test('a waiver says what it waives', () => {
  expect([optional, skipPreflight]).toEqual([{ waives: 'absent credentials' }, { waives: 'CORS preflight' }])
})

describe('options refused at start, with the reason', () => {
  const yes = (): boolean => true
  const rows: readonly (readonly [() => unknown, string])[] = [
    [() => authentication({}), 'authentication(): pass acr (not empty), maxAge, or both'],
    [() => authentication({ acr: [] }), 'authentication(): pass acr (not empty), maxAge, or both'],
    [
      () => authentication({ acr: ['mfa', 'a b'] }),
      'authentication({ acr: "a b" }): an acr is printable ASCII without space or quote'
    ],
    [
      () => authentication({ maxAge: -1 }),
      'authentication({ maxAge: -1 }): maxAge must be a whole number of seconds, 0 or more (RFC 9470 §3)'
    ],
    [
      () => authentication({ acr: 'mfa', maxage: 1 } as object),
      'authentication() found a problem in its options:\n- `maxage` is not an option: did you mean `maxAge`?'
    ],
    [
      () => requireAuthenticationRequirement({ acr: 'mfa' } as object),
      'authentication(): acr must be an array of strings'
    ],
    [
      () => authorizationDetails({} as never, { types: ['a'] }),
      'authorizationDetails(): expected a function (detail) => boolean'
    ],
    [
      () => authorizationDetails(yes, { types: [] }),
      'authorizationDetails(): `types` must name at least one type of authorization details'
    ],
    [
      () => authorizationDetails(yes, undefined as never),
      'authorizationDetails(): `types` must name at least one type of authorization details'
    ],
    [
      () => authorizationDetails(yes, { types: ['a'], type: 'b' } as never),
      'authorizationDetails() found a problem in its options:\n- `type` is not an option: did you mean `types`?'
    ],
    [
      () => fresh()({} as never, {} as never, context),
      'Do not call the result of fresh(); pass it to protect(), authorize() or enforce()'
    ]
  ]
  test.each(rows)('%s', (attempt, message) => {
    expect(attempt).toThrow(new TypeError(message))
  })
})

describe('fresh', () => {
  const introspection = { clientId: 'api', auth: (): void => {} }
  const create = (...issuers: readonly object[]): ReturnType<typeof resourceServer> =>
    resourceServer({ resource: RESOURCE, issuers: issuers as never })

  test('is frozen, and throws when called as a check, since it would accept every request', () => {
    const check = fresh()
    expect([Object.isFrozen(check), check.fresh]).toEqual([true, true])
    expect(() => check({} as never, {} as never, {} as never)).toThrow(TypeError)
  })

  test('is refused at start if an issuer cannot introspect', () => {
    const [able, unable] = [{ issuer: ISSUER, introspection }, { issuer: 'https://other.example' }]
    for (const api of [create(unable), create(able, unable)]) {
      expect(() => api.protect(scope('read'), fresh())).toThrow(
        'fresh() needs `introspection` for every issuer: only the authorization server knows whether a token is still active'
      )
    }
    expect(() => create(able).protect(fresh())).not.toThrow()
    expect(() => resourceServer({ resource: RESOURCE, issuers: () => null }).protect(fresh())).not.toThrow()
  })
})
