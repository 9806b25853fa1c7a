/**
 * What authorization servers lately said of tokens, each answer for a few seconds and never past the token's `exp`: the
 * time a revocation may go unseen. One question at a time about each token; a later one asks past all of it.
 *
 * Does NOT check what an answer says: a token that was called active may be for another API.
 */
import { type CacheStats, createTimedCache, digestKey } from './cache.js'
import { type IntrospectionMeans, introspect } from './introspection.js'
import type { Issuer } from './issuer.js'
import type { AccessToken, Awaitable, Claims } from './types.js'

const MAX_ACTIVE = 10_000
const MAX_INACTIVE = 1000
/** Seconds that "not active" is remembered. */
const INACTIVE_FOR = 10

/** The fact that a server called a token active, and what it said of it; the token made of it, once its claims passed. */
export interface Active {
  readonly members: Claims
  accessToken?: AccessToken
}

export interface IntrospectionCache {
  /** What is known of the token, or is being asked; else it is asked. undefined: not active. */
  recall(token: string, issuer: Issuer): Awaitable<Active | undefined>
  /** Asks now. Whatever was known, or asked before and not answered yet, counts no longer once this is answered. */
  ask(token: string, issuer: Issuer): Promise<Active | undefined>
  stats(): { readonly active: CacheStats; readonly inactive: CacheStats; readonly introspecting: number }
}

export function createIntrospectionCache(means: IntrospectionMeans): IntrospectionCache {
  const { now } = means
  const active = createTimedCache<Active>(MAX_ACTIVE)
  const inactive = createTimedCache<true>(MAX_INACTIVE)
  /** The latest question about each token. */
  const asking = new Map<string, Promise<Active | undefined>>()

  const keyOf = (token: string, issuer: Issuer): string => digestKey(String(issuer.serial), token)

  const remember = (key: string, token: string, { settings }: Issuer, answer: Active | undefined): void => {
    const time = now()
    if (answer === undefined) {
      inactive.set(key, true, time, time + INACTIVE_FOR)
      active.delete(key)
      return
    }
    const { exp } = answer.members
    const until = time + (settings.introspection?.cacheFor ?? 0)
    const bytes = 2 * (token.length + sizeOf(answer.members))
    inactive.delete(key)
    active.delete(key)
    active.set(key, answer, time, typeof exp === 'number' ? Math.min(exp, until) : until, bytes)
  }

  const start = (key: string, token: string, issuer: Issuer): Promise<Active | undefined> => {
    const question = introspect(token, issuer, means)
      .then((members) => {
        const answer = members && { members }
        // A question that was overtaken says what was so before: whoever waits for it is told, and nobody else.
        if (asking.get(key) === question) remember(key, token, issuer, answer)
        return answer
      })
      .finally(() => {
        if (asking.get(key) === question) asking.delete(key)
      })
    asking.set(key, question)
    return question
  }

  return {
    recall: (token, issuer) => {
      const key = keyOf(token, issuer)
      const time = now()
      if (inactive.get(key, time)) return undefined
      return active.get(key, time) ?? asking.get(key) ?? start(key, token, issuer)
    },
    ask: (token, issuer) => start(keyOf(token, issuer), token, issuer),
    stats: () => ({ active: active.stats(), inactive: inactive.stats(), introspecting: asking.size })
  }
}

/** Characters of a value's JSON; of one too deep to be written, more than anything that is remembered. */
function sizeOf(value: unknown): number {
  try {
    return JSON.stringify(value).length
  } catch {
    return Number.MAX_SAFE_INTEGER
  }
}
