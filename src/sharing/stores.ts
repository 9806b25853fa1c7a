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

/**
 * Sends a message to every process, including the sender, which thus learns that its subscription works. Best effort: a
 * disconnected process misses it.
 */
export interface Channel {
  publish(message: string): Awaitable<unknown>
  /** @returns a function that unsubscribes */
  subscribe(listener: (message: string) => void): Awaitable<() => unknown>
}
