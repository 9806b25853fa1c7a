/**
 * Redis or Valkey as shared state of an API's processes: a {@link Cache}, an {@link OnceStore} (RFC 9449 §11.1) and a
 * {@link Channel}, over your own client: ioredis, iovalkey or node-redis (`@redis/client`, `redis`), single, cluster or
 * sentinel. Every call is one round trip with separate arguments. `add` is atomic. For a key without an owner it is
 * `SET key 1 NX PX …`, otherwise one script that sets the key and counts for its owner.
 *
 * Does NOT open, configure or close a connection, retry, or wait for one: the client's settings decide how long a
 * command may take, and whether it queues without a connection. Does NOT encrypt: its input is already encrypted.
 */
import { createHash } from 'node:crypto'
import { requireOptions } from '../src/base/spelling.js'
import type { Awaitable, Cache, OnceStore, OwnerQuotaExceeded } from '../src/index.js'

interface Channel {
  publish(message: string): Awaitable<unknown>
  subscribe(listener: (message: string) => void): Awaitable<() => unknown>
}

/** The used part of an ioredis or iovalkey client. */
export interface IoredisClient {
  readonly status: string
  get(key: string): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number, condition: 'NX'): Promise<unknown>
  setex(key: string, seconds: number, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
  /** Without it, `add` is a transaction: see `redisStore()`. */
  evalsha?(sha1: string, keyCount: number, ...keysAndArguments: (string | number)[]): Promise<unknown>
  eval?(script: string, keyCount: number, ...keysAndArguments: (string | number)[]): Promise<unknown>
  multi(): unknown
}

/** The used part of a node-redis client, version 4 or later. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  get(key: string): Promise<unknown>
  set(key: string, value: string, options: { PX: number; NX?: true }): Promise<unknown>
  setEx(key: string, seconds: number, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
  /** Without it, `add` is a transaction: see `redisStore()`. */
  evalSha?(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval?(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  multi(): unknown
}

/** A connected client for `redisStore()`: of ioredis, iovalkey or node-redis, by shape. */
export type RedisClient = IoredisClient | NodeRedisClient

/** A client that can publish: any client without a subscription. */
export interface RedisPublisher {
  publish(channel: string, message: string): Promise<unknown>
}

/** An ioredis or iovalkey client used only for subscriptions. */
export interface IoredisSubscriber {
  readonly status: string
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
}

/** A node-redis client used only for subscriptions. */
export interface NodeRedisSubscriber {
  readonly isOpen: boolean
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  unsubscribe(channel: string, listener: (message: string) => void): Promise<unknown>
}

/** A separate client for `redisChannel()`: a subscribed connection cannot send other commands. */
export type RedisSubscriber = IoredisSubscriber | NodeRedisSubscriber

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

/** Options of `redisChannel()`. */
export interface RedisChannelOptions {
  /** Name of the channel. Default `oauth-rs:events`. */
  readonly name?: string
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
  const { set, setOnce, scripts, transaction } = commandsOf(client)
  const addCounted = scripts ? withScript(scripts, transaction) : withTransaction(transaction)
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
const SCRIPT = `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local count = tonumber(redis.call('GET', KEYS[2]) or '0')
if count >= tonumber(ARGV[2]) then return -math.max(1, redis.call('PTTL', KEYS[2])) end
if count == 0 then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) else redis.call('INCR', KEYS[2]) end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
`
const SCRIPT_SHA1 = createHash('sha1').update(SCRIPT).digest('hex')

interface Scripts {
  readonly bySha1: (sha1: string, keys: string[], values: string[]) => Promise<unknown>
  readonly byText: (script: string, keys: string[], values: string[]) => Promise<unknown>
}

function withScript({ bySha1, byText }: Scripts, transaction: () => Transaction): AddCounted {
  let isForbidden = false
  const run = async (keys: string[], values: string[]): Promise<unknown> => {
    try {
      return await bySha1(SCRIPT_SHA1, keys, values)
    } catch (error) {
      // A restarted server has no cached scripts.
      if (String((error as Error | undefined)?.message).startsWith('NOSCRIPT')) return byText(SCRIPT, keys, values)
      throw error
    }
  }
  const add: AddCounted = async ({ key, counter, milliseconds: time, max }) => {
    const answer = Number(await run([key, counter], [String(time), String(max), String(WINDOW * 1000)]))
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
      if (!/^(NOPERM|ERR unknown command)/.test(String((error as Error | undefined)?.message))) throw error
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

/** Clients can be configured to answer with bytes. */
function asText(answer: unknown): string | undefined {
  if (Buffer.isBuffer(answer)) return answer.toString()
  return typeof answer === 'string' ? answer : undefined
}

interface Commands {
  readonly set: (key: string, value: string, milliseconds: number) => Promise<unknown>
  readonly setOnce: (key: string, milliseconds: number) => Promise<unknown>
  readonly scripts: Scripts | undefined
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
    scripts:
      typeof client.evalSha === 'function' && typeof client.eval === 'function'
        ? {
            bySha1: async (sha1, keys, values) => client.evalSha?.(sha1, { keys, arguments: values }),
            byText: async (script, keys, values) => client.eval?.(script, { keys, arguments: values })
          }
        : undefined,
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
    scripts:
      typeof client.evalsha === 'function' && typeof client.eval === 'function'
        ? {
            bySha1: async (sha1, keys, values) => client.evalsha?.(sha1, keys.length, ...keys, ...values),
            byText: async (script, keys, values) => client.eval?.(script, keys.length, ...keys, ...values)
          }
        : undefined,
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

/**
 * Creates a channel for the option `shared`. Redis does not keep messages for disconnected subscribers.
 *
 * @param publisher may be the client of the store
 * @param subscriber a separate connection, `client.duplicate()`: a subscribed connection cannot send other commands
 * @throws {TypeError} at once, for a value that is not such a client
 */
export function redisChannel(
  publisher: RedisPublisher,
  subscriber: RedisSubscriber,
  options: RedisChannelOptions = {}
): Channel {
  requireOptions('redisChannel()', options, { name: 'oauth-rs:events' })
  const { name = 'oauth-rs:events' } = options
  if (!hasFunctions(publisher, ['publish']))
    throw new TypeError('redisChannel() needs a publisher: a client of ioredis, iovalkey or node-redis')
  return Object.freeze({
    publish: async (message: string) => {
      await publisher.publish(name, message)
    },
    subscribe: subscribeOf(subscriber, name)
  })
}

function subscribeOf(subscriber: unknown, name: string): Channel['subscribe'] {
  if (isNodeRedis(subscriber, 'subscribe')) {
    const client = subscriber as unknown as NodeRedisSubscriber
    return async (listener) => {
      // A separate function per subscription, so that ending one does not end another.
      const listen = (message: string): void => listener(message)
      await client.subscribe(name, listen)
      return () => settled(() => client.unsubscribe(name, listen))
    }
  }
  if (isIoredis(subscriber, 'subscribe')) return ioredisSubscribe(subscriber as unknown as IoredisSubscriber, name)
  throw new TypeError('redisChannel() needs a subscriber: a client of ioredis, iovalkey or node-redis of its own')
}

/** In ioredis, a subscription belongs to the connection, and messages of all channels arrive as one event. */
function ioredisSubscribe(client: IoredisSubscriber, name: string): Channel['subscribe'] {
  const listening = new Set<unknown>()
  return async (listener) => {
    const listen = (channel: string, message: string): void => {
      if (channel === name) listener(message)
    }
    const end = (): unknown => {
      client.off('message', listen)
      return listening.delete(listen) && listening.size === 0
        ? settled(() => client.unsubscribe(name))
        : Promise.resolve()
    }
    listening.add(listen)
    client.on('message', listen)
    try {
      await client.subscribe(name)
    } catch (error) {
      client.off('message', listen)
      listening.delete(listen)
      throw error
    }
    return end
  }
}

/** Ending a subscription never fails: a closed connection has nothing to end. */
async function settled(run: () => Promise<unknown>): Promise<void> {
  await Promise.allSettled([Promise.resolve().then(run)])
}

/**
 * `isOpen` distinguishes the client from a pipeline; the command's spelling distinguishes it from ioredis and from
 * callback-style clients.
 */
function isNodeRedis(client: unknown, command: 'setEx' | 'subscribe'): client is NodeRedisClient {
  return (
    typeof (client as Partial<NodeRedisClient> | null | undefined)?.isOpen === 'boolean' &&
    hasFunctions(client, ['get', 'set', 'del', command])
  )
}

function isIoredis(client: unknown, command: 'setex' | 'subscribe'): client is IoredisClient {
  return (
    typeof (client as Partial<IoredisClient> | null | undefined)?.status === 'string' &&
    hasFunctions(client, ['get', 'set', 'del', 'call', command])
  )
}

function hasFunctions(value: unknown, names: readonly string[]): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return names.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function')
}

function milliseconds(seconds: number): number {
  return Math.max(1, Math.ceil(seconds * 1000))
}

/** Creates an {@link OwnerQuotaExceeded}, recognized by its name: importing the class would load the whole verifier. */
function quotaExceeded(retryAfter: number): OwnerQuotaExceeded {
  const error = new Error('the owner has used its share of the store')
  return Object.assign(error, { name: 'OwnerQuotaExceeded', retryAfter } as const)
}
