/**
 * What the processes of an API tell one another about a remote document: the latest that one of them fetched, so that
 * another starts without the authorization server; and that one asks again on behalf of all when a key is unknown.
 *
 * A snapshot holds the document's text, which is read and judged again by whoever loads it, and the times of its fetch: it
 * lives no longer for being passed on. Does NOT spare anybody a fetch that is due.
 *
 * Tests: `test/redis/keys.test.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseObject } from '../base/json.js'
import { Unavailable } from '../errors/errors.js'
import type { Shared } from '../sharing/shared.js'
import { type Dated, isWithin, type Source } from './source.js'

/** Seconds per refetch: one process asks again for all in that time. */
const REFETCH_WINDOW = 15
/** Seconds that the other processes wait before they check for its result. */
const PATIENCE = 0.5
/** Seconds for which a process whose look found nothing does not look again. */
const LOOK_AGAIN = 1
/** Maximum seconds to wait on another process's refetch claim without a result; real claims expire sooner. */
const MAX_TURN = 2 * REFETCH_WINDOW
/** Looks for a key by all processes together, in so many seconds, and the least seconds between two. */
const MAX_LOOKS = 3
const LOOK_PERIOD = 30
const LOOK_SPACING = 2
/** Times that a process looks whether another one, whose turn it is, has found something: {@link PATIENCE} apart. */
const PATIENT_LOOKS = 4
/** Maximum seconds by which another machine's clock may be ahead. */
const MAX_AHEAD = 10

/** A document as it came, with its times in seconds since the epoch. */
interface Snapshot {
  readonly text: string
  readonly fetchedAt: number
  readonly freshUntil: number
  readonly servedAt?: number | undefined
}

export interface Fleet<T> {
  /** The latest document that any process fetched, if it may still serve. Never throws. */
  latest(): Promise<T | undefined>
  /** Stores it for the other processes, in the background. */
  publish(snapshot: Snapshot): void
  /** Whether it is on this process to ask again; undefined where nobody can know. */
  mayAskAgain(): Promise<boolean | undefined>
  /** Whether this process may look for a key on behalf of all, three times in 30 s and 2 s apart; undefined where nobody can know. */
  mayLook(): Promise<boolean | undefined>
}

export interface FleetOptions<T> {
  readonly purpose: 'metadata' | 'jwks'
  /** Of which issuer, and where it is. */
  readonly parts: readonly string[]
  /** The document of a text, dated. @throws for one that is of no use */
  readonly read: (text: string, fetchedAt: number, freshFor: number, servedAt: number | undefined) => T
  readonly now: () => number
  /** Seconds that such a document is fresh at most, and may serve after that. */
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

  /** Since when it was another process's turn, whenever this one asked, and nothing newer was to be had. */
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
        // Another release may have accepted it.
        return undefined
      }
    },
    // Best effort: the store says in `health()` what is wrong with it.
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
  /** While attempts fail their back-off bounds them. */
  readonly failing: () => boolean
  /** What another process fetched since; it is held from then on. */
  readonly newer: () => Promise<T | undefined>
}

/**
 * When a document disappoints: first what another process has fetched since, then, for one process in {@link REFETCH_WINDOW}
 * seconds, another fetch. For the others the document stands if it was fetched within that time by anybody: what is not
 * in it does not exist. Else nobody knows yet: 503; but not for ever, should the store say for ever that it is another's
 * turn. Renewals pass untouched, also where the store does not answer.
 */
export function throttled<T extends Dated>(
  source: Source<T>,
  fleet: Pick<Fleet<T>, 'mayAskAgain'>,
  { now, held, failing, newer }: ThrottledMeans<T>
): Source<T> {
  let verdict: { readonly at: number; readonly lasts: number; readonly error?: Unavailable } | undefined
  /** Since when it was another process's turn, whenever this one asked, and nothing newer was to be had. */
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
  /** Takes over what another process fetched, if it is newer than what is held. */
  readonly adopt: () => Promise<T | undefined>
  readonly isEnough: (document: T) => boolean
  /** While attempts fail their back-off bounds them. */
  readonly failing: () => boolean
}

/**
 * A look at a document on behalf of all processes: what another process fetched is as good, where it is enough. A process
 * whose turn it is and that fetches nothing holds up the others for {@link LOOK_SPACING} seconds. While the store does not
 * answer, each process looks for itself.
 *
 * @returns undefined if it was another process's turn, and nothing came of it
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
