/** Requests that wait: one deadline each, and a question that ends with the last of them. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCallers, createQuestion, type Waiting } from '../../src/http/callers.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const late = { status: 503, dependency: 'introspection', retryAfter: 5, hint: expect.stringContaining('http.deadline') }
const never = new Promise<never>(() => {})

/** A question that is never answered, and what it knows of those who wait. */
function asked(deadline: number) {
  let waiting: Waiting | undefined
  let endings = 0
  const question = createQuestion(
    (given) => {
      waiting = given
      return never
    },
    createCallers(deadline),
    () => endings++
  )
  return { question, waiting: waiting as unknown as Waiting, endings: () => endings }
}

describe('a question', () => {
  test('keeps each caller for the deadline from its own arrival, and ends with the last caller', async () => {
    const { question, waiting, endings } = asked(5)
    const first = question.join({})
    const outcome = expect(first).rejects.toMatchObject(late)
    vi.advanceTimersByTime(3000)
    const second = expect(question.join({})).rejects.toMatchObject(late)
    vi.advanceTimersByTime(2100)
    await outcome
    expect([waiting.signal.aborted, endings()]).toEqual([false, 0])
    vi.advanceTimersByTime(3000)
    await second
    expect([waiting.signal.aborted, endings()]).toEqual([true, 1])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is answered even if every caller left after it was sent', async () => {
    const { question, waiting, endings } = asked(5)
    const only = expect(question.join({})).rejects.toMatchObject(late)
    waiting.goOut()
    vi.advanceTimersByTime(5100)
    await only
    expect([waiting.signal.aborted, endings()]).toEqual([false, 0])
  })

  test('is left by a client that disconnects, once, also if it disconnected before', async () => {
    const { question, waiting } = asked(5)
    let call = (): void => {}
    let ended = 0
    const leaving = question.join({
      onGone: (listener) => {
        call = listener
        return () => ended++
      }
    })
    const outcome = expect(leaving).rejects.toMatchObject({ status: 503 })
    const other = expect(
      question.join({
        onGone: (listener) => {
          listener()
          return () => ended++
        }
      })
    ).rejects.toMatchObject({ status: 503 })
    await other
    expect(waiting.signal.aborted).toBe(false)
    call()
    call()
    await outcome
    expect([waiting.signal.aborted, ended, vi.getTimerCount()]).toEqual([true, 2, 0])
  })

  test('that fails without callers leaves no unhandled rejection', async () => {
    const callers = createCallers(5)
    const question = createQuestion(
      async ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      callers,
      () => undefined
    )
    const only = expect(question.join({})).rejects.toMatchObject(late)
    vi.advanceTimersByTime(5100)
    await only
  })
})

describe('the deadline of a request', () => {
  test('counts from the request’s first wait, whatever it waits for later', async () => {
    const callers = createCallers(5)
    const request = {}
    const keys = callers.inTime(never, request, 'jwks') as Promise<never>
    const outcome = expect(keys).rejects.toMatchObject({ status: 503, dependency: 'jwks' })
    vi.advanceTimersByTime(4000)
    const list = expect(callers.inTime(never, request, 'status_list')).rejects.toMatchObject({ status: 503 })
    vi.advanceTimersByTime(1100)
    await Promise.all([outcome, list])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('begins anew if the same request is decided again much later', () => {
    const callers = createCallers(5)
    const request = {}
    expect(callers.left(request)).toBe(5100)
    vi.advanceTimersByTime(60_000)
    expect(callers.left(request)).toBe(5100)
  })

  test('costs nothing for a known value, and leaves no timer after a promise', async () => {
    const callers = createCallers(5)
    expect(callers.inTime('there', {}, 'jwks')).toBe('there')
    expect(vi.getTimerCount()).toBe(0)
    expect(await callers.inTime(Promise.resolve('soon'), {}, 'jwks')).toBe('soon')
    await Promise.resolve()
    expect(vi.getTimerCount()).toBe(0)
  })
})
