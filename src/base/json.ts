/** A text as a JSON object (RFC 8259), or not one; and how deep one may nest. */

/**
 * Levels of objects and arrays that a JSON value from outside may have, itself counted. Code that walks one may recurse:
 * `JSON.stringify` overflows the stack at some thousands.
 */
export const MAX_DEPTH = 64

/** undefined for what is not JSON, not an object, or nested deeper than {@link MAX_DEPTH}. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return mayBeDeep(text) && isTooDeep(value) ? undefined : (value as Record<string, unknown>)
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
