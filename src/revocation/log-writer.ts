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
import type { OwnedRevocation } from './revocations.js'

export interface LogWriter {
  /** Resolves when the log has all of them. @throws the error of `append` */
  write(revocations: readonly OwnedRevocation[]): Promise<void>
}

/**
 * The operator's and the senders' have separate queues: senders who find no room must not make `api.revoke()` fail.
 *
 * @param append appends one entry
 */
export function createLogWriter(append: (entry: RevocationEntry) => Promise<void>): LogWriter {
  const queues = { operator: new Queue(append), sender: new Queue(append) }
  return {
    write: async (revocations) => {
      const writes = (['operator', 'sender'] as const).map((by) => {
        const own = revocations.filter((one) => one.by === by)
        return own.length === 0 ? undefined : queues[by].write(own)
      })
      await Promise.all(writes)
    }
  }
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

  write(revocations: readonly OwnedRevocation[]): Promise<void> {
    for (const one of revocations) this.waiting.set(keyOf(one), one)
    this.next ??= this.begin()
    return this.next
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
    for (const entry of inEntries(all.values())) await this.append(entry)
  }
}

function keyOf({ revocation }: OwnedRevocation): string {
  const { kind, name } = nameOf(revocation)
  return JSON.stringify([revocation.issuer, kind, name])
}
