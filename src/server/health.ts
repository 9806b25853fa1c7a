/** What an operator asks of a server as a whole: to revoke, to fetch its keys anew, and how it is. */
import type { Health, Stats } from './interface.js'

export function overall(issuers: Health['issuers'], channel: Health['channel'], store: Stats['shared']): Health {
  const shared = store && ({ status: store.state === 'paused' ? 'degraded' : 'ok', error: store.error } as const)
  const each = [...issuers, channel, shared]
  const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one?.status === status))
  return { status: worst ?? 'ok', issuers, channel, shared }
}
