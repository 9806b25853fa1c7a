/** A Hono context, by shape: its request as the core reads it, and the header fields of its response. */
import type { Access } from '../../src/index.js'
import type { Connection } from '../shared/connection.js'
import { FetchRequest } from '../shared/fetch-request.js'
import type { Fields, HeaderAccess } from '../shared/headers.js'

/** The used part of a Hono context. */
export interface HonoContext {
  readonly req: {
    readonly raw: Request
    /** The handlers that matched the request, in order; the last one is the route's. */
    readonly matchedRoutes?: readonly { readonly path: string }[]
    /** The body as a form; works after it was read. */
    parseBody?(): Promise<unknown>
    /** The body as text; works after it was read. */
    text?(): Promise<string>
  }
  res: Response
  /** The error that a handler threw, once it has been answered. */
  readonly error?: Error | undefined
  /** With `@hono/node-server`, `incoming` is Node's request. */
  readonly env?: unknown
  get(key: 'auth'): unknown
  set(key: 'auth', value: Access | undefined): void
  header(name: string, value?: string): void
}

/** A middleware of Hono, by shape. */
// biome-ignore lint/suspicious/noConfusingVoidType: Hono's own signature
export type HonoMiddleware = (context: HonoContext, next: () => Promise<void>) => Promise<Response | void>

/** A request of Hono as the core reads it, with its route. */
export class HonoRequest extends FetchRequest {
  readonly #req: HonoContext['req']

  constructor({ req, env }: HonoContext) {
    const { incoming } = (env ?? {}) as { readonly incoming?: { readonly socket?: Connection } }
    super(req.raw, incoming?.socket)
    this.#req = req
  }

  get route(): string | undefined {
    return this.#req.matchedRoutes?.at(-1)?.path
  }
}

/** The response's fields, for their removal. */
export function fieldsOf(context: HonoContext): Fields {
  return { hasHeader: () => true, removeHeader: (name) => context.header(name) }
}

/** Reads and sets the response's fields. */
export function headersOf(context: HonoContext): HeaderAccess {
  return [
    (name) => context.res.headers.get(name) ?? undefined,
    (name, value) => context.header(name, [value].flat().join(', '))
  ]
}
