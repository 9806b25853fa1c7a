/**
 * What the processes of one API share, and how it looks to whoever can read or write it there: names are MACs, values
 * are AES-256-GCM (NIST SP 800-38D), both under keys derived (HKDF, RFC 5869) from a secret that never leaves. What does
 * not open is as if it were not there: another's, altered, cut, moved to another name, of another format.
 *
 * Best effort as a cache: it has 250 ms, and after three failures in a row a second of peace. Nothing here throws at a
 * caller, but `replayStore`, whose failure is a 503; it has a second, and the same peace.
 *
 * Does NOT know what is kept, and does NOT hide how much, how often, or under which purpose.
 */
import { withDeadline } from '../base/awaitable.js'
import type { Awaitable } from '../types.js'
import { createEnvelope, derive, type Envelope, MAX_VALUE_LENGTH } from './envelope.js'
import { isOwnerQuotaExceeded } from './memory-once-store.js'
import type { SharedSettings } from './settings.js'
import type { Channel, OnceStore } from './stores.js'

/** A cache for one purpose. Neither function throws. */
interface SharedCache {
  /** @param parts what the value is about; they leave the process only as a MAC */
  get(parts: readonly string[]): Promise<string | undefined>
  /** @param ttl seconds, rounded up; with 0 or less it is forgotten instead */
  set(parts: readonly string[], value: string, ttl: number): Promise<void>
}

/** Does something once for all processes. Never throws. */
interface SharedOnce {
  /** @returns true for whoever comes first within `ttl` seconds, false for the others, undefined where nobody can know */
  claim(parts: readonly string[], ttl: number): Promise<boolean | undefined>
}

/** What became of the calls to the store that processes share. */
export interface SharedStats {
  /** `paused`: it failed three times in a row, and is tried once a second, should anybody want something of it. */
  readonly state: 'ok' | 'paused'
  /** Why it failed last; undefined where it has answered since. */
  readonly error: string | undefined
}

export interface Shared {
  cache(purpose: string): SharedCache
  once(purpose: string): SharedOnce
  /** For used proofs: fails as the store does, and at once while it is paused. Keys of one owner keep one owner's name. */
  readonly replayStore: OnceStore
  /** One of each secret: what DPoP nonces are made with. */
  readonly nonceSecrets: readonly Uint8Array[]
  /** The channel, with messages that nobody without the secret can read or make; others are not heard. */
  readonly channel: SealedChannel | undefined
  stats(): SharedStats
}

export interface SealedChannel extends Channel {
  /** @param strange called for a message that was not made with the secret */
  subscribe(listener: (message: string) => void, strange?: () => void): Awaitable<() => unknown>
}

/** Seconds that the store may take for what can be had elsewhere … */
const DEADLINE = 0.25

/** … and for what cannot. */
const REPLAY_DEADLINE = 1

/** Failures in a row after which it is left alone … */
const MAX_FAILURES = 3

/** … for so many seconds. */
const PAUSE = 1

/** @param now seconds, for the pause */
export function createShared({ store, secrets, channel }: SharedSettings, now: () => number): Shared {
  const envelopes = secrets.map(createEnvelope)
  const [writing] = envelopes as [Envelope, ...Envelope[]]
  const gate = createGate(now, DEADLINE)
  // One of its own: a store that is too slow for a cache is not too slow for a proof.
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
        // What stands under the other secret's name says what was so before.
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
        // The store counts by owner, so the owner has a name of its own in it.
        const [owner = ''] = key.split('.', 1)
        const names = envelopes.map((one) => `${one.name('replay', [owner])}.${one.mac('replay', [key])}`)
        return replay.attempt(() => addEach(store, names, ttl))
      }
    },
    nonceSecrets: secrets.map((secret) => derive(secret, 'dpop-nonce')),
    channel: channel && sealed(channel, envelopes),
    stats: () => {
      const each = [gate.stats(), replay.stats()] as const
      return each.find(({ state }) => state === 'paused') ?? each.find(({ error }) => error !== undefined) ?? each[0]
    }
  } satisfies Shared)
}

/**
 * True if the key was new under every name, so that processes which know one secret, the other or both agree on who was
 * first. In the order of the names, which is the same for all of them.
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
  /** What the call says. @throws what it throws, and an error where it is late, or is not made */
  attempt<T>(call: () => Awaitable<T>): Promise<T>
  /** The same, with undefined for every failure. */
  run<T>(call: () => Awaitable<T>): Promise<T | undefined>
  stats(): SharedStats
}

/** A store that hangs costs a few requests the deadline, and the others nothing. */
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
      throw new Error('the shared store is left alone for a second', { cause: error })
    if (probe) probing = true
    try {
      // Called in here, so that what it throws is a failure like any other.
      const answer = await withDeadline(Promise.resolve().then(call), deadline, late)
      failures = 0
      error = undefined
      return answer
    } catch (cause) {
      if (isOwnerQuotaExceeded(cause)) {
        // The store is well and said no, to one owner.
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

const MESSAGE = 'channel'

function sealed(channel: Channel, envelopes: readonly Envelope[]): SealedChannel {
  return {
    publish: (message) => channel.publish((envelopes[0] as Envelope).seal(MESSAGE, message)),
    subscribe: (listener, strange) =>
      channel.subscribe((text) => {
        const message = envelopes.map((one) => one.open(MESSAGE, String(text))).find((one) => one !== undefined)
        if (message === undefined) strange?.()
        else listener(message)
      })
  }
}
