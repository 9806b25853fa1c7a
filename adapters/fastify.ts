/**
 * Fastify 5: a plugin whose `onRequest` hook protects every route by its own `config.auth`, routes declared before the
 * plugin and their HEAD included; or `protect` as a hook of one route. Everything runs before a body is parsed.
 */
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import {
  type Access,
  type Awaitable,
  type Check,
  isPromise,
  type Protection,
  type Receiver,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { findAccess, requireAccess } from './shared/access.js'
import { createRender, type ErrorBodyOptions, oauthContent, type Render } from './shared/error-body.js'
import { addHeaders, forgetContent, type HeaderAccess, isEmpty } from './shared/headers.js'
import { metadataAnswer } from './shared/metadata.js'
import { NodeRequest, withMetadata } from './shared/node-request.js'
import { receiveNode } from './shared/receive.js'
import { failureStatus, surface } from './shared/refusals.js'
import { closeWhenAnswered } from './shared/streams.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/**
 * What a route asks for: `true` any good access token, one requirement or several; `false` or nothing: no token, unless
 * the plugin protects all routes, where only `false` opens one.
 */
export type RouteAuth<Scope extends string = string, Role extends string = string> =
  | boolean
  | Requirement<Scope, Role>
  | readonly Requirement<Scope, Role>[]

/** What the plugin is registered with. */
export interface FastifyResourceServerOptions {
  readonly api: ResourceServer<never>
  /**
   * `'declared'`: routes with a `config.auth` (default). `'all'`: every route but those with `config: { auth: false }`. What
   * `setNotFoundHandler` answers is no route: `app.setNotFoundHandler({ preHandler: protect(api) }, …)`.
   */
  readonly protect?: 'declared' | 'all'
  /**
   * `true`: protect only the routes of the plugin that this one is registered in, and of its children. Routes outside stay
   * open, whatever their `config.auth` says: {@link assertProtected} finds them. The metadata is not served then: register
   * {@link protectedResourceMetadata} on the root instance. Default false: an instance that is not the root stops the start.
   */
  readonly encapsulated?: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The access granted to this request; null before, and where a route asks for none. */
    auth: Access | null
  }
  interface FastifyContextConfig {
    auth?: RouteAuth
  }
}

/** Set on an instance whose routes, and whose children's routes, have their `config.auth` read. */
const READS_AUTH = Symbol('oauth-resource-server.reads-auth')
/** On the root instance: the servers whose metadata it serves. */
const SERVED = Symbol('oauth-resource-server.metadata')

interface Marked {
  [READS_AUTH]?: true
  [SERVED]?: Set<ResourceServer<never>>
}

/**
 * The plugin. It reaches every route of the root instance and of its children, wherever in the file, and serves the
 * RFC 9728 metadata of `api` at its well-known path.
 *
 * @throws {TypeError} at boot: an option or a route's `config.auth` that is not one; an instance that is not the root,
 *   without `encapsulated`; with it, metadata that the root instance does not serve (RFC 8615 §3)
 */
export async function fastifyResourceServer(
  app: FastifyInstance,
  { api, protect: which = 'declared', encapsulated = false }: FastifyResourceServerOptions
): Promise<void> {
  // A misspelt 'all' must not mean 'declared'.
  if (!['declared', 'all'].includes(which))
    throw new TypeError(`oauth-resource-server: the option \`protect\` is '${which}', not 'declared' or 'all'`)
  if (typeof encapsulated !== 'boolean')
    throw new TypeError('oauth-resource-server: the option `encapsulated` is not true or false')
  let served: ReadonlySet<ResourceServer<never>> = new Set()
  if (isRoot(app)) served = markServed(app, [api])
  else if (encapsulated) app.addHook('onReady', async () => requireServed(app, api))
  else throw encapsulatedError(app, 'a `config.auth` outside of that plugin would be ignored', true)
  app.decorateRequest('auth', null)
  ;(app as Marked)[READS_AUTH] = true
  /** By a route's `config`; null: it asks for no token. */
  const protections = new WeakMap<object, Protection<Access | undefined> | null>()
  const protectionOf = (config: { auth?: RouteAuth }): Protection<Access | undefined> | null => {
    const known = protections.get(config)
    if (known !== undefined) return known
    const protection = compile(api, 'auth' in config ? config.auth : which === 'all')
    protections.set(config, protection)
    return protection
  }
  // At boot, so that a mistake in a route's config stops the start and not a request, and metadata knows all scopes.
  app.addHook('onRoute', (route) => {
    if (route.config) protectionOf(route.config)
  })
  app.addHook('onRequest', (request, reply, done) => {
    const asked = requestOf(request)
    if (answeredWithMetadata(served, asked, reply)) return
    let protection: Protection<Access | undefined> | null
    try {
      protection = request.is404 ? null : protectionOf(request.routeOptions.config)
    } catch (error) {
      // A route from before the plugin, which no `onRoute` saw.
      done(error as Error)
      return
    }
    if (protection) run(protection, asked, request, reply, done)
    else done()
  })
}

/** Registers on the instance itself, not on a child of it: what the package fastify-plugin would set. */
function onInstanceItself<Plugin extends object>(name: string, plugin: Plugin): Plugin {
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: name,
    [Symbol.for('plugin-meta')]: { name, fastify: '5.x' }
  })
}
onInstanceItself('oauth-resource-server', fastifyResourceServer)

export default fastifyResourceServer

/**
 * A plugin that only serves the RFC 9728 metadata of these servers, each at its own well-known path, to anybody: for
 * an app that protects with {@link protect}, or hosts several resources. Register it on the root instance, before any
 * `protect`.
 *
 * @throws {TypeError} at boot, on an instance that is not the root: no request for the well-known path reaches it
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (app: FastifyInstance) => Promise<void> {
  return onInstanceItself('oauth-resource-server-metadata', async (app: FastifyInstance) => {
    if (apis.some(({ metadata }) => metadata) && !isRoot(app))
      throw encapsulatedError(app, 'no request for the metadata at the root of the origin reaches it (RFC 8615 §3)')
    const served = markServed(app, apis)
    app.addHook('onRequest', (request, reply, done) => {
      if (!answeredWithMetadata(served, requestOf(request), reply)) done()
    })
  })
}

/**
 * The same for one route or one plugin: `{ onRequest: protect(api, scope('orders:read')) }`.
 *
 * @throws {TypeError} at once, for a requirement that is none
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): onRequestHookHandler {
  const protection = api.protect(...requirements)
  return (request, reply, done) => run(protection, requestOf(request), request, reply, done)
}

/**
 * Applies further checks inside a handler, before its response starts: where only the body says which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @param reply of the request, which it knows; the challenge is put on it, for error handlers that look at nothing else
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or let the request through without a token
 */
export async function enforce<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  reply: FastifyReply,
  ...checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  const { request } = reply
  try {
    await api.enforce(getAuth(request), requestOf(request), ...checks)
  } catch (error) {
    closeWhenAnswered(request.raw)
    throw surface(error, ...headersOf(reply))
  }
}

/**
 * The access granted to this request.
 *
 * @throws {Error} nothing protects this route, or a waiver let the request through without a token
 */
export function getAuth(request: FastifyRequest): Access {
  return requireAccess(request.auth, 'this request')
}

/** The access granted to this request, or undefined where it was let through without a token. */
export function getOptionalAuth(request: FastifyRequest): Access | undefined {
  return findAccess(request.auth)
}

/** An error handler of Fastify. */
export type FastifyErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void

/**
 * For `app.setErrorHandler(errorHandler)`: answers this package's errors with their JSON body, and sends all others on. With
 * `app.setErrorHandler(errorHandler(options))` the body has the shape of the API, such as {@link problemDetails}.
 *
 * @throws {TypeError} at once, for options that are not right
 */
export function errorHandler(options: ErrorBodyOptions): FastifyErrorHandler
export function errorHandler(error: unknown, request: FastifyRequest, reply: FastifyReply): void
export function errorHandler(given: unknown, _request?: FastifyRequest, reply?: FastifyReply): unknown {
  if (reply !== undefined) return answer(given, reply, oauthContent)
  const render = createRender((given ?? {}) as ErrorBodyOptions)
  return (error: unknown, _: FastifyRequest, to: FastifyReply) => answer(error, to, render)
}

function answer(error: unknown, reply: FastifyReply, render: Render): void {
  if (!(error instanceof ResourceServerError)) {
    // What is no error would be an answer like any other.
    void (error instanceof Error ? reply : reply.code(failureStatus(error, reply.statusCode))).send(error)
    return
  }
  const { body, type } = render(error)
  forgetContent(reply)
  addHeaders(error.headers, ...headersOf(reply))
  void reply.code(error.status)
  if (type !== undefined) void reply.header('content-type', type).send(bytes(body))
  else void reply.send()
}

/** Fastify keeps what a hook assigned to `request.headers` beside the fields of `request.raw`. */
function requestOf(request: FastifyRequest): NodeRequest {
  return new NodeRequest(request.raw, request.originalUrl, request.headers, request)
}

function compile(api: ResourceServer<never>, auth: RouteAuth | undefined): Protection<Access | undefined> | null {
  if (auth === false) return null
  // A mistyped variable must not open a route.
  if (auth === undefined)
    throw new TypeError('config.auth is undefined: write a requirement, true or false, or leave it out')
  return api.protect(...((auth === true ? [] : [auth].flat()) as Requirement<never>[]))
}

type Done = (error?: Error) => void

function run(
  protection: Protection<Access | undefined>,
  asked: NodeRequest,
  request: FastifyRequest,
  reply: FastifyReply,
  done: Done
): void {
  if (!isEmpty(protection.headers)) addHeaders(protection.headers, ...headersOf(reply))
  let access: Awaitable<Access | undefined>
  try {
    access = protection.authorize(asked, findAccess(request.auth))
  } catch (error) {
    refuse(error, reply, done)
    return
  }
  if (!isPromise(access)) pass(access, request, reply, done)
  else
    access.then(
      (known) => pass(known, request, reply, done),
      (error: unknown) => refuse(error, reply, done)
    )
}

function pass(access: Access | undefined, request: FastifyRequest, reply: FastifyReply, done: Done): void {
  request.auth = access ?? null
  if (access !== undefined && !isEmpty(access.responseHeaders) && !reply.sent)
    addHeaders(access.responseHeaders, ...headersOf(reply))
  done()
}

function refuse(error: unknown, reply: FastifyReply, done: Done): void {
  // Answered meanwhile, by a timeout of the app's: there is nobody left to refuse.
  if (reply.sent) return
  closeWhenAnswered(reply.request.raw)
  done(surface(error, ...headersOf(reply)) as Error)
}

function headersOf(reply: FastifyReply): HeaderAccess {
  return [(name) => reply.getHeader(name), (name, value) => void reply.header(name, value)]
}

/** A child's prototype is its parent, and plugins wrapped by fastify-plugin get the instance they are registered on. */
function isRoot(app: FastifyInstance): boolean {
  return typeof (Object.getPrototypeOf(app) as Partial<FastifyInstance> | null)?.register !== 'function'
}

/** @returns all that the root instance serves, by whichever plugin: one's place may be what older clients take for another's */
function markServed(
  app: FastifyInstance & Marked,
  apis: readonly ResourceServer<never>[]
): ReadonlySet<ResourceServer<never>> {
  const served = app[SERVED] ?? new Set()
  for (const api of apis) served.add(api)
  app[SERVED] = served
  return served
}

function requireServed(app: FastifyInstance & Marked, api: ResourceServer<never>): void {
  if (!api.metadata || app[SERVED]?.has(api)) return
  throw new TypeError(
    `oauth-resource-server: the plugin${place(app)} is encapsulated and cannot serve its metadata, which is at the root of the origin (RFC 8615 §3): register protectedResourceMetadata(api) on the root instance, or set \`metadata: false\``
  )
}

function encapsulatedError(app: FastifyInstance, why: string, isOptional = false): TypeError {
  const instead = isOptional ? ', or set `encapsulated: true` to protect only the routes in there' : ''
  return new TypeError(
    `oauth-resource-server is registered${place(app)} inside another plugin, not on the root instance: ${why}. Register it on the root instance (a plugin in between must be wrapped by fastify-plugin)${instead}`
  )
}

function place(app: FastifyInstance): string {
  return app.prefix === '' ? '' : ` under ${app.prefix}`
}

/** A route as Fastify's router holds it: `store` is the route's context. */
interface RoutedContext {
  readonly store: {
    readonly config: { readonly url: string; readonly method: string | readonly string[]; readonly auth?: unknown }
    readonly server: FastifyInstance & Marked
  }
}

/**
 * Stops the start where a route has a `config.auth` that the plugin does not read, because the plugin is not registered,
 * or is `encapsulated` in another part of the app: such a route is open. Call it on the root instance at any time. Before
 * the app is ready it is checked at the end of the start; afterwards at once. `config: { auth: false }` is not an error.
 *
 * It does not find routes without a `config.auth`, nor those that a hook of your own protects by their `config.auth`.
 *
 * @throws {TypeError} naming each such route: from `app.ready()` and `app.listen()`, or at once where the app is ready
 */
export function assertProtected(app: FastifyInstance): void {
  const check = (): void => {
    const open = routesOf(app).flatMap(({ store: { config, server } }) =>
      'auth' in config && config.auth !== false && server[READS_AUTH] === undefined
        ? [config.method].flat().map((method) => `${method} ${config.url}`)
        : []
    )
    if (open.length > 0)
      throw new TypeError(
        `oauth-resource-server: nothing reads the \`config.auth\` of ${[...new Set(open)].join(', ')}, so the route needs no token: register the plugin on the root instance, or declare the route inside the plugin’s scope`
      )
  }
  const checkOnReady = onInstanceItself('oauth-resource-server-assert-protected', async (root: FastifyInstance) => {
    root.addHook('onReady', async () => check())
  })
  try {
    void app.register(checkOnReady)
  } catch (error) {
    // All plugins are loaded, and `onReady` hooks are run already, or about to be.
    if ((error as { code?: string }).code !== 'AVV_ERR_ROOT_PLG_BOOTED') throw error
    check()
  }
}

/** Fastify tells a route's settings only while it prints its routes: then the router reads this member for each of them. */
function routesOf(app: FastifyInstance): RoutedContext[] {
  const routes: RoutedContext[] = []
  const look = (route: RoutedContext): object => {
    routes.push(route)
    return {}
  }
  const options = Object.defineProperty({ includeMeta: [] }, 'buildPrettyMeta', { get: () => look, set: () => {} })
  const printed = app.printRoutes(options)
  if (routes.length === 0 && !['', '(empty tree)'].includes(printed.trim()))
    throw new Error('oauth-resource-server: assertProtected() cannot read the routes of this version of Fastify')
  return routes
}

/** In a hook, not in a route: a router decodes the path and reads a body before its handler runs. */
function answeredWithMetadata(
  apis: Iterable<ResourceServer<never>>,
  request: NodeRequest,
  reply: FastifyReply
): boolean {
  const answer = metadataAnswer(apis, request)
  if (answer === undefined) return false
  void withMetadata(answer, ({ status, headers, body }) => {
    if (!reply.sent) void reply.code(status).headers(headers).send(bytes(body))
  })
  return true
}

/** Fastify adds a charset to a text that is JSON; JSON has none (RFC 8259 §11). */
function bytes(body: string | undefined): Buffer | undefined {
  return body === undefined ? undefined : Buffer.from(body)
}

/**
 * A plugin that hands pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and
 * answers the sender: `app.register(securityEvents(receiver), { prefix: '/security-events' })`. It reads bodies itself,
 * whatever parsers the app has, and is never protected: what is sent there has a signature, and no access token.
 *
 * @throws {TypeError} at boot, without a prefix
 */
function mount(receiver: Receiver): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    if (app.prefix === '')
      throw new TypeError('oauth-resource-server: events need a path: app.register(…, { prefix: "/security-events" })')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    const hand = async (request: FastifyRequest, reply: FastifyReply, sent: unknown): Promise<unknown> => {
      const { status, headers, body } = await receiveNode(
        receiver,
        request.raw,
        undefined,
        (sent as Readable | undefined) ?? null
      )
      return reply
        .code(status)
        .headers(headers)
        .send(body === '' ? undefined : bytes(body))
    }
    app.setErrorHandler<Error & { readonly statusCode?: number }>((error, request, reply) => {
      if ((error.statusCode ?? 500) >= 500) throw error
      // Fastify's own, of a content type that is none: the receiver has words for it.
      return hand(request, reply, undefined)
    })
    app.all('/', { config: { auth: false } }, (request, reply) => hand(request, reply, request.body))
  }
}

export { mount as backchannelLogout, mount as securityEvents }
