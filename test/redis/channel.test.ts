/** Revocations between processes over a real Redis, by way of each client: also when a subscription has died in silence. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { redisChannel, redisStore } from '../../integrations/redis.js'
import type { ResourceServer } from '../../src/index.js'
import { ask, createBed, denial, granted, until } from '../support/exchange.js'
import { SECRET } from '../support/processes.js'
import { type AnyClient, CLIENTS, createRedis, hasRedis } from '../support/redis.js'

const bed = createBed()
const CHANNEL = 'oauth-rs:events'

afterEach(() => vi.restoreAllMocks())

describe.skipIf(!hasRedis).each(CLIENTS)('%s', (name) => {
  const redis = createRedis()

  test('OPS-01: notices a subscription that the server has lost, and subscribes again', async () => {
    const issuer = await bed.issuer()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    /** What each process does in a minute, in the order in which they came to it. */
    const minutes = (): (() => void)[] =>
      timers.mock.calls.filter(([, wait = 0]) => wait > 50_000).map(([call]) => call as () => void)
    const start = async (): Promise<{ api: ResourceServer; subscriber: AnyClient }> => {
      const subscriber = await redis.client(name)
      const channel = redisChannel(await redis.client(name), subscriber)
      const store = redisStore(await redis.client(name))
      const before = minutes().length
      const api = bed.api({ issuers: [issuer.issuer], shared: { store, secret: SECRET, channel } })
      await until(() => minutes().length === before + 1)
      return { api, subscriber }
    }
    const [one, deaf] = [await start(), await start()]
    // Behind the back of the process, which goes on publishing.
    await (deaf.subscriber as unknown as { unsubscribe(channel: string): Promise<unknown> }).unsubscribe(CHANNEL)
    const token = issuer.token()
    await one.api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(one.api, token)).toEqual(denial.inactive)
    expect(await ask(deaf.api, token)).toEqual(granted)
    minutes().at(-1)?.()
    await until(() => minutes().length === 3)
    minutes().at(-1)?.()
    await until(() => deaf.api.stats().revocations.entries === 1)
    expect(await ask(deaf.api, token)).toEqual(denial.inactive)
    await until(() => deaf.api.health().status === 'ok')
    await one.api.revoke({ issuer: issuer.issuer, subject: 'u2' })
    await until(() => deaf.api.stats().revocations.entries === 2)
    await Promise.all([one.api.close(), deaf.api.close()])
    expect(await redis.look.pubsub('NUMSUB', CHANNEL)).toEqual([CHANNEL, 0])
  })
})
