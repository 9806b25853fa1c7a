/**
 * RFC 6750 §2.1, RFC 9449 §7.1: the access token of a request, from the `Authorization` field and from nowhere else. The
 * query, the body, cookies and `Proxy-Authorization` are not looked at. An unknown scheme counts as no credentials
 * (RFC 6750 §3.1).
 */
import { CredentialsMissing, InvalidRequest, InvalidToken } from './errors/errors.js'
import type { Credentials, ResourceRequest, Scheme } from './types.js'

const SPACE = 0x20

/** One of our schemes behind another scheme's credentials: two fields that became one on the way. */
const JOINED_TOKEN = /,[ \t]*(?:bearer|dpop)[ \t]/i

/** Any credentials behind others. */
const JOINED_FIELD = /,[ \t]*[A-Za-z]+[ \t]+[^ \t]/

/** Only a space may stand there (RFC 9110 §11.4). */
const TAB_AFTER_SCHEME = /^(?:bearer|dpop)\t/i

const QUERY_TOKEN = /[?&]access_token=/

const NONE: readonly string[] = Object.freeze([])

export interface CredentialRules {
  /** The schemes that are accepted. */
  readonly accepted: readonly Scheme[]
  /** Refuse a request with a token in its query. */
  readonly rejectQueryToken: boolean
  /** Characters. Longer tokens are refused before a character of them is read. */
  readonly maxTokenLength: number
}

/**
 * The credentials of a request, or undefined where it has none for us.
 *
 * Does NOT check the token's characters: see `token68.ts`. A token met before need not be looked at again.
 *
 * @throws {InvalidRequest} repeated or malformed `Authorization`; a token in the query, with `rejectQueryToken`
 * @throws {InvalidToken} longer than `maxTokenLength`
 * @throws {CredentialsMissing} a token under a scheme that this server has switched off: it is not *absent*, so no waiver
 *   for absent credentials applies
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
      hint: 'There is a scheme and no token behind it: the client’s variable is empty. The client must send `Authorization: Bearer <token>`.'
    })
  if (line.length - start > maxTokenLength)
    throw new InvalidToken('malformed', {
      expected: `at most ${maxTokenLength} characters`,
      received: `${line.length - start} characters`,
      hint: `The token is longer than ${maxTokenLength} characters. Let the authorization server write fewer claims, or raise \`maxTokenLength\` (up to 65536); Node itself takes 16 KiB of header fields unless it is started with \`--max-http-header-size\`.`
    })
  // As nearly all clients write it, it is what it should be already.
  const isUsual = start === end + 1 && line.startsWith(scheme)
  const field = isUsual ? line : fieldOf(scheme, line.slice(start))
  return new FieldCredentials(scheme, field, scheme === 'DPoP' ? request.fieldLines('dpop') : NONE)
}

/** The token is cut out only where it is asked for: one that is known is found by the whole field. */
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
 * The one accepted scheme that a refused request used, or undefined where it used none or nobody can tell which: for the
 * challenge, which has the error under that scheme.
 */
export function readUsedScheme(request: ResourceRequest, accepted: readonly Scheme[]): Scheme | undefined {
  const [line, another] = request.fieldLines('authorization')
  if (line === undefined || another !== undefined) return undefined
  if (line.includes(',') && JOINED_FIELD.test(line)) return undefined
  const scheme = schemeNamed(line.split(/[ \t]/, 1)[0] as string)
  return accepted.find((one) => one === scheme)
}

/** The scheme at the beginning of a field; what nearly all clients write is told without making a text of it. */
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
