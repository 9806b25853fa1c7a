// @ts-check
import express from 'express'
import { authentication, authorizationDetails, resourceServer, scope } from 'oauth-resource-server'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

// #region checks
// The user has logged in with two factors, in the last five minutes (RFC 9470). If not, the challenge has
// acr_values="urn:example:mfa", max_age="300", with which the client sends the user to the authorization server.
const strong = authentication({ acr: 'urn:example:mfa', maxAge: 300 })

// The user has agreed to exactly this (RFC 9396): a transfer of at least this amount.
/** @param {number} amount */
const agreedTo = (amount) =>
  authorizationDetails((detail) => Number(detail.maxAmount) >= amount, { types: ['transfer'] })
// #endregion

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.delete('/orders', protect(api, scope('orders:write'), strong), (_req, res) => void res.status(204).end())

// #region body
// If the requirements depend on the body, enforce() checks them inside the handler.
app.post('/transfers', protect(api, scope('transfers')), express.json(), async (req, res) => {
  const amount = Number(req.body?.amount)
  if (!(amount <= 100)) await enforce(api, req, scope('transfers'), strong, agreedTo(amount))
  res.status(201).json({ amount })
})
// #endregion
app.use(errorHandler())

const server = app.listen(Number(PORT), () => console.log(`Step-up: http://localhost:${PORT}/orders`))
process.once('SIGTERM', () => server.close(() => api.close()))
