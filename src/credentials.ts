/**
 * Reads the access token of a request from the `Authorization` field only (RFC 6750 §2.1, RFC 9449 §7.1). Query, body,
 * cookies and `Proxy-Authorization` are ignored. An unknown scheme counts as missing credentials (RFC 6750 §3.1).
 */
import { fieldOf, isJoined } from './base/authorization-field.js'
import { CredentialsMissing, InvalidRequest, InvalidToken } from './errors/errors.js'
import type { Credentials, ResourceRequest, Scheme } from './types.js'

const SPACE = 0x20

/** Matches `Bearer` or `DPoP` behind another scheme's credentials: an intermediary joined two fields into one. */
const JOINED_TOKEN = /,[ \t]*(?:bearer|dpop)[ \t]/i

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
 * Does NOT check the token's characters: `access-token/token68.ts` does. Tokens found in the cache need no such check.
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
  if (isJoined(line)) return undefined
  const end = line.search(/[ \t]/)
  const scheme = schemeOf(line, end < 0 ? line.length : end)
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
