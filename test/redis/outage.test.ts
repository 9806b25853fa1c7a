/** A Redis that is killed and comes back, hangs, or answers nonsense, in the middle: what each purpose does meanwhile. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { IssuerOptions, ResourceServer, SharedOptions } from '../../src/index.js'
import { ask, createBed, denial, granted, introspecting, RESOURCE, strangeKey, until } from '../support/exchange.js'
import type { TestIssuer } from '../support/issuer.js'
import { counted, insider, kept, SECRET, sharing } from '../support/processes.js'
import { CLIENTS, createRedis, hasRedis, startSilence } from '../support/redis.js'

const bed = createBed()
/** Seconds after which a key set is due for renewal, at the latest. */
const DUE = 599

describe.skipIf(!hasRedis)('the shared store fails', () => {
  const redis = createRedis()
  let issuer: TestIssuer

  beforeEach(async () => {
    await redis.look.flushall()
    issuer = await bed.issuer()
  })

  const process = (shared: SharedOptions, one: string | IssuerOptions = issuer.issuer): ResourceServer =>
    bed.api({ issuers: [one], shared })
  const junk = (): string => issuer.token({ key: strangeKey(`x${Math.random()}`) })
  /** Goes on past pauses until the store has answered this process again. */
  async function wellAgain(api: ResourceServer, attempt: () => Promise<unknown>): Promise<void> {
    do {
      bed.clock.advance(1)
      await attempt()
    } while (api.stats().shared?.error !== undefined)
    expect(api.health().shared).toEqual({ status: 'ok', error: undefined })
  }

  describe.each(CLIENTS)('with %s', (client) => {
    test('DEN-16: introspection calls the authorization server instead, and shares again after the outage', async () => {
      const apis = await Promise.all(
        [0, 1].map(async () => process(await sharing(redis, { client }), introspecting(issuer)))
      )
      const [a, b] = apis as [ResourceServer, ResourceServer]
      expect(await ask(a, issuer.opaque())).toEqual(granted)
      await redis.kill()
      const token = issuer.opaque()
      issuer.reset()
      for (const api of apis) expect(await ask(api, token)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(2)
      expect(await ask(a, 'unknown')).toEqual(denial.inactive)
      // What is known here is served without the store.
      expect(await ask(a, token)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(3)
      await redis.start()
      for (const api of apis) await wellAgain(api, () => ask(api, issuer.opaque()))
      const later = issuer.opaque()
      expect(await ask(a, later)).toEqual(granted)
      const cache = (await insider(redis, bed.clock.now)).cache('introspection')
      const parts = [issuer.issuer, '', '', 'api', 'plain', RESOURCE, later]
      while ((await cache.get(parts)) === undefined) await redis.look.ping()
      issuer.reset()
      expect(await ask(b, later)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(0)
    })

    test('KEY-07: each process looks for an unknown key itself; after the outage one process does', async () => {
      const apis = [process(await sharing(redis, { client })), process(await sharing(redis, { client }))]
      for (const api of apis) expect(await ask(api, issuer.token())).toEqual(granted)
      await kept(redis, 'jwks')
      await redis.kill()
      issuer.rotate('switch')
      issuer.reset()
      for (const api of apis) expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(2)
      await redis.start()
      await until(() => redis.look.status === 'ready')
      for (const api of apis) await wellAgain(api, () => ask(api, junk()))
      // A client that waits for its connection takes turns late, which nobody waits for any more.
      await redis.look.flushall()
      issuer.rotate('switch')
      issuer.reset()
      bed.clock.advance(30)
      expect(await Promise.all(apis.map((api) => ask(api, issuer.token())))).toEqual([granted, granted])
      expect(issuer.count('jwks')).toBe(1)
    })
  })

  test('KEY-08: keys that the store lost are there again after the next renewal', async () => {
    const shared = await sharing(redis)
    const first = process(shared)
    await first.ready()
    await kept(redis, 'jwks')
    // The answer to what was written has come too, else the client would write it again.
    await shared.store.get('x')
    await redis.kill()
    await redis.start()
    await until(() => redis.look.status === 'ready')
    expect(await redis.look.keys('*')).toEqual([])
    bed.clock.advance(DUE)
    // The first attempt may still find no connection.
    while ((await redis.look.keys('oauth-rs:jwks:*')).length === 0) {
      expect(await ask(first, issuer.token())).toEqual(granted)
      await first.refresh()
    }
    await kept(redis, 'metadata')
    await issuer.close()
    expect(await ask(process(await sharing(redis)), issuer.token())).toEqual(granted)
  })

  test('a hanging store costs three requests a quarter of a second, and then none', async () => {
    const silence = bed.closing(await startSilence(redis.port))
    const { store, calls, isIdle } = counted((await sharing(redis, { port: silence.port })).store)
    const api = process({ store, secret: SECRET }, introspecting(issuer))
    await api.ready()
    await until(isIdle)
    await store.get('x')
    silence.hold(true)
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(api.stats().shared?.error).toBe('Error: no answer within 0.25 s')
    // What was to be written was not either.
    for (const _ of [2, 3]) expect(await ask(api, issuer.opaque())).toEqual(granted)
    await until(() => api.stats().shared?.state === 'paused')
    expect(api.health()).toMatchObject({ status: 'degraded', shared: { status: 'degraded' } })
    const before = calls()
    for (const _ of [4, 5, 6]) expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(calls()).toBe(before)
    silence.hold(false)
    await wellAgain(api, () => ask(api, issuer.opaque()))
    expect(api.health().status).toBe('ok')
  })

  test('a hanging store does not stop a process from looking for an unknown key itself', async () => {
    const silence = bed.closing(await startSilence(redis.port))
    const api = process(await sharing(redis, { port: silence.port }))
    await api.ready()
    await kept(redis, 'jwks')
    issuer.reset()
    silence.hold(true)
    expect(await Promise.all([1, 2, 3, 4].map(() => ask(api, junk())))).toEqual(Array(4).fill(denial.signature))
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(1)
    expect(api.health().issuers[0]?.status).toBe('ok')
  })

  test('KEY-08: a process that starts while neither store nor authorization server answers gives 503', async () => {
    const silence = bed.closing(await startSilence(redis.port))
    const shared = await sharing(redis, { port: silence.port })
    silence.hold(true)
    const token = issuer.token()
    await issuer.close()
    expect(await ask(process(shared), token)).toEqual(denial.unavailable)
  })

  test('with a second secret too, a request waits for the store once', async () => {
    const silence = bed.closing(await startSilence(redis.port))
    const { store, calls, isIdle } = counted((await sharing(redis, { port: silence.port })).store)
    const api = process({ store, secret: [SECRET, `${SECRET} of before`] }, introspecting(issuer))
    await api.ready()
    await until(isIdle)
    const before = calls()
    silence.hold(true)
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    // Two looks at once (at the answer, and at whether the token was active before) and a look before the answer is
    // written: three calls without an answer, after which the store is left alone.
    await until(() => calls() === before + 3)
  })
})
