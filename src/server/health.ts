/**
 * Health of a resource server: its issuers, the log of revocations and the shared store.
 *
 * Tests: `test/issuer/issuer.test.ts`.
 */

import type { IssuerHealth } from '../issuer/issuer.js'
import type { LogHealth } from '../revocation/revocation-log.js'
import type { Stats } from './interface.js'

export function overall(issuers: Health['issuers'], log: Health['log'], store: Stats['shared']): Health {
  const shared = store && ({ status: store.state === 'paused' ? 'degraded' : 'ok', error: store.error } as const)
  const each = [...issuers, log, shared]
  const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one?.status === status))
  return { status: worst ?? 'ok', issuers, log, shared }
}

/** Health of a resource server. Each issuer is reported with the ages of its documents. */
export interface Health {
  /** The worst status of all issuers; at least `degraded` while the log or the shared store is. */
  readonly status: IssuerHealth['status']
  readonly issuers: readonly IssuerHealth[]
  /** Whether revocations reach the other processes, and theirs this one; undefined without `shared.log`. */
  readonly log: LogHealth | undefined
  /** Whether the shared store answers; undefined without `shared`. */
  readonly shared: SharedHealth | undefined
}

/** Health of the store that processes share. */
export interface SharedHealth {
  /**
   * `degraded`: the store is paused, see `stats().shared`. DPoP proofs that it must record are refused with 503
   * meanwhile.
   */
  readonly status: 'ok' | 'degraded'
  /** The last failure; undefined once the store has answered again. */
  readonly error: string | undefined
}
