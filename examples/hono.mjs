// @ts-check
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { resourceServer, scope } from 'oauth-resource-server'
import { getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/hono'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

const app = new Hono()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (c) => c.json({ orders: [], subject: getAuth(c).subject }))

const server = serve({ fetch: app.fetch, port: Number(PORT) }, () => {
  console.log(`Hono: http://localhost:${PORT}/orders`)
})
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => server.close(() => api.close()))
