/**
 * Redis or Valkey as what the processes of an API share: a {@link Cache}, an {@link OnceStore} (RFC 9449 §11.1) and a
 * {@link Channel}, over a client of yours: ioredis, iovalkey or node-redis (`@redis/client`, `redis`), single, cluster or
 * sentinel. Every command is one round trip with its arguments apart; `add` is `SET key 1 NX PX …`, which is atomic.
 *
 * Does NOT open, configure or close a connection, retry, or wait for one: how long a command may take, and whether it
 * queues while there is no connection, are the client's settings. Does NOT encrypt: what it is given has been.
 */
import type { Cache, Channel, OnceStore } from '../src/index.js'

/** The part of an ioredis or iovalkey client that is used. */
export interface IoredisClient {
  readonly status: string
  get(key: string): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number, condition: 'NX'): Promise<unknown>
  setex(key: string, seconds: number, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
}

/** The part of a node-redis client, version 4 or later, that is used. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  get(key: string): Promise<unknown>
  set(key: string, value: string, options: { PX: number; NX?: true }): Promise<unknown>
  setEx(key: string, seconds: number, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
}

/** A connected client for `redisStore()`: of ioredis, iovalkey or node-redis, by shape. */
export type RedisClient = IoredisClient | NodeRedisClient

/** A client that publishes: any that is not subscribed to something. */
export interface RedisPublisher {
  publish(channel: string, message: string): Promise<unknown>
}

/** An ioredis or iovalkey client that is given over to subscriptions. */
export interface IoredisSubscriber {
  readonly status: string
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
}

/** A node-redis client that is given over to subscriptions. */
export interface NodeRedisSubscriber {
  readonly isOpen: boolean
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  unsubscribe(channel: string, listener: (message: string) => void): Promise<unknown>
}

/** A client of its own for `redisChannel()`: one that is subscribed can do nothing else. */
export type RedisSubscriber = IoredisSubscriber | NodeRedisSubscriber

/** Of a `redisStore()`. */
export interface RedisStoreOptions {
  /** What every key begins with. Default `oauth-rs:`. */
  readonly prefix?: string
}

/** Of a `redisChannel()`. */
export interface RedisChannelOptions {
  /** The channel. Default `oauth-rs:events`. */
  readonly name?: string
}

/**
 * A store for the option `shared`, or for `dpop.replayStore`.
 *
 * An `add` whose answer was lost may be sent again by the client when it has a connection again; it then finds its own
 * key and says false. That refuses a proof which was good, never the other way round.
 *
 * @param client  yours. With node-redis listen to its `error` event: without a listener it ends the process
 * @throws {TypeError} at once, for something that is no such client
 */
export function redisStore(client: RedisClient, { prefix = 'oauth-rs:' }: RedisStoreOptions = {}): Cache & OnceStore {
  const { set, setOnce } = commandsOf(client)
  return Object.freeze({
    get: async (key: string) => asText(await client.get(prefix + key)),
    set: async (key: string, value: string, ttl: number) => {
      await set(prefix + key, value, milliseconds(ttl))
    },
    delete: async (key: string) => {
      await client.del(prefix + key)
    },
    add: async (key: string, ttl: number) => {
      const answer = await setOnce(prefix + key, milliseconds(ttl))
      if (answer === null) return false
      // Whatever else it is, it is not what Redis says of a key that it keeps now.
      if (asText(answer) !== 'OK') throw new Error('the client answered SET … NX with neither OK nor null')
      return true
    }
  })
}

/** A client may be set to answer with bytes. */
function asText(answer: unknown): string | undefined {
  if (Buffer.isBuffer(answer)) return answer.toString()
  return typeof answer === 'string' ? answer : undefined
}

interface Commands {
  readonly set: (key: string, value: string, milliseconds: number) => Promise<unknown>
  readonly setOnce: (key: string, milliseconds: number) => Promise<unknown>
}

function commandsOf(client: unknown): Commands {
  if (isNodeRedis(client, 'setEx'))
    return {
      set: (key, value, PX) => client.set(key, value, { PX }),
      setOnce: (key, PX) => client.set(key, '1', { PX, NX: true })
    }
  if (isIoredis(client, 'setex'))
    return {
      set: (key, value, time) => client.set(key, value, 'PX', time),
      setOnce: (key, time) => client.set(key, '1', 'PX', time, 'NX')
    }
  throw new TypeError('redisStore() needs a client of ioredis, iovalkey or node-redis (version 4 or later)')
}

/**
 * A channel for the option `shared`. Redis keeps no message for who is not there.
 *
 * @param publisher   may be the client of the store
 * @param subscriber  a connection of its own, `client.duplicate()`: one that is subscribed can do nothing else
 * @throws {TypeError} at once, for something that is no such client
 */
export function redisChannel(
  publisher: RedisPublisher,
  subscriber: RedisSubscriber,
  { name = 'oauth-rs:events' }: RedisChannelOptions = {}
): Channel {
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
      // A function of its own, so that ending one subscription ends no other.
      const listen = (message: string): void => listener(message)
      await client.subscribe(name, listen)
      return () => settled(() => client.unsubscribe(name, listen))
    }
  }
  if (isIoredis(subscriber, 'subscribe')) return ioredisSubscribe(subscriber as unknown as IoredisSubscriber, name)
  throw new TypeError('redisChannel() needs a subscriber: a client of ioredis, iovalkey or node-redis of its own')
}

/** There, a subscription is the connection's, and messages of all channels come as one event. */
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

/** Ending never fails: on a connection that is gone there is nothing left to end. */
async function settled(run: () => Promise<unknown>): Promise<void> {
  await Promise.allSettled([Promise.resolve().then(run)])
}

/** `isOpen` tells it from a pipeline of its own; the command's spelling from ioredis and from callback-style clients. */
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
