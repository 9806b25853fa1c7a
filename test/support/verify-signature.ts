/** Signature checks where they are wanted: at once, in the batch of a turn, or on libuv's pool. */
import { expect } from 'vitest'
import { isPromise } from '../../src/base/awaitable.js'
import type { SignatureKey } from '../../src/jwt/algorithms.js'
import { createVerifySignature } from '../../src/jwt/verify-signature.js'

export const PLACES = ['at once', 'in a batch', 'on the pool'] as const
export type Place = (typeof PLACES)[number]

/** What comes before it, so that it is its turn: two are made at once, and one of a batch whatever the time is. */
const BEFORE: Readonly<Record<Place, number>> = { 'at once': 0, 'in a batch': 2, 'on the pool': 3 }

export async function decideIn(
  place: Place,
  key: SignatureKey,
  signingInput: string,
  signature: string
): Promise<boolean> {
  let time = 0
  // A batch of one.
  const verify = createVerifySignature(() => time++, 2)
  const zeros = Buffer.alloc(key.signatureLength).toString('base64url')
  const before = Array.from({ length: BEFORE[place] }, () => verify(key, signingInput, zeros))
  const result = verify(key, signingInput, signature)
  // Of another length, it is not looked at.
  if ((signature.length * 3) >> 2 === key.signatureLength) expect(isPromise(result)).toBe(place !== 'at once')
  expect(await allOf(before)).toEqual(before.map(() => false))
  return result
}

/** What checks decided, those at once and those that waited. */
export function allOf(results: readonly (boolean | Promise<boolean>)[]): Promise<readonly boolean[]> {
  return Promise.all(results.map(async (one) => one))
}
