/**
 * Places for calls under way, and a queue for waiting calls, divided between two kinds of tokens: known tokens, which
 * were active before, and strangers, which an attacker can make up. Strangers leave a quarter of both to known tokens,
 * so a flood of made-up tokens cannot block tokens in use. Known tokens leave a quarter of the places to strangers, so
 * new tokens can become known.
 *
 * Does NOT share code with the queue of `jwt/decryption.ts`. There each kind of token has places of its own, because a thread
 * of this process does the work, and waiting calls are served in their order.
 *
 * Tests: `test/http/breaker.test.ts`.
 */
import { type Timer, world } from '../base/world.js'
import { Unavailable } from '../errors/errors.js'

/** Maximum calls under way at once. */
const CONCURRENT = 64
/** Maximum calls that wait for a place. */
const QUEUED = 256
/** Maximum calls of one kind under way while calls of the other kind wait. For strangers the maximum always holds. */
const MOST_CONCURRENT = 48
/** Maximum strangers that wait. Known tokens that need room can reduce them to a quarter of the queue. */
const MOST_QUEUED = 192
/** Number of latest answers about strangers that decide whether the rate limit applies. */
const LATEST = 64
/** Maximum calls about strangers per second while most of the latest answers about strangers are "not active". */
const PACE = 1000
/** Calls about strangers that may be sent at once before the rate limit delays them. */
const BURST = 1000

/** Whether a token was active before, as far as this API knows. */
export type Standing = 'known' | 'stranger'

/** Calls of one kind, or of both together. */
export interface Occupancy {
  readonly underWay: number
  readonly queued: number
}

export interface Places {
  /**
   * Waits for a place. Known tokens are admitted first in, first out. Strangers are admitted last in, first out, and a
   * full queue refuses the stranger that has waited longest: in a flood the latest requests still have time to be
   * answered.
   *
   * @param signal when it is aborted, the call leaves the queue and the signal's reason is thrown
   * @returns a function that gives the place back
   * @throws {Unavailable} the queue is full
   */
  take(standing: Standing, signal?: AbortSignal): Promise<() => void>
  /** Reports the answer about a stranger. */
  told(isActive: boolean): void
  stats(): Readonly<Record<Standing, Occupancy>>
}

interface Waiter {
  admit(leave: () => void): void
  refuse(error: unknown): void
}

/** @param monotonic seconds from any start, for the rate limit */
export function createPlaces(monotonic: () => number = () => world.monotonic() / 1000): Places {
  return new TwoQueues(createPace(monotonic))
}

class TwoQueues implements Places {
  private readonly waiting: Readonly<Record<Standing, Waiter[]>> = { known: [], stranger: [] }
  private readonly underWay: Record<Standing, number> = { known: 0, stranger: 0 }
  private readonly pace: Pace
  /** Set while strangers wait only for the rate limit. */
  private timer: Timer | undefined

  constructor(pace: Pace) {
    this.pace = pace
  }

  take(standing: Standing, signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abandon = (): void => {
        const queue = this.waiting[standing]
        queue.splice(queue.indexOf(waiter), 1)
        reject(signal?.reason)
      }
      const waiter: Waiter = {
        admit: (leave) => {
          signal?.removeEventListener('abort', abandon)
          resolve(leave)
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', abandon)
          reject(error)
        }
      }
      signal?.addEventListener('abort', abandon)
      this.enqueue(standing, waiter)
    })
  }

  told(isActive: boolean): void {
    this.pace.told(isActive)
  }

  stats(): Readonly<Record<Standing, Occupancy>> {
    const { waiting, underWay } = this
    return {
      known: { underWay: underWay.known, queued: waiting.known.length },
      stranger: { underWay: underWay.stranger, queued: waiting.stranger.length }
    }
  }

  private enqueue(standing: Standing, waiter: Waiter): void {
    this.waiting[standing].push(waiter)
    this.admit()
    this.makeRoom(standing)
  }

  /**
   * Gives each free place to a waiting call synchronously, so that a call that arrives at that moment cannot take the
   * place.
   */
  private admit(): void {
    for (let standing = this.next(); standing !== undefined; standing = this.next()) {
      const queue = this.waiting[standing]
      const waiter = (standing === 'known' ? queue.shift() : queue.pop()) as Waiter
      if (standing === 'stranger') this.pace.count()
      this.underWay[standing]++
      waiter.admit(this.leaving(standing))
    }
    this.admitWhenPaced()
  }

  /** The kind of call that gets the next free place; undefined if no place is free or no call may take it. */
  private next(): Standing | undefined {
    const { waiting, underWay } = this
    if (underWay.known + underWay.stranger >= CONCURRENT) return undefined
    const strangerWaits = this.hasStranger() && this.pace.wait() === 0
    const knownWaits = waiting.known.length > 0 && !(strangerWaits && underWay.known >= MOST_CONCURRENT)
    if (knownWaits) return 'known'
    return strangerWaits ? 'stranger' : undefined
  }

  /** True if a stranger waits and strangers have a place left. The rate limit may still delay it. */
  private hasStranger(): boolean {
    return this.waiting.stranger.length > 0 && this.underWay.stranger < MOST_CONCURRENT
  }

  private admitWhenPaced(): void {
    const seconds = this.hasStranger() ? this.pace.wait() : 0
    if (seconds === 0 || this.timer !== undefined) return
    this.timer = world.after(seconds * 1000, () => {
      this.timer = undefined
      this.admit()
    })
    this.timer.unref()
  }

  private leaving(standing: Standing): () => void {
    return () => {
      this.underWay[standing]--
      this.admit()
    }
  }

  /** Refuses one call if a newcomer made the queue too long. */
  private makeRoom(newcomer: Standing): void {
    const { known, stranger } = this.waiting
    const isFull = known.length + stranger.length > QUEUED
    const strangerGoes =
      newcomer === 'stranger'
        ? isFull || stranger.length > MOST_QUEUED
        : isFull && stranger.length > QUEUED - MOST_QUEUED
    if (strangerGoes) stranger.shift()?.refuse(tooMany())
    else if (isFull) known.pop()?.refuse(tooMany())
  }
}

function tooMany(): Unavailable {
  return new Unavailable('introspection', 'too many introspections are waiting', { retryAfter: 1 })
}

interface Pace {
  told(isActive: boolean): void
  /** Seconds until a call about a stranger may go out. */
  wait(): number
  /** Counts a call about a stranger. */
  count(): void
}

/**
 * A token bucket of {@link BURST} calls, refilled with {@link PACE} per second. It applies while most of the latest
 * answers about strangers are "not active".
 */
function createPace(monotonic: () => number): Pace {
  const latest: boolean[] = []
  let answers = 0
  let inactive = 0
  let bucket = { left: BURST, at: monotonic() }
  const isInUse = (): boolean => inactive * 2 > LATEST
  const refill = (): number => {
    const at = monotonic()
    bucket = { left: Math.min(BURST, bucket.left + PACE * (at - bucket.at)), at }
    return bucket.left
  }
  return {
    told: (isActive) => {
      const at = answers++ % LATEST
      if (latest[at] === false) inactive--
      latest[at] = isActive
      if (!isActive) inactive++
    },
    wait: () => (isInUse() ? Math.max(0, (1 - refill()) / PACE) : 0),
    count: () => {
      if (isInUse()) bucket.left--
    }
  }
}
