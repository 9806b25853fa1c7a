/**
 * `node:http` without a framework, and upgrades (WebSocket, RFC 6455 §4.2.2), which frameworks' middleware does not
 * see. Upgrades are decided before the handshake and refused in plain HTTP. Long-lived connections can be ended
 * together with their token.
 *
 * Does NOT implement WebSocket. A browser script cannot set `Authorization` on a handshake: issue your own ticket, in
 * response to an ordinary request with the token.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Check, Requirement, ResourceServer } from '../src/index.js'
import { answerOrCutOff, createGuard, type Granted, type Guard } from './node/guard.js'
import { createUpgradeGuard, type protectUpgrade } from './node/upgrade.js'
import { createRender, type ErrorBodyOptions, oauthContent } from './shared/error-body.js'
import { answeredWithMetadata, writeMetadata } from './shared/metadata.js'
import { NodeRequest } from './shared/node-request.js'

export type { Granted, Guard } from './node/guard.js'
export { onExpiry } from './node/on-expiry.js'
export { protectUpgrade, type UpgradeGuard } from './node/upgrade.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'
/**
 * A request as {@link ResourceServer.authorize} reads it, for hosts that have an `IncomingMessage` but no adapter in
 * this package.
 */
export { NodeRequest } from './shared/node-request.js'

/**
 * Protects a request listener.
 *
 * ```ts
 * const guard = protect(api, scope('orders:read'))
 * createServer(async (request, response) => {
 *   const granted = await guard(request, response)
 *   if (!granted) return
 * ```
 *
 * @returns a guard that resolves with undefined for a refused request, which it has answered
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): Guard {
  return createGuard(api, requirements, oauthContent)
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. Pass its error to {@link refuse}.
 *
 * @throws {ResourceServerError} the refusal
 * @throws {TypeError} `protect` accepted the request without a token
 */
export async function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  request: IncomingMessage,
  { access }: Granted,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  if (access === undefined) throw new TypeError('enforce() needs an access: a request without a token has none')
  await api.enforce(access, new NodeRequest(request), ...checks)
}

/**
 * Answers a refusal: one that `enforce` threw, or your own `Forbidden`. Any other error becomes 500 and a process
 * warning. A response that has begun is cut off.
 */
export function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  answerOrCutOff(request, response, error, oauthContent)
}

/** {@link protect}, {@link protectUpgrade} and {@link refuse}, with bodies in the shape of the API. */
export interface NodeErrorHandler {
  readonly protect: typeof protect
  readonly protectUpgrade: typeof protectUpgrade
  readonly refuse: typeof refuse
}

/**
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}, including those before a handshake:
 * `const { protect, protectUpgrade, refuse } = errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): NodeErrorHandler {
  const render = createRender(options ?? {})
  return {
    protect: (api, ...requirements) => createGuard(api, requirements, render),
    protectUpgrade: (api, ...requirements) => createUpgradeGuard(api, requirements, render),
    refuse: (request, response, error) => answerOrCutOff(request, response, error, render)
  }
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Call it
 * first.
 *
 * @returns a function that returns true for such a request, which it answers at once or (for older MCP clients) soon
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => answeredWithMetadata(apis, new NodeRequest(request), response, writeMetadata)
}
