// @ts-check
/**
 * Introspection with an API key as a Bearer token, which RFC 7662 §2.1 allows, and of JWTs too, which oidc-provider does
 * not keep: its own signature says that it issued them, and the database whether their grant still stands.
 */
import { createLocalJWKSet, jwtVerify } from 'jose'
import { readParameters, replaceBody } from './requests.mjs'

/** Of an answer, what the API tells; `cnf` besides, without which a bound token would pass for a plain one. */
const MEMBERS = ['active', 'aud', 'client_id', 'exp', 'iat', 'iss', 'scope', 'cnf']

/**
 * @param {object} world
 * @param {import('./database.mjs').AuthorizationDatabase} world.database
 * @param {() => import('./provider.mjs').AuthorizationProvider} world.provider
 * @param {() => readonly import('./keys.mjs').SigningKey[]} world.keys
 * @param {{ client_id: string, client_secret: string }} world.introspector
 * @param {(ctx: import('koa').Context) => unknown} world.hasApiKey
 */
export function createIntrospection({ database, provider, keys, introspector, hasApiKey }) {
  const { client_id: id, client_secret: secret } = introspector
  const basic = `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`

  /** @param {string} token @returns {Promise<Record<string, unknown>>} */
  const introspectJwt = async (token) => {
    const { issuer, Client, Grant } = provider()
    const verified = await jwtVerify(token, createLocalJWKSet({ keys: keys().map(publicPart) }), {
      issuer,
      typ: 'at+jwt'
    }).catch(() => undefined)
    if (verified === undefined) return { active: false }
    const { payload } = verified
    const issued = database.find('IssuedJwt', String(payload.jti))
    const stands =
      issued !== undefined &&
      (await Client.find(String(payload.client_id))) !== undefined &&
      (issued.grantId === undefined || (await Grant.find(issued.grantId)) !== undefined)
    if (!stands) return { active: false }
    if (issued.grantId !== undefined) database.noteUse(issued.grantId)
    return { ...payload, active: true }
  }

  /** @type {import('koa').Middleware} */
  const middleware = async (ctx, next) => {
    const isBearer = /^bearer /i.test(ctx.get('authorization'))
    if (isBearer && !hasApiKey(ctx)) {
      ctx.status = 401
      ctx.set('WWW-Authenticate', 'Bearer')
      ctx.body = { error: 'invalid_client', error_description: 'no valid API key' }
      return
    }
    if (!isBearer) return next()
    const parameters = await readParameters(ctx)
    const token = parameters.getAll('token')
    if (token.length === 1 && token[0]?.split('.').length === 3) {
      ctx.set('Cache-Control', 'no-store')
      ctx.body = onlyTold(await introspectJwt(token[0]))
      return
    }
    ctx.req.headers.authorization = basic
    replaceBody(ctx, 'application/x-www-form-urlencoded', parameters.toString())
    await next()
  }
  return middleware
}

/**
 * For oidc-provider: of its answers, what the API tells. A refresh token is none of the API's business.
 * @param {import('./database.mjs').AuthorizationDatabase} database
 * @returns {(ctx: import('oidc-provider').KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>}
 */
export function tellLess(database) {
  return async (ctx, next) => {
    await next()
    if (ctx.oidc?.route !== 'introspection' || ctx.status !== 200) return
    const { AccessToken, RefreshToken } = ctx.oidc.entities
    ctx.body = RefreshToken ? { active: false } : onlyTold(/** @type {Record<string, unknown>} */ (ctx.body))
    if (AccessToken?.grantId !== undefined) database.noteUse(AccessToken.grantId)
  }
}

/** @param {Record<string, unknown>} answer */
function onlyTold(answer) {
  return Object.fromEntries(Object.entries(answer).filter(([name]) => MEMBERS.includes(name)))
}

/** @param {import('./keys.mjs').SigningKey} key */
function publicPart(key) {
  const { d: _private, ...rest } = key
  return rest
}
