/**
 * Shares remote documents between the processes of an API. Processes read the latest document that any of them fetched,
 * so a process can start while the authorization server is down. One process fetches again on behalf of all when a key
 * is unknown.
 *
 * A snapshot holds the document's text and the times of its fetch. Each process that loads it parses and checks it
 * again; sharing does not extend its lifetime. Does NOT replace a fetch that is due.
 *
 * Tests: `test/redis/keys.test.ts`.
 */

import { parseObject } from '../base/json.js'
import { sleep } from '../base/world.js'
import { Unavailable } from '../errors/errors.js'
import type { Shared } from '../sharing/shared.js'
import { type Dated, isWithin, type Source } from './source.js'

/** Seconds per refetch: in that time one process fetches again for all. */
const REFETCH_WINDOW = 15
/** Seconds that the other processes wait before they check for the result. */
const PATIENCE = 0.5
/** Seconds for which a process whose look found nothing does not look again. */
const LOOK_AGAIN = 1
/** Maximum seconds to wait on another process's refetch claim without a result; real claims expire sooner. */
const MAX_TURN = 2 * REFETCH_WINDOW
/**
 * Maximum looks for a key by all processes together, the seconds in which they count, and the minimum seconds between
 * two.
 */
const MAX_LOOKS = 3
const LOOK_PERIOD = 30
const LOOK_SPACING = 2
/**
 * Times that a process checks for the result of another process, whose turn it is. The checks are {@link PATIENCE}
 * apart.
 */
const PATIENT_LOOKS = 4
/** Maximum seconds by which another machine's clock may be ahead. */
const MAX_AHEAD = 10

/** A document as received, with its times in seconds since the epoch. */
interface Snapshot {
  readonly text: string
  readonly fetchedAt: number
  readonly freshUntil: number
  readonly servedAt?: number | undefined
}

export interface Fleet<T> {
  /** The latest document that any process fetched, if it may still be used. Never throws. */
  latest(): Promise<T | undefined>
  /** Stores it for the other processes, in the background. */
  publish(snapshot: Snapshot): void
  /** Whether this process should fetch again; undefined if the store does not answer. */
  mayAskAgain(): Promise<boolean | undefined>
  /**
   * Whether this process may look for a key on behalf of all, three times in 30 s and 2 s apart; undefined if the store
   * does not answer. True if other processes have had every turn for {@link MAX_TURN} seconds without a newer document,
   * too.
   */
  mayLook(): Promise<boolean | undefined>
}

export interface FleetOptions<T> {
  readonly purpose: 'metadata' | 'jwks'
  /** Identify the document: its issuer and where it is fetched. */
  readonly parts: readonly string[]
  /** Parses and dates a document. @throws if the text is not a usable document */
  readonly read: (text: string, fetchedAt: number, freshFor: number, servedAt: number | undefined) => T
  readonly now: () => number
  /**
   * Maximum seconds for which such a document is fresh; `staleFor` are the further seconds for which it may be used.
   */
  readonly maxFreshFor: number
  readonly staleFor: number
}

export function createFleet<T>(
  shared: Shared,
  { purpose, parts, read, now, maxFreshFor, staleFor }: FleetOptions<T>
): Fleet<T> {
  const cache = shared.cache(purpose)
  const refetches = shared.once(`${purpose}-refetch`)

  const latest = async (): Promise<Snapshot | undefined> => {
    const snapshot = parse(await cache.get(parts))
    if (snapshot === undefined) return undefined
    const { fetchedAt, freshUntil } = snapshot
    const time = now()
    const inTime = fetchedAt <= time + MAX_AHEAD && freshUntil <= fetchedAt + maxFreshFor
    return inTime && time < freshUntil + staleFor ? snapshot : undefined
  }

  /** Time since which every look was denied and no newer snapshot appeared. Undefined otherwise. */
  let deniedSince: number | undefined
  let newest = Number.NEGATIVE_INFINITY

  const claimLook = async (): Promise<boolean | undefined> => {
    const spaced = await refetches.claim([...parts, 'spacing'], LOOK_SPACING)
    if (spaced !== true) return spaced
    for (let place = 0; place < MAX_LOOKS; place++) {
      const mine = await refetches.claim([...parts, `look ${place}`], LOOK_PERIOD)
      if (mine !== false) return mine
    }
    return false
  }

  const publish = async (snapshot: Snapshot): Promise<void> => {
    const other = await latest()
    // A slow process must not overwrite a newer snapshot.
    if (other !== undefined && other.fetchedAt > snapshot.fetchedAt) return
    await cache.set(parts, JSON.stringify(snapshot), snapshot.freshUntil + staleFor - now())
  }

  return {
    latest: async () => {
      const snapshot = await latest()
      if (snapshot === undefined) return undefined
      if (snapshot.fetchedAt > newest) deniedSince = undefined
      newest = Math.max(newest, snapshot.fetchedAt)
      const { text, fetchedAt, freshUntil, servedAt } = snapshot
      try {
        return read(text, fetchedAt, freshUntil - fetchedAt, servedAt)
      } catch {
        // Another release of this package may have stored it.
        return undefined
      }
    },
    // Best effort: `health()` reports failures of the store.
    publish: (snapshot) => void publish(snapshot).catch(() => undefined),
    mayAskAgain: () => refetches.claim(parts, REFETCH_WINDOW),
    mayLook: async () => {
      const mine = await claimLook()
      if (mine === false) {
        deniedSince ??= now()
        if (isWithin(now(), deniedSince, deniedSince + MAX_TURN)) return false
      }
      deniedSince = undefined
      return mine === undefined ? undefined : true
    }
  }
}

/** Returns undefined for a text that is not a snapshot in this release's format. */
function parse(text: string | undefined): Snapshot | undefined {
  const { text: document, fetchedAt, freshUntil, servedAt } = parseObject(text ?? '') ?? {}
  return typeof document === 'string' && Number.isFinite(fetchedAt) && Number.isFinite(freshUntil)
    ? {
        text: document,
        fetchedAt: fetchedAt as number,
        freshUntil: freshUntil as number,
        servedAt: Number.isFinite(servedAt) ? (servedAt as number) : undefined
      }
    : undefined
}

export interface ThrottledMeans<T> {
  readonly now: () => number
  readonly held: () => T | undefined
  /** While attempts fail, their back-off limits them. */
  readonly failing: () => boolean
  /** Takes and holds the document that another process fetched since, if any. */
  readonly newer: () => Promise<T | undefined>
}

/**
 * Limits fetches by all processes together when a document disappoints. First it takes the document that another
 * process has fetched since. If there is none, one process fetches again in each {@link REFETCH_WINDOW} seconds. For
 * the others the held document is final if any process fetched it within that time: a key that is not in it does not
 * exist. Otherwise the result is unknown: 503. That cannot last for ever, even if the store always says that it is
 * another process's turn: see {@link MAX_TURN}. Renewals pass unchanged, and so does everything while attempts fail.
 */
export function throttled<T extends Dated>(
  source: Source<T>,
  fleet: Pick<Fleet<T>, 'mayAskAgain'>,
  { now, held, failing, newer }: ThrottledMeans<T>
): Source<T> {
  let verdict: { readonly at: number; readonly lasts: number; readonly error?: Unavailable } | undefined
  /** Time since which each claim was denied and no newer document appeared. Undefined otherwise. */
  let turnSince: number | undefined
  const isWithin = (from: number, seconds: number): boolean => from <= now() && now() < from + seconds

  const passOn = (document: T): T => {
    turnSince = undefined
    return document
  }

  const conclude = (): T => {
    const document = held() as T
    const settled = now() < document.fetchedAt + REFETCH_WINDOW
    verdict = { at: now(), lasts: LOOK_AGAIN, ...(!settled && { error: unknowable() }) }
    if (verdict.error) throw verdict.error
    return document
  }

  const ask = async (butNot: T): Promise<T> => {
    const document = await newer()
    if (document !== undefined) return passOn(document)
    const mine = await fleet.mayAskAgain()
    if (mine === false) turnSince ??= now()
    if (mine === true || (turnSince !== undefined && !isWithin(turnSince, MAX_TURN))) {
      turnSince = undefined
      verdict = { at: now(), lasts: REFETCH_WINDOW }
      return source(butNot)
    }
    if (mine === false) {
      await sleep(PATIENCE * 1000)
      const found = await newer()
      if (found !== undefined) return passOn(found)
    }
    return conclude()
  }

  return (butNot) => {
    if (butNot === undefined || failing()) return source(butNot)
    if (verdict === undefined || !isWithin(verdict.at, verdict.lasts)) return ask(butNot)
    if (verdict.error) throw verdict.error
    return held() as T
  }
}

export interface SharedLookMeans<T> {
  /** Holds the document that another process fetched, if it is newer than the held one. */
  readonly adopt: () => Promise<T | undefined>
  readonly isEnough: (document: T) => boolean
  /** While attempts fail, their back-off limits them. */
  readonly failing: () => boolean
}

/**
 * Looks for a document on behalf of all processes. A document that another process fetched is used if it is enough. A
 * process that has the turn but fetches nothing delays the others by {@link LOOK_SPACING} seconds. While the store does
 * not answer, each process looks for itself.
 *
 * @returns undefined if it was another process's turn and that process published nothing
 */
export async function sharedLook<T extends Dated>(
  look: () => Promise<T>,
  fleet: Pick<Fleet<T>, 'mayLook'>,
  { adopt, isEnough, failing }: SharedLookMeans<T>
): Promise<T | undefined> {
  let found: T | undefined
  for (let turn = 0; ; turn++) {
    const newer = await adopt()
    if (newer !== undefined && isEnough(newer)) return newer
    found = newer ?? found
    if (failing() || (await fleet.mayLook()) !== false) return look()
    if (turn === PATIENT_LOOKS) return found
    await sleep(PATIENCE * 1000)
  }
}

function unknowable(): Unavailable {
  return new Unavailable(
    'jwks',
    'the key set was not fetched: another process is fetching it (or the shared store did not answer)',
    { retryAfter: LOOK_AGAIN }
  )
}
