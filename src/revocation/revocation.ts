/**
 * Validates revocations: a revocation names exactly one of `jti`, `subject`, `sessionId` and `clientId`, or has `before`. An
 * unknown member is rejected, so that a misspelt one never widens the revocation.
 *
 * Does NOT remember revocations: see `revocations.ts`.
 *
 * Tests: `test/revocation/revocations.test.ts`.
 */
import { isName, MAX_NAME_LENGTH } from '../base/bounds.js'

const DAY = 24 * 3600

const NAMES = ['jti', 'subject', 'sessionId', 'clientId'] as const

export type Name = (typeof NAMES)[number]

/** A revocation with its defaults filled in. */
export interface Complete {
  readonly issuer: string
  readonly kind: Name | undefined
  readonly name: string
  /** +∞ for a `jti`: it revokes that token whenever it was issued. */
  readonly before: number
  readonly until: number
  /** False if `until` is the default. */
  readonly hasUntil: boolean
}

/** The bounds of `until`, in seconds from now. */
export interface Terms {
  /** Default. */
  readonly keepFor: number
  /** Maximum. */
  readonly longest: number
}

const MEMBERS: readonly string[] = ['issuer', 'until', 'before', ...NAMES]

/**
 * Validates a revocation and fills in its defaults: `before` is now, `until` is now + `keepFor`.
 *
 * @param time  now, in seconds since the epoch
 * @throws {TypeError} an invalid revocation; the message quotes names of members, never their values
 */
export function completed(revocation: Revocation, time: number, { keepFor, longest }: Terms): Complete {
  const given = revocation as unknown as Readonly<Record<string, unknown>> | null
  if (typeof given !== 'object' || given === null)
    throw new TypeError('a revocation must be an object such as { issuer, subject }')
  const strange = Object.keys(given).find((member) => !MEMBERS.includes(member))
  // Without this check, a misspelt `subject` beside `before` would revoke all tokens of the issuer.
  if (strange !== undefined)
    throw new TypeError(`${JSON.stringify(strange)} is not a member of a revocation: check the spelling`)
  const named = NAMES.filter((kind) => given[kind] !== undefined)
  const [kind] = named
  if (named.length > 1) throw new TypeError(`a revocation must name one of these, not several: ${named.join(', ')}`)
  const issuer = readName(given['issuer'], 'issuer')
  const name = kind === undefined ? '' : readName(given[kind], kind)
  const before = readTime(given['before'], 'before')
  if (kind === 'jti' && before !== undefined)
    throw new TypeError('a revocation of a `jti` is for one token: leave out `before`')
  if (kind === undefined && before === undefined)
    throw new TypeError('a revocation must have a `jti`, `subject`, `sessionId`, `clientId` or `before`')
  const until = readTime(given['until'], 'until')
  if (until !== undefined && until - time > longest)
    throw new TypeError(
      `\`until\` of a revocation is ${Math.ceil(until - time)} s ahead; with \`shared.log\` it may be at most ${longest} s (${longest / DAY} days) ahead, because the log keeps no entry longer`
    )
  return {
    issuer,
    kind,
    name,
    before: kind === 'jti' ? Number.POSITIVE_INFINITY : (before ?? time),
    until: until ?? time + keepFor,
    hasUntil: until !== undefined
  }
}

/** What a revocation names; `kind` is undefined for all tokens of the issuer. */
export function nameOf(revocation: Revocation): Pick<Complete, 'kind' | 'name'> {
  const given = revocation as unknown as Readonly<Record<string, string>>
  const kind = NAMES.find((one) => given[one] !== undefined)
  return { kind, name: kind === undefined ? '' : (given[kind] as string) }
}

function readName(value: unknown, member: string): string {
  if (isName(value)) return value
  throw new TypeError(`\`${member}\` of a revocation must be a string of 1 to ${MAX_NAME_LENGTH} characters`)
}

function readTime(value: unknown, member: string): number | undefined {
  if (value === undefined || Number.isFinite(value)) return value as number | undefined
  throw new TypeError(`\`${member}\` of a revocation must be a number of seconds since the epoch`)
}

/** Converts a completed revocation back to the public form. */
export function asRevocation({ issuer, kind, name, before, until }: Omit<Complete, 'hasUntil'>): Revocation {
  if (kind === undefined) return { issuer, before, until }
  return { issuer, [kind]: name, ...(kind !== 'jti' && { before }), until } as unknown as Revocation
}

/**
 * Names the access tokens to refuse from now on, even though they verify: one token by its `jti`, or every token issued
 * before a time to a subject, in a session (claim `sid`), to a client, or by an issuer.
 */
export type Revocation = Revoking &
  (
    | { readonly jti: string }
    | (IssuedBefore & { readonly subject: string })
    | (IssuedBefore & { readonly sessionId: string })
    | (IssuedBefore & { readonly clientId: string })
    | Required<IssuedBefore>
  )

interface Revoking {
  /** Exactly the `iss` of the tokens. */
  readonly issuer: string
  /**
   * When the revocation may be forgotten, in seconds since the epoch. No token that it covers may live longer. Default: now +
   * `revocation.keepFor`.
   */
  readonly until?: number
}

interface IssuedBefore {
  /** Refuses tokens without an `iat`, or with one before this time (seconds since the epoch). Default: now. */
  readonly before?: number
}
