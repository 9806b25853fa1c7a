/**
 * Serves the documents of the suite's authorization server (RFC 8414 metadata, keys, RFC 7662 introspection, a status list) and its
 * failures, and keeps a log of the requests. It answers any client: the tokens are worth nothing outside of the test.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import type { SuiteEndpoint, SuiteFailure, SuiteRequest } from '../check.js'

/** Entries of the request log. */
const MAX_REQUESTS = 10_000
/** Bytes of the document that a `bomb` becomes. */
const BOMB_BYTES = 32 * 1024 * 1024

/** The answer of an endpoint: its media type and its body. */
type Answer = readonly [type: string, body: string]

export interface Documents {
  metadata(): Answer
  keys(): Answer
  introspection(token: string): Answer
  'status-list'(): Answer
}

export interface Endpoints {
  readonly requests: readonly SuiteRequest[]
  fail(endpoint: SuiteEndpoint, failure: SuiteFailure): void
  recover(): void
  /** @returns the origin */
  listen(port: number, host: string): Promise<string>
  close(): Promise<void>
}

/** The certificate and the key of the authorization server, as PEM. */
export interface TlsOptions {
  readonly cert: string
  readonly key: string
}

export function createEndpoints(documents: () => Documents, tls?: TlsOptions): Endpoints {
  const requests: SuiteRequest[] = []
  const failures = new Map<SuiteEndpoint, SuiteFailure>()
  const waiting = new Set<ServerResponse>()
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '/' } = request
    requests.push({ method, path })
    if (requests.length > MAX_REQUESTS) requests.shift()
    const body = await text(request)
    const endpoint = endpointOf(path)
    if (endpoint === undefined) return void response.writeHead(404).end()
    const failure = failures.get(endpoint)
    const content = documents()
    const answer =
      endpoint === 'introspection'
        ? content.introspection(new URLSearchParams(body).get('token') ?? '')
        : content[endpoint]()
    if (failure === 'silence') waiting.add(response)
    else if (failure === undefined) response.writeHead(200, { 'Content-Type': answer[0] }).end(answer[1])
    else answerFailure(failure, answer, response)
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // The API has disconnected, so it gets no answer.
    serve(request, response).catch(() => response.destroy())
  }
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer({ ...tls }, listener)
  const endSilence = (): void => {
    for (const response of waiting) response.destroy()
    waiting.clear()
  }
  return {
    requests,
    fail: (endpoint, failure) => void failures.set(endpoint, failure),
    recover: () => {
      failures.clear()
      endSilence()
    },
    listen: async (port, host) => {
      server.listen(port, host)
      await once(server, 'listening')
      const { port: bound } = server.address() as AddressInfo
      const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
      return `${tls === undefined ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${bound}`
    },
    close: async () => {
      endSilence()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

function endpointOf(path: string): SuiteEndpoint | undefined {
  if (/^\/\.well-known\/(?:oauth-authorization-server|openid-configuration|ssf-configuration)$/.test(path))
    return 'metadata'
  if (path === '/keys') return 'keys'
  if (path === '/status') return 'status-list'
  return path === '/introspect' ? 'introspection' : undefined
}

function answerFailure(
  failure: Exclude<SuiteFailure, 'silence'>,
  [type, body]: Answer,
  response: ServerResponse
): void {
  if (failure === 'reset') response.socket?.destroy()
  else if (failure === 'garbage') response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>')
  else if (failure === 'redirect') response.writeHead(302, { Location: '/canary/redirect' }).end()
  else if (failure === 'empty') response.writeHead(200, { 'Content-Type': type }).end('{"keys":[]}')
  else if (failure === 'bomb') {
    const padding = Buffer.alloc(BOMB_BYTES, ' ')
    const packed = gzipSync(Buffer.concat([padding, Buffer.from(body)]))
    response.writeHead(200, { 'Content-Type': type, 'Content-Encoding': 'gzip' }).end(packed)
  } else response.writeHead(failure.status, { 'Content-Type': 'application/json', ...failure.fields }).end('{}')
}
