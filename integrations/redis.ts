/**
 * Redis or Valkey as shared state of an API's processes: a {@link Cache}, an {@link OnceStore} (RFC 9449 §11.1) and, in
 * `redis-log.ts`, a `Log`, over your own client: ioredis, iovalkey or node-redis (`@redis/client`, `redis`), single, cluster
 * or sentinel. Every call is one round trip with separate arguments. `add` is atomic. For a key without an owner it is
 * `SET key 1 NX PX …`, otherwise one script that sets the key and counts for its owner.
 *
 * Does NOT open, configure or close a connection, retry, or wait for one: the client's settings decide how long a
 * command may take, and whether it queues without a connection. Does NOT encrypt: its input is already encrypted.
 */
import { requireOptions } from '../src/base/options/spelling.js'
import type { Cache, OnceStore, OwnerQuotaExceeded } from '../src/index.js'
import {
  asText,
  createScript,
  hasFunctions,
  type IoredisClient,
  isIoredis,
  isNodeRedis,
  messageOf,
  type NodeRedisClient,
  type RedisClient,
  type RunScript,
  runScriptOf
} from './redis-clients.js'

export type {
  IoredisClient,
  IoredisSubscriber,
  NodeRedisClient,
  NodeRedisSubscriber,
  RedisClient,
  RedisSubscriber
} from './redis-clients.js'
export { type RedisLogOptions, redisLog } from './redis-log.js'

/** Options of `redisStore()`. */
export interface RedisStoreOptions {
  /** Prefix of every key. Default `oauth-rs:`. */
  readonly prefix?: string
  /**
   * Maximum entries that one owner may add in a minute. The owner is the text before a key's first `.`; for DPoP, a
   * user or client. Default 30,000: 500 requests a second.
   */
  readonly maxPerOwner?: number
}

/** Seconds in which an owner may add `maxPerOwner` entries. The counter expires with them. */
const WINDOW = 60

/**
 * Creates a store for the option `shared`, or for `dpop.replayStore`.
 *
 * If the answer to an `add` is lost, the client may send it again after it reconnects. It then finds its own key and
 * returns false. This refuses a valid proof; it never accepts a replay.
 *
 * Each owner has a counter beside its entries, under the same hash tag, so that a cluster keeps both in one slot:
 * `prefix{owner}.rest` and `prefix{owner}:count`. The counter expires a minute after the first entry that it counted.
 * So an owner has at most `maxPerOwner` × (the minutes that an entry lives, rounded up, + 1) live entries: 3 × for DPoP
 * proofs, 7 × with DPoP nonces. For a client without `evalsha`, or a server that forbids scripts, a transaction
 * (`MULTI`) is used instead. It counts replays too, and needs a second round trip to refuse an owner.
 *
 * `add` throws `OwnerQuotaExceeded` for an owner over its limit.
 *
 * @param client your client. With node-redis listen to its `error` event: without a listener it ends the process
 * @throws {TypeError} at once, for a value that is not such a client, or a limit that is not a positive integer
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Cache & OnceStore {
  requireOptions('redisStore()', options, { prefix: 'oauth-rs:', maxPerOwner: 30_000 })
  const { prefix = 'oauth-rs:', maxPerOwner = 30_000 } = options
  if (!Number.isInteger(maxPerOwner) || maxPerOwner < 1)
    throw new TypeError(`redisStore(): maxPerOwner must be a positive integer, not ${maxPerOwner}`)
  const { set, setOnce, transaction } = commandsOf(client)
  const run = runScriptOf(client)
  const addCounted = run ? withScript(run, transaction) : withTransaction(transaction)
  return Object.freeze({
    get: async (key: string) => asText(await client.get(prefix + key)),
    set: async (key: string, value: string, ttl: number) => {
      await set(prefix + key, value, milliseconds(ttl))
    },
    delete: async (key: string) => {
      await client.del(prefix + key)
    },
    add: async (key: string, ttl: number) => {
      const dot = key.indexOf('.')
      if (dot >= 0) {
        const tag = `${prefix}{${asTag(key.slice(0, dot))}}`
        return addCounted({
          key: tag + key.slice(dot),
          counter: `${tag}:count`,
          milliseconds: milliseconds(ttl),
          max: maxPerOwner
        })
      }
      const answer = await setOnce(prefix + key, milliseconds(ttl))
      if (answer === null) return false
      // Redis answers only OK or null here, so anything else is an error.
      if (asText(answer) !== 'OK') throw new Error('the client answered SET … NX with neither OK nor null')
      return true
    }
  })
}

/** An owner as a hash tag: never empty, and without braces, which would end it early. Distinct owners stay distinct. */
function asTag(owner: string): string {
  return /[{}%]/.test(owner) ? encodeURIComponent(owner) : owner || '%'
}

interface Entry {
  readonly key: string
  readonly counter: string
  /** Lifetime of the entry. */
  readonly milliseconds: number
  readonly max: number
}

type AddCounted = (entry: Entry) => Promise<boolean>

/**
 * Returns 1 for a new key, 0 for a known one, and for an owner at its limit the counter's remaining milliseconds as a
 * negative number.
 */
const SCRIPT = createScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local count = tonumber(redis.call('GET', KEYS[2]) or '0')
if count >= tonumber(ARGV[2]) then return -math.max(1, redis.call('PTTL', KEYS[2])) end
if count == 0 then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) else redis.call('INCR', KEYS[2]) end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
`)

function withScript(run: RunScript, transaction: () => Transaction): AddCounted {
  let isForbidden = false
  const add: AddCounted = async ({ key, counter, milliseconds: time, max }) => {
    const answer = Number(await run(SCRIPT, [key, counter], [String(time), String(max), String(WINDOW * 1000)]))
    if (answer === 1 || answer === 0) return answer === 1
    if (answer < 0) throw quotaExceeded(Math.ceil(-answer / 1000))
    throw new Error('the client answered the script of `add` with a value that is not a number')
  }
  const addInstead = withTransaction(transaction)
  return async (entry) => {
    if (isForbidden) return addInstead(entry)
    try {
      return await add(entry)
    } catch (error) {
      if (!/^(NOPERM|ERR unknown command)/.test(messageOf(error))) throw error
      isForbidden = true
      return addInstead(entry)
    }
  }
}

interface Transaction {
  setOnce(key: string, value: string, milliseconds: number): void
  incr(key: string): void
  pttl(key: string): void
  del(key: string): void
  /** @throws the error of any of its commands */
  exec(): Promise<readonly unknown[]>
}

function withTransaction(begin: () => Transaction): AddCounted {
  return async ({ key, counter, milliseconds: time, max }) => {
    const adding = begin()
    adding.setOnce(key, '1', time)
    adding.setOnce(counter, '0', WINDOW * 1000)
    adding.incr(counter)
    adding.pttl(counter)
    const [answer, , count, left] = await adding.exec()
    if (answer === null) return false
    if (asText(answer) !== 'OK' || !Number.isFinite(Number(count)))
      throw new Error('the client did not answer MULTI as Redis does')
    if (Number(count) <= max) return true
    // The proof is refused, so it need not be remembered: an owner over its limit must not use more memory.
    const removing = begin()
    removing.del(key)
    await removing.exec()
    throw quotaExceeded(Math.ceil(Number(left) / 1000))
  }
}

interface Commands {
  readonly set: (key: string, value: string, milliseconds: number) => Promise<unknown>
  readonly setOnce: (key: string, milliseconds: number) => Promise<unknown>
  readonly transaction: () => Transaction
}

function commandsOf(client: unknown): Commands {
  const isWhole = hasFunctions(client, ['multi'])
  if (isWhole && isNodeRedis(client, 'setEx')) return nodeRedisCommands(client)
  if (isWhole && isIoredis(client, 'setex')) return ioredisCommands(client)
  throw new TypeError('redisStore() needs a client of ioredis, iovalkey or node-redis (version 4 or later)')
}

function nodeRedisCommands(client: NodeRedisClient): Commands {
  return {
    set: (key, value, PX) => client.set(key, value, { PX }),
    setOnce: (key, PX) => client.set(key, '1', { PX, NX: true }),
    transaction: () => {
      const multi = client.multi() as NodeRedisMulti
      return {
        setOnce: (key, value, PX) => void multi.set(key, value, { PX, NX: true }),
        incr: (key) => void multi.incr(key),
        pttl: (key) => void multi.pTTL(key),
        del: (key) => void multi.del(key),
        exec: () => multi.exec()
      }
    }
  }
}

function ioredisCommands(client: IoredisClient): Commands {
  return {
    set: (key, value, time) => client.set(key, value, 'PX', time),
    setOnce: (key, time) => client.set(key, '1', 'PX', time, 'NX'),
    transaction: () => {
      const multi = client.multi() as IoredisMulti
      return {
        setOnce: (key, value, time) => void multi.set(key, value, 'PX', time, 'NX'),
        incr: (key) => void multi.incr(key),
        pttl: (key) => void multi.pttl(key),
        del: (key) => void multi.del(key),
        exec: async () =>
          ((await multi.exec()) ?? []).map(([error, answer]) => {
            if (error) throw error
            return answer
          })
      }
    }
  }
}

/** The used part of node-redis's `multi()`. */
interface NodeRedisMulti {
  set(key: string, value: string, options: { PX: number; NX: true }): unknown
  incr(key: string): unknown
  pTTL(key: string): unknown
  del(key: string): unknown
  exec(): Promise<unknown[]>
}

/** The used part of ioredis's `multi()`. */
interface IoredisMulti {
  set(key: string, value: string, unit: 'PX', milliseconds: number, condition: 'NX'): unknown
  incr(key: string): unknown
  pttl(key: string): unknown
  del(key: string): unknown
  exec(): Promise<[error: Error | null, answer: unknown][] | null>
}

function milliseconds(seconds: number): number {
  return Math.max(1, Math.ceil(seconds * 1000))
}

/** Creates an {@link OwnerQuotaExceeded}, recognized by its name: importing the class would load the whole verifier. */
function quotaExceeded(retryAfter: number): OwnerQuotaExceeded {
  const error = new Error('the owner has used its share of the store')
  return Object.assign(error, { name: 'OwnerQuotaExceeded', retryAfter } as const)
}
