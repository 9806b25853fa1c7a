/**
 * The text of one entry in the log of revocations: up to a hundred revocations of one origin, as JSON.
 *
 * Does NOT encrypt it: `sharing/sealed-log.ts` does. Does NOT validate the revocations: `revocations.ts` does.
 *
 * Tests: `test/revocation/revocation-log.test.ts`.
 */
import { parseObject } from '../base/json.js'
import type { Revocation } from './revocation.js'
import type { OwnedRevocation, RevokedBy } from './revocations.js'

/** Maximum revocations of one entry. */
export const MAX_REVOCATIONS = 100

/** Approximate maximum characters of one entry. */
const MAX_LENGTH = 32 * 1024

/** The format. A release that does not know a format skips such entries, and counts them. */
const FORMAT = 1

/** Revocations of one origin. */
export interface RevocationEntry {
  readonly by: RevokedBy
  readonly revocations: readonly Revocation[]
}

export function writeEntry({ by, revocations }: RevocationEntry): string {
  return JSON.stringify({ v: FORMAT, by, revocations })
}

/** Parses an entry; undefined for one of another format. */
export function readEntry(text: string): RevocationEntry | undefined {
  const entry = parseObject(text) as ({ readonly v: unknown } & Partial<RevocationEntry>) | undefined
  if (entry?.v !== FORMAT || !Array.isArray(entry.revocations) || entry.revocations.length > MAX_REVOCATIONS)
    return undefined
  // What nobody vouches for as the operator's has no more room than a sender's.
  return { by: entry.by === 'operator' ? 'operator' : 'sender', revocations: entry.revocations }
}

/** Divides revocations into entries: each with one origin, and within the bounds. */
export function* inEntries(all: Iterable<OwnedRevocation>): Iterable<RevocationEntry> {
  let by: RevokedBy = 'operator'
  let revocations: Revocation[] = []
  let length = 0
  for (const one of all) {
    const more = JSON.stringify(one.revocation).length
    const isFull = revocations.length === MAX_REVOCATIONS || length + more > MAX_LENGTH
    if (revocations.length > 0 && (isFull || one.by !== by)) {
      yield { by, revocations }
      revocations = []
      length = 0
    }
    by = one.by
    revocations.push(one.revocation)
    length += more
  }
  if (revocations.length > 0) yield { by, revocations }
}
