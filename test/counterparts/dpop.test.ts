/**
 * DPoP (RFC 9449) with others' code at both ends: oidc-provider binds tokens to keys, oauth4webapi and openid-client make
 * the proofs and repeat a request that is told to use a nonce. And with several processes at ours.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { clientSecretBasic, type DpopOptions, type IssuerOptions, scope } from '../../src/index.js'
import {
  API,
  type AuthorizationServer,
  type ProtectedApi,
  SERVICE,
  startAuthorizationServer,
  startProtectedApi
} from '../support/authorization-server.js'
import { createDpopKey } from '../support/dpop.js'
import { startIssuer } from '../support/issuer.js'

const loopback = { [oauth.allowInsecureRequests]: true } as const
const introspection: NonNullable<IssuerOptions['introspection']> = {
  clientId: API.client_id,
  auth: clientSecretBasic(API.client_secret)
}
const ME = { status: 200, body: { clientId: SERVICE.client_id, scopes: ['read'] } }

const open: ProtectedApi[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

/** An API that this server issues tokens for, in one of its formats. */
async function startApi(
  as: AuthorizationServer,
  format: 'jwt' | 'opaque',
  dpop: DpopOptions,
  now?: () => number
): Promise<ProtectedApi> {
  const api = await startProtectedApi({
    ...(now && { now }),
    issuer: { issuer: as.issuer, ...(format === 'opaque' && { introspection }) },
    requirements: [scope('read')],
    dpop: { advertise: true, ...dpop }
  })
  open.push(api)
  as.resources.set(api.api.resource, { scopes: ['read', 'write'], format, algorithm: 'ES256' })
  return api
}

const CONFIGURED = [
  ['without nonces of its own', false],
  ['with nonces of its own', true]
] as const

describe.each(CONFIGURED)('oidc-provider %s', (_title, ownNonces) => {
  let as: AuthorizationServer
  beforeAll(async () => {
    as = await startAuthorizationServer({
      signingAlgorithms: ['ES256'],
      configure: (configuration) => ({
        ...configuration,
        enabledJWA: {
          ...configuration.enabledJWA,
          dPoPSigningAlgValues: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
        },
        features: {
          ...configuration.features,
          dPoP: ownNonces
            ? { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true }
            : { enabled: true }
        }
      })
    })
  })
  afterAll(() => as.close())

  /** A client of oauth4webapi with a key of its own: what its token, its calls and their answers are. */
  async function createClient({ api }: ProtectedApi, alg = 'ES256') {
    const issuer = new URL(as.issuer)
    const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback })
    const server = await oauth.processDiscoveryResponse(issuer, discovered)
    const client: oauth.Client = { client_id: SERVICE.client_id }
    const keys = await oauth.generateKeyPair(alg)
    const DPoP = oauth.DPoP(client, keys)
    const ask = async (): Promise<oauth.TokenEndpointResponse> => {
      const response = await oauth.clientCredentialsGrantRequest(
        server,
        client,
        oauth.ClientSecretBasic(SERVICE.client_secret),
        new URLSearchParams({ resource: api.resource, scope: 'read' }),
        { DPoP, ...loopback }
      )
      return oauth.processClientCredentialsResponse(server, client, response)
    }
    const tokens = await retried(ask)
    expect(tokens.token_type).toBe('dpop')
    const call = (method = 'GET', path = '/me', handle: typeof DPoP | undefined = DPoP): Promise<Response> =>
      oauth.protectedResourceRequest(
        tokens.access_token,
        method,
        new URL(path, api.resource),
        undefined,
        undefined,
        handle ? { DPoP: handle, ...loopback } : loopback
      )
    return { token: tokens.access_token, DPoP, call, client }
  }

  /** As its documentation says: once more if the error is one of nonces. */
  async function retried<T>(attempt: () => Promise<T>): Promise<T> {
    return attempt().catch((error: unknown) => {
      if (!oauth.isDPoPNonceError(error)) throw error
      return attempt()
    })
  }

  const seen = async (response: Response): Promise<unknown> => ({
    status: response.status,
    body: await response.json()
  })

  for (const format of ['jwt', 'opaque'] as const) {
    test(`DPP-18 DPP-36: accepts oauth4webapi's proofs for its ${format} tokens, each with its own key`, async () => {
      const api = await startApi(as, format, {})
      for (const alg of ['ES256', 'Ed25519', 'PS256', 'RS256']) {
        const { call } = await createClient(api, alg)
        for (const path of ['/me', '/me?a=b']) expect(await seen(await call('GET', path)), alg).toMatchObject(ME)
        expect((await call('HEAD')).status).toBe(200)
      }
    })

    test(`DPP-13 DPP-38 DEN-24 (RFC 9449 §9): oauth4webapi repeats a request with the nonce of the challenge, with ${format} tokens`, async () => {
      const api = await startApi(as, format, { nonces: 'required' })
      const { call } = await createClient(api)
      const error: unknown = await call().catch((reason: unknown) => reason)
      expect(oauth.isDPoPNonceError(error)).toBe(true)
      expect((error as oauth.WWWAuthenticateChallengeError).cause).toEqual([
        {
          scheme: 'dpop',
          parameters: {
            error: 'use_dpop_nonce',
            error_description: 'Resource server requires nonce in DPoP proof',
            algs: 'ES256 EdDSA Ed25519 PS256 RS256',
            resource_metadata: api.api.metadata?.url
          }
        }
      ])
      // From here on it knows.
      for (const _ of [1, 2, 3]) expect(await seen(await call())).toMatchObject(ME)
    })

    test(`DPP-25 DEN-21: refuses ${format} tokens without their proof, and with a proof by another key`, async () => {
      const api = await startApi(as, format, {})
      const { call, token, client } = await createClient(api)
      const error: unknown = await oauth
        .protectedResourceRequest(token, 'GET', new URL('/me', api.origin), undefined, undefined, loopback)
        .catch((reason: unknown) => reason)
      expect((error as oauth.WWWAuthenticateChallengeError).cause).toMatchObject([
        { scheme: 'bearer', parameters: { error: 'invalid_token' } },
        { scheme: 'dpop', parameters: { scope: 'read', algs: 'ES256 EdDSA Ed25519 PS256 RS256' } }
      ])
      const thief = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
      const stolen: unknown = await call('GET', '/me', thief).catch((reason: unknown) => reason)
      expect((stolen as oauth.WWWAuthenticateChallengeError).cause).toMatchObject([
        { scheme: 'dpop', parameters: { error: 'invalid_token', error_description: 'Invalid DPoP key binding' } }
      ])
      expect(await seen(await call())).toMatchObject(ME)
    })

    test(`DPP-13 DPP-29 DPP-30: openid-client repeats a request itself, and takes the next nonce from a successful answer: ${format}`, async () => {
      let ahead = 0
      const api = await startApi(as, format, { nonces: 'required' }, () => Date.now() / 1000 + ahead)
      const config = await openid.discovery(
        new URL(as.issuer),
        SERVICE.client_id,
        undefined,
        openid.ClientSecretBasic(SERVICE.client_secret),
        { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] }
      )
      const sent: string[] = []
      config[openid.customFetch] = async (url, options) => {
        const response = await fetch(url, options as RequestInit)
        if (String(url).startsWith(api.origin)) sent.push(String(response.status))
        return response
      }
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
      const { access_token: token } = await openid.clientCredentialsGrant(
        config,
        { resource: api.api.resource, scope: 'read' },
        { DPoP }
      )
      const call = (): Promise<Response> =>
        openid.fetchProtectedResource(config, token, new URL('/me', api.origin), 'GET', undefined, undefined, { DPoP })
      expect(await seen(await call())).toMatchObject(ME)
      expect(sent).toEqual(['401', '200'])
      expect(await seen(await call())).toMatchObject(ME)
      expect(sent).toEqual(['401', '200', '200'])
      // A nonce lasts 300 s. It is followed by another one in time, and there is no refusal any more.
      for (ahead = 200; ahead <= 1000; ahead += 200) expect(await seen(await call())).toMatchObject(ME)
      expect(sent.slice(3)).toEqual(['200', '200', '200', '200', '200'])
    })
  }

  test('DPP-31 (RFC 9449 §9): refuses a nonce of the authorization server', async () => {
    const api = await startApi(as, 'jwt', { nonces: 'required' })
    const given = await fetch(`${as.issuer}/token`, {
      method: 'POST',
      headers: { dpop: createDpopKey().proof({ method: 'POST', url: `${as.issuer}/token`, at: Date.now() / 1000 }) },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...SERVICE })
    })
    const nonce = given.headers.get('dpop-nonce') ?? 'none'
    expect(nonce === 'none').toBe(!ownNonces)
    const { token } = await createClient(api)
    const key = createDpopKey()
    const response = await fetch(`${api.origin}/me`, {
      headers: {
        authorization: `DPoP ${token}`,
        dpop: key.proof({ token, url: `${api.origin}/me`, at: Math.floor(Date.now() / 1000), nonce })
      }
    })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(/^DPoP error="use_dpop_nonce"/)
    expect(response.headers.get('dpop-nonce')).not.toBe(nonce)
  })
})

test('DPP-27 (RFC 9728 §2): oauth4webapi reads in the metadata our algorithms, and that DPoP is required', async () => {
  const issuer = await startIssuer()
  onTestFinished(() => issuer.close())
  const api = await startProtectedApi({ issuer: { issuer: issuer.issuer }, requireSenderConstrained: 'dpop' })
  open.push(api)
  const identifier = new URL(api.api.resource)
  const response = await oauth.resourceDiscoveryRequest(identifier, loopback)
  expect(await oauth.processResourceDiscoveryResponse(identifier, response)).toMatchObject({
    dpop_bound_access_tokens_required: true,
    dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
  })
})

describe('several processes', () => {
  const PROCESS = fileURLToPath(new URL('../support/once-store-process.mjs', import.meta.url))
  const RESOURCE = 'https://api.example.com'
  const key = createDpopKey()
  const now = (): number => Math.floor(Date.now() / 1000)

  /** Two processes of one API behind an imaginary load balancer. */
  async function startTwo(
    env: Record<string, string> = {}
  ): Promise<{ origins: string[]; token: string; folder: string }> {
    const issuer = await startIssuer()
    const folder = await mkdtemp(join(tmpdir(), 'once-store-'))
    const children: ChildProcess[] = []
    onTestFinished(async () => {
      for (const child of children) {
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        await exited
      }
      await issuer.close()
      await rm(folder, { recursive: true })
    })
    const start = async (): Promise<string> => {
      const child = spawn(process.execPath, [PROCESS], {
        env: { PATH: process.env['PATH'], FOLDER: folder, ISSUER: issuer.issuer, RESOURCE, ...env },
        stdio: ['ignore', 'pipe', 'inherit']
      })
      children.push(child)
      const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
      return line
    }
    const origins = await Promise.all([start(), start()])
    return { origins, folder, token: issuer.token({ claims: { cnf: { jkt: key.jkt } } }) }
  }

  const call = (origin: string, token: string, proof: string): Promise<Response> =>
    fetch(`${origin}/items`, { headers: { authorization: `DPoP ${token}`, dpop: proof } })

  test('DPP-19 DPP-22 (RFC 9449 §11.1): two processes with one store accept a proof exactly once', async () => {
    const { origins, token, folder } = await startTwo()
    for (let round = 1; round <= 5; round++) {
      const proof = key.proof({ token, at: now() })
      const responses = await Promise.all(
        Array.from({ length: 10 }, () => origins.map((origin) => call(origin, token, proof))).flat()
      )
      const bodies = await Promise.all(responses.map((response) => response.text()))
      expect(responses.filter(({ status }) => status === 200)).toHaveLength(1)
      expect(bodies.filter((body) => body === 'u1')).toHaveLength(1)
      expect(bodies.filter((body) => body.includes('DPoP proof has been used already'))).toHaveLength(19)
      expect(await readdir(folder)).toHaveLength(round)
    }
    // What each keeps of keys and tokens is its own; a new proof passes at either.
    for (const origin of origins) expect((await call(origin, token, key.proof({ token, at: now() }))).status).toBe(200)
  })

  test('DEF-07 DPP-13: processes with one secret accept the nonces of each other', async () => {
    const secret = randomBytes(32).toString('base64url')
    const { origins, token } = await startTwo({ SECRET: secret })
    for (const [one, other] of [origins, [...origins].reverse()] as [string, string][]) {
      const asked = await call(one, token, key.proof({ token, at: now() }))
      expect(asked.status).toBe(401)
      const nonce = asked.headers.get('dpop-nonce') as string
      expect((await call(other, token, key.proof({ token, at: now(), nonce }))).status).toBe(200)
      expect((await call(one, token, key.proof({ token, at: now(), nonce }))).status).toBe(200)
    }
  })
})
