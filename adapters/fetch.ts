/** Hosts with WHATWG `Request` and `Response`. A decision is a value: an access, or the response that refuses. */
import {
  type Granted,
  type Receiver,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { createGuard, type FetchProtection } from './fetch/guard.js'
import { createRender, type ErrorBodyOptions, oauthContent, responseOf } from './shared/error-body.js'
import { FetchRequest } from './shared/fetch-request.js'
import { metadataAnswer, withMetadata } from './shared/metadata.js'
import { receiveFetch } from './shared/receive.js'

export { fetchDispatcher } from './fetch/dispatcher.js'
export type { FetchProtection } from './fetch/guard.js'
export type { Connection } from './shared/connection.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'
export { FetchRequest } from './shared/fetch-request.js'

/**
 * Decides requests: returns the {@link Access}, or the `Response` to send instead. On a route with `optional` or
 * `skipPreflight` it returns undefined for a request without a token. Copy the access's `responseHeaders` to your
 * response: with DPoP nonces they are not empty.
 *
 * Errors that are not this package's (from your own check) are rejected, for the host to answer with 500.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<
  Scope extends string,
  Role extends string,
  const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
>(api: ResourceServer<Scope, Role>, ...requirements: R): FetchProtection<Granted<R>> {
  return createGuard(api, requirements, oauthContent)
}

/**
 * {@link protect} and a function that answers errors of handlers, with bodies in the shape of the API.
 */
export interface FetchErrorHandler {
  readonly protect: typeof protect
  /**
   * The response to an error that a handler threw: a refusal of `api.enforce()`, or your own `Forbidden`.
   *
   * @throws errors that are not this package's
   */
  readonly toResponse: (error: unknown) => Response
}

/**
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}: `const { protect, toResponse } =
 * errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): FetchErrorHandler {
  const render = createRender(options ?? {})
  return {
    protect: (api, ...requirements) => createGuard(api, requirements, render),
    toResponse: (error) => {
      if (error instanceof ResourceServerError) return responseOf(error, render)
      throw error
    }
  }
}

/**
 * Serves the RFC 9728 metadata of these servers. Returns the `Response` to a request for one of them, or undefined for
 * any other request. `legacyClients` may cause a promise, so return it from an async function, or await it.
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (request: Request) => Response | Promise<Response> | undefined {
  return (request) => {
    const answer = metadataAnswer(apis, new FetchRequest(request))
    return (
      answer && withMetadata(answer, ({ status, headers, body }) => new Response(body ?? null, { status, headers }))
    )
  }
}

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and returns the
 * `Response` for the sender. Use it on its own path, without `protect`: events are signed and carry no access token.
 *
 * The second parameter is the value that a host passes besides the request. @hono/node-server passes Node's request,
 * which is needed to close an HTTP/2 stream after a response that does not wait for the end of the body. Other hosts
 * close it themselves.
 */
function mount(receiver: Receiver): (request: Request, host?: unknown) => Promise<Response> {
  return (request, host) => receiveFetch(receiver, request, host)
}

export { mount as backchannelLogout, mount as securityEvents }
