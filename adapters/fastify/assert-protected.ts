/** Finds routes of an app on Fastify whose `config.auth` has no effect. */
import type { FastifyInstance } from 'fastify'
import { type Marked, onInstanceItself, READS_AUTH } from './root.js'

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
