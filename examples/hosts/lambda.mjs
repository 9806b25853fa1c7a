// @ts-check
import { readFileSync } from 'node:fs'
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'
import serverless from 'serverless-http'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', JWKS_FILE } = process.env

// Outside of the handler: the calls of one instance share keys and verified tokens.
const api = resourceServer({
  resource: RESOURCE,
  // Keys in the bundle: nothing is fetched.
  issuers: [JWKS_FILE === undefined ? ISSUER : { issuer: ISSUER, jwks: JSON.parse(readFileSync(JWKS_FILE, 'utf8')) }]
})
// Lambda runs this before the first call. An outage here must not end the instance: the first call tries again.
await api.ready().catch((error) => console.error(error.message))

const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

export const handler = serverless(app)
