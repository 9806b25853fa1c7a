/** Where the key of a JWT is looked for: in the set that is known, in one of another process, in one fetched anew; and no further. */
import { describe, expect, test } from 'vitest'
import { readUnverifiedJwt, type UnverifiedJwt, verifyIssuerSignature } from '../src/jwt.js'
import { type KeySet, readKeySet } from '../src/key-set.js'
import type { Source } from '../src/remote.js'
import { createVerifySignature } from '../src/verify-signature.js'
import { createSigningKey } from './support/issuer.js'
import { accessToken, issuerKey, keySet } from './support/refusals.js'

const jwt = readUnverifiedJwt(accessToken()) as UnverifiedJwt
const other = createSigningKey('ES256', { kid: 'other' })

function setOf(isOurs: boolean, isSecondHand = false): KeySet {
  return { ...readKeySet(keySet(isOurs ? issuerKey : other)), isSecondHand }
}

/** Answers with these sets in turn, and says which ones were said to have disappointed. */
function sourceOf(
  sets: readonly KeySet[],
  isAsync: boolean
): { readonly source: Source<KeySet>; readonly asked: number[] } {
  const asked: number[] = []
  const source: Source<KeySet> = (butNot) => {
    const set = sets[Math.min(asked.length, sets.length - 1)] as KeySet
    asked.push(butNot === undefined ? -1 : sets.indexOf(butNot))
    return isAsync ? Promise.resolve(set) : set
  }
  return { source, asked }
}

describe.each([
  ['known', false],
  ['fetched', true]
] as const)('key sets that are %s', (_, isAsync) => {
  const none = setOf(false)
  test.each([
    ['it is in the first one', [setOf(true)], [-1], true],
    ['it is in the one that is fetched instead', [none, setOf(true)], [-1, 0], true],
    ['it is in neither', [none, setOf(false)], [-1, 0], false],
    ['the same one is all that there is', [none], [-1, 0], false],
    ['it is in one of another process', [none, setOf(true, true)], [-1, 0], true],
    ['it is in the one after that', [none, setOf(false, true), setOf(true)], [-1, 0, 1], true],
    ['it is in none of the three', [none, setOf(false, true), setOf(false)], [-1, 0, 1], false],
    ['it is in a fourth', [none, setOf(false, true), setOf(false, true), setOf(true)], [-1, 0, 1], false],
    ['the same one of another process is all that there is', [setOf(false, true)], [-1, 0], false]
  ] as const)('KEY-07: %s', async (_what, sets, expected, isGood) => {
    const { source, asked } = sourceOf(sets, isAsync)
    const verifying = async (): Promise<undefined> =>
      verifyIssuerSignature(jwt, new Set(['ES256'] as const), source, createVerifySignature())
    if (isGood) await verifying()
    else await expect(verifying()).rejects.toMatchObject({ reason: 'unknown_key' })
    expect(asked).toEqual(expected)
  })
})
