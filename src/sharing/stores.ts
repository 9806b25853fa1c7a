/** What processes share, as interfaces: an adapter for Redis implements them, and so can you. */
import type { Awaitable } from '../types.js'

/**
 * Remembers what may be used once, for every process that must know. What stands behind it must add atomically: of two
 * who add the same key at the same time, one is told that it was new (RFC 9449 §11.1).
 */
export interface OnceStore {
  /**
   * @param key  printable ASCII, at most 128 characters. What is before its first `.` names whose it is: a bound an owner
   *   may be set by that
   * @param ttl  seconds after which the key may be forgotten, not before
   * @returns true if the key was not there, and is now; false if it was. Anything else is an outage: 503
   * @throws {OwnerQuotaExceeded} the owner has used its own share: 429. Every other error is an outage: 503
   */
  add(key: string, ttl: number): Awaitable<boolean>
}

/** Text by key, for a time, shared by processes. Best effort: what it has lost or cannot say is asked for again. */
export interface Cache {
  /** @returns the value, or nothing */
  get(key: string): Awaitable<string | null | undefined>
  /** @param ttl seconds, at least 1 */
  set(key: string, value: string, ttl: number): Awaitable<unknown>
  delete(key: string): Awaitable<unknown>
}

/**
 * Tells every process something, once, the one that says it too: by that it knows that it hears. Best effort: who is not
 * there does not hear it.
 */
export interface Channel {
  publish(message: string): Awaitable<unknown>
  /** @returns a function that ends it */
  subscribe(listener: (message: string) => void): Awaitable<() => unknown>
}
