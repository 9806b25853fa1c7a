// @ts-check
import Fastify from 'fastify'
import { resourceServer, scope } from 'oauth-resource-server'
import resourceServerPlugin, { errorHandler, getAuth } from 'oauth-resource-server/fastify'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

const app = Fastify()
app.setErrorHandler(errorHandler)
await app.register(resourceServerPlugin, { api })
app.get('/orders', { config: { auth: scope('orders:read') } }, async (request) => ({
  orders: [],
  subject: getAuth(request).subject
}))
app.addHook('onClose', () => api.close())

await app.listen({ port: Number(PORT) })
console.log(`Fastify: http://localhost:${PORT}/orders`)
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => app.close())
