/**
 * A remote document with everything around it (`source.ts`), and a window to look into it: what is held, how old it is,
 * what went wrong last. With `fleet`, what other processes fetched stands in where this one could not, and of all
 * processes one asks again on behalf of the others.
 *
 * Does NOT know what the document says.
 */
import { ResourceServerError } from '../errors/errors.js'
import { type Fleet, sharedLook, throttled } from './fleet.js'
import { coalesced, cooled, type Dated, fresh, isWithin, type Source, staleOnError } from './source.js'

const ATTEMPT_WINDOW = 30
const FIRST_BACKOFF = 1
/** Seconds within which what another process fetched is fetched by this one too, where it is used. */
const CONFIRM_WITHIN = 60
/** Of the time a document is fresh, after which it is renewed in the background, ± 10 % so that a fleet spreads out. */
const REFRESH_AT = 0.8

/** What is known of a remote document: ages in seconds, undefined where it was never loaded; `freshFor` also where it is for ever. */
export interface DocumentHealth {
  readonly age: number | undefined
  readonly freshFor: number | undefined
  /** Why the last attempt to load it failed; undefined after a success. */
  readonly error: string | undefined
}

/** A source with everything around it, and a window to look into it. */
export interface Watched<T extends Dated> extends Observed {
  readonly source: Source<T>
  held(): T | undefined
  /** Forgets it: who asks next loads it. */
  drop(): void
  /** Loads it now, past everything that bounds `source`; who asks while it is under way shares the attempt. */
  refresh(): Promise<T>
  /**
   * Loads it now, or has it from a process that just did; undefined where it is another process's turn and nothing came.
   * Never joins an attempt that began before. The caller bounds how often; only the back-off of failures is kept here.
   */
  look(isEnough: (document: T) => boolean): Promise<T | undefined>
  /** Loads it now, unless another process did so or is about to. The caller bounds how often. */
  renew(): Promise<void>
}

export interface Observed {
  error(): unknown
  /** Until when the held document may serve. */
  usableUntil(): number
  health(): DocumentHealth
}

/** A document that was fetched, and its text as it came: for the others, where there are any. */
export interface Loaded<T extends Dated> {
  readonly document: T
  readonly text?: string
}

export interface WatchOptions<T extends Dated> {
  /**
   * `again`: the last document was not enough. What other processes are told of is dated by when it was asked for: what was
   * so before is not newer for having been long on its way.
   */
  readonly load: (again: boolean) => Promise<Loaded<T>>
  /** Told of every document that takes the place of another, however it came. */
  readonly accept?: (document: T) => void
  readonly now: () => number
  /** Seconds. */
  readonly staleFor: number
  /** Milliseconds that an attempt is waited for, where an older document may serve. Default: until it ends. */
  readonly patience?: number
  readonly fleet?: Fleet<T> | undefined
  /** True where misses go through `look`, which the caller bounds, and never through `source`. */
  readonly looks?: boolean
}

export function watch<T extends Dated>({
  load,
  accept,
  now,
  staleFor,
  patience,
  fleet,
  looks = false
}: WatchOptions<T>): Watched<T> {
  let held: T | undefined
  let error: unknown
  let started = 0
  let finished = 0
  const last = (): T | undefined => held
  const failing = (): boolean => error !== undefined
  const hold = (document: T): T => {
    held = document
    accept?.(document)
    return document
  }
  /** What another process fetched after this one did. */
  const newer = async (): Promise<T | undefined> => {
    const document = await fleet?.latest()
    return document && (held === undefined || document.fetchedAt > held.fetchedAt) ? document : undefined
  }
  const observed = async (again: boolean): Promise<T> => {
    const attempt = ++started
    const before = held
    try {
      const { document, text } = await load(again)
      // Overtaken by one that began later, here or in another process: it says what was so before, and nobody is told.
      const overtaken = attempt < finished || (held !== before && (held?.fetchedAt ?? 0) > document.fetchedAt)
      if (held !== undefined && overtaken) return held
      finished = attempt
      error = undefined
      if (text !== undefined) {
        const { fetchedAt, freshUntil, servedAt } = document
        fleet?.publish({ text, fetchedAt, freshUntil, servedAt })
      }
      return hold(document)
    } catch (cause) {
      if (attempt > finished) error = cause
      const document = await newer()
      // Due at once: whoever uses it sees to it that it is not for long.
      if (document) hold({ ...document, refreshAt: document.fetchedAt })
      throw cause
    }
  }
  const adopted = async (): Promise<T | undefined> => {
    const document = await newer()
    // Not for its whole life on another's word: soon, and not in step with the others, its source is asked.
    const soon = now() + CONFIRM_WITHIN * (0.5 + Math.random() / 2)
    return document && hold({ ...document, refreshAt: Math.min(document.refreshAt, soon) })
  }
  let attempts: Source<T>
  const chain = (): Source<T> => {
    const options = { now, window: ATTEMPT_WINDOW, firstBackoff: FIRST_BACKOFF, random: Math.random }
    // Looks, and the bound of all processes where there is a fleet, stand in for that of each.
    attempts = cooled(observed, fleet || looks ? { ...options, missWindow: 0 } : options, last)
    if (!fleet || looks) return staleOnError(fresh(coalesced(attempts), now, last), stale)
    const bounded = throttled(attempts, fleet, { now, held: last, failing, newer: adopted })
    return staleOnError(fresh(coalesced(bounded), now, last), stale)
  }
  const stale = { now, staleFor, patience, last, failing }
  let source = chain()
  const refreshing = coalesced(async () => {
    const document = await observed(true)
    // What the one before remembers of misses and failures is about a document that is no more.
    source = chain()
    return document
  })
  return {
    source: (butNot) => {
      // Every first sight of a token asks. A document ceases to be fresh after it should be renewed, never before: until
      // then the decorators would return it too.
      if (butNot === undefined && held !== undefined && isWithin(now(), held.fetchedAt, held.refreshAt)) return held
      return source(butNot)
    },
    refresh: async () => refreshing(),
    look: (isEnough) => {
      const again = async (): Promise<T> => attempts(held)
      return fleet ? sharedLook(again, fleet, { adopt: adopted, isEnough, failing }) : again()
    },
    renew: async () => {
      // Another process may have renewed it since.
      if ((await adopted()) !== undefined || (await fleet?.mayAskAgain()) === false) return
      await attempts(held)
    },
    drop: () => {
      held = undefined
      // Each decorator remembers the document.
      source = chain()
    },
    held: last,
    error: () => error,
    usableUntil: () => (held ? held.freshUntil + staleFor : Number.NEGATIVE_INFINITY),
    health: () => ({
      age: held && now() - held.fetchedAt,
      freshFor: held && Number.isFinite(held.freshUntil) ? held.freshUntil - now() : undefined,
      error: error === undefined ? undefined : describe(error)
    })
  }
}

/** What happened, for the operator. */
function describe(error: unknown): string {
  return error instanceof ResourceServerError ? error.hint : String(error)
}

/** @param freshFor seconds */
export function dates(fetchedAt: number, freshFor: number, servedAt?: number): Dated {
  return {
    fetchedAt,
    servedAt,
    refreshAt: fetchedAt + freshFor * (REFRESH_AT + (Math.random() - 0.5) / 5),
    freshUntil: fetchedAt + freshFor
  }
}
