/**
 * The revocations of all processes of this API, in a log that an engine keeps (`shared.log`): each process appends its own
 * and reads those of the others, so that they outlive every process.
 *
 * At start requests wait until the log was read, and get 503 if that takes too long. Later, while it fails, this process goes on with what it remembers. A log that
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
import {
  type OwnedRevocation,
  type Revocations,
  RevocationsFull,
  type RevokedBy,
  SENDERS_RESERVE
} from './revocations.js'
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

/** Shares of the log's room that must stay free: the senders leave the operator's, and both leave room to write it anew. */
const RESERVE: Readonly<Record<RevokedBy, number>> = { sender: SENDERS_RESERVE, operator: 1 / 64 }

/** Milliseconds between two readings, ± 10 % so that a fleet spreads out. A wake-up reads at once. */
const READ_EVERY = 1000

/** Readings by wake-ups: at most so many at once, and a second. A sender of events can cause any number of wake-ups. */
const MAX_WOKEN = 50

/** Milliseconds between two attempts at start: a client of the engine needs a moment to connect. */
const TRY_EVERY = 100

/** Milliseconds until a process without the claim completes a log that has lost entries. */
const COMPLETE_AFTER = { least: 5000, most: 25_000 }

/** Milliseconds until a full log, or a subscription that failed, is tried again. */
const RETRY_AFTER = 30_000

/** Maximum revocations of which this process remembers that the log did not take them: of more, it only knows that. */
const MAX_REFUSED = 1000

/** Seconds for which one process has the claim to complete the log, or to write it anew. */
const CLAIM = { complete: 10, rewrite: 20 }

/** A log may be written anew when it has more entries than these, and a quarter of the remembered revocations. */
const MANY_ENTRIES = 1000

/** … or when it is longer than this, and four characters for each byte in memory … */
const MANY_CHARACTERS = 4 * 1024 * 1024

/** … if it then has at most this share of its entries or characters; a full log: this share, which leaves room for them. */
const SHARE_ANEW = { usual: 1 / 2, full: 1 / 8 }

/**
 * Senders append nothing to a log that is longer than this, and eight characters for each byte that the memory may have. The
 * engine counts entries only, and an entry may be 250 bytes or 43 KiB.
 */
const MAX_CHARACTERS = 16 * 1024 * 1024

const NO_REVOCATIONS: RevocationEntry = Object.freeze({ by: 'operator', revocations: [] })

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
  private readonly writer: LogWriter
  /** When requests no longer wait for the first reading, in milliseconds of the monotonic clock. */
  private readonly patientUntil: number
  private readonly firstReading: Promise<void>
  private endFirstReading: (failure?: Error) => void = () => undefined
  private state: 'reading' | 'unread' | 'read' = 'reading'
  private failure: Error | undefined
  /** True until the log was read and mended once. */
  private isNew = true
  /** True if the log may not have everything that this process remembers. */
  private isBehind = false
  /** When this process completes a log that has lost entries, in milliseconds of the monotonic clock. */
  private completeAt: number | undefined
  /** The revocations that the log did not take, as far as they are few. */
  private refused: Revocation[] = []
  /** Not before: when the log was full. */
  private appendAt = 0
  private subscribeAt = 0
  /** True if the log refused the last entry because it is full. */
  private hasNoRoom = false
  private timer: Timer | undefined
  private readAgainAt = 0
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
    this.writer = createLogWriter((entry, by) => this.appendFor(by, entry))
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
    const missing = this.means.revocations.missing(revocations, isSure ? this.reader.reading : Number.NaN)
    if (missing.length === 0) return
    try {
      await this.writer.write(missing, by)
    } catch (cause) {
      this.isBehind = true
      if (this.refused.length < MAX_REFUSED) this.refused.push(...revocations)
      if (!isLogFull(cause))
        throw new Unavailable('revocations', 'the log of revocations (`shared.log`) did not take a revocation', {
          cause,
          retryAfter: 1
        })
      throw new RevocationsFull(`the log of revocations has no room: ${cause.message}`)
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
      (this.isBehind ? 'the log of revocations does not have all revocations of this process yet' : undefined)
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

  /** Reads the new entries, and mends the log where necessary. Never rejects. */
  private async round(): Promise<void> {
    this.isRunning = true
    try {
      do {
        this.isWoken = false
        await this.read()
        this.readCompletely()
        await this.mend()
      } while (this.isWoken && !this.isClosed && this.mayReadAtOnce())
      this.subscribe()
      this.failure = undefined
    } catch (cause) {
      this.fail(cause)
    }
    this.isRunning = false
    if (this.isClosed) return
    const every = this.state === 'reading' ? TRY_EVERY : READ_EVERY
    this.timer = world.after(every * (0.9 + world.random() / 5), () => void this.round())
    this.timer.unref()
  }

  private async read(): Promise<void> {
    await this.reader.read()
    this.readAgainAt = world.monotonic() + READ_EVERY
  }

  /** Many entries take seconds to append, and revocations of other processes must arrive meanwhile. */
  private async readInTime(): Promise<void> {
    if (world.monotonic() >= this.readAgainAt) await this.read()
  }

  private wakeUp(): void {
    this.isWoken = true
    if (this.isRunning || this.isClosed || !this.mayReadAtOnce()) return
    world.cancel(this.timer)
    void this.round()
  }

  /** The other wake-ups wait for the reading of this second. */
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

  /** Appends the revocations that the log has lost, or never had. */
  private async mend(): Promise<void> {
    const time = world.monotonic()
    const { hasLost, hasPreviousSecret } = this.reader
    if ((hasLost || hasPreviousSecret) && this.completeAt === undefined && this.isAnyMissing()) {
      // One process at once, the others later: by then they find in the log what the first one appended.
      const { least, most } = COMPLETE_AFTER
      const isOurs = await this.means.claim('complete', CLAIM.complete)
      this.completeAt = isOurs === true ? time : time + least + world.random() * (most - least)
    }
    this.reader.hasLost = false
    const isDue = this.completeAt === undefined ? this.isBehind : time >= this.completeAt
    // Only at start: while a new secret is rolled out, processes with either order of secrets run, and would take turns.
    const isOutdated = hasPreviousSecret && this.isNew && this.isReadWhole()
    if (time >= this.appendAt) await (isDue ? this.catchUp(isOutdated) : this.appendRefused())
    if (this.isLong() && (await this.means.claim('rewrite', CLAIM.rewrite)) === true && (await this.isShorterAnew()))
      await this.rewrite()
    this.reader.hasPreviousSecret = false
    this.isNew = false
  }

  private async catchUp(isOutdated: boolean): Promise<void> {
    // Set back before: a revocation that fails meanwhile sets it again.
    this.isBehind = false
    let isDone = false
    try {
      isDone = await (isOutdated ? this.rewrite() : this.appendMissing())
    } finally {
      if (isDone) this.completeAt = undefined
      else this.isBehind = true
    }
  }

  private isAnyMissing(): boolean {
    for (const _ of this.means.revocations.allMissing(this.reader.reading)) return true
    return false
  }

  /** Appends at once those that no other process may have, while the others wait for their turn. */
  private async appendRefused(): Promise<void> {
    const { refused } = this
    if (refused.length === 0) return
    this.refused = []
    let isDone = false
    try {
      isDone = await this.appendAll(this.means.revocations.missing(refused, this.reader.reading))
    } finally {
      if (!isDone && this.refused.length < MAX_REFUSED) this.refused.push(...refused)
    }
  }

  /** @returns false if the log has no room for all, or lost entries meanwhile */
  private appendMissing(): Promise<boolean> {
    this.refused = []
    return this.appendAll(this.means.revocations.allMissing(this.reader.reading))
  }

  private async appendAll(revocations: Iterable<OwnedRevocation>): Promise<boolean> {
    const { reading } = this.reader
    try {
      for (const entry of inEntries(revocations)) {
        await this.appendFor(entry.by, entry)
        await this.readInTime()
        if (this.reader.reading !== reading) return false
      }
      return true
    } catch (cause) {
      if (!isLogFull(cause)) throw cause
      this.appendAt = world.monotonic() + RETRY_AFTER
      return false
    }
  }

  /** @throws {Error} with the name `LogFull`: no room for this origin */
  private async appendFor(by: RevokedBy, entry: RevocationEntry): Promise<void> {
    if (by === 'sender' && this.reader.size() > MAX_CHARACTERS + 8 * this.means.revocations.stats().maxBytes)
      throw Object.assign(new Error('senders append nothing to it until it is written anew, because it is too long'), {
        name: 'LogFull'
      })
    await this.appendEntry(entry, { reserve: RESERVE[by] })
  }

  private async appendEntry(entry: RevocationEntry, how: Pick<LogAppending, 'reserve' | 'dropTo'>): Promise<void> {
    // Taken before: if the log loses entries meanwhile, this one may be among them.
    const { reading } = this.reader
    try {
      this.reader.expect(await this.means.log.append(writeEntry(entry), how))
      this.hasNoRoom = false
    } catch (cause) {
      this.hasNoRoom = isLogFull(cause)
      throw cause
    }
    this.means.revocations.revokeLogged(entry.revocations, entry.by, reading)
  }

  /** True if the log may be longer than needed. Cheap. */
  private isLong(): boolean {
    const { entries, bytes } = this.means.revocations.stats()
    const isLong = this.reader.length > MANY_ENTRIES + entries / 4 || this.reader.size() > MANY_CHARACTERS + 4 * bytes
    return (isLong || this.hasNoRoom) && this.isReadWhole()
  }

  /** Measures the log that `rewrite` would write: names may have any length, and each revocation repeats its issuer. */
  private async isShorterAnew(): Promise<boolean> {
    let entries = 0
    let characters = 0
    for (const entry of inEntries(this.means.revocations.allMissing(Number.NaN))) {
      entries++
      characters += (Buffer.byteLength(writeEntry(entry)) * 4) / 3
      await new Promise<void>((resolve) => world.soon(resolve))
    }
    const { length } = this.reader
    if (this.hasNoRoom) return entries <= length * SHARE_ANEW.full
    return entries <= length * SHARE_ANEW.usual || characters <= this.reader.size() * SHARE_ANEW.usual
  }

  /** False if this process could not read or remember an entry, or may have forgotten one too early: a new log would lack it. */
  private isReadWhole(): boolean {
    return this.reader.skipped === 0 && !this.reader.isFull() && !this.reader.isAhead()
  }

  /**
   * Appends everything that this process remembers, and then drops everything that it has read.
   *
   * @returns false if the log has no room for it, or lost entries meanwhile: some of the new ones may be among them
   */
  private async rewrite(): Promise<boolean> {
    const { reading, newest } = this.reader
    let last: RevocationEntry | undefined
    try {
      for (const entry of inEntries(this.means.revocations.allMissing(Number.NaN))) {
        if (last !== undefined) await this.appendEntry(last, { reserve: 0 })
        last = entry
        await this.readInTime()
      }
      await this.read()
      if (this.reader.reading !== reading) {
        this.isBehind = true
        return false
      }
      await this.appendEntry(last ?? NO_REVOCATIONS, { reserve: 0, dropTo: newest })
    } catch (cause) {
      if (isLogFull(cause)) return false
      throw cause
    }
    this.appendAt = 0
    return true
  }

  /**
   * Without a subscription, this process reads once a second all the same. Readings do not wait for it: a client whose
   * connection is gone may hold the command back until it has connected.
   */
  private subscribe(): void {
    const time = world.monotonic()
    if (this.isSubscribing || this.isClosed || time < this.subscribeAt) return
    this.isSubscribing = true
    this.subscribeAt = time + RETRY_AFTER
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
