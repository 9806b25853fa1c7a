/**
 * Locates values in the claims: by a name, a path of names, alternatives, or several places together.
 *
 * Tests: `test/policy/roles.test.ts`.
 */
import { InvalidToken } from '../errors/errors.js'
import type { Claims } from '../types.js'

/**
 * Location of a claim: its name, which may have any characters (`https://example.com/roles`), or its path with one name
 * per level, `['realm_access', 'roles']`.
 */
export type ClaimPlace = string | readonly string[]

/**
 * Locations of scopes or roles. A text names one claim. A list gives alternatives: the first that is neither missing
 * nor null counts. `{ all: […] }` names places that are read together. A list within a list is a path, which follows
 * own members of objects only.
 */
export type ClaimPlaces = string | readonly ClaimPlace[] | { readonly all: readonly ClaimPlace[] }

/** Alternatives, of which the first with a value counts, or places that are read together. */
export type Places = readonly ClaimPlace[] | { readonly all: readonly ClaimPlace[] }

/** All places as a list. */
export function listOf(places: Places): readonly ClaimPlace[] {
  return 'all' in places ? places.all : places
}

/** A place as messages show it: `realm_access.roles`. */
export function nameOf(place: ClaimPlace): string {
  return typeof place === 'string' ? place : place.join('.')
}

/**
 * The value at a place, or undefined. Reads own members only, so `constructor` or `__proto__` finds nothing that is not
 * in the token.
 *
 * @throws {InvalidToken} a member on the path that is neither an object nor absent, see {@link isAbsent}
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

/** True if none of these places has a value. An empty text counts as a value here: it is an empty list. */
export function isSilentAt(claims: Claims, places: Places): boolean {
  return listOf(places).every((place) => (valueAt(claims, place) ?? null) === null)
}

/**
 * True for a claim that is missing, `null` or `""`, which serializers write for an unset value. Such a claim counts as
 * missing: refused where the claim is required, ignored elsewhere.
 *
 * False for `{}` and `[]`: an empty `cnf` names a binding that cannot be confirmed, and an empty `aud` names no API.
 */
export function isAbsent(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === ''
}

/** The value of a claim, or undefined where it is absent, see {@link isAbsent}. */
export function present<T>(value: T): Exclude<T, null | ''> | undefined {
  return isAbsent(value) ? undefined : (value as Exclude<T, null | ''>)
}
