import { once } from 'node:events'
import type { INestApplication } from '@nestjs/common'
import { IoAdapter } from '@nestjs/platform-socket.io'
import { WsAdapter } from '@nestjs/platform-ws'
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'
import { io, type Socket } from 'socket.io-client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { Auth, Protect, protectSockets, ResourceServerModule } from '../../adapters/nestjs.js'
import { type Access, optional, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { listen, method, PLATFORMS } from './nest-apps.js'

const RESOURCE = 'https://api.example.com'

function createGateway(options: object = {}): new () => object {
  class Orders {
    me(access: Access): object {
      return { event: 'me', data: access.subject }
    }
    orders(access: Access): object {
      return { event: 'orders', data: `orders of ${access.subject}` }
    }
  }
  method(Orders, 'me', [SubscribeMessage('me'), Protect()], [Auth()])
  method(Orders, 'orders', [SubscribeMessage('orders'), Protect(scope('orders:read'))], [Auth()])
  WebSocketGateway({ path: '/sockets', ...options })(Orders)
  return Orders
}

interface Started {
  readonly as: TestIssuer
  readonly api: ResourceServer
  readonly origin: string
}

async function start(
  platform: (typeof PLATFORMS)[number][1],
  prepare: (app: INestApplication) => void,
  options?: object
): Promise<Started> {
  const as = await createTestIssuer()
  const api = resourceServer(as.options({ resource: RESOURCE })) as ResourceServer
  const imports = [ResourceServerModule.forRoot({ api })]
  const origin = await listen(platform, { imports, providers: [createGateway(options)] }, prepare)
  return { as, api, origin }
}

const withWs = (app: INestApplication): unknown => app.useWebSocketAdapter(protectSockets(app, new WsAdapter(app)))
const withIo = (app: INestApplication): unknown => app.useWebSocketAdapter(protectSockets(app, new IoAdapter(app)))

function open({ origin }: Started, token?: string): WebSocket {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const client = new WebSocket(`${origin.replace('http', 'ws')}/sockets`, { headers })
  client.on('error', () => undefined)
  onTestFinished(() => client.terminate())
  return client
}

async function say(client: WebSocket, event: string): Promise<unknown> {
  client.send(JSON.stringify({ event }))
  const [text] = await once(client, 'message')
  return JSON.parse(String(text))
}

function connect({ origin }: Started, token?: string): Socket {
  const extraHeaders = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const client = io(origin, { path: '/sockets', extraHeaders, reconnection: false, forceNew: true })
  onTestFinished(() => void client.disconnect())
  return client
}

const event = (client: Socket, name: string): Promise<unknown> => new Promise((resolve) => client.once(name, resolve))

describe.each(PLATFORMS)('gateways on %s', (_, platform) => {
  test('ws: refuses a handshake in plain HTTP with its challenge', async () => {
    const app = await start(platform, withWs)
    for (const [token, status, challenge] of [
      [undefined, 401, /^Bearer resource_metadata=/],
      [app.as.expired(), 401, /error="invalid_token"/]
    ] as const) {
      const [, response] = await once(open(app, token), 'unexpected-response')
      expect(response.statusCode).toBe(status)
      expect(response.headers['www-authenticate']).toMatch(challenge)
    }
  })

  test.each([
    ['returns its answer', ({ origin }: { origin?: string }) => origin !== 'https://evil.example', 401],
    [
      'calls back with it',
      ({ origin }: { origin?: string }, done: (isAccepted: boolean, status?: number) => void) =>
        done(origin !== 'https://evil.example', 403),
      403
    ]
  ] as const)('ws: the verifyClient of a gateway that %s is asked too', async (_, verifyClient, status) => {
    let asked = 0
    const counted =
      verifyClient.length > 1
        ? (info: object, done: () => void) => {
            asked++
            return verifyClient(info, done)
          }
        : (info: object) => {
            asked++
            return verifyClient(info, () => undefined)
          }
    const app = await start(platform, withWs, { verifyClient: counted })
    const openFrom = (origin: string, token: string): WebSocket => {
      const client = new WebSocket(`${app.origin.replace('http', 'ws')}/sockets`, {
        headers: { authorization: `Bearer ${token}`, origin }
      })
      client.on('error', () => undefined)
      onTestFinished(() => client.terminate())
      return client
    }
    await once(openFrom('https://app.example', app.as.token()), 'open')
    const [, response] = await once(openFrom('https://evil.example', app.as.token()), 'unexpected-response')
    expect(response.statusCode).toBe(status)
    expect(asked).toBe(2)
    // A refused token is refused first.
    await once(openFrom('https://app.example', app.as.expired()), 'unexpected-response')
    expect(asked).toBe(2)
  })

  test('ws: checks the requirements of each message', async () => {
    const app = await start(platform, withWs)
    const client = open(app, app.as.token({ scope: 'x' }))
    await once(client, 'open')
    expect(await say(client, 'me')).toEqual({ event: 'me', data: 'user-1' })
    expect(await say(client, 'orders')).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        message: expect.any(String),
        error: 'insufficient_scope',
        error_description: expect.any(String)
      }
    })
    const reader = open(app, app.as.token({ scope: 'orders:read' }))
    await once(reader, 'open')
    expect(await say(reader, 'orders')).toEqual({ event: 'orders', data: 'orders of user-1' })
  })

  test('ws: closes a connection with 4401 when its token is revoked', async () => {
    const app = await start(platform, withWs)
    const client = open(app, app.as.token({ jti: 'one' }))
    await once(client, 'open')
    expect(await say(client, 'me')).toEqual({ event: 'me', data: 'user-1' })
    const closed = once(client, 'close')
    await app.api.revoke({ issuer: app.as.issuer, jti: 'one' } as never)
    expect((await closed)[0]).toBe(4401)
  })

  test('ws without protectSockets(): no message is handled', async () => {
    const app = await start(platform, (one) => one.useWebSocketAdapter(new WsAdapter(one)))
    const client = open(app, app.as.token())
    await once(client, 'open')
    const answers: unknown[] = []
    client.on('message', (text: Buffer) => answers.push(String(text)))
    client.send(JSON.stringify({ event: 'me' }))
    // An answer to the ping comes after all answers to the message before it.
    client.ping()
    await once(client, 'pong')
    expect(answers).toEqual([])
  })

  test('protectSockets() with optional lets a handshake through without a token, and messages need one all the same', async () => {
    const app = await start(platform, (one) =>
      one.useWebSocketAdapter(protectSockets(one, new WsAdapter(one), optional))
    )
    const client = open(app)
    await once(client, 'open')
    expect(await say(client, 'me')).toMatchObject({ event: 'exception', data: { message: 'Unauthorized' } })
  })

  test('socket.io: refuses a handshake, checks messages, and disconnects when the token is revoked', async () => {
    const app = await start(platform, withIo)
    expect(await event(connect(app), 'connect_error')).toMatchObject({ message: 'Unauthorized' })
    expect(await event(connect(app, app.as.expired()), 'connect_error')).toMatchObject({
      data: { error: 'invalid_token' }
    })
    const client = connect(app, app.as.token({ scope: 'x', jti: 'two' }))
    await event(client, 'connect')
    client.emit('me')
    expect(await event(client, 'me')).toBe('user-1')
    client.emit('orders')
    expect(await event(client, 'exception')).toMatchObject({ status: 'error', error: 'insufficient_scope' })
    const gone = event(client, 'disconnect')
    await app.api.revoke({ issuer: app.as.issuer, jti: 'two' } as never)
    expect(await gone).toBe('io server disconnect')
  })

  test('socket.io without protectSockets(): each message is checked against the handshake', async () => {
    const app = await start(platform, (one) => one.useWebSocketAdapter(new IoAdapter(one)))
    const stranger = connect(app)
    await event(stranger, 'connect')
    stranger.emit('me')
    expect(await event(stranger, 'exception')).toMatchObject({ status: 'error', message: 'Unauthorized' })
    const client = connect(app, app.as.token())
    await event(client, 'connect')
    client.emit('me')
    expect(await event(client, 'me')).toBe('user-1')
  })
})
