/**
 * The grammar of `WWW-Authenticate` (RFC 9110 §11.6.1, with the character sets of RFC 6750 §3). It writes what it is
 * given, in one fixed order, and decides nothing. A value that does not fit the grammar is reduced, never escaped
 * into something a strict client would refuse, and never able to end the field.
 */

/** Parameters of one challenge; those undefined are left out. */
export interface ChallengeParameters {
  readonly realm?: string | undefined
  readonly error?: string | undefined
  readonly errorDescription?: string | undefined
  readonly scope?: readonly string[] | undefined
  /** RFC 9470 §3, in order of preference. */
  readonly acrValues?: readonly string[] | undefined
  /** RFC 9470 §3, seconds. */
  readonly maxAge?: number | undefined
  /** RFC 9449 §7.1. */
  readonly algs?: readonly string[] | undefined
  readonly resourceMetadata?: string | undefined
}

/** `%x20-21 / %x23-5B / %x5D-7E`: what RFC 6750 §3 allows in `error` and `error_description`. */
const NOT_ERROR_TEXT = /[^\x20\x21\x23-\x5B\x5D-\x7E]+/g

/** `scope-token` of RFC 6749 §3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** Anything that may stand in a quoted-string once `"` and `\` are escaped: printable ASCII. */
const QUOTABLE = /^[\x20-\x7E]*$/

/**
 * One challenge, as one field value: `Bearer error="invalid_token", …`.
 *
 * @throws {TypeError} no parameter at all: a bare `Bearer` is not a challenge (RFC 6750 §3)
 */
export function formatChallenge(scheme: string, parameters: ChallengeParameters): string {
  const parts: string[] = []
  const { realm, error, errorDescription, scope, acrValues, maxAge, algs, resourceMetadata } = parameters
  if (realm !== undefined) parts.push(`realm="${realm.replace(/["\\]/g, '\\$&')}"`)
  if (error !== undefined) parts.push(`error="${reduceErrorText(error)}"`)
  if (errorDescription !== undefined) parts.push(`error_description="${reduceErrorText(errorDescription)}"`)
  const scopes = scope?.filter(isScopeToken) ?? []
  if (scopes.length > 0) parts.push(`scope="${scopes.join(' ')}"`)
  const acrs = acrValues?.filter(isScopeToken) ?? []
  if (acrs.length > 0) parts.push(`acr_values="${acrs.join(' ')}"`)
  if (maxAge !== undefined) parts.push(`max_age="${maxAge}"`)
  if (algs !== undefined) parts.push(`algs="${algs.join(' ')}"`)
  if (resourceMetadata !== undefined) parts.push(`resource_metadata="${resourceMetadata}"`)
  if (parts.length === 0) throw new TypeError(`a ${scheme} challenge needs a parameter`)
  return `${scheme} ${parts.join(', ')}`
}

/** A text without the characters that RFC 6750 §3 keeps out of `error_description`. */
export function reduceErrorText(text: string): string {
  return text.replace(NOT_ERROR_TEXT, ' ').trim()
}

/** True for one scope of RFC 6749 §3.3: no space, no quote, no backslash, ASCII. An `acr` in a list is held to the same. */
export function isScopeToken(value: string): boolean {
  return SCOPE_TOKEN.test(value)
}

/** True for a text that can be the `realm` of a challenge: printable ASCII. */
export function isQuotable(value: string): boolean {
  return QUOTABLE.test(value)
}
