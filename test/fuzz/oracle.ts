/**
 * What is right, said a second time: signatures by jose, and the rules of this package in other words than its source
 * has, so that one checks the other. It looks at what was sent and at nothing else.
 */
import { isUtf8 } from 'node:buffer'
import { compactVerify, createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { ISSUER, JWKS, NOW, RESOURCE, TOLERANCE } from './world.js'

type Json = Record<string, unknown>

/** `either`: nothing is said here about an input like this. */
export type Expected = 'accepted' | 'refused' | 'either'

export interface Jws {
  readonly header: Json
  readonly claims: Json
}

/** A JSON object of these bytes: UTF-8 without a byte order mark, and an object. */
export function objectOf(bytes: Uint8Array): Json | undefined {
  if (!isUtf8(bytes) || (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Json {
  return Object.prototype.toString.call(value) === '[object Object]'
}

export const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0
export const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
/** Missing, or one of the two ways to write that there is no value. */
const isNothing = (value: unknown): boolean => value === undefined || value === null || value === ''
const isAbsentOr = (is: (value: unknown) => boolean, value: unknown): boolean => isNothing(value) || is(value)

/** Header and claims of a compact JWS in its one spelling; nothing is verified. */
export function take(token: string): Jws | undefined {
  const segments = token.split('.')
  if (segments.length !== 3) return undefined
  const bytes = segments.map((one) => Buffer.from(one, 'base64url'))
  if (!segments.every((one, i) => bytes[i]?.toString('base64url') === one)) return undefined
  const [header, claims] = bytes.map(objectOf)
  return header && claims && { header, claims }
}

export interface Constraints {
  readonly jwks?: { readonly keys: readonly Json[] }
  /** Media types that `typ` may be; undefined among them: it may be missing. */
  readonly types: readonly (string | undefined)[]
  /** Seconds by which `exp` and `nbf` may be missed. */
  readonly tolerance?: number
  /** True where a date that is null or an empty text counts as missing; jose takes none such. */
  readonly mayHaveEmptyDates?: true
}

/** The same if one of the published keys signed it, and jose says so. */
export async function verified(
  token: string,
  { jwks = JWKS, types, tolerance = TOLERANCE, mayHaveEmptyDates }: Constraints
): Promise<Jws | undefined> {
  const jws = take(token)
  if (jws === undefined) return undefined
  const { typ, kid, crit, b64 } = jws.header
  const type = typeof typ === 'string' ? `${typ.includes('/') ? '' : 'application/'}${typ}`.toLowerCase() : typ
  if (!types.includes(type as string) || crit !== undefined || b64 === false) return undefined
  if (kid !== undefined && !(typeof kid === 'string' && kid.length <= 256)) return undefined
  const options = { currentDate: new Date(NOW * 1000), clockTolerance: tolerance }
  const algorithms = ['EdDSA', 'Ed25519', 'ES256', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  const keys = createLocalJWKSet(jwks as unknown as JSONWebKeySet)
  try {
    if (mayHaveEmptyDates) await compactVerify(token, keys, { algorithms })
    else await jwtVerify(token, keys, { ...options, algorithms })
  } catch {
    return undefined
  }
  return areDates(jws.claims) && isCurrent(jws.claims, tolerance) ? jws : undefined
}

/** jose takes any number for a date, `1e999` too. */
function areDates(claims: Json): boolean {
  return ['exp', 'nbf', 'iat'].every((name) => isAbsentOr(isNumber, claims[name]))
}

function isCurrent({ exp, nbf }: Json, tolerance: number): boolean {
  return (
    isAbsentOr((value) => (value as number) > NOW - tolerance, exp) &&
    isAbsentOr((value) => (value as number) <= NOW + tolerance, nbf)
  )
}

export function audienceOf(aud: unknown): readonly unknown[] {
  return Array.isArray(aud) ? aud : [aud]
}

interface Rules {
  /** Claims that must be there. */
  readonly required: readonly string[]
}

/** Levels of objects and lists, the claims themselves being the first. */
const MAX_DEPTH = 64

function isDeep(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((one) => isDeep(one, levels - 1))
}

/** SPEC of an access token's claims, of a JWT or of an introspection answer, and that `read` is granted to a bearer. */
export function isGrant(claims: Json, { required }: Rules): boolean {
  const { iss, aud, exp, nbf, iat, auth_time: authTime, cnf, token_type: type, scope, scp } = claims
  const scopes = scope ?? scp
  return (
    required.every((name) => !isNothing(claims[name])) &&
    !isDeep(claims, MAX_DEPTH) &&
    ['iss', 'sub', 'jti', 'client_id'].every((name) => isAbsentOr(isText, claims[name])) &&
    [exp, nbf, iat, authTime].every((date) => isAbsentOr(isNumber, date)) &&
    // Larger numbers count milliseconds.
    [exp, nbf, iat].every((date) => isAbsentOr((value) => (value as number) <= 1e11, date)) &&
    isAbsentOr((value) => value === ISSUER, iss) &&
    audienceOf(aud).every((one) => typeof one === 'string') &&
    audienceOf(aud).includes(RESOURCE) &&
    isCurrent(claims, TOLERANCE) &&
    isAbsentOr((value) => (value as number) <= NOW + 60, iat) &&
    // A plain bearer token is bound to nothing.
    isNothing(cnf) &&
    !(typeof type === 'string' && /^dpop$/i.test(type)) &&
    grantsRead(scopes)
  )
}

function grantsRead(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((one) => typeof one === 'string') && value.includes('read')
  return (
    typeof value === 'string' && /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(value) && value.split(' ').includes('read')
  )
}

/** Members in which a server may say that its token is not an access token. */
export function isAccessKind({ typ, token_type: type, token_use: use, tokenName: name }: Json): boolean {
  const other = /^(id|id_token|refresh|refresh_token|offline|logout|logout_token)$/i
  const isOther = (value: unknown): boolean => typeof value === 'string' && other.test(value)
  return (
    !isOther(typ) &&
    !isOther(type) &&
    (use === undefined || /^(access|access_token)$/i.test(word(use))) &&
    (name === undefined || /^access_token$/i.test(word(name)))
  )
}

/** The table of `tokenProfile: 'legacy'`, for an issuer without options of its own whose audience is `RESOURCE`. */
export function isLegacyAccessToken(claims: Json): boolean {
  const { token_use: use, tokenName: name, nonce } = claims
  if (/^(access|access_token)$/i.test(word(use)) || /^access_token$/i.test(word(name))) return true
  if (['at_hash', 'c_hash', 's_hash', 'events'].some((one) => claims[one] !== undefined)) return false
  if (!isAccessKind(claims)) return false
  const isScoped = ['scope', 'scp', 'scopes'].some((one) => Array.isArray(claims[one]) || isText(claims[one]))
  const clients = ['client_id', 'azp', 'cid', 'appid'].map((one) => claims[one]).filter(isText)
  if (nonce !== undefined && !(isScoped && clients.length > 0)) return false
  return isScoped || (clients.length > 0 && !clients.includes(RESOURCE))
}

const word = (value: unknown): string => (typeof value === 'string' ? value : '')
