/** `fresh()`: what the authorization server says of a token now, past everything that is remembered. */
import { beforeAll, describe, expect, test } from 'vitest'
import { anyScope, authentication, type Check, fresh, type IssuerOptions, scope } from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  refusal,
  request,
  unavailableFor,
  until
} from '../support/exchange.js'
import { type Behaviour, fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

async function start(introspection: Partial<NonNullable<IssuerOptions['introspection']>> = {}, hierarchy = {}) {
  const issuer = await bed.issuer()
  return { issuer, api: bed.api({ issuers: [introspecting(issuer, introspection)], scopeHierarchy: hierarchy }) }
}

/** A JWT that the server can also be asked about, where it says the same, altered by `members`. */
function jwtKnownTo(issuer: TestIssuer, members: Record<string, unknown> = {}, claims: Record<string, unknown> = {}) {
  return issuer.opaque({ ...members }, issuer.token({ claims }))
}

/** The next question is answered when told to, with what was true when it came. */
function answeringLate(issuer: TestIssuer): { asked(): Promise<void>; answer(): void } {
  const held: (() => void)[] = []
  issuer.script('introspection', ({ response, normal }) => {
    held.push(() => response.writeHead(normal.status, normal.headers).end(normal.body))
  })
  return { asked: () => until(() => held.length === 1), answer: () => held[0]?.() }
}

const now = [scope('read'), fresh()] as const

describe('fresh() and an opaque token', () => {
  test('fresh() introspects an opaque token on every request, although the answer is cached', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    for (const asked of [2, 3, 4]) {
      expect(await ask(api, token, ...now)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(asked)
    }
  })

  test('fresh() refuses a token that was just revoked, and evicts the cached answer', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.revoke(token)
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ active: { entries: 0 }, inactive: { entries: 1 } })
  })

  test('fresh() evicts a revoked token from the cache of verified tokens too', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    for (let i = 0; i < 5; i++) expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.verified.entries).toBe(1)
    issuer.revoke(token)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ active: { entries: 0 }, verified: { entries: 0 } })
  })

  test('accepts a token again everywhere when the server calls it active again', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.script('introspection', fault.body({ active: false }))
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    bed.clock.advance(10)
    expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.inactive.entries).toBe(0)
  })

  test('fresh() replaces the cached answer by the new one', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect((await authorize(api, token)).scopes).toEqual(['read'])
    issuer.opaque({ scope: 'read write', acr: 'high' }, token)
    const access = await authorize(api, token, ...now)
    expect(access).toMatchObject({ scopes: ['read', 'write'], claims: { acr: 'high' } })
    expect(access.token).toBe(token)
    expect((await authorize(api, token)).scopes).toEqual(['read', 'write'])
    expect(issuer.count('introspection')).toBe(2)
  })

  test('the checks of a route with fresh() see that a scope was removed', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.opaque({ scope: 'write' }, token)
    expect(await ask(api, token, ...now)).toEqual(denial.scope)
  })

  test.each([
    ['expired', { exp: 1 }, denial.expired],
    ['not valid yet', { nbf: 1_750_000_031 }, denial.notYetValid],
    ['for another API', { aud: 'https://other.example' }, denial.audience],
    ['for nobody', { aud: undefined }, denial.audience],
    ['of another issuer', { iss: 'https://other.example' }, denial.issuer],
    ['of another kind', { token_use: 'id' }, denial.type]
  ])('fresh() refuses a token that is %s by the new answer', async (_, members, expected) => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.opaque(members, token)
    expect(await ask(api, token, ...now)).toEqual(expected)
  })

  test('fresh() refuses a token that the new answer binds to a key, because the sender was not checked for it', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.opaque({ cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }, token)
    expect(await ask(api, token, ...now)).toEqual(denial.claim)
    expect(await ask(api, token)).toEqual(denial.dpop)
  })

  test('fresh() does not use the answer to a question that was sent earlier', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    const first = answeringLate(issuer)
    const early = ask(api, token)
    await first.asked()
    issuer.revoke(token)
    // It waits for the same answer, is let in by it, and then asks for itself.
    const late = ask(api, token, ...now)
    first.answer()
    expect(await early).toEqual(granted)
    expect(await late).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('requests that arrive while a question is under way share the next one, which is sent after it', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    const first = answeringLate(issuer)
    const early = ask(api, token, ...now)
    await first.asked()
    issuer.revoke(token)
    const late = Array.from({ length: 400 }, () => ask(api, token, ...now))
    expect(api.stats().cache.introspecting).toBe(1)
    first.answer()
    expect(await early).toEqual(granted)
    for (const one of await Promise.all(late)) expect(one).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(3)
  })

  test('sends the next question even if the one under way fails', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    const held: (() => void)[] = []
    const failing: Behaviour = ({ response }) => void held.push(() => response.socket?.resetAndDestroy())
    issuer.script('introspection', failing, failing)
    const early = ask(api, token, ...now)
    await until(() => held.length === 1)
    const late = ask(api, token, ...now)
    // Once more: a request that met a reset is repeated.
    held[0]?.()
    await until(() => held.length === 2)
    held[1]?.()
    expect(await early).toEqual(denial.unavailable)
    expect(await late).toEqual(granted)
  })

  test('an earlier answer is not cached past the next question, even by requests that shared it', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque({}, 'opaque-of-thirty-two-characters-or-more')
    const access = await authorize(api, token)
    bed.clock.advance(31)
    const first = answeringLate(issuer)
    const early = [ask(api, token), ask(api, token), ask(api, token)]
    await first.asked()
    issuer.revoke(token)
    const late = refusal(() => api.enforce(access, request(), fresh()))
    first.answer()
    expect(await Promise.all(early)).toEqual([granted, granted, granted])
    expect(await late).toMatchObject({ reason: 'inactive' })
    for (const seconds of [0, 1, 20]) {
      bed.clock.advance(seconds)
      expect(await ask(api, token)).toEqual(denial.inactive)
    }
  })

  test('answers an outage with 503 and keeps the cached answer', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('introspection', fault.retryAfter(7, 503))
    expect(await ask(api, token, ...now)).toEqual(unavailableFor(7))
    expect(await ask(api, token)).toEqual(granted)
  })
})

describe('fresh() and a JWT', () => {
  test('fresh() verifies a JWT locally and introspects it too', async () => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, { sub: 'other', aud: undefined, exp: undefined })
    const access = await authorize(api, token, ...now)
    expect(access).toMatchObject({ subject: 'u1', audience: ['https://api.example.com'], expiresAt: 1_750_000_300 })
    expect(issuer.count('introspection')).toBe(1)
    // Its claims stand: with nothing narrowed it is the very same token as without.
    expect(await authorize(api, token)).toBe(access)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('refuses a JWT that was revoked since, and evicts it from the cache', async () => {
    const { issuer, api } = await start()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.verified.entries).toBe(1)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ verified: { entries: 0 }, inactive: { entries: 1 } })
  })

  test('does not introspect a JWT with a bad signature', async () => {
    const { issuer, api } = await start()
    const token = `${issuer.token().slice(0, -8)}AAAAAAAA`
    issuer.opaque({}, token)
    expect(await ask(api, token, ...now)).toEqual(denial.signature)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('keeps only those scopes of a JWT that are still granted, and adds none', async () => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, { scope: 'read admin' }, { scope: 'read write' })
    expect((await authorize(api, token)).scopes).toEqual(['read', 'write'])
    const access = await authorize(api, token, ...now)
    expect(access.scopes).toEqual(['read'])
    expect([access.hasScope('read'), access.hasScope('write'), access.hasScope('admin')]).toEqual([true, false, false])
    expect(access.token).toBe(token)
    expect(await ask(api, token, scope('write'), fresh())).toMatchObject({ status: 403 })
    expect((await authorize(api, token)).scopes).toEqual(['read', 'write'])
  })

  test('keeps the scopes of a JWT if the answer names none, and removes all if the answer has an empty list', async () => {
    const { issuer, api } = await start()
    for (const scope of [undefined, null])
      expect((await authorize(api, jwtKnownTo(issuer, { scope }), ...now)).scopes).toEqual(['read'])
    expect(await ask(api, jwtKnownTo(issuer, { scope: '' }), ...now)).toEqual(denial.scope)
  })

  test('considers implied scopes of the token and of the answer', async () => {
    const hierarchy = { admin: ['write'], write: ['read'] }
    const { issuer, api } = await start({}, hierarchy)
    const less = jwtKnownTo(issuer, { scope: 'write' }, { scope: 'admin' })
    expect((await authorize(api, less, ...now)).scopes).toEqual(['write', 'read'])
    const more = jwtKnownTo(issuer, { scope: 'admin' }, { scope: 'write' })
    expect((await authorize(api, more, ...now)).scopes).toEqual(['write', 'read'])
  })

  test.each([
    ['expired', { exp: 1 }, denial.expired],
    ['for another API', { aud: 'https://other.example' }, denial.audience],
    ['of another issuer', { iss: 'https://other.example' }, denial.issuer],
    ['of another kind', { token_type: 'refresh_token' }, denial.type],
    ['bound to a key', { cnf: { jkt: 'x' } }, denial.claim],
    ['of scopes that are no text', { scope: 1 }, denial.claim]
  ])('fresh() refuses a JWT that is %s by the new answer', async (_, members, expected) => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, members)
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, token, ...now)).toEqual(expected)
  })

  test('fresh() introspects a JWT even where opaque tokens are not accepted', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'jwt' })] })
    expect(await ask(api, jwtKnownTo(issuer), ...now)).toEqual(granted)
    expect(await ask(api, issuer.token(), ...now)).toEqual(denial.inactive)
    expect(await ask(api, issuer.opaque(), ...now)).toEqual(denial.malformed)
  })
})

test('answers fresh() with 500 if a resolver returns an issuer without introspection', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: () => issuer.issuer })
  expect(await ask(api, issuer.token())).toEqual(granted)
  expect(await ask(api, issuer.token(), ...now)).toEqual(denial.misconfigured)
  const error = await refusal(() => authorize(api, issuer.token(), ...now))
  expect(error.hint).toContain('but this issuer has no `introspection`: configure it')
})

describe('a client that floods a route with fresh()', () => {
  test('does not introspect a JWT without the scope of the route, and serves another user', async () => {
    const { issuer, api } = await start()
    const attacker = jwtKnownTo(issuer, {}, { scope: 'write' })
    const victim = jwtKnownTo(issuer)
    for (const requirements of [now, [fresh(), scope('read')], [anyScope('read', 'admin'), fresh()]] as const) {
      const flood = Array.from({ length: 400 }, () => ask(api, attacker, ...requirements))
      const served = ask(api, victim, ...requirements)
      for (const one of await Promise.all(flood)) expect(one).toMatchObject({ status: 403 })
      expect(await served).toEqual(granted)
    }
    expect(issuer.requests.filter(({ form }) => form.get('token') === attacker)).toEqual([])
  })

  test.each([
    ['JWT', (issuer: TestIssuer) => jwtKnownTo(issuer)],
    ['opaque token', (issuer: TestIssuer) => issuer.opaque()],
    ['opaque token without the scope', (issuer: TestIssuer) => issuer.opaque({ scope: 'write' })]
  ])(
    'with one %s has one question under way at a time, and all other requests are served meanwhile',
    async (_, create) => {
      const { issuer, api } = await start()
      const [attacker, victim] = [create(issuer), issuer.opaque()]
      // The first sight of an opaque token is asked about too.
      await ask(api, attacker)
      issuer.reset()
      let open = 0
      let most = 0
      const held: (() => void)[] = []
      issuer.always('introspection', ({ request: { form }, response, normal }) => {
        const answer = (): void => void response.writeHead(normal.status, normal.headers).end(normal.body)
        if (form.get('token') !== attacker) return answer()
        most = Math.max(most, ++open)
        held.push(() => {
          open--
          answer()
        })
      })
      const flood = Array.from({ length: 400 }, () => ask(api, attacker, ...now))
      await until(() => held.length === 1)
      expect(await ask(api, victim, ...now)).toEqual(granted)
      held[0]?.()
      await until(() => held.length === 2)
      expect(await ask(api, victim, ...now)).toEqual(granted)
      held[1]?.()
      expect(new Set((await Promise.all(flood)).map(({ status }) => status)).size).toBe(1)
      expect([most, held.length]).toEqual([1, 2])
    }
  )

  test('answers 503 to a caller that waits longer than the deadline for an earlier question', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)], http: { timeout: 0.2, deadline: 0.2 } })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('introspection', fault.hang())
    const all = await Promise.all([1, 2, 3].map(() => ask(api, token, ...now)))
    expect(all).toEqual([denial.unavailable, denial.unavailable, denial.unavailable])
  })
})

describe('checks before a JWT is introspected', () => {
  test('runs only scope() and anyScope() before the answer, and custom checks, wrappers and authentication() once after it', async () => {
    const { issuer, api } = await start()
    const seen: unknown[] = []
    const inner = scope('read')
    const wrapper: Check<'read'> = Object.assign(
      (...[access, ...others]: Parameters<Check<'read'>>) => {
        seen.push(access.claims['acr'])
        return inner(access, ...others)
      },
      { scopes: ['read'] as const, mode: 'all' as const }
    )
    const token = jwtKnownTo(issuer, { acr: 'high' }, { acr: 'low' })
    expect(await ask(api, token, wrapper, scope('read'), authentication({ acr: 'high' }), fresh())).toEqual(granted)
    expect(seen).toEqual(['high'])
    const lacking = jwtKnownTo(issuer, {}, { scope: 'write' })
    expect(await ask(api, lacking, wrapper, fresh())).toMatchObject({ status: 403 })
    expect(seen).toEqual(['high', undefined])
    expect(issuer.count('introspection')).toBe(2)
  })

  test('refuses a missing scope with all scopes of the route, without naming authentication, which the answer may change', async () => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, { acr: 'high' }, { acr: 'low' })
    const policy = [scope('read'), scope('write'), authentication({ acr: 'high' }), fresh()] as const
    const { status, challenge } = await ask(api, token, ...policy)
    expect([status, challenge]).toEqual([403, expect.stringContaining('scope="read write"')])
    expect(challenge).not.toContain('acr_values')
    expect(issuer.count('introspection')).toBe(0)
  })

  test('accepts scopes that another scope implies', async () => {
    const { issuer, api } = await start({}, { admin: ['read'] })
    expect(await ask(api, jwtKnownTo(issuer, { scope: 'admin' }, { scope: 'admin' }), ...now)).toEqual(granted)
    expect(await ask(api, jwtKnownTo(issuer, {}, { scope: 'write' }), ...now)).toEqual(denial.scope)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('enforce() and a second protect() refuse without a question too', async () => {
    const { issuer, api } = await start()
    const access = await authorize(api, jwtKnownTo(issuer), scope('read'))
    const enforced = await refusal(() => api.enforce(access, request(), scope('write'), fresh()))
    expect(enforced.status).toBe(403)
    const protection = api.protect(scope('write'), fresh())
    expect((await refusal(() => protection.authorize(request(access.token), access))).status).toBe(403)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('introspects an opaque token, whose scopes may have grown, and accepts it', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque({ scope: 'write' })
    expect(await ask(api, token)).toEqual(denial.scope)
    issuer.opaque({ scope: 'read' }, token)
    expect(await ask(api, token, ...now)).toEqual(granted)
  })
})
