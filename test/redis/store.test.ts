/** `redisStore()` over a real server, with each client it is for. */
import { createClient, createCluster, createSentinel } from '@redis/client'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { Cluster as ValkeyCluster } from 'iovalkey'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type RedisClient, type RedisSubscriber, redisLog, redisStore } from '../../integrations/redis.js'
import type { OwnerQuotaExceeded } from '../../src/index.js'
import { isOwnerQuotaExceeded } from '../../src/sharing/memory-once-store.js'
import { until } from '../support/exchange.js'
import { CLIENTS, createRedis, hasRedis, startSilence } from '../support/redis.js'

/** The same client, as if it had no commands for scripts. */
function withoutScripts(client: RedisClient): RedisClient {
  const hidden = new Set<string | symbol>(['eval', 'evalsha', 'evalSha'])
  return new Proxy(client, {
    get: (target, name) => {
      if (hidden.has(name)) return undefined
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

/** How often the server has read from a connection. */
async function reads(look: Ioredis): Promise<number> {
  return Number(/total_reads_processed:(\d+)/.exec(await look.info('stats'))?.[1])
}

describe.skipIf(!hasRedis)('with a server', () => {
  const redis = createRedis()

  describe.each(CLIENTS)('redisStore() with %s', (name) => {
    test('gets what was set, until it is deleted', async () => {
      const store = redisStore(await redis.client(name))
      const key = `k ${name}\r\nDEL x`
      expect(await store.get(key)).toBeUndefined()
      await store.set(key, 'välue "1"\r\n', 100)
      expect(await store.get(key)).toBe('välue "1"\r\n')
      await store.set(key, '', 100)
      expect(await store.get(key)).toBe('')
      await store.delete(key)
      expect(await store.get(key)).toBeUndefined()
    })

    test('everything that it writes has the prefix and expires', async () => {
      await redis.look.flushall()
      const client = await redis.client(name)
      const store = redisStore(client)
      await store.set('a', '1', 1.5)
      await store.add('b', 0.0001)
      await redisStore(client, { prefix: 'mine ' }).add('c', 60)
      expect((await redis.look.keys('*')).filter((key) => !key.endsWith('b')).sort()).toEqual(['mine c', 'oauth-rs:a'])
      expect(await redis.look.pttl('oauth-rs:a')).toBeGreaterThan(1000)
      expect(await redis.look.pttl('oauth-rs:a')).toBeLessThanOrEqual(1500)
      expect(await redis.look.pttl('mine c')).toBeGreaterThan(59_000)
    })

    test('DPP-19 (RFC 9449 §11.1): one of many concurrent adds of a key returns true', async () => {
      const stores = await Promise.all([0, 1, 2].map(async () => redisStore(await redis.client(name))))
      const told = await Promise.all(Array.from({ length: 60 }, async (_, i) => stores[i % 3]?.add(`once ${name}`, 60)))
      expect(told.filter((one) => one === true)).toHaveLength(1)
      expect(told.filter((one) => one === false)).toHaveLength(59)
    })

    test('throws an error of the server, which is neither true nor false', async () => {
      await redis.look.lpush('oauth-rs:list', 'x')
      const store = redisStore(await redis.client(name))
      await expect(store.get('list')).rejects.toThrow('WRONGTYPE')
      expect(await store.add('list', 60)).toBe(false)
      await redis.look.config('SET', 'maxmemory', '1')
      await expect(store.add('full', 60)).rejects.toThrow('OOM')
      await redis.look.config('SET', 'maxmemory', '0')
    })

    /** How the client adds: by script, or as a client or a server without scripts does. */
    const ways: readonly (readonly [string, () => Promise<RedisClient>])[] = [
      ['by script', () => redis.client(name)],
      ['by transaction', async () => withoutScripts(await redis.client(name))]
    ]

    test.each(ways)(
      'DPP-20: refuses an owner over its limit %s, and serves every other owner',
      async (way, connect) => {
        await redis.look.flushall()
        const stores = await Promise.all([0, 1].map(async () => redisStore(await connect(), { maxPerOwner: 3 })))
        const add = (key: string, i = 0): Promise<unknown> =>
          Promise.resolve(stores[i]?.add(key, 70)).catch((error: unknown) => error)
        expect([await add('a.1'), await add('a.2', 1), await add('a.3')], way).toEqual([true, true, true])
        for (const i of [0, 1]) {
          const error = await add('a.4', i)
          expect(isOwnerQuotaExceeded(error)).toBe(true)
          expect((error as OwnerQuotaExceeded).retryAfter).toBeGreaterThan(50)
          expect((error as OwnerQuotaExceeded).retryAfter).toBeLessThanOrEqual(60)
        }
        expect([await add('a.1'), await add('b.1'), await add('no owner')]).toEqual([false, true, true])
        // A refused entry takes no room, and each counter ends by itself.
        const keys = ['no owner', '{a}.1', '{a}.2', '{a}.3', '{a}:count', '{b}.1', '{b}:count']
        expect((await redis.look.keys('*')).sort()).toEqual(keys.map((key) => `oauth-rs:${key}`))
        const left = await redis.look.pttl('oauth-rs:{a}:count')
        expect(left).toBeGreaterThan(50_000)
        expect(left).toBeLessThanOrEqual(60_000)
        // As the window ends, the owner may add again; its live entries are still known.
        await redis.look.pexpire('oauth-rs:{a}:count', -1)
        expect([await add('a.4'), await add('a.1')]).toEqual([true, false])
      }
    )

    test.each(ways)(
      'DPP-20: accepts exactly the permitted number of concurrent entries of one owner %s',
      async (way, connect) => {
        await redis.look.flushall()
        const stores = await Promise.all([0, 1, 2].map(async () => redisStore(await connect(), { maxPerOwner: 10 })))
        const told = await Promise.allSettled(
          Array.from({ length: 60 }, async (_, i) => stores[i % 3]?.add(`a.${i}`, 60))
        )
        expect(
          told.filter(({ status }) => status === 'fulfilled'),
          way
        ).toHaveLength(10)
        for (const one of told) if (one.status === 'rejected') expect(isOwnerQuotaExceeded(one.reason)).toBe(true)
        expect(await redis.look.keys('oauth-rs:{a}.*')).toHaveLength(10)
      }
    )

    test.each(ways)('an entry with an owner costs one round trip %s', async (way, connect) => {
      const store = redisStore(await connect())
      // The script is loaded by the first.
      await store.add(`trip ${way}.0`, 60)
      const before = await reads(redis.look)
      for (let i = 1; i <= 20; i++) await store.add(`trip ${way}.${i}`, 60)
      // One more read is that of the counting itself.
      expect((await reads(redis.look)) - before).toBe(20 + 1)
    })

    test('loads the script again into a server that lost its scripts', async () => {
      const store = redisStore(await redis.client(name))
      expect(await store.add(`flushed ${name}.1`, 60)).toBe(true)
      await redis.look.script('FLUSH')
      expect(await store.add(`flushed ${name}.1`, 60)).toBe(false)
      expect(await store.add(`flushed ${name}.2`, 60)).toBe(true)
    })

    test('adds by transaction for a user that may not run scripts', async () => {
      await redis.look.acl('SETUSER', 'default', '-eval', '-evalsha')
      try {
        const store = redisStore(await redis.client(name), { maxPerOwner: 1 })
        expect(await store.add(`acl ${name}.1`, 60)).toBe(true)
        expect(await store.add(`acl ${name}.1`, 60)).toBe(false)
        await expect(store.add(`acl ${name}.2`, 60)).rejects.toSatisfy(isOwnerQuotaExceeded)
      } finally {
        await redis.look.acl('SETUSER', 'default', '+@all')
      }
    })

    test.each(ways)('throws an error of the server %s, which is not the owner’s limit', async (way, connect) => {
      const store = redisStore(await connect())
      await redis.look.lpush(`oauth-rs:{list ${way}}:count`, 'x')
      // node-redis says no more of a transaction than that one of its commands failed.
      await expect(store.add(`list ${way}.1`, 60)).rejects.toThrow(/WRONGTYPE|commands failed/)
      await redis.look.config('SET', 'maxmemory', '1')
      await expect(store.add(`full ${way}.1`, 60)).rejects.toThrow(/OOM|aborted|EXECABORT/i)
      await redis.look.config('SET', 'maxmemory', '0')
      expect(await store.add(`full ${way}.1`, 60)).toBe(true)
    })

    test('works again after the server was killed and restarted', async () => {
      const store = redisStore(await redis.client(name))
      expect(await store.add(`before ${name}`, 60)).toBe(true)
      await redis.kill()
      await redis.start()
      // The client's own queue waits for the connection.
      expect(await store.add(`after ${name}`, 60)).toBe(true)
      expect(await store.add(`after ${name}`, 60)).toBe(false)
    })
  })

  test('a client that may not wait for its connection fails at once, without an unhandled rejection', async () => {
    const silence = await startSilence(redis.port)
    const client = new Ioredis({
      port: silence.port,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null
    })
    client.on('error', () => undefined)
    await until(() => client.status === 'ready')
    const store = redisStore(client)
    expect(await store.add('x', 60)).toBe(true)
    await silence.close()
    await until(() => client.status === 'end')
    await expect(store.get('x')).rejects.toThrow()
    const log = redisLog(client, { subscriber: client })
    await expect(log.wake?.('x', () => undefined)).rejects.toThrow()
    await expect(log.read('x', { limit: 1, keep: 1 })).rejects.toThrow()
    expect(client.listenerCount('message')).toBe(0)
  })
})

describe('a client of many servers', () => {
  const lazyConnect = true
  const node = { host: '127.0.0.1', port: 1 }

  test.each<[string, () => unknown]>([
    ['a cluster of ioredis', () => new Cluster([node], { lazyConnect })],
    ['a cluster of iovalkey', () => new ValkeyCluster([node], { lazyConnect })],
    ['a sentinel of ioredis', () => new Ioredis({ sentinels: [node], name: 'x', lazyConnect })],
    ['a cluster of node-redis', () => createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] })],
    ['a sentinel of node-redis', () => createSentinel({ name: 'x', sentinelRootNodes: [node] })]
  ])('%s works', (_, make) => {
    const client = make()
    expect(() => redisStore(client as RedisClient)).not.toThrow()
    expect(() => redisLog(client as RedisClient, { subscriber: client as RedisSubscriber })).not.toThrow()
  })
})

describe.skipIf(!hasRedis)('DPP-20: in a cluster', () => {
  const redis = createRedis({ cluster: true })
  const node = (): { host: string; port: number } => ({ host: '127.0.0.1', port: redis.port })

  beforeAll(async () => {
    await redis.look.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 0, 16_383)
    while (!(await redis.look.cluster('INFO')).includes('cluster_state:ok')) await redis.look.ping()
  })

  const clients: readonly (readonly [string, () => Promise<[RedisClient, () => unknown]>])[] = [
    ['ioredis', async () => ending(new Cluster([node()]))],
    ['iovalkey', async () => ending(new ValkeyCluster([node()]) as unknown as Cluster)],
    [
      'node-redis',
      async () => {
        const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${redis.port}` }] })
        cluster.on('error', () => undefined)
        await cluster.connect()
        return [cluster as unknown as RedisClient, () => cluster.destroy()]
      }
    ]
  ]
  const ending = (cluster: Cluster): [RedisClient, () => unknown] => [cluster, () => cluster.disconnect()]

  test.each(clients)(
    'an entry and its counter share a slot, with %s, by script and by transaction',
    async (name, connect) => {
      const [client, end] = await connect()
      onTestFinished(async () => void (await end()))
      for (const [way, one] of Object.entries({ script: client, transaction: withoutScripts(client) })) {
        const store = redisStore(one, { maxPerOwner: 2 })
        for (const owner of ['replay:abc', '', 'a{b}c', '}', '{}', '%']) {
          const key = `${owner}.${way} ${name}`
          expect([await store.add(key, 60), await store.add(key, 60)], key).toEqual([true, false])
        }
      }
      const keys = await redis.look.keys('*')
      const slots = new Map<string, Set<number>>()
      for (const key of keys) {
        const tag = key.slice(0, key.indexOf('}'))
        slots.set(tag, (slots.get(tag) ?? new Set()).add(await redis.look.cluster('KEYSLOT', key)))
      }
      expect([...slots.keys()].sort()).toEqual(
        ['%', '%25', '%7B%7D', '%7D', 'a%7Bb%7Dc', 'replay:abc'].map((tag) => `oauth-rs:{${tag}`)
      )
      for (const [tag, found] of slots) expect(found.size, tag).toBe(1)
      await redis.look.flushall()
    }
  )
})

describe('invalid clients and answers', () => {
  const method = (): Promise<unknown> => Promise.resolve()
  const callbackStyle = {
    get: method,
    set: method,
    del: method,
    setex: method,
    setEx: undefined,
    publish: method,
    multi: method
  }
  const ioredis = new Ioredis({ lazyConnect: true })
  const nodeRedis = createClient()

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['an address', 'redis://localhost'],
    ['a Map', new Map()],
    ['a client of callbacks (node-redis 3)', callbackStyle],
    ['a pipeline of ioredis', ioredis.pipeline()],
    ['a transaction of node-redis', nodeRedis.multi()]
  ])('%s is refused at once', (_, client) => {
    expect(() => redisStore(client as unknown as RedisClient)).toThrow(TypeError)
    expect(() => redisLog(client as unknown as RedisClient)).toThrow(TypeError)
    if (client !== undefined)
      expect(() => redisLog(ioredis, { subscriber: client as unknown as RedisSubscriber })).toThrow(TypeError)
  })

  test('understands a client that answers with bytes', async () => {
    const answer = (text: string) => (): Promise<unknown> => Promise.resolve(Buffer.from(text))
    const bytes = { ...callbackStyle, status: 'ready', call: method, get: answer('value'), set: answer('OK') }
    const store = redisStore(bytes as unknown as RedisClient)
    expect([await store.get('x'), await store.add('x', 1)]).toEqual(['value', true])
  })

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '10', null])(
    'redisStore() refuses a maxPerOwner of %j at once',
    (value) => {
      expect(() => redisStore(ioredis, { maxPerOwner: value as number })).toThrow(
        typeof value === 'number'
          ? new TypeError(`redisStore(): maxPerOwner must be a positive integer, not ${value}`)
          : /`maxPerOwner` is (?:'10'|null): it must be a number, such as maxPerOwner: 30000/
      )
    }
  )

  test('throws for an answer of a script or a transaction that Redis does not give', async () => {
    const chain = { set: method, incr: method, pttl: method, del: method, exec: () => Promise.resolve([]) }
    const base = { ...callbackStyle, status: 'ready', call: method, multi: () => chain }
    for (const more of [{}, { evalsha: () => Promise.resolve('x'), eval: method }])
      await expect(redisStore({ ...base, ...more } as unknown as RedisClient).add('a.1', 1)).rejects.toThrow(
        /the client (?:answered|did not answer)/
      )
  })

  test('throws for any other answer that Redis does not give', async () => {
    const strange = { ...callbackStyle, status: 'ready', call: method } as unknown as RedisClient
    await expect(async () => redisStore(strange).add('x', 1)).rejects.toThrow('neither OK nor null')
  })
})
