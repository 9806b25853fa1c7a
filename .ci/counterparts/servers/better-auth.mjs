/** Better Auth with its OAuth provider, on node:http, with everything in memory. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { oauthProvider, oauthProviderAuthServerMetadata } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { createJwk, jwt } from 'better-auth/plugins'

const API = 'https://api.example.com'
const OTHER = 'https://other.example.com'
const TABLES = [
  ...['user', 'session', 'account', 'verification', 'jwks'],
  ...['oauthClient', 'oauthResource', 'oauthClientResource', 'oauthAccessToken', 'oauthRefreshToken', 'oauthConsent'],
  'oauthClientAssertion'
]

export async function start() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  const tables = Object.fromEntries(TABLES.map((name) => [name, []]))
  const keys = {}
  const auth = betterAuth({
    baseURL: origin,
    secret: 'a secret of thirty-two characters',
    database: memoryAdapter(tables),
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    emailAndPassword: { enabled: true },
    plugins: [
      jwt(keys),
      oauthProvider({
        loginPage: '/login',
        consentPage: '/consent',
        scopes: ['orders:read'],
        resources: [API, OTHER],
        // Any client may ask for a token for each of them.
        enforcePerClientResources: false,
        clientPrivileges: () => true,
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true }
      })
    ]
  })
  const handle = toNodeHandler(auth)
  const metadata = oauthProviderAuthServerMetadata(auth)
  server.on('request', async (request, response) => {
    // The route that its documentation has the application add for RFC 8414.
    if (!request.url.startsWith('/.well-known/oauth-authorization-server')) return handle(request, response)
    const answer = await metadata(new Request(origin + request.url))
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
  })
  const { headers: signedIn } = await auth.api.signUpEmail({
    body: { name: 'Admin', email: 'admin@example.com', password: 'a long password' },
    returnHeaders: true
  })
  const headers = {
    cookie: signedIn
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ')
  }
  const createClient = (body) => auth.api.adminCreateOAuthClient({ body, headers })
  const service = await createClient({
    grant_types: ['client_credentials'],
    client_credentials_scopes: ['orders:read']
  })
  const api = await createClient({ grant_types: ['client_credentials'] })
  const ask = async (path, fields) => {
    const response = await fetch(`${origin}/api/auth/oauth2/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${service.client_id}:${service.client_secret}`).toString('base64')}`
      },
      body: new URLSearchParams(fields)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  const tokenFor = async (fields) =>
    (await ask('token', { grant_type: 'client_credentials', scope: 'orders:read', ...fields })).access_token
  return {
    issuer: `${origin}/api/auth`,
    api,
    service,
    token: () => tokenFor({ resource: API }),
    otherToken: () => tokenFor({ resource: OTHER }),
    opaqueToken: () => tokenFor({}),
    revoke: (token) => ask('revoke', { token, token_type_hint: 'access_token' }),
    rotate: async () => createJwk({ context: await auth.$context }, keys),
    close: async () => {
      server.close()
      server.closeAllConnections()
    }
  }
}
