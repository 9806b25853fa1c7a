/** What a route asks for: checks in order, waivers by name, and nothing else. */
import { runInNewContext } from 'node:vm'
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { isPromise } from '../../src/base/awaitable.js'
import {
  type Access,
  anyRole,
  anyScope,
  authentication,
  authorizationDetails,
  type Check,
  claims,
  Forbidden,
  fresh,
  InsufficientAuthentication,
  InsufficientScope,
  optional,
  type Requirement,
  roles,
  scope,
  skipPreflight,
  Unavailable
} from '../../src/index.js'
import { type Enforcement, enforce, isPreflight, readPolicy } from '../../src/policy/policy.js'
import type { CheckContext } from '../../src/types.js'
import {
  access,
  accessToken,
  api,
  bearer,
  get,
  granted,
  insufficient,
  NOW,
  outcome,
  RESOURCE,
  RESOURCE_METADATA,
  refusal
} from '../support/refusals.js'

const server = api()
let one: Access
beforeEach(async () => {
  one = await access(server, accessToken({ claims: { tenant: 't1', scope: 'a b' } }))
})

const enforcement: Enforcement = {
  context: { resource: RESOURCE, now: () => NOW, clockTolerance: 30 },
  canOnlyLoseGrants: () => false,
  renew: () => expect.unreachable()
}
const run = (checks: readonly Check<string>[], request = get()): ReturnType<typeof enforce> =>
  enforce({ checks, fresh: false }, one, request, enforcement)

describe('a list of scopes that passed a check', () => {
  const holding = (...scopes: string[]): Access => ({ ...one, scopes, hasScope: (name) => scopes.includes(name) })
  const passes = (check: Check<string>, of: Access): boolean => {
    try {
      return enforce({ checks: [check], fresh: false }, of, get(), enforcement) === of
    } catch (error) {
      expect(error).toBeInstanceOf(InsufficientScope)
      return false
    }
  }

  test('passes it again, and no other check, and no other list does', async () => {
    const [needsA, needsC] = [scope('a'), scope('c')]
    const [ab, c] = [one, await access(server, accessToken({ claims: { scope: 'c' } }))]
    for (let i = 0; i < 3; i++) {
      expect([passes(needsA, ab), passes(needsC, ab), passes(needsA, c), passes(needsC, c)]).toEqual([
        true,
        false,
        false,
        true
      ])
    }
    expect(await access(server, accessToken({ claims: { scope: 'a b' } }))).toHaveProperty('scopes', one.scopes)
  })

  test('is looked through again where somebody could change it', () => {
    const scopes = ['a']
    const check = scope('a')
    const of: Access = { ...holding(), scopes, hasScope: (name) => scopes.includes(name) }
    expect(passes(check, of)).toBe(true)
    scopes.pop()
    expect(passes(check, of)).toBe(false)
  })
})

describe('checks', () => {
  test('run in order, the first refusal ends it, and nothing waits where nothing need be waited for', () => {
    const order: number[] = []
    const checks: Check[] = [1, 2, 3].map((n) => () => void order.push(n))
    expect(run(checks)).toBe(one)
    expect(order).toEqual([1, 2, 3])
    const stop: Check = () => {
      throw new Forbidden()
    }
    expect(() => run([...checks, stop, ...checks])).toThrow(Forbidden)
    expect(order).toEqual([1, 2, 3, 1, 2, 3])
  })

  test('after one that takes time, the next one waits', async () => {
    const order: string[] = []
    const slow: Check = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push('slow')
    }
    const result = run([slow, () => void order.push('next')])
    expect(isPromise(result)).toBe(true)
    expect(order).toEqual([])
    expect(await result).toBe(one)
    expect(order).toEqual(['slow', 'next'])
  })

  test('a refusal that comes late is a refusal', async () => {
    const late: Check = () => Promise.reject(new InsufficientScope(['x']))
    const error = await refusal(() => run([scope('a'), late, scope('b')]))
    expect(error).toBeInstanceOf(InsufficientScope)
    expect((error as InsufficientScope).scopes).toEqual(['a', 'b', 'x'])
  })

  test('a check that is done late does not spare the next ones', async () => {
    const slow: Check = () => Promise.resolve()
    const error = await refusal(() => run([slow, scope('z'), () => expect.unreachable()]))
    expect(error).toBeInstanceOf(InsufficientScope)
  })

  test('get the access, the request, and what they may need of the server', () => {
    const request = get({}, { url: '/items/1' })
    let seen: unknown[] = []
    const check: Check = (...given) => {
      seen = given
    }
    expect(run([check], request)).toBe(one)
    expect(seen).toEqual([one, request, enforcement.context])
    expect(seen[0]).toBe(one)
  })

  test('a server gives its own resource, clock and tolerance, which no check can change', async () => {
    let seen: CheckContext | undefined
    const check: Check = (_access, _request, context) => {
      seen = context
    }
    const of = api({ clockTolerance: 7, now: () => NOW + 1 })
    expect(await outcome(of, bearer(accessToken()), check)).toEqual(granted)
    expect([seen?.resource, seen?.now(), seen?.clockTolerance]).toEqual([RESOURCE, NOW + 1, 7])
    expect(Object.isFrozen(seen)).toBe(true)
  })

  test('of a route that needs a fresh answer see the renewed access, and so does the handler', async () => {
    const renewed = await access(server, accessToken({ claims: { scope: 'a b c' } }))
    const seen: unknown[] = []
    const result = enforce({ checks: [scope('c'), (given) => void seen.push(given)], fresh: true }, one, get(), {
      ...enforcement,
      renew: (given) => {
        seen.push(given)
        return Promise.resolve(renewed)
      }
    })
    expect(await result).toBe(renewed)
    expect(seen).toEqual([one, renewed])
  })

  test('of a route that needs a fresh answer do not run where there is none', async () => {
    const failing = { ...enforcement, renew: () => Promise.reject(new Unavailable('introspection', 'down')) }
    const error = await refusal(() =>
      enforce({ checks: [() => expect.unreachable()], fresh: true }, one, get(), failing)
    )
    expect(error).toBeInstanceOf(Unavailable)
  })
})

describe('what checks lack between them is told at once', () => {
  const METADATA = `resource_metadata="${RESOURCE_METADATA}"`
  /** The challenge, or 200. */
  const challenge = async (claims: Record<string, unknown>, ...checks: readonly Check<string>[]): Promise<unknown> => {
    const { status, headers } = await outcome(server, bearer(accessToken({ claims })), ...checks)
    return status === 200 ? 200 : [status, headers['WWW-Authenticate']]
  }
  const level =
    'error="insufficient_user_authentication", error_description="A different authentication level is required"'
  const age = 'error="insufficient_user_authentication", error_description="More recent authentication is required"'
  const mfa = authentication({ acr: 'mfa' })
  const recent = authentication({ maxAge: 300 })
  const strong = { acr: 'mfa', auth_time: NOW }

  test('ORD-05 (RFC 9470 §3): scope and level, whichever is asked for first', async () => {
    const expected = [401, [`Bearer ${level}, scope="read write", acr_values="mfa", ${METADATA}`]]
    expect(await challenge({}, scope('read', 'write'), mfa)).toEqual(expected)
    expect(await challenge({}, mfa, scope('read', 'write'))).toEqual(expected)
    expect(await challenge({}, scope('read'), scope('write'), mfa)).toEqual(expected)
    expect(await challenge({}, mfa, scope('read'), scope('write'))).toEqual(expected)
  })

  test('ORD-05: a scope that is there is not asked for, nor a level that is', async () => {
    expect(await challenge({}, scope('read'), mfa)).toEqual([401, [`Bearer ${level}, acr_values="mfa", ${METADATA}`]])
    expect(await challenge(strong, scope('read', 'write'), mfa, recent)).toEqual([
      403,
      [
        `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read write", ${METADATA}`
      ]
    ])
    expect(await challenge(strong, scope('read'), mfa, recent)).toBe(200)
  })

  test('ORD-05 SCP-07: of alternatives the one that is there is named, else the preferred one', async () => {
    expect(await challenge({ scope: 'admin' }, anyScope('read', 'admin'), scope('write'), mfa)).toEqual([
      401,
      [`Bearer ${level}, scope="admin write", acr_values="mfa", ${METADATA}`]
    ])
    expect(await challenge({ scope: 'x' }, mfa, anyScope('read', 'admin'))).toEqual([
      401,
      [`Bearer ${level}, scope="read", acr_values="mfa", ${METADATA}`]
    ])
  })

  test('ORD-05: of several times the shortest counts, in any order', async () => {
    const hour = authentication({ maxAge: 3600 })
    const expected = [401, [`Bearer ${age}, max_age="300", ${METADATA}`]]
    expect(await challenge({ auth_time: NOW - 4000 }, hour, recent)).toEqual(expected)
    expect(await challenge({ auth_time: NOW - 4000 }, recent, hour)).toEqual(expected)
    expect(await challenge({ auth_time: NOW - 1000 }, hour, recent)).toEqual(expected)
  })

  test('ORD-05: level and time of two checks are in one challenge, which says what is wrong first with the level', async () => {
    const expected = [401, [`Bearer ${level}, acr_values="mfa", max_age="300", ${METADATA}`]]
    expect(await challenge({}, mfa, recent)).toEqual(expected)
    expect(await challenge({}, recent, mfa)).toEqual(expected)
  })

  test('ORD-05 STP-02: a level that is there is named beside a time that is not: a new login may have another level, and the client is not sent back twice', async () => {
    const expected = [401, [`Bearer ${age}, acr_values="mfa", max_age="300", ${METADATA}`]]
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, mfa, recent)).toEqual(expected)
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, recent, mfa)).toEqual(expected)
    const both = authentication({ acr: 'mfa', maxAge: 300 })
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, both)).toEqual(expected)
  })

  test('ORD-05 STP-02: of two lists of levels what is in both is named: the client is not sent back twice', async () => {
    const [ab, bc] = [authentication({ acr: ['a', 'b'] }), authentication({ acr: ['b', 'c'] })]
    expect(await challenge({ acr: 'x' }, ab, bc)).toEqual([401, [`Bearer ${level}, acr_values="b", ${METADATA}`]])
    expect(await challenge({ acr: 'a' }, ab, bc)).toEqual([401, [`Bearer ${level}, acr_values="b", ${METADATA}`]])
    expect(await challenge({ acr: 'b' }, ab, bc)).toBe(200)
  })

  test('ORD-05: of two lists without a common level the first is named: no token would do', async () => {
    const [a, b] = [authentication({ acr: 'a' }), authentication({ acr: 'b' })]
    const [, lines] = (await challenge({ acr: 'x' }, a, b)) as [number, string[]]
    expect(lines[0]).toContain('acr_values="a"')
  })

  test('ORD-05: a refusal of another kind is not mixed with what else is lacking', async () => {
    const no = claims(() => false)
    expect(await challenge({}, no, scope('write'), mfa)).toEqual([403, undefined])
    const details = authorizationDetails(() => true, { types: ['payment'] })
    expect(await challenge({}, details, scope('write'), mfa)).toEqual([
      403,
      [
        `Bearer error="insufficient_scope", error_description="The access token lacks a required authorization detail", ${METADATA}`
      ]
    ])
  })

  test('ORD-05: refusals of a check of one’s own are completed alike, late ones too', async () => {
    const own: Check[] = [
      () => {
        throw new InsufficientAuthentication({ acr: ['own'] }, ['export'])
      },
      () => Promise.reject(new InsufficientAuthentication({ acr: ['own'] }, ['export']))
    ]
    for (const check of own) {
      expect(await challenge({}, scope('read'), check, recent, scope('write'))).toEqual([
        401,
        [`Bearer ${level}, scope="read write export", acr_values="own", max_age="300", ${METADATA}`]
      ])
    }
    const late: Check = () => Promise.reject(new InsufficientScope(['export']))
    expect(await challenge({}, late, mfa)).toEqual([
      401,
      [`Bearer ${level}, scope="export", acr_values="mfa", ${METADATA}`]
    ])
  })

  test('ORD-05: level before time, whichever is asked for first, also where a scope is lacking', async () => {
    const error = await refusal(() => run([scope('z'), recent, mfa]))
    expect(error).toMatchObject({ description: 'A different authentication level is required', scopes: ['z'] })
  })

  test('ORD-05: scopes that only the refusal itself names are asked for', async () => {
    const own: Check = () => {
      throw new InsufficientAuthentication({ acr: ['own'] }, ['export'])
    }
    expect(await refusal(() => run([own]))).toMatchObject({ scopes: ['export'] })
    expect(await refusal(() => run([scope('a'), own]))).toMatchObject({ scopes: ['a', 'export'] })
  })

  test('where no scope is lacking, none is asked for', async () => {
    expect(await refusal(() => run([scope('a'), mfa]))).toMatchObject({ scopes: [] })
  })

  test('the log is told of scopes alone as well', async () => {
    const error = await refusal(() => run([scope('a'), scope('z')]))
    expect([error.expected, error.received]).toEqual([['z'], ['a', 'b']])
  })

  test('the log is told what was needed and what was there', async () => {
    const error = await refusal(() => server.authorize(bearer(accessToken()), scope('write'), mfa))
    expect(error).toBeInstanceOf(InsufficientAuthentication)
    expect(error).toMatchObject({
      reason: 'insufficient_authentication',
      expected: ['write'],
      received: ['read'],
      requirement: { acr: ['mfa'] },
      scopes: ['write']
    })
  })
})

describe('a check that does not throw', () => {
  const refusedHere = { status: 403, code: 'access_denied', headers: { 'Cache-Control': 'no-store' } }

  test('ORD-02: written like a predicate, it lets nobody in by answering false', async () => {
    const no: Check[] = [false, null, 0, '', Number.NaN].flatMap((answer) => [
      () => answer as never,
      () => Promise.resolve(answer) as never
    ])
    for (const check of no) expect(await outcome(server, bearer(accessToken()), check)).toMatchObject(refusedHere)
    const yes: Check[] = [() => true, () => Promise.resolve(true), () => new Set() as never]
    for (const check of yes) expect(await outcome(server, bearer(accessToken()), check)).toEqual(granted)
  })

  test('ORD-02: what makes a check is no check, ours at the start and anybody else’s at the first request', async () => {
    const factories = { scope, anyScope, roles, anyRole, claims, authentication, authorizationDetails, fresh }
    for (const [name, factory] of Object.entries(factories))
      expect(() => server.protect(factory as never)).toThrow(`write ${name}(…)`)
    const role = () => () => undefined
    for (const own of [role, async () => role()])
      await expect(outcome(server, bearer(accessToken()), own as never)).rejects.toThrow(
        /call that function inside the check/
      )
  })

  test('ORD-02: what it throws is an error on its way out, also where it is none', async () => {
    const nothings = [undefined, null, '', false, 'route', { status: 403 }]
    for (const nothing of nothings) {
      const checks: Check[] = [
        () => {
          throw nothing
        },
        () => Promise.reject(nothing),
        claims(() => Promise.reject(nothing)),
        authorizationDetails(() => Promise.reject(nothing), { types: ['payment'] })
      ]
      const paying = await access(server, accessToken({ claims: { authorization_details: [{ type: 'payment' }] } }))
      for (const check of checks) {
        const attempts: (() => unknown)[] = [
          () => enforce({ checks: [check], fresh: false }, paying, get(), enforcement),
          () => server.enforce(paying, get(), check),
          () => server.authorize(bearer(paying.token), check)
        ]
        for (const attempt of attempts) {
          const thrown: unknown = await Promise.resolve()
            .then(attempt)
            .catch((error: unknown) => error)
          expect(thrown).toBeInstanceOf(TypeError)
          expect((thrown as Error).message).toMatch(
            /threw a value that is not an Error \((undefined|null|string|boolean|object)\): throw an Error$/
          )
          expect(thrown).toHaveProperty('cause', nothing)
        }
      }
    }
  })

  test('ORD-02: an error of another realm is thrown on as it is', async () => {
    const foreign: unknown = runInNewContext('new RangeError("of another realm")')
    expect(foreign).not.toBeInstanceOf(Error)
    await expect(outcome(server, bearer(accessToken()), () => Promise.reject(foreign))).rejects.toBe(foreign)
  })

  test('ORD-02: nor does a function of the options let anybody in by throwing nothing', async () => {
    let broken = false
    const of = api({
      now: () => {
        if (broken) throw undefined
        return NOW
      }
    })
    broken = true
    const thrown: unknown = await outcome(of, bearer(accessToken())).catch((error: unknown) => error)
    expect(thrown).toBeInstanceOf(TypeError)
    expect(thrown).toHaveProperty('cause', undefined)
  })

  test('SCP-06: an error that a check throws every time is each route’s own', async () => {
    const always = new InsufficientScope(['s'])
    const check: Check = () => {
      throw always
    }
    const scopesOf = async (...requirements: Requirement[]): Promise<string | undefined> => {
      const { headers } = await outcome(server, bearer(accessToken()), ...requirements)
      return /scope="([^"]*)"/.exec(String(headers['WWW-Authenticate']))?.[1]
    }
    expect(await scopesOf(scope('read'), check)).toBe('read s')
    expect(await scopesOf(check)).toBe('s')
    expect(always.scopes).toEqual(['s'])
  })

  test('ORD-02: a promise of another library’s making is waited for like ours', async () => {
    // Its then() gives nothing back, as old ones do.
    const foreign = (then: (resolve: () => void, reject: (error: Error) => void) => void): Check =>
      // oxlint-disable-next-line unicorn/no-thenable -- that is what is tried here
      (() => Object.defineProperty({}, 'then', { value: then })) as never
    const late = foreign((resolve) => void setImmediate(resolve))
    const order: string[] = []
    expect(await outcome(server, bearer(accessToken()), late, () => void order.push('next'))).toEqual(granted)
    expect(order).toEqual(['next'])
    const refusing = foreign((_, reject) => void setImmediate(() => reject(new Forbidden())))
    expect(await outcome(server, bearer(accessToken()), refusing)).toMatchObject(refusedHere)
  })
})

describe('scope and anyScope', () => {
  test('are frozen checks that know their scopes, each once', () => {
    const check = scope('a', 'b', 'a')
    expect(check.scopes).toEqual(['a', 'b'])
    expect(check.mode).toBe('all')
    expect(anyScope('x').mode).toBe('any')
    for (const frozen of [check, check.scopes]) expect(Object.isFrozen(frozen)).toBe(true)
  })

  test('the refusal has what was needed and what was granted, for the log', () => {
    const error = (() => {
      try {
        return scope('z')(one, get(), enforcement.context)
      } catch (thrown) {
        return thrown as InsufficientScope
      }
    })() as InsufficientScope
    expect([error.expected, error.received, error.scopes]).toEqual([['z'], ['a', 'b'], ['z']])
  })

  test('before a token is there, of alternatives the first is asked for', () => {
    expect(readPolicy([scope('a'), anyScope('x', 'b')], undefined).scopes).toEqual(['a', 'x'])
    expect(readPolicy([scope('a'), scope('a', 'c')], undefined).scopes).toEqual(['a', 'c'])
    expect(readPolicy([() => {}], undefined).scopes).toEqual([])
  })
})

describe('claims', () => {
  const forbidden = {
    status: 403,
    code: 'access_denied',
    reason: 'forbidden',
    headers: { 'Cache-Control': 'no-store' }
  }

  test('DEF-19 DEN-18: a predicate that is not exactly true is 403 without a challenge', async () => {
    const answers: unknown[] = [false, undefined, 1, 'true', null, Promise.resolve(false)]
    for (const answer of answers) {
      expect(
        await outcome(
          server,
          bearer(accessToken()),
          claims(() => answer as boolean)
        )
      ).toMatchObject(forbidden)
    }
    expect(
      (
        await outcome(
          server,
          bearer(accessToken()),
          claims(() => false)
        )
      ).headers
    ).toEqual(forbidden.headers)
  })

  test('a predicate gets the claims and the access, and may take its time', async () => {
    const token = bearer(accessToken({ claims: { tenant: 't1' } }))
    expect(
      await outcome(
        server,
        token,
        claims(({ tenant }, { subject }) => tenant === 't1' && subject === 'u1')
      )
    ).toEqual(granted)
    expect(
      await outcome(
        server,
        token,
        claims(async () => true)
      )
    ).toEqual(granted)
  })

  test('DEF-19: a Standard Schema decides, and what it says of the claims is not sent', async () => {
    const schema = claims(z.object({ tenant: z.literal('t1') }))
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't1' } })), schema)).toEqual(granted)
    const error = await refusal(() => server.authorize(bearer(accessToken({ claims: { tenant: 'secret' } })), schema))
    expect(error).toBeInstanceOf(Forbidden)
    expect(error.received).toMatchObject([{ path: ['tenant'] }])
    expect(JSON.stringify(error)).toBe(
      '{"error":"access_denied","error_description":"The access token\'s claims do not allow this"}'
    )
  })

  test('a schema that takes its time is waited for', async () => {
    const slow = z.object({ tenant: z.string().refine(async (value) => value === 't1') })
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't1' } })), claims(slow))).toEqual(granted)
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't2' } })), claims(slow))).toMatchObject(
      forbidden
    )
  })

  test('what is neither does not start', () => {
    for (const rule of [undefined, null, {}, 'tenant', { '~standard': {} }]) {
      expect(() => claims(rule as never)).toThrow(
        'claims(): expected a function (claims) => boolean or a Standard Schema'
      )
    }
  })
})

describe('requirements', () => {
  test('SCP-08: what is neither a check nor a waiver does not start', () => {
    for (const bad of ['read', undefined, null, {}, ['read'], { waives: 'absent credentials' }, true]) {
      expect(() => server.protect(bad as never)).toThrow(
        'a requirement is scope(…), anyScope(…), roles(…), anyRole(…), claims(…), authentication(…), authorizationDetails(…), fresh(), a function, optional or skipPreflight'
      )
      expect(() => server.authorize(get(), bad as never)).toThrow(TypeError)
      expect(() => server.enforce(one, get(), bad as never)).toThrow(TypeError)
    }
  })

  test('CCH-03: a waiver that looks like ours is not ours: nobody opens a route with data', () => {
    expect(() => server.protect({ ...optional })).toThrow(TypeError)
    expect(Object.isFrozen(optional) && Object.isFrozen(skipPreflight)).toBe(true)
  })

  test('SCP-08 HTTP-09: scopes of a check of one’s own are held to the grammar at the start', () => {
    for (const scopes of [['a b'], ['a"'], ['a\r\nb'], ['']]) {
      const check = Object.assign(() => {}, { scopes }) as unknown as Check<string>
      expect(() => server.protect(check)).toThrow(
        `a check requires the scope ${JSON.stringify(scopes[0])}, which is not valid`
      )
    }
  })

  test('SCP-08: where the scopes are declared, another one does not start', () => {
    const declared = new Set(['a', 'b'])
    const own: Check = () => undefined
    expect(readPolicy([scope('a'), anyScope('b', 'a'), own, optional], declared).scopes).toEqual(['a', 'b'])
    for (const bad of [scope('a', 'c'), anyScope('c')])
      expect(() => readPolicy([bad], declared)).toThrow('the scope "c" is not in the option `scopes`')
  })

  test('a check of one’s own that takes any of no scopes asks for none', () => {
    const check: Check = Object.assign(() => undefined, { scopes: [], mode: 'any' as const })
    expect(readPolicy([check], undefined).scopes).toEqual([])
  })

  test('SCP-08 STP-02: what a check of one’s own says of authentication is held to the same at the start', () => {
    const unfit: unknown[] = [
      {},
      { acr: 'mfa' },
      { acr: [] },
      { acr: ['a b'] },
      { acr: ['a"\r\nX: y'] },
      { maxAge: Number.NaN },
      { maxAge: -1 },
      { maxAge: '5' },
      null
    ]
    for (const needed of unfit) {
      const check = Object.assign(() => {}, { authentication: needed }) as unknown as Check<string>
      expect(() => server.protect(check), JSON.stringify(needed)).toThrow(TypeError)
    }
    const fit = Object.assign(() => {}, { authentication: { acr: ['mfa'], maxAge: 0 } })
    expect(() => server.protect(fit)).not.toThrow()
  })

  test('waivers are told apart from checks', () => {
    const policy = readPolicy([optional, scope('a'), skipPreflight], undefined)
    expect(policy).toMatchObject({ optional: true, skipPreflight: true, scopes: ['a'] })
    expect(policy.checks).toHaveLength(1)
    expect(readPolicy([], undefined)).toEqual({
      checks: [],
      optional: false,
      skipPreflight: false,
      fresh: false,
      scopes: []
    })
  })

  test('fresh() is taken out of the checks, wherever it stands', () => {
    const policy = readPolicy([fresh(), scope('a'), fresh()], undefined)
    expect([policy.fresh, policy.checks.length, policy.scopes]).toEqual([true, 1, ['a']])
  })

  test('PRM-08: routes add up to the scopes that the metadata names; single uses do not', async () => {
    const of = api()
    of.protect(scope('a', 'b'))
    of.protect(anyScope('b', 'c'))
    await refusal(() => of.authorize(get(), scope('z')))
    expect(of.metadata?.document()).toMatchObject({ scopes_supported: ['a', 'b', 'c'] })
  })
})

describe('isPreflight', () => {
  const fields = { origin: 'https://app.example.com', 'access-control-request-method': 'PUT' }
  const ask = (given: Readonly<Record<string, string | string[]>>, method = 'OPTIONS'): boolean =>
    isPreflight(get(given, { method }))

  test('HTTP-15: is OPTIONS with the two fields that a browser sends, each once', () => {
    expect(ask(fields)).toBe(true)
    expect(ask(fields, 'GET')).toBe(false)
    expect(ask(fields, 'options')).toBe(false)
    expect(ask({})).toBe(false)
    for (const name of ['origin', 'access-control-request-method'] as const) {
      const { [name]: value, ...other } = fields
      expect(ask(other), name).toBe(false)
      expect(ask({ ...fields, [name]: [value, value] }), name).toBe(false)
    }
  })
})

test('DEN-13 (RFC 6750 §3.1): enforce inside a handler refuses with the whole answer', async () => {
  const error = await refusal(() => server.enforce(one as Access, get(), scope('a'), scope('export')))
  expect(error.headers).toEqual(insufficient('a export').headers)
})
