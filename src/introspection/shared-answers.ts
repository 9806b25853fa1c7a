/**
 * Introspection answers (RFC 7662) for all processes of an API, so that each token is asked about once and not once a
 * process. An answer lives as long as it does where it was given, by the shorter of two processes' settings, and never
 * past the token's `exp`: passing it on lengthens nothing.
 *
 * Best effort: what the store does not say is asked of the authorization server. Does NOT check what an answer says.
 */
import { isDeepStrictEqual } from 'node:util'
import { deepFreeze, parseObject } from '../base/json.js'
import type { IntrospectionSettings } from '../issuer/introspection-settings.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Shared } from '../sharing/shared.js'
import type { Claims } from '../types.js'

/** Seconds by which another machine's clock may be ahead. */
const MAX_AHEAD = 10

/** An answer with its times, in seconds since the epoch. */
export interface SharedAnswer {
  /** undefined: not active. */
  readonly members: Claims | undefined
  /** When it was asked for. */
  readonly since: number
  /** Until when it may be believed. */
  readonly until: number
}

export interface SharedAnswers {
  /** @param lifetime seconds that an active answer, and an inactive one, live here. Never throws. */
  get(token: string, issuer: Issuer, lifetime: Lifetime): Promise<SharedAnswer | undefined>
  /**
   * Replaces what was said of the token before, unless that was asked for later. "Active" does not replace "not active"
   * while that is believed, so a slow answer revives nothing. Nobody waits for it.
   *
   * @param lifetime as for `get`
   */
  set(token: string, issuer: Issuer, answer: SharedAnswer, lifetime: Lifetime): void
}

/** Seconds that an answer may be believed. */
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
    // Also by this process's own time, should another's be ahead.
    const until = Math.min(end, since + most, time + most)
    return since <= time + MAX_AHEAD && time < until ? { members: deepFreeze(members), since, until } : undefined
  }

  /** Not over an answer that was asked for later: a slow one would bring back a scope that was taken away since. */
  const write = async (parts: readonly string[], answer: SharedAnswer, lifetime: Lifetime): Promise<void> => {
    const { members, since, until } = answer
    const stored = await read(parts, lifetime)
    if (stored !== undefined && stored.since > since) return
    const text = stringify(members, { since, until })
    await cache.set(parts, text ?? '', text === undefined ? 0 : until - now())
  }

  /**
   * The two have names of their own, so that neither is written over the other; and each looks after the other once it is
   * there. Whichever comes last then, "active" is gone.
   */
  const set = async (token: string, issuer: Issuer, answer: SharedAnswer, lifetime: Lifetime): Promise<void> => {
    const active = partsOf(token, issuer, resource)
    const inactive = [...active, 'inactive']
    if (answer.members === undefined) {
      await write(inactive, answer, lifetime)
      await cache.set(active, '', 0)
      return
    }
    // That of one who may have said otherwise meanwhile is not there any more.
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

/** Everything an answer depends on: two processes that differ in it share none. The token goes no further than its MAC. */
function partsOf(token: string, { settings }: Issuer, resource: string): readonly string[] {
  const { endpoint, clientId, signedResponse, responseAudience, dialect } =
    settings.introspection as IntrospectionSettings
  const manner = dialect ? 'dialect' : signedResponse ? `signed ${responseAudience ?? ''}` : 'plain'
  return [settings.issuer, settings.metadataUrl ?? '', endpoint ?? '', clientId, manner, resource, token]
}

/** undefined for members that would not come back as they were: too deep, or of a dialect, whose values may be anything. */
function stringify(members: Claims | undefined, times: Omit<SharedAnswer, 'members'>): string | undefined {
  try {
    const text = JSON.stringify({ ...times, members })
    return isDeepStrictEqual((JSON.parse(text) as SharedAnswer).members, members) ? text : undefined
  } catch {
    return undefined
  }
}
