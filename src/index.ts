/** The public names, one by one. */

export { isPromise } from './awaitable.js'
export type { CacheStats } from './cache.js'
export { bearerToken, clientSecretBasic, clientSecretPost, noClientAuth, privateKeyJwt } from './client-auth.js'
export { isAccess } from './confirmation.js'
export {
  CredentialsMissing,
  type Dependency,
  Forbidden,
  InsufficientScope,
  InvalidRequest,
  InvalidToken,
  Misconfigured,
  Refusal,
  ResourceServerError,
  Unavailable
} from './errors.js'
export type { RefusalEvent, WarningEvent } from './events.js'
export type { DocumentHealth, IssuerHealth } from './issuer.js'
export { anyScope, claims, optional, type ScopeCheck, type StandardSchema, scope, skipPreflight } from './policy.js'
export type { MetadataAnswer, ProtectedResourceMetadata } from './protected-resource.js'
export type { RequestReason, TokenReason } from './reasons.js'
export { type Health, type ResourceServer, resourceServer, type ScopeTypes, type Stats } from './resource-server.js'
export type {
  Access,
  AccessToken,
  AuthorizationServerMetadata,
  Awaitable,
  Check,
  Claims,
  ClientAuth,
  Confirmation,
  Credentials,
  Granted,
  HeaderFields,
  HttpDispatcher,
  HttpOptions,
  IntrospectionOptions,
  IssuerOptions,
  IssuerResolver,
  JsonWebKeySet,
  Protection,
  Requirement,
  ResourceRequest,
  ResourceServerOptions,
  SignatureAlgorithm,
  Waiver
} from './types.js'
