/**
 * NestJS 11 and 12, on platform-express and platform-fastify: a module with a global guard and filter, and decorators for
 * requirements. The same guard protects resolvers of `@nestjs/graphql` and messages of gateways.
 *
 * Does NOT decide before a body is read: in Nest, guards run after the body parser, whose limit applies. Does NOT
 * protect Nest's middleware, which runs before guards, nor microservices.
 */
import { createParamDecorator } from '@nestjs/common'
import type { Access, Check, ResourceServer } from '../src/index.js'
import { exchangeOf, type NestRequest, read } from './nestjs/exchange.js'
import { toThrow } from './nestjs/guard.js'
import { findAccess, requireAccess } from './shared/access.js'
import { enforceIn } from './shared/enforce.js'

export { RefusalException } from './nestjs/answers.js'
export { Protect, Public, Roles } from './nestjs/decorators.js'
export { AccessTokenGuard, RefusalFilter } from './nestjs/guard.js'
export { RESOURCE_SERVER, ResourceServerModule } from './nestjs/module.js'
export type { ResourceServerModuleAsyncOptions, ResourceServerModuleOptions } from './nestjs/settings.js'
export { protectSockets } from './nestjs/sockets.js'
export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/**
 * Parameter decorator: the {@link Access} of this request, of a resolver's request, or of a gateway's handshake.
 *
 * ```ts
 * list(@Auth() access: Access) {}
 * ```
 *
 * A handler whose request was accepted without a token fails with an Error: use {@link OptionalAuth} there.
 */
export const Auth: () => ParameterDecorator = createParamDecorator((_: undefined, context) =>
  getAuth(exchangeOf(context).request)
)

/** Parameter decorator: as {@link Auth}, or undefined where the request was accepted without a token. */
export const OptionalAuth: () => ParameterDecorator = createParamDecorator((_: undefined, context) =>
  getOptionalAuth(exchangeOf(context).request)
)

/**
 * The access that was granted to this request of Express or Fastify.
 *
 * @throws {Error} no guard ran, or the request was accepted without a token
 */
export function getAuth(request: object): Access {
  return requireAccess((request as NestRequest).auth, 'this request')
}

/** The access that was granted to this request, or undefined where it was accepted without a token. */
export function getOptionalAuth(request: object): Access | undefined {
  return findAccess((request as NestRequest).auth)
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link Protect}.
 *
 * @param request the request of Express or Fastify: `@Req()`, or `req` of a GraphQL context
 * @throws {RefusalException} the refusal, which the module's filter answers; in a resolver, {ResourceServerError}
 * @throws {Error} no guard ran, or the request was accepted without a token
 */
export function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  request: object,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  return enforceIn({ getAuth, read, toThrow }, request as NestRequest, api, checks)
}
