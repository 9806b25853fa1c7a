/**
 * Refetches the published key set when a token names a key that the held set does not have. Each refetch is a look. Looks
 * are bounded, so that made-up keys can neither flood the authorization server nor delay a new key for long. A look decides
 * only about tokens that came before it began: the key may have been published just after an earlier look.
 *
 * Does NOT renew sets (`document.ts`) and does NOT verify.
 */

import { withDeadline } from '../base/awaitable.js'
import { sleep } from '../base/world.js'
import type { Watched } from '../documents/document.js'
import { type Dated, isWithin } from '../documents/source.js'
import { TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import type { SignatureAlgorithm } from './algorithms.js'
import type { KeySet } from './key-set.js'

/** Maximum looks in {@link PERIOD} seconds. */
const MAX_LOOKS = 3
/** Seconds over which looks are counted. */
const PERIOD = 30
/** Minimum seconds between the beginnings of two looks. */
const SPACING = 2
/** Maximum seconds that a token waits until a look may begin. */
const MAX_WAIT = 2
/** Maximum tokens that wait until a look may begin; the one that has waited longest is rejected first. */
const MAX_WAITING = 64
/** Seconds for which tokens gather before a look that may begin at once, so that a burst shares it. */
const GATHERING = 0.05
/** Maximum tokens that gather for one look; the one that has waited longest is rejected first. */
const MAX_GATHERED = 1000
/** Seconds for which a `kid` that a look did not find is refused without another look. */
const ABSENT_FOR = 10
/** Maximum `kid`s remembered as absent; the one found absent longest ago is evicted first. */
const MAX_ABSENT = 1000
/**
 * Seconds by the issuer's clock. A token issued this long before the last look was signed by a key that the look would
 * have found.
 */
const OLD = 300
/** Minimum seconds between two renewals caused by wrong signatures. */
const RECHECK = 30

/** The key that a token needs. */
export interface Missing {
  readonly kid: string | undefined
  readonly algorithm: SignatureAlgorithm
  /** The claim `iat`, not verified. */
  readonly iat: unknown
}

/** The document of the key set and the bounds of a wait. This module bounds how often `look` and `renew` are called. */
export interface LooksMeans<T extends Dated> extends Pick<Watched<T>, 'held' | 'look' | 'renew'> {
  readonly now: () => number
  /**
   * Maximum seconds that a token waits, the fetch included. A timer measures them, not `now`: a clock that stands still
   * must not hold up a request.
   */
  readonly deadline: number
}

export interface Looks<T> {
  /**
   * @param butNot  the set that does not have the key
   * @returns the set that decides: the key does not exist if the set lacks it or is `butNot`
   * @throws {TooManyRequests} no look may begin soon enough
   * @throws {Unavailable} the look failed, or took longer than the deadline
   */
  find(butNot: T, missing: Missing): Awaitable<T>
  /** Call it after a wrong signature by a known key: renews the set in the background, once in {@link RECHECK} seconds. */
  suspect(): void
}

/** A token that waits for a look. */
interface Waiting<T> {
  readonly missing: Missing
  /** The set that did not have its key. */
  readonly butNot: T
  /** When the token came, in seconds since the epoch. */
  readonly since: number
  readonly resolve: (set: T) => void
  readonly reject: (error: unknown) => void
}

/** Looks for the keys of tokens, within the bounds above. */
export function createLooks<T extends KeySet & Dated>(means: LooksMeans<T>): Looks<T> {
  return new BoundedLooks(means)
}

class BoundedLooks<T extends KeySet & Dated> implements Looks<T> {
  private readonly means: LooksMeans<T>
  private readonly budget: LookBudget
  private readonly findings: Findings
  private waiting: Waiting<T>[] = []
  /** True while a timer runs that will begin the next look. */
  private isDue = false
  /** When a wrong signature last renewed the set. */
  private suspectedAt = Number.NEGATIVE_INFINITY

  constructor(means: LooksMeans<T>) {
    this.means = means
    this.budget = new LookBudget(means.now)
    this.findings = new Findings(means.now)
  }

  find(butNot: T, missing: Missing): Awaitable<T> {
    const { held, deadline } = this.means
    const current = held()
    if (current !== undefined && current !== butNot && isIn(current, missing)) return current
    if (this.findings.isSettled(missing)) return butNot
    const until = this.budget.untilNext()
    if (until > Math.min(MAX_WAIT, deadline)) throw this.tooSoon()
    return withDeadline(this.wait(butNot, missing, until), deadline, () => late(deadline))
  }

  suspect(): void {
    const { now, renew } = this.means
    const time = now()
    if (isWithin(time, this.suspectedAt, this.suspectedAt + RECHECK)) return
    this.suspectedAt = time
    // The source remembers a failure, and health() reports it.
    renew().catch(() => undefined)
  }

  /** @param until  seconds until the look may begin */
  private async wait(butNot: T, missing: Missing, until: number): Promise<T> {
    const { now, deadline } = this.means
    return new Promise((resolve, reject) => {
      this.waiting.push({ missing, butNot, since: now(), resolve, reject })
      if (this.waiting.length > (until > 0 ? MAX_WAITING : MAX_GATHERED)) this.waiting.shift()?.reject(this.tooSoon())
      if (this.isDue) return
      this.isDue = true
      void sleep(1000 * Math.max(until, Math.min(GATHERING, deadline / 2))).then(() => this.begin())
    })
  }

  private async begin(): Promise<void> {
    this.isDue = false
    const asked = this.resolveFound(this.waiting)
    this.waiting = []
    if (asked.length === 0) return
    const since = this.budget.begin()
    try {
      const set = await this.means.look((found) => isEnough(found, asked))
      if (set === undefined || set.isSecondHand) this.budget.uncount(since)
      if (set === undefined) for (const { reject } of this.resolveFound(asked)) reject(this.tooSoon())
      else this.settle(set, asked)
    } catch (error) {
      this.budget.failed(since)
      for (const { reject } of this.resolveFound(asked)) reject(error)
    }
  }

  /**
   * Resolves the tokens whose key the held set has by now: a renewal in the background may have replaced the set since they
   * came. That it lacks a key decides nothing, because the renewal may have begun before the key was published.
   *
   * @returns the other tokens
   */
  private resolveFound(tokens: readonly Waiting<T>[]): Waiting<T>[] {
    const set = this.means.held()
    return tokens.filter(({ missing, butNot, resolve }) => {
      if (set === undefined || set === butNot || !isIn(set, missing)) return true
      resolve(set)
      return false
    })
  }

  private settle(set: T, asked: readonly Waiting<T>[]): void {
    this.findings.looked(set)
    for (const { missing, resolve, reject, since: came } of asked) {
      // Another process's look may have begun before this token came. A key that such a look did not find may exist.
      const isAfter = set.fetchedAt >= came
      if (isAfter) this.findings.answered(set, missing)
      if (isAfter || isIn(set, missing)) resolve(set)
      else reject(this.tooSoon())
    }
    // Tokens that came during the look. The others wait for the next look.
    this.waiting = this.resolveFound(this.waiting)
  }

  private tooSoon(): TooManyRequests {
    return new TooManyRequests('key_unknown_yet', { retryAfter: this.budget.untilNext() })
  }
}

/** Counts when this process fetched the set. Other processes limit their own fetches. */
class LookBudget {
  private readonly now: () => number
  /** When this process began each look of the last {@link PERIOD} seconds, the earliest first. */
  private fetches: number[] = []
  /** When the latest look began. */
  private begunAt = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.now = now
  }

  /** Seconds until the next look may begin. */
  untilNext(): number {
    const time = this.now()
    // A clock that was set back must not stretch any period.
    this.fetches = this.fetches.filter((at) => isWithin(time, at, at + PERIOD))
    const spacing = isWithin(time, this.begunAt, this.begunAt + SPACING) ? this.begunAt + SPACING - time : 0
    return Math.max(spacing, this.fetches.length < MAX_LOOKS ? 0 : (this.fetches[0] as number) + PERIOD - time)
  }

  /** Counts a look that begins now. @returns when it began: it identifies the look for `uncount` and `failed` */
  begin(): number {
    const time = this.now()
    this.begunAt = time
    this.fetches.push(time)
    return time
  }

  /** Gives back a look that did not fetch the set itself. */
  uncount(at: number): void {
    const place = this.fetches.indexOf(at)
    if (place !== -1) this.fetches.splice(place, 1)
  }

  /** Gives back a look that failed: failures have a backoff of their own, and the look that finds the server again must be possible. */
  failed(at: number): void {
    this.uncount(at)
    if (this.begunAt === at) this.begunAt = Number.NEGATIVE_INFINITY
  }
}

/** Remembers which keys looks did not find, so that the same token or `kid` causes no further look. */
class Findings {
  private readonly now: () => number
  /** When each absent `kid` was found to be absent. */
  private readonly absent = new Map<string, number>()
  /** Tokens that a look has decided about. */
  private readonly decided = new WeakSet<Missing>()
  /** When the latest look was answered: by the issuer's clock if its answer had a usable `Date`, else by ours. */
  private lastLook = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.now = now
  }

  /** True if another look could not find the key either. */
  isSettled(missing: Missing): boolean {
    if (this.decided.has(missing)) return true
    const { kid, iat } = missing
    const time = this.now()
    if (typeof iat === 'number' && this.lastLook <= time && iat <= this.lastLook - OLD) return true
    const at = kid === undefined ? undefined : this.absent.get(kid)
    return at !== undefined && isWithin(time, at, at + ABSENT_FOR)
  }

  /** Takes the time of a look. */
  looked(set: Dated): void {
    this.lastLook = Math.max(this.lastLook, issuersTime(set))
  }

  /** Remembers the result of a look that began after the token arrived. */
  answered(set: KeySet, missing: Missing): void {
    this.decided.add(missing)
    const { kid } = missing
    if (kid === undefined || isIn(set, missing)) return
    this.absent.delete(kid)
    this.absent.set(kid, this.now())
    if (this.absent.size > MAX_ABSENT) this.absent.delete(this.absent.keys().next().value as string)
  }
}

/** True if the set, which another process may have fetched, decides about each token: it is later, or has the named key. */
function isEnough<T extends KeySet & Dated>(set: T, asked: readonly Waiting<T>[]): boolean {
  return asked.every(
    ({ missing, since: came }) => set.fetchedAt >= came || (missing.kid !== undefined && isIn(set, missing))
  )
}

function late(deadline: number): Unavailable {
  return new Unavailable(
    'jwks',
    `a key is unknown, and the key set did not arrive within ${deadline} s (\`http.deadline\`)`
  )
}

/**
 * When a look was answered, by the issuer's clock, because `iat` uses that clock: if our clock were ahead, each new
 * token would look old. A `Date` later than our clock is not believed, because a wrong one would have the same effect.
 */
function issuersTime({ fetchedAt, servedAt = fetchedAt }: Dated): number {
  return Math.min(fetchedAt, servedAt)
}

function isIn(set: KeySet, { kid, algorithm }: Missing): boolean {
  return kid === undefined ? set.count(algorithm) > 0 : set.has(kid)
}
