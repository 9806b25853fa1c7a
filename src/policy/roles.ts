/** Requirements about the user's roles: `roles()` and `anyRole()`. */
import { InsufficientRole } from '../errors/errors.js'
import type { Access, Check } from '../types.js'
import { grantChecks } from './scope.js'

/** A check for roles. It exposes them as data, so that an OpenAPI document can name them. */
export interface RoleCheck<Role extends string = string> extends Check<never, Role> {
  readonly roles: readonly Role[]
  readonly mode: 'all' | 'any'
}

/**
 * Requires all of these roles, as `rolesClaim` of the token's issuer finds them (exact, case-sensitive). Otherwise
 * refuses with 403 `insufficient_scope`, whose challenge names no scope.
 *
 * Does NOT check scopes. A role describes the user, so a route that third-party clients can call needs `scope()` as
 * well.
 *
 * @throws {TypeError} at once, without a role, or for a role that is empty or not a string
 */
export function roles<const Role extends string>(...roles: Role[]): RoleCheck<Role> {
  return roleCheck('roles', 'all', roles)
}

/**
 * Requires one of these roles. Otherwise the same as {@link roles}.
 *
 * @throws {TypeError} as {@link roles}
 */
export function anyRole<const Role extends string>(...roles: Role[]): RoleCheck<Role> {
  return roleCheck('anyRole', 'any', roles)
}

function roleCheck<Role extends string>(name: string, mode: 'all' | 'any', given: Role[]): RoleCheck<Role> {
  if (given.length === 0) throw new TypeError(`${name}() needs at least one role`)
  if (!given.every((one) => typeof one === 'string' && one !== ''))
    throw new TypeError(`${name}(): each role must be a string that is not empty`)
  const needed = Object.freeze([...new Set(given)])
  const check = ({ roles: held }: Access): void => {
    if (!hasRoles(held, needed, mode)) throw new InsufficientRole({ expected: needed, received: held })
  }
  grantChecks.add(check)
  return Object.freeze(Object.assign(check, { roles: needed, mode } as const))
}

function hasRoles(held: readonly string[], needed: readonly string[], mode: 'all' | 'any'): boolean {
  // Iterates by index, as in `hasScopes`.
  for (let i = 0; i < needed.length; i++) {
    if (held.includes(needed[i] as string) === (mode === 'any')) return mode === 'any'
  }
  return mode === 'all'
}
