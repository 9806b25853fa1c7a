/** Hono. Typed by shape. Refusals are thrown; Hono's own error handling answers with their `getResponse()`. */
import { type Access, type Check, type Requirement, type ResourceServer, ResourceServerError } from '../src/index.js'
import { protectedResourceMetadata as metadataResponse } from './fetch.js'
import { mount } from './hono/events.js'
import { fieldsOf, type HonoContext, type HonoMiddleware, HonoRequest, headersOf } from './hono/exchange.js'
import { handling, restate } from './hono/refusals.js'
import { findAccess } from './shared/access.js'
import { enforceIn } from './shared/enforce.js'
import { createRender, type ErrorBodyOptions } from './shared/error-body.js'
import { addHeaders, forgetContent, isEmpty } from './shared/headers.js'
import { surface } from './shared/refusals.js'

export type { HonoContext, HonoMiddleware } from './hono/exchange.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/** For `new Hono<{ Variables: AuthVariables }>()`: types `c.var.auth`. */
export interface AuthVariables {
  auth: Access | undefined
}

/**
 * Accepts a request only with an access token that satisfies every requirement, and stores the {@link Access} as
 * `c.var.auth`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): HonoMiddleware {
  const protection = api.protect(...requirements)
  return async (context, next) => {
    // Hono merges earlier header fields into a handler's own response only if a response already exists.
    if (!isEmpty(protection.headers)) void context.res
    let access: Access | undefined
    try {
      access = await protection.authorize(new HonoRequest(context), findAccess(context.get('auth')))
      context.set('auth', access)
    } catch (error) {
      // Hono's error response keeps fields that were set, so fields about other content are removed here.
      forgetContent(fieldsOf(context))
      addHeaders(protection.headers, ...headersOf(context))
      throw surface(error, ...headersOf(context))
    }
    await next()
    // Added after the handler: for a field that already exists, Hono keeps the earlier value and drops the handler's.
    addHeaders(protection.headers, ...headersOf(context))
    if (access !== undefined) addHeaders(access.responseHeaders, ...headersOf(context))
    if (context.error instanceof ResourceServerError) restate(context.error, context)
  }
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
  context: HonoContext,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  return enforceIn(handling, context, api, checks)
}

/**
 * Gives this package's errors a body in the shape of the API, such as {@link problemDetails}. Use it first, before any
 * `protect`. Hono, or your own `app.onError`, answers all other errors. Without it, Hono answers with the JSON of
 * OAuth.
 *
 * A response that your `onError` creates for one of these errors gets this body too, unless it has another status.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): HonoMiddleware {
  const render = createRender(options ?? {})
  return async (context, next) => {
    await next()
    const { error, res } = context
    if (!(error instanceof ResourceServerError) || res.status !== error.status) return
    const { body, type } = render(error)
    context.header('Content-Length')
    const headers = new Headers(context.res.headers)
    headers.delete('Content-Type')
    if (type !== undefined) headers.set('Content-Type', type)
    context.res = new Response(body === '' ? null : body, { status: error.status, headers })
  }
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Use it before
 * any `protect`.
 */
export function protectedResourceMetadata(...apis: readonly ResourceServer<never>[]): HonoMiddleware {
  const respond = metadataResponse(...apis)
  return async ({ req }, next) => respond(req.raw) ?? next()
}

/**
 * The access that `protect` granted to this request.
 *
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function getAuth(context: Pick<HonoContext, 'get'>): Access {
  return handling.getAuth(context as HonoContext)
}

/** The access that `protect` granted to this request, or undefined where it accepted the request without a token. */
export function getOptionalAuth(context: Pick<HonoContext, 'get'>): Access | undefined {
  return findAccess(context.get('auth'))
}

export { mount as backchannelLogout, mount as securityEvents }
