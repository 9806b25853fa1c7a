/** What is asked of a resource server beyond one RFC: order of checks, secrecy, caching, and a quiet life. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { type Access, isAccess, optional, scope } from '../../src/index.js'
import { answerOf, createBed, denial, introspecting, redirectingAgent } from '../support/exchange.js'
import { createSigningKey, fault } from '../support/issuer.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  ISSUER,
  insufficient,
  missing,
  NOW,
  outcome,
  RESOURCE,
  refusal,
  refused
} from '../support/refusals.js'

const bed = createBed()
const server = api()

describe('the order of checks', () => {
  test('ORD-01: reports the first fault in the order, whatever else is wrong with a request', async () => {
    const everything = { iss: 'x', aud: 'x', exp: 1, cnf: { jkt: 'x' }, scope: '', sub: undefined }
    const stranger = createSigningKey('ES256')
    const walk = [
      [get({ authorization: [`Bearer ${accessToken()}`, 'Bearer x'] }), 'multiple_credentials'],
      [bearer('a b'), 'malformed_authorization'],
      [bearer('a'), 'malformed'],
      [bearer(accessToken({ claims: everything, key: stranger, header: { alg: 'none' } })), 'issuer'],
      [
        bearer(accessToken({ claims: { ...everything, iss: ISSUER }, key: stranger, header: { alg: 'none' } })),
        'algorithm'
      ],
      [bearer(accessToken({ claims: { ...everything, iss: ISSUER }, key: stranger, header: { typ: 'JWT' } })), 'type'],
      [bearer(accessToken({ claims: { ...everything, iss: ISSUER }, key: stranger })), 'claim'],
      [bearer(accessToken({ claims: { ...everything, iss: ISSUER, sub: 'u' }, key: stranger })), 'audience'],
      [bearer(accessToken({ claims: { cnf: { jkt: 'x' }, exp: 1, scope: '' }, key: stranger })), 'expired'],
      [bearer(accessToken({ claims: { cnf: { jkt: 'x' }, scope: '' }, key: stranger })), 'signature'],
      [bearer(accessToken({ claims: { cnf: { jkt: 'x' }, scope: '' } })), 'dpop_downgrade'],
      [bearer(accessToken({ claims: { scope: '' } })), 'insufficient_scope']
    ] as const
    const told: (string | undefined)[] = []
    for (const [request] of walk) told.push((await outcome(server, request)).reason)
    expect(told).toEqual(walk.map(([, reason]) => reason))
  })

  test('ORD-01 ORD-06 DEN-08: introspects an opaque token before its scope matters', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    expect(await outcome(of, bearer('unknown'), scope('write'))).toEqual(
      refused('DEN-08', 'inactive', 'scope="write", ')
    )
    expect(await outcome(of, bearer(issuer.opaque()), scope('write'))).toEqual(insufficient('write'))
  })

  test('ATV-12 DEN-12 (RFC 7662 §2.2): refuses an answer that says it is about a refresh or an ID token', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    for (const members of [
      { token_type: 'refresh_token' },
      { token_use: 'refresh_token' },
      { typ: 'Refresh' },
      { token_use: 'id' }
    ]) {
      expect(await outcome(of, bearer(issuer.opaque(members)))).toEqual(refused('DEN-12', 'type'))
    }
    for (const members of [{ token_type: 'access_token' }, { token_use: 'access' }, { token_type: undefined }]) {
      expect(await outcome(of, bearer(issuer.opaque(members)))).toEqual(granted)
    }
  })

  test('ORD-02 CCH-03: does not take an access of another server, or a made-up one, for an earlier grant', async () => {
    const route = server.protect(scope('read'))
    const foreign = (await api().authorize(bearer(accessToken()))) as Access
    const own = (await server.authorize(bearer(accessToken()), scope('read'))) as Access
    const forged = Object.create(own) as Access
    for (const one of [foreign, forged, { ...own } as Access]) {
      await expect(async () => await route.authorize(get(), one)).rejects.toMatchObject({
        reason: 'credentials_missing'
      })
    }
    expect(route.authorize(get(), own)).toBe(own)
    expect([isAccess(own), isAccess(foreign), isAccess(forged), isAccess({ ...own })]).toEqual([
      true,
      true,
      false,
      false
    ])
  })

  test('ORD-02 SCP-06: an earlier grant spares the token a second verification, and no check', async () => {
    const own = (await server.authorize(bearer(accessToken()), scope('read'))) as Access
    const route = server.protect(scope('write'))
    await expect(async () => await route.authorize(get(), own)).rejects.toMatchObject({ reason: 'insufficient_scope' })
  })

  test('ORD-02 SCP-06: checks inside a handler refuse in the same words', async () => {
    const own = (await server.authorize(bearer(accessToken()), scope('read'))) as Access
    const error = await refusal(() => server.enforce(own, get(), scope('read', 'write')))
    expect(error.headers).toEqual(insufficient('read write').headers)
    expect(server.enforce(own, get(), scope('read'))).toBeUndefined()
  })
})

describe('secrecy', () => {
  test('SEC-01 (RFC 9700 §4.9.3): no refusal contains the token, however it is printed', async () => {
    const bad = [
      accessToken({ claims: { exp: 1 } }),
      accessToken({ claims: { aud: 'x' } }),
      accessToken({ claims: { iss: 'x' } }),
      accessToken({ claims: { scope: 'other' } }),
      accessToken({ claims: { cnf: { foo: 1 } } }),
      accessToken({ header: { typ: 'JWT' } }),
      accessToken({ header: { kid: 'x' } }),
      accessToken({ header: { alg: 'none' } }),
      accessToken({ key: createSigningKey('ES256') }),
      `${accessToken()}.x`,
      `${accessToken()}%`
    ]
    for (const token of bad) {
      const error = await refusal(() => server.authorize(bearer(token), scope('read')))
      const [, claims = '', signature = ''] = token.split('.')
      const printed = [
        String(error),
        error.stack,
        JSON.stringify(error),
        JSON.stringify(Object.entries(error)),
        inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
        JSON.stringify(error.headers)
      ].join()
      expect(printed).not.toContain(claims)
      expect(printed).not.toContain(signature.slice(0, 40))
    }
  })

  test('SEC-01 (RFC 9700 §4.9.3): `received` is not enumerable, so that only code that asks for it sees it', async () => {
    const error = await refusal(() => server.authorize(bearer(accessToken({ claims: { aud: 'someone-else' } }))))
    expect(error.received).toBe('someone-else')
    expect(JSON.stringify(Object.entries(error)) + inspect(error) + String(error.stack)).not.toContain('someone-else')
  })

  test('SEC-01 (RFC 9700 §4.9.3): writes nothing to the console, and names no token in statistics', async () => {
    const token = accessToken({ claims: { jti: 'secret-jti' } })
    const spies = (['log', 'warn', 'error', 'info', 'debug'] as const).map((name) => vi.spyOn(console, name))
    await outcome(server, bearer(token))
    await outcome(server, bearer(`${token}x`))
    expect(JSON.stringify([server.stats(), server.health()]) + inspect(server, { depth: 9 })).not.toContain(token)
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled()
      spy.mockRestore()
    }
  })

  test('SEC-04 SEC-01: a listener learns the reason, which the client does not', async () => {
    const heard: unknown[] = []
    const listen = (message: unknown): void => void heard.push(message)
    subscribe('oauth-resource-server:refusal', listen)
    const answer = await outcome(server, bearer(accessToken({ claims: { aud: 'x' } })))
    unsubscribe('oauth-resource-server:refusal', listen)
    expect(heard).toMatchObject([{ resource: RESOURCE, error: { reason: 'audience' } }])
    expect(answer).toEqual(refused('DEN-10', 'audience'))
  })

  const spoofed = {
    host: 'evil.example',
    forwarded: 'for=1.2.3.4;host=evil.example;proto=http',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-prefix': '/evil',
    'x-original-url': '/evil',
    'client-cert': ':MIIB:',
    'x-forwarded-client-cert': 'Hash=abc',
    'x-ssl-client-verify': 'SUCCESS',
    'x-forwarded-user': 'admin',
    'x-remote-user': 'admin'
  }

  test('SEC-02 DEF-18 (RFC 9700 §4.13): no field of a proxy about host, scheme or user changes an answer', async () => {
    expect(await outcome(server, get(spoofed))).toEqual(missing())
    expect(await outcome(server, bearer('x', spoofed))).toEqual(refused('DEN-04', 'malformed'))
    const access = (await server.authorize(bearer(accessToken(), spoofed), scope('read'))) as Access
    expect(access.subject).toBe('u1')
  })

  test('SEC-02 DEN-15 MTL-05 (RFC 9440 §4): a certificate in a header field confirms no bound token', async () => {
    const bound = accessToken({ claims: { cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } } })
    expect(await outcome(server, bearer(bound, spoofed))).toEqual(refused('DEN-15', 'certificate_binding'))
  })

  test('SEC-05: a flood of bad signatures evicts no good token', async () => {
    const of = api()
    const good = bearer(accessToken())
    const access = await of.authorize(good, scope('read'))
    const { entries } = of.stats().cache.verified
    const stranger = createSigningKey('ES256')
    const flood = Array.from({ length: 200 }, (_, i) => accessToken({ key: stranger, claims: { jti: `f${i}` } }))
    const answers = await Promise.all(flood.map((token) => outcome(of, bearer(token))))
    expect(new Set(answers.map(({ reason }) => reason))).toEqual(new Set(['signature']))
    expect(of.stats().cache.verified.entries).toBe(entries)
    expect(of.authorize(good, scope('read'))).toBe(access)
  })

  test('SEC-05: reports the size and the bound of every memory', async () => {
    const of = api()
    await of.authorize(bearer(accessToken()), scope('read'))
    expect(of.stats()).toMatchObject({
      cache: {
        verified: { entries: 1, maxEntries: 10_000, maxBytes: 32 * 1024 * 1024 },
        headers: { entries: 1, maxEntries: 1000 },
        scopes: { entries: 1, maxEntries: 1000 },
        active: { entries: 0, maxEntries: 10_000 },
        inactive: { entries: 0, maxEntries: 1000 },
        introspecting: 0
      },
      issuers: 1,
      proofKeys: { entries: 0, maxEntries: 5000 }
    })
  })

  test('SEC-05: does not remember a token that did not verify, nor its header and scopes', async () => {
    const of = api()
    const others = [
      accessToken({ header: { other: 1 }, claims: { exp: 1, scope: 'a' } }),
      `${accessToken({ header: { other: 2 }, claims: { scope: 'b' } }).slice(0, -8)}AAAAAAAA`
    ]
    for (const token of others) expect(await outcome(of, bearer(token))).toMatchObject({ status: 401 })
    const none = { entries: 0 }
    expect(of.stats().cache).toMatchObject({ verified: none, headers: none, scopes: none })
  })
})

describe('caching of answers', () => {
  test('CCH-01 (RFC 9111 §5.2.2.5): forbids caches to store a refusal', async () => {
    const requests = [
      get(),
      get({ authorization: 'Bearer' }),
      bearer('x'),
      bearer(accessToken({ claims: { scope: '' } }))
    ]
    for (const request of requests) expect((await outcome(server, request)).headers['Cache-Control']).toBe('no-store')
    const dead = await bed.issuer()
    await dead.close()
    const of = bed.api({ issuers: [dead.issuer], http: { timeout: 0.5, deadline: 0.5 } })
    const { status, headers } = await outcome(of, bearer(dead.token()))
    expect([status, headers['Cache-Control']]).toEqual([503, 'no-store'])
  })

  test('CCH-02 (RFC 9110 §12.5.5): an answer of an optional route varies by Authorization', () => {
    expect(server.protect(optional, scope('read')).headers).toEqual({ Vary: 'Authorization' })
    expect(server.protect(scope('read')).headers).toEqual({})
  })

  test('CCH-03 (RFC 6750 §3.1): refuses an expired token on an optional route, even after it was valid', async () => {
    let now = NOW
    const timed = api({ now: () => now })
    const route = timed.protect(optional)
    const request = bearer(accessToken())
    expect(await route.authorize(request)).toMatchObject({ subject: 'u1' })
    now += 330
    await expect(async () => await route.authorize(request)).rejects.toMatchObject({ reason: 'expired', status: 401 })
  })
})

describe('outages', () => {
  test('DEF-11 DEN-16: answers 503 with Retry-After and without a challenge while the authorization server is down', async () => {
    const issuer = await bed.issuer()
    const token = issuer.token()
    await issuer.close()
    const of = bed.api({ issuers: [issuer.issuer], http: { timeout: 0.5, deadline: 0.5 } })
    const { status, code, headers, body } = await outcome(of, bearer(token))
    expect([status, code]).toEqual([503, 'temporarily_unavailable'])
    expect(Number(headers['Retry-After'])).toBeGreaterThan(0)
    expect(headers['WWW-Authenticate']).toBeUndefined()
    expect(body).toEqual({ error: 'temporarily_unavailable' })
  })

  test('DEF-11 ORD-01: answers requests that do not need the authorization server in its absence', async () => {
    const issuer = await bed.issuer()
    await issuer.close()
    const of = bed.api({ issuers: [issuer.issuer] })
    expect(await outcome(of, get())).toEqual(missing())
    expect(await outcome(of, bearer('x'))).toEqual(refused('DEN-04', 'malformed'))
    expect(await outcome(of, bearer(issuer.token({ claims: { exp: 1 } })))).toEqual(refused('DEN-06', 'expired'))
  })

  test('DEN-17: answers 500 without a challenge where metadata name another issuer', async () => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.wrongIssuer())
    const of = bed.api({ issuers: [issuer.issuer] })
    const error = await refusal(() => of.authorize(bearer(issuer.token()), scope('read')))
    expect(await answerOf(error)).toEqual(denial.misconfigured)
    expect(error.headers).toEqual({ 'Cache-Control': 'no-store' })
  })

  test('DEF-18 KEY-10: reaches a server behind https through the configured dispatcher', async () => {
    const issuer = await bed.issuer()
    issuer.metadata.issuer = ISSUER
    issuer.metadata.jwks_uri = `${ISSUER}/jwks`
    const dispatcher = bed.closing(redirectingAgent({ [ISSUER]: issuer.origin }))
    const of = bed.api({ issuers: [ISSUER], http: { dispatcher } })
    expect(await outcome(of, bearer(issuer.token({ claims: { iss: ISSUER } })))).toEqual(granted)
  })
})

describe('life cycle', () => {
  test('OPS-01: verifies with known keys after close(), and may be closed again', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    expect(await outcome(of, bearer(issuer.token()))).toEqual(granted)
    await of.close()
    await of.close()
    expect(await outcome(of, bearer(issuer.token({ claims: { sub: 'u2' } })))).toEqual(granted)
  })

  test('OPS-01: leaves no rejection unhandled, in the background and for many requests at once', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.reset())
    const of = bed.api({ issuers: [issuer.issuer], http: { timeout: 0.5, deadline: 0.5 } })
    const route = of.protect(scope('read'))
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, async () => route.authorize(bearer(issuer.token())))
    )
    await expect(of.ready()).rejects.toMatchObject({ status: 503 })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['rejected']))
  })

  test('OPS-01 ASM-10: fetches nothing when it is created, and when its health is read', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    of.protect(scope('read'))
    expect(of.health().issuers).toHaveLength(1)
    expect(of.stats().cache.verified.entries).toBe(0)
    expect(of.metadata?.document()).toBeDefined()
    expect(issuer.requests).toHaveLength(0)
  })
})
