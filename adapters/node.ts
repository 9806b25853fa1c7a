/**
 * `node:http` without a framework; and upgrades (WebSocket, RFC 6455 §4.2.2), which no framework's middleware sees: they
 * are decided about before the handshake, and answered in plain HTTP. What is long-lived can be ended when its token does.
 *
 * Does NOT speak WebSocket. A browser's script cannot set `Authorization` on a handshake: give it a ticket of your own, got
 * with its token by an ordinary request.
 */
import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import { emitWarning } from 'node:process'
import type { Duplex } from 'node:stream'
import {
  type Access,
  type Check,
  Misconfigured,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { addHeaders, answerWith, contentOf, headersOf, isEmpty, metadataAnswer, NodeRequest } from './node-request.js'

/** A request as {@link ResourceServer.authorize} reads it, for a host that has an `IncomingMessage` and no adapter here. */
export { NodeRequest } from './node-request.js'

/** A request that may go on; `access` is undefined where `optional` or `skipPreflight` let it through without a token. */
export interface Granted {
  readonly access: Access | undefined
}

/**
 * For a request listener.
 *
 * ```ts
 * const guard = protect(api, scope('orders:read'))
 * createServer(async (request, response) => {
 *   const granted = await guard(request, response)
 *   if (!granted) return
 * ```
 *
 * @returns undefined for what is refused, and answered
 * @throws {TypeError} at once, for a requirement that is none
 */
export function protect<Scope extends string>(
  api: ResourceServer<Scope>,
  ...requirements: readonly Requirement<NoInfer<Scope>>[]
): (request: IncomingMessage, response: ServerResponse) => Promise<Granted | undefined> {
  const protection = api.protect(...requirements)
  return async (request, response) => {
    const headers = headersOf(response)
    if (!isEmpty(protection.headers)) addHeaders(protection.headers, ...headers)
    try {
      const access = await protection.authorize(new NodeRequest(request))
      // Somebody else has answered meanwhile: there is nothing left to add to.
      if (response.headersSent) return undefined
      if (access) addHeaders(access.responseHeaders, ...headers)
      return { access }
    } catch (error) {
      const refusal = asRefusal(error)
      // Else somebody has answered meanwhile, and may not be done.
      if (!response.headersSent) answer(request, response, refusal)
      return undefined
    }
  }
}

/**
 * Applies further checks inside a handler, before its response starts: where only the body says which scopes an operation
 * needs. Give what it throws to {@link refuse}.
 *
 * @throws {ResourceServerError} the refusal
 * @throws {TypeError} `protect` let the request through without a token
 */
export async function enforce<Scope extends string>(
  api: ResourceServer<Scope>,
  request: IncomingMessage,
  { access }: Granted,
  ...checks: readonly Check<NoInfer<Scope>>[]
): Promise<void> {
  if (access === undefined) throw new TypeError('enforce() needs an access: without a token there is none')
  await api.enforce(access, new NodeRequest(request), ...checks)
}

/**
 * Answers a refusal: one that `enforce` threw, or a `Forbidden` of yours. Anything else is 500, and a warning of the process.
 * Where a response has begun, it is cut off.
 */
export function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const refusal = asRefusal(error)
  if (!response.headersSent) answer(request, response, refusal)
  else if (!response.writableEnded) cutOff(response)
}

/** RFC 9113 §7. */
const INTERNAL_ERROR = 2

/** Begun, and never to be finished: the client is not to wait for the rest, nor to take what is there for whole. */
function cutOff(response: ServerResponse & { readonly stream?: { close(code: number): void } }): void {
  if (response.stream) response.stream.close(INTERNAL_ERROR)
  else response.destroy()
}

function answer(request: IncomingMessage, response: ServerResponse, refusal: ResourceServerError): void {
  if (hasMore(request)) response.setHeader('Connection', 'close')
  answerWith(refusal, request, response)
}

/**
 * True for a body that is still on its way, all of which would have to be read before the next request. Whether all is there
 * does not tell: of a request that is decided at once nothing is, not even the end of a body that it does not have.
 */
function hasMore({ complete, headers, httpVersionMajor }: IncomingMessage): boolean {
  // A stream of HTTP/2 ends by itself, and its connection is for others too (RFC 9113 §8.2.2).
  if (complete || httpVersionMajor > 1) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/**
 * For `server.on('upgrade', …)`: decides before the handshake. A refusal is written to the socket as plain HTTP, with its
 * challenge, and the socket is closed as soon as that is sent, or after 5 seconds: whether the client ends its side or not.
 *
 * ```ts
 * const guard = protectUpgrade(api, scope('events'))
 * server.on('upgrade', async (request, socket, head) => {
 *   const granted = await guard(request, socket)
 *   if (!granted) return
 *   webSockets.handleUpgrade(request, socket, head, (client) => onExpiry(granted.access, () => client.close(4401)))
 * })
 * ```
 *
 * @returns undefined for what is refused, and answered; and for a client that has gone
 * @throws {TypeError} at once, for a requirement that is none
 */
export function protectUpgrade<Scope extends string>(
  api: ResourceServer<Scope>,
  ...requirements: readonly Requirement<NoInfer<Scope>>[]
): (request: IncomingMessage, socket: Duplex) => Promise<Granted | undefined> {
  const protection = api.protect(...requirements)
  return async (request, socket) => {
    // While it is decided nobody else listens, and an error that nobody hears ends the process.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    let access: Access | undefined
    try {
      access = await protection.authorize(new NodeRequest(request))
    } catch (error) {
      if (!isGone(socket)) writeRefusal(socket, error)
      return undefined
    }
    if (isGone(socket)) return undefined
    // Handed on. Of one that is refused or gone, errors are of no interest for good, and may be yet to come.
    socket.off('error', ignore)
    return { access }
  }
}

function isGone({ destroyed, errored }: Duplex): boolean {
  return destroyed || errored !== null
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, to anybody. Ask it first.
 *
 * @returns whether the request was for that, and is answered
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const answer = metadataAnswer(apis, new NodeRequest(request))
    if (answer === undefined) return false
    response.writeHead(answer.status, answer.headers as OutgoingHttpHeaders).end(answer.body)
    return true
  }
}

/** Milliseconds: more is taken for none by timers. */
const LONGEST = 2 ** 31 - 1

/**
 * Calls back when a token ends, for connections that outlive requests. It keeps no process alive. For an access without
 * an end, and for undefined, never.
 *
 * @param now seconds since the epoch. Default: the system clock
 * @returns forgets it: call it when the connection closes
 */
export function onExpiry(
  access: Access | undefined,
  ended: () => void,
  now: () => number = () => Date.now() / 1000
): () => void {
  const expiresAt = access?.expiresAt
  let timer: NodeJS.Timeout | undefined
  const wait = (end: number): void => {
    const left = (end - now()) * 1000
    timer = setTimeout(() => (left > LONGEST ? wait(end) : ended()), Math.min(Math.max(left, 0), LONGEST))
    timer.unref()
  }
  if (expiresAt !== undefined) wait(expiresAt)
  return () => clearTimeout(timer)
}

/** What is no error of ours is a fault of a check: told as a warning of the process, and 500 to the client. */
function asRefusal(error: unknown): ResourceServerError {
  if (error instanceof ResourceServerError) return error
  warn(error)
  return new Misconfigured('a check of the application failed')
}

function warn(fault: unknown): void {
  emitWarning(fault instanceof Error ? fault : String(fault))
}

/** Milliseconds that a client has to take its refusal. */
const TIME_TO_READ = 5000

/**
 * Writes it and lets go of the socket. One that is merely ended stays, for as long as the client does not end its side, and
 * no timeout of the server's is for what was upgraded.
 */
function writeRefusal(socket: Duplex, error: unknown): void {
  const timer = setTimeout(() => socket.destroy(), TIME_TO_READ)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.once('finish', () => socket.destroy())
  try {
    socket.end(messageOf(asRefusal(error)))
  } catch (fault) {
    socket.destroy()
    warn(fault)
  }
}

/** As it is on the wire. */
function messageOf(error: ResourceServerError): string {
  const { body, fields } = contentOf(error)
  const date = new Date().toUTCString()
  const lines = Object.entries({ Date: date, ...error.headers, ...fields, Connection: 'close' }).flatMap(
    ([name, value]) => [value].flat().map((line) => `${name}: ${line}\r\n`)
  )
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
