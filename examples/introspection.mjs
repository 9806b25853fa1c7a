// @ts-check
import express from 'express'
import { clientSecretBasic, resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env
const { CLIENT_ID = 'orders-api', CLIENT_SECRET = 'change-me' } = process.env

// #region api
const api = resourceServer({
  resource: RESOURCE,
  issuers: [
    {
      issuer: ISSUER,
      introspection: {
        clientId: CLIENT_ID,
        auth: clientSecretBasic(CLIENT_SECRET),
        cacheFor: 30 // seconds to reuse an "active" answer; a revocation may be noticed this late
      }
    }
  ]
})
// #endregion

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

const server = app.listen(Number(PORT), () => console.log(`Introspection: http://localhost:${PORT}/orders`))
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => server.close(() => api.close()))
