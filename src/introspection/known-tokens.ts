/**
 * Tokens that were active before: digests, each for a day and never past the token's `exp`. An authorization server
 * that has more questions than it can answer is asked about these first. Where processes share a store they share these
 * too, so that a restart does not make a stranger of every token.
 *
 * Does NOT say that a token is active: that is asked again.
 */
import type { IntrospectionSettings } from '../issuer/introspection-settings.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable, Claims } from '../types.js'

const MAX_KNOWN = 10_000
/** Seconds that a token counts as known after it was active. */
const KNOWN_FOR = 24 * 3600
/** Seconds after which the shared store is told once more that a token is active. */
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

/** Seconds since the epoch. */
interface Known {
  readonly since: number
  readonly until: number
  /** What the shared store was told `until` is. */
  readonly told: number
}

export function createKnownTokens(shared: Shared | undefined, now: () => number): KnownTokens {
  /** Of each issuer, by its serial; those that were active longest ago come first. */
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
  /** The issuer that has most gives up its oldest: one issuer, or its clients, cannot push out the others' tokens. */
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
    // Best effort: the store says in `health()` what is wrong with it.
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

/** The token goes no further than its MAC. */
function partsOf(token: string, { settings }: Issuer): readonly string[] {
  const { endpoint = '' } = settings.introspection as IntrospectionSettings
  return [settings.issuer, settings.metadataUrl ?? '', endpoint, token]
}
