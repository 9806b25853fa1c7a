/**
 * Everything that the input of a program does not determine: clocks, timers, chance, and the turn of the event loop. `src`
 * and `adapters` reach it only here, so that `npm run simulate` can replace all of it and play a fleet of processes from
 * one seed.
 *
 * Does NOT cover what the kernel and OpenSSL do: sockets, threads, and the randomness inside of signatures.
 *
 * Tests: `test/base/world.test.ts`.
 */
import { randomBytes, randomUUID } from 'node:crypto'
// Imported, because tests that mock the global setImmediate would hang verification.
import { setImmediate } from 'node:timers'

/** A call that is due later. `unref` lets the process end before it. */
export interface Timer {
  unref(): unknown
}

export interface World {
  /** Seconds since the epoch. Default of the option `now`. */
  now(): number
  /** Milliseconds of a monotonic clock. */
  monotonic(): number
  /** A number from 0 to less than 1. Not for secrets. */
  random(): number
  /** Random bytes for secrets. */
  bytes(length: number): Buffer
  /** A random UUID (RFC 9562 §5.4). */
  id(): string
  /** Calls back once, after that many milliseconds. */
  after(milliseconds: number, call: () => void): Timer
  /** Cancels a timer; does nothing for one that has called back, or for undefined. */
  cancel(timer: Timer | undefined): void
  /** Calls back once, after the events that have arrived were handled. */
  soon(call: () => void): void
}

const real: World = Object.freeze({
  now: () => Date.now() / 1000,
  monotonic: () => performance.now(),
  random: () => Math.random(),
  bytes: (length: number) => randomBytes(length),
  id: () => randomUUID(),
  after: (milliseconds: number, call: () => void) => setTimeout(call, milliseconds),
  cancel: (timer: Timer | undefined) => clearTimeout(timer as NodeJS.Timeout | undefined),
  soon: (call: () => void) => void setImmediate(call)
})

/** The world in which this process lives. */
export let world: World = real

/**
 * Replaces the world, for a simulation. No public name leads here.
 *
 * @returns a function that brings the real world back
 */
export function setWorld(other: World): () => void {
  world = other
  return () => {
    world = real
  }
}

/**
 * Waits.
 *
 * @throws the signal's reason, when it is aborted
 */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const abandon = (): void => {
      world.cancel(timer)
      reject(signal?.reason)
    }
    const timer = world.after(milliseconds, () => {
      signal?.removeEventListener('abort', abandon)
      resolve()
    })
    signal?.addEventListener('abort', abandon, { once: true })
  })
}
