/** DPoP over a real Redis: a proof is good once among all processes, or nobody can know; a nonce is good at each. */
import { beforeEach, describe, expect, test } from 'vitest'
import { redisStore } from '../../integrations/redis.js'
import { memoryOnceStore, type ResourceServer, type SharedOptions } from '../../src/index.js'
import { createDpopKey, nonceRequired, proofRefused, replayUnavailable } from '../support/dpop.js'
import { createBed } from '../support/exchange.js'
import type { TestIssuer } from '../support/issuer.js'
import { counted, OTHER_SECRET, SECRET, sharing } from '../support/processes.js'
import { CLIENTS, createRedis, hasRedis, startSilence } from '../support/redis.js'
import { get, granted, type Outcome, outcome } from '../support/refusals.js'

const bed = createBed()

describe.skipIf(!hasRedis)('DPoP', () => {
  const redis = createRedis()
  const key = createDpopKey()
  let issuer: TestIssuer
  let token: string

  beforeEach(async () => {
    await redis.look.flushall()
    issuer = await bed.issuer()
    token = issuer.token({ claims: { cnf: { jkt: key.jkt }, exp: bed.clock.now() + 3600 } })
  })

  const process = (shared: SharedOptions, dpop: object = {}): ResourceServer =>
    bed.api({ issuers: [{ issuer: issuer.issuer, jwks: issuer.jwks }], shared, dpop })
  const proof = (nonce?: string): string =>
    key.proof({ token, at: bed.clock.now(), ...(nonce !== undefined && { nonce }) })
  const send = (api: ResourceServer, one = proof()): Promise<Outcome> =>
    outcome(api, get({ authorization: `DPoP ${token}`, dpop: one }))

  describe.each(CLIENTS)('with %s', (client) => {
    test('DPP-19 DPP-22 (RFC 9449 §11.1): processes accept a proof once between them', async () => {
      const apis = await Promise.all([0, 1, 2].map(async () => process(await sharing(redis, { client }))))
      const one = proof()
      const outcomes = await Promise.all(Array.from({ length: 30 }, (_, i) => send(apis[i % 3] as ResourceServer, one)))
      expect(outcomes.filter(({ status }) => status === 200)).toEqual([granted])
      expect(outcomes.filter(({ status }) => status !== 200)).toEqual(Array(29).fill(proofRefused('proof_replayed')))
      for (const api of apis) expect(await send(api)).toEqual(granted)
    })

    test('DPP-22 DEN-16: while the server is down, a proof is neither accepted nor refused: 503; afterwards all works', async () => {
      const api = process(await sharing(redis, { client }))
      expect(await send(api)).toEqual(granted)
      await redis.kill()
      const outcomes = await Promise.all([1, 2, 3, 4].map(() => send(api)))
      expect(outcomes).toEqual(Array(4).fill(replayUnavailable))
      expect(api.stats().shared?.state).toBe('paused')
      expect(api.health().status).toBe('degraded')
      await redis.start()
      let last: Outcome
      do {
        // The pause is over.
        bed.clock.advance(1)
        last = await send(api)
      } while (last.status === 503)
      expect(last).toEqual(granted)
      const one = proof()
      expect([await send(api, one), await send(api, one)]).toEqual([granted, proofRefused('proof_replayed')])
      expect(api.health()).toMatchObject({ status: 'ok', shared: { status: 'ok', error: undefined } })
    })
  })

  test('DEN-16: a hanging server is called three times, then by one request a second; the others do not wait', async () => {
    const silence = bed.closing(await startSilence(redis.port))
    const { store, calls } = counted((await sharing(redis, { port: silence.port })).store)
    const api = process({ store, secret: SECRET })
    expect(await send(api)).toEqual(granted)
    silence.hold(true)
    for (let i = 1; i <= 3; i++) {
      expect(await send(api)).toEqual(replayUnavailable)
      expect(calls()).toBe(1 + i)
    }
    expect(api.stats().shared).toEqual({ state: 'paused', error: 'Error: no answer within 1 s' })
    for (const _ of [1, 2, 3]) expect(await send(api)).toEqual(replayUnavailable)
    expect(calls()).toBe(4)
    bed.clock.advance(1)
    expect(await Promise.all([1, 2, 3, 4, 5].map(() => send(api)))).toEqual(Array(5).fill(replayUnavailable))
    expect(calls()).toBe(5)
    silence.hold(false)
    bed.clock.advance(1)
    expect(await send(api)).toEqual(granted)
    expect(api.stats().shared).toEqual({ state: 'ok', error: undefined })
  })

  test('a hanging server is called three times and then once a second, also if the clock is set back', async () => {
    const { store, calls } = counted({
      ...(await sharing(redis)).store,
      add: () => Promise.reject(new Error('no'))
    })
    const api = process({ store, secret: SECRET })
    for (const _ of [1, 2, 3]) expect(await send(api)).toEqual(replayUnavailable)
    bed.clock.advance(-5)
    expect(await send(api)).toEqual(replayUnavailable)
    expect(calls()).toBe(4)
  })

  test('DPP-19: a proof is remembered for longer than it could be used, and then forgotten', async () => {
    const api = process(await sharing(redis))
    await send(api)
    const [name = ''] = await redis.look.keys('oauth-rs:{replay:*}.*')
    expect(name).toMatch(/^oauth-rs:\{replay:[\w-]{43}\}\.[\w-]{43}$/)
    const left = await redis.look.pttl(name)
    expect(left).toBeGreaterThan(60_000)
    expect(left).toBeLessThanOrEqual(70_000)
  })

  test('DPP-20: one user with many keys fills one share in all processes; the store is healthy, and a victim is served', async () => {
    const store = redisStore(await redis.client('ioredis'), { maxPerOwner: 20 })
    const apis = [0, 1].map(() => process({ store, secret: SECRET }))
    const requestOf = (sub: string): ReturnType<typeof get> => {
      const own = createDpopKey()
      const bound = issuer.token({ claims: { sub, cnf: { jkt: own.jkt }, exp: bed.clock.now() + 3600 } })
      return get({ authorization: `DPoP ${bound}`, dpop: own.proof({ token: bound, at: bed.clock.now() }) })
    }
    const attacks = await Promise.all(
      Array.from({ length: 60 }, (_, i) => outcome(apis[i % 2] as ResourceServer, requestOf('attacker')))
    )
    expect(attacks.filter(({ status }) => status === 200)).toHaveLength(20)
    const refused = attacks.filter(({ status }) => status !== 200)
    expect(refused).toHaveLength(40)
    for (const { status, reason, headers } of refused) {
      expect([status, reason]).toEqual([429, 'replay_share'])
      expect(headers).not.toHaveProperty('WWW-Authenticate')
    }
    for (const api of apis) {
      expect(await outcome(api, requestOf('victim'))).toEqual(granted)
      // Refusing an owner is an answer, not a failure.
      expect(api.stats().shared).toEqual({ state: 'ok', error: undefined })
    }
    expect(await redis.look.keys('oauth-rs:{replay:*}.*')).toHaveLength(20 + 2)
    // The count is the store's: a process that starts finds it.
    expect((await outcome(process({ store, secret: SECRET }), requestOf('attacker'))).status).toBe(429)
  })

  test.each<[string, SharedOptions['secret'], SharedOptions['secret']]>([
    ['the old secret, then both', SECRET, [OTHER_SECRET, SECRET]],
    ['both, then the old secret', [OTHER_SECRET, SECRET], SECRET],
    ['both, then the new secret', [OTHER_SECRET, SECRET], OTHER_SECRET],
    ['the new secret, then both', OTHER_SECRET, [OTHER_SECRET, SECRET]],
    ['both, in one order and the other', [SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET]]
  ])('DPP-19: a proof is accepted once while the secret is changed: %s', async (_, first, second) => {
    const [a, b] = await Promise.all([first, second].map(async (secret) => process(await sharing(redis, { secret }))))
    const one = proof()
    expect([await send(a as ResourceServer, one), await send(b as ResourceServer, one)]).toEqual([
      granted,
      proofRefused('proof_replayed')
    ])
    const another = proof()
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (__, i) => send((i % 2 ? a : b) as ResourceServer, another))
    )
    expect(outcomes.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  test('an answer that is neither true nor false is an outage, also with two secrets', async () => {
    const { store } = await sharing(redis)
    const strange = { ...store, add: () => 'OK' as unknown as boolean }
    for (const secret of [SECRET, [OTHER_SECRET, SECRET]] as const)
      expect(await send(process({ store: strange, secret }))).toEqual(replayUnavailable)
  })

  test('`dpop.replayStore` replaces the shared one', async () => {
    const shared = await sharing(redis)
    const api = process(shared, { replayStore: memoryOnceStore() })
    const one = proof()
    expect([await send(api, one), await send(api, one)]).toEqual([granted, proofRefused('proof_replayed')])
    expect(await redis.look.keys('*')).toEqual([])
  })

  describe('DPP-13 (RFC 9449 §9): a nonce', () => {
    async function nonceOf(api: ResourceServer): Promise<string> {
      const asked = await send(api)
      expect(asked).toEqual(nonceRequired(asked.headers['DPoP-Nonce']))
      return asked.headers['DPoP-Nonce'] as string
    }
    const required = async (
      secret: SharedOptions['secret'],
      dpop: { nonceSecret?: string } = {}
    ): Promise<ResourceServer> => process(await sharing(redis, { secret }), { nonces: 'required', ...dpop })

    test('of one process is valid in another with its secret, and in no other', async () => {
      const nonce = await nonceOf(await required(SECRET))
      expect(await send(await required(SECRET), proof(nonce))).toEqual(granted)
      expect(await send(await required([OTHER_SECRET, SECRET]), proof(nonce))).toEqual(granted)
      const other = await send(await required(OTHER_SECRET), proof(nonce))
      expect(other).toEqual(nonceRequired(other.headers['DPoP-Nonce']))
    })

    test('is not made with the secret itself, and `dpop.nonceSecret` replaces the derived key', async () => {
      const nonce = await nonceOf(await required(SECRET))
      const own = await required(SECRET, { nonceSecret: SECRET })
      expect((await send(own, proof(nonce))).status).toBe(401)
      expect(await send(await required(OTHER_SECRET, { nonceSecret: SECRET }), proof(await nonceOf(own)))).toEqual(
        granted
      )
    })
  })
})
