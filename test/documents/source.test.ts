/** Each decorator of a remote document by itself, and all of them together, by a clock that is moved. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { coalesced, cooled, type Dated, fresh, type Source, staleOnError } from '../../src/documents/source.js'
import { Unavailable } from '../../src/errors/errors.js'
import { createClock } from '../support/issuer.js'

interface Document extends Dated {
  readonly name: string
}

/** A document that comes now, wants renewing after 80 s and is fresh for 100 s. */
function document(name: string, fetchedAt: number): Document {
  return { name, fetchedAt, refreshAt: fetchedAt + 80, freshUntil: fetchedAt + 100 }
}

/** Something to load, which can fail, wait, and tell how often and for what it was asked. */
function loader(now: () => number) {
  const calls: boolean[] = []
  let failing: Error | undefined
  let gate: Promise<void> | undefined
  return {
    calls,
    load: async (again: boolean): Promise<Document> => {
      calls.push(again)
      const name = `d${calls.length}`
      await gate
      if (failing) throw failing
      return document(name, now())
    },
    fail: (error: Error | undefined): void => {
      failing = error
    },
    /** Lets loads begin but not end, until the function returned is called. */
    hold: (): (() => void) => {
      let open = (): void => {}
      gate = new Promise((resolve) => {
        open = () => {
          gate = undefined
          resolve()
        }
      })
      return open
    }
  }
}

const cooling = { window: 30, firstBackoff: 1, random: () => 1 }

describe('cooled', () => {
  function start(random = () => 1) {
    const clock = createClock(1000)
    const from = loader(clock.now)
    return { clock, ...from, source: cooled(from.load, { ...cooling, now: clock.now, random }) }
  }

  test('a second renewal within the window returns the document of the first', async () => {
    const { source, calls, clock } = start()
    const first = await source()
    clock.advance(29.999)
    expect(source()).toBe(first)
    clock.advance(0.001)
    expect(await source()).not.toBe(first)
    expect(calls).toEqual([false, false])
  })

  test('a miss right after a renewal is fetched once, and tells the loader that the last document was not enough', async () => {
    const { source, calls } = start()
    const first = await source()
    const second = await source(first)
    expect(second).toMatchObject({ name: 'd2' })
    expect(source(second)).toBe(second)
    expect(source(first)).toBe(second)
    expect(calls).toEqual([false, true])
  })

  test('misses never use up the renewal', async () => {
    const { source, calls, clock } = start()
    let held = await source()
    clock.advance(30)
    held = await source(held)
    for (let i = 0; i < 100; i++) held = await source(held)
    expect(calls).toEqual([false, true])
    expect(await source()).toMatchObject({ name: 'd3' })
    expect(calls).toEqual([false, true, false])
  })

  test('renewals never use up the attempt for a miss', async () => {
    const { source, calls, clock } = start()
    await source()
    clock.advance(30)
    const held = await source()
    expect(await source(held)).toMatchObject({ name: 'd3' })
    expect(calls).toEqual([false, false, true])
  })

  test('a failure is remembered during its back-off, for every purpose, as the same error', async () => {
    const { source, calls, clock, fail } = start()
    const first = await source()
    const error = new Error('down')
    fail(error)
    clock.advance(30)
    await expect(source()).rejects.toBe(error)
    clock.advance(0.999)
    expect(() => source()).toThrow(error)
    expect(() => source(first)).toThrow(error)
    expect(calls).toHaveLength(2)
    clock.advance(0.001)
    await expect(source(first)).rejects.toBe(error)
    expect(calls).toHaveLength(3)
  })

  test('the back-off doubles up to the window, and starts again after a success', async () => {
    const { source, calls, clock, fail } = start()
    const error = new Error('down')
    fail(error)
    await expect(source()).rejects.toBe(error)
    for (const pause of [1, 2, 4, 8, 16, 30, 30]) {
      clock.advance(pause - 0.001)
      const before = calls.length
      expect(() => source()).toThrow(error)
      expect(calls).toHaveLength(before)
      clock.advance(0.001)
      await expect(source()).rejects.toBe(error)
    }
    fail(undefined)
    clock.advance(30)
    await source()
    fail(error)
    clock.advance(30)
    await expect(source()).rejects.toBe(error)
    clock.advance(1)
    await expect(source()).rejects.toBe(error)
  })

  test('nine tenths of the back-off are random, so that a fleet does not retry in step', async () => {
    for (const random of [0, 0.5]) {
      const { source, calls, clock, fail } = start(() => random)
      fail(new Error('down'))
      await expect(source()).rejects.toThrow('down')
      clock.advance(0.1 + random * 0.9 - 0.001)
      expect(() => source()).toThrow('down')
      clock.advance(0.002)
      await expect(source()).rejects.toThrow('down')
      expect(calls).toHaveLength(2)
    }
  })

  test('a server that asks for more time gets it, and callers meanwhile get the remaining time', async () => {
    const { source, calls, clock, fail } = start(() => 0)
    fail(new Unavailable('jwks', 'as.example answered 429', { retryAfter: 120, cause: 'the answer' }))
    await expect(source()).rejects.toMatchObject({ retryAfter: 120 })
    clock.advance(99.5)
    expect(() => source()).toThrow(
      expect.objectContaining({
        status: 503,
        dependency: 'jwks',
        retryAfter: 21,
        cause: 'the answer',
        hint: expect.stringMatching(/^as\.example answered 429\. /)
      })
    )
    clock.advance(20.4)
    expect(() => source()).toThrow(expect.objectContaining({ retryAfter: 1 }))
    expect(calls).toHaveLength(1)
    fail(undefined)
    clock.advance(0.1)
    await source()
    expect(calls).toHaveLength(2)
  })

  test('a server’s Retry-After counts for at most five minutes', async () => {
    const { source, calls, clock, fail } = start(() => 0)
    fail(new Unavailable('jwks', 'as.example answered 503', { retryAfter: 3600 }))
    await expect(source()).rejects.toMatchObject({ retryAfter: 3600 })
    clock.advance(299.9)
    expect(() => source()).toThrow(expect.objectContaining({ retryAfter: 1 }))
    clock.advance(0.1)
    await expect(source()).rejects.toMatchObject({ retryAfter: 3600 })
    expect(calls).toHaveLength(2)
  })

  test('a server that asks for less time than the back-off does not shorten it', async () => {
    const { source, calls, clock, fail } = start()
    fail(new Unavailable('jwks', 'as.example answered 503', { retryAfter: 1 }))
    for (const pause of [1, 2, 4]) {
      await expect(source()).rejects.toMatchObject({ retryAfter: pause })
      clock.advance(pause - 0.001)
      expect(() => source()).toThrow(expect.objectContaining({ retryAfter: 1 }))
      clock.advance(0.001)
    }
    expect(calls).toHaveLength(3)
  })

  test('without Retry-After, no caller is told to retry before the next attempt', async () => {
    const { source, calls, clock, fail } = start()
    fail(new Unavailable('jwks', 'as.example could not be reached', { cause: 'the socket' }))
    for (const [pause, said] of [
      [1, 5],
      [2, 5],
      [4, 5],
      [8, 8],
      [16, 16],
      [30, 30]
    ] as const) {
      await expect(source()).rejects.toMatchObject({ retryAfter: said, cause: 'the socket' })
      clock.advance(pause - 0.5)
      expect(() => source()).toThrow(expect.objectContaining({ retryAfter: 5, cause: 'the socket' }))
      clock.advance(0.5)
    }
    await expect(source()).rejects.toMatchObject({ retryAfter: 30 })
    clock.advance(9.5)
    expect(() => source()).toThrow(expect.objectContaining({ retryAfter: 21 }))
    expect(calls).toHaveLength(7)
  })

  test('the remaining back-off in another document’s error is not taken for a Retry-After of the server', async () => {
    const { source, clock, fail } = start(() => 0)
    // As the error of one document that is the failure of another: of its back-off, not of the server's.
    fail(new Unavailable('metadata', 'as.example could not be reached').later(20))
    await expect(source()).rejects.toMatchObject({ retryAfter: 20 })
    clock.advance(0.1)
    fail(undefined)
    expect(await source()).toMatchObject({ name: 'd2' })
  })

  test('after an outage the next attempt does not wait for the window', async () => {
    const { source, clock, fail } = start()
    await source()
    clock.advance(30)
    fail(new Error('down'))
    await expect(source()).rejects.toThrow('down')
    fail(undefined)
    clock.advance(1)
    expect(await source()).toMatchObject({ name: 'd3' })
  })

  test('a clock that is set back permits the next attempt, and stretches neither the window nor the back-off', async () => {
    const { source, calls, clock, fail } = start()
    await source()
    clock.advance(-10)
    await source()
    expect(calls).toHaveLength(2)
    fail(new Error('down'))
    clock.advance(60)
    await expect(source()).rejects.toThrow('down')
    clock.advance(-3600)
    await expect(source()).rejects.toThrow('down')
    expect(calls).toHaveLength(4)
  })
})

describe('coalesced', () => {
  test('concurrent callers share one attempt, its document and its error', async () => {
    const { load, calls, hold, fail } = loader(() => 0)
    const source = coalesced<Document>((butNot) => load(butNot !== undefined))
    let open = hold()
    const callers = Array.from({ length: 50 }, async (_, i) => source(i % 2 ? document('x', 0) : undefined))
    expect(calls).toHaveLength(1)
    open()
    expect(new Set(await Promise.all(callers)).size).toBe(1)
    fail(new Error('down'))
    open = hold()
    const failing = Array.from({ length: 3 }, () => source())
    open()
    for (const one of failing) await expect(one).rejects.toThrow('down')
    expect(calls).toHaveLength(2)
  })

  test('the next caller begins another attempt, also after a failure', async () => {
    const { load, calls, fail } = loader(() => 0)
    const source = coalesced<Document>(() => load(false))
    await source()
    fail(new Error('down'))
    await expect(source()).rejects.toThrow('down')
    fail(undefined)
    await source()
    expect(calls).toHaveLength(3)
  })

  test('passes on synchronously what is returned or thrown synchronously', () => {
    const known = document('known', 0)
    expect(coalesced<Document>(() => known)()).toBe(known)
    const failing = coalesced<Document>(() => {
      throw new Error('down')
    })
    expect(() => failing()).toThrow('down')
  })
})

describe('fresh', () => {
  function start() {
    const clock = createClock(1000)
    const from = loader(clock.now)
    const source = fresh<Document>(
      coalesced((butNot) => from.load(butNot !== undefined)),
      clock.now
    )
    return { clock, ...from, source }
  }

  test('answers from memory, in the same tick, until the document is due', async () => {
    const { source, calls, clock } = start()
    const first = await source()
    clock.advance(79.999)
    expect(source()).toBe(first)
    expect(calls).toHaveLength(1)
  })

  test('answers with a due document at once and renews it in the background', async () => {
    const { source, calls, clock, hold } = start()
    const first = await source()
    clock.advance(80)
    const open = hold()
    expect(source()).toBe(first)
    expect(source()).toBe(first)
    expect(calls).toHaveLength(2)
    open()
    await setImmediate()
    expect(source()).toMatchObject({ name: 'd2' })
  })

  test('keeps the document if the renewal in the background fails, without an unhandled rejection', async () => {
    const { source, clock, fail } = start()
    const first = await source()
    fail(new Error('down'))
    clock.advance(80)
    expect(source()).toBe(first)
    await setImmediate()
    expect(source()).toBe(first)
  })

  test('keeps the document if the renewal in the background throws synchronously', async () => {
    const clock = createClock(1000)
    let answer: () => Document = () => document('d1', clock.now())
    const source = fresh<Document>(() => answer(), clock.now)
    const first = source()
    clock.advance(80)
    answer = () => {
      throw new Error('cooling down')
    }
    expect(source()).toBe(first)
    const second = document('d2', clock.now())
    answer = () => second
    void source()
    expect(source()).toBe(second)
  })

  test('does not answer with an expired document', async () => {
    const { source, clock, fail } = start()
    const first = await source()
    clock.advance(100)
    expect(await source()).not.toBe(first)
    fail(new Error('down'))
    clock.advance(100)
    await expect(source()).rejects.toThrow('down')
  })

  test('fetches for a caller that this document disappointed, but not for one that an older document disappointed', async () => {
    const { source, calls } = start()
    const first = await source()
    const second = await source(first)
    expect(second).not.toBe(first)
    expect(source(first)).toBe(second)
    expect(calls).toEqual([false, true])
  })

  test('treats a document as due if the clock is set back', async () => {
    const { source, calls, clock } = start()
    await source()
    clock.advance(-1)
    await source()
    expect(calls).toHaveLength(2)
  })
})

/** What the last load brought, and whether it failed, as the owner of a source knows it. */
function watched(load: (again: boolean) => Promise<Document>) {
  let failed = false
  let last: Document | undefined
  return {
    failing: () => failed,
    last: () => last,
    load: async (again: boolean): Promise<Document> => {
      try {
        last = await load(again)
        failed = false
        return last
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
}

describe('staleOnError', () => {
  function start(patience?: number) {
    const clock = createClock(1000)
    const from = loader(clock.now)
    const { load, failing, last } = watched(from.load)
    const source = staleOnError<Document>(
      fresh(
        coalesced((butNot) => load(butNot !== undefined)),
        clock.now
      ),
      { now: clock.now, staleFor: 50, patience, failing, last }
    )
    return { clock, ...from, source }
  }

  test('the last good document is used until `staleFor` has passed', async () => {
    const { source, clock, fail } = start()
    const first = await source()
    fail(new Error('down'))
    clock.advance(149.999)
    expect(await source()).toBe(first)
    clock.advance(0.001)
    await expect(source()).rejects.toThrow('down')
  })

  test('a document is never returned to a caller that it disappointed', async () => {
    const { source, fail } = start()
    const first = await source()
    fail(new Error('down'))
    await expect(source(first)).rejects.toThrow('down')
    expect(source()).toBe(first)
  })

  test('the first caller of an outage waits for its attempt; later callers do not wait', async () => {
    const { source, clock, fail, hold, calls } = start()
    const first = await source()
    fail(new Error('down'))
    clock.advance(101)
    const open = hold()
    const waiting = source()
    expect(waiting).toBeInstanceOf(Promise)
    open()
    expect(await waiting).toBe(first)
    const openAgain = hold()
    expect(source()).toBe(first)
    expect(calls).toHaveLength(3)
    openAgain()
    await setImmediate()
  })

  test('no caller waits longer than `patience` for a silent attempt, neither the first nor later ones', async () => {
    const { source, clock, hold, calls } = start(1)
    const first = await source()
    clock.advance(101)
    const open = hold()
    expect(await source()).toBe(first)
    expect(source()).toBe(first)
    expect(calls).toHaveLength(2)
    open()
    await setImmediate()
    expect(source()).toMatchObject({ name: 'd2' })
    clock.advance(101)
    const openAgain = hold()
    const waiting = source()
    expect(waiting).toBeInstanceOf(Promise)
    openAgain()
    expect(await waiting).toMatchObject({ name: 'd3' })
  })

  test('callers wait for a silent attempt if the last document cannot be used, or disappointed them', async () => {
    const { source, clock, hold } = start(1)
    const none = hold()
    const only = Promise.race([source(), sleep(20, 'waits')])
    expect(await only).toBe('waits')
    none()
    const first = await source()
    const open = hold()
    expect(await Promise.race([source(first), sleep(20, 'waits')])).toBe('waits')
    open()
    await setImmediate()
    clock.advance(151)
    const late = hold()
    expect(await Promise.race([source(), sleep(20, 'waits')])).toBe('waits')
    late()
  })

  test('the outage ends with the first success, even in the background', async () => {
    const { source, clock, fail } = start()
    const first = await source()
    fail(new Error('down'))
    clock.advance(101)
    expect(await source()).toBe(first)
    fail(undefined)
    expect(source()).toBe(first)
    await setImmediate()
    expect(source()).toMatchObject({ name: 'd3' })
    clock.advance(101)
    expect(source()).toBeInstanceOf(Promise)
  })

  test('without a good document the error is passed on, thrown or rejected', async () => {
    const { source, fail } = start()
    fail(new Error('down'))
    await expect(source()).rejects.toThrow('down')
    const atOnce = staleOnError<Document>(
      () => {
        throw new Error('cooling down')
      },
      { now: () => 0, staleFor: 50, failing: () => true, last: () => undefined }
    )
    expect(() => atOnce()).toThrow('cooling down')
  })

  test('a clock that is set back does not prolong the use of a stale document', async () => {
    const { source, clock, fail } = start()
    await source()
    fail(new Error('down'))
    clock.advance(-100)
    expect(await source()).toMatchObject({ name: 'd1' })
    clock.advance(100 + 150)
    await expect(source()).rejects.toThrow('down')
  })
})

describe('all decorators together', () => {
  function start() {
    const clock = createClock(1000)
    const from = loader(clock.now)
    const { load, failing, last } = watched(from.load)
    const source: Source<Document> = staleOnError(
      fresh(coalesced(cooled(load, { ...cooling, now: clock.now })), clock.now),
      { now: clock.now, staleFor: 50, failing, last }
    )
    return { clock, ...from, source }
  }

  test('fifty misses on one document cause one fetch, and none other within the window', async () => {
    const { source, calls, clock } = start()
    const first = await source()
    const seen = await Promise.all(Array.from({ length: 50 }, async () => source(first)))
    expect(new Set(seen).size).toBe(1)
    expect(calls).toEqual([false, true])
    clock.advance(29)
    expect(await source(seen[0])).toBe(seen[0])
    expect(calls).toHaveLength(2)
    clock.advance(1)
    expect(await source(seen[0])).toMatchObject({ name: 'd3' })
  })

  test('in an outage a miss fails at once during the back-off, and other callers get the document', async () => {
    const { source, calls, fail } = start()
    const first = await source()
    fail(new Error('down'))
    await expect(source(first)).rejects.toThrow('down')
    expect(() => source(first)).toThrow('down')
    expect(source()).toBe(first)
    expect(calls).toHaveLength(2)
  })

  test('a failed miss does not end the life of the document', async () => {
    const { source, clock, fail, calls } = start()
    const first = await source()
    fail(new Error('down'))
    await expect(source(first)).rejects.toThrow('down')
    clock.advance(79)
    expect(source()).toBe(first)
    expect(calls).toHaveLength(2)
  })

  test('a caller never waits for a renewal that another caller’s miss caused', async () => {
    const { source, hold } = start()
    const first = await source()
    const open = hold()
    const miss = source(first)
    expect(miss).toBeInstanceOf(Promise)
    expect(source()).toBe(first)
    open()
    await miss
  })

  test('a document renewed in the background becomes the last good document, even without callers since', async () => {
    const { source, clock, fail } = start()
    const first = await source()
    clock.advance(80)
    expect(source()).toBe(first)
    await setImmediate()
    fail(new Error('down'))
    clock.advance(105)
    expect(await source()).toMatchObject({ name: 'd2' })
  })

  test('after a failed renewal in the background, no caller waits when the document expires', async () => {
    const { source, clock, fail, hold } = start()
    const first = await source()
    fail(new Error('down'))
    clock.advance(80)
    expect(source()).toBe(first)
    await setImmediate()
    clock.advance(21)
    const open = hold()
    expect(source()).toBe(first)
    open()
    await setImmediate()
  })
})
