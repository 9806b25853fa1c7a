// @ts-check
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import express from 'express'
import { resourceServer, scope, urlEncodedPem } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env
const { TLS_KEY = 'server-key.pem', TLS_CERT = 'server-cert.pem', TRUSTED_PROXY } = process.env

// #region api
const api = resourceServer({
  resource: RESOURCE,
  issuers: [ISSUER],
  requireSenderConstrained: 'certificate' // refuses other tokens; bound tokens are confirmed without this too
})
// #endregion

// #region nginx
// server {
//   ssl_verify_client optional_no_ca;  # the token says whose certificate it is (RFC 8705 §6.2)
//   location / { proxy_pass http://api; proxy_set_header X-SSL-Cert $ssl_client_escaped_cert; }
// }
const behindNginx = resourceServer({
  resource: RESOURCE,
  issuers: [ISSUER],
  requireSenderConstrained: 'certificate',
  clientCertificate: { trustedProxies: [TRUSTED_PROXY ?? '127.0.0.1'], field: 'X-SSL-Cert', parse: urlEncodedPem }
})
// #endregion

const server = TRUSTED_PROXY
  ? createServer(createApp(behindNginx))
  : // #region tls
    createTlsServer(
      {
        key: readFileSync(TLS_KEY),
        cert: readFileSync(TLS_CERT),
        requestCert: true, // ask every client for a certificate
        rejectUnauthorized: false // accept any: the token names the certificate that counts
      },
      createApp(api)
    )
// #endregion

/** @param {import('oauth-resource-server').ResourceServer} api */
function createApp(api) {
  const app = express()
  app.use(protectedResourceMetadata(api))
  app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
    const { subject, confirmedBy } = getAuth(req)
    res.json({ orders: [], subject, confirmedBy })
  })
  app.use(errorHandler())
  return app
}

server.listen(Number(PORT), () => console.log(`Mutual TLS: ${RESOURCE}/orders`))
process.once('SIGTERM', () => server.close(() => Promise.all([api.close(), behindNginx.close()])))
