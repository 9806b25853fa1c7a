/**
 * The spelling of the `Authorization` field that several folders need: how a scheme and a token are joined, and how to tell
 * that an intermediary joined two fields into one.
 *
 * Does NOT read a request: `credentials.ts` does.
 *
 * Tests: `test/credentials.test.ts`.
 */
import type { Scheme } from '../types.js'

/** Matches any credentials that follow other credentials in one field. */
const JOINED = /,[ \t]*[A-Za-z]+[ \t]+[^ \t]/

/** Builds the `Authorization` value of a token, as RFC 6750 §2.1 and RFC 9449 §7.1 spell it. */
export function fieldOf(scheme: Scheme, token: string): string {
  return `${scheme} ${token}`
}

/** True if further credentials follow the first in this text, which is a field or its part after the scheme. */
export function isJoined(text: string): boolean {
  return text.includes(',') && JOINED.test(text)
}
