/**
 * APIs for the tests of the suite: one of this package, which passes, and one written by hand whose answers a test changes.
 * The second one shares no code with the package, so a mistake of both is not hidden.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { protect, protectedResourceMetadata } from '../../adapters/node.js'
import { resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

/** Listens on a free port of loopback until the test ends, with `tls` by https. @returns the origin */
export async function listen(listener: RequestListener, tls?: ServerOptions): Promise<string> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An API by https that refuses everything, with `fields` in its answer. @returns the URL of its route */
export async function startRefusing(tls: ServerOptions, fields: readonly string[] = []): Promise<string> {
  const origin = await listen((_request, response) => {
    response.writeHead(401, ['WWW-Authenticate', 'Bearer realm="orders"', ...fields]).end()
  }, tls)
  return `${origin}/orders`
}

/** An API of this package with the node adapter. @returns the URL of its route */
export async function startOurs(): Promise<{ readonly url: string; readonly as: TestIssuer }> {
  const as = await createTestIssuer()
  let listener: RequestListener = () => {}
  const origin = await listen((request, response) => listener(request, response))
  const api = resourceServer(as.options({ resource: `${origin}/orders`, scopes: ['orders:read'] }))
  const serveMetadata = protectedResourceMetadata(api)
  const guard = protect(api, scope('orders:read'))
  listener = async (request, response) => {
    // RFC 9112 §3.2. Node.js reads the first line.
    if (request.headersDistinct.host?.length !== 1) return response.writeHead(400).end()
    if (serveMetadata(request, response)) return
    if (request.url?.split('?')[0] !== '/orders') return response.writeHead(404).end()
    if (await guard(request, response)) response.writeHead(200, { 'Content-Type': 'application/json' }).end('[]')
  }
  return { url: `${origin}/orders`, as }
}

export interface Answer {
  status: number
  fields: [string, string][]
  body: string
}

/** What a test knows of a request, and the answer of an API without a flaw, which it may change. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly origin: string
  readonly path: string
  readonly query: string
  readonly authorization: readonly string[]
  readonly isMetadata: boolean
  readonly answer: Answer
}

export type Flaw = (exchange: Exchange) => void

const PLACE = '/.well-known/oauth-protected-resource/orders'

/** An API written by hand, with a flaw. It accepts no token: outside checks have none. @returns the URL of its route */
export async function startPlain(flaw: Flaw = () => {}): Promise<string> {
  const origin: string = await listen((request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?')
    const authorization = request.headersDistinct.authorization ?? []
    const answer = answerOf(request, path, origin, request.rawHeaders)
    flaw({ request, origin, path, query, authorization, isMetadata: path === PLACE, answer })
    response.writeHead(answer.status, answer.fields.flat())
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  })
  return `${origin}/orders`
}

function answerOf({ method, headersDistinct }: IncomingMessage, path: string, origin: string, raw: string[]): Answer {
  const lines = raw.filter((one, index) => index % 2 === 0 && one.toLowerCase() === 'authorization').length
  if (headersDistinct.host?.length !== 1) return { status: 400, fields: [], body: '' }
  if (path === PLACE) return metadataOf(origin)
  if (path !== '/orders') return { status: 404, fields: [], body: '' }
  if (method === 'OPTIONS') return { status: 204, fields: [['Allow', 'GET, HEAD, OPTIONS']], body: '' }
  if (method === 'TRACE') return { status: 405, fields: [['Allow', 'GET, HEAD, OPTIONS']], body: '' }
  const written = headersDistinct.authorization?.[0] ?? ''
  const isBearer = /^bearer(?: |$)/i.test(written)
  const isMalformed = lines > 1 || (isBearer && !/^bearer +[^\s,]+$/i.test(written))
  const error = isMalformed ? 'invalid_request' : isBearer ? 'invalid_token' : undefined
  const challenge = [
    'realm="orders"',
    ...(error === undefined ? [] : [`error="${error}"`]),
    'scope="orders:read"',
    `resource_metadata="${origin}${PLACE}"`
  ]
  return {
    status: isMalformed ? 400 : 401,
    fields: [
      ['WWW-Authenticate', `Bearer ${challenge.join(', ')}`],
      ['Cache-Control', 'no-store']
    ],
    body: ''
  }
}

function metadataOf(origin: string): Answer {
  const document = {
    resource: `${origin}/orders`,
    authorization_servers: ['https://as.example.com'],
    scopes_supported: ['orders:read'],
    bearer_methods_supported: ['header']
  }
  return {
    status: 200,
    fields: [
      ['Content-Type', 'application/json'],
      ['Access-Control-Allow-Origin', '*']
    ],
    body: JSON.stringify(document)
  }
}
