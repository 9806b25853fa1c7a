/**
 * Parses, limits, freezes and measures JSON objects (RFC 8259).
 *
 * Tests: `test/jwt/claims.test.ts`.
 */

/**
 * Maximum nesting of a JSON value from outside, counting the value itself. Code that walks a value may recurse:
 * `JSON.stringify` overflows the stack at a few thousand levels.
 */
export const MAX_DEPTH = 64

/** True for an object: not an array, not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns undefined if the text is not JSON, not an object, or nested deeper than {@link MAX_DEPTH}. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    return mayBeDeep(text) && isTooDeep(value) ? undefined : value
  } catch {
    return undefined
  }
}

/**
 * Cheap first test: a value cannot nest deeper than the number of opening brackets in its text. Counting brackets costs
 * less than visiting each member.
 */
function mayBeDeep(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false
  let found = 0
  for (let at = text.indexOf('{'); at >= 0; at = text.indexOf('{', at + 1)) if (++found > MAX_DEPTH) return true
  for (let at = text.indexOf('['); at >= 0; at = text.indexOf('[', at + 1)) if (++found > MAX_DEPTH) return true
  return false
}

/**
 * True for a value that is nested deeper than {@link MAX_DEPTH} or contains itself. The walk stops at that depth, so it
 * cannot overflow the stack.
 */
export function isTooDeep(value: unknown, levels: number = MAX_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  for (const name in value) if (isTooDeep((value as Readonly<Record<string, unknown>>)[name], levels - 1)) return true
  return false
}

/**
 * Freezes a JSON value at every level.
 *
 * Does NOT end for a value that contains itself, or nests deeper than the stack: parsed JSON has at most
 * {@link MAX_DEPTH} levels.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) freezeAll(value)
  return value
}

/** Bytes of heap per value in V8 (Node 20 to 24); measured by `test/budget/heap.mjs`. */
const BYTES = {
  /** A slot in an object or a list. */
  place: 8,
  object: 24,
  /** An object without members; V8 reserves room for four. */
  emptyObject: 56,
  list: 32,
  /** A list that is not empty, in addition to its slots. */
  elements: 16,
  /** A string, in addition to its characters. */
  text: 20,
  /** A number that is not a 32-bit integer. */
  fraction: 16,
  /**
   * A member of an object used as a map: its name is not shared with other objects, and enlarges the object's shape.
   */
  ownName: 170
}

/** Maximum members of an object whose names count as shared with other tokens. An object with more counts as a map. */
const SHARED_NAMES = 32

/** One character beyond Latin-1 makes V8 store the whole string with two bytes per character. */
const WIDE = /[^\0-\xff]/

/**
 * Freezes a value as {@link deepFreeze} does, and estimates its size.
 *
 * @param mayBeWide  false if no string in it has a character beyond Latin-1; saves a look at each of them
 * @returns approximate bytes of heap that the value holds: accurate to a fifth if tokens share the names of their
 * members
 */
export function freezeAll(value: object, mayBeWide: boolean = true): number {
  let bytes = 0
  // Two loops: `for … in` over an array would cost more than the rest of this function.
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) bytes += freezeMember(value[i], mayBeWide)
    bytes += BYTES.list + (value.length > 0 ? BYTES.elements + BYTES.place * value.length : 0)
  } else {
    let count = 0
    for (const name in value) {
      if (!Object.hasOwn(value, name)) continue
      bytes += freezeMember((value as Readonly<Record<string, unknown>>)[name], mayBeWide)
      count++
    }
    bytes += count === 0 ? BYTES.emptyObject : BYTES.object + BYTES.place * count
    if (count > SHARED_NAMES) bytes += BYTES.ownName * count
  }
  Object.freeze(value)
  return bytes
}

function freezeMember(value: unknown, mayBeWide: boolean): number {
  if (typeof value === 'string') return BYTES.text + (mayBeWide && WIDE.test(value) ? 2 : 1) * value.length
  if (typeof value === 'number') return value === (value | 0) ? 0 : BYTES.fraction
  return typeof value === 'object' && value !== null ? freezeAll(value, mayBeWide) : 0
}

/** Bytes of a token's own objects without its field and claims: the token, its access, its list of audiences. */
const BYTES_OF_OBJECTS = 160

/**
 * Approximate bytes of heap that a cached token holds, without the cache's bookkeeping.
 *
 * @param field the cached credentials; one byte per character
 * @param claims bytes of its claims, as {@link freezeAll} estimates them
 */
export function bytesOf(field: string, claims: number): number {
  return field.length + claims + BYTES_OF_OBJECTS
}
