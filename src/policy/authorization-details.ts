/**
 * The requirement `authorizationDetails()` (RFC 9396).
 *
 * Tests: `test/rfc/rfc9396-details.test.ts`.
 */
import { isPromise } from '../base/awaitable.js'
import { InsufficientAuthorizationDetails, InvalidToken } from '../errors/errors.js'
import type { Access, Awaitable, Check, CheckContext } from '../types.js'
import { requireKeys } from './checks.js'

/** An element of `authorization_details` (RFC 9396 §2). */
export interface AuthorizationDetail {
  readonly type: string
  /** Resources that the detail applies to; omitted, it applies to any. */
  readonly locations?: readonly string[]
  readonly [member: string]: unknown
}

/**
 * Requires one authorization detail (RFC 9396 §2) of these types that is for this API and that the predicate allows.
 * Otherwise refuses with 403 `insufficient_scope` without `scope`. Details of other types grant nothing. A detail with
 * `locations` counts only if it names exactly this `resource`.
 *
 * @param allows decides about one detail as the token has it, without normalization (RFC 9396 §12). Only `true` allows
 * @param types the types that the predicate understands, advertised in the metadata
 * @throws {TypeError} at once, if no type is given
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
    throw new TypeError('authorizationDetails(): `types` must name at least one type of authorization details')
  const known: readonly string[] = Object.freeze([...(types as string[])])
  const check = (access: Access, _request: unknown, { resource }: CheckContext): void | Promise<void> => {
    const ours = readAuthorizationDetails(access.claims['authorization_details']).filter(
      ({ type, locations }) => known.includes(type) && (locations === undefined || locations.includes(resource))
    )
    return requireAny(ours as Detail[], (detail) => allows(detail, access), 0)
  }
  return Object.freeze(Object.assign(check, { authorizationDetailsTypes: known }))
}

/** Tests details one after another, starting at an index: there may be thousands. */
function requireAny<T>(all: readonly T[], allows: (one: T) => Awaitable<boolean>, from: number): void | Promise<void> {
  for (let i = from; i < all.length; i++) {
    const allowed = allows(all[i] as T)
    if (isPromise(allowed))
      return Promise.resolve(allowed).then((late) => (late === true ? undefined : requireAny(all, allows, i + 1)))
    if (allowed === true) return
  }
  throw new InsufficientAuthorizationDetails()
}

/** Requires an array of objects, each with a `type` (RFC 9396 §2). Any other value is an invalid claim. */
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
