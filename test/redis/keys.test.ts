/** Metadata and keys that processes share over a real Redis: who fetches, who waits, and how long an old set may serve. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { ResourceServer } from '../../src/index.js'
import { ask, createBed, denial, granted, introspecting, strangeKey, until } from '../support/exchange.js'
import { fault, type TestIssuer } from '../support/issuer.js'
import { changed, counted, insider, kept, SECRET, sharing } from '../support/processes.js'
import { createRedis, hasRedis } from '../support/redis.js'

const bed = createBed()
/** Seconds after which a key set is renewed in the background, at the latest; is no longer fresh; may serve no longer. */
const DUE = 599
const FRESH = 600
/** The answer about a key for which no look may begin. */
const tooSoon = {
  status: 429,
  challenge: null,
  retryAfter: expect.any(String) as string,
  body: { error: 'too_many_requests', error_description: 'The access token cannot be verified yet' }
}
const STALE = 3600

describe.skipIf(!hasRedis)('metadata and keys', () => {
  const redis = createRedis()
  let issuer: TestIssuer

  beforeEach(async () => {
    await redis.look.flushall()
    issuer = await bed.issuer()
  })

  const process = async (options: Partial<Parameters<typeof bed.api>[0]> = {}): Promise<ResourceServer> =>
    bed.api({ issuers: [issuer.issuer], shared: await sharing(redis), ...options })
  /** The authorization server is there and cannot answer. */
  const down = (isDown = true): void => {
    for (const endpoint of ['metadata', 'jwks', 'introspection'] as const)
      issuer.always(endpoint, isDown ? fault.status(404) : undefined)
  }
  /** A token that nobody signed with a key of the issuer's. */
  const junk = (): string => issuer.token({ key: strangeKey(`x${Math.random()}`) })

  /** What processes take in turn, which other ones than those of a test may hold. */
  const places = async () => {
    const claims = (await insider(redis, bed.clock.now)).once('jwks-refetch')
    const parts = [issuer.issuer, issuer.issuer, '', '']
    return {
      take: async (what: string, seconds: number): Promise<unknown> => claims.claim([...parts, what], seconds),
      release: async (): Promise<unknown> => redis.look.del(await kept(redis, 'jwks-refetch'))
    }
  }

  test.each(['null', '[]', '5', 'no JSON', '{}', '{"text":5}', '{"text":"{}","fetchedAt":null,"freshUntil":1}'])(
    'an authentic value that is not a snapshot (%s) counts as missing',
    async (text) => {
      const shared = await insider(redis, bed.clock.now)
      for (const purpose of ['jwks', 'metadata'] as const)
        await shared.cache(purpose).set([issuer.issuer, issuer.issuer, '', ''], text, 600)
      const api = await process()
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(api.health().status).toBe('ok')
    }
  )

  describe('a new process, while the authorization server is down', () => {
    test('KEY-08: verifies with what another process fetched, reports the outage, and recovers', async () => {
      const first = await process()
      expect(await ask(first, issuer.token())).toEqual(granted)
      await kept(redis, 'jwks')
      await kept(redis, 'metadata')
      await issuer.close()
      const second = await process()
      await second.ready()
      expect(await ask(second, issuer.token())).toEqual(granted)
      expect(await ask(second, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
      expect(await ask(second, junk())).toEqual({ ...denial.unavailable, retryAfter: expect.any(String) })
      expect(second.health().status).toBe('degraded')
      expect(second.health().issuers[0]).toMatchObject({
        metadata: { age: 0, error: expect.any(String) },
        jwks: { age: 0, keys: 1, error: expect.any(String) }
      })
    })

    test('uses shared metadata that are nested too deep to be written again', async () => {
      const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
      const document = JSON.stringify({ ...issuer.metadata, 'x-nested': 0 }).replace(':0}', `:${nested}}`)
      issuer.always('metadata', fault.status(200, { body: document }))
      expect(await ask(await process(), issuer.token())).toEqual(granted)
      await kept(redis, 'metadata')
      issuer.always('metadata', fault.status(500))
      expect(await ask(await process(), issuer.token())).toEqual(granted)
    })

    test('recovers by itself', async () => {
      await ask(await process(), issuer.token())
      await kept(redis, 'jwks')
      down()
      const second = await process()
      expect(await ask(second, issuer.token())).toEqual(granted)
      down(false)
      bed.clock.advance(2)
      issuer.reset()
      expect(await ask(second, issuer.token())).toEqual(granted)
      await issuer.received('jwks', 1)
      while (second.health().status !== 'ok') await redis.look.ping()
    })

    test('finds the introspection endpoint', async () => {
      const issuers = [introspecting(issuer)]
      const token = issuer.opaque()
      expect(await ask(await process({ issuers }), token)).toEqual(granted)
      await kept(redis, 'metadata')
      issuer.always('metadata', fault.status(500))
      expect(await ask(await process({ issuers }), issuer.opaque())).toEqual(granted)
    })

    test('KEY-09: uses the old set for an hour past its freshness, like any other, and then no more', async () => {
      await ask(await process(), issuer.token())
      await kept(redis, 'jwks')
      await kept(redis, 'metadata')
      down()
      bed.clock.advance(FRESH + STALE - 1)
      const late = await process()
      expect(await ask(late, issuer.token())).toEqual(granted)
      bed.clock.advance(1)
      // The metadata may serve for longer than the keys: what is missing is the key set, which is an outage.
      expect(await ask(late, issuer.token())).toEqual(denial.unavailable)
      const later = await process()
      expect(await ask(later, issuer.token())).toEqual(denial.unavailable)
      expect(later.health().issuers[0]?.jwks.keys).toBe(0)
      expect(late.health().status).toBe('failed')
    })

    test('does not use a set that is fresh for longer than any may be, or from the future', async () => {
      const cache = (await insider(redis, bed.clock.now)).cache('jwks')
      const parts = [issuer.issuer, issuer.issuer, '', `${issuer.origin}/jwks`]
      const now = bed.clock.now()
      const text = JSON.stringify(issuer.jwks)
      const issuers = [{ issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }]
      issuer.always('jwks', fault.status(500))
      const verdictOf = async (snapshot: unknown): Promise<number> => {
        await cache.set(parts, JSON.stringify(snapshot), 60)
        return (await ask(await process({ issuers }), issuer.token())).status
      }
      expect(await verdictOf({ text, fetchedAt: now, freshUntil: now + 3600 })).toBe(200)
      expect(await verdictOf({ text, fetchedAt: now, freshUntil: now + 3601 })).toBe(503)
      expect(await verdictOf({ text, fetchedAt: now + 11, freshUntil: now + 100 })).toBe(503)
      expect(await verdictOf({ text: '{"keys":[]}', fetchedAt: now, freshUntil: now + 3600 })).toBe(503)
      expect(await verdictOf({ text: '{', fetchedAt: now, freshUntil: now + 3600 })).toBe(503)
      expect(await verdictOf({ text, fetchedAt: 'now', freshUntil: now + 3600 })).toBe(503)
    })

    test('(RFC 8414 §3.3) refuses metadata that name another issuer, also from the store', async () => {
      const cache = (await insider(redis, bed.clock.now)).cache('metadata')
      const now = bed.clock.now()
      const write = (document: unknown): Promise<void> =>
        cache.set(
          [issuer.issuer, issuer.issuer, '', ''],
          JSON.stringify({ text: JSON.stringify(document), fetchedAt: now, freshUntil: now + 60 }),
          60
        )
      issuer.always('metadata', fault.status(500))
      await write({ ...issuer.metadata, issuer: 'https://other.example.com' })
      expect(await ask(await process(), issuer.token())).toEqual(denial.unavailable)
      await write(issuer.metadata)
      expect(await ask(await process(), issuer.token())).toEqual(granted)
    })

    test('KEY-01: uses nothing of another issuer, or of the same issuer at another URL', async () => {
      await ask(await process(), issuer.token())
      await kept(redis, 'jwks')
      down()
      const issuers = [{ issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }]
      expect(await ask(await process({ issuers }), issuer.token())).toEqual(denial.unavailable)
      const other = await bed.issuer()
      other.always('metadata', fault.status(500))
      expect(await ask(await process({ issuers: [other.issuer] }), other.token())).toEqual(denial.unavailable)
    })
  })

  test('KEY-09: a set that is put back does not restore a key whose withdrawal is known', async () => {
    const first = await process()
    const withdrawn = issuer.token({ claims: { exp: bed.clock.now() + 3 * FRESH } })
    expect(await ask(first, withdrawn)).toEqual(granted)
    const [key = ''] = await kept(redis, 'jwks')
    const before = await redis.look.get(key)
    issuer.rotate('switch')
    issuer.rotate('retire')
    bed.clock.advance(FRESH)
    expect(await ask(first, issuer.token())).toEqual(granted)
    await changed(redis, key, before)
    // Whoever can write to the store can put back what was there.
    await redis.look.set(key, String(before))
    down()
    bed.clock.advance(FRESH)
    expect(await ask(first, issuer.token())).toEqual(granted)
    expect(await ask(first, issuer.token({ key: strangeKey('k1') }))).toEqual(denial.unavailable)
    expect(await ask(first, withdrawn)).toEqual(denial.unavailable)
  })

  test('a slow process does not overwrite what another has found since', async () => {
    const [slow, quick] = [await process(), await process()]
    const cache = (await insider(redis, bed.clock.now)).cache('jwks')
    const parts = [issuer.issuer, issuer.issuer, '', '']
    await slow.ready()
    await kept(redis, 'jwks')
    const now = bed.clock.now()
    const newer = JSON.stringify({ text: '{"keys":["newer"]}', fetchedAt: now + 5, freshUntil: now + 600 })
    await cache.set(parts, newer, 60)
    await quick.ready()
    // One more exchange on the same connection: what was to be written would have been.
    await ask(quick, junk())
    expect(await cache.get(parts)).toBe(newer)
  })

  test.each(['refreshed itself meanwhile', 'did not'])(
    'KEY-09: a late set is not newer than one fetched since; the process that requested it %s',
    async (what) => {
      const { store, isIdle } = counted((await sharing(redis)).store)
      const [slow, quick] = [await process({ shared: { store, secret: SECRET } }), await process()]
      await slow.ready()
      await quick.ready()
      const withdrawn = issuer.token()
      const [key = ''] = await kept(redis, 'jwks')
      const before = await redis.look.get(key)
      const late = fault.late()
      issuer.script('jwks', late.behaviour)
      const asked = ask(slow, junk())
      await late.asked
      issuer.rotate('switch')
      issuer.rotate('retire')
      bed.clock.advance(1)
      await quick.refresh()
      await changed(redis, key, before)
      if (what !== 'did not') await slow.refresh()
      await until(isIdle)
      const current = await redis.look.get(key)
      bed.clock.advance(1)
      late.arrive()
      await asked
      await until(isIdle)
      expect(await redis.look.get(key)).toBe(current)
      expect((await ask(quick, withdrawn)).status).not.toBe(200)
      if (what !== 'did not') expect((await ask(slow, withdrawn)).status).not.toBe(200)
    }
  )

  test('KEY-09: a late set is not newer than one that another process fetched and this one adopted', async () => {
    const [slow, quick] = [await process(), await process()]
    await slow.ready()
    await quick.ready()
    const withdrawn = issuer.token()
    const [key = ''] = await kept(redis, 'jwks')
    const before = await redis.look.get(key)
    const late = fault.late()
    issuer.script('jwks', late.behaviour)
    const refreshed = slow.refresh()
    await late.asked
    issuer.rotate('switch')
    issuer.rotate('retire')
    bed.clock.advance(1)
    await quick.refresh()
    await changed(redis, key, before)
    // By a key that it does not know, it hears of the newer set.
    expect(await ask(slow, issuer.token())).toEqual(granted)
    late.arrive()
    await refreshed
    expect((await ask(slow, withdrawn)).status).not.toBe(200)
    expect(await ask(slow, issuer.token())).toEqual(granted)
  })

  describe('KEY-07, SEC-05: an unknown kid', () => {
    test('is fetched by one process; the others find the key without a fetch', async () => {
      const processes = [await process(), await process(), await process()]
      for (const one of processes) await one.ready()
      await kept(redis, 'jwks')
      issuer.reset()
      bed.clock.advance(1)
      issuer.rotate('switch')
      const answers = await Promise.all(processes.map((one) => ask(one, issuer.token())))
      expect(answers).toEqual(processes.map(() => granted))
      expect(issuer.count('jwks')).toBe(1)
      for (const one of processes) expect(one.health().status).toBe('ok')
    })

    test('is found in the set that another process has renewed', async () => {
      const [early, late] = [await process(), await process()]
      await early.ready()
      await late.ready()
      const [key = ''] = await kept(redis, 'jwks')
      issuer.rotate('switch')
      bed.clock.advance(DUE)
      const before = await redis.look.get(key)
      await ask(early, issuer.token())
      await changed(redis, key, before)
      await (await places()).take('spacing', 2)
      issuer.reset()
      expect(await ask(late, issuer.token())).toEqual(granted)
    })

    test('causes one fetch for all processes, for any number of requests', async () => {
      const processes = [await process(), await process()]
      for (const one of processes) await one.ready()
      issuer.reset()
      bed.clock.advance(1)
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) => ask(processes[i % 2] as ResourceServer, junk()))
      )
      expect(answers).toEqual(answers.map(() => denial.signature))
      expect(issuer.count('jwks')).toBe(1)
    })

    test('is 429 after all processes together have looked three times in 30 s; known keys work, and health() is ok', async () => {
      const api = await process()
      await api.ready()
      issuer.reset()
      bed.clock.advance(1)
      const { take, release } = await places()
      for (const place of [0, 1, 2]) await take(`look ${place}`, 30)
      const old = issuer.key()
      issuer.rotate('switch')
      expect(await ask(api, junk())).toEqual(tooSoon)
      expect(await ask(api, issuer.token())).toEqual(tooSoon)
      expect(await ask(api, issuer.token({ key: old }))).toEqual(granted)
      expect(issuer.count('jwks')).toBe(0)
      expect(api.health().status).toBe('ok')
      await release()
      bed.clock.advance(2)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(1)
    })

    test('is found without a look if another process that used up all looks has fetched the key', async () => {
      const [first, second] = [await process(), await process()]
      for (const one of [first, second]) await one.ready()
      const [key = ''] = await kept(redis, 'jwks')
      const before = await redis.look.get(key)
      const { take } = await places()
      for (const place of [0, 1, 2]) await take(`look ${place}`, 30)
      issuer.rotate('switch')
      bed.clock.advance(1)
      await first.refresh()
      await changed(redis, key, before)
      issuer.reset()
      expect(await ask(second, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(0)
    })

    test('is looked for after 30 s at the latest, even if the store says that it is another process’s turn', async () => {
      const api = await process()
      await api.ready()
      issuer.reset()
      bed.clock.advance(1)
      issuer.rotate('switch')
      const { take } = await places()
      for (const place of [0, 1, 2]) await take(`look ${place}`, 9999)
      expect(await ask(api, issuer.token())).toEqual(tooSoon)
      bed.clock.advance(30)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(1)
    })

    test('is looked for two seconds later if the process whose turn it was fetched nothing', async () => {
      const api = await process()
      await api.ready()
      issuer.reset()
      bed.clock.advance(1)
      issuer.rotate('switch')
      await (await places()).take('spacing', 2)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(1)
    })

    test('is not 401 because of what another process found before the token arrived', async () => {
      const [first, second] = [await process(), await process()]
      for (const one of [first, second]) await one.ready()
      const [key = ''] = await kept(redis, 'jwks')
      const before = await redis.look.get(key)
      bed.clock.advance(1)
      expect(await ask(first, junk())).toEqual(denial.signature)
      await changed(redis, key, before)
      const { take, release } = await places()
      for (const place of [0, 1, 2]) await take(`look ${place}`, 30)
      bed.clock.advance(1)
      issuer.rotate('switch')
      expect(await ask(second, issuer.token())).toEqual(tooSoon)
      await release()
      bed.clock.advance(2)
      expect(await ask(second, issuer.token())).toEqual(granted)
    })

    test('is not 401 in a process that gets the look of another one, if both clocks are ten minutes ahead of the issuer', async () => {
      const now = (): number => bed.clock.now() - 600
      issuer = await bed.issuer({ now })
      const claims = { exp: bed.clock.now() + 9999 }
      const processes = [await process(), await process()]
      for (const one of processes) await one.ready()
      bed.clock.advance(1)
      issuer.always('jwks', fault.headers({ date: new Date(1000 * now()).toUTCString() }))
      issuer.reset()
      for (const answer of await Promise.all(
        processes.map((one) => ask(one, issuer.token({ claims, key: strangeKey('x') })))
      ))
        expect(answer).toEqual(denial.signature)
      expect(issuer.count('jwks')).toBe(1)
      issuer.rotate('switch')
      bed.clock.advance(2)
      await (await places()).release()
      const answers = await Promise.all(processes.map((one) => ask(one, issuer.token({ claims }))))
      expect(answers).toEqual([granted, granted])
    })

    test('found by another process is confirmed with the authorization server within a minute', async () => {
      const [first, second] = [await process(), await process()]
      for (const one of [first, second]) await one.ready()
      await kept(redis, 'jwks')
      bed.clock.advance(1)
      issuer.rotate('switch')
      expect(await ask(first, issuer.token())).toEqual(granted)
      expect(await ask(second, issuer.token())).toEqual(granted)
      issuer.reset()
      bed.clock.advance(60)
      expect(await ask(second, issuer.token())).toEqual(granted)
      await issuer.received('jwks', 1)
    })

    test('is looked for by each process itself while the store is down', async () => {
      const processes = [await process(), await process()]
      for (const one of processes) expect(await ask(one, issuer.token())).toEqual(granted)
      await kept(redis, 'jwks')
      await redis.kill()
      issuer.reset()
      for (const one of processes) expect(await ask(one, junk())).toEqual(denial.signature)
      expect(issuer.count('jwks')).toBe(2)
      issuer.rotate('switch')
      bed.clock.advance(2)
      for (const one of processes) expect(await ask(one, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(4)
      await redis.start()
    })

    test('without the store and the key set, each attempt waits only for the back-off: 503, then found', async () => {
      const api = await process()
      await api.ready()
      down()
      bed.clock.advance(1)
      expect((await ask(api, junk())).status).toBe(503)
      const { take } = await places()
      for (const place of [0, 1, 2]) await take(`look ${place}`, 30)
      down(false)
      issuer.rotate('switch')
      bed.clock.advance(30)
      expect(await ask(api, issuer.token())).toEqual(granted)
    })

    test('costs the store nothing if the keys are in the settings', async () => {
      const api = await process({ issuers: [{ issuer: issuer.issuer, jwks: issuer.jwks }] })
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(await ask(api, junk())).toEqual(denial.signature)
      expect(await redis.look.keys('*')).toEqual([])
    })
  })
})
