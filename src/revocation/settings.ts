/** The option `revocation`: for how long, and how many. */
import type { Problems } from '../base/problems.js'

export interface RevocationSettings {
  /** Seconds. */
  readonly keepFor: number
  readonly maxEntries: number
}

/** The option `revocation`. */
export function readRevocation(value: unknown, problems: Problems): RevocationSettings {
  const options: RevocationOptions = value !== undefined && problems.object(value, 'revocation') ? value : {}
  problems.unknownKeys(options, 'revocation.', ['keepFor', 'maxEntries'])
  const maxEntries = problems.number(options.maxEntries, 'revocation.maxEntries', {
    default: 100_000,
    min: 1,
    max: 1_000_000,
    unit: 'entries'
  })
  if (!Number.isInteger(maxEntries)) problems.add('revocation.maxEntries', 'is not an integer', 'write a whole number')
  return Object.freeze({
    keepFor: problems.number(options.keepFor, 'revocation.keepFor', {
      default: 24 * 3600,
      min: 60,
      max: 31 * 24 * 3600,
      unit: 'seconds'
    }),
    maxEntries
  })
}

/** What `api.revoke()` remembers. */
export interface RevocationOptions {
  /** Seconds a revocation is remembered that has no `until`: at least as long as any access token lives. Default 86400 (24 h), 60 to 2678400. */
  readonly keepFor?: number
  /** Entries in all; when there are as many, `revoke()` throws, and nothing is forgotten. Default 100000 (up to about 50 MB; about 40 MB where names have 32 characters), at most 1000000. An eighth, at least one, is kept for `revoke()`: events never take it. */
  readonly maxEntries?: number
}
