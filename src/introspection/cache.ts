/**
 * Caches introspection answers, each for a few seconds and never past the token's `exp`. A revocation may go unseen for
 * that time. At most one question about a token is under way, and at most one waits behind it that ignores the cache.
 * Processes that share a store share answers too, and sharing does not extend the life of an answer.
 *
 * Does NOT check the claims of an answer: a token that the server reports as active may be for another API.
 */
import { hash } from 'node:crypto'
import { unlessAborted } from '../base/awaitable.js'
import { type CacheStats, createTimedCache } from '../base/cache.js'
import { bytesOf, freezeAll } from '../base/json.js'
import { type Caller, type Callers, createQuestion, type Question, type Waiting } from '../http/callers.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable, Claims } from '../types.js'
import { type IntrospectionMeans, introspect } from './introspect.js'
import { createKnownTokens, type KnownTokensStats } from './known-tokens.js'
import { createSharedAnswers, type Lifetime, type SharedAnswer } from './shared-answers.js'

/** Maximum cached answers about active tokens. */
const MAX_ACTIVE = 10_000
/** Maximum cached answers about inactive tokens. */
const MAX_INACTIVE = 1000
/** Maximum seconds for which an inactive answer is cached. */
const INACTIVE_FOR = 10
const SLOWER_THAN_CACHE =
  'introspection: an answer took longer than `cacheFor`, so that it was not cached and every request asks: raise `cacheFor`, or look why the endpoint is slow'

/** An answer about an active token. `Made` is the value that the caller builds from it once its claims passed. */
export interface Active<Made> {
  readonly members: Claims
  /** Seconds since the epoch until when the answer may be cached. */
  readonly until: number
  /** Approximate bytes of memory that the answer takes. */
  readonly bytes: number
  accessToken?: Made
}

export interface IntrospectionCache<Made> {
  /** The cached answer, else that of a question under way, else that of a new question. undefined: not active. */
  recall(token: string, issuer: Issuer, caller: Caller): Awaitable<Active<Made> | undefined>
  /**
   * Asks the server again, whatever is cached. If a question about this token is under way, the new one begins once that
   * has ended. Callers that come before it begins share it.
   *
   * @throws {Unavailable} no answer within the caller's deadline
   */
  ask(token: string, issuer: Issuer, caller: Caller): Promise<Active<Made> | undefined>
  stats(): {
    readonly active: CacheStats
    readonly inactive: CacheStats
    readonly introspecting: number
    /** Counts of remembered tokens that were active before. */
    readonly knownTokens: KnownTokensStats
  }
}

export interface IntrospectionCacheMeans extends IntrospectionMeans {
  readonly callers: Callers
  /** The store through which processes share answers. */
  readonly shared?: Shared | undefined
}

export function createIntrospectionCache<Made>({
  shared,
  callers,
  ...means
}: IntrospectionCacheMeans): IntrospectionCache<Made> {
  const { now } = means
  const active = createTimedCache<Active<Made>>(MAX_ACTIVE)
  const inactive = createTimedCache<true>(MAX_INACTIVE)
  const answers = shared && createSharedAnswers(shared, means)
  const knownTokens = createKnownTokens(shared, now)
  /** The question under way about each token. */
  const asking = new Map<string, Question<Active<Made> | undefined>>()
  /** The question about each token that begins once the one under way has ended. */
  const next = new Map<string, Question<Active<Made> | undefined>>()

  const keyOf = (token: string, issuer: Issuer): string => hash('sha256', `${issuer.serial}.${token}`, 'base64url')
  const lifetimeOf = ({ settings }: Issuer): Lifetime => ({
    active: settings.introspection?.cacheFor ?? 0,
    inactive: INACTIVE_FOR
  })

  const remember = (key: string, answer: Active<Made> | undefined, until: number): void => {
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

  /** The answer of another process, or the server's with `publish`, which shares it with the other processes. */
  const answer = async (
    key: string,
    token: string,
    issuer: Issuer,
    known: Promise<SharedAnswer | undefined> | undefined,
    waiting: Waiting
  ): Promise<SharedAnswer & { publish?: () => void }> => {
    const [shared, wasActive] = await Promise.all([known, knownTokens.has(key, token, issuer)])
    if (shared) return shared
    // Taken before the request: an answer that was slow to arrive is no newer than its question.
    const since = now()
    const standing = wasActive ? 'known' : 'stranger'
    const members = await introspect(token, issuer, means, waiting, standing)
    issuer.limits.told(standing, members !== undefined)
    const exp = members?.['exp']
    const { active: lives, inactive: remembered } = lifetimeOf(issuer)
    const most = since + (members ? lives : remembered)
    if (members && lives > 0 && now() >= most) issuer.warn(SLOWER_THAN_CACHE)
    const given = { members, since, until: typeof exp === 'number' ? Math.min(exp, most) : most }
    return { ...given, publish: () => answers?.set(token, issuer, given, lifetimeOf(issuer)) }
  }

  /** @param before  the question about the same token that must end first, whether it succeeds or fails */
  const put = (
    key: string,
    token: string,
    issuer: Issuer,
    known?: Promise<SharedAnswer | undefined>,
    before?: Question<unknown>
  ): Question<Active<Made> | undefined> => {
    const ask = async (waiting: Waiting): Promise<Active<Made> | undefined> => {
      if (before) {
        await unlessAborted(before.settled, waiting.signal)
        next.delete(key)
        asking.set(key, question)
      }
      const { members, until, publish } = await answer(key, token, issuer, known, waiting)
      knownTokens.learn(key, token, issuer, members)
      const fact = members && { members, until, bytes: bytesOf(token, freezeAll(members)) }
      remember(key, fact, until)
      publish?.()
      return fact
    }
    const question = createQuestion(ask, callers, () => {
      for (const questions of [asking, next]) if (questions.get(key) === question) questions.delete(key)
    })
    ;(before ? next : asking).set(key, question)
    return question
  }

  return {
    recall: (token, issuer, caller) => {
      const key = keyOf(token, issuer)
      const time = now()
      if (inactive.get(key, time)) return undefined
      const known = active.get(key, time)
      if (known) return known
      const question =
        asking.get(key) ?? next.get(key) ?? put(key, token, issuer, answers?.get(token, issuer, lifetimeOf(issuer)))
      return question.join(caller)
    },
    ask: (token, issuer, caller) => {
      const key = keyOf(token, issuer)
      const question = next.get(key) ?? put(key, token, issuer, undefined, asking.get(key))
      return question.join(caller)
    },
    stats: () => ({
      active: active.stats(),
      inactive: inactive.stats(),
      introspecting: asking.size,
      knownTokens: knownTokens.stats()
    })
  }
}
