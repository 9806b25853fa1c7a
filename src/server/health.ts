/** What an operator asks of a server as a whole: to revoke, to fetch its keys anew, and how it is. */

import type { Issuer } from '../issuer/issuer.js'
import type { Issuers } from '../issuer/issuers.js'
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

/**
 * Loads metadata and keys anew, of all that are known or of one, whatever it is called: where issuers are looked up, each of
 * its names has keys of its own.
 *
 * @param senders of events, which are not among the issuers
 * @throws {TypeError} nobody is called so
 * @throws the first failure, after all were tried
 */
export async function refresh(issuers: Issuers, senders: readonly Issuer[], name: string | undefined): Promise<void> {
  const named = name === undefined ? undefined : await issuers.named(name)
  const meant = [...issuers.known(), ...senders].filter(
    ({ settings }) => name === undefined || settings.acceptedIssuers.has(name)
  )
  const chosen = new Set(named ? [named, ...meant] : meant)
  if (name !== undefined && chosen.size === 0) throw new TypeError('refresh(): not an issuer that this server accepts')
  const attempts = await Promise.allSettled([...chosen].map((issuer) => issuer.refresh()))
  const failure = attempts.find((one) => one.status === 'rejected')
  if (failure) throw failure.reason
}

export function overall(issuers: Health['issuers'], channel: Health['channel'], store: Stats['shared']): Health {
  const shared = store && ({ status: store.state === 'paused' ? 'degraded' : 'ok', error: store.error } as const)
  const each = [...issuers, channel, shared]
  const worst = (['failed', 'degraded'] as const).find((status) => each.some((one) => one?.status === status))
  return { status: worst ?? 'ok', issuers, channel, shared }
}
