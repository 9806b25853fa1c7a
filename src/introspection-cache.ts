/**
 * What authorization servers lately said of tokens, each answer for a few seconds and never past the token's `exp`: the
 * time a revocation may go unseen. One question at a time about each token, and one next that asks past all of it. Where
 * processes share a store they share answers too, none of which lives longer for it.
 *
 * Does NOT check what an answer says: a token that was called active may be for another API.
 */
import { hash } from 'node:crypto'
import { withDeadline } from './awaitable.js'
import { type CacheStats, createTimedCache } from './cache.js'
import { bytesOf, freezeAll } from './claims.js'
import { Unavailable } from './errors.js'
import { type IntrospectionMeans, introspect } from './introspection.js'
import type { Issuer } from './issuer.js'
import type { Shared } from './shared.js'
import { createSharedAnswers, type Lifetime, type SharedAnswer } from './shared-answers.js'
import type { Awaitable, Claims } from './types.js'
import type { VerifiedAccessToken } from './verified-access-token.js'

const MAX_ACTIVE = 10_000
const MAX_INACTIVE = 1000
/** Seconds that "not active" is remembered. */
const INACTIVE_FOR = 10

/** The fact that a server called a token active, and what it said of it; the token made of it, once its claims passed. */
export interface Active {
  readonly members: Claims
  /** Seconds since the epoch until when it may be remembered. */
  readonly until: number
  /** About how much it holds. */
  readonly bytes: number
  accessToken?: VerifiedAccessToken
}

export interface IntrospectionCache {
  /** What is known of the token, or is being asked; else it is asked. undefined: not active. */
  recall(token: string, issuer: Issuer): Awaitable<Active | undefined>
  /**
   * Asks now, past all that is known. While a question about this token is under way, the next one is put once that is
   * answered, and all who come meanwhile share it.
   *
   * @throws {Unavailable} no answer within the deadline, counted from this call
   */
  ask(token: string, issuer: Issuer): Promise<Active | undefined>
  stats(): { readonly active: CacheStats; readonly inactive: CacheStats; readonly introspecting: number }
}

export interface IntrospectionCacheMeans extends IntrospectionMeans {
  /** Where processes share answers. */
  readonly shared?: Shared | undefined
}

export function createIntrospectionCache({ shared, ...means }: IntrospectionCacheMeans): IntrospectionCache {
  const { now } = means
  const active = createTimedCache<Active>(MAX_ACTIVE)
  const inactive = createTimedCache<true>(MAX_INACTIVE)
  const answers = shared && createSharedAnswers(shared, means)
  /** The question about each token that is under way. */
  const asking = new Map<string, Promise<Active | undefined>>()
  /** The question about each token that is put after it. */
  const next = new Map<string, Promise<Active | undefined>>()

  const keyOf = (token: string, issuer: Issuer): string => hash('sha256', `${issuer.serial}.${token}`, 'base64url')
  const lifetimeOf = ({ settings }: Issuer): Lifetime => ({
    active: settings.introspection?.cacheFor ?? 0,
    inactive: INACTIVE_FOR
  })

  const remember = (key: string, answer: Active | undefined, until: number): void => {
    const time = now()
    if (answer === undefined) {
      inactive.set(key, true, time, until)
      active.delete(key)
      return
    }
    inactive.delete(key)
    active.delete(key)
    active.set(key, answer, time, until, answer.bytes)
  }

  /** Another process's answer, or the server's, which `publish` makes known to the others. */
  const answer = async (
    token: string,
    issuer: Issuer,
    known: Promise<SharedAnswer | undefined> | undefined
  ): Promise<SharedAnswer & { publish?: () => void }> => {
    const shared = known && (await known)
    if (shared) return shared
    // Before: what was so when it was asked is not newer for having been long on its way.
    const since = now()
    const members = await introspect(token, issuer, means)
    const exp = members?.['exp']
    const { active: lives, inactive: remembered } = lifetimeOf(issuer)
    const most = since + (members ? lives : remembered)
    const given = { members, since, until: typeof exp === 'number' ? Math.min(exp, most) : most }
    return { ...given, publish: () => answers?.set(token, issuer, given, lifetimeOf(issuer)) }
  }

  const start = (
    key: string,
    token: string,
    issuer: Issuer,
    known: Promise<SharedAnswer | undefined> | undefined
  ): Promise<Active | undefined> => {
    const question = answer(token, issuer, known)
      .then(({ members, until, publish }): Active | undefined => {
        const fact = members && { members, until, bytes: bytesOf(token, freezeAll(members)) }
        remember(key, fact, until)
        publish?.()
        return fact
      })
      .finally(() => asking.delete(key))
    asking.set(key, question)
    return question
  }

  /** The question that is put once the one under way has ended, however it ended. */
  const after = (
    current: Promise<unknown>,
    key: string,
    token: string,
    issuer: Issuer
  ): Promise<Active | undefined> => {
    const put = (): Promise<Active | undefined> => {
      next.delete(key)
      return start(key, token, issuer, undefined)
    }
    const question = current.then(put, put)
    next.set(key, question)
    return question
  }
  const late = (): Error => new Unavailable('introspection', `no answer about this token within ${means.deadline} s`)

  return {
    recall: (token, issuer) => {
      const key = keyOf(token, issuer)
      const time = now()
      if (inactive.get(key, time)) return undefined
      const known = active.get(key, time) ?? asking.get(key) ?? next.get(key)
      if (known) return known
      return start(key, token, issuer, answers?.get(token, issuer, lifetimeOf(issuer)))
    },
    ask: (token, issuer) => {
      const key = keyOf(token, issuer)
      const current = asking.get(key)
      const planned = next.get(key) ?? (current && after(current, key, token, issuer))
      return planned === undefined ? start(key, token, issuer, undefined) : withDeadline(planned, means.deadline, late)
    },
    stats: () => ({ active: active.stats(), inactive: inactive.stats(), introspecting: asking.size })
  }
}
