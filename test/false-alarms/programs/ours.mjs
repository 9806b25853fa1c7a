// @ts-check
/**
 * This package behind node:http, the control: no check may fail here. With AUTH_REQUEST, `/orders` answers nginx's module
 * auth_request, which passes on 401 and 403 and takes any other refusal for a failure, so a malformed request gets 401 too.
 */
import { createServer } from 'node:http'
import { clientSecretBasic, ResourceServerError, resourceServer } from 'oauth-resource-server'
import { NodeRequest, protect, protectedResourceMetadata } from 'oauth-resource-server/node'

const { PORT, ISSUER = '', AUDIENCE = '', AUTH_REQUEST } = process.env
const api = resourceServer({
  resource: AUDIENCE,
  issuers: [
    {
      issuer: ISSUER,
      introspection: { auth: clientSecretBasic('a secret of this test'), clientId: 'api', cacheFor: 0 },
      tokens: 'both'
    }
  ],
  http: { timeout: 1, deadline: 2 },
  log: false
})
const guard = protect(api)
const metadata = protectedResourceMetadata(api)
const rule = api.protect()

createServer(async (request, response) => {
  if (request.headersDistinct.host?.length !== 1) return void response.writeHead(400).end()
  if (metadata(request, response)) return
  if (request.url?.split('?')[0] !== '/orders') return void response.writeHead(404).end()
  if (AUTH_REQUEST !== undefined) {
    try {
      await rule.authorize(new NodeRequest(request))
      return void response.writeHead(204).end()
    } catch (error) {
      if (!(error instanceof ResourceServerError)) throw error
      for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value)
      return void response.writeHead(error.status === 400 ? 401 : error.status).end()
    }
  }
  if (await guard(request, response)) response.writeHead(200, { 'Content-Type': 'application/json' }).end('[]')
}).listen(Number(PORT), '127.0.0.1')
