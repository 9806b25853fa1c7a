// @ts-check
/** validateJwtAccessToken() of oauth4webapi behind node:http, as its documentation says. It takes DPoP and certificates of its own accord. */
import { createServer } from 'node:http'
import * as oauth from 'oauth4webapi'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(ISSUER)
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
)

createServer(async (incoming, response) => {
  const url = new URL(incoming.url ?? '/', `http://127.0.0.1:${PORT}`)
  if (url.pathname !== '/orders') return void response.writeHead(404).end()
  const { authorization, dpop } = incoming.headers
  if (authorization === undefined || !/^(?:bearer|dpop)\b/i.test(authorization))
    return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="orders"' }).end()
  try {
    const request = new Request(url, {
      method: incoming.method ?? 'GET',
      headers: { authorization, ...(typeof dpop === 'string' && { dpop }) }
    })
    const { sub } = await oauth.validateJwtAccessToken(as, request, AUDIENCE, insecure)
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ sub }))
  } catch {
    const challenges = ['Bearer realm="orders", error="invalid_token"']
    if (dpop !== undefined) challenges.push('DPoP error="invalid_dpop_proof", algs="ES256"')
    response.writeHead(401, { 'WWW-Authenticate': challenges }).end()
  }
}).listen(Number(PORT), '127.0.0.1')
