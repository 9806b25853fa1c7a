/**
 * An API as several processes have it: resource servers that share a Redis and nothing else, and a look at what they
 * keep there.
 */
import { setImmediate } from 'node:timers/promises'
import { redisStore } from '../../integrations/redis.js'
import type { SharedOptions } from '../../src/index.js'
import { createShared, type Shared } from '../../src/sharing/shared.js'
import type { ClientName, TestRedis } from './redis.js'

export const SECRET = 'the first secret, of more than 32 characters'
export const OTHER_SECRET = 'another secret, of more than 32 characters'

/** The option `shared` of one more process, with a connection of its own. */
export async function sharing(
  redis: TestRedis,
  { secret = SECRET, client = 'ioredis', port }: SharingOptions = {}
): Promise<SharedOptions> {
  return { store: redisStore(await redis.client(client, port)), secret }
}

interface SharingOptions {
  readonly secret?: SharedOptions['secret']
  readonly client?: ClientName
  readonly port?: number
}

/** The same store, with the number of its calls, and whether all of them were answered. */
export function counted(store: SharedOptions['store']): {
  readonly store: SharedOptions['store']
  readonly calls: () => number
  readonly isIdle: () => boolean
} {
  let calls = 0
  let answered = 0
  const count = <T>(answer: T): T => {
    calls++
    Promise.resolve(answer)
      .catch(() => undefined)
      .finally(() => answered++)
    return answer
  }
  return {
    store: {
      get: (key) => count(store.get(key)),
      set: (key, value, ttl) => count(store.set(key, value, ttl)),
      delete: (key) => count(store.delete(key)),
      add: (key, ttl) => count(store.add(key, ttl))
    },
    calls: () => calls,
    isIdle: () => calls === answered
  }
}

/** What the package itself keeps things with, to put there what no process would. */
export async function insider(redis: TestRedis, now: () => number, secret = SECRET): Promise<Shared> {
  const { store } = await sharing(redis)
  return createShared({ store, secrets: [secret], log: undefined }, now)
}

/** The keys of a purpose, as soon as there are so many: nobody waits for what is shared. */
export async function kept(redis: TestRedis, purpose: string, count = 1): Promise<string[]> {
  for (;;) {
    const keys = await redis.look.keys(`oauth-rs:${purpose}:*`)
    if (keys.length >= count) return keys.sort()
    await setImmediate()
  }
}

/** The same for a value that is to become another one. */
export async function changed(redis: TestRedis, key: string, before: string | null): Promise<string | null> {
  for (;;) {
    const value = await redis.look.get(key)
    if (value !== before) return value
    await setImmediate()
  }
}
