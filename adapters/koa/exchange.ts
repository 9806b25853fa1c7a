/** Tells the code that adapters share about Koa: its context, and how middleware ends. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Access, HeaderFields } from '../../src/index.js'
import { requireAccess } from '../shared/access.js'
import type { Handling } from '../shared/enforce.js'
import { addHeaders, type HeaderAccess } from '../shared/headers.js'
import { type KoaApp, KoaNodeRequest } from '../shared/host-log.js'
import type { NodeRequest } from '../shared/node-request.js'
import { surface } from '../shared/refusals.js'
import { createRun, type Run } from '../shared/run.js'
import { closeWhenAnswered } from '../shared/streams.js'

/** The used part of a Koa context. */
export interface KoaContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly originalUrl: string
  readonly url: string
  status: number
  body: unknown
  readonly state: object
  readonly request?: object
  readonly app?: KoaApp
  set(name: string, value: string | string[]): unknown
}

/** A middleware of Koa 2 and 3, by shape. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<unknown>

/** For `new Koa<AuthState>()`: types `ctx.state.auth`. */
export interface AuthState {
  auth?: Access | undefined
}

type Next = () => Promise<unknown>

/** Koa routers shorten `url`; the context keeps the whole target, and the route's pattern. */
export function read(context: KoaContext): NodeRequest {
  return new KoaNodeRequest(context.req, context.originalUrl, undefined, context)
}

/** Decides one request. */
export const run: Run<KoaContext, KoaContext, Next, Promise<unknown>> = createRun<
  KoaContext,
  KoaContext,
  Next,
  Promise<unknown>
>({
  load: ({ state }) => (state as AuthState).auth,
  save: ({ state }, access) => {
    ;(state as AuthState).auth = access
  },
  headersOf,
  isSent: ({ res }) => res.headersSent,
  refuse
})

/** @returns a rejection, which Koa handles like a thrown error */
async function refuse(error: unknown, context: KoaContext): Promise<never> {
  throw toThrow(error, context)
}

function toThrow(error: unknown, context: KoaContext): object {
  closeWhenAnswered(context.req)
  return surface(error, ...headersOf(context))
}

/** For `enforce` in a handler. */
export const handling: Handling<KoaContext> = {
  getAuth: ({ state }) => requireAccess((state as AuthState).auth, 'ctx.state.auth'),
  read,
  toThrow
}

function headersOf(context: KoaContext): HeaderAccess {
  return [(name) => context.res.getHeader(name), (name, value) => void context.set(name, value)]
}

/**
 * Sets the response. Koa computes the length itself, also for HEAD. An empty body is a text, not null: for null, Koa 2
 * sends no length and Node no end. HTTP/1.1 would then close the connection, and HTTP/2 keep the stream open.
 */
export function send(context: KoaContext, status: number, headers: HeaderFields, body = ''): void {
  context.body = body
  context.status = status
  if (body === '') context.res.removeHeader('Content-Type')
  addHeaders(headers, ...headersOf(context))
}
