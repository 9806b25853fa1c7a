/**
 * What the processes of an API say to one another about revocations: as text, in pieces, and read again.
 *
 * Tests: `test/revocation/fan-out.test.ts`.
 */
import { parseObject } from '../base/json.js'
import type { Revocation } from './revocation.js'
import type { RevokedBy } from './revocations.js'

/** Characters of the entries in one message, about. */
const CHUNK = 32 * 1024

export type Message = {
  readonly resource: string
  readonly from: string
} /** Each but once, and soon: whoever could play it again would have everybody tell everything again. */ & (
  | {
      readonly type: 'hello'
      readonly digest: string
      readonly joins: boolean
      readonly id: string
      readonly at: number
    }
  | ({ readonly type: 'revoked' } & Said)
  /** An answer to a process that said hello. */
  | ({ readonly type: 'known'; readonly last: boolean } & Said)
)

/**
 * Entries, and who said them first. That stands beside them and not in them, since an earlier release refuses an entry with
 * a member that it does not know; and such a release does not say it: then a sender may have filled it with them.
 */
interface Said {
  readonly entries: readonly Revocation[]
  readonly by?: RevokedBy
}
export type Greeting = Extract<Message, { readonly type: 'hello' }>
export type Content<M = Message> = M extends Message ? Omit<M, 'resource' | 'from'> : never

/** At least one chunk, perhaps empty. */
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

/** A message as this release makes them; undefined for one of another release that says what is not known here. */
export function readMessage(text: string): Message | undefined {
  const message = parseObject(text) as Message | undefined
  if (message?.type === 'hello') return message
  const tells = message?.type === 'revoked' || message?.type === 'known'
  return tells && Array.isArray(message.entries) ? message : undefined
}
