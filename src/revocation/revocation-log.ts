/**
 * The revocations of all processes of this API, in a log that an engine keeps (`shared.log`): each process appends its own
 * and reads those of the others, so that they outlive every process.
 *
 * Requests wait until the log was read once. Later, while it fails, this process goes on with what it remembers. A log that
 * has lost entries gets them back from the processes that remember them: one does it, and the others complete it within 30 s.
 * A log with many outdated entries is written anew.
 *
 * Does NOT keep anything itself, and does NOT notice that a log was emptied while no process ran.
 */
import { withDeadline } from '../base/awaitable.js'
import { type Timer, world } from '../base/world.js'
import { Unavailable } from '../errors/errors.js'
import { isLogFull, type SealedLog } from '../sharing/sealed-log.js'
import type { LogAppending } from '../sharing/stores.js'
import { inEntries, type RevocationEntry, writeEntry } from './log-entry.js'
import { LogReader } from './log-reader.js'
import { createLogWriter, type LogWriter } from './log-writer.js'
import type { Revocation } from './revocation.js'
import { type Revocations, RevocationsFull, type RevokedBy, SENDERS_RESERVE } from './revocations.js'
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
   * Undefined once the log was read; until then a promise of it.
   *
   * @throws {Unavailable} reading has failed; the promise rejects with it too. Not with `onUnavailable: 'allow'`
   */
  wait(): Promise<void> | undefined
  /**
   * Appends the live revocations among these that the log does not have. Resolves when it has them.
   *
   * @throws {Unavailable} the log failed: they hold in this process, and are appended when it answers again
   * @throws {RevocationsFull} the log has no room
   */
  append(revocations: readonly Revocation[]): Promise<void>
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
  /** Seconds to wait for the end of a subscription. */
  readonly deadline: number
  readonly warn: (message: string) => void
}

/** Seconds that the log keeps entries: as long as a revocation may last, and an hour for clocks that differ. */
export const LOG_KEEPS = MAX_KEEP + 3600

/** Shares of the log's room that must stay free: the senders leave the operator's, and both leave room to write it anew. */
const RESERVE: Readonly<Record<RevokedBy, number>> = { sender: SENDERS_RESERVE, operator: 1 / 64 }

/** Milliseconds between two readings, ± 10 % so that a fleet spreads out. A wake-up reads at once. */
const READ_EVERY = 1000

/** Milliseconds until a process without the claim completes a log that has lost entries. */
const COMPLETE_AFTER = { least: 5000, most: 25_000 }

/** Milliseconds until a full log, or a subscription that failed, is tried again. */
const RETRY_AFTER = 30_000

/** Seconds for which one process has the claim to complete the log, or to write it anew. */
const CLAIM = { complete: 10, rewrite: 60 }

/** A log is written anew when it has more entries than these, and a quarter of the remembered revocations. */
const MANY_ENTRIES = 1000

/** … or when more characters were read than these, and four for each byte in memory. */
const MANY_CHARACTERS = 4 * 1024 * 1024

export function createRevocationLog(means: RevocationLogMeans): RevocationLog {
  const log = new DurableLog(means)
  log.start()
  return {
    wait: () => log.wait(),
    append: (revocations) => log.append(revocations),
    ready: () => log.ready(),
    health: () => log.health(),
    stats: () => log.stats(),
    close: () => log.close()
  }
}

class DurableLog {
  private readonly means: RevocationLogMeans
  private readonly reader: LogReader
  private readonly writer: LogWriter
  private readonly firstReading: Promise<void>
  private endFirstReading: (failure?: Error) => void = () => undefined
  private state: 'reading' | 'unread' | 'read' = 'reading'
  private failure: Error | undefined
  /** True if the log may not have everything that this process remembers. */
  private isBehind = false
  /** When this process completes a log that has lost entries, in milliseconds of the monotonic clock. */
  private completeAt: number | undefined
  /** Not before: when the log was full. */
  private appendAt = 0
  private subscribeAt = 0
  private timer: Timer | undefined
  private isRunning = false
  private isWoken = false
  private isClosed = false
  private unsubscribe: (() => unknown) | undefined

  constructor(means: RevocationLogMeans) {
    this.means = means
    this.reader = new LogReader(means)
    this.writer = createLogWriter((entry) => this.appendEntry(entry, { reserve: RESERVE[entry.by] }))
    this.firstReading = new Promise((resolve, reject) => {
      this.endFirstReading = (failure) => (failure === undefined ? resolve() : reject(failure))
    })
    // Whoever waits for it is told; without one, the failure is in `health()`.
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

  async append(revocations: readonly Revocation[]): Promise<void> {
    const missing = this.means.revocations.missing(revocations, this.reader.reading)
    if (missing.length === 0) return
    try {
      await this.writer.write(missing)
    } catch (cause) {
      this.isBehind = true
      if (!isLogFull(cause))
        throw new Unavailable('revocations', 'the log of revocations (`shared.log`) did not take a revocation', {
          cause,
          retryAfter: 1
        })
      this.appendAt = world.monotonic() + RETRY_AFTER
      throw new RevocationsFull(`the log of revocations has no room: ${cause.message}`)
    }
  }

  health(): LogHealth {
    if (this.state === 'unread' && this.means.onUnavailable === 'refuse')
      return { status: 'failed', error: `the log of revocations was never read: ${messageOf(this.failure)}` }
    const problem =
      (this.failure && `the log of revocations failed: ${messageOf(this.failure)}`) ??
      (this.reader.isFull()
        ? 'there is no room for the revocations of the log: raise `revocation.maxEntries`'
        : undefined) ??
      (this.isBehind ? 'the log of revocations does not have all revocations of this process yet' : undefined)
    return { status: problem === undefined ? 'ok' : 'degraded', error: problem }
  }

  stats(): LogStats {
    return { entries: this.reader.length, skipped: this.reader.skipped }
  }

  async close(): Promise<void> {
    this.isClosed = true
    world.cancel(this.timer)
    const end = this.unsubscribe
    this.unsubscribe = undefined
    if (end === undefined) return
    const late = (): Error => new Error('the subscription did not end')
    // With a deadline: a connection that is gone may never answer, and `close()` must go on.
    await withDeadline(Promise.resolve().then(end), this.means.deadline, late).catch(() => undefined)
  }

  /** Reads what is new, and mends the log where necessary. Never rejects. */
  private async round(): Promise<void> {
    this.isRunning = true
    try {
      do {
        this.isWoken = false
        const hasLost = await this.reader.read()
        this.readCompletely()
        await this.mend(hasLost)
      } while (this.isWoken && !this.isClosed)
      await this.subscribe()
      this.failure = undefined
    } catch (cause) {
      this.fail(cause)
    }
    this.isRunning = false
    if (this.isClosed) return
    this.timer = world.after(READ_EVERY * (0.9 + world.random() / 5), () => void this.round())
    this.timer.unref()
  }

  private wakeUp(): void {
    this.isWoken = true
    if (this.isRunning || this.isClosed) return
    world.cancel(this.timer)
    void this.round()
  }

  private readCompletely(): void {
    if (this.state === 'read') return
    this.state = 'read'
    this.endFirstReading()
  }

  private fail(cause: unknown): void {
    const failure = cause instanceof Error ? cause : new Error('it threw a value that is not an Error', { cause })
    if (this.failure === undefined && !this.isClosed)
      this.means.warn(
        `the log of revocations (\`shared.log\`) failed: ${failure.message}. ${this.state === 'read' ? 'Revocations of other processes do not arrive meanwhile' : 'Until it was read, requests get 503'}`
      )
    this.failure = failure
    if (this.state !== 'reading') return
    this.state = 'unread'
    this.endFirstReading(this.means.onUnavailable === 'refuse' ? this.unread() : undefined)
  }

  private unread(): Unavailable {
    const problem = 'the log of revocations (`shared.log`) was not read yet, so it is unknown which tokens are revoked'
    return new Unavailable('revocations', problem, { cause: this.failure, retryAfter: 1 })
  }

  /** Appends what the log has lost, or did not get. */
  private async mend(hasLost: boolean): Promise<void> {
    const time = world.monotonic()
    if ((hasLost || this.reader.hasPreviousSecret) && this.completeAt === undefined && this.isAnyMissing()) {
      // One process at once, the others later: by then they find in the log what the first one appended.
      const { least, most } = COMPLETE_AFTER
      const isOurs = await this.means.claim('complete', CLAIM.complete)
      this.completeAt = isOurs === true ? time : time + least + world.random() * (most - least)
    }
    this.reader.hasPreviousSecret = false
    const isDue = this.completeAt === undefined ? this.isBehind : time >= this.completeAt
    if (isDue && time >= this.appendAt && (await this.appendMissing())) {
      this.completeAt = undefined
      this.isBehind = false
    }
    if (this.isWorthRewriting() && (await this.means.claim('rewrite', CLAIM.rewrite)) === true) await this.rewrite()
  }

  private isAnyMissing(): boolean {
    for (const _ of this.means.revocations.allMissing(this.reader.reading)) return true
    return false
  }

  /** @returns false if the log has no room for all */
  private async appendMissing(): Promise<boolean> {
    try {
      for (const entry of inEntries(this.means.revocations.allMissing(this.reader.reading)))
        await this.appendEntry(entry, { reserve: RESERVE[entry.by] })
      return true
    } catch (cause) {
      this.isBehind = true
      if (!isLogFull(cause)) throw cause
      this.appendAt = world.monotonic() + RETRY_AFTER
      return false
    }
  }

  private async appendEntry(entry: RevocationEntry, how: Pick<LogAppending, 'reserve' | 'dropTo'>): Promise<void> {
    // Taken before: if the log loses entries meanwhile, this one may be among them.
    const { reading } = this.reader
    await this.means.log.append(writeEntry(entry), how)
    this.means.revocations.revokeLogged(entry.revocations, entry.by, reading)
  }

  /** Not while an entry could not be read or remembered: it would be dropped with the outdated ones. */
  private isWorthRewriting(): boolean {
    const { length, characters, skipped } = this.reader
    if (skipped > 0 || this.reader.isFull()) return false
    const { entries, bytes } = this.means.revocations.stats()
    return length > MANY_ENTRIES + entries / 4 || characters > MANY_CHARACTERS + 4 * bytes
  }

  /** Appends everything that this process remembers, and then drops everything that it has read. */
  private async rewrite(): Promise<void> {
    const { reading, newest } = this.reader
    const entries = [...inEntries(this.means.revocations.allMissing(Number.NaN))]
    const last = entries.pop() ?? { by: 'operator', revocations: [] }
    for (const entry of entries) await this.appendEntry(entry, { reserve: 0 })
    await this.reader.read()
    // A log that lost entries meanwhile may have lost some of the new ones too.
    if (this.reader.reading === reading) await this.appendEntry(last, { reserve: 0, dropTo: newest })
  }

  /** Without a subscription, this process reads once a second all the same. */
  private async subscribe(): Promise<void> {
    const time = world.monotonic()
    if (this.unsubscribe !== undefined || this.isClosed || time < this.subscribeAt) return
    this.subscribeAt = time + RETRY_AFTER
    const end = await this.means.log.wake(() => this.wakeUp())
    if (this.isClosed) await end()
    else this.unsubscribe = end
  }
}

function messageOf(error: Error | undefined): string {
  return error?.message ?? 'it has not answered yet'
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
  await log?.append(list)
  if (full !== undefined) throw full
}
