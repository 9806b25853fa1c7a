/**
 * Checks the characters of a token (`token68` of RFC 9110 §11.2, which RFC 6750 §2.1 calls `b64token`), and recognizes what
 * clients send by mistake in place of a token.
 *
 * Tests: `test/credentials.test.ts`.
 */
import { isJoined } from '../base/authorization-field.js'
import { InvalidRequest, InvalidToken } from '../errors/errors.js'

const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/

/** Words that clients send if their variable is empty, or if the scheme is written twice. */
const EMPTY = /^(?:undefined|null|nil|none|nan|false|bearer|dpop)$/i

const QUOTED = /^(?:["'`]|%22|%27)/

/** Unfilled placeholders: `{{token}}`, `${TOKEN}`, `$TOKEN`, `<token>`. */
const PLACEHOLDER = /^(?:\{\{|\$|<)/

const HINTS = {
  empty:
    'The client sent a word in place of a token, such as `undefined`, `null` or the scheme again: the client’s variable is empty. Look at where the client reads its token.',
  quoted:
    'The token is in quotes. The client must send it without quotes: let it parse the JSON response instead of cutting the token out.',
  placeholder: 'The client sent a placeholder in place of a token: its template was not filled in.',
  twice: 'The scheme is written twice: the client’s variable holds the scheme already, or its library adds it.'
}

/**
 * Checks that a token has only the characters of RFC 6750 §2.1.
 *
 * @throws {InvalidRequest} whitespace within the token; a second credential, joined to the first by an intermediary
 * @throws {InvalidToken} any other invalid character, or a placeholder in place of a token
 */
export function requireToken68(token: string): void {
  if (TOKEN68.test(token)) {
    if (token.length < 10 && EMPTY.test(token)) throw new InvalidToken('malformed', { hint: HINTS.empty })
    return
  }
  if (isJoined(token)) throw new InvalidRequest('multiple_credentials')
  if (QUOTED.test(token)) throw new InvalidToken('malformed', { hint: HINTS.quoted })
  if (PLACEHOLDER.test(token)) throw new InvalidToken('malformed', { hint: HINTS.placeholder })
  if (/[ \t]/.test(token))
    throw new InvalidRequest(
      'malformed_authorization',
      /^(?:bearer|dpop)[ \t]/i.test(token) ? { hint: HINTS.twice } : {}
    )
  throw new InvalidToken('malformed', {
    hint: 'The token has a character that is not allowed in a token (RFC 6750 §2.1): it was cut, joined or encoded on the way.'
  })
}
