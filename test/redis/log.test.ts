/**
 * `redisLog()` over real servers: the contract of a log with each client, and what crashes, failovers and other programs do to
 * a stream. A reader must either get every entry or be told that entries may be missing.
 */
import { createCluster } from '@redis/client'
import { Cluster, type Redis as Ioredis } from 'ioredis'
import { Cluster as ValkeyCluster } from 'iovalkey'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type RedisClient, type RedisLogOptions, type RedisSubscriber, redisLog } from '../../integrations/redis.js'
import type { Log, LogAppending, LogPage, LogReading } from '../../src/index.js'
import { logContract } from '../../test-kit/issuer.js'
import { until } from '../support/exchange.js'
import { CLIENTS, type ClientName, createRedis, hasRedis, type TestRedis } from '../support/redis.js'

const NAME = 'revocations'
const KEY = `oauth-rs:${NAME}`
const APPENDING: LogAppending = { keep: 86_400, reserve: 0 }

function read(log: Log, how: Partial<LogReading> = {}): Promise<LogPage> {
  return Promise.resolve(log.read(NAME, { limit: 1000, keep: 86_400, ...how }))
}

async function append(log: Log, values: readonly string[], how: Partial<LogAppending> = {}): Promise<void> {
  for (const value of values) await log.append(NAME, value, { ...APPENDING, ...how })
}

const values = (page: LogPage): readonly string[] => page.entries.map(({ value }) => value)

/** What a reader of the page tells the log next. */
const knownFrom = (page: LogPage): Partial<LogReading> => ({ after: page.entries.at(-1)?.position, first: page.first })

async function logOf(redis: TestRedis, name: ClientName, options: RedisLogOptions = {}): Promise<Log> {
  return redisLog(await redis.client(name), options)
}

/** A log with the entries 1 to 5, and what a reader knows of it. */
async function filled(redis: TestRedis): Promise<{ readonly log: Log; readonly page: LogPage }> {
  const log = await logOf(redis, 'ioredis')
  await append(log, ['1', '2', '3', '4', '5'])
  return { log, page: await read(log) }
}

/** Asks until it is true: each question is a round trip. */
async function untilTrue(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask()));
}

/** Reads until the client has its connection again. */
async function readAgain(log: Log, how: Partial<LogReading> = {}): Promise<LogPage> {
  for (;;) {
    const page = await read(log, how).catch(() => undefined)
    if (page) return page
  }
}

describe.skipIf(!hasRedis)('the contract of a log', () => {
  const redis = createRedis()

  describe.each([
    ['ioredis', 2],
    ['iovalkey', 2],
    ['node-redis', 2],
    ['node-redis', 3]
  ] as const)('with %s, RESP %i', (name, RESP) => {
    const tests = logContract(async ({ processes, maxEntries }) =>
      Promise.all(
        Array.from({ length: processes }, async () => {
          const [client, subscriber] = await Promise.all([0, 1].map(() => redis.client(name, redis.port, { RESP })))
          const log = redisLog(client as RedisClient, { maxEntries, subscriber: subscriber as RedisSubscriber })
          expect('wake' in log).toBe(true)
          return log
        })
      )
    )
    test.each(tests.map(({ name: title, run }) => [title, run] as const))('%s', (_, run) => run())
  })
})

describe.skipIf(!hasRedis)('the contract of a log in a cluster', () => {
  const redis = createRedis({ cluster: true })
  const node = (): { host: string; port: number } => ({ host: '127.0.0.1', port: redis.port })

  beforeAll(async () => {
    await redis.look.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 0, 16_383)
    while (!(await redis.look.cluster('INFO')).includes('cluster_state:ok')) await redis.look.ping()
  })

  const ending = (cluster: Cluster): Cluster => {
    cluster.on('error', () => undefined)
    onTestFinished(() => cluster.disconnect())
    return cluster
  }
  const clients: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['ioredis', async () => ending(new Cluster([node()]))],
    ['iovalkey', async () => ending(new ValkeyCluster([node()]) as unknown as Cluster)],
    [
      'node-redis',
      async () => {
        const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${redis.port}` }] })
        cluster.on('error', () => undefined)
        await cluster.connect()
        onTestFinished(() => cluster.destroy())
        return cluster
      }
    ]
  ]

  describe.each(clients)('of %s', (_, connect) => {
    const tests = logContract(async ({ processes, maxEntries }) =>
      Promise.all(
        Array.from({ length: processes }, async () =>
          redisLog((await connect()) as RedisClient, { maxEntries, subscriber: (await connect()) as RedisSubscriber })
        )
      )
    )
    test.each(tests.map(({ name: title, run }) => [title, run] as const))('%s', (_title, run) => run())
  })
})

describe.skipIf(!hasRedis).each(CLIENTS)('a server that is killed, with %s', (name) => {
  const durable = createRedis({ durable: true })
  const forgetful = createRedis()

  test('OPS-01: has every entry again if it writes to its disk, under the name of another run', async () => {
    const log = await logOf(durable, name)
    await append(log, ['1', '2', '3'])
    const page = await read(log)
    await durable.kill()
    await durable.start()
    const again = await readAgain(log)
    expect(values(again)).toEqual(['1', '2', '3'])
    expect(await read(log, knownFrom(page))).toMatchObject({ entries: [], length: 3, isWhole: true })
    expect(page.incarnation).toMatch(/^[0-9a-f]{40}$/)
    expect(again.incarnation).not.toBe(page.incarnation)
    await append(log, ['4'])
    expect(values(await read(log, knownFrom(page)))).toEqual(['4'])
  })

  test('OPS-01: tells a reader that its entries are gone if it keeps them in memory, also after new entries', async () => {
    const log = await logOf(forgetful, name)
    await append(log, ['1', '2', '3'])
    const page = await read(log)
    await forgetful.kill()
    await forgetful.start()
    const empty = await readAgain(log, knownFrom(page))
    expect(empty).toMatchObject({ entries: [], first: undefined, length: 0, isWhole: false })
    expect(empty.incarnation).not.toBe(page.incarnation)
    await append(log, ['4'], { dropTo: page.entries[1]?.position })
    const next = await read(log, knownFrom(page))
    expect(next).toMatchObject({ length: 1, isWhole: false })
  })
})

describe.skipIf(!hasRedis)('a replica that is promoted', () => {
  const primary = createRedis()
  const replica = createRedis()

  const replicated = (look: Ioredis): Promise<boolean> =>
    look.info('replication').then((text) => text.includes('master_link_status:up'))

  beforeEach(async () => {
    await primary.look.flushall()
    await replica.look.replicaof('127.0.0.1', primary.port)
    await untilTrue(() => replicated(replica.look))
  })

  test('OPS-01: without the last entries is another run, and is not whole', async () => {
    const { log } = await filled(primary)
    const promoted = await logOf(replica, 'ioredis')
    await untilTrue(async () => (await replica.look.xlen(KEY)) === 5)
    // The link breaks before the last entries.
    await replica.look.replicaof('NO', 'ONE')
    await append(log, ['6', '7'])
    const page = await read(log)
    await primary.kill()
    const next = await read(promoted, knownFrom(page))
    expect(next).toMatchObject({ entries: [], first: page.first, length: 5, isWhole: false })
    expect(next.incarnation).not.toBe(page.incarnation)
    // Later entries hide the gap from positions: the run still tells.
    await append(promoted, ['8'])
    const later = await read(promoted, knownFrom(page))
    expect(values(later)).toEqual(['8'])
    expect(later.incarnation).toBe(next.incarnation)
  })

  test('OPS-01: whose clock is a minute behind gives new entries positions that a reader of the lost ones does not miss', async () => {
    const log = await logOf(primary, 'ioredis')
    const promoted = await logOf(replica, 'ioredis')
    await append(log, ['1'])
    await untilTrue(async () => (await replica.look.xlen(KEY)) === 1)
    await replica.look.replicaof('NO', 'ONE')
    await primary.look.xadd(KEY, `${Date.now() + 60_000}-0`, 'v', 'from a clock ahead')
    await append(log, ['3'])
    const page = await read(log)
    expect(values(page)).toEqual(['1', 'from a clock ahead', '3'])
    await primary.kill()
    await append(promoted, ['4'], { dropTo: page.entries.at(-1)?.position })
    const next = await read(promoted, knownFrom(page))
    expect(next).toMatchObject({ entries: [], length: 2, isWhole: false })
    expect(values(await read(promoted))).toEqual(['1', '4'])
  })
})

describe.skipIf(!hasRedis)('a stream that another program changes', () => {
  const redis = createRedis()
  beforeEach(async () => {
    if (hasRedis) await redis.look.flushall()
  })

  test.each([
    ['FLUSHALL', () => redis.look.flushall()],
    ['DEL', () => redis.look.del(KEY)]
  ])('OPS-01: %s: is not whole to a reader of its entries, also after new ones', async (_, empty) => {
    const { log, page } = await filled(redis)
    await empty()
    expect(await read(log, knownFrom(page))).toMatchObject({ entries: [], length: 0, isWhole: false })
    await append(log, ['6'], { dropTo: page.entries[2]?.position })
    expect(await read(log, knownFrom(page))).toMatchObject({ length: 1, isWhole: false })
    const now = await read(log)
    expect(await read(log, knownFrom(now))).toMatchObject({ isWhole: true })
  })

  test('OPS-01: XTRIM MAXLEN: is not whole to a reader of the entries that are gone, unless they had expired', async () => {
    const { log, page } = await filled(redis)
    await redis.look.xtrim(KEY, 'MAXLEN', 2)
    const next = await read(log, knownFrom(page))
    expect(next).toMatchObject({ entries: [], length: 2, isWhole: false })
    await append(log, ['6'])
    expect(await read(log, knownFrom(page))).toMatchObject({ isWhole: false })
    expect(await read(log, knownFrom(next))).toMatchObject({ isWhole: true })
    await untilTrue(async () => (await read(log, { ...knownFrom(page), keep: 0 })).isWhole)
  })

  test('OPS-01: XTRIM MAXLEN after an append dropped entries: is not whole to a reader that has not read since', async () => {
    const { log, page } = await filled(redis)
    await append(log, ['6'], { dropTo: page.entries[1]?.position })
    expect(await read(log, knownFrom(page))).toMatchObject({ first: page.entries[2]?.position, isWhole: true })
    await redis.look.xtrim(KEY, 'MAXLEN', 3)
    await append(log, ['7'])
    expect(await read(log, knownFrom(page))).toMatchObject({ isWhole: false })
  })

  test('fails for a key of another type, and shows an entry of another program as an empty value', async () => {
    const log = await logOf(redis, 'node-redis')
    await redis.look.set(KEY, 'x')
    await expect(read(log)).rejects.toThrow('WRONGTYPE')
    await expect(append(log, ['1'])).rejects.toThrow('WRONGTYPE')
    await redis.look.del(KEY)
    await redis.look.xadd(KEY, '*', 'other', 'x')
    await append(log, ['1'])
    expect((await read(log)).entries.map(({ value }) => value)).toEqual(['', '1'])
  })

  test('appends although the server has reached maxmemory, since the log has a limit of its own', async () => {
    const { log } = await filled(redis)
    await redis.look.config('SET', 'maxmemory', '1')
    onTestFinished(async () => void (await redis.look.config('SET', 'maxmemory', '0')))
    await append(log, ['6'])
    expect(values(await read(log))).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  test('drops by age and never by number, and recovers when it is full of expired entries', async () => {
    const log = await logOf(redis, 'iovalkey', { maxEntries: 10 })
    const now = Date.now()
    for (let i = 0; i < 10; i++) await redis.look.xadd(KEY, `${now - 7_200_000 + i}-0`, 'v', String(i))
    await expect(append(log, ['10'], { keep: 10_000 })).rejects.toMatchObject({ name: 'LogFull' })
    expect((await read(log)).length).toBe(10)
    await append(log, ['10'], { keep: 3600 })
    expect(values(await read(log))).toEqual(['10'])
  })
})

describe.skipIf(!hasRedis)('keys and rights', () => {
  const redis = createRedis()
  beforeEach(async () => {
    if (hasRedis) await redis.look.flushall()
  })

  test('writes one key with the prefix, and sends each call as one command', async () => {
    const log = await logOf(redis, 'ioredis', { prefix: 'mine:' })
    await append(log, ['1'])
    await read(log)
    expect(await redis.look.keys('*')).toEqual([`mine:${NAME}`])
    const commands = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(await redis.look.info('stats'))?.[1])
    const before = await commands()
    await append(log, ['2'])
    await read(log)
    // The third is this INFO.
    expect((await commands()) - before).toBe(3)
  })

  test('runs its scripts on a server that was restarted and has none', async () => {
    const log = await logOf(redis, 'node-redis')
    await append(log, ['1'])
    await redis.look.script('FLUSH')
    await append(log, ['2'])
    expect(values(await read(log))).toEqual(['1', '2'])
  })

  test('wakes without a subscription left when the last listener ends; without a subscriber there is no wake', async () => {
    expect('wake' in (await logOf(redis, 'ioredis'))).toBe(false)
    const log = await logOf(redis, 'ioredis', { subscriber: await redis.client('ioredis') })
    const ends = [await log.wake?.(NAME, () => undefined), await log.wake?.(NAME, () => undefined)]
    const subscribers = async (): Promise<unknown> => (await redis.look.pubsub('NUMSUB', `${KEY}:wake`))[1]
    expect(await subscribers()).toBe(1)
    await ends[0]?.()
    await ends[0]?.()
    expect(await subscribers()).toBe(1)
    await ends[1]?.()
    await untilTrue(async () => (await subscribers()) === 0)
  })

  test('wakes its listeners again after the server was restarted', async () => {
    const log = await logOf(redis, 'ioredis', { subscriber: await redis.client('ioredis') })
    let wakes = 0
    await log.wake?.(NAME, () => void wakes++)
    await redis.kill()
    await redis.start()
    await untilTrue(async () => (await redis.look.pubsub('NUMSUB', `${KEY}:wake`))[1] === 1)
    await append(log, ['1'])
    await until(() => wakes === 1)
  })

  /** The rights that the error names. */
  const RIGHTS =
    '~oauth-rs:* &oauth-rs:* +eval +evalsha +xadd +xtrim +xlen +xrange +xrevrange +xinfo|stream +time +info +publish'

  /** A client of a user with only these rights. */
  async function restricted(rights: string): Promise<RedisClient> {
    await redis.look.call('ACL', ['SETUSER', 'api', 'reset', 'on', '>secret', ...rights.split(' ')])
    return redis.client('node-redis', redis.port, { username: 'api', password: 'secret' })
  }

  test('works for a user with only the rights that the documentation names', async () => {
    const log = redisLog(await restricted(RIGHTS))
    await append(log, ['1', '2'])
    const page = await read(log)
    await append(log, ['3'], { dropTo: page.first })
    const next = await read(log, knownFrom(page))
    expect({ values: values(next), length: next.length, isWhole: next.isWhole }).toEqual({
      values: ['3'],
      length: 2,
      isWhole: true
    })
    expect(next.incarnation).not.toBe('')
  })

  test('works without the right to INFO and PUBLISH: it does not name the run, and wakes nobody', async () => {
    const log = redisLog(await restricted(RIGHTS.replace(' +info +publish', '')))
    await append(log, ['1'])
    expect(await read(log)).toMatchObject({ length: 1, incarnation: '', isWhole: true })
  })

  test.each([
    '+eval',
    '+evalsha',
    '+xadd',
    '+xtrim',
    '+xlen',
    '+xrange',
    '+xrevrange',
    '+xinfo|stream',
    '+time',
    '~oauth-rs:*'
  ])('says which rights are missing without %s', async (right) => {
    const log = redisLog(
      await restricted(
        RIGHTS.split(' ')
          .filter((one) => one !== right)
          .join(' ')
      )
    )
    await redis.look.script('FLUSH')
    const failed = append(log, ['1'], { dropTo: '1-0' }).then(() => read(log))
    await expect(failed).rejects.toThrow(`Give the user of the client these rights (ACL SETUSER): ${RIGHTS}`)
  })

  test('a subscriber needs only the right to subscribe', async () => {
    await redis.look.call('ACL', [
      'SETUSER',
      'ear',
      'reset',
      'on',
      '>secret',
      '&oauth-rs:*',
      '+subscribe',
      '+unsubscribe'
    ])
    const subscriber = await redis.client('node-redis', redis.port, { username: 'ear', password: 'secret' })
    const log = await logOf(redis, 'node-redis', { subscriber })
    let wakes = 0
    const end = await log.wake?.(NAME, () => void wakes++)
    await append(log, ['1'])
    await until(() => wakes > 0)
    await end?.()
  })
})

describe('invalid clients, options, arguments and answers', () => {
  const PAGE = [
    ['ab', '5-0', '5-0', '1', '6', '0', '', '0'],
    ['5-0', 'x']
  ]
  /** A client whose server answers every script so. */
  const answering = (answer: unknown): RedisClient => {
    const method = async (): Promise<unknown> => answer
    return {
      status: 'ready',
      get: method,
      set: method,
      del: method,
      call: method,
      setex: method,
      multi: method,
      evalsha: method,
      eval: method
    } as RedisClient
  }
  const log = redisLog(answering(PAGE))

  test.each([
    ['nothing', undefined],
    ['a publisher', { publish: async () => 0 }],
    ['a client without scripts', { ...answering(0), evalsha: undefined }]
  ])('%s is refused at once', (_, client) => {
    expect(() => redisLog(client as RedisClient)).toThrow(
      'redisLog() needs a client of ioredis, iovalkey or node-redis'
    )
  })

  test.each([
    [{ maxEntries: 9 }, 'maxEntries must be an integer of at least 10, not 9'],
    [{ maxEntries: 10.5 }, 'maxEntries must be an integer'],
    [{ max: 5 }, '`max` is not an option'],
    [{ subscriber: { publish: () => undefined } }, 'redisLog() needs a subscriber']
  ])('the options %j are refused at once', (options, message) => {
    expect(() => redisLog(answering(PAGE), options as RedisLogOptions)).toThrow(message)
  })

  test.each([
    ['a name', () => log.read('ä', { limit: 1, keep: 1 }), 'printable ASCII'],
    ['a limit', () => log.read('a', { limit: 1001, keep: 1 }), 'limit must be an integer from 1 to 1000, not 1001'],
    ['a position', () => log.read('a', { limit: 1, keep: 1, after: '+' }), 'after must be a position'],
    [
      'a time',
      () => log.append('a', '', { reserve: 0, keep: Number.NaN }),
      'keep must be a number of seconds, not NaN'
    ],
    [
      'a reserve',
      () => log.append('a', '', { reserve: 1, keep: 1 }),
      'reserve must be 0 or more and less than 1, not 1'
    ],
    ['a value', () => log.append('a', 'x'.repeat(65_537), { reserve: 0, keep: 1 }), 'at most 65536 bytes']
  ])('%s that is wrong is refused', async (_, call, message) => {
    await expect(call()).rejects.toThrow(message)
  })

  test('takes an answer of bytes', async () => {
    const bytes = PAGE.map((list) => list.map((text) => Buffer.from(text)))
    const expected = {
      entries: [{ position: '5-0', value: 'x' }],
      first: '5-0',
      length: 1,
      isWhole: true,
      incarnation: 'ab'
    }
    expect(await redisLog(answering(bytes)).read('a', { limit: 1, keep: 1 })).toEqual(expected)
    expect(await log.read('a', { limit: 1, keep: 1 })).toEqual(expected)
    await redisLog(answering(Buffer.from('5-0'))).append('a', '', APPENDING)
  })

  const [state, texts] = PAGE as [string[], string[]]
  test.each([
    null,
    'OK',
    [],
    [[], []],
    [state],
    [state, ['5-0']],
    [state, ['5-0', 7]],
    [state, ['x', 'y']],
    [state.with(1, ''), texts],
    [state.with(2, '+'), texts],
    [state.with(3, '-1'), texts],
    [state.with(4, 'now'), texts],
    [state.with(5, '2'), texts],
    [state.with(6, 'x'), texts],
    [state.slice(0, 7), texts]
  ])('an answer that Redis does not give is an error: %j', async (answer) => {
    await expect(redisLog(answering(answer)).read('a', { limit: 1, keep: 1 })).rejects.toThrow('unexpected')
    await expect(redisLog(answering(answer)).append('a', '', APPENDING)).rejects.toThrow('unexpected')
  })
})
