/**
 * What a route asks of a verified access token. A check is a function that throws to refuse; the ones here know the
 * scopes they need, so that challenges (RFC 6750 §3.1) and metadata (RFC 9728 §2) can name them.
 *
 * Signature, algorithm, issuer, audience, time and sender are NOT policy: they were checked before, and no list of
 * checks can lose them.
 */
import { andThen, isPromise } from './awaitable.js'
import { isScopeToken } from './challenge.js'
import { Forbidden, InsufficientScope } from './errors.js'
import type { Access, Awaitable, Check, Claims, Requirement, ResourceRequest, Waiver } from './types.js'

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
  const check = (access: Access): void => {
    let found = 0
    for (const one of needed) if (access.hasScope(one)) found++
    if (found === needed.length || (mode === 'any' && found > 0)) return
    throw new InsufficientScope(mode === 'all' ? needed : needed.slice(0, 1), {
      expected: needed,
      received: access.scopes
    })
  }
  return Object.freeze(Object.assign(check, { scopes: needed, mode } as const))
}

/** The part of Standard Schema (version 1) that is used: zod, valibot and arktype schemas all have it. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Awaitable<{ readonly issues?: readonly unknown[] | undefined }>
  }
}

/**
 * Requires the token's claims to satisfy a predicate or a Standard Schema; otherwise 403 without a challenge.
 * The schema only decides: what it would transform is not kept.
 */
export function claims(rule: ((claims: Claims, access: Access) => Awaitable<boolean>) | StandardSchema): Check {
  if (typeof rule === 'function') {
    return (access) => andThen(rule(access.claims, access), (allowed) => requireAllowed(allowed === true))
  }
  if (typeof rule?.['~standard']?.validate !== 'function') {
    throw new TypeError('claims(): expected a function (claims) => boolean or a Standard Schema')
  }
  return (access) =>
    andThen(rule['~standard'].validate(access.claims), ({ issues }) => requireAllowed(issues === undefined, issues))
}

function requireAllowed(allowed: boolean, received?: unknown): void {
  if (!allowed) throw new Forbidden("The access token's claims do not allow this", { received })
}

/** Lets a request without credentials pass, as `undefined`. Credentials that are present must still be good. */
export const optional: Waiver = Object.freeze({ waives: 'absent credentials' })

/** Lets a CORS preflight pass, which by design has no credentials (Fetch standard). Mounting the CORS middleware first is better. */
export const skipPreflight: Waiver = Object.freeze({ waives: 'CORS preflight' })

/** The requirements of a route, taken apart once. */
export interface Policy {
  readonly checks: readonly Check<string>[]
  readonly optional: boolean
  readonly skipPreflight: boolean
  /** The scopes to ask a client for that has no token yet (MCP's "scope selection"). */
  readonly scopes: readonly string[]
}

/** @throws {TypeError} for what is neither a check nor a waiver, or a scope that is not among `declared` */
export function readPolicy(requirements: readonly Requirement[], declared: ReadonlySet<string> | undefined): Policy {
  const checks: Check<string>[] = []
  for (const one of requirements) {
    if (one === optional || one === skipPreflight) continue
    if (typeof one !== 'function') {
      throw new TypeError('a requirement is scope(…), anyScope(…), claims(…), a function, optional or skipPreflight')
    }
    const invalid = one.scopes?.find((name) => !isScopeToken(name))
    if (invalid !== undefined)
      throw new TypeError(`a check names ${JSON.stringify(invalid)}, which is no scope (RFC 6749 §3.3)`)
    const unknown = declared && one.scopes?.find((name) => !declared.has(name))
    if (unknown !== undefined)
      throw new TypeError(`the scope ${JSON.stringify(unknown)} is not in the option \`scopes\``)
    checks.push(one)
  }
  return {
    checks,
    optional: requirements.includes(optional),
    skipPreflight: requirements.includes(skipPreflight),
    scopes: scopesNeeded(checks)
  }
}

/** All scopes that these checks need; of alternatives the one that `access` has, else the preferred one. */
function scopesNeeded(checks: readonly Check<string>[], access?: Access): readonly string[] {
  const needed = new Set<string>()
  for (const { scopes = [], mode } of checks) {
    if (mode !== 'any') for (const name of scopes) needed.add(name)
    else {
      const preferred = scopes.find((name) => access?.hasScope(name)) ?? scopes[0]
      if (preferred !== undefined) needed.add(preferred)
    }
  }
  return [...needed]
}

/**
 * Runs the checks in order; the first refusal ends it. Synchronous as long as every check is. A refusal for want of
 * scopes asks for all that the operation needs at once (RFC 6750 §3.1), so that a client is not sent back twice.
 */
export function enforce(
  checks: readonly Check<string>[],
  access: Access,
  request: ResourceRequest,
  from: number = 0
): void | Promise<void> {
  const refuse = (error: unknown): never => {
    if (error instanceof InsufficientScope)
      error.scopes = [...new Set([...scopesNeeded(checks, access), ...error.scopes])]
    throw error
  }
  for (let i = from; i < checks.length; i++) {
    let result: void | Promise<void>
    try {
      result = requireNotFalse((checks[i] as Check<string>)(access, request))
    } catch (error) {
      return refuse(error)
    }
    if (isPromise(result)) {
      return Promise.resolve(result)
        .then(requireNotFalse)
        .then(() => enforce(checks, access, request, i + 1), refuse)
    }
  }
}

/** A check throws to refuse. One written like a predicate answers false, which must not let anybody in. */
function requireNotFalse<T>(result: T): T {
  if ((result as unknown) === false) throw new Forbidden()
  return result
}

const PREFLIGHT_FIELDS = ['origin', 'access-control-request-method']

/** True for the request that a browser sends before a cross-origin one. */
export function isPreflight(request: ResourceRequest): boolean {
  return request.method === 'OPTIONS' && PREFLIGHT_FIELDS.every((name) => request.fieldLines(name).length === 1)
}
