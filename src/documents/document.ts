/**
 * A remote document behind all decorators of `source.ts`, with its state in view: the document held, its age, the last
 * error. With `fleet`, a document that another process fetched replaces one that this process could not fetch, and one
 * process asks again on behalf of all.
 *
 * Does NOT know what the document says.
 *
 * Tests: `test/rfc/rfc7517-keys.test.ts`.
 */
import { ResourceServerError } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import { type Fleet, sharedLook, throttled } from './fleet.js'
import { coalesced, cooled, type Dated, fresh, isWithin, type Source, staleOnError } from './source.js'

/** Seconds between two attempts for the same purpose, and the longest back-off. */
const ATTEMPT_WINDOW = 30
/** Maximum seconds of the back-off after a first failure. */
const FIRST_BACKOFF = 1
/** Maximum seconds until this process, if it still uses the document, confirms another process's fetch by its own. */
const CONFIRM_WITHIN = 60
/** Fraction of a document's freshness after which it is renewed in the background; ± 10 % spreads a fleet's renewals. */
const REFRESH_AT = 0.8

/** The state of a remote document. Ages are seconds; undefined if never loaded. `freshFor` is undefined also if it never expires. */
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
  /** Loads the document now, past every bound of `source`. Concurrent callers share the attempt. */
  refresh(): Promise<T>
  /**
   * Loads the document now, or takes it from a process that just did; undefined if it was another process's turn and
   * nothing came. Never joins an attempt that began before. The caller bounds how often; only the back-off after failures
   * is kept here.
   */
  look(isEnough: (document: T) => boolean): Promise<T | undefined>
  /** Loads the document now, unless another process did so or is about to. The caller bounds how often. */
  renew(): Promise<void>
}

export interface Observed {
  error(): unknown
  /** Seconds since the epoch until which the held document may serve. */
  usableUntil(): number
  health(): DocumentHealth
}

/** A fetched document, with its raw text if other processes are to get it. */
export interface Loaded<T extends Dated> {
  readonly document: T
  readonly text?: string
}

export interface WatchOptions<T extends Dated> {
  /**
   * `again`: the last document was not enough. The document must be dated by when it was asked for: a slow answer is as old
   * as its question.
   */
  readonly load: (again: boolean) => Promise<Loaded<T>>
  /** Called with every document that is held from then on, whether this process or another one fetched it. */
  readonly accept?: (document: T) => void
  readonly now: () => number
  /** Seconds past its freshness for which a document may serve in an outage. */
  readonly staleFor: number
  /** Milliseconds to wait for an attempt while an older document may serve. Default: until the attempt ends. */
  readonly patience?: number
  readonly fleet?: Fleet<T> | undefined
  /** True if misses go through `look`, which the caller bounds, and never through `source`. */
  readonly looks?: boolean
}

export function watch<T extends Dated>(options: WatchOptions<T>): Watched<T> {
  return new RemoteDocument(options)
}

/** The decorators around `load`. Each remembers earlier documents and failures, so a new document needs new ones. */
interface Chain<T> {
  /** Bounded by the back-off alone, and without a fleet or looks also by {@link ATTEMPT_WINDOW}. */
  readonly attempts: Source<T>
  readonly source: Source<T>
}

/** Public members are functions of the object itself: its users spread it and take them out of it. */
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
    // Every token that is not cached asks here. A document never expires before `refreshAt`, so until then the decorators
    // would return it too.
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
    const bounds = { now, window: ATTEMPT_WINDOW, firstBackoff: FIRST_BACKOFF, random: Math.random }
    // Misses are bounded elsewhere: by the caller of `look`, or for all processes together by `throttled`.
    const attempts = cooled(this.attempt, fleet || looks ? { ...bounds, missWindow: 0 } : bounds, held)
    const bounded = fleet && !looks ? throttled(attempts, fleet, { now, held, failing, newer: this.adopt }) : attempts
    const source = staleOnError(fresh(coalesced(bounded), now, held), { now, staleFor, patience, last: held, failing })
    return { attempts, source }
  }

  private readonly isFailing = (): boolean => this.failure !== undefined

  /** Loads the document once and holds it. On failure it holds what another process fetched since, and still throws. */
  private readonly attempt = async (again: boolean): Promise<T> => {
    const number = ++this.started
    const before = this.document
    try {
      const { document, text } = await this.options.load(again)
      const held = this.document
      // A later attempt, here or in another process, came in first: this document is older, so nobody gets it.
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
    // This process confirms it soon, not at the end of its life, and not in step with the other processes.
    const soon = this.options.now() + CONFIRM_WITHIN * (0.5 + Math.random() / 2)
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
    refreshAt: fetchedAt + freshFor * (REFRESH_AT + (Math.random() - 0.5) / 5),
    freshUntil: fetchedAt + freshFor
  }
}
