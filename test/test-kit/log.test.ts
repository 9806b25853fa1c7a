/** `createTestLog()` against `logContract()`, the faults that it can cause, and logs that break the contract in one way each. */
import { describe, expect, test } from 'vitest'
import type { Log, LogAppending, LogPage, LogReading } from '../../src/index.js'
import { createTestLog, logContract, type TestLog } from '../../test-kit/issuer.js'

const NAME = 'revocations'
const APPENDING: LogAppending = { keep: 3600, reserve: 0 }

function read(log: Log, how: Partial<LogReading> = {}): Promise<LogPage> {
  return Promise.resolve(log.read(NAME, { limit: 1000, keep: 3600, ...how }))
}

const values = (page: LogPage): readonly string[] => page.entries.map(({ value }) => value)

/** A log with the entries 1 to 5 at a fixed time, and what a reader knows of it. */
async function filled(): Promise<{
  readonly log: TestLog
  readonly page: LogPage
  readonly known: Partial<LogReading>
  readonly clock: { now: number }
}> {
  const clock = { now: 1_700_000_000 }
  const log = createTestLog({ now: () => clock.now })
  for (const value of ['1', '2', '3', '4', '5']) await log.append(NAME, value, APPENDING)
  const page = await read(log)
  return { log, page, known: { after: page.entries.at(-1)?.position, first: page.first }, clock }
}

describe('logContract() with createTestLog()', () => {
  const tests = logContract(({ processes, maxEntries }) => Array(processes).fill(createTestLog({ maxEntries })))

  test.each(tests.map(({ name, run }) => [name, run] as const))('%s', (_, run) => run())
})

describe('createTestLog()', () => {
  test('gives the same positions for the same times', async () => {
    const [one, other] = [await filled(), await filled()]
    expect(one.page).toEqual(other.page)
    expect(one.page.entries[1]?.position).toBe('1700000000000-1')
  })

  test('lose() forgets the newest entries, and names another run', async () => {
    const { log, page, known } = await filled()
    log.lose(2)
    const next = await read(log, known)
    expect({ ...next, incarnation: undefined }).toEqual({
      entries: [],
      first: page.first,
      length: 3,
      isWhole: false,
      incarnation: undefined
    })
    expect(next.incarnation).not.toBe(page.incarnation)
    expect(values(await read(log))).toEqual(['1', '2', '3'])
  })

  test('empty() forgets all: a reader of entries sees it, also after new entries', async () => {
    const { log, page, known, clock } = await filled()
    log.empty()
    expect(await read(log, known)).toMatchObject({ length: 0, first: undefined, isWhole: false })
    clock.now += 1
    await log.append(NAME, '6', { ...APPENDING, dropTo: page.first })
    expect(await read(log, known)).toMatchObject({ length: 1, isWhole: false })
  })

  test('trim() removes the oldest entries: a reader sees it, unless they were older than keep', async () => {
    const { log, known, clock } = await filled()
    log.trim(2)
    expect(await read(log, known)).toMatchObject({ length: 3, isWhole: false })
    clock.now += 3601
    expect(await read(log, known)).toMatchObject({ length: 3, isWhole: true })
  })

  test('trim() is seen by a reader that has not read since an append dropped entries', async () => {
    const { log, page, known } = await filled()
    await log.append(NAME, '6', { ...APPENDING, dropTo: page.entries[1]?.position })
    expect(await read(log, known)).toMatchObject({ isWhole: true })
    log.trim(1)
    expect(await read(log, known)).toMatchObject({ isWhole: false })
  })

  test('restart() keeps all entries, and names another run', async () => {
    const { log, page, known } = await filled()
    log.restart()
    const next = await read(log, known)
    expect(next).toMatchObject({ length: 5, isWhole: true })
    expect(next.incarnation).not.toBe(page.incarnation)
  })

  test('fail() fails every call until it is ended', async () => {
    const { log } = await filled()
    const error = new Error('connection lost')
    log.fail(error)
    await expect(read(log)).rejects.toBe(error)
    await expect(log.append(NAME, '6', APPENDING)).rejects.toBe(error)
    await expect(log.wake(NAME, () => undefined)).rejects.toBe(error)
    log.fail(undefined)
    expect(values(await read(log))).toEqual(['1', '2', '3', '4', '5'])
  })

  test('refuses an option that it does not have', () => {
    expect(() => createTestLog({ max: 1 } as object)).toThrow('`max` is not an option')
  })
})

/** A log that breaks one rule, and the test that tells. */
const BROKEN: Readonly<Record<string, { readonly breaks: (log: Log) => Partial<Log>; readonly told: string }>> = {
  'shows the newest entry late': {
    breaks: (log) => ({
      read: async (name, how) => {
        const page = await log.read(name, how)
        return { ...page, entries: page.entries.slice(0, -1) }
      }
    }),
    told: 'at the position that append returns'
  },
  'repeats the entry at the position': {
    breaks: (log) => ({
      read: async (name, how) => {
        const all = await log.read(name, { ...how, after: undefined, limit: 1000 })
        const from = all.entries.findIndex(({ position }) => position === how.after)
        return { ...all, entries: all.entries.slice(Math.max(0, from)).slice(0, how.limit) }
      }
    }),
    told: 'page by page'
  },
  'has one log for all names': {
    breaks: (log) => ({ append: (_, ...rest) => log.append('x', ...rest), read: (_, how) => log.read('x', how) }),
    told: 'different names apart'
  },
  'resolves before it appends': {
    breaks: (log) => ({
      append: async (...all) => {
        setTimeout(() => void Promise.resolve(log.append(...all)).catch(() => undefined), 5)
        return '1700000000000-0'
      }
    }),
    told: 'at the position that append returns'
  },
  'ignores the reserve': {
    breaks: (log) => ({ append: (name, value, how) => log.append(name, value, { ...how, reserve: 0 }) }),
    told: 'leaves the reserve'
  },
  'resolves although it has no room': {
    breaks: (log) => ({ append: async (...all) => Promise.resolve(log.append(...all)).catch(() => '1700000000000-0') }),
    told: 'throws LogFull'
  },
  'ignores dropTo': {
    breaks: (log) => ({ append: (name, value, how) => log.append(name, value, { ...how, dropTo: undefined }) }),
    told: 'up to and including dropTo'
  },
  'is always whole': {
    breaks: (log) => ({ read: async (name, how) => ({ ...(await log.read(name, how)), isWhole: true }) }),
    told: 'does not remember'
  },
  'is not whole after a drop': {
    breaks: (log) => ({
      read: async (name, how) => {
        const page = await log.read(name, how)
        return { ...page, isWhole: page.isWhole && (how.first === undefined || how.first === page.first) }
      }
    }),
    told: 'stays whole'
  },
  'never wakes': {
    breaks: () => ({ wake: async () => () => undefined }),
    told: 'wakes the listeners'
  },
  'truncates long texts': {
    breaks: (log) => ({ append: (name, value, how) => log.append(name, value.slice(0, 60_000), how) }),
    told: 'up to 64 KiB'
  }
}

describe('logContract() fails for a log that', () => {
  test.each(Object.entries(BROKEN))(
    '%s',
    async (_, { breaks, told }) => {
      const tests = logContract(({ processes, maxEntries }) => {
        const log = createTestLog({ maxEntries })
        return Array(processes).fill({ ...log, ...breaks(log) })
      })
      const broken = tests.filter(({ name }) => name.includes(told))
      expect(broken).toHaveLength(1)
      await expect(broken[0]?.run()).rejects.toThrow()
    },
    30_000
  )
})
