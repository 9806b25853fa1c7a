/** Gateways: decides handshakes, because Nest's guards run for messages only, and ends connections with their tokens. */
import type { INestApplicationContext, WebSocketAdapter } from '@nestjs/common'
import type { Requirement, ResourceServer } from '../../src/index.js'
import { findAccess } from '../shared/access.js'
import { asRefusal, contentOf } from '../shared/refusals.js'
import { readable } from './answers.js'
import { handshakes, type NestRequest } from './exchange.js'
import { decideShared } from './guard.js'
import { SETTINGS, type Settings } from './settings.js'

/** Close code of a connection whose token ended: of the range for applications (RFC 6455 §7.4.2). */
const TOKEN_ENDED = 4401

/** The used part of a client of `ws`, or of socket.io, which has `disconnect`. */
interface Client {
  readonly request?: NestRequest
  on(event: string, listener: () => void): unknown
  close?(code: number, reason: string): unknown
  disconnect?(close: boolean): unknown
}

/** A server or namespace of socket.io. */
interface WithMiddleware {
  use?(middleware: (client: Client, next: (error?: Error) => void) => void): unknown
}

/** How `ws` gets the decision about a handshake. */
type Done = (isAccepted: boolean, status?: number, body?: string, headers?: Readonly<Record<string, unknown>>) => void

/** How `ws` asks about a handshake: a function with one parameter returns its answer. */
type Verify = (info: { readonly req: NestRequest }, done: Done) => unknown

/**
 * Wraps `WsAdapter` or `IoAdapter`: `app.useWebSocketAdapter(protectSockets(app, new WsAdapter(app)))`. Each handshake
 * needs a valid token that satisfies the requirements. `ws` clients get the refusal in plain HTTP, those of socket.io a
 * `connect_error` with its members in `data`. A connection is closed when its token ends or is revoked. An own
 * `verifyClient` of the gateway is asked about handshakes with a token that is accepted.
 *
 * @throws {TypeError} at once, for an invalid requirement
 * @throws {Error} Nest's own: the app does not import the module
 */
export function protectSockets<Adapter extends WebSocketAdapter>(
  app: INestApplicationContext,
  adapter: Adapter,
  ...requirements: readonly Requirement[]
): Adapter {
  const settings = app.get<Settings>(SETTINGS)
  const protection = (settings.api as ResourceServer).protect(...requirements)
  const decide = (request: NestRequest): Promise<boolean> =>
    decideShared(settings, protection, { request, response: undefined })
  const verifyBefore =
    (own: Verify | undefined): Verify =>
    (info, done) => {
      decide(info.req).then(
        () => verifyOwn(own, info, done),
        (error: unknown) => {
          const refusal = asRefusal(error)
          const { body, fields } = contentOf(refusal, settings.render)
          // `ws` writes a text of its own for an empty body, and its length.
          const { 'Content-Length': _, ...others } = fields
          done(false, refusal.status, body, { ...refusal.headers, ...others })
        }
      )
    }
  const create = adapter.create.bind(adapter)
  const bindClientConnect = adapter.bindClientConnect.bind(adapter)
  adapter.create = (port: number, options?: { readonly verifyClient?: Verify }) => {
    const verifyClient = verifyBefore(options?.verifyClient)
    const server = create(port, { ...options, verifyClient }) as WithMiddleware
    server.use?.((client, next) => {
      decide(client.request as NestRequest).then(
        () => next(),
        (error: unknown) => {
          const { message, body } = readable(asRefusal(error))
          next(Object.assign(new Error(message), { data: body }))
        }
      )
    })
    return server
  }
  adapter.bindClientConnect = (server: unknown, callback: (...given: unknown[]) => unknown) =>
    bindClientConnect(server, (client: Client, ...others: unknown[]) => {
      const request = client.request ?? (others[0] as NestRequest)
      handshakes.set(client, request)
      endWithToken(client, findAccess(request.auth)?.signal)
      return callback(client, ...others)
    })
  return adapter
}

function verifyOwn(own: Verify | undefined, info: { readonly req: NestRequest }, done: Done): void {
  if (own === undefined) done(true)
  else if (own.length > 1) own(info, done)
  else done(own(info, done) === true)
}

function endWithToken(client: Client, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  const end = (): void => void (client.disconnect?.(true) ?? client.close?.(TOKEN_ENDED, 'the token ended'))
  if (signal.aborted) end()
  signal.addEventListener('abort', end, { once: true })
  client.on(client.disconnect ? 'disconnect' : 'close', () => signal.removeEventListener('abort', end))
}
