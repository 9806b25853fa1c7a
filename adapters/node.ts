/**
 * `node:http` without a framework; and upgrades (WebSocket, RFC 6455 §4.2.2), which no framework's middleware sees: they
 * are decided about before the handshake, and answered in plain HTTP. What is long-lived can be ended when its token does.
 *
 * Does NOT speak WebSocket. A browser's script cannot set `Authorization` on a handshake: give it a ticket of your own, got
 * with its token by an ordinary request.
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
/** A request as {@link ResourceServer.authorize} reads it, for a host that has an `IncomingMessage` and no adapter here. */
export { NodeRequest } from './shared/node-request.js'

/** A request that may go on; `access` is undefined where `optional` or `skipPreflight` let it through without a token. */
export interface Granted {
  readonly access: Access | undefined
}

/** Decides about a request, and answers what is refused. Resolves with undefined for what is answered. */
export type Guard = (request: IncomingMessage, response: ServerResponse) => Promise<Granted | undefined>

/** Decides about a handshake, and answers what is refused. Resolves with undefined for what is answered, or gone. */
export type UpgradeGuard = (
  request: IncomingMessage | Http2ServerRequest,
  socket: Duplex
) => Promise<Granted | undefined>

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
      // Somebody else has answered meanwhile: there is nothing left to add to.
      if (response.headersSent) return undefined
      if (access) addHeaders(access.responseHeaders, ...headers)
      return { access }
    } catch (error) {
      const refusal = asRefusal(error)
      // Else somebody has answered meanwhile, and may not be done.
      if (!response.headersSent) answer(request, response, refusal, render)
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
 * Answers a refusal: one that `enforce` threw, or a `Forbidden` of yours. Anything else is 500, and a warning of the process.
 * Where a response has begun, it is cut off.
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
 * For `server.on('upgrade', …)`: decides before the handshake. A refusal is written to the socket as plain HTTP, with its
 * challenge, and the socket is closed as soon as that is sent, or after 5 seconds: whether the client ends its side or not.
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
 * Waits for the answers to requests that came earlier on the same connection (RFC 9112 §9.3.2), and decides after them. A
 * listener for `error` stays on the socket: a client may reset the connection before `handleUpgrade` listens. Listeners of
 * yours are called as well.
 *
 * For HTTP/2 (extended CONNECT, RFC 8441): in `server.on('connect', (request, response) => …)` give `request.stream`. A refusal
 * is an answer with its status, and the stream is closed. After a grant nothing has been sent: answer `:status` 200 yourself.
 *
 * @returns undefined for what is refused, and answered; and for a client that has gone
 * @throws {TypeError} at once, for a requirement that is none
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
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}, those before a handshake too:
 * `const { protect, protectUpgrade, refuse } = errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for options that are not right
 */
export function errorHandler(options: ErrorBodyOptions): NodeErrorHandler {
  const render = createRender(options ?? {})
  return {
    protect: (api, ...requirements) => createGuard(api, requirements, render),
    protectUpgrade: (api, ...requirements) => createUpgradeGuard(api, requirements, render),
    refuse: (request, response, error) => answerOrCutOff(request, response, error, render)
  }
}

/** An error of a connection that nothing listens for ends the process. */
function ignore(): void {}

/** Adds one listener, however many guards there are. It stays: the application may wait before it listens itself. */
function ignoreErrors(connection: Duplex): void {
  if (!connection.listeners('error').includes(ignore)) connection.on('error', ignore)
}

function isGone({ destroyed, errored, writable }: Duplex): boolean {
  return destroyed || errored !== null || !writable
}

/**
 * The stream of a request over HTTP/2, also where the caller gave its socket, to which nothing can be written; undefined for
 * HTTP/1.1.
 */
function http2StreamOf(request: object, socket: Duplex): Http2Stream | undefined {
  const { stream } = request as { readonly stream?: unknown }
  return [stream, socket].find(isHttp2Stream)
}

function isHttp2Stream(value: unknown): value is Http2Stream {
  return typeof (value as { readonly respond?: unknown } | null | undefined)?.respond === 'function'
}

/** The answer that Node.js writes, or will write next, to a socket. Requests may be pipelined, so there may be several. */
type Answering = Duplex & { readonly _httpMessage?: ServerResponse | null }

/**
 * Resolves when earlier requests of this connection are answered, or it is closed. Node.js emits `upgrade` while they are
 * pending, and takes its listeners off the socket: an answer that waits for `drain` is told by us.
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
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, to anybody. Ask it first.
 *
 * @returns whether the request was for that, and is answered, at once or (for older MCP clients) soon
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

/** Milliseconds: more is taken for none by timers. */
const LONGEST = 2 ** 31 - 1

/**
 * Calls back when a token ends, for connections that outlive requests: at `acceptedUntil`, which is `exp` and the API's
 * `clockTolerance`, as for requests. It keeps no process alive. For an access without an end, and for undefined, never.
 *
 * Does NOT tell of a token that is revoked: prefer `access.signal`, which tells of both, on every adapter. This one stays for the end of
 * a token by another clock than the API's, and for what must not end by a revocation.
 *
 * @param now seconds since the epoch. Default: the system clock
 * @returns forgets it: call it when the connection closes
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
 * Sends it and lets go of the connection. One that is merely ended stays, for as long as the client does not end its side, and
 * no timeout of the server's is for what was upgraded.
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

/** Over HTTP/2. A stream that was answered before has no status left to give, and is cut off. */
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

/** As it is on the wire. */
function messageOf(error: ResourceServerError, render: Render): string {
  const { body, fields } = contentOf(error, render)
  const date = new Date().toUTCString()
  const lines = Object.entries({ Date: date, ...error.headers, ...fields, Connection: 'close' }).flatMap(
    ([name, value]) => [value].flat().map((line) => `${name}: ${line}\r\n`)
  )
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
