/**
 * A {@link Log} in memory, for tests: it behaves like the stream of a Redis, and can be told to lose, drop or refuse what a real
 * engine loses, drops or refuses in a failover. The clock is yours, so a test of it is deterministic.
 *
 * Not for production: nothing outlives the process.
 *
 * Tests: `test/test-kit/log.test.ts`.
 */
import { requireOptions } from '../src/base/options/spelling.js'
import type { Log, LogAppending, LogEntry, LogPage, LogReading } from '../src/index.js'

/** Options of `createTestLog()`. */
export interface TestLogOptions {
  /** Maximum entries of one log. Default 200,000. */
  readonly maxEntries?: number
  /** Seconds since the epoch. Default: the time of day. */
  readonly now?: () => number
}

/** A log in memory, and the faults that a test can cause. Each fault affects the logs of all names. */
export interface TestLog extends Log {
  readonly wake: NonNullable<Log['wake']>
  /** A failover to a server that had not received the last entries: forgets the newest `count` entries, and restarts. */
  lose(count: number): void
  /** An operator deletes the logs (`FLUSHALL`, `DEL`). The engine keeps running. */
  empty(): void
  /** Another program removes the oldest `count` entries. */
  trim(count: number): void
  /** The engine restarts with all entries. */
  restart(): void
  /** Every call fails with this error; `fail(undefined)` ends it. */
  fail(error: Error | undefined): void
}

/** Maximum names of one test log. */
const MAX_NAMES = 1000

interface Stamp {
  readonly milliseconds: number
  readonly count: number
}

interface Stored extends LogEntry {
  readonly stamp: Stamp
}

interface Stream {
  readonly entries: Stored[]
  /** The newest position that this log remembers, of an entry that may be gone. */
  last: Stamp
  /** The first entry after those that appends dropped. */
  start: Stamp | undefined
  readonly listeners: Set<{ readonly call: () => void }>
}

/**
 * Creates a log in memory. It passes `logContract()`.
 *
 * @throws {TypeError} a name that is not an option, or a value of another type
 */
export function createTestLog(options: TestLogOptions = {}): TestLog {
  requireOptions('createTestLog()', options, { maxEntries: 200_000, now: () => 0 })
  const { maxEntries = 200_000, now = () => Date.now() / 1000 } = options
  const streams = new Map<string, Stream>()
  let run = 1
  let failure: Error | undefined
  const milliseconds = (): number => Math.floor(now() * 1000)
  const streamOf = (name: string): Stream => {
    if (failure) throw failure
    const known = streams.get(name)
    if (known) return known
    if (streams.size >= MAX_NAMES) throw new Error(`a test log has at most ${MAX_NAMES} names`)
    const stream: Stream = { entries: [], last: { milliseconds: 0, count: 0 }, start: undefined, listeners: new Set() }
    streams.set(name, stream)
    return stream
  }
  return {
    append: async (name, value, how) => {
      const stream = streamOf(name)
      const position = append(stream, value, how, milliseconds(), maxEntries)
      for (const { call } of stream.listeners) queueMicrotask(call)
      return position
    },
    read: async (name, how) => ({ ...pageOf(streamOf(name), how, milliseconds()), incarnation: `run-${run}` }),
    wake: async (name, listener) => {
      const { listeners } = streamOf(name)
      const one = { call: () => void (listeners.has(one) && listener()) }
      listeners.add(one)
      return () => void listeners.delete(one)
    },
    lose: (count) => {
      run++
      for (const stream of streams.values()) {
        stream.entries.splice(Math.max(0, stream.entries.length - count))
        stream.last = stream.entries.at(-1)?.stamp ?? { milliseconds: 0, count: 0 }
      }
    },
    empty: () => {
      for (const stream of streams.values()) {
        stream.entries.length = 0
        stream.last = { milliseconds: 0, count: 0 }
        stream.start = undefined
      }
    },
    trim: (count) => {
      for (const { entries } of streams.values()) entries.splice(0, count)
    },
    restart: () => {
      run++
    },
    fail: (error) => {
      failure = error
    }
  }
}

function append(stream: Stream, value: string, how: LogAppending, time: number, maxEntries: number): string {
  const { keep, reserve, dropTo } = how
  const { entries, last } = stream
  dropBefore(entries, { milliseconds: time - keep * 1000, count: 0 })
  // Without the small number, 10 × (1 - 0.9) would be less than 1.
  if (entries.length + 1 > Math.floor(maxEntries * (1 - reserve) + 1e-6))
    throw Object.assign(new Error(`the test log has no room: maxEntries is ${maxEntries}`), { name: 'LogFull' })
  const stamp =
    time > last.milliseconds
      ? { milliseconds: time, count: 0 }
      : { milliseconds: last.milliseconds, count: last.count + 1 }
  const appended = `${stamp.milliseconds}-${stamp.count}`
  entries.push({ position: appended, value, stamp })
  stream.last = stamp
  const dropped = entries.findIndex(({ position }) => position === dropTo)
  if (dropped >= 0) {
    entries.splice(0, dropped + 1)
    stream.start = entries[0]?.stamp
  }
  return appended
}

function pageOf(stream: Stream, how: LogReading, time: number): Omit<LogPage, 'incarnation'> {
  const { entries, last, start } = stream
  const after = stampOf(how.after)
  const first = stampOf(how.first)
  const isHeld = (one: Stamp): boolean => entries.some(({ stamp }) => !isBefore(stamp, one) && !isBefore(one, stamp))
  const isOld = (one: Stamp): boolean => one.milliseconds < time - how.keep * 1000
  const isExplained = (gone: Stamp): boolean =>
    isOld(gone) || (start !== undefined && isBefore(gone, start) && (isHeld(start) || isOld(start)))
  return {
    entries: entries
      .filter(({ stamp }) => after === undefined || isBefore(after, stamp))
      .slice(0, how.limit)
      .map(({ position, value }) => ({ position, value })),
    first: entries[0]?.position,
    length: entries.length,
    isWhole:
      !(after !== undefined && isBefore(last, after)) && (first === undefined || isHeld(first) || isExplained(first))
  }
}

function stampOf(position: string | undefined): Stamp | undefined {
  if (position === undefined) return undefined
  const [, milliseconds, count] = /^(\d+)-(\d+)$/.exec(position) ?? []
  if (count === undefined) throw new TypeError(`a position of a test log is like 1700000000000-0, not ${position}`)
  return { milliseconds: Number(milliseconds), count: Number(count) }
}

function isBefore(one: Stamp, other: Stamp): boolean {
  return one.milliseconds === other.milliseconds ? one.count < other.count : one.milliseconds < other.milliseconds
}

function dropBefore(entries: Stored[], bound: Stamp): void {
  const kept = entries.findIndex(({ stamp }) => !isBefore(stamp, bound))
  entries.splice(0, kept < 0 ? entries.length : kept)
}
