// @ts-check
import { BlockList } from 'node:net'
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env
const { PROXY = '127.0.0.1' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const app = express()
app.use(protectedResourceMetadata(api))
// #region forwarded
const proxies = new BlockList()
proxies.addAddress(PROXY)
app.use((req, _res, next) => {
  const token = req.headers['x-forwarded-access-token']
  const peer = req.socket.remoteAddress?.replace(/^::ffff:/, '') ?? ''
  if (typeof token === 'string' && proxies.check(peer)) req.headers.authorization = `Bearer ${token}`
  next()
})
// #endregion
app.get('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

const server = app.listen(Number(PORT), '127.0.0.1', () => console.log(`Proxy: http://localhost:${PORT}/orders`))
process.once('SIGTERM', () => server.close(() => api.close()))
