/**
 * Rules about a token's content: one set for JWT claims (RFC 7519 §4, RFC 9068 §4) and introspection members (RFC 7662
 * §2.2). Checked in this order: presence and type, issuer, audience, time.
 *
 * Does NOT check signatures, scopes required by a route, or the sender.
 */
import { isLoopback } from '../base/reach.js'
import { InvalidToken } from '../errors/errors.js'
import type { Claims } from '../types.js'
import type { SignatureAlgorithm } from './algorithms.js'
import { type ClaimPlace, isAbsent, listOf, type Places, valueAt } from './claim-places.js'

/** Maximum seconds that the `iat` of any JWT may lie ahead: an operator should notice a clock that is further off. */
export const MAX_IAT_AHEAD = 60

/** Seconds since the epoch, in the year 5138. A larger number must be in milliseconds. */
const MAX_SECONDS = 1e11

/** Requirements for the tokens of one issuer. */
export interface IssuerRules {
  /** All accepted `iss` values of this issuer's tokens, including `issuer`. */
  readonly acceptedIssuers: ReadonlySet<string>
  /** Accepted audiences; null skips the check. */
  readonly audience: ReadonlySet<string> | null
  /** Name of the claim that is compared with `audience`. */
  readonly audienceClaim: string
  readonly tokenProfile: 'rfc9068' | 'legacy'
  readonly algorithms: ReadonlySet<SignatureAlgorithm>
  readonly scopeClaims: Places
  /** Undefined reads no roles. */
  readonly rolesClaims: Places | undefined
  readonly clientIdClaims: readonly string[]
  /** Maps a claim to its accepted values; `true` accepts any value. */
  readonly requiredClaimValues: Readonly<Record<string, ReadonlySet<string> | true>>
}

export interface ClaimRules {
  /** Names of required claims. */
  readonly required: readonly string[]
  /** Accept a missing `aud` (introspection only). */
  readonly allowMissingAudience: boolean
  /** Seconds. */
  readonly clockTolerance: number
}

/**
 * Checks all rules.
 *
 * @throws {InvalidToken} the first rule that is broken
 */
export function verifyClaims(claims: Claims, issuer: IssuerRules, rules: ClaimRules, now: number): void {
  requirePresence(claims, rules.required, issuer.clientIdClaims)
  requireTypes(claims, issuer.clientIdClaims)
  if (!isAbsent(claims['iss'])) requireIssuer(claims['iss'], issuer)
  requireAudience(claims, issuer, rules.allowMissingAudience)
  requireTime(claims, now, rules.clockTolerance)
}

function requirePresence(claims: Claims, required: readonly string[], clientIdClaims: readonly string[]): void {
  for (let i = 0; i < required.length; i++) {
    const name = required[i] as string
    const value = name === 'client_id' ? readFirst(claims, clientIdClaims) : claims[name]
    if (isAbsent(value)) throw new InvalidToken('claim', { expected: `a claim ${name}` })
  }
}

function requireTypes(claims: Claims, clientIdClaims: readonly string[]): void {
  // Each claim is read by name: a loop over names takes several times as long, and every new token comes through here.
  const { iss, sub, jti, exp, nbf, iat, auth_time: authTime, cnf } = claims
  requireString(iss, 'iss')
  requireString(sub, 'sub')
  requireString(jti, 'jti')
  for (let i = 0; i < clientIdClaims.length; i++) {
    const name = clientIdClaims[i] as string
    requireString(claims[name], name)
  }
  requireDate(exp, 'exp')
  requireDate(nbf, 'nbf')
  requireDate(iat, 'iat')
  requireDate(authTime, 'auth_time')
  if (!isAbsent(cnf) && (typeof cnf !== 'object' || Array.isArray(cnf)))
    throw new InvalidToken('claim', { expected: 'cnf: an object', received: cnf })
}

function requireString(value: unknown, name: string): void {
  if (typeof value !== 'string' && !isAbsent(value))
    throw new InvalidToken('claim', { expected: `${name}: a string`, received: value })
}

function requireDate(value: unknown, name: string): void {
  if (isAbsent(value)) return
  if (!Number.isFinite(value))
    throw new InvalidToken('claim', { expected: `${name}: a number of seconds`, received: value })
  // `authentication()` judges an `auth_time` in the future (RFC 9470).
  if ((value as number) > MAX_SECONDS && name !== 'auth_time')
    throw new InvalidToken('claim', {
      expected: `${name}: seconds since the epoch`,
      received: value,
      hint: `\`${name}\` is in milliseconds: the authorization server must write seconds since the epoch (RFC 7519 §2, NumericDate).`
    })
}

/** Compares code points: slash, case, port and percent-encoding are not normalized (RFC 9068 §4, RFC 8414 §4). */
function requireIssuer(iss: unknown, { acceptedIssuers }: IssuerRules): void {
  if (!acceptedIssuers.has(iss as string))
    throw new InvalidToken('issuer', { expected: [...acceptedIssuers], received: iss, ...issuerHint(iss) })
}

/** Hint for an `iss` that cannot be the option `issuer`, because it is neither an https URL nor on this machine. */
export function issuerHint(iss: unknown): { readonly hint?: string } {
  if (typeof iss === 'string' && (iss.startsWith('https://') || isLoopbackUrl(iss))) return {}
  return {
    hint: '`iss` is not an https URL, so it cannot be the `issuer`. Give the authorization server an https `issuer`, list the text that tokens have in `acceptedIssuers`, and say where its keys are with `jwksUri`.'
  }
}

function isLoopbackUrl(text: string): boolean {
  return text.startsWith('http://') && URL.canParse(text) && isLoopback(new URL(text))
}

function requireAudience(
  claims: Claims,
  { audience: expected, audienceClaim }: IssuerRules,
  allowMissing: boolean
): void {
  const received = claims[audienceClaim]
  // Most tokens have exactly one audience.
  if (typeof received === 'string' && expected?.has(received)) return
  const audience = readAudience(received, audienceClaim)
  if (expected === null || (isAbsent(received) && allowMissing)) return
  for (const one of audience) if (expected.has(one)) return
  throw new InvalidToken('audience', {
    expected: [...expected],
    received,
    ...audienceHint(audience, expected, audienceClaim)
  })
}

/** Explains an audience that does not match. Shows only configured values and names of our own lists. */
function audienceHint(
  audience: readonly string[],
  expected: ReadonlySet<string>,
  claim: string
): { readonly hint?: string } {
  if (audience.length === 0)
    return {
      hint: `The token has no \`${claim}\`. Let the client request a token for this \`resource\` (RFC 8707) or \`audience\`. If the authorization server never writes \`aud\`, set \`audienceClaim\` to the claim used instead, such as \`client_id\`; for introspection answers set \`allowMissingAudience\`.`
    }
  const withoutSlash = (text: string): string => text.replace(/\/$/, '')
  const near = [...expected].find((one) => audience.some((other) => withoutSlash(other) === withoutSlash(one)))
  if (near === undefined) return {}
  const other = near.endsWith('/') ? withoutSlash(near) : `${near}/`
  return {
    hint: `\`${claim}\` differs from ${near} only by its final slash: write \`audience: ['${near}', '${other}']\`. For an MCP server \`mcp()\` accepts both if the path is empty.`
  }
}

/**
 * `aud` (or the claim in its place) as a list: a string, or an array of strings (RFC 7519 §4.1.3). Empty where the
 * claim is absent.
 */
export function readAudience(aud: unknown, name = 'aud'): readonly string[] {
  if (isAbsent(aud)) return []
  if (typeof aud === 'string') return [aud]
  if (Array.isArray(aud) && aud.every((one) => typeof one === 'string')) return aud
  throw new InvalidToken('claim', { expected: `${name}: a string or an array of strings`, received: aud })
}

/**
 * Checks `exp` (not on or after it, with leeway, RFC 7519 §4.1.4), `nbf` and `iat`. Each comparison states the accepted
 * case, so that a clock that returns NaN refuses every token with a time.
 *
 * @param claims claims whose times are numbers or absent
 * @throws {InvalidToken}
 */
export function requireTime(claims: Claims, now: number, tolerance: number): void {
  const { exp, nbf, iat } = claims as Readonly<Record<'exp' | 'nbf' | 'iat', number | undefined>>
  if (!isAbsent(exp) && !(now < exp + tolerance))
    throw new InvalidToken('expired', { expected: `exp after ${Math.floor(now - tolerance)}`, received: exp })
  if (!isAbsent(nbf) && !(nbf <= now + tolerance))
    throw new InvalidToken('not_yet_valid', { expected: `nbf up to ${Math.floor(now + tolerance)}`, received: nbf })
  const latest = now + Math.max(MAX_IAT_AHEAD, tolerance)
  if (!isAbsent(iat) && !(iat <= latest))
    throw new InvalidToken('not_yet_valid', { expected: `iat up to ${Math.floor(latest)}`, received: iat })
}

/** Claims in which authorization servers write scopes, besides the issuer's own `scopeClaim`. */
const SCOPE_CLAIMS = ['scope', 'scp', 'scopes']

/** Claims in which authorization servers name the client, besides the issuer's own `clientIdClaim`. */
const CLIENT_CLAIMS = ['client_id', 'azp', 'cid', 'appid']

/** Claims about the owner of a token. Tokens of every kind have them, so they do not indicate the kind. */
const OWNER_CLAIMS: ReadonlySet<string> = new Set(['iss', 'aud', 'tid', 'zid', 'hd', 'org_id', ...CLIENT_CLAIMS])

/**
 * Decides whether a JWT is an access token if its `typ` does not tell (RFC 8725 §3.12). `requiredClaimValues` must be
 * met in any case. Then the first matching row decides:
 *
 * 1. `requiredClaimValues` names a claim about the kind of token, or `token_use: access` or `tokenName: access_token`:
 * accepted.
 * 2. `events`, `at_hash`, `c_hash`, `s_hash`, or a claim that names another kind of token: refused.
 * 3. `nonce`: refused, unless both a scope claim and a client claim are present.
 * 4. No scope claim, and either no client claim or one that equals the matched audience: refused.
 *
 * Does NOT tell an ID token from an access token where the ID token passes row 4: one with a scope claim, or with an
 * `azp` that is not the matched audience. A token whose audience does not match passes row 4: `verifyClaims` refuses
 * it.
 *
 * @throws {InvalidToken} with reason `type`
 */
export function requireAccessTokenClaims(claims: Claims, issuer: IssuerRules): void {
  requireClaimValues(claims, issuer.requiredClaimValues)
  const { token_use: use, tokenName } = claims
  if (isOneOf(ACCESS_TOKEN_WORDS, use) || isOneOf(ACCESS_TOKEN_NAMES, tokenName) || requiresKind(issuer)) return
  // Each claim is read by name, as in `requireTypes`.
  const { events, at_hash: atHash, c_hash: cHash, s_hash: sHash } = claims
  if (events !== undefined || atHash !== undefined || cHash !== undefined || sHash !== undefined)
    throw new InvalidToken('type', {
      expected: `no claim ${OTHER_KINDS_CLAIMS.find((name) => claims[name] !== undefined)}`
    })
  requireAccessTokenKind(claims)
  const hasScopes = hasAny(claims, SCOPE_CLAIMS, isScopes) || hasAnyAt(claims, issuer.scopeClaims, isScopes)
  if (claims['nonce'] !== undefined && !(hasScopes && hasClient(claims, issuer)))
    throw new InvalidToken('type', {
      expected: 'no claim nonce, or a scope claim and a client claim beside it',
      hint: `The token has a \`nonce\`, as ID tokens have, and not both a scope claim and a client claim. ${remedyFor(claims)}`
    })
  if (!hasScopes && isMeantForItsClient(claims, issuer))
    throw new InvalidToken('type', {
      expected: 'a scope claim, or a client claim that is not the audience',
      hint: `The token does not show that it is an access token: it has no scope claim, and its client claim is missing or equals its audience, as in an ID token. ${remedyFor(claims)}`
    })
}

/** Claims found only in ID tokens (OIDC Core §3.3.2.11), logout tokens and security event tokens (RFC 8417). */
const OTHER_KINDS_CLAIMS = ['events', 'at_hash', 'c_hash', 's_hash']

/** True if `requiredClaimValues` names a claim that can indicate the kind of token, not only its owner. */
function requiresKind({ requiredClaimValues, clientIdClaims, audienceClaim }: IssuerRules): boolean {
  for (const name in requiredClaimValues)
    if (!OWNER_CLAIMS.has(name) && name !== audienceClaim && !clientIdClaims.includes(name)) return true
  return false
}

function hasAny(claims: Claims, names: readonly string[], is: (value: unknown) => boolean): boolean {
  for (let i = 0; i < names.length; i++) if (is(claims[names[i] as string])) return true
  return false
}

function hasAnyAt(claims: Claims, places: Places, is: (value: unknown) => boolean): boolean {
  const list = listOf(places)
  for (let i = 0; i < list.length; i++) if (is(valueAt(claims, list[i] as ClaimPlace))) return true
  return false
}

function isScopes(value: unknown): boolean {
  return isText(value) || Array.isArray(value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function hasClient(claims: Claims, { clientIdClaims }: IssuerRules): boolean {
  return hasAny(claims, CLIENT_CLAIMS, isText) || hasAny(claims, clientIdClaims, isText)
}

/** True if the token names no client, or a client that equals the matched audience. False where no audience matched. */
function isMeantForItsClient(claims: Claims, issuer: IssuerRules): boolean {
  const { audience: accepted, audienceClaim, clientIdClaims } = issuer
  const all = readAudience(claims[audienceClaim], audienceClaim)
  const matched = accepted === null ? all : all.filter((one) => accepted.has(one))
  if (accepted !== null && matched.length === 0) return false
  const isMatched = (client: unknown): boolean => matched.includes(client as string)
  return (
    !hasClient(claims, issuer) || hasAny(claims, CLIENT_CLAIMS, isMatched) || hasAny(claims, clientIdClaims, isMatched)
  )
}

/** Claims in which known authorization servers write the kind of token or its purpose. */
const TELLING_CLAIMS =
  'token_use tty typ token_type tokenName tokenType token_kind kind mode type use role gty grant_type cts aut idtyp authenticationType aal purpose ver version repository repository_owner project_path workflow job_workflow_ref'.split(
    ' '
  )

/** Shows only names of our own lists: claim names in a token are as untrusted as the values. */
function remedyFor(claims: Claims): string {
  const names = TELLING_CLAIMS.filter((name) => isText(claims[name]))
  // The subject of a workload (`system:serviceaccount:…`, `repo:…`) indicates the kind; a user's does not.
  if (typeof claims['sub'] === 'string' && claims['sub'].includes(':')) names.push('sub')
  const candidates =
    names.length === 0
      ? 'This token has no claim that could show it.'
      : `This token has ${names.map((name) => `\`${name}\``).join(', ')}.`
  return `If the authorization server issues access tokens like this, require a claim that no other kind of its tokens has: \`requiredClaimValues: { ${names[0] ?? 'claim'}: [...] }\`. ${candidates}`
}

/**
 * Requires the claims that the issuer's configuration uses to tell the kind of token.
 *
 * @throws {InvalidToken}
 */
export function requireClaimValues(claims: Claims, required: IssuerRules['requiredClaimValues']): void {
  // Most settings have none: `for in` avoids allocating a list for each token.
  for (const name in required) {
    if (!Object.hasOwn(required, name)) continue
    const values = required[name] as ReadonlySet<string> | true
    const received = claims[name]
    if (values === true) {
      if (!Object.hasOwn(claims, name) || received === null)
        throw new InvalidToken('type', { expected: `a claim ${name}`, received })
    } else if (!values.has(received as string))
      throw new InvalidToken('type', { expected: `${name}: one of ${[...values].join(', ')}`, received })
  }
}

/**
 * Checks members in which some authorization servers name the kind of token, in JWTs and introspection answers.
 *
 * @throws {InvalidToken}
 */
export function requireAccessTokenKind(claims: Claims): void {
  const { typ, token_use: use, token_type: type, tokenName } = claims
  if (isOneOf(OTHER_KINDS, typ)) throw new InvalidToken('type', { expected: 'an access token', received: typ })
  if (isOneOf(OTHER_KINDS, type)) throw new InvalidToken('type', { expected: 'an access token', received: type })
  if (use !== undefined && !isOneOf(ACCESS_TOKEN_WORDS, use))
    throw new InvalidToken('type', { expected: 'token_use: access', received: use })
  if (tokenName !== undefined && !isOneOf(ACCESS_TOKEN_NAMES, tokenName))
    throw new InvalidToken('type', { expected: 'tokenName: access_token', received: tokenName })
}

/** Words without separators. RFC 8693 §2.2.1 writes `N_A` for a token that is not an access token. */
const OTHER_KINDS: ReadonlySet<string> = new Set([
  'id',
  'idtoken',
  'refresh',
  'refreshtoken',
  'offline',
  'offlinetoken',
  'logout',
  'logouttoken',
  'na'
])

const ACCESS_TOKEN_WORDS: ReadonlySet<string> = new Set(['access', 'accesstoken'])

const ACCESS_TOKEN_NAMES: ReadonlySet<string> = new Set(['accesstoken'])

/** Prefix of a kind that is written as a URI (RFC 8693 §3). */
const KIND_URN = 'urn:ietf:params:oauth:token-type:'

/** Compares without case and separators: `refresh_token`, `RefreshToken`, `Refresh-Token`. */
function isOneOf(words: ReadonlySet<string>, value: unknown): boolean {
  if (typeof value !== 'string') return false
  const word = value.toLowerCase()
  return words.has((word.startsWith(KIND_URN) ? word.slice(KIND_URN.length) : word).replace(/[ _/-]/g, ''))
}

/** The first of these claims that is not absent. */
export function readFirst(claims: Claims, names: readonly string[]): unknown {
  for (let i = 0; i < names.length; i++) {
    const value = claims[names[i] as string]
    if (!isAbsent(value)) return value
  }
  return undefined
}
