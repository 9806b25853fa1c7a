// @ts-check
import { createServer } from 'node:http'
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env
const { PROBE_PORT = '9000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

/** Ready: the revocations are known, and the tokens of some issuer can be verified. */
function isReady() {
  const { issuers, log } = api.health()
  return isWarm && log?.status !== 'failed' && issuers.some(({ status }) => status !== 'failed')
}

/** Loads keys and revocations. Each probe of an unready process calls it, because no request comes to try again. */
async function warm() {
  try {
    await api.ready()
    isWarm = true
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
}

let isWarm = false
let isStopping = false
const probes = createServer((request, response) => {
  const isRefused = request.url === '/ready' && (isStopping || !isReady())
  if (isRefused && !isStopping) void warm()
  response.writeHead(isRefused ? 503 : 200).end()
}).listen(Number(PROBE_PORT))

const server = app.listen(Number(PORT), () => console.log(`Express: http://localhost:${PORT}/orders`))
void warm()

process.once('SIGTERM', () => {
  isStopping = true
  server.close(() => probes.close(() => api.close()))
  server.closeIdleConnections()
})
