/**
 * `resourceServer(options)`: the only place that creates and connects the steps. `authorize.ts` runs requests through
 * them.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import { type AccessTokenVerifier, createAccessTokenVerifier } from '../access-token/access-token.js'
import { insecureHostsWarning, NO_HOSTS } from '../base/reach.js'
import { createReadCertificate } from '../confirmation/certificate.js'
import type { Confirm } from '../confirmation/confirmation.js'
import { accessTokenOf, createConfirm } from '../confirmation/confirmation.js'
import { createVerifyProof } from '../confirmation/dpop.js'
import type { CredentialRules } from '../credentials.js'
import { type Advertisement, forOperator, InvalidToken } from '../errors/errors.js'
import { type Callers, createCallers } from '../http/callers.js'
import { createHttp } from '../http/exchange.js'
import { createIssuer, type Issuer } from '../issuer/issuer.js'
import { createDynamicIssuers, createStaticIssuers, type Issuers, refresh } from '../issuer/issuers.js'
import type { IssuerSettings } from '../issuer/settings.js'
import { createKeyMemory, type KeyMemory } from '../jwt/key-memory.js'
import { createVerifySignature, type VerifySignature } from '../jwt/verify-signature.js'
import { type Enforcement, type Policy, readPolicy } from '../policy/policy.js'
import { isGrantCheck } from '../policy/scope.js'
import { createLifetimes, type Lifetimes } from '../revocation/lifetime.js'
import { createLive, type Live } from '../revocation/live.js'
import type { Revocation } from '../revocation/revocation.js'
import { createRevocationLog, LOG_KEEPS, type RevocationLog, revokeEverywhere } from '../revocation/revocation-log.js'
import { createRevocations, type Revocations } from '../revocation/revocations.js'
import { MAX_KEEP } from '../revocation/settings.js'
import { createStatusLists, type StatusLists } from '../revocation/status-list.js'
import type { OnceStoreStats } from '../sharing/memory-once-store.js'
import type { Awaitable, HeaderFields, Protection, Requirement } from '../types.js'
import { authorize, authorizeAgain, type Stations } from './authorize.js'
import { describe } from './describe.js'
import { createEvents, type Events } from './diagnostics.js'
import { overall } from './health.js'
import type { ResourceServer } from './interface.js'
import { type Internals, lend } from './internals.js'
import type { ResourceServerOptions } from './options.js'
import { createResourceMetadata, type ResourceMetadata } from './protected-resource.js'
import { meansOf, readSettings, type Settings } from './settings.js'
import { createVoice } from './voice.js'

/** Warning, emitted once at start. */
const ADDRESSES_UNSAID =
  '`issuers` is a function, and `http.publicAddressesOnly` is not set: a resolver that trusts too many names can send requests into your own network. ' +
  'Set it to true, or to false if your issuers are in private networks or your own `dispatcher` connects.'
const NO_HEADERS: HeaderFields = Object.freeze({})

/**
 * Creates a resource server, which verifies the access tokens of requests to one API and refuses as the RFCs say.
 * Fetches nothing until the first token arrives or `ready()` is called.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function resourceServer<const Scope extends string = string, const Role extends string = string>(
  options: ResourceServerOptions<Scope, Role>
): ResourceServer<Scope, Role> {
  const settings = readSettings(options)
  const parts = createParts(settings, createFoundation(settings, options))
  const server = createServer(settings, parts)
  lend(server, createInternals(settings, parts))
  return Object.freeze(server)
}

/** Connections to the authorization servers, and the issuers themselves. */
interface Foundation {
  readonly events: Events
  readonly http: ReturnType<typeof createHttp>
  readonly callers: Callers
  readonly verifySignature: VerifySignature
  readonly issuers: Issuers
  /** Senders of security events; only their keys are used. */
  readonly senders: Issuer[]
  readonly createIssuer: (settings: IssuerSettings) => Issuer
  readonly keyMemory: KeyMemory
}

/** All parts of one server. */
interface Parts extends Foundation {
  readonly accessTokens: AccessTokenVerifier
  readonly statusLists: StatusLists
  readonly verifyProof: ReturnType<typeof createVerifyProof>
  readonly revocations: Revocations
  readonly log: RevocationLog | undefined
  readonly lifetimes: Lifetimes
  readonly resourceMetadata: ResourceMetadata
  readonly stations: Stations
}

function createFoundation(settings: Settings, options: ResourceServerOptions): Foundation {
  const { resource, now, callbackTimeout, shared } = settings
  const voice = createVoice({
    resource,
    now,
    credentialRules: readCredentialRules(settings),
    issuers: () => issuers,
    warning: (message) => events.warning('', message)
  })
  const events: Events = createEvents(resource, now, settings.log ? voice : undefined)
  const http = createHttp(settings.http, events.exchange)
  const senders: Issuer[] = []
  const keyMemory = createKeyMemory(() => [...issuers.known(), ...senders].map(({ heldKeys }) => heldKeys))
  let serial = 0
  const create = (issuer: IssuerSettings): Issuer =>
    createIssuer(issuer, {
      serial: serial++,
      resource,
      http: http.exchange,
      now,
      deadline: settings.http.deadline,
      callbackTimeout,
      warning: events.warning,
      keyMemory,
      shared
    })
  const { insecureHosts = NO_HOSTS } = settings.http
  if (insecureHosts.size > 0) events.warning('', insecureHostsWarning(insecureHosts))
  const issuers = createIssuers(settings, options, create, (message) => events.warning('', message))
  const callers = createCallers(settings.http.deadline)
  const verifySignature = createVerifySignature()
  return { events, http, callers, verifySignature, issuers, senders, createIssuer: create, keyMemory }
}

function createIssuers(
  { issuers, resource, now, callbackTimeout: deadline }: Settings,
  options: ResourceServerOptions,
  create: (settings: IssuerSettings) => Issuer,
  warn: (message: string) => void
): Issuers {
  if (typeof issuers !== 'function') return createStaticIssuers(issuers, create)
  if (options.http?.publicAddressesOnly === undefined) warn(ADDRESSES_UNSAID)
  return createDynamicIssuers(issuers, create, { resource, now, deadline, means: meansOf(options), warn })
}

function createParts(settings: Settings, foundation: Foundation): Parts {
  const { resource, now, clockTolerance, callbackTimeout, impliedScopes, decryptionKeys, shared } = settings
  const { dpop, publicUrls, certificate, requireBound } = settings.sender
  const { events, http, callers, issuers, verifySignature } = foundation
  const deadline = callbackTimeout
  const means = { now, clockTolerance, shared, http: http.exchange, verifySignature }
  const statusLists = createStatusLists(means)
  const rules = { resource, callbackTimeout, impliedScopes, decryptionKeys }
  const accessTokens = createAccessTokenVerifier({ ...means, ...rules, issuers, callers })
  const verifyProof = createVerifyProof(dpop, { resource, publicUrls, now, deadline, verifySignature })
  const { revocations, log } = createRevocationMemory(settings, events)
  const resourceMetadata = createResourceMetadata(settings, () => (issuers.known()[0] as Issuer).metadata())
  const advertisement = createAdvertisement(settings, resourceMetadata)
  const refusal = (reason: 'expired' | 'revoked'): InvalidToken => new InvalidToken(reason).advertise(advertisement)
  const lifetimes = createLifetimes({ now, revocations, refusal })
  const confirm = createConfirm({
    signalOf: lifetimes.signalOf,
    readCertificate: createReadCertificate(certificate),
    certificate,
    verifyProof,
    require: requireBound
  })
  const live = createLive({ revocations, log, statusLists, callers })
  const stations: Stations = {
    credentialRules: readCredentialRules(settings),
    accessTokens,
    confirm,
    live,
    enforcement: createEnforcement(settings, accessTokens, live, confirm),
    now,
    clockTolerance,
    events,
    advertisement,
    exposed: isDpopAdvertised(settings) ? ['WWW-Authenticate', 'DPoP-Nonce'] : ['WWW-Authenticate'],
    metadata: resourceMetadata.metadata,
    proven: new WeakMap(),
    isMetadataShut: false
  }
  const made = { accessTokens, statusLists, verifyProof, revocations, log, lifetimes, resourceMetadata, stations }
  return { ...foundation, ...made }
}

/** The revocations of this process, and with `shared.log` those of all processes. */
function createRevocationMemory(
  { resource, now, callbackTimeout: deadline, shared, revocation, http }: Settings,
  events: Events
): Pick<Parts, 'revocations' | 'log'> {
  const log = shared?.log(resource, deadline, LOG_KEEPS)
  if (shared === undefined || log === undefined)
    return { revocations: createRevocations({ now, ...revocation }), log: undefined }
  const revocations = createRevocations({ now, ...revocation, longest: MAX_KEEP })
  const claim = (task: string, ttl: number): Promise<boolean | undefined> =>
    shared.once('log').claim([resource, task], ttl)
  const warn = (message: string): void => events.warning('', message)
  return {
    revocations,
    log: createRevocationLog({ log, revocations, claim, ...revocation, now, patience: http.deadline, deadline, warn })
  }
}

function readCredentialRules({ sender, rejectQueryToken, maxTokenLength }: Settings): CredentialRules {
  return { accepted: sender.accepted, rejectQueryToken, maxTokenLength }
}

function isDpopAdvertised({ sender }: Settings): boolean {
  return sender.advertised.includes('DPoP')
}

function createAdvertisement({ realm, resource, sender }: Settings, { metadata }: ResourceMetadata): Advertisement {
  return {
    // RFC 6750 §3 forbids an empty challenge: without a metadata URL, the challenge names the realm.
    realm: realm ?? (metadata ? undefined : resource),
    schemes: sender.advertised,
    algs: sender.dpop.algorithms,
    resourceMetadata: metadata?.url
  }
}

function createEnforcement(
  { resource, now, clockTolerance }: Settings,
  accessTokens: AccessTokenVerifier,
  live: Live,
  confirm: Confirm
): Enforcement {
  return {
    context: Object.freeze({ resource, now, clockTolerance }),
    renew: async (access, request) => {
      const before = accessTokenOf(access)
      const current = await accessTokens.verifyFresh(before, request)
      live.requireNotRevoked(current)
      return current === before ? access : confirm.renew(access, current)
    },
    canOnlyLoseGrants: (access) => accessTokenOf(access).by === 'signature'
  }
}

function createServer(settings: Settings, parts: Parts): ResourceServer {
  const { issuers, senders, accessTokens, stations, resourceMetadata, log, lifetimes, http } = parts
  const { metadata, add } = resourceMetadata
  const varyByCredentials: HeaderFields = Object.freeze({
    Vary: isDpopAdvertised(settings) ? 'Authorization, DPoP' : 'Authorization'
  })
  return {
    resource: settings.resource,
    metadata,
    protect: (...requirements) => {
      const policy = compile(settings, [...settings.checks, ...requirements])
      add(policy)
      return {
        authorize: (request, established) => authorize(stations, policy, request, established),
        // Without it, a cache could serve an anonymous response to a signed-in user (RFC 9110 §12.5.5).
        headers: policy.optional ? varyByCredentials : NO_HEADERS
      } as Protection<never>
    },
    authorize: (request, ...requirements) => {
      const policy = compile(settings, [...settings.checks, ...requirements])
      return authorize(stations, policy, request, undefined) as Awaitable<never>
    },
    enforce: (access, request, ...checks) => {
      if (!stations.confirm.made(access))
        throw new TypeError(
          'enforce() needs an access that this resource server granted: mount protect() of the same server before this handler'
        )
      return authorizeAgain(stations, compile(settings, checks), access, request)
    },
    revoke: (one) => revokeAsOperator(settings, parts, one),
    refresh: (issuer) => refresh(issuers, senders, issuer),
    ready: async () => {
      await Promise.all([...issuers.known().map((issuer) => issuer.ready()), log?.ready()]).catch((error: unknown) => {
        throw forOperator(error)
      })
    },
    health: () =>
      overall(
        issuers.known().map((issuer) => issuer.health()),
        log?.health(),
        settings.shared?.stats()
      ),
    describe: () => describe(settings, metadata?.url),
    stats: () => ({
      cache: { ...accessTokens.stats(), statusLists: parts.statusLists.stats() },
      issuers: issuers.known().length,
      keySets: parts.keyMemory.stats(),
      replay: (settings.sender.dpop.replayStore as { stats?(): OnceStoreStats }).stats?.(),
      proofKeys: parts.verifyProof.stats(),
      revocations: parts.revocations.stats(),
      log: log?.stats(),
      shared: settings.shared?.stats()
    }),
    close: async () => {
      lifetimes.close()
      await Promise.all([http.close(), log?.close()])
    }
  }
}

/** @throws {TypeError} an invalid requirement, `fresh()` without introspection, or roles without `rolesClaim` */
function compile({ issuers, scopes, roles }: Settings, requirements: readonly Requirement[]): Policy {
  const policy = readPolicy(requirements, scopes, roles)
  if (typeof issuers === 'function') return policy
  if (policy.fresh && issuers.some((one) => !one.introspection))
    throw new TypeError(
      'fresh() needs `introspection` for every issuer: only the authorization server knows whether a token is still active'
    )
  const needsRoles = policy.checks.some((check) => check.roles !== undefined && isGrantCheck(check))
  if (needsRoles && issuers.every(({ rolesClaims }) => rolesClaims === undefined))
    throw new TypeError(
      'roles() and anyRole() need `rolesClaim` for at least one issuer: it says which claim holds the roles, and without it every token is refused'
    )
  return policy
}

async function revokeAsOperator(
  { issuers }: Settings,
  parts: Parts,
  one: Revocation | readonly Revocation[]
): Promise<void> {
  const list = Array.isArray(one) ? (one as readonly Revocation[]) : [one as Revocation]
  // A misspelt issuer would silently revoke nothing.
  if (!list.every((each) => accepts(issuers, each?.issuer)))
    throw new TypeError(
      'revoke(): `issuer` is not an issuer that this server accepts: write exactly the `iss` of the tokens'
    )
  await revokeEverywhere(list, 'operator', parts).catch((error: unknown) => {
    throw forOperator(error)
  })
}

function accepts(issuers: Settings['issuers'], issuer: string): boolean {
  return typeof issuers === 'function' || issuers.some(({ acceptedIssuers }) => acceptedIssuers.has(issuer))
}

function createInternals({ resource, now, callbackTimeout, issuers, http }: Settings, parts: Parts): Internals {
  return {
    resource,
    now,
    deadline: callbackTimeout,
    createIssuer: (sender) => {
      const made = parts.createIssuer(sender)
      parts.senders.push(made)
      return made
    },
    insecureHosts: http.insecureHosts ?? NO_HOSTS,
    accepts: (issuer) => accepts(issuers, issuer),
    verifySignature: parts.verifySignature,
    warning: parts.events.warning,
    revoke: (list) => revokeEverywhere(list, 'sender', parts)
  }
}
