/**
 * Formats `WWW-Authenticate` (RFC 9110 §11.6.1, with the character sets of RFC 6750 §3) in a fixed parameter order.
 * Does NOT decide which parameters are sent. Characters outside the grammar are removed, not escaped, so strict clients
 * can parse the field and no value can end it.
 */

/** Parameters of one challenge. Undefined ones are omitted. */
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

/**
 * Matches characters outside `%x20-21 / %x23-5B / %x5D-7E`, which RFC 6750 §3 allows in `error` and
 * `error_description`.
 */
const NOT_ERROR_TEXT = /[^\x20\x21\x23-\x5B\x5D-\x7E]+/g

/** `scope-token` of RFC 6749 §3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** Characters of a quoted-string, after `"` and `\` are escaped: printable ASCII. */
const QUOTABLE = /^[\x20-\x7E]*$/

/**
 * Formats one challenge as one field value: `Bearer error="invalid_token", …`.
 *
 * @throws {TypeError} without parameters: a bare `Bearer` is not a challenge (RFC 6750 §3)
 */
export function formatChallenge(scheme: string, parameters: ChallengeParameters): string {
  const parts: string[] = []
  const { realm, error, errorDescription, scope, acrValues, maxAge, algs, resourceMetadata } = parameters
  if (realm !== undefined) parts.push(`realm="${realm.replace(/["\\]/g, '\\$&')}"`)
  if (error !== undefined) parts.push(`error="${reduceErrorText(error)}"`)
  if (errorDescription !== undefined) parts.push(`error_description="${reduceErrorText(errorDescription)}"`)
  const scopes = joinTokens(scope)
  if (scopes !== '') parts.push(`scope="${scopes}"`)
  const acrs = joinTokens(acrValues)
  if (acrs !== '') parts.push(`acr_values="${acrs}"`)
  if (maxAge !== undefined) parts.push(`max_age="${maxAge}"`)
  if (algs !== undefined) parts.push(`algs="${algs.join(' ')}"`)
  if (resourceMetadata !== undefined) parts.push(`resource_metadata="${resourceMetadata}"`)
  if (parts.length === 0) throw new TypeError(`a ${scheme} challenge needs a parameter`)
  return `${scheme} ${parts.join(', ')}`
}

/** The values of a list that fit into it, each of which is a scope-token, delimited by spaces. */
function joinTokens(values: readonly string[] | undefined): string {
  if (values === undefined) return ''
  return values.every(isScopeToken) ? values.join(' ') : values.filter(isScopeToken).join(' ')
}

/** Replaces characters that RFC 6750 §3 does not allow in `error_description` by spaces, and trims. */
export function reduceErrorText(text: string): string {
  return text.replace(NOT_ERROR_TEXT, ' ').trim()
}

/**
 * True for one scope of RFC 6749 §3.3: ASCII without space, quote or backslash. An `acr` in a list follows the same
 * rule.
 */
export function isScopeToken(value: string): boolean {
  return SCOPE_TOKEN.test(value)
}

/** True for a text that can be the `realm` of a challenge: printable ASCII. */
export function isQuotable(value: string): boolean {
  return QUOTABLE.test(value)
}
