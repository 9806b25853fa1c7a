// @ts-check
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

const server = app.listen(Number(PORT), () => console.log(`Express: http://localhost:${PORT}/orders`))
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => server.close(() => api.close()))
