/**
 * Limits the memory of all issuers' key sets and metadata. With a resolver, issuers may be many and their documents
 * hostile, so the sum has a maximum. Above it, issuers over their share are evicted first, the least recently used
 * first. An issuer within its share is never evicted for one above it.
 *
 * Does NOT hold the sets, and does NOT fetch.
 */
const MAX_BYTES = 64 * 1024 * 1024
/** Bytes that each issuer may hold regardless of the others. A resolver's issuers are limited to 1,000 at once. */
const SHARE = MAX_BYTES / 1000
/** Bytes to which large sets are evicted, so that not every further key scans all issuers. */
const LOW = MAX_BYTES * (7 / 8)

/** Memory that one issuer holds. */
export interface HeldKeys {
  /** Estimated bytes. */
  readonly bytes: number
  /** Counter of the last use: higher means more recent. */
  readonly used: number
  /** Evicts the documents. They are fetched again when next needed. */
  drop(): void
}

export interface KeyMemory {
  /** Next value for {@link HeldKeys.used}. */
  use(): number
  /** Must be called for each set and metadata document that was read, and for each key that was imported. */
  grew(bytes: number): void
  stats(): { readonly bytes: number; readonly maxBytes: number }
}

/** @param all returns the issuers known now */
export function createKeyMemory(all: () => readonly HeldKeys[]): KeyMemory {
  /** Upper bound of the bytes held: includes documents that were replaced or evicted since the last count. */
  let estimate = 0
  let uses = 0

  const makeRoom = (): void => {
    const sets = all()
    estimate = sumOf(sets)
    const byUse = sets.filter(({ bytes }) => bytes > 0).sort((a, b) => a.used - b.used)
    const dropTo = (bound: number, candidates: readonly HeldKeys[]): void => {
      for (const one of candidates) {
        if (estimate <= bound) return
        estimate -= one.bytes
        one.drop()
      }
    }
    if (estimate <= MAX_BYTES) return
    dropTo(
      LOW,
      byUse.filter(({ bytes }) => bytes > SHARE)
    )
    // Reached only with more issuers than shares, in a static list. Clients cannot extend such a list.
    dropTo(MAX_BYTES, byUse)
  }

  return {
    use: () => ++uses,
    grew: (bytes) => {
      estimate += bytes
      if (estimate > MAX_BYTES) makeRoom()
    },
    stats: () => ({ bytes: sumOf(all()), maxBytes: MAX_BYTES })
  }
}

function sumOf(sets: readonly HeldKeys[]): number {
  return sets.reduce((sum, { bytes }) => sum + bytes, 0)
}
