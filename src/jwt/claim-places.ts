/** Where in the claims a value is: a name, a path of names, alternatives, or several together. */
import { InvalidToken } from '../errors/errors.js'
import type { Claims } from '../types.js'

/** Where a claim is: its name, whatever characters it has (`https://example.com/roles`); or its path, a name for each level: `['realm_access', 'roles']`. */
export type ClaimPlace = string | readonly string[]

/**
 * Where scopes or roles are: the name of one claim; a list of alternatives, of which the first that is neither missing nor
 * null counts; or `{ all: […] }`, places that are read together. A list within a list is a path: own members of objects only.
 */
export type ClaimPlaces = string | readonly ClaimPlace[] | { readonly all: readonly ClaimPlace[] }

/** Alternatives, of which the first that says something counts; or places that are read together. */
export type Places = readonly ClaimPlace[] | { readonly all: readonly ClaimPlace[] }

/** Places as a list, however they are read. */
export function listOf(places: Places): readonly ClaimPlace[] {
  return 'all' in places ? places.all : places
}

/** A place as messages name it: `realm_access.roles`. */
export function nameOf(place: ClaimPlace): string {
  return typeof place === 'string' ? place : place.join('.')
}

/**
 * The value at a place, or undefined. Own members only: `constructor` or `__proto__` finds nothing that the token lacks.
 *
 * @throws {InvalidToken} a member on the path that is not an object, unless it says nothing
 */
export function valueAt(claims: Claims, place: ClaimPlace): unknown {
  if (typeof place === 'string') return Object.hasOwn(claims, place) ? claims[place] : undefined
  let value: unknown = claims
  for (let i = 0; i < place.length; i++) {
    if (isAbsent(value)) return undefined
    if (typeof value !== 'object' || Array.isArray(value))
      throw new InvalidToken('claim', { expected: `${nameOf(place.slice(0, i))}: an object`, received: value })
    const name = place[i] as string
    value = Object.hasOwn(value as object, name) ? (value as Claims)[name] : undefined
  }
  return value
}

/** Whether claims have nothing at any of these places: an empty text there is an empty list. */
export function isSilentAt(claims: Claims, places: Places): boolean {
  return listOf(places).every((place) => (valueAt(claims, place) ?? null) === null)
}

/**
 * Whether a claim says nothing: missing, or `null` or `""`, which serializers write for a value that they do not have. Such a
 * claim is as if it were missing: refused where the claim is required, and ignored elsewhere.
 *
 * Does NOT hold for `{}` and `[]`: an empty `cnf` names a binding that cannot be confirmed, and an empty `aud` names no API.
 */
export function isAbsent(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === ''
}

/** The value of a claim, or undefined for one that says nothing. */
export function present<T>(value: T): Exclude<T, null | ''> | undefined {
  return isAbsent(value) ? undefined : (value as Exclude<T, null | ''>)
}
