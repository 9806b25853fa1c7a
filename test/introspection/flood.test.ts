/** Floods of made-up opaque tokens: an attacker with as many as it likes, and victims whose tokens are good. */
import { once } from 'node:events'
import { createServer, request as open } from 'node:http'
import { connect, createServer as createServer2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { protect as protectFetch } from '../../adapters/fetch.js'
import { NodeRequest, protect } from '../../adapters/node.js'
import { type ResourceServer, type ResourceServerOptions, scope } from '../../src/index.js'
import { ask, createBed, granted, introspecting, until } from '../support/exchange.js'
import { type Behaviour, fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

let serial = 0
const junk = (): string => `junk-${serial++}`
const isJunk = (token: string): boolean => token.startsWith('junk-')

/** Tokens that were active before, and are to be asked about again. */
async function knownTokens(issuer: TestIssuer, api: ResourceServer, count: number): Promise<string[]> {
  const tokens = Array.from({ length: count }, () => issuer.opaque({ exp: bed.clock.now() + 3600 }))
  for (const token of tokens) expect(await ask(api, token)).toEqual(granted)
  bed.clock.advance(31)
  return tokens
}

const askAll = async (api: ResourceServer, tokens: readonly string[]): Promise<number[]> =>
  (await Promise.all(tokens.map((token) => ask(api, token)))).map(({ status }) => status)

const all = (status: number, count: number): number[] => Array(count).fill(status)

/** Answers every token but made-up ones, which get this. */
const toJunk =
  (behaviour: Behaviour): Behaviour =>
  (exchange) =>
    (isJunk(exchange.request.form.get('token') ?? '') ? behaviour : fault.none())(exchange)

/** What processes share, in memory. */
function sharedMemory(): NonNullable<ResourceServerOptions['shared']> {
  const values = new Map<string, string>()
  return {
    secret: 'a secret of the whole fleet, of more than 32 characters',
    store: {
      get: (key) => values.get(key),
      set: (key, value) => void values.set(key, value),
      delete: (key) => void values.delete(key),
      add: (key) => !values.has(key) && values.set(key, '1') !== undefined
    }
  }
}

const introspectionOf = (api: ResourceServer) => api.health().issuers[0]?.introspection

describe('500 clients with made-up tokens that are never answered', () => {
  test('do not keep 56 tokens that were active before from being served', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const victims = await knownTokens(issuer, api, 56)
    issuer.always('introspection', toJunk(fault.hang()))
    const flood = askAll(api, Array.from({ length: 500 }, junk))
    await until(() => introspectionOf(api)?.strangers.queued === 192)
    expect(await askAll(api, victims)).toEqual(all(200, 56))
    expect(api.stats().cache.knownTokens).toEqual({ entries: 56, maxEntries: 10_000 })
    await api.close()
    await flood
  })

  test('do not turn known tokens into strangers after a restart with a shared store', async () => {
    const issuer = await bed.issuer()
    const shared = sharedMemory()
    const before = bed.api({ issuers: [introspecting(issuer)], shared })
    const victims = await knownTokens(issuer, before, 40)
    issuer.always('introspection', toJunk(fault.hang()))
    const api = bed.api({ issuers: [introspecting(issuer)], shared })
    const flood = askAll(api, Array.from({ length: 500 }, junk))
    await until(() => introspectionOf(api)?.strangers.queued === 192)
    expect(await askAll(api, victims)).toEqual(all(200, 40))
    await flood
  })

  test('each get a place again when their token is "not active", because it is no longer known', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)], shared: sharedMemory() })
    const [token = ''] = await knownTokens(issuer, api, 1)
    issuer.revoke(token)
    expect(await askAll(api, [token])).toEqual([401])
    expect(api.stats().cache.knownTokens.entries).toBe(0)
    bed.clock.advance(11)
    const gate = issuer.hold('introspection')
    const asked = ask(api, token)
    await until(() => introspectionOf(api)?.strangers.underWay === 1)
    gate.release()
    expect((await asked).status).toBe(401)
  })

  test('leave new tokens their part of the strangers’ places', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)], http: { timeout: 20, deadline: 20 } })
    await api.ready()
    let served = 0
    for (let round = 0; round < 5; round++) {
      const gate = issuer.hold('introspection')
      const before = issuer.count('introspection')
      // Takes all places for the length of one answer, while 900 more come, a tenth of them good.
      const first = askAll(api, Array.from({ length: 48 }, junk))
      await issuer.received('introspection', before + 48)
      const victims: Promise<unknown>[] = []
      const others: Promise<unknown>[] = []
      for (let i = 0; i < 900; i++) {
        if (i % 10 === 9) victims.push(ask(api, issuer.opaque()).then(({ status }) => status === 200 && served++))
        else others.push(ask(api, junk()))
      }
      gate.release()
      await Promise.all([first, ...victims, ...others])
    }
    // 192 of each 900 had a place in the queue, a tenth of them good: four answers' time, each of 48 places.
    expect(served).toBeGreaterThanOrEqual(5 * 4 * 4)
  })
})

describe('made-up tokens that make the server fail', () => {
  test('20 at once, then one every 5 s, block none of 120 tokens that were active before', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const victims = await knownTokens(issuer, api, 120)
    issuer.always('introspection', toJunk(fault.retryAfter(60, 503)))
    expect(await askAll(api, Array.from({ length: 20 }, junk))).toEqual(all(503, 20))
    expect(introspectionOf(api)?.state).toBe('open')
    for (let i = 0; i < 12; i++) {
      expect(await askAll(api, [junk()])).toEqual([503])
      expect(await askAll(api, victims.slice(10 * i, 10 * i + 10))).toEqual(all(200, 10))
      bed.clock.advance(5)
    }
  })

  test('do not open the breaker while new good tokens succeed', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    issuer.always('introspection', toJunk(fault.retryAfter(60, 503)))
    for (let i = 0; i < 12; i++) {
      expect(await askAll(api, [issuer.opaque()])).toEqual([200])
      expect(await askAll(api, Array.from({ length: 10 }, junk))).toEqual(all(503, 10))
    }
    expect(introspectionOf(api)?.state).toBe('closed')
  })

  test('that cause a 429 block no token that was active before, and wait until Retry-After', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const victims = await knownTokens(issuer, api, 20)
    issuer.always('introspection', toJunk(fault.retryAfter(60)))
    expect(await askAll(api, [junk()])).toEqual([503])
    const asked = issuer.count('introspection')
    expect(await askAll(api, Array.from({ length: 50 }, junk))).toEqual(all(503, 50))
    expect(issuer.count('introspection')).toBe(asked)
    expect(api.health()).toMatchObject({ status: 'ok', issuers: [{ introspection: { limitedFor: 60 } }] })
    expect(await askAll(api, victims)).toEqual(all(200, 20))
    bed.clock.advance(60)
    expect(await askAll(api, [issuer.opaque()])).toEqual([200])
  })
})

describe('requests whose client has left leave the queue', () => {
  /** Places are taken, and nothing is answered until the gate opens. */
  async function crowded() {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)], http: { timeout: 20, deadline: 20 } })
    await api.ready()
    const gate = issuer.hold('introspection')
    const first = askAll(api, Array.from({ length: 48 }, junk))
    await issuer.received('introspection', 48)
    const queued = (count: number): Promise<void> => until(() => introspectionOf(api)?.queued === count)
    const finish = async (): Promise<void> => {
      gate.release()
      await first
      expect(issuer.count('introspection')).toBe(48)
      expect(introspectionOf(api)).toMatchObject({ underWay: 0, queued: 0 })
    }
    return { api, queued, finish }
  }

  test('over HTTP/1.1, when their connection is reset, also if two share a question', async () => {
    const { api, queued, finish } = await crowded()
    const guard = protect(api, scope('read'))
    const server = createServer(async (request, response) => void (await guard(request, response)))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const send = (token: string) => {
      const one = open({ port, host: '127.0.0.1', agent: false, headers: { authorization: `Bearer ${token}` } })
      one.on('error', () => undefined).end()
      return one
    }
    const clients = Array.from({ length: 100 }, () => send(junk()))
    const shared = junk()
    const [early, late] = [send(shared), send(shared)]
    await queued(101)
    for (const one of [...clients, early]) one.destroy()
    await queued(1)
    late.destroy()
    await queued(0)
    await finish()
    server.close()
  })

  test('over HTTP/2, when their stream is reset, while the connection stays', async () => {
    const { api, queued, finish } = await crowded()
    const guard = protect(api, scope('read'))
    const server = createServer2((request, response) => void guard(request as never, response as never))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const streams = Array.from({ length: 20 }, () => client.request({ authorization: `Bearer ${junk()}` }))
    for (const one of streams) one.on('error', () => undefined)
    await queued(20)
    for (const one of streams) one.close(8)
    await queued(0)
    expect(client.closed).toBe(false)
    client.destroy()
    await finish()
    server.close()
  })

  test('on fetch hosts, when the signal of the request is aborted', async () => {
    const { api, queued, finish } = await crowded()
    const guard = protectFetch(api, scope('read'))
    const abort = new AbortController()
    const send = () =>
      guard(
        new Request('https://api.example.com/', {
          headers: { authorization: `Bearer ${junk()}` },
          signal: abort.signal
        })
      )
    const answers = [send(), send()]
    await queued(2)
    abort.abort()
    await queued(0)
    expect((await Promise.all(answers)).map((one) => (one as Response).status)).toEqual([503, 503])
    // Gone before it waits.
    expect(((await send()) as Response).status).toBe(503)
    expect(introspectionOf(api)?.queued).toBe(0)
    await finish()
  })

  test('a pipelined connection has one listener, and none when no request waits', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = open({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false })
    client.on('error', () => undefined).end()
    const [incoming] = await once(server, 'request')
    const { socket } = incoming
    const before = socket.listenerCount('close')
    const requests = Array.from({ length: 30 }, () => new NodeRequest(incoming))
    expect(socket.listenerCount('close')).toBe(before)
    let gone = 0
    const ends = requests.map((one) => one.onGone(() => gone++))
    expect(socket.listenerCount('close')).toBe(before + 1)
    for (const end of ends) end()
    expect(socket.listenerCount('close')).toBe(before)
    requests[0]?.onGone(() => gone++)
    client.destroy()
    await until(() => gone === 1)
    requests[1]?.onGone(() => gone++)
    expect(gone).toBe(2)
    server.close()
  })
})

test('an answer that takes longer than cacheFor causes one warning', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 5 })] })
  const uncached = bed.api({ issuers: [introspecting(issuer, { cacheFor: 0 })] })
  for (const server of [api, api, uncached]) {
    const late = fault.late()
    issuer.script('introspection', late.behaviour)
    const asked = ask(server, issuer.opaque())
    await late.asked
    bed.clock.advance(5)
    late.arrive()
    expect(await asked).toEqual(granted)
  }
  expect(api.health().issuers[0]?.warnings).toEqual([expect.stringContaining('longer than `cacheFor`')])
  expect(uncached.health().issuers[0]?.warnings).toEqual([])
})
