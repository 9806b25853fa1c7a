/**
 * The messages that the processes of an API exchange about revocations: written as text, split into chunks, and parsed.
 *
 * Tests: `test/revocation/fan-out.test.ts`.
 */
import { parseObject } from '../base/json.js'
import type { Revocation } from './revocation.js'
import type { RevokedBy } from './revocations.js'

/** Approximate characters of the entries in one message. */
const CHUNK = 32 * 1024

export type Message = {
  readonly resource: string
  readonly from: string
} /**
 * `id` and `at` make each greeting valid once and for a short time: an attacker who replays one would make all
 * processes answer again.
 */ & (
  | {
      readonly type: 'hello'
      readonly digest: string
      readonly joins: boolean
      readonly id: string
      readonly at: number
    }
  | ({ readonly type: 'revoked' } & Said)
  /** The answer to a greeting. */
  | ({ readonly type: 'known'; readonly last: boolean } & Said)
)

/**
 * Entries, and their source: the operator or a sender of events. The source is beside the entries, because an earlier
 * release rejects an entry with an unknown member. Such a release omits `by`; then the entries count as a sender's,
 * which may fill only its own share.
 */
interface Said {
  readonly entries: readonly Revocation[]
  readonly by?: RevokedBy
}
export type Greeting = Extract<Message, { readonly type: 'hello' }>
export type Content<M = Message> = M extends Message ? Omit<M, 'resource' | 'from'> : never

/** Splits entries into at least one chunk, which may be empty. */
export function inChunks(entries: readonly Revocation[]): readonly (readonly Revocation[])[] {
  const chunks: Revocation[][] = [[]]
  let length = 0
  for (const one of entries) {
    length += JSON.stringify(one).length
    if (length > CHUNK) {
      chunks.push([])
      length = 0
    }
    chunks.at(-1)?.push(one)
  }
  return chunks
}

/** Parses a message; undefined for a message of another release that this one does not understand. */
export function readMessage(text: string): Message | undefined {
  const message = parseObject(text) as Message | undefined
  if (message?.type === 'hello') return message
  const tells = message?.type === 'revoked' || message?.type === 'known'
  return tells && Array.isArray(message.entries) ? message : undefined
}
