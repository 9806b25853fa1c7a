/**
 * Remote documents (metadata, key sets): `staleOnError(fresh(coalesced(cooled(load))))`. Each decorator guarantees one
 * thing to the caller, and their order matters. A source returns synchronously what it already holds.
 *
 * `butNot` names the document that disappointed the caller ("*this* set did not have my key"), so fifty misses on one
 * set cause one fetch.
 */

import { isPromise } from '../base/awaitable.js'
import { world } from '../base/world.js'
import { Unavailable } from '../errors/errors.js'
import type { Awaitable } from '../types.js'

/**
 * A document with its times, in seconds since the epoch: when it was requested, when it should be renewed, and when it
 * stops being fresh.
 */
export interface Dated {
  readonly fetchedAt: number
  readonly refreshAt: number
  readonly freshUntil: number
  /**
   * The `Date` field of the response: seconds since the epoch by the source's clock. Undefined if it was missing or
   * invalid.
   */
  readonly servedAt?: number | undefined
}

export type Source<T> = (butNot?: T) => Awaitable<T>

type Clock = () => number

export interface CooledOptions {
  readonly now: Clock
  /** Seconds between two attempts for the same purpose. */
  readonly window: number
  /** Seconds between two attempts because a document disappointed. Default: `window`. */
  readonly missWindow?: number
  /** Maximum seconds to wait after the first failure in a row; doubled with each further failure, up to `window`. */
  readonly firstBackoff: number
  /** 0 ≤ x < 1. */
  readonly random: () => number
}

/** Minimum fraction of the back-off: full jitter alone could be zero. */
const FLOOR = 0.1
/** Maximum seconds of a server's `Retry-After` that we honour. */
const MAX_RETRY_AFTER = 300

/** Returns the document that was loaded last, even if it did not come through the decorator. */
type Last<T> = () => T | undefined

/**
 * Remembers the document that was loaded last, unless `latest` does: otherwise an outdated document would be kept as
 * well.
 */
function remember<T>(latest: Last<T> | undefined): { readonly last: Last<T>; readonly hold: (document: T) => T } {
  let loaded: T | undefined
  return {
    last: latest ?? (() => loaded),
    hold: (document) => {
      if (latest === undefined) loaded = document
      return document
    }
  }
}

/**
 * Limits how often the document is fetched. Each window allows one attempt for a document that disappointed and one for
 * renewal, so a flood of unknown keys never uses up the renewal. After a success, a further miss gets the same
 * document: a key that is not in it does not exist. After a failure, callers get the same error until a back-off with
 * jitter has passed, or longer if the server asked for it (`Retry-After`, RFC 9110 §10.2.3). The error tells the
 * remaining time, so that clients do not retry earlier.
 *
 * @param load `again`: the last document was not enough, so no cache on the way should answer
 */
export function cooled<T>(
  load: (again: boolean) => Promise<T>,
  { now, window, missWindow = window, firstBackoff, random }: CooledOptions,
  latest?: Last<T>
): Source<T> {
  const attemptedAt = { miss: Number.NEGATIVE_INFINITY, renewal: Number.NEGATIVE_INFINITY }
  const { last: lastLoaded, hold } = remember(latest)
  let failures = 0
  let failure: Failure | undefined
  return (butNot) => {
    const time = now()
    if (failure && isWithin(time, failure.at, failure.at + failure.backoff)) throw stillFailing(failure, time)
    const purpose = butNot === undefined ? 'renewal' : 'miss'
    const at = attemptedAt[purpose]
    const last = lastLoaded()
    const until = at + (butNot === undefined ? window : missWindow)
    if (last !== undefined && failure === undefined && isWithin(time, at, until)) return last
    attemptedAt[purpose] = time
    return load(butNot !== undefined).then(
      (document) => {
        failures = 0
        failure = undefined
        return hold(document)
      },
      (error: unknown) => {
        const most = Math.min(window, firstBackoff * 2 ** failures++)
        const asked = error instanceof Unavailable ? Math.min(MAX_RETRY_AFTER, error.askedFor) : 0
        // Nine tenths are random, so that a fleet that failed in step does not retry in step.
        const backoff = Math.max(asked, most * (FLOOR + (1 - FLOOR) * random()))
        failure = { error, at: now(), backoff }
        throw error instanceof Unavailable && error.retryAfter < backoff ? error.later(backoff) : error
      }
    )
  }
}

interface Failure {
  readonly error: unknown
  readonly at: number
  /** Seconds. */
  readonly backoff: number
}

/**
 * The error for callers during the back-off, with the remaining seconds. If the server asked for no delay, the error's
 * own retry time is the minimum.
 */
function stillFailing({ error, at, backoff }: Failure, time: number): unknown {
  if (!(error instanceof Unavailable)) return error
  const left = at + backoff - time
  return error.later(error.askedFor > 0 ? left : Math.max(left, error.retryAfter))
}

/** True from `from` until before `until`. A clock that is set back cannot stretch a period: a time before `from` is outside. */
export function isWithin(time: number, from: number, until: number): boolean {
  return from <= time && time < until
}

/** Concurrent callers share one attempt. No caller's abort ends it. */
export function coalesced<T>(source: Source<T>): Source<T> {
  let pending: Promise<T> | undefined
  return (butNot) => {
    if (pending) return pending
    const result = source(butNot)
    if (!isPromise(result)) return result
    pending = result.finally(() => {
      pending = undefined
    })
    return pending
  }
}

/**
 * Answers from memory while the document is fresh. After `refreshAt` the first caller starts a renewal in the
 * background. No timer runs: a process without traffic fetches nothing.
 */
export function fresh<T extends Dated>(source: Source<T>, now: Clock, latest?: Last<T>): Source<T> {
  const { last, hold } = remember(latest)
  return (butNot) => {
    const time = now()
    const held = last()
    if (held === undefined || held === butNot || !isWithin(time, held.fetchedAt, held.freshUntil)) {
      const result = source(butNot)
      return isPromise(result) ? result.then(hold) : hold(result)
    }
    if (time >= held.refreshAt) inBackground(source, hold)
    return held
  }
}

function inBackground<T>(source: Source<T>, then: (document: T) => void): void {
  try {
    const result = source()
    // `cooled` remembers its failure and health() shows it; no caller waits for it.
    if (isPromise(result)) result.then(then, () => undefined)
    else then(result)
  } catch {
    // The same, during the back-off.
  }
}

/**
 * In an outage the last good document stays in use for `staleFor` seconds after it stops being fresh. While renewals
 * fail, callers do not wait for the next attempt. An attempt that is silent for `patience` counts as failing, because
 * its caller may have to wait for another document within the same deadline. A document is never returned to a caller
 * that it disappointed: in an outage an unknown key is an error, not a refusal.
 *
 * @param last  the document that was loaded last, also in the background: an older document must not return
 * @param failing  whether the last attempt failed, also for a renewal in the background
 */
export function staleOnError<T extends Dated>(
  source: Source<T>,
  { now, staleFor, patience, last, failing }: StaleOptions<T>
): Source<T> {
  const stale = (butNot: T | undefined): T | undefined => {
    const document = last()
    return document !== butNot && document !== undefined && now() < document.freshUntil + staleFor
      ? document
      : undefined
  }
  /** True while the current attempt has been silent for `patience`. */
  let isSilent = false
  const inTime = (attempt: Promise<T>, butNot: T | undefined, within: number): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = world.after(within, () => {
        const document = stale(butNot)
        if (document === undefined) return
        isSilent = true
        resolve(document)
      })
      attempt.then(resolve, reject).finally(() => {
        world.cancel(timer)
        isSilent = false
      })
    })
  return (butNot) => {
    const instead = (error: unknown): T => {
      const document = stale(butNot)
      if (document === undefined) throw error
      return document
    }
    const wasFailing = failing()
    let result: Awaitable<T>
    try {
      result = source(butNot)
    } catch (error) {
      return instead(error)
    }
    if (!isPromise(result)) return result
    const settled = result.catch(instead)
    const document = stale(butNot)
    if (document !== undefined && (wasFailing || isSilent)) {
      settled.catch(() => undefined)
      return document
    }
    return document === undefined || patience === undefined ? settled : inTime(settled, butNot, patience)
  }
}

export interface StaleOptions<T> {
  readonly now: Clock
  /** Seconds. */
  readonly staleFor: number
  /** Milliseconds. Default: callers wait until the attempt ends. */
  readonly patience?: number | undefined
  readonly last: () => T | undefined
  readonly failing: () => boolean
}
