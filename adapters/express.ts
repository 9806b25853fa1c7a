/**
 * Express 4 and 5. Typed by shape, so neither version's types are needed. Middleware is never an async function: in
 * Express 4 its rejection ends the process. Refusals go to `next(error)`, with their header fields already set.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Access, type Check, type Requirement, type ResourceServer, ResourceServerError } from '../src/index.js'
import { mount } from './express/events.js'
import { type ExpressHandler, type ExpressRequest, handling, read, run } from './express/exchange.js'
import { findAccess } from './shared/access.js'
import { enforceIn } from './shared/enforce.js'
import { createRender, type ErrorBodyOptions } from './shared/error-body.js'
import { answeredWithMetadata, requireRootMount, writeMetadata } from './shared/metadata.js'
import { NodeRequest } from './shared/node-request.js'
import { answerWith } from './shared/refusals.js'

export type { ExpressHandler, ExpressRequest } from './express/exchange.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/** An error handler of Express, by shape. */
export type ExpressErrorHandler = (
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void
) => void

/**
 * Accepts a request only with an access token that satisfies every requirement, and stores the {@link Access} as
 * `req.auth`. For an app, a router or a route. Mount it before any body parser.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): ExpressHandler {
  const protection = api.protect(...requirements)
  return (request, response, next) => void run(protection, read(request), request, response, next)
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
  request: IncomingMessage,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  return enforceIn(handling, request, api, checks)
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Mount it on
 * the outermost app, without a path and before any `protect`.
 */
export function protectedResourceMetadata(...apis: readonly ResourceServer<never>[]): ExpressHandler {
  return (request, response, next) => {
    if (answeredWithMetadata(apis, read(request), response, writeMetadata)) return
    try {
      requireRootMount(apis, new NodeRequest(request), request.baseUrl ?? '')
    } catch (error) {
      next(error)
      return
    }
    next()
  }
}

/**
 * The access that `protect` granted to this request.
 *
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function getAuth(request: object): Access {
  return handling.getAuth(request as ExpressRequest)
}

/** The access that `protect` granted to this request, or undefined where it accepted the request without a token. */
export function getOptionalAuth(request: object): Access | undefined {
  return findAccess((request as ExpressRequest).auth)
}

/**
 * Answers this package's errors with their JSON body, and removes content header fields that a handler set. Passes all
 * other errors on. Mount it last.
 *
 * @param options the body in the shape of the API, such as {@link problemDetails}. Default: the JSON of OAuth
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options?: ErrorBodyOptions): ExpressErrorHandler {
  const render = createRender(options)
  return (error, request, response, next) => {
    if (!(error instanceof ResourceServerError) || response.headersSent) next(error)
    else answerWith(error, request, response, render)
  }
}

export { mount as backchannelLogout, mount as securityEvents }
