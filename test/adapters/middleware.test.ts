/**
 * Middleware that sets, replaces or deletes a header field before `protect`: what it said last counts, on every adapter over
 * `node:http`, over real sockets. Two lines on the wire stay two.
 */
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as onExpress from '../../adapters/express.js'
import * as onFastify from '../../adapters/fastify.js'
import * as onHono from '../../adapters/hono.js'
import * as onKoa from '../../adapters/koa.js'
import * as onNode from '../../adapters/node.js'
import { type ResourceServer, resourceServer } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { type Lines, listen, type Served, send } from './wire.js'

const RESOURCE = 'https://api.example.com'
/** What the application's middleware does with the fields: undefined deletes one. */
type Change = Readonly<Record<string, string | undefined>>

let as: TestIssuer
let api: ResourceServer
const closing: (() => unknown)[] = []
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await api.close()
})

function apply(change: Change, headers: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) delete headers[name]
    else headers[name] = value
  }
}

const HOSTS: Readonly<Record<string, (change: Change) => RequestListener | Promise<RequestListener>>> = {
  'node:http': (change) => {
    const guard = onNode.protect(api)
    return async (req, res) => {
      apply(change, req.headers)
      const granted = await guard(req, res)
      if (granted) res.end(granted.access?.subject)
    }
  },
  'Express 5': (change) =>
    express()
      .use((req, _res, next) => {
        apply(change, req.headers)
        next()
      })
      .get('/', onExpress.protect(api), (req, res) => void res.end(onExpress.getAuth(req).subject))
      .use(onExpress.errorHandler()) as RequestListener,
  'Express 4': (change) =>
    express4()
      .use((req, _res, next) => {
        apply(change, req.headers)
        next()
      })
      .get('/', onExpress.protect(api), (req, res) => void res.end(onExpress.getAuth(req).subject))
      .use(onExpress.errorHandler()) as RequestListener,
  Koa: (change) => {
    const app = new Koa<onKoa.AuthState>()
    app.use(onKoa.errorHandler())
    app.use((ctx, next) => {
      apply(change, ctx.headers)
      return next()
    })
    app.use(onKoa.protect(api))
    app.use((ctx) => {
      ctx.body = onKoa.getAuth(ctx).subject
    })
    return app.callback()
  },
  Fastify: (change) =>
    readyFastify((request) => {
      apply(change, request.headers)
    }),
  'Fastify, with request.headers assigned': (change) =>
    readyFastify((request) => {
      request.headers = change
    }),
  Hono: (change) => {
    const app = new Hono<{ Variables: onHono.AuthVariables }>()
    app.use(async (c, next) => {
      for (const [name, value] of Object.entries(change)) {
        if (value === undefined) c.req.raw.headers.delete(name)
        else c.req.raw.headers.set(name, value)
      }
      await next()
    })
    app.get('/', onHono.protect(api), (c) => c.text(onHono.getAuth(c).subject ?? ''))
    return getRequestListener(app.fetch) as RequestListener
  }
}

async function readyFastify(
  before: (request: { headers: IncomingMessage['headers'] }) => void
): Promise<RequestListener> {
  const app = fastify()
  app.addHook('onRequest', async (request) => before(request))
  app.get('/', { onRequest: onFastify.protect(api) }, (request) => onFastify.getAuth(request).subject)
  app.setErrorHandler(onFastify.errorHandler)
  await app.ready()
  closing.push(() => app.close())
  return (req, res) => app.routing(req, res)
}

async function serve(host: string, change: Change): Promise<Served> {
  const served = await listen((await HOSTS[host]?.(change)) as RequestListener)
  closing.push(() => served.close())
  return served
}

const outcome = async (host: string, change: Change, headers: Lines = []): Promise<[number, string]> => {
  const { port } = await serve(host, change)
  const { status, body } = await send(port, { headers })
  return [status, status === 200 ? body : '']
}

describe.each(Object.keys(HOSTS))('%s', (host) => {
  const bearer = (sub: string): string => `Bearer ${as.token({ sub })}`

  test('lets a request in whose Authorization was set by middleware, from a cookie for example', async () => {
    expect(await outcome(host, { authorization: bearer('set') })).toEqual([200, 'set'])
  })

  test('reads the token that middleware put in the place of another', async () => {
    const sent: Lines = [['Authorization', bearer('sent')]]
    expect(await outcome(host, {}, sent)).toEqual([200, 'sent'])
    expect(await outcome(host, { authorization: bearer('set') }, sent)).toEqual([200, 'set'])
    expect(await outcome(host, { authorization: `Bearer ${as.expired()}` }, sent)).toEqual([401, ''])
  })

  test('refuses with 401 a good token whose Authorization was deleted by middleware', async () => {
    expect(await outcome(host, { authorization: undefined }, [['Authorization', bearer('sent')]])).toEqual([401, ''])
  })

  test('refuses with 400 two Authorization lines, whatever middleware put in their place', async () => {
    const sent: Lines = [
      ['Authorization', bearer('first')],
      ['Authorization', bearer('second')]
    ]
    // WHATWG Headers join lines; what was set afterwards is all that is left of them.
    const joins = host === 'Hono'
    expect(await outcome(host, {}, sent)).toEqual([400, ''])
    if (joins) return
    expect(await outcome(host, { authorization: undefined }, sent)).toEqual([400, ''])
    expect(await outcome(host, { authorization: bearer('set') }, sent)).toEqual([400, ''])
  })

  test('refuses a DPoP proof that middleware deleted, and takes one that it set', async () => {
    const { authorization, dpop } = as.dpop({ url: `${RESOURCE}/`, claims: { sub: 'bound' } })
    const sent: Lines = [['Authorization', authorization]]
    expect(await outcome(host, { dpop: undefined }, [...sent, ['DPoP', dpop]])).toEqual([401, ''])
    expect(await outcome(host, { dpop }, sent)).toEqual([200, 'bound'])
  })

  test('exposes the challenge to another origin only as long as middleware leaves Origin there', async () => {
    const exposed = async (change: Change): Promise<number> => {
      const { port } = await serve(host, change)
      const reply = await send(port, { headers: [['Origin', 'https://app.example']] })
      return reply.values('access-control-expose-headers').length
    }
    expect(await exposed({})).toBe(1)
    expect(await exposed({ origin: undefined })).toBe(0)
  })
})

describe('an upgrade', () => {
  test.each([
    ['with Authorization set before the guard is granted', true],
    ['with Authorization deleted before the guard is refused with 401', false]
  ])('%s', async (_title, isSet) => {
    const authorization = `Bearer ${as.token()}`
    const guard = onNode.protectUpgrade(api)
    const server = createServer().on('upgrade', async (request, socket) => {
      apply({ authorization: isSet ? authorization : undefined }, request.headers)
      if (await guard(request, socket)) socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
    })
    closing.push(() => server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const sent = isSet ? '' : `Authorization: ${authorization}\r\n`
    client.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${sent}\r\n`)
    expect(await text(client)).toMatch(isSet ? /^HTTP\/1\.1 101 / : /^HTTP\/1\.1 401 /)
  })
})

test('HTTP/2: middleware sets and deletes Authorization', async () => {
  const guard = onNode.protect(api)
  const server = createHttp2Server(async (request, response) => {
    const { change } = request.headers
    if (change === 'delete') delete request.headers.authorization
    if (change === 'set') request.headers.authorization = `Bearer ${as.token()}`
    if (await guard(request as never, response as never)) response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  closing.push(
    () => server.close(),
    () => client.close()
  )
  const ask = (headers: Record<string, string>): Promise<unknown> =>
    new Promise((resolve) => {
      const stream = client.request({ ':path': '/', ...headers })
      stream.on('response', (answer) => resolve(answer[':status'])).resume()
    })
  const authorization = `Bearer ${as.token()}`
  expect(await ask({ authorization })).toBe(200)
  expect(await ask({ authorization, change: 'delete' })).toBe(401)
  expect(await ask({ change: 'set' })).toBe(200)
  expect(await ask({})).toBe(401)
})

test('a client certificate’s field that middleware deleted is not read; one that it set is', async () => {
  const { token, certificate } = as.certificateBound()
  const clientCertificate = {
    trustedProxies: ['127.0.0.1'],
    field: 'X-Client-Cert',
    parse: (value: string) => Buffer.from(value, 'base64')
  }
  const bound = resourceServer(as.options({ resource: RESOURCE, clientCertificate }))
  closing.push(() => bound.close())
  const guard = onNode.protect(bound)
  const value = new X509Certificate(certificate?.cert ?? '').raw.toString('base64')
  const sent: Lines = [['Authorization', `Bearer ${token}`]]
  const ask = async (change: Change, lines: Lines): Promise<number> => {
    const served = await listen(async (req, res) => {
      apply(change, req.headers)
      if (await guard(req, res)) res.end()
    })
    closing.push(() => served.close())
    return (await send(served.port, { headers: lines })).status
  }
  const field = ['X-Client-Cert', value] as const
  expect(await ask({}, [...sent, field])).toBe(200)
  expect(await ask({ 'x-client-cert': undefined }, [...sent, field])).toBe(401)
  expect(await ask({ 'x-client-cert': value }, sent)).toBe(200)
  expect(await ask({ 'x-client-cert': value }, [...sent, field, field])).toBe(401)
})
