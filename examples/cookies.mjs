// @ts-check
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'
import { protectUpgrade } from 'oauth-resource-server/node'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

// #region cookie
/** The origin of this API, and of its own pages, in browsers. */
const ORIGIN = new URL(RESOURCE).origin
const COOKIE = '__Host-token='

/** True for a request from a page of this origin, or from the user. Browsers send cookies with other requests too. */
function isOwn(/** @type {import('node:http').IncomingMessage} */ { method = '', headers }) {
  const site = headers['sec-fetch-site']
  if (site === undefined) return headers.origin === ORIGIN
  return site === 'same-origin' || (site === 'none' && ['GET', 'HEAD'].includes(method))
}

/**
 * Moves the access token from the cookie into `Authorization`, where the package reads it.
 *
 * @returns `'moved'`; `'absent'` if there is no such cookie, or the client sent `Authorization` itself; `'forged'`: answer 403
 */
function moveCookie(/** @type {import('node:http').IncomingMessage} */ request) {
  const { authorization, cookie = '' } = request.headers
  const values = cookie.split(/; */).filter((pair) => pair.startsWith(COOKIE))
  if (authorization !== undefined || values.length !== 1) return 'absent'
  if (!isOwn(request)) return 'forged'
  request.headers.authorization = `Bearer ${values[0]?.slice(COOKIE.length)}`
  return 'moved'
}

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const app = express()
app.use(protectedResourceMetadata(api))
app.use((req, res, next) => {
  const cookie = moveCookie(req)
  if (cookie === 'forged') return void res.status(403).end()
  // A shared cache keeps answers to requests without Authorization (RFC 9111 §3.5), and the cache saw a request without it.
  if (cookie === 'moved') res.set('Cache-Control', 'private')
  next()
})
app.all('/orders', protect(api, scope('orders:read')), (req, res) => {
  res.json({ orders: [], subject: getAuth(req).subject })
})
app.use(errorHandler())

const mayListen = protectUpgrade(api, scope('orders:read'))
const server = app.listen(Number(PORT), () => console.log(`Cookies: http://localhost:${PORT}/orders`))
server.on('upgrade', async (request, socket) => {
  socket.on('error', () => socket.destroy())
  if (moveCookie(request) === 'forged') {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    return
  }
  if (await mayListen(request, socket)) {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: example\r\n\r\n') // your protocol
  }
})
// #endregion
process.once('SIGTERM', () => server.close(() => api.close()))
