/** `fresh()`: what the authorization server says of a token now, past everything that is remembered. */
import { beforeAll, describe, expect, test } from 'vitest'
import { fresh, type IssuerOptions, scope } from '../src/index.js'
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
} from './support/exchange.js'
import { fault, type TestIssuer } from './support/issuer.js'

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
  test('is asked about at every request, though the answer is remembered', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    for (const asked of [2, 3, 4]) {
      expect(await ask(api, token, ...now)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(asked)
    }
  })

  test('revoked a moment ago, is refused, and from then on everywhere', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.revoke(token)
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ active: { entries: 0 }, inactive: { entries: 1 } })
  })

  test('… also where it was in use all the time', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    for (let i = 0; i < 5; i++) expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.verified.entries).toBe(1)
    issuer.revoke(token)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ active: { entries: 0 }, verified: { entries: 0 } })
  })

  test('revived, is accepted again everywhere', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.script('introspection', fault.body({ active: false }))
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    bed.clock.advance(10)
    expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.inactive.entries).toBe(0)
  })

  test('what is answered now takes the place of what was remembered', async () => {
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

  test('a scope that it has lost is lost for the checks of the same route', async () => {
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
  ])('%s by what is answered now, is refused', async (_, members, expected) => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.opaque(members, token)
    expect(await ask(api, token, ...now)).toEqual(expected)
  })

  test('bound to a key all of a sudden, is refused: the sender was not asked for it', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.opaque({ cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }, token)
    expect(await ask(api, token, ...now)).toEqual(denial.claim)
    expect(await ask(api, token)).toEqual(denial.dpop)
  })

  test('an answer to a question of before is not taken for one of now', async () => {
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

  test('an answer that was overtaken is not remembered', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    const first = answeringLate(issuer)
    const early = ask(api, token, ...now)
    await first.asked()
    issuer.revoke(token)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    first.answer()
    expect(await early).toEqual(granted)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(3)
  })

  test('an answer that was overtaken is not remembered for those who shared it either', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque({}, 'opaque-of-thirty-two-characters-or-more')
    const access = await authorize(api, token)
    bed.clock.advance(31)
    const first = answeringLate(issuer)
    const early = [ask(api, token), ask(api, token), ask(api, token)]
    await first.asked()
    issuer.revoke(token)
    expect(await refusal(() => api.enforce(access, request(), fresh()))).toMatchObject({ reason: 'inactive' })
    first.answer()
    expect(await Promise.all(early)).toEqual([granted, granted, granted])
    for (const seconds of [0, 1, 20]) {
      bed.clock.advance(seconds)
      expect(await ask(api, token)).toEqual(denial.inactive)
    }
  })

  test('an outage is 503, and what was remembered stays', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('introspection', fault.retryAfter(7, 503))
    expect(await ask(api, token, ...now)).toEqual(unavailableFor(7))
    expect(await ask(api, token)).toEqual(granted)
  })
})

describe('fresh() and a JWT', () => {
  test('is verified here and asked about too', async () => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, { sub: 'other', aud: undefined, exp: undefined })
    const access = await authorize(api, token, ...now)
    expect(access).toMatchObject({ subject: 'u1', audience: ['https://api.example.com'], expiresAt: 1_750_000_300 })
    expect(issuer.count('introspection')).toBe(1)
    // Its claims stand: with nothing narrowed it is the very same token as without.
    expect(await authorize(api, token)).toBe(access)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('revoked, is refused, and what was remembered of it is forgotten', async () => {
    const { issuer, api } = await start()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.verified.entries).toBe(1)
    expect(await ask(api, token, ...now)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ verified: { entries: 0 }, inactive: { entries: 1 } })
  })

  test('with a bad signature is not asked about', async () => {
    const { issuer, api } = await start()
    const token = `${issuer.token().slice(0, -8)}AAAAAAAA`
    issuer.opaque({}, token)
    expect(await ask(api, token, ...now)).toEqual(denial.signature)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('has the scopes that are still granted, and no more than it had', async () => {
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

  test('keeps its scopes where the answer names none, and has none where it names an empty list', async () => {
    const { issuer, api } = await start()
    expect((await authorize(api, jwtKnownTo(issuer, { scope: undefined }), ...now)).scopes).toEqual(['read'])
    expect(await ask(api, jwtKnownTo(issuer, { scope: '' }), ...now)).toEqual(denial.scope)
  })

  test('scopes that others include count on both sides', async () => {
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
  ])('%s by what is answered now, is refused', async (_, members, expected) => {
    const { issuer, api } = await start()
    const token = jwtKnownTo(issuer, members)
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, token, ...now)).toEqual(expected)
  })

  test('also where no opaque token is accepted', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'jwt' })] })
    expect(await ask(api, jwtKnownTo(issuer), ...now)).toEqual(granted)
    expect(await ask(api, issuer.token(), ...now)).toEqual(denial.inactive)
    expect(await ask(api, issuer.opaque(), ...now)).toEqual(denial.malformed)
  })
})

test('fresh() with an issuer that a resolver names without introspection is our misconfiguration', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: () => issuer.issuer })
  expect(await ask(api, issuer.token())).toEqual(granted)
  expect(await ask(api, issuer.token(), ...now)).toEqual(denial.misconfigured)
  const error = await refusal(() => authorize(api, issuer.token(), ...now))
  expect(error.hint).toContain('give this issuer `introspection`')
})
