/**
 * Appends the revocations of this process to the log, and keeps the log whole. A log that has lost entries gets them back
 * from the processes that remember them: one does it, and the others complete it within 30 s. A log with many outdated
 * entries is written anew.
 *
 * Does NOT decide when: `revocation-log.ts` calls it after each reading.
 *
 * Tests: `test/revocation/revocation-log.test.ts`.
 */
import { world } from '../base/world.js'
import { isLogFull, type SealedLog } from '../sharing/sealed-log.js'
import type { LogAppending } from '../sharing/stores.js'
import { inEntries, type RevocationEntry, writeEntry } from './log-entry.js'
import type { LogReader } from './log-reader.js'
import { createLogWriter, type LogWriter } from './log-writer.js'
import type { Revocation } from './revocation.js'
import { type OwnedRevocation, type Revocations, type RevokedBy, SENDERS_RESERVE } from './revocations.js'

/** Shares of the log's room that must stay free: the senders leave the operator's, and both leave room to write it anew. */
const RESERVE: Readonly<Record<RevokedBy, number>> = { sender: SENDERS_RESERVE, operator: 1 / 64 }

/** Milliseconds until a process without the claim completes a log that has lost entries. */
const COMPLETE_AFTER = { least: 5000, most: 25_000 }

/** Milliseconds until a full log is tried again. */
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

export interface LogKeeperMeans {
  readonly log: SealedLog
  readonly revocations: Revocations
  readonly reader: LogReader
  /** Lets one of all processes do something: see `Shared.once`. */
  readonly claim: (task: string, ttl: number) => Promise<boolean | undefined>
}

export class LogKeeper {
  /** True until the log was read and mended once. */
  private isNew = true
  /** True if the log may not have everything that this process remembers. */
  isBehind = false
  /** When this process completes a log that has lost entries, in milliseconds of the monotonic clock. */
  private completeAt: number | undefined
  /** The revocations that the log did not take, as far as they are few. */
  private refused: Revocation[] = []
  /** Not before: when the log was full. */
  private appendAt = 0
  /** True if the log refused the last entry because it is full. */
  private hasNoRoom = false
  private readonly means: LogKeeperMeans
  private readonly reader: LogReader
  private readonly writer: LogWriter

  constructor(means: LogKeeperMeans) {
    this.means = means
    this.reader = means.reader
    this.writer = createLogWriter((entry, by) => this.appendFor(by, entry))
  }

  /**
   * Appends the live revocations among these that the log does not have.
   *
   * @param isSure  false: append those too that the last reading found
   * @throws {Error} the log failed, or with the name `LogFull` has no room. They are appended later
   */
  async append(revocations: readonly Revocation[], by: RevokedBy, isSure: boolean): Promise<void> {
    const missing = this.means.revocations.missing(revocations, isSure ? this.reader.reading : Number.NaN)
    if (missing.length === 0) return
    try {
      await this.writer.write(missing, by)
    } catch (cause) {
      this.isBehind = true
      if (this.refused.length < MAX_REFUSED) this.refused.push(...revocations)
      throw cause
    }
  }

  /** Appends the revocations that the log has lost, or never had. */
  async mend(): Promise<void> {
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
        await this.reader.readInTime()
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
        await this.reader.readInTime()
      }
      await this.reader.read()
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
}
