/**
 * Where the key of a JWT is looked for: in the set that is known, in one of another process, in one fetched anew; and no
 * further. Which of those that fit are tried, and what the log is told of a refusal.
 */
import { describe, expect, test } from 'vitest'
import type { Source } from '../../src/documents/source.js'
import type { IssuerOptions } from '../../src/issuer/settings.js'
import type { SignatureKey } from '../../src/jwt/algorithms.js'
import { type KeySet, readKeySet } from '../../src/jwt/key-set.js'
import { readUnverifiedJwt, type UnverifiedJwt, verifyIssuerSignature } from '../../src/jwt/verify-jwt.js'
import { createVerifySignature, type VerifySignature } from '../../src/jwt/verify-signature.js'
import { createSigningKey } from '../support/issuer.js'
import { accessToken, accessTokenOf, api, bearer, issuerKey, keySet, refusal, type Token } from '../support/refusals.js'

const other = createSigningKey('ES256', { kid: 'other' })
const ofAnotherAlgorithm = createSigningKey('RS256', { kid: issuerKey.kid })

function jwtOf(token: Token = {}): UnverifiedJwt {
  return readUnverifiedJwt(accessToken(token)) as UnverifiedJwt
}

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

function verify(
  source: Source<KeySet>,
  { jwt = jwtOf(), by = createVerifySignature() }: { jwt?: UnverifiedJwt; by?: VerifySignature } = {}
): undefined | Promise<undefined> {
  return verifyIssuerSignature(jwt, new Set(['ES256'] as const), source, by)
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
    ['it is in a fifth', [none, ...[1, 2, 3].map(() => setOf(false, true)), setOf(true)], [-1, 0, 1, 2], false],
    ['the same one of another process is all that there is', [setOf(false, true)], [-1, 0], false]
  ] as const)('KEY-07: %s', async (_what, sets, expected, isGood) => {
    const { source, asked } = sourceOf(sets, isAsync)
    const verifying = async (): Promise<undefined> => verify(source)
    if (isGood) await verifying()
    else expect(await refusal(verifying)).toMatchObject({ reason: 'unknown_key', received: issuerKey.kid })
    expect(asked).toEqual(expected)
  })

  test('KEY-04 (RFC 7517 §4.5): looks for no other set if the kid belongs to a key of another algorithm', async () => {
    const { source, asked } = sourceOf([readKeySet(keySet(ofAnotherAlgorithm)), setOf(true)], isAsync)
    expect(await refusal(() => verify(source))).toMatchObject({ reason: 'unknown_key', expected: 'a key for ES256' })
    expect(asked).toEqual([-1])
  })

  test('KEY-05 (RFC 7515 §4.1.4): looks for no other set if two keys fit a token without kid', async () => {
    const nameless = [other, createSigningKey('ES256')].map(({ publicJwk }) => ({ ...publicJwk, kid: undefined }))
    const { source, asked } = sourceOf([readKeySet({ keys: nameless }), setOf(true)], isAsync)
    await verify(source, { jwt: jwtOf({ header: { kid: undefined } }) })
    expect(asked).toEqual([-1, 0])
  })
})

describe('keys that share a kid', () => {
  const set = readKeySet(keySet(...[1, 2, 3].map(() => createSigningKey('ES256', { kid: issuerKey.kid }))))

  /** What becomes of a token that the keys say this of, one after another, and how many are asked. */
  async function tried(answers: readonly boolean[], isLater: (i: number) => boolean): Promise<[boolean, number]> {
    const asked: SignatureKey[] = []
    const by: VerifySignature = (key) => {
      const i = asked.push(key) - 1
      const answer = answers[i] ?? false
      return isLater(i) ? Promise.resolve(answer) : answer
    }
    const isGood = await Promise.resolve()
      .then(() => verify(() => set, { by }))
      .then(
        () => true,
        ({ reason }) => reason !== 'signature'
      )
    expect(asked).toEqual(set.find('ES256', issuerKey.kid).slice(0, asked.length))
    return [isGood, asked.length]
  }

  test.each([
    ['at once', () => false],
    ['later', () => true],
    ['at once and later in turn', (i: number) => i % 2 === 1],
    ['later and at once in turn', (i: number) => i % 2 === 0]
  ] as const)('KEY-04: tries keys that share a kid until one fits, with the set known %s', async (_, isLater) => {
    expect(await tried([true], isLater)).toEqual([true, 1])
    expect(await tried([false, true], isLater)).toEqual([true, 2])
    expect(await tried([false, false, true], isLater)).toEqual([true, 3])
    expect(await tried([false, false, false, true], isLater)).toEqual([false, 3])
  })

  test('creates no promise if all keys are known', () => {
    expect(verify(() => set, { by: () => true })).toBeUndefined()
    expect(() => verify(() => set, { by: () => false })).toThrow('The access token signature could not be verified')
  })
})

describe('the log gets the reason', () => {
  const typ = { header: { typ: 'JWE' } }
  test.each<readonly [string, string, Partial<IssuerOptions>, string, unknown, unknown]>([
    [
      'claims that are no object',
      accessTokenOf('[]'),
      {},
      'malformed',
      'a JSON object of at most 64 levels as payload',
      undefined
    ],
    ['no end', accessToken({ claims: { exp: undefined } }), {}, 'claim', 'a claim exp', undefined],
    ['a text that is no signature', `${accessToken()}AAA`, {}, 'malformed', 'a signature in base64url', undefined],
    [
      'an algorithm that is not allowed',
      accessToken({ header: { alg: 'none' } }),
      { algorithms: ['ES256', 'EdDSA'] },
      'algorithm',
      ['ES256', 'EdDSA'],
      'none'
    ],
    ['an extension', accessToken({ header: { crit: ['x'] } }), {}, 'critical_header', undefined, ['x']],
    [
      'a kid that is too long',
      accessToken({ header: { kid: 'k'.repeat(257) } }),
      {},
      'unknown_key',
      'a kid of at most 256 characters',
      undefined
    ],
    ['another type', accessToken(typ), {}, 'type', 'at+jwt', 'JWE'],
    [
      'another type, under the profile legacy',
      accessToken(typ),
      { tokenProfile: 'legacy' },
      'type',
      'at+jwt, JWT or none',
      'JWE'
    ]
  ])('of %s', async (_, token, issuer, reason, expected, received) => {
    const error = await refusal(() => api({}, issuer).authorize(bearer(token)))
    expect([error.reason, error.expected, error.received]).toEqual([reason, expected, received])
  })
})
