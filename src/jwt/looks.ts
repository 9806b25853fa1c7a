/**
 * When a token names a key that the key set does not have: looks at the published set, bounded so that made-up keys
 * neither flood the authorization server nor keep a new key out. A look answers only for tokens that came before it
 * began: the key may have been published a moment after an earlier look.
 *
 * Does NOT renew sets (`document.ts`) and does NOT verify.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { withDeadline } from '../base/awaitable.js'
import type { Watched } from '../documents/document.js'
import { type Dated, isWithin } from '../documents/source.js'
import { TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import type { SignatureAlgorithm } from './algorithms.js'
import type { KeySet } from './key-set.js'

/** Maximum looks in {@link PERIOD} seconds. */
const MAX_LOOKS = 3
const PERIOD = 30
/** Minimum seconds from the beginning of one look to that of the next. */
const SPACING = 2
/** Seconds that a token waits for a look to become due. */
const MAX_WAIT = 2
/** Maximum tokens that wait for a look to become due; the token that came first makes room. */
const MAX_WAITING = 64
/** Seconds in which tokens gather for a look that is due, so that a burst shares it … */
const GATHERING = 0.05
/** … and how many of them at most; the token that came first makes room. */
const MAX_GATHERED = 1000
/** Seconds for which a `kid` that a look did not have is refused without another look. */
const ABSENT_FOR = 10
const MAX_ABSENT = 1000
/** Seconds before the last look, by the issuer's clock: a look would have found the key of a token issued earlier. */
const OLD = 300
/** Minimum seconds between two renewals because of wrong signatures. */
const RECHECK = 30

/** The key that a token needs. */
export interface Missing {
  readonly kid: string | undefined
  readonly algorithm: SignatureAlgorithm
  /** The claim, not verified. */
  readonly iat: unknown
}

/** `look` and `renew` are bounded here. */
export interface LooksMeans<T extends Dated> extends Pick<Watched<T>, 'held' | 'look' | 'renew'> {
  readonly now: () => number
  /** Maximum seconds that a token waits, the fetch included. By a timer: a clock that stands still holds up no request. */
  readonly deadline: number
}

export interface Looks<T> {
  /**
   * @param butNot  the set that does not have the key
   * @returns a set that settles it: where the key is not in it, or it is `butNot`, there is no such key
   * @throws {TooManyRequests} no look may begin soon enough
   * @throws {Unavailable} the look failed, or took longer than the deadline
   */
  find(butNot: T, missing: Missing): Awaitable<T>
  /** A signature by a known key was wrong: renews the set in the background, where that is due. */
  suspect(): void
}

interface Waiting<T> {
  readonly missing: Missing
  readonly since: number
  readonly resolve: (set: T) => void
  readonly reject: (error: unknown) => void
}

export function createLooks<T extends KeySet & Dated>({ now, deadline, held, look, renew }: LooksMeans<T>): Looks<T> {
  /** When this process fetched the set lately, the earliest first. What other processes fetch, they bound themselves. */
  let fetches: number[] = []
  /** When the latest look began. */
  let begunAt = Number.NEGATIVE_INFINITY
  /** Since when a `kid` is known to be absent. */
  const absent = new Map<string, number>()
  /** Those that a look began for. */
  const answered = new WeakSet<Missing>()
  let waiting: Waiting<T>[] = []
  let isDue = false
  /** When the latest look was answered, by the issuer's clock as far as it is known. */
  let lastLook = Number.NEGATIVE_INFINITY
  let suspectedAt = Number.NEGATIVE_INFINITY

  /** Seconds until the next look may begin. */
  const untilNext = (): number => {
    const time = now()
    // A clock that was set back must not stretch any period.
    fetches = fetches.filter((at) => isWithin(time, at, at + PERIOD))
    const spacing = isWithin(time, begunAt, begunAt + SPACING) ? begunAt + SPACING - time : 0
    return Math.max(spacing, fetches.length < MAX_LOOKS ? 0 : (fetches[0] as number) + PERIOD - time)
  }

  const isSettled = ({ kid, iat }: Missing): boolean => {
    const time = now()
    if (typeof iat === 'number' && lastLook <= time && iat <= lastLook - OLD) return true
    const at = kid === undefined ? undefined : absent.get(kid)
    return at !== undefined && isWithin(time, at, at + ABSENT_FOR)
  }

  const remember = (kid: string): void => {
    absent.delete(kid)
    absent.set(kid, now())
    if (absent.size > MAX_ABSENT) absent.delete(absent.keys().next().value as string)
  }

  const late = (): Unavailable =>
    new Unavailable('jwks', `a key is unknown, and the key set was waited for ${deadline} s (\`http.deadline\`)`)

  const tooSoon = (): TooManyRequests => new TooManyRequests('key_unknown_yet', { retryAfter: untilNext() })

  const settle = (set: T, asked: readonly Waiting<T>[]): void => {
    lastLook = Math.max(lastLook, issuersTime(set))
    for (const { missing, resolve, reject, since: came } of asked) {
      // Another process's look may have begun before this token came: then it says nothing of what is not in it.
      const isAfter = set.fetchedAt >= came
      const isThere = isIn(set, missing)
      if (isAfter) answered.add(missing)
      if (isAfter && !isThere && missing.kid !== undefined) remember(missing.kid)
      if (isAfter || isThere) resolve(set)
      else reject(tooSoon())
    }
    // A token that came while the look was under way: a set that has its key settles it, and one that has not does not.
    waiting = waiting.filter(({ missing, resolve }) => {
      if (!isIn(set, missing)) return true
      resolve(set)
      return false
    })
  }

  const begin = async (): Promise<void> => {
    isDue = false
    const asked = waiting
    waiting = []
    if (asked.length === 0) return
    const since = now()
    begunAt = since
    fetches.push(since)
    const isEnough = (set: T): boolean =>
      asked.every(
        ({ missing, since: came }) => set.fetchedAt >= came || (missing.kid !== undefined && isIn(set, missing))
      )
    try {
      const set = await look(isEnough)
      if (set === undefined || set.isSecondHand) uncount(since)
      if (set === undefined) for (const { reject } of asked) reject(tooSoon())
      else settle(set, asked)
    } catch (error) {
      // Failures have a back-off of their own: the look that finds the server again must be possible.
      uncount(since)
      if (begunAt === since) begunAt = Number.NEGATIVE_INFINITY
      for (const { reject } of asked) reject(error)
    }
  }

  const uncount = (at: number): void => {
    const place = fetches.indexOf(at)
    if (place !== -1) fetches.splice(place, 1)
  }

  const wait = async (missing: Missing, until: number): Promise<T> =>
    new Promise((resolve, reject) => {
      waiting.push({ missing, since: now(), resolve, reject })
      if (waiting.length > (until > 0 ? MAX_WAITING : MAX_GATHERED)) waiting.shift()?.reject(tooSoon())
      if (isDue) return
      isDue = true
      void sleep(1000 * Math.max(until, Math.min(GATHERING, deadline / 2))).then(begin)
    })

  return {
    find: (butNot, missing) => {
      const current = held()
      if (current !== undefined && current !== butNot && isIn(current, missing)) return current
      if (answered.has(missing) || isSettled(missing)) return butNot
      const until = untilNext()
      if (until > Math.min(MAX_WAIT, deadline)) throw tooSoon()
      return withDeadline(wait(missing, until), deadline, late)
    },
    suspect: () => {
      const time = now()
      if (isWithin(time, suspectedAt, suspectedAt + RECHECK)) return
      suspectedAt = time
      // Its failure is remembered by the source and shown by health().
      renew().catch(() => undefined)
    }
  }
}

/**
 * An `iat` is by the issuer's clock, so the look must be dated by it too: a clock of ours that is ahead would make each
 * new token look old. A `Date` later than our clock is not believed, because a wrong one would do the same.
 */
function issuersTime({ fetchedAt, servedAt = fetchedAt }: Dated): number {
  return Math.min(fetchedAt, servedAt)
}

function isIn(set: KeySet, { kid, algorithm }: Missing): boolean {
  return kid === undefined ? set.count(algorithm) > 0 : set.has(kid)
}
