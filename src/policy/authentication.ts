/** The requirement `authentication()`: how strong and how recent the login of the user must be (RFC 9470). */
import { isScopeToken } from '../errors/challenge.js'
import { InsufficientAuthentication } from '../errors/errors.js'
import { isAbsent } from '../jwt/claim-places.js'
import type { Access, AuthenticationRequirement, Check, CheckContext } from '../types.js'
import { requireKeys } from './checks.js'

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
  if (values !== undefined && !Array.isArray(values))
    throw new TypeError('authentication(): acr must be an array of strings')
  if ((values === undefined && maxAge === undefined) || values?.length === 0)
    throw new TypeError('authentication(): pass acr (not empty), maxAge, or both')
  const unfit = values?.find((one) => typeof one !== 'string' || !isScopeToken(one))
  if (unfit !== undefined)
    throw new TypeError(
      `authentication({ acr: ${JSON.stringify(unfit)} }): an acr is printable ASCII without space or quote`
    )
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0))
    throw new TypeError(
      `authentication({ maxAge: ${String(maxAge)} }): maxAge must be a whole number of seconds, 0 or more (RFC 9470 §3)`
    )
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
