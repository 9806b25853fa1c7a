/** The plugin that reads the requirements of an app on Fastify from the `config.auth` of its routes. */
import type { FastifyInstance, RegisterOptions } from 'fastify'
import { requireOptions } from '../../src/adapter.js'
import type { Access, Protection, ResourceServer } from '../../src/index.js'
import { answeredWithMetadata } from '../shared/metadata.js'
import { requestOf, run } from './exchange.js'
import { sendMetadata } from './metadata.js'
import {
  encapsulatedError,
  isRoot,
  type Marked,
  markServed,
  onInstanceItself,
  READS_AUTH,
  requireServed
} from './root.js'
import { createRouteProtections } from './route-auth.js'

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

/** Options of the plugin, and those that Fastify itself reads from the same object. */
const EXAMPLES: Readonly<Record<keyof FastifyResourceServerOptions | keyof RegisterOptions, unknown>> = {
  api: {},
  protect: 'declared',
  encapsulated: true,
  prefix: '/api',
  logLevel: 'info',
  logSerializers: {}
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
  options: FastifyResourceServerOptions
): Promise<void> {
  const { api, protect: which = 'declared', encapsulated = false } = options
  // A misspelt 'all' must not mean 'declared'.
  if (!['declared', 'all'].includes(which))
    throw new TypeError(`oauth-resource-server: the option \`protect\` is '${which}', not 'declared' or 'all'`)
  if (typeof encapsulated !== 'boolean')
    throw new TypeError('oauth-resource-server: the option `encapsulated` is not true or false')
  requireOptions('fastifyResourceServer()', options, EXAMPLES)
  let served: ReadonlySet<ResourceServer<never>> = new Set()
  if (isRoot(app)) served = markServed(app, [api])
  else if (encapsulated) app.addHook('onReady', async () => requireServed(app, api))
  else throw encapsulatedError(app, 'a `config.auth` outside of that plugin would be ignored', true)
  app.decorateRequest('auth', null)
  ;(app as Marked)[READS_AUTH] = true
  const protectionOf = createRouteProtections(api, which)
  // Compiles at boot: a mistake in a route's config stops the start, and the metadata knows all scopes.
  app.addHook('onRoute', (route) => {
    if (route.config) protectionOf(route.config)
  })
  app.addHook('onRequest', (request, reply, done) => {
    const asked = requestOf(request)
    if (answeredWithMetadata(served, asked, reply, sendMetadata)) return
    let protection: Protection<Access | undefined> | null
    try {
      protection = request.is404 ? null : protectionOf(request.routeOptions.config)
    } catch (error) {
      // The route was declared before the plugin, so no `onRoute` compiled it.
      done(error as Error)
      return
    }
    if (protection) void run(protection, asked, request, reply, done)
    else done()
  })
}

onInstanceItself('oauth-resource-server', fastifyResourceServer)
