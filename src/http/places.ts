/**
 * Places for calls under way, and a queue for calls that wait, divided between two kinds of tokens: known tokens, which
 * were active before, and strangers, which anybody can make up. Strangers leave a quarter of both to known tokens, so
 * that a flood of made-up tokens cannot shut out the tokens that are in use; known tokens leave strangers a quarter of
 * the places, so that new tokens can become known.
 */
import { Unavailable } from '../errors/errors.js'

/** Calls under way at once. */
const CONCURRENT = 64
/** Calls that wait for a place. */
const QUEUED = 256
/** Calls of one kind that are under way, while calls of the other kind wait. Strangers never have more. */
const MOST_CONCURRENT = 48
/** Strangers that wait. Known tokens that need the room send away all but the rest of the queue, a quarter of it. */
const MOST_QUEUED = 192
/** Latest answers about strangers that decide whether strangers are paced. */
const LATEST = 64
/** Strangers a second that are asked about, while most of the latest answers about strangers are "not active" ... */
const PACE = 1000
/** ... and strangers that may be asked about at once before the pace holds them back. */
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
   * Waits for a place. Known tokens wait in line; of strangers the last one in is the first one out, and the one that
   * waits longest makes room: under a flood those who come last still have time to be answered.
   *
   * @param signal its reason is thrown once it is aborted, and the queue forgets this call
   * @returns gives the place back
   * @throws {Unavailable} the queue is full
   */
  take(standing: Standing, signal?: AbortSignal): Promise<() => void>
  /** Tells what the answer about a stranger was. */
  told(isActive: boolean): void
  stats(): Readonly<Record<Standing, Occupancy>>
}

interface Waiter {
  admit(leave: () => void): void
  refuse(error: unknown): void
}

/** @param monotonic seconds from any start, for the pace */
export function createPlaces(monotonic: () => number = () => performance.now() / 1000): Places {
  const waiting: Readonly<Record<Standing, Waiter[]>> = { known: [], stranger: [] }
  const underWay: Record<Standing, number> = { known: 0, stranger: 0 }
  const pace = createPace(monotonic)
  let timer: NodeJS.Timeout | undefined

  /** The kind that the next free place is for. */
  const next = (): Standing | undefined => {
    if (underWay.known + underWay.stranger >= CONCURRENT) return undefined
    const strangerWaits = waiting.stranger.length > 0 && underWay.stranger < MOST_CONCURRENT && pace.wait() === 0
    const knownWaits = waiting.known.length > 0 && !(strangerWaits && underWay.known >= MOST_CONCURRENT)
    if (knownWaits) return 'known'
    return strangerWaits ? 'stranger' : undefined
  }

  /** A place that becomes free is taken in the same step: a call that arrives just then cannot slip in between. */
  const admit = (): void => {
    for (let standing = next(); standing !== undefined; standing = next()) {
      const queue = waiting[standing]
      const waiter = (standing === 'known' ? queue.shift() : queue.pop()) as Waiter
      if (standing === 'stranger') pace.count()
      underWay[standing]++
      waiter.admit(leaving(standing))
    }
    const seconds = waiting.stranger.length > 0 && underWay.stranger < MOST_CONCURRENT ? pace.wait() : 0
    if (seconds > 0 && timer === undefined) {
      timer = setTimeout(() => {
        timer = undefined
        admit()
      }, seconds * 1000)
      timer.unref()
    }
  }

  const leaving = (standing: Standing) => (): void => {
    underWay[standing]--
    admit()
  }

  /** Refuses one call where a newcomer made the queue too long. */
  const makeRoom = (newcomer: Standing): void => {
    const { known, stranger } = waiting
    const isFull = known.length + stranger.length > QUEUED
    const strangerGoes =
      newcomer === 'stranger'
        ? isFull || stranger.length > MOST_QUEUED
        : isFull && stranger.length > QUEUED - MOST_QUEUED
    if (strangerGoes) stranger.shift()?.refuse(tooMany())
    else if (isFull) known.pop()?.refuse(tooMany())
  }

  const enqueue = (standing: Standing, waiter: Waiter): void => {
    waiting[standing].push(waiter)
    admit()
    makeRoom(standing)
  }

  return {
    take: (standing, signal) =>
      new Promise((resolve, reject) => {
        const abandon = (): void => {
          const queue = waiting[standing]
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
        if (signal?.aborted) return reject(signal.reason)
        signal?.addEventListener('abort', abandon)
        enqueue(standing, waiter)
      }),
    told: (isActive) => pace.told(isActive),
    stats: () => ({
      known: { underWay: underWay.known, queued: waiting.known.length },
      stranger: { underWay: underWay.stranger, queued: waiting.stranger.length }
    })
  }
}

function tooMany(): Unavailable {
  return new Unavailable('introspection', 'too many introspections are waiting', { retryAfter: 1 })
}

interface Pace {
  told(isActive: boolean): void
  /** Seconds until a stranger may be asked about. */
  wait(): number
  /** Counts a stranger that is asked about. */
  count(): void
}

/** A token bucket (of {@link BURST}, refilled by {@link PACE} a second) that is in use while most strangers are junk. */
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
