/** Hono. Typed by shape. Refusals are thrown; Hono's own error handling answers with their `getResponse()`. */
import {
  type Access,
  type Check,
  isPromise,
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

/** What is used of a Hono context. */
export interface HonoContext {
  readonly req: {
    readonly raw: Request
    /** The handlers that the request was matched to, in order; the last one is the route's. */
    readonly matchedRoutes?: readonly { readonly path: string }[]
    /** The body as a form, also where it was read before. */
    parseBody?(): Promise<unknown>
    /** The body as text, also where it was read before. */
    text?(): Promise<string>
  }
  res: Response
  /** What a handler threw, once it has been answered. */
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
 * Lets a request through only if it carries an access token that satisfies every requirement, and leaves the
 * {@link Access} as `c.var.auth`.
 *
 * @throws {TypeError} at once, for a requirement that is none
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): HonoMiddleware {
  const protection = api.protect(...requirements)
  return async (context, next) => {
    // Only where there is a response already, Hono adds what was set before to one that a handler makes itself.
    if (!isEmpty(protection.headers)) void context.res
    let access: Access | undefined
    try {
      access = await protection.authorize(new HonoRequest(context), findAccess(context.get('auth')))
      context.set('auth', access)
    } catch (error) {
      // Hono's own answer to an error keeps what was set, so what was said of another content is taken back here.
      forgetContent(fieldsOf(context))
      addHeaders(protection.headers, ...headersOf(context))
      throw surface(error, ...headersOf(context))
    }
    await next()
    // Not before: of a field that is there by then Hono keeps the value, and not what the handler answers with.
    addHeaders(protection.headers, ...headersOf(context))
    if (access !== undefined) addHeaders(access.responseHeaders, ...headersOf(context))
    if (context.error instanceof ResourceServerError) restate(context.error, context)
  }
}

/**
 * What Hono answered to an error that a handler threw. Of fields that were there before, Hono keeps the value: a length that is
 * another content's, a permission to cache, other challenges without ours.
 */
function restate({ status, headers }: ResourceServerError, context: HonoContext): void {
  const [existing, set] = headersOf(context)
  context.header('Content-Length')
  // Somebody made another answer of it.
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
 * Applies further checks inside a handler, before its response starts: where only the body says which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or let the request through without a token
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
 * The same, for an answer in the place of what a handler meant to send: when that is made, and not before. A handler may go
 * on without what it was refused, and what it said of its content is true then; but for the length, which is counted
 * anyway, and would break what comes after on the connection if it were not.
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
  // Of others, one may be for many requests.
  else forget()
  return error
}

/**
 * Gives this package's errors a body in the shape of the API, such as {@link problemDetails}. Use it first, before any `protect`.
 * Hono, or an `app.onError` of yours, answers all other errors. Without it, Hono answers with the JSON of OAuth.
 *
 * An answer that your `onError` made of one of these errors gets this body as well, unless its status is another one.
 *
 * @throws {TypeError} at once, for options that are not right
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

/** Serves the RFC 9728 metadata of these servers, each at its own well-known path, to anybody. Use it before any `protect`. */
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
 * @throws {Error} `protect` did not run, or let the request through without a token
 */
export function getAuth(context: Pick<HonoContext, 'get'>): Access {
  return requireAccess(context.get('auth'), 'this context')
}

/** The access that `protect` granted to this request, or undefined where it let it through without a token. */
export function getOptionalAuth(context: Pick<HonoContext, 'get'>): Access | undefined {
  return findAccess(context.get('auth'))
}

/**
 * Hands pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the sender.
 * For a path of its own, and behind no `protect`: what is sent there has a signature, and no access token.
 */
function mount(receiver: Receiver): (context: Pick<HonoContext, 'req' | 'env'>) => Promise<Response> {
  return ({ req, env }) => {
    const isForm = req.raw.headers.get('content-type')?.toLowerCase().startsWith('application/x-www-form-urlencoded')
    return receiveFetch(receiver, req.raw, env, async () => (isForm ? req.parseBody?.() : req.text?.()))
  }
}

export { mount as backchannelLogout, mount as securityEvents }
