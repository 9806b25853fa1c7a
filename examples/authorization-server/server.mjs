// @ts-check
/**
 * An authorization server with the shape of the Telnyx OAuth API, and the API that it issues tokens for, on one origin:
 * OAuth is oidc-provider's; the paths, envelopes, API keys, consent and the management of clients and grants are ours.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import cors from '@koa/cors'
import Router from '@koa/router'
import Koa from 'koa'
import { createApiKeys, createRateLimit } from './api-keys.mjs'
import { createConsent } from './consent.mjs'
import { createAdapter, openDatabase } from './database.mjs'
import { createIntrospection, tellLess } from './introspection.mjs'
import { openKeys } from './keys.mjs'
import { createManagement } from './management.mjs'
import { frontPage } from './pages.mjs'
import { ApiProblem, renderProblems } from './problems.mjs'
import { createProtectedApi } from './protected-api.mjs'
import { createProvider } from './provider.mjs'
import { readJson, readParameters, replaceBody } from './requests.mjs'
import { scopesWith } from './scopes.mjs'

/**
 * @typedef {object} ServerOptions
 * @property {number} [port] default: any free one
 * @property {string} [database] a file; default: `:memory:`
 * @property {string} [apiKey] that may do everything; default: one that is made at the first start
 * @property {string} [readOnlyKey] that may read; default: the same
 * @property {readonly string[]} [resources] your APIs that tokens are for, besides this one
 * @property {readonly string[]} [scopes] of your APIs, besides those of this one
 * @property {'jwt' | 'opaque'} [accessTokens] of clients that did not say which they want; default: jwt
 * @property {import('./api-keys.mjs').RateLimit} [rateLimit] of each address for each endpoint; default: 600 in a minute
 */

/** @param {ServerOptions} [options] */
export async function startServer({
  port = 0,
  database: file = ':memory:',
  apiKey: givenKey,
  readOnlyKey: givenReadOnlyKey,
  resources = [],
  scopes: moreScopes = [],
  accessTokens = 'jwt',
  rateLimit = { requests: 600, seconds: 60 }
} = {}) {
  const database = openDatabase(file)
  const http = createServer()
  try {
    http.listen(port, '127.0.0.1')
    await once(http, 'listening')
  } catch (error) {
    database.close()
    throw error
  }
  const address = /** @type {import('node:net').AddressInfo} */ (http.address())
  const origin = `http://127.0.0.1:${address.port}`

  const secret = (/** @type {string} */ name) => database.secret(name, () => randomBytes(32).toString('base64url'))
  const apiKey = givenKey ?? (await secret('api key'))
  const readOnlyKey = givenReadOnlyKey ?? (await secret('read-only key'))
  const introspector = { client_id: 'introspection', client_secret: await secret('introspection') }
  const cookieKeys = [await secret('cookies')]
  const nonceSecret = Buffer.from(await secret('nonces'), 'base64url')
  const keys = await openKeys(database)
  const apiKeys = createApiKeys([
    { key: apiKey, mayWrite: true },
    { key: readOnlyKey, mayWrite: false }
  ])
  const adapter = createAdapter(database)

  /** @type {import('./provider.mjs').AuthorizationProvider} */
  let provider
  const scopes = scopesWith(moreScopes)
  const world = {
    database,
    provider: () => provider,
    keys: () => keys.all(),
    introspector,
    hasApiKey: apiKeys.find,
    scopes
  }
  const consent = createConsent(world)
  const management = createManagement(world)
  const introspection = createIntrospection(world)
  // A provider's keys are fixed when it is made: other keys are another provider, with the same storage.
  const renewProvider = () => {
    provider = createProvider({
      issuer: origin,
      database,
      adapter,
      keys: keys.all(),
      cookieKeys,
      nonceSecret,
      introspector,
      resources,
      scopes,
      accessTokens
    })
    provider.use(consent.rememberCookies(apiKeys.find))
    provider.use(tellLess(database))
  }
  renewProvider()
  const rotateKeys = async () => {
    await keys.rotate()
    renewProvider()
    return keys.all()[0]?.kid
  }

  const protectedApi = createProtectedApi({ origin, apiKey })
  const take = createRateLimit(rateLimit)
  const app = new Koa()
  app.use(renderProblems)
  app.use(async (ctx, next) => {
    try {
      take(ctx.req.socket.remoteAddress ?? '', ctx.path.replace(/[^/]{20,}/g, '*'))
    } catch (error) {
      // Those endpoints speak OAuth (RFC 6749 §5.2).
      if (!(error instanceof ApiProblem) || !ctx.path.startsWith('/v2/oauth/')) throw error
      ctx.status = error.status
      ctx.set(error.headers)
      ctx.body = { error: 'temporarily_unavailable', error_description: error.message }
      return
    }
    await next()
  })
  for (const middleware of protectedApi.middleware) app.use(middleware)

  const { mayRead, mayWrite } = apiKeys
  const router = new Router()
  router.get('/', (ctx) => frontPage(ctx, origin))
  router.get('/consent/:uid', (ctx) => consent.show(ctx, part(ctx, 'uid')))
  router.post('/consent/:uid', (ctx) => consent.decide(ctx, part(ctx, 'uid')))
  router.get('/v2/oauth/consent/:token', mayRead, async (ctx) => {
    ctx.body = await consent.retrieve(part(ctx, 'token'))
  })
  router.post('/v2/oauth/grants', mayWrite, async (ctx) => {
    ctx.body = await consent.answer(ctx)
  })
  router.get('/v2/oauth_clients', mayRead, (ctx) => {
    ctx.body = management.listClients(new URLSearchParams(ctx.querystring))
  })
  router.post('/v2/oauth_clients', mayWrite, async (ctx) => {
    ctx.body = await management.createClient(ctx)
    ctx.status = 201
  })
  router.get('/v2/oauth_clients/:id', mayRead, (ctx) => {
    ctx.body = management.retrieveClient(part(ctx, 'id'))
  })
  router.put('/v2/oauth_clients/:id', mayWrite, async (ctx) => {
    ctx.body = await management.updateClient(part(ctx, 'id'), ctx)
  })
  router.delete('/v2/oauth_clients/:id', mayWrite, (ctx) => {
    management.deleteClient(part(ctx, 'id'))
    ctx.status = 204
  })
  router.get('/v2/oauth_grants', mayRead, (ctx) => {
    ctx.body = management.listGrants(new URLSearchParams(ctx.querystring))
  })
  router.get('/v2/oauth_grants/:id', mayRead, (ctx) => {
    ctx.body = management.retrieveGrant(part(ctx, 'id'))
  })
  router.delete('/v2/oauth_grants/:id', mayWrite, (ctx) => {
    ctx.body = management.revokeGrant(part(ctx, 'id'))
  })
  // Not of that API: what an operator does once in a while.
  router.post('/v2/admin/keys/rotate', mayWrite, async (ctx) => {
    ctx.body = { data: { kid: await rotateKeys() } }
  })

  // What goes on to oidc-provider. An API key beside the client's own credentials is no second client authentication.
  router.post('/v2/oauth/token', async (ctx, next) => {
    if (/^bearer /i.test(ctx.get('authorization'))) delete ctx.req.headers.authorization
    if (ctx.is('json')) replaceBody(ctx, 'application/x-www-form-urlencoded', `${await readParameters(ctx)}`)
    await next()
  })
  router.all('/v2/oauth/register', cors({ origin: '*' }))
  router.post('/v2/oauth/register', async (ctx, next) => {
    const hasKey = apiKeys.find(ctx)?.mayWrite === true
    delete ctx.req.headers.authorization
    const members = await readJson(ctx)
    // A page of any site can register a client (CORS): each token of such a client needs a person's consent.
    if (!hasKey && [members['grant_types']].flat().includes('client_credentials')) {
      const description = 'client_credentials needs an API key in Authorization'
      ctx.status = 400
      ctx.body = { error: 'invalid_client_metadata', error_description: description }
      return
    }
    replaceBody(ctx, 'application/json', JSON.stringify(members))
    await next()
  })
  router.post('/v2/oauth/introspect', introspection)
  app.use(router.routes())
  app.use((ctx) => {
    ctx.respond = false
    void provider.callback()(ctx.req, ctx.res)
  })
  app.on('error', (error) => console.error('authorization server:', error))

  const handle = app.callback()
  http.on('request', (request, response) => {
    // The SDK looks for both well-known documents under its base URL, unless that is the default one.
    request.url = request.url?.replace(/^\/v2(?=\/\.well-known\/)/, '')
    void handle(request, response)
  })

  return {
    origin,
    issuer: origin,
    base: `${origin}/v2`,
    apiKey,
    readOnlyKey,
    api: protectedApi.api,
    rotateKeys,
    close: async () => {
      await protectedApi.close()
      const closed = once(http, 'close')
      http.close()
      http.closeAllConnections()
      await closed
      database.close()
    }
  }
}

/** A part of the path, which the router found. @param {import('koa').Context} ctx @param {string} name */
function part(ctx, name) {
  return String(ctx['params'][name])
}

/** @typedef {Awaited<ReturnType<typeof startServer>>} RunningServer */
