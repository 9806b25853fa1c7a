/** Hono. Typed by shape. Refusals are thrown; Hono's own error handling answers with their `getResponse()`. */
import { isPromise } from '../src/adapter.js'
import {
  type Access,
  type Check,
  type Receiver,
  Refusal,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { FetchRequest } from './fetch.js'
import { findAccess, requireAccess } from './shared/access.js'
import { createRender, type ErrorBodyOptions } from './shared/error-body.js'
import { addHeaders, type Fields, forgetContent, type HeaderAccess, isEmpty } from './shared/headers.js'
import { metadataAnswer } from './shared/metadata.js'
import type { Connection } from './shared/node-request.js'
import { receiveFetch } from './shared/receive.js'
import { surface } from './shared/refusals.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

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

/** For `new Hono<{ Variables: AuthVariables }>()`: types `c.var.auth`. */
export interface AuthVariables {
  auth: Access | undefined
}

/** A middleware of Hono, by shape. */
// biome-ignore lint/suspicious/noConfusingVoidType: Hono's own signature
export type HonoMiddleware = (context: HonoContext, next: () => Promise<void>) => Promise<Response | void>

/**
 * Accepts a request only with an access token that satisfies every requirement, and stores the {@link Access} as
 * `c.var.auth`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): HonoMiddleware {
  const protection = api.protect(...requirements)
  return async (context, next) => {
    // Hono merges earlier header fields into a handler's own response only if a response already exists.
    if (!isEmpty(protection.headers)) void context.res
    let access: Access | undefined
    try {
      access = await protection.authorize(new HonoRequest(context), findAccess(context.get('auth')))
      context.set('auth', access)
    } catch (error) {
      // Hono's error response keeps fields that were set, so fields about other content are removed here.
      forgetContent(fieldsOf(context))
      addHeaders(protection.headers, ...headersOf(context))
      throw surface(error, ...headersOf(context))
    }
    await next()
    // Added after the handler: for a field that already exists, Hono keeps the earlier value and drops the handler's.
    addHeaders(protection.headers, ...headersOf(context))
    if (access !== undefined) addHeaders(access.responseHeaders, ...headersOf(context))
    if (context.error instanceof ResourceServerError) restate(context.error, context)
  }
}

/**
 * Corrects Hono's response to an error that a handler threw. Hono keeps the earlier value of existing fields: a length
 * of other content, permission to cache, challenges without ours.
 */
function restate({ status, headers }: ResourceServerError, context: HonoContext): void {
  const [existing, set] = headersOf(context)
  context.header('Content-Length')
  // The application replaced the response.
  if (context.res.status !== status) return
  const challenge = [headers['WWW-Authenticate'] ?? []].flat().join(', ')
  const { 'WWW-Authenticate': _, ...others } = headers
  const isThere = String(existing('WWW-Authenticate')).includes(challenge)
  addHeaders(isThere ? others : headers, existing, set)
}

function fieldsOf(context: HonoContext): Fields {
  return { hasHeader: () => true, removeHeader: (name) => context.header(name) }
}

function headersOf(context: HonoContext): HeaderAccess {
  return [
    (name) => context.res.headers.get(name) ?? undefined,
    (name, value) => context.header(name, [value].flat().join(', '))
  ]
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export async function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  context: HonoContext,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  try {
    await api.enforce(getAuth(context), new HonoRequest(context), ...checks)
  } catch (error) {
    throw forgettingContent(surface(error, ...headersOf(context)), context)
  }
}

/**
 * Removes content fields only when the refusal's response is created, not before: a handler may catch the refusal and
 * continue, and its fields are correct then. The length is removed at once. It is computed anyway, and a wrong one
 * would break the connection.
 */
function forgettingContent(error: object, context: HonoContext): object {
  const forget = (): void => forgetContent(fieldsOf(context))
  if (error instanceof Refusal) {
    context.header('Content-Length')
    const getResponse = (): Response => {
      forget()
      return error.toResponse()
    }
    Object.defineProperty(error, 'getResponse', { value: getResponse, configurable: true, writable: true })
  }
  // Other errors may be shared by many requests.
  else forget()
  return error
}

/**
 * Gives this package's errors a body in the shape of the API, such as {@link problemDetails}. Use it first, before any
 * `protect`. Hono, or your own `app.onError`, answers all other errors. Without it, Hono answers with the JSON of
 * OAuth.
 *
 * A response that your `onError` creates for one of these errors gets this body too, unless it has another status.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): HonoMiddleware {
  const render = createRender(options ?? {})
  return async (context, next) => {
    await next()
    const { error, res } = context
    if (!(error instanceof ResourceServerError) || res.status !== error.status) return
    const { body, type } = render(error)
    context.header('Content-Length')
    const headers = new Headers(context.res.headers)
    headers.delete('Content-Type')
    if (type !== undefined) headers.set('Content-Type', type)
    context.res = new Response(body === '' ? null : body, { status: error.status, headers })
  }
}

class HonoRequest extends FetchRequest {
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

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Use it before
 * any `protect`.
 */
export function protectedResourceMetadata(...apis: readonly ResourceServer<never>[]): HonoMiddleware {
  return async (context, next) => {
    const found = metadataAnswer(apis, new FetchRequest(context.req.raw))
    const answer = isPromise(found) ? await found : found
    if (answer === undefined) return next()
    return new Response(answer.body ?? null, { status: answer.status, headers: answer.headers })
  }
}

/**
 * The access that `protect` granted to this request.
 *
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function getAuth(context: Pick<HonoContext, 'get'>): Access {
  return requireAccess(context.get('auth'), 'this context')
}

/** The access that `protect` granted to this request, or undefined where it accepted the request without a token. */
export function getOptionalAuth(context: Pick<HonoContext, 'get'>): Access | undefined {
  return findAccess(context.get('auth'))
}

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the
 * sender. Use it on its own path, without `protect`: events are signed and carry no access token.
 */
function mount(receiver: Receiver): (context: Pick<HonoContext, 'req' | 'env'>) => Promise<Response> {
  return ({ req, env }) => {
    const isForm = req.raw.headers.get('content-type')?.toLowerCase().startsWith('application/x-www-form-urlencoded')
    return receiveFetch(receiver, req.raw, env, async () => (isForm ? req.parseBody?.() : req.text?.()))
  }
}

export { mount as backchannelLogout, mount as securityEvents }
