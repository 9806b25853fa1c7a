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

  test('is not checked again, but another check or another list is', async () => {
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

  test('is checked again if it could have changed', () => {
    const scopes = ['a']
    const check = scope('a')
    const of: Access = { ...holding(), scopes, hasScope: (name) => scopes.includes(name) }
    expect(passes(check, of)).toBe(true)
    scopes.pop()
    expect(passes(check, of)).toBe(false)
  })
})

describe('checks', () => {
  test('run in order and synchronously, and the first refusal ends the run', () => {
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

  test('wait for an asynchronous check before the next one', async () => {
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

  test('treat a late refusal as a refusal', async () => {
    const late: Check = () => Promise.reject(new InsufficientScope(['x']))
    const error = await refusal(() => run([scope('a'), late, scope('b')]))
    expect(error).toBeInstanceOf(InsufficientScope)
    expect((error as InsufficientScope).scopes).toEqual(['a', 'b', 'x'])
  })

  test('run the next check after a late success', async () => {
    const slow: Check = () => Promise.resolve()
    const error = await refusal(() => run([slow, scope('z'), () => expect.unreachable()]))
    expect(error).toBeInstanceOf(InsufficientScope)
  })

  test('get the access, the request, and the context of the server', () => {
    const request = get({}, { url: '/items/1' })
    let seen: unknown[] = []
    const check: Check = (...given) => {
      seen = given
    }
    expect(run([check], request)).toBe(one)
    expect(seen).toEqual([one, request, enforcement.context])
    expect(seen[0]).toBe(one)
  })

  test('get the server’s own resource, clock and tolerance, which they cannot change', async () => {
    let seen: CheckContext | undefined
    const check: Check = (_access, _request, context) => {
      seen = context
    }
    const of = api({ clockTolerance: 7, now: () => NOW + 1 })
    expect(await outcome(of, bearer(accessToken()), check)).toEqual(granted)
    expect([seen?.resource, seen?.now(), seen?.clockTolerance]).toEqual([RESOURCE, NOW + 1, 7])
    expect(Object.isFrozen(seen)).toBe(true)
  })

  test('of a route with fresh() see the renewed access, and so does the handler', async () => {
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

  test('of a route with fresh() do not run without an answer', async () => {
    const failing = { ...enforcement, renew: () => Promise.reject(new Unavailable('introspection', 'down')) }
    const error = await refusal(() =>
      enforce({ checks: [() => expect.unreachable()], fresh: true }, one, get(), failing)
    )
    expect(error).toBeInstanceOf(Unavailable)
  })

  describe('of a route with fresh(), where the answer can only take grants away', () => {
    const onlyLosing: Enforcement = { ...enforcement, canOnlyLoseGrants: () => true }
    const refused = (...checks: readonly Check<string>[]): Promise<unknown> =>
      refusal(() => enforce({ checks, fresh: true }, one, get(), onlyLosing))

    test('refuse a missing scope before the authorization server is asked, and name all scopes of the route', async () => {
      const error = (await refused(scope('a'), scope('c'), scope('d'))) as InsufficientScope
      expect(error).toBeInstanceOf(InsufficientScope)
      expect(error.scopes).toEqual(['a', 'c', 'd'])
      const any = (await refused(anyScope('c', 'd'))) as InsufficientScope
      expect(any.scopes).toEqual(['c'])
    })

    test('leave everything but scopes and roles to the answer, and run once it has come', async () => {
      const seen: string[] = []
      const check =
        (name: string): Check<string> =>
        () =>
          void seen.push(name)
      const result = enforce({ checks: [check('first'), scope('a'), check('last')], fresh: true }, one, get(), {
        ...onlyLosing,
        renew: (given) => {
          seen.push('renewed')
          return Promise.resolve(given)
        }
      })
      expect(await result).toBe(one)
      expect(seen).toEqual(['renewed', 'first', 'last'])
    })
  })
})

describe('one refusal names everything that is missing', () => {
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

  test('ORD-05 (RFC 9470 §3): scope and acr, in either order of the checks', async () => {
    const expected = [401, [`Bearer ${level}, scope="read write", acr_values="mfa", ${METADATA}`]]
    expect(await challenge({}, scope('read', 'write'), mfa)).toEqual(expected)
    expect(await challenge({}, mfa, scope('read', 'write'))).toEqual(expected)
    expect(await challenge({}, scope('read'), scope('write'), mfa)).toEqual(expected)
    expect(await challenge({}, mfa, scope('read'), scope('write'))).toEqual(expected)
  })

  test('ORD-05: names neither a scope nor an acr that the token has', async () => {
    expect(await challenge({}, scope('read'), mfa)).toEqual([401, [`Bearer ${level}, acr_values="mfa", ${METADATA}`]])
    expect(await challenge(strong, scope('read', 'write'), mfa, recent)).toEqual([
      403,
      [
        `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read write", ${METADATA}`
      ]
    ])
    expect(await challenge(strong, scope('read'), mfa, recent)).toBe(200)
  })

  test('ORD-05 SCP-07: names of alternative scopes the one that the token has, otherwise the preferred one', async () => {
    expect(await challenge({ scope: 'admin' }, anyScope('read', 'admin'), scope('write'), mfa)).toEqual([
      401,
      [`Bearer ${level}, scope="admin write", acr_values="mfa", ${METADATA}`]
    ])
    expect(await challenge({ scope: 'x' }, mfa, anyScope('read', 'admin'))).toEqual([
      401,
      [`Bearer ${level}, scope="read", acr_values="mfa", ${METADATA}`]
    ])
  })

  test('ORD-05: uses the shortest of several maximum ages, in any order', async () => {
    const hour = authentication({ maxAge: 3600 })
    const expected = [401, [`Bearer ${age}, max_age="300", ${METADATA}`]]
    expect(await challenge({ auth_time: NOW - 4000 }, hour, recent)).toEqual(expected)
    expect(await challenge({ auth_time: NOW - 4000 }, recent, hour)).toEqual(expected)
    expect(await challenge({ auth_time: NOW - 1000 }, hour, recent)).toEqual(expected)
  })

  test('ORD-05: acr and maxAge of two checks are in one challenge, which reports acr first', async () => {
    const expected = [401, [`Bearer ${level}, acr_values="mfa", max_age="300", ${METADATA}`]]
    expect(await challenge({}, mfa, recent)).toEqual(expected)
    expect(await challenge({}, recent, mfa)).toEqual(expected)
  })

  test('ORD-05 STP-02: names a satisfied acr beside an unmet maxAge: a new login may have another acr, and one round trip is enough', async () => {
    const expected = [401, [`Bearer ${age}, acr_values="mfa", max_age="300", ${METADATA}`]]
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, mfa, recent)).toEqual(expected)
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, recent, mfa)).toEqual(expected)
    const both = authentication({ acr: 'mfa', maxAge: 300 })
    expect(await challenge({ acr: 'mfa', auth_time: NOW - 1000 }, both)).toEqual(expected)
  })

  test('ORD-05 STP-02: names the common values of two lists of acr, so that one round trip is enough', async () => {
    const [ab, bc] = [authentication({ acr: ['a', 'b'] }), authentication({ acr: ['b', 'c'] })]
    expect(await challenge({ acr: 'x' }, ab, bc)).toEqual([401, [`Bearer ${level}, acr_values="b", ${METADATA}`]])
    expect(await challenge({ acr: 'a' }, ab, bc)).toEqual([401, [`Bearer ${level}, acr_values="b", ${METADATA}`]])
    expect(await challenge({ acr: 'b' }, ab, bc)).toBe(200)
  })

  test('ORD-05: names the first of two acr lists without a common value, since no token satisfies both', async () => {
    const [a, b] = [authentication({ acr: 'a' }), authentication({ acr: 'b' })]
    const [, lines] = (await challenge({ acr: 'x' }, a, b)) as [number, string[]]
    expect(lines[0]).toContain('acr_values="a"')
  })

  test('ORD-05: does not add missing needs to a refusal of another kind', async () => {
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

  test('ORD-05: adds missing needs to refusals of a custom check, late ones too', async () => {
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

  test('ORD-05: reports acr before maxAge, in either order of the checks, and with a missing scope', async () => {
    const error = await refusal(() => run([scope('z'), recent, mfa]))
    expect(error).toMatchObject({ description: 'A different authentication level is required', scopes: ['z'] })
  })

  test('ORD-05: requests scopes that only the refusal itself names', async () => {
    const own: Check = () => {
      throw new InsufficientAuthentication({ acr: ['own'] }, ['export'])
    }
    expect(await refusal(() => run([own]))).toMatchObject({ scopes: ['export'] })
    expect(await refusal(() => run([scope('a'), own]))).toMatchObject({ scopes: ['a', 'export'] })
  })

  test('requests no scope if none is missing', async () => {
    expect(await refusal(() => run([scope('a'), mfa]))).toMatchObject({ scopes: [] })
  })

  test('tells the log about missing scopes alone too', async () => {
    const error = await refusal(() => run([scope('a'), scope('z')]))
    expect([error.expected, error.received]).toEqual([['z'], ['a', 'b']])
  })

  test('tells the log what was required and what the token had', async () => {
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

  test('ORD-02: a check written as a predicate refuses by returning false', async () => {
    const no: Check[] = [false, null, 0, '', Number.NaN].flatMap((answer) => [
      () => answer as never,
      () => Promise.resolve(answer) as never
    ])
    for (const check of no) expect(await outcome(server, bearer(accessToken()), check)).toMatchObject(refusedHere)
    const yes: Check[] = [() => true, () => Promise.resolve(true), () => new Set() as never]
    for (const check of yes) expect(await outcome(server, bearer(accessToken()), check)).toEqual(granted)
  })

  test('ORD-02: a check that returns a check is an error, for our factories at start and for others at the first request', async () => {
    const factories = { scope, anyScope, roles, anyRole, claims, authentication, authorizationDetails, fresh }
    for (const [name, factory] of Object.entries(factories))
      expect(() => server.protect(factory as never)).toThrow(`write ${name}(…)`)
    const role = () => () => undefined
    for (const own of [role, async () => role()])
      await expect(outcome(server, bearer(accessToken()), own as never)).rejects.toThrow(
        /call that function inside the check/
      )
  })

  test('ORD-02: whatever a check throws becomes an error', async () => {
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

  test('ORD-02: rethrows an error of another realm unchanged', async () => {
    const foreign: unknown = runInNewContext('new RangeError("of another realm")')
    expect(foreign).not.toBeInstanceOf(Error)
    await expect(outcome(server, bearer(accessToken()), () => Promise.reject(foreign))).rejects.toBe(foreign)
  })

  test('ORD-02: a function of the options that throws undefined accepts no request', async () => {
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

  test('SCP-06: an error that a check throws repeatedly becomes a separate one for each route', async () => {
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

  test('ORD-02: waits for a promise of another library', async () => {
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
  test('are frozen checks that declare their scopes, each once', () => {
    const check = scope('a', 'b', 'a')
    expect(check.scopes).toEqual(['a', 'b'])
    expect(check.mode).toBe('all')
    expect(anyScope('x').mode).toBe('any')
    for (const frozen of [check, check.scopes]) expect(Object.isFrozen(frozen)).toBe(true)
  })

  test('tell the log what was required and what was granted', () => {
    const error = (() => {
      try {
        return scope('z')(one, get(), enforcement.context)
      } catch (thrown) {
        return thrown as InsufficientScope
      }
    })() as InsufficientScope
    expect([error.expected, error.received, error.scopes]).toEqual([['z'], ['a', 'b'], ['z']])
  })

  test('request the first of alternatives from a client without a token', () => {
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

  test('DEF-19 DEN-18: a predicate that does not return exactly true is 403 without a challenge', async () => {
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

  test('pass the claims and the access to a predicate, which may be asynchronous', async () => {
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

  test('DEF-19: a Standard Schema decides, and its issues are not sent', async () => {
    const schema = claims(z.object({ tenant: z.literal('t1') }))
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't1' } })), schema)).toEqual(granted)
    const error = await refusal(() => server.authorize(bearer(accessToken({ claims: { tenant: 'secret' } })), schema))
    expect(error).toBeInstanceOf(Forbidden)
    expect(error.received).toMatchObject([{ path: ['tenant'] }])
    expect(JSON.stringify(error)).toBe(
      '{"error":"access_denied","error_description":"The access token\'s claims do not allow this"}'
    )
  })

  test('wait for an asynchronous schema', async () => {
    const slow = z.object({ tenant: z.string().refine(async (value) => value === 't1') })
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't1' } })), claims(slow))).toEqual(granted)
    expect(await outcome(server, bearer(accessToken({ claims: { tenant: 't2' } })), claims(slow))).toMatchObject(
      forbidden
    )
  })

  test('refuse anything else at start', () => {
    for (const rule of [undefined, null, {}, 'tenant', { '~standard': {} }]) {
      expect(() => claims(rule as never)).toThrow(
        'claims(): expected a function (claims) => boolean or a Standard Schema'
      )
    }
  })
})

describe('requirements', () => {
  test('SCP-08: refuse a value that is neither a check nor a waiver at start', () => {
    for (const bad of ['read', undefined, null, {}, ['read'], { waives: 'absent credentials' }, true]) {
      expect(() => server.protect(bad as never)).toThrow(
        'a requirement is scope(…), anyScope(…), roles(…), anyRole(…), claims(…), authentication(…), authorizationDetails(…), fresh(), a function, optional or skipPreflight'
      )
      expect(() => server.authorize(get(), bad as never)).toThrow(TypeError)
      expect(() => server.enforce(one, get(), bad as never)).toThrow(TypeError)
    }
  })

  test('SCP-08: a value that is not a requirement is refused at start with the call to write', () => {
    const others = 'a requirement is scope(…), anyScope(…)'
    const list = `a requirement is not a list: pass each one by itself, protect(api, …list). Otherwise ${others}`
    const long = 'a'.repeat(80)
    const rows: readonly (readonly [bad: unknown, message: string])[] = [
      ['orders:read', `a requirement is not a text or a list: write scope('orders:read'). Otherwise ${others}`],
      [['a', 'b c'], `a requirement is not a text or a list: write scope('a', 'b', 'c'). Otherwise ${others}`],
      [long, `write scope('${long}')`],
      [`${long}a`, `a requirement is string: ${others}`],
      ['a"', `a requirement is string: ${others}`],
      ['"a', `a requirement is string: ${others}`],
      [[], list],
      [['a', 7], list],
      [null, `a requirement is null: ${others}`],
      [true, `a requirement is boolean: ${others}`],
      [undefined, `a requirement is undefined: ${others}`],
      [{ a: 1 }, `a requirement is an object: ${others}`],
      [{ a: 1, authRequired: false }, '`authRequired` is not an option here: write protect(api, optional)']
    ]
    for (const [bad, message] of rows) expect(() => server.protect(bad as never), String(bad)).toThrow(message)
  })

  test('SCP-08: refuse an undeclared role at start if roles are declared', () => {
    const declared = new Set(['admin'])
    expect(readPolicy([roles('admin')], undefined, declared).checks).toHaveLength(1)
    for (const bad of [roles('admin', 'owner'), anyRole('owner')])
      expect(() => readPolicy([bad], undefined, declared)).toThrow('the role "owner" is not in the option `roles`')
  })

  test('CCH-03: refuse an object that only looks like a waiver', () => {
    expect(() => server.protect({ ...optional })).toThrow(TypeError)
    expect(Object.isFrozen(optional) && Object.isFrozen(skipPreflight)).toBe(true)
  })

  test('SCP-08 HTTP-09: check the grammar of a custom check’s scopes at start', () => {
    for (const scopes of [['a b'], ['a"'], ['a\r\nb'], ['']]) {
      const check = Object.assign(() => {}, { scopes }) as unknown as Check<string>
      expect(() => server.protect(check)).toThrow(
        `a check requires the scope ${JSON.stringify(scopes[0])}, which is not valid`
      )
    }
  })

  test('SCP-08: refuse an undeclared scope at start if scopes are declared', () => {
    const declared = new Set(['a', 'b'])
    const own: Check = () => undefined
    expect(readPolicy([scope('a'), anyScope('b', 'a'), own, optional], declared).scopes).toEqual(['a', 'b'])
    for (const bad of [scope('a', 'c'), anyScope('c')])
      expect(() => readPolicy([bad], declared)).toThrow('the scope "c" is not in the option `scopes`')
  })

  test('accept a custom check that requires any of an empty list of scopes', () => {
    const check: Check = Object.assign(() => undefined, { scopes: [], mode: 'any' as const })
    expect(readPolicy([check], undefined).scopes).toEqual([])
  })

  test('SCP-08 STP-02: check a custom check’s authentication requirement at start', () => {
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

  test('tell waivers from checks', () => {
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

  test('separate fresh() from the checks, in any position', () => {
    const policy = readPolicy([fresh(), scope('a'), fresh()], undefined)
    expect([policy.fresh, policy.checks.length, policy.scopes]).toEqual([true, 1, ['a']])
  })

  test('PRM-08: add the scopes of routes to the metadata, but not those of single uses', async () => {
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

  test('HTTP-15: recognizes OPTIONS with the two fields of a browser, each once', () => {
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

test('DEN-13 (RFC 6750 §3.1): enforce() inside a handler refuses with the complete response', async () => {
  const error = await refusal(() => server.enforce(one as Access, get(), scope('a'), scope('export')))
  expect(error.headers).toEqual(insufficient('a export').headers)
})
