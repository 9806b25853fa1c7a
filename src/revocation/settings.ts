/**
 * Reads the option `revocation`: how long revocations are remembered, and how many.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import type { Problems } from '../base/options/problems.js'

/** Maximum seconds for which a revocation is remembered. */
export const MAX_KEEP: number = 31 * 24 * 3600

export interface RevocationSettings {
  /** Seconds that a revocation without `until` is remembered. */
  readonly keepFor: number
  readonly maxEntries: number
  readonly onUnavailable: 'refuse' | 'allow'
}

/** Reads the option. Each problem is added to `problems`; nothing is thrown. */
export function readRevocation(value: unknown, problems: Problems): RevocationSettings {
  const options: RevocationOptions = value !== undefined && problems.object(value, 'revocation') ? value : {}
  problems.unknownKeys(options, 'revocation.', ['keepFor', 'maxEntries', 'onUnavailable'])
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
      max: MAX_KEEP,
      unit: 'seconds'
    }),
    maxEntries,
    onUnavailable: problems.oneOf(options.onUnavailable, 'revocation.onUnavailable', ['refuse', 'allow']) ?? 'refuse'
  })
}

/** Bounds of the memory of `api.revoke()`. */
export interface RevocationOptions {
  /** Seconds that a revocation without `until` is remembered: set at least the longest lifetime of an access token. Default 86400 (24 h), 60 to 2678400. */
  readonly keepFor?: number
  /** Maximum entries. When the memory is full, `revoke()` throws and no entry is evicted. Default 100000 (up to about 50 MB; about 40 MB with names of 32 characters), at most 1000000. An eighth, at least one entry, is reserved for `revoke()`: events never take it. */
  readonly maxEntries?: number
  /**
   * Requests that arrive before `shared.log` was read: `refuse` them (503), or `allow` them, revoked tokens among them. Default `refuse`.
   * After the first reading, an outage refuses no request.
   */
  readonly onUnavailable?: 'refuse' | 'allow'
}
