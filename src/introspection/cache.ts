/**
 * A short-lived cache of introspection answers. An answer stays for a few seconds and never past the token's `exp`: for
 * that long a revocation can go unnoticed. At most one call about each token is under way, and at most one more waits
 * to follow it, for requests that need a newer answer. Processes that share a store share answers too, and sharing does
 * not lengthen an answer's life.
 *
 * Does NOT check what an answer says: an active token can be for another API.
 *
 * Tests: `test/rfc/rfc7662-introspection.test.ts`.
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
import { createKnownTokens, type KnownTokens, type KnownTokensStats } from './known-tokens.js'
import { createSharedAnswers, type Lifetime, type SharedAnswer, type SharedAnswers } from './shared-answers.js'

/** Maximum "active" answers in the cache. */
const MAX_ACTIVE = 10_000
/** Maximum "not active" answers in the cache. */
const MAX_INACTIVE = 1000
/** Seconds that a "not active" answer stays in the cache. */
const INACTIVE_FOR = 10
const SLOWER_THAN_CACHE =
  'introspection: an answer took longer than `cacheFor`, so it was not cached, and every request calls the endpoint: raise `cacheFor`, or find out why the endpoint is slow'

/**
 * An answer that calls a token active. `Made` is the value that the caller creates from it, once the members have
 * passed its checks.
 */
export interface Active<Made> {
  readonly members: Claims
  /** Seconds since the epoch at which the answer expires. */
  readonly until: number
  /** Approximate bytes of memory that the answer holds. */
  readonly bytes: number
  accessToken?: Made
}

export interface IntrospectionCache<Made> {
  /**
   * The cached answer about the token; otherwise the answer of the call under way, or of a new call. Undefined: not
   * active.
   */
  recall(token: string, issuer: Issuer, caller: Caller): Awaitable<Active<Made> | undefined>
  /**
   * Introspects now, ignoring cached answers. If a call about this token is under way, the next call follows when it
   * has ended, and all callers that arrive meanwhile share that next call.
   *
   * @throws {Unavailable} no answer within the caller's deadline
   */
  ask(token: string, issuer: Issuer, caller: Caller): Promise<Active<Made> | undefined>
  stats(): {
    readonly active: CacheStats
    readonly inactive: CacheStats
    readonly introspecting: number
    /** Digests of tokens that were active before. */
    readonly knownTokens: KnownTokensStats
  }
}

export interface IntrospectionCacheMeans extends IntrospectionMeans {
  readonly callers: Callers
  /** Shares answers between processes. */
  readonly shared?: Shared | undefined
}

export function createIntrospectionCache<Made>(means: IntrospectionCacheMeans): IntrospectionCache<Made> {
  return new Answers(means)
}

/** A token to introspect. */
interface Subject {
  /** Digest of the token and its issuer. */
  readonly key: string
  readonly token: string
  readonly issuer: Issuer
}

/** An answer from the server or from another process. `publish` sends the server's answer to the other processes. */
interface Answered extends SharedAnswer {
  readonly publish?: () => void
}

class Answers<Made> implements IntrospectionCache<Made> {
  private readonly means: IntrospectionCacheMeans
  private readonly active = createTimedCache<Active<Made>>(MAX_ACTIVE, ({ bytes }) => bytes)
  private readonly inactive = createTimedCache<true>(MAX_INACTIVE)
  private readonly shared: SharedAnswers | undefined
  private readonly knownTokens: KnownTokens
  /** The call under way about each token, by its key. */
  private readonly asking = new Map<string, Question<Active<Made> | undefined>>()
  /** The call about each token that is sent when the one under way has ended. */
  private readonly next = new Map<string, Question<Active<Made> | undefined>>()

  constructor(means: IntrospectionCacheMeans) {
    this.means = means
    this.shared = means.shared && createSharedAnswers(means.shared, means)
    this.knownTokens = createKnownTokens(means.shared, means.now)
  }

  recall(token: string, issuer: Issuer, caller: Caller): Awaitable<Active<Made> | undefined> {
    const key = keyOf(token, issuer)
    const time = this.means.now()
    if (this.inactive.get(key, time)) return undefined
    const known = this.active.get(key, time)
    if (known) return known
    const question = this.asking.get(key) ?? this.next.get(key) ?? this.start({ key, token, issuer })
    return question.join(caller)
  }

  ask(token: string, issuer: Issuer, caller: Caller): Promise<Active<Made> | undefined> {
    const key = keyOf(token, issuer)
    const question = this.next.get(key) ?? this.put({ key, token, issuer }, undefined, this.asking.get(key))
    return question.join(caller)
  }

  stats(): ReturnType<IntrospectionCache<Made>['stats']> {
    return {
      active: this.active.stats(),
      inactive: this.inactive.stats(),
      introspecting: this.asking.size,
      knownTokens: this.knownTokens.stats()
    }
  }

  /** Asks the other processes first, then the server. */
  private start(subject: Subject): Question<Active<Made> | undefined> {
    return this.put(subject, this.shared?.get(subject.token, subject.issuer, lifetimeOf(subject.issuer)))
  }

  /**
   * @param known another process's answer, which makes the call unnecessary
   * @param before  the call about the same token that must end first, however it ends
   */
  private put(
    subject: Subject,
    known?: Promise<SharedAnswer | undefined>,
    before?: Question<unknown>
  ): Question<Active<Made> | undefined> {
    const { key } = subject
    const ask = async (waiting: Waiting): Promise<Active<Made> | undefined> => {
      if (before) {
        await unlessAborted(before.settled, waiting.signal)
        this.next.delete(key)
        this.asking.set(key, question)
      }
      return this.learn(subject, await this.answer(subject, known, waiting))
    }
    const question = createQuestion(ask, this.means.callers, () => {
      for (const questions of [this.asking, this.next]) if (questions.get(key) === question) questions.delete(key)
    })
    const questions = before ? this.next : this.asking
    questions.set(key, question)
    return question
  }

  private async answer(
    { key, token, issuer }: Subject,
    known: Promise<SharedAnswer | undefined> | undefined,
    waiting: Waiting
  ): Promise<Answered> {
    const [shared, wasActive] = await Promise.all([known, this.knownTokens.has(key, token, issuer)])
    if (shared) return shared
    const { now } = this.means
    // Read before the call: a slow answer is as old as its question.
    const since = now()
    const standing = wasActive ? 'known' : 'stranger'
    const members = await introspect({ token, issuer, waiting, standing }, this.means)
    issuer.limits.told(standing, members !== undefined)
    const lifetime = lifetimeOf(issuer)
    const most = since + (members ? lifetime.active : lifetime.inactive)
    if (members && lifetime.active > 0 && now() >= most) issuer.warn(SLOWER_THAN_CACHE)
    const exp = members?.['exp']
    const given = { members, since, until: typeof exp === 'number' ? Math.min(exp, most) : most }
    return { ...given, publish: () => this.shared?.set(token, issuer, given, lifetimeOf(issuer)) }
  }

  private learn({ key, token, issuer }: Subject, { members, until, publish }: Answered): Active<Made> | undefined {
    this.knownTokens.learn(key, token, issuer, members)
    const fact = members && { members, until, bytes: bytesOf(token, freezeAll(members)) }
    this.remember(key, fact, until)
    publish?.()
    return fact
  }

  private remember(key: string, answer: Active<Made> | undefined, until: number): void {
    const time = this.means.now()
    if (answer === undefined) {
      this.inactive.set(key, true, time, until)
      this.active.delete(key)
      return
    }
    this.inactive.delete(key)
    this.active.delete(key)
    this.active.set(key, answer, time, until)
  }
}

function keyOf(token: string, issuer: Issuer): string {
  return hash('sha256', `${issuer.serial}.${token}`, 'base64url')
}

function lifetimeOf({ settings }: Issuer): Lifetime {
  return { active: settings.introspection?.cacheFor ?? 0, inactive: INACTIVE_FOR }
}
