/**
 * Reads the access token of a request from the `Authorization` field only (RFC 6750 §2.1, RFC 9449 §7.1). Query, body,
 * cookies and `Proxy-Authorization` are ignored. An unknown scheme counts as missing credentials (RFC 6750 §3.1).
 */
import { CredentialsMissing, InvalidRequest, InvalidToken } from './errors/errors.js'
import type { Credentials, ResourceRequest, Scheme } from './types.js'

const SPACE = 0x20

/** Matches `Bearer` or `DPoP` behind another scheme's credentials: an intermediary joined two fields into one. */
const JOINED_TOKEN = /,[ \t]*(?:bearer|dpop)[ \t]/i

/** Matches any credentials that follow other credentials in one field. */
const JOINED_FIELD = /,[ \t]*[A-Za-z]+[ \t]+[^ \t]/

/** Matches a tab after the scheme: only spaces are allowed there (RFC 9110 §11.4). */
const TAB_AFTER_SCHEME = /^(?:bearer|dpop)\t/i

const QUERY_TOKEN = /[?&]access_token=/

const NONE: readonly string[] = Object.freeze([])

export interface CredentialRules {
  /** Accepted schemes. */
  readonly accepted: readonly Scheme[]
  /** Refuse requests with `access_token` in the query. */
  readonly rejectQueryToken: boolean
  /** Maximum characters of a token. Longer tokens are refused unread. */
  readonly maxTokenLength: number
}

/**
 * Reads the credentials of a request. Returns undefined where the request has none in a known scheme.
 *
 * Does NOT check the token's characters: {@link requireToken68} does. Tokens found in the cache need no such check.
 *
 * @throws {InvalidRequest} repeated or malformed `Authorization`; a token in the query, with `rejectQueryToken`
 * @throws {InvalidToken} longer than `maxTokenLength`
 * @throws {CredentialsMissing} a token under a scheme that this server does not accept. Those credentials are not
 * *absent*, so a waiver for absent credentials does not apply
 */
export function readCredentials(
  request: ResourceRequest,
  { accepted, rejectQueryToken, maxTokenLength }: CredentialRules
): Credentials | undefined {
  if (rejectQueryToken && QUERY_TOKEN.test(request.url)) throw new InvalidRequest('multiple_credentials')
  const lines = request.fieldLines('authorization')
  if (lines.length === 0) return undefined
  if (lines.length > 1) throw new InvalidRequest('multiple_credentials')
  const line = lines[0] as string
  const space = line.indexOf(' ')
  const end = space < 0 ? line.length : space
  const scheme = schemeOf(line, end)
  if (scheme === undefined) {
    if (end === 0 || TAB_AFTER_SCHEME.test(line)) throw new InvalidRequest('malformed_authorization')
    if (JOINED_TOKEN.test(line)) throw new InvalidRequest('multiple_credentials')
    return undefined
  }
  if (!accepted.includes(scheme)) {
    throw JOINED_TOKEN.test(line) ? new InvalidRequest('multiple_credentials') : new CredentialsMissing()
  }
  let start = end
  while (line.charCodeAt(start) === SPACE) start++
  if (start === line.length)
    throw new InvalidRequest('malformed_authorization', {
      hint: 'The scheme is not followed by a token: the client’s variable is empty. The client must send `Authorization: Bearer <token>`.'
    })
  if (line.length - start > maxTokenLength)
    throw new InvalidToken('malformed', {
      expected: `at most ${maxTokenLength} characters`,
      received: `${line.length - start} characters`,
      hint: `The token is longer than ${maxTokenLength} characters. Let the authorization server issue tokens with fewer claims, or raise \`maxTokenLength\` (up to 65536); Node itself refuses more than 16 KiB of header fields unless it is started with \`--max-http-header-size\`.`
    })
  // Most clients already write the field in its canonical form, so no new string is needed.
  const isUsual = start === end + 1 && line.startsWith(scheme)
  const field = isUsual ? line : fieldOf(scheme, line.slice(start))
  return new FieldCredentials(scheme, field, scheme === 'DPoP' ? request.fieldLines('dpop') : NONE)
}

/** Extracts the token only on access: the cache looks tokens up by the whole field. */
class FieldCredentials implements Credentials {
  readonly scheme: Scheme
  readonly field: string
  readonly proofs: readonly string[]

  constructor(scheme: Scheme, field: string, proofs: readonly string[]) {
    this.scheme = scheme
    this.field = field
    this.proofs = proofs
  }

  get token(): string {
    return this.field.slice(this.scheme.length + 1)
  }
}

/**
 * The accepted scheme that a refused request used, so that the challenge reports the error under that scheme. Undefined
 * where the request used no accepted scheme, or more than one.
 */
export function readUsedScheme(request: ResourceRequest, accepted: readonly Scheme[]): Scheme | undefined {
  const [line, another] = request.fieldLines('authorization')
  if (line === undefined || another !== undefined) return undefined
  if (line.includes(',') && JOINED_FIELD.test(line)) return undefined
  const scheme = schemeNamed(line.split(/[ \t]/, 1)[0] as string)
  return accepted.find((one) => one === scheme)
}

/** Reads the scheme at the beginning of a field. The usual spelling is recognized without allocating a string. */
function schemeOf(line: string, end: number): Scheme | undefined {
  if (end === 6 && line.startsWith('Bearer')) return 'Bearer'
  return schemeNamed(line.slice(0, end))
}

/** Schemes are case-insensitive (RFC 9110 §11.1). */
function schemeNamed(name: string): Scheme | undefined {
  if (name === 'Bearer' || name === 'DPoP') return name
  const lower = name.toLowerCase()
  if (lower === 'bearer') return 'Bearer'
  return lower === 'dpop' ? 'DPoP' : undefined
}

/** Builds the `Authorization` value of a token, as RFC 6750 §2.1 and RFC 9449 §7.1 spell it. */
export function fieldOf(scheme: Scheme, token: string): string {
  return `${scheme} ${token}`
}

/** `token68` of RFC 9110 §11.2, which is RFC 6750's `b64token`. */
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
  if (token.includes(',') && JOINED_FIELD.test(token)) throw new InvalidRequest('multiple_credentials')
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
