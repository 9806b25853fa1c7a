/** Security events pushed to this API: RFC 8417, RFC 8935, SSF 1.0 §4 and §8, CAEP 1.0 §3. */
import { beforeAll, describe, expect, test, vi } from 'vitest'
import {
  type HttpOptions,
  type Receiver,
  type ReceiverAnswer,
  type ResourceServer,
  type Revocation,
  type SecurityEvent,
  type SecurityEventOptions,
  securityEventReceiver,
  type TransmitterOptions
} from '../../src/index.js'
import { type Reply, type Served, send } from '../adapters/wire.js'
import {
  ask,
  createBed,
  denial,
  granted,
  OUTAGES,
  type Outage,
  RESOURCE,
  strangeKey,
  until
} from '../support/exchange.js'
import { createSigningKey, fault, type SigningKey, signJws, type TestIssuer } from '../support/issuer.js'
import { MOUNTS, PATH } from '../support/receivers.js'

const bed = createBed()
const NOW = 1_750_000_000
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/'
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/'
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
const TYPE = 'application/secevent+jwt'

beforeAll(() => import('undici'))

type JsonObject = Record<string, unknown>

const transmitterKey: SigningKey = createSigningKey('RS256', { kid: 'ssf-1' })
const jwks = { keys: [transmitterKey.publicJwk] }

interface SetOverrides {
  readonly header?: JsonObject
  readonly claims?: JsonObject
  readonly key?: Parameters<typeof signJws>[2]
}

interface Scene {
  readonly issuer: TestIssuer
  readonly api: ResourceServer
  readonly receive: Receiver
  /** A SET that is good in every respect: session-revoked for the user `u1`, of now. */
  readonly set: (overrides?: SetOverrides) => string
  /** One event about this subject. */
  readonly about: (type: string, subject: unknown, payload?: JsonObject) => string
  readonly push: (
    body: string,
    request?: { method?: string; contentType?: string; authorization?: string }
  ) => Promise<ReceiverAnswer>
}

let serial = 0

async function start(
  transmitter: Partial<TransmitterOptions> = {},
  options: Partial<SecurityEventOptions> = {}
): Promise<Scene> {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [issuer.issuer] })
  const receive = securityEventReceiver(api, {
    transmitters: [{ issuer: issuer.issuer, jwks, audience: RESOURCE, ...transmitter }],
    ...options
  })
  const set = ({ header, claims, key = transmitterKey }: SetOverrides = {}): string =>
    signJws(
      { typ: 'secevent+jwt', alg: key.alg, kid: key.kid, ...header },
      {
        iss: issuer.issuer,
        aud: RESOURCE,
        iat: NOW,
        jti: `set-${++serial}`,
        sub_id: { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' },
        events: { [`${CAEP}session-revoked`]: { event_timestamp: NOW } },
        ...claims
      },
      key
    )
  return {
    issuer,
    api,
    receive,
    set,
    about: (type, subject, payload = { event_timestamp: NOW }) =>
      set({ claims: { sub_id: subject, events: { [type]: payload } } }),
    push: (body, { method = 'POST', contentType = TYPE, authorization } = {}) =>
      receive({ method, contentType, authorization, body })
  }
}

const accepted: ReceiverAnswer = { status: 202, headers: { 'Cache-Control': 'no-store' }, body: '' }
const tryAgain: ReceiverAnswer = {
  status: 503,
  headers: { 'Cache-Control': 'no-store', 'Retry-After': '30' },
  body: ''
}

function rejected(err: string, description: string): ReceiverAnswer {
  return {
    status: 400,
    headers: { 'Content-Type': 'application/json', 'Content-Language': 'en', 'Cache-Control': 'no-store' },
    body: JSON.stringify({ err, description })
  }
}

const badKey = rejected('invalid_key', 'The signature could not be verified')

describe.each(MOUNTS)('%s', (_, mount) => {
  async function serve(options: Partial<TransmitterOptions> = {}): Promise<Scene & { served: Served }> {
    const scene = await start(options)
    return { ...scene, served: bed.closing(await mount(scene.receive, 'securityEvents', scene.api)) }
  }
  const post = ({ port }: Served, body: string, type = TYPE, more: readonly (readonly [string, string])[] = []) =>
    send(port, { method: 'POST', path: PATH, headers: [['Content-Type', type], ...more], body })
  const seen = (reply: Reply) => ({
    status: reply.status,
    body: reply.body,
    type: reply.values('content-type'),
    language: reply.values('content-language'),
    cache: reply.values('cache-control')
  })

  test('SET-01 SET-02 (RFC 8935 §2.2): answers a good event with 202 and nothing else, and applies it', async () => {
    const { issuer, api, set, served } = await serve()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    expect(seen(await post(served, set()))).toEqual({
      status: 202,
      body: '',
      type: [],
      language: [],
      cache: ['no-store']
    })
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('SET-03 (RFC 8935 §2.3): answers a bad event with its error, in JSON and a language', async () => {
    const { set, served } = await serve()
    expect(seen(await post(served, set({ claims: { aud: 'https://other.example' } })))).toEqual({
      status: 400,
      body: '{"err":"invalid_audience","description":"The audience is not this receiver"}',
      type: ['application/json'],
      language: ['en'],
      cache: ['no-store']
    })
  })

  test.each([
    ['application/json', (event: string) => JSON.stringify({ event })],
    ['application/x-www-form-urlencoded', (event: string) => `event=${event}`],
    ['text/plain', (event: string) => event],
    ['a b c', (event: string) => event]
  ])('SET-01 (RFC 8935 §2.1): refuses the content type %s as an invalid request', async (type, make) => {
    const { api, set, served } = await serve()
    const reply = seen(await post(served, make(set()), type))
    expect(reply).toMatchObject({ status: 400, type: ['application/json'], language: ['en'] })
    expect(JSON.parse(reply.body)).toMatchObject({ err: 'invalid_request' })
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('SET-01 (RFC 8935 §2.1): refuses a request without content type and body as invalid', async () => {
    const { served } = await serve()
    const reply = await send(served.port, { method: 'POST', path: PATH, headers: [['Content-Length', '0']] })
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body)).toMatchObject({ err: 'invalid_request' })
  })

  test('SET-01 (RFC 8935 §2.1): refuses another method', async () => {
    const { served } = await serve()
    const reply = await send(served.port, { path: PATH })
    expect([reply.status, reply.values('allow'), reply.body]).toEqual([405, ['POST'], ''])
  })

  test('SET-06 (SSF 1.0 §6.1.1): passes the Authorization field to the receiver', async () => {
    const { set, served } = await serve({ authorization: 'Bearer s3cret' })
    expect((await post(served, set(), TYPE, [['Authorization', 'Bearer s3cret']])).status).toBe(202)
    expect(JSON.parse((await post(served, set(), TYPE, [['Authorization', 'Bearer x']])).body)).toMatchObject({
      err: 'authentication_failed'
    })
  })

  test('refuses a body of more than 64 KiB', async () => {
    const { served } = await serve()
    expect((await post(served, 'x'.repeat(64 * 1024))).status).toBe(400)
    expect((await post(served, 'x'.repeat(64 * 1024 + 1))).status).toBe(413)
  })
})

/** A parser that has the body first bounds it itself. */
const BARE = MOUNTS.filter(([name]) => !name.includes(' after '))

test.each(BARE)('%s: answers 413 to more than 64 KiB before the end', async (_, mount) => {
  const { receive, api } = await start()
  const served = bed.closing(await mount(receive, 'securityEvents', api))
  const headers = [['Content-Type', TYPE]] as const
  const body = 'x'.repeat(64 * 1024 + 1)
  expect((await send(served.port, { method: 'POST', path: PATH, headers, body, missing: 1_000_000 })).status).toBe(413)
})

test.each(BARE)('%s: answers 408 to a body that does not end within 10 s', async (_, mount) => {
  const { receive, api, set } = await start()
  const served = bed.closing(await mount(receive, 'securityEvents', api))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const timers = vi.spyOn(globalThis, 'setTimeout')
  try {
    const headers = [['Content-Type', TYPE]] as const
    const reply = send(served.port, { method: 'POST', path: PATH, headers, body: set(), missing: 10 })
    await until(() => timers.mock.calls.some(([, wait]) => wait === 10_000))
    vi.advanceTimersByTime(10_000)
    expect((await reply).status).toBe(408)
  } finally {
    timers.mockRestore()
    vi.useRealTimers()
  }
  expect(api.stats().revocations.entries).toBe(0)
})

describe('SET-01 (RFC 8935 §2.1)', () => {
  test.each([TYPE, 'Application/SecEvent+JWT', `${TYPE}; charset=utf-8`])(
    'SET-01: accepts the content type %s',
    async (type) => {
      const { push, set } = await start()
      expect(await push(set(), { contentType: type })).toEqual(accepted)
    }
  )

  test.each(['application/json', 'application/jwt', 'secevent+jwt', '', `x${TYPE}`])(
    'SET-01: refuses the content type %j',
    async (type) => {
      const { push, set } = await start()
      expect(await push(set(), { contentType: type })).toEqual(
        rejected('invalid_request', 'The content type is not application/secevent+jwt')
      )
    }
  )

  test.each(['', 'x', 'a.b.c', '{"iss":"x"}', 'e30.e30.', `${'a'.repeat(70_000)}.b.c`])(
    'SET-01: refuses a body that is not a signed JWT as an invalid request (%#)',
    async (body) => {
      const { push } = await start()
      expect(await push(body)).toEqual(rejected('invalid_request', 'The body is not a signed security event token'))
    }
  )
})

describe('SET-02 (RFC 8935 §2)', () => {
  test('SET-02: accepts the same event again, without a second effect', async () => {
    const seen: SecurityEvent[] = []
    const { push, set } = await start({}, { revocations: (event) => void seen.push(event) })
    const body = set()
    expect(await push(body)).toEqual(accepted)
    expect(await push(body)).toEqual(accepted)
    expect(seen).toHaveLength(1)
    expect(await push(set())).toEqual(accepted)
    expect(seen).toHaveLength(2)
  })

  test('SET-02: applies an event that comes twice at once only once, and answers both', async () => {
    const calls: ((list: Revocation[]) => void)[] = []
    const { push, set } = await start({}, { revocations: () => new Promise((resolve) => void calls.push(resolve)) })
    const body = set()
    const both = [push(body), push(body)]
    await Promise.resolve()
    while (calls.length === 0) await new Promise(setImmediate)
    calls[0]?.([])
    expect(await Promise.all(both)).toEqual([accepted, accepted])
    expect(calls).toHaveLength(1)
  })

  test('SET-02: treats the same `jti` of another transmitter as another event', async () => {
    const seen: string[] = []
    const other = 'https://other.example'
    const issuer = await bed.issuer()
    const receive = securityEventReceiver(bed.api({ issuers: [issuer.issuer] }), {
      transmitters: [issuer.issuer, other].map((one) => ({ issuer: one, jwks })),
      revocations: ({ transmitter }) => void seen.push(transmitter)
    })
    for (const iss of [issuer.issuer, other]) {
      const claims = { iss, aud: RESOURCE, iat: NOW, jti: 'same', events: { x: {} } }
      const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey)
      expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(accepted)
    }
    expect(seen).toEqual([issuer.issuer, other])
  })

  test('SET-02: does not accept an event that it could not store, so that it comes again and has its effect', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 2, keepFor: 60 } })
    const receive = securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer, jwks }] })
    await api.revoke({ issuer: issuer.issuer, jti: 'x' })
    const claims = {
      iss: issuer.issuer,
      aud: RESOURCE,
      iat: NOW,
      jti: 'kept',
      sub_id: { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' },
      events: { [`${CAEP}session-revoked`]: {} }
    }
    const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey)
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(tryAgain)
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(120)
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(accepted)
    expect(await ask(api, issuer.token({ claims: { iat: NOW } }))).toEqual(denial.inactive)
  })

  test('SET-02: a transmitter that fills its room leaves some for the others, and for api.revoke()', async () => {
    const [loud, quiet] = [await bed.issuer(), await bed.issuer()]
    const issuers = [loud.issuer, quiet.issuer]
    const api = bed.api({ issuers, revocation: { maxEntries: 16 } })
    const receive = securityEventReceiver(api, { transmitters: issuers.map((issuer) => ({ issuer, jwks })) })
    const send = (iss: string, sub: string): ReturnType<typeof receive> => {
      const subject = { format: 'iss_sub', iss, sub }
      const claims = {
        iss,
        aud: RESOURCE,
        iat: NOW,
        jti: sub,
        sub_id: subject,
        events: { [`${CAEP}session-revoked`]: {} }
      }
      const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey)
      return receive({ method: 'POST', contentType: TYPE, body })
    }
    for (let i = 0; i < 12; i++) expect(await send(loud.issuer, `x${i}`)).toEqual(accepted)
    expect(await send(loud.issuer, 'x12')).toEqual(tryAgain)
    expect(await send(quiet.issuer, 'u1')).toEqual(accepted)
    expect(await ask(api, quiet.token())).toEqual(denial.inactive)
    await api.revoke({ issuer: loud.issuer, subject: 'u1' })
    expect(await ask(api, loud.token())).toEqual(denial.inactive)
  })
})

describe('SET-03 (RFC 8935 §2.3, §2.4)', () => {
  test('SET-03: does not tell the transmitter the effect of an event', async () => {
    const { push, set } = await start()
    expect(await push(set({ claims: { sub_id: { format: 'iss_sub', iss: 'https://x.example', sub: 'u1' } } }))).toEqual(
      accepted
    )
    expect(await push(set({ claims: { sub_id: 'nobody' } }))).toEqual(accepted)
  })

  test.each([
    ['another key', { key: strangeKey('ssf-1', 'RS256') }],
    ['an unknown kid', { header: { kid: 'ssf-2' } }],
    ['another algorithm than the key', { header: { alg: 'ES256' } }],
    ['no algorithm', { header: { alg: 'none' } }],
    ['a secret', { header: { alg: 'HS256' } }],
    ['an extension', { header: { crit: ['x'], x: 1 } }]
  ])('SET-03 SET-05: refuses %s as an invalid key', async (_, overrides) => {
    const { api, push, set } = await start()
    expect(await push(set(overrides))).toEqual(badKey)
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('SET-03: answers 503 if keys cannot be fetched, so that the event comes again', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const receive = securityEventReceiver(api, {
      transmitters: [{ issuer: issuer.issuer, jwksUri: `${issuer.issuer}/jwks` }]
    })
    const claims = { iss: issuer.issuer, aud: RESOURCE, iat: NOW, jti: 'j', events: { x: {} } }
    const body = signJws({ typ: 'secevent+jwt', alg: 'ES256', kid: 'k1' }, claims, issuer.key())
    issuer.script('jwks', fault.status(404))
    const answer = await receive({ method: 'POST', contentType: TYPE, body })
    expect(answer).toEqual({ ...tryAgain, headers: { 'Cache-Control': 'no-store', 'Retry-After': '5' } })
    bed.clock.advance(5)
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(accepted)
  })

  test.each([...OUTAGES, ['a redirect', fault.redirect('https://elsewhere.example/jwks')] as Outage])(
    'SET-03: does not blame the event after %s in place of the keys',
    async (_, behaviour, http = {}) => {
      const { issuer, api, push, event } = await fetching(http)
      issuer.always('jwks', behaviour)
      const reply = await push(event('a'))
      expect([reply.status, reply.body]).toEqual([503, ''])
      expect(reply.headers['Retry-After']).toMatch(/^\d+$/)
      expect(api.stats().revocations.entries).toBe(0)
    }
  )
})

/** A transmitter whose keys are those of the issuer, and are fetched. */
async function fetching(http: HttpOptions = {}) {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [issuer.issuer], http })
  const receive = securityEventReceiver(api, {
    transmitters: [{ issuer: issuer.issuer, jwksUri: `${issuer.issuer}/jwks` }]
  })
  const event = (jti: string, key: SigningKey = issuer.key(), claims: JsonObject = {}): string =>
    signJws(
      { typ: 'secevent+jwt', alg: key.alg, kid: key.kid },
      { iss: issuer.issuer, aud: RESOURCE, iat: NOW, jti, events: { x: {} }, ...claims },
      key
    )
  const push = (body: string): Promise<ReceiverAnswer> => receive({ method: 'POST', contentType: TYPE, body })
  return { issuer, api, event, push }
}

describe('keys of a transmitter', () => {
  test('SET-05 (KEY-07): a flood of unknown keys costs the first fetch and three looks in 30 s, then 503, never "invalid"', async () => {
    const { issuer, event, push } = await fetching()
    const flood = (): Promise<ReceiverAnswer[]> =>
      Promise.all(Array.from({ length: 50 }, (_, i) => push(event(`f${i}`, strangeKey(`x${Math.random()}`)))))
    for (const looks of [1, 2, 3]) {
      expect(new Set((await flood()).map(({ status }) => status))).toEqual(new Set([400]))
      expect(issuer.count('jwks')).toBe(1 + looks)
      bed.clock.advance(2)
    }
    // Not to be known now: another answer than "invalid", for good.
    expect(await push(event('late', strangeKey('y')))).toEqual({
      ...tryAgain,
      headers: { ...tryAgain.headers, 'Retry-After': '24' }
    })
    expect(issuer.count('jwks')).toBe(4)
    bed.clock.advance(24)
    expect(await push(event('later', strangeKey('y')))).toEqual(badKey)
    expect(issuer.count('jwks')).toBe(5)
  })

  test('SET-03 (KEY-07): accepts an event by a new key after made-up keys, whether a look is due or not yet', async () => {
    const { issuer, event, push } = await fetching()
    expect(await push(event('a', strangeKey('x')))).toEqual(badKey)
    issuer.rotate('switch')
    expect(await push(event('b'))).toEqual(accepted)
    for (const kid of ['y', 'z']) {
      bed.clock.advance(2)
      await push(event(kid, strangeKey(kid)))
    }
    bed.clock.advance(2)
    issuer.rotate('switch')
    const good = event('c')
    expect((await push(good)).status).toBe(503)
    bed.clock.advance(30)
    expect(await push(good)).toEqual(accepted)
  })

  test('SET-05: fetches nothing for an event that is invalid anyway', async () => {
    const { issuer, event, push } = await fetching()
    const other = 'https://other.example'
    for (const claims of [{ iss: other }, { aud: other }, { exp: NOW + 60 }, { jti: '' }, { iat: NOW + 61 }])
      expect((await push(event('a', undefined, claims))).status).toBe(400)
    expect(issuer.requests).toEqual([])
  })

  test('SET-05: a leaked key is useless after api.refresh()', async () => {
    const { issuer, api, event, push } = await fetching()
    const stolen = issuer.key()
    expect(await push(event('a', stolen))).toEqual(accepted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    expect(await push(event('b', stolen))).toEqual(accepted)
    await api.refresh(issuer.issuer)
    expect(await push(event('c', stolen))).toEqual(badKey)
    expect(await push(event('d'))).toEqual(accepted)
  })
})

describe('SET-04 (RFC 8417 §2.2, SSF 1.0 §4.1)', () => {
  test.each([
    ['JWT', '`typ` is not secevent+jwt'],
    ['at+jwt', '`typ` is not secevent+jwt'],
    [undefined, '`typ` is not secevent+jwt']
  ])('SET-04: refuses the type %s', async (typ, description) => {
    const { push, set } = await start()
    expect(await push(set({ header: { typ } }))).toEqual(rejected('invalid_request', description))
  })

  test.each(['secevent+jwt', 'application/secevent+jwt', 'SecEvent+JWT'])(
    'SET-04: accepts the type %s',
    async (typ) => {
      const { push, set } = await start()
      expect(await push(set({ header: { typ } }))).toEqual(accepted)
    }
  )

  test.each([
    ['an expiry', { exp: NOW + 60 }, '`exp` must not be there'],
    ['`sub`', { sub: 'u1' }, '`sub` must not be there: use `sub_id`'],
    ['no `jti`', { jti: undefined }, '`jti` is not a text'],
    ['a `jti` that is a number', { jti: 5 }, '`jti` is not a text'],
    ['no `iat`', { iat: undefined }, '`iat` is not a time that has come'],
    ['an `iat` that is a text', { iat: '5' }, '`iat` is not a time that has come'],
    ['an `iat` ahead', { iat: NOW + 61 }, '`iat` is not a time that has come'],
    ['no events', { events: undefined }, '`events` is not an object of events'],
    ['an empty object of events', { events: {} }, '`events` is not an object of events'],
    ['a list of events', { events: [{}] }, '`events` is not an object of events'],
    [
      '17 events',
      { events: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`urn:${i}`, {}])) },
      '`events` is not an object of events'
    ],
    ['an event that is a text', { events: { x: 'y' } }, '`events` is not an object of events']
  ])('SET-04: refuses %s as an invalid request', async (_, claims, description) => {
    const { api, push, set } = await start()
    expect(await push(set({ claims }))).toEqual(rejected('invalid_request', description))
    expect(api.stats().revocations.entries).toBe(0)
  })
})

describe('SET-05 (SSF 1.0 §4.1.4, §4.1.6, §4.1.8)', () => {
  test.each(['https://other.example', undefined, 5, ['x']])('SET-05: refuses the issuer %j', async (iss) => {
    const { issuer, push, set } = await start()
    expect(await push(set({ claims: { iss } }))).toEqual(rejected('invalid_issuer', 'The issuer is not accepted'))
    expect(issuer.requests).toEqual([])
  })

  test.each(['https://other.example', undefined, [], 5, `${RESOURCE}/`])(
    'SET-05: refuses the audience %j',
    async (aud) => {
      const { push, set } = await start()
      expect(await push(set({ claims: { aud } }))).toEqual(
        rejected('invalid_audience', 'The audience is not this receiver')
      )
    }
  )

  test('SET-05: accepts its audience among several, which is `resource` unless it is given', async () => {
    const { push, set } = await start()
    expect(await push(set({ claims: { aud: ['x', RESOURCE] } }))).toEqual(accepted)
    const other = await start({ audience: ['stream-1', 'stream-2'] })
    expect(await other.push(other.set({ claims: { aud: 'stream-2' } }))).toEqual(accepted)
    expect((await other.push(other.set())).status).toBe(400)
  })

  test('SET-05: finds keys by the transmitter’s SSF metadata, and refuses an event by its issuer’s other keys', async () => {
    const issuer = await bed.issuer({ path: '/tenant' })
    const api = bed.api({ issuers: [issuer.issuer] })
    const receive = securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer }] })
    const keys = `${issuer.issuer}/jwks`
    issuer.script('other', fault.body({ issuer: issuer.issuer, jwks_uri: keys, delivery_methods_supported: [] }))
    const claims = { iss: issuer.issuer, aud: RESOURCE, iat: NOW, events: { x: {} } }
    const signed = (jti: string, key: SigningKey): string =>
      signJws({ typ: 'secevent+jwt', alg: key.alg, kid: key.kid }, { ...claims, jti }, key)
    expect(await receive({ method: 'POST', contentType: TYPE, body: signed('a', issuer.key()) })).toEqual(accepted)
    expect(issuer.requests.map(({ path }) => path)).toEqual(['/.well-known/ssf-configuration/tenant', '/tenant/jwks'])
    expect(await receive({ method: 'POST', contentType: TYPE, body: signed('b', strangeKey('k1')) })).toEqual(badKey)
  })

  test('SET-05: a transmitter revokes nothing of issuers that it does not speak for', async () => {
    const other = 'https://other.example'
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer, { issuer: other, jwks: { keys: [issuer.key().publicJwk] } }] })
    const receive = securityEventReceiver(api, {
      transmitters: [
        { issuer: 'https://ssf.example', jwks, tokenIssuers: [other] },
        { issuer: issuer.issuer, jwks }
      ]
    })
    const push = (iss: string, jti: string, sub_id: unknown) =>
      receive({
        method: 'POST',
        contentType: TYPE,
        body: signJws(
          { typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' },
          { iss, aud: RESOURCE, iat: NOW, jti, sub_id, events: { [`${CAEP}session-revoked`]: {} } },
          transmitterKey
        )
      })
    const foreign = { format: 'iss_sub', iss: other, sub: 'u1' }
    expect(await push(issuer.issuer, 'a', foreign)).toEqual(accepted)
    expect(await push('https://ssf.example', 'b', { ...foreign, iss: issuer.issuer })).toEqual(accepted)
    expect(api.stats().revocations.entries).toBe(0)
    expect(await push('https://ssf.example', 'c', foreign)).toEqual(accepted)
    expect(await ask(api, issuer.token({ claims: { iss: other } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })
})

describe('SET-06 (SSF 1.0 §6.1.1)', () => {
  const failed = rejected('authentication_failed', 'The Authorization field is not the one that was registered')

  test.each([undefined, '', 'Bearer s3cre', 'Bearer s3cret2', 'bearer s3cret', 's3cret'])(
    'SET-06: refuses %j, which was not registered',
    async (authorization) => {
      const { api, push, set } = await start({ authorization: 'Bearer s3cret' })
      expect(await push(set(), authorization === undefined ? {} : { authorization })).toEqual(failed)
      expect(api.stats().revocations.entries).toBe(0)
    }
  )

  test('SET-06: accepts either of two registered values, while one replaces the other', async () => {
    const { push, set } = await start({ authorization: ['Bearer new', 'Bearer old'] })
    for (const authorization of ['Bearer new', 'Bearer old'])
      expect(await push(set(), { authorization })).toEqual(accepted)
  })

  test('SET-06: asks for no Authorization where none was registered', async () => {
    const { push, set } = await start()
    expect(await push(set(), { authorization: 'Bearer anything' })).toEqual(accepted)
  })
})

describe('SET-07 (SSF 1.0 §8.1.4)', () => {
  const verification = ({ issuer, set }: Scene, payload: JsonObject = { state: 'abc' }): string =>
    set({ claims: { sub_id: { format: 'opaque', id: issuer.issuer }, events: { [VERIFICATION]: payload } } })

  test('SET-07: accepts the state that was asked for', async () => {
    const asked: unknown[] = []
    const scene = await start(
      {},
      {
        onVerification: (state, transmitter) => {
          asked.push([state, transmitter])
          return state === 'abc'
        }
      }
    )
    expect(await scene.push(verification(scene))).toEqual(accepted)
    expect(await scene.push(verification(scene, { state: 'xyz' }))).toEqual(
      rejected('invalid_state', 'The state is not the one that was asked for')
    )
    expect((await scene.push(verification(scene, {}))).status).toBe(400)
    expect(asked).toEqual([
      ['abc', scene.issuer.issuer],
      ['xyz', scene.issuer.issuer],
      [undefined, scene.issuer.issuer]
    ])
    expect(scene.api.stats().revocations.entries).toBe(0)
  })

  test('SET-07: accepts any state, where the application does not compare it', async () => {
    const scene = await start()
    expect(await scene.push(verification(scene))).toEqual(accepted)
  })

  test('SET-07: refuses the state if the comparison returns nothing', async () => {
    const scene = await start({}, { onVerification: (() => undefined) as never })
    expect((await scene.push(verification(scene))).status).toBe(400)
  })

  test('SET-07: refuses the state if the comparison throws', async () => {
    const scene = await start({}, { onVerification: () => Promise.reject(new Error('database')) })
    expect(await scene.push(verification(scene))).toEqual(tryAgain)
  })
})

describe('SET-08 (RFC 9493 §3, SSF 1.0 §3)', () => {
  const REVOKED = `${CAEP}session-revoked`
  type Make = (issuer: string) => unknown
  const user: Make = (iss) => ({ format: 'iss_sub', iss, sub: 'u1' })
  const session: Make = () => ({ format: 'opaque', id: 's1' })
  const both: Make = (iss) => ({ format: 'complex', user: user(iss), session: session(iss) })

  const cases: readonly [string, Make, Partial<TransmitterOptions>, revoked: JsonObject[], left: JsonObject[]][] = [
    ['iss_sub: a user', user, {}, [{ sub: 'u1' }], [{ sub: 'u2' }]],
    ['jwt_id: one token', (iss) => ({ format: 'jwt_id', iss, jti: 'j1' }), {}, [{ jti: 'j1' }], [{ jti: 'j2' }]],
    ['complex: a user', (iss) => ({ format: 'complex', user: user(iss) }), {}, [{ sub: 'u1' }], [{ sub: 'u2' }]],
    ['complex, unnamed', (iss) => ({ user: user(iss) }), {}, [{ sub: 'u1' }], [{ sub: 'u2' }]],
    [
      'complex: a session',
      (iss) => ({ format: 'complex', session: session(iss) }),
      {},
      [{ sid: 's1' }],
      [{ sid: 's2' }, {}]
    ],
    [
      'complex: a session and its user, all of whose tokens go where they do not say which session',
      both,
      {},
      [{ sid: 's1' }, { sid: 's2' }, {}],
      [{ sub: 'u2' }]
    ],
    [
      'complex: a session and its user, whose other sessions stay where tokens have `sid`',
      both,
      { tokensHaveSid: true },
      [{ sid: 's1' }],
      [{ sid: 's2' }, {}]
    ],
    [
      'complex: a token as the session',
      (iss) => ({ format: 'complex', session: { format: 'jwt_id', iss, jti: 'j1' } }),
      {},
      [{ jti: 'j1' }],
      [{ jti: 'j2' }]
    ],
    [
      'aliases: each that can be told',
      (iss) => ({
        format: 'aliases',
        identifiers: [
          { format: 'email', email: 'u@example.com' },
          user(iss),
          'x',
          { format: 'aliases', identifiers: [] }
        ]
      }),
      {},
      [{ sub: 'u1' }],
      [{ sub: 'u2' }]
    ]
  ]

  test.each(cases)('SET-08: %s', async (_, subject, options, revoked, left) => {
    const { issuer, api, about, push } = await start(options)
    expect(await push(about(REVOKED, subject(issuer.issuer)))).toEqual(accepted)
    for (const claims of revoked) expect(await ask(api, issuer.token({ claims }))).toEqual(denial.inactive)
    for (const claims of left) expect(await ask(api, issuer.token({ claims }))).toEqual(granted)
  })

  test.each([
    ['an e-mail address', { format: 'email', email: 'u1@example.com' }],
    ['an opaque name', { format: 'opaque', id: 'u1' }],
    ['a format of tomorrow', { format: 'face', sub: 'u1' }],
    ['a device', { format: 'complex', device: { format: 'opaque', id: 'u1' } }],
    ['an empty name', { format: 'complex', session: { format: 'opaque', id: '' } }],
    ['a name of another type', { format: 'complex', session: { format: 'opaque', id: 5 } }],
    ['no subject', undefined],
    ['a text', 'u1']
  ])('SET-08: accepts %s, and revokes nothing', async (_, subject) => {
    const { issuer, api, about, push } = await start()
    expect(await push(about(REVOKED, subject))).toEqual(accepted)
    expect(await push(about(REVOKED, { format: 'iss_sub', iss: issuer.issuer, sub: 'x'.repeat(3000) }))).toEqual(
      accepted
    )
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('SET-08: accepts a subject inside of the event, as in earlier drafts', async () => {
    const { issuer, api, about, push } = await start()
    const payload = { subject: { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' } }
    expect(await push(about(REVOKED, undefined, payload))).toEqual(accepted)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
  })

  test('SET-08: `revocations` decides the effect: a list, nothing, or the default', async () => {
    const events: SecurityEvent[] = []
    const { issuer, api, about, push } = await start(
      {},
      {
        revocations: async (event) => {
          events.push(event)
          if (event.subject?.['format'] === 'email') return [{ issuer: issuer.issuer, subject: 'u7' }]
          return event.type === 'urn:none' ? [] : undefined
        }
      }
    )
    const email = { format: 'email', email: 'u7@example.com' }
    expect(await push(about('urn:mine', email, { x: 1 }))).toEqual(accepted)
    expect(await ask(api, issuer.token({ claims: { sub: 'u7' } }))).toEqual(denial.inactive)
    expect(events).toEqual([
      { transmitter: issuer.issuer, type: 'urn:mine', subject: email, at: NOW, payload: { x: 1 } }
    ])
    const known = { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' }
    expect(await push(about('urn:none', known))).toEqual(accepted)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await push(about(REVOKED, known))).toEqual(accepted)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
  })

  test('SET-08: uses the time of the event where `revocations` names none, however late or often the event comes', async () => {
    const { issuer, api, about, push } = await start(
      {},
      {
        revocations: ({ type }) => [
          { issuer: issuer.issuer, ...(type === 'urn:sid' ? { sessionId: 's1' } : { subject: 'u1' }) }
        ]
      }
    )
    const before = { claims: { iat: NOW - 7200, sid: 's1' } }
    const since = { claims: { iat: NOW - 10, sid: 's1' } }
    for (const type of ['urn:sid', 'urn:mine']) {
      const event = about(type, undefined, { event_timestamp: NOW - 3600 })
      expect(await push(event)).toEqual(accepted)
      expect(await ask(api, issuer.token(before))).toEqual(denial.inactive)
      expect(await ask(api, issuer.token(since))).toEqual(granted)
      bed.clock.advance(25 * 3600)
      expect(await push(event)).toEqual(accepted)
      expect(await ask(api, issuer.token({ claims: { sid: 's1' } }))).toEqual(granted)
      bed.clock.advance(-25 * 3600)
    }
  })

  test('SET-08: refuses an answer of `revocations` that names no subject, whatever the time', async () => {
    const { issuer, set, push } = await start({}, { revocations: () => [{ issuer: issuer.issuer } as never] })
    await expect(push(set())).rejects.toThrow(TypeError)
  })

  test('SET-08: answers 503 if `revocations` fails, so that the event comes again', async () => {
    const { set, push } = await start({}, { revocations: () => Promise.reject(new Error('database')) })
    expect(await push(set())).toEqual(tryAgain)
  })

  test('SET-08: ignores unknown events and members, beside a known one too', async () => {
    const { issuer, api, set, push } = await start()
    const events = {
      'urn:unknown': { a: 1 },
      [`${CAEP}device-compliance-change`]: {},
      [`${CAEP}session-established`]: {}
    }
    expect(await push(set({ claims: { events, txn: 5, more: [] } }))).toEqual(accepted)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await push(set({ claims: { events: { ...events, [REVOKED]: {} } } }))).toEqual(accepted)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
  })
})

describe('SET-09 (CAEP 1.0 §3, RISC 1.0 §2)', () => {
  test.each([
    `${CAEP}session-revoked`,
    `${CAEP}token-claims-change`,
    `${CAEP}credential-change`,
    `${RISC}account-disabled`,
    `${RISC}account-purged`,
    `${RISC}sessions-revoked`
  ])('SET-09: refuses the same access token after %s, and accepts one issued later', async (type) => {
    const { issuer, api, about, push } = await start()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    expect(await push(about(type, { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' }))).toEqual(accepted)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iat: NOW + 1 } }))).toEqual(granted)
  })

  test.each([
    ['event_timestamp', { event_timestamp: NOW - 100 }, { toe: NOW - 50 }, NOW - 100],
    ['toe', {}, { toe: NOW - 50 }, NOW - 50],
    ['iat', {}, { iat: NOW - 20 }, NOW - 20]
  ])('SET-09: ends tokens up to the second of %s', async (_, payload, claims, at) => {
    const { issuer, api, set, push } = await start()
    expect(await push(set({ claims: { ...claims, events: { [`${CAEP}session-revoked`]: payload } } }))).toEqual(
      accepted
    )
    expect(await ask(api, issuer.token({ claims: { iat: at } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iat: at + 1 } }))).toEqual(granted)
  })

  test('SET-09: a time that has not come, or in milliseconds, ends only the tokens there are', async () => {
    const { issuer, api, set, push } = await start()
    for (const event_timestamp of [NOW + 61, NOW * 1000])
      await push(set({ claims: { events: { [`${CAEP}session-revoked`]: { event_timestamp } } } }))
    expect(await ask(api, issuer.token({ claims: { iat: NOW } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iat: NOW + 1 } }))).toEqual(granted)
  })

  test('SET-09: a late event does not end tokens that were issued since then', async () => {
    const { issuer, api, push, set } = await start()
    const body = set({ claims: { iat: NOW, events: { [`${CAEP}session-revoked`]: { event_timestamp: NOW - 3600 } } } })
    expect(await push(body)).toEqual(accepted)
    expect(await ask(api, issuer.token({ claims: { iat: NOW - 3600 } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iat: NOW - 3599 } }))).toEqual(granted)
    expect(await ask(api, issuer.token({ claims: { iat: undefined } }))).toEqual(denial.claim)
  })

  test('SET-09: ignores a time that is not valid', async () => {
    const { issuer, api, push, set } = await start()
    const events = { [`${CAEP}session-revoked`]: { event_timestamp: `${NOW - 100}` } }
    expect(await push(set({ claims: { events, toe: null } }))).toEqual(accepted)
    expect(await ask(api, issuer.token({ claims: { iat: NOW } }))).toEqual(denial.inactive)
  })

  test('SET-09: applies to issuers that a resolver finds', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (name) => (name === issuer.issuer ? name : undefined) })
    const receive = securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer, jwks }] })
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    const claims = {
      iss: issuer.issuer,
      aud: RESOURCE,
      iat: NOW,
      jti: 'j',
      sub_id: { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' },
      events: { [`${CAEP}session-revoked`]: {} }
    }
    const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey)
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(accepted)
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('SET-09: applies to tokens that were introspected and cached', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, introspection: { auth: () => {} } }] })
    const receive = securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer, jwks }] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    const claims = {
      iss: issuer.issuer,
      aud: RESOURCE,
      iat: NOW,
      jti: 'j',
      sub_id: { format: 'iss_sub', iss: issuer.issuer, sub: 'u1' },
      events: { [`${CAEP}session-revoked`]: {} }
    }
    const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey)
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(accepted)
    expect(await ask(api, token)).toEqual(denial.inactive)
  })
})

describe('SET-10 (RFC 8417 §4, RFC 8725 §3.12)', () => {
  test('SET-10: refuses an event as access token', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: [issuer.issuer, { issuer: 'https://legacy.example', tokenProfile: 'legacy', jwks }]
    })
    const good = { scope: 'read', exp: NOW + 300 }
    expect(await ask(api, issuer.token({ header: { typ: 'secevent+jwt' }, claims: good }))).toEqual(denial.type)
    const claims = { iss: 'https://legacy.example', aud: RESOURCE, iat: NOW, jti: 'j', events: { x: {} }, ...good }
    for (const typ of ['secevent+jwt', 'JWT', undefined])
      expect(await ask(api, signJws({ typ, alg: 'RS256', kid: 'ssf-1' }, claims, transmitterKey))).toEqual(denial.type)
  })

  test('SET-10: refuses an access token as event', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const receive = securityEventReceiver(api, {
      transmitters: [{ issuer: issuer.issuer, jwks: { keys: [issuer.key().publicJwk] } }]
    })
    const answer = await receive({ method: 'POST', contentType: TYPE, body: issuer.token() })
    expect(answer).toEqual(rejected('invalid_request', '`typ` is not secevent+jwt'))
  })
})

describe('securityEventReceiver()', () => {
  test.each([
    ['no transmitter', [], '`transmitters` is empty'],
    ['no issuer', [{ jwks }], '`transmitters[0].issuer`'],
    ['an unknown option', [{ issuer: 'https://a.example', jwks, aud: 'x' }], '`transmitters[0].aud`'],
    ['a number', [5], '`transmitters[0]`'],
    [
      'keys twice',
      [{ issuer: 'https://a.example', jwks, jwksUri: 'https://a.example/k' }],
      '`transmitters[0].jwksUri`'
    ],
    ['no usable key', [{ issuer: 'https://a.example', jwks: { keys: [] } }], '`transmitters[0].jwks`'],
    ['plain http', [{ issuer: 'http://a.example', jwks }], 'use https'],
    [
      'an issuer whose path climbs',
      [{ issuer: 'https://a.example/t/../x', jwks }],
      'its path would be requested as /x'
    ],
    [
      'the same, with metadata that are found by it',
      [{ issuer: 'https://a.example/t/%2e%2e/x' }],
      'its path would be requested as /x'
    ],
    ['an empty audience', [{ issuer: 'https://a.example', jwks, audience: [] }], '`transmitters[0].audience`'],
    ['any audience', [{ issuer: 'https://a.example', jwks, audience: null }], '`transmitters[0]`'],
    ['tokens of no issuer', [{ issuer: 'https://other.example', jwks }], '`transmitters[0].tokenIssuers`'],
    [
      'tokens of another issuer',
      [{ issuer: 'https://a.example', jwks, tokenIssuers: ['https://a.example/'] }],
      '`transmitters[0].tokenIssuers`'
    ],
    ['an empty secret', [{ issuer: 'https://a.example', jwks, authorization: '' }], '`transmitters[0].authorization`'],
    ['no secret at all', [{ issuer: 'https://a.example', jwks, authorization: [] }], '`transmitters[0].authorization`'],
    [
      'a secret of a variable that is not set',
      [{ issuer: 'https://a.example', jwks, authorization: undefined }],
      '`transmitters[0].authorization`'
    ],
    [
      'one issuer twice',
      [
        { issuer: 'https://a.example', jwks },
        { issuer: 'https://a.example', jwks }
      ],
      '`transmitters[1]`'
    ]
  ])('refuses %s at start', (_, transmitters, message) => {
    const api = bed.api({ issuers: ['https://as.example.com', 'https://a.example'] })
    const make = (): Receiver => securityEventReceiver(api, { transmitters: transmitters as never })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  test('requires a resource server', () => {
    const copy = { ...bed.api({ issuers: ['https://as.example.com'] }) }
    expect(() => securityEventReceiver(copy, { transmitters: [{ issuer: 'https://a.example', jwks }] })).toThrow(
      'the object that resourceServer() returned'
    )
  })
})
