/**
 * Fastify 5: a plugin whose `onRequest` hook protects every route by its own `config.auth`, including routes declared
 * before the plugin, and their HEAD. Alternatively `protect` as a hook of one route. All checks run before a body is
 * parsed.
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
import { FastifyNodeRequest } from './shared/host-log.js'
import { metadataAnswer } from './shared/metadata.js'
import { type NodeRequest, withMetadata } from './shared/node-request.js'
import { receiveNode } from './shared/receive.js'
import { failureStatus, surface } from './shared/refusals.js'
import { closeWhenAnswered } from './shared/streams.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'

/**
 * A route's requirements. `true`: any valid access token; or one requirement, or several. `false` or missing: no token
 * needed. If the plugin protects all routes, only `false` opens one.
 */
export type RouteAuth<Scope extends string = string, Role extends string = string> =
  | boolean
  | Requirement<Scope, Role>
  | readonly Requirement<Scope, Role>[]

/** Options of the plugin. */
export interface FastifyResourceServerOptions {
  readonly api: ResourceServer<never>
  /**
   * `'declared'`: protects routes with a `config.auth`. `'all'`: protects every route without `config: { auth: false
   * }`. The handler of `setNotFoundHandler` is not a route: write `app.setNotFoundHandler({ preHandler: protect(api) },
   * …)`. Default `'declared'`.
   */
  readonly protect?: 'declared' | 'all'
  /**
   * `true`: protect only the routes of the plugin that this one is registered in, and of its children. Routes outside
   * stay open, whatever their `config.auth` is: {@link assertProtected} finds them. The metadata is not served then:
   * register {@link protectedResourceMetadata} on the root instance. Default false: registering on another instance
   * than the root stops the start.
   */
  readonly encapsulated?: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The access granted to this request. Null before the decision, and on routes without requirements. */
    auth: Access | null
  }
  interface FastifyContextConfig {
    auth?: RouteAuth
  }
}

/** Marks an instance whose routes, and whose children's routes, are protected by their `config.auth`. */
const READS_AUTH = Symbol('oauth-resource-server.reads-auth')
/** On the root instance: the servers whose metadata it serves. */
const SERVED = Symbol('oauth-resource-server.metadata')

interface Marked {
  [READS_AUTH]?: true
  [SERVED]?: Set<ResourceServer<never>>
}

/**
 * The plugin. It applies to every route of the root instance and of its children, in any order of declaration, and
 * serves the RFC 9728 metadata of `api` at its well-known path.
 *
 * @throws {TypeError} at boot: an invalid option or `config.auth` of a route; an instance other than the root, without
 * `encapsulated`; with it, metadata that the root instance does not serve (RFC 8615 §3)
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
  /** Compiled protections by a route's `config`; null for a route without requirements. */
  const protections = new WeakMap<object, Protection<Access | undefined> | null>()
  const protectionOf = (config: { auth?: RouteAuth }): Protection<Access | undefined> | null => {
    const known = protections.get(config)
    if (known !== undefined) return known
    const protection = compile(api, 'auth' in config ? config.auth : which === 'all')
    protections.set(config, protection)
    return protection
  }
  // Compiles at boot: a mistake in a route's config stops the start, and the metadata knows all scopes.
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
      // The route was declared before the plugin, so no `onRoute` compiled it.
      done(error as Error)
      return
    }
    if (protection) run(protection, asked, request, reply, done)
    else done()
  })
}

/** Registers on the instance itself, not on a child of it, with the symbols that the package fastify-plugin sets. */
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
 * A plugin that only serves the RFC 9728 metadata of these servers, each at its own well-known path, without
 * authentication. For an app that protects with {@link protect}, or hosts several resources. Register it on the root
 * instance, before any `protect`.
 *
 * @throws {TypeError} at boot, on an instance other than the root: requests for the well-known path do not reach it
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
 * Protects one route or one plugin: `{ onRequest: protect(api, scope('orders:read')) }`.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  ...requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
): onRequestHookHandler {
  const protection = api.protect(...requirements)
  return (request, reply, done) => run(protection, requestOf(request), request, reply, done)
}

/**
 * Applies further checks inside a handler, before its response starts, where only the body tells which scopes an
 * operation needs. A refusal carries the same challenge as one of {@link protect}.
 *
 * @param reply the reply, which refers to its request. The challenge is also set on it, for error handlers that only
 * read the reply
 * @throws {ResourceServerError} the refusal, for the framework's error handling
 * @throws {Error} `protect` did not run, or accepted the request without a token
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
 * @throws {Error} the route is not protected, or a waiver accepted the request without a token
 */
export function getAuth(request: FastifyRequest): Access {
  return requireAccess(request.auth, 'this request')
}

/** The access granted to this request, or undefined where it was accepted without a token. */
export function getOptionalAuth(request: FastifyRequest): Access | undefined {
  return findAccess(request.auth)
}

/** An error handler of Fastify. */
export type FastifyErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void

/**
 * For `app.setErrorHandler(errorHandler)`: answers this package's errors with their JSON body, and sends all other
 * errors on. With `app.setErrorHandler(errorHandler(options))` the body has the shape of the API, such as {@link
 * problemDetails}.
 *
 * @throws {TypeError} at once, for invalid options
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
    // Fastify would send a thrown value that is not an Error as a normal response.
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

/** Fastify stores fields that a hook assigns to `request.headers` separately from `request.raw`. */
function requestOf(request: FastifyRequest): NodeRequest {
  return new FastifyNodeRequest(request.raw, request.originalUrl, request.headers, request)
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
  // The app's timeout has answered meanwhile.
  if (reply.sent) return
  closeWhenAnswered(reply.request.raw)
  done(surface(error, ...headersOf(reply)) as Error)
}

function headersOf(reply: FastifyReply): HeaderAccess {
  return [(name) => reply.getHeader(name), (name, value) => void reply.header(name, value)]
}

/** A child's prototype is its parent. Plugins wrapped by fastify-plugin get the instance that they are registered on. */
function isRoot(app: FastifyInstance): boolean {
  return typeof (Object.getPrototypeOf(app) as Partial<FastifyInstance> | null)?.register !== 'function'
}

/** @returns all servers that the root instance serves, from any plugin: a path of one may be a legacy path of another */
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

/** A route in Fastify's router: `store` is the route's context. */
interface RoutedContext {
  readonly store: {
    readonly config: { readonly url: string; readonly method: string | readonly string[]; readonly auth?: unknown }
    readonly server: FastifyInstance & Marked
  }
}

/**
 * Stops the start if a route has a `config.auth` that no plugin reads, because the plugin is not registered, or is
 * `encapsulated` in another part of the app. Such a route is open. Call it on the root instance at any time: it checks
 * at the end of the start, or at once if the app is ready. `config: { auth: false }` is not an error.
 *
 * Does NOT find routes without a `config.auth`. Reports routes that a hook of your own protects by their `config.auth`.
 *
 * @throws {TypeError} naming each such route: from `app.ready()` and `app.listen()`, or at once if the app is ready
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
        `oauth-resource-server: nothing reads the \`config.auth\` of ${[...new Set(open)].join(', ')}, so requests without a token are let in: register the plugin on the root instance, or declare the route inside the plugin’s scope`
      )
  }
  const checkOnReady = onInstanceItself('oauth-resource-server-assert-protected', async (root: FastifyInstance) => {
    root.addHook('onReady', async () => check())
  })
  try {
    void app.register(checkOnReady)
  } catch (error) {
    // All plugins are loaded, and the `onReady` hooks have run or are about to run.
    if ((error as { code?: string }).code !== 'AVV_ERR_ROOT_PLG_BOOTED') throw error
    check()
  }
}

/**
 * Fastify exposes a route's settings only while it prints its routes: the router then reads this member for each of
 * them.
 */
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

/** Answers in a hook, because a router decodes the path and reads a body before a route's handler runs. */
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

/** Fastify adds a charset to JSON text, but JSON has none (RFC 8259 §11). */
function bytes(body: string | undefined): Buffer | undefined {
  return body === undefined ? undefined : Buffer.from(body)
}

/**
 * A plugin that passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and
 * answers the sender: `app.register(securityEvents(receiver), { prefix: '/security-events' })`. It reads bodies itself,
 * whatever parsers the app has. It is never protected: events are signed and carry no access token.
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
      // Fastify's own error about an invalid content type; the receiver answers it.
      return hand(request, reply, undefined)
    })
    app.all('/', { config: { auth: false } }, (request, reply) => hand(request, reply, request.body))
  }
}

export { mount as backchannelLogout, mount as securityEvents }
