/**
 * The contract of a {@link Log}, as a list of tests for any test runner: run it for an engine of your own. A log that loses or reorders
 * entries lets revoked tokens in.
 *
 * Does NOT test what your engine loses in a crash or a failover: only you can cause one.
 *
 * Tests: `test/test-kit/log.test.ts`.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Log, LogAppending, LogPage, LogReading } from '../src/index.js'

/** The logs that a test of `logContract()` needs. */
export interface LogContractNeeds {
  /** How many logs: each stands for a process, with a connection of its own, and all are over one engine. */
  readonly processes: number
  /** Maximum entries of a name. */
  readonly maxEntries: number
}

/** One test of `logContract()`. */
export interface LogContractTest {
  readonly name: string
  /** @throws {AssertionError} the log does not keep the contract */
  readonly run: () => Promise<void>
}

type CreateLogs = (needs: LogContractNeeds) => readonly Log[] | Promise<readonly Log[]>

/** The entries of a log, for the length of a test. */
const KEEP = 3600
const APPENDING: LogAppending = { keep: KEEP, reserve: 0 }
const READING: LogReading = { keep: KEEP, limit: 1000 }
/** More than any test appends. */
const MOST_ENTRIES = 2000
/** Milliseconds until a test gives up what should happen soon. */
const PATIENCE = 5000

/** A log of a fresh name, as one process sees it. */
interface Named {
  append(value: string, how?: Partial<LogAppending>): Promise<string>
  read(how?: Partial<LogReading>): Promise<LogPage>
  wake(listener: () => void): Promise<(() => unknown) | undefined>
}

/**
 * Lists the tests of a log.
 *
 * ```ts
 * for (const { name, run } of logContract(({ processes, maxEntries }) => createLogs(processes, maxEntries))) test(name, run)
 * ```
 *
 * @param createLogs creates the logs of one test. The tests use names of their own, so the engine need not be emptied
 */
export function logContract(createLogs: CreateLogs): readonly LogContractTest[] {
  /** Two processes that use one log, with room for 20 entries. */
  const withTwo = async (test: (one: Named, other: Named) => Promise<void>): Promise<void> => {
    const [one, other] = await open(createLogs, { processes: 2, maxEntries: 20 })
    await test(one as Named, other as Named)
  }
  const tests: Readonly<Record<string, () => Promise<void>>> = {
    ...orderTests(createLogs, withTwo),
    ...roomTests(withTwo),
    ...dropTests(withTwo),
    ...wholeTests(createLogs, withTwo),
    'wakes the listeners of every process after an append, until they end (if the log has wake)': () => withTwo(wakes)
  }
  return Object.entries(tests).map(([name, run]) => ({ name: `Log: ${name}`, run }))
}

type WithTwo = (test: (one: Named, other: Named) => Promise<void>) => Promise<void>
type Tests = Readonly<Record<string, () => Promise<void>>>

/** @param names 'one' for all processes, or 'several': one for each */
async function open(
  createLogs: CreateLogs,
  needs: LogContractNeeds,
  names: 'one' | 'several' = 'one'
): Promise<readonly Named[]> {
  const logs = await createLogs(needs)
  assert.equal(logs.length, needs.processes, 'createLogs must create a log for each process')
  const prefix = randomUUID()
  return logs.map((log, i) => {
    const name = names === 'one' ? prefix : `${prefix} ${i}`
    return {
      append: async (value, how) => log.append(name, value, { ...APPENDING, ...how }),
      read: async (how) => log.read(name, { ...READING, ...how }),
      wake: async (listener) => log.wake?.(name, listener)
    }
  })
}

const valuesOf = (page: LogPage): readonly string[] => page.entries.map(({ value }) => value)
const positionOf = (page: LogPage, index: number): string => page.entries.at(index)?.position ?? 'missing'
const numbers = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

async function appendAll(log: Named, values: readonly string[]): Promise<void> {
  for (const value of values) await log.append(value)
}

/** Reads pages of `limit` until the log ends. */
async function readOn(log: Named, after: string | undefined, limit: number): Promise<LogPage['entries']> {
  const found: LogPage['entries'][number][] = []
  for (;;) {
    const { entries } = await log.read({ after: found.at(-1)?.position ?? after, limit })
    assert.ok(entries.length <= limit, `a page of at most ${limit} entries has ${entries.length}`)
    found.push(...entries)
    assert.ok(found.length <= MOST_ENTRIES, 'pages repeat: reading after the last position of a page must end')
    if (entries.length < limit) return found
  }
}

function orderTests(createLogs: CreateLogs, withTwo: WithTwo): Tests {
  return {
    'reads entries of all processes in the order of their appends': () =>
      withTwo(async (one, other) => {
        for (const value of numbers(1, 10)) await (Number(value) % 2 ? one : other).append(value)
        for (const log of [one, other]) assert.deepEqual(valuesOf(await log.read()), numbers(1, 10))
      }),
    'shows an entry to every process, at the position that append returns, as soon as it resolves': () =>
      withTwo(async (one, other) => {
        for (const value of numbers(1, 10)) {
          const position = await one.append(value)
          assert.deepEqual((await other.read()).entries.at(-1), { position, value })
        }
      }),
    'reads page by page after a position, without a gap and without a repetition': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 9))
        for (const limit of [1, 2, 3, 9, 10]) {
          const entries = await readOn(other, undefined, limit)
          assert.deepEqual(
            entries.map(({ value }) => value),
            numbers(1, 9)
          )
        }
        const all = await one.read()
        assert.equal(new Set(all.entries.map(({ position }) => position)).size, 9, 'positions must differ')
        assert.deepEqual(valuesOf(await other.read({ after: positionOf(all, 3), limit: 2 })), ['5', '6'])
        assert.deepEqual(valuesOf(await other.read({ after: positionOf(all, -1) })), [])
      }),
    'keeps logs of different names apart': async () => {
      const [one, other] = await open(createLogs, { processes: 2, maxEntries: 20 }, 'several')
      await one?.append('1')
      assert.deepEqual(await other?.read().then(({ entries, first, length }) => ({ entries, first, length })), {
        entries: [],
        first: undefined,
        length: 0
      })
    },
    'keeps any text of up to 64 KiB': () =>
      withTwo(async (one, other) => {
        const texts = ['', ' ', '"\'\\%s$1\r\n\t', 'ü€😀', '0', 'null', 'x'.repeat(65_536), '€'.repeat(21_845)]
        await appendAll(one, texts)
        assert.deepEqual(valuesOf(await other.read()), texts)
      }),
    'never hides an entry from a reader that reads while others append': () => readWhileAppending(createLogs)
  }
}

/** Each writer appends its own numbers; readers follow. A log that shows an entry before an earlier one loses the earlier one here. */
async function readWhileAppending(createLogs: CreateLogs): Promise<void> {
  const each = 40
  const logs = await open(createLogs, { processes: 6, maxEntries: 1000 })
  const [writers, readers] = [logs.slice(0, 4), logs.slice(4)]
  let isWriting = true
  const write = async (log: Named, writer: number): Promise<void> => {
    for (let i = 0; i < each; i += 2)
      await Promise.all([log.append(`${writer} ${i}`), log.append(`${writer} ${i + 1}`)])
  }
  const follow = async (log: Named): Promise<readonly string[]> => {
    const found: LogPage['entries'][number][] = []
    for (;;) {
      const isLast = !isWriting
      found.push(...(await readOn(log, found.at(-1)?.position, 7)))
      if (isLast) return found.map(({ value }) => value)
    }
  }
  const following = Promise.all(readers.map(follow))
  await Promise.all(writers.map(write)).finally(() => {
    isWriting = false
  })
  const all = valuesOf(await (logs[0] as Named).read())
  assert.equal(new Set(all).size, writers.length * each, 'the log must hold each entry once')
  for (const seen of await following) assert.deepEqual(seen, all)
}

function isLogFull(error: unknown): boolean {
  return error instanceof Error && error.name === 'LogFull'
}

function roomTests(withTwo: WithTwo): Tests {
  return {
    'tells its first entry and its length': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 5))
        const page = await other.read()
        const end = await other.read({ after: positionOf(page, -1), limit: 1 })
        for (const { first, length } of [page, end])
          assert.deepEqual({ first, length }, { first: positionOf(page, 0), length: 5 })
      }),
    'throws LogFull when it has no room, and appends and drops nothing': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 20))
        const page = await one.read()
        await assert.rejects(other.append('21'), isLogFull, 'a full log must throw an error named LogFull')
        await assert.rejects(other.append('21', { dropTo: positionOf(page, 3) }), isLogFull)
        assert.deepEqual(await one.read(), page)
      }),
    'leaves the reserve to appends that may use it': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 14))
        await one.append('15', { reserve: 0.25 })
        await assert.rejects(other.append('16', { reserve: 0.25 }), isLogFull, 'the reserve of a quarter was used')
        await other.append('16', { reserve: 0.2 })
        await assert.rejects(other.append('17', { reserve: 0.9 }), isLogFull)
        await other.append('17')
        assert.deepEqual(valuesOf(await one.read()), numbers(1, 17))
      }),
    'has room again when its entries are older than keep': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 20))
        await soon(async () => {
          // Entries that are younger than this stay.
          await other.append('21', { keep: 0.001 })
          return true
        })
        const values = valuesOf(await one.read())
        assert.equal(values.at(-1), '21')
        assert.ok(values.length <= 20)
      }),
    'drops no entry that is younger than keep': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 10))
        await other.append('11', { keep: 600 })
        assert.deepEqual(valuesOf(await one.read()), numbers(1, 11))
      })
  }
}

/** Tries again until the test is true; an error other than LogFull ends it. */
async function soon(test: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE; ; ) {
    try {
      if (await test()) return
    } catch (error) {
      if (!isLogFull(error) || performance.now() > end) throw error
    }
    assert.ok(performance.now() < end, 'what should happen soon did not happen in five seconds')
    await wait(5)
  }
}

function dropTests(withTwo: WithTwo): Tests {
  return {
    'drops entries up to and including dropTo': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 10))
        const before = await other.read()
        await other.append('11', { dropTo: positionOf(before, 3) })
        const page = await one.read()
        assert.deepEqual(valuesOf(page), numbers(5, 11))
        assert.deepEqual({ first: page.first, length: page.length }, { first: positionOf(before, 4), length: 7 })
        assert.deepEqual(valuesOf(await one.read({ after: positionOf(before, 1), limit: 2 })), ['5', '6'])
      }),
    'drops nothing for a position that was dropped before': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 10))
        const before = await one.read()
        await one.append('11', { dropTo: positionOf(before, 5) })
        await other.append('12', { dropTo: positionOf(before, 2) })
        assert.deepEqual(valuesOf(await one.read()), numbers(7, 12))
      }),
    'keeps the entry whose append drops all others': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 10))
        await one.append('11', { dropTo: positionOf(await one.read(), -1) })
        assert.deepEqual(valuesOf(await other.read()), ['11'])
      }),
    'has room for as many entries as were dropped': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 19))
        await one.append('20', { dropTo: positionOf(await one.read(), 4) })
        await appendAll(other, numbers(21, 25))
        await assert.rejects(other.append('26'), isLogFull)
        assert.deepEqual(valuesOf(await one.read()), numbers(6, 25))
      })
  }
}

function wholeTests(createLogs: CreateLogs, withTwo: WithTwo): Tests {
  return {
    'is whole to a new reader and to one that follows': () =>
      withTwo(async (one, other) => {
        assert.equal((await other.read()).isWhole, true)
        await appendAll(one, numbers(1, 5))
        const page = await other.read({ limit: 3 })
        assert.equal(page.isWhole, true)
        const next = await other.read({ after: positionOf(page, -1), first: page.first })
        assert.deepEqual({ isWhole: next.isWhole, values: valuesOf(next) }, { isWhole: true, values: ['4', '5'] })
        assert.equal((await other.read({ after: positionOf(next, -1), first: next.first })).isWhole, true)
      }),
    'stays whole when an append drops entries': () =>
      withTwo(async (one, other) => {
        await appendAll(one, numbers(1, 5))
        const page = await other.read()
        const known = { after: positionOf(page, -1), first: page.first }
        await one.append('6', { dropTo: positionOf(page, 1) })
        assert.equal((await other.read(known)).isWhole, true)
        await one.append('7', { dropTo: positionOf(await one.read(), -1) })
        await one.append('8')
        const next = await other.read(known)
        assert.deepEqual({ isWhole: next.isWhole, values: valuesOf(next) }, { isWhole: true, values: ['7', '8'] })
      }),
    'is not whole to a reader of entries that it does not remember': async () => {
      const [known, empty] = await open(createLogs, { processes: 2, maxEntries: 20 }, 'several')
      await appendAll(known as Named, numbers(1, 3))
      const page = await (known as Named).read()
      assert.equal((await (empty as Named).read({ after: positionOf(page, -1), first: page.first })).isWhole, false)
      assert.equal((await (empty as Named).read({ first: page.first })).isWhole, false)
    },
    'names its run the same in every process': () =>
      withTwo(async (one, other) => {
        await one.append('1')
        const { incarnation } = await one.read()
        assert.equal(typeof incarnation, 'string')
        assert.equal((await other.read()).incarnation, incarnation)
      })
  }
}

async function wakes(one: Named, other: Named): Promise<void> {
  const calls = { ended: 0, lasting: 0, far: 0 }
  const end = await one.wake(() => void calls.ended++)
  const ends = [await one.wake(() => void calls.lasting++), await other.wake(() => void calls.far++)]
  if (end === undefined) return
  try {
    await other.append('1')
    await soon(async () => calls.ended > 0 && calls.lasting > 0 && calls.far > 0)
    await end()
    const before = { ...calls }
    await one.append('2')
    await soon(async () => calls.lasting > before.lasting && calls.far > before.far)
    assert.equal(calls.ended, before.ended, 'a listener was called after its end')
  } finally {
    for (const stop of ends) await stop?.()
  }
}
