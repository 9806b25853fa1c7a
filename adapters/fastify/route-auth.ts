/** The requirements in the `config.auth` of routes, each compiled once. */
import type { Access, Protection, Requirement, ResourceServer } from '../../src/index.js'

/**
 * A route's requirements. `true`: any valid access token; or one requirement, or several. `false` or missing: no token
 * needed. If the plugin protects all routes, only `false` opens one.
 */
export type RouteAuth<Scope extends string = string, Role extends string = string> =
  | boolean
  | Requirement<Scope, Role>
  | readonly Requirement<Scope, Role>[]

/**
 * @param which the routes that need a token: those with a `config.auth`, or all
 * @returns a function from a route's `config` to its protection, or null for a route without requirements. It throws a
 * TypeError for an invalid requirement
 */
export function createRouteProtections(
  api: ResourceServer<never>,
  which: 'declared' | 'all'
): (config: { readonly auth?: RouteAuth }) => Protection<Access | undefined> | null {
  const protections = new WeakMap<object, Protection<Access | undefined> | null>()
  return (config) => {
    const known = protections.get(config)
    if (known !== undefined) return known
    const protection = compile(api, 'auth' in config ? config.auth : which === 'all')
    protections.set(config, protection)
    return protection
  }
}

function compile(api: ResourceServer<never>, auth: RouteAuth | undefined): Protection<Access | undefined> | null {
  if (auth === false) return null
  // A mistyped variable must not open a route.
  if (auth === undefined)
    throw new TypeError('config.auth is undefined: write a requirement, true or false, or leave it out')
  return api.protect(...((auth === true ? [] : [auth].flat()) as Requirement<never>[]))
}
