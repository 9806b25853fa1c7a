/** Header fields of a response: how those of this package and those of the application are merged. */
import type { ServerResponse } from 'node:http'
import type { HeaderFields } from '../../src/index.js'

/** Fields whose lines add up; of any other, the last one counts. */
const LISTS: ReadonlySet<string> = new Set(['vary', 'access-control-expose-headers'])

/**
 * Header fields together with those a response already has: challenges become further lines, lists are joined, and
 * nothing that other middleware set is lost (RFC 9110 §5.3).
 *
 * @param existing the value a response has for a field name
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

/** True for what most routes and grants have: no header fields. Nothing is to be made for them, not even a function. */
export function isEmpty(fields: HeaderFields): boolean {
  for (const _ in fields) return false
  return true
}

/** How a response's header fields are read and set. */
export type HeaderAccess = [existing: (name: string) => unknown, set: (name: string, value: string | string[]) => void]

/** Puts header fields on a response, together with those it has. */
export function addHeaders(fields: HeaderFields, ...[existing, set]: HeaderAccess): void {
  setAll(mergeHeaders(fields, existing), set)
}

export function setAll(fields: HeaderFields, set: (name: string, value: string | string[]) => void): void {
  for (const [name, value] of Object.entries(fields)) set(name, typeof value === 'string' ? value : [...value])
}

/**
 * Fields about content (RFC 9110 §8, §14.4; RFC 9530). What a handler said of what it meant to send is not true of a refusal:
 * by a length of something else a client takes the next answer for the rest of this one, or waits.
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

/** What is used of a response whose header fields can be taken back. */
export interface Fields {
  hasHeader(name: string): boolean
  removeHeader(name: string): unknown
}

/**
 * Takes back what was said of content that is not sent, and only that: in place of a field that was removed, there or not,
 * Node makes no other, and an answer without length and coding has no end but the connection's.
 */
export function forgetContent(response: Fields): void {
  for (const name of ABOUT_CONTENT) if (response.hasHeader(name)) response.removeHeader(name)
}

/** Of a response of `node:http`. */
export function headersOf(response: ServerResponse): HeaderAccess {
  return [(name) => response.getHeader(name), (name, value) => void response.setHeader(name, value)]
}
