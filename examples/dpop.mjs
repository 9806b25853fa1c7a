// @ts-check
import { randomBytes } from 'node:crypto'
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env
const { NONCE_SECRET = randomBytes(32).toString('base64url') } = process.env

// #region api
const api = resourceServer({
  resource: RESOURCE,
  issuers: [ISSUER],
  publicUrl: RESOURCE, // the URL that clients call: a proof names it, even if a proxy rewrites it
  requireSenderConstrained: 'dpop', // refuses bearer tokens; while some clients still send them, use dpop.advertise
  dpop: {
    nonces: 'required', // freshness depends on this server's clock only
    nonceSecret: NONCE_SECRET // the same for every process of this API
  }
})
// #endregion

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  const { subject, confirmedBy } = getAuth(req)
  res.json({ orders: [], subject, confirmedBy })
})
app.use(errorHandler())

const server = app.listen(Number(PORT), () => console.log(`DPoP: http://localhost:${PORT}/orders`))
process.once('SIGTERM', () => server.close(() => api.close()))
