/** Against oidc-provider, over HTTP: an authorization server that somebody else wrote. */
import { decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { clientSecretBasic, type IssuerOptions, type ResourceServerOptions, scope } from '../../src/index.js'
import {
  API,
  type AuthorizationServer,
  callMe,
  codeFlow,
  createOAuthClient,
  type OAuthClient,
  type ProtectedApi,
  type ProtectedApiOptions,
  type ProviderAlgorithm,
  SERVICE,
  startAuthorizationServer,
  startProtectedApi
} from '../support/authorization-server.js'
import { type Clock, createClock } from '../support/issuer.js'

const ALGORITHMS: readonly ProviderAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']
const jwtResource = (algorithm: ProviderAlgorithm): string => `https://api.example.com/${algorithm.toLowerCase()}`
/** An app whose users get refresh tokens. */
const APP = { clientId: 'app', redirectUri: 'http://127.0.0.1/app' }
const OPAQUE = 'https://api.example.com/opaque'
const OTHER_OPAQUE = 'https://api.example.com/other-opaque'

let as: AuthorizationServer
let client: OAuthClient
let clock: Clock
const open: ProtectedApi[] = []

beforeAll(async () => {
  as = await startAuthorizationServer({
    signingAlgorithms: ALGORITHMS,
    clients: [
      {
        client_id: APP.clientId,
        redirect_uris: [APP.redirectUri],
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token']
      }
    ],
    configure: (configuration) => ({
      ...configuration,
      issueRefreshToken: (_, { clientId }) => clientId === APP.clientId,
      ttl: { ...configuration.ttl, RefreshToken: 3600 }
    })
  })
  for (const algorithm of ALGORITHMS) as.resources.set(jwtResource(algorithm), { scopes: ['read', 'write'], algorithm })
  for (const resource of [OPAQUE, OTHER_OPAQUE])
    as.resources.set(resource, { scopes: ['read', 'write'], format: 'opaque' })
  client = await createOAuthClient(as)
})
afterAll(() => as.close())
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

const introspection: NonNullable<IssuerOptions['introspection']> = {
  clientId: API.client_id,
  auth: clientSecretBasic(API.client_secret)
}

/** An API under this identifier, whose clock starts at the authorization server's time. */
async function startApi(
  resource: string,
  issuer: Partial<IssuerOptions> = {},
  options: Partial<Omit<ResourceServerOptions, 'issuers'>> & Pick<ProtectedApiOptions, 'requirements'> = {}
): Promise<ProtectedApi> {
  clock = createClock(Math.floor(Date.now() / 1000))
  const api = await startProtectedApi({
    requirements: [scope('read')],
    ...options,
    resource,
    issuer: { issuer: as.issuer, ...issuer },
    now: clock.now
  })
  open.push(api)
  return api
}

/** The authorization server's own answer about a token, asked as the API asks. */
async function introspect(token: string): Promise<{ status: number; body: unknown }> {
  const encode = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1)
  const credentials = `${encode(API.client_id)}:${encode(API.client_secret)}`
  const response = await fetch(`${as.issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams({ token })
  })
  return { status: response.status, body: await response.json() }
}

function challenge(resource: string, error: string, description: string, needed = 'read'): string {
  const metadata = `https://api.example.com/.well-known/oauth-protected-resource${new URL(resource).pathname}`
  return `Bearer error="${error}", error_description="${description}", scope="${needed}", resource_metadata="${metadata}"`
}

function invalidToken(resource: string, description: string): Awaited<ReturnType<typeof callMe>> {
  return {
    status: 401,
    challenge: challenge(resource, 'invalid_token', description),
    body: { error: 'invalid_token', error_description: description }
  }
}

describe.each(ALGORITHMS)('oidc-provider: JWT access tokens with %s', (algorithm) => {
  const resource = jwtResource(algorithm)

  test(`ATV-05 ATV-13 (RFC 9068 §2.2): accepts a service's own token, whose subject is the client`, async () => {
    const { origin } = await startApi(resource)
    const token = await client.clientCredentials(resource, 'read')
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: algorithm, typ: 'at+jwt' })
    expect(await callMe(origin, token)).toEqual({
      status: 200,
      challenge: null,
      body: {
        issuer: as.issuer,
        subject: SERVICE.client_id,
        subjectType: 'client',
        clientId: SERVICE.client_id,
        audience: [resource],
        scopes: ['read']
      }
    })
  })

  test(`ATV-05 (RFC 9068 §4): accepts a user's token, which a client got by code and PKCE`, async () => {
    const { origin } = await startApi(resource)
    const { accessToken } = await client.authorizationCode(resource, 'read write')
    expect(await callMe(origin, accessToken)).toMatchObject({
      status: 200,
      body: { subject: 'alice', subjectType: 'unknown', scopes: ['read', 'write'] }
    })
  })

  test('ATV-11 (RFC 9068 §5): refuses an ID token that was signed with the same keys', async () => {
    const { origin } = await startApi(resource)
    const { idToken } = await client.authorizationCode(resource, 'read')
    expect(await callMe(origin, idToken)).toEqual(invalidToken(resource, 'The token is not an access token'))
  })

  test('ATV-04 (RFC 9068 §4): refuses a token for another resource of the same server', async () => {
    const { origin } = await startApi('https://api.example.com/other')
    const token = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, token)).toEqual(
      invalidToken('https://api.example.com/other', 'The access token audience is not accepted')
    )
  })

  test('SCP-06 (RFC 6750 §3.1): refuses a token without the scope with 403', async () => {
    const { origin } = await startApi(resource)
    const token = await client.clientCredentials(resource, 'write')
    expect(await callMe(origin, token)).toEqual({
      status: 403,
      challenge: challenge(resource, 'insufficient_scope', 'The access token lacks a required scope'),
      body: { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' }
    })
  })
})

describe('oidc-provider: ID tokens under the legacy profile', () => {
  test('ATV-12 (RFC 8725 §3.12): refuses an ID token under the legacy profile too, though its typ may pass', async () => {
    const resource = jwtResource('RS256')
    const { origin } = await startApi(resource, { tokenProfile: 'legacy' })
    const { idToken } = await client.authorizationCode(resource, 'read')
    const { status, challenge: line } = await callMe(origin, idToken)
    expect(status).toBe(401)
    expect(line).toMatch(/^Bearer error="invalid_token", /)
  })
})

describe('oidc-provider: opaque tokens', () => {
  test(`INT-02 INT-08 (RFC 7662 §2): introspects and accepts a service's opaque token`, async () => {
    // The API's secret has characters that client_secret_basic must form-encode (RFC 6749 §2.3.1).
    expect(API.client_secret).toMatch(/[+/=]/)
    const { origin } = await startApi(OPAQUE, { introspection })
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(token).not.toContain('.')
    expect(await callMe(origin, token)).toEqual({
      status: 200,
      challenge: null,
      body: {
        issuer: as.issuer,
        clientId: SERVICE.client_id,
        subjectType: 'unknown',
        audience: [OPAQUE],
        scopes: ['read']
      }
    })
  })

  test(`INT-08 (RFC 7662 §2): introspects and accepts a user's opaque token`, async () => {
    const { origin } = await startApi(OPAQUE, { introspection })
    const { accessToken } = await client.authorizationCode(OPAQUE, 'read')
    expect(await callMe(origin, accessToken)).toMatchObject({
      status: 200,
      body: { subject: 'alice', subjectType: 'unknown', scopes: ['read'] }
    })
  })

  test('INT-08 (RFC 7662 §4): refuses an active token for another resource', async () => {
    const { origin } = await startApi(OPAQUE, { introspection })
    const token = await client.clientCredentials(OTHER_OPAQUE, 'read')
    expect(await callMe(origin, token)).toEqual(invalidToken(OPAQUE, 'The access token audience is not accepted'))
  })

  test('INT-06 (RFC 7662 §2.2): refuses a token that the server never issued', async () => {
    const { origin } = await startApi(OPAQUE, { introspection })
    expect(await callMe(origin, 'nobody-ever-issued-this')).toEqual(
      invalidToken(OPAQUE, 'The access token is not active')
    )
  })

  test('INT-07 (RFC 7662 §2.3): treats a refusal of our own credentials as our misconfiguration, not as the client’s fault', async () => {
    const { origin } = await startApi(OPAQUE, { introspection: { ...introspection, auth: clientSecretBasic('wrong') } })
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toEqual({ status: 500, challenge: null, body: { error: 'server_error' } })
  })

  test('INT-11 (RFC 7662 §4): sees a revocation by the client once the cached answer has aged', async () => {
    const { origin } = await startApi(OPAQUE, { introspection })
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toMatchObject({ status: 200 })
    await client.revoke(token)
    clock.advance(29)
    expect(await callMe(origin, token)).toMatchObject({ status: 200 })
    clock.advance(1)
    expect(await callMe(origin, token)).toEqual(invalidToken(OPAQUE, 'The access token is not active'))
  })

  test('INT-11 (RFC 7662 §4): sees a revocation by an administrator at once with cacheFor 0', async () => {
    const { origin } = await startApi(OPAQUE, { introspection: { ...introspection, cacheFor: 0 } })
    const { accessToken } = await client.authorizationCode(OPAQUE, 'read')
    expect(await callMe(origin, accessToken)).toMatchObject({ status: 200 })
    await as.revoke(accessToken)
    expect(await callMe(origin, accessToken)).toEqual(invalidToken(OPAQUE, 'The access token is not active'))
  })

  test('verifies a JWT locally and introspects other tokens, where an API takes both kinds', async () => {
    const resource = jwtResource('ES256')
    const { origin } = await startApi(resource, { audience: [resource, OPAQUE], introspection, tokens: 'both' })
    const jwt = await client.clientCredentials(resource, 'read')
    const opaque = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, jwt)).toMatchObject({ status: 200, body: { audience: [resource] } })
    expect(await callMe(origin, opaque)).toMatchObject({ status: 200, body: { audience: [OPAQUE] } })
  })

  test('INT-08 INT-09 (RFC 7662 §4): refuses a refresh token, which this server calls active, because it has no audience', async () => {
    const { origin } = await startApi(OPAQUE, { introspection })
    const tokens = await codeFlow(as, APP, { resource: OPAQUE, scope: 'openid read' })
    const refreshToken = String(tokens['refresh_token'])
    expect(await introspect(refreshToken)).toMatchObject({ status: 200, body: { active: true, scope: 'openid read' } })
    expect(await callMe(origin, String(tokens['access_token']))).toMatchObject({ status: 200 })
    expect(await callMe(origin, refreshToken)).toEqual(
      invalidToken(OPAQUE, 'The access token audience is not accepted')
    )
  })

  test('INT-09: accepts a refresh token of this server with `allowMissingAudience`: its answer does not name the kind', async () => {
    const allowing = { ...introspection, allowMissingAudience: true }
    const { origin } = await startApi(OPAQUE, { introspection: allowing })
    const { refresh_token: refreshToken } = await codeFlow(as, APP, { resource: OPAQUE, scope: 'openid read' })
    const { body } = await introspect(String(refreshToken))
    for (const name of ['token_type', 'token_use', 'typ', 'aud']) expect(body).not.toHaveProperty(name)
    expect(await callMe(origin, String(refreshToken))).toMatchObject({ status: 200 })
  })

  test('DEN-04: refuses a refresh token as malformed where an API takes only JWTs, and sends it nowhere', async () => {
    const resource = jwtResource('ES256')
    const { origin } = await startApi(resource)
    const tokens = await codeFlow(as, APP, { resource, scope: 'openid read' })
    expect(await callMe(origin, String(tokens['access_token']))).toMatchObject({ status: 200 })
    expect(await callMe(origin, String(tokens['refresh_token']))).toEqual(
      invalidToken(resource, 'The access token is malformed')
    )
  })

  test('JOS-15 DEN-04: refuses an opaque token as malformed without introspection', async () => {
    const { origin } = await startApi(OPAQUE)
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toEqual(invalidToken(OPAQUE, 'The access token is malformed'))
  })
})

describe('oidc-provider: its introspection endpoint', () => {
  test('oidc-provider refuses to introspect a JWT with 400 unsupported_token_type', async () => {
    const token = await client.clientCredentials(jwtResource('ES256'), 'read')
    expect(await introspect(token)).toEqual({
      status: 400,
      body: {
        error: 'unsupported_token_type',
        error_description: 'Structured JWT Tokens cannot be introspected via the introspection_endpoint'
      }
    })
  })

  test('INT-07 ASQ-17: treats JWTs with `tokens: "opaque"` as a misconfiguration, and gives no verdict on the token', async () => {
    const resource = jwtResource('ES256')
    const { origin } = await startApi(resource, { introspection, tokens: 'opaque' })
    const token = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, token)).toEqual({ status: 500, challenge: null, body: { error: 'server_error' } })
  })
})

describe('oidc-provider: a JWT among opaque tokens that are introspected', () => {
  test('INT-07: answers 401 and warns once the server answered about another token, and does not remember the JWT as inactive', async () => {
    const resource = jwtResource('ES256')
    const audience = [resource, OPAQUE]
    const { api, origin } = await startApi(resource, { introspection, tokens: 'opaque', audience })
    const opaque = await client.clientCredentials(OPAQUE, 'read')
    const jwt = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, opaque)).toMatchObject({ status: 200 })
    for (let i = 0; i < 2; i++)
      expect(await callMe(origin, jwt)).toEqual(invalidToken(resource, 'The access token is not active'))
    expect(api.health().issuers[0]?.warnings).toHaveLength(1)
    expect(api.stats().cache.inactive.entries).toBe(0)
  })
})

describe('oidc-provider: key rotation', () => {
  test('KEY-07 KEY-09 (OIDC Core §10.1.1): accepts every good token while keys are published, switched and retired under traffic', async () => {
    const resource = jwtResource('ES256')
    const { origin, api } = await startApi(resource)
    const [before] = as.keyIds().filter((kid) => kid.startsWith('ES256'))
    const seen = new Map<string, number>()
    const refusals: unknown[] = []
    const tokens: string[] = []
    let answered = 0
    let going = true
    let oldTokens = true

    const kidOf = (token: string): string => String(decodeProtectedHeader(token).kid)
    const oldToken = (): string | undefined => tokens.find((token) => kidOf(token) === before)
    const worker = async (): Promise<void> => {
      for (let i = 0; going; i++) {
        // Every other request is with a token from before, of whichever key.
        const kept = tokens.filter((token) => oldTokens || kidOf(token) !== before)
        const token = (i % 2 ? kept[i % kept.length] : undefined) ?? (await client.clientCredentials(resource, 'read'))
        if (i % 2 === 0) tokens.push(token)
        const answer = await callMe(origin, token)
        seen.set(kidOf(token), (seen.get(kidOf(token)) ?? 0) + 1)
        if (answer.status !== 200) refusals.push({ kid: kidOf(token), ...answer })
        answered++
      }
    }
    const more = async (count: number): Promise<void> => {
      const enough = answered + count
      while (answered < enough)
        await callMe(origin, tokens.at(-1) ?? (await client.clientCredentials(resource, 'read')))
    }

    const traffic = Promise.all([worker(), worker(), worker(), worker()])
    try {
      await more(20)
      await as.rotate('publish', ['ES256'])
      await more(20)
      await as.rotate('switch', ['ES256'])
      await more(20)
      const [after] = as.keyIds().filter((kid) => kid.startsWith('ES256'))
      expect(after).not.toBe(before)
      // Both keys are in use: tokens of the old one, and since the switch those of the new one.
      expect([...seen.keys()].sort()).toEqual([before, after].sort())
      // An old key may go when its tokens have gone; from here on none is sent.
      oldTokens = false
      await more(20)
      await as.rotate('retire', ['ES256'])
      await more(20)
      // The set that is held still has the old key, and what was verified with it is remembered for 300 s…
      clock.advance(400)
      expect(await callMe(origin, oldToken())).toMatchObject({ status: 200 })
      // … but not longer than the key is published: now the set is renewed, under the same traffic.
      clock.advance(250)
      await more(20)
    } finally {
      going = false
      await traffic
    }
    expect(refusals).toEqual([])
    expect(answered).toBeGreaterThan(100)

    expect(await callMe(origin, oldToken())).toEqual(
      invalidToken(resource, 'The access token signature could not be verified')
    )
    expect(api.health().status).toBe('ok')
  })

  test('KEY-08 DEN-16: verifies with known keys while the server is down, and answers 503 where it must introspect', async () => {
    const resource = jwtResource('ES256')
    const { origin } = await startApi(
      resource,
      { audience: [resource, OPAQUE], introspection },
      { http: { timeout: 1, deadline: 1 } }
    )
    const known = await client.clientCredentials(resource, 'read')
    const unseen = await client.clientCredentials(resource, 'read')
    const opaque = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, known)).toMatchObject({ status: 200 })
    await as.stop()
    try {
      expect(await callMe(origin, unseen)).toMatchObject({ status: 200 })
      expect(await callMe(origin, opaque)).toEqual({
        status: 503,
        challenge: null,
        body: { error: 'temporarily_unavailable' }
      })
    } finally {
      await as.start()
    }
    expect(await callMe(origin, unseen)).toMatchObject({ status: 200 })
  })
})
