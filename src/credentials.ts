/**
 * RFC 6750 §2.1: the access token of a request, from the `Authorization` field and from nowhere else. The query, the
 * body, cookies and `Proxy-Authorization` are not looked at. An unknown scheme counts as no credentials (RFC 6750 §3.1).
 */
import { InvalidRequest, InvalidToken } from './errors.js'
import type { Credentials, ResourceRequest } from './types.js'

/** Longer tokens are refused before a character of them is read. */
const MAX_TOKEN_LENGTH = 16_384

const SPACE = 0x20

/** A bearer token behind another scheme's credentials: two fields that became one on the way. */
const JOINED_BEARER = /,[ \t]*bearer[ \t]/i
/** Only a space may stand there (RFC 9110 §11.4). */
const TAB_AFTER_BEARER = /^bearer\t/i
const QUERY_TOKEN = /[?&]access_token=/

/**
 * The credentials of a request, or undefined where it has none for us.
 *
 * Does NOT check the token's characters: see `token68.ts`. A token met before need not be looked at again.
 *
 * @throws {InvalidRequest} repeated or malformed `Authorization`; a token in the query, with `rejectQueryToken`
 * @throws {InvalidToken} longer than {@link MAX_TOKEN_LENGTH}
 */
export function readCredentials(request: ResourceRequest, rejectQueryToken: boolean): Credentials | undefined {
  if (rejectQueryToken && QUERY_TOKEN.test(request.url)) throw new InvalidRequest('multiple_credentials')
  const lines = request.fieldLines('authorization')
  if (lines.length === 0) return undefined
  if (lines.length > 1) throw new InvalidRequest('multiple_credentials')
  const line = lines[0] as string
  const space = line.indexOf(' ')
  const scheme = space < 0 ? line : line.slice(0, space)
  if (scheme !== 'Bearer' && scheme.toLowerCase() !== 'bearer') {
    if (scheme === '') throw new InvalidRequest('malformed_authorization')
    if (TAB_AFTER_BEARER.test(line)) throw new InvalidRequest('malformed_authorization')
    if (JOINED_BEARER.test(line)) throw new InvalidRequest('multiple_credentials')
    return undefined
  }
  let start = scheme.length
  while (line.charCodeAt(start) === SPACE) start++
  if (start === line.length) throw new InvalidRequest('malformed_authorization')
  if (line.length - start > MAX_TOKEN_LENGTH) throw new InvalidToken('malformed')
  return { scheme: 'Bearer', token: line.slice(start) }
}
