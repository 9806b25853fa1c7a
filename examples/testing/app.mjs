// @ts-check
/** An API created by a function, so that a test can pass its own issuer. */
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect } from 'oauth-resource-server/express'

/** @param {import('oauth-resource-server').ResourceServerOptions<string>} options */
export function createApp(options) {
  const api = resourceServer(options)
  const app = express()
  app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
    res.json({ for: getAuth(req).subject })
  })
  app.use(errorHandler())
  return app
}
