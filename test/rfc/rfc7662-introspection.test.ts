/** The rules about introspection: RFC 7662, with RFC 6749 §2.3 and RFC 7523 for how this API authenticates. */
import type { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { compactVerify, decodeProtectedHeader, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import * as oauth4webapi from 'oauth4webapi'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import {
  bearerToken,
  type ClientAuth,
  clientSecretBasic,
  clientSecretPost,
  type InvalidToken,
  type IssuerOptions,
  noClientAuth,
  privateKeyJwt,
  resourceServer,
  scope
} from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  createSelfSignedCertificate,
  denial,
  granted,
  introspecting,
  OUTAGES,
  RESOURCE,
  refusal,
  request,
  unavailableFor,
  until
} from '../support/exchange.js'
import {
  type Behaviour,
  createSigningKey,
  fault,
  type RecordedRequest,
  signJws,
  type TestIssuer
} from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

/** An API that introspects at `issuer`, and an introspection request as it arrived there. */
async function introspected(
  auth: ClientAuth,
  options: { readonly clientId?: string; readonly token?: string } = {}
): Promise<{ issuer: TestIssuer; received: RecordedRequest }> {
  const issuer = await bed.issuer()
  const introspection = { auth, ...(options.clientId !== undefined && { clientId: options.clientId }) }
  const api = bed.api({ issuers: [{ issuer: issuer.issuer, introspection }] })
  const token = issuer.opaque({}, options.token ?? 'abc')
  expect(await ask(api, token)).toEqual(granted)
  return { issuer, received: introspections(issuer)[0] as RecordedRequest }
}

function introspections(issuer: TestIssuer): RecordedRequest[] {
  return issuer.requests.filter(({ endpoint }) => endpoint === 'introspection')
}

describe('INT-01 (RFC 7662 §2.1): the request', () => {
  test('INT-01 (RFC 7662 §2.1): sends a POST of a form with the token and its hint, and nothing else', async () => {
    const { received } = await introspected(() => {})
    expect(received).toMatchObject({ method: 'POST', path: '/introspect' })
    expect(received.body).toBe('token=abc&token_type_hint=access_token')
    expect(received.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(received.headers.accept).toBe('application/json')
    expect(received.headers.authorization).toBeUndefined()
  })

  test('INT-01 (RFC 7662 §2.1): form-encodes the token', async () => {
    const { received } = await introspected(() => {}, { token: 'a+b/c~d.e-f_g==' })
    expect(received.body).toBe('token=a%2Bb%2Fc%7Ed.e-f_g%3D%3D&token_type_hint=access_token')
  })

  test('INT-01 (RFC 7662 §2.1): never writes a token into a URL', async () => {
    const { issuer } = await introspected(() => {}, { token: 'visible-token' })
    for (const { path } of issuer.requests) expect(path).not.toContain('visible-token')
  })

  test('INT-01 (RFC 7662 §2.1): keeps the endpoint’s own query', async () => {
    const issuer = await bed.issuer()
    issuer.metadata.introspection_endpoint = `${issuer.origin}/introspect?tenant=a%20b`
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque())).toEqual(granted)
    expect(introspections(issuer)[0]?.path).toBe('/introspect?tenant=a%20b')
  })
})

describe('INT-02 (RFC 7662 §2.1): how this API authenticates', () => {
  test('INT-02 (RFC 6749 §2.3.1, appendix B): client_secret_basic encodes both halves before base64', async () => {
    const { received } = await introspected(clientSecretBasic('a:b %'), { clientId: 'id' })
    expect(received.headers.authorization).toBe(`Basic ${Buffer.from('id:a%3Ab+%25').toString('base64')}`)
    expect(received.body).toBe('token=abc&token_type_hint=access_token')
  })

  test('INT-02 (RFC 6749 §2.3.1): client_secret_post adds both to the form', async () => {
    const { received } = await introspected(clientSecretPost('a:b %'), { clientId: 'i d' })
    expect(received.body).toBe('token=abc&token_type_hint=access_token&client_id=i+d&client_secret=a%3Ab+%25')
    expect(received.headers.authorization).toBeUndefined()
  })

  test('INT-02 (RFC 7662 §2.1): sends a bearer token of this API', async () => {
    const { received } = await introspected(bearerToken('api-key'))
    expect(received.headers.authorization).toBe('Bearer api-key')
    expect(received.body).toBe('token=abc&token_type_hint=access_token')
  })

  test('INT-02 (RFC 7662 §2.1): names the client without authentication, where there is one', async () => {
    const { received } = await introspected(noClientAuth(), { clientId: 'api' })
    expect(received.body).toBe('token=abc&token_type_hint=access_token&client_id=api')
    const { received: anonymous } = await introspected(noClientAuth())
    expect(anonymous.body).toBe('token=abc&token_type_hint=access_token')
  })

  const ownKey = createSigningKey('ES256', { kid: 'own' })
  const methods: readonly [string, () => Promise<ClientAuth>, (received: RecordedRequest) => unknown, unknown][] = [
    [
      'ClientSecretBasic',
      async () => oauth4webapi.ClientSecretBasic('a:b'),
      ({ headers }) => headers.authorization,
      `Basic ${btoa('api:a%3Ab')}`
    ],
    [
      'ClientSecretPost',
      async () => oauth4webapi.ClientSecretPost('a:b'),
      ({ body }) => body,
      'token=abc&token_type_hint=access_token&client_id=api&client_secret=a%3Ab'
    ],
    [
      'None',
      async () => oauth4webapi.None(),
      ({ body }) => body,
      'token=abc&token_type_hint=access_token&client_id=api'
    ],
    [
      'PrivateKeyJwt',
      async () => {
        const jwk = ownKey.privateKey.export({ format: 'jwk' }) as webcrypto.JsonWebKey
        const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
        return oauth4webapi.PrivateKeyJwt({ key, kid: 'own' })
      },
      async ({ form }) =>
        (await jwtVerify(form.get('client_assertion') as string, ownKey.publicKey, { subject: 'api', issuer: 'api' }))
          .protectedHeader.kid,
      'own'
    ]
  ]
  test.each(methods)(
    'INT-02 (RFC 7662 §2.1): accepts %s of oauth4webapi as it is',
    async (_, create, read, expected) => {
      const { received } = await introspected(await create(), { clientId: 'api' })
      expect(await read(received)).toBe(expected)
    }
  )

  test('INT-02 (RFC 7662 §2.1): passes the metadata, the client, the form and the header to an authentication function', async () => {
    const issuer = await bed.issuer()
    const seen: unknown[] = []
    const auth: ClientAuth = (as, client, body, headers) => {
      seen.push(as, client, body.toString())
      headers.set('x-api-key', 'k')
    }
    expect(await ask(bed.api({ issuers: [introspecting(issuer, { auth })] }), issuer.opaque({}, 'abc'))).toEqual(
      granted
    )
    expect(seen).toEqual([issuer.metadata, { client_id: 'api' }, 'token=abc&token_type_hint=access_token'])
    expect(introspections(issuer)[0]?.headers['x-api-key']).toBe('k')
  })

  test('INT-02 (RFC 7662 §4): refuses an endpoint with plain http at start, and in metadata', async () => {
    const start = (endpoint: string) => () =>
      resourceServer({
        resource: RESOURCE,
        issuers: [{ issuer: 'https://as.example.com', introspection: { endpoint, auth: noClientAuth() } }]
      })
    expect(start('http://as.example.com/introspect')).toThrow(/issuers\[0\]\.introspection\.endpoint/)
    expect(start('https://as.example.com/introspect')).not.toThrow()
    for (const endpoint of ['http://as.example.com/introspect', '/introspect', undefined, 1]) {
      const issuer = await bed.issuer()
      issuer.metadata.introspection_endpoint = endpoint
      expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque())).toEqual(denial.misconfigured)
      expect(issuer.count('introspection')).toBe(0)
    }
  })

  test('INT-02 (RFC 7662 §4): never sends the token to a server with an untrusted certificate', async () => {
    const issuer = await bed.issuer()
    let seen = 0
    const server = createServer(createSelfSignedCertificate(), (_, response) => {
      seen += 1
      response.end()
    })
    bed.closing({ close: async () => server.close().closeAllConnections() })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}/introspect`
    const api = bed.api({ issuers: [introspecting(issuer, { endpoint })] })
    expect(await ask(api, issuer.opaque())).toEqual(denial.unavailable)
    expect(seen).toBe(0)
  })
})

describe('INT-03 (RFC 7523 §3): private_key_jwt', () => {
  test.each([
    ['RS256', 'PS256'],
    ['ES256', 'ES256'],
    ['ES384', 'ES384'],
    ['ES512', 'ES512'],
    ['EdDSA', 'EdDSA']
  ] as const)(
    'INT-03 (FAPI 2.0 SP §5.3.3): with a key for %s the assertion is %s, short-lived, for the issuer alone',
    async (kind, alg) => {
      const key = createSigningKey(kind)
      const { issuer, received } = await introspected(privateKeyJwt(key.privateKey, { keyId: 'own' }), {
        clientId: 'api'
      })
      expect([...received.form.keys()]).toEqual([
        'token',
        'token_type_hint',
        'client_id',
        'client_assertion_type',
        'client_assertion'
      ])
      expect(received.form.get('client_id')).toBe('api')
      expect(received.form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const assertion = received.form.get('client_assertion') as string
      const { payload, protectedHeader } = await jwtVerify(assertion, key.publicKey, { algorithms: [alg] })
      expect(protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'own' })
      expect(payload).toEqual({
        iss: 'api',
        sub: 'api',
        aud: issuer.issuer,
        jti: expect.stringMatching(/^[\w-]{20,}$/),
        iat: expect.any(Number),
        exp: (payload.iat as number) + 60
      })
    }
  )

  test('INT-03 (RFC 7523 §3): sends a new assertion with every request', async () => {
    const issuer = await bed.issuer()
    const { privateKey, publicKey } = createSigningKey('ES256')
    const api = bed.api({ issuers: [introspecting(issuer, { auth: privateKeyJwt(privateKey) })] })
    for (let i = 0; i < 3; i++) expect(await ask(api, issuer.opaque())).toEqual(granted)
    const assertions = introspections(issuer).map(({ form }) => form.get('client_assertion') as string)
    const payloads = await Promise.all(assertions.map((one) => jwtVerify(one, publicKey)))
    expect(new Set(payloads.map(({ payload }) => payload.jti)).size).toBe(3)
    expect(decodeProtectedHeader(assertions[0] as string)).toEqual({ alg: 'ES256', typ: 'JWT' })
  })

  test('INT-03 (RFC 7518 §3.3): signs with the configured algorithm of an RSA key', async () => {
    const key = createSigningKey('RS256')
    const { received } = await introspected(privateKeyJwt(key.privateKey, { algorithm: 'RS256' }), { clientId: 'api' })
    const { protectedHeader } = await compactVerify(received.form.get('client_assertion') as string, key.publicKey)
    expect(protectedHeader.alg).toBe('RS256')
  })
})

test('INT-04 (RFC 8414 §2): refuses settings without a method at start, and guesses none from metadata', () => {
  const introspection = { clientId: 'api' } as IssuerOptions['introspection'] & object
  const start = () =>
    resourceServer({ resource: RESOURCE, issuers: [{ issuer: 'https://as.example.com', introspection }] })
  expect(start).toThrow(TypeError)
  expect(start).toThrow(/`issuers\[0\]\.introspection\.auth` is missing/)
})

describe('INT-05 (RFC 7662 §2.2): active is a boolean', () => {
  const answers: readonly [string, unknown][] = [
    ['"true"', { active: 'true' }],
    ['1', { active: 1 }],
    ['null', { active: null }],
    ['a list', { active: [true] }],
    ['an object', { active: { active: true } }],
    ['missing', {}],
    ['"false"', { active: 'false' }],
    ['0', { active: 0 }]
  ]
  test.each(answers)(
    'INT-05 (RFC 7662 §2.2): refuses an answer whose active is %s: 500, and not cached',
    async (_, members) => {
      const issuer = await bed.issuer()
      const grant = { iss: issuer.issuer, aud: RESOURCE, sub: 'u1', exp: bed.clock.now() + 300, scope: 'read' }
      issuer.script('introspection', fault.body({ ...grant, ...(members as object) }))
      const api = bed.api({ issuers: [introspecting(issuer)] })
      const token = issuer.opaque()
      expect(await ask(api, token)).toEqual(denial.misconfigured)
      expect(await ask(api, token)).toEqual(granted)
    }
  )

  const documents: readonly [string, Behaviour][] = [
    ['a list', fault.body([{ active: true }])],
    ['null', fault.body(null)],
    ['true', fault.body(true)],
    ['a string', fault.body('active')],
    ['broken JSON', fault.invalidJson()],
    ['a page', fault.html200()],
    ['JSON as text/html', fault.contentType('text/html')],
    ['JSON as a JWT', fault.contentType('application/token-introspection+jwt')],
    ['JSON without a media type', fault.contentType(undefined)],
    ['an empty body', fault.status(200, { body: '' })]
  ]
  test.each(documents)('INT-05 (RFC 7662 §2.2): does not accept %s as an answer: 500', async (_, behaviour) => {
    const issuer = await bed.issuer()
    issuer.script('introspection', behaviour)
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    expect(await ask(api, token)).toEqual(granted)
  })

  test.each(['application/json; charset=UTF-8', 'Application/JSON'])(
    'INT-05 (RFC 7662 §2.2): reads %s as JSON',
    async (type) => {
      const issuer = await bed.issuer()
      issuer.always('introspection', fault.contentType(type))
      expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque())).toEqual(granted)
    }
  )
})

describe('INT-06 (RFC 7662 §2.2): a token that is not active', () => {
  test('INT-06 (RFC 7662 §2.2): refuses a token that is not active with 401 invalid_token', async () => {
    const issuer = await bed.issuer()
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), 'unknown')).toEqual(denial.inactive)
  })

  test('INT-06 (RFC 7662 §2.2): refuses a token that is not active, whatever else the answer says', async () => {
    const issuer = await bed.issuer()
    const token = issuer.opaque({ active: false })
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), token)).toEqual(denial.inactive)
  })

  test('INT-06, DEF-09 (RFC 7662 §2.2): caches for 10 s that a token is not active', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, 'later')).toEqual(denial.inactive)
    issuer.opaque({}, 'later')
    bed.clock.advance(9)
    expect(await ask(api, 'later')).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(1)
    bed.clock.advance(1)
    expect(await ask(api, 'later')).toEqual(granted)
  })

  test('INT-06 (RFC 6750 §3): creates an error for each request, with the scope of its own route', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const gate = issuer.hold('introspection')
    const attempt = (one: string) => refusal(() => authorize(api, 'unknown', scope(one)))
    const together = ['orders:read', 'orders:write'].map(attempt)
    await issuer.received('introspection', 1)
    gate.release()
    const errors = [...(await Promise.all(together)), await attempt('admin')]
    expect(errors.map(({ headers }) => String(headers['WWW-Authenticate']).match(/scope="(.*?)"/)?.[1])).toEqual([
      'orders:read',
      'orders:write',
      'admin'
    ])
    expect(new Set(errors).size).toBe(3)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('INT-06 (RFC 6750 §3): creates an error for each request of a shared outage, too', async () => {
    const issuer = await bed.issuer()
    issuer.always('introspection', fault.status(400))
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const gate = issuer.hold('introspection')
    const together = [0, 1].map(() => refusal(() => authorize(api, 'x')))
    await issuer.received('introspection', 1)
    gate.release()
    for (const error of await Promise.all(together)) expect(error.headers).toEqual({ 'Cache-Control': 'no-store' })
  })
})

describe('INT-07 (RFC 7662 §2.2): a 400 about a token that the server cannot read', () => {
  const unreadable = fault.status(400, { body: '{"error":"unsupported_token_type"}' })

  test('answers 401 and warns once after a 200 about another token, and does not cache the token as inactive', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    issuer.always('introspection', unreadable)
    bed.clock.advance(10)
    for (let i = 0; i < 3; i++) expect(await ask(api, token)).toEqual(denial.inactive)
    expect(await ask(api, 'another')).toEqual(denial.inactive)
    expect(api.health().issuers[0]?.warnings).toEqual([expect.stringContaining('answered 400 to a token')])
    expect(api.stats().cache.inactive.entries).toBe(0)
    issuer.always('introspection', fault.none())
    expect(await ask(api, token)).toEqual(granted)
  })

  test('counts "not active" as a 200 too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, 'unknown')).toEqual(denial.inactive)
    issuer.always('introspection', unreadable)
    expect(await ask(api, 'other')).toEqual(denial.inactive)
  })

  test.each(['invalid_client', 'unauthorized_client', 'invalid_request'])(
    'answers 500 where the body names %s, which blames our request',
    async (error) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)] })
      expect(await ask(api, issuer.opaque())).toEqual(granted)
      issuer.always('introspection', fault.status(400, { body: JSON.stringify({ error }) }))
      expect(await ask(api, 'other')).toEqual(denial.misconfigured)
    }
  )

  test.each([401, 403, 404])('answers 500 to a %i', async (status) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    issuer.always('introspection', fault.status(status))
    expect(await ask(api, 'other')).toEqual(denial.misconfigured)
  })

  test('answers 500 to a 400 without a 200 before, more than 10 s after it, or after one about the same token alone', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 0 })] })
    issuer.script('introspection', unreadable)
    expect(await ask(api, 'x')).toEqual(denial.misconfigured)
    const token = issuer.opaque({}, 'opaque-of-thirty-two-characters-or-more')
    expect(await ask(api, token)).toEqual(granted)
    issuer.script('introspection', unreadable)
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    bed.clock.advance(11)
    issuer.script('introspection', unreadable)
    expect(await ask(api, 'y')).toEqual(denial.misconfigured)
  })

  test('judges a 400 by answers of the same issuer alone', async () => {
    const [one, two] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({
      issuers: [introspecting(one, { tokenPrefix: 'a_' }), introspecting(two, { tokenPrefix: 'b_' })]
    })
    expect(await ask(api, one.opaque({}, 'a_1'))).toEqual(granted)
    two.always('introspection', unreadable)
    expect(await ask(api, 'b_1')).toEqual(denial.misconfigured)
  })
})

describe('INT-07 (RFC 7662 §2.3): the hint about a 400', () => {
  const hintOf = async (body: string, token = 'x'): Promise<string> => {
    const issuer = await bed.issuer()
    issuer.always('introspection', fault.status(400, { body }))
    const error = await refusal(() => authorize(bed.api({ issuers: [introspecting(issuer)] }), token))
    expect(error.status).toBe(500)
    return error.hint
  }

  test('the hint names unsupported_token_type and the option that verifies JWTs here, and does not blame the credentials', async () => {
    const hint = await hintOf('{"error":"unsupported_token_type","error_description":"Structured JWT Tokens"}')
    expect(hint).toContain('400 `unsupported_token_type`: it does not introspect tokens of this kind')
    expect(hint).toContain("`tokens: 'jwt'`")
    expect(hint).not.toContain('`clientId`')
  })

  test('the hint names another error beside what to check', async () => {
    expect(await hintOf('{"error":"invalid_client"}')).toMatch(/400 `invalid_client` .*`introspection\.auth`/)
  })

  test.each([
    ['is not a word', '{"error":"a\\nb"}', 'x'],
    ['is longer than 40 characters', `{"error":"${'e'.repeat(41)}"}`, 'x'],
    ['is not a text', '{"error":{"code":"nested"}}', 'x'],
    ['is in the token', '{"error":"part_of_the_token"}', 'some.part_of_the_token.here'],
    ['is in a body that is not JSON', 'error=from_a_form', 'x']
  ])('the hint does not repeat an error that %s', async (_, body, token) => {
    expect(await hintOf(body, token)).toContain('answered 400 to our request')
  })
})

test.each(['N_A', 'refresh_token', 'RefreshToken', 'urn:ietf:params:oauth:token-type:refresh_token', 'id_token'])(
  'INT-08 (RFC 8693 §2.2.1): refuses an active token whose token_type is %s, with `allowMissingAudience` too',
  async (type) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { allowMissingAudience: true })] })
    expect(await ask(api, issuer.opaque({ token_type: type, aud: undefined }))).toEqual(denial.type)
    expect(await ask(api, issuer.opaque({ aud: undefined }))).toEqual(granted)
  }
)

describe('INT-07 (RFC 7662 §2.3): answers that are not about the token', () => {
  test.each([400, 401, 403, 404, 405, 410, 201, 204, 302, 308])(
    'INT-07 (RFC 7662 §2.3): answers 500 after a %i about our own request, without a challenge, and does not cache it',
    async (status) => {
      const issuer = await bed.issuer()
      issuer.script(
        'introspection',
        fault.status(status, { headers: { location: '/elsewhere' }, ...(status === 204 && { body: '' }) })
      )
      const api = bed.api({ issuers: [introspecting(issuer)] })
      const token = issuer.opaque()
      expect(await ask(api, token)).toEqual(denial.misconfigured)
      expect(issuer.count('introspection')).toBe(1)
      expect(issuer.count('other')).toBe(0)
      expect(await ask(api, token)).toEqual(granted)
    }
  )

  test('INT-07 (RFC 7662 §2.3): answers 500 to the client for a wrong secret, and says in the log what to look at', async () => {
    const issuer = await bed.issuer()
    issuer.introspectionAuth = ({ headers }) => headers.authorization === `Basic ${btoa('api:right')}`
    const wrong = bed.api({ issuers: [introspecting(issuer, { auth: clientSecretBasic('wrong') })] })
    const right = bed.api({ issuers: [introspecting(issuer, { auth: clientSecretBasic('right') })] })
    expect(await ask(wrong, issuer.opaque())).toEqual(denial.misconfigured)
    expect((await refusal(() => authorize(wrong, issuer.opaque()))).hint).toMatch(
      /answered 401 .*`introspection\.auth`/
    )
    expect(await ask(right, issuer.opaque())).toEqual(granted)
  })

  test('INT-07 (RFC 7662 §2.3): answers 500 if an authentication function throws, and keeps the cause', async () => {
    const issuer = await bed.issuer()
    const cause = new Error('the vault is sealed')
    const failing = bearerToken(async () => {
      throw cause
    })
    const error = await refusal(() =>
      authorize(bed.api({ issuers: [introspecting(issuer, { auth: failing })] }), issuer.opaque())
    )
    expect(error).toMatchObject({ status: 500, cause })
    expect(issuer.count('introspection')).toBe(0)
  })

  test.each(OUTAGES)(
    'INT-07, DEF-11 (RFC 9110 §15.6.4): answers 503 after %s, without a challenge, and does not cache it',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer()
      issuer.always('introspection', behaviour)
      const api = bed.api({ issuers: [introspecting(issuer)], ...(http && { http }) })
      const token = issuer.opaque()
      expect(await ask(api, token)).toEqual(denial.unavailable)
      issuer.always('introspection', undefined)
      // After a 429 nothing is asked for a second.
      bed.clock.advance(1)
      expect(await ask(api, token)).toEqual(granted)
    }
  )

  test.each([429, 503])(
    'INT-07 (RFC 9110 §10.2.3): passes on %i with a Retry-After beyond the deadline, without a retry',
    async (status) => {
      const issuer = await bed.issuer()
      issuer.script('introspection', fault.retryAfter(42, status))
      expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque())).toEqual(unavailableFor(42))
      expect(issuer.count('introspection')).toBe(1)
    }
  )

  test('INT-07 (RFC 9110 §10.2.3): retries a 429 once if its Retry-After is within the deadline', async () => {
    const issuer = await bed.issuer()
    issuer.script('introspection', fault.retryAfter(0))
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    issuer.script('introspection', fault.retryAfter(0), fault.retryAfter(9))
    expect(await ask(api, issuer.opaque())).toEqual(unavailableFor(9))
    expect(issuer.count('introspection')).toBe(4)
  })

  test('INT-07 (RFC 9110 §15.6.4): does not treat 500 and then the answer as an outage', async () => {
    const issuer = await bed.issuer()
    issuer.script('introspection', fault.status(500))
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque())).toEqual(granted)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-07 (RFC 9110 §15.6.4): goes on using an active answer in an outage, for as long as it may be cached', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('introspection', fault.retryAfter(60, 503))
    bed.clock.advance(29)
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(unavailableFor(60))
  })
})

describe('INT-08 (RFC 7662 §4): the checks of an active token', () => {
  const now = bed.clock.now()
  const rows: readonly [string, Record<string, unknown>, object][] = [
    ['expired', { exp: now - 60 }, denial.expired],
    ['expired by exactly the leeway', { exp: now - 30 }, denial.expired],
    ['not yet valid', { nbf: now + 31 }, denial.notYetValid],
    ['issued in the future', { iat: now + 61 }, denial.notYetValid],
    ['of another issuer', { iss: 'https://other.example' }, denial.issuer],
    ['of this issuer with a slash more', { iss: 'https://as.example.com/' }, denial.issuer],
    ['for another audience', { aud: 'other' }, denial.audience],
    ['for an audience with a slash more', { aud: `${RESOURCE}/` }, denial.audience],
    ['for no audience', { aud: [] }, denial.audience],
    ['without the scope', { scope: 'write' }, denial.scope],
    ['without any scope', { scope: undefined }, denial.scope],
    ['bound to a key', { cnf: { jkt: 'x' } }, denial.dpop],
    ['with an exp that is a string', { exp: String(now + 300) }, denial.claim],
    ['with an aud that is a number', { aud: 1 }, denial.claim],
    ['with a sub that is a number', { sub: 1 }, denial.claim],
    ['with a scope that is a number', { scope: 1 }, denial.claim],
    ['with a scope that holds a quote', { scope: 'read "x"' }, denial.claim],
    ['with a cnf that is a string', { cnf: 'x' }, denial.claim]
  ]
  test.each(rows)('INT-08 (RFC 7662 §4): refuses a token that is active, but %s', async (_, members, expected) => {
    const issuer = await bed.issuer()
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque(members))).toEqual(expected)
  })

  test('INT-08 (RFC 7662 §2.2): accepts an answer without iss, sub, client_id, iat, jti and exp', async () => {
    const issuer = await bed.issuer()
    const none = {
      iss: undefined,
      sub: undefined,
      client_id: undefined,
      iat: undefined,
      jti: undefined,
      exp: undefined
    }
    const access = await authorize(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque(none))
    expect(access).toMatchObject({ issuer: issuer.issuer, scopes: ['read'], audience: [RESOURCE] })
    expect([access.subject, access.clientId, access.expiresAt, access.issuedAt]).toEqual(Array(4).fill(undefined))
  })

  test.each([
    ['null', null],
    ['an empty text', '']
  ])(
    'INT-08 (RFC 7662 §2.2): treats members of an answer that are %s as missing, and keeps them in the claims',
    async (_, nothing) => {
      const issuer = await bed.issuer()
      const names = ['iss', 'sub', 'client_id', 'iat', 'jti', 'exp', 'nbf', 'cnf', 'auth_time']
      const members = Object.fromEntries(names.map((name) => [name, nothing]))
      const access = await authorize(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque(members))
      expect(access).toMatchObject({ issuer: issuer.issuer, scopes: ['read'], audience: [RESOURCE], confirmedBy: [] })
      const { subject, clientId, expiresAt, issuedAt, confirmation, subjectType } = access
      expect([subject, clientId, expiresAt, issuedAt, confirmation]).toEqual(Array(5).fill(undefined))
      expect(subjectType).toBe('unknown')
      expect(access.claims).toMatchObject(members)
      const unscoped = issuer.opaque({ scope: nothing })
      expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), unscoped)).toEqual(denial.scope)
    }
  )

  test('INT-09 (RFC 7662 §2.2): treats an aud that is null or empty as missing', async () => {
    const issuer = await bed.issuer()
    for (const aud of [null, '']) {
      const token = issuer.opaque({ aud })
      expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), token)).toEqual(denial.audience)
      const lenient = bed.api({ issuers: [introspecting(issuer, { allowMissingAudience: true })] })
      expect(await ask(lenient, token)).toEqual(granted)
    }
  })

  test('INT-08 (RFC 7662 §4): applies the configured leeway', async () => {
    const issuer = await bed.issuer()
    const exact = bed.api({ issuers: [introspecting(issuer)], clockTolerance: 0 })
    const token = issuer.opaque({ exp: bed.clock.now() })
    expect(await ask(exact, token)).toEqual(denial.expired)
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), token)).toEqual(granted)
  })
})

describe('INT-09 (RFC 7662 §2.2): an answer without aud', () => {
  test('INT-09 (RFC 7662 §2.2): refuses an answer without aud', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, issuer.opaque({ aud: undefined }))).toEqual(denial.audience)
  })

  test('INT-09 (RFC 7662 §2.2): accepts an answer without aud with allowMissingAudience, and still refuses another audience', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { allowMissingAudience: true })] })
    expect(await ask(api, issuer.opaque({ aud: undefined }))).toEqual(granted)
    expect(await ask(api, issuer.opaque({ aud: 'other' }))).toEqual(denial.audience)
    expect(await ask(api, issuer.opaque({ aud: [] }))).toEqual(denial.audience)
  })

  test('INT-09 (RFC 9068 §4): does not apply allowMissingAudience to JWTs', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { allowMissingAudience: true })] })
    expect(await ask(api, issuer.token({ claims: { aud: undefined } }))).toEqual(denial.audience)
  })

  test('INT-09 (RFC 7662 §2.2): accepts every audience with audience null', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { audience: null })] })
    expect(await ask(api, issuer.opaque({ aud: 'other' }))).toEqual(granted)
    expect(await ask(api, issuer.opaque({ aud: undefined }))).toEqual(granted)
  })
})

describe('INT-10 (RFC 7662 §2.2): shapes', () => {
  test.each([
    ['a string', RESOURCE],
    ['a list', [RESOURCE]],
    ['a longer list', ['https://other.example', RESOURCE]]
  ])('INT-10 (RFC 7662 §2.2): reads aud as %s', async (_, aud) => {
    const issuer = await bed.issuer()
    const access = await authorize(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque({ aud }))
    expect(access.audience).toEqual([aud].flat())
  })

  test('INT-10 (RFC 7662 §2.2): reads scope as a space-delimited string, without regard to order and repetition', async () => {
    const issuer = await bed.issuer()
    const access = await authorize(
      bed.api({ issuers: [introspecting(issuer)] }),
      issuer.opaque({ scope: 'write  read write' })
    )
    expect(access.scopes).toEqual(['write', 'read'])
  })

  test('INT-10 (RFC 7662 §2.2): accepts the Telnyx answer, with aud as a string and no sub, under an API key', async () => {
    const issuer = await bed.issuer()
    issuer.introspectionAuth = ({ headers }) => headers.authorization === 'Bearer KEY0123'
    const now = bed.clock.now()
    const answer = {
      active: true,
      aud: RESOURCE,
      client_id: 'c1',
      exp: now + 300,
      iat: now,
      iss: issuer.issuer,
      scope: 'read'
    }
    issuer.always('introspection', fault.body(answer))
    const api = bed.api({ issuers: [introspecting(issuer, { auth: bearerToken('KEY0123') })] })
    const access = await authorize(api, 'opaque-token')
    expect(access).toMatchObject({ issuer: issuer.issuer, clientId: 'c1', audience: [RESOURCE], scopes: ['read'] })
    expect(access.subject).toBeUndefined()
    expect(access.subjectType).toBe('unknown')
    expect(access.claims).toEqual(answer)
  })

  test('INT-10 (RFC 7662 §2.2): freezes the claims that a handler gets, so that no request changes the answer of the next', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ act: { sub: 'a', nested: [{ x: 1 }] } })
    const access = await authorize(api, token)
    const nested = (access.claims['act'] as { nested: [{ x: number }] }).nested
    expect(() => {
      nested[0].x = 2
    }).toThrow(TypeError)
    expect(() => (access.scopes as string[]).push('admin')).toThrow(TypeError)
    expect((await authorize(api, token)).claims).toBe(access.claims)
  })
})

describe('INT-11 (RFC 7662 §4): cached answers', () => {
  test('INT-11, DEF-09 (RFC 7662 §4): caches an active answer for 30 s, and no longer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    issuer.revoke(token)
    bed.clock.advance(29)
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    expect(issuer.count('introspection')).toBe(1)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-11 (RFC 7662 §4): caches an active answer for cacheFor', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 120 })] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(119)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(1)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-11 (RFC 7662 §4): asks on every request with cacheFor 0, and requests at one time share the answer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 0 })] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(2)
    issuer.revoke(token)
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('INT-11 (RFC 7662 §4): caches no answer past its exp', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 60 })] })
    const token = issuer.opaque({ exp: bed.clock.now() + 2 })
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(1)
    bed.clock.advance(1)
    issuer.revoke(token)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-11 (RFC 7662 §4): asks again about an expired token that its server still calls active, and refuses it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ exp: bed.clock.now() - 60 })
    expect(await ask(api, token)).toEqual(denial.expired)
    expect(await ask(api, token)).toEqual(denial.expired)
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-08 (RFC 7662 §4): checks the time again on every hit', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ nbf: bed.clock.now() + 40 })
    expect(await ask(api, token)).toEqual(denial.notYetValid)
    bed.clock.advance(15)
    expect(await ask(api, token)).toEqual(granted)
    // Set back, the clock is still within the life of the answer, but before `nbf` again.
    bed.clock.advance(-10)
    expect(await ask(api, token)).toEqual(denial.notYetValid)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('INT-08 (RFC 7662 §4): accepts a token from the cache once its time has come', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ nbf: bed.clock.now() + 40 })
    expect(await ask(api, token)).toEqual(denial.notYetValid)
    bed.clock.advance(10)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('INT-08 (RFC 7662 §4): checks audience and scope again on every hit', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const [foreign, narrow] = [issuer.opaque({ aud: 'other' }), issuer.opaque()]
    for (let i = 0; i < 2; i++) {
      expect(await ask(api, foreign)).toEqual(denial.audience)
      expect(await ask(api, narrow, scope('write'))).toMatchObject({ status: 403 })
      expect(await ask(api, narrow)).toEqual(granted)
    }
    expect(issuer.count('introspection')).toBe(2)
  })

  test('INT-11 (RFC 7662 §4): keeps separate answers for tokens whose texts end alike, however often they come', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const end = 'the-same-end-of-all-of-them'
    const reader = issuer.opaque({ scope: 'read' }, `reader-${end}`)
    const writer = issuer.opaque({ scope: 'write' }, `writer-${end}`)
    for (let i = 0; i < 4; i++) {
      expect(await ask(api, reader)).toEqual(granted)
      expect(await ask(api, writer)).toMatchObject({ status: 403 })
      expect(await ask(api, writer)).toMatchObject({ status: 403 })
      expect(await ask(api, `nobody-${end}`)).toEqual(denial.inactive)
    }
    expect(issuer.count('introspection')).toBe(3)
  })

  test('INT-10 (RFC 7662 §4): ends an answer that is found often with the rest, at the second', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 60 })] })
    const token = issuer.opaque()
    for (let i = 0; i < 5; i++) expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.verified.entries).toBe(1)
    bed.clock.advance(59)
    issuer.revoke(token)
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(api.stats().cache).toMatchObject({ active: { entries: 0 }, inactive: { entries: 1 } })
  })

  test('INT-10 (RFC 7662 §4): a clock that is set back does not lengthen an answer that is found often', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 60 })] })
    const token = issuer.opaque()
    for (let i = 0; i < 3; i++) expect(await ask(api, token)).toEqual(granted)
    issuer.revoke(token)
    bed.clock.advance(-120)
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('INT-12 (RFC 9700 §4.9.3): finds a short token by its digest alone', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({}, 'short-token-0123456789')
    for (let i = 0; i < 5; i++) expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('introspection')).toBe(1)
    expect(api.stats().cache).toMatchObject({ active: { entries: 1 }, verified: { entries: 0 } })
  })

  test('INT-11 (RFC 7662 §4): two APIs never share an answer', async () => {
    const issuer = await bed.issuer()
    const [one, other] = [0, 1].map(() => bed.api({ issuers: [introspecting(issuer)] }))
    const token = issuer.opaque()
    expect(await ask(one as never, token)).toEqual(granted)
    issuer.revoke(token)
    expect(await ask(other as never, token)).toEqual(denial.inactive)
  })

  test('INT-11, SEC-05 (RFC 7662 §4): a flood of unknown tokens evicts no active answer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    expect(await ask(api, token)).toEqual(granted)
    for (let i = 0; i < 1100; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, j) => ask(api, `junk-${i + j}`)))
    }
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    expect(api.stats().cache).toMatchObject({ active: { entries: 1 }, inactive: { entries: 1000, maxEntries: 1000 } })
  })
})

describe('INT-12 (RFC 9700 §4.9.3): secrecy of tokens', () => {
  test('INT-12, SEC-01, DEF-09 (RFC 9700 §4.9.3): no cache has a token among its keys', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const [active, unknown] = [issuer.opaque(), 'unknown-token-0123456789']
    const set = vi.spyOn(LRUCache.prototype, 'set')
    try {
      expect(await ask(api, active)).toEqual(granted)
      expect(await ask(api, unknown)).toEqual(denial.inactive)
      const keys = set.mock.calls.map(([key]) => String(key))
      // One digest of each, and the scopes that the first one has.
      expect(keys.filter((key) => /^[\w-]{43}$/.test(key))).toHaveLength(2)
      expect(keys.filter((key) => !/^[\w-]{43}$/.test(key))).toEqual(['read'])
      for (const token of [active, unknown]) expect(keys.join()).not.toContain(token)
    } finally {
      set.mockRestore()
    }
  })

  test('INT-12, SEC-01 (RFC 9700 §4.9.3): no token is in a text that is printed, serialized or counted', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    const access = await authorize(api, token)
    const error = await refusal(() => authorize(api, token, scope('write')))
    for (const one of [access, error, api, api.stats(), api.health(), { ...access }]) {
      expect(inspect(one, { depth: 9, showHidden: true })).not.toContain(token)
      expect(JSON.stringify(one) ?? '').not.toContain(token)
    }
    expect(access.token).toBe(token)
  })

  test('INT-12, SEC-01 (RFC 9700 §4.9.3): no token is in an error about the authorization server', async () => {
    const issuer = await bed.issuer()
    const token = issuer.opaque()
    for (const behaviour of [fault.status(400), fault.retryAfter(60, 503), fault.html200(), fault.reset()]) {
      issuer.always('introspection', behaviour)
      const error = await refusal(() => authorize(bed.api({ issuers: [introspecting(issuer)] }), token))
      expect(inspect(error, { depth: 9 })).not.toContain(token)
    }
  })
})

describe('INT-13 (RFC 9449 §6.2, RFC 8705 §3.2): bound tokens', () => {
  test.each([
    ['cnf.jkt', { cnf: { jkt: 'x' } }, denial.dpop],
    ['token_type DPoP', { token_type: 'DPoP' }, denial.dpop],
    ['token_type dpop', { token_type: 'dpop' }, denial.dpop],
    ['both', { cnf: { jkt: 'x' }, token_type: 'DPoP' }, denial.dpop],
    ['cnf.x5t#S256', { cnf: { 'x5t#S256': 'x' } }, denial.certificate],
    ['another member of cnf', { cnf: { jwk: {} } }, denial.claim],
    ['an empty cnf', { cnf: {} }, denial.claim]
  ])(
    'INT-13 (RFC 9449 §6.2, RFC 8705 §3.2): refuses a token with %s as a plain bearer token, cached or not',
    async (_, members, expected) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)] })
      const token = issuer.opaque(members)
      expect(await ask(api, token)).toEqual(expected)
      expect(await ask(api, token)).toEqual(expected)
    }
  )

  test.each(['Bearer', 'bearer', 'access_token', undefined])(
    'INT-13 (RFC 7662 §2.2): accepts token_type %s of an unbound token',
    async (type) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)] })
      expect(await ask(api, issuer.opaque({ token_type: type }))).toEqual(granted)
    }
  )
})

test('INT-14 (RFC 9396 §9.2): authorization_details reach the checks of a route', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [introspecting(issuer)] })
  const details = [{ type: 'payment', actions: ['initiate'], amount: { value: '1.00' } }]
  const seen: unknown[] = []
  const check = ({ claims }: { claims: Readonly<Record<string, unknown>> }) =>
    void seen.push(claims['authorization_details'])
  expect(await ask(api, issuer.opaque({ authorization_details: details }), check)).toEqual(granted)
  expect(seen).toEqual([details])
})

test.each([
  ['larger than is kept', JSON.stringify('x'.repeat(250_000))],
  ['of more objects than are kept', JSON.stringify(Array.from({ length: 2200 }, () => ({})))]
])(
  'INT-13 (RFC 7662 §4): an answer that is %s serves all requests that wait for it, and is asked for again',
  async (_, data) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({}, 'opaque-of-thirty-two-characters-or-more')
    const details = `[{"type":"x","data":${data}}]`
    const body = `{"active":true,"aud":"${RESOURCE}","scope":"read","authorization_details":${details}}`
    issuer.always('introspection', fault.status(200, { body }))
    for (let i = 0; i < 3; i++) {
      expect(await Promise.all([ask(api, token), ask(api, token)])).toEqual([granted, granted])
      expect(api.stats().cache.verified.entries).toBe(0)
    }
  }
)

test('INT-15 (RFC 9470 §6.2): acr and auth_time reach the checks of a route', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [introspecting(issuer)] })
  const members = { acr: 'urn:example:mfa', auth_time: bed.clock.now() - 5 }
  expect((await authorize(api, issuer.opaque(members))).claims).toMatchObject(members)
  expect(await ask(api, issuer.opaque({ ...members, auth_time: 'today' }))).toEqual(denial.claim)
})

describe('INT-16 (RFC 9700 §4.9.1): a token is sent to one server', () => {
  test('INT-16 (RFC 9700 §4.9.1): refuses two servers at start whose tokens cannot be told apart', () => {
    const entry = (issuer: string, tokenPrefix?: string): IssuerOptions => ({
      issuer,
      introspection: { auth: noClientAuth(), ...(tokenPrefix !== undefined && { tokenPrefix }) }
    })
    const start =
      (...prefixes: (string | undefined)[]) =>
      () =>
        resourceServer({
          resource: RESOURCE,
          issuers: prefixes.map((one, i) => entry(`https://as${i}.example.com`, one))
        })
    const clash =
      /issuers\[1\]\.introspection\.tokenPrefix` cannot tell this issuer’s opaque tokens from those of another issuer/
    expect(start(undefined, undefined)).toThrow(TypeError)
    expect(start(undefined, undefined)).toThrow(clash)
    expect(start('a_', 'a_')).toThrow(clash)
    expect(start('a_', 'a_b_')).toThrow(clash)
    expect(start('a_b_', 'a_')).toThrow(clash)
    expect(start('a_', undefined)).not.toThrow()
    expect(start('a_', 'b_', undefined)).not.toThrow()
  })

  test('INT-16 (RFC 9700 §4.9.1): sends each token to the server of its prefix, and the rest to the one without', async () => {
    const [a, b, rest] = [await bed.issuer(), await bed.issuer(), await bed.issuer()]
    const api = bed.api({
      issuers: [introspecting(rest), introspecting(a, { tokenPrefix: 'a_' }), introspecting(b, { tokenPrefix: 'b_' })]
    })
    expect(await ask(api, a.opaque({}, 'a_token'))).toEqual(granted)
    expect(await ask(api, b.opaque({}, 'b_token'))).toEqual(granted)
    expect(await ask(api, rest.opaque({}, 'c_token'))).toEqual(granted)
    for (const [issuer, token] of [
      [a, 'a_token'],
      [b, 'b_token'],
      [rest, 'c_token']
    ] as const) {
      expect(introspections(issuer).map(({ form }) => form.get('token'))).toEqual([token])
    }
  })

  test('INT-16 (RFC 9700 §4.9.1): asks no other server after "not active"', async () => {
    const [a, rest] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [introspecting(a, { tokenPrefix: 'a_' }), introspecting(rest)] })
    rest.opaque({}, 'a_token')
    expect(await ask(api, 'a_token')).toEqual(denial.inactive)
    a.always('introspection', fault.retryAfter(60, 503))
    expect(await ask(api, 'a_other')).toEqual(unavailableFor(60))
    expect(rest.requests).toEqual([])
  })

  test('INT-16 (RFC 9700 §4.9.1): refuses a token of no prefix as malformed, and asks no server', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [introspecting(a, { tokenPrefix: 'a_' }), introspecting(b, { tokenPrefix: 'b_' })] })
    expect(await ask(api, 'c_token')).toEqual(denial.malformed)
    expect([...a.requests, ...b.requests]).toEqual([])
  })

  test('INT-16 (RFC 9700 §4.9.1): refuses one server’s answer about a token of another’s name', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [introspecting(a, { tokenPrefix: 'a_' }), b.issuer] })
    expect(await ask(api, a.opaque({ iss: b.issuer }, 'a_token'))).toEqual(denial.issuer)
  })

  test('INT-16, DEF-08 (RFC 9700 §4.9.1): does not introspect a JWT that failed local verification', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const forged = issuer.token({ key: createSigningKey('ES256') })
    issuer.opaque({}, forged)
    expect(await ask(api, forged)).toEqual(denial.signature)
    expect(await ask(api, issuer.token({ header: { typ: 'JWT' } }))).toEqual(denial.type)
    expect(await ask(api, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
    expect(issuer.count('introspection')).toBe(0)
  })

  test('INT-16, DEF-08 (RFC 7662 §2.1): introspects a JWT like any other token with tokens opaque', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'opaque' })] })
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(denial.inactive)
    bed.clock.advance(10)
    issuer.opaque({}, token)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('jwks')).toBe(0)
  })

  test('INT-16 (RFC 9068 §4): introspects nothing with tokens jwt', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'jwt' })] })
    expect(await ask(api, issuer.opaque())).toEqual(denial.malformed)
    expect(issuer.count('introspection')).toBe(0)
  })
})

describe('INT-17 (RFC 9700 §4.9.1): concurrent requests', () => {
  test('INT-17 (RFC 9700 §4.9.1): sends one call for fifty requests with one token', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    const gate = issuer.hold('introspection')
    const answers = Array.from({ length: 50 }, () => ask(api, token))
    await issuer.received('introspection', 1)
    gate.release()
    expect(await Promise.all(answers)).toEqual(answers.map(() => granted))
    expect(issuer.count('introspection')).toBe(1)
  })

  test('INT-17 (RFC 9700 §4.9.1): sends 48 calls about new tokens at once, lets 192 wait, and makes room for one more', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)], http: { timeout: 20, deadline: 25 } })
    const tokens = Array.from({ length: 48 + 192 + 3 }, () => issuer.opaque())
    await api.ready()
    const gate = issuer.hold('introspection')
    const answers = tokens.map((token) => ask(api, token))
    // Those that wait longest are sent away.
    expect(await Promise.all(answers.slice(48, 51))).toEqual([unavailableFor(1), unavailableFor(1), unavailableFor(1)])
    await issuer.received('introspection', 48)
    const strangers = { underWay: 48, queued: 192 }
    const closed = { state: 'closed', limitedFor: 0 }
    expect(api.health().issuers[0]?.introspection).toEqual({ ...closed, ...strangers, strangers })
    expect(issuer.count('introspection')).toBe(48)
    gate.release()
    expect(await Promise.all([...answers.slice(0, 48), ...answers.slice(51)])).toEqual(Array(240).fill(granted))
    expect(issuer.count('introspection')).toBe(240)
    const none = { underWay: 0, queued: 0 }
    expect(api.health().issuers[0]?.introspection).toEqual({ ...closed, ...none, strangers: none })
    // Not remembered: those who were sent away get in now.
    expect(await ask(api, tokens[48])).toEqual(granted)
  })

  test('INT-17 (RFC 9700 §4.9.1): leaves a server that keeps failing alone for 5 s, then tries it with one call', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const known = issuer.opaque({}, 'known')
    await ask(api, known)
    bed.clock.advance(10)
    issuer.always('introspection', fault.retryAfter(60, 503))
    for (let i = 0; i < 20; i++) expect(await ask(api, `t${i}`)).toEqual(unavailableFor(60))
    expect(api.health()).toMatchObject({ status: 'degraded', issuers: [{ introspection: { state: 'open' } }] })
    expect(issuer.count('introspection')).toBe(21)
    // Open: no new token is asked about; what is remembered goes on.
    expect(await ask(api, 'x')).toEqual(unavailableFor(5))
    expect(await ask(api, known)).toEqual(granted)
    bed.clock.advance(3)
    expect(await ask(api, 'x')).toEqual(unavailableFor(2))
    expect(issuer.count('introspection')).toBe(21)
    // Half-open: for 5 s a token that was active before may try; none comes, then any. It fails: open again.
    bed.clock.advance(2)
    expect(api.health().issuers[0]?.introspection.state).toBe('half-open')
    expect(await ask(api, 'x')).toEqual(unavailableFor(5))
    bed.clock.advance(5)
    expect(await ask(api, 'x')).toEqual(unavailableFor(60))
    expect(await ask(api, 'x')).toEqual(unavailableFor(5))
    expect(issuer.count('introspection')).toBe(22)
    // Half-open again, and the server is well: closed. Meanwhile all others are sent away.
    bed.clock.advance(5)
    issuer.always('introspection', undefined)
    const gate = issuer.hold('introspection')
    bed.clock.advance(6)
    const probe = ask(api, known)
    await issuer.received('introspection', 23)
    expect((await ask(api, 'y')).status).toBe(503)
    gate.release()
    expect(await probe).toEqual(granted)
    expect(api.health()).toMatchObject({ status: 'ok', issuers: [{ introspection: { state: 'closed' } }] })
    expect(await ask(api, 'y')).toEqual(denial.inactive)
  })

  test('INT-17 (RFC 7662 §2.3): answers that are not outages never open the breaker', async () => {
    const issuer = await bed.issuer()
    issuer.always('introspection', fault.status(400))
    const api = bed.api({ issuers: [introspecting(issuer)] })
    for (let i = 0; i < 30; i++) expect(await ask(api, `t${i}`)).toEqual(denial.misconfigured)
    expect(api.health().issuers[0]?.introspection.state).toBe('closed')
    const failing: ClientAuth = async () => {
      throw new Error('the vault is sealed')
    }
    const mute = bed.api({ issuers: [introspecting(issuer, { auth: failing })] })
    for (let i = 0; i < 30; i++) expect(await ask(mute, `t${i}`)).toEqual(denial.misconfigured)
    expect(mute.health().issuers[0]?.introspection.state).toBe('closed')
  })

  test('INT-17 (RFC 9700 §4.9.1): a failing server of one issuer does not delay another’s', async () => {
    const [sick, well] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [introspecting(sick, { tokenPrefix: 's_' }), introspecting(well)] })
    sick.always('introspection', fault.retryAfter(60, 503))
    for (let i = 0; i < 20; i++) await ask(api, `s_${i}`)
    expect(api.health().issuers.map(({ introspection }) => introspection.state)).toEqual(['open', 'closed'])
    expect(await ask(api, well.opaque())).toEqual(granted)
  })

  test('INT-17 (RFC 9700 §4.9.1): a request that gives up does not take the call from the others', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque()
    const gate = issuer.hold('introspection')
    const first = Promise.race([ask(api, token), issuer.received('introspection', 1)])
    await first
    const second = ask(api, token)
    gate.release()
    expect(await second).toEqual(granted)
    await until(() => api.stats().cache.introspecting === 0)
    expect(issuer.count('introspection')).toBe(1)
  })
})

describe('INT-20 (RFC 9701 §8.1): an introspection response is not an access token', () => {
  test('INT-20 (RFC 9701 §8.1): refuses an introspection response as a Bearer token, though the issuer’s own key signed it', async () => {
    const issuer = await bed.issuer()
    const now = bed.clock.now()
    const token_introspection = {
      active: true,
      iss: issuer.issuer,
      aud: RESOURCE,
      sub: 'u1',
      scope: 'read',
      exp: now + 300
    }
    const { kid, alg } = issuer.key()
    const response = (typ: string, more: object) =>
      signJws(
        { typ, alg, kid },
        { iss: issuer.issuer, aud: RESOURCE, iat: now, token_introspection, ...more },
        issuer.key()
      )
    const whole = { sub: 'u1', client_id: 'c1', exp: now + 300, jti: 'j', scope: 'read' }
    const strict = bed.api({ issuers: [introspecting(issuer)] })
    const legacy = bed.api({ issuers: [introspecting(issuer, {}, { tokenProfile: 'legacy' })] })
    expect(await ask(strict, response('token-introspection+jwt', whole))).toEqual(denial.type)
    expect(await ask(legacy, response('token-introspection+jwt', whole))).toEqual(denial.type)
    expect(await ask(strict, response('application/token-introspection+jwt', whole))).toEqual(denial.type)
    expect(await ask(strict, response('at+jwt', whole))).toEqual(granted)
    expect(issuer.count('introspection')).toBe(0)
  })
})

test('SEC-04 (RFC 6750 §3): a refusal tells the log more than the client', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [introspecting(issuer)] })
  const error = (await refusal(() => api.authorize(request('unknown')))) as InvalidToken
  expect(error.reason).toBe('inactive')
  expect(error.hint).toContain('revoked')
  expect(await error.toResponse().text()).not.toContain('revoked')
})
