/**
 * What a route can ask of a verified access token: scopes (RFC 6749 §3.3), roles, claims, how and when its user authenticated
 * (RFC 9470), what exactly was authorized (RFC 9396), and that the authorization server stands by it this moment. A check
 * is a function that throws to refuse. The ones here also say what they need as data, so that challenges and metadata can
 * name it.
 *
 * Signature, algorithm, issuer, audience, time and sender are NOT policy: they were checked before, and no list of
 * checks can lose them.
 */
import { andThen, isPromise } from '../base/awaitable.js'
import { isScopeToken } from '../errors/challenge.js'
import {
  Forbidden,
  InsufficientAuthentication,
  InsufficientAuthorizationDetails,
  InsufficientRole,
  InsufficientScope,
  InvalidToken
} from '../errors/errors.js'
import { isAbsent } from '../jwt/claims.js'
import type { Access, AuthenticationRequirement, Awaitable, Check, CheckContext, Claims, Waiver } from '../types.js'

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

/** The checks that {@link scope}, {@link anyScope}, {@link roles} and {@link anyRole} made. */
const grantChecks = new WeakSet<object>()

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

/** A check for roles: the roles are its own property, so that a document can name them. */
export interface RoleCheck<Role extends string = string> extends Check<never, Role> {
  readonly roles: readonly Role[]
  readonly mode: 'all' | 'any'
}

/**
 * Requires every one of these roles, as `rolesClaim` of the token's issuer finds them (exact, case-sensitive); otherwise 403
 * `insufficient_scope` whose challenge names no scope.
 *
 * Does NOT look at scopes. A role says who the user is, so a route that a client of others can call needs `scope()` as well.
 *
 * @throws {TypeError} at once, for none, or for one that is not a text or is empty
 */
export function roles<const Role extends string>(...roles: Role[]): RoleCheck<Role> {
  return roleCheck('roles', 'all', roles)
}

/**
 * Requires one of these roles. Everything else is as with {@link roles}.
 *
 * @throws {TypeError} as {@link roles}
 */
export function anyRole<const Role extends string>(...roles: Role[]): RoleCheck<Role> {
  return roleCheck('anyRole', 'any', roles)
}

function roleCheck<Role extends string>(name: string, mode: 'all' | 'any', given: Role[]): RoleCheck<Role> {
  if (given.length === 0) throw new TypeError(`${name}() needs at least one role`)
  if (!given.every((one) => typeof one === 'string' && one !== ''))
    throw new TypeError(`${name}(): a role is a text that is not empty`)
  const needed = Object.freeze([...new Set(given)])
  const check = ({ roles: held }: Access): void => {
    if (!hasRoles(held, needed, mode)) throw new InsufficientRole({ expected: needed, received: held })
  }
  grantChecks.add(check)
  return Object.freeze(Object.assign(check, { roles: needed, mode } as const))
}

function hasRoles(held: readonly string[], needed: readonly string[], mode: 'all' | 'any'): boolean {
  // Counted by index, as in `hasScopes`.
  for (let i = 0; i < needed.length; i++) {
    if (held.includes(needed[i] as string) === (mode === 'any')) return mode === 'any'
  }
  return mode === 'all'
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

/**
 * Requires that the token's user authenticated well enough, and lately enough (RFC 9470); otherwise 401
 * `insufficient_user_authentication`, whose challenge says what to ask the authorization server for.
 *
 * @param requirement.acr     authentication context class references; the token's `acr` must equal one. The preferred first
 * @param requirement.maxAge  seconds since the token's `auth_time`, with `clockTolerance`. A token without one is refused
 * @throws {TypeError} at once, for neither; for an `acr` that no challenge can carry; for a `maxAge` that is no natural number
 */
export function authentication(requirement: {
  readonly acr?: string | readonly string[]
  readonly maxAge?: number
}): Check {
  requireKeys('authentication', requirement, ['acr', 'maxAge'])
  const { acr, maxAge } = requirement
  const needed: AuthenticationRequirement = Object.freeze({
    ...(acr !== undefined && { acr: Object.freeze([acr].flat() as string[]) }),
    ...(maxAge !== undefined && { maxAge })
  })
  requireAuthenticationRequirement(needed)
  const check = (access: Access, _request: unknown, context: CheckContext): void => {
    const lacking = lackingAuthentication(needed, access, context)
    if (lacking !== undefined) throw new InsufficientAuthentication(needed, [], { lacking })
  }
  return Object.freeze(Object.assign(check, { authentication: needed }))
}

/** @throws {TypeError} for what no token could meet, or no challenge could name */
export function requireAuthenticationRequirement({ acr: values, maxAge }: AuthenticationRequirement): void {
  if (values !== undefined && !Array.isArray(values)) throw new TypeError('authentication: acr must be a list')
  if ((values === undefined && maxAge === undefined) || values?.length === 0)
    throw new TypeError('authentication(): give acr, maxAge or both')
  const unfit = values?.find((one) => typeof one !== 'string' || !isScopeToken(one))
  if (unfit !== undefined)
    throw new TypeError(
      `authentication({ acr: ${JSON.stringify(unfit)} }): an acr is printable ASCII without space or quote`
    )
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0))
    throw new TypeError(`authentication({ maxAge: ${String(maxAge)} }): seconds, a whole number from 0 (RFC 9470 §3)`)
}

/** Which part of a requirement an access does not meet, or undefined. */
export function lackingAuthentication(
  { acr, maxAge }: AuthenticationRequirement,
  { claims: { acr: given, auth_time: time } }: Access,
  { now, clockTolerance }: CheckContext
): 'acr' | 'maxAge' | undefined {
  if (acr !== undefined && !acr.includes(given as string)) return 'acr'
  // Says what must hold: no `auth_time`, one in the future, or a clock that answers no number, is not recent.
  const authenticatedAt = isAbsent(time) ? Number.NaN : (time as number)
  if (maxAge !== undefined && !isWithin(now() - authenticatedAt, maxAge, clockTolerance)) return 'maxAge'
  return undefined
}

/** Seconds that `auth_time` may lie ahead, as with `iat`: milliseconds, say, would be recent for ever. */
const MAX_AHEAD = 60

function isWithin(age: number, maxAge: number, tolerance: number): boolean {
  return age >= -Math.max(MAX_AHEAD, tolerance) && age <= maxAge + tolerance
}

/** A misspelt word must not mean that nothing is required. */
function requireKeys(name: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined) throw new TypeError(`${name}(): ${unknown} is not an option; there is ${known.join(', ')}`)
}

/** An element of `authorization_details` (RFC 9396 §2). */
export interface AuthorizationDetail {
  readonly type: string
  /** The resources it is for; without it, any. */
  readonly locations?: readonly string[]
  readonly [member: string]: unknown
}

/**
 * Requires one authorization detail (RFC 9396 §2) of these types that is for this API and that the predicate allows;
 * otherwise 403 `insufficient_scope` without `scope`. Details of other types grant nothing; one with `locations` counts
 * only if it names this `resource`, to the letter.
 *
 * @param allows  decides about one detail, as the token has it: nothing is normalized (RFC 9396 §12). `true` allows
 * @param types   the types it understands, advertised in the metadata
 * @throws {TypeError} at once, for no type
 */
export function authorizationDetails<const Detail extends AuthorizationDetail = AuthorizationDetail>(
  allows: (detail: Detail, access: Access) => Awaitable<boolean>,
  options: { readonly types: readonly Detail['type'][] }
): Check {
  requireKeys('authorizationDetails', options ?? {}, ['types'])
  const types: unknown = options?.types
  if (typeof allows !== 'function')
    throw new TypeError('authorizationDetails(): expected a function (detail) => boolean')
  if (!Array.isArray(types) || types.length === 0 || !types.every((one) => typeof one === 'string' && one !== ''))
    throw new TypeError('authorizationDetails(): name the types that it is about, in `types`')
  const known: readonly string[] = Object.freeze([...(types as string[])])
  const check = (access: Access, _request: unknown, { resource }: CheckContext): void | Promise<void> => {
    const ours = readAuthorizationDetails(access.claims['authorization_details']).filter(
      ({ type, locations }) => known.includes(type) && (locations === undefined || locations.includes(resource))
    )
    return requireAny(ours as Detail[], (detail) => allows(detail, access), 0)
  }
  return Object.freeze(Object.assign(check, { authorizationDetailsTypes: known }))
}

/** One after another, from an index on: there may be thousands. */
function requireAny<T>(all: readonly T[], allows: (one: T) => Awaitable<boolean>, from: number): void | Promise<void> {
  for (let i = from; i < all.length; i++) {
    const allowed = allows(all[i] as T)
    if (isPromise(allowed))
      return Promise.resolve(allowed).then((late) => (late === true ? undefined : requireAny(all, allows, i + 1)))
    if (allowed === true) return
  }
  throw new InsufficientAuthorizationDetails()
}

/** An array of objects, each with a `type` (RFC 9396 §2): in a token, anything else is a fault of who made it. */
function readAuthorizationDetails(value: unknown): readonly AuthorizationDetail[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every(isAuthorizationDetail)) return value
  throw new InvalidToken('claim', { expected: 'authorization_details: an array of objects with a type' })
}

function isAuthorizationDetail(value: unknown): value is AuthorizationDetail {
  if (typeof value !== 'object' || value === null) return false
  const { type, locations } = value as Partial<AuthorizationDetail>
  const isLocations = Array.isArray(locations) && locations.every((one) => typeof one === 'string')
  return typeof type === 'string' && type !== '' && (locations === undefined || isLocations)
}

/**
 * Requires that the authorization server calls the token active *now*, past every cache, JWTs included: for a route where
 * a revocation of seconds ago must count, such as a payment. The checks of the route then see what it just said. An outage
 * is 503. Routes without it do not learn of what it was told about a JWT.
 *
 * Requests with one token that come while it is asked about share the next question, so a token has at most one question
 * under way. A JWT that lacks a scope or role of the route's `scope()`, `anyScope()`, `roles()` or `anyRole()` is refused
 * without asking: an answer can only take them away. All other checks run after the answer.
 *
 * Needs `introspection` for every issuer, also for one whose tokens are verified here (`tokens: 'jwt'`).
 */
export function fresh(): Check {
  const check = (): never => {
    throw new TypeError('fresh() is not for calling: give it to protect(), authorize() or enforce() itself')
  }
  return Object.freeze(Object.assign(check, { fresh: true as const }))
}

/** Lets a request without credentials pass, as `undefined`. Credentials that are present must still be good. */
export const optional: Waiver = Object.freeze({ waives: 'absent credentials' })

/** Lets a CORS preflight pass, which by design has no credentials (Fetch standard). Mounting the CORS middleware first is better. */
export const skipPreflight: Waiver = Object.freeze({ waives: 'CORS preflight' })
