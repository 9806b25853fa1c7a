/** `redisStore()` and `redisChannel()` over a real server, with each client they are for. */
import { createClient, createCluster, createSentinel } from '@redis/client'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { Cluster as ValkeyCluster } from 'iovalkey'
import { describe, expect, test } from 'vitest'
import { type RedisClient, type RedisSubscriber, redisChannel, redisStore } from '../../adapters/redis.js'
import { until } from '../support/exchange.js'
import { CLIENTS, createRedis, hasRedis, startSilence } from '../support/redis.js'

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

    test('everything it writes has the prefix, and ends by itself', async () => {
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

    test('DPP-19 (RFC 9449 §11.1): of many that add a key at once one is told that it was new', async () => {
      const stores = await Promise.all([0, 1, 2].map(async () => redisStore(await redis.client(name))))
      const told = await Promise.all(Array.from({ length: 60 }, async (_, i) => stores[i % 3]?.add(`once ${name}`, 60)))
      expect(told.filter((one) => one === true)).toHaveLength(1)
      expect(told.filter((one) => one === false)).toHaveLength(59)
    })

    test('an error of the server is thrown, and is neither true nor false', async () => {
      await redis.look.lpush('oauth-rs:list', 'x')
      const store = redisStore(await redis.client(name))
      await expect(store.get('list')).rejects.toThrow('WRONGTYPE')
      expect(await store.add('list', 60)).toBe(false)
      await redis.look.config('SET', 'maxmemory', '1')
      await expect(store.add('full', 60)).rejects.toThrow('OOM')
      await redis.look.config('SET', 'maxmemory', '0')
    })

    test('goes on with a server that was killed and is back', async () => {
      const store = redisStore(await redis.client(name))
      expect(await store.add(`before ${name}`, 60)).toBe(true)
      await redis.kill()
      await redis.start()
      // The client's own queue waits for the connection.
      expect(await store.add(`after ${name}`, 60)).toBe(true)
      expect(await store.add(`after ${name}`, 60)).toBe(false)
    })

    test('redisChannel(): every subscriber hears every message, until it ends', async () => {
      const publisher = await redis.client(name)
      const subscriber = await redis.client(name)
      const channel = redisChannel(publisher, subscriber, { name: `c ${name}` })
      const other = redisChannel(publisher, subscriber, { name: `d ${name}` })
      const heard: string[][] = [[], [], []]
      const end = await channel.subscribe((message) => heard[0]?.push(message))
      const endToo = await channel.subscribe((message) => heard[1]?.push(message))
      await other.subscribe((message) => heard[2]?.push(message))
      await channel.publish('one')
      await other.publish('else')
      await until(() => heard.every((one) => one.length === 1))
      await end()
      await channel.publish('two')
      await until(() => heard[1]?.length === 2)
      await endToo()
      await other.publish('else')
      await until(() => heard[2]?.length === 2)
      expect(heard).toEqual([['one'], ['one', 'two'], ['else', 'else']])
      expect(await redis.look.pubsub('NUMSUB', `c ${name}`)).toEqual([`c ${name}`, 0])
    })

    test('redisChannel(): a subscription outlives the server', async () => {
      const channel = redisChannel(await redis.client(name), await redis.client(name), { name: `live ${name}` })
      const heard: string[] = []
      await channel.subscribe((message) => heard.push(message))
      await redis.kill()
      await redis.start()
      while ((await redis.look.pubsub('NUMSUB', `live ${name}`))[1] === 0) await redis.look.ping()
      await channel.publish('back')
      await until(() => heard.length === 1)
      expect(heard).toEqual(['back'])
    })
  })

  test('a client that may not wait for its connection fails at once, and rejects nothing that nobody awaits', async () => {
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
    const end = redisChannel(client, client)
    await expect(end.subscribe(() => undefined)).rejects.toThrow()
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
  ])('%s is taken', (_, make) => {
    const client = make()
    expect(() => redisStore(client as RedisClient)).not.toThrow()
    expect(() => redisChannel(client as Ioredis, client as RedisSubscriber)).not.toThrow()
  })
})

describe('a client that is none', () => {
  const method = (): Promise<unknown> => Promise.resolve()
  const callbackStyle = { get: method, set: method, del: method, setex: method, setEx: undefined, publish: method }
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
    expect(() => redisChannel(ioredis, client as unknown as RedisSubscriber)).toThrow(TypeError)
  })

  test('a publisher that cannot publish is refused at once', () => {
    for (const publisher of [undefined, null, {}, 'x'])
      expect(() => redisChannel(publisher as unknown as Ioredis, ioredis)).toThrow(TypeError)
  })

  test('a client that answers with bytes is understood', async () => {
    const answer = (text: string) => (): Promise<unknown> => Promise.resolve(Buffer.from(text))
    const bytes = { ...callbackStyle, status: 'ready', call: method, get: answer('value'), set: answer('OK') }
    const store = redisStore(bytes as unknown as RedisClient)
    expect([await store.get('x'), await store.add('x', 1)]).toEqual(['value', true])
  })

  test('an answer that Redis does not give is no answer', async () => {
    const strange = { ...callbackStyle, status: 'ready', call: method } as unknown as RedisClient
    await expect(async () => redisStore(strange).add('x', 1)).rejects.toThrow('neither OK nor null')
  })
})
