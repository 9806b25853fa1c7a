/** node:http without a framework, and WebSocket handshakes by `ws`: real sockets, and what is on them. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  type Server,
  type ServerResponse,
  request as sendRequest
} from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  enforce,
  errorHandler,
  type Granted,
  onExpiry,
  problemDetails,
  protect,
  protectedResourceMetadata,
  protectUpgrade,
  refuse
} from '../../adapters/node.js'
import { findAccess, requireAccess } from '../../adapters/shared/access.js'
import { addHeaders, forgetContent, isEmpty, mergeHeaders } from '../../adapters/shared/headers.js'
import { metadataAnswer, requireRootMount } from '../../adapters/shared/metadata.js'
import { NodeRequest } from '../../adapters/shared/node-request.js'
import { contentOf, failureStatus, passable, surface } from '../../adapters/shared/refusals.js'
import { Unavailable } from '../../src/errors/errors.js'
import {
  type Access,
  Forbidden,
  type HeaderFields,
  Misconfigured,
  optional,
  type ResourceServer,
  resourceServer,
  scope
} from '../../src/index.js'
import { createTestIssuer, fakeAccess, type TestIssuer } from '../../test-kit/issuer.js'
import { refusal } from '../support/refusals.js'
import { send } from './wire.js'

const RESOURCE = 'https://api.example.com'
const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

let as: TestIssuer
let api: ResourceServer
const closing: (() => unknown)[] = []
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE, dpop: { advertise: true, nonces: 'offered' } }))
})
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).toReversed()) await close()
})

async function listen(listener?: RequestListener): Promise<{ port: number; server: Server }> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, server }
}

const bearer = (token: string): readonly [string, string][] => [['Authorization', `Bearer ${token}`]]

describe('protect()', () => {
  async function serve(
    handle: (granted: Granted, request: IncomingMessage) => unknown,
    ...requirements: Parameters<typeof protect>[1][]
  ): Promise<number> {
    const guard = protect(api, ...requirements)
    const metadata = protectedResourceMetadata(api)
    const { port } = await listen(async (request, response) => {
      response.setHeader('Vary', 'Origin')
      if (metadata(request, response)) return
      const granted = await guard(request, response)
      if (!granted) return
      try {
        response.end(JSON.stringify(await handle(granted, request)))
      } catch (error) {
        refuse(request, response, error)
      }
    })
    return port
  }

  test('lets in a good token, refuses others with the whole challenge, and serves the metadata', async () => {
    const port = await serve(({ access }) => access?.subject, scope('read'))
    expect(await send(port, { headers: bearer(as.token({ scope: 'read' })) })).toMatchObject({
      status: 200,
      body: '"user-1"'
    })
    const refused = await send(port, { headers: bearer(as.expired({ scope: 'read' })) })
    expect(refused.status).toBe(401)
    expect(refused.values('www-authenticate')[0]).toBe(
      `Bearer error="invalid_token", error_description="The access token expired", scope="read", ${METADATA}`
    )
    expect(JSON.parse(refused.body)).toEqual({ error: 'invalid_token', error_description: 'The access token expired' })
    const none = await send(port)
    expect([none.status, none.body, none.values('content-length')]).toEqual([401, '', ['0']])
    expect((await send(port, { headers: bearer(as.token()) })).status).toBe(403)
    const document = await send(port, { path: '/.well-known/oauth-protected-resource' })
    expect(JSON.parse(document.body)).toMatchObject({ resource: RESOURCE })
    const head = await send(port, { method: 'HEAD', headers: bearer(as.expired()) })
    expect([head.status, head.body]).toEqual([401, ''])
  })

  test('fields of a grant, and of a route that some pass without a token, join those that are there', async () => {
    const port = await serve(({ access }) => access?.scheme ?? 'nobody', optional)
    const anonymous = await send(port)
    expect([anonymous.body, anonymous.values('vary')]).toEqual(['"nobody"', ['Origin, Authorization, DPoP']])
    const { authorization, dpop } = as.dpop({ url: `${RESOURCE}/` })
    const bound = await send(port, {
      headers: [
        ['Authorization', authorization],
        ['DPoP', dpop]
      ]
    })
    expect([bound.body, bound.values('dpop-nonce').length]).toEqual(['"DPoP"', 1])
  })

  test('checks inside a handler, an answer of one’s own, and a fault', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    closing.push(() => process.off('warning', warned))
    const port = await serve(async (granted, request) => {
      if (request.url === '/write') await enforce(api, request, granted, scope('write'))
      if (request.url === '/mine') throw new Forbidden('Not yours')
      if (request.url === '/fault') throw new Error('a secret of ours')
      return 'done'
    })
    const ask = (path: string) => send(port, { path, headers: bearer(as.token({ scope: 'read' })) })
    expect((await ask('/')).body).toBe('"done"')
    const lacking = await ask('/write')
    expect([lacking.status, lacking.values('www-authenticate')[0]]).toEqual([
      403,
      expect.stringContaining('scope="write"')
    ])
    expect(await ask('/mine')).toMatchObject({ status: 403, body: expect.stringContaining('Not yours') })
    const fault = await ask('/fault')
    expect([fault.status, fault.body]).toEqual([500, '{"error":"server_error"}'])
    await expect.poll(() => warned.mock.calls.map(([{ message }]) => message)).toEqual(['a secret of ours'])
    await expect(enforce(api, {} as never, { access: undefined }, scope('a'))).rejects.toThrow(
      'a request without a token has none'
    )
  })

  test('ORD-02: a check that rejects with nothing is a fault, and lets nobody in', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    closing.push(() => process.off('warning', warned))
    const handle = vi.fn()
    for (const nothing of [undefined, null, 'route']) {
      const port = await serve(handle, () => Promise.reject(nothing))
      const fault = await send(port, { headers: bearer(as.token()) })
      expect([fault.status, fault.body]).toEqual([500, '{"error":"server_error"}'])
    }
    expect(handle).not.toHaveBeenCalled()
    await expect
      .poll(() => warned.mock.calls.map(([{ message }]) => message))
      .toEqual(
        ['undefined', 'null', 'string'].map((kind) =>
          expect.stringMatching(`threw a value that is not an Error \\(${kind}\\): throw an Error$`)
        )
      )
  })

  test('(RFC 9110 §8.6) a refusal has its own length, and nothing of the content that is not sent', async () => {
    const guard = protect(api)
    const { port } = await listen(async (request, response) => {
      const granted = await guard(request, response)
      if (!granted) return
      response.setHeader('Content-Length', 500)
      response.setHeader('Content-Encoding', 'gzip')
      response.setHeader('Content-Disposition', 'attachment')
      response.setHeader('ETag', '"1"')
      await enforce(api, request, granted, scope('write')).catch((error) => refuse(request, response, error))
    })
    for (const method of ['GET', 'HEAD']) {
      const refused = await send(port, { method, headers: bearer(as.token()) })
      const names = new Set(refused.lines.map(([name]) => name))
      for (const name of ['content-encoding', 'content-disposition', 'etag']) expect(names.has(name), name).toBe(false)
      const body = { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' }
      expect([refused.status, refused.values('content-length'), refused.body]).toEqual([
        403,
        [String(JSON.stringify(body).length)],
        method === 'HEAD' ? '' : JSON.stringify(body)
      ])
    }
  })

  test('what was begun is cut off where a refusal comes after: nobody is to take it for whole, or wait', async () => {
    const guard = protect(api)
    const { port } = await listen(async (request, response) => {
      const granted = await guard(request, response)
      if (!granted) return
      response.write('[')
      await enforce(api, request, granted, scope('write')).catch((error) => refuse(request, response, error))
    })
    await expect(send(port, { headers: bearer(as.token()) })).rejects.toThrow('ended within an answer')
    // Of HTTP/2 the stream is, with an error: its end would be that of a whole answer.
    const guarded = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      response.write('[')
      refuse(request, response, new Forbidden())
    }
    const http2 = createHttp2Server(guarded as never).listen(0, '127.0.0.1')
    await once(http2, 'listening')
    const client = connectHttp2(`http://127.0.0.1:${(http2.address() as AddressInfo).port}`)
    const stream = client.request()
    stream.resume()
    await expect(once(stream, 'end')).rejects.toThrow('NGHTTP2_INTERNAL_ERROR')
    client.destroy()
    http2.close()
    // One that was finished is left as it is.
    const { port: finished } = await listen((request, response) => {
      response.end('done')
      refuse(request, response, new Forbidden())
    })
    expect(await send(finished)).toMatchObject({ status: 200, body: 'done' })
  })

  describe('a connection', () => {
    type Sent = { readonly status: number | undefined; readonly connection: string | undefined; readonly port: unknown }

    function ask(
      agent: Agent,
      port: number,
      { body, ...options }: RequestOptions & { readonly body?: string } = {}
    ): Promise<Sent> {
      return new Promise((resolve, reject) => {
        const asked = sendRequest({ agent, port, host: '127.0.0.1', ...options }, (response) => {
          const { statusCode: status, headers } = response
          // Before it is let go of, and may be another's.
          const { localPort } = asked.socket ?? {}
          response.on('end', () => resolve({ status, connection: headers.connection, port: localPort })).resume()
        })
        asked.on('error', reject)
        if (body === undefined) asked.end()
        else asked.write(body)
      })
    }

    test.each([
      ['a request without a token', 'GET', {}, 401],
      ['one with a token that is known', 'GET', { token: true }, 403],
      ['HEAD', 'HEAD', {}, 401],
      ['an empty POST', 'POST', { 'content-length': '0' }, 401]
    ])('goes on after a refusal: %s', async (_title, method, { token, ...fields }: Record<string, unknown>, status) => {
      const port = await serve(() => 'done', scope('write'))
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      closing.push(() => agent.destroy())
      const authorization = token ? { authorization: `Bearer ${as.token()}` } : {}
      const headers = { ...(fields as Record<string, string>), ...authorization }
      const asked: Sent[] = []
      for (let i = 0; i < 3; i++) asked.push(await ask(agent, port, { method, headers }))
      expect(asked.map((one) => [one.status, one.connection])).toEqual(asked.map(() => [status, 'keep-alive']))
      expect(new Set(asked.map((one) => one.port)).size).toBe(1)
    })

    test.each([
      ['by its length', { 'content-length': '10' }],
      ['in chunks', { 'transfer-encoding': 'chunked' }]
    ])('ends where a body was announced that is not there: %s', async (_title, headers) => {
      const port = await serve(() => 'done', scope('read'))
      const agent = new Agent({ keepAlive: true })
      closing.push(() => agent.destroy())
      const refused = await ask(agent, port, { method: 'POST', headers, body: 'x' })
      expect([refused.status, refused.connection]).toEqual([401, 'close'])
    })

    test('of HTTP/2 is for other requests too, and knows no such field', async () => {
      const warned = vi.fn()
      process.on('warning', warned)
      closing.push(() => process.off('warning', warned))
      const guard = protect(api)
      const server = createHttp2Server(async (asked, response) => {
        const plain = [asked, response] as unknown as Parameters<typeof guard>
        if (await guard(...plain)) response.end()
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      closing.push(
        () => server.close(),
        () => session.destroy()
      )
      for (const method of ['GET', 'POST']) {
        const hasBody = method === 'POST'
        const stream = session.request(
          { ':method': method, ...(hasBody && { 'content-length': '1' }) },
          { endStream: !hasBody }
        )
        const [fields] = (await once(stream, 'response')) as [Record<string, unknown>]
        expect([fields[':status'], fields['connection']]).toEqual([401, undefined])
        stream.resume().end(hasBody ? 'x' : undefined)
        await once(stream, 'close')
      }
      await new Promise(setImmediate)
      expect([session.closed, warned.mock.calls]).toEqual([false, []])
    })
  })

  test('an answer that was given meanwhile stands', async () => {
    const guard = protect(api)
    const results: unknown[] = []
    const { port: other } = await listen(async (request, response) => {
      const deciding = guard(request, response)
      response.writeHead(504).end()
      results.push(await deciding)
    })
    // Both must be asked about: one is let in, the other is not.
    expect((await send(other, { headers: bearer(as.opaque()) })).status).toBe(504)
    expect((await send(other, { headers: bearer('unheard-of') })).status).toBe(504)
    await expect.poll(() => results).toEqual([undefined, undefined])
  })

  test('a requirement that is none is said at once', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
    expect(() => protectUpgrade(api, 'read' as never)).toThrow(TypeError)
  })
})

describe('protectUpgrade()', () => {
  interface Running {
    readonly url: string
    readonly port: number
    readonly granted: (Granted | undefined)[]
  }

  async function serve(...requirements: Parameters<typeof protectUpgrade>[1][]): Promise<Running> {
    const { port, server } = await listen()
    const sockets = new WebSocketServer({ noServer: true })
    closing.push(() => sockets.close())
    const guard = protectUpgrade(api, ...requirements)
    const granted: (Granted | undefined)[] = []
    server.on('upgrade', async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const decision = await guard(request, socket)
      granted.push(decision)
      if (!decision) return
      sockets.handleUpgrade(request, socket, head, (client) => {
        const forget = onExpiry(decision.access, () => client.close(4401, 'token expired'), as.now)
        client.on('close', forget).on('error', () => undefined)
        client.send(`hello ${decision.access?.subject}`)
      })
    })
    return { url: `ws://127.0.0.1:${port}/events`, port, granted }
  }

  const open = (url: string, headers: Record<string, string> = {}): WebSocket => {
    const client = new WebSocket(url, { headers })
    closing.push(() => client.on('error', () => undefined).terminate())
    return client
  }

  test('a good token is let in, and its end ends the connection', async () => {
    const { url } = await serve(scope('events'))
    // Long enough for the handshake on a busy machine.
    const client = open(url, {
      authorization: `Bearer ${as.token({ scope: 'events', exp: Math.floor(as.now()) + 4 - 30 })}`
    })
    const [message] = await once(client, 'message')
    expect(String(message)).toBe('hello user-1')
    const [code, reason] = await once(client, 'close')
    expect([code, String(reason)]).toEqual([4401, 'token expired'])
  })

  test.each([
    ['none', {}, 401, undefined],
    ['an expired one', { flaw: 'expired' }, 401, 'invalid_token'],
    ['one without the scope', { flaw: 'token' }, 403, 'insufficient_scope']
  ] as const)(
    '%s: the handshake is refused with the challenge, as plain HTTP',
    async (_title, { flaw }: { flaw?: 'expired' | 'token' }, status, error) => {
      const { url, granted } = await serve(scope('events'))
      const client = open(url, flaw ? { authorization: `Bearer ${as[flaw]()}` } : {})
      const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage]
      expect(response.statusCode).toBe(status)
      expect(response.headers['www-authenticate']).toContain(METADATA)
      expect(response.headers.connection).toBe('close')
      expect(Date.parse(String(response.headers.date))).not.toBeNaN()
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      const body = Buffer.concat(chunks).toString()
      expect(error === undefined ? body : JSON.parse(body).error).toBe(error ?? '')
      expect(granted).toEqual([undefined])
    }
  )

  test('an outage is 503; a check that fails is 500, and a warning', async () => {
    as.fail('jwks', 503)
    const { url } = await serve()
    const client = open(url, { authorization: `Bearer ${as.token()}` })
    const [, outage] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage]
    expect([outage.statusCode, outage.headers['retry-after'], outage.headers['www-authenticate']]).toEqual([
      503,
      expect.stringMatching(/^\d+$/),
      undefined
    ])
    as.recover()
    as.advance(31)
    const warned = once(process, 'warning')
    const { url: broken } = await serve(() => {
      throw new Error('in a check')
    })
    const second = open(broken, { authorization: `Bearer ${as.token()}` })
    const [, fault] = (await once(second, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(fault.statusCode).toBe(500)
    expect(await warned).toMatchObject([{ message: 'in a check' }])
  })

  describe('a handshake that is refused holds no socket', () => {
    const HANDSHAKE = 'GET /events HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

    const stopTime = (): unknown => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })

    /** What becomes of the server's end of a connection whose client never ends its own. */
    async function shakeHands(
      guard: ReturnType<typeof protectUpgrade>,
      before: (socket: Duplex) => unknown = () => undefined
    ): Promise<{ client: Socket; socket: Duplex; decided: Promise<Granted | undefined> }> {
      const { port, server } = await listen()
      const upgraded = once(server, 'upgrade')
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      closing.push(() => client.destroy())
      client.on('error', () => undefined).write(HANDSHAKE)
      const [request, socket] = (await upgraded) as [IncomingMessage, Duplex]
      await before(socket)
      return { client, socket, decided: guard(request, socket) }
    }

    test('though its client never ends the connection', async () => {
      // No time passes: it is the refusal's being sent that closes it.
      const { client, socket, decided } = await shakeHands(protectUpgrade(api), stopTime)
      const chunks: Buffer[] = []
      client.on('data', (chunk: Buffer) => chunks.push(chunk))
      const read = once(client, 'end')
      await Promise.all([socket.closed || once(socket, 'close'), read])
      expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
      expect([await decided, client.writable, vi.getTimerCount()]).toEqual([undefined, true, 0])
    })

    test('though its client does not read', async () => {
      const { socket, decided } = await shakeHands(protectUpgrade(api), (given) => {
        // More than the kernel takes on its own: what follows cannot be sent.
        given.write(Buffer.alloc(64 * 1024 * 1024))
        stopTime()
      })
      await decided
      vi.advanceTimersByTime(4999)
      expect(socket.destroyed).toBe(false)
      vi.advanceTimersByTime(1)
      expect(socket.destroyed).toBe(true)
    })

    test('though the refusal cannot be written, which is a warning', async () => {
      class Broken extends Forbidden {
        protected override ownHeaders(): never {
          throw new RangeError('in a refusal of ours')
        }
      }
      const own = resourceServer(as.options({ resource: RESOURCE, checks: [() => Promise.reject(new Broken())] }))
      const { port, server } = await listen()
      const guard = protectUpgrade(own)
      const upgraded = once(server, 'upgrade')
      const client = connect(port, '127.0.0.1')
      const warned = once(process, 'warning')
      client.write(HANDSHAKE.replace('\r\n\r\n', `\r\nAuthorization: Bearer ${as.token()}\r\n\r\n`))
      const [request, socket] = (await upgraded) as [IncomingMessage, Duplex]
      expect(await guard(request, socket)).toBeUndefined()
      expect(socket.destroyed).toBe(true)
      await once(client.resume(), 'close')
      expect(await warned).toMatchObject([{ message: 'in a refusal of ours' }])
    })
  })

  test('a client that goes away while it is decided takes nobody with it', async () => {
    const { port, granted } = await serve()
    for (const token of [as.opaque(), 'unheard-of']) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(
        `GET /events HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer ${token}\r\n\r\n`
      )
      await once(socket, 'ready')
      socket.resetAndDestroy()
    }
    await expect.poll(() => granted.length).toBe(2)
  })
})

describe('errorHandler(problemDetails)', () => {
  const detailsOf = (status: number, title: string, more: object = {}): string =>
    JSON.stringify({ title, status, ...more })

  test('protect() and refuse() answer with problem details, and the same status and challenge as without', async () => {
    const guards = [{ protect, refuse }, errorHandler(problemDetails)].map((answering) => {
      const guard = answering.protect(api, scope('read'))
      return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const granted = await guard(request, response)
        if (!granted) return
        try {
          await enforce(api, request, granted, scope('write'))
        } catch (error) {
          answering.refuse(request, response, error)
        }
      }
    })
    const ports = await Promise.all(guards.map(async (guard) => (await listen(guard)).port))
    const cases = [
      [[], detailsOf(401, 'Unauthorized')],
      [
        bearer(as.expired({ scope: 'read' })),
        detailsOf(401, 'Unauthorized', { detail: 'The access token expired', error: 'invalid_token' })
      ],
      [
        bearer(as.token({ scope: 'read' })),
        detailsOf(403, 'Forbidden', {
          detail: 'The access token lacks a required scope',
          error: 'insufficient_scope'
        })
      ]
    ] as const
    for (const [headers, body] of cases) {
      const [plain, details] = await Promise.all(ports.map((port) => send(port, { headers })))
      expect([details?.status, details?.body]).toEqual([plain?.status, body])
      expect(details?.values('content-type')).toEqual(['application/problem+json'])
      const others = [plain, details].map((reply) =>
        reply?.lines.filter(([name]) => !['content-type', 'content-length', 'date'].includes(name))
      )
      expect(others[1]).toEqual(others[0])
      const head = await send(ports[1] as number, { method: 'HEAD', headers })
      expect([head.status, head.body, head.values('content-length')]).toEqual([
        plain?.status,
        '',
        [String(Buffer.byteLength(body))]
      ])
    }
  })

  test('protectUpgrade() answers a handshake without a token with problem details', async () => {
    const { port, server } = await listen()
    const guard = errorHandler(problemDetails).protectUpgrade(api)
    server.on('upgrade', (request, socket) => void guard(request, socket))
    const reply = await send(port, {
      headers: [
        ['Connection', 'Upgrade'],
        ['Upgrade', 'websocket']
      ]
    })
    expect([reply.status, reply.body]).toEqual([401, detailsOf(401, 'Unauthorized')])
    expect(reply.values('content-type')).toEqual(['application/problem+json'])
    expect(reply.values('www-authenticate').join()).toContain(METADATA)
  })

  test('takes no options that are not right', () => {
    for (const options of [undefined, null, {}, { body: 'x' }, { body: () => ({}), contentType: 'text' }])
      expect(() => errorHandler(options as never)).toThrow(/^errorHandler\(\): `(body|contentType)` is not/)
  })
})

describe('protectUpgrade() and what the client does meanwhile', () => {
  const handshake = (token: string): string =>
    `GET /events HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer ${token}\r\n\r\n`
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

  test('survives a client that resets after the grant, before the application listens; its own listeners hear of it', async () => {
    const { port, server } = await listen()
    const guard = protectUpgrade(api)
    const upgraded = once(server, 'upgrade')
    const client = connect(port, '127.0.0.1')
    client.on('error', () => undefined).write(handshake(as.token()))
    const [request, socket] = (await upgraded) as [IncomingMessage, Socket]
    for (let i = 0; i < 20; i++) expect(await guard(request, socket)).toMatchObject({ access: { subject: 'user-1' } })
    // However often it is asked, one listener of ours stays.
    expect(socket.listenerCount('error')).toBe(1)
    const heard = vi.fn()
    socket.on('error', heard)
    client.resetAndDestroy()
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.resume()
    await closed
    expect(heard.mock.calls).toMatchObject([[{ code: 'ECONNRESET' }]])
    expect(await guard(request, socket)).toBeUndefined()
  })

  test('lets ws find the socket gone, where the application waits before handleUpgrade and the client resets', async () => {
    const { port, server } = await listen()
    const sockets = new WebSocketServer({ noServer: true })
    closing.push(() => sockets.close())
    const guard = protectUpgrade(api)
    const upgraded = once(server, 'upgrade')
    const client = connect(port, '127.0.0.1')
    client.on('error', () => undefined).write(handshake(as.token()))
    const [request, socket, head] = (await upgraded) as [IncomingMessage, Socket, Buffer]
    expect(await guard(request, socket)).toBeDefined()
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.resume()
    client.resetAndDestroy()
    await closed
    Object.assign(request.headers, { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' })
    const connected = vi.fn()
    sockets.handleUpgrade(request, socket, head, connected)
    expect([connected.mock.calls.length, socket.destroyed]).toEqual([0, true])
  })

  describe('pipelined behind earlier requests', () => {
    /** Answers of earlier requests, each when the test says so; and what the client has received. */
    async function pipeline(text: string): Promise<{
      earlier: ServerResponse[]
      client: Socket
      received: () => string
      granted: (Granted | undefined)[]
    }> {
      const earlier: ServerResponse[] = []
      const { port, server } = await listen((_, response) => void earlier.push(response))
      const guard = protectUpgrade(api)
      const granted: (Granted | undefined)[] = []
      const upgraded = once(server, 'upgrade')
      server.on('upgrade', async (request: IncomingMessage, socket: Duplex) => {
        const decision = await guard(request, socket)
        granted.push(decision)
        if (decision) socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      })
      const client = connect(port, '127.0.0.1')
      closing.push(() => client.destroy())
      let bytes = ''
      client
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          bytes += chunk.toString('latin1')
        })
      client.write(text)
      await upgraded
      return { earlier, client, received: () => bytes, granted }
    }
    const order = (bytes: string): string[] =>
      [...bytes.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status ?? '')

    test.each([
      ['a refusal', 'none', '401'],
      ['a grant', undefined, '101']
    ] as const)('%s comes after the answers to them, in order', async (_, token, status) => {
      const { earlier, client, received } = await pipeline(get('/1') + get('/2') + handshake(token ?? as.token()))
      const ended = once(client, 'close')
      // The second is ready first, and waits as well.
      earlier[1]?.writeHead(202).end('second')
      // More than a socket takes at once: the rest waits for `drain`.
      earlier[0]?.write(Buffer.alloc(8 * 1024 * 1024))
      earlier[0]?.once('drain', () => earlier[0]?.end('first'))
      await ended
      expect(order(received())).toEqual(['200', '202', status])
      expect(received().indexOf('first')).toBeLessThan(received().indexOf('second'))
    })

    test('decides after the answer: a token that ended meanwhile is refused', async () => {
      const { earlier, client, received } = await pipeline(
        get('/1') + handshake(as.token({ exp: Math.floor(as.now()) + 10 }))
      )
      const ended = once(client, 'close')
      as.advance(100)
      earlier[0]?.end()
      await ended
      expect(order(received())).toEqual(['200', '401'])
    })

    test('gives up where the client goes away before the answer', async () => {
      const { client, granted } = await pipeline(get('/1') + handshake(as.token()))
      client.resetAndDestroy()
      await expect.poll(() => granted).toEqual([undefined])
    })
  })
})

describe('a connection whose token is revoked', () => {
  test('ends by enforce() on a timer, as the documents show it', async () => {
    const guard = protect(api)
    const { port } = await listen(async (request, response) => {
      const granted = await guard(request, response)
      if (!granted) return
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write(': hello\n\n')
      const end = (): unknown => response.end()
      const forget = onExpiry(granted.access, end)
      const timer = setInterval(() => enforce(api, request, granted).catch(end), 10_000)
      response.on('close', () => {
        forget()
        clearInterval(timer)
      })
    })
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const client = sendRequest({ port, headers: Object.fromEntries(bearer(as.token())) }).end()
    const [response] = (await once(client, 'response')) as [IncomingMessage]
    await once(response, 'data')
    const ended = vi.fn()
    response.on('end', ended).resume()
    vi.advanceTimersByTime(10_000)
    await new Promise(setImmediate)
    expect(ended).not.toHaveBeenCalled()
    await api.revoke({ issuer: as.issuer, subject: 'user-1' })
    vi.advanceTimersByTime(10_000)
    await expect.poll(() => ended.mock.calls.length).toBe(1)
    await expect.poll(() => vi.getTimerCount()).toBe(0)
  })
})

describe('onExpiry()', () => {
  test.each([0, 30, 300])(
    'ends a connection when a new handshake would be refused: clockTolerance %i s after exp',
    async (clockTolerance) => {
      // A clock that stands still between two lines.
      let time = as.now()
      const now = (): number => time
      const exp = Math.floor(time) + 60
      const own = resourceServer({ ...as.options({ resource: RESOURCE }), clockTolerance, now })
      const token = as.token({ exp })
      const ask = (): unknown =>
        own.authorize({
          method: 'GET',
          url: '/',
          fieldLines: (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
        })
      const access = (await ask()) as Access
      expect(access.acceptedUntil).toBe(exp + clockTolerance)
      expect([Object.keys(access), JSON.stringify(access)].join()).not.toContain('acceptedUntil')
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      const ended = vi.fn()
      onExpiry(access, ended, now)
      const left = exp + clockTolerance - time
      vi.advanceTimersByTime(left * 1000 - 500)
      time += left - 0.5
      expect([await ask(), ended.mock.calls.length]).toEqual([access, 0])
      vi.advanceTimersByTime(501)
      time += 0.5
      expect(ended).toHaveBeenCalledTimes(1)
      await expect((async () => ask())()).rejects.toMatchObject({ reason: 'expired' })
    }
  )

  test('waits for as long as it takes, longer than a timer can; keeps no process alive; can be forgotten', async () => {
    const access = await fakeAccess({ claims: { exp: Math.floor(Date.now() / 1000) + 40 * 86_400 } })
    vi.useFakeTimers()
    const ended = vi.fn()
    onExpiry(access, ended)
    vi.advanceTimersByTime(39 * 86_400_000)
    expect(ended).not.toHaveBeenCalled()
    vi.advanceTimersByTime(2 * 86_400_000)
    expect(ended).toHaveBeenCalledTimes(1)
    const forgotten = vi.fn()
    onExpiry(access, forgotten)()
    onExpiry(undefined, forgotten)()
    vi.advanceTimersByTime(1000)
    expect(forgotten).not.toHaveBeenCalled()
    // It has ended already.
    onExpiry(access, forgotten)
    vi.advanceTimersByTime(1)
    expect(forgotten).toHaveBeenCalledTimes(1)
  })
})

describe('a request of node:http', () => {
  const of = (members: object, url?: string): NodeRequest =>
    new NodeRequest({ method: 'GET', url: '/', rawHeaders: [], ...members }, url)

  test.each([
    ['/a?b', '/a?b'],
    ['*', '*'],
    ['', ''],
    ['http://api.example.com/a?b', '/a?b'],
    ['HTTPS://api.example.com:444/a//b', '/a//b'],
    ['http://api.example.com/a/', '/a/'],
    ['http://api.example.com', ''],
    ['http://api.example.com?a', '?a'],
    ['https:///a', '/a'],
    ['/http://api.example.com/a', '/http://api.example.com/a'],
    ['x/http://api.example.com/a', 'x/http://api.example.com/a'],
    ['ftp://api.example.com/a', 'ftp://api.example.com/a']
  ])('of the target %j is %j, without whatever host it names (RFC 9112 §3.2.2)', (target, url) => {
    expect(of({ url: target }).url).toBe(url)
    expect(of({ url: '/cut' }, target).url).toBe(url)
  })

  test('that has neither method nor target has empty ones', () => {
    const { method, url } = of({ method: undefined, url: undefined })
    expect([method, url]).toEqual(['', ''])
  })

  test('has the lines of a field in order, whatever their case, and no others', () => {
    const rawHeaders = [
      'Authorization',
      'a',
      'x',
      'authorization',
      'AUTHORIZATION',
      'b',
      'authorizations',
      'c',
      'dpop',
      'd'
    ]
    const request = of({ rawHeaders })
    expect(request.fieldLines('authorization')).toEqual(['a', 'b'])
    expect(request.fieldLines('dpop')).toEqual(['d'])
    expect(request.fieldLines('host')).toEqual([])
  })

  test('has its connection’s address and certificate, where there are such', () => {
    const raw = Buffer.from('x')
    for (const socket of [undefined, null, {}, { getPeerX509Certificate: () => undefined }]) {
      const request = of({ socket })
      expect([request.peerAddress, request.certificate()]).toEqual([undefined, undefined])
    }
    const request = of({ socket: { remoteAddress: '::1', getPeerX509Certificate: () => ({ raw }) } })
    expect([request.peerAddress, request.certificate()]).toEqual(['::1', raw])
  })
})

describe('header fields on a response', () => {
  const merge = (fields: HeaderFields, existing: Record<string, unknown>): HeaderFields =>
    mergeHeaders(fields, (name) => existing[name])

  test('challenges are further lines, each once', () => {
    const fields = { 'WWW-Authenticate': ['Bearer a', 'DPoP b'] }
    expect(merge(fields, {})).toEqual(fields)
    expect(merge(fields, { 'WWW-Authenticate': 'Basic c' })).toEqual({
      'WWW-Authenticate': ['Basic c', 'Bearer a', 'DPoP b']
    })
    expect(merge({ 'WWW-Authenticate': 'Bearer a' }, { 'WWW-Authenticate': ['Bearer a', 'Basic c'] })).toEqual({
      'WWW-Authenticate': ['Bearer a', 'Basic c']
    })
  })

  test.each(['Vary', 'vary', 'Access-Control-Expose-Headers'])('%s is one list, each name once', (name) => {
    expect(merge({ [name]: 'Authorization, DPoP' }, {})).toEqual({ [name]: 'Authorization, DPoP' })
    expect(merge({ [name]: ['DPoP', 'X'] }, { [name]: [' Origin ,, dpop', 'Accept'] })).toEqual({
      [name]: 'Origin, dpop, Accept, X'
    })
  })

  test('any other takes the place of the one that is there', () => {
    expect(merge({ 'Cache-Control': 'no-store', 'X-A': ['b'] }, { 'Cache-Control': 'public', 'X-A': 1 })).toEqual({
      'Cache-Control': 'no-store',
      'X-A': ['b']
    })
  })

  test('are set one by one; a list is one that the framework may keep', () => {
    const lines = Object.freeze(['Bearer a'])
    const set = new Map<string, unknown>()
    addHeaders(
      { 'WWW-Authenticate': lines, 'X-A': lines, Vary: 'A' },
      () => undefined,
      (name, value) => set.set(name, value)
    )
    expect([...set]).toEqual([
      ['WWW-Authenticate', ['Bearer a']],
      ['X-A', ['Bearer a']],
      ['Vary', 'A']
    ])
    expect(set.get('X-A')).not.toBe(lines)
  })

  test('are none, or some', () => {
    expect([isEmpty({}), isEmpty({ Vary: '' })]).toEqual([true, false])
  })

  test('about content that is not sent are taken back, and no others', () => {
    const removed: string[] = []
    forgetContent({ hasHeader: () => true, removeHeader: (name) => removed.push(name) })
    expect(removed).toEqual([
      'content-digest',
      'content-disposition',
      'content-encoding',
      'content-language',
      'content-length',
      'content-location',
      'content-range',
      'content-type',
      'etag',
      'last-modified',
      'repr-digest',
      'trailer',
      'transfer-encoding'
    ])
    removed.length = 0
    forgetContent({ hasHeader: (name) => name === 'etag', removeHeader: (name) => removed.push(name) })
    expect(removed).toEqual(['etag'])
  })

  test('about the content of a refusal say its length in bytes, and its type where there is any', async () => {
    const forbidden = contentOf(new Forbidden('nö'))
    expect(JSON.parse(forbidden.body)).toMatchObject({ error: 'access_denied' })
    expect(forbidden.fields).toEqual({
      'Content-Length': String(Buffer.byteLength(forbidden.body)),
      'Content-Type': 'application/json'
    })
    const missing = await refusal(() => api.authorize({ method: 'GET', url: '/', fieldLines: () => [] }))
    expect(contentOf(missing)).toEqual({ body: '', fields: { 'Content-Length': '0' } })
  })
})

describe('what failed', () => {
  test('is thrown on as it is, if it is an object; else it is the cause of one', () => {
    for (const one of [new Error('x'), {}, []]) expect(passable(one)).toBe(one)
    for (const one of [undefined, null, 'route', 0, false]) {
      const error = passable(one) as Error
      expect([error, error.cause]).toEqual([new TypeError('it failed with a value that is not an Error'), one])
    }
  })

  test('has its fields on the response, and those of this request alone on itself as well', async () => {
    const set = vi.fn()
    const surfaced = (error: unknown): object => surface(error, () => 'Basic x', set)
    const own = new Error('own')
    expect(surfaced(own)).toBe(own)
    expect(set).not.toHaveBeenCalled()
    const missing = await refusal(() => api.authorize({ method: 'GET', url: '/', fieldLines: () => [] }))
    expect(surfaced(missing)).toBe(missing)
    expect(missing.headers['WWW-Authenticate']).toEqual([
      'Basic x',
      ...[missing.headers['WWW-Authenticate']].flat().slice(1)
    ])
    expect(set).toHaveBeenCalledWith('WWW-Authenticate', missing.headers['WWW-Authenticate'])
    const outage = new Unavailable('jwks', 'x')
    const { headers } = outage
    expect(surfaced(outage)).toBe(outage)
    expect(outage.headers).toBe(headers)
    expect(set).toHaveBeenCalledWith('Retry-After', '5')
  })
})

describe('what protect left', () => {
  test('is an access of ours, or nothing', async () => {
    const access = await fakeAccess()
    expect([findAccess(access), requireAccess(access, 'here')]).toEqual([access, access])
    for (const other of [undefined, null, {}, { ...access }, 'x']) {
      expect(findAccess(other)).toBeUndefined()
      expect(() => requireAccess(other, 'this request')).toThrow(
        new Error(
          'getAuth(): there is no access on this request. Mount protect(api, …) before this handler; ' +
            'where `optional` or `skipPreflight` lets requests through without a token, use getOptionalAuth().'
        )
      )
    }
  })
})

describe('metadata of several servers', () => {
  const named = (resource: string): ResourceServer => resourceServer(as.options({ resource }))
  const asked = (url: string) => ({ method: 'GET', url, fieldLines: () => [] })
  const WELL_KNOWN = '/.well-known/oauth-protected-resource'

  test('are of the first whose place it is', async () => {
    const silent = resourceServer(as.options({ resource: `${RESOURCE}/b`, metadata: false }))
    const apis = [named(`${RESOURCE}/a`), silent, named(`${RESOURCE}/b`)]
    const answer = await metadataAnswer(apis, asked(`${WELL_KNOWN}/b`))
    expect(JSON.parse(answer?.body ?? '{}')).toMatchObject({ resource: `${RESOURCE}/b` })
    expect(metadataAnswer(apis, asked('/b'))).toBeUndefined()
    expect(metadataAnswer([], asked(WELL_KNOWN))).toBeUndefined()
  })

  test('legacyClients: answers for the authorization server once its metadata are known, and 503 while they cannot be had', async () => {
    const older = resourceServer(as.options({ resource: `${RESOURCE}/mcp`, legacyClients: true }))
    const serving = protectedResourceMetadata(older)
    const { port } = await listen((request, response) => {
      if (!serving(request, response)) response.writeHead(404).end()
    })
    const path = '/.well-known/oauth-authorization-server'
    as.fail('metadata', 503)
    expect(await send(port, { path })).toMatchObject({ status: 503, body: '' })
    as.recover()
    as.advance(60)
    const reply = await send(port, { path })
    expect([reply.status, JSON.parse(reply.body).issuer]).toEqual([200, 'https://as.test'])
    expect((await send(port, { path: WELL_KNOWN })).status).toBe(200)
    expect((await send(port, { path: `${path}/mcp` })).status).toBe(404)
  })

  test('are at the root of the origin: mounted elsewhere, whoever asks for them learns of it', () => {
    const warned = vi.fn()
    subscribe('oauth-resource-server:warning', warned)
    onTestFinished(() => void unsubscribe('oauth-resource-server:warning', warned))
    const without = resourceServer({ resource: RESOURCE, issuers: ['https://as.example'], metadata: false })
    for (const prefix of ['', '/']) expect(requireRootMount([api], asked(WELL_KNOWN), prefix)).toBeUndefined()
    expect(requireRootMount([api], asked('/items'), '/v1')).toBeUndefined()
    expect(warned).not.toHaveBeenCalled()
    const mounted = (): void => requireRootMount([without, api], asked(WELL_KNOWN), '/v1')
    expect(mounted).toThrow(Misconfigured)
    expect(warned).toHaveBeenCalledTimes(1)
    expect(mounted).toThrow(
      expect.objectContaining({
        hint: 'protectedResourceMetadata() is mounted under /v1, but its path is at the root of the origin (RFC 8615 §3): mount it on the outermost app, without a path'
      })
    )
    // Once, and to whoever listens: the error may be answered without a word.
    expect(warned.mock.calls.map(([event]) => event)).toEqual([
      { resource: RESOURCE, issuer: '', message: expect.stringContaining('is mounted under /v1') as string }
    ])
  })
})

test.each([
  ['nothing that says so', undefined, 200, 500],
  ['null', null, 200, 500],
  ['a text', '404', 200, 500],
  ['its statusCode', { statusCode: 403 }, 200, 403],
  ['its status', { status: 404 }, 200, 404],
  ['its statusCode before its status', { statusCode: 403, status: 404 }, 200, 403],
  ['the least', { status: 400 }, 200, 400],
  ['the most', { status: 599 }, 200, 599],
  ['less', { status: 399 }, 200, 500],
  ['more', { status: 600 }, 200, 500],
  ['a part of one', { status: 400.5 }, 200, 500],
  ['a text for one', { status: '404' }, 200, 500],
  ['what the response has', 'x', 422, 422],
  ['its own before that', { status: 404 }, 422, 404]
])('the status of a failure that is no error: %s', (_, thrown, begun, status) => {
  expect(failureStatus(thrown, begun)).toBe(status)
})
