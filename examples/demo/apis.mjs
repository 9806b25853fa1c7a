// @ts-check
/**
 * The same small API three times: Express, Koa and Fastify, each protected by its own `resourceServer`.
 *
 *   GET /orders    needs orders:read          POST /orders   needs orders:write
 *   GET /me        needs any good token       GET /feed      works without one, too
 *   GET /payouts   needs a user who logged in with a second factor
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import Router from '@koa/router'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { authentication, clientSecretBasic, optional, resourceServer, scope } from 'oauth-resource-server'
import * as onExpress from 'oauth-resource-server/express'
import resourceServerPlugin, * as onFastify from 'oauth-resource-server/fastify'
import * as onKoa from 'oauth-resource-server/koa'

/** The authentication context class of a login with a password and a one-time password. */
export const TWO_FACTORS = 'urn:example:otp'

const orders = [
  { id: 1, item: 'umbrella' },
  { id: 2, item: 'lantern' }
]

const payouts = [{ id: 7, amount: '120.00' }]
/** RFC 9470: what a password alone is not enough for. */
const twoFactors = authentication({ acr: TWO_FACTORS })

/** @typedef {import('oauth-resource-server').Access} Access */
/** @param {Access} access */
const me = ({ subject, scopes, clientId }) => ({ subject, scopes, clientId })
/** @param {Access | undefined} access */
const feed = (access) => ({ news: ['Lanterns are back'], for: access?.subject ?? 'everybody' })

/** @typedef {'orders:read' | 'orders:write'} OrdersScope */
/** @typedef {import('oauth-resource-server').ResourceServer<OrdersScope>} Api */

/** @param {Api} api */
function createExpressApp(api) {
  const { protect, getAuth, getOptionalAuth } = onExpress
  const app = express()
  app.use(onExpress.protectedResourceMetadata(api))
  app.get('/orders', protect(api, scope('orders:read')), (_req, res) => void res.json(orders))
  app.post('/orders', protect(api, scope('orders:write')), (_req, res) => void res.status(201).json({ id: 3 }))
  app.get('/me', protect(api), (req, res) => void res.json(me(getAuth(req))))
  app.get('/payouts', protect(api, twoFactors), (_req, res) => void res.json(payouts))
  app.get('/feed', protect(api, optional), (req, res) => void res.json(feed(getOptionalAuth(req))))
  app.use(onExpress.errorHandler())
  return app
}

/** @param {Api} api */
function createKoaApp(api) {
  const { protect, getAuth, getOptionalAuth } = onKoa
  const router = new Router()
  router.get('/orders', protect(api, scope('orders:read')), (ctx) => {
    ctx.body = orders
  })
  router.post('/orders', protect(api, scope('orders:write')), (ctx) => {
    ctx.status = 201
    ctx.body = { id: 3 }
  })
  router.get('/me', protect(api), (ctx) => {
    ctx.body = me(getAuth(ctx))
  })
  router.get('/payouts', protect(api, twoFactors), (ctx) => {
    ctx.body = payouts
  })
  router.get('/feed', protect(api, optional), (ctx) => {
    ctx.body = feed(getOptionalAuth(ctx))
  })
  const app = new Koa()
  app.use(onKoa.errorHandler())
  app.use(onKoa.protectedResourceMetadata(api))
  app.use(router.routes())
  return app.callback()
}

/**
 * @param {Api} api
 * @param {import('node:http').Server} server
 */
async function createFastifyApp(api, server) {
  const { errorHandler, getAuth, getOptionalAuth } = onFastify
  // The server is there before the app, because its port is part of the resource identifier.
  const app = Fastify({ serverFactory: (handler) => server.on('request', handler) })
  app.setErrorHandler(errorHandler)
  await app.register(resourceServerPlugin, { api })
  app.get('/orders', { config: { auth: scope('orders:read') } }, async () => orders)
  app.post('/orders', { config: { auth: scope('orders:write') } }, async (_request, reply) =>
    reply.code(201).send({ id: 3 })
  )
  app.get('/me', { config: { auth: true } }, async (request) => me(getAuth(request)))
  app.get('/payouts', { config: { auth: twoFactors } }, async () => payouts)
  app.get('/feed', { config: { auth: optional } }, async (request) => feed(getOptionalAuth(request)))
  await app.ready()
}

/** @typedef {{ name: string, origin: string, api: Api, close: () => Promise<void> }} RunningApi */

/**
 * Starts the three.
 * @param {object} options
 * @param {string} options.issuer
 * @param {{ client_id: string, client_secret: string }} options.client the API's own credentials, to introspect with
 * @param {readonly string[]} options.audience identifiers of the API, besides its origin
 * @param {() => number} options.now seconds since the epoch
 * @param {number} options.port of the first one; 0 for any free ones
 * @returns {Promise<RunningApi[]>}
 */
export async function startApis({ issuer, client, audience, now, port }) {
  const names = ['express', 'koa', 'fastify']
  const running = []
  for (const [index, name] of names.entries()) {
    const server = createServer()
    server.listen(port && port + index, '127.0.0.1')
    await once(server, 'listening')
    const address = /** @type {import('node:net').AddressInfo} */ (server.address())
    const resource = `http://127.0.0.1:${address.port}`
    const api = resourceServer({
      resource,
      // The demo shows each refusal itself.
      log: false,
      issuers: [
        {
          issuer,
          audience: [resource, ...audience],
          introspection: { clientId: client.client_id, auth: clientSecretBasic(client.client_secret) },
          tokens: 'both'
        }
      ],
      scopes: ['orders:read', 'orders:write'],
      metadata: { resource_name: `Orders on ${name}` },
      now
    })
    if (name === 'express') server.on('request', createExpressApp(api))
    if (name === 'koa') server.on('request', createKoaApp(api))
    if (name === 'fastify') await createFastifyApp(api, server)
    const close = async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await Promise.all([closed, api.close()])
    }
    running.push({ name, origin: resource, api, close })
  }
  return running
}
