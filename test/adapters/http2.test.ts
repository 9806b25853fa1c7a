/** HTTP/2 on real sockets: answers before the end of a body, and handshakes by extended CONNECT (RFC 8441). */
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import * as onFastify from '../../adapters/fastify.js'
import * as onFetch from '../../adapters/fetch.js'
import * as onHono from '../../adapters/hono.js'
import * as onKoa from '../../adapters/koa.js'
import { type Granted, protect, protectUpgrade } from '../../adapters/node.js'
import { type Receiver, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

const RESOURCE = 'https://api.example.com'
type Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown

const closing: (() => unknown)[] = []
let as: TestIssuer
let api: ResourceServer
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Running {
  readonly client: ClientHttp2Session
  /** Streams that the server has open. */
  readonly open: () => number
}

async function serve(listener: Listener, onConnect?: Listener): Promise<Running> {
  const server = createServer({ settings: { enableConnectProtocol: true } }, (request, response) => {
    void listener(request, response)
  })
  if (onConnect) server.on('connect', onConnect)
  const streams = new Set<ServerHttp2Stream>()
  server.on('stream', (stream) => {
    streams.add(stream)
    stream.once('close', () => streams.delete(stream))
  })
  const sessions: ServerHttp2Session[] = []
  server.on('session', (session) => sessions.push(session))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  await once(client, 'remoteSettings')
  closing.push(() => {
    client.destroy()
    for (const session of sessions) session.destroy()
    server.close()
  })
  return { client, open: () => streams.size }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What comes to a stream whose client does not end its side. */
async function answerTo(stream: ClientHttp2Stream): Promise<Answer> {
  const chunks: Buffer[] = []
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return { status: headers[':status'], headers, body: Buffer.concat(chunks).toString() }
}

const post = (client: ClientHttp2Session, headers: Record<string, string> = {}): ClientHttp2Stream =>
  client
    .request({ ':method': 'POST', ':path': '/events', 'content-type': 'application/secevent+jwt', ...headers })
    .on('error', () => undefined)

/** Answers at once whatever was read. */
const receiver: Receiver = async ({ body }) => ({ status: 202, headers: {}, body: JSON.stringify(body.length) })

const onFastifyMounted = async (): Promise<Listener> => {
  const app = fastify({ http2: true })
  await app.register(onFastify.securityEvents(receiver) as never, { prefix: '/events' })
  await app.ready()
  return (request, response) => app.routing(request as never, response as never)
}

const RECEIVERS: readonly (readonly [string, () => Promise<Listener>])[] = [
  [
    'Koa',
    async () => new Koa().use(onKoa.securityEvents(receiver) as Koa.Middleware).callback() as unknown as Listener
  ],
  ['Fastify', onFastifyMounted],
  [
    'Hono',
    async () => getRequestListener(new Hono().all('/events', onHono.securityEvents(receiver)).fetch) as Listener
  ],
  ['fetch', async () => getRequestListener(onFetch.securityEvents(receiver)) as Listener]
]

describe.each(RECEIVERS)('a receiver of events over HTTP/2, on %s', (_name, mount) => {
  test('reads a body to its end, and answers', async () => {
    const { client, open } = await serve(await mount())
    const stream = post(client)
    stream.end('x'.repeat(1000))
    expect(await answerTo(stream)).toMatchObject({ status: 202, body: '1000' })
    await expect.poll(open).toBe(0)
  })

  test('answers 413 to a body that is too long and goes on, without Connection, and closes the stream', async () => {
    const warnings = vi.spyOn(process, 'emitWarning')
    const { client, open } = await serve(await mount())
    const streams = Array.from({ length: 20 }, () => post(client))
    for (const stream of streams) stream.write('x'.repeat(64 * 1024 + 1))
    for (const { status, headers } of await Promise.all(streams.map(answerTo)))
      expect([status, headers['connection']]).toEqual([413, undefined])
    await expect.poll(open).toBe(0)
    expect(warnings).not.toHaveBeenCalled()
    warnings.mockRestore()
    expect(client.destroyed).toBe(false)
    const next = post(client)
    next.end('x')
    expect((await answerTo(next)).status).toBe(202)
  })

  test('answers 408 to a body that does not end within 10 s, and closes the stream', async () => {
    const { client, open } = await serve(await mount())
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const stream = post(client)
    stream.write('x')
    const reply = answerTo(stream)
    while (!timers.mock.calls.some(([, wait]) => wait === 10_000)) await new Promise(setImmediate)
    vi.advanceTimersByTime(10_000)
    // In this order: the spy restores the setTimeout that it found, which is the fake one.
    timers.mockRestore()
    vi.useRealTimers()
    const { status, headers } = await reply
    expect([status, headers['connection']]).toEqual([408, undefined])
    await expect.poll(open).toBe(0)
  })

  test('forgets a stream whose client resets it within its body', async () => {
    const { client, open } = await serve(await mount())
    const stream = post(client)
    stream.write('x')
    await expect.poll(open).toBe(1)
    stream.close(8)
    await expect.poll(open).toBe(0)
    const next = post(client)
    next.end('x')
    expect((await answerTo(next)).status).toBe(202)
  })
})

test('Fastify: answers a content type that is none over HTTP/2 before the body ends, and closes the stream', async () => {
  const { client, open } = await serve(await onFastifyMounted())
  const stream = post(client, { 'content-type': 'none' })
  stream.write('x')
  expect((await answerTo(stream)).headers['connection']).toBeUndefined()
  await expect.poll(open).toBe(0)
})

describe('a refusal over HTTP/2, before the end of a body', () => {
  const HOSTS: readonly (readonly [string, () => Promise<Listener>])[] = [
    ['node', async () => protect(api) as unknown as Listener],
    [
      'node, where the body is being read',
      async () => {
        const guard = protect(api)
        return (request, response) => {
          request.resume()
          return guard(request as never, response as never)
        }
      }
    ],
    [
      'Koa',
      async () =>
        new Koa()
          .use(onKoa.errorHandler() as Koa.Middleware)
          .use(onKoa.protect(api) as Koa.Middleware)
          .callback() as unknown as Listener
    ],
    [
      'Fastify',
      async () => {
        const app = fastify({ http2: true })
        await app.register(onFastify.fastifyResourceServer as never, { api, protect: 'all' })
        app.setErrorHandler(onFastify.errorHandler as never)
        app.post('/events', () => 'in')
        await app.ready()
        return (request, response) => app.routing(request as never, response as never)
      }
    ],
    [
      'Hono',
      async () =>
        getRequestListener(new Hono().use(onHono.protect(api)).post('/events', (c) => c.text('in')).fetch) as Listener
    ]
  ]

  test.each(HOSTS)('%s: answers 401 and closes the stream', async (_, mount) => {
    const { client, open } = await serve(await mount())
    const stream = post(client, { 'content-type': 'application/json' })
    stream.write('{')
    const { status, headers } = await answerTo(stream)
    expect([status, headers['connection']]).toEqual([401, undefined])
    expect(headers['www-authenticate']).toContain('resource_metadata')
    await expect.poll(open).toBe(0)
  })
})

describe('enforce() over HTTP/2, after the application began to read the body and stopped', () => {
  const firstOf = async (body: AsyncIterable<unknown>): Promise<void> => {
    // Not `for await`, which would destroy the body when it stops.
    await body[Symbol.asyncIterator]().next()
  }
  const HOSTS: readonly (readonly [string, () => Promise<Listener>])[] = [
    [
      'Koa',
      async () =>
        new Koa()
          .use(onKoa.errorHandler() as Koa.Middleware)
          .use(onKoa.protect(api) as Koa.Middleware)
          .use(async (context) => {
            await firstOf(context.req)
            await onKoa.enforce(api, context as never, scope('write'))
          })
          .callback() as unknown as Listener
    ],
    [
      'Fastify',
      async () => {
        const app = fastify({ http2: true })
        await app.register(onFastify.fastifyResourceServer as never, { api, protect: 'all' })
        app.setErrorHandler(onFastify.errorHandler as never)
        app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
        app.post('/events', async (request, reply) => {
          await firstOf(request.raw)
          await onFastify.enforce(api, reply as never, scope('write'))
        })
        await app.ready()
        return (request, response) => app.routing(request as never, response as never)
      }
    ],
    [
      'Hono',
      async () =>
        getRequestListener(
          new Hono().use(onHono.protect(api)).post('/events', async (c) => {
            await c.req.raw.body?.getReader().read()
            await onHono.enforce(api, c, scope('write'))
            return c.text('in')
          }).fetch
        ) as Listener
    ]
  ]

  test.each(HOSTS)('%s: answers 403 and closes the stream', async (_, mount) => {
    const { client, open } = await serve(await mount())
    const stream = post(client, { authorization: `Bearer ${as.token()}` })
    stream.write('{')
    const { status, headers } = await answerTo(stream)
    expect([status, headers['connection']]).toEqual([403, undefined])
    expect(headers['www-authenticate']).toContain('scope="write"')
    await expect.poll(open).toBe(0)
    const next = post(client, { authorization: `Bearer ${as.token()}` })
    next.end('{')
    expect((await answerTo(next)).status).toBe(403)
  })
})

describe('protectUpgrade() over HTTP/2', () => {
  const GIVEN: readonly (readonly [string, (request: Http2ServerRequest, response: Http2ServerResponse) => Duplex])[] =
    [
      ['its stream', (request) => request.stream],
      ['its socket, to which nothing can be written', (request) => request.socket],
      ['its response', (_, response) => response as unknown as Duplex]
    ]

  async function tunnel(
    given: (request: Http2ServerRequest, response: Http2ServerResponse) => Duplex = (request) => request.stream
  ): Promise<Running & { readonly granted: (Granted | undefined)[] }> {
    const guard = protectUpgrade(api, scope('events'))
    const granted: (Granted | undefined)[] = []
    const running = await serve(
      () => undefined,
      async (request, response) => {
        const decision = await guard(request, given(request, response))
        granted.push(decision)
        if (!decision) return
        response.writeHead(200)
        response.stream.write(`hello ${decision.access?.subject}`)
        response.stream.pipe(response.stream)
      }
    )
    return { ...running, granted }
  }

  const shakeHands = (client: ClientHttp2Session, headers: Record<string, string> = {}): ClientHttp2Stream =>
    client
      .request(
        { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/events', ':scheme': 'http', ...headers },
        { endStream: false }
      )
      .on('error', () => undefined)

  describe.each(GIVEN)('given %s', (_, given) => {
    test('answers a handshake without a token with :status 401 and the challenge, and closes the stream', async () => {
      const { client, granted, open } = await tunnel(given)
      const { status, headers, body } = await answerTo(shakeHands(client))
      expect([status, body, headers['connection'], headers['content-length']]).toEqual([401, '', undefined, '0'])
      expect(headers['www-authenticate']).toContain('resource_metadata')
      expect(granted).toEqual([undefined])
      await expect.poll(open).toBe(0)
    })

    test('answers a token without the scope with :status 403 and its body', async () => {
      const { client, open } = await tunnel(given)
      const { status, body } = await answerTo(shakeHands(client, { authorization: `Bearer ${as.token()}` }))
      expect([status, JSON.parse(body).error]).toEqual([403, 'insufficient_scope'])
      await expect.poll(open).toBe(0)
    })

    test('sends nothing for a good token, so that the application answers 200 itself', async () => {
      const { client, granted } = await tunnel(given)
      const stream = shakeHands(client, { authorization: `Bearer ${as.token({ scope: 'events' })}` })
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
      expect(headers[':status']).toBe(200)
      const [hello] = (await once(stream, 'data')) as [Buffer]
      expect(String(hello)).toBe('hello user-1')
      stream.write('echo')
      const [echo] = (await once(stream, 'data')) as [Buffer]
      expect(String(echo)).toBe('echo')
      expect(granted).toMatchObject([{ access: { subject: 'user-1' } }])
    })
  })

  test('cuts off a stream that the application has answered before the refusal', async () => {
    const guard = protectUpgrade(api)
    const { client, open } = await serve(
      () => undefined,
      async (request) => {
        request.stream.respond({ ':status': 200 })
        await guard(request, request.stream)
      }
    )
    const stream = shakeHands(client)
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    await new Promise((resolve) => stream.once('close', resolve))
    expect([stream.rstCode, chunks]).toEqual([2, []])
    await expect.poll(open).toBe(0)
  })

  test('decides nothing for a stream that its client has reset', async () => {
    const guard = protectUpgrade(api)
    const decided: unknown[] = []
    const { client } = await serve(
      () => undefined,
      async (request) => {
        await once(request.stream, 'close')
        decided.push(await guard(request, request.stream))
      }
    )
    const stream = shakeHands(client)
    stream.close(8)
    await expect.poll(() => decided).toEqual([undefined])
  })
})
