/**
 * Requirements about scopes: `scope()` and `anyScope()` (RFC 6750 §3.1).
 *
 * Tests: `test/policy/checks.test.ts`.
 */
import { isScopeToken } from '../errors/challenge.js'
import { InsufficientScope } from '../errors/errors.js'
import type { Access, Check } from '../types.js'

/** A check for scopes. It exposes them as data, so that a server can advertise them. */
export interface ScopeCheck<Scope extends string = string> extends Check<Scope> {
  readonly scopes: readonly Scope[]
  readonly mode: 'all' | 'any'
}

/**
 * Requires all of these scopes (RFC 6749 §3.3: exact, case-sensitive). Otherwise refuses with 403 `insufficient_scope`.
 *
 * @throws {TypeError} at once, without a scope, or for an invalid one (a space, a quote, a backslash, not ASCII)
 */
export function scope<const Scope extends string>(...scopes: Scope[]): ScopeCheck<Scope> {
  return scopeCheck('scope', 'all', scopes)
}

/**
 * Requires one of these scopes. Name the preferred one first: the challenge names only that one, because a list there
 * means "all of these" (RFC 6750 §3).
 *
 * @throws {TypeError} as {@link scope}
 */
export function anyScope<const Scope extends string>(...scopes: Scope[]): ScopeCheck<Scope> {
  return scopeCheck('anyScope', 'any', scopes)
}

/** All checks that {@link scope}, {@link anyScope}, `roles()` and `anyRole()` created. */
export const grantChecks: WeakSet<object> = new WeakSet<object>()

/**
 * True only for a check that one of these four functions created. A wrapper, or another check with `scopes` or `roles`,
 * may decide by more than grants.
 */
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
  /** The last list that passed. Lists are frozen and shared between tokens, so identity is enough. */
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
  // Iterates by index: an iterator would be most of the garbage of a warm request.
  for (let i = 0; i < needed.length; i++) {
    if (access.hasScope(needed[i] as string) === (mode === 'any')) return mode === 'any'
  }
  return mode === 'all'
}
