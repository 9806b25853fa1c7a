/**
 * `resourceServer(options)`: ties the stations together, and is the only place that does. Read `decide` with RFC 6750
 * §3.1 in hand: credentials, access token, sender, policy, in that order, each refusing in its own words.
 */
import { type AccessTokenVerifier, createAccessTokenVerifier } from './access-token.js'
import { andThen, isPromise } from './awaitable.js'
import { createConfirm } from './confirmation.js'
import { readCredentials } from './credentials.js'
import { CredentialsMissing, Refusal, ResourceServerError } from './errors.js'
import { createEvents } from './events.js'
import { createHttp } from './http.js'
import { createIssuer, type Issuer, type IssuerHealth } from './issuer.js'
import { createDynamicIssuers, createStaticIssuers } from './issuers.js'
import { enforce, isPreflight, type Policy, readPolicy } from './policy.js'
import { createProtectedResourceMetadata, type ProtectedResourceMetadata } from './protected-resource.js'
import { readSettings } from './settings.js'
import type {
  Access,
  Awaitable,
  Check,
  Granted,
  HeaderFields,
  Protection,
  Requirement,
  ResourceRequest,
  ResourceServerOptions
} from './types.js'

/** The health of a resource server: of its issuers, each with ages. */
export interface Health {
  /** The worst of its issuers'. */
  readonly status: IssuerHealth['status']
  readonly issuers: readonly IssuerHealth[]
}

/** What is remembered and under way, with the bound of each. */
export interface Stats {
  readonly cache: ReturnType<AccessTokenVerifier['stats']>
  readonly issuers: number
}

export interface ResourceServer<Scope extends string = string> {
  /** The identifier of this API, byte for byte. */
  readonly resource: string
  /** RFC 9728 metadata of this API; undefined with `metadata: false`. */
  readonly metadata: ProtectedResourceMetadata | undefined
  /**
   * Compiles the requirements of a route once. Adapters are made of this.
   *
   * @throws {TypeError} a requirement that is none, or a scope that is not in the option `scopes`
   */
  protect<const R extends readonly Requirement<NoInfer<Scope>>[]>(...requirements: R): Protection<Granted<R>>
  /** Decides about one request: {@link protect} for a single use, where requirements are known only then. */
  authorize<const R extends readonly Requirement<NoInfer<Scope>>[]>(
    request: ResourceRequest,
    ...requirements: R
  ): Awaitable<Granted<R>>
  /**
   * Applies further checks to a request that was let in already: inside a handler, before its response starts, when
   * only the body says which scopes the operation needs. The challenge of a refusal names the scopes of these checks:
   * name all that the operation needs, since a client may ask for just those.
   *
   * @throws {ResourceServerError} as {@link Protection.authorize} does
   */
  enforce(access: Access, request: ResourceRequest, ...checks: readonly Check<NoInfer<Scope>>[]): void | Promise<void>
  /** Loads metadata and keys of every listed issuer, so that no request waits for them. @throws the first failure */
  ready(): Promise<void>
  health(): Health
  stats(): Stats
  /** Ends connections to the authorization servers. What is known keeps verifying; nothing more is fetched. */
  close(): Promise<void>
}

/** The scopes of an API as a type: `resourceServer<{ scopes: 'orders:read' | 'orders:write' }>(…)`. */
export interface ScopeTypes {
  readonly scopes: string
}

/**
 * A resource server: verifies the access tokens of requests to one API, and says no in the words of the RFCs.
 * Nothing is fetched until the first token arrives, or `ready()` is called.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function resourceServer<const Scope extends string = string>(
  options: ResourceServerOptions<Scope>
): ResourceServer<Scope>
export function resourceServer<Types extends ScopeTypes>(
  options: ResourceServerOptions<Types['scopes']>
): ResourceServer<Types['scopes']>
export function resourceServer(options: ResourceServerOptions): ResourceServer {
  const settings = readSettings(options)
  const { resource, now } = settings
  const events = createEvents(resource)
  const http = createHttp(settings.http)
  let serial = 0
  const create = (issuer: Issuer['settings']): Issuer =>
    createIssuer(issuer, { serial: serial++, resource, http: http.exchange, now, warning: events.warning })
  const issuers =
    typeof settings.issuers === 'function'
      ? createDynamicIssuers(settings.issuers, create, { resource, now, deadline: settings.http.deadline })
      : createStaticIssuers(settings.issuers, create)
  const accessTokens = createAccessTokenVerifier(settings, issuers, http.exchange)
  const confirm = createConfirm()
  /** What this server granted itself: nothing else on a request is taken for an earlier grant. */
  const granted = new WeakSet<Access>()
  const routeScopes = new Set<string>()
  const metadata =
    settings.metadata === false
      ? undefined
      : createProtectedResourceMetadata({
          resource,
          authorizationServers:
            typeof settings.issuers === 'function' ? [] : settings.issuers.map(({ issuer }) => issuer),
          scopes: () => [...routeScopes],
          members: settings.metadata
        })
  // A challenge may not be empty (RFC 6750 §3): without metadata to point to, it names the realm.
  const realm = settings.realm ?? (metadata ? undefined : resource)

  function decide(
    policy: Policy,
    request: ResourceRequest,
    established: Access | undefined
  ): Awaitable<Access | undefined> {
    if (policy.skipPreflight && isPreflight(request)) return undefined
    if (established !== undefined && granted.has(established)) return enforced(policy, established, request)
    const credentials = readCredentials(request, settings.rejectQueryToken)
    if (credentials === undefined) {
      if (policy.optional) return undefined
      throw new CredentialsMissing()
    }
    return andThen(accessTokens.verify(credentials.token), (accessToken) =>
      enforced(policy, confirm(accessToken, credentials), request)
    )
  }

  function enforced(policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
    return andThen(enforce(policy.checks, access, request), () => {
      granted.add(access)
      return access
    })
  }

  /** The one place where a refusal learns what this server advertises about itself. */
  function answer(error: unknown, request: ResourceRequest, scope: readonly string[]): unknown {
    if (!(error instanceof ResourceServerError)) return error
    if (error instanceof Refusal) {
      const crossOrigin = request.fieldLines('origin').length > 0
      error.advertise({ realm, scope, resourceMetadata: metadata?.url, crossOrigin })
    }
    events.refusal(error)
    return error
  }

  function answered<T>(decision: () => Awaitable<T>, request: ResourceRequest, scope: readonly string[]): Awaitable<T> {
    try {
      const result = decision()
      if (!isPromise(result)) return result
      return result.catch((error: unknown) => {
        throw answer(error, request, scope)
      })
    } catch (error) {
      throw answer(error, request, scope)
    }
  }

  function compile(requirements: readonly Requirement[]): Policy {
    return readPolicy([...settings.checks, ...requirements], settings.scopes)
  }

  const server: ResourceServer = {
    resource,
    metadata,
    protect: (...requirements) => {
      const policy = compile(requirements)
      for (const { scopes = [] } of policy.checks) for (const scope of scopes) routeScopes.add(scope)
      return {
        authorize: (request, established) =>
          answered(() => decide(policy, request, established), request, policy.scopes),
        // Else a cache could give an anonymous copy to somebody who is signed in (RFC 9110 §12.5.5).
        headers: policy.optional ? VARY_AUTHORIZATION : NO_HEADERS
      } as Protection<never>
    },
    authorize: (request, ...requirements) => {
      const policy = compile(requirements)
      return answered(() => decide(policy, request, undefined), request, policy.scopes) as Awaitable<never>
    },
    enforce: (access, request, ...checks) => {
      if (!granted.has(access)) throw new TypeError('enforce() needs an access that this resource server granted')
      const policy = readPolicy(checks, settings.scopes)
      return answered(() => enforce(policy.checks, access, request), request, policy.scopes)
    },
    ready: async () => {
      await Promise.all(issuers.known().map((issuer) => issuer.ready()))
    },
    health: () => {
      const each = issuers.known().map((issuer) => issuer.health())
      const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one.status === status))
      return { status: worst ?? 'ok', issuers: each }
    },
    stats: () => ({ cache: accessTokens.stats(), issuers: issuers.known().length }),
    close: () => http.close()
  }
  return Object.freeze(server)
}

const VARY_AUTHORIZATION: HeaderFields = Object.freeze({ Vary: 'Authorization' })
const NO_HEADERS: HeaderFields = Object.freeze({})
