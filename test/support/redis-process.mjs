// @ts-check
/**
 * One process of an API that runs as several, which share a Redis and a secret and nothing else. Which client it has for
 * it is for the test to say. Its first line of output is its origin.
 */
import { createServer } from 'node:http'
import { createClient } from '@redis/client'
import { Redis as Ioredis } from 'ioredis'
import { Redis as Iovalkey } from 'iovalkey'
import { resourceServer } from 'oauth-resource-server'
import { errorHandler, getAuth, protect } from 'oauth-resource-server/express'
import { redisLog, redisStore } from 'oauth-resource-server/redis'

const { REDIS_PORT, CLIENT, ISSUER = '', SECRET = '' } = process.env
const port = Number(REDIS_PORT)

async function connect() {
  if (CLIENT === 'node-redis') {
    const client = createClient({
      socket: { port, host: '127.0.0.1', reconnectStrategy: 20 },
      disableOfflineQueue: true
    })
    const subscriber = client.duplicate({ disableOfflineQueue: false })
    for (const one of [client, subscriber]) one.on('error', () => undefined)
    await Promise.all([client.connect(), subscriber.connect()])
    return { client, subscriber }
  }
  const options = { port, retryStrategy: () => 20, enableOfflineQueue: false, autoResendUnfulfilledCommands: false }
  const make = () => (CLIENT === 'ioredis' ? new Ioredis(options) : new Iovalkey(options))
  const [client, subscriber] = [make(), make()]
  for (const one of [client, subscriber]) one.on('error', () => undefined)
  await Promise.all([client, subscriber].map((one) => new Promise((resolve) => one.once('ready', () => resolve(0)))))
  return { client, subscriber }
}

const { client, subscriber } = await connect()
const api = resourceServer({
  log: false,
  resource: 'https://api.example.com',
  issuers: [{ issuer: ISSUER, introspection: { auth: () => undefined, clientId: 'api' } }],
  dpop: { advertise: true, nonces: 'offered' },
  shared: { store: redisStore(client), secret: SECRET, log: redisLog(client, { subscriber }) }
})
const guard = protect(api)
const answerError = errorHandler()

const server = createServer(async (request, response) => {
  if (request.url === '/state') return response.end(JSON.stringify({ health: api.health(), stats: api.stats() }))
  if (request.url?.startsWith('/revoke/')) {
    await api.revoke({ issuer: ISSUER, subject: request.url.slice('/revoke/'.length) })
    return response.end()
  }
  const fail = (/** @type {unknown} */ error) => {
    response.statusCode = 500
    response.end(String(error))
  }
  guard(request, response, (error) => {
    if (error) answerError(error, request, response, fail)
    else response.end(getAuth(request).subject)
  })
})
server.listen(0, '127.0.0.1', () => {
  const { port: own } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://127.0.0.1:${own}`)
})
