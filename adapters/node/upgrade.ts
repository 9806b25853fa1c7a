/** Decides handshakes (WebSocket, RFC 6455 §4.2.2; extended CONNECT, RFC 8441) and refuses them in plain HTTP. */

import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import { world } from '../../src/adapter.js'
import type { Access, Requirement, ResourceServer, ResourceServerError } from '../../src/index.js'
import { oauthContent, type Render } from '../shared/error-body.js'
import { NodeRequest } from '../shared/node-request.js'
import { asRefusal, contentOf, warn } from '../shared/refusals.js'
import { type Http2Stream, INTERNAL_ERROR, NO_ERROR } from '../shared/streams.js'
import type { Granted } from './guard.js'

/**
 * Decides one handshake, and answers refused ones. Resolves with undefined if it has answered, or if the client has
 * gone.
 */
export type UpgradeGuard = (
  request: IncomingMessage | Http2ServerRequest,
  socket: Duplex
) => Promise<Granted | undefined>

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

/** @param render creates the body of a refusal */
export function createUpgradeGuard<Scope extends string, Role extends string>(
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

/** Milliseconds within which a client must read its refusal. */
const TIME_TO_READ = 5000

/**
 * Sends the refusal and closes the connection. A connection that is only ended would stay until the client ends its
 * side, and the server's timeouts do not apply to upgraded connections.
 */
function sendRefusal(connection: Duplex, error: unknown, stream: Http2Stream | undefined, render: Render): void {
  const timer = world.after(TIME_TO_READ, () => connection.destroy())
  timer.unref()
  connection.once('close', () => world.cancel(timer))
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
  const date = new Date(1000 * world.now()).toUTCString()
  const lines = Object.entries({ Date: date, ...error.headers, ...fields, Connection: 'close' }).flatMap(
    ([name, value]) => [value].flat().map((line) => `${name}: ${line}\r\n`)
  )
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
