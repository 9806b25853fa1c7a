/** What a route asks for: checks in order, waivers by name, and nothing else. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type Access,
  anyScope,
  type Check,
  claims,
  Forbidden,
  InsufficientScope,
  isPromise,
  optional,
  scope,
  skipPreflight
} from '../src/index.js'
import { enforce, readPolicy } from '../src/policy.js'
import { access, accessToken, api, bearer, get, granted, insufficient, outcome, refusal } from './support/refusals.js'

const server = api()
const one = await access(server, accessToken({ claims: { tenant: 't1', scope: 'a b' } }))

describe('checks', () => {
  test('run in order, the first refusal ends it, and nothing waits where nothing need be waited for', () => {
    const order: number[] = []
    const checks: Check[] = [1, 2, 3].map((n) => () => void order.push(n))
    expect(enforce(checks, one, get())).toBeUndefined()
    expect(order).toEqual([1, 2, 3])
    const stop: Check = () => {
      throw new Forbidden()
    }
    expect(() => enforce([...checks, stop, ...checks], one, get())).toThrow(Forbidden)
    expect(order).toEqual([1, 2, 3, 1, 2, 3])
  })

  test('after one that takes time, the next one waits', async () => {
    const order: string[] = []
    const slow: Check = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push('slow')
    }
    const result = enforce([slow, () => void order.push('next')], one, get())
    expect(isPromise(result)).toBe(true)
    expect(order).toEqual([])
    await result
    expect(order).toEqual(['slow', 'next'])
  })

  test('a refusal that comes late is a refusal', async () => {
    const late: Check = () => Promise.reject(new InsufficientScope(['x']))
    const error = await refusal(() => enforce([scope('a'), late, scope('b')], one, get()))
    expect(error).toBeInstanceOf(InsufficientScope)
    expect((error as InsufficientScope).scopes).toEqual(['a', 'b', 'x'])
  })

  test('a check that is done late does not spare the next ones', async () => {
    const slow: Check = () => Promise.resolve()
    const error = await refusal(() => enforce([slow, scope('z'), () => expect.unreachable()], one, get()))
    expect(error).toBeInstanceOf(InsufficientScope)
  })

  test('get the access and the request', () => {
    const request = get({}, { url: '/items/1' })
    let seen: unknown[] = []
    const check: Check = (...given) => {
      seen = given
    }
    expect(enforce([check], one, request)).toBeUndefined()
    expect(seen).toEqual([one, request])
    expect(seen[0]).toBe(one)
  })
})

describe('a check that does not throw', () => {
  const refusedHere = { status: 403, code: 'access_denied', headers: { 'Cache-Control': 'no-store' } }

  test('ORD-02: written like a predicate, it lets nobody in by answering false', async () => {
    const no: Check[] = [() => false as never, () => Promise.resolve(false) as never]
    for (const check of no) expect(await outcome(server, bearer(accessToken()), check)).toMatchObject(refusedHere)
    const yes: Check[] = [() => true as never, () => Promise.resolve(true) as never, () => 0 as never]
    for (const check of yes) expect(await outcome(server, bearer(accessToken()), check)).toEqual(granted)
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
        return scope('z')(one, get())
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
        'a requirement is scope(…), anyScope(…), claims(…), a function, optional or skipPreflight'
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
      expect(() => server.protect(check)).toThrow(TypeError)
    }
  })

  test('waivers are told apart from checks', () => {
    const policy = readPolicy([optional, scope('a'), skipPreflight], undefined)
    expect(policy).toMatchObject({ optional: true, skipPreflight: true, scopes: ['a'] })
    expect(policy.checks).toHaveLength(1)
    expect(readPolicy([], undefined)).toEqual({ checks: [], optional: false, skipPreflight: false, scopes: [] })
  })

  test('PRM-08: routes add up to the scopes that the metadata names; single uses do not', async () => {
    const of = api()
    of.protect(scope('a', 'b'))
    of.protect(anyScope('b', 'c'))
    await refusal(() => of.authorize(get(), scope('z')))
    expect(of.metadata?.document()).toMatchObject({ scopes_supported: ['a', 'b', 'c'] })
  })
})

test('DEN-13 (RFC 6750 §3.1): enforce inside a handler refuses with the whole answer', async () => {
  const error = await refusal(() => server.enforce(one as Access, get(), scope('a'), scope('export')))
  expect(error.headers).toEqual(insufficient('a export').headers)
})
