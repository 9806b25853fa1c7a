/**
 * How much memory the key sets and metadata of all issuers take. With a resolver, issuers may be many and what they publish
 * hostile, so the sum has a bound: issuers with much make room, the one used longest ago first. An issuer within its share
 * never makes room for one that is not.
 *
 * Does NOT hold the sets, and does NOT fetch.
 */
const MAX_BYTES = 64 * 1024 * 1024
/** Bytes that each of 1,000 issuers, as many as a resolver's are known at once, may hold whatever the others hold. */
const SHARE = MAX_BYTES / 1000
/** Bytes to which large sets make room, so that not each further key looks through all issuers. */
const LOW = MAX_BYTES * (7 / 8)

/** What one issuer holds. */
export interface HeldKeys {
  /** Bytes, about. */
  readonly bytes: number
  /** Higher than that of each issuer that was used less recently. */
  readonly used: number
  /** They are fetched again when they are next needed. */
  drop(): void
}

export interface KeyMemory {
  /** A number for {@link HeldKeys.used}. */
  use(): number
  /** To be told of each set and each metadata document that was read, and of each key that was imported. */
  grew(bytes: number): void
  stats(): { readonly bytes: number; readonly maxBytes: number }
}

/** @param all  the issuers that are known now */
export function createKeyMemory(all: () => readonly HeldKeys[]): KeyMemory {
  /** Bytes that are held at most: what was replaced or forgotten since the last count is in it. */
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
    // More issuers than have a share: of a list, which strangers cannot make longer.
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
