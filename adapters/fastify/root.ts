/**
 * Where a plugin of this package is registered: on the root instance, whose routes include all others, or encapsulated in
 * a part of the app.
 */
import type { FastifyInstance } from 'fastify'
import type { ResourceServer } from '../../src/index.js'

/** Marks an instance whose routes, and whose children's routes, are protected by their `config.auth`. */
export const READS_AUTH: unique symbol = Symbol('oauth-resource-server.reads-auth')
/** On the root instance: the servers whose metadata it serves. */
const SERVED: unique symbol = Symbol('oauth-resource-server.metadata')

/** An instance of Fastify with our marks. */
export interface Marked {
  [READS_AUTH]?: true
  [SERVED]?: Set<ResourceServer<never>>
}

/** Registers on the instance itself, not on a child of it, with the symbols that the package fastify-plugin sets. */
export function onInstanceItself<Plugin extends object>(name: string, plugin: Plugin): Plugin {
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: name,
    [Symbol.for('plugin-meta')]: { name, fastify: '5.x' }
  })
}

/** A child's prototype is its parent. Plugins wrapped by fastify-plugin get the instance that they are registered on. */
export function isRoot(app: FastifyInstance): boolean {
  return typeof (Object.getPrototypeOf(app) as Partial<FastifyInstance> | null)?.register !== 'function'
}

/** @returns all servers that the root instance serves, from any plugin: a path of one may be a legacy path of another */
export function markServed(
  app: FastifyInstance & Marked,
  apis: readonly ResourceServer<never>[]
): ReadonlySet<ResourceServer<never>> {
  const served = app[SERVED] ?? new Set()
  for (const api of apis) served.add(api)
  app[SERVED] = served
  return served
}

/** @throws {TypeError} the root instance does not serve the metadata of this server */
export function requireServed(app: FastifyInstance & Marked, api: ResourceServer<never>): void {
  if (!api.metadata || app[SERVED]?.has(api)) return
  throw new TypeError(
    `oauth-resource-server: the plugin${place(app)} is encapsulated and cannot serve its metadata, which is at the root of the origin (RFC 8615 §3): register protectedResourceMetadata(api) on the root instance, or set \`metadata: false\``
  )
}

/** @param why the effect of the wrong place */
export function encapsulatedError(app: FastifyInstance, why: string, isOptional = false): TypeError {
  const instead = isOptional ? ', or set `encapsulated: true` to protect only the routes in there' : ''
  return new TypeError(
    `oauth-resource-server is registered${place(app)} inside another plugin, not on the root instance: ${why}. Register it on the root instance (a plugin in between must be wrapped by fastify-plugin)${instead}`
  )
}

function place(app: FastifyInstance): string {
  return app.prefix === '' ? '' : ` under ${app.prefix}`
}
