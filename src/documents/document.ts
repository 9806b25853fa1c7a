/**
 * A remote document behind all decorators of `source.ts`, with visible state: the held document, its age, the last
 * error. With `fleet`, a document that another process fetched replaces one that this process could not fetch, and one
 * process fetches again on behalf of all.
 *
 * Does NOT interpret the document.
 *
 * Tests: `test/rfc/rfc7517-keys.test.ts`.
 */
import { world } from '../base/world.js'
import { ResourceServerError } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import { type Fleet, sharedLook, throttled } from './fleet.js'
import { coalesced, cooled, type Dated, fresh, isWithin, type Source, staleOnError } from './source.js'

/** Seconds between two attempts for the same purpose, and the longest back-off. */
const ATTEMPT_WINDOW = 30
/** Maximum seconds of the back-off after a first failure. */
const FIRST_BACKOFF = 1
/** Maximum seconds until this process, if it still uses the document, confirms another process's fetch with its own. */
const CONFIRM_WITHIN = 60
/** Fraction of a document's freshness after which it is renewed in the background; ± 10 % spreads a fleet's renewals. */
const REFRESH_AT = 0.8

/**
 * The state of a remote document. Ages are in seconds; undefined if never loaded. `freshFor` is also undefined if the
 * document never expires.
 */
export interface DocumentHealth {
  readonly age: number | undefined
  readonly freshFor: number | undefined
  /** Why the last attempt to load it failed; undefined after a success. */
  readonly error: string | undefined
}

/** A decorated source, and the state of its document. */
export interface Watched<T extends Dated> extends Observed {
  readonly source: Source<T>
  held(): T | undefined
  /** Drops the document: the next caller loads it. */
  drop(): void
  /** Loads the document now, ignoring every limit of `source`. Concurrent callers share the attempt. */
  refresh(): Promise<T>
  /**
   * Loads the document now, or takes it from a process that just did; undefined if it was another process's turn and
   * that process published nothing. Never joins an attempt that began earlier. The caller limits how often; this
   * function limits only by the back-off after failures.
   */
  look(isEnough: (document: T) => boolean): Promise<T | undefined>
  /** Loads the document now, unless another process just did or is about to. The caller limits how often. */
  renew(): Promise<void>
}

export interface Observed {
  error(): unknown
  /** Seconds since the epoch until which the held document may serve. */
  usableUntil(): number
  health(): DocumentHealth
}

/** A fetched document, with its raw text if other processes should get it. */
export interface Loaded<T extends Dated> {
  readonly document: T
  readonly text?: string
}

export interface WatchOptions<T extends Dated> {
  /**
   * `again`: the last document was not enough. `fetchedAt` must be the time of the request: a slow response is as old
   * as its request.
   */
  readonly load: (again: boolean) => Promise<Loaded<T>>
  /** Called with every newly held document, whether this process or another one fetched it. */
  readonly accept?: (document: T) => void
  readonly now: () => number
  /** Seconds for which a document may still be used in an outage once it is no longer fresh. */
  readonly staleFor: number
  /** Milliseconds to wait for an attempt while an older document may be used. Default: until the attempt ends. */
  readonly patience?: number
  readonly fleet?: Fleet<T> | undefined
  /** True if misses go through `look`, which the caller limits, and never through `source`. */
  readonly looks?: boolean
}

export function watch<T extends Dated>(options: WatchOptions<T>): Watched<T> {
  return new RemoteDocument(options)
}

/** The decorators around `load`. Each remembers earlier documents and failures, so a new document needs new ones. */
interface Chain<T> {
  /** Limited by the back-off alone; without a fleet and without looks also by {@link ATTEMPT_WINDOW}. */
  readonly attempts: Source<T>
  readonly source: Source<T>
}

/** Public members are properties that hold functions, because callers spread the object and destructure it. */
class RemoteDocument<T extends Dated> implements Watched<T> {
  private readonly options: WatchOptions<T>
  private document: T | undefined
  /** Why the last attempt failed; undefined after a success. */
  private failure: unknown
  /** Number of the attempt that began last. */
  private started = 0
  /** Number of the attempt whose document was held last. */
  private finished = 0
  private chain: Chain<T>
  private readonly refreshing: Source<T>

  constructor(options: WatchOptions<T>) {
    this.options = options
    this.chain = this.createChain()
    this.refreshing = coalesced(async () => {
      const document = await this.attempt(true)
      this.chain = this.createChain()
      return document
    })
  }

  readonly source = (butNot?: T): Awaitable<T> => {
    const held = this.document
    // Every uncached token calls this. A document never expires before `refreshAt`, so until then the decorators would
    // return it too.
    if (butNot === undefined && held !== undefined && isWithin(this.options.now(), held.fetchedAt, held.refreshAt))
      return held
    return this.chain.source(butNot)
  }

  readonly held = (): T | undefined => this.document

  readonly refresh = async (): Promise<T> => {
    return this.refreshing()
  }

  readonly look = (isEnough: (document: T) => boolean): Promise<T | undefined> => {
    const { fleet } = this.options
    const again = async (): Promise<T> => this.chain.attempts(this.document)
    return fleet ? sharedLook(again, fleet, { adopt: this.adopt, isEnough, failing: this.isFailing }) : again()
  }

  readonly renew = async (): Promise<void> => {
    // Another process may have renewed the document since.
    if ((await this.adopt()) !== undefined || (await this.options.fleet?.mayAskAgain()) === false) return
    await this.chain.attempts(this.document)
  }

  readonly drop = (): void => {
    this.document = undefined
    this.chain = this.createChain()
  }

  readonly error = (): unknown => {
    return this.failure
  }

  readonly usableUntil = (): number => {
    return this.document ? this.document.freshUntil + this.options.staleFor : Number.NEGATIVE_INFINITY
  }

  readonly health = (): DocumentHealth => {
    const { document, failure } = this
    const time = this.options.now()
    return {
      age: document && time - document.fetchedAt,
      freshFor: document && Number.isFinite(document.freshUntil) ? document.freshUntil - time : undefined,
      error: failure === undefined ? undefined : describe(failure)
    }
  }

  private createChain(): Chain<T> {
    const { now, staleFor, patience, fleet, looks = false } = this.options
    const { held, isFailing: failing } = this
    const bounds = { now, window: ATTEMPT_WINDOW, firstBackoff: FIRST_BACKOFF, random: () => world.random() }
    // Misses are limited elsewhere: by the caller of `look`, or for all processes together by `throttled`.
    const attempts = cooled(this.attempt, fleet || looks ? { ...bounds, missWindow: 0 } : bounds, held)
    const bounded = fleet && !looks ? throttled(attempts, fleet, { now, held, failing, newer: this.adopt }) : attempts
    const source = staleOnError(fresh(coalesced(bounded), now, held), { now, staleFor, patience, last: held, failing })
    return { attempts, source }
  }

  private readonly isFailing = (): boolean => this.failure !== undefined

  /**
   * Loads the document once and holds it. On failure it holds the document that another process fetched since, if any,
   * and still throws.
   */
  private readonly attempt = async (again: boolean): Promise<T> => {
    const number = ++this.started
    const before = this.document
    try {
      const { document, text } = await this.options.load(again)
      const held = this.document
      // A later attempt, here or in another process, finished first: this document is older, so it is dropped.
      const isOvertaken = number < this.finished || (held !== before && (held?.fetchedAt ?? 0) > document.fetchedAt)
      if (held !== undefined && isOvertaken) return held
      this.finished = number
      this.failure = undefined
      if (text !== undefined) {
        const { fetchedAt, freshUntil, servedAt } = document
        this.options.fleet?.publish({ text, fetchedAt, freshUntil, servedAt })
      }
      return this.hold(document)
    } catch (cause) {
      if (number > this.finished) this.failure = cause
      const document = await this.newer()
      // Due for renewal at once, so that its next use fetches it here too.
      if (document) this.hold({ ...document, refreshAt: document.fetchedAt })
      throw cause
    }
  }

  /** Holds the document that another process fetched, if it is newer. */
  private readonly adopt = async (): Promise<T | undefined> => {
    const document = await this.newer()
    // This process confirms it soon, before the document expires, and not at the same time as other processes.
    const soon = this.options.now() + CONFIRM_WITHIN * (0.5 + world.random() / 2)
    return document && this.hold({ ...document, refreshAt: Math.min(document.refreshAt, soon) })
  }

  /** The document that another process fetched, if it is newer than the one held. */
  private async newer(): Promise<T | undefined> {
    const document = await this.options.fleet?.latest()
    const held = this.document
    return document && (held === undefined || document.fetchedAt > held.fetchedAt) ? document : undefined
  }

  private hold(document: T): T {
    this.document = document
    this.options.accept?.(document)
    return document
  }
}

/** An error as `health()` shows it to the operator. */
function describe(error: unknown): string {
  return error instanceof ResourceServerError ? error.hint : String(error)
}

/** The times of a document. @param freshFor seconds */
export function dates(fetchedAt: number, freshFor: number, servedAt?: number): Dated {
  return {
    fetchedAt,
    servedAt,
    refreshAt: fetchedAt + freshFor * (REFRESH_AT + (world.random() - 0.5) / 5),
    freshUntil: fetchedAt + freshFor
  }
}
