/**
 * Appends revocations to the log, one entry at a time: what arrives while an entry is under way goes into the next one
 * together, so that a flood of events costs few entries, and a repeated event one place.
 *
 * Does NOT repeat an append that failed: see `revocation-log.ts`.
 *
 * Tests: `test/revocation/revocation-log.test.ts`.
 */
import { inEntries, type RevocationEntry } from './log-entry.js'
import { nameOf } from './revocation.js'
import type { OwnedRevocation, RevokedBy } from './revocations.js'

export interface LogWriter {
  /**
   * Resolves when the log has all of them.
   *
   * @param by  the origin of this call, which decides the room; each revocation keeps its own origin
   * @throws the error of `append`
   */
  write(revocations: readonly OwnedRevocation[], by: RevokedBy): Promise<void>
}

/**
 * The operator's and the senders' have separate queues: senders who find no room must not make `api.revoke()` fail.
 *
 * @param append appends one entry, in the room of that origin
 */
export function createLogWriter(append: (entry: RevocationEntry, by: RevokedBy) => Promise<void>): LogWriter {
  const queueOf = (by: RevokedBy): Queue => new Queue((entry) => append(entry, by))
  const queues = { operator: queueOf('operator'), sender: queueOf('sender') }
  return { write: (revocations, by) => queues[by].write(revocations) }
}

class Queue {
  /** By what they name: a later one replaces an earlier one, which it contains. */
  private waiting = new Map<string, OwnedRevocation>()
  /** The next entries; they begin when `current` has ended. */
  private next: Promise<void> | undefined
  private current: Promise<unknown> = Promise.resolve()
  private readonly append: (entry: RevocationEntry) => Promise<void>

  constructor(append: (entry: RevocationEntry) => Promise<void>) {
    this.append = append
  }

  async write(revocations: readonly OwnedRevocation[]): Promise<void> {
    if (revocations.length === 0) return
    for (const one of revocations) this.waiting.set(keyOf(one), one)
    this.next ??= this.begin()
    await this.next
  }

  private begin(): Promise<void> {
    const next = this.current.then(() => this.appendWaiting())
    this.current = next.catch(() => undefined)
    return next
  }

  private async appendWaiting(): Promise<void> {
    const all = this.waiting
    this.waiting = new Map()
    this.next = undefined
    for (const owner of ['operator', 'sender'] as const) {
      const owned = [...all.values()].filter(({ by }) => by === owner)
      for (const entry of inEntries(owned)) await this.append(entry)
    }
  }
}

function keyOf({ revocation }: OwnedRevocation): string {
  const { kind, name } = nameOf(revocation)
  return JSON.stringify([revocation.issuer, kind, name])
}
