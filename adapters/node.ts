/**
 * `node:http` without a framework, and upgrades (WebSocket, RFC 6455 §4.2.2), which frameworks' middleware does not
 * see. Upgrades are decided before the handshake and refused in plain HTTP. Long-lived connections can be ended
 * together with their token.
 *
 * Does NOT implement WebSocket. A browser script cannot set `Authorization` on a handshake: issue your own ticket, in
 * response to an ordinary request with the token.
 */
import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
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
import { createRender, type ErrorBodyOptions, oauthContent, type Render } from './shared/error-body.js'
import { addHeaders, headersOf, isEmpty } from './shared/headers.js'
import { metadataAnswer } from './shared/metadata.js'
import { NodeRequest, withMetadata } from './shared/node-request.js'
import { answerWith, contentOf } from './shared/refusals.js'
import { closeWhenAnswered, cutOff, type Http2Stream, hasMore, INTERNAL_ERROR, NO_ERROR } from './shared/streams.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'
/**
 * A request as {@link ResourceServer.authorize} reads it, for hosts that have an `IncomingMessage` but no adapter in
 * this package.
 */
export { NodeRequest } from './shared/node-request.js'

/** An accepted request; `access` is undefined where `optional` or `skipPreflight` accepted it without a token. */
export interface Granted {
  readonly access: Access | undefined
}

/** Decides one request, and answers refused ones. Resolves with undefined if it has answered. */
export type Guard = (request: IncomingMessage, response: ServerResponse) => Promise<Granted | undefined>

/**
 * Decides one handshake, and answers refused ones. Resolves with undefined if it has answered, or if the client has
 * gone.
 */
export type UpgradeGuard = (
  request: IncomingMessage | Http2ServerRequest,
  socket: Duplex
) => Promise<Granted | undefined>

/**
 * Protects a request listener.
 *
 * ```ts
 * const guard = protect(api, scope('orders:read'))
 * createServer(async (request, response) => {
 *   const granted = await guard(request, response)
 *   if (!granted) return
 * ```
 *
 * @returns a guard that resolves with undefined for a refused request, which it has answered
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): Guard {
  return createGuard(api, requirements, oauthContent)
}

function createGuard<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[],
  render: Render
): Guard {
  const protection = api.protect(...requirements)
  return async (request, response) => {
    const headers = headersOf(response)
    if (!isEmpty(protection.headers)) addHeaders(protection.headers, ...headers)
    try {
      const access = await protection.authorize(new NodeRequest(request))
      // Other code has answered meanwhile.
      if (response.headersSent) return undefined
      if (access) addHeaders(access.responseHeaders, ...headers)
      return { access }
    } catch (error) {
      const refusal = asRefusal(error)
      // If other code has answered meanwhile, its response may still be in progress.
      if (!response.headersSent) answer(request, response, refusal, render)
      return undefined
    }
  }
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. Pass its error to {@link refuse}.
 *
 * @throws {ResourceServerError} the refusal
 * @throws {TypeError} `protect` accepted the request without a token
 */
export async function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  request: IncomingMessage,
  { access }: Granted,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  if (access === undefined) throw new TypeError('enforce() needs an access: a request without a token has none')
  await api.enforce(access, new NodeRequest(request), ...checks)
}

/**
 * Answers a refusal: one that `enforce` threw, or your own `Forbidden`. Any other error becomes 500 and a process
 * warning. A response that has begun is cut off.
 */
export function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  answerOrCutOff(request, response, error, oauthContent)
}

function answerOrCutOff(request: IncomingMessage, response: ServerResponse, error: unknown, render: Render): void {
  const refusal = asRefusal(error)
  if (!response.headersSent) answer(request, response, refusal, render)
  else cutOff(response)
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: ResourceServerError,
  render: Render
): void {
  if (hasMore(request)) response.setHeader('Connection', 'close')
  closeWhenAnswered(request)
  answerWith(refusal, request, response, render)
}

/**
 * For `server.on('upgrade', …)`: decides before the handshake. A refusal is written to the socket as plain HTTP, with
 * its challenge. The socket is closed once that is sent, at the latest after 5 seconds, even if the client does not end
 * its side.
 *
 * ```ts
 * const guard = protectUpgrade(api, scope('events'))
 * server.on('upgrade', async (request, socket, head) => {
 *   const granted = await guard(request, socket)
 *   if (!granted) return
 *   webSockets.handleUpgrade(request, socket, head, (client) => {
 *     client.on('error', () => client.terminate()) // a frame that is not valid ends this client, not the process
 *     granted.access?.signal.addEventListener('abort', () => client.close(4401), { once: true })
 *   })
 * })
 * ```
 *
 * Waits for the responses to earlier requests on the same connection (RFC 9112 §9.3.2), then decides. A listener for
 * `error` stays on the socket, because a client may reset the connection before `handleUpgrade` listens. Your own
 * listeners are called as well.
 *
 * For HTTP/2 (extended CONNECT, RFC 8441), pass `request.stream` in `server.on('connect', (request, response) => …)`. A
 * refusal is a response with its status, and the stream is closed. After a grant nothing has been sent: answer
 * `:status` 200 yourself.
 *
 * @returns a guard that resolves with undefined for a refused handshake, which it has answered, and for a client that
 * has gone
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protectUpgrade<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): UpgradeGuard {
  return createUpgradeGuard(api, requirements, oauthContent)
}

function createUpgradeGuard<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[],
  render: Render
): UpgradeGuard {
  const protection = api.protect(...requirements)
  return async (request, socket) => {
    const stream = http2StreamOf(request, socket)
    const connection = stream ?? socket
    ignoreErrors(connection)
    if (stream === undefined) await earlierAnswers(socket)
    if (isGone(connection)) return undefined
    let access: Access | undefined
    try {
      access = await protection.authorize(new NodeRequest(request))
    } catch (error) {
      if (!isGone(connection)) sendRefusal(connection, error, stream, render)
      return undefined
    }
    return isGone(connection) ? undefined : { access }
  }
}

/** {@link protect}, {@link protectUpgrade} and {@link refuse}, with bodies in the shape of the API. */
export interface NodeErrorHandler {
  readonly protect: typeof protect
  readonly protectUpgrade: typeof protectUpgrade
  readonly refuse: typeof refuse
}

/**
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}, including those before a handshake:
 * `const { protect, protectUpgrade, refuse } = errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): NodeErrorHandler {
  const render = createRender(options ?? {})
  return {
    protect: (api, ...requirements) => createGuard(api, requirements, render),
    protectUpgrade: (api, ...requirements) => createUpgradeGuard(api, requirements, render),
    refuse: (request, response, error) => answerOrCutOff(request, response, error, render)
  }
}

/** A connection error without a listener ends the process. */
function ignore(): void {}

/** Adds one listener, however many guards there are. It stays, because the application may start listening later. */
function ignoreErrors(connection: Duplex): void {
  if (!connection.listeners('error').includes(ignore)) connection.on('error', ignore)
}

function isGone({ destroyed, errored, writable }: Duplex): boolean {
  return destroyed || errored !== null || !writable
}

/**
 * The stream of a request over HTTP/2, even if the caller passed its socket, which cannot be written to. Undefined for
 * HTTP/1.1.
 */
function http2StreamOf(request: object, socket: Duplex): Http2Stream | undefined {
  const { stream } = request as { readonly stream?: unknown }
  return [stream, socket].find(isHttp2Stream)
}

function isHttp2Stream(value: unknown): value is Http2Stream {
  return typeof (value as { readonly respond?: unknown } | null | undefined)?.respond === 'function'
}

/** A socket with the response that Node.js writes, or writes next. Pipelined requests cause several. */
type Answering = Duplex & { readonly _httpMessage?: ServerResponse | null }

/**
 * Resolves when earlier requests of this connection are answered, or the connection is closed. Node.js emits `upgrade`
 * while they are pending and removes its listeners from the socket, so `drain` is forwarded here to a response that
 * waits for it.
 */
async function earlierAnswers(socket: Answering): Promise<void> {
  while (socket._httpMessage && !socket.destroyed) {
    const pending = socket._httpMessage
    const onDrain = (): void => {
      if (pending.writableNeedDrain) pending.emit('drain')
    }
    await new Promise<void>((resolve) => {
      const done = (): void => {
        pending.off('close', done)
        socket.off('close', done).off('drain', onDrain)
        resolve()
      }
      pending.on('close', done)
      socket.on('close', done).on('drain', onDrain)
    })
  }
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Call it
 * first.
 *
 * @returns a function that returns true for such a request, which it answers at once or (for older MCP clients) soon
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const answer = metadataAnswer(apis, new NodeRequest(request))
    if (answer === undefined) return false
    void withMetadata(answer, ({ status, headers, body }) => {
      if (!response.headersSent) response.writeHead(status, headers as OutgoingHttpHeaders).end(body)
    })
    return true
  }
}

/** Maximum milliseconds of a timer. Timers treat a larger value as none. */
const LONGEST = 2 ** 31 - 1

/**
 * Calls back when a token ends, for connections that outlive requests: at `acceptedUntil`, which is `exp` plus the
 * API's `clockTolerance`, as for requests. The timer does not keep the process alive. Never called for an access
 * without an end, or for undefined.
 *
 * Does NOT report a revoked token: prefer `access.signal`, which reports both, on every adapter. Use this function with
 * another clock than the API's, or for connections that a revocation must not end.
 *
 * @param now seconds since the epoch. Default: the system clock
 * @returns a function that cancels it: call it when the connection closes
 */
export function onExpiry(
  access: Access | undefined,
  ended: () => void,
  now: () => number = () => Date.now() / 1000
): () => void {
  const end = access?.acceptedUntil
  let timer: NodeJS.Timeout | undefined
  const wait = (until: number): void => {
    const left = (until - now()) * 1000
    timer = setTimeout(() => (left > LONGEST ? wait(until) : ended()), Math.min(Math.max(left, 0), LONGEST))
    timer.unref()
  }
  if (end !== undefined) wait(end)
  return () => clearTimeout(timer)
}

/** An error that is not this package's is a fault of a check: a process warning, and 500 to the client. */
function asRefusal(error: unknown): ResourceServerError {
  if (error instanceof ResourceServerError) return error
  warn(error)
  return new Misconfigured('a check of the application failed')
}

function warn(fault: unknown): void {
  emitWarning(fault instanceof Error ? fault : String(fault))
}

/** Milliseconds within which a client must read its refusal. */
const TIME_TO_READ = 5000

/**
 * Sends the refusal and closes the connection. A connection that is only ended would stay until the client ends its
 * side, and the server's timeouts do not apply to upgraded connections.
 */
function sendRefusal(connection: Duplex, error: unknown, stream: Http2Stream | undefined, render: Render): void {
  const timer = setTimeout(() => connection.destroy(), TIME_TO_READ)
  timer.unref()
  connection.once('close', () => clearTimeout(timer))
  try {
    if (stream) respond(stream, asRefusal(error), render)
    else connection.once('finish', () => connection.destroy()).end(messageOf(asRefusal(error), render))
  } catch (fault) {
    connection.destroy()
    warn(fault)
  }
}

/** Refuses over HTTP/2. A stream whose response has begun cannot get another status and is cut off. */
function respond(stream: Http2Stream, error: ResourceServerError, render: Render): void {
  if (stream.headersSent) {
    stream.close(INTERNAL_ERROR)
    return
  }
  const { body, fields } = contentOf(error, render)
  stream.respond({ ':status': error.status, ...(error.headers as OutgoingHttpHeaders), ...fields })
  stream.once('finish', () => stream.close(NO_ERROR)).resume()
  stream.end(body)
}

/** Formats the response as HTTP/1.1 text. */
function messageOf(error: ResourceServerError, render: Render): string {
  const { body, fields } = contentOf(error, render)
  const date = new Date().toUTCString()
  const lines = Object.entries({ Date: date, ...error.headers, ...fields, Connection: 'close' }).flatMap(
    ([name, value]) => [value].flat().map((line) => `${name}: ${line}\r\n`)
  )
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
