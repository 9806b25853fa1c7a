/** The resource server part of Better Auth behind node:http: its resource client, as its documentation says. It takes DPoP too. */
import { createServer } from 'node:http'
import { oauthProviderResourceClient } from '@better-auth/oauth-provider/resource-client'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const client = oauthProviderResourceClient().getActions()

createServer(async (incoming, response) => {
  const url = new URL(incoming.url ?? '/', `http://127.0.0.1:${PORT}`)
  if (url.pathname === '/.well-known/oauth-protected-resource/orders') {
    const document = await client.getProtectedResourceMetadata({ resource: AUDIENCE, authorization_servers: [ISSUER] })
    return void response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(document))
  }
  if (url.pathname !== '/orders') return void response.writeHead(404).end()
  const { authorization, dpop } = incoming.headers
  const request = new Request(url, {
    method: incoming.method === 'TRACE' ? 'GET' : incoming.method,
    headers: { ...(authorization && { authorization }), ...(dpop && { dpop }) }
  })
  try {
    const { sub } = await client.verifyAccessTokenRequest(request, {
      verifyOptions: { issuer: ISSUER, audience: AUDIENCE },
      jwksUrl: `${ISSUER}/keys`
    })
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ sub }))
  } catch (error) {
    const status = typeof error.statusCode === 'number' ? error.statusCode : 500
    response.writeHead(status, error.headers ? Object.fromEntries(new Headers(error.headers)) : {}).end()
  }
}).listen(Number(PORT), '127.0.0.1')
