/**
 * The log of revocations: several servers in one process, over a log in memory. Time passes when a test says so:
 * `pass(seconds)` moves the clocks and fires the timers that are due. Real servers: `test/redis/fleet-log.test.ts`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { setWorld, type Timer, world } from '../../src/base/world.js'
import {
  type Access,
  type Cache,
  type Log,
  type LogPage,
  type LogReading,
  type OnceStore,
  type ResourceServer,
  type Revocation,
  securityEventReceiver,
  type WarningEvent
} from '../../src/index.js'
import { MAX_REVOCATIONS, writeEntry } from '../../src/revocation/log-entry.js'
import type { RevokedBy } from '../../src/revocation/revocations.js'
import { createShared } from '../../src/sharing/shared.js'
import { createTestLog, type TestLog } from '../../test-kit/test-log.js'
import { ask, createBed, denial, granted, RESOURCE, refusal, request, unavailableFor } from '../support/exchange.js'
import { createSigningKey, signJws, type TestIssuer } from '../support/issuer.js'

const bed = createBed()
const SECRET = 'a secret of thirty-two characters'
const OTHER_SECRET = 'the next secret, of some more characters'
const DAY = 24 * 3600
const KEEP = 31 * DAY + 3600

beforeAll(() => import('undici'))

interface Due {
  readonly at: number
  readonly call: () => void
}

/** The monotonic clock, in milliseconds: a slow machine must not move it. */
let passed = 0
let timers = new Set<Due>()
let leave = (): void => {}

beforeEach(() => {
  const real = world
  passed = 0
  timers = new Set()
  leave = setWorld({
    ...real,
    monotonic: () => passed,
    random: () => 0.5,
    after: (milliseconds, call): Timer => {
      const due = { at: world.monotonic() + milliseconds, call }
      timers.add(due)
      return Object.assign(due, { unref: () => undefined })
    },
    cancel: (timer) => void timers.delete(timer as Timer & Due)
  })
})
afterEach(() => leave())

/** Lets everything happen that waits for nothing but the event loop. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Moves the clocks second by second, and fires the timers that are due. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    passed += 1000
    bed.clock.advance(1)
    await fire()
  }
}

async function fire(): Promise<void> {
  const time = world.monotonic()
  for (const due of timers) {
    if (due.at > time) continue
    timers.delete(due)
    due.call()
  }
  await settle()
}

/** A store that works, for the claims. */
function createStore(): Cache & OnceStore {
  const until = new Map<string, number>()
  return {
    get: () => null,
    set: () => null,
    delete: () => null,
    add: (key, ttl) => {
      if ((until.get(key) ?? 0) > passed) return false
      until.set(key, passed + ttl * 1000)
      return true
    }
  }
}

interface Fleet {
  readonly log: TestLog
  /** What was appended, as the engine sees it. */
  readonly appended: string[]
  readonly names: Set<string>
  readonly store: Cache & OnceStore
  /** What `read` answers instead. */
  answer: ((page: LogPage) => unknown) | undefined
  /** What every call waits for. */
  hold: Promise<unknown> | undefined
  readonly shared: Log
}

function createFleet(maxEntries = 200_000): Fleet {
  const log = createTestLog({ now: bed.clock.now, maxEntries })
  const fleet: Fleet = {
    log,
    appended: [],
    names: new Set(),
    store: createStore(),
    answer: undefined,
    hold: undefined,
    shared: {
      append: async (name, value, how) => {
        await fleet.hold
        const end = await log.append(name, value, how)
        fleet.names.add(name)
        fleet.appended.push(value)
        return end
      },
      read: async (name, how) => {
        await fleet.hold
        const page = await log.read(name, how)
        return (fleet.answer === undefined ? page : fleet.answer(page)) as LogPage
      }
    }
  }
  return fleet
}

function holdForEver(fleet: Fleet): void {
  fleet.hold = new Promise(() => {})
}

function answerWith(fleet: Fleet, answer: unknown): void {
  fleet.answer = () => answer
}

/** One with wake-ups. */
function createWokenFleet(): Fleet {
  const fleet = createFleet()
  return { ...fleet, shared: { ...fleet.shared, wake: (name, listener) => fleet.log.wake(name, listener) } }
}

type Options = Parameters<typeof bed.api>[0]

function join(
  issuer: TestIssuer,
  { shared: log, store }: Fleet,
  options: Partial<Options> = {},
  secret: string | readonly [string, string] = SECRET
): ResourceServer {
  return bed.api({ issuers: [issuer.issuer], shared: { store, secret, log }, ...options })
}

async function start(
  issuer: TestIssuer,
  fleet: Fleet,
  count = 2,
  options: Partial<Options> = {}
): Promise<ResourceServer[]> {
  const all = Array.from({ length: count }, () => join(issuer, fleet, options))
  await Promise.all(all.map((one) => one.ready()))
  await settle()
  return all
}

/** What another process, perhaps of another release, appends. */
async function say(fleet: Fleet, text: string, secret = SECRET): Promise<void> {
  const sealed = createShared({ store: fleet.store, secrets: [secret], log: fleet.shared }, bed.clock.now).log(
    RESOURCE,
    5,
    KEEP
  )
  await sealed?.append(text, { reserve: 0 })
}

function sayRevoked(
  fleet: Fleet,
  revocations: readonly object[],
  by: RevokedBy = 'operator',
  secret = SECRET
): Promise<void> {
  return say(fleet, writeEntry({ by, revocations: revocations as never }), secret)
}

const known = (api: ResourceServer): number => api.stats().revocations.entries
const entriesOf = async (fleet: Fleet): Promise<number> =>
  (await fleet.log.read([...fleet.names][0] ?? '', { limit: 1, keep: KEEP })).length

let end = (): void => {}
afterEach(() => end())

function warnings(): string[] {
  const messages: string[] = []
  const listener = (event: unknown): void => void messages.push((event as WarningEvent).message)
  subscribe('oauth-resource-server:warning', listener)
  end = () => unsubscribe('oauth-resource-server:warning', listener)
  return messages
}

describe('a revocation', () => {
  test('in one process applies in the others with their next reading, a second later', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    const token = issuer.token()
    expect([await ask(one, token), await ask(other, token)]).toEqual([granted, granted])
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect([await ask(one, token), await ask(other, token)]).toEqual([denial.inactive, granted])
    await pass(2)
    expect(await ask(other, token)).toEqual(denial.inactive)
    expect(other.health()).toMatchObject({ status: 'ok', log: { status: 'ok', error: undefined } })
    expect(other.stats().log).toEqual({ entries: 1, skipped: 0 })
  })

  test('applies in the others at once where the log wakes them', async () => {
    const issuer = await bed.issuer()
    const [one, other] = (await start(issuer, createWokenFleet())) as [ResourceServer, ResourceServer]
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await settle()
    expect(await ask(other, issuer.token())).toEqual(denial.inactive)
  })

  test('outlives all processes', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet)
    await all[0]?.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await Promise.all(all.map((one) => one.close()))
    const [later] = await start(issuer, fleet, 1)
    expect(await ask(later as ResourceServer, issuer.token())).toEqual(denial.inactive)
  })

  test('is acknowledged when the log has it, and not before', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    let release = (): void => {}
    fleet.hold = new Promise<void>((resolve) => {
      release = resolve
    })
    let isAcknowledged = false
    const revoked = api.revoke({ issuer: issuer.issuer, subject: 'u1' }).then(() => {
      isAcknowledged = true
    })
    await settle()
    expect([isAcknowledged, fleet.appended.length]).toEqual([false, 0])
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
    release()
    await revoked
    expect(fleet.appended).toHaveLength(1)
  })

  test('tells the engine neither its subject nor its issuer nor the API', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await api.revoke({ issuer: issuer.issuer, subject: 'somebody@example.com' })
    for (const text of [...fleet.appended, ...fleet.names]) {
      expect(text).toMatch(/^(log:)?[\w-]+$/)
      expect(Buffer.from(text, 'base64url').toString('latin1')).not.toMatch(/somebody|issuer|operator|example/)
    }
  })

  test('is remembered equally long everywhere, whatever `keepFor` is there', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const one = join(issuer, fleet)
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const other = join(issuer, fleet, { revocation: { keepFor: 60 } })
    await other.ready()
    bed.clock.advance(DAY - 1)
    const token = issuer.token({ claims: { iat: 1 } })
    expect(await ask(other, token)).toEqual(denial.inactive)
    bed.clock.advance(1)
    expect(await ask(other, token)).toEqual(granted)
  })

  test('of an issuer that only another process knows is remembered', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const one = join(issuer, fleet, { issuers: () => undefined })
    await one.revoke({ issuer: 'https://tenant.example.com', subject: 'u1' })
    const [other] = await start(issuer, fleet, 1)
    expect(known(other as ResourceServer)).toBe(1)
  })

  test('may last as long as the log keeps entries, and no longer', async () => {
    const issuer = await bed.issuer()
    const [api] = (await start(issuer, createFleet(), 1)) as [ResourceServer]
    const last = (seconds: number): Promise<void> =>
      api.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + seconds })
    await expect(last(31 * DAY)).resolves.toBeUndefined()
    await expect(last(31 * DAY + 1)).rejects.toThrow(
      '`until` of a revocation is 2678401 s ahead; with `shared.log` it may be at most 2678400 s (31 days) ahead'
    )
    const alone = bed.api({ issuers: [issuer.issuer] })
    await alone.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 365 * DAY })
  })

  test('of another API with the same secret is in another log', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const another = join(issuer, fleet, { resource: 'https://other.example' })
    await another.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const [api] = await start(issuer, fleet, 1)
    expect(api?.stats()).toMatchObject({ revocations: { entries: 0 }, log: { entries: 0, skipped: 0 } })
  })

  test('fires the signal of a stream in another process', async () => {
    const issuer = await bed.issuer()
    const [here, there] = (await start(issuer, createWokenFleet())) as [ResourceServer, ResourceServer]
    const { signal } = (await here.authorize(request(issuer.token()))) as Access
    await there.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await settle()
    expect(signal.aborted).toBe(true)
  })

  test('that all processes repeat fifty times at once costs two entries a process at most', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet, 3)
    const before = bed.clock.now()
    const again = Array.from({ length: 50 }, () =>
      all.map((one) => one.revoke({ issuer: issuer.issuer, subject: 'u1', before }))
    )
    await Promise.all(again.flat())
    // One that is under way, and one for all that came meanwhile.
    expect(fleet.appended.length).toBeLessThanOrEqual(6)
  })

  test('of 1,000 tokens at once costs ten entries, and arrives whole', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    await one.revoke(Array.from({ length: 1000 }, (_, i) => ({ issuer: issuer.issuer, jti: `t${i}` })))
    expect(fleet.appended).toHaveLength(1000 / MAX_REVOCATIONS)
    await pass(2)
    expect(known(other)).toBe(1000)
  })
})

describe('at start', () => {
  test('requests wait until the log was read, in pages, and ready() with them', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    for (let i = 0; i < 1234; i++)
      await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: `t${i}`, until: bed.clock.now() + 60 }])
    let release = (): void => {}
    fleet.hold = new Promise<void>((resolve) => {
      release = resolve
    })
    const api = join(issuer, fleet)
    const ready = api.ready()
    const answers = ['t0', 't1233', 't1234'].map((jti) => ask(api, issuer.token({ claims: { jti } })))
    await settle()
    expect(known(api)).toBe(0)
    release()
    await ready
    expect(await Promise.all(answers)).toEqual([denial.inactive, denial.inactive, granted])
    expect(known(api)).toBe(1234)
  })

  test('and without the log they get 503 until it was read, then answers without a wait', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: 'bad', until: bed.clock.now() + 600 }])
    fleet.log.fail(new Error('ECONNREFUSED'))
    const messages = warnings()
    const api = join(issuer, fleet)
    const [first, ready] = [ask(api, issuer.token()), api.ready().catch((cause: unknown) => cause)]
    // A client that connects has some seconds.
    await pass(4)
    expect(messages).toEqual([])
    await pass(2)
    expect(await first).toEqual(unavailableFor(1))
    expect(await ready).toMatchObject({ status: 503, message: expect.stringContaining('was not read yet') })
    expect(await ask(api, issuer.token())).toEqual(unavailableFor(1))
    const error = await refusal(() => api.authorize(request(issuer.token())))
    expect(error).toMatchObject({
      reason: 'revocations_unavailable',
      dependency: 'revocations',
      cause: { message: 'ECONNREFUSED' }
    })
    await expect(api.ready()).rejects.toMatchObject({ status: 503 })
    expect(api.health()).toMatchObject({
      status: 'failed',
      log: { status: 'failed', error: 'the log of revocations was never read: ECONNREFUSED' }
    })
    await pass(5)
    expect(messages.filter((message) => message.includes('`shared.log`'))).toEqual([
      'the log of revocations (`shared.log`) failed: ECONNREFUSED. Until it was read, requests get 503'
    ])
    fleet.log.fail(undefined)
    await pass(2)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ claims: { jti: 'bad' } }))).toEqual(denial.inactive)
    await api.ready()
    expect(api.health()).toMatchObject({ status: 'ok', log: { status: 'ok' } })
  })

  test('a log whose client connects a little later makes requests wait, and refuses none', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: 'bad', until: bed.clock.now() + 600 }])
    fleet.log.fail(new Error('Stream isn’t writeable and enableOfflineQueue options is false'))
    const messages = warnings()
    const api = join(issuer, fleet)
    const [ready, good, bad] = [
      api.ready(),
      ask(api, issuer.token()),
      ask(api, issuer.token({ claims: { jti: 'bad' } }))
    ]
    await pass(2)
    fleet.log.fail(undefined)
    await pass(1)
    await ready
    expect(await Promise.all([good, bad])).toEqual([granted, denial.inactive])
    expect([api.health().status, messages]).toEqual(['ok', []])
  })

  test('a token that is bad in itself is refused as bad, without the log', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    fleet.log.fail(new Error('down'))
    const api = join(issuer, fleet)
    expect((await ask(api, issuer.token({ claims: { aud: 'https://other.example' } }))).status).toBe(401)
    expect((await ask(api, 'x.y.z')).status).toBe(401)
  })

  test('a silent log makes requests wait for `http.deadline`, and no longer', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    fleet.hold = new Promise(() => {})
    leave()
    const api = join(issuer, fleet, { http: { deadline: 0.1 }, callbackTimeout: 60 })
    expect(await ask(api, issuer.token())).toEqual(unavailableFor(5))
    await api.close()
  })

  test("with onUnavailable: 'allow' they wait as long, and then are accepted", async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    await sayRevoked(fleet, [{ issuer: issuer.issuer, subject: 'u1', before: bed.clock.now() + 1 }])
    const options = { revocation: { onUnavailable: 'allow' } } as const
    expect(await ask(join(issuer, fleet, options), issuer.token())).toEqual(denial.inactive)
    fleet.log.fail(new Error('down'))
    const api = join(issuer, fleet, options)
    const answer = ask(api, issuer.token())
    await pass(6)
    expect(await answer).toEqual(granted)
    await api.ready()
    expect(api.health()).toMatchObject({
      status: 'degraded',
      log: { status: 'degraded', error: 'the log of revocations failed: down' }
    })
    fleet.log.fail(undefined)
    await pass(2)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
  })

  test('an option with another word is reported', () => {
    expect(() => bed.api({ issuers: [], revocation: { onUnavailable: 'ignore' as 'allow' } })).toThrow(
      '`revocation.onUnavailable`'
    )
  })
})

describe('while the log is out of order later', () => {
  const faults: readonly [string, (fleet: Fleet) => void][] = [
    ['that rejects', ({ log }) => log.fail(new Error('ECONNREFUSED'))],
    ['that says nothing', (fleet) => holdForEver(fleet)],
    ['that answers nonsense', (fleet) => answerWith(fleet, 'OK')]
  ]

  test.each(faults)(
    'a log %s: requests are decided with what is remembered, and health() says degraded',
    async (_, fault) => {
      const issuer = await bed.issuer()
      const fleet = createFleet()
      const [api] = (await start(issuer, fleet, 1, { callbackTimeout: 2 })) as [ResourceServer]
      await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
      fault(fleet)
      await pass(5)
      expect(await ask(api, issuer.token())).toEqual(denial.inactive)
      expect(await ask(api, issuer.token({ claims: { sub: 'u2' } }))).toEqual(granted)
      expect(api.health()).toMatchObject({
        status: 'degraded',
        log: { status: 'degraded', error: expect.stringContaining('the log of revocations failed') }
      })
    }
  )

  test('revoke() rejects, the revocation holds here, and the others get it when the log answers again', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    fleet.log.fail(new Error('ECONNREFUSED'))
    await expect(one.revoke({ issuer: issuer.issuer, subject: 'u1' })).rejects.toMatchObject({
      name: 'Unavailable',
      dependency: 'revocations',
      message: expect.stringContaining('the log of revocations (`shared.log`) did not take a revocation')
    })
    expect(await ask(one, issuer.token())).toEqual(denial.inactive)
    expect(one.health().log?.error).toContain('does not have all revocations')
    fleet.log.fail(undefined)
    await pass(4)
    expect(await ask(other, issuer.token())).toEqual(denial.inactive)
    expect(one.health().status).toBe('ok')
    expect(fleet.appended).toHaveLength(1)
  })

  test('a revocation that fails while an earlier one is appended again is not forgotten', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    const append = fleet.shared.append.bind(fleet.shared)
    fleet.log.fail(new Error('down'))
    await expect(one.revoke({ issuer: issuer.issuer, jti: 'a' })).rejects.toThrow()
    fleet.log.fail(undefined)
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    Object.assign(fleet.shared, {
      append: async (...all: Parameters<Log['append']>) => {
        Object.assign(fleet.shared, { append: () => Promise.reject(new Error('ECONNRESET')) })
        const position = await append(...all)
        await answered
        return position
      }
    })
    await pass(2)
    await expect(one.revoke({ issuer: issuer.issuer, jti: 'b' })).rejects.toThrow()
    Object.assign(fleet.shared, { append })
    answer()
    await settle()
    await pass(4)
    expect(known(other)).toBe(2)
  })

  test('revoke() of a revocation that is remembered asks the log again: it may have lost it', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    const one: Revocation = { issuer: issuer.issuer, subject: 'u1', before: bed.clock.now() }
    await api.revoke(one)
    fleet.log.fail(new Error('down'))
    await expect(api.revoke(one)).rejects.toMatchObject({ dependency: 'revocations' })
    fleet.log.fail(undefined)
    fleet.log.empty()
    await api.revoke(one)
    expect(await entriesOf(fleet)).toBe(1)
  })

  test('a revocation that the log did not take is appended at once, also while the process waits to complete a log that lost entries', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    for (const jti of ['a', 'b']) await one.revoke({ issuer: issuer.issuer, jti })
    await pass(2)
    // Both miss them; one has the claim, and the other waits.
    fleet.log.fail(new Error('down'))
    for (const api of [one, other]) await expect(api.revoke({ issuer: issuer.issuer, subject: 'u1' })).rejects.toThrow()
    await expect(other.revoke({ issuer: issuer.issuer, subject: 'u2' })).rejects.toThrow()
    await expect(one.revoke({ issuer: issuer.issuer, subject: 'u3' })).rejects.toThrow()
    fleet.log.fail(undefined)
    fleet.log.empty()
    await pass(3)
    for (const api of [one, other])
      for (const sub of ['u1', 'u2', 'u3'])
        expect(await ask(api, issuer.token({ claims: { sub } }))).toEqual(denial.inactive)
  })

  test('a sender of events gets 503, so that it sends the event again, and then 202', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    const { send } = createSender(issuer)
    fleet.log.fail(new Error('down'))
    expect(await send(api, 'u1')).toBe(503)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
    fleet.log.fail(undefined)
    expect(await send(api, 'u1')).toBe(202)
    expect(fleet.appended).toHaveLength(1)
  })

  test.each<[string, (page: LogPage) => unknown]>([
    ['null', () => null],
    ['a page without entries', (page) => ({ ...page, entries: undefined })],
    ['an entry without a value', (page) => ({ ...page, entries: [{ position: '1' }] })],
    [
      'more entries than were asked for',
      (page) => ({ ...page, entries: Array.from({ length: 501 }, (_, i) => ({ position: `${i}`, value: '' })) })
    ],
    ['a length that is no number', (page) => ({ ...page, length: '1' })],
    ['an `isWhole` that is no boolean', (page) => ({ ...page, isWhole: undefined })],
    ['a `first` that is no position', (page) => ({ ...page, first: 5 })],
    ['an incarnation that is no text', (page) => ({ ...page, incarnation: 5 })],
    ['that it is never whole', (page) => ({ ...page, isWhole: false })],
    ['another incarnation each time', (page) => ({ ...page, incarnation: String(Math.random()) })]
  ])('%s as its answer is an outage, and over with the next good answer', async (_, answer) => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    fleet.answer = answer
    await pass(2)
    expect(api.health().log?.error).toMatch(/the log of revocations failed: the log (answered nonsense|lost entries)/)
    fleet.answer = undefined
    await pass(2)
    expect(api.health().status).toBe('ok')
  })

  test('an endless log is an outage: the same page again and again', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    fleet.answer = (page) => ({
      ...page,
      entries: Array.from({ length: 100 }, (_, i) => ({ position: `${i}`, value: 'x' }))
    })
    await pass(3)
    expect(api.health().log?.error).toContain('the log of revocations failed')
  })
})

describe('a log that lost entries', () => {
  const losses: readonly [string, (log: TestLog) => void, number][] = [
    ['in a failover', (log) => log.lose(2), 2],
    ['all of them', (log) => log.empty(), 3],
    ['trimmed by another program', (log) => log.trim(1), 1]
  ]

  test.each(losses)('%s gets them back, from one process alone', async (_, lose, lost) => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet, 3)
    for (const jti of ['a', 'b', 'c']) await all[0]?.revoke({ issuer: issuer.issuer, jti })
    await pass(2)
    expect(all.map(known)).toEqual([3, 3, 3])
    lose(fleet.log)
    await pass(4)
    for (const jti of ['a', 'b', 'c'])
      for (const api of [...all, ...(await start(issuer, fleet, 1))])
        expect(await ask(api, issuer.token({ claims: { jti } }))).toEqual(denial.inactive)
    const appended = fleet.appended.length
    expect(appended).toBe(3 + 1)
    expect(await entriesOf(fleet)).toBe(3 - lost + 1)
    // The others find nothing missing.
    await pass(40)
    expect(fleet.appended).toHaveLength(appended)
  })

  test('gets those of each process within 30 s, where one remembers what another does not', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    await one.revoke({ issuer: issuer.issuer, jti: 'a' })
    await other.revoke({ issuer: issuer.issuer, jti: 'b' })
    fleet.log.empty()
    await pass(30)
    const [later] = (await start(issuer, fleet, 1)) as [ResourceServer]
    for (const api of [one, other, later]) expect(known(api)).toBe(2)
  })

  test('gets them back although the store with the claims is out of order', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const store = { ...fleet.store, add: () => Promise.reject(new Error('down')) }
    const [api] = (await start(issuer, { ...fleet, store }, 1)) as [ResourceServer]
    await api.revoke({ issuer: issuer.issuer, jti: 'a' })
    fleet.log.empty()
    await pass(30)
    expect(await entriesOf(fleet)).toBe(1)
  })

  test('is not taken for one because an entry is read before its append is acknowledged', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await api.revoke({ issuer: issuer.issuer, jti: 'a' })
    await pass(2)
    const [append, read] = [fleet.shared.append.bind(fleet.shared), fleet.shared.read.bind(fleet.shared)]
    const starts: unknown[] = []
    let answer = (): void => {}
    Object.assign(fleet.shared, {
      read: (name: string, how: LogReading) => {
        starts.push(how.after)
        return read(name, how)
      },
      append: async (...all: Parameters<Log['append']>) => {
        const position = await append(...all)
        await new Promise<void>((resolve) => {
          answer = resolve
        })
        return position
      }
    })
    const revoked = api.revoke({ issuer: issuer.issuer, jti: 'b' })
    await pass(2)
    answer()
    await revoked
    await pass(2)
    expect(starts).not.toContain(undefined)
  })

  test('and needs seconds to get them back: the process that appends them reads once a second meanwhile', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await api.revoke(Array.from({ length: 1000 }, (_, i) => ({ issuer: issuer.issuer, jti: `t${i}` })))
    await pass(2)
    fleet.log.empty()
    const append = fleet.shared.append.bind(fleet.shared)
    const knownAt: number[] = []
    Object.assign(fleet.shared, {
      append: async (...all: Parameters<Log['append']>) => {
        passed += 400
        if (knownAt.push(known(api)) === 2)
          await sayRevoked({ ...fleet, shared: { ...fleet.shared, append } }, [
            { issuer: issuer.issuer, jti: 'new', until: bed.clock.now() + 600 }
          ])
        return append(...all)
      }
    })
    await pass(2)
    expect(known(api)).toBe(1001)
    expect(knownAt).toHaveLength(1000 / MAX_REVOCATIONS)
    expect(knownAt.at(-1)).toBe(1001)
  })

  test('after a restart that lost nothing, nothing is appended', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    await one.revoke({ issuer: issuer.issuer, jti: 'a' })
    fleet.log.restart()
    await pass(30)
    expect([known(other), fleet.appended.length]).toEqual([1, 1])
  })

  test('while a revocation was under way: it is appended again', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    const append = fleet.shared.append.bind(fleet.shared)
    let answer = (): void => {}
    Object.assign(fleet.shared, {
      append: async (...all: Parameters<Log['append']>) => {
        const position = await append(...all)
        // The engine fails over before its answer arrives, which it gave.
        fleet.log.lose(1)
        Object.assign(fleet.shared, { append })
        await new Promise<void>((resolve) => {
          answer = resolve
        })
        return position
      }
    })
    const revoked = api.revoke({ issuer: issuer.issuer, jti: 'a' })
    await pass(2)
    answer()
    await revoked
    await pass(30)
    expect(await entriesOf(fleet)).toBe(1)
  })

  test('gets them back although the reading that noticed the loss failed halfway', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await api.revoke({ issuer: issuer.issuer, jti: 'a' })
    await pass(2)
    fleet.log.lose(1)
    // The first answer tells of the loss, and then the connection breaks.
    fleet.answer = (page) => {
      fleet.log.fail(new Error('ECONNRESET'))
      return page
    }
    await pass(2)
    fleet.answer = undefined
    fleet.log.fail(undefined)
    await pass(30)
    expect(await entriesOf(fleet)).toBe(1)
  })

  test('because a process whose clock is ahead wrote it anew, without what it takes for ended, gets them back', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    for (let i = 0; i < 1100; i++) await api.revoke({ issuer: issuer.issuer, jti: `t${i}` })
    await pass(2)
    const ahead = join(issuer, fleet, { now: () => bed.clock.now() + 2 * DAY })
    await ahead.ready()
    await settle()
    await pass(30)
    const [later] = (await start(issuer, fleet, 1)) as [ResourceServer]
    expect(known(later)).toBe(1100)
  })

  test('is not written anew again by a process whose clock stays ahead', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const messages = warnings()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    // More than 4 MiB: long enough to be written anew, although each entry is full.
    const revocations = Array.from({ length: 4000 }, (_, i) => ({ issuer: issuer.issuer, jti: `${i}`.padEnd(1024) }))
    await api.revoke(revocations)
    await pass(2)
    const ahead = join(issuer, fleet, { now: () => bed.clock.now() + 2 * DAY })
    await ahead.ready()
    await pass(120)
    const [later] = (await start(issuer, fleet, 1)) as [ResourceServer]
    expect(known(later)).toBe(4000)
    expect(messages.filter((message) => message.includes('synchronize the clocks'))[0]).toMatch(
      /^by the clock of this process, a revocation had ended 86\d{3} s before it arrived/
    )
  })

  test('because the clock of the engine jumped ahead gets them back', async () => {
    const issuer = await bed.issuer()
    let ahead = 0
    const log = createTestLog({ now: () => bed.clock.now() + ahead })
    const fleet: Fleet = { ...createFleet(), log, shared: log }
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    for (const jti of ['a', 'b']) await one.revoke({ issuer: issuer.issuer, jti })
    await pass(2)
    ahead = 40 * DAY
    await other.revoke({ issuer: issuer.issuer, jti: 'c' })
    ahead = 0
    await pass(30)
    const [later] = (await start(issuer, fleet, 1)) as [ResourceServer]
    expect(known(later)).toBe(3)
  })

  test('does not show an entry that stands before those that were read: it is found within 15 s', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    await one.revoke({ issuer: issuer.issuer, jti: 'a' })
    await pass(2)
    let hidden: string | undefined
    fleet.answer = (page) => ({ ...page, entries: page.entries.filter(({ position }) => position !== hidden) })
    await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: 'late', until: bed.clock.now() + 600 }])
    hidden = (await fleet.log.read([...fleet.names][0] as string, { limit: 9, keep: KEEP })).entries.at(-1)?.position
    await one.revoke({ issuer: issuer.issuer, jti: 'b' })
    await pass(2)
    expect(known(other)).toBe(2)
    fleet.answer = undefined
    await pass(16)
    expect(known(other)).toBe(3)
  })
})

describe('an entry', () => {
  test('that was made with another secret is skipped and counted, with one warning a minute', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const messages = warnings()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    for (const jti of ['a', 'b']) await sayRevoked(fleet, [{ issuer: issuer.issuer, jti }], 'operator', OTHER_SECRET)
    for (const value of ['', 'nonsense', 'A'.repeat(4096)])
      await fleet.shared.append([...fleet.names][0] as string, value, { keep: KEEP, reserve: 0 })
    await pass(2)
    expect(api.stats()).toMatchObject({ revocations: { entries: 0 }, log: { entries: 5, skipped: 5 } })
    expect(api.health().status).toBe('ok')
    expect(messages.filter((message) => message.includes('log'))).toEqual([
      'an entry in the log of revocations was not made with `shared.secret`, and was skipped'
    ])
  })

  test.each<[string, string]>([
    ['of another format', JSON.stringify({ v: 2, by: 'operator', revocations: [] })],
    ['without revocations', JSON.stringify({ v: 1, by: 'operator' })],
    [
      'with too many',
      writeEntry({ by: 'sender', revocations: Array.from({ length: 101 }, () => ({ issuer: 'i', jti: 'a' })) })
    ],
    ['that is a list', '[]'],
    ['that is null', 'null'],
    ['that is not JSON', '{']
  ])('%s is skipped and counted, and the next one applies', async (_, text) => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await say(fleet, text)
    await sayRevoked(fleet, [{ issuer: issuer.issuer, subject: 'u1' }])
    await pass(2)
    expect(api.stats().log).toEqual({ entries: 2, skipped: 1 })
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
  })

  test('with revocations that this release does not know applies except for those', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const messages = warnings()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await sayRevoked(fleet, [
      { issuer: issuer.issuer, actor: 'x' },
      null as never,
      { issuer: issuer.issuer, subject: 'u1' }
    ])
    await pass(2)
    expect([known(api), api.stats().log?.skipped]).toEqual([1, 2])
    expect(messages.filter((message) => message.includes('not understood'))).toHaveLength(1)
    expect(messages.join()).not.toContain(issuer.issuer)
  })

  test('with an unknown origin counts as a sender’s', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1, { revocation: { maxEntries: 8 } })) as [ResourceServer]
    const revocations = Array.from({ length: 30 }, (_, i) => ({ issuer: issuer.issuer, jti: `${i}` }))
    for (const by of [undefined, 'process', { operator: 1 }])
      await say(fleet, JSON.stringify({ v: 1, by, revocations }))
    await pass(2)
    expect(known(api)).toBe(6)
    await api.revoke({ issuer: issuer.issuer, before: bed.clock.now() })
  })

  test('under the previous secret is read, and appended again under the current one, by one process', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const old = join(issuer, fleet, {}, [SECRET, OTHER_SECRET])
    await old.revoke([
      { issuer: issuer.issuer, jti: 'a' },
      { issuer: issuer.issuer, jti: 'b' }
    ])
    await old.close()
    const changed = [0, 1, 2].map(() => join(issuer, fleet, {}, [OTHER_SECRET, SECRET]))
    await Promise.all(changed.map((one) => one.ready()))
    await pass(30)
    expect(changed.map(known)).toEqual([2, 2, 2])
    expect(fleet.appended).toHaveLength(2)
    const next = join(issuer, fleet, {}, OTHER_SECRET)
    await next.ready()
    // The entries that it could not read are gone.
    expect(next.stats()).toMatchObject({ revocations: { entries: 2 }, log: { entries: 1, skipped: 0 } })
  })

  test('that was forgotten while the clock was ahead is remembered when the clock is set back', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    let ahead = 0
    const api = join(issuer, fleet, { now: () => bed.clock.now() + ahead })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    ahead = 2 * DAY
    await pass(2)
    expect(known(api)).toBe(0)
    ahead = 0
    await pass(2)
    expect(await ask(api, issuer.token({ claims: { iat: bed.clock.now() - 10 } }))).toEqual(denial.inactive)
  })

  test('that was forgotten is remembered also when the clock is set back in small steps', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    let ahead = 0
    const api = join(issuer, fleet, { now: () => bed.clock.now() + ahead })
    await api.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 130 })
    ahead = 200
    await pass(2)
    expect(known(api)).toBe(0)
    for (; ahead > 0; ahead -= 4) await pass(1)
    await pass(2)
    expect(known(api)).toBe(1)
  })
})

/** A transmitter of events about the users of one issuer. */
function createSender(issuer: TestIssuer) {
  const key = createSigningKey('RS256', { kid: 's' })
  const receivers = new Map<ResourceServer, ReturnType<typeof securityEventReceiver>>()
  const receiverOf = (api: ResourceServer): ReturnType<typeof securityEventReceiver> => {
    const receiver =
      receivers.get(api) ??
      securityEventReceiver(api, { transmitters: [{ issuer: issuer.issuer, jwks: { keys: [key.publicJwk] } }] })
    receivers.set(api, receiver)
    return receiver
  }
  /** Sends "the sessions of this user were revoked", and returns the status of the answer. */
  const send = async (
    api: ResourceServer,
    sub: string,
    jti = sub,
    at = Math.floor(bed.clock.now())
  ): Promise<number> => {
    const iss = issuer.issuer
    const events = { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {} }
    const claims = { iss, aud: RESOURCE, iat: at, jti, sub_id: { format: 'iss_sub', iss, sub }, events }
    const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 's' }, claims, key)
    return (await receiverOf(api)({ method: 'POST', contentType: 'application/secevent+jwt', body })).status
  }
  return { send }
}

describe('room', () => {
  test('a sender who repeats an event, to any process and under any `jti`, uses one entry', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet, 2)
    const { send } = createSender(issuer)
    const at = Math.floor(bed.clock.now())
    for (let i = 0; i < 100; i++) {
      expect(await send(all[i % 2] as ResourceServer, 'u1', `event ${i}`, at)).toBe(202)
      await pass(1)
    }
    expect(await entriesOf(fleet)).toBeLessThanOrEqual(2)
  })

  test('a log without room for senders has room for the operator', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet(64)
    const [api, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    const { send } = createSender(issuer)
    const answers: number[] = []
    // With an entry of another format, it is not written anew.
    await say(fleet, '{}')
    for (let i = 0; i < 80; i++) answers.push(await send(api, `x${i}`))
    expect(answers.filter((status) => status === 202)).toHaveLength(55)
    expect(answers.at(-1)).toBe(503)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await pass(2)
    expect(await ask(other, issuer.token())).toEqual(denial.inactive)
    for (let i = 0; i < 6; i++) await api.revoke({ issuer: issuer.issuer, jti: `${i}` })
    await expect(api.revoke({ issuer: issuer.issuer, subject: 'u2' })).rejects.toMatchObject({
      name: 'RevocationsFull',
      message: expect.stringContaining('the log of revocations has no room')
    })
    expect(api.health().log?.status).toBe('degraded')
  })

  test('a sender who extends the operator’s revocations uses the senders’ room of the log', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet(64)
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    const { send } = createSender(issuer)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const answers: number[] = []
    for (let i = 0; i < 60; i++) {
      bed.clock.advance(1)
      answers.push(await send(api, 'u1', `event ${i}`))
    }
    expect(answers.filter((status) => status === 202)).toHaveLength(55)
    expect(await entriesOf(fleet)).toBe(56)
    for (let i = 0; i < 7; i++) await api.revoke({ issuer: issuer.issuer, jti: `${i}` })
  })

  test('senders are refused while the log is much longer than the memory, and the operator is not', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1, { revocation: { maxEntries: 10 } })) as [ResourceServer]
    const { send } = createSender(issuer)
    expect(await send(api, 'u1')).toBe(202)
    // This release cannot read them, so it does not write the log anew.
    for (let i = 0; i < 300; i++)
      await fleet.shared.append([...fleet.names][0] as string, 'A'.repeat(60_000), { keep: KEEP, reserve: 0 })
    await pass(2)
    expect(await send(api, 'u2')).toBe(503)
    await api.revoke({ issuer: issuer.issuer, subject: 'u3' })
    expect(await ask(api, issuer.token({ claims: { sub: 'u2' } }))).toEqual(denial.inactive)
  })

  test('senders who find no room do not delay what the operator’s revocations wait for', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet(64)
    const [api, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    const { send } = createSender(issuer)
    const token = issuer.token()
    // With an entry of another format, it is not written anew and stays full.
    await say(fleet, '{}')
    for (let i = 0; i < 55; i++) expect(await send(api, `x${i}`)).toBe(202)
    fleet.log.fail(new Error('down'))
    await expect(api.revoke({ issuer: issuer.issuer, subject: 'u1' })).rejects.toThrow()
    fleet.log.fail(undefined)
    for (let i = 0; i < 40; i++) {
      expect(await send(api, `y${i}`)).toBe(503)
      await pass(1)
    }
    expect(await ask(other, token)).toEqual(denial.inactive)
  })

  test('a full log of outdated entries is written anew, however few it may have', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet(64)
    const [api, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    const { send } = createSender(issuer)
    const answers: number[] = []
    for (let i = 0; i < 60; i++) {
      bed.clock.advance(1)
      answers.push(await send(api, 'u1', `event ${i}`))
    }
    expect(answers.at(-1)).toBe(503)
    await pass(40)
    expect(await entriesOf(fleet)).toBeLessThan(5)
    expect(await send(api, 'u1', 'another')).toBe(202)
    expect([api, other].map((one) => one.health().status)).toEqual(['ok', 'ok'])
  })

  test('a log of long names is not written anew in turns: it would not become shorter', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet)
    const until = bed.clock.now() + DAY
    // A control character has six bytes in JSON, so an entry has room for two of these names.
    const revocations = Array.from({ length: 4400 }, (_, i) => ({
      issuer: issuer.issuer,
      jti: `${i}`.padEnd(2048, '\0'),
      until
    }))
    await all[0]?.revoke(revocations)
    const { length } = fleet.appended
    await pass(130)
    expect([fleet.appended.length, ...all.map(known)]).toEqual([length, 4400, 4400])
  })

  test('events never take the operator’s reserve of any process, whenever it starts', async () => {
    const [loud, quiet] = [await bed.issuer(), await bed.issuer()]
    const fleet = createWokenFleet()
    const options = { issuers: [loud.issuer, quiet.issuer], revocation: { maxEntries: 16 } }
    const processes = await start(loud, fleet, 2, options)
    const [loudSender, quietSender] = [createSender(loud), createSender(quiet)]
    const answers: number[] = []
    for (let i = 0; i < 40; i++) {
      answers.push(await loudSender.send(processes[i % 2] as ResourceServer, `x${i}`))
      await settle()
    }
    expect(answers.filter((status) => status === 202)).toHaveLength(12)
    expect(await quietSender.send(processes[1] as ResourceServer, 'u1')).toBe(202)
    await settle()
    for (const api of processes) expect(await ask(api, quiet.token())).toEqual(denial.inactive)
    processes.push(...(await start(loud, fleet, 1, options)))
    expect(processes.map(known)).toEqual([13, 13, 13])
    await processes[2]?.revoke({ issuer: loud.issuer, subject: 'mine 1' })
    await processes[0]?.revoke({ issuer: loud.issuer, sessionId: 'mine 2' })
    await processes[1]?.revoke({ issuer: loud.issuer, before: bed.clock.now() })
    await settle()
    expect(processes.map(known)).toEqual([16, 16, 16])
    for (const api of processes) expect(await ask(api, loud.token())).toEqual(denial.inactive)
  })

  test('the operator’s revocations stay the operator’s in a process that starts later, also those that a sender repeats', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const one = join(issuer, fleet)
    const heard = Array.from({ length: 30 }, (_, i) => ({
      issuer: issuer.issuer,
      jti: `heard ${i}`,
      until: bed.clock.now() + 600
    }))
    await sayRevoked(fleet, heard, 'sender')
    await one.ready()
    // The operator repeats one that a sender has sent.
    await one.revoke([
      ...Array.from({ length: 7 }, (_, i) => ({ issuer: issuer.issuer, jti: `mine ${i}` })),
      { issuer: issuer.issuer, jti: 'heard 29' }
    ])
    const small = join(issuer, fleet, { revocation: { maxEntries: 14 } })
    await small.ready()
    // Of the senders' room of 12, six at most are left beside the operator's eight.
    expect(known(small)).toBeLessThanOrEqual(14)
    for (const jti of [...Array.from({ length: 7 }, (_, i) => `mine ${i}`), 'heard 29'])
      expect(await ask(one, issuer.token({ claims: { jti } }))).toEqual(denial.inactive)
  })

  test('a process without room says so, evicts nothing, and reads the rest once there is room again', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const messages = warnings()
    const small = join(issuer, fleet, { revocation: { maxEntries: 1 } })
    const other = join(issuer, fleet)
    await small.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 60 })
    await other.revoke({ issuer: issuer.issuer, subject: 'u1', before: bed.clock.now() + 1000 })
    await pass(2)
    expect(known(small)).toBe(1)
    expect(small.health()).toMatchObject({ status: 'degraded', log: { error: expect.stringContaining('no room') } })
    expect(messages.filter((message) => message.includes('could not be remembered'))).toHaveLength(1)
    await pass(130)
    expect(small.health().status).toBe('ok')
    expect(await ask(small, issuer.token())).toEqual(denial.inactive)
  })

  test('a log of outdated entries is written anew by one process, and nothing is lost meanwhile', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const all = await start(issuer, fleet, 3)
    await all[1]?.revoke({ issuer: issuer.issuer, jti: 'first' })
    for (let i = 0; i < 1100; i++) {
      bed.clock.advance(1)
      await all[0]?.revoke({ issuer: issuer.issuer, subject: 'busy' })
    }
    expect(await entriesOf(fleet)).toBe(1101)
    await pass(3)
    expect(await entriesOf(fleet)).toBeLessThan(10)
    await all[2]?.revoke({ issuer: issuer.issuer, jti: 'last' })
    await pass(70)
    const later = (await start(issuer, fleet, 1))[0] as ResourceServer
    for (const api of [...all, later]) {
      expect(known(api)).toBe(3)
      for (const jti of ['first', 'last'])
        expect(await ask(api, issuer.token({ claims: { jti } }))).toEqual(denial.inactive)
    }
    expect(await entriesOf(fleet)).toBeLessThan(10)
  })

  test('a log with an entry that this release cannot read is not written anew: the entry may be another’s', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    const [api] = (await start(issuer, fleet, 1)) as [ResourceServer]
    await say(fleet, JSON.stringify({ v: 2 }))
    for (let i = 0; i < 1100; i++) {
      bed.clock.advance(1)
      await api.revoke({ issuer: issuer.issuer, subject: 'busy' })
    }
    await pass(3)
    expect(await entriesOf(fleet)).toBe(1101)
  })
})

describe('close()', () => {
  test('ends the subscription and the readings, and a later revoke() still reaches the log', async () => {
    const issuer = await bed.issuer()
    const fleet = createWokenFleet()
    const [one, other] = (await start(issuer, fleet)) as [ResourceServer, ResourceServer]
    await one.close()
    await other.revoke({ issuer: issuer.issuer, jti: 'a' })
    await pass(3)
    expect(known(one)).toBe(0)
    await one.revoke({ issuer: issuer.issuer, jti: 'b' })
    await settle()
    expect(known(other)).toBe(2)
  })

  test('a flood of wake-ups causes at most 50 readings a second', async () => {
    const issuer = await bed.issuer()
    const fleet = createWokenFleet()
    let readings = 0
    let wakeUp = (): void => {}
    const log: Log = {
      ...fleet.shared,
      read: (...all) => {
        readings++
        return fleet.shared.read(...all)
      },
      wake: (_, listener) => {
        wakeUp = listener
        return () => undefined
      }
    }
    await start(issuer, { ...fleet, shared: log }, 1)
    const flood = async (): Promise<number> => {
      readings = 0
      for (let i = 0; i < 100; i++) {
        wakeUp()
        await settle()
      }
      return readings
    }
    expect(await flood()).toBe(50)
    expect(await flood()).toBe(0)
    // The last wake-up is read as soon as its turn comes, and not with the next reading of the second.
    passed += 1000 / 50 + 1
    await fire()
    expect(readings).toBe(1)
    passed += 1000
    expect(await flood()).toBe(50)
  })

  test('ends once, and waits no longer than the deadline for a subscription that does not end', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    leave()
    let ends = 0
    const log: Log = {
      ...fleet.shared,
      wake: () => () => {
        ends++
        return new Promise(() => {})
      }
    }
    const api = join(issuer, { ...fleet, shared: log }, { callbackTimeout: 0.05 })
    await api.ready()
    await settle()
    await Promise.all([api.close(), api.close()])
    expect(ends).toBe(1)
  })

  test('a subscription that hangs is the only one, delays no reading, and ends when it arrives after close()', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    let asked = 0
    let ends = 0
    let subscribed = (): void => {}
    const log: Log = {
      ...fleet.shared,
      wake: () =>
        new Promise((resolve) => {
          asked++
          subscribed = () => resolve(() => ends++)
        })
    }
    const [api] = (await start(issuer, { ...fleet, shared: log }, 1)) as [ResourceServer]
    await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 600 }])
    await pass(2)
    expect(known(api)).toBe(1)
    await pass(100)
    expect([asked, api.health().status]).toEqual([1, 'ok'])
    await api.close()
    subscribed()
    await settle()
    expect(ends).toBe(1)
  })

  test('before the log was read: requests and ready() that wait end', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    fleet.log.fail(new Error('down'))
    const api = join(issuer, fleet)
    const waiting = [refusal(() => api.authorize(request(issuer.token()))), refusal(() => api.ready())]
    await settle()
    await api.close()
    expect(await Promise.all(waiting)).toMatchObject([{ status: 503 }, { status: 503 }])
  })

  test('a subscription that fails is tried again after half a minute, and readings go on without it', async () => {
    const issuer = await bed.issuer()
    const fleet = createFleet()
    let asked = 0
    const log: Log = {
      ...fleet.shared,
      wake: (name, listener) => {
        if (asked++ === 0) throw new Error('NOPERM')
        return fleet.log.wake(name, listener)
      }
    }
    const [api] = (await start(issuer, { ...fleet, shared: log }, 1)) as [ResourceServer]
    await sayRevoked(fleet, [{ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 600 }])
    await pass(3)
    expect([known(api), asked]).toEqual([1, 1])
    await pass(30)
    expect(asked).toBe(2)
    expect(api.health().status).toBe('ok')
  })
})
