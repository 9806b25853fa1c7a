/**
 * The clients of Redis and Valkey that this package takes, by their shape: the used part of ioredis, iovalkey and node-redis,
 * and what differs between them (scripts, subscriptions).
 *
 * Tests: `test/redis/store.test.ts`.
 */
import { createHash } from 'node:crypto'

/** The used part of an ioredis or iovalkey client. */
export interface IoredisClient {
  readonly status: string
  get(key: string): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number): Promise<unknown>
  set(key: string, value: string, unit: 'PX', milliseconds: number, condition: 'NX'): Promise<unknown>
  setex(key: string, seconds: number, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
  /** Without it, `add` of `redisStore()` is a transaction, and `redisLog()` throws. */
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
  /** Without it, `add` of `redisStore()` is a transaction, and `redisLog()` throws. */
  evalSha?(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval?(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  multi(): unknown
}

/** A connected client for `redisStore()` and `redisLog()`: of ioredis, iovalkey or node-redis, by shape. */
export type RedisClient = IoredisClient | NodeRedisClient

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

/** A separate client for subscriptions: a subscribed connection cannot send other commands. */
export type RedisSubscriber = IoredisSubscriber | NodeRedisSubscriber

/** A script for the server, and its digest, by which the server knows it. */
export interface Script {
  readonly text: string
  readonly sha1: string
}

export function createScript(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}

/** Runs a script by its digest; sends its text if the server does not have it. */
export type RunScript = (script: Script, keys: string[], values: string[]) => Promise<unknown>

/** @returns undefined for a client without commands for scripts */
export function runScriptOf(client: RedisClient): RunScript | undefined {
  const commands = scriptCommandsOf(client)
  if (commands === undefined) return undefined
  return async ({ text, sha1 }, keys, values) => {
    try {
      return await commands.bySha1(sha1, keys, values)
    } catch (error) {
      // A restarted server has no cached scripts.
      if (messageOf(error).startsWith('NOSCRIPT')) return commands.byText(text, keys, values)
      throw error
    }
  }
}

type SendScript = (script: string, keys: string[], values: string[]) => Promise<unknown>

function scriptCommandsOf(client: RedisClient): { bySha1: SendScript; byText: SendScript } | undefined {
  if (isNodeRedis(client, 'setEx')) {
    if (!hasFunctions(client, ['evalSha', 'eval'])) return undefined
    return {
      bySha1: async (sha1, keys, values) => client.evalSha?.(sha1, { keys, arguments: values }),
      byText: async (text, keys, values) => client.eval?.(text, { keys, arguments: values })
    }
  }
  if (!isIoredis(client, 'setex') || !hasFunctions(client, ['evalsha', 'eval'])) return undefined
  return {
    bySha1: async (sha1, keys, values) => client.evalsha?.(sha1, keys.length, ...keys, ...values),
    byText: async (text, keys, values) => client.eval?.(text, keys.length, ...keys, ...values)
  }
}

export function messageOf(error: unknown): string {
  return String((error as Error | undefined)?.message)
}

/** Clients can be configured to answer with bytes. */
export function asText(answer: unknown): string | undefined {
  if (Buffer.isBuffer(answer)) return answer.toString()
  return typeof answer === 'string' ? answer : undefined
}

/** @returns a function that ends the subscription */
export type Subscribe = (listener: (message: string) => void) => Promise<() => unknown>

/**
 * Subscribes to the channel `name` for each listener.
 *
 * @throws {TypeError} at once, for a value that is not a client that can subscribe
 */
export function subscribeOf(caller: string, subscriber: unknown, name: string): Subscribe {
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
  throw new TypeError(`${caller} needs a subscriber: a client of ioredis, iovalkey or node-redis of its own`)
}

/** In ioredis, a subscription belongs to the connection, and messages of all channels arrive as one event. */
function ioredisSubscribe(client: IoredisSubscriber, name: string): Subscribe {
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
export function isNodeRedis(client: unknown, command: 'setEx' | 'subscribe'): client is NodeRedisClient {
  return (
    typeof (client as Partial<NodeRedisClient> | null | undefined)?.isOpen === 'boolean' &&
    hasFunctions(client, ['get', 'set', 'del', command])
  )
}

export function isIoredis(client: unknown, command: 'setex' | 'subscribe'): client is IoredisClient {
  return (
    typeof (client as Partial<IoredisClient> | null | undefined)?.status === 'string' &&
    hasFunctions(client, ['get', 'set', 'del', 'call', command])
  )
}

export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return names.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function')
}
