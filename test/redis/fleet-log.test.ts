/**
 * Revocations of a fleet over a real Redis: processes that are killed, a Redis that loses its last entries or all of them. The
 * processes still refuse what was revoked, and the log gets it back from them for processes that start later.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { redisLog, redisStore } from '../../integrations/redis.js'
import type { ResourceServer } from '../../src/index.js'
import { ask, createBed, denial, granted, until } from '../support/exchange.js'
import { startIssuer, type TestIssuer } from '../support/issuer.js'
import { SECRET } from '../support/processes.js'
import { CLIENTS, type ClientName, createRedis, hasRedis, startAddress, type TestRedis } from '../support/redis.js'

const PROCESS = fileURLToPath(new URL('../support/redis-process.mjs', import.meta.url))

const bed = createBed()

/** Asks until it is true: each question is a round trip. */
async function untilTrue(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask()));
}

/** The key of the API's log: its store has keys with a similar name. */
async function keyOf(redis: TestRedis): Promise<string | undefined> {
  for (const key of await redis.look.keys('oauth-rs:*')) if ((await redis.look.type(key)) === 'stream') return key
  return undefined
}

/** How many entries the log of the API has. */
async function lengthOf(redis: TestRedis): Promise<number> {
  const key = await keyOf(redis)
  return key === undefined ? 0 : redis.look.xlen(key)
}

describe.skipIf(!hasRedis)('processes of the operating system', () => {
  const redis = createRedis({ durable: true })

  interface Running {
    readonly origin: string
    kill(): Promise<void>
  }

  async function start(issuer: TestIssuer, client: ClientName): Promise<Running> {
    const env = {
      PATH: process.env['PATH'],
      CLIENT: client,
      ISSUER: issuer.issuer,
      REDIS_PORT: String(redis.port),
      SECRET
    }
    const child: ChildProcess = spawn(process.execPath, [PROCESS], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const kill = async (): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    onTestFinished(kill)
    const [origin] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string]
    return { origin, kill }
  }
  const startAll = (issuer: TestIssuer): Promise<Running[]> =>
    Promise.all(CLIENTS.map((client) => start(issuer, client)))

  async function statusOf({ origin }: Running, token: string): Promise<number> {
    const response = await fetch(`${origin}/items`, { headers: { authorization: `Bearer ${token}` } })
    await response.arrayBuffer()
    return response.status
  }

  test('OPS-01: a revocation in one process is refused in all, also after all of them and Redis were killed', async () => {
    const issuer = await startIssuer()
    onTestFinished(() => issuer.close())
    const token = issuer.token({ claims: { sub: 'somebody' } })
    const other = issuer.token({ claims: { sub: 'else' } })
    const first = await startAll(issuer)
    for (const one of first) expect(await statusOf(one, token)).toBe(200)
    await fetch(`${first[0]?.origin}/revoke/somebody`)
    expect(await statusOf(first[0] as Running, token)).toBe(401)
    for (const one of first) await untilTrue(async () => (await statusOf(one, token)) === 401)
    await Promise.all(first.map((one) => one.kill()))
    await redis.kill()
    await redis.start()
    for (const one of await startAll(issuer)) {
      // The first answer of a process: it has read the log before.
      expect(await statusOf(one, token)).toBe(401)
      expect(await statusOf(one, other)).toBe(200)
    }
  })
})

describe.skipIf(!hasRedis)('a Redis that loses entries', () => {
  const primary = createRedis()
  const replica = createRedis()

  beforeEach(async () => {
    if (!hasRedis) return
    await replica.look.replicaof('NO', 'ONE')
    await Promise.all([primary.look.flushall(), replica.look.flushall()])
  })

  async function startApi(issuer: TestIssuer, port: number): Promise<ResourceServer> {
    const [client, subscriber] = [await primary.client('ioredis', port), await primary.client('ioredis', port)]
    const shared = { store: redisStore(client), secret: SECRET, log: redisLog(client, { subscriber }) }
    const api = bed.api({ issuers: [issuer.issuer], shared })
    await api.ready()
    onTestFinished(() => api.close())
    return api
  }
  const known = (api: ResourceServer): number => api.stats().revocations.entries

  test.each(['FLUSHALL', 'DEL'])(
    'OPS-01: %s: every process refuses still, the log has the revocations again, and a new process learns them',
    async (how) => {
      const issuer = await bed.issuer()
      const apis = [await startApi(issuer, primary.port), await startApi(issuer, primary.port)]
      const [first, second] = apis as [ResourceServer, ResourceServer]
      const tokens = ['u1', 'u2'].map((sub) => issuer.token({ claims: { sub } }))
      await first.revoke({ issuer: issuer.issuer, subject: 'u1' })
      await second.revoke({ issuer: issuer.issuer, subject: 'u2' })
      await until(() => apis.every((api) => known(api) === 2))
      if (how === 'DEL') await primary.look.del((await keyOf(primary)) as string)
      else await primary.look.flushall()
      for (const api of apis) for (const token of tokens) expect(await ask(api, token)).toEqual(denial.inactive)
      await untilTrue(async () => (await lengthOf(primary)) > 0)
      const late = await startApi(issuer, primary.port)
      await until(() => known(late) === 2)
      for (const token of tokens) expect(await ask(late, token)).toEqual(denial.inactive)
      expect(await ask(late, issuer.token({ claims: { sub: 'u3' } }))).toEqual(granted)
    }
  )

  test('OPS-01: a promoted replica without the last entries: refused still, in the log again, and known to a new process', async () => {
    const issuer = await bed.issuer()
    await replica.look.replicaof('127.0.0.1', primary.port)
    await untilTrue(async () => (await replica.look.info('replication')).includes('master_link_status:up'))
    const address = await startAddress(primary.port)
    onTestFinished(() => address.close())
    const apis = [await startApi(issuer, address.port), await startApi(issuer, address.port)]
    const [first] = apis as [ResourceServer]
    await first.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await untilTrue(async () => (await lengthOf(replica)) === 1)
    // The link breaks before the last entry, which the API acknowledges.
    await replica.look.replicaof('NO', 'ONE')
    await first.revoke({ issuer: issuer.issuer, subject: 'u2' })
    await until(() => apis.every((api) => known(api) === 2))
    expect(await lengthOf(replica)).toBe(1)
    await primary.kill()
    address.lead(replica.port)
    const token = issuer.token({ claims: { sub: 'u2' } })
    for (const api of apis) expect(await ask(api, token)).toEqual(denial.inactive)
    await untilTrue(async () => (await lengthOf(replica)) > 1)
    const late = await startApi(issuer, address.port)
    await until(() => known(late) === 2)
    expect(await ask(late, token)).toEqual(denial.inactive)
    await until(() => apis.every((api) => api.health().log?.status === 'ok'))
  })
})
