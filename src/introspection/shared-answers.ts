/**
 * Shares introspection answers (RFC 7662) among the processes of an API, so that one process asks about a token and not
 * each. Sharing does not extend an answer's life: it ends by the settings of the writer or of the reader, whichever is
 * earlier, and never after the token's `exp`.
 *
 * Best effort: if the store has no answer, the authorization server is asked. Does NOT check the claims of an answer.
 *
 * Tests: `test/redis/introspection.test.ts`.
 */
import { isDeepStrictEqual } from 'node:util'
import { deepFreeze, parseObject } from '../base/json.js'
import type { IntrospectionSettings } from '../issuer/introspection-settings.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Shared } from '../sharing/shared.js'
import type { Claims } from '../types.js'

/** Maximum seconds by which another machine's clock may be ahead of ours. */
const MAX_AHEAD = 10

/** An answer with its times, in seconds since the epoch. */
export interface SharedAnswer {
  /** undefined: not active. */
  readonly members: Claims | undefined
  /** When the question was sent. */
  readonly since: number
  /** Until when the answer may be used. */
  readonly until: number
}

export interface SharedAnswers {
  /** Never throws. @param lifetime for how long this process uses an answer */
  get(token: string, issuer: Issuer, lifetime: Lifetime): Promise<SharedAnswer | undefined>
  /**
   * Replaces the stored answer about the token, unless its question was sent later. An active answer does not replace an
   * inactive one that may still be used, so a slow answer cannot revive a token. The write happens in the background.
   *
   * @param lifetime as for `get`
   */
  set(token: string, issuer: Issuer, answer: SharedAnswer, lifetime: Lifetime): void
}

/** Maximum seconds for which an answer may be used. */
export interface Lifetime {
  readonly active: number
  readonly inactive: number
}

export function createSharedAnswers(
  shared: Shared,
  { resource, now }: { readonly resource: string; readonly now: () => number }
): SharedAnswers {
  const cache = shared.cache('introspection')

  const read = async (parts: readonly string[], lifetime: Lifetime): Promise<SharedAnswer | undefined> => {
    const text = await cache.get(parts)
    if (text === undefined) return undefined
    const found = parseObject(text)
    if (found === undefined || ![found['since'], found['until']].every(Number.isFinite)) return undefined
    const { members, since, until: end } = found as unknown as SharedAnswer
    if (members !== undefined && (typeof members !== 'object' || members === null)) return undefined
    const time = now()
    const most = members ? lifetime.active : lifetime.inactive
    // Bounded by this process's own time too, in case the clock of the writer is ahead.
    const until = Math.min(end, since + most, time + most)
    return since <= time + MAX_AHEAD && time < until ? { members: deepFreeze(members), since, until } : undefined
  }

  /** Keeps a stored answer to a later question: a slow answer could otherwise restore a scope that was removed since. */
  const write = async (parts: readonly string[], answer: SharedAnswer, lifetime: Lifetime): Promise<void> => {
    const { members, since, until } = answer
    const stored = await read(parts, lifetime)
    if (stored !== undefined && stored.since > since) return
    const text = stringify(members, { since, until })
    await cache.set(parts, text ?? '', text === undefined ? 0 : until - now())
  }

  /**
   * Active and inactive answers have separate keys, so that neither overwrites the other. A writer of an inactive answer
   * then deletes the active one; a writer of an active answer then deletes it if an inactive one is stored. So the active
   * answer is gone, in whichever order two processes write.
   */
  const set = async (token: string, issuer: Issuer, answer: SharedAnswer, lifetime: Lifetime): Promise<void> => {
    const active = partsOf(token, issuer, resource)
    const inactive = [...active, 'inactive']
    if (answer.members === undefined) {
      await write(inactive, answer, lifetime)
      await cache.set(active, '', 0)
      return
    }
    // An inactive answer that another process stored meanwhile may have expired, so it could not be noticed below.
    if (now() - answer.since >= lifetime.inactive) return
    await write(active, answer, lifetime)
    if ((await read(inactive, lifetime)) !== undefined) await cache.set(active, '', 0)
  }

  return {
    get: async (token, issuer, lifetime) => {
      const parts = partsOf(token, issuer, resource)
      const [inactive, active] = await Promise.all([read([...parts, 'inactive'], lifetime), read(parts, lifetime)])
      return inactive ?? active
    },
    set: (...answer) => void set(...answer).catch(() => undefined)
  }
}

/**
 * Everything that an answer depends on: processes that differ in any of it share no answers. The store receives only a MAC
 * of the token.
 */
function partsOf(token: string, { settings }: Issuer, resource: string): readonly string[] {
  const { endpoint, clientId, signedResponse, responseAudience, dialect } =
    settings.introspection as IntrospectionSettings
  const manner = dialect ? 'dialect' : signedResponse ? `signed ${responseAudience ?? ''}` : 'plain'
  return [settings.issuer, settings.metadataUrl ?? '', endpoint ?? '', clientId, manner, resource, token]
}

/** The stored text; undefined for members that JSON would not preserve: nested too deep, or arbitrary values of a dialect. */
function stringify(members: Claims | undefined, times: Omit<SharedAnswer, 'members'>): string | undefined {
  try {
    const text = JSON.stringify({ ...times, members })
    return isDeepStrictEqual((JSON.parse(text) as SharedAnswer).members, members) ? text : undefined
  } catch {
    return undefined
  }
}
