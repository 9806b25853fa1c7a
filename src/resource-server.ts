/**
 * `resourceServer(options)`: ties the stations together, and is the only place that does. Read `decide` with RFC 6750
 * §3.1 in hand: credentials, access token, sender, policy, in that order, each refusing in its own words.
 */
import { type AccessTokenVerifier, createAccessTokenVerifier } from './access-token.js'
import { andThen, isPromise } from './awaitable.js'
import { accessTokenOf, createConfirm } from './confirmation.js'
import type { SenderSettings } from './confirmation-settings.js'
import { type CredentialRules, readCredentials, readUsedScheme } from './credentials.js'
import { publicKeySet } from './decryption.js'
import { describe } from './describe.js'
import { createVerifyProof } from './dpop.js'
import { CredentialsMissing, Refusal, ResourceServerError } from './errors.js'
import { createEvents } from './events.js'
import { createHttp } from './http.js'
import { createIssuer, type Issuer, type IssuerHealth } from './issuer.js'
import { createDynamicIssuers, createStaticIssuers } from './issuers.js'
import { createReadCertificate } from './mtls.js'
import type { ResourceServerOptions } from './options.js'
import { type Enforcement, enforce, isPreflight, type Policy, readPolicy } from './policy.js'
import { createProtectedResourceMetadata, type ProtectedResourceMetadata } from './protected-resource.js'
import { meansOf, readSettings } from './settings.js'
import { createVerifySignature } from './signature.js'
import type { OnceStoreStats } from './store.js'
import type {
  Access,
  Awaitable,
  Check,
  Granted,
  HeaderFields,
  Protection,
  Requirement,
  ResourceRequest
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
  /** Used DPoP proofs, where they are kept in this process; undefined with a `replayStore` that does not count. */
  readonly replay: OnceStoreStats | undefined
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
  /**
   * The settings in effect, defaults and presets included, as plain JSON: for a log at start, a review, a bug report. No
   * secrets, no keys, no functions: those are named, not shown.
   */
  describe(): Readonly<Record<string, unknown>>
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
      ? createDynamicIssuers(settings.issuers, create, {
          resource,
          now,
          deadline: settings.http.deadline,
          means: meansOf(options)
        })
      : createStaticIssuers(settings.issuers, create)
  const { accepted, advertised, dpop, publicUrls, certificate, requireBound } = settings.sender
  const verifySignature = createVerifySignature()
  const accessTokens = createAccessTokenVerifier(settings, issuers, http.exchange, verifySignature)
  const { deadline } = settings.http
  const confirm = createConfirm({
    readCertificate: createReadCertificate(certificate),
    certificateField: certificate.field,
    verifyProof: createVerifyProof(dpop, { resource, publicUrls, now, deadline, verifySignature }),
    require: requireBound
  })
  const enforcement: Enforcement = {
    context: Object.freeze({ resource, now, clockTolerance: settings.clockTolerance }),
    renew: async (access) => {
      const before = accessTokenOf(access)
      const current = await accessTokens.verifyFresh(before)
      return current === before ? access : confirm.renew(access, current)
    }
  }
  /** What this server granted itself: nothing else on a request is taken for an earlier grant. */
  const granted = new WeakSet<Access>()
  const routeScopes = new Set<string>()
  const routeDetailsTypes = new Set<string>()
  const metadata =
    settings.metadata === false
      ? undefined
      : createProtectedResourceMetadata({
          resource,
          authorizationServers:
            typeof settings.issuers === 'function' ? [] : settings.issuers.map(({ issuer }) => issuer),
          derived: () => ({
            scopes_supported: [...routeScopes],
            authorization_details_types_supported: [...routeDetailsTypes],
            ...senderMetadata(settings.sender)
          }),
          members: settings.metadata,
          jwks: settings.decryptionKeys.length > 0 ? publicKeySet(settings.decryptionKeys) : undefined
        })
  const credentialRules: CredentialRules = { accepted, rejectQueryToken: settings.rejectQueryToken }
  const isDpopAdvertised = advertised.includes('DPoP')
  const exposed = isDpopAdvertised ? ['WWW-Authenticate', 'DPoP-Nonce'] : ['WWW-Authenticate']
  const varyByCredentials: HeaderFields = Object.freeze({
    Vary: isDpopAdvertised ? 'Authorization, DPoP' : 'Authorization'
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
    const credentials = readCredentials(request, credentialRules)
    if (credentials === undefined) {
      if (policy.optional) return undefined
      throw new CredentialsMissing()
    }
    return andThen(accessTokens.verify(credentials.token), (accessToken) =>
      andThen(confirm(accessToken, credentials, request), (access) => enforced(policy, access, request))
    )
  }

  function enforced(policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
    return andThen(enforce(policy, access, request, enforcement), (current) => {
      granted.add(current)
      return current
    })
  }

  /** The one place where a refusal learns what this server advertises about itself. */
  function answer(error: unknown, request: ResourceRequest, scope: readonly string[]): unknown {
    if (!(error instanceof ResourceServerError)) return error
    if (error instanceof Refusal) {
      const used = readUsedScheme(request, accepted)
      const expose = request.fieldLines('origin').length > 0 ? exposed : []
      error.advertise({
        realm,
        schemes: advertised,
        used,
        scope,
        algs: dpop.algorithms,
        resourceMetadata: metadata?.url,
        expose
      })
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
    const policy = readPolicy(requirements, settings.scopes)
    if (policy.fresh && typeof settings.issuers !== 'function' && settings.issuers.some((one) => !one.introspection))
      throw new TypeError(
        'fresh() needs `introspection` for every issuer: nobody else can say what a token is worth now'
      )
    return policy
  }

  const server: ResourceServer = {
    resource,
    metadata,
    protect: (...requirements) => {
      const policy = compile([...settings.checks, ...requirements])
      for (const { scopes = [], authorizationDetailsTypes = [] } of policy.checks) {
        for (const scope of scopes) routeScopes.add(scope)
        for (const type of authorizationDetailsTypes) routeDetailsTypes.add(type)
      }
      return {
        authorize: (request, established) =>
          answered(() => decide(policy, request, established), request, policy.scopes),
        // Else a cache could give an anonymous copy to somebody who is signed in (RFC 9110 §12.5.5).
        headers: policy.optional ? varyByCredentials : NO_HEADERS
      } as Protection<never>
    },
    authorize: (request, ...requirements) => {
      const policy = compile([...settings.checks, ...requirements])
      return answered(() => decide(policy, request, undefined), request, policy.scopes) as Awaitable<never>
    },
    enforce: (access, request, ...checks) => {
      if (!granted.has(access)) throw new TypeError('enforce() needs an access that this resource server granted')
      const policy = compile(checks)
      const decision = (): Awaitable<void> => andThen(enforce(policy, access, request, enforcement), () => undefined)
      return answered(decision, request, policy.scopes)
    },
    ready: async () => {
      await Promise.all(issuers.known().map((issuer) => issuer.ready()))
    },
    health: () => {
      const each = issuers.known().map((issuer) => issuer.health())
      const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one.status === status))
      return { status: worst ?? 'ok', issuers: each }
    },
    describe: () => describe(settings, metadata?.url),
    stats: () => ({
      cache: accessTokens.stats(),
      issuers: issuers.known().length,
      replay: (dpop.replayStore as { stats?(): OnceStoreStats }).stats?.()
    }),
    close: () => http.close()
  }
  return Object.freeze(server)
}

/** What RFC 9728 §2 lets a server say about senders. */
function senderMetadata({
  accepted,
  advertised,
  dpop,
  requireBound
}: SenderSettings): Readonly<Record<string, unknown>> {
  return {
    // An empty list would say it too, which RFC 9728 §3.2 forbids where §2 allows it.
    ...(accepted.includes('Bearer') && { bearer_methods_supported: ['header'] }),
    ...(advertised.includes('DPoP') && { dpop_signing_alg_values_supported: dpop.algorithms }),
    ...(dpop.required && { dpop_bound_access_tokens_required: true }),
    ...(requireBound === 'certificate' && { tls_client_certificate_bound_access_tokens: true })
  }
}

const NO_HEADERS: HeaderFields = Object.freeze({})
