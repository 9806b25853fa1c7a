/** Where and when signatures are checked: alone at once, of a burst a batch in each turn, and what is left by libuv's pool. */
import { type KeyObject, sign } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { isPromise } from '../../src/base/awaitable.js'
import { setWorld, world } from '../../src/base/world.js'
import { createSignatureKey } from '../../src/jwt/algorithms.js'
import { createVerifySignature } from '../../src/jwt/verify-signature.js'
import { createSigningKey, signature } from '../support/issuer.js'
import { accessToken, api, bearer, outcome } from '../support/refusals.js'
import { allOf, decideIn, PLACES } from '../support/verify-signature.js'

/** Checks as they were begun; `hold` keeps what the pool has done until `release`. */
const seen = vi.hoisted(() => ({
  places: '',
  /** On this thread. */
  made: 0,
  held: undefined as (() => void)[] | undefined
}))

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return {
    ...crypto,
    verify: (...all: Parameters<typeof crypto.verify>) => {
      const [digest, data, key, signed, callback] = all as Partial<typeof all>
      seen.places += callback ? 'p' : 'h'
      if (!digest || !data || !key || !signed) throw new TypeError('a call that this does not know')
      if (!callback) {
        seen.made++
        return crypto.verify(digest, data, key, signed)
      }
      return crypto.verify(digest, data, key, signed, (error, valid) => {
        const done = (): void => callback(error, valid)
        if (seen.held) seen.held.push(done)
        else done()
      })
    }
  }
})

const pair = createSigningKey('ES256')
const key = createSignatureKey('ES256', pair.publicKey)
const text = 'header.payload'
const right = signature(text, pair)
const good = segment(right)
const wrong = segment(Buffer.from(right.map((byte, i) => (i === 0 ? byte ^ 1 : byte))))

function segment(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

/** As the checks of the next turn of the event loop were begun: here, or on the pool. */
async function nextTurn(): Promise<string> {
  seen.places = ''
  await new Promise((resolve) => setImmediate(resolve))
  return seen.places
}

beforeEach(() => {
  seen.places = ''
  seen.made = 0
  seen.held = undefined
})

/** What is held waits for nobody's sake but the test's. */
afterEach(() => release())

function release(): void {
  const held = seen.held ?? []
  seen.held = undefined
  for (const done of held) done()
}

/** @param checks  that a batch has time for: nothing but checks on this thread takes any */
function createClocked(checks: number, cores = 2): ReturnType<typeof createVerifySignature> {
  return createVerifySignature(() => seen.made * (0.5 / checks), cores)
}

test.each([
  ['at once', 'h'],
  ['in a batch', 'hhh'],
  ['on the pool', 'hhhp']
] as const)('the tests of algorithms run on the intended thread: %s', async (place, places) => {
  expect(await decideIn(place, key, text, good)).toBe(true)
  expect(seen.places).toBe(places)
})

describe('long inputs', () => {
  test.each(PLACES)('are checked like short ones: %s', async (place) => {
    for (const length of [4095, 4096, 4097, 100_000]) {
      const long = 'a'.repeat(length)
      const signed = segment(sign('sha256', Buffer.from(long), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }))
      expect(await decideIn(place, key, long, signed)).toBe(true)
      expect(await decideIn(place, key, `${long}a`, signed)).toBe(false)
      expect(await decideIn(place, key, long.slice(1), signed)).toBe(false)
    }
  })
})

describe('a burst', () => {
  test('makes two checks of a turn at once and the others in their batch, with equal results', async () => {
    const verify = createClocked(4)
    const results = Array.from({ length: 9 }, (_, i) => verify(key, text, i % 2 ? wrong : good))
    expect(results.map(isPromise)).toEqual([false, false, ...Array.from({ length: 7 }, () => true)])
    expect(seen.places).toBe('hh')
    // Four of them have time, and what is left is the pool's.
    expect(await nextTurn()).toBe('hhhhppp')
    expect(await allOf(results)).toEqual(results.map((_, i) => i % 2 === 0))
    expect(await nextTurn()).toBe('')
    expect([verify(key, text, good), verify(key, text, wrong)]).toEqual([true, false])
  })

  test('with one core, uses no other thread, batch by batch', async () => {
    const verify = createClocked(4, 1)
    const results = Array.from({ length: 12 }, () => verify(key, text, good))
    expect([await nextTurn(), await nextTurn(), await nextTurn(), await nextTurn()]).toEqual(['hhhh', 'hhhh', 'hh', ''])
    expect(await allOf(results)).toEqual(results.map(() => true))
  })

  test('without a clock of its own, a batch lasts half a millisecond of the world', async () => {
    const leave = setWorld({ ...world, monotonic: () => seen.made * (0.5 / 4) })
    try {
      const verify = createVerifySignature(undefined, 2)
      const results = Array.from({ length: 9 }, () => verify(key, text, good))
      expect(await nextTurn()).toBe('hhhhppp')
      expect(await allOf(results)).toEqual(results.map(() => true))
    } finally {
      leave()
    }
  })

  test('treats a check that takes longer than a batch as a batch', async () => {
    const verify = createClocked(0.1, 1)
    const results = [1, 2, 3, 4].map(() => verify(key, text, good))
    expect([await nextTurn(), await nextTurn(), await nextTurn()]).toEqual(['h', 'h', ''])
    expect(await allOf(results)).toEqual([true, true, true, true])
  })

  test('a new check does not overtake waiting ones', async () => {
    const verify = createClocked(2, 1)
    const order: number[] = []
    const ask = async (i: number): Promise<void> => {
      expect(await verify(key, text, good)).toBe(true)
      order.push(i)
    }
    const asked = [0, 1, 2, 3, 4, 5].map(ask)
    await nextTurn()
    asked.push(ask(6))
    await Promise.all(asked)
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test('gives the pool 32 checks at most, however long they take, and continues on this thread', async () => {
    const verify = createClocked(16)
    seen.held = []
    const results = Array.from({ length: 82 }, () => verify(key, text, good))
    // A quarter of the 80 that wait, though there is time for 16.
    expect(await nextTurn()).toBe('h'.repeat(20) + 'p'.repeat(32))
    expect([await nextTurn(), await nextTurn(), await nextTurn()]).toEqual(['h'.repeat(16), 'h'.repeat(12), ''])
    await vi.waitFor(() => expect(seen.held).toHaveLength(32))
    release()
    expect(await allOf(results)).toEqual(results.map(() => true))
    // What came back has left its place to others.
    const more = Array.from({ length: 82 }, () => verify(key, text, good))
    expect(await nextTurn()).toBe('h'.repeat(20) + 'p'.repeat(32))
    expect(await allOf(more)).toEqual(more.map(() => true))
  })

  test('checks a quarter of the queue per turn, however long that takes', async () => {
    const verify = createClocked(1, 1)
    const results = Array.from({ length: 11 }, () => verify(key, text, good))
    const turns: number[] = []
    for (let i = 0; i < 8; i++) turns.push((await nextTurn()).length)
    expect(turns).toEqual([3, 2, 1, 1, 1, 1, 0, 0])
    expect(await allOf(results)).toEqual(results.map(() => true))
  })

  test('lets 256 checks wait: each further one runs the oldest at once', async () => {
    const verify = createClocked(1, 1)
    const done: number[] = []
    const results = Array.from({ length: 263 }, async (_, i) => {
      const valid = await verify(key, text, i % 2 ? wrong : good)
      done.push(i)
      return valid
    })
    expect(seen.places).toBe('h'.repeat(7))
    await Promise.resolve()
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(await nextTurn()).toBe('h'.repeat(64))
    expect(await allOf(results)).toEqual(results.map((_, i) => i % 2 === 0))
    expect(done).toEqual(results.map((_, i) => i))
  })

  test('faked timers do not make a request hang', async () => {
    vi.useFakeTimers()
    try {
      const verify = createVerifySignature(undefined, 1)
      for (let i = 0; i < 3; i++)
        expect(await allOf([1, 2, 3, 4].map(() => verify(key, text, good)))).toEqual([true, true, true, true])
    } finally {
      vi.useRealTimers()
    }
  })

  test('makes at least one and at most two new checks per turn, whatever the turn before did', async () => {
    const verify = createClocked(10, 1)
    const turn = async (): Promise<readonly boolean[]> => {
      const results = [1, 2, 3].map(() => verify(key, text, good))
      await allOf(results)
      await nextTurn()
      return results.map(isPromise)
    }
    expect(verify(key, text, good)).toBe(true)
    await nextTurn()
    expect(await turn()).toEqual([false, true, true])
    expect(await turn()).toEqual([false, false, true])
  })

  test('refuses a signature of another length without a check or a turn', () => {
    const verify = createVerifySignature()
    for (let i = 0; i < 10; i++) expect(verify(key, text, segment(right.subarray(1)))).toBe(false)
    expect(verify(key, text, good)).toBe(true)
  })

  test.each(PLACES)('characters that a decoder skips are not part of a signature: %s', async (place) => {
    const { publicKey, privateKey } = createSigningKey('ES512')
    const large = createSignatureKey('ES512', publicKey)
    const half = large.signatureLength / 2
    // Without their first zeros, R and S are the same numbers: of fewer bytes, and as many characters.
    let bytes: Buffer
    do bytes = sign('sha512', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    while (bytes[0] !== 0 || bytes[half] !== 0)
    const shorter = Buffer.concat([bytes.subarray(1, half), bytes.subarray(half + 1)])
    expect(await decideIn(place, large, text, segment(bytes))).toBe(true)
    for (const filler of ['   ', '...', '!!!'])
      expect(await decideIn(place, large, text, `${segment(shorter)}${filler}`)).toBe(false)
  })

  test.each([
    ['a key of another kind', createSigningKey('EdDSA').publicKey],
    ['no key at all', {} as KeyObject]
  ])('a check that fails to run is an error, and no result, for itself or for another check: %s', async (_, none) => {
    const unfit = { digest: 'sha256', input: { key: none }, signatureLength: 64, isEcdsa: true }
    const zeros = segment(Buffer.alloc(64))
    for (const place of PLACES) await expect(decideIn(place, unfit, text, zeros)).rejects.toThrow()
    const verify = createClocked(2)
    const results = [good, good, zeros, good, zeros, good].map((one) => verify(one === zeros ? unfit : key, text, one))
    const settled = await Promise.allSettled(results.map(async (one) => one))
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled'
    ])
    // None of them keeps a place on the pool.
    const more = Array.from({ length: 50 }, () => verify(key, text, good))
    expect(await nextTurn()).toBe(`${'h'.repeat(12)}${'p'.repeat(32)}`)
    expect(await allOf(more)).toEqual(more.map(() => true))
  })

  test('decides each of many requests by itself', async () => {
    const server = api()
    const tokens = Array.from({ length: 60 }, (_, i) => {
      const token = accessToken({ claims: { jti: `t${i}` } })
      return i % 3 ? token : `${token.slice(0, -8)}${token.slice(-8) === 'AAAAAAAA' ? 'BBBBBBBA' : 'AAAAAAAA'}`
    })
    const statuses = await Promise.all(tokens.map(async (token) => (await outcome(server, bearer(token))).status))
    expect(statuses).toEqual(tokens.map((_, i) => (i % 3 ? 200 : 401)))
  })
})
