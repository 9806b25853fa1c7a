/**
 * Serves the documents of a test's authorization server (RFC 8414 metadata, a key set, RFC 7662 introspection) and its
 * planned failures: through a dispatcher without a network, or on a real socket.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** The endpoints of the authorization server that can fail. */
export type TestEndpoint = 'metadata' | 'jwks' | 'introspection'

/** An HTTP status, no answer at all, a closed connection, or a body that is not JSON. */
export type Failure = number | 'timeout' | 'reset' | 'garbage'

/** One request that the authorization server received. */
export interface TestRequest {
  readonly endpoint: TestEndpoint
  /** Seconds since the epoch, by the issuer's clock. */
  readonly at: number
}

export interface Documents {
  metadata(): object
  jwks(): object
  introspection(token: string): object
  readonly now: () => number
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** The parts of a request that the dispatcher reads, which replaces undici's. */
interface Sent {
  readonly path: string
  readonly body: string | null
  readonly signal: AbortSignal
}

export interface Endpoints {
  /** All requests since the issuer was created, in order. */
  readonly requests: readonly TestRequest[]
  fail(endpoint: TestEndpoint, failure: Failure, times: number): void
  recover(): void
  /** For the option `http.dispatcher`: opens no socket. */
  readonly dispatcher: { request(sent: Sent): Promise<unknown> }
  /** Listens on 127.0.0.1. @returns the origin */
  listen(): Promise<string>
  close(): Promise<void>
}

export function createEndpoints(documents: Documents): Endpoints {
  const requests: TestRequest[] = []
  const failures = new Map<TestEndpoint, { readonly failure: Failure; left: number }>()
  let server: Server | undefined

  const endpointOf = (path: string): TestEndpoint | undefined => {
    if (path.startsWith('/.well-known/oauth-authorization-server')) return 'metadata'
    if (path === '/jwks') return 'jwks'
    return path === '/introspect' ? 'introspection' : undefined
  }
  const nextFailure = (endpoint: TestEndpoint): Failure | undefined => {
    const planned = failures.get(endpoint)
    if (planned === undefined || planned.left === 0) return undefined
    planned.left--
    return planned.failure
  }
  const contentOf = (endpoint: TestEndpoint, body: string): object =>
    endpoint === 'introspection'
      ? documents.introspection(new URLSearchParams(body).get('token') ?? '')
      : documents[endpoint]()
  const answer = (path: string, body: string): Answer | 'timeout' | 'reset' => {
    const endpoint = endpointOf(path)
    if (endpoint === undefined) return { status: 404, body: '{}' }
    requests.push({ endpoint, at: documents.now() })
    const failure = nextFailure(endpoint)
    if (failure === 'timeout' || failure === 'reset') return failure
    if (failure === 'garbage') return { status: 200, body: '<!doctype html>' }
    return failure === undefined
      ? { status: 200, body: JSON.stringify(contentOf(endpoint, body)) }
      : { status: failure, body: '{}' }
  }

  const request = async ({ path, body, signal }: Sent): Promise<unknown> => {
    const answered = answer(path, body ?? '')
    if (answered === 'reset') throw new Error('the test ended this connection')
    if (answered === 'timeout') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      throw signal.reason
    }
    const chunks = (async function* () {
      yield Buffer.from(answered.body)
    })()
    return { statusCode: answered.status, headers: { 'content-type': 'application/json' }, body: chunks }
  }

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answered = answer(incoming.url ?? '/', await text(incoming))
    if (answered === 'reset') incoming.socket.destroy()
    else if (answered !== 'timeout')
      response.writeHead(answered.status, { 'Content-Type': 'application/json' }).end(answered.body)
  }

  return {
    requests,
    fail: (endpoint, failure, times) => void failures.set(endpoint, { failure, left: times }),
    recover: () => failures.clear(),
    dispatcher: { request },
    listen: async () => {
      server ??= createServer((incoming, response) => {
        // The client has disconnected, so no answer can be sent.
        serve(incoming, response).catch(() => response.destroy())
      })
      if (!server.listening) {
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
      }
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    close: async () => {
      if (!server?.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
