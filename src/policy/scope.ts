/** Requirements about scopes: `scope()` and `anyScope()` (RFC 6750 §3.1). */
import { isScopeToken } from '../errors/challenge.js'
import { InsufficientScope } from '../errors/errors.js'
import type { Access, Check } from '../types.js'

/** A check for scopes: the scopes are its own property, so that a server can advertise them. */
export interface ScopeCheck<Scope extends string = string> extends Check<Scope> {
  readonly scopes: readonly Scope[]
  readonly mode: 'all' | 'any'
}

/**
 * Requires every one of these scopes (RFC 6749 §3.3: exact, case-sensitive).
 *
 * @throws {TypeError} at once, for none, or for one that is no scope (a space, a quote, a backslash, not ASCII)
 */
export function scope<const Scope extends string>(...scopes: Scope[]): ScopeCheck<Scope> {
  return scopeCheck('scope', 'all', scopes)
}

/**
 * Requires one of these scopes. Name the preferred one first: it is the one that a challenge asks for, because a list
 * there would read as "all of these" (RFC 6750 §3).
 *
 * @throws {TypeError} as {@link scope}
 */
export function anyScope<const Scope extends string>(...scopes: Scope[]): ScopeCheck<Scope> {
  return scopeCheck('anyScope', 'any', scopes)
}

/** The checks that {@link scope}, {@link anyScope}, `roles()` and `anyRole()` made. */
export const grantChecks: WeakSet<object> = new WeakSet<object>()

/** True for what one of these four returned: a wrapper of one, or another check with `scopes` or `roles`, may judge more. */
export function isGrantCheck(check: Check<string, string>): boolean {
  return grantChecks.has(check)
}

function scopeCheck<Scope extends string>(name: string, mode: 'all' | 'any', scopes: Scope[]): ScopeCheck<Scope> {
  if (scopes.length === 0) throw new TypeError(`${name}() needs at least one scope`)
  for (const one of scopes) {
    if (typeof one !== 'string' || !isScopeToken(one)) {
      throw new TypeError(
        `${name}(${JSON.stringify(one)}): a scope is printable ASCII without space, quote or backslash (RFC 6749 §3.3)`
      )
    }
  }
  const needed = Object.freeze([...new Set(scopes)])
  /** The list that passed last: frozen, and shared by all tokens that say the same, so it need not be looked through again. */
  let passed: readonly string[] | undefined
  const check = (access: Access): void => {
    if (access.scopes === passed) return
    if (hasScopes(access, needed, mode)) {
      if (Object.isFrozen(access.scopes)) passed = access.scopes
      return
    }
    throw new InsufficientScope(mode === 'all' ? needed : needed.slice(0, 1), {
      expected: needed,
      received: access.scopes
    })
  }
  grantChecks.add(check)
  return Object.freeze(Object.assign(check, { scopes: needed, mode } as const))
}

/** True if an access has all, or any, of these scopes. */
export function hasScopes(access: Access, needed: readonly string[], mode: 'all' | 'any' = 'all'): boolean {
  // Counted by index: an iterator would be most of what a warm request leaves to be collected.
  for (let i = 0; i < needed.length; i++) {
    if (access.hasScope(needed[i] as string) === (mode === 'any')) return mode === 'any'
  }
  return mode === 'all'
}
