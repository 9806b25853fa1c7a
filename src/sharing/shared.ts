/**
 * State that the processes of one API share. The store sees names as MACs and values as AES-256-GCM (NIST SP 800-38D),
 * both under keys derived (HKDF, RFC 5869) from a secret that never leaves the process. A value that fails to decrypt
 * (wrong key, altered, truncated, renamed, other format) counts as missing.
 *
 * The cache is best effort: calls get 250 ms, and after three failures in a row the store is paused for a second. Only
 * `replayStore` throws, and its failure is a 503; it gets a second, with the same pause.
 *
 * Does NOT know the meaning of the values. Does NOT hide their number, frequency or purpose.
 *
 * Tests: `test/redis/shared.test.ts`.
 */
import { withDeadline } from '../base/awaitable.js'
import type { Awaitable } from '../types.js'
import { createEnvelope, derive, type Envelope, MAX_VALUE_LENGTH } from './envelope.js'
import { isOwnerQuotaExceeded } from './memory-once-store.js'
import { createSealedLog, type SealedLog } from './sealed-log.js'
import type { SharedSettings } from './settings.js'
import type { OnceStore } from './stores.js'

/** A cache for one purpose. Neither function throws. */
interface SharedCache {
  /** @param parts identify the value; they leave the process only as a MAC */
  get(parts: readonly string[]): Promise<string | undefined>
  /** @param ttl seconds, rounded up; 0 or less deletes the value */
  set(parts: readonly string[], value: string, ttl: number): Promise<void>
}

/** Lets one of all processes do something. Never throws. */
interface SharedOnce {
  /**
   * @returns true for the first process within `ttl` seconds, false for the others, undefined if the store is not
   * available
   */
  claim(parts: readonly string[], ttl: number): Promise<boolean | undefined>
}

/** State of the store that processes share. */
export interface SharedStats {
  /** `paused`: three calls in a row failed. The next call is tried a second after the last failure. */
  readonly state: 'ok' | 'paused'
  /** The last failure; undefined once the store has answered again. */
  readonly error: string | undefined
}

export interface Shared {
  cache(purpose: string): SharedCache
  once(purpose: string): SharedOnce
  /**
   * For used proofs. Fails if the store fails, and at once while it is paused. Keys of one owner share that owner's
   * name.
   */
  readonly replayStore: OnceStore
  /** One key per secret, for DPoP nonces. */
  readonly nonceSecrets: readonly Uint8Array[]
  /**
   * The log of one API, with encrypted entries; undefined without one.
   *
   * @param resource  the identifier of the API
   * @param deadline  seconds for one call
   * @param keep  seconds for which entries are needed
   */
  log(resource: string, deadline: number, keep: number): SealedLog | undefined
  stats(): SharedStats
}

/** Seconds until a call fails whose data can be obtained elsewhere. */
const DEADLINE = 0.25

/** Seconds until a call about a used proof fails; its data cannot be obtained elsewhere. */
const REPLAY_DEADLINE = 1

/** Consecutive failures that pause the store. */
const MAX_FAILURES = 3

/** Seconds of a pause. */
const PAUSE = 1

/** @param now clock in seconds, for the pause */
export function createShared({ store, secrets, log }: SharedSettings, now: () => number): Shared {
  const envelopes = secrets.map(createEnvelope)
  const [writing] = envelopes as [Envelope, ...Envelope[]]
  const gate = createGate(now, DEADLINE)
  // A separate gate: a store that is too slow for the cache may be fast enough for proofs.
  const replay = createGate(now, REPLAY_DEADLINE)
  const namesOf = (purpose: string, parts: readonly string[]): string[] =>
    envelopes.map((one) => one.name(purpose, parts))
  return Object.freeze({
    cache: (purpose) => ({
      get: (parts) =>
        gate.run(async () => {
          for (const envelope of envelopes) {
            const name = envelope.name(purpose, parts)
            const value = await store.get(name)
            const text = typeof value === 'string' ? envelope.open(name, value) : undefined
            if (text !== undefined) return text
          }
          return undefined
        }),
      set: async (parts, value, ttl) => {
        const [name, ...others] = namesOf(purpose, parts) as [string, ...string[]]
        const isKept = ttl > 0 && value.length <= MAX_VALUE_LENGTH
        // The value under the other secret's name is outdated.
        const old = isKept ? others : [name, ...others]
        await gate.run(() =>
          Promise.all([
            isKept && store.set(name, writing.seal(name, value), Math.ceil(ttl)),
            ...old.map((other) => store.delete(other))
          ])
        )
      }
    }),
    once: (purpose) => ({
      claim: (parts, ttl) => gate.run(() => addEach(store, namesOf(purpose, parts), ttl))
    }),
    replayStore: {
      add: (key, ttl) => {
        // The store counts by owner, so the owner gets a separate part of the name.
        const [owner = ''] = key.split('.', 1)
        const names = envelopes.map((one) => `${one.name('replay', [owner])}.${one.mac('replay', [key])}`)
        return replay.attempt(() => addEach(store, names, ttl))
      }
    },
    nonceSecrets: secrets.map((secret) => derive(secret, 'dpop-nonce')),
    log: (resource, deadline, keep) => log && createSealedLog({ log, envelopes, resource, deadline, keep }),
    stats: () => {
      const each = [gate.stats(), replay.stats()] as const
      return each.find(({ state }) => state === 'paused') ?? each.find(({ error }) => error !== undefined) ?? each[0]
    }
  } satisfies Shared)
}

/**
 * Adds the key under every name. True if it was new under all of them, so that processes with one secret, the other or
 * both agree on the first. All processes use the same order of names.
 */
async function addEach(store: OnceStore, names: readonly string[], ttl: number): Promise<boolean> {
  for (const name of [...names].sort()) {
    const added: unknown = await store.add(name, ttl)
    if (added === false) return false
    if (added !== true) throw new TypeError('`add` must return true or false')
  }
  return true
}

interface Gate {
  /**
   * Calls the store.
   *
   * @throws the call's error, or another one if it is late or the store is paused
   */
  attempt<T>(call: () => Awaitable<T>): Promise<T>
  /** Calls the store; undefined for every failure. */
  run<T>(call: () => Awaitable<T>): Promise<T | undefined>
  stats(): SharedStats
}

/** Protects callers from a store that hangs: a few requests wait for the deadline, later ones do not wait. */
function createGate(now: () => number, deadline: number): Gate {
  let failures = 0
  let pausedAt = Number.NEGATIVE_INFINITY
  let probing = false
  let error: Error | undefined
  /** A clock that was set back ends the pause. */
  const isPaused = (): boolean => pausedAt <= now() && now() < pausedAt + PAUSE
  const late = (): Error => new Error(`no answer within ${deadline} s`)
  const attempt = async <T>(call: () => Awaitable<T>): Promise<T> => {
    const probe = failures >= MAX_FAILURES
    if (probe && (probing || isPaused()))
      throw new Error('the shared store failed three times in a row, so it is not called for a second', {
        cause: error
      })
    if (probe) probing = true
    try {
      // Called inside the promise, so that a synchronous throw counts as a failure.
      const answer = await withDeadline(Promise.resolve().then(call), deadline, late)
      failures = 0
      error = undefined
      return answer
    } catch (cause) {
      if (isOwnerQuotaExceeded(cause)) {
        // The store is healthy; only this owner's share is used up.
        failures = 0
        error = undefined
        throw cause
      }
      failures++
      pausedAt = now()
      error = cause instanceof Error ? cause : new Error('it threw a value that is not an Error', { cause })
      throw error
    } finally {
      if (probe) probing = false
    }
  }
  return {
    attempt,
    run: (call) => attempt(call).catch(() => undefined),
    stats: () => ({
      state: failures >= MAX_FAILURES ? 'paused' : 'ok',
      error: error && String(error)
    })
  }
}
