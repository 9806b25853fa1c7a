/** Koa 2 and 3. Typed by shape. Refusals are thrown, which is how Koa passes errors on; each carries its header fields. */
import { type Access, type Check, type Requirement, type ResourceServer, ResourceServerError } from '../src/index.js'
import { mount } from './koa/events.js'
import { type AuthState, handling, type KoaContext, type KoaMiddleware, read, run, send } from './koa/exchange.js'
import { findAccess } from './shared/access.js'
import { enforceIn } from './shared/enforce.js'
import { createRender, type ErrorBodyOptions } from './shared/error-body.js'
import { forgetContent } from './shared/headers.js'
import { hasOwnListener } from './shared/host-log.js'
import { metadataAnswer, requireRootMount, withMetadata } from './shared/metadata.js'
import { NodeRequest } from './shared/node-request.js'
import { cutOff } from './shared/streams.js'

export type { AuthState, KoaContext, KoaMiddleware } from './koa/exchange.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/**
 * Accepts a request only with an access token that satisfies every requirement, and stores the {@link Access} as
 * `ctx.state.auth`. For an app, a router or a route. Mount it before any body parser.
 *
 * With @koa/router, `router.use(protect(…))` on a router with a `prefix` compares the prefix case-sensitively, but its
 * routes do not: `/V1/items` would reach a handler without it. Protect each route, or the app, or write `router.use('',
 * protect(…))`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): KoaMiddleware {
  const protection = api.protect(...requirements)
  return (context, next) => run(protection, read(context), context, context, next)
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  context: KoaContext,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  return enforceIn(handling, context, api, checks)
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Use it on the
 * outermost app, before any `protect`.
 */
export function protectedResourceMetadata(...apis: readonly ResourceServer<never>[]): KoaMiddleware {
  return async (context, next) => {
    const answer = metadataAnswer(apis, new NodeRequest(context.req, context.originalUrl))
    if (answer) return withMetadata(answer, ({ status, headers, body }) => send(context, status, headers, body))
    const { originalUrl, url } = context
    const prefix = originalUrl.endsWith(url) ? originalUrl.slice(0, -url.length) : ''
    requireRootMount(apis, new NodeRequest(context.req, url), prefix)
    return next()
  }
}

/**
 * The access that `protect` granted to this request.
 *
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function getAuth(context: { readonly state: object }): Access {
  return handling.getAuth(context as KoaContext)
}

/** The access that `protect` granted to this request, or undefined where it accepted the request without a token. */
export function getOptionalAuth(context: { readonly state: object }): Access | undefined {
  return findAccess((context.state as AuthState).auth)
}

/**
 * Answers this package's errors with their JSON body and rethrows all others. Use it first. A 5xx is also emitted to
 * the `error` listeners that you added to the app; a 4xx is not. If the response has begun,
 * by `ctx.res.write()` or a piped stream, it is cut off and the error rethrown: Koa alone would leave the connection
 * open.
 *
 * @param options the body in the shape of the API, such as {@link problemDetails}. Default: the JSON of OAuth
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options?: ErrorBodyOptions): KoaMiddleware {
  const render = createRender(options)
  return async (context, next) => {
    try {
      return await next()
    } catch (error) {
      if (!(error instanceof ResourceServerError)) throw error
      if (context.res.headersSent) {
        cutOff(context.res)
        throw error
      }
      // Koa would emit a thrown error; an answered one is emitted here, for the application's own log.
      if (error.status >= 500 && hasOwnListener(context.app)) context.app?.emit?.('error', error, context)
      const { body, type } = render(error)
      forgetContent(context.res)
      send(context, error.status, { ...error.headers, ...(type !== undefined && { 'Content-Type': type }) }, body)
      return undefined
    }
  }
}

export { mount as backchannelLogout, mount as securityEvents }
