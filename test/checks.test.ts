/** Step-up, authorization details and fresh answers as checks: what is refused at the start, and what they say as data. */
import { describe, expect, test } from 'vitest'
import { type Access, authentication, authorizationDetails, fresh, resourceServer, scope } from '../src/index.js'
import { ISSUER, RESOURCE } from './support/refusals.js'

describe('authentication', () => {
  test('SCP-08 STP-02 (RFC 9470 §3): a level that no challenge can carry does not start', () => {
    for (const acr of ['', 'a b', 'a"', 'a\\', 'a\r\nX: y', 'é', 1, null, {}, ['a', ''], ['a', 'b c'], ['a', 1]]) {
      expect(() => authentication({ acr: acr as string }), JSON.stringify(acr)).toThrow(TypeError)
    }
  })

  test('STP-03 (RFC 9470 §3): a time that is no natural number of seconds does not start', () => {
    for (const maxAge of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '300', null, true, {}]) {
      expect(() => authentication({ maxAge: maxAge as number }), JSON.stringify(maxAge)).toThrow(TypeError)
    }
    for (const maxAge of [0, 1, 86_400]) expect(authentication({ maxAge }).authentication).toEqual({ maxAge })
  })

  test('asking for nothing does not start', () => {
    for (const nothing of [{}, { acr: undefined }, { acr: [] }, { maxAge: undefined }, { acr: [], maxAge: 1 }]) {
      expect(() => authentication(nothing as object), JSON.stringify(nothing)).toThrow(TypeError)
    }
    for (const nothing of [undefined, null, 'mfa', 300])
      expect(() => authentication(nothing as never)).toThrow(TypeError)
  })

  test('a misspelt requirement does not start, else it would be met by everybody', () => {
    expect(() => authentication({ acr: 'mfa', maxage: 300 } as never)).toThrow(TypeError)
    expect(() => authentication({ max_age: 300, acr: 'mfa' } as never)).toThrow(TypeError)
  })

  test('is a frozen check that says what it needs, whatever becomes of what it was given', () => {
    const acr = ['mfa', 'hwk']
    const check = authentication({ acr, maxAge: 60 })
    acr.push('pwd')
    expect(check.authentication).toEqual({ acr: ['mfa', 'hwk'], maxAge: 60 })
    for (const one of [check, check.authentication, check.authentication?.acr]) expect(Object.isFrozen(one)).toBe(true)
    expect(authentication({ acr: 'mfa' }).authentication).toEqual({ acr: ['mfa'] })
  })
})

describe('authorizationDetails', () => {
  const yes = (): boolean => true

  test('RAR-01 (RFC 9396 §2): without a function and at least one type it does not start', () => {
    for (const types of [undefined, [], 'payment', [''], ['a', 1], [null], {}]) {
      expect(() => authorizationDetails(yes, { types: types as never }), JSON.stringify(types)).toThrow(TypeError)
    }
    for (const allows of [undefined, null, 'payment', {}]) {
      expect(() => authorizationDetails(allows as never, { types: ['payment'] })).toThrow(TypeError)
    }
    for (const options of [undefined, null])
      expect(() => authorizationDetails(yes, options as never)).toThrow(TypeError)
  })

  test('is a frozen check that says its types, whatever becomes of the list it was given', () => {
    const types = ['payment']
    const check = authorizationDetails(yes, { types })
    types.push('account')
    expect(check.authorizationDetailsTypes).toEqual(['payment'])
    for (const one of [check, check.authorizationDetailsTypes]) expect(Object.isFrozen(one)).toBe(true)
    const access = { claims: { authorization_details: [{ type: 'account' }] } } as unknown as Access
    const context = { resource: RESOURCE, now: () => 0, clockTolerance: 0 }
    expect(() => check(access, {} as never, context)).toThrow('The access token lacks a required authorization detail')
  })
})

describe('fresh', () => {
  const introspection = { clientId: 'api', auth: (): void => {} }
  const create = (...issuers: readonly object[]): ReturnType<typeof resourceServer> =>
    resourceServer({ resource: RESOURCE, issuers: issuers as never })

  test('is frozen, and not to be called: it would let everybody in', () => {
    const check = fresh()
    expect([Object.isFrozen(check), check.fresh]).toEqual([true, true])
    expect(() => check({} as never, {} as never, {} as never)).toThrow(TypeError)
  })

  test('does not start where an issuer cannot be asked', () => {
    const [able, unable] = [{ issuer: ISSUER, introspection }, { issuer: 'https://other.example' }]
    for (const api of [create(unable), create(able, unable)]) {
      expect(() => api.protect(scope('read'), fresh())).toThrow(
        'fresh() needs `introspection` for every issuer: nobody else can say what a token is worth now'
      )
    }
    expect(() => create(able).protect(fresh())).not.toThrow()
    expect(() => resourceServer({ resource: RESOURCE, issuers: () => null }).protect(fresh())).not.toThrow()
  })
})
