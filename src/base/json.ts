/** A text as a JSON object (RFC 8259), or not one; and how deep one may nest. */

/**
 * Levels of objects and arrays that a JSON value from outside may have, itself counted. Code that walks one may recurse:
 * `JSON.stringify` overflows the stack at some thousands.
 */
export const MAX_DEPTH = 64

/** True for an object: not an array, not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** undefined for what is not JSON, not an object, or nested deeper than {@link MAX_DEPTH}. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    return mayBeDeep(text) && isTooDeep(value) ? undefined : value
  } catch {
    return undefined
  }
}

/** A value nests no deeper than its text has opening brackets. Finding these costs less than a look at each member. */
function mayBeDeep(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false
  let found = 0
  for (let at = text.indexOf('{'); at >= 0; at = text.indexOf('{', at + 1)) if (++found > MAX_DEPTH) return true
  for (let at = text.indexOf('['); at >= 0; at = text.indexOf('[', at + 1)) if (++found > MAX_DEPTH) return true
  return false
}

/**
 * True for a value nested deeper than {@link MAX_DEPTH}, or that holds itself. Looks no further than that, so it cannot
 * overflow the stack.
 */
export function isTooDeep(value: unknown, levels: number = MAX_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  for (const name in value) if (isTooDeep((value as Readonly<Record<string, unknown>>)[name], levels - 1)) return true
  return false
}

/**
 * Freezes a JSON value at every level, without recursion: a token may nest as deep as it is long.
 *
 * Does NOT end for a value that holds itself, which no JSON does.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) freezeAll(value)
  return value
}

/** Bytes of heap, as V8 of Node 20 to 24 lays values out; measured by `test/budget/heap.mjs`. */
const BYTES = {
  /** A place in an object or a list. */
  place: 8,
  object: 24,
  /** An object without members has room for four. */
  emptyObject: 56,
  list: 32,
  /** Of a list that is not empty, beside its places. */
  elements: 16,
  /** Beside its characters. */
  text: 20,
  /** A number that is not a 32-bit integer. */
  fraction: 16,
  /** A member of an object whose names are its own, as of a map by identifiers: its name, and its part of the object's shape. */
  ownName: 170
}

/** Members of an object whose names other tokens share. With more it is a map, and its names are its own. */
const SHARED_NAMES = 32

/** A character beyond Latin-1 makes all of a text two bytes a character. */
const WIDE = /[^\0-\xff]/

/**
 * As {@link deepFreeze}.
 *
 * @returns about how many bytes of heap it holds: within a fifth, where tokens share the names of their members
 */
export function freezeAll(value: object): number {
  let bytes = 0
  const pending: object[] = [value]
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    // The members of an array are its own list; listing them as those of an object costs more than all else here.
    if (Array.isArray(one)) {
      bytes += BYTES.list + (one.length > 0 ? BYTES.elements + BYTES.place * one.length : 0)
      for (const member of one) {
        if (typeof member === 'object' && member !== null) pending.push(member)
        else bytes += bytesOfPrimitive(member)
      }
    } else {
      let count = 0
      for (const name in one) {
        if (!Object.hasOwn(one, name)) continue
        const member = (one as Readonly<Record<string, unknown>>)[name]
        count++
        if (typeof member === 'object' && member !== null) pending.push(member)
        else bytes += bytesOfPrimitive(member)
      }
      bytes += count === 0 ? BYTES.emptyObject : BYTES.object + BYTES.place * count
      if (count > SHARED_NAMES) bytes += BYTES.ownName * count
    }
    Object.freeze(one)
  }
  return bytes
}

function bytesOfPrimitive(value: unknown): number {
  if (typeof value === 'string') return BYTES.text + (WIDE.test(value) ? 2 : 1) * value.length
  return typeof value === 'number' && value !== (value | 0) ? BYTES.fraction : 0
}

/** Bytes of a token's own objects beside its field and its claims: this one, its access, its list of audiences. */
const BYTES_OF_OBJECTS = 160

/**
 * About how many bytes of heap a remembered token holds, its place in a cache apart.
 *
 * @param field what is kept of the credentials: a character is a byte
 * @param claims bytes of its claims, as {@link freezeAll} weighs them
 */
export function bytesOf(field: string, claims: number): number {
  return field.length + claims + BYTES_OF_OBJECTS
}
