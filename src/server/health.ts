/** What an operator asks of a server as a whole: to revoke, to fetch its keys anew, and how it is. */
import type { FanOut } from '../revocation/fan-out.js'
import { type Revocations, RevocationsFull, type RevokedBy } from '../revocation/revocations.js'
import type { Revocation } from '../types.js'
import type { Health, Stats } from './interface.js'

export interface RevokeMeans {
  readonly revocations: Revocations
  readonly fanOut: FanOut | undefined
}

/**
 * Here and in the other processes.
 *
 * @throws {TypeError} one that is none; no other is heeded then
 * @throws {RevocationsFull} what there was room for holds, and is told to the others
 */
export async function revokeEverywhere(
  list: readonly Revocation[],
  by: RevokedBy,
  { revocations, fanOut }: RevokeMeans
): Promise<void> {
  try {
    const news = revocations.revoke(list, by)
    await fanOut?.publish(news, by)
  } catch (error) {
    if (error instanceof RevocationsFull) await fanOut?.publish(error.news, by)
    throw error
  }
}

export function overall(issuers: Health['issuers'], channel: Health['channel'], store: Stats['shared']): Health {
  const shared = store && ({ status: store.state === 'paused' ? 'degraded' : 'ok', error: store.error } as const)
  const each = [...issuers, channel, shared]
  const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one?.status === status))
  return { status: worst ?? 'ok', issuers, channel, shared }
}
