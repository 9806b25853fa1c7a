/**
 * Reads the scopes and roles of a token from the claims in which its issuer puts them (RFC 6749 §3.3, RFC 9068 §2.2.3).
 *
 * Tests: `test/rfc/rfc6749-scope.test.ts`.
 */
import type { Memo } from '../base/cache.js'
import { InvalidToken } from '../errors/errors.js'
import { type ClaimPlace, nameOf, type Places, valueAt } from '../jwt/claim-places.js'
import type { Claims } from '../types.js'

/** The characters allowed in `scope` (RFC 6749 §3.3). */
const SCOPES = /^[\x20\x21\x23-\x5B\x5D-\x7E]*$/

/** No scopes, no roles. */
const NONE: readonly string[] = Object.freeze([])

function isNotEmpty(text: string): boolean {
  return text !== ''
}

/** A new list without duplicates. */
function distinct(list: readonly string[]): readonly string[] {
  return [...new Set(list)]
}

/** Reads one value. @param known see {@link readScopes} */
type ReadList = (value: unknown, place: ClaimPlace, known?: Memo<readonly string[]>) => readonly string[]

/**
 * Reads the list at these places, without duplicates; frozen. Among alternatives, the first that is neither missing nor
 * null counts. An empty string is an empty list and is not skipped: a later claim could grant more than this one.
 */
function readAt(claims: Claims, places: Places, read: ReadList, known?: Memo<readonly string[]>): readonly string[] {
  if ('all' in places) {
    const lists = places.all.map((place) => read(valueAt(claims, place) ?? '', place, known))
    return Object.freeze(distinct(lists.flat()))
  }
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as ClaimPlace
    const value = valueAt(claims, place)
    if (value !== undefined && value !== null) return read(value, place, known)
  }
  return NONE
}

/**
 * The granted scopes without duplicates; frozen. A string is space-delimited, and repeated spaces are tolerated (RFC
 * 6749 §3.3). In an array each element is one scope and is never split. A missing claim or `null` grants no scope.
 *
 * @param known scope lists by the string they were read from: tokens of one client repeat them
 * @throws {InvalidToken} any other value, or a character that is not allowed in a scope
 */
export function readScopes(claims: Claims, places: Places, known?: Memo<readonly string[]>): readonly string[] {
  return readAt(claims, places, scopesOf, known)
}

function scopesOf(value: unknown, place: ClaimPlace, known?: Memo<readonly string[]>): readonly string[] {
  if (value === '') return NONE
  if (typeof value === 'string') {
    const before = known?.get(value)
    if (before !== undefined) return before
    if (SCOPES.test(value)) {
      const scopes = Object.freeze(distinct(value.split(' ').filter(isNotEmpty)))
      known?.set(value, scopes)
      return scopes
    }
  } else if (isTexts(value)) return Object.freeze(distinct(value))
  const expected = `${nameOf(place)}: space-delimited scopes or an array of them`
  throw new InvalidToken('claim', { expected, received: value, ...pathHint(value) })
}

/**
 * The roles without duplicates; frozen. The claim must be an array of strings (RFC 9068 §2.2.3.1 and RFC 7643 §4.1.2
 * define lists). Empty without `places`.
 *
 * @throws {InvalidToken} any other value. A string is refused: it could be one role, or several with a delimiter
 */
export function readRoles(claims: Claims, places: Places | undefined): readonly string[] {
  return places === undefined ? NONE : readAt(claims, places, rolesOf)
}

function rolesOf(value: unknown, place: ClaimPlace): readonly string[] {
  if (value === '') return NONE
  // Most lists have no duplicates: the claim itself is returned, frozen.
  if (isTexts(value)) return Object.freeze(new Set(value).size === value.length ? value : distinct(value))
  const expected = `${nameOf(place)}: an array of role names`
  throw new InvalidToken('claim', { expected, received: value, ...pathHint(value) })
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function pathHint(value: unknown): { readonly hint?: string } {
  if (typeof value !== 'object' || Array.isArray(value)) return {}
  return {
    hint: "The claim is an object. If the list is inside it, name the path in `scopeClaim` or `rolesClaim`, as a list within the list: `[['realm_access', 'roles']]`. A list of names means alternatives."
  }
}

/** The granted scopes and the scopes that they imply; frozen if `granted` was. */
export function withImplied(
  granted: readonly string[],
  implied: ReadonlyMap<string, readonly string[]>
): readonly string[] {
  if (implied.size === 0) return granted
  return Object.freeze([...new Set(granted.flatMap((one) => [one, ...(implied.get(one) ?? [])]))])
}
