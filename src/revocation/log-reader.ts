/**
 * Reads the log of revocations into the memory of this process: from the beginning at first, later the new entries. It
 * begins again when the log may have lost entries or others dropped some, when the clock was set back, or when the memory
 * has room again.
 *
 * Does NOT decide when to read, and does NOT append: see `revocation-log.ts`.
 *
 * Tests: `test/revocation/revocation-log.test.ts`.
 */
import { world } from '../base/world.js'
import type { SealedLog } from '../sharing/sealed-log.js'
import type { LogEntry, LogPage } from '../sharing/stores.js'
import { readEntry } from './log-entry.js'
import type { Revocation } from './revocation.js'
import { type Revocations, RevocationsFull, type RevokedBy } from './revocations.js'

/** Entries of one page. */
const PAGE = 100

/** Maximum beginnings in one `read()`: a log that loses entries faster than they can be read is out of order. */
const MAX_BEGINNINGS = 3

/** Revocations after which the event loop gets a turn. */
const TURN = 100

/** Milliseconds after which a long task reads in between. */
const IN_TIME = 1000

/** Milliseconds by which reading overlaps, in case that an entry appeared before those that were read already. */
const OVERLAP = 60_000

/** Milliseconds between two readings that overlap. */
const OVERLAP_EVERY = 15_000

/** Milliseconds between two checks of what others dropped from the log. */
const CHECK_EVERY = 600_000

/** Maximum positions remembered from the overlap. Earlier entries are read twice, which changes nothing. */
const MAX_RECENT = 20_000

/** Seconds by which the clock may be set back before the log is read again: ended entries were forgotten meanwhile. */
const CLOCK_STEP = 5

/** Seconds by which the clocks of two processes may differ. */
const MAX_SKEW = 300

/** Milliseconds for which this process counts as one whose clock may be ahead. */
const AHEAD_FOR = 3_600_000

/** Milliseconds between two warnings about one problem: otherwise a writer to the engine could fill the operator's log. */
const WARN_EVERY = 60_000

export interface LogReaderMeans {
  readonly log: SealedLog
  readonly revocations: Revocations
  /** Seconds since the epoch. */
  readonly now: () => number
  readonly warn: (message: string) => void
}

export class LogReader {
  /** Counts the beginnings. */
  reading = 1
  /** Entries that the log had at the end of the last page. */
  length = 0
  /** Entries of this reading that are of another format, or were made without the secret. */
  skipped = 0
  private taken = { entries: 0, characters: 0 }
  /** True if this reading found entries under the previous secret. */
  hasPreviousSecret = false
  /** True if the log may lack entries that are needed. The owner sets it back: a reading that fails halfway must not forget the loss. */
  hasLost = false
  /** Position of the newest entry that was read. */
  newest: string | undefined
  /** Positions of entries that this process appended and has not read yet. */
  private readonly unread = new Set<string>()
  /** When the last reading ended, in milliseconds of the monotonic clock. */
  private endedAt = Number.NEGATIVE_INFINITY
  private first: string | undefined
  private incarnation: string | undefined
  /** Bytes in use when an entry found no room in the memory; undefined before that. */
  private fullAt: number | undefined
  /** The positions read in the last minute, with the time, the oldest first; and the newest position before them. */
  private readonly recent = new Map<string, number>()
  private beforeRecent: string | undefined
  private overlapAt = 0
  /** True if the oldest entry is gone: too old, or outdated, by the clocks and the memory of others. */
  private isShortened = false
  private checkAt = 0
  /** When the last reading to the end began, in seconds since the epoch; undefined while the log is read from the beginning. */
  private readAt: number | undefined
  private aheadUntil = 0
  /** The clock minus the monotonic clock, in seconds: the highest since the log was read from the beginning. */
  private offset: number | undefined
  private readonly warnedAt = new Map<string, number>()
  private readonly means: LogReaderMeans

  constructor(means: LogReaderMeans) {
    this.means = means
  }

  /** Expects the next reading to find an entry that was appended. */
  expect(position: string): void {
    // A reading may be faster than the acknowledgement.
    if (this.unread.size < MAX_RECENT && !this.recent.has(position)) this.unread.add(position)
  }

  /**
   * Reads to the end. Begins again if the log may have lost entries.
   *
   * @throws {Error} the log failed, or answered nonsense; earlier entries hold
   */
  async read(): Promise<void> {
    if (this.isClockSetBack() || this.hasRoomAgain()) this.begin()
    const expected = [...this.unread]
    const readAt = this.means.now()
    let after = this.startingPoint()
    let isFromBeginning = after === undefined
    let beginnings = 0
    for (;;) {
      const page = await this.means.log.read({ after, first: this.first, limit: PAGE })
      const isLost = !page.isWhole || (this.incarnation ?? page.incarnation) !== page.incarnation
      this.incarnation = page.incarnation
      if (!isLost) {
        await this.takeAll(page)
        after = page.entries.at(-1)?.position ?? after
        if (page.entries.length === PAGE) continue
        // An appended entry that this reading does not find was lost before it was read.
        const isAllFound = !expected.some((position) => this.unread.has(position))
        if (isAllFound && !this.isCheckDue()) break
      }
      this.hasLost = true
      if (++beginnings > MAX_BEGINNINGS)
        throw new Error(`the log lost entries ${MAX_BEGINNINGS} times while it was read`)
      this.begin()
      after = undefined
      isFromBeginning = true
    }
    // A long reading from the beginning is not repeated for the overlap.
    if (isFromBeginning) this.overlapFromHere()
    this.readAt = readAt
    this.endedAt = world.monotonic()
  }

  /** Reads if the last reading is a second old: appending many entries takes longer, and others revoke meanwhile. */
  async readInTime(): Promise<void> {
    if (world.monotonic() >= this.endedAt + IN_TIME) await this.read()
  }

  /** Characters of all values in the log, estimated from those that were read. */
  size(): number {
    const { entries, characters } = this.taken
    return entries === 0 ? 0 : (characters / entries) * this.length
  }

  /** True while the memory has no room for an entry of the log. */
  isFull(): boolean {
    return this.fullAt !== undefined && this.means.revocations.stats().bytes >= this.fullAt
  }

  /** True if the clock of this process may be ahead: what has ended by it may be needed by others. */
  isAhead(): boolean {
    return world.monotonic() < this.aheadUntil
  }

  private begin(): void {
    this.reading++
    this.skipped = 0
    this.taken = { entries: 0, characters: 0 }
    this.hasPreviousSecret = false
    this.newest = undefined
    this.first = undefined
    this.isShortened = false
    this.readAt = undefined
    this.unread.clear()
    this.fullAt = undefined
    this.recent.clear()
    this.beforeRecent = undefined
  }

  /**
   * A process, or the engine, whose clock is ahead drops entries that are still needed. So this process looks whether the
   * rest of the log has all that it remembers.
   */
  private isCheckDue(): boolean {
    const time = world.monotonic()
    if (!this.isShortened || time < this.checkAt) return false
    this.checkAt = time + CHECK_EVERY
    return true
  }

  private startingPoint(): string | undefined {
    const time = world.monotonic()
    this.forgetBefore(time - OVERLAP)
    if (this.newest === undefined || time < this.overlapAt) return this.newest
    this.overlapAt = time + OVERLAP_EVERY
    return this.beforeRecent
  }

  private overlapFromHere(): void {
    this.recent.clear()
    this.beforeRecent = this.newest
    this.overlapAt = world.monotonic() + OVERLAP_EVERY
  }

  private forgetBefore(time: number): void {
    for (const [position, readAt] of this.recent) {
      if (readAt >= time && this.recent.size <= MAX_RECENT) return
      this.recent.delete(position)
      this.beforeRecent = position
    }
  }

  private async takeAll({ entries, first, length }: LogPage): Promise<void> {
    this.isShortened ||= this.first !== undefined && first !== this.first
    this.first = first
    this.length = length
    const time = world.monotonic()
    let taken = 0
    for (const entry of entries) {
      this.newest = entry.position
      this.unread.delete(entry.position)
      if (this.recent.has(entry.position)) continue
      this.recent.set(entry.position, time)
      taken += this.take(entry)
      if (taken < TURN) continue
      taken = 0
      await new Promise<void>((resolve) => world.soon(resolve))
    }
    this.forgetBefore(time - OVERLAP)
  }

  /** @returns the number of revocations in the entry */
  private take({ value }: LogEntry): number {
    this.taken.entries++
    this.taken.characters += value.length
    const opened = this.means.log.open(value)
    const entry = opened && readEntry(opened.text)
    if (opened === undefined || entry === undefined) {
      this.skipped++
      this.warnSometimes(
        opened === undefined
          ? 'an entry in the log of revocations was not made with `shared.secret`, and was skipped'
          : 'an entry in the log of revocations has a format that this release does not know, and was skipped'
      )
      return 1
    }
    if (!opened.isCurrent) this.hasPreviousSecret = true
    this.compareClocks(entry.revocations)
    const reading = opened.isCurrent ? this.reading : 0
    try {
      this.means.revocations.revokeLogged(entry.revocations, entry.by, reading)
    } catch {
      for (const one of entry.revocations) this.takeOne(one, entry.by, reading)
    }
    return entry.revocations.length
  }

  /** A new entry whose revocations had ended before the last reading comes from a process with another clock. */
  private compareClocks(revocations: readonly Revocation[]): void {
    const { readAt } = this
    if (readAt === undefined) return
    for (const one of revocations as readonly (Revocation | null)[]) {
      if (one?.until === undefined || !(one.until < readAt - MAX_SKEW)) continue
      this.aheadUntil = world.monotonic() + AHEAD_FOR
      this.warnSometimes(
        `by the clock of this process, a revocation had ended ${Math.round(readAt - one.until)} s before it arrived: synchronize the clocks of all processes`
      )
      return
    }
  }

  /** One at a time: a revocation that is not understood, or has no room, must not block the others. */
  private takeOne(one: Revocation, by: RevokedBy, reading: number): void {
    try {
      this.means.revocations.revokeLogged([one], by, reading)
    } catch (cause) {
      if (cause instanceof RevocationsFull) {
        this.fullAt = this.means.revocations.stats().bytes
        this.warnSometimes(`revocations in the log could not be remembered: ${cause.message}`)
      } else {
        this.skipped++
        this.warnSometimes(`a revocation in the log is not understood, and was skipped: ${String(cause)}`)
      }
    }
  }

  private hasRoomAgain(): boolean {
    return this.fullAt !== undefined && !this.isFull()
  }

  private isClockSetBack(): boolean {
    const offset = this.means.now() - world.monotonic() / 1000
    const isBack = this.offset !== undefined && offset < this.offset - CLOCK_STEP
    // The highest since: small steps add up.
    this.offset = this.offset !== undefined && !isBack && this.offset > offset ? this.offset : offset
    return isBack
  }

  private warnSometimes(message: string): void {
    const time = world.monotonic()
    const kind = message.slice(0, 40)
    if (time < (this.warnedAt.get(kind) ?? Number.NEGATIVE_INFINITY) + WARN_EVERY) return
    this.warnedAt.set(kind, time)
    this.means.warn(message)
  }
}
