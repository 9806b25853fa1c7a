/**
 * Compiles a route's requirements once and enforces them on every request, after all caches. One challenge names
 * everything that is missing, so that the client needs one new token, not several (RFC 6750 §3.1, RFC 9470 §3).
 */
import { types } from 'node:util'
import { andThen, isPromise } from '../base/awaitable.js'
import { counterpartOf } from '../base/options/suggestions.js'
import { isScopeToken } from '../errors/challenge.js'
import { Forbidden, InsufficientAuthentication, InsufficientScope } from '../errors/errors.js'
import type {
  Access,
  AuthenticationRequirement,
  Awaitable,
  Check,
  CheckContext,
  Requirement,
  ResourceRequest
} from '../types.js'
import { authentication, lackingAuthentication, requireAuthenticationRequirement } from './authentication.js'
import { authorizationDetails } from './authorization-details.js'
import { claims, fresh, optional, skipPreflight } from './checks.js'
import { anyRole, roles } from './roles.js'
import { anyScope, hasScopes, isGrantCheck, scope } from './scope.js'

/** A route's compiled requirements. */
export interface Policy {
  /** All checks except `fresh()`. */
  readonly checks: readonly Check<string, string>[]
  readonly optional: boolean
  readonly skipPreflight: boolean
  /** True if the authorization server must confirm the token on each request. */
  readonly fresh: boolean
  /** Scopes that a challenge names to a client without a token (MCP's "scope selection"). */
  readonly scopes: readonly string[]
}

/** The needs that a check declares as data. */
type Needs = Pick<Check<string, string>, 'scopes' | 'mode' | 'authentication'>

/** Factories passed without being called would run as checks and return a check, so they are detected. */
const FACTORIES: ReadonlySet<unknown> = new Set([
  scope,
  anyScope,
  roles,
  anyRole,
  claims,
  authentication,
  authorizationDetails,
  fresh
])

/**
 * @param declaredScopes scopes that the API declares; undefined allows any
 * @param declaredRoles roles that the API declares; undefined allows any
 * @throws {TypeError} a value that is neither a check nor a waiver, or a scope or role that is not declared
 */
export function readPolicy(
  requirements: readonly Requirement[],
  declaredScopes: ReadonlySet<string> | undefined,
  declaredRoles?: ReadonlySet<string>
): Policy {
  const checks: Check<string, string>[] = []
  let isFresh = false
  for (const one of requirements) {
    if (one === optional || one === skipPreflight) continue
    if (typeof one !== 'function') throw new TypeError(notARequirement(one))
    const invalid = one.scopes?.find((name) => !isScopeToken(name))
    if (invalid !== undefined)
      throw new TypeError(
        `a check requires the scope ${JSON.stringify(invalid)}, which is not valid: use printable ASCII without space, quote or backslash (RFC 6749 §3.3)`
      )
    requireDeclared(one.scopes, declaredScopes, 'scope')
    requireDeclared(one.roles, declaredRoles, 'role')
    if (FACTORIES.has(one)) throw new TypeError(`${one.name} was passed without being called: write ${one.name}(…)`)
    if (one.authentication !== undefined) requireAuthenticationRequirement(one.authentication)
    if (one.fresh) isFresh = true
    else checks.push(one)
  }
  return {
    checks,
    optional: requirements.includes(optional),
    skipPreflight: requirements.includes(skipPreflight),
    fresh: isFresh,
    scopes: scopesNeeded(checks)
  }
}

const REQUIREMENTS =
  'a requirement is scope(…), anyScope(…), roles(…), anyRole(…), claims(…), authentication(…), authorizationDetails(…), fresh(), a function, optional or skipPreflight'

/** Shows the call for a scope as text, for a list, and for an option of another package's middleware. */
function notARequirement(value: unknown): string {
  const scopes = [value].flat().flatMap((one) => (typeof one === 'string' ? one.split(' ') : [one]))
  if (scopes.length > 0 && scopes.every((one) => typeof one === 'string' && /^[\w.:/-]{1,80}$/.test(one)))
    return `a requirement is not a text or a list: write scope(${scopes.map((one) => `'${String(one)}'`).join(', ')}). Otherwise ${REQUIREMENTS}`
  if (Array.isArray(value))
    return `a requirement is not a list: pass each one by itself, protect(api, …list). Otherwise ${REQUIREMENTS}`
  const [name, counterpart] =
    Object.keys(Object(value))
      .map((key) => [key, counterpartOf(key)] as const)
      .find(([, line]) => line !== undefined) ?? []
  if (counterpart !== undefined) return `\`${name}\` is not an option here: ${counterpart}`
  const type = value === null ? 'null' : typeof value === 'object' ? 'an object' : typeof value
  return `a requirement is ${type}: ${REQUIREMENTS}`
}

function requireDeclared(
  names: readonly string[] | undefined,
  declared: ReadonlySet<string> | undefined,
  what: 'scope' | 'role'
): void {
  const unknown = declared && names?.find((name) => !declared.has(name))
  if (unknown !== undefined)
    throw new TypeError(`the ${what} ${JSON.stringify(unknown)} is not in the option \`${what}s\``)
}

/** All scopes that these checks need. For alternatives: the first that `access` has, otherwise the preferred one. */
function scopesNeeded(checks: readonly Needs[], access?: Access): readonly string[] {
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

/** Parts of the server that enforcement needs. */
export interface Enforcement {
  readonly context: CheckContext
  /** Asks the authorization server again, and returns the access with its current answer. */
  readonly renew: (access: Access, request: ResourceRequest) => Promise<Access>
  /** True if `renew` can only remove scopes and roles, as for a JWT. */
  readonly canOnlyLoseGrants: (access: Access) => boolean
}

/**
 * Runs the checks in order and stops at the first refusal. Synchronous as long as every check is.
 *
 * @returns the access that the checks saw: a new one, if the authorization server was asked again
 */
export function enforce(
  { checks, fresh }: Pick<Policy, 'checks' | 'fresh'>,
  access: Access,
  request: ResourceRequest,
  { context, renew, canOnlyLoseGrants }: Enforcement
): Awaitable<Access> {
  if (!fresh) {
    const passed = run(checks, access, request, context)
    return passed === undefined ? access : passed.then(() => access)
  }
  if (canOnlyLoseGrants(access)) requireGrants(checks, access, request, context)
  return renew(access, request).then((current) => andThen(run(checks, current, request, context), () => current))
}

/**
 * Refuses before asking: a token that lacks a scope or role now also lacks it afterwards. Authentication is left to the
 * answer.
 */
function requireGrants(
  checks: readonly Check<string, string>[],
  access: Access,
  request: ResourceRequest,
  context: CheckContext
): void {
  for (const check of checks) {
    if (!isGrantCheck(check)) continue
    try {
      void check(access, request, context)
    } catch (error) {
      const needed = checks.map(({ scopes, mode }): Needs => ({ ...(scopes && { scopes }), ...(mode && { mode }) }))
      throw combined(error, needed, access, context)
    }
  }
}

function run(
  checks: readonly Check<string, string>[],
  access: Access,
  request: ResourceRequest,
  context: CheckContext,
  from: number = 0
): void | Promise<void> {
  for (let i = from; i < checks.length; i++) {
    let result: ReturnType<Check>
    try {
      result = requirePassed((checks[i] as Check<string, string>)(access, request, context))
    } catch (error) {
      throw combined(error, checks, access, context)
    }
    if (result !== undefined && isPromise(result)) {
      return Promise.resolve(result)
        .then(requirePassed)
        .then(
          () => run(checks, access, request, context, i + 1),
          (error: unknown) => {
            throw combined(error, checks, access, context)
          }
        )
    }
  }
}

/**
 * Handles a check's result. Checks throw to refuse; one written as a predicate returns a falsy value, which refuses
 * too. `undefined` passes.
 *
 * @throws {TypeError} a function: the check was returned, not called
 */
function requirePassed<T>(result: T): T {
  if (typeof result === 'function')
    throw new TypeError(
      'a check returned a function instead of a result: call that function inside the check, or pass it as the check'
    )
  if (result !== undefined && !result) throw new Forbidden()
  return result
}

/** Extends a refusal by everything else that the checks require from the client: scopes and authentication. */
function combined(error: unknown, checks: readonly Needs[], access: Access, context: CheckContext): unknown {
  const isScope = error instanceof InsufficientScope
  if (!isScope && !(error instanceof InsufficientAuthentication)) return asError(error)
  const lacksScope =
    isScope || error.scopes.length > 0 || checks.some(({ scopes, mode }) => scopes && !hasScopes(access, scopes, mode))
  const scopes = lacksScope ? [...new Set([...scopesNeeded(checks, access), ...error.scopes])] : []
  const needed = checks.flatMap((check) => check.authentication ?? [])
  if (!isScope) needed.push(error.requirement)
  const lacking = needed.map((one) => lackingAuthentication(one, access, context))
  const { expected, received } = error
  // Creates a new error, because a check may throw the same object for every request.
  if (isScope && !lacking.some((part) => part !== undefined))
    return new InsufficientScope(scopes, { expected, received })
  const part = lacking.includes('acr') ? 'acr' : lacking.find((one) => one !== undefined)
  return new InsufficientAuthentication(merged(needed), scopes, { expected, received, ...(part && { lacking: part }) })
}

/**
 * Frameworks interpret what is thrown: a callback takes undefined for success, Express takes 'route' for a command.
 * Everything that is not an error becomes one, including an empty rejection.
 */
export function asError(thrown: unknown): Error {
  // Errors of another realm (`node:vm`, a test runner) fail `instanceof`.
  if (thrown instanceof Error || types.isNativeError(thrown)) return thrown
  const kind = thrown === null ? 'null' : typeof thrown
  return new TypeError(
    `a check, or a function in the options, threw a value that is not an Error (${kind}): throw an Error`,
    { cause: thrown }
  )
}

/**
 * The requirement that satisfies all of them, where one exists: the levels that all accept, and the shortest maximum
 * age.
 */
function merged(requirements: readonly AuthenticationRequirement[]): AuthenticationRequirement {
  const [first, ...others] = requirements.flatMap((one) => (one.acr ? [one.acr] : []))
  const common = first?.filter((level) => others.every((list) => list.includes(level)))
  const acr = common?.length ? common : first
  const ages = requirements.flatMap(({ maxAge }) => (maxAge === undefined ? [] : [maxAge]))
  return { ...(acr && { acr }), ...(ages.length > 0 && { maxAge: Math.min(...ages) }) }
}

const PREFLIGHT_FIELDS = ['origin', 'access-control-request-method']

/** True for a CORS preflight, which browsers send before a cross-origin request. */
export function isPreflight(request: ResourceRequest): boolean {
  return request.method === 'OPTIONS' && PREFLIGHT_FIELDS.every((name) => request.fieldLines(name).length === 1)
}
