/** OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.8: a user's session ended, and so do the access tokens of before. */
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type HttpOptions,
  type LogoutIssuerOptions,
  logoutTokenReceiver,
  type Receiver,
  type ReceiverAnswer,
  type ResourceServer,
  securityEventReceiver
} from '../../src/index.js'
import { type Reply, type Served, send } from '../adapters/wire.js'
import { ask, createBed, denial, granted, OUTAGES, RESOURCE, strangeKey } from '../support/exchange.js'
import { fault, type SigningKey, signJws, type TestIssuer } from '../support/issuer.js'
import { MOUNTS, PATH } from '../support/receivers.js'

const bed = createBed()
const NOW = 1_750_000_000
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const TYPE = 'application/x-www-form-urlencoded'

beforeAll(() => import('undici'))

type JsonObject = Record<string, unknown>

interface Overrides {
  readonly header?: JsonObject
  readonly claims?: JsonObject
  readonly key?: SigningKey
}

interface Scene {
  readonly issuer: TestIssuer
  readonly api: ResourceServer
  readonly receive: Receiver
  /** A logout token that is good in every respect: of the user `u1`, now. */
  readonly logout: (overrides?: Overrides) => string
  readonly post: (
    token: string,
    request?: { method?: string; contentType?: string; body?: string }
  ) => Promise<ReceiverAnswer>
}

async function start(options: Partial<LogoutIssuerOptions> = {}, http: HttpOptions = {}): Promise<Scene> {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [issuer.issuer], http })
  const receive = logoutTokenReceiver(api, { issuers: [{ issuer: issuer.issuer, clientId: 'api', ...options }] })
  return {
    issuer,
    api,
    receive,
    logout: ({ header, claims, key = issuer.key() } = {}) =>
      signJws(
        { typ: 'logout+jwt', alg: key.alg, kid: key.kid, ...header },
        {
          iss: issuer.issuer,
          aud: 'api',
          iat: NOW,
          exp: NOW + 120,
          jti: 'l1',
          sub: 'u1',
          events: { [EVENT]: {} },
          ...claims
        },
        key
      ),
    post: (token, { method = 'POST', contentType = TYPE, body = `logout_token=${token}` } = {}) =>
      receive({ method, contentType, body })
  }
}

const done: ReceiverAnswer = { status: 200, headers: { 'Cache-Control': 'no-store' }, body: '' }

function rejected(description: string): ReceiverAnswer {
  return {
    status: 400,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify({ error: 'invalid_request', error_description: description })
  }
}

const badSignature = rejected('The signature could not be verified')

describe.each(MOUNTS)('%s', (_, mount) => {
  async function serve(): Promise<Scene & { served: Served }> {
    const scene = await start()
    return { ...scene, served: bed.closing(await mount(scene.receive, 'backchannelLogout', scene.api)) }
  }
  const post = ({ port }: Served, body: string, type = TYPE): Promise<Reply> =>
    send(port, { method: 'POST', path: PATH, headers: [['Content-Type', type]], body })

  test('§2.5, §2.8: a good logout token is answered with 200, which caches must not store, and takes effect', async () => {
    const { issuer, api, logout, served } = await serve()
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(granted)
    const reply = await post(served, `logout_token=${logout()}`)
    expect([reply.status, reply.body, reply.values('cache-control')]).toEqual([200, '', ['no-store']])
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('§2.8: a bad one is answered with 400, in JSON', async () => {
    const { api, logout, served } = await serve()
    const reply = await post(served, `logout_token=${logout({ claims: { aud: 'other' } })}`)
    expect([reply.status, reply.values('content-type'), reply.values('cache-control')]).toEqual([
      400,
      ['application/json'],
      ['no-store']
    ])
    expect(JSON.parse(reply.body)).toEqual({
      error: 'invalid_request',
      error_description: 'The audience is not this client'
    })
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('§2.5: ignores other fields of the form', async () => {
    const { logout, served } = await serve()
    const token = logout()
    expect((await post(served, `a=b&logout_token=${token}&c=d`)).status).toBe(200)
  })
})

describe('the request (§2.5)', () => {
  test.each(['text/plain', 'application/json', 'application/logout+jwt', ''])(
    'refuses %j, which is not a form',
    async (contentType) => {
      const { post, logout } = await start()
      expect(await post(logout(), { contentType })).toEqual(
        rejected('The content type is not application/x-www-form-urlencoded')
      )
    }
  )

  test.each(['', 'logout_token', 'token=x', 'logout_token=a&logout_token=b'])(
    'refuses %j, which has not exactly one logout_token',
    async (body) => {
      const { post, logout } = await start()
      const answer = await post(logout(), { body })
      expect(answer.status).toBe(400)
    }
  )

  test.each(['x', 'a.b.c', 'e30.e30.', 'a'.repeat(70_000)])(
    'refuses a logout_token that is not a signed JWT (%#)',
    async (token) => {
      const { post } = await start()
      expect(await post(token)).toEqual(rejected('logout_token is not a signed JWT'))
    }
  )

  test('accepts only POST', async () => {
    const { post, logout } = await start()
    expect(await post(logout(), { method: 'GET' })).toEqual({ status: 405, headers: { Allow: 'POST' }, body: '' })
  })
})

describe('the logout token (§2.4, §2.6)', () => {
  test.each([
    ['no issuer', { iss: undefined }, 'The issuer is not accepted'],
    ['another issuer', { iss: 'https://other.example' }, 'The issuer is not accepted'],
    ['no audience', { aud: undefined }, 'The audience is not this client'],
    ['another audience, ours as a resource', { aud: RESOURCE }, 'The audience is not this client'],
    ['no `iat`', { iat: undefined }, '`iat` is not a time that has come'],
    ['an `iat` ahead', { iat: NOW + 61 }, '`iat` is not a time that has come'],
    ['no `exp`', { exp: undefined }, '`exp` is required'],
    ['an `exp` of before', { exp: NOW - 30 }, 'The logout token has expired'],
    ['an `exp` that is a text', { exp: `${NOW + 60}` }, 'The logout token has expired'],
    ['neither `sub` nor `sid`', { sub: undefined }, '`sub` or `sid` is required'],
    ['an empty `sub`', { sub: '' }, '`sub` or `sid` is required'],
    ['a `sid` that is a number', { sid: 5 }, '`sub` or `sid` is not a text'],
    ['no `jti`', { jti: undefined }, '`jti` is required'],
    ['no `events`', { events: undefined }, '`events` does not say that it is a logout'],
    ['another event', { events: { 'urn:x': {} } }, '`events` does not say that it is a logout'],
    ['a logout that is no object', { events: { [EVENT]: true } }, '`events` does not say that it is a logout'],
    ['a logout that is a list', { events: { [EVENT]: [] } }, '`events` does not say that it is a logout'],
    ['a nonce', { nonce: 'n' }, '`nonce` must not be there'],
    ['an empty nonce', { nonce: '' }, '`nonce` must not be there'],
    ['a nonce that is null', { nonce: null }, '`nonce` must not be there']
  ])('refuses a token with %s, without fetching anything', async (_, claims, description) => {
    const { issuer, api, post, logout } = await start()
    expect(await post(logout({ claims }))).toEqual(rejected(description))
    expect(api.stats().revocations.entries).toBe(0)
    expect(issuer.requests).toEqual([])
  })

  test.each(['at+jwt', 'secevent+jwt', 'dpop+jwt', 5])('refuses the type %j', async (typ) => {
    const { post, logout } = await start()
    expect(await post(logout({ header: { typ } }))).toEqual(rejected('`typ` is not logout+jwt'))
  })

  test.each(['logout+jwt', 'application/logout+jwt', 'LOGOUT+JWT', 'JWT', undefined])(
    'accepts the type %j, since the type is only recommended',
    async (typ) => {
      const { post, logout } = await start()
      expect(await post(logout({ header: { typ } }))).toEqual(done)
    }
  )

  test.each([
    ['another key', () => ({ key: strangeKey('k1') })],
    ['no algorithm', () => ({ header: { alg: 'none' } })],
    ['a secret', () => ({ header: { alg: 'HS256' } })],
    ['an extension', () => ({ header: { crit: ['x'], x: 1 } })],
    ['an unknown key', () => ({ key: strangeKey('x') })]
  ] satisfies [string, () => Overrides][])('refuses a token with %s', async (_, flaw) => {
    const { api, post, logout } = await start()
    expect(await post(logout(flaw()))).toEqual(badSignature)
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('accepts other claims, other events, an event with members, several audiences', async () => {
    const { post, logout } = await start({ clientId: ['web', 'api'] })
    const claims = { aud: ['x', 'web'], trace_id: 't', events: { 'urn:x': {}, [EVENT]: { a: 1 } } }
    expect(await post(logout({ claims }))).toEqual(done)
  })

  test('accepts a token until 30 s after exp, for clocks that differ', async () => {
    const { post, logout } = await start()
    expect(await post(logout({ claims: { exp: NOW - 29 } }))).toEqual(done)
  })

  test('without `exp`, is accepted for 300 s if the provider is configured for such tokens', async () => {
    const { post, logout } = await start({ acceptMissingExp: true })
    const token = logout({ claims: { exp: undefined } })
    expect(await post(token)).toEqual(done)
    bed.clock.advance(329)
    expect(await post(token)).toEqual(done)
    bed.clock.advance(1)
    expect(await post(token)).toEqual(rejected('The logout token has expired'))
  })
})

describe('the effect of a logout', () => {
  const mine = { sub: 'u1', sid: 's1' }
  const cases: readonly [string, Partial<LogoutIssuerOptions>, JsonObject, JsonObject[], JsonObject[]][] = [
    ['a user’s tokens', {}, { sub: 'u1' }, [mine, { sub: 'u1' }], [{ sub: 'u2' }]],
    ['a session’s tokens', {}, { sub: undefined, sid: 's1' }, [mine], [{ sub: 'u1', sid: 's2' }, { sub: 'u1' }]],
    ['both, where tokens do not say of which session they are', {}, mine, [mine, { sub: 'u1' }], [{ sub: 'u2' }]],
    [
      'the session’s alone, where they do',
      { tokensHaveSid: true },
      mine,
      [mine],
      [{ sub: 'u1', sid: 's2' }, { sub: 'u1' }]
    ],
    ['the user’s, where the logout names no session', { tokensHaveSid: true }, { sub: 'u1' }, [mine], [{ sub: 'u2' }]]
  ]

  test.each(cases)('%s', async (_, options, claims, ended, left) => {
    const { issuer, api, post, logout } = await start(options)
    expect(await post(logout({ claims }))).toEqual(done)
    for (const each of ended) expect(await ask(api, issuer.token({ claims: each }))).toEqual(denial.inactive)
    for (const each of left) expect(await ask(api, issuer.token({ claims: each }))).toEqual(granted)
  })

  test('takes no more room for a hundred sessions of one user than for one, if tokens have no sid', async () => {
    const { api, post, logout } = await start()
    for (let i = 0; i < 100; i++) expect(await post(logout({ claims: { jti: `l${i}`, sid: `s${i}` } }))).toEqual(done)
    expect(api.stats().revocations.entries).toBe(1)
  })

  test('revokes tokens issued up to the second of the logout, and none after it, however late it arrives', async () => {
    const { issuer, api, post, logout } = await start()
    expect(await post(logout({ claims: { iat: NOW - 60 } }))).toEqual(done)
    expect(await ask(api, issuer.token({ claims: { iat: NOW - 60 } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iat: NOW - 59 } }))).toEqual(granted)
  })

  test('a replayed logout token revokes no more than before', async () => {
    const { issuer, api, post, logout } = await start()
    const token = logout()
    for (let i = 0; i < 3; i++) expect(await post(token)).toEqual(done)
    expect(api.stats().revocations.entries).toBe(1)
    expect(await ask(api, issuer.token({ claims: { iat: NOW + 1 } }))).toEqual(granted)
  })

  test('revokes tokens of that issuer only, even if another has the same subject', async () => {
    const { issuer, post, logout } = await start()
    const other = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer, other.issuer] })
    const receive = logoutTokenReceiver(api, {
      issuers: [issuer, other].map((one) => ({ issuer: one.issuer, clientId: 'api' }))
    })
    expect(await post(logout())).toEqual(done)
    // Signed by one in the name of the other.
    const forged = logout({ claims: { iss: other.issuer }, key: issuer.key() })
    const named = await receive({ method: 'POST', contentType: TYPE, body: `logout_token=${forged}` })
    expect(named).toEqual(badSignature)
    const body = `logout_token=${logout()}`
    expect(await receive({ method: 'POST', contentType: TYPE, body })).toEqual(done)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
    expect(await ask(api, other.token())).toEqual(granted)
  })
})

describe('a failure on our side is a 503, so that the provider retries', () => {
  test.each([...OUTAGES])('answers 503 after %s in place of the keys', async (_, behaviour, http = {}) => {
    const { issuer, api, post, logout } = await start({}, http)
    issuer.always('jwks', behaviour)
    const answer = await post(logout())
    expect([answer.status, answer.body, answer.headers['Cache-Control']]).toEqual([503, '', 'no-store'])
    expect(answer.headers['Retry-After']).toMatch(/^\d+$/)
    issuer.always('jwks', undefined)
    bed.clock.advance(30)
    expect(await post(logout())).toEqual(done)
    expect(api.stats().revocations.entries).toBe(1)
  })

  test('answers 503 for metadata of another issuer', async () => {
    const { issuer, post, logout } = await start()
    issuer.script('metadata', fault.body({ ...issuer.metadata, issuer: 'https://other.example' }))
    expect((await post(logout())).status).toBe(503)
  })

  test('answers 503 if it cannot store the revocation', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 1 } })
    const receive = logoutTokenReceiver(api, { issuers: [{ issuer: issuer.issuer, clientId: 'api' }] })
    await api.revoke({ issuer: issuer.issuer, jti: 'x' })
    const { logout } = await start()
    const token = logout({ claims: { iss: issuer.issuer }, key: issuer.key() })
    const answer = await receive({ method: 'POST', contentType: TYPE, body: `logout_token=${token}` })
    expect(answer).toEqual({ status: 503, headers: { 'Retry-After': '30', 'Cache-Control': 'no-store' }, body: '' })
  })
})

describe('SET-10 (RFC 8725 §3.12): one kind of token is not another', () => {
  test('SET-10: refuses a logout token as access token', async () => {
    const { issuer, api, logout } = await start()
    const good = { scope: 'read', client_id: 'c1', aud: RESOURCE, exp: NOW + 300 }
    for (const typ of ['logout+jwt', 'JWT', undefined])
      expect(await ask(api, logout({ header: { typ }, claims: good }))).toEqual(denial.type)
    const lax = bed.api({ issuers: [{ issuer: issuer.issuer, tokenProfile: 'legacy' }] })
    for (const typ of ['logout+jwt', 'JWT', undefined])
      expect(await ask(lax, logout({ header: { typ }, claims: good }))).toEqual(denial.type)
  })

  test('SET-10: refuses an access token as logout token, even for a client that is the API itself', async () => {
    const { issuer, api, post } = await start({ clientId: RESOURCE })
    expect(await post(issuer.token())).toEqual(rejected('`events` does not say that it is a logout'))
    expect(await post(issuer.token({ claims: { events: { [EVENT]: {} } } }))).toEqual(
      rejected('`typ` is not logout+jwt')
    )
    expect(api.stats().revocations.entries).toBe(0)
  })

  test('SET-10: refuses an ID token as logout token', async () => {
    const { post, logout } = await start()
    const claims = { events: undefined, nonce: undefined, auth_time: NOW }
    expect(await post(logout({ header: { typ: 'JWT' }, claims }))).toEqual(
      rejected('`events` does not say that it is a logout')
    )
  })

  test('SET-10: refuses a logout token as security event, and the other way round', async () => {
    const { issuer, api, post, logout } = await start({ clientId: RESOURCE })
    const events = securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer }] })
    issuer.always('other', fault.body({ issuer: issuer.issuer, jwks_uri: `${issuer.issuer}/jwks` }))
    const claims = { aud: RESOURCE, exp: undefined, sub: undefined }
    const push = (body: string) => events({ method: 'POST', contentType: 'application/secevent+jwt', body })
    expect((await push(logout({ claims }))).body).toContain('`typ` is not secevent+jwt')
    expect((await push(logout({ claims, header: { typ: 'secevent+jwt' } }))).status).toBe(202)
    expect(await post(logout({ claims: { aud: RESOURCE }, header: { typ: 'secevent+jwt' } }))).toEqual(
      rejected('`typ` is not logout+jwt')
    )
  })
})

test('api.refresh() fetches the keys of logout tokens too, so a leaked key becomes useless', async () => {
  const { issuer, api, post, logout } = await start()
  const stolen = issuer.key()
  expect(await post(logout({ key: stolen }))).toEqual(done)
  issuer.rotate('switch')
  issuer.rotate('retire')
  expect(await post(logout({ key: stolen }))).toEqual(done)
  await api.refresh()
  expect(await post(logout({ key: stolen }))).toEqual(badSignature)
  expect(await post(logout())).toEqual(done)
})

describe('logoutTokenReceiver()', () => {
  const A = 'https://a.example'
  test.each([
    ['no issuer', [], '`issuers` is empty'],
    ['no client identifier', [{ issuer: A }], '`issuers[0].clientId`'],
    ['an empty client identifier', [{ issuer: A, clientId: '' }], '`issuers[0].clientId`'],
    ['an unknown option', [{ issuer: A, clientId: 'c', audience: 'x' }], '`issuers[0].audience`'],
    [
      'a switch that is not a boolean',
      [{ issuer: A, clientId: 'c', tokensHaveSid: 'yes' }],
      '`issuers[0].tokensHaveSid`'
    ],
    ['another such', [{ issuer: A, clientId: 'c', acceptMissingExp: 1 }], '`issuers[0].acceptMissingExp`'],
    ['an issuer of no token here', [{ issuer: `${A}/`, clientId: 'c' }], '`issuers[0].issuer`'],
    [
      'one issuer twice',
      [
        { issuer: A, clientId: 'c' },
        { issuer: A, clientId: 'd' }
      ],
      '`issuers[1]`'
    ]
  ])('refuses %s at start', (_, issuers, message) => {
    const api = bed.api({ issuers: [A] })
    const make = (): Receiver => logoutTokenReceiver(api, { issuers: issuers as never })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})
