/** Looks for unknown keys (KEY-07), by a clock that tests set and by a model of what may be answered. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Dated } from '../../src/documents/source.js'
import { TooManyRequests, Unavailable } from '../../src/errors/errors.js'
import type { KeySet } from '../../src/jwt/key-set.js'
import { createLooks, type Missing } from '../../src/jwt/looks.js'

type TestSet = KeySet & Dated & { readonly kids: readonly string[] }

/** A published key set, with looks at it. `deadline` is long; a look takes as long as `gate` is closed. */
function published(...kids: string[]) {
  const state = { time: 1000, kids, isDown: false, isOthersTurn: false, fetches: 0, gate: Promise.resolve() }
  const setOf = (): TestSet => {
    const names = [...state.kids]
    return {
      kids: names,
      fetchedAt: state.time,
      refreshAt: state.time + 600,
      freshUntil: state.time + 600,
      has: (kid: string) => names.includes(kid),
      count: () => names.length
    } as unknown as TestSet
  }
  let held = setOf()
  let renewals = 0
  const looks = createLooks<TestSet>({
    now: () => state.time,
    deadline: 5,
    held: () => held,
    look: async () => {
      state.fetches++
      const set = setOf()
      await state.gate
      if (state.isDown) throw new Unavailable('jwks', 'down')
      if (state.isOthersTurn) return undefined
      held = set
      return set
    },
    renew: async () => {
      renewals++
      held = setOf()
    }
  })
  const missing = (kid: string, iat: unknown = state.time): Missing => ({ kid, algorithm: 'ES256', iat })
  /** What becomes of a token by this key. */
  const ask = async (kid: string, iat?: unknown): Promise<200 | 401 | 429 | 503> => {
    if (held.has(kid)) return 200
    try {
      return (await looks.find(held, missing(kid, iat))).has(kid) ? 200 : 401
    } catch (error) {
      if (error instanceof TooManyRequests) return 429
      if (error instanceof Unavailable) return 503
      throw error
    }
  }
  return {
    state,
    ask,
    suspect: () => looks.suspect(),
    renewals: () => renewals,
    renewNow: () => {
      held = setOf()
    }
  }
}

describe('looks for unknown keys', () => {
  test('KEY-07: after one junk token and a rotation, tokens by the new key are never 401', async () => {
    const { state, ask } = published('old')
    expect(await ask('junk')).toBe(401)
    state.kids = ['new']
    state.time += 0.5
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('new')))
    expect(answers).toEqual(Array(20).fill(200))
    expect(state.fetches).toBe(2)
  })

  test('KEY-07: 100 junk tokens a second for 28 s cause three fetches, and all tokens by known keys are accepted', async () => {
    const { state, ask } = published('old')
    const asked: Promise<number>[] = []
    for (let i = 0; i < 2800; i++) {
      asked.push(ask(`junk-${i}`))
      state.time += 0.01
      expect(await ask('old')).toBe(200)
      // Looks take turns of the event loop in which the clock stands still here.
      if (i === 100 || i === 400 || i === 700) await asked[i]
    }
    const answers = await Promise.all(asked)
    expect(state.fetches).toBe(3)
    expect(new Set(answers)).toEqual(new Set([401, 429]))
  })

  test('KEY-07: of 100 tokens that wait for the next look, the newest 64 wait and the others get 429', async () => {
    const { state, ask } = published('old')
    expect(await ask('junk')).toBe(401)
    state.kids = ['new']
    state.time += 1.9
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask('new')))
    expect(answers).toEqual([...Array(36).fill(429), ...Array(64).fill(200)])
    expect(state.fetches).toBe(2)
  })

  test('KEY-07: of 1,100 tokens that arrive at once while a look is due, the newest 1,000 share it', async () => {
    const { state, ask } = published('old')
    const answers = await Promise.all(Array.from({ length: 1100 }, (_, i) => ask(`junk-${i}`)))
    expect(answers).toEqual([...Array(100).fill(429), ...Array(1000).fill(401)])
    expect(state.fetches).toBe(1)
  })

  test('KEY-07: remembers 1,000 absent names for 10 s; the oldest is looked for again', async () => {
    const { state, ask } = published('old')
    const gather = async (from: number, count: number): Promise<unknown> =>
      Promise.all(Array.from({ length: count }, (_, i) => ask(`junk-${from + i}`)))
    await gather(0, 1000)
    state.time += 2
    await gather(1000, 1)
    expect(state.fetches).toBe(2)
    expect(await ask('junk-1')).toBe(401)
    expect(await ask('junk-1000')).toBe(401)
    expect(state.fetches).toBe(2)
    state.time += 2
    expect(await ask('junk-0')).toBe(401)
    expect(state.fetches).toBe(3)
  })

  test('KEY-07: a token that arrives during a look gets a look that began after it', async () => {
    const { state, ask } = published('old')
    let open = (): void => undefined
    state.gate = new Promise((resolve) => {
      open = resolve
    })
    const junk = ask('junk')
    while (state.fetches === 0) await new Promise((resolve) => setImmediate(resolve))
    state.kids = ['new']
    state.time += 1.9
    const late = ask('new')
    open()
    expect(await junk).toBe(401)
    expect(await late).toBe(200)
    expect(state.fetches).toBe(2)
  })

  test('KEY-07: a set that was renewed meanwhile and has the key needs no look', async () => {
    const { state, ask, renewNow } = published('old')
    const before = { ...state }
    state.kids = ['new']
    renewNow()
    expect(await ask('new')).toBe(200)
    expect(state.fetches).toBe(before.fetches)
  })

  test('KEY-07: a set that is renewed while tokens gather decides about those whose key it has; the others get their look', async () => {
    const { state, ask, renewNow } = published('old')
    state.kids = ['new']
    const asked = [ask('new'), ask('junk')]
    renewNow()
    state.isDown = true
    expect(await Promise.all(asked)).toEqual([200, 503])
    expect(state.fetches).toBe(1)
  })

  test.each([
    ['that another process should make', { isOthersTurn: true }, 429],
    ['that fails', { isDown: true }, 503]
  ] as const)(
    'KEY-07: a set that is renewed during a look %s decides about tokens whose key it has',
    async (_, trouble, others) => {
      const { state, ask, renewNow } = published('old')
      let open = (): void => undefined
      Object.assign(state, trouble, {
        gate: new Promise<void>((resolve) => {
          open = resolve
        })
      })
      const asked = [ask('new'), ask('junk')]
      while (state.fetches === 0) await new Promise((resolve) => setImmediate(resolve))
      state.kids = ['new']
      renewNow()
      open()
      expect(await Promise.all(asked)).toEqual([200, others])
    }
  )

  test('KEY-07: refuses a token with an iat five minutes before the last look with 401, without another look', async () => {
    const { state, ask } = published('old')
    expect(await ask('junk')).toBe(401)
    state.time += 100
    expect(await ask('other', state.time - 400)).toBe(401)
    expect(state.fetches).toBe(1)
    expect(await ask('other', state.time - 399)).toBe(401)
    expect(state.fetches).toBe(2)
  })

  test('KEY-08: a failed look is 503 and uses up none of the three', async () => {
    const { state, ask } = published('old')
    state.isDown = true
    for (let i = 0; i < 5; i++) expect(await ask(`junk-${i}`)).toBe(503)
    state.isDown = false
    state.kids = ['new']
    expect(await ask('new')).toBe(200)
  })

  test('KEY-07: wrong signatures by known keys renew the set once in 30 s, and use up no look', async () => {
    const { state, ask, suspect, renewals } = published('old')
    for (let i = 0; i < 60; i++) {
      suspect()
      state.time += 1
    }
    expect(renewals()).toBe(2)
    for (const kid of ['a', 'b', 'c']) {
      expect(await ask(kid)).toBe(401)
      state.time += 2
    }
    expect(await ask('d')).toBe(429)
  })

  test('KEY-07: a clock that is set back stretches no period', async () => {
    const { state, ask } = published('old')
    expect(await ask('junk')).toBe(401)
    state.time -= 500
    state.kids = ['new']
    expect(await ask('new')).toBe(200)
    expect(await ask('junk')).toBe(401)
  })
})

describe('looks for unknown keys, in any order of rotations, junk, outages and time', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant('junk' as const), name: fc.integer({ min: 0, max: 5 }) }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('good' as const) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('rotate' as const) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('outage' as const), isDown: fc.boolean() }) },
    // Never between 0 and 2 s before a look: a token that waits by a timer would make the test slow.
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('wait' as const), seconds: fc.integer({ min: 2, max: 15 }) })
    }
  )

  test('KEY-07: a published key is never 401, junk is never accepted, and fetches stay within three in 30 s', async () => {
    const answers = new Map<number, number>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const { state, ask } = published('k0')
        let generation = 0
        const fetchedAt: number[] = []
        for (const one of steps) {
          if (one.what === 'wait') state.time += one.seconds
          else if (one.what === 'rotate') state.kids = [`k${++generation}`]
          else if (one.what === 'outage') state.isDown = one.isDown
          else {
            const recent = fetchedAt.filter((at) => state.time < at + 30)
            const last = fetchedAt.at(-1) ?? Number.NEGATIVE_INFINITY
            // It would wait for two seconds.
            if (state.time < last + 2) state.time = last + 2
            const before = state.fetches
            const answer = await ask(one.what === 'good' ? `k${generation}` : `junk-${one.name}`)
            const hasLooked = state.fetches > before
            if (hasLooked && !state.isDown) fetchedAt.push(state.time)
            answers.set(answer, (answers.get(answer) ?? 0) + 1)
            expect(answer).not.toBe(one.what === 'good' ? 401 : 200)
            if (answer === 503) expect(state.isDown).toBe(true)
            if (answer === 429) expect(recent.length).toBeGreaterThanOrEqual(3)
            if (recent.length >= 3) expect(hasLooked).toBe(false)
          }
        }
      }),
      {
        numRuns: 30,
        seed: 20_261_129,
        // One of each answer, whatever chance brings.
        examples: [
          [
            [
              { what: 'good' },
              { what: 'junk', name: 0 },
              { what: 'wait', seconds: 15 },
              { what: 'outage', isDown: true },
              { what: 'junk', name: 1 }
            ]
          ]
        ]
      }
    )
    for (const answer of [200, 401, 503]) expect(answers.get(answer)).toBeGreaterThan(0)
  })
})
