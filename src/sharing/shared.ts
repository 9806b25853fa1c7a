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
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { withDeadline } from '../base/awaitable.js'
import type { Problems } from '../base/problems.js'
import type { SharedOptions } from '../server/options.js'
import type { Awaitable, Cache, Channel, OnceStore } from '../types.js'
import { isOwnerQuotaExceeded } from './memory-once-store.js'

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

export interface SharedSettings {
  readonly store: Cache & OnceStore
  /** The first one writes. */
  readonly secrets: readonly string[]
  readonly channel: Channel | undefined
}

const OPTIONS: Readonly<Record<keyof SharedOptions, true>> = { store: true, secret: true, channel: true }
const MIN_SECRET_LENGTH = 32

/** Seconds that the store may take for what can be had elsewhere … */
const DEADLINE = 0.25
/** … and for what cannot. */
const REPLAY_DEADLINE = 1
/** Failures in a row after which it is left alone … */
const MAX_FAILURES = 3
/** … for so many seconds. */
const PAUSE = 1
/** Characters of a value; more is neither written nor read. */
const MAX_VALUE_LENGTH = 512 * 1024

/** First byte of a value. Another format gets another one, so that releases that run side by side ignore each other's. */
const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'

export function readShared(value: unknown, problems: Problems): SharedSettings | undefined {
  if (value === undefined || !problems.object(value, 'shared')) return undefined
  problems.unknownKeys(value, 'shared.', Object.keys(OPTIONS))
  const { store, secret, channel } = value as unknown as Partial<SharedOptions>
  requireFunctions(store, 'shared.store', ['get', 'set', 'delete', 'add'], 'pass redisStore(client)', problems)
  if (channel !== undefined)
    requireFunctions(
      channel,
      'shared.channel',
      ['publish', 'subscribe'],
      'pass redisChannel(publisher, subscriber)',
      problems
    )
  const list: readonly unknown[] = Array.isArray(secret) ? secret : [secret]
  const secrets = list.filter((one) => typeof one === 'string' && one.length >= MIN_SECRET_LENGTH) as string[]
  // Says nothing of what it holds.
  if (secrets.length !== list.length || secrets.length < 1 || secrets.length > 2)
    problems.add(
      'shared.secret',
      'is not one or two secrets',
      `give a random text of at least ${MIN_SECRET_LENGTH} characters, or [current, previous]`
    )
  return Object.freeze({ store: store as SharedOptions['store'], secrets: Object.freeze(secrets), channel })
}

function requireFunctions(
  value: unknown,
  option: string,
  names: readonly string[],
  cure: string,
  problems: Problems
): void {
  const missing = names.filter((name) => typeof (value as Record<string, unknown> | null)?.[name] !== 'function')
  if (value === undefined || value === null || typeof value !== 'object') problems.add(option, 'is no store', cure)
  else if (missing.length > 0) problems.add(option, `has no function \`${missing.join('`, `')}\``, cure)
}

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
    if (added !== true) throw new TypeError('`add` answered neither true nor false')
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
      error = cause instanceof Error ? cause : new Error('what it threw is no error', { cause })
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

/** Names and values under one secret. */
interface Envelope {
  /** `purpose:MAC`: what the store may know of what a value is about. */
  name(purpose: string, parts: readonly string[]): string
  /** The MAC alone: 43 characters of base64url. */
  mac(purpose: string, parts: readonly string[]): string
  /** The value as text, good under this name only. */
  seal(name: string, value: string): string
  /** undefined for what `seal` did not make for this name, with this secret, in this format. */
  open(name: string, sealed: string): string | undefined
}

function createEnvelope(secret: string): Envelope {
  const naming = derive(secret, 'name')
  const sealing = derive(secret, 'value')
  // A key for each name: a random nonce could otherwise come twice in the life of a secret (SP 800-38D §8.3).
  const keyOf = (name: string): Buffer => createHmac('sha256', sealing).update(name).digest()
  const header = (name: string): Buffer => Buffer.concat([Buffer.of(VERSION), Buffer.from(name)])
  const mac = (purpose: string, parts: readonly string[]): string =>
    createHmac('sha256', naming)
      .update(JSON.stringify([purpose, ...parts]))
      .digest('base64url')
  return {
    name: (purpose, parts) => `${purpose}:${mac(purpose, parts)}`,
    mac,
    seal: (name, value) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, keyOf(name), nonce, { authTagLength: TAG_BYTES }).setAAD(header(name))
      const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
      return Buffer.concat([Buffer.of(VERSION), nonce, text, cipher.getAuthTag()]).toString('base64url')
    },
    open: (name, sealed) => {
      // Base64url and a nonce make it longer than what it holds, which UTF-8 may have done before.
      if (sealed.length > MAX_VALUE_LENGTH * 5) return undefined
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes[0] !== VERSION || bytes.length < 1 + NONCE_BYTES + TAG_BYTES) return undefined
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES)
      try {
        const decipher = createDecipheriv(CIPHER, keyOf(name), nonce, { authTagLength: TAG_BYTES })
          .setAAD(header(name))
          .setAuthTag(bytes.subarray(-TAG_BYTES))
        return Buffer.concat([
          decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)),
          decipher.final()
        ]).toString()
      } catch {
        return undefined
      }
    }
  }
}

/** Whoever gets hold of one of these keys knows neither the secret nor another key. */
function derive(secret: string, use: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'oauth-resource-server', use, 32))
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
