/** Merges header fields of this package with those of the application. */
import type { ServerResponse } from 'node:http'
import type { HeaderFields } from '../../src/index.js'

/** Fields whose lines are merged. Any other field is replaced. */
const LISTS: ReadonlySet<string> = new Set(['vary', 'access-control-expose-headers'])

/**
 * Merges header fields with those of a response: challenges become further lines, lists are joined, and values of other
 * middleware are kept (RFC 9110 §5.3).
 *
 * @param existing returns the response's current value of a field
 */
export function mergeHeaders(fields: HeaderFields, existing: (name: string) => unknown): HeaderFields {
  const merged: Record<string, string | readonly string[]> = {}
  for (const [name, value] of Object.entries(fields)) {
    const present = [existing(name) ?? []].flat().map(String)
    if (name === 'WWW-Authenticate') merged[name] = [...new Set([...present, ...[value].flat()])]
    else if (LISTS.has(name.toLowerCase())) merged[name] = joinLists([...present, ...[value].flat()])
    else merged[name] = value
  }
  return merged
}

function joinLists(lines: readonly string[]): string {
  const byLowerCase = new Map<string, string>()
  for (const one of lines.join(',').split(',')) {
    const name = one.trim()
    if (name !== '' && !byLowerCase.has(name.toLowerCase())) byLowerCase.set(name.toLowerCase(), name)
  }
  return [...byLowerCase.values()].join(', ')
}

/** True for an empty object, as most routes and grants have. Callers then skip all work, including allocations. */
export function isEmpty(fields: HeaderFields): boolean {
  for (const _ in fields) return false
  return true
}

/** Functions that read and set a response's header fields. */
export type HeaderAccess = [existing: (name: string) => unknown, set: (name: string, value: string | string[]) => void]

/** Sets header fields on a response, merged with the existing ones. */
export function addHeaders(fields: HeaderFields, ...[existing, set]: HeaderAccess): void {
  setAll(mergeHeaders(fields, existing), set)
}

export function setAll(fields: HeaderFields, set: (name: string, value: string | string[]) => void): void {
  for (const [name, value] of Object.entries(fields)) set(name, typeof value === 'string' ? value : [...value])
}

/**
 * Fields about content (RFC 9110 §8, §14.4; RFC 9530). A handler set them for its own content, so they are wrong for a
 * refusal: with a wrong length, a client waits, or takes the next response for the rest of this one.
 */
const ABOUT_CONTENT = [
  'content-digest',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'repr-digest',
  'trailer',
  'transfer-encoding'
]

/** The used part of a response whose header fields can be removed. */
export interface Fields {
  hasHeader(name: string): boolean
  removeHeader(name: string): unknown
}

/**
 * Removes fields about content that is not sent, if they exist. Removing a missing field would stop Node from
 * generating it, and a response without length and coding ends only with its connection.
 */
export function forgetContent(response: Fields): void {
  for (const name of ABOUT_CONTENT) if (response.hasHeader(name)) response.removeHeader(name)
}

/** Header access of a `node:http` response. */
export function headersOf(response: ServerResponse): HeaderAccess {
  return [(name) => response.getHeader(name), (name, value) => void response.setHeader(name, value)]
}
