/** What `resourceServer()` returns: types, and nothing else. */
import type { AccessTokenVerifier } from '../access-token/access-token.js'
import type { CacheStats } from '../base/cache.js'
import type { Revocation } from '../revocation/revocation.js'
import type { RevocationStats } from '../revocation/revocations.js'
import type { StatusListStats } from '../revocation/status-list.js'
import type { OnceStoreStats } from '../sharing/memory-once-store.js'
import type { SharedStats } from '../sharing/shared.js'
import type { Access, Awaitable, Check, Granted, Protection, Requirement, ResourceRequest } from '../types.js'
import type { Health } from './health.js'
import type { ProtectedResourceMetadata } from './protected-resource.js'

/** What is remembered and under way, with the bound of each. */
export interface Stats {
  readonly cache: ReturnType<AccessTokenVerifier['stats']> & { readonly statusLists: StatusListStats }
  readonly issuers: number
  /** Bytes that the fetched key sets and metadata of all issuers hold, about, and may hold. */
  readonly keySets: { readonly bytes: number; readonly maxBytes: number }
  /** Used DPoP proofs, where they are kept in this process; undefined with a `replayStore` that does not count. */
  readonly replay: OnceStoreStats | undefined
  /** Clients' keys that proofs were verified with. */
  readonly proofKeys: CacheStats
  readonly revocations: RevocationStats
  /** How the shared store does; undefined without `shared`. */
  readonly shared: SharedStats | undefined
}

/** What `resourceServer()` returns: verifies the access tokens of requests to one API, and refuses in the words of the RFCs. Frozen. */
export interface ResourceServer<Scope extends string = string, Role extends string = string> {
  /** The identifier of this API, byte for byte. */
  readonly resource: string
  /** RFC 9728 metadata of this API; undefined with `metadata: false`. */
  readonly metadata: ProtectedResourceMetadata | undefined
  /**
   * Compiles the requirements of a route once. Adapters are made of this.
   *
   * @throws {TypeError} a requirement that is none; a scope or role that is not in the option `scopes` or `roles`; roles, where no issuer has `rolesClaim`
   */
  protect<const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]>(
    ...requirements: R
  ): Protection<Granted<R>>
  /** Decides about one request: {@link protect} for a single use, where requirements are known only then. */
  authorize<const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]>(
    request: ResourceRequest,
    ...requirements: R
  ): Awaitable<Granted<R>>
  /**
   * Applies further checks to a request that was let in already: inside a handler, before its response starts, when
   * only the body says which scopes the operation needs. The challenge of a refusal names the scopes of these checks:
   * name all that the operation needs, since a client may ask for just those. Time and revocation are looked at again:
   * access that was granted a while ago may be over.
   *
   * @throws {ResourceServerError} as {@link Protection.authorize} does
   */
  enforce(
    access: Access,
    request: ResourceRequest,
    ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
  ): void | Promise<void>
  /**
   * Refuses these access tokens from now on, though they verify; in every other process too, with `shared.channel`.
   * Resolves when the others were told, or could not be: then `health()` says so, and they are told later.
   *
   * @throws {TypeError} a revocation that is none, or of an issuer that is not accepted here: none of them is heeded then
   * @throws {RevocationsFull} `revocation.maxEntries` are remembered; none of them is forgotten for it
   */
  revoke(revocations: Revocation | readonly Revocation[]): Promise<void>
  /**
   * Loads the metadata and the keys of one issuer, or of all that are known, now, whatever was loaded a moment ago: for
   * when a key is known to be in wrong hands. What was verified by a key that is gone is refused from then on, here; call
   * it in every process. Who calls while it is under way shares the attempt.
   *
   * @throws {TypeError} not an issuer of this server
   * @throws {Unavailable | Misconfigured} the first failure, after all were tried; what failed keeps the keys it had
   */
  refresh(issuer?: string): Promise<void>
  /**
   * Loads metadata and keys of every listed issuer, so that no request waits for them; with `shared.channel` also what
   * other processes know of revocations, for at most a second. @throws the first failure of an issuer
   */
  ready(): Promise<void>
  health(): Health
  /**
   * The settings in effect, defaults and presets included, as plain JSON: for a log at start, a review, a bug report. No
   * secrets, no keys, no functions: those are named, not shown.
   */
  describe(): Readonly<Record<string, unknown>>
  stats(): Stats
  /** Ends connections to the authorization servers. What is known keeps verifying; nothing more is fetched. */
  close(): Promise<void>
}
