/** Koa 2 and 3. Typed by shape. Refusals are thrown, which is how Koa passes errors on; each carries its header fields. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type Access,
  type Awaitable,
  type Check,
  type HeaderFields,
  isPromise,
  type Receiver,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { findAccess, requireAccess } from './shared/access.js'
import { createRender, type ErrorBodyOptions } from './shared/error-body.js'
import { addHeaders, forgetContent, type HeaderAccess, isEmpty } from './shared/headers.js'
import { hasOwnListener, type KoaApp, KoaNodeRequest } from './shared/host-log.js'
import { metadataAnswer, requireRootMount } from './shared/metadata.js'
import { NodeRequest } from './shared/node-request.js'
import { receiveNode } from './shared/receive.js'
import { surface } from './shared/refusals.js'
import { closeWhenAnswered, cutOff } from './shared/streams.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

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

/** For `new Koa<AuthState>()`: types `ctx.state.auth`. */
export interface AuthState {
  auth?: Access | undefined
}

/** A middleware of Koa 2 and 3, by shape. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<unknown>

/**
 * Accepts a request only with an access token that satisfies every requirement, and stores the {@link Access} as
 * `ctx.state.auth`. For an app, a router or a route. Mount it before any body parser.
 *
 * With @koa/router, `router.use(protect(…))` on a router with a `prefix` compares the prefix case-sensitively, but its
 * routes do not: `/V1/items` would reach a handler without it. Protect each route, or the app, or write `router.use('',
 * protect(…))`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): KoaMiddleware {
  const protection = api.protect(...requirements)
  const { headers } = protection
  return (context, next) => {
    if (!isEmpty(headers)) addHeaders(headers, ...headersOf(context))
    let access: Awaitable<Access | undefined>
    try {
      const { auth } = context.state as AuthState
      access = protection.authorize(
        new KoaNodeRequest(context.req, context.originalUrl, undefined, context),
        findAccess(auth)
      )
    } catch (error) {
      return refuse(error, context)
    }
    // A known access needs no promise.
    return isPromise(access) ? passLater(access, context, next) : pass(access, context, next)
  }
}

function pass(access: Access | undefined, context: KoaContext, next: () => Promise<unknown>): Promise<unknown> {
  ;(context.state as AuthState).auth = access
  if (access !== undefined && !isEmpty(access.responseHeaders))
    addHeaders(access.responseHeaders, ...headersOf(context))
  return next()
}

async function passLater(
  deciding: Promise<Access | undefined>,
  context: KoaContext,
  next: () => Promise<unknown>
): Promise<unknown> {
  const { headersSent: hadBegun } = context.res
  let access: Access | undefined
  try {
    access = await deciding
  } catch (error) {
    return refuse(error, context)
  }
  // If the response was sent meanwhile, outside Koa, later handlers must not run.
  return context.res.headersSent && !hadBegun ? undefined : pass(access, context, next)
}

/** @returns a rejection, which Koa handles like a thrown error */
async function refuse(error: unknown, context: KoaContext): Promise<never> {
  closeWhenAnswered(context.req)
  throw surface(error, ...headersOf(context))
}

function headersOf(context: KoaContext): HeaderAccess {
  return [(name) => context.res.getHeader(name), (name, value) => void context.set(name, value)]
}

/**
 * Koa computes the length itself, also for HEAD. An empty body is a text, not null: for null, Koa 2 sends no length and
 * Node no end. HTTP/1.1 would then close the connection, and HTTP/2 keep the stream open.
 */
function send(context: KoaContext, status: number, headers: HeaderFields, body = ''): void {
  context.body = body
  context.status = status
  if (body === '') context.res.removeHeader('Content-Type')
  addHeaders(headers, ...headersOf(context))
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
  context: KoaContext,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  try {
    await api.enforce(
      getAuth(context),
      new KoaNodeRequest(context.req, context.originalUrl, undefined, context),
      ...checks
    )
  } catch (error) {
    return refuse(error, context)
  }
}

/**
 * Serves the RFC 9728 metadata of these servers, each at its own well-known path, without authentication. Use it on the
 * outermost app, before any `protect`.
 */
export function protectedResourceMetadata(...apis: readonly ResourceServer<never>[]): KoaMiddleware {
  return async (context, next) => {
    const found = metadataAnswer(apis, new NodeRequest(context.req, context.originalUrl))
    const answer = isPromise(found) ? await found : found
    if (answer === undefined) {
      const { originalUrl, url } = context
      requireRootMount(
        apis,
        new NodeRequest(context.req, url),
        originalUrl.endsWith(url) ? originalUrl.slice(0, -url.length) : ''
      )
      return next()
    }
    send(context, answer.status, answer.headers, answer.body)
    return undefined
  }
}

/**
 * The access that `protect` granted to this request.
 *
 * @throws {Error} `protect` did not run, or accepted the request without a token
 */
export function getAuth(context: { readonly state: object }): Access {
  return requireAccess((context.state as AuthState).auth, 'ctx.state.auth')
}

/** The access that `protect` granted to this request, or undefined where it accepted the request without a token. */
export function getOptionalAuth(context: { readonly state: object }): Access | undefined {
  return findAccess((context.state as AuthState).auth)
}

/**
 * Answers this package's errors with their JSON body and rethrows all others. Use it first. A 5xx is also emitted to
 * the `error` listeners that you added to the app; a 4xx is not. If the response has begun,
 * by `ctx.res.write()` or a piped stream, it is cut off and the error rethrown: Koa alone would leave the connection
 * open.
 *
 * @param options the body in the shape of the API, such as {@link problemDetails}. Default: the JSON of OAuth
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options?: ErrorBodyOptions): KoaMiddleware {
  const render = createRender(options)
  return async (context, next) => {
    try {
      return await next()
    } catch (error) {
      if (!(error instanceof ResourceServerError)) throw error
      if (context.res.headersSent) {
        cutOff(context.res)
        throw error
      }
      // Koa would emit a thrown error; an answered one is emitted here, for the application's own log.
      if (error.status >= 500 && hasOwnListener(context.app)) context.app?.emit?.('error', error, context)
      const { body, type } = render(error)
      forgetContent(context.res)
      send(context, error.status, { ...error.headers, ...(type !== undefined && { 'Content-Type': type }) }, body)
      return undefined
    }
  }
}

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the
 * sender. Mount it on its own path, before or after a body parser, and without `protect`: events are signed and carry
 * no access token.
 */
function mount(receiver: Receiver): KoaMiddleware {
  return async (context) => {
    const { body: parsed } = (context.request ?? {}) as { readonly body?: unknown }
    const { status, headers, body } = await receiveNode(receiver, context.req, parsed)
    send(context, status, headers, body)
  }
}

export { mount as backchannelLogout, mount as securityEvents }
