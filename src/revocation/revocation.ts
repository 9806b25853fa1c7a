/**
 * What is a revocation, and what is none: it names one thing, or has a time; a member that is not known is refused, so that
 * a misspelt one never comes to mean more than was meant. Does NOT remember it: see `revocations.ts`.
 */

const NAMES = ['jti', 'subject', 'sessionId', 'clientId'] as const

export type Name = (typeof NAMES)[number]

/** Characters of a name, all of which are kept. */
export const MAX_NAME_LENGTH = 2048

/** A revocation with all that it leaves out. */
export interface Complete {
  readonly issuer: string
  readonly kind: Name | undefined
  readonly name: string
  /** Of a `jti`, +∞: it is one token, whenever it was issued. */
  readonly before: number
  readonly until: number
}

const MEMBERS: readonly string[] = ['issuer', 'until', 'before', ...NAMES]

/**
 * A revocation with its defaults: `before` now, `until` now + `keepFor`.
 *
 * @param time  now, seconds since the epoch
 * @throws {TypeError} it is none; in words that hold nothing of it but the name of a member
 */
export function completed(revocation: Revocation, time: number, keepFor: number): Complete {
  const given = revocation as unknown as Readonly<Record<string, unknown>> | null
  if (typeof given !== 'object' || given === null)
    throw new TypeError('a revocation must be an object such as { issuer, subject }')
  const strange = Object.keys(given).find((member) => !MEMBERS.includes(member))
  // A misspelt `subject` must not come to mean the whole issuer.
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
  return {
    issuer,
    kind,
    name,
    before: kind === 'jti' ? Number.POSITIVE_INFINITY : (before ?? time),
    until: readTime(given['until'], 'until') ?? time + keepFor
  }
}

function readName(value: unknown, member: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH) return value
  throw new TypeError(`\`${member}\` of a revocation must be a string of 1 to ${MAX_NAME_LENGTH} characters`)
}

function readTime(value: unknown, member: string): number | undefined {
  if (value === undefined || Number.isFinite(value)) return value as number | undefined
  throw new TypeError(`\`${member}\` of a revocation must be a number of seconds since the epoch`)
}

/** The same as anybody may have written it. */
export function asRevocation({ issuer, kind, name, before, until }: Complete): Revocation {
  if (kind === undefined) return { issuer, before, until }
  return { issuer, [kind]: name, ...(kind !== 'jti' && { before }), until } as unknown as Revocation
}

/**
 * Access tokens that are to be refused from now on, though they verify: one, by its `jti`; or all that were issued before
 * a time: to a subject, in a session (claim `sid`), to a client, or by an issuer at all.
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
  /** `iss` of the tokens, to the letter. */
  readonly issuer: string
  /** Seconds since the epoch until when it is remembered: no token of before may live longer. Default: now + `revocation.keepFor`. */
  readonly until?: number
}

interface IssuedBefore {
  /** Refuse tokens with an `iat` before this time (seconds since the epoch), or with none. Default: now. */
  readonly before?: number
}
