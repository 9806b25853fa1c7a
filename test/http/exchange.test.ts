/** One exchange with a server that behaves, stalls, lies or overflows: real sockets, bounded in time and bytes. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { Agent } from 'undici'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { fetchDispatcher } from '../../adapters/fetch.js'
import { Unavailable } from '../../src/errors/errors.js'
import { createHttp, type Exchange } from '../../src/http/exchange.js'
import { type Behaviour, fault, startIssuer, type TestIssuer } from '../support/issuer.js'

const KIB = 1024
const running: { close(): Promise<unknown> }[] = []

beforeAll(() => import('undici'))
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.close()))
})

interface Started {
  readonly server: TestIssuer
  readonly exchange: (more?: Partial<Exchange>) => ReturnType<ReturnType<typeof createHttp>['exchange']>
  readonly close: () => Promise<void>
}

/** A client and the server it asks: its key set endpoint, which stands for any other. */
async function start(
  settings: Partial<Parameters<typeof createHttp>[0]> = {},
  ...script: readonly Behaviour[]
): Promise<Started> {
  const server = await startIssuer()
  const http = createHttp({ dispatcher: undefined, timeout: 3, deadline: 5, ...settings }, () => undefined)
  server.script('jwks', ...script)
  running.push(server, http)
  const exchange = { url: `${server.origin}/jwks`, method: 'GET', headers: {}, dependency: 'jwks' } as const
  return { server, exchange: (more) => http.exchange({ ...exchange, ...more }), close: () => http.close() }
}

function compressed(coding: string, encode: (body: Buffer) => Uint8Array): Behaviour {
  return ({ response, normal }) => {
    response.writeHead(normal.status, { ...normal.headers, 'content-encoding': coding })
    response.end(encode(Buffer.from(normal.body)))
  }
}

async function failure(attempt: Promise<unknown>): Promise<Unavailable> {
  const error: unknown = await attempt.catch((cause: unknown) => cause)
  if (!(error instanceof Unavailable)) throw new Error('it did not fail', { cause: error })
  return error
}

describe('the timeout does not depend on the dispatcher', () => {
  test('ends an attempt to connect, although undici waits longer', async () => {
    const dispatcher = new Agent({ connect: () => undefined })
    const { exchange } = await start({ dispatcher, timeout: 0.2, deadline: 0.5 })
    const error = await failure(exchange())
    expect(error.hint).toMatch(/did not answer within 0\.\d+ s/)
    expect(error.cause).toMatchObject({ name: 'TimeoutError' })
    await dispatcher.destroy()
  })

  test('ignores an answer that arrives after it', async () => {
    const bodies: Readable[] = []
    const request = async (): Promise<unknown> => {
      await sleep(300)
      const body = Readable.from([Buffer.from('{}')])
      bodies.push(body)
      return { statusCode: 200, headers: {}, body }
    }
    const { exchange } = await start({ dispatcher: { request } as never, timeout: 0.1, deadline: 0.1 })
    expect((await failure(exchange())).hint).toMatch(/did not answer within 0\.1 s/)
    expect(bodies).toEqual([])
    await vi.waitFor(() => expect(bodies.map(({ destroyed }) => destroyed)).toEqual([true]))
  })

  test('a late failure causes no unhandled rejection', async () => {
    const heard: unknown[] = []
    const hear = (reason: unknown): unknown => heard.push(reason)
    process.on('unhandledRejection', hear)
    let failed = false
    const request = async (): Promise<never> => {
      await sleep(300)
      failed = true
      throw new Error('late')
    }
    const { exchange } = await start({ dispatcher: { request } as never, timeout: 0.1, deadline: 0.1 })
    await failure(exchange())
    await vi.waitFor(() => expect(failed).toBe(true))
    await sleep(10)
    process.off('unhandledRejection', hear)
    expect(heard).toEqual([])
  })
})

describe.each([
  ['undici', undefined],
  ['fetch', fetchDispatcher()]
])('with %s,', (by, dispatcher) => {
  const started: typeof start = (settings, ...script) => start({ dispatcher, ...settings }, ...script)

  describe('an answer', () => {
    test('has the status, the media type in lower case without parameters, Cache-Control and the body', async () => {
      const { exchange, server } = await started(
        {},
        fault.headers({ 'content-type': 'Application/JWK-Set+JSON; charset=utf-8', 'cache-control': 'Max-Age=60' })
      )
      expect(await exchange()).toEqual({
        status: 200,
        contentType: 'application/jwk-set+json',
        cacheControl: 'max-age=60',
        date: expect.stringMatching(/ GMT$/),
        body: JSON.stringify(server.jwks)
      })
    })

    test('has empty strings for missing fields', async () => {
      const { exchange } = await started({}, fault.contentType(undefined))
      expect(await exchange()).toMatchObject({ contentType: '', cacheControl: '' })
    })

    test.each([301, 302, 400, 401, 403, 404, 410, 422])(
      'with status %i is an answer, not a failure, and is not retried',
      async (status) => {
        const { exchange, server } = await started({}, fault.status(status, { headers: { location: '/elsewhere' } }))
        expect(await exchange()).toMatchObject({ status, body: '{"error":"scripted"}' })
        expect(server.requests).toHaveLength(1)
      }
    )
  })

  describe('a request', () => {
    test('has the given fields and body, requests no compression, and sends no cookie', async () => {
      const { exchange, server } = await started()
      await exchange({ method: 'POST', headers: { 'x-a': 'b', 'content-type': 'text/plain' }, body: 'größe' })
      expect(server.requests[0]).toMatchObject({ method: 'POST', body: 'größe', path: '/jwks' })
      const fields = server.requests[0]?.headers
      const asked = { 'x-a': 'b', 'content-type': 'text/plain', 'accept-encoding': 'identity', 'content-length': '7' }
      expect(fields).toMatchObject(asked)
      expect(fields?.cookie).toBeUndefined()
      // `fetch` says some things of its own.
      const ofHttp = ['host', 'connection']
      if (by === 'undici') expect(Object.keys(fields ?? {}).sort()).toEqual([...ofHttp, ...Object.keys(asked)].sort())
    })

    test('keeps the query of its URL', async () => {
      const { exchange, server } = await started()
      await exchange({ url: `${server.origin}/jwks?a=b%20c&d` })
      expect(server.requests[0]?.path).toBe('/jwks?a=b%20c&d')
    })
  })

  describe('bytes', () => {
    test('reads 256 KiB, and fails with one byte more', async () => {
      const { exchange, server } = await started()
      const length = JSON.stringify(server.jwks).length
      server.script('jwks', fault.oversize(256 * KIB - length))
      expect((await exchange()).body).toHaveLength(256 * KIB)
      server.always('jwks', fault.oversize(256 * KIB - length + 1))
      expect((await failure(exchange())).hint).toMatch(/sent a body of more than 262144 bytes/)
    })

    test('gives up a body that is announced as too long, however much of it arrives', async () => {
      const { exchange, server } = await started()
      server.always('jwks', fault.oversize(64 * KIB * KIB))
      expect((await failure(exchange())).retryAfter).toBe(5)
    })

    test.each([
      ['gzip', gzipSync],
      ['X-GZip', gzipSync],
      ['deflate', deflateSync],
      ['deflate', deflateRawSync],
      ['br', brotliCompressSync],
      ['identity, gzip', gzipSync]
    ])('decodes a body with the coding %s, which was not requested', async (coding, encode) => {
      const { exchange, server } = await started()
      server.always('jwks', compressed(coding, encode))
      expect(JSON.parse((await exchange()).body)).toEqual(server.jwks)
    })

    test.each([
      ['gzip', gzipSync],
      ['deflate', deflateSync],
      ['br', brotliCompressSync]
    ])('fails if a small body grows past the limit when %s is decoded', async (coding, encode) => {
      const { exchange, server } = await started()
      server.always(
        'jwks',
        compressed(coding, (body) => encode(Buffer.concat([body, Buffer.alloc(16 * KIB * KIB, ' ')])))
      )
      expect((await failure(exchange())).hint).toMatch(/sent a body of more than 262144 bytes/)
    })

    test.each([
      ['zstd', gzipSync],
      ['gzip, br, gzip', gzipSync]
    ])('refuses a body with the content coding %s, which we cannot decode', async (coding, encode) => {
      if (by === 'fetch' && coding !== 'zstd') return
      const { exchange, server } = await started()
      server.always('jwks', compressed(coding, encode))
      const { hint } = await failure(exchange())
      if (by === 'undici') expect(hint).toMatch(/a content coding other than gzip, deflate and br/)
    })

    test.each(['gzip', 'deflate', 'br'])('fails for a body that claims to be %s and is not', async (coding) => {
      const { exchange, server } = await started()
      server.always(
        'jwks',
        compressed(coding, (body) => body)
      )
      const { hint } = await failure(exchange())
      if (by === 'undici') expect(hint).toMatch(/sent a compressed body that is broken/)
    })

    test('ignores a byte order mark before the body', async () => {
      const { exchange, server } = await started()
      server.always('jwks', ({ response, normal }) => response.end(`\uFEFF${normal.body}`))
      expect(JSON.parse((await exchange()).body)).toEqual(server.jwks)
    })

    test('treats content-encoding identity as none', async () => {
      const { exchange } = await started({}, fault.headers({ 'content-encoding': 'Identity' }))
      expect(await exchange()).toMatchObject({ status: 200 })
    })

    test('fails for a body that is not UTF-8', async () => {
      const { exchange, server } = await started()
      server.always('jwks', ({ response }) => response.end(Buffer.from('{"a":"\xff"}', 'latin1')))
      expect((await failure(exchange())).hint).toMatch(/sent a body that is not UTF-8/)
    })
  })

  describe('time', () => {
    test.each([
      ['no answer', fault.hang()],
      ['half an answer', fault.stall()],
      ['a byte now and then', fault.drip()]
    ])('%s is a failure when the timeout has passed, and the message says so', async (_, behaviour) => {
      const { exchange, server } = await started({ timeout: 0.2, deadline: 0.2 })
      server.always('jwks', behaviour)
      const error = await failure(exchange())
      expect(error.hint).toMatch(/127\.0\.0\.1:\d+ did not answer within 0\.2 s/)
      expect(error.cause).toMatchObject({ name: 'TimeoutError' })
      expect(server.requests).toHaveLength(1)
    })

    test('gives up a server that accepts connections and sends nothing, not even a close', async () => {
      const sockets: Socket[] = []
      const mute = createServer((socket) => void sockets.push(socket))
      mute.listen(0, '127.0.0.1')
      await once(mute, 'listening')
      const { exchange } = await started({ timeout: 0.2, deadline: 0.2 })
      const error = await failure(exchange({ url: `http://127.0.0.1:${(mute.address() as AddressInfo).port}/` }))
      expect(error.hint).toMatch(/did not answer within 0\.2 s/)
      for (const socket of sockets) socket.destroy()
      mute.close()
    })

    test('applies a deadline shorter than the timeout to the first attempt too', async () => {
      const { exchange, server } = await started({ timeout: 60, deadline: 0.2 })
      server.always('jwks', fault.hang())
      expect((await failure(exchange())).hint).toMatch(/did not answer within 0\.2 s/)
    })

    test('makes another attempt within the deadline after a first one that took its whole timeout', async () => {
      const { exchange, server } = await started({ timeout: 0.5, deadline: 20 }, fault.hang())
      expect(await exchange()).toMatchObject({ status: 200 })
      expect(server.requests).toHaveLength(2)
    })

    test('gives the second attempt only the time that is left', async () => {
      const { exchange, server } = await started({ timeout: 1, deadline: 1.8 })
      server.always('jwks', fault.hang())
      const [, seconds] = /within ([\d.]+) s/.exec((await failure(exchange())).hint) ?? []
      expect(Number(seconds)).toBeLessThan(1)
      expect(server.requests).toHaveLength(2)
    })
  })

  describe('the retry', () => {
    const passing: readonly [string, Behaviour][] = [
      ['408', fault.status(408)],
      ['429', fault.status(429)],
      ['500', fault.status(500)],
      ['502', fault.status(502)],
      ['503', fault.status(503)],
      ['599', fault.status(599)],
      ['a reset', fault.reset()],
      ['a body cut short', fault.cut()]
    ]
    test.each(passing)('%s is retried, once', async (_, behaviour) => {
      const { exchange, server } = await started({}, behaviour)
      expect(await exchange()).toMatchObject({ status: 200 })
      expect(server.requests).toHaveLength(2)
      server.script('jwks', behaviour, behaviour)
      expect((await failure(exchange())).dependency).toBe('jwks')
      expect(server.requests).toHaveLength(4)
    })

    test('sends the same request again, including the body', async () => {
      const { exchange, server } = await started({}, fault.status(503))
      await exchange({ method: 'POST', headers: { 'x-a': 'b' }, body: 'token=abc' })
      const [one, two] = server.requests.map(({ method, path, body, headers }) => [method, path, body, headers['x-a']])
      expect(one).toEqual(two)
    })

    test('waits as long as Retry-After says, if the deadline allows', async () => {
      const { exchange, server } = await started({}, fault.retryAfter(0))
      expect(await exchange()).toMatchObject({ status: 200 })
      expect(server.requests).toHaveLength(2)
      server.script('jwks', fault.retryAfter(new Date(0).toUTCString()))
      expect(await exchange()).toMatchObject({ status: 200 })
      expect(server.requests).toHaveLength(4)
    })

    test('is not made if Retry-After is beyond the deadline: the caller is told at once, with the time', async () => {
      const { exchange, server } = await started({}, fault.retryAfter(3600, 503))
      const error = await failure(exchange())
      expect(error.retryAfter).toBe(3600)
      expect(error.hint).toMatch(/answered 503/)
      expect(server.requests).toHaveLength(1)
    })

    test('reads Retry-After as a date', async () => {
      const { exchange, server } = await started({}, fault.retryAfter(new Date(Date.now() + 3_600_000).toUTCString()))
      const { retryAfter } = await failure(exchange())
      expect(retryAfter).toBeGreaterThan(3000)
      expect(retryAfter).toBeLessThanOrEqual(3600)
      expect(server.requests).toHaveLength(1)
    })

    test.each(['soon', '-1', '', '1e3', '99999999999'])('ignores the invalid Retry-After %j', async (value) => {
      const { exchange, server } = await started({}, fault.retryAfter(value))
      expect(await exchange()).toMatchObject({ status: 200 })
      expect(server.requests).toHaveLength(2)
    })

    test('passes on the Retry-After of the second answer', async () => {
      const { exchange } = await started({}, fault.status(500), fault.retryAfter(9))
      expect((await failure(exchange())).retryAfter).toBe(9)
    })

    test('a refused connection is retried and then reported with its cause', async () => {
      const { exchange, server } = await started()
      await server.close()
      const error = await failure(exchange())
      expect(error.hint).toMatch(/could not be reached/)
      const refused = { code: 'ECONNREFUSED' }
      expect(error.cause).toMatchObject(by === 'undici' ? refused : { cause: refused })
    })
  })
})

describe('connections', () => {
  test('are kept alive and reused', async () => {
    const { exchange, server } = await start()
    const ports = new Set<number | undefined>()
    server.always('jwks', (asked) => {
      ports.add(asked.response.socket?.remotePort)
      fault.none()(asked)
    })
    for (let i = 0; i < 20; i++) await exchange()
    // A socket may not be back yet when the next request leaves, so two can be in turn.
    expect(ports.size).toBeLessThanOrEqual(2)
  })

  test('after close() nothing is requested', async () => {
    const { exchange, server, close } = await start()
    await exchange()
    await close()
    expect((await failure(exchange())).hint).toMatch(/the resource server was closed/)
    expect(server.requests).toHaveLength(1)
  })

  test('close() ends exchanges under way as failures, and may be called twice or before any exchange', async () => {
    const { exchange, server, close } = await start()
    server.always('jwks', fault.hang())
    const pending = failure(exchange())
    await server.received('jwks', 1)
    await close()
    expect(await pending).toBeInstanceOf(Unavailable)
    await close()
    await createHttp({ dispatcher: undefined, timeout: 3, deadline: 5 }, () => undefined).close()
  })

  test('a custom dispatcher is used, and is not closed', async () => {
    const dispatcher = new Agent()
    running.push(dispatcher)
    let dispatched = 0
    const dispatch = dispatcher.dispatch.bind(dispatcher)
    dispatcher.dispatch = (...args) => {
      dispatched += 1
      return dispatch(...args)
    }
    const { exchange, close, server } = await start({ dispatcher })
    await exchange()
    await close()
    expect(dispatched).toBe(1)
    expect([dispatcher.closed, dispatcher.destroyed]).toEqual([false, false])
    const { statusCode, body } = await dispatcher.request({ origin: server.origin, path: '/jwks', method: 'GET' })
    await body.dump()
    expect(statusCode).toBe(200)
  })
})
