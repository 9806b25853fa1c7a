/**
 * Against oidc-provider: encrypted access tokens (RFC 9068 §2.1), signed and encrypted introspection answers (RFC 9701),
 * and introspection by a client that shows its certificate (RFC 8705 §2), over TLS.
 */
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { decodeProtectedHeader } from 'jose'
import type { ClientMetadata, Configuration, KoaContextWithOIDC } from 'oidc-provider'
import { Agent } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  clientSecretBasic,
  type DecryptionKey,
  fresh,
  type IssuerOptions,
  noClientAuth,
  type ResourceServerOptions,
  scope,
  tlsClientAuth
} from '../../src/index.js'
import { publicKeySet } from '../../src/jwt/decryption-keys.js'
import {
  API,
  type AuthorizationServer,
  callMe,
  createOAuthClient,
  type OAuthClient,
  type ProtectedApi,
  SERVICE,
  startAuthorizationServer,
  startProtectedApi
} from '../support/authorization-server.js'
import { createCertificateAuthority, createSelfSignedCertificate } from '../support/certificates.js'

const OPAQUE = 'https://api.example.com/opaque'
const encryptedFor = (alg: string): string => `https://api.example.com/${alg.toLowerCase()}`

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const decryptionKeys: DecryptionKey[] = [
  { kid: 'ec', key: ec.privateKey, algorithm: 'ECDH-ES' },
  { kid: 'rsa', key: rsa.privateKey, algorithm: 'RSA-OAEP-256' }
]
const ENCRYPTION = {
  'ECDH-ES': { kid: 'ec', key: ec.publicKey },
  'RSA-OAEP-256': { kid: 'rsa', key: rsa.publicKey }
}

const authority = createCertificateAuthority()
const vouchedFor = authority.issue({ commonName: 'api', sans: ['api.example.com'], client: true })
const otherName = authority.issue({ commonName: 'other', sans: ['other.example.com'], client: true })
const selfSigned = createSelfSignedCertificate('api')

/** A client for introspection that differs from {@link API} in this. */
const api = (id: string, metadata: Partial<ClientMetadata>): ClientMetadata => ({
  client_id: id,
  grant_types: [],
  redirect_uris: [],
  response_types: [],
  ...metadata
})
const secretly = { client_secret: API.client_secret }
const published = publicKeySet(decryptionKeys.map(({ key, kid, algorithm = 'ECDH-ES' }) => ({ key, kid, algorithm })))
const CLIENTS: readonly ClientMetadata[] = [
  api('signed', { ...secretly, introspection_signed_response_alg: 'ES256' }),
  ...Object.keys(ENCRYPTION).map((alg) =>
    api(`encrypted-${alg}`, {
      ...secretly,
      introspection_signed_response_alg: 'PS256',
      introspection_encrypted_response_alg: alg as 'ECDH-ES',
      introspection_encrypted_response_enc: 'A128CBC-HS256',
      jwks: published as NonNullable<ClientMetadata['jwks']>
    })
  ),
  api('by-certificate', {
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: 'api.example.com'
  }),
  api('self-signed', {
    token_endpoint_auth_method: 'self_signed_tls_client_auth',
    jwks: {
      keys: [
        {
          ...createPublicKey(selfSigned.cert).export({ format: 'jwk' }),
          x5c: [new X509Certificate(selfSigned.cert).raw.toString('base64')]
        }
      ]
    } as NonNullable<ClientMetadata['jwks']>
  })
]

let as: AuthorizationServer
let client: OAuthClient
let tls: Server
let mtlsOrigin: string
/** Introspections that came with a certificate, by whom. */
let certificates: (string | undefined)[] = []
const open: ProtectedApi[] = []
const agents: Agent[] = []

const certificateOf = ({ socket }: KoaContextWithOIDC): X509Certificate | undefined =>
  (socket as TLSSocket).getPeerX509Certificate?.()

/** As a server does that ends TLS itself. */
const mTLS: NonNullable<NonNullable<Configuration['features']>['mTLS']> = {
  enabled: true,
  tlsClientAuth: true,
  selfSignedTlsClientAuth: true,
  getCertificate: (ctx: KoaContextWithOIDC) => {
    const certificate = certificateOf(ctx)
    certificates.push(certificate?.subject)
    return certificate as unknown as string
  },
  certificateAuthorized: ({ socket }: KoaContextWithOIDC) => (socket as TLSSocket).authorized,
  certificateSubjectMatches: (ctx: KoaContextWithOIDC, property: string, expected: string) =>
    property === 'tls_client_auth_san_dns' && certificateOf(ctx)?.checkHost(expected) === expected
}

function configure(configuration: Configuration): Configuration {
  const { features = {} } = configuration
  const resourceIndicators = features.resourceIndicators as NonNullable<typeof features.resourceIndicators>
  return {
    ...configuration,
    clientAuthMethods: ['none', 'client_secret_basic', 'tls_client_auth', 'self_signed_tls_client_auth'],
    discovery: { mtls_endpoint_aliases: { introspection_endpoint: `${mtlsOrigin}/token/introspection` } },
    features: {
      ...features,
      encryption: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      mTLS,
      resourceIndicators: {
        ...resourceIndicators,
        getResourceServerInfo: async (ctx, indicator, asking) => {
          const info = await resourceIndicators.getResourceServerInfo?.(ctx, indicator, asking)
          const alg = Object.keys(ENCRYPTION).find((one) => encryptedFor(one) === indicator)
          if (!info || alg === undefined) return info as NonNullable<typeof info>
          const encrypt = { alg, enc: 'A256GCM', ...ENCRYPTION[alg as keyof typeof ENCRYPTION] }
          return { ...info, jwt: { ...info.jwt, encrypt } } as NonNullable<typeof info>
        }
      }
    } as NonNullable<Configuration['features']>
  }
}

beforeAll(async () => {
  const own = authority.issue({ commonName: 'localhost', sans: ['localhost'] })
  tls = createServer({ ...own, ca: authority.cert, requestCert: true, rejectUnauthorized: false })
  tls.listen(0, '127.0.0.1')
  await once(tls, 'listening')
  mtlsOrigin = `https://localhost:${(tls.address() as AddressInfo).port}`
  let configuration: Configuration = {}
  as = await startAuthorizationServer({
    clients: CLIENTS,
    configure: (given) => {
      configuration = configure(given)
      return configuration
    }
  })
  as.resources.set(OPAQUE, { scopes: ['read'], format: 'opaque' })
  for (const alg of Object.keys(ENCRYPTION)) as.resources.set(encryptedFor(alg), { scopes: ['read'] })
  // The same server, with the same storage, at its second address.
  const { Provider } = await import('oidc-provider')
  tls.on('request', new Provider(as.issuer, configuration).callback())
  client = await createOAuthClient(as)
})
afterAll(async () => {
  tls.close()
  tls.closeAllConnections()
  await as.close()
})
afterEach(async () => {
  certificates = []
  await Promise.all(open.splice(0).map((one) => one.close()))
  await Promise.all(agents.splice(0).map((one) => one.destroy()))
})

async function startApi(
  resource: string,
  issuer: Partial<IssuerOptions> = {},
  options: Partial<Omit<ResourceServerOptions, 'issuers'>> = {}
): Promise<ProtectedApi> {
  const started = await startProtectedApi({
    requirements: [scope('read')],
    decryptionKeys,
    ...options,
    resource,
    issuer: { issuer: as.issuer, ...issuer }
  })
  open.push(started)
  return started
}

const accepted = (resource: string) => ({
  status: 200,
  challenge: null,
  body: {
    issuer: as.issuer,
    // oidc-provider names no subject where there is no user.
    ...(resource === OPAQUE ? { subjectType: 'unknown' } : { subject: SERVICE.client_id, subjectType: 'client' }),
    clientId: SERVICE.client_id,
    audience: [resource],
    scopes: ['read']
  }
})
const refused = (resource: string, description: string) => ({
  status: 401,
  challenge: `Bearer error="invalid_token", error_description="${description}", scope="read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource${new URL(resource).pathname}"`,
  body: { error: 'invalid_token', error_description: description }
})

describe.each(['ECDH-ES', 'RSA-OAEP-256'])('oidc-provider: access tokens encrypted with %s', (alg) => {
  const resource = encryptedFor(alg)

  test('JOS-15 JOS-16 (RFC 9068 §2.1): accepts a token that is encrypted to this API', async () => {
    const { origin } = await startApi(resource, { requireEncrypted: true })
    const token = await client.clientCredentials(resource, 'read')
    expect(decodeProtectedHeader(token)).toMatchObject({ alg, enc: 'A256GCM' })
    expect(await callMe(origin, token)).toEqual(accepted(resource))
  })

  test('JOS-15 (RFC 7516 §9): refuses a token that is encrypted to another API', async () => {
    const { origin } = await startApi(resource, {}, { decryptionKeys: [{ kid: 'x', key: ec.privateKey }] })
    const token = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, token)).toEqual(refused(resource, 'The access token could not be decrypted'))
  })

  test('ATV-04 (RFC 9068 §4): refuses a token for another API, even if both have the same keys', async () => {
    const { origin } = await startApi(OPAQUE)
    const token = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, token)).toEqual(refused(OPAQUE, 'The access token audience is not accepted'))
  })
})

describe('oidc-provider: signed introspection answers', () => {
  const introspection = (clientId: string): NonNullable<IssuerOptions['introspection']> => ({
    clientId,
    auth: clientSecretBasic(API.client_secret),
    signedResponse: true
  })

  test.each(['signed', 'encrypted-ECDH-ES', 'encrypted-RSA-OAEP-256'])(
    'INT-18 INT-19 (RFC 9701 §5): accepts an opaque token, and refuses it once it is revoked (%s)',
    async (clientId) => {
      const { origin } = await startApi(OPAQUE, { introspection: introspection(clientId) })
      const token = await client.clientCredentials(OPAQUE, 'read')
      expect(await callMe(origin, token)).toEqual(accepted(OPAQUE))
      const revoked = await client.clientCredentials(OPAQUE, 'read')
      await as.revoke(revoked)
      expect(await callMe(origin, revoked)).toEqual(refused(OPAQUE, 'The access token is not active'))
    }
  )

  test('INT-19 (RFC 8725 §3.1): treats an answer signed with an algorithm that was not agreed on as our misconfiguration', async () => {
    const { origin } = await startApi(OPAQUE, { introspection: introspection('signed'), algorithms: ['PS256'] })
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toMatchObject({ status: 500, challenge: null })
  })

  test('INT-19 (RFC 9701 §5): treats an answer that is encrypted to other keys as our misconfiguration', async () => {
    const options = { decryptionKeys: [{ kid: 'ec', key: rsa.privateKey }] }
    const { origin } = await startApi(OPAQUE, { introspection: introspection('encrypted-ECDH-ES') }, options)
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toMatchObject({ status: 500, challenge: null })
  })
})

describe('oidc-provider: introspection with a client certificate', () => {
  /** An API that shows this certificate. */
  async function startWith(
    clientId: string,
    connect: { readonly cert?: string; readonly key?: string },
    auth = tlsClientAuth()
  ): Promise<ProtectedApi> {
    const dispatcher = new Agent({ connect: { ca: authority.cert, ...connect } })
    agents.push(dispatcher)
    return startApi(OPAQUE, { introspection: { clientId, auth } }, { http: { dispatcher } })
  }

  test.each([
    ['tls_client_auth', 'by-certificate', vouchedFor, 'CN=api'],
    ['self_signed_tls_client_auth', 'self-signed', selfSigned, 'CN=api']
  ])(
    'INT-02 ASM-09 (RFC 8705 §2, §5): introspects at the alias of the endpoint with %s',
    async (_, clientId, certificate, subject) => {
      const { origin } = await startWith(clientId, certificate)
      const token = await client.clientCredentials(OPAQUE, 'read')
      expect(await callMe(origin, token)).toEqual(accepted(OPAQUE))
      expect(certificates).toEqual([subject])
      await as.revoke(token)
      const revoked = await startWith(clientId, certificate)
      expect(await callMe(revoked.origin, token)).toEqual(refused(OPAQUE, 'The access token is not active'))
    }
  )

  test.each([
    ['of another name', 'by-certificate', otherName],
    ['that is not trusted', 'by-certificate', selfSigned],
    ['that is not registered', 'self-signed', createSelfSignedCertificate('api')],
    ['that is missing', 'by-certificate', {}]
  ] as const)(
    'INT-07 (RFC 8705 §2): treats a certificate %s as our misconfiguration',
    async (_, clientId, certificate) => {
      const { origin } = await startWith(clientId, certificate)
      const token = await client.clientCredentials(OPAQUE, 'read')
      expect(await callMe(origin, token)).toMatchObject({ status: 500, challenge: null })
    }
  )

  test('ASM-09 (RFC 8705 §5): does not use the alias without a client certificate', async () => {
    const { origin } = await startWith('by-certificate', vouchedFor, noClientAuth())
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toMatchObject({ status: 500, challenge: null })
    expect(certificates).toEqual([undefined])
  })
})

describe('oidc-provider: fresh()', () => {
  const introspection = { clientId: API.client_id, auth: clientSecretBasic(API.client_secret) }

  test('refuses an opaque token that was revoked a moment ago, though its answer is cached', async () => {
    const { origin } = await startApi(OPAQUE, { introspection }, { checks: [fresh()] })
    const token = await client.clientCredentials(OPAQUE, 'read')
    expect(await callMe(origin, token)).toEqual(accepted(OPAQUE))
    await as.revoke(token)
    expect(await callMe(origin, token)).toEqual(refused(OPAQUE, 'The access token is not active'))
  })

  test('gives no verdict on a JWT that the server refuses to introspect', async () => {
    const resource = encryptedFor('ECDH-ES')
    const { origin } = await startApi(resource, { introspection }, { checks: [fresh()] })
    const token = await client.clientCredentials(resource, 'read')
    expect(await callMe(origin, token)).toMatchObject({ status: 500, challenge: null })
  })
})
