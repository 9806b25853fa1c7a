/**
 * Remembers digests of tokens that were active before, each for a day and never past the token's `exp`. When there are
 * more questions than an authorization server can answer, those about known tokens go first. Processes that share a store
 * share known tokens too, so that a restart does not turn every token into a stranger.
 *
 * Does NOT state that a token is active: the server is asked again.
 */
import type { IntrospectionSettings } from '../issuer/introspection-settings.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable, Claims } from '../types.js'

/** Maximum tokens remembered, of all issuers together. */
const MAX_KNOWN = 10_000
/** Maximum seconds for which a token counts as known after it was active. */
const KNOWN_FOR = 24 * 3600
/** Minimum seconds by which a token's new end must exceed the stored one before the shared store is written again. */
const TELL_AGAIN = 3600

export interface KnownTokensStats {
  readonly entries: number
  readonly maxEntries: number
}

export interface KnownTokens {
  /** @param key a digest of token and issuer */
  has(key: string, token: string, issuer: Issuer): Awaitable<boolean>
  /** @param answer undefined: not active */
  learn(key: string, token: string, issuer: Issuer, answer: Claims | undefined): void
  stats(): KnownTokensStats
}

/** For how long a token is known, in seconds since the epoch. */
interface Known {
  readonly since: number
  readonly until: number
  /** The `until` that the shared store last received or returned. */
  readonly told: number
}

export function createKnownTokens(shared: Shared | undefined, now: () => number): KnownTokens {
  /** Known tokens of each issuer, by its serial. The token that was active longest ago comes first. */
  const byIssuer = new Map<number, Map<string, Known>>()
  const cache = shared?.cache('known-token')
  let entries = 0

  const find = (key: string, { serial }: Issuer): Known | undefined => {
    const found = byIssuer.get(serial)?.get(key)
    const time = now()
    return found && found.since <= time && time < found.until ? found : undefined
  }
  const remove = (key: string, serial: number): void => {
    const own = byIssuer.get(serial)
    if (!own?.delete(key)) return
    entries--
    if (own.size === 0) byIssuer.delete(serial)
  }
  /** Evicts the oldest token of the issuer with the most, so that one issuer or its clients cannot evict those of others. */
  const makeRoom = (): void => {
    const [serial, most] = [...byIssuer].reduce((a, b) => (b[1].size > a[1].size ? b : a))
    const [oldest] = most.keys()
    if (oldest !== undefined) remove(oldest, serial)
  }
  const keep = (key: string, { serial }: Issuer, known: Known): void => {
    remove(key, serial)
    if (entries >= MAX_KNOWN) makeRoom()
    const own = byIssuer.get(serial) ?? new Map<string, Known>()
    byIssuer.set(serial, own.set(key, known))
    entries++
  }
  const ask = async (key: string, token: string, issuer: Issuer): Promise<boolean> => {
    const until = Number(await cache?.get(partsOf(token, issuer)))
    const time = now()
    if (!(until > time)) return false
    keep(key, issuer, { since: time, until: Math.min(until, time + KNOWN_FOR), told: until })
    return true
  }
  const tell = (token: string, issuer: Issuer, until: number): void => {
    // Best effort: the store reports its failures in `health()`.
    cache?.set(partsOf(token, issuer), String(until), until - now()).catch(() => undefined)
  }

  return {
    has: (key, token, issuer) => find(key, issuer) !== undefined || (cache !== undefined && ask(key, token, issuer)),
    learn: (key, token, issuer, answer) => {
      const before = find(key, issuer)
      if (answer === undefined) {
        remove(key, issuer.serial)
        if (before !== undefined) tell(token, issuer, 0)
        return
      }
      const time = now()
      const { exp } = answer
      const until = Math.min(time + KNOWN_FOR, typeof exp === 'number' ? exp : Number.POSITIVE_INFINITY)
      const isTold = before !== undefined && until - before.told < TELL_AGAIN
      keep(key, issuer, { since: time, until, told: isTold ? before.told : until })
      if (!isTold) tell(token, issuer, until)
    },
    stats: () => ({ entries, maxEntries: MAX_KNOWN })
  }
}

/** The parts of the key in the shared store, which receives only a MAC of the token. */
function partsOf(token: string, { settings }: Issuer): readonly string[] {
  const { endpoint = '' } = settings.introspection as IntrospectionSettings
  return [settings.issuer, settings.metadataUrl ?? '', endpoint, token]
}
