/**
 * When a token names a key that the key set does not have: looks at the published set, bounded so that made-up keys
 * neither flood the authorization server nor keep a new key out. A look answers only for tokens that came before it
 * began: the key may have been published a moment after an earlier look.
 *
 * Does NOT renew sets (`watched.ts`) and does NOT verify.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { TooManyRequests } from './errors.js'
import type { KeySet } from './key-set.js'
import type { Dated } from './remote.js'
import type { Awaitable, SignatureAlgorithm } from './types.js'

/** Maximum looks in {@link PERIOD} seconds. */
const MAX_LOOKS = 3
const PERIOD = 30
/** Minimum seconds from the beginning of one look to that of the next. */
const SPACING = 2
/** Seconds that a token waits for a look to become due. */
const MAX_WAIT = 2
/** Tokens that wait for one; the token that came first makes room. */
const MAX_WAITING = 64
/** Seconds in which tokens gather for a look that is due, so that a burst shares it. */
const GATHERING = 0.05
/** Seconds for which a `kid` that a look did not have is refused without another look. */
const ABSENT_FOR = 10
const MAX_ABSENT = 1000
/** Seconds before the last look; a token issued earlier was signed by a key that the look would have found. */
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

export interface LooksMeans<T> {
  readonly now: () => number
  readonly held: () => T | undefined
  /** Fetches the set, or has it from a process that fetched it; undefined where it is another process's turn. @throws {Unavailable} */
  readonly look: (isEnough: (set: T) => boolean) => Promise<T | undefined>
  /** Renews the set. */
  readonly renew: () => Promise<unknown>
}

export interface Looks<T> {
  /**
   * @param butNot  the set that does not have the key
   * @returns a set that settles it: where the key is not in it, or it is `butNot`, there is no such key
   * @throws {TooManyRequests} no look may begin soon enough
   * @throws {Unavailable} the look failed
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

export function createLooks<T extends KeySet & Dated>({ now, held, look, renew }: LooksMeans<T>): Looks<T> {
  /** When the latest looks began, the earliest first. */
  let begun: number[] = []
  /** Since when a `kid` is known to be absent. */
  const absent = new Map<string, number>()
  /** Those that a look began for. */
  const answered = new WeakSet<Missing>()
  let waiting: Waiting<T>[] = []
  let isDue = false
  let lastLook = Number.NEGATIVE_INFINITY
  let suspectedAt = Number.NEGATIVE_INFINITY

  /** Seconds until the next look may begin. */
  const untilNext = (): number => {
    const time = now()
    // A clock that was set back must not stretch any period.
    begun = begun.filter((at) => at <= time && time < at + PERIOD)
    const last = begun.at(-1)
    const spaced = last === undefined ? time : last + SPACING
    return Math.max(0, spaced - time, begun.length < MAX_LOOKS ? 0 : (begun[0] as number) + PERIOD - time)
  }

  const isSettled = ({ kid, iat }: Missing): boolean => {
    const time = now()
    if (typeof iat === 'number' && iat <= lastLook - OLD) return true
    const at = kid === undefined ? undefined : absent.get(kid)
    return at !== undefined && at <= time && time < at + ABSENT_FOR
  }

  const remember = (kid: string): void => {
    absent.delete(kid)
    absent.set(kid, now())
    if (absent.size > MAX_ABSENT) absent.delete(absent.keys().next().value as string)
  }

  const tooSoon = (): TooManyRequests => new TooManyRequests('key_unknown_yet', { retryAfter: untilNext() })

  const settle = (set: T, asked: readonly Waiting<T>[]): void => {
    lastLook = Math.max(lastLook, set.fetchedAt)
    for (const { missing, resolve, reject, since: came } of asked) {
      answered.add(missing)
      if (isIn(set, missing)) resolve(set)
      // Another process's look may have begun before this token came.
      else if (set.fetchedAt < came) reject(tooSoon())
      else {
        if (missing.kid !== undefined) remember(missing.kid)
        resolve(set)
      }
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
    begun.push(since)
    try {
      const isEnough = (set: T): boolean => set.fetchedAt >= since || asked.every(({ missing }) => isIn(set, missing))
      const set = await look(isEnough)
      if (set === undefined) for (const { reject } of asked) reject(tooSoon())
      else settle(set, asked)
    } catch (error) {
      // Failures have a back-off of their own: the look that finds the server again must be possible.
      begun = begun.filter((at) => at !== since)
      for (const { reject } of asked) reject(error)
    }
  }

  return {
    find: (butNot, missing) => {
      const current = held()
      if (current !== undefined && current !== butNot && isIn(current, missing)) return current
      if (answered.has(missing) || isSettled(missing)) return butNot
      const wait = untilNext()
      if (wait > MAX_WAIT) throw tooSoon()
      return new Promise((resolve, reject) => {
        waiting.push({ missing, since: now(), resolve, reject })
        if (wait > 0 && waiting.length > MAX_WAITING) waiting.shift()?.reject(tooSoon())
        if (isDue) return
        isDue = true
        void sleep(1000 * Math.max(wait, GATHERING)).then(begin)
      })
    },
    suspect: () => {
      const time = now()
      if (suspectedAt <= time && time < suspectedAt + RECHECK) return
      suspectedAt = time
      // Its failure is remembered by the source and shown by health().
      renew().catch(() => undefined)
    }
  }
}

function isIn(set: KeySet, { kid, algorithm }: Missing): boolean {
  return kid === undefined ? set.count(algorithm) > 0 : set.has(kid)
}
