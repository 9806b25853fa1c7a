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
import type { SuiteEndpoint, SuiteFailure, SuiteRequest } from '../check.js'
import { type Answer, answerFailure, createBomb } from './failures.js'

/** Milliseconds for which an idle connection stays open. */
const KEEP_ALIVE = 60_000
/** Entries of the request log. */
const MAX_REQUESTS = 10_000

export interface Documents {
  metadata(): Answer
  /** Metadata that names another issuer, and its own keys. */
  lie(): Answer
  keys(): Answer
  /** The keys that {@link lie} leads to. */
  'lie-keys'(): Answer
  introspection(question: Question): Answer
  'status-list'(): Answer
  /** A list that marks no token, signed by an unknown key with a published `kid`. */
  'forged-list'(): Answer
}

/** A request for introspection. */
export interface Question {
  readonly token: string
  /** The media type that the API asks for. */
  readonly accept: string
  /** The `client_id` of the API, or undefined if it did not authenticate by Basic or by the body. */
  readonly client: string | undefined
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
  const requests: { -readonly [Member in keyof SuiteRequest]: SuiteRequest[Member] }[] = []
  const failures = new Map<SuiteEndpoint, SuiteFailure>()
  const waiting = new Set<ServerResponse>()
  let made: ReturnType<typeof createBomb> | undefined
  const bombMaker = (): ReturnType<typeof createBomb> => {
    made ??= createBomb()
    return made
  }
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '/' } = request
    const entry: (typeof requests)[number] = { method, path, accept: request.headers.accept ?? '', taken: 0 }
    requests.push(entry)
    if (requests.length > MAX_REQUESTS) requests.shift()
    const body = await text(request)
    const endpoint = endpointOf(path)
    if (endpoint === undefined) return void response.writeHead(404).end()
    const failure = endpoint === 'lie-keys' ? undefined : failures.get(endpoint)
    const content = documents()
    const answer =
      endpoint === 'introspection'
        ? content.introspection(questionOf(request, body))
        : content[failure === 'lie' ? (endpoint === 'status-list' ? 'forged-list' : 'lie') : endpoint]()
    if (failure === 'silence') waiting.add(response)
    else if (failure === undefined || failure === 'lie')
      response.writeHead(200, { 'Content-Type': answer[0] }).end(answer[1])
    else
      answerFailure(response, {
        failure,
        answer,
        bomb: (text) => bombMaker()(text),
        took: (bytes) => {
          entry.taken = bytes
        }
      })
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // The API has disconnected, so it gets no answer.
    serve(request, response).catch(() => response.destroy())
  }
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer({ ...tls }, listener)
  // The suite makes RSA keys in this process, for seconds: the API must not find its connection closed after that.
  server.keepAliveTimeout = KEEP_ALIVE
  const endSilence = (): void => {
    for (const response of waiting) response.destroy()
    waiting.clear()
  }
  return {
    requests,
    fail: (endpoint, failure) => {
      if (failure === 'bomb') bombMaker()
      failures.set(endpoint, failure)
    },
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

function questionOf({ headers }: IncomingMessage, body: string): Question {
  const form = new URLSearchParams(body)
  const basic = /^Basic ([\w+/]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  const user = basic === undefined ? undefined : Buffer.from(basic, 'base64').toString().split(':')[0]
  return {
    token: form.get('token') ?? '',
    accept: headers.accept ?? '',
    client: user === undefined ? (form.get('client_id') ?? undefined) : decodeURIComponent(user)
  }
}

function endpointOf(path: string): SuiteEndpoint | 'lie-keys' | undefined {
  if (/^\/\.well-known\/(?:oauth-authorization-server|openid-configuration|ssf-configuration)$/.test(path))
    return 'metadata'
  if (path === '/keys') return 'keys'
  if (path === '/lie/keys') return 'lie-keys'
  if (path === '/status') return 'status-list'
  return path === '/introspect' ? 'introspection' : undefined
}
