/** The characters of a token (RFC 6750 §2.1), the field that it comes in, and what else may have come in its place. */
import { InvalidRequest, InvalidToken } from './errors/errors.js'
import type { Scheme } from './types.js'

/** The `Authorization` field of a token, as RFC 6750 §2.1 and RFC 9449 §7.1 write it. */
export function fieldOf(scheme: Scheme, token: string): string {
  return `${scheme} ${token}`
}

/** `token68` of RFC 9110 §11.2, which is RFC 6750's `b64token`. */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
/** What clients send for a variable that is empty, or for a scheme that is written twice. */
const EMPTY = /^(?:undefined|null|nil|none|nan|false|bearer|dpop)$/i
const QUOTED = /^(?:["'`]|%22|%27)/
/** `{{token}}`, `${TOKEN}`, `$TOKEN`, `<token>`. */
const PLACEHOLDER = /^(?:\{\{|\$|<)/

const HINTS = {
  empty:
    'The client sent a word in place of a token, such as `undefined`, `null` or the scheme again: the client’s variable is empty. Look at where the client reads its token.',
  quoted: 'The token stands in quotes. The client must send it without quotes: parse the JSON text, do not cut it out.',
  placeholder: 'The client sent a placeholder in place of a token: its template was not filled in.',
  twice: 'The scheme is written twice: the client’s variable holds the scheme already, or its library adds it.'
}

/** `, Scheme token`: no token has a comma, so this was another field. */
const JOINED_FIELD = /,[ \t]*[A-Za-z]+[ \t]+[^ \t]/

/**
 * Holds a token to the characters of RFC 6750 §2.1.
 *
 * @throws {InvalidRequest} a second part; a second credential, as a recipient writes when it joins two fields into one
 * @throws {InvalidToken} any other character that no token has
 */
export function requireToken68(token: string): void {
  if (TOKEN68.test(token)) {
    if (token.length < 10 && EMPTY.test(token)) throw new InvalidToken('malformed', { hint: HINTS.empty })
    return
  }
  if (token.includes(',') && JOINED_FIELD.test(token)) throw new InvalidRequest('multiple_credentials')
  if (QUOTED.test(token)) throw new InvalidToken('malformed', { hint: HINTS.quoted })
  if (PLACEHOLDER.test(token)) throw new InvalidToken('malformed', { hint: HINTS.placeholder })
  if (/[ \t]/.test(token))
    throw new InvalidRequest(
      'malformed_authorization',
      /^(?:bearer|dpop)[ \t]/i.test(token) ? { hint: HINTS.twice } : {}
    )
  throw new InvalidToken('malformed', {
    hint: 'The token has a character that no token may have (RFC 6750 §2.1): it was cut, joined or encoded on the way.'
  })
}
