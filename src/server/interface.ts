/** Types of the object that `resourceServer()` returns. This file defines no values. */
import type { AccessTokenVerifier } from '../access-token/access-token.js'
import type { CacheStats } from '../base/cache.js'
import type { Revocation } from '../revocation/revocation.js'
import type { LogStats } from '../revocation/revocation-log.js'
import type { RevocationStats } from '../revocation/revocations.js'
import type { StatusListStats } from '../revocation/status-list.js'
import type { OnceStoreStats } from '../sharing/memory-once-store.js'
import type { SharedStats } from '../sharing/shared.js'
import type { Access, Awaitable, Check, Granted, Protection, Requirement, ResourceRequest } from '../types.js'
import type { Health } from './health.js'
import type { ProtectedResourceMetadata } from './protected-resource.js'

/** Sizes of caches and pending work, each with its limit. */
export interface Stats {
  readonly cache: ReturnType<AccessTokenVerifier['stats']> & { readonly statusLists: StatusListStats }
  readonly issuers: number
  /** Estimated bytes held by fetched key sets and metadata of all issuers, and their limit. */
  readonly keySets: { readonly bytes: number; readonly maxBytes: number }
  /** Used DPoP proofs kept in this process; undefined with a `replayStore` that has no `stats()`. */
  readonly replay: OnceStoreStats | undefined
  /** Client keys that DPoP proofs were verified with. */
  readonly proofKeys: CacheStats
  readonly revocations: RevocationStats
  /** The log of revocations; undefined without `shared.log`. */
  readonly log: LogStats | undefined
  /** State of the shared store; undefined without `shared`. */
  readonly shared: SharedStats | undefined
}

/**
 * Verifies the access tokens of requests to one API and refuses as the RFCs say. Returned by `resourceServer()`.
 * Frozen.
 */
export interface ResourceServer<Scope extends string = string, Role extends string = string> {
  /** The identifier of this API, unchanged byte for byte. */
  readonly resource: string
  /** RFC 9728 metadata of this API; undefined with `metadata: false`. */
  readonly metadata: ProtectedResourceMetadata | undefined
  /**
   * Compiles a route's requirements once. Adapters call it.
   *
   * @throws {TypeError} an invalid requirement; a scope or role that is not in the option `scopes` or `roles`; roles,
   * where no issuer has `rolesClaim`; `fresh()`, where an issuer has no `introspection`
   */
  protect<const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]>(
    ...requirements: R
  ): Protection<Granted<R>>
  /** Decides one request: {@link protect} for a single use, where the requirements depend on the request. */
  authorize<const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]>(
    request: ResourceRequest,
    ...requirements: R
  ): Awaitable<Granted<R>>
  /**
   * Applies further checks to an accepted request. Call it inside a handler, before its response starts, where only the
   * body tells which scopes the operation needs. A refusal's challenge names the scopes of these checks. Name all
   * scopes of the operation, since a client may request exactly those. Time and revocation are checked again, because
   * the access may have ended since.
   *
   * @throws {ResourceServerError} as {@link Protection.authorize} does
   * @throws {TypeError} an `access` that this resource server did not grant
   */
  enforce(
    access: Access,
    request: ResourceRequest,
    ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
  ): void | Promise<void>
  /**
   * Refuses these access tokens from now on, although they verify. With `shared.log` the other processes refuse them too,
   * within about a second, and so do those that start later. Resolves when the log has the revocations.
   *
   * @throws {TypeError} an invalid revocation, or an issuer that this server does not accept; no revocation of the call
   * is applied
   * @throws {RevocationsFull} `revocation.maxEntries` is reached, or the log has no room; existing revocations are never
   * evicted
   * @throws {Unavailable} the log failed: they hold in this process only, and are appended when it answers again
   */
  revoke(revocations: Revocation | readonly Revocation[]): Promise<void>
  /**
   * Fetches metadata and keys of one issuer, or of all known issuers, now, regardless of their age. Use it when a
   * signing key has leaked. Tokens verified by a removed key are refused in this process from then on; call it in every
   * process. Concurrent calls share one attempt.
   *
   * @throws {TypeError} not an issuer of this server
   * @throws {Unavailable | Misconfigured} the first failure, after all were tried; an issuer that failed keeps its keys
   */
  refresh(issuer?: string): Promise<void>
  /**
   * Loads metadata and keys of every listed issuer, so that no request waits for them. With `shared.log` it also
   * reads all revocations.
   *
   * @throws {Unavailable | Misconfigured} the first failure of an issuer, or of the log. Its `message` is the `hint`, for your log: do
   * not send it to clients
   */
  ready(): Promise<void>
  health(): Health
  /**
   * The effective settings as plain JSON, including defaults and presets: for a log at start, a review, a bug report.
   * Secrets, keys and functions are named, not shown.
   */
  describe(): Readonly<Record<string, unknown>>
  stats(): Stats
  /**
   * Closes the connections to the authorization servers. Cached keys and tokens keep verifying; nothing more is
   * fetched.
   */
  close(): Promise<void>
}
