/**
 * The requirement `authentication()`: how strongly and how recently the user must have authenticated (RFC 9470).
 *
 * Tests: `test/rfc/rfc9470-step-up.test.ts`.
 */
import { isScopeToken } from '../errors/challenge.js'
import { InsufficientAuthentication } from '../errors/errors.js'
import { isAbsent } from '../jwt/claim-places.js'
import type { Access, AuthenticationRequirement, Check, CheckContext } from '../types.js'
import { requireKeys } from './checks.js'

/**
 * Requires that the user authenticated strongly and recently enough (RFC 9470). Otherwise refuses with 401
 * `insufficient_user_authentication`, whose challenge tells the client what to request from the authorization server.
 *
 * @param requirement.acr authentication context class references in order of preference; the token's `acr` must equal
 * one
 * @param requirement.maxAge maximum seconds since the token's `auth_time`, plus `clockTolerance`. A token without
 * `auth_time` is refused
 * @throws {TypeError} at once, if both are missing; for an `acr` that a challenge cannot carry; for a `maxAge` that is
 * not a whole number from 0
 */
export function authentication(requirement: {
  readonly acr?: string | readonly string[]
  readonly maxAge?: number
}): Check {
  requireKeys('authentication', requirement ?? {}, ['acr', 'maxAge'])
  const { acr, maxAge } = requirement ?? {}
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

/** @throws {TypeError} a requirement that no token can meet, or that no challenge can name */
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

/** The part of a requirement that an access does not meet, or undefined. */
export function lackingAuthentication(
  { acr, maxAge }: AuthenticationRequirement,
  { claims: { acr: given, auth_time: time } }: Access,
  { now, clockTolerance }: CheckContext
): 'acr' | 'maxAge' | undefined {
  if (acr !== undefined && !acr.includes(given as string)) return 'acr'
  // NaN fails the comparison: a missing `auth_time`, one in the future, or a clock that returns NaN does not count as
  // recent.
  const authenticatedAt = isAbsent(time) ? Number.NaN : (time as number)
  if (maxAge !== undefined && !isWithin(now() - authenticatedAt, maxAge, clockTolerance)) return 'maxAge'
  return undefined
}

/**
 * Maximum seconds that `auth_time` may be in the future, as for `iat`. A value in milliseconds would otherwise always
 * count as recent.
 */
const MAX_AHEAD = 60

function isWithin(age: number, maxAge: number, tolerance: number): boolean {
  return age >= -Math.max(MAX_AHEAD, tolerance) && age <= maxAge + tolerance
}
