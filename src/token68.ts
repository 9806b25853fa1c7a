/** The characters of a token (RFC 6750 §2.1), the field that it comes in, and what else may have come in its place. */
import { InvalidRequest, InvalidToken } from './errors.js'
import type { Scheme } from './types.js'

/** The `Authorization` field of a token, as RFC 6750 §2.1 and RFC 9449 §7.1 write it. */
export function fieldOf(scheme: Scheme, token: string): string {
  return `${scheme} ${token}`
}

/** `token68` of RFC 9110 §11.2, which is RFC 6750's `b64token`. */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
/** `, Scheme token`: no token has a comma, so this was another field. */
const JOINED_FIELD = /,[ \t]*[A-Za-z]+[ \t]+[^ \t]/

/**
 * Holds a token to the characters of RFC 6750 §2.1.
 *
 * @throws {InvalidRequest} a second part; a second credential, as a recipient writes when it joins two fields into one
 * @throws {InvalidToken} any other character that no token has
 */
export function requireToken68(token: string): void {
  if (TOKEN68.test(token)) return
  if (token.includes(',') && JOINED_FIELD.test(token)) throw new InvalidRequest('multiple_credentials')
  if (/[ \t]/.test(token)) throw new InvalidRequest('malformed_authorization')
  throw new InvalidToken('malformed')
}
