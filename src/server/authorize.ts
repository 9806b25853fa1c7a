/**
 * Runs a request through all steps in order: credentials, access token, sender, revocation, policy (RFC 6750 §3.1).
 * Each step throws its own refusal. One catch adds what this server advertises about itself.
 *
 * Does NOT create the steps: `resource-server.ts` does.
 *
 * Tests: `test/rfc/rfc6750.test.ts`.
 */
import type { AccessTokenVerifier } from '../access-token/access-token.js'
import { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import { accessTokenOf, type Confirm, isConfirmed } from '../confirmation/confirmation.js'
import { type CredentialRules, readCredentials, readUsedScheme } from '../credentials.js'
import { type Advertisement, CredentialsMissing, Refusal, ResourceServerError } from '../errors/errors.js'
import { requireTime } from '../jwt/claims.js'
import { asError, type Enforcement, enforce, isPreflight, type Policy } from '../policy/policy.js'
import type { Live } from '../revocation/live.js'
import type { Access, Awaitable, Credentials, ResourceRequest } from '../types.js'
import type { Events } from './diagnostics.js'
import type { ProtectedResourceMetadata } from './protected-resource.js'

/** The steps in their order, and the state that they share. */
export interface Stations {
  readonly credentialRules: CredentialRules
  readonly accessTokens: AccessTokenVerifier
  readonly confirm: Confirm
  readonly live: Live
  readonly enforcement: Enforcement
  readonly now: () => number
  /** Seconds of leeway for `exp`. */
  readonly clockTolerance: number
  readonly events: Events
  /** Values that challenges tell about this server (RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §7.1). */
  readonly advertisement: Advertisement
  /** Header fields of a refusal that scripts of other origins may read. */
  readonly exposed: readonly string[]
  readonly metadata: ProtectedResourceMetadata | undefined
  /** Access of requests that were refused after their sender was confirmed, for diagnostics listeners. */
  readonly proven: WeakMap<ResourceRequest, Access>
  /** True once a metadata request was refused because it had no token, and the operator was warned. */
  isMetadataShut: boolean
}

/** Warning, emitted once per server. */
const METADATA_SHUT =
  'a request for the protected resource metadata was refused because it had no token: mount `protectedResourceMetadata(api)` before `protect`. Clients without a token read the metadata to find the authorization server'

const NOTHING_EXPOSED: readonly string[] = Object.freeze([])

/**
 * Decides one request.
 *
 * @param established the access that an earlier `protect` granted to this request
 * @returns undefined where the policy accepts the request without a token
 * @throws {ResourceServerError} the refusal, with its challenge
 */
export function authorize(
  stations: Stations,
  policy: Policy,
  request: ResourceRequest,
  established: Access | undefined
): Awaitable<Access | undefined> {
  try {
    const access = decide(stations, policy, request, established)
    return access === undefined || isConfirmed(access) ? access : refusing(stations, access, request, policy.scopes)
  } catch (error) {
    throw refuse(stations, error, request, policy.scopes)
  }
}

/**
 * Applies further checks to a request that was granted access. Checks time and revocation again.
 *
 * @throws {ResourceServerError} the refusal, with its challenge
 */
export function authorizeAgain(
  stations: Stations,
  policy: Policy,
  access: Access,
  request: ResourceRequest
): void | Promise<void> {
  try {
    const granted = recheck(stations, policy, access, request)
    if (isConfirmed(granted)) return undefined
    return refusing(
      stations,
      granted.then(() => undefined),
      request,
      policy.scopes
    )
  } catch (error) {
    throw refuse(stations, error, request, policy.scopes)
  }
}

function decide(
  stations: Stations,
  policy: Policy,
  request: ResourceRequest,
  established: Access | undefined
): Awaitable<Access | undefined> {
  if (policy.skipPreflight && isPreflight(request)) return undefined
  // Only an access that this server created counts as an earlier grant.
  if (established !== undefined && stations.confirm.made(established))
    return recheck(stations, policy, established, request)
  const credentials = readCredentials(request, stations.credentialRules)
  if (credentials === undefined) {
    if (policy.optional) return undefined
    throw new CredentialsMissing()
  }
  const accessToken = stations.accessTokens.verify(credentials, request)
  // A cached token is passed on directly, without a closure: every request with a cached token takes this path.
  return accessToken instanceof VerifiedAccessToken
    ? confirmSender(stations, policy, accessToken, credentials, request)
    : accessToken.then((known) => confirmSender(stations, policy, known, credentials, request))
}

function confirmSender(
  stations: Stations,
  policy: Policy,
  accessToken: VerifiedAccessToken,
  credentials: Credentials,
  request: ResourceRequest
): Awaitable<Access> {
  const access = stations.confirm(accessToken, credentials, request)
  return isConfirmed(access)
    ? tell(stations, enforceAll(stations, policy, access, request), request)
    : access.then((known) => tell(stations, enforceAll(stations, policy, known, request), request))
}

/** Publishes a request once, when its credentials are read, and not again in each later `protect`. */
function tell(stations: Stations, access: Awaitable<Access>, request: ResourceRequest): Awaitable<Access> {
  if (!isConfirmed(access)) return access.then((known) => tell(stations, known, request))
  stations.events.access(access, request)
  return access
}

/** Keeps the access of a refused request for listeners. Without a listener, a refusal does no extra work. */
function remember({ events, proven }: Stations, request: ResourceRequest, access: Access): void {
  if (events.hearsRefusals()) proven.set(request, access)
}

function enforceAll(stations: Stations, policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
  try {
    const live = stations.live.require(accessTokenOf(access), request)
    const result =
      live === undefined
        ? enforce(policy, access, request, stations.enforcement)
        : live.then(() => enforce(policy, access, request, stations.enforcement))
    if (isConfirmed(result)) return result
    return result.catch((error: unknown) => {
      remember(stations, request, access)
      throw error
    })
  } catch (error) {
    remember(stations, request, access)
    throw error
  }
}

/** An earlier grant must not outlive its token: a handler may call much later. */
function recheck(stations: Stations, policy: Policy, access: Access, request: ResourceRequest): Awaitable<Access> {
  requireTime(access.claims, stations.now(), stations.clockTolerance)
  return enforceAll(stations, policy, access, request)
}

/** Adds what this server advertises to a refusal. No other place does. */
function refuse(stations: Stations, error: unknown, request: ResourceRequest, scope: readonly string[]): unknown {
  if (!(error instanceof ResourceServerError)) return asError(error)
  const { events, metadata, advertisement, credentialRules } = stations
  if (!stations.isMetadataShut && error instanceof CredentialsMissing && metadata?.respond(request) !== undefined) {
    stations.isMetadataShut = true
    events.warning('', METADATA_SHUT)
  }
  if (error instanceof Refusal) {
    const used = readUsedScheme(request, credentialRules.accepted)
    const expose = request.fieldLines('origin').length > 0 ? stations.exposed : NOTHING_EXPOSED
    error.advertise(advertisement, { used, scope, expose })
  }
  events.refusal(error, request, stations.proven.get(request))
  return error
}

function refusing<T>(
  stations: Stations,
  result: Promise<T>,
  request: ResourceRequest,
  scope: readonly string[]
): Promise<T> {
  return result.catch((error: unknown) => {
    throw refuse(stations, error, request, scope)
  })
}
