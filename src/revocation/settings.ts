/** The option `revocation`: for how long, and how many. */

import type { Problems } from '../base/problems.js'
import type { RevocationOptions } from '../server/options.js'

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
  if (!Number.isInteger(maxEntries)) problems.add('revocation.maxEntries', 'is no integer', 'round it')
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
