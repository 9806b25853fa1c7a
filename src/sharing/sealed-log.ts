/**
 * The log of one API with encrypted entries: each is sealed under the name of the API and `shared.secret`, so that an entry
 * of another API, or one made without the secret, does not open. Each call but `wake` has a deadline, and each answer of the
 * engine is checked: nonsense is an outage.
 *
 * Does NOT know the meaning of the entries. Does NOT hide their number, length or time.
 *
 * Tests: `test/revocation/revocation-log.test.ts`.
 */
import { createHash } from 'node:crypto'
import { withDeadline } from '../base/awaitable.js'
import type { Awaitable } from '../types.js'
import type { Envelope } from './envelope.js'
import type { Log, LogAppending, LogPage, LogReading } from './stores.js'

/** The text of an entry. */
interface Opened {
  readonly text: string
  /** False for an entry under the previous secret: a process that has only the current one cannot open it. */
  readonly isCurrent: boolean
}

export interface SealedLog {
  /** Seconds for which the log keeps an entry. */
  readonly keep: number
  /**
   * @returns the position of the entry
   * @throws {Error} the engine failed, was late, or answered nonsense; with the name `LogFull`: there is no room
   */
  append(text: string, how: Pick<LogAppending, 'reserve' | 'dropTo'>): Promise<string>
  /** @throws {Error} the engine failed, was late, or answered nonsense */
  read(how: Omit<LogReading, 'keep'>): Promise<LogPage>
  /** Opens the value of an entry; undefined if it was not sealed for this log. */
  open(value: string): Opened | undefined
  /**
   * Calls the listener soon after an append of any process, where the engine can. Without a deadline: a late subscription
   * must be ended too.
   *
   * @returns a function that ends it
   */
  wake(listener: () => void): Promise<() => unknown>
}

export interface SealedLogMeans {
  readonly log: Log
  /** The current secret's first. */
  readonly envelopes: readonly Envelope[]
  /** The identifier of the API. */
  readonly resource: string
  /** Seconds for one call. */
  readonly deadline: number
  /** Seconds for which entries are needed. */
  readonly keep: number
}

export function createSealedLog({ log, envelopes, resource, deadline, keep }: SealedLogMeans): SealedLog {
  // Not a MAC: the name must not change with the secret.
  const name = `log:${createHash('sha256').update(resource).digest('base64url')}`
  const sealName = `log ${resource}`
  const late = (): Error => new Error(`the log did not answer within ${deadline} s`)
  const inTime = <T>(call: () => Awaitable<T>): Promise<T> =>
    // Called inside the promise, so that a synchronous throw becomes a rejection too.
    withDeadline(Promise.resolve().then(call), deadline, late)
  return {
    keep,
    append: async (text, how) => {
      const value = (envelopes[0] as Envelope).seal(sealName, text)
      const position: unknown = await inTime(() => log.append(name, value, { keep, ...how }))
      if (typeof position !== 'string') throw new Error('the log answered nonsense: `append` returned no position')
      return position
    },
    read: async (how) => {
      const page = await inTime(() => log.read(name, { keep, ...how }))
      requirePage(page, how)
      return page
    },
    open: (value) => {
      for (const [i, envelope] of envelopes.entries()) {
        const text = envelope.open(sealName, value)
        if (text !== undefined) return { text, isCurrent: i === 0 }
      }
      return undefined
    },
    wake: async (listener) => (await log.wake?.(name, listener)) ?? noop
  }
}

const noop = (): void => undefined

/** True for the error of a log without room: by its name, because an engine need not import this package. */
export function isLogFull(error: unknown): error is Error {
  return error instanceof Error && error.name === 'LogFull'
}

/** @throws {Error} the engine's answer is not a page of a log */
function requirePage(page: LogPage, { after, limit }: Omit<LogReading, 'keep'>): void {
  const { entries, first, length, isWhole, incarnation } = (page ?? {}) as Partial<LogPage>
  const fault =
    (!Array.isArray(entries) && '`entries` is not a list') ||
    ((entries as readonly unknown[]).length > limit && `it has more than ${limit} entries`) ||
    (!(entries as LogPage['entries']).every(
      (one) => typeof one?.position === 'string' && typeof one.value === 'string'
    ) &&
      'an entry has no position or no value') ||
    (entries?.some(({ position }) => position === after) && 'it begins at the position after which it should begin') ||
    (!(first === undefined || typeof first === 'string') && '`first` is not a position') ||
    (!Number.isSafeInteger(length) && '`length` is not a number') ||
    (typeof isWhole !== 'boolean' && '`isWhole` is not true or false') ||
    (after === undefined && isWhole === false && '`isWhole` is false for a reader that knows nothing') ||
    (typeof incarnation !== 'string' && '`incarnation` is not a text')
  if (fault) throw new Error(`the log answered nonsense: ${fault}`)
}
