/**
 * `resourceServer(options)`: ties the stations together, and is the only place that does. Read `decide` with RFC 6750
 * §3.1 in hand: credentials, access token, sender, policy, in that order, each refusing in its own words.
 */
import { createAccessTokenVerifier } from '../access-token/access-token.js'
import { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import { andThen, isPromise } from '../base/awaitable.js'
import { insecureHostsWarning, NO_HOSTS } from '../base/reach.js'
import { createReadCertificate } from '../confirmation/certificate.js'
import { accessTokenOf, createConfirm, isConfirmed } from '../confirmation/confirmation.js'
import { createVerifyProof } from '../confirmation/dpop.js'
import { type CredentialRules, readCredentials, readUsedScheme } from '../credentials.js'
import { CredentialsMissing, InvalidToken, Refusal, ResourceServerError } from '../errors/errors.js'
import { createHttp } from '../http/exchange.js'
import { createIssuer, type Issuer } from '../issuer/issuer.js'
import { createDynamicIssuers, createStaticIssuers, type Issuers, refresh } from '../issuer/issuers.js'
import { requireTime } from '../jwt/claims.js'
import { createKeyMemory } from '../jwt/key-memory.js'
import { createVerifySignature } from '../jwt/verify-signature.js'
import { asError, type Enforcement, enforce, isPreflight, type Policy, readPolicy } from '../policy/policy.js'
import { isGrantCheck } from '../policy/scope.js'
import { createFanOut, revokeEverywhere } from '../revocation/fan-out.js'
import { createLifetimes } from '../revocation/lifetime.js'
import type { Revocation } from '../revocation/revocation.js'
import { createRevocations, type RevokedBy } from '../revocation/revocations.js'
import type { OnceStoreStats } from '../sharing/memory-once-store.js'
import type {
  Access,
  Awaitable,
  Credentials,
  HeaderFields,
  Protection,
  Requirement,
  ResourceRequest
} from '../types.js'
import { describe } from './describe.js'
import { createEvents } from './diagnostics.js'
import { overall } from './health.js'
import type { ResourceServer } from './interface.js'
import { lend } from './internals.js'
import type { ResourceServerOptions } from './options.js'
import { createResourceMetadata } from './protected-resource.js'
import { meansOf, readSettings } from './settings.js'

/** Told once. */
const METADATA_SHUT =
  'a request for the protected resource metadata was refused for want of a token: mount `protectedResourceMetadata(api)` before `protect`, since clients read it to find out where to get a token'

/** Told once at start. */
const ADDRESSES_UNSAID =
  '`issuers` is a function, and `http.publicAddressesOnly` is not set: a resolver that trusts too many names can send requests into your own network. ' +
  'Set it to true; or to false if your issuers are in private networks or a `dispatcher` of yours connects.'

/**
 * A resource server: verifies the access tokens of requests to one API, and says no in the words of the RFCs.
 * Nothing is fetched until the first token arrives, or `ready()` is called.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function resourceServer<const Scope extends string = string, const Role extends string = string>(
  options: ResourceServerOptions<Scope, Role>
): ResourceServer<Scope, Role> {
  const settings = readSettings(options)
  const { resource, now } = settings
  const { callbackTimeout: deadline } = settings
  const events = createEvents(resource)
  const http = createHttp(settings.http, events.exchange)
  let serial = 0
  /** Whoever may send events: known by their keys alone. */
  const senders: Issuer[] = []
  const keyMemory = createKeyMemory(() => [...issuers.known(), ...senders].map(({ heldKeys }) => heldKeys))
  /** Whose requests were refused after that was proven, for listeners. An error cannot tell: a check may throw one for many. */
  const proven = new WeakMap<ResourceRequest, Access>()
  /** A request for the metadata was refused for want of a token, and that was told. */
  let isMetadataShut = false
  const create = (issuer: Issuer['settings']): Issuer =>
    createIssuer(issuer, {
      serial: serial++,
      resource,
      http: http.exchange,
      now,
      deadline: settings.http.deadline,
      callbackTimeout: deadline,
      warning: events.warning,
      keyMemory,
      shared: settings.shared
    })
  const issuers: Issuers =
    typeof settings.issuers === 'function'
      ? createDynamicIssuers(settings.issuers, create, {
          resource,
          now,
          deadline,
          means: meansOf(options),
          warn: (message) => events.warning('', message)
        })
      : createStaticIssuers(settings.issuers, create)
  if (typeof settings.issuers === 'function' && options.http?.publicAddressesOnly === undefined)
    events.warning('', ADDRESSES_UNSAID)
  const { insecureHosts = NO_HOSTS } = settings.http
  if (insecureHosts.size > 0) events.warning('', insecureHostsWarning(insecureHosts))
  const { accepted, advertised, dpop, publicUrls, certificate, requireBound } = settings.sender
  const verifySignature = createVerifySignature()
  const accessTokens = createAccessTokenVerifier(settings, issuers, http.exchange, verifySignature)
  const verifyProof = createVerifyProof(dpop, { resource, publicUrls, now, deadline, verifySignature })
  const revocations = createRevocations({ now, ...settings.revocation })
  const lifetimes = createLifetimes({
    now,
    revocations,
    refusal: (reason) => new InvalidToken(reason).advertise(about)
  })
  const confirm = createConfirm({
    signalOf: lifetimes.signalOf,
    readCertificate: createReadCertificate(certificate),
    certificate,
    verifyProof,
    require: requireBound
  })
  const enforcement: Enforcement = {
    context: Object.freeze({ resource, now, clockTolerance: settings.clockTolerance }),
    renew: async (access, request) => {
      const before = accessTokenOf(access)
      const current = await accessTokens.verifyFresh(before, request)
      requireNotRevoked(current)
      return current === before ? access : confirm.renew(access, current)
    },
    canOnlyLoseGrants: (access) => accessTokenOf(access).by === 'signature'
  }
  const accepts = (issuer: string): boolean =>
    typeof settings.issuers === 'function' ||
    settings.issuers.some(({ acceptedIssuers }) => acceptedIssuers.has(issuer))
  const createSender = (sender: Issuer['settings']): Issuer => {
    const made = create(sender)
    senders.push(made)
    return made
  }
  const channel = settings.shared?.channel
  const fanOut =
    channel &&
    createFanOut({ channel, resource, revocations, now, deadline, warn: (message) => events.warning('', message) })
  const revoke = async (list: readonly Revocation[], by: RevokedBy): Promise<void> =>
    revokeEverywhere(list, by, { revocations, fanOut })
  const requireNotRevoked = (accessToken: VerifiedAccessToken): void => {
    if (revocations.isRevoked(accessToken)) throw new InvalidToken('revoked')
  }
  /** Past every cache, what its issuer says of it since: by event, or in its status list. */
  const requireLive = (access: Access, request: ResourceRequest): Awaitable<void> => {
    const accessToken = accessTokenOf(access)
    requireNotRevoked(accessToken)
    if (!accessToken.hasStatus) return undefined
    const status = accessTokens.requireStatus(accessToken, request)
    // Revoked while the list was fetched, it is refused all the same.
    return isPromise(status) ? status.then(() => requireNotRevoked(accessToken)) : undefined
  }
  const { metadata, add } = createResourceMetadata(settings, () => (issuers.known()[0] as Issuer).metadata())
  const credentialRules: CredentialRules = {
    accepted,
    rejectQueryToken: settings.rejectQueryToken,
    maxTokenLength: settings.maxTokenLength
  }
  const isDpopAdvertised = advertised.includes('DPoP')
  const exposed = isDpopAdvertised ? ['WWW-Authenticate', 'DPoP-Nonce'] : ['WWW-Authenticate']
  const varyByCredentials: HeaderFields = Object.freeze({
    Vary: isDpopAdvertised ? 'Authorization, DPoP' : 'Authorization'
  })
  // A challenge may not be empty (RFC 6750 §3): without metadata to point to, it names the realm.
  const realm = settings.realm ?? (metadata ? undefined : resource)
  const about = { realm, schemes: advertised, algs: dpop.algorithms, resourceMetadata: metadata?.url }

  function decide(
    policy: Policy,
    request: ResourceRequest,
    established: Access | undefined
  ): Awaitable<Access | undefined> {
    if (policy.skipPreflight && isPreflight(request)) return undefined
    // Nothing else on a request is taken for an earlier grant.
    if (established !== undefined && confirm.made(established)) return still(policy, established, request)
    const credentials = readCredentials(request, credentialRules)
    if (credentials === undefined) {
      if (policy.optional) return undefined
      throw new CredentialsMissing()
    }
    const accessToken = accessTokens.verify(credentials, request)
    // What is known already is not handed to a function made for it: this is the path of every warm token.
    return accessToken instanceof VerifiedAccessToken
      ? confirmed(policy, accessToken, credentials, request)
      : accessToken.then((known) => confirmed(policy, known, credentials, request))
  }

  function confirmed(
    policy: Policy,
    accessToken: VerifiedAccessToken,
    credentials: Credentials,
    request: ResourceRequest
  ): Awaitable<Access> {
    const access = confirm(accessToken, credentials, request)
    return isConfirmed(access)
      ? granting(enforced(policy, access, request), request)
      : access.then((known) => granting(enforced(policy, known, request), request))
  }

  /** Told once for a request: where its credentials were read, and not by every `protect` after that. */
  function granting(access: Awaitable<Access>, request: ResourceRequest): Awaitable<Access> {
    if (!isConfirmed(access)) return access.then((known) => granting(known, request))
    events.access(access, request)
    return access
  }

  function enforced(policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
    try {
      const live = requireLive(access, request)
      const result =
        live === undefined
          ? enforce(policy, access, request, enforcement)
          : live.then(() => enforce(policy, access, request, enforcement))
      if (isConfirmed(result)) return result
      return result.catch((error: unknown) => {
        proven.set(request, access)
        throw error
      })
    } catch (error) {
      proven.set(request, access)
      throw error
    }
  }

  /** Of an earlier grant: whoever holds on to it, a handler that takes its time, does not outlive the token. */
  function still(policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
    requireTime(access.claims, now(), settings.clockTolerance)
    return enforced(policy, access, request)
  }

  /** The one place where a refusal learns what this server advertises about itself. */
  function answer(error: unknown, request: ResourceRequest, scope: readonly string[]): unknown {
    if (!(error instanceof ResourceServerError)) return asError(error)
    if (!isMetadataShut && error instanceof CredentialsMissing && metadata?.respond(request) !== undefined) {
      isMetadataShut = true
      events.warning('', METADATA_SHUT)
    }
    if (error instanceof Refusal) {
      const used = readUsedScheme(request, accepted)
      const expose = request.fieldLines('origin').length > 0 ? exposed : []
      error.advertise({ ...about, used, scope, expose })
    }
    events.refusal(error, request, proven.get(request))
    return error
  }

  function answered<T>(decision: () => Awaitable<T>, request: ResourceRequest, scope: readonly string[]): Awaitable<T> {
    try {
      const result = decision()
      return isPromise(result) ? refusing(result, request, scope) : result
    } catch (error) {
      throw answer(error, request, scope)
    }
  }

  function refusing<T>(result: Promise<T>, request: ResourceRequest, scope: readonly string[]): Promise<T> {
    return result.catch((error: unknown) => {
      throw answer(error, request, scope)
    })
  }

  function compile(requirements: readonly Requirement[]): Policy {
    const policy = readPolicy(requirements, settings.scopes, settings.roles)
    if (typeof settings.issuers === 'function') return policy
    if (policy.fresh && settings.issuers.some((one) => !one.introspection))
      throw new TypeError(
        'fresh() needs `introspection` for every issuer: nobody else can say what a token is worth now'
      )
    const needsRoles = policy.checks.some((check) => check.roles !== undefined && isGrantCheck(check))
    if (needsRoles && settings.issuers.every(({ rolesClaims }) => rolesClaims === undefined))
      throw new TypeError(
        'roles() and anyRole() need `rolesClaim` for an issuer: nothing says where its tokens have roles, so no token would be let in'
      )
    return policy
  }

  const server: ResourceServer = {
    resource,
    metadata,
    protect: (...requirements) => {
      const policy = compile([...settings.checks, ...requirements])
      add(policy)
      return {
        authorize: (request, established) => {
          try {
            const access = decide(policy, request, established)
            return access === undefined || isConfirmed(access) ? access : refusing(access, request, policy.scopes)
          } catch (error) {
            throw answer(error, request, policy.scopes)
          }
        },
        // Else a cache could give an anonymous copy to somebody who is signed in (RFC 9110 §12.5.5).
        headers: policy.optional ? varyByCredentials : NO_HEADERS
      } as Protection<never>
    },
    authorize: (request, ...requirements) => {
      const policy = compile([...settings.checks, ...requirements])
      return answered(() => decide(policy, request, undefined), request, policy.scopes) as Awaitable<never>
    },
    enforce: (access, request, ...checks) => {
      if (!confirm.made(access)) throw new TypeError('enforce() needs an access that this resource server granted')
      const policy = compile(checks)
      return answered(() => andThen(still(policy, access, request), () => undefined), request, policy.scopes)
    },
    revoke: async (one) => {
      const list = Array.isArray(one) ? (one as readonly Revocation[]) : [one as Revocation]
      // A name that no token has would revoke nothing, and nobody would notice.
      if (!list.every((each) => accepts(each?.issuer)))
        throw new TypeError(
          'revoke(): `issuer` is none that this server accepts: give the `iss` of the tokens, to the letter'
        )
      await revoke(list, 'operator')
    },
    refresh: (issuer) => refresh(issuers, senders, issuer),
    ready: async () => {
      await Promise.all([...issuers.known().map((issuer) => issuer.ready()), fanOut?.ready()])
    },
    health: () =>
      overall(
        issuers.known().map((issuer) => issuer.health()),
        fanOut?.health(),
        settings.shared?.stats()
      ),
    describe: () => describe(settings, metadata?.url),
    stats: () => ({
      cache: accessTokens.stats(),
      issuers: issuers.known().length,
      keySets: keyMemory.stats(),
      replay: (dpop.replayStore as { stats?(): OnceStoreStats }).stats?.(),
      proofKeys: verifyProof.stats(),
      revocations: revocations.stats(),
      shared: settings.shared?.stats()
    }),
    close: async () => {
      lifetimes.close()
      await Promise.all([http.close(), fanOut?.close()])
    }
  }
  lend(server, {
    resource,
    now,
    deadline,
    createIssuer: createSender,
    insecureHosts,
    accepts,
    verifySignature,
    warning: events.warning,
    revoke: (list) => revoke(list, 'sender')
  })
  return Object.freeze(server)
}

const NO_HEADERS: HeaderFields = Object.freeze({})
