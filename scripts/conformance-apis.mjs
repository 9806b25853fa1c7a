// @ts-check
/**
 * One API for each adapter, with every feature that the suite can test: opaque tokens, DPoP, certificates in a field, scopes,
 * step-up, and revocation in four ways. Options that the README does not set have their defaults.
 *
 * Used by `scripts/conformance-report.mjs`.
 */
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import Router from '@koa/router'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import createFastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import {
  authentication,
  clientSecretBasic,
  logoutTokenReceiver,
  resourceServer,
  scope,
  securityEventReceiver
} from 'oauth-resource-server'
import * as onExpress from 'oauth-resource-server/express'
import resourceServerPlugin, * as onFastify from 'oauth-resource-server/fastify'
import * as onFetch from 'oauth-resource-server/fetch'
import * as onHono from 'oauth-resource-server/hono'
import * as onKoa from 'oauth-resource-server/koa'
import { authInfo, toolScopes } from 'oauth-resource-server/mcp'
import * as onNode from 'oauth-resource-server/node'
import { FACTS, FEATURES } from '../test/conformance/declared.mjs'

/**
 * @typedef {import('oauth-resource-server').ResourceServer} ResourceServer
 * @typedef {import('oauth-resource-server').Receiver} Receiver
 * @typedef {import('node:http').RequestListener} Listener
 * @typedef {{ api: ResourceServer, events: Receiver, logout: Receiver }} Parts
 * @typedef {import('oauth-resource-server/conformance').Declared} Declared
 * @typedef {import('oauth-resource-server/conformance').Need} Need
 * @typedef {{ name: string, path: string, create: (parts: Parts) => Listener | Promise<Listener>, facts?: Declared, features?: readonly Need[] }} Adapter
 */

const READ = scope('orders:read')
const WRITE = scope('orders:write')
const STRONG = authentication({ acr: 'strong', maxAge: 300 })

const { scopedRoutes: _routes, stepUp: _stepUp, ...ONE_ROUTE } = FACTS
/** An MCP server answers GET with 405, and has one route: scopes of tools are checked within it. @type {Declared} */
const MCP_FACTS = {
  ...ONE_ROUTE,
  request: {
    method: 'POST',
    fields: [
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json, text/event-stream']
    ],
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
  }
}
const MCP_FEATURES = FEATURES.filter((need) => need !== 'scopes')

/** @type {readonly Adapter[]} */
export const ADAPTERS = [
  { name: 'express', path: '/orders', create: createExpress },
  { name: 'koa', path: '/orders', create: createKoa },
  { name: 'fastify', path: '/orders', create: createFastifyApi },
  { name: 'hono', path: '/orders', create: createHono },
  { name: 'fetch', path: '/orders', create: createFetch },
  { name: 'node', path: '/orders', create: createNode },
  { name: 'mcp', path: '/mcp', create: createMcp, facts: MCP_FACTS, features: MCP_FEATURES }
]

/** @param {Parts} parts */
function createExpress({ api, events, logout }) {
  const app = express()
  app.use(onExpress.protectedResourceMetadata(api))
  app.use('/events', onExpress.securityEvents(events))
  app.use('/logout', onExpress.backchannelLogout(logout))
  app.get('/orders', onExpress.protect(api, READ), (_req, res) => void res.json([]))
  app.get('/write', onExpress.protect(api, WRITE), (_req, res) => void res.json([]))
  app.get('/admin', onExpress.protect(api, STRONG), (_req, res) => void res.json([]))
  app.use(onExpress.errorHandler())
  return app
}

/** @param {Parts} parts */
function createKoa({ api, events, logout }) {
  const answer = (/** @type {Koa.Context} */ ctx) => {
    ctx.body = []
  }
  const router = new Router()
  router.all('/events', onKoa.securityEvents(events))
  router.all('/logout', onKoa.backchannelLogout(logout))
  router.get('/orders', onKoa.protect(api, READ), answer)
  router.get('/write', onKoa.protect(api, WRITE), answer)
  router.get('/admin', onKoa.protect(api, STRONG), answer)
  const app = new Koa()
  app.use(onKoa.errorHandler())
  app.use(onKoa.protectedResourceMetadata(api))
  app.use(router.routes())
  return app.callback()
}

/** @param {Parts} parts */
async function createFastifyApi({ api, events, logout }) {
  const server = createServer()
  const app = createFastify({ serverFactory: (listener) => server.on('request', listener) })
  app.setErrorHandler(onFastify.errorHandler)
  await app.register(resourceServerPlugin, { api })
  await app.register(onFastify.securityEvents(events), { prefix: '/events' })
  await app.register(onFastify.backchannelLogout(logout), { prefix: '/logout' })
  app.get('/orders', { config: { auth: READ } }, async () => [])
  app.get('/write', { config: { auth: WRITE } }, async () => [])
  app.get('/admin', { config: { auth: STRONG } }, async () => [])
  await app.ready()
  return (/** @type {import('node:http').IncomingMessage} */ request, /** @type {unknown} */ response) =>
    void server.emit('request', request, response)
}

/** @param {Parts} parts */
function createHono({ api, events, logout }) {
  const app = new Hono()
  app.use(onHono.protectedResourceMetadata(api))
  app.all('/events', onHono.securityEvents(events))
  app.all('/logout', onHono.backchannelLogout(logout))
  app.get('/orders', onHono.protect(api, READ), (c) => c.json([]))
  app.get('/write', onHono.protect(api, WRITE), (c) => c.json([]))
  app.get('/admin', onHono.protect(api, STRONG), (c) => c.json([]))
  return getRequestListener(app.fetch)
}

/** @param {Parts} parts */
function createFetch({ api, events, logout }) {
  const metadata = onFetch.protectedResourceMetadata(api)
  const receivers = new Map([
    ['/events', onFetch.securityEvents(events)],
    ['/logout', onFetch.backchannelLogout(logout)]
  ])
  const guards = new Map([
    ['/orders', onFetch.protect(api, READ)],
    ['/write', onFetch.protect(api, WRITE)],
    ['/admin', onFetch.protect(api, STRONG)]
  ])
  return getRequestListener(async (request, host) => {
    const document = metadata(request)
    if (document) return document
    const { pathname } = new URL(request.url)
    const receive = receivers.get(pathname)
    if (receive) return receive(request, host)
    const guard = guards.get(pathname)
    if (!guard) return new Response(null, { status: 404 })
    const access = await guard(request, 'incoming' in host ? host.incoming.socket : undefined)
    if (access instanceof Response) return access
    return Response.json([], { headers: /** @type {Record<string, string>} */ (access.responseHeaders) })
  })
}

/** @param {Parts} parts @returns {Listener} */
function createNode({ api, events, logout }) {
  const metadata = onNode.protectedResourceMetadata(api)
  const receivers = new Map([
    ['/events', events],
    ['/logout', logout]
  ])
  const guards = new Map([
    ['/orders', onNode.protect(api, READ)],
    ['/write', onNode.protect(api, WRITE)],
    ['/admin', onNode.protect(api, STRONG)]
  ])
  return async (request, response) => {
    if (metadata(request, response)) return
    const path = request.url?.split('?')[0] ?? ''
    const receive = receivers.get(path)
    if (receive) {
      const { method = '', headers } = request
      const answer = await receive({ method, contentType: headers['content-type'], body: await text(request) })
      return void response.writeHead(answer.status, answer.headers).end(answer.body)
    }
    const guard = guards.get(path)
    if (!guard) return void response.writeHead(404).end()
    if (!(await guard(request, response))) return
    response.setHeader('Content-Type', 'application/json')
    response.end('[]')
  }
}

/** The server of examples/mcp.mjs. @param {Parts} parts */
function createMcp({ api, events, logout }) {
  const checksOf = toolScopes({ whoami: [] })
  const app = express()
  app.use(onExpress.protectedResourceMetadata(api))
  app.use('/events', onExpress.securityEvents(events))
  app.use('/logout', onExpress.backchannelLogout(logout))
  app.post('/mcp', onExpress.protect(api, READ), express.json(), async (req, res) => {
    await onExpress.enforce(api, req, ...checksOf(req.body))
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    const server = new McpServer({ name: 'notes', version: '1.0.0' })
    server.registerTool('whoami', {}, () => ({ content: [{ type: 'text', text: 'a user' }] }))
    res.once('close', () => void server.close())
    await server.connect(/** @type {any} */ (transport))
    await transport.handleRequest(Object.assign(req, { auth: authInfo(api, onExpress.getAuth(req)) }), res, req.body)
  })
  app.all('/mcp', onExpress.protect(api, READ), (_req, res) => void res.status(405).set('Allow', 'POST').end())
  app.use(onExpress.errorHandler())
  return app
}

/**
 * The parts of an API that trusts the authorization server of the suite, and the end of them.
 *
 * @param {string} origin @param {string} path @param {import('oauth-resource-server/conformance').RunningIssuer} issuer
 * @returns {Parts}
 */
export function createParts(origin, path, issuer) {
  const api = resourceServer({
    resource: `${origin}${path}`,
    publicUrl: origin,
    issuers: [
      {
        issuer: issuer.url,
        introspection: { auth: clientSecretBasic('secret'), clientId: 'api' },
        tokens: 'both',
        statusList: true
      },
      ...(issuer.second === undefined ? [] : [{ issuer: issuer.second.url }])
    ],
    clientCertificate: { trustedProxies: ['127.0.0.1'] },
    log: false
  })
  return {
    api,
    events: securityEventReceiver(api, { transmitters: [{ issuer: issuer.url, audience: api.resource }] }),
    logout: logoutTokenReceiver(api, { issuers: [{ issuer: issuer.url, clientId: 'client-1' }] })
  }
}
