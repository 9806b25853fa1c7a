/** Interfaces of the state that processes share. The Redis integration implements them; you can implement them too. */
import type { Awaitable } from '../types.js'

/**
 * Remembers keys that may be used once, for every process. The implementation must add atomically: of two concurrent
 * calls with the same key, exactly one learns that it was new (RFC 9449 §11.1).
 */
export interface OnceStore {
  /**
   * @param key printable ASCII, at most 128 characters. The text before its first `.` names the owner: a store may
   * limit entries per owner
   * @param ttl seconds for which the key must be remembered
   * @returns true if the key was new and is stored now; false if it existed. Any other value is an outage: 503
   * @throws {OwnerQuotaExceeded} the owner has used its share: 429. Every other error is an outage: 503
   */
  add(key: string, ttl: number): Awaitable<boolean>
}

/** Text by key, for a limited time, shared by processes. Best effort: a missing value is fetched again. */
export interface Cache {
  /** @returns the value; undefined or null if it is missing */
  get(key: string): Awaitable<string | null | undefined>
  /** @param ttl seconds, at least 1 */
  set(key: string, value: string, ttl: number): Awaitable<unknown>
  delete(key: string): Awaitable<unknown>
}

/** One text in a {@link Log}, and where it stands. Only the log itself can compare two positions. */
export interface LogEntry {
  readonly position: string
  readonly value: string
}

/** A part of a {@link Log}, and what the log is now. */
export interface LogPage {
  /** In the order of the log, the oldest first; at most `limit`. */
  readonly entries: readonly LogEntry[]
  /** Position of the oldest entry that the log holds; undefined if it holds none. */
  readonly first: string | undefined
  /** How many entries the log holds. */
  readonly length: number
  /**
   * False if entries that the reader knows may be missing: the newest entry that the log remembers is older than `after`, or
   * the entry at `first` is gone although it is not `keep` seconds old.
   */
  readonly isWhole: boolean
  /**
   * Names this run of the engine. Another name means that the engine was restarted, or that another server took its place:
   * the last entries may be lost. Empty if the engine does not tell.
   */
  readonly incarnation: string
}

/** What a reader knows of a {@link Log}. */
export interface LogReading {
  /** Read only entries after this position. Default: from the beginning. */
  readonly after?: string | undefined
  /** The oldest position that an earlier page named. */
  readonly first?: string | undefined
  /** Maximum entries of the page: a positive integer. */
  readonly limit: number
  /** Seconds: entries that were appended longer ago, by the clock of the log, may be missing. */
  readonly keep: number
}

/** How to append to a {@link Log}. */
export interface LogAppending {
  /** Seconds: the log may drop entries that were appended longer ago, by its own clock. */
  readonly keep: number
  /** The entry may only be appended while more than this share of the log's room is free: 0 or more, less than 1. */
  readonly reserve: number
  /** Entries up to and including this position are not needed any more. */
  readonly dropTo?: string | undefined
}

/**
 * A durable list of texts that all processes of an API append to and read: an engine such as Redis keeps it. An appended
 * entry is seen by each later `read`, never before an entry that stands after it.
 */
export interface Log {
  /**
   * Appends in one atomic step, and wakes the readers. Resolves when the engine holds the entry.
   *
   * @param name printable ASCII, at most 128 characters: logs of different names have nothing in common
   * @throws {LogFull} no room; nothing was appended or dropped for it. Every other error is an outage
   */
  append(name: string, value: string, how: LogAppending): Awaitable<unknown>
  /** Reads a page. Fails if the engine cannot answer; a log without entries is not a failure. */
  read(name: string, how: LogReading): Awaitable<LogPage>
  /**
   * Calls the listener soon after each `append` of any process. Best effort: readers also look once a second.
   *
   * @returns a function that ends it
   */
  wake?(name: string, listener: () => void): Awaitable<() => unknown>
}
