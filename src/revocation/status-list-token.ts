/**
 * Verifies a Status List Token (draft-ietf-oauth-status-list §5.1): a JWT of the issuer with a compressed list, in
 * which each access token has a few bits. Type, issuer, subject and times are checked first, then the signature. A list
 * is inflated only after its signature is verified, and only up to a limit.
 *
 * Does NOT fetch the token, and does NOT interpret a status.
 *
 * Tests: `test/rfc/status-list.test.ts`.
 */
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { dates } from '../documents/document.js'
import type { Dated } from '../documents/source.js'
import { InvalidToken, Misconfigured, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Issuer } from '../issuer/issuer.js'
import { MAX_IAT_AHEAD } from '../jwt/claims.js'
import { decodeBase64url, isMediaType } from '../jwt/compact.js'
import { readUnverifiedClaims, readUnverifiedJwt, verifyIssuerSignature } from '../jwt/verify-jwt.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Claims } from '../types.js'

export const STATUS_LIST_TOKEN = 'application/statuslist+jwt'

/** Maximum bytes of an inflated list: 16 million tokens of one bit, or 2 million of eight bits. */
const MAX_LIST_BYTES = 2 * 1024 * 1024
/** Bounds, and default, of the seconds that a list is kept: its `ttl` within these bounds. */
const FRESH_FOR = { default: 300, min: 60, max: 3600 }
/** Seconds after `iat` for a list without `exp` and `ttl`: it is used for at most `most`, and the operator is warned after `warn`. */
const UNDATED_FOR = { most: 24 * 3600, warn: 12 * 3600 }

const BITS: readonly unknown[] = [1, 2, 4, 8]

const inflated = promisify(inflate)

/** A verified list, inflated. */
export interface StatusList extends Dated {
  /** The status of the token with this index; undefined if the list ends before the index. */
  statusOf(index: number): number | undefined
  readonly bytes: number
  /** The `iat` of the Status List Token. */
  readonly issuedAt: number
  /** The version of the issuer's key set before the list was verified. */
  readonly keySetVersion: number
}

export interface StatusListTokenMeans {
  readonly now: () => number
  /** Seconds by which `exp` and `nbf` may be missed. */
  readonly clockTolerance: number
  readonly verifySignature: VerifySignature
}

/** A list as it was fetched. */
interface Fetched {
  /** The body that {@link uri} answered. */
  readonly text: string
  /** The URI in the access token; `sub` must be exactly the same. */
  readonly uri: string
  /** When the list was requested, in seconds since the epoch: later revocations may be missing. */
  readonly askedAt: number
  readonly issuer: Issuer
}

/**
 * Verifies and inflates a Status List Token.
 *
 * @returns the list, fresh for its `ttl` (60 to 3600 s, default 300 s) from `askedAt`, and never past its `exp`; without both,
 *   never past a day after its `iat`
 * @throws {Misconfigured} not a Status List Token, signed by another key, for another URI, or with an unreadable list
 * @throws {Unavailable} it has expired or is too old, or the keys to verify it cannot be fetched
 */
export async function readStatusListToken(
  { text, uri, askedAt, issuer }: Fetched,
  { now, clockTolerance, verifySignature }: StatusListTokenMeans
): Promise<StatusList> {
  const about = `the status list token of ${issuer.settings.label} at ${new URL(uri).host}`
  const jwt = readUnverifiedJwt(text)
  if (jwt === undefined) throw new Misconfigured(`${about} is not a signed JWT`)
  const keySetVersion = issuer.keySetVersion()
  try {
    const claims = readUnverifiedClaims(jwt)
    const problem = findProblem(jwt.unverifiedHeader, claims, { uri, issuer, now: now(), clockTolerance })
    if (problem) throw new Misconfigured(`${about} does not follow draft-ietf-oauth-status-list §5.1: ${problem}`)
    await verifyIssuerSignature(jwt, issuer.settings.algorithms, issuer.keySet, verifySignature)
    const { iat, exp, ttl, status_list: list } = claims as unknown as Verified
    const time = now()
    const end = exp === undefined ? Number.POSITIVE_INFINITY : exp + clockTolerance
    if (!(time < end)) throw new Unavailable('status_list', `${about} has expired`)
    const isUndated = exp === undefined && ttl === undefined
    if (isUndated) requireRecent(iat, time, about, issuer)
    const last = isUndated ? iat + UNDATED_FOR.most : end
    const bytes = await readList(list.lst, about)
    const freshFor = Math.min(FRESH_FOR.max, Math.max(FRESH_FOR.min, ttl ?? FRESH_FOR.default), last - askedAt)
    return {
      ...dates(askedAt, freshFor),
      issuedAt: iat,
      statusOf: (index) => statusAt(bytes, list.bits, index),
      bytes: bytes.length,
      keySetVersion
    }
  } catch (cause) {
    if (cause instanceof TooManyRequests)
      throw new Unavailable('jwks', `${about} names an unknown key, and the key set may not be fetched again yet`, {
        retryAfter: cause.retryAfter
      })
    // InvalidToken would blame the client's access token, but the fault is in the list.
    if (!(cause instanceof InvalidToken)) throw cause
    throw new Misconfigured(`${about} failed verification (${cause.reason}): ${cause.hint}`, { cause })
  }
}

/**
 * A list without an end could be replayed for ever, and hide later revocations.
 *
 * @throws {Unavailable} signed more than a day ago
 */
function requireRecent(iat: number, time: number, about: string, issuer: Issuer): void {
  if (time - iat < UNDATED_FOR.warn) return
  issuer.warn(
    `${about} has neither \`exp\` nor \`ttl\`, and was signed more than ${UNDATED_FOR.warn / 3600} hours ago. It is refused ${UNDATED_FOR.most / 3600} hours after its \`iat\`: sign it more often, or give it an \`exp\``
  )
  if (time - iat > UNDATED_FOR.most)
    throw new Unavailable('status_list', `${about} has neither \`exp\` nor \`ttl\`, and was signed more than a day ago`)
}

/** The claims that are read after the checks of `findProblem` and the signature. */
interface Verified {
  readonly iat: number
  readonly exp: number | undefined
  readonly ttl: number | undefined
  readonly status_list: { readonly bits: 1 | 2 | 4 | 8; readonly lst: string }
}

interface Expected {
  readonly uri: string
  readonly issuer: Issuer
  readonly now: number
  readonly clockTolerance: number
}

/** All checks of §5.1 except the signature and the expiry. */
function findProblem(header: Claims, claims: Claims, { uri, issuer, now, clockTolerance }: Expected): string | false {
  const { iss, sub, iat, exp, nbf, ttl, status_list: list } = claims
  const ahead = Math.max(MAX_IAT_AHEAD, clockTolerance)
  return (
    (!isMediaType(header['typ'], STATUS_LIST_TOKEN) && 'its `typ` is not statuslist+jwt') ||
    (iss !== undefined && !issuer.settings.acceptedIssuers.has(iss as string) && 'its `iss` is another issuer') ||
    (sub !== uri && 'its `sub` is not exactly the URI in the access token') ||
    (!isUpTo(iat, now + ahead) && 'it has no `iat`, or one in the future') ||
    (exp !== undefined && !Number.isFinite(exp) && 'its `exp` is not a number') ||
    (nbf !== undefined && !isUpTo(nbf, now + clockTolerance) && 'it is not valid yet') ||
    (ttl !== undefined && !isPositive(ttl) && 'its `ttl` is not a positive number') ||
    (!isList(list) && 'its `status_list` lacks `bits` of 1, 2, 4 or 8, or `lst` in base64url')
  )
}

function isUpTo(value: unknown, latest: number): boolean {
  return Number.isFinite(value) && (value as number) <= latest
}

function isPositive(value: unknown): boolean {
  return Number.isFinite(value) && (value as number) > 0
}

function isList(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { bits, lst } = value as Partial<Record<string, unknown>>
  return BITS.includes(bits) && typeof lst === 'string' && /^[\w-]+$/.test(lst)
}

/**
 * §4.1: inflates DEFLATE data in the ZLIB format, in libuv's thread pool and up to the limit. @throws {Misconfigured}
 */
async function readList(lst: string, about: string): Promise<Uint8Array> {
  const compressed = decodeBase64url(lst)
  if (compressed === undefined) throw new Misconfigured(`${about}: its \`lst\` is not base64url`)
  try {
    // A copy, because the inflated Buffer may be a view into a larger one, which would stay in memory.
    return new Uint8Array(await inflated(compressed, { maxOutputLength: MAX_LIST_BYTES }))
  } catch (cause) {
    throw new Misconfigured(
      `${about}: its \`lst\` is not ZLIB data (RFC 1950), or inflates to more than ${MAX_LIST_BYTES} bytes`,
      { cause }
    )
  }
}

/** §4.1: the statuses in a byte start at its least significant bit. */
function statusAt(list: Uint8Array, bits: number, index: number): number | undefined {
  const perByte = 8 / bits
  const byte = list[Math.floor(index / perByte)]
  return byte === undefined ? undefined : (byte >> ((index % perByte) * bits)) & (2 ** bits - 1)
}
