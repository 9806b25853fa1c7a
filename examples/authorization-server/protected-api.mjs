// @ts-check
/**
 * The API that the tokens are for, protected by this package exactly as one in production would be: only where the
 * authorization server is differs. It verifies JWTs here, and asks about opaque tokens with the API key.
 *
 *   GET  /v2/messages   needs messages:read
 *   POST /v2/messages   needs messages:write
 *   GET  /v2/balance    needs balance:read, and a token that the authorization server calls active now
 *
 * Beside it stand the same API a day from now, under `/tomorrow`, and another API, under `/elsewhere`: to be shown what
 * an expired token is answered, and one that is for somebody else.
 */
import cors from '@koa/cors'
import Router from '@koa/router'
import { fresh, ResourceServerError, resourceServer, scope } from 'oauth-resource-server'
import { explainChecks } from 'oauth-resource-server/explain'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/koa'
import { telnyx } from 'oauth-resource-server/profiles'
import { SCOPES } from './scopes.mjs'

const PATHS = /^(?:\/tomorrow|\/elsewhere)?\/v2\/(?:messages|balance)$|^\/playground\/verdicts\//
const DAY = 86_400
/** Requests whose verdicts are kept. */
const MAX_VERDICTS = 200

/**
 * @param {object} options
 * @param {string} options.origin of the API and of its authorization server
 * @param {string} options.apiKey
 */
export function createProtectedApi({ origin, apiKey }) {
  const issuers = [{ ...telnyx({ apiKey, base: `${origin}/v2` }), tokens: /** @type {const} */ ('both') }]
  const scopes = Object.keys(SCOPES)
  // What the playground may use: the verdicts, and the places where a good token fails.
  const playground = {
    verdicts: `${origin}/playground/verdicts/`,
    breaks: {
      expired: { prefix: '/tomorrow' },
      audience: { prefix: '/elsewhere' },
      scope: { method: 'POST', body: JSON.stringify({ text: 'hello' }) },
      revoke: { path: '/v2/balance' }
    }
  }
  // The page shows each refusal itself.
  const log = false
  const api = resourceServer({ resource: origin, issuers, scopes, log, metadata: { playground } })
  const tomorrow = resourceServer({ resource: origin, issuers, scopes, log, now: () => Date.now() / 1000 + DAY })
  const elsewhere = resourceServer({ resource: `${origin}/elsewhere`, issuers, scopes, log })
  /** @type {Map<string, object>} */
  const kept = new Map()
  /** @type {string[]} */
  const messages = ['Your parcel has arrived.']

  const router = new Router()
  for (const [prefix, server] of /** @type {const} */ ([
    ['', api],
    ['/tomorrow', tomorrow],
    ['/elsewhere', elsewhere]
  ])) {
    router.get(`${prefix}/v2/messages`, protect(server, scope('messages:read')), (ctx) => {
      ctx.body = { data: messages, for: getAuth(ctx).clientId }
    })
    router.post(`${prefix}/v2/messages`, protect(server, scope('messages:write')), (ctx) => {
      ctx.status = 201
      ctx.body = { data: { queued: true } }
    })
    router.get(`${prefix}/v2/balance`, protect(server, scope('balance:read'), fresh()), (ctx) => {
      ctx.body = { data: { balance: '42.00', currency: 'USD' } }
    })
  }

  /** Keeps the verdict on a request that wants to be told of it. @type {import('koa').Middleware} */
  const keepVerdicts = async (ctx, next) => {
    const id = ctx.get('playground-request')
    const request = { authorization: ctx.get('authorization'), fresh: ctx.path.endsWith('/balance') }
    /** @param {ResourceServerError} [error] */
    const keep = (error) => {
      const { reason = null, hint = null, documentation = null } = error ?? {}
      if (!/^[\w-]{1,64}$/.test(id)) return
      kept.set(id, { reason, hint, documentation, checks: explainChecks(request, reason) })
      const [oldest] = kept.keys()
      if (kept.size > MAX_VERDICTS && oldest !== undefined) kept.delete(oldest)
    }
    try {
      await next()
      keep()
    } catch (error) {
      if (error instanceof ResourceServerError) keep(error)
      throw error
    }
  }
  router.get('/playground/verdicts/:id', (ctx) => {
    ctx.set('Cache-Control', 'no-store')
    const found = kept.get(String(ctx['params'].id))
    if (found) ctx.body = found
    else ctx.status = 404
  })

  /** @param {import('koa').Middleware} one @returns {import('koa').Middleware} */
  const onItsPaths = (one) => (ctx, next) => (PATHS.test(ctx.path) ? one(ctx, next) : next())

  return {
    api,
    middleware: [
      protectedResourceMetadata(api, elsewhere),
      // Before all that refuses: a preflight has no token, and the answers are read by scripts of other origins.
      onItsPaths(cors({ origin: '*', exposeHeaders: ['WWW-Authenticate', 'DPoP-Nonce'] })),
      onItsPaths(errorHandler()),
      onItsPaths(keepVerdicts),
      router.routes()
    ],
    close: () => Promise.all([api.close(), tomorrow.close(), elsewhere.close()])
  }
}
