/** Against oidc-provider over TLS: tokens that it binds to the client's certificate (RFC 8705), in the hands of clients. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import express from 'express'
import { decodeJwt } from 'jose'
import type { Configuration } from 'oidc-provider'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { errorHandler, getAuth, protect } from '../../adapters/express.js'
import { clientSecretBasic, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import {
  type CertificateAndKey,
  createCertificateAuthority,
  createSelfSignedCertificate
} from '../support/certificates.js'

const JWT = 'https://api.example.com/jwt'
const OPAQUE = 'https://api.example.com/opaque'
const SECRET = 'a secret that only the two of us know'

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const device = authority.issue({ commonName: 'device', client: true })
const thief = authority.issue({ commonName: 'thief', client: true })
const selfSigned = createSelfSignedCertificate('gadget')

const TLS = { ...own, requestCert: true, rejectUnauthorized: false }
const closing: { close(): unknown }[] = []
/** What a client, and the API itself, connect with. */
const connecting = (one?: CertificateAndKey): Agent => {
  const agent = new Agent({ connect: { ca: authority.cert, ...one } })
  closing.push(agent)
  return agent
}
const agents = {
  device: connecting(device),
  thief: connecting(thief),
  gadget: connecting(selfSigned),
  nobody: connecting()
}

let issuer: string
let origin: string

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push({
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  })
  return `https://localhost:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  const as = createServer(TLS)
  issuer = await listen(as)
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const { Provider } = await import('oidc-provider')
  warn.mockRestore()
  const storage = new URL('../../examples/demo/memory-adapter.mjs', import.meta.url).href
  const { createMemoryAdapter } = (await import(storage)) as { createMemoryAdapter: () => Configuration['adapter'] }
  const provider = new Provider(issuer, { ...configuration(), adapter: createMemoryAdapter() as never })
  as.on('request', provider.callback())

  const api = createServer(TLS)
  const apis = [JWT, OPAQUE].map((resource) => {
    const one = resourceServer({
      resource,
      issuers: [{ issuer, introspection: { clientId: 'api', auth: clientSecretBasic(SECRET) } }],
      http: { dispatcher: connecting() },
      requireSenderConstrained: 'certificate'
    })
    closing.push(one)
    return one
  })
  const app = express()
  const [jwt, opaque] = apis as [ResourceServer, ResourceServer]
  for (const [path, one] of [
    ['/jwt', jwt],
    ['/opaque', opaque]
  ] as const) {
    app.get(path, protect(one, scope('read')), (req, res) => {
      const { confirmedBy, scheme, clientId } = getAuth(req)
      res.json({ confirmedBy, scheme, clientId })
    })
  }
  app.use(errorHandler())
  api.on('request', app)
  origin = await listen(api)
})
afterAll(async () => {
  await Promise.all(closing.splice(0).map((one) => one.close()))
})

function configuration(): Configuration {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { publicKey } = new X509Certificate(selfSigned.cert)
  const x5c = new X509Certificate(selfSigned.cert).raw.toString('base64')
  const service = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] } as const
  return {
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' } as never] },
    cookies: { keys: ['unused'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['client_secret_basic', 'self_signed_tls_client_auth', 'none'],
    clients: [
      { client_id: 'device', client_secret: SECRET, ...service, tls_client_certificate_bound_access_tokens: true },
      { client_id: 'laptop', client_secret: SECRET, ...service },
      {
        client_id: 'gadget',
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'g1', x5c: [x5c] }] },
        ...service,
        tls_client_certificate_bound_access_tokens: true
      },
      { client_id: 'api', client_secret: SECRET, grant_types: [], redirect_uris: [], response_types: [] }
    ] as never,
    ttl: { ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, { clientId }) => clientId === 'api' },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => (ctx.socket as TLSSocket).getPeerX509Certificate()?.toString()
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, indicator) => ({
          audience: indicator,
          scope: 'read',
          accessTokenFormat: indicator === JWT ? 'jwt' : 'opaque',
          jwt: { sign: { alg: 'ES256' } }
        })
      }
    }
  } as Configuration
}

/** RFC 6749 §4.4 on a connection with this certificate. */
async function tokenFor(clientId: string, resource: string, dispatcher: Agent): Promise<string> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', resource, scope: 'read' })
  const basic = Buffer.from(`${clientId}:${new URLSearchParams({ '': SECRET }).toString().slice(1)}`).toString('base64')
  if (clientId === 'gadget') form.set('client_id', clientId)
  const { statusCode, body } = await request(`${issuer}/token`, {
    method: 'POST',
    dispatcher,
    body: form.toString(),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      ...(clientId !== 'gadget' && { authorization: `Basic ${basic}` })
    }
  })
  const answer = (await body.json()) as { access_token: string; token_type: string }
  expect([statusCode, answer.token_type]).toEqual([200, 'Bearer'])
  return answer.access_token
}

async function call(path: string, token: string, dispatcher: Agent): Promise<unknown[]> {
  const headers = { authorization: `Bearer ${token}` }
  const answer = await request(`${origin}${path}`, { dispatcher, headers })
  return [answer.statusCode, answer.headers['www-authenticate'] ?? null, await answer.body.json()]
}

const granted = (clientId: string): unknown[] => [
  200,
  null,
  { confirmedBy: ['certificate'], scheme: 'Bearer', clientId }
]
const refused = (path: string): unknown[] => {
  const description = 'The access token is bound to a different client certificate'
  return [
    401,
    `Bearer error="invalid_token", error_description="${description}", scope="read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource${path}"`,
    { error: 'invalid_token', error_description: description }
  ]
}

describe.each([
  ['a JWT', '/jwt', JWT],
  ['an introspected token', '/opaque', OPAQUE]
])('oidc-provider: %s', (kind, path, resource) => {
  test(`MTL-01 DEN-15 (RFC 8705 §3): accepts ${kind} from the client that got it, and from no other`, async () => {
    const token = await tokenFor('device', resource, agents.device)
    expect(await call(path, token, agents.device)).toEqual(granted('device'))
    expect(await call(path, token, agents.thief)).toEqual(refused(path))
    expect(await call(path, token, agents.nobody)).toEqual(refused(path))
    expect(await call(path, token, agents.device)).toEqual(granted('device'))
  })

  test(`MTL-01 MTL-04 (RFC 8705 §2.2, §6.2): accepts ${kind} of a client that authenticated with a self-signed certificate`, async () => {
    const token = await tokenFor('gadget', resource, agents.gadget)
    expect(await call(path, token, agents.gadget)).toEqual(granted('gadget'))
    expect(await call(path, token, agents.device)).toEqual(refused(path))
  })

  test(`MTL-02: refuses ${kind} that is not bound, where tokens must be bound`, async () => {
    const token = await tokenFor('laptop', resource, agents.device)
    expect(await call(path, token, agents.device)).toEqual(refused(path))
  })
})

test('MTL-01 (RFC 8705 §3.1): oidc-provider writes the thumbprint that the certificate has', async () => {
  const { cnf } = decodeJwt(await tokenFor('device', JWT, agents.device))
  const { fingerprint256 } = new X509Certificate(device.cert)
  expect(cnf).toEqual({ 'x5t#S256': Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url') })
})
