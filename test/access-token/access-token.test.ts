/** What is remembered of a verified token: a fact, for as long as its time and its issuer's keys say so, and no more. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { isPromise } from '../../src/base/awaitable.js'
import { scope } from '../../src/index.js'
import { ask, createBed, denial } from '../support/exchange.js'
import { type SigningKey, signature, signJws } from '../support/issuer.js'
import {
  access,
  accessToken,
  api,
  bearer,
  granted,
  ISSUER,
  insufficient,
  issuerKey,
  NOW,
  outcome,
  refused
} from '../support/refusals.js'

const bed = createBed()

/** A server with a clock of its own. */
function clocked(): { server: ReturnType<typeof api>; clock: { now: number } } {
  const clock = { now: NOW }
  return { server: api({ now: () => clock.now }), clock }
}

describe('a token that was verified', () => {
  test('a verified token is answered in the same tick, with the identical frozen object', async () => {
    const { server } = clocked()
    const token = accessToken()
    const route = server.protect(scope('read'))
    const first = await route.authorize(bearer(token))
    const second = route.authorize(bearer(token))
    expect(isPromise(second)).toBe(false)
    expect(second).toBe(first)
    expect(Object.isFrozen(second)).toBe(true)
    expect(server.protect().authorize(bearer(token))).toBe(first)
    expect(server.stats().cache.verified).toMatchObject({ entries: 1 })
  })

  test('a verified token is found by its text, not by the identity of the string', async () => {
    const { server } = clocked()
    const token = accessToken()
    const first = await server.authorize(bearer(token))
    expect(server.authorize(bearer(Buffer.from(token).toString()))).toBe(first)
  })

  test('ATV-06 DEN-06 (RFC 9068 §4): refuses a cached token from the second it expires', async () => {
    const { server, clock } = clocked()
    const token = bearer(accessToken({ claims: { exp: NOW + 100 } }))
    expect(await outcome(server, token)).toEqual(granted)
    clock.now = NOW + 129
    expect(isPromise(server.authorize(token))).toBe(false)
    clock.now = NOW + 130
    expect(await outcome(server, token)).toEqual(refused('DEN-06', 'expired'))
  })

  test('verifies a cached token again after five minutes', async () => {
    const { server, clock } = clocked()
    const token = bearer(accessToken({ claims: { exp: NOW + 10_000 } }))
    const first = await server.authorize(token)
    clock.now = NOW + 299
    expect(server.authorize(token)).toBe(first)
    clock.now = NOW + 300
    expect(await server.authorize(token)).not.toBe(first)
  })

  test('ATV-09 DEN-07: verifies a cached token again if the clock is set back, because the token may not be valid yet', async () => {
    const { server, clock } = clocked()
    const token = bearer(accessToken({ claims: { nbf: NOW } }))
    expect(await outcome(server, token)).toEqual(granted)
    clock.now = NOW - 31
    expect(await outcome(server, token)).toEqual(refused('DEN-07', 'not_yet_valid'))
    clock.now = NOW
    expect(await outcome(server, token)).toEqual(granted)
  })

  test('does not use a cached token if the clock returns NaN', async () => {
    const { server, clock } = clocked()
    const token = bearer(accessToken())
    expect(await outcome(server, token)).toEqual(granted)
    clock.now = Number.NaN
    expect(await outcome(server, token)).toEqual(refused('DEN-06', 'expired'))
  })

  test('policy is checked on every request: a cached token is not a granted request', async () => {
    const { server } = clocked()
    const token = bearer(accessToken())
    expect(await outcome(server, token, scope('read'))).toEqual(granted)
    expect(await outcome(server, token, scope('write'))).toEqual(insufficient('write'))
    let allowed = true
    const check = (): void => {
      if (!allowed) throw new TypeError('not now')
    }
    expect(await outcome(server, token, check)).toEqual(granted)
    allowed = false
    await expect(async () => await server.authorize(token, check)).rejects.toThrow('not now')
  })

  test('KEY-09 DEN-05: evicts a cached token as soon as its key is withdrawn', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256'] })
    const of = bed.api({ issuers: [issuer.issuer] })
    const old = issuer.token({ claims: { exp: bed.clock.now() + 5000 } })
    expect(await ask(of, old)).toEqual(granted_)
    issuer.rotate('switch')
    issuer.rotate('retire')
    // A token by the new key makes the set be fetched again, and the old key is gone with it.
    bed.clock.advance(31)
    expect(await ask(of, issuer.token())).toEqual(granted_)
    expect(await ask(of, old)).toEqual(denial.signature)
  })

  test('KEY-08 DEN-16 OPS-01: answers 503 for a cached token whose key set can no longer be used, without an unhandled rejection', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer], http: { timeout: 0.5, deadline: 0.5 } })
    const claims = { exp: bed.clock.now() + 100_000 }
    expect(await ask(of, issuer.token({ claims }))).toMatchObject({ status: 200 })
    await issuer.close()
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    // Fresh for 600 s and stale for 3600 s more; the token is verified shortly before the end of that.
    bed.clock.advance(4100)
    const token = issuer.token({ claims })
    expect(await ask(of, token)).toMatchObject({ status: 200 })
    bed.clock.advance(200)
    for (const _ of [1, 2]) expect(await ask(of, token)).toMatchObject({ status: 503, challenge: null })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  test('KEY-09: keeps a cached token while its key stays in the set, whatever other keys come and go', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256'] })
    const of = bed.api({ issuers: [issuer.issuer] })
    const old = issuer.token({ claims: { exp: bed.clock.now() + 5000 } })
    const first = await access(of, old)
    issuer.rotate('switch')
    bed.clock.advance(31)
    expect(await ask(of, issuer.token())).toEqual(granted_)
    expect(of.authorize(bearer(old))).toBe(first)
  })
  const granted_ = { status: 200, challenge: null, retryAfter: null, body: null }
})

describe('tokens in the cache', () => {
  test('SEC-05 DEN-05: two tokens with the same ending are told apart: the whole text is compared', async () => {
    const { server } = clocked()
    const good = accessToken()
    expect(await outcome(server, bearer(good))).toEqual(granted)
    const [header, , signed] = good.split('.') as [string, string, string]
    const claims = Buffer.from(JSON.stringify({ iss: ISSUER, sub: 'admin', scope: 'read' })).toString('base64url')
    expect((await outcome(server, bearer(`${header}.${claims}.${signed}`))).reason).toBe('claim')
    const forged = signJws({ typ: 'at+jwt', alg: 'ES256', kid: 'k1' }, { ...full, sub: 'admin' }, issuerKey, () =>
      Buffer.from(signed, 'base64url')
    )
    expect(forged.slice(-80)).toBe(good.slice(-80))
    expect(await outcome(server, bearer(forged))).toEqual(refused('DEN-05', 'signature'))
    expect(isPromise(server.authorize(bearer(good)))).toBe(false)
  })
  const full = {
    iss: ISSUER,
    aud: 'https://api.example.com',
    client_id: 'c1',
    iat: NOW,
    exp: NOW + 300,
    jti: 't',
    scope: 'read'
  }

  test('verifies a token of more than 4096 characters on every request', async () => {
    const { server } = clocked()
    const long = bearer(accessToken({ claims: { padding: 'x'.repeat(4096) } }))
    const first = await server.authorize(long)
    expect(await server.authorize(long)).not.toBe(first)
    expect(server.stats().cache.verified.entries).toBe(0)
  })

  test('counts the memory of a token, which is more than its text if the claims have many lists', async () => {
    const held = async (padding: unknown): Promise<number> => {
      const { server } = clocked()
      await server.authorize(bearer(accessToken({ claims: { padding } })))
      return server.stats().cache.verified.bytes
    }
    const lists = Array.from({ length: 500 }, () => [])
    const objects = Array.from({ length: 500 }, () => ({}))
    const text = await held('x'.repeat(JSON.stringify(lists).length - 2))
    expect(await held(lists)).toBeGreaterThan(text + 500 * 35)
    expect(await held(objects)).toBeGreaterThan(text + 500 * 58)
  })

  test('does not cache a refused token: it is refused anew', async () => {
    const { server } = clocked()
    const stranger: SigningKey = { ...issuerKey }
    const bad = bearer(accessToken({ key: stranger, sign: (input, key) => Buffer.from(signature(`${input}x`, key)) }))
    for (const _ of [1, 2]) expect(await outcome(server, bad)).toEqual(refused('DEN-05', 'signature'))
    expect(server.stats().cache.verified.entries).toBe(0)
  })

  test('two servers verify the same token separately', async () => {
    const first = await api().authorize(bearer(accessToken()))
    const token = accessToken()
    const [a, b] = [api(), api()]
    expect(await a.authorize(bearer(token))).not.toBe(await b.authorize(bearer(token)))
    expect(first).toBeDefined()
  })
})

describe('the access of a handler', () => {
  test('JOS-22: is frozen at every level, so that no request can change it for the next', async () => {
    const { server } = clocked()
    const claims = { act: { sub: 'a' }, roles: ['x'], scope: 'read' }
    const one = await access(server, accessToken({ claims }))
    for (const part of [one, one.claims, one.claims['act'], one.claims['roles'], one.audience, one.scopes]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
    expect(() => (one.scopes as string[]).push('admin')).toThrow(TypeError)
    expect(one.hasScope('admin')).toBe(false)
  })

  test('SEC-01 (RFC 9700 §4.9.3): does not show its token when printed, copied or serialized', async () => {
    const { server } = clocked()
    const token = accessToken()
    const one = await access(server, token)
    const part = token.slice(-40)
    for (const text of [
      JSON.stringify(one),
      inspect(one, { showHidden: true, depth: 9 }),
      JSON.stringify({ ...one })
    ]) {
      expect(text).not.toContain(part)
      expect(text).toContain('u1')
    }
    expect(Object.keys(one)).not.toContain('token')
    expect('token' in { ...one }).toBe(false)
    expect(one.token).toBe(token)
  })

  test('hasScope() matches scopes exactly', async () => {
    const { server } = clocked()
    const one = await access(server, accessToken({ claims: { scope: 'read write' } }))
    expect([one.hasScope('read'), one.hasScope('Read'), one.hasScope('rea'), one.hasScope('')]).toEqual([
      true,
      false,
      false,
      false
    ])
  })
})
