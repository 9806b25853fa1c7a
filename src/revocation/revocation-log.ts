/**
 * The revocations of all processes of this API, in a log that an engine keeps (`shared.log`): each process appends its own
 * and reads those of the others, so that they outlive every process.
 *
 * At start requests wait until the log was read, and get 503 if that takes too long. Later, while it fails, this process
 * continues with the revocations that it remembers.
 *
 * Does NOT read, append or repair: `log-reader.ts` and `log-keeper.ts` do. Does NOT notice that a log was emptied while no
 * process ran.
 */
import { withDeadline } from '../base/awaitable.js'
import { type Timer, world } from '../base/world.js'
import { Unavailable } from '../errors/errors.js'
import { isLogFull, type SealedLog } from '../sharing/sealed-log.js'
import { LogKeeper } from './log-keeper.js'
import { LogReader } from './log-reader.js'
import type { Revocation } from './revocation.js'
import { type Revocations, RevocationsFull, type RevokedBy } from './revocations.js'
import { MAX_KEEP } from './settings.js'

/** Whether the log of revocations answers. */
export interface LogHealth {
  /**
   * `failed`: it was never read, so requests get 503. `degraded`: revocations of other processes do not arrive, or there is no
   * room for them.
   */
  readonly status: 'ok' | 'degraded' | 'failed'
  /** The last failure; undefined while the log works. */
  readonly error: string | undefined
}

/** The log of revocations, as this process sees it. */
export interface LogStats {
  /** Entries that the log holds; each has up to a hundred revocations. */
  readonly entries: number
  /** Entries that this process could not read: of another release, or made without `shared.secret`. */
  readonly skipped: number
}

export interface RevocationLog {
  /**
   * Undefined once the log was read; until then a promise of it, which rejects after `patience`. After that it throws.
   *
   * @throws {Unavailable} the log could not be read yet. Not with `onUnavailable: 'allow'`
   */
  wait(): Promise<void> | undefined
  /**
   * Appends the live revocations among these that the log does not have. Resolves when it has them.
   *
   * @param by  the origin of this call: a sender who extends the operator's revocation uses the senders' room
   * @throws {Unavailable} the log failed: they hold in this process, and are appended when it answers again
   * @throws {RevocationsFull} the log has no room
   */
  append(revocations: readonly Revocation[], by: RevokedBy): Promise<void>
  /** Resolves when the log was read. @throws {Unavailable} as `wait()` */
  ready(): Promise<void>
  health(): LogHealth
  stats(): LogStats
  close(): Promise<void>
}

export interface RevocationLogMeans {
  readonly log: SealedLog
  readonly revocations: Revocations
  /** Lets one of all processes do something: see `Shared.once`. */
  readonly claim: (task: string, ttl: number) => Promise<boolean | undefined>
  readonly onUnavailable: 'refuse' | 'allow'
  /** Seconds since the epoch. */
  readonly now: () => number
  /** Seconds for which attempts at start may fail before requests are refused. */
  readonly patience: number
  /** Seconds to wait for the end of a subscription. */
  readonly deadline: number
  readonly warn: (message: string) => void
}

/** Seconds that the log keeps entries: as long as a revocation may last, and an hour for clocks that differ. */
export const LOG_KEEPS: number = MAX_KEEP + 3600

/** Milliseconds between two readings, ± 10 % so that a fleet spreads out. A wake-up reads at once. */
const READ_EVERY = 1000

/** Readings by wake-ups: at most so many at once, and a second. A sender of events can cause any number of wake-ups. */
const MAX_WOKEN = 50

/** Milliseconds between two attempts at start: a client of the engine needs a moment to connect. */
const TRY_EVERY = 100

/** Milliseconds until a subscription that failed is tried again. */
const SUBSCRIBE_EVERY = 30_000

export function createRevocationLog(means: RevocationLogMeans): RevocationLog {
  const log = new DurableLog(means)
  log.start()
  return {
    wait: () => log.wait(),
    append: (revocations, by) => log.append(revocations, by),
    ready: () => log.ready(),
    health: () => log.health(),
    stats: () => log.stats(),
    close: () => log.close()
  }
}

class DurableLog {
  private readonly means: RevocationLogMeans
  private readonly reader: LogReader
  private readonly keeper: LogKeeper
  /** When requests no longer wait for the first reading, in milliseconds of the monotonic clock. */
  private readonly patientUntil: number
  private readonly firstReading: Promise<void>
  private endFirstReading: (failure?: Error) => void = () => undefined
  private state: 'reading' | 'unread' | 'read' = 'reading'
  private failure: Error | undefined
  private subscribeAt = 0
  private timer: Timer | undefined
  private isRunning = false
  private isWoken = false
  /** How many readings by wake-ups are left, and when they were counted. */
  private readonly woken = { left: MAX_WOKEN, at: world.monotonic() }
  private isClosed = false
  /** True from the call of `wake` on, unless it fails. */
  private isSubscribing = false
  private unsubscribe: (() => unknown) | undefined

  constructor(means: RevocationLogMeans) {
    this.means = means
    this.patientUntil = world.monotonic() + means.patience * 1000
    this.reader = new LogReader(means)
    this.keeper = new LogKeeper({ ...means, reader: this.reader })
    this.firstReading = new Promise((resolve, reject) => {
      this.endFirstReading = (failure) => (failure === undefined ? resolve() : reject(failure))
    })
    // A rejection without a waiting request is not an error of the process: the failure is in `health()`.
    this.firstReading.catch(() => undefined)
  }

  start(): void {
    void this.round()
  }

  wait(): Promise<void> | undefined {
    if (this.state === 'read') return undefined
    if (this.state === 'reading') return this.firstReading
    if (this.means.onUnavailable === 'allow') return undefined
    throw this.unread()
  }

  async ready(): Promise<void> {
    await this.firstReading.catch(() => undefined)
    await this.wait()
  }

  async append(revocations: readonly Revocation[], by: RevokedBy): Promise<void> {
    // The log may have lost since what it had: the operator is told that it has the revocations now.
    const isSure = by === 'sender' && this.failure === undefined
    try {
      await this.keeper.append(revocations, by, isSure)
    } catch (cause) {
      if (isLogFull(cause)) throw new RevocationsFull(`the log of revocations has no room: ${cause.message}`)
      throw new Unavailable('revocations', 'the log of revocations (`shared.log`) did not take a revocation', {
        cause,
        retryAfter: 1
      })
    }
  }

  health(): LogHealth {
    if (this.state !== 'read' && this.failure !== undefined && this.means.onUnavailable === 'refuse')
      return { status: 'failed', error: `the log of revocations was never read: ${this.failure.message}` }
    const problem =
      (this.failure && `the log of revocations failed: ${this.failure.message}`) ??
      (this.reader.isFull()
        ? 'there is no room for the revocations of the log: raise `revocation.maxEntries`'
        : undefined) ??
      (this.keeper.isBehind ? 'the log of revocations does not have all revocations of this process yet' : undefined)
    return { status: problem === undefined ? 'ok' : 'degraded', error: problem }
  }

  stats(): LogStats {
    return { entries: this.reader.length, skipped: this.reader.skipped }
  }

  async close(): Promise<void> {
    this.isClosed = true
    world.cancel(this.timer)
    // No reading comes any more that would end the wait.
    if (this.state === 'reading') this.endWait()
    const end = this.unsubscribe
    this.unsubscribe = undefined
    if (end === undefined) return
    const late = (): Error => new Error('the subscription did not end')
    // With a deadline: a connection that is gone may never answer, and `close()` must go on.
    await withDeadline(Promise.resolve().then(end), this.means.deadline, late).catch(() => undefined)
  }

  /** Reads the new entries, and repairs the log where necessary. Never rejects. */
  private async round(): Promise<void> {
    this.isRunning = true
    this.isWoken = false
    try {
      await this.reader.read()
      this.readCompletely()
      await this.keeper.mend()
      this.subscribe()
      this.failure = undefined
    } catch (cause) {
      this.fail(cause)
    }
    this.isRunning = false
    const every = this.state === 'reading' ? TRY_EVERY : READ_EVERY
    if (this.isWoken) this.wakeUp()
    else this.callIn(every * (0.9 + world.random() / 5), () => void this.round())
  }

  /** Replaces the timer of the next reading. */
  private callIn(milliseconds: number, call: () => void): void {
    world.cancel(this.timer)
    if (this.isClosed) return
    this.timer = world.after(milliseconds, call)
    this.timer.unref()
  }

  private wakeUp(): void {
    this.isWoken = true
    if (this.isRunning || this.isClosed) return
    if (this.mayReadAtOnce()) {
      world.cancel(this.timer)
      void this.round()
    } else this.callIn(1000 / MAX_WOKEN, () => this.wakeUp())
  }

  private mayReadAtOnce(): boolean {
    const { woken } = this
    const time = world.monotonic()
    woken.left = Math.min(MAX_WOKEN, woken.left + ((time - woken.at) * MAX_WOKEN) / 1000)
    woken.at = time
    if (woken.left < 1) return false
    woken.left--
    return true
  }

  private readCompletely(): void {
    if (this.state === 'read') return
    this.state = 'read'
    this.endFirstReading()
  }

  private fail(cause: unknown): void {
    const isFirst = this.failure === undefined || this.state === 'reading'
    this.failure = cause instanceof Error ? cause : new Error('it threw a value that is not an Error', { cause })
    if (this.isClosed || (this.state === 'reading' && world.monotonic() < this.patientUntil)) return
    if (isFirst)
      this.means.warn(
        `the log of revocations (\`shared.log\`) failed: ${this.failure.message}. ${this.state === 'read' ? 'Revocations of other processes do not arrive meanwhile' : 'Until it was read, requests get 503'}`
      )
    if (this.state === 'reading') this.endWait()
  }

  private endWait(): void {
    this.state = 'unread'
    this.endFirstReading(this.means.onUnavailable === 'refuse' ? this.unread() : undefined)
  }

  private unread(): Unavailable {
    const problem = 'the log of revocations (`shared.log`) was not read yet, so it is unknown which tokens are revoked'
    return new Unavailable('revocations', problem, { cause: this.failure, retryAfter: 1 })
  }

  /**
   * Without a subscription, this process reads once a second all the same. Readings do not wait for it: a client whose
   * connection is gone may hold the command back until it has connected.
   */
  private subscribe(): void {
    const time = world.monotonic()
    if (this.isSubscribing || this.isClosed || time < this.subscribeAt) return
    this.isSubscribing = true
    this.subscribeAt = time + SUBSCRIBE_EVERY
    this.means.log
      .wake(() => this.wakeUp())
      .then((end) => {
        if (this.isClosed) return end()
        this.unsubscribe = end
        return undefined
      })
      .catch((cause: unknown) => {
        this.isSubscribing = false
        if (!this.isClosed)
          this.means.warn(
            `the subscription to the log of revocations failed: ${cause instanceof Error ? cause.message : 'it threw a value that is not an Error'}. Revocations of other processes arrive within a second meanwhile, not at once`
          )
      })
  }
}

/**
 * Revokes in this process, and in the log for the others.
 *
 * @throws {TypeError} an entry is invalid; then none is applied
 * @throws {RevocationsFull} no room here or in the log; those that had room here are applied
 * @throws {Unavailable} the log failed; all are applied here, and appended when it answers again
 */
export async function revokeEverywhere(
  list: readonly Revocation[],
  by: RevokedBy,
  { revocations, log }: { readonly revocations: Revocations; readonly log: RevocationLog | undefined }
): Promise<void> {
  let full: RevocationsFull | undefined
  try {
    revocations.revoke(list, by)
  } catch (error) {
    if (!(error instanceof RevocationsFull)) throw error
    full = error
  }
  await log?.append(list, by)
  if (full !== undefined) throw full
}
