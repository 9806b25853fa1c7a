/**
 * The Token Status List of the suite (draft-ietf-oauth-status-list §4): one bit a token.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { deflateSync } from 'node:zlib'

/** Entries of the list. */
const SIZE = 8192

export interface StatusList {
  /** @returns the index of a new, valid entry */
  add(): number
  revoke(index: number): void
  /** The member `status_list` of the status list token. */
  content(): { readonly bits: 1; readonly lst: string }
}

export function createStatusList(): StatusList {
  const bytes = Buffer.alloc(SIZE / 8)
  let next = 0
  return {
    add: () => {
      if (next === SIZE) throw new RangeError(`the status list of the suite has ${SIZE} entries`)
      return next++
    },
    revoke: (index) => {
      bytes[index >> 3] = (bytes[index >> 3] as number) | (1 << (index & 7))
    },
    content: () => ({ bits: 1, lst: deflateSync(bytes).toString('base64url') })
  }
}
