/** The rate, the number of requests, and the waits that a 429 asks for, on a clock of the test. */
import { describe, expect, test } from 'vitest'
import type { WireResponse } from '../../conformance/check.js'
import { BudgetSpent, createPace, type PaceOptions } from '../../conformance/engine/pace.js'

const answer = (status: number, retryAfter?: string): WireResponse => ({
  status,
  body: '',
  fields: retryAfter === undefined ? [] : [['retry-after', retryAfter]]
})

/** A pace whose waits move its clock. */
function start(options: Partial<PaceOptions> = {}): { pace: ReturnType<typeof createPace>; clock: { now: number } } {
  const clock = { now: 1_000_000 }
  const pace = createPace({
    rate: 2,
    maxRequests: 100,
    now: () => clock.now,
    wait: async (milliseconds) => {
      clock.now += milliseconds
    },
    ...options
  })
  return { pace, clock }
}

describe('pace', () => {
  test('lets requests that are asked for at once leave one after the other', async () => {
    const waits: number[] = []
    const { pace } = start({ wait: async (milliseconds) => void waits.push(milliseconds) })
    await Promise.all(Array.from({ length: 4 }, () => pace.run(async () => answer(401))))
    expect(waits).toEqual([500, 1000, 1500])
  })

  test('sends two requests a second', async () => {
    const { pace, clock } = start()
    const times: number[] = []
    for (let i = 0; i < 4; i++)
      await pace.run(async () => {
        times.push(clock.now - 1_000_000)
        return answer(401)
      })
    expect(times).toEqual([0, 500, 1000, 1500])
  })

  test('keeps the distance after a timer that was late', async () => {
    const clock = { now: 1_000_000 }
    const pace = createPace({
      rate: 2,
      maxRequests: 100,
      now: () => clock.now,
      wait: async (milliseconds) => {
        clock.now += milliseconds + 180
      }
    })
    const times: number[] = []
    for (let index = 0; index < 4; index++)
      await pace.run(async () => {
        times.push(clock.now - 1_000_000)
        return answer(401)
      })
    expect(times).toEqual([0, 680, 1360, 2040])
  })

  test('does not wait with an infinite rate', async () => {
    const { pace, clock } = start({ rate: Number.POSITIVE_INFINITY })
    for (let i = 0; i < 50; i++) await pace.run(async () => answer(401))
    expect(clock.now).toBe(1_000_000)
  })

  test('ends when all requests are sent, and counts repetitions', async () => {
    const { pace } = start({ maxRequests: 3 })
    let sent = 0
    const send = async (): Promise<WireResponse> => answer(++sent === 1 ? 429 : 401, '1')
    await pace.run(send)
    await pace.run(send)
    await expect(pace.run(send)).rejects.toThrow(BudgetSpent)
    expect(sent).toBe(3)
    expect(pace.sent).toBe(3)
  })

  test.each([
    ['seconds', '7', 7],
    ['a date', new Date(1_009_000).toUTCString(), 9],
    ['nothing', undefined, 5],
    ['an hour, which is shortened', '3600', 60],
    ['a number without sense, which is shortened', '99999999999999999999', 60],
    ['a negative number', '-5', 5],
    ['a date of the past', new Date(0).toUTCString(), 0],
    ['a word', 'soon', 5]
  ])('waits as a 429 asks, by %s', async (_how, field, seconds) => {
    const waits: number[] = []
    const { pace } = start({ onWait: (one) => waits.push(one) })
    let sent = 0
    const response = await pace.run(async () => (++sent === 1 ? answer(429, field) : answer(200)))
    expect(response.status).toBe(200)
    expect(waits).toEqual([seconds])
  })

  test('takes the fourth 429 for the answer', async () => {
    const { pace } = start()
    expect((await pace.run(async () => answer(429, '0'))).status).toBe(429)
    expect(pace.sent).toBe(4)
  })

  test('sends nothing more after two requests in a row whose 429 no wait changes, and counts those sent at once as one', async () => {
    const { pace } = start()
    const send = async (): Promise<WireResponse> => answer(429, '0')
    await Promise.all([pace.run(send), pace.run(send), pace.run(send)])
    await pace.run(async () => answer(200))
    await pace.run(send)
    await pace.run(send)
    const sent = pace.sent
    await expect(pace.run(send)).rejects.toThrow(/answers 429 to each request, however long the suite waits/)
    expect(pace.sent).toBe(sent)
  })

  test('takes a 429 for the answer at once, if it may not be repeated', async () => {
    const { pace, clock } = start()
    expect((await pace.run(async () => answer(429, '7'), 0)).status).toBe(429)
    expect([pace.sent, clock.now]).toEqual([1, 1_000_000])
  })
})
