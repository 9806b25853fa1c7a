/**
 * Whether a verified token is still live: not revoked here or by an event, and valid in the status list that it names.
 * Checked on every request, after all caches of tokens.
 *
 * Does NOT introspect: an opaque token was introspected already, and `fresh()` introspects a JWT.
 *
 * Tests: `test/rfc/status-list.test.ts`.
 */
import type { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import { isPromise } from '../base/awaitable.js'
import { InvalidToken } from '../errors/errors.js'
import type { Callers } from '../http/callers.js'
import type { Awaitable, ResourceRequest } from '../types.js'
import type { RevocationLog } from './revocation-log.js'
import type { Revocations } from './revocations.js'
import type { StatusLists } from './status-list.js'

export interface Live {
  /**
   * Requires a token that is live. Synchronous once the log of revocations was read, while the status list is cached.
   *
   * @throws {InvalidToken} it was revoked, or its status is not VALID
   * @throws {Unavailable | Misconfigured} the log of revocations was not read yet; or its status list cannot be fetched, or
   *   is invalid
   */
  require(accessToken: VerifiedAccessToken, request: ResourceRequest): Awaitable<void>
  /** @throws {InvalidToken} it was revoked. Does NOT check the status list. */
  requireNotRevoked(accessToken: VerifiedAccessToken): void
}

export interface LiveMeans {
  readonly revocations: Revocations
  /** The revocations of all processes; undefined where each process has its own. */
  readonly log: RevocationLog | undefined
  readonly statusLists: StatusLists
  readonly callers: Callers
}

export function createLive({ revocations, log, statusLists, callers }: LiveMeans): Live {
  const requireNotRevoked = (accessToken: VerifiedAccessToken): void => {
    if (revocations.isRevoked(accessToken)) throw new InvalidToken('revoked')
  }
  const requireStatus = (accessToken: VerifiedAccessToken, request: ResourceRequest): Awaitable<void> => {
    const { claims, issuedBy, by } = accessToken
    // An opaque token was already introspected, so its status is known.
    if (by !== 'signature' || issuedBy.settings.statusList === undefined) return undefined
    return callers.inTime(statusLists.require(claims['status'], issuedBy), request, 'status_list')
  }
  const requireLive = (accessToken: VerifiedAccessToken, request: ResourceRequest): Awaitable<void> => {
    requireNotRevoked(accessToken)
    if (!accessToken.hasStatus) return undefined
    const status = requireStatus(accessToken, request)
    // The token may have been revoked while the list was fetched.
    return isPromise(status) ? status.then(() => requireNotRevoked(accessToken)) : undefined
  }
  return {
    requireNotRevoked,
    require: (accessToken, request) => {
      const reading = log?.wait()
      if (reading === undefined) return requireLive(accessToken, request)
      return Promise.resolve(callers.inTime(reading, request, 'revocations')).then(() =>
        requireLive(accessToken, request)
      )
    }
  }
}
