/** The core: `resourceServer()`, the requirements of routes, client authentication, stores, receivers of events, errors and types. */

export type { CacheStats } from './base/cache.js'
export {
  base64Der,
  base64DerChain,
  forwardedClientCert,
  plainPem,
  urlEncodedPem,
  urlEncodedPemChain
} from './confirmation/certificate.js'
export { isAccess } from './confirmation/confirmation.js'
export type { ClientCertificateOptions, DpopOptions } from './confirmation/settings.js'
export {
  CredentialsMissing,
  type Dependency,
  Forbidden,
  InsufficientAuthentication,
  InsufficientAuthorizationDetails,
  InsufficientRole,
  InsufficientScope,
  InvalidProof,
  InvalidRequest,
  InvalidToken,
  Misconfigured,
  ProofNonceRequired,
  Refusal,
  ResourceServerError,
  TooManyRequests,
  Unavailable
} from './errors/errors.js'
export type { RefusalFacts } from './errors/facts.js'
export type { LimitReason, ProofReason, RequestReason, TokenReason } from './errors/reasons.js'
export type { ExchangeEvent } from './http/exchange.js'
export type { HttpDispatcher, HttpOptions } from './http/settings.js'
export type { ClientAuth } from './issuer/client-auth.js'
export {
  bearerToken,
  clientSecretBasic,
  clientSecretPost,
  noClientAuth,
  privateKeyJwt,
  tlsClientAuth
} from './issuer/client-auth.js'
export type { IntrospectionDialect, IntrospectionOptions } from './issuer/introspection-settings.js'
export type { DocumentHealth, IssuerHealth } from './issuer/issuer.js'
export type { AuthorizationServerMetadata } from './issuer/metadata.js'
export type { IssuerOptions, IssuerResolver, JwksAuth } from './issuer/settings.js'
export type { StatusListOptions } from './issuer/status-list-settings.js'
export type { SignatureAlgorithm } from './jwt/algorithms.js'
export type { ClaimPlace, ClaimPlaces } from './jwt/claim-places.js'
export type { DecryptionKey, KeyManagementAlgorithm } from './jwt/decryption-keys.js'
export type { JsonWebKeySet } from './jwt/key-set.js'
export { authentication } from './policy/authentication.js'
export { type AuthorizationDetail, authorizationDetails } from './policy/authorization-details.js'
export { claims, fresh, optional, type StandardSchema, skipPreflight } from './policy/checks.js'
export { anyRole, type RoleCheck, roles } from './policy/roles.js'
export { anyScope, type ScopeCheck, scope } from './policy/scope.js'
export { type LogoutIssuerOptions, type LogoutTokenOptions, logoutTokenReceiver } from './receivers/logout-token.js'
export type { ReceivedRequest, Receiver, ReceiverAnswer, SenderKeyOptions } from './receivers/receiver.js'
export {
  type SecurityEvent,
  type SecurityEventOptions,
  securityEventReceiver
} from './receivers/security-events.js'
export type { TransmitterOptions } from './receivers/transmitters.js'
export type { Revocation } from './revocation/revocation.js'
export type { LogHealth, LogStats } from './revocation/revocation-log.js'
export { type RevocationStats, RevocationsFull } from './revocation/revocations.js'
export type { RevocationOptions } from './revocation/settings.js'
export type { StatusListStats } from './revocation/status-list.js'
export type { AccessEvent, Decision, RefusalEvent, WarningEvent } from './server/diagnostics.js'
export type { Health, SharedHealth } from './server/health.js'
export type { ResourceServer, Stats } from './server/interface.js'
export type { ResourceServerOptions } from './server/options.js'
export type { MetadataAnswer, ProtectedResourceMetadata } from './server/protected-resource.js'
export { resourceServer } from './server/resource-server.js'
export {
  type MemoryOnceStoreOptions,
  memoryOnceStore,
  type OnceStoreStats,
  OwnerQuotaExceeded
} from './sharing/memory-once-store.js'
export type { SharedOptions } from './sharing/settings.js'
export type { SharedStats } from './sharing/shared.js'
export type { Cache, Log, LogAppending, LogEntry, LogPage, LogReading, OnceStore } from './sharing/stores.js'
export type {
  Access,
  AccessToken,
  AuthenticationRequirement,
  Awaitable,
  Check,
  CheckContext,
  Claims,
  Confirmation,
  Credentials,
  Granted,
  HeaderFields,
  LogLine,
  Protection,
  Requirement,
  ResourceRequest,
  Scheme,
  Waiver
} from './types.js'
