/**
 * Tells the code that adapters share about Nest: where the request and the response are, in HTTP on both platforms, in
 * GraphQL and in gateways.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ArgumentsHost, Logger } from '@nestjs/common'
import type { LogLine } from '../../src/index.js'
import type { HeaderAccess } from '../shared/headers.js'
import { type HeadersByName, NodeRequest } from '../shared/node-request.js'

/** The used part of a request of Express or Fastify, or of a handshake. */
export interface NestRequest {
  readonly originalUrl?: string
  /** Fastify's; its own has other header fields where a hook changed them. */
  readonly raw?: IncomingMessage
  readonly headers?: HeadersByName
  /** Express's. */
  readonly res?: ServerResponse
  auth?: unknown
}

/** The used part of a response of Express, and of a reply of Fastify, which has `raw`. */
export interface NestResponse {
  readonly raw?: ServerResponse
  readonly sent?: boolean
  readonly headersSent?: boolean
  getHeader(name: string): unknown
  hasHeader(name: string): boolean
  removeHeader(name: string): unknown
  setHeader?(name: string, value: string | string[]): unknown
  header?(name: string, value: string | string[]): unknown
  code?(status: number): unknown
  send?(body?: unknown): unknown
}

export interface NestExchange {
  readonly request: NestRequest
  /** Missing for a gateway, and for a resolver whose context does not have it. */
  readonly response: NestResponse | undefined
}

/** Requests of the handshakes of `ws` clients, which Nest does not keep. */
export const handshakes: WeakMap<object, NestRequest> = new WeakMap()

/**
 * @throws {TypeError} the request cannot be found, so the handler must not run
 */
export function exchangeOf(host: ArgumentsHost): NestExchange {
  const type = host.getType<string>()
  if (type === 'http') return { request: host.getArgByIndex(0), response: host.getArgByIndex(1) }
  if (type === 'graphql') return ofGraphql(host)
  if (type === 'ws') {
    const client = host.switchToWs().getClient<{ readonly request?: NestRequest }>()
    return { request: found(handshakes.get(client) ?? client.request, NO_HANDSHAKE), response: undefined }
  }
  throw new TypeError(`oauth-resource-server: a handler of the type ${type} has no HTTP request to protect`)
}

/** The context is the argument before the last: resolvers of references have no arguments of the field. */
function ofGraphql(host: ArgumentsHost): NestExchange {
  const context = host.getArgs().at(-2) as
    | { readonly req?: NestRequest; readonly res?: NestResponse; readonly reply?: NestResponse }
    | undefined
  const request = found(context?.req, NO_REQUEST)
  return { request, response: context?.res ?? context?.reply ?? (request.res as NestResponse | undefined) }
}

const NO_HANDSHAKE =
  'the handshake of this client is unknown: write app.useWebSocketAdapter(protectSockets(app, new WsAdapter(app)))'
const NO_REQUEST = 'the GraphQL context has no `req`: let the option `context` of GraphQLModule return { req, res }'

function found(request: NestRequest | undefined, otherwise: string): NestRequest {
  if (typeof request !== 'object' || request === null) throw new TypeError(`oauth-resource-server: ${otherwise}`)
  return request
}

const logger = new Logger('ResourceServer')

/**
 * A request whose lines go to Nest's logger. Nest's filters answer refusals, and its guards run after the body parser,
 * so the mistakes that Express and Fastify know are not mistakes here.
 */
class NestNodeRequest extends NodeRequest {
  tell({ level, message }: LogLine): boolean {
    const method = level === 'info' ? 'log' : level
    if (!Logger.isLevelEnabled(method)) return false
    logger[method](message)
    return true
  }

  override get mistake(): undefined {
    return undefined
  }
}

export function read(request: NestRequest): NodeRequest {
  const { raw, originalUrl, headers } = request
  return new NestNodeRequest(raw ?? (request as IncomingMessage), originalUrl, headers, request)
}

/** Reads and sets the fields of a response of Express, or of a reply of Fastify. */
export function headersOf(response: NestResponse): HeaderAccess {
  return [
    (name) => response.getHeader(name),
    (name, value) => void (response.setHeader?.(name, value) ?? response.header?.(name, value))
  ]
}

export function isSent({ sent, headersSent }: NestResponse): boolean {
  return sent ?? headersSent ?? false
}
