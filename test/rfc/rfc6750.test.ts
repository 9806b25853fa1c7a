/** RFC 6750: where a bearer token may stand in a request, and the words in which one is refused. */
import { describe, expect, test } from 'vitest'
import {
  type Access,
  anyScope,
  Forbidden,
  InsufficientScope,
  InvalidToken,
  Misconfigured,
  optional,
  type ResourceRequest,
  scope,
  Unavailable
} from '../../src/index.js'
import { parseChallenge } from '../support/challenge-parser.js'
import { createBed, introspecting } from '../support/exchange.js'
import { createSigningKey } from '../support/issuer.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  insufficient,
  issuerKey,
  malformed,
  missing,
  NOW,
  outcome,
  refusal,
  refused
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const token = accessToken()

describe('RFC 6750 §2: the place of a token', () => {
  test('TRN-01 DEF-01 (RFC 6750 §2.1): accepts a token in the Authorization field', async () => {
    const access = (await server.authorize(bearer(token), scope('read'))) as Access
    expect(access).toMatchObject({ scheme: 'Bearer', subject: 'u1', clientId: 'c1', scopes: ['read'] })
    expect(access.token).toBe(token)
  })

  test('TRN-02 DEF-01 MCP-08 (RFC 6750 §2.3, OAuth 2.1 §5.1): does not read a token in the query', async () => {
    const request = get({}, { url: `/items?access_token=${token}` })
    expect(await outcome(server, request)).toEqual(missing())
  })

  test('TRN-02 (OAuth 2.1 §5.1): does not read a token in the query of another method', async () => {
    for (const method of ['HEAD', 'POST', 'OPTIONS']) {
      expect(await outcome(server, get({}, { method, url: `/items?access_token=${token}` }))).toEqual(missing())
    }
  })

  test('TRN-03 (OAuth 2.1 §5.1): decides by the header if the query has a token too', async () => {
    const fields = { authorization: `Bearer ${token}` }
    expect(await outcome(server, get(fields, { url: '/items?access_token=x' }))).toEqual(granted)
    const expired = { authorization: `Bearer ${accessToken({ claims: { exp: NOW - 30 } })}` }
    const url = `/items?access_token=${token}`
    expect(await outcome(server, get(expired, { url }))).toEqual(refused('DEN-06', 'expired'))
  })

  const strict = api({ rejectQueryToken: true })

  test('TRN-03 TRN-04 DEN-03 (RFC 6750 §2): with rejectQueryToken refuses a second token in the query with 400', async () => {
    const fields = { authorization: `Bearer ${token}` }
    for (const url of ['/items?access_token=x', '/items?page=2&access_token=x', '/items?access_token=']) {
      expect(await outcome(strict, get(fields, { url }))).toEqual(malformed('DEN-03'))
    }
  })

  test('TRN-03 DEN-03 (RFC 6750 §2): with rejectQueryToken refuses a token in the query alone with 400 too', async () => {
    expect(await outcome(strict, get({}, { url: '/items?access_token=x' }))).toEqual(malformed('DEN-03'))
    expect(await outcome(strict, get({}, { url: '/items?access_token=x' }), optional)).toEqual(malformed('DEN-03'))
  })

  test('TRN-03: rejectQueryToken ignores parameters with other names, and the path', async () => {
    const fields = { authorization: `Bearer ${token}` }
    for (const url of ['/items?xaccess_token=x', '/items?ACCESS_TOKEN=x', '/access_token=x', '/items?a=access_token']) {
      expect(await outcome(strict, get(fields, { url }))).toEqual(granted)
    }
  })

  test('TRN-05 DEF-01 (RFC 6750 §2.2): does not read a form that may contain a token', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '20' }
    const request = get(form, { method: 'POST' })
    const body = Object.defineProperty({ ...request }, 'body', {
      get: () => expect.unreachable('the body was looked at')
    })
    expect(await outcome(server, body)).toEqual(missing())
  })

  const places: readonly [string, Readonly<Record<string, string>>][] = [
    ['a cookie', { cookie: `access_token=${token}; Authorization=Bearer ${token}` }],
    ['X-Access-Token', { 'x-access-token': token }],
    ['X-Authorization', { 'x-authorization': `Bearer ${token}` }],
    ['X-Forwarded-Authorization', { 'x-forwarded-authorization': `Bearer ${token}` }],
    ['Authentication', { authentication: `Bearer ${token}` }],
    ['Sec-WebSocket-Protocol', { 'sec-websocket-protocol': `bearer, ${token}` }]
  ]
  test.each(places)('TRN-10 DEF-01 (RFC 6750 §5.3): does not read a token from %s', async (_, fields) => {
    expect(await outcome(server, get(fields))).toEqual(missing())
  })

  test('TRN-10 DEF-01 (RFC 6750 §2.1): reads no other field than Authorization', async () => {
    const asked: string[] = []
    const request: ResourceRequest = {
      ...bearer(token),
      fieldLines: (name) => {
        asked.push(name)
        return name === 'authorization' ? [`Bearer ${token}`] : []
      }
    }
    expect(await outcome(server, request)).toEqual(granted)
    expect(new Set(asked)).toEqual(new Set(['authorization']))
  })
})

describe('RFC 6750 §2.1: the Authorization field', () => {
  test('TRN-07 DEN-02 (RFC 6750 §3.1): refuses a scheme without a token with 400', async () => {
    for (const line of ['Bearer', 'Bearer ', 'Bearer   ', 'bearer']) {
      expect(await outcome(server, get({ authorization: line }))).toEqual(malformed('DEN-02'))
    }
  })

  test('TRN-07 DEN-02 (RFC 6750 §3.1): refuses a token of more than one part with 400', async () => {
    for (const line of ['Bearer a b', `Bearer ${token} x`, `Bearer ${token} `, `Bearer ${token}\tx`]) {
      expect(await outcome(server, get({ authorization: line }))).toEqual(malformed('DEN-02'))
    }
  })

  test('TRN-07 DEN-02 (RFC 9110 §11.6.2): refuses an empty field, or one without a scheme, with 400', async () => {
    expect(await outcome(server, get({ authorization: '' }))).toEqual(malformed('DEN-02'))
    expect(await outcome(server, get({ authorization: ` ${token}` }))).toEqual(malformed('DEN-02'))
  })

  const characters = ['ab%cd', 'ab"cd', 'ab\\cd', 'ab=cd', '=', 'a,b', 'a;b', 'a:b', 'ab\u00e9', '{"a":"b"}', 'a\0b']
  test.each(characters)(
    'TRN-08 DEN-04 (RFC 6750 §3.1): refuses the single part %j, which is not token68, with 401',
    async (part) => {
      expect(await outcome(server, bearer(part))).toEqual(refused('DEN-04', 'malformed'))
    }
  )

  test('TRN-08 (RFC 6750 §2.1): accepts every character of token68', async () => {
    const all = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=='
    const issuer = await bed.issuer()
    const opaque = bed.api({ issuers: [introspecting(issuer)] })
    expect(await outcome(opaque, bearer(issuer.opaque({}, all)))).toEqual(granted)
  })

  test('TRN-09 DEN-04: refuses a token of more than 16384 characters before decoding it', async () => {
    const claims = { padding: 'x'.repeat(16_384) }
    const long = accessToken({ claims })
    expect(await outcome(server, bearer(long))).toEqual(refused('DEN-04', 'malformed'))
    expect(await outcome(server, bearer('%'.repeat(20_000)))).toEqual(refused('DEN-04', 'malformed'))
    expect(server.stats().cache.verified.entries).toBeLessThanOrEqual(1)
  })

  test('TRN-09: reads a token of exactly 16384 characters', async () => {
    const fill = (length: number): string => {
      const base = accessToken({ claims: { padding: '' } }).length
      for (let size = Math.floor(((length - base) * 3) / 4) - 3; ; size++) {
        const one = accessToken({ claims: { padding: 'x'.repeat(size) } })
        if (one.length >= length) return one
      }
    }
    const longest = fill(16_383)
    expect([16_383, 16_384]).toContain(longest.length)
    expect(await outcome(server, bearer(longest))).toEqual(granted)
  })

  test('TRN-06 DEN-03 DEN-27 (RFC 9110 §5.3): refuses two Authorization fields with 400, whatever they contain', async () => {
    const pairs = [
      [`Bearer ${token}`, `Bearer ${token}`],
      [`Bearer ${token}`, 'DPoP x'],
      ['Basic eDp5', `Bearer ${token}`],
      ['Basic eDp5', 'Basic eDp5']
    ]
    for (const authorization of pairs) {
      expect(await outcome(server, get({ authorization }))).toEqual(malformed('DEN-03'))
    }
  })

  test('TRN-06 DEN-03 (RFC 9110 §5.3): refuses two fields that fetch joined with a comma with 400', async () => {
    const joined = [
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token}, DPoP x`,
      `Bearer ${token},Basic eDp5`,
      `Basic eDp5, Bearer ${token}`,
      `DPoP x, bearer ${token}`
    ]
    for (const authorization of joined) {
      expect(await outcome(server, get({ authorization }))).toEqual(malformed('DEN-03'))
    }
  })

  test('TRN-06: refuses two fields that Headers of fetch joined with 400 too', async () => {
    const headers = new Headers([
      ['authorization', `Bearer ${token}`],
      ['authorization', `Bearer ${token}`]
    ])
    const request: ResourceRequest = {
      method: 'GET',
      url: '/items',
      fieldLines: (name) => [headers.get(name) ?? []].flat()
    }
    expect(await outcome(server, request)).toEqual(malformed('DEN-03'))
  })
})

describe('RFC 6750 §3.1: the response by kind of failure', () => {
  test('DEN-01 HTTP-03 DEF-14 (RFC 6750 §3.1): answers a request without credentials with 401, no error, no body', async () => {
    expect(await outcome(server, get())).toEqual(missing())
  })

  test('DEN-01 HTTP-03 (RFC 6750 §3.1): treats credentials of another scheme as missing', async () => {
    for (const authorization of ['Basic eA==', 'Digest username="x", realm="y"', 'Bearerx y', 'Negotiate']) {
      expect(await outcome(server, get({ authorization }))).toEqual(missing())
    }
  })

  test('DEN-04 (RFC 6750 §3.1): refuses text that is not a token with 401', async () => {
    expect(await outcome(server, bearer('garbage'))).toEqual(refused('DEN-04', 'malformed'))
  })

  test('DEN-05 (RFC 6750 §3.1): refuses a token signed by another key with 401', async () => {
    const other = createSigningKey('ES256', { kid: issuerKey.kid })
    expect(await outcome(server, bearer(accessToken({ key: other })))).toEqual(refused('DEN-05', 'signature'))
  })

  test('DEN-06 (RFC 6750 §3.1): refuses an expired token with 401', async () => {
    const expired = accessToken({ claims: { exp: NOW - 30 } })
    expect(await outcome(server, bearer(expired))).toEqual(refused('DEN-06', 'expired'))
  })

  test('DEN-07 (RFC 7519 §4.1.5): refuses a token before its nbf with 401', async () => {
    const early = accessToken({ claims: { nbf: NOW + 31 } })
    expect(await outcome(server, bearer(early))).toEqual(refused('DEN-07', 'not_yet_valid'))
  })

  test('DEN-09 (RFC 9068 §4): refuses a token of another issuer with 401', async () => {
    const foreign = accessToken({ claims: { iss: 'https://other.example' } })
    expect(await outcome(server, bearer(foreign))).toEqual(refused('DEN-09', 'issuer'))
  })

  test('DEN-10 (RFC 9068 §4): refuses a token for another API with 401', async () => {
    const foreign = accessToken({ claims: { aud: 'https://other.example' } })
    expect(await outcome(server, bearer(foreign))).toEqual(refused('DEN-10', 'audience'))
  })

  test('DEN-11 (RFC 9068 §2.2): refuses a token without a required claim with 401', async () => {
    const incomplete = accessToken({ claims: { sub: undefined } })
    expect(await outcome(server, bearer(incomplete))).toEqual(refused('DEN-11', 'claim'))
  })

  test('DEN-12 (RFC 9068 §4): refuses a JWT of another type with 401', async () => {
    const other = accessToken({ header: { typ: 'JWT' } })
    expect(await outcome(server, bearer(other))).toEqual(refused('DEN-12', 'type'))
  })

  test('DEN-13 HTTP-12 (RFC 6750 §3.1): refuses a token without the scope with 403 and a challenge', async () => {
    expect(await outcome(server, bearer(token), scope('read', 'write'))).toEqual(insufficient('read write'))
  })

  test('DEN-15 MTL-03 MTL-10 (RFC 8705 §3): refuses a certificate-bound token without its certificate with 401', async () => {
    const bound = accessToken({ claims: { cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } } })
    expect(await outcome(server, bearer(bound))).toEqual(refused('DEN-15', 'certificate_binding'))
  })

  test('DEN-21 DPP-25 (RFC 9449 §7.2): refuses a DPoP-bound token as a bearer token with 401', async () => {
    const bound = accessToken({ claims: { cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } } })
    expect(await outcome(server, bearer(bound))).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })

  test('DEN-18 DEF-19 (RFC 6750 §3.1): answers a refusal of the application with 403 without a challenge', async () => {
    const forbid = (): void => {
      throw new Forbidden('Only the owner may do this')
    }
    expect(await outcome(server, bearer(token), scope('read'), forbid)).toEqual({
      status: 403,
      code: 'access_denied',
      reason: 'forbidden',
      headers: { 'Cache-Control': 'no-store' },
      body: { error: 'access_denied', error_description: 'Only the owner may do this' }
    })
  })

  test('DEN-16 DEF-11 (RFC 9110 §15.6.4): answers an outage with 503 without a challenge', async () => {
    const outage = (): void => {
      throw new Unavailable('jwks', 'the key set cannot be fetched', { retryAfter: 2.2 })
    }
    expect(await outcome(server, bearer(token), outage)).toEqual({
      status: 503,
      code: 'temporarily_unavailable',
      reason: 'jwks_unavailable',
      headers: { 'Retry-After': '3', 'Cache-Control': 'no-store' },
      body: { error: 'temporarily_unavailable' }
    })
  })

  test('DEN-17 (RFC 9110 §15.6.1): answers our own misconfiguration with 500 without a challenge', async () => {
    const wrong = (): void => {
      throw new Misconfigured('the metadata names another issuer')
    }
    expect(await outcome(server, bearer(token), wrong)).toEqual({
      status: 500,
      code: 'server_error',
      reason: 'misconfigured',
      headers: { 'Cache-Control': 'no-store' },
      body: { error: 'server_error' }
    })
  })

  test('ORD-06 (RFC 6750 §3.1): 400 for the request, 401 for the credentials, 403 for what they allow', async () => {
    const statuses = await Promise.all(
      [get({ authorization: 'Bearer a b' }), get(), bearer('x'), bearer(accessToken({ claims: { scope: '' } }))].map(
        async (request) => (await outcome(server, request)).status
      )
    )
    expect(statuses).toEqual([400, 401, 401, 403])
  })

  test('HTTP-04 (RFC 6750 §3): a challenge has an error whenever a token was presented and refused', async () => {
    for (const bad of ['garbage', accessToken({ claims: { exp: 1 } }), accessToken({ header: { alg: 'none' } })]) {
      const { headers } = await outcome(server, bearer(bad))
      const [line] = headers['WWW-Authenticate'] as string[]
      expect(parseChallenge(line as string).parameters[0]).toEqual({
        name: 'error',
        value: 'invalid_token',
        quoted: true
      })
    }
  })
})

describe('RFC 6750 §3: the scopes of a challenge', () => {
  const pointer = 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"'

  test('DEF-14 SCP-06 (RFC 6750 §3): a 401 names every scope of the route, each once', async () => {
    const requirements = [scope('read', 'write'), scope('write', 'admin')]
    const advertised = 'scope="read write admin"'
    expect(await outcome(server, get(), ...requirements)).toEqual(missing(`Bearer ${advertised}, ${pointer}`))
    const expired = bearer(accessToken({ claims: { exp: 1 } }))
    expect(await outcome(server, expired, ...requirements)).toEqual(refused('DEN-06', 'expired', `${advertised}, `))
  })

  test('DEF-14: includes the scopes of checks for the whole server', async () => {
    const whole = api({ checks: [scope('base')] })
    expect(await outcome(whole, get(), scope('read'))).toEqual(missing(`Bearer scope="base read", ${pointer}`))
  })

  test('DEF-14 (RFC 6750 §3): names no scope on a route without scopes', async () => {
    const plain = server.protect()
    const error = await refusal(() => plain.authorize(get()))
    expect(error.headers['WWW-Authenticate']).toEqual([`Bearer ${pointer}`])
    const invalid = await refusal(() => plain.authorize(bearer('x')))
    expect(invalid.headers['WWW-Authenticate']).toEqual([
      `Bearer error="invalid_token", error_description="The access token is malformed", ${pointer}`
    ])
  })

  test('SCP-06 (RFC 6750 §3.1): names no scope on a 400, which no scope would fix', async () => {
    const { headers } = await outcome(server, get({ authorization: 'Bearer' }), scope('read', 'write'))
    expect(headers['WWW-Authenticate']).toEqual([
      `Bearer error="invalid_request", error_description="Malformed Authorization header", ${pointer}`
    ])
  })

  test('SCP-07 (RFC 6750 §3): a 401 names the preferred one of alternatives', async () => {
    expect(await outcome(server, get(), anyScope('x', 'y'))).toEqual(missing(`Bearer scope="x", ${pointer}`))
  })
})

describe('RFC 6750 §3.1: the response contains nothing from the request', () => {
  const secret = 'attacker-controlled'
  const tokens: readonly [string, string][] = [
    ['an issuer', accessToken({ claims: { iss: `https://${secret}.example` } })],
    ['an audience', accessToken({ claims: { aud: secret } })],
    ['a type', accessToken({ header: { typ: secret } })],
    ['an algorithm', accessToken({ header: { alg: secret } })],
    ['a key identifier', accessToken({ header: { kid: secret } })],
    ['a scope', accessToken({ claims: { scope: secret } })],
    ['a confirmation', accessToken({ claims: { cnf: { [secret]: secret } } })],
    ['the token itself', secret]
  ]
  test.each(tokens)('DEF-15 SEC-04 (RFC 6750 §3): does not echo %s of a bad token', async (_, bad) => {
    const answer = await outcome(server, bearer(bad))
    expect(answer.status).toBeGreaterThanOrEqual(401)
    expect(JSON.stringify(answer)).not.toContain(secret)
  })

  test('DEF-15 HTTP-09 (RFC 6750 §3): every description has only permitted characters, and no =', async () => {
    const { REQUEST_REASONS, TOKEN_REASONS } = await import('../../src/errors/reasons.js')
    const entries = Object.values({ ...REQUEST_REASONS, ...TOKEN_REASONS })
    for (const { description } of entries) expect(description).toMatch(/^[\x20\x21\x23-\x3C\x3E-\x5B\x5D-\x7E]+$/)
  })

  test('SEC-04 (RFC 6750 §3): reasons with the same response differ for the log only', async () => {
    const byAlgorithm = await refusal(() =>
      server.authorize(bearer(accessToken({ header: { alg: 'none' } })), scope('read'))
    )
    const byKey = await refusal(() => server.authorize(bearer(accessToken({ header: { kid: 'k9' } })), scope('read')))
    expect([byAlgorithm.reason, byKey.reason]).toEqual(['algorithm', 'unknown_key'])
    expect(byAlgorithm.hint).not.toBe(byKey.hint)
    expect(byAlgorithm.headers).toEqual(byKey.headers)
    expect(byAlgorithm.toJSON()).toEqual(byKey.toJSON())
    expect(byAlgorithm.message).toBe(byKey.message)
    expect(byAlgorithm).toBeInstanceOf(InvalidToken)
  })
})

describe('DEF-16: the body', () => {
  test('DEF-16 CCH-01 (RFC 6750 §3.1): is JSON that caches must not store', async () => {
    const response = (await refusal(() => server.authorize(bearer('x')))).toResponse()
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({
      error: 'invalid_token',
      error_description: 'The access token is malformed'
    })
  })

  test('DEF-16 (RFC 6750 §3.1): is empty, without a type, if no credentials were sent', async () => {
    const error = await refusal(() => server.authorize(get()))
    expect(error.toJSON()).toBeUndefined()
    expect(error.code).toBeUndefined()
    const response = error.toResponse()
    expect(response.headers.get('content-type')).toBeNull()
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.text()).toBe('')
  })

  test('DEF-16 (RFC 9110 §15.6): of a fault on our side tells the client no cause', async () => {
    const cause = new Error('connect ECONNREFUSED 10.0.0.1:443')
    const error = new Unavailable('introspection', 'cannot connect to 10.0.0.1', { cause })
    expect(error.toJSON()).toEqual({ error: 'temporarily_unavailable' })
    expect(error.message).not.toContain('10.0.0.1')
    expect(error.expose).toBe(false)
    expect(error.cause).toBe(cause)
  })
})

describe('a check of the application', () => {
  test('DEN-13 (RFC 6750 §3.1): that misses scopes is answered with all scopes of the operation', async () => {
    const more = (): void => {
      throw new InsufficientScope(['export'])
    }
    expect(await outcome(server, bearer(token), scope('read'), more)).toEqual(insufficient('read export'))
  })

  test('DEN-12 (RFC 6750 §3.1): may refuse a token as invalid, in our words', async () => {
    const refuse = (): void => {
      throw new InvalidToken('type')
    }
    expect(await outcome(server, bearer(token), scope('read'), refuse)).toEqual(refused('DEN-12', 'type'))
  })

  test('ORD-02 (RFC 9068 §4): that throws any other value is neither a refusal of ours nor a pass', async () => {
    const bug = new TypeError('cannot read properties of undefined')
    const broken = (): void => {
      throw bug
    }
    const rejecting = (): Promise<void> => Promise.reject(bug)
    for (const check of [broken, rejecting]) {
      await expect(async () => await server.authorize(bearer(token), check)).rejects.toBe(bug)
    }
  })
})

test('CCH-03 (RFC 6750 §3.1): optional accepts a request without credentials, as undefined', async () => {
  expect(await server.authorize(get(), optional, scope('read'))).toBeUndefined()
  const other = { authorization: 'Basic eA==' }
  expect(await server.authorize(get(other), optional, scope('read'))).toBeUndefined()
})

test('CCH-03 (RFC 6750 §3.1): optional does not accept broken credentials', async () => {
  expect(await outcome(server, bearer('x'), optional, scope('read'))).toEqual(refused('DEN-04', 'malformed'))
  expect(await outcome(server, bearer(token), optional, scope('write'))).toEqual(insufficient('write'))
  const malformedField = get({ authorization: 'Bearer' })
  expect(await outcome(server, malformedField, optional)).toEqual(malformed('DEN-02'))
  expect(await outcome(server, bearer(token), optional)).toEqual(granted)
})
