/**
 * Against oauth4webapi, a client library that is strict about the RFCs: it finds and accepts our metadata, parses our
 * challenges, and where it takes the part of a resource server itself, we accept all that it accepts.
 */
import * as oauth from 'oauth4webapi'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { scope } from '../../src/index.js'
import {
  callMe,
  type ProtectedApi,
  type ProtectedApiOptions,
  startProtectedApi
} from '../support/authorization-server.js'
import { ALGORITHMS, createSigningKey, startIssuer, type TestIssuer } from '../support/issuer.js'

const loopback = { [oauth.allowInsecureRequests]: true } as const

let issuer: TestIssuer
let running: ProtectedApi | undefined

beforeEach(async () => {
  issuer = await startIssuer({ algorithms: ALGORITHMS })
})
afterEach(async () => {
  await running?.close()
  running = undefined
  await issuer.close()
})

async function startApi(options: Partial<ProtectedApiOptions> = {}): Promise<ProtectedApi> {
  running = await startProtectedApi({ issuer: { issuer: issuer.issuer }, requirements: [scope('read')], ...options })
  return running
}

/** A token for the running API. */
function tokenFor({ api }: ProtectedApi, overrides: Parameters<TestIssuer['token']>[0] = {}): string {
  return issuer.token({ ...overrides, claims: { aud: api.resource, ...overrides.claims } })
}

describe('oauth4webapi: RFC 9728 metadata', () => {
  test.each(['', '/', '/v1', '/v1/', '/tenant/orders', '/v1?tenant=a'])(
    'PRM-02 PRM-03 (RFC 9728 §3.1, §3.3): oauth4webapi finds and accepts the document of a resource at "%s"',
    async (path) => {
      const { api } = await startApi({ path, metadata: { resource_name: 'Orders', 'resource_name#it': 'Ordini' } })
      const identifier = new URL(api.resource)
      const response = await oauth.resourceDiscoveryRequest(identifier, loopback)
      const metadata = await oauth.processResourceDiscoveryResponse(identifier, response)
      expect(metadata).toEqual({
        resource: api.resource,
        authorization_servers: [issuer.issuer],
        scopes_supported: ['read'],
        bearer_methods_supported: ['header'],
        resource_name: 'Orders',
        'resource_name#it': 'Ordini'
      })
    }
  )

  test('PRM-06 (RFC 9728 §2): oauth4webapi gets from the document to the authorization server’s metadata', async () => {
    const { api } = await startApi()
    const identifier = new URL(api.resource)
    const response = await oauth.resourceDiscoveryRequest(identifier, loopback)
    const { authorization_servers: servers = [] } = await oauth.processResourceDiscoveryResponse(identifier, response)
    const as = new URL(String(servers[0]))
    const discovery = await oauth.discoveryRequest(as, { algorithm: 'oauth2', ...loopback })
    expect(await oauth.processDiscoveryResponse(as, discovery)).toMatchObject({ issuer: issuer.issuer })
  })

  test('PRM-18 (RFC 9728 §3.3): oauth4webapi finds no document of another resource on the same host', async () => {
    const { origin } = await startApi({ path: '/v1' })
    const other = new URL(`${origin}/v10`)
    const response = await oauth.resourceDiscoveryRequest(other, loopback)
    expect(response.status).toBe(404)
    await expect(oauth.processResourceDiscoveryResponse(other, response)).rejects.toThrow(/unexpected HTTP status/)
  })
})

describe('oauth4webapi: challenges', () => {
  /** The challenges it finds in the answer to a request with this token. */
  async function challenges(origin: string, token: string): Promise<{ status: number; parsed: unknown }> {
    const error: unknown = await oauth
      .protectedResourceRequest(token, 'GET', new URL('/me', origin), undefined, undefined, loopback)
      .then(
        (response) => new Error(`answered ${response.status} without a challenge`),
        (reason: unknown) => reason
      )
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error
    return { status: error.status, parsed: error.cause }
  }

  const bearer = (api: ProtectedApi, parameters: Record<string, string>): unknown => [
    { scheme: 'bearer', parameters: { ...parameters, resource_metadata: api.api.metadata?.url } }
  ]

  test('HTTP-01 HTTP-04 (RFC 6750 §3): oauth4webapi parses every parameter of a 401', async () => {
    const api = await startApi()
    const expected: readonly (readonly [string, string])[] = [
      ['garbage', 'The access token is malformed'],
      [tokenFor(api, { claims: { exp: 1_700_000_000 } }), 'The access token expired'],
      [tokenFor(api, { claims: { aud: 'https://other.example' } }), 'The access token audience is not accepted'],
      [tokenFor(api, { header: { typ: 'JWT' } }), 'The token is not an access token'],
      [
        tokenFor(api, { key: createSigningKey('ES256', { kid: 'stranger' }) }),
        'The access token signature could not be verified'
      ],
      [tokenFor(api, { claims: { cnf: { jkt: 'x' } } }), 'DPoP-bound access token used with the Bearer scheme']
    ]
    for (const [token, description] of expected) {
      expect(await challenges(api.origin, token)).toEqual({
        status: 401,
        parsed: bearer(api, { error: 'invalid_token', error_description: description, scope: 'read' })
      })
    }
  })

  test('HTTP-12 SCP-06 (RFC 6750 §3.1): oauth4webapi parses the scopes of a 403', async () => {
    const api = await startApi({ requirements: [scope('read', 'orders:write')] })
    expect(await challenges(api.origin, tokenFor(api))).toEqual({
      status: 403,
      parsed: bearer(api, {
        error: 'insufficient_scope',
        error_description: 'The access token lacks a required scope',
        scope: 'read orders:write'
      })
    })
  })

  test('TRN-07 (RFC 6750 §3.1): oauth4webapi parses the challenge of a 400', async () => {
    const api = await startApi()
    expect(await challenges(api.origin, 'two parts')).toEqual({
      status: 400,
      parsed: bearer(api, { error: 'invalid_request', error_description: 'Malformed Authorization header' })
    })
  })

  test('HTTP-06 HTTP-11 (RFC 9110 §5.6.4): oauth4webapi reads a realm with quotes and backslashes as it was configured', async () => {
    const realm = 'the "best" \\ API, v=1'
    const api = await startApi({ realm })
    expect(await challenges(api.origin, 'garbage')).toEqual({
      status: 401,
      parsed: bearer(api, {
        realm,
        error: 'invalid_token',
        error_description: 'The access token is malformed',
        scope: 'read'
      })
    })
  })

  test('HTTP-03 (RFC 6750 §3.1): oauth4webapi parses the challenge without an error of a request without credentials', async () => {
    const api = await startApi()
    // No request of the library comes without credentials, so one of its readers is given the answer.
    const answer = oauth.processRevocationResponse(await fetch(new URL('/me', api.origin)))
    const error: unknown = await answer.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(oauth.WWWAuthenticateChallengeError)
    expect(error).toMatchObject({ status: 401, cause: bearer(api, { scope: 'read' }) })
  })

  test('DEN-16 (RFC 9110 §15.6.4): answers an outage without a challenge', async () => {
    const api = await startApi({ http: { timeout: 1, deadline: 1 } })
    const token = tokenFor(api)
    await issuer.close()
    const response = await oauth.protectedResourceRequest(
      token,
      'GET',
      new URL('/me', api.origin),
      undefined,
      undefined,
      loopback
    )
    expect([response.status, await response.json()]).toEqual([503, { error: 'temporarily_unavailable' }])
  })

  test('lets a valid token through to the API', async () => {
    const api = await startApi()
    const response = await oauth.protectedResourceRequest(
      tokenFor(api),
      'GET',
      new URL('/me', api.origin),
      undefined,
      undefined,
      loopback
    )
    expect(await response.json()).toMatchObject({ subject: 'u1' })
  })
})

describe('oauth4webapi: as a resource server itself', () => {
  /** Whether its strict validation of RFC 9068 access tokens accepts a token. */
  async function accepts(token: string, audience: string): Promise<boolean> {
    const as: oauth.AuthorizationServer = { issuer: issuer.issuer, jwks_uri: String(issuer.metadata['jwks_uri']) }
    const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } })
    try {
      await oauth.validateJwtAccessToken(as, request, audience, {
        signingAlgorithms: [...ALGORITHMS],
        [oauth.clockTolerance]: 30,
        ...loopback
      })
      return true
    } catch {
      return false
    }
  }

  test.each(ALGORITHMS)('ATV-05 (RFC 9068 §4): oauth4webapi and this package accept a %s token', async (alg) => {
    const api = await startApi()
    const token = tokenFor(api, { alg })
    expect(await accepts(token, api.api.resource)).toBe(true)
    expect(await callMe(api.origin, token)).toMatchObject({ status: 200, body: { subject: 'u1' } })
  })

  test('ATV-01 ATV-03 ATV-04 ATV-06 ATV-08 ATV-09 (RFC 9068 §4): accepts every token that oauth4webapi accepts, except for the claims listed', async () => {
    const api = await startApi({ requirements: [] })
    const { resource } = api.api
    const now = Math.floor(Date.now() / 1000)
    const variants: readonly Parameters<TestIssuer['token']>[0][] = [
      ...['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+JWT', 'JWT', 'text/at+jwt', '', 7].map((typ) => ({
        header: { typ }
      })),
      ...[{ kid: undefined }, { kid: 'k99' }, { kid: 7 }, { crit: ['x'] }, { b64: true }, { x: 1 }, { cty: 'JWT' }].map(
        (header) => ({ header })
      ),
      ...['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', 'scope'].flatMap((name) =>
        [undefined, null, '', 7, 'x', [], {}].map((value) => ({ claims: { [name]: value } }))
      ),
      ...[[resource], ['https://x.example', resource], [resource, 7], `${resource}/`].map((aud) => ({
        claims: { aud }
      })),
      ...[-3600, -100, 20, 100, 3600].flatMap((offset) =>
        ['exp', 'nbf', 'iat'].flatMap((name) => [
          { claims: { [name]: now + offset } },
          { claims: { [name]: now + offset + 0.5 } }
        ])
      ),
      ...[{ act: { sub: 'x' } }, { roles: ['a'] }, { auth_time: now }, { nonce: 'n' }, { events: {} }].map(
        (claims) => ({
          claims
        })
      )
    ]
    // Where it looks less closely than RFC 7519 §4.1, RFC 6749 §3.3 and our limit for `iat` ask.
    const stricter: readonly Record<string, unknown>[] = [
      { sub: '' },
      { client_id: '' },
      { jti: '' },
      { scope: 7 },
      { scope: {} },
      { aud: [resource, 7] },
      { iat: now + 100 },
      { iat: now + 100.5 },
      { iat: now + 3600 },
      { iat: now + 3600.5 }
    ]
    const refused: unknown[] = []
    let accepted = 0
    for (const variant of variants) {
      const token = tokenFor(api, variant)
      if (!(await accepts(token, resource))) continue
      accepted++
      if ((await callMe(api.origin, token)).status !== 200) refused.push(variant)
    }
    expect(refused).toEqual(stricter.map((claims) => ({ claims })))
    expect(accepted).toBeGreaterThan(20)
    expect(variants.length - accepted).toBeGreaterThan(40)
  })
})
