/** What an operator asks of a server as a whole: to revoke, to fetch its keys anew, and how it is. */

import type { IssuerHealth } from '../issuer/issuer.js'
import type { ChannelHealth } from '../revocation/fan-out.js'
import type { Stats } from './interface.js'

export function overall(issuers: Health['issuers'], channel: Health['channel'], store: Stats['shared']): Health {
  const shared = store && ({ status: store.state === 'paused' ? 'degraded' : 'ok', error: store.error } as const)
  const each = [...issuers, channel, shared]
  const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one?.status === status))
  return { status: worst ?? 'ok', issuers, channel, shared }
}

/** The health of a resource server: of its issuers, each with ages. */
export interface Health {
  /** The worst of its issuers'; `degraded` at least while the channel or the shared store is. */
  readonly status: IssuerHealth['status']
  readonly issuers: readonly IssuerHealth[]
  /** Whether revocations travel between the processes; undefined without `shared.channel`. */
  readonly channel: ChannelHealth | undefined
  /** Whether the shared store answers; undefined without `shared`. */
  readonly shared: SharedHealth | undefined
}

/** How it stands with the store that processes share. */
export interface SharedHealth {
  /** `degraded`: it is paused, see `stats().shared`. DPoP proofs that it keeps are refused with 503 then. */
  readonly status: 'ok' | 'degraded'
  /** Why it failed last; undefined where it has answered since. */
  readonly error: string | undefined
}
