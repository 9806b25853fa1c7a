/**
 * Fastify 5: a plugin whose `onRequest` hook protects every route by its own `config.auth`, including routes declared
 * before the plugin, and their HEAD. Alternatively `protect` as a hook of one route. All checks run before a body is
 * parsed.
 */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { type Access, type Check, type Requirement, type ResourceServer, ResourceServerError } from '../src/index.js'
import { accessOf, bytes, handling, headersOf, requestOf, run } from './fastify/exchange.js'
import type { RouteAuth } from './fastify/route-auth.js'
import { findAccess } from './shared/access.js'
import { enforceIn } from './shared/enforce.js'
import { createRender, type ErrorBodyOptions, oauthContent, type Render } from './shared/error-body.js'
import { addHeaders, forgetContent } from './shared/headers.js'
import { failureStatus } from './shared/refusals.js'

export { assertProtected } from './fastify/assert-protected.js'
export { mount as backchannelLogout, mount as securityEvents } from './fastify/events.js'
export { protectedResourceMetadata } from './fastify/metadata.js'
export type { FastifyResourceServerOptions } from './fastify/plugin.js'
export { fastifyResourceServer, fastifyResourceServer as default } from './fastify/plugin.js'
export type { RouteAuth } from './fastify/route-auth.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** The access granted to this request. Null before the decision, and on routes without requirements. */
    auth: Access | null
  }
  interface FastifyContextConfig {
    auth?: RouteAuth
  }
}

/**
 * Protects one route or one plugin: `{ onRequest: protect(api, scope('orders:read')) }`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): onRequestHookHandler {
  const protection = api.protect(...requirements)
  return (request, reply, done) => void run(protection, requestOf(request), request, reply, done)
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @param reply the reply, which refers to its request. The challenge is also set on it, for error handlers that only
 * read the reply
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  reply: FastifyReply,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  return enforceIn(handling, reply, api, checks)
}

/**
 * The access granted to this request.
 *
 * @throws {Error} the route is not protected, or a waiver accepted the request without a token
 */
export function getAuth(request: FastifyRequest): Access {
  return accessOf(request)
}

/** The access granted to this request, or undefined where it was accepted without a token. */
export function getOptionalAuth(request: FastifyRequest): Access | undefined {
  return findAccess(request.auth)
}

/** An error handler of Fastify. */
export type FastifyErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void

/**
 * For `app.setErrorHandler(errorHandler)`: answers this package's errors with their JSON body, and sends all other
 * errors on. With `app.setErrorHandler(errorHandler(options))` the body has the shape of the API, such as {@link
 * problemDetails}.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): FastifyErrorHandler
export function errorHandler(error: unknown, request: FastifyRequest, reply: FastifyReply): void
export function errorHandler(given: unknown, _request?: FastifyRequest, reply?: FastifyReply): unknown {
  if (reply !== undefined) return answer(given, reply, oauthContent)
  const render = createRender((given ?? {}) as ErrorBodyOptions)
  return (error: unknown, _: FastifyRequest, to: FastifyReply) => answer(error, to, render)
}

function answer(error: unknown, reply: FastifyReply, render: Render): void {
  if (!(error instanceof ResourceServerError)) {
    // Fastify would send a thrown value that is not an Error as a normal response.
    void (error instanceof Error ? reply : reply.code(failureStatus(error, reply.statusCode))).send(error)
    return
  }
  const { body, type } = render(error)
  forgetContent(reply)
  addHeaders(error.headers, ...headersOf(reply))
  void reply.code(error.status)
  if (type !== undefined) void reply.header('content-type', type).send(bytes(body))
  else void reply.send()
}
