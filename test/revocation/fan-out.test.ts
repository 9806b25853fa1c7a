/** Revocations travel between the processes of an API: here several servers in one process, over a channel in memory. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  type Awaitable,
  type Cache,
  type Channel,
  type OnceStore,
  type ResourceServer,
  securityEventReceiver,
  type WarningEvent
} from '../../src/index.js'
import { createShared } from '../../src/sharing/shared.js'
import { ask, createBed, denial, granted, RESOURCE, until } from '../support/exchange.js'
import { createSigningKey, signJws, type TestIssuer } from '../support/issuer.js'

const bed = createBed()
const SECRET = 'a secret of thirty-two characters'
const DAY = 24 * 3600

beforeAll(() => import('undici'))

/** A store that has nothing and keeps nothing. */
const store: Cache & OnceStore = { get: () => null, set: () => null, delete: () => null, add: () => true }

interface Bus {
  readonly channel: Channel
  /** All messages, as they stand on the wire. */
  readonly wire: string[]
  listeners(): number
  say(message: string): void
  /** What `publish` and `subscribe` do instead. */
  fault: (() => Awaitable<never>) | undefined
  /** From now on nobody hears who listens now; who subscribes does. */
  deafen(): void
  /** Nobody hears anything. */
  isMute: boolean
}

function createBus(): Bus {
  const listeners = new Set<(message: string) => void>()
  const bus: Bus = {
    wire: [],
    fault: undefined,
    isMute: false,
    deafen: () => listeners.clear(),
    listeners: () => listeners.size,
    say: (message) => {
      bus.wire.push(message)
      for (const listener of bus.isMute ? [] : listeners) listener(message)
    },
    channel: {
      publish: async (message) => {
        await bus.fault?.()
        bus.say(message)
      },
      subscribe: async (listener) => {
        await bus.fault?.()
        listeners.add(listener)
        return () => listeners.delete(listener)
      }
    }
  }
  return bus
}

function join(issuer: TestIssuer, { channel }: Bus, secret: string | readonly [string, string] = SECRET, options = {}) {
  return bed.api({ issuers: [issuer.issuer], shared: { store, secret, channel }, ...options })
}

/** What another process, perhaps of another release, says. */
async function speak(bus: Bus, message: object | null): Promise<void> {
  const { channel } = createShared({ store, secrets: [SECRET], channel: bus.channel }, bed.clock.now)
  await channel?.publish(JSON.stringify(message && { resource: RESOURCE, from: 'another', ...message }))
}

const known = (api: ResourceServer): number => api.stats().revocations.entries

let end = (): void => {}
afterEach(() => end())

function warnings(): string[] {
  const messages: string[] = []
  const listener = (event: unknown): void => {
    const { message, resource } = event as WarningEvent
    expect(resource).toBe(RESOURCE)
    messages.push(message)
  }
  subscribe('oauth-resource-server:warning', listener)
  end = () => unsubscribe('oauth-resource-server:warning', listener)
  return messages
}

describe('a revocation', () => {
  test('in one process applies in the others', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    const token = issuer.token()
    expect([await ask(one, token), await ask(other, token)]).toEqual([granted, granted])
    await until(() => bus.listeners() === 2)
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect([await ask(one, token), await ask(other, token)]).toEqual([denial.inactive, denial.inactive])
    expect(one.health()).toMatchObject({ status: 'ok', channel: { status: 'ok' } })
  })

  test('does not reveal its subject on the channel', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const api = join(issuer, bus)
    await api.revoke({ issuer: issuer.issuer, subject: 'somebody@example.com' })
    await until(() => bus.wire.length >= 2)
    for (const message of bus.wire) {
      expect(message).toMatch(/^[\w-]+$/)
      expect(Buffer.from(message, 'base64url').toString('latin1')).not.toMatch(/somebody|issuer|entries/)
    }
  })

  test('is remembered equally long everywhere, whatever `keepFor` is there', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = join(issuer, bus)
    const other = join(issuer, bus, SECRET, { revocation: { keepFor: 60 } })
    await until(() => bus.listeners() === 2)
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    bed.clock.advance(DAY - 1)
    const token = issuer.token({ claims: { iat: 1 } })
    expect(await ask(other, token)).toEqual(denial.inactive)
    bed.clock.advance(1)
    expect(await ask(other, token)).toEqual(granted)
  })

  test('of an issuer that only another process knows is accepted', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = bed.api({ issuers: () => undefined, shared: { store, secret: SECRET, channel: bus.channel } })
    const other = join(issuer, bus)
    await until(() => bus.listeners() === 2)
    await one.revoke({ issuer: 'https://tenant.example.com', subject: 'u1' })
    expect(known(other)).toBe(1)
  })
})

describe('a process that joins', () => {
  test('gets the revocations of the others, and is ready only then', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = join(issuer, bus)
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await one.revoke({ issuer: issuer.issuer, jti: 'x', until: bed.clock.now() + 50 })
    const joiner = join(issuer, bus)
    await joiner.ready()
    expect(known(joiner)).toBe(2)
    expect(await ask(joiner, issuer.token())).toEqual(denial.inactive)
  })

  test('gets many revocations in several messages, from one of the other processes', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const many = Array.from({ length: 2000 }, (_, i) => ({ issuer: issuer.issuer, subject: `user-${i}` }))
    const others = [join(issuer, bus), join(issuer, bus)]
    await until(() => bus.listeners() === 2)
    await others[0]?.revoke(many)
    for (const message of bus.wire) expect(message.length).toBeLessThan(64 * 1024)
    const joiner = join(issuer, bus)
    await joiner.ready()
    await until(() => known(joiner) === 2000)
    expect(others.map(known)).toEqual([2000, 2000])
  })

  test('sends its own revocations', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    bus.fault = () => Promise.reject(new Error('down'))
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    await one.revoke({ issuer: issuer.issuer, jti: 'a' })
    await other.revoke({ issuer: issuer.issuer, jti: 'b' })
    bus.fault = undefined
    await until(() => known(one) === 2 && known(other) === 2)
    expect([one.health().status, other.health().status]).toEqual(['ok', 'ok'])
  })

  test('is ready even if it is alone', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const api = join(issuer, bus)
    await api.ready()
    expect(api.health().status).toBe('ok')
    // Its own question came back to it, and was not answered.
    expect(bus.wire).toHaveLength(1)
  })

  test('during a revocation misses none, because it subscribes before it asks', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = join(issuer, bus)
    await until(() => bus.listeners() === 1)
    const joiner = join(issuer, bus)
    await Promise.all([one.revoke({ issuer: issuer.issuer, jti: 'a' }), joiner.ready()])
    await until(() => known(joiner) === 1)
  })
})

describe('with the channel down', () => {
  const faults: readonly [string, () => Awaitable<never>][] = [
    ['that rejects', () => Promise.reject(new Error('ECONNREFUSED'))],
    [
      'that throws',
      () => {
        throw new Error('ECONNREFUSED')
      }
    ],
    ['that says nothing', () => new Promise(() => {})]
  ]

  test.each(faults)(
    '%s, a local revocation still applies, a warning and health() report the failure',
    async (_, fault) => {
      const issuer = await bed.issuer()
      const bus = createBus()
      const messages = warnings()
      const api = join(issuer, bus, SECRET, { callbackTimeout: 0.05 })
      await until(() => bus.wire.length === 1)
      bus.fault = fault
      await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
      expect(known(api)).toBe(1)
      expect(api.health()).toMatchObject({
        status: 'degraded',
        channel: { status: 'degraded', error: expect.stringContaining('the channel failed') }
      })
      expect(messages).toEqual([expect.stringContaining('may not reach')])
      let asked = 0
      bus.fault = () => {
        asked++
        return fault()
      }
      await api.revoke({ issuer: issuer.issuer, subject: 'u2' })
      expect([known(api), asked]).toEqual([2, 0])
      expect(messages).toHaveLength(1)
    }
  )

  test('from the start, requests are decided, and ready() does not wait for it', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    bus.fault = () => Promise.reject(new Error('down'))
    const api = join(issuer, bus)
    await api.ready()
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health().status).toBe('degraded')
  })

  test('for a time, the others get what they missed afterwards', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    await until(() => bus.listeners() === 2)
    bus.fault = () => Promise.reject(new Error('down'))
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(known(other)).toBe(0)
    bus.fault = undefined
    await until(() => known(other) === 1 && one.health().status === 'ok')
  })

  test('for incoming messages only, the failure is noticed within two minutes, reported, and repaired', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const messages = warnings()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    /** What would happen in a minute. */
    const minute = (): void => {
      const waiting = timers.mock.calls.filter(([, wait = 0]) => wait > 50_000)
      const [call] = waiting.at(-1) as [() => void]
      call()
    }
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    await until(() => bus.listeners() === 2 && timers.mock.calls.filter(([, wait = 0]) => wait > 50_000).length === 2)
    bus.deafen()
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect([known(one), known(other)]).toEqual([1, 0])
    // It asks, and hears nothing of it …
    minute()
    await until(() => bus.wire.length >= 4)
    expect(other.health().status).toBe('ok')
    await until(() => timers.mock.calls.filter(([, wait = 0]) => wait > 50_000).length === 3)
    // … which it notices when it asks again.
    minute()
    await until(() => known(other) === 1)
    await until(() => other.health().status === 'ok')
    timers.mockRestore()
    expect(messages).toEqual([
      'nothing arrives on the channel, not even the messages of this process: subscribing again'
    ])
    expect(bus.listeners()).toBe(1)
  })

  test('health() reports that nothing arrives, and revocations are still sent', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const api = join(issuer, bus)
    const long = (): (() => void)[] =>
      timers.mock.calls.filter(([, wait = 0]) => wait > 50_000).map(([call]) => call as () => void)
    await until(() => long().length === 1)
    bus.isMute = true
    for (const n of [1, 2]) {
      long().at(-1)?.()
      await until(() => long().length === n + 1)
    }
    timers.mockRestore()
    expect(api.health()).toMatchObject({
      status: 'degraded',
      channel: { status: 'degraded', error: 'nothing arrives on the channel' }
    })
    const said = bus.wire.length
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(bus.wire).toHaveLength(said + 1)
  })

  test('many failed messages count as one failure, and the next attempt is within a second or two', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    await until(() => bus.listeners() === 2)
    const timers = vi.spyOn(globalThis, 'setTimeout')
    bus.fault = () => Promise.reject(new Error('down'))
    await Promise.all(Array.from({ length: 9 }, (_, i) => one.revoke({ issuer: issuer.issuer, jti: `t${i}` })))
    const waits = timers.mock.calls.map(([, wait = 0]) => wait)
    timers.mockRestore()
    expect(waits).toContain(1000)
    expect(waits.filter((wait) => wait > 10_000)).toEqual([])
    bus.fault = undefined
    await until(() => known(other) === 9)
  })
})

describe('a message', () => {
  test('that was not made with the secret is dropped, with one warning', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const messages = warnings()
    const [api, stranger] = [join(issuer, bus), join(issuer, bus, 'another secret of thirty-two chars')]
    await until(() => bus.listeners() === 2)
    await stranger.revoke({ issuer: issuer.issuer, subject: 'u1' })
    bus.say('nonsense')
    bus.say(JSON.stringify({ type: 'revoked', resource: RESOURCE, from: 'x', entries: [] }))
    expect(known(api)).toBe(0)
    const dropped = messages.filter((message) => message.includes('was not made with `shared.secret`'))
    expect(dropped).toHaveLength(2) // Each of the two drops what the other says.
  })

  test('that was altered is dropped', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const heard: Channel = {
      publish: (message) => bus.say(`${message.slice(0, 40)}${message[40] === 'A' ? 'B' : 'A'}${message.slice(41)}`),
      subscribe: (listener) => bus.channel.subscribe(listener)
    }
    const api = join(issuer, bus)
    const other = join(issuer, { ...bus, channel: heard })
    await until(() => bus.listeners() === 2)
    await other.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(known(api)).toBe(0)
  })

  test('that arrives twice changes nothing', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const [one, other] = [join(issuer, bus), join(issuer, bus)]
    await until(() => bus.listeners() === 2)
    await one.revoke({ issuer: issuer.issuer, subject: 'u1' })
    for (const message of bus.wire.slice()) bus.say(message)
    expect([known(one), known(other)]).toEqual([1, 1])
  })

  test('a replayed greeting is not answered again', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const api = join(issuer, bus)
    await until(() => bus.wire.length === 1)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const joiner = join(issuer, bus)
    await joiner.ready()
    expect(known(joiner)).toBe(1)
    const said = bus.wire.slice()
    // Whoever was not there when it was said hears it for the first time, and answers within a quarter of a second.
    for (const message of said) bus.say(message)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const answers = (): number => timers.mock.calls.filter(([, wait = 0]) => wait < 1000).length
    for (const message of said) bus.say(message)
    // Nor is one that another clock made, or one of a release that did not say when.
    const question = { type: 'hello', digest: '0.0', joins: true }
    await speak(bus, { ...question, id: 'a', at: bed.clock.now() - 61 })
    await speak(bus, { ...question, id: 'a', at: bed.clock.now() + 61 })
    await speak(bus, { ...question, id: 'a' })
    expect(answers()).toBe(0)
    // One that is new is, as soon as those before have their answer.
    for (let n = 0; answers() === 0; n++) {
      await speak(bus, { ...question, id: `b${n}`, at: bed.clock.now() - 59 })
      await new Promise((resolve) => setImmediate(resolve))
    }
    timers.mockRestore()
  })

  test('of another API with the same secret is ignored', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const api = join(issuer, bus)
    const another = join(issuer, bus, SECRET, { resource: 'https://other.example' })
    await until(() => bus.listeners() === 2)
    await another.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(known(api)).toBe(0)
  })

  test('made with the previous secret is accepted while secrets change', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const next = 'the next secret, of some more characters'
    const [old, changed] = [join(issuer, bus, [SECRET, next]), join(issuer, bus, [next, SECRET])]
    await until(() => bus.listeners() === 2)
    await old.revoke({ issuer: issuer.issuer, jti: 'a' })
    await changed.revoke({ issuer: issuer.issuer, jti: 'b' })
    expect([known(old), known(changed)]).toEqual([2, 2])
  })

  test.each([
    [
      'of a kind that is not known here',
      { type: 'restored', entries: [{ issuer: 'https://as.example.com', jti: 'x' }] }
    ],
    ['without entries', { type: 'revoked' }],
    ['that is null', null]
  ])('%s, of another release, does nothing', async (_, message) => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const messages = warnings()
    const api = join(issuer, bus)
    await until(() => bus.listeners() === 1)
    await speak(bus, message)
    expect(known(api)).toBe(0)
    expect(messages).toEqual([])
  })

  test('with one unknown entry, of another release, is applied except for that entry', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const messages = warnings()
    const api = join(issuer, bus)
    await until(() => bus.listeners() === 1)
    const entries = [{ issuer: issuer.issuer, actor: 'x' }, null, { issuer: issuer.issuer, subject: 'u1' }]
    await speak(bus, { type: 'revoked', entries })
    await speak(bus, { type: 'revoked', entries })
    expect(known(api)).toBe(1)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
    expect(messages).toEqual([expect.stringContaining('is not understood')])
    expect(messages[0]).not.toContain(issuer.issuer)
  })

  test('is not passed on by its receiver', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const all = [join(issuer, bus), join(issuer, bus), join(issuer, bus)]
    await Promise.all(all.map((one) => one.ready()))
    const said = bus.wire.length
    await all[0]?.revoke({ issuer: issuer.issuer, jti: 'a' })
    expect(all.map(known)).toEqual([1, 1, 1])
    expect(bus.wire).toHaveLength(said + 1)
  })

  test('replayed by an attacker revokes no longer than the original', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = join(issuer, bus)
    const other = join(issuer, bus)
    await until(() => bus.listeners() === 2)
    await one.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 60 })
    bed.clock.advance(120)
    for (const message of bus.wire.slice()) bus.say(message)
    expect([known(one), known(other)]).toEqual([0, 0])
  })

  test('is applied as far as there was room, also for entries after one without room', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const small = join(issuer, bus, SECRET, { revocation: { maxEntries: 1 } })
    const other = join(issuer, bus)
    await until(() => bus.listeners() === 2)
    const both = ['a', 'b'].map((jti) => ({ issuer: issuer.issuer, jti }))
    await expect(small.revoke(both)).rejects.toThrow('the memory for revocations is full: 1 entries')
    expect([known(small), known(other)]).toEqual([1, 1])
  })

  test('from a sender never takes the operator’s reserve of any process, whenever it joined', async () => {
    const [loud, quiet] = [await bed.issuer(), await bed.issuer()]
    const bus = createBus()
    const issuers = [loud.issuer, quiet.issuer]
    const options = { issuers, revocation: { maxEntries: 16 } }
    const key = createSigningKey('RS256', { kid: 's' })
    const jwks = { keys: [key.publicJwk] }
    const processes = [join(loud, bus, SECRET, options), join(loud, bus, SECRET, options)]
    await until(() => bus.listeners() === 2)
    const receivers = processes.map((api) =>
      securityEventReceiver(api, { transmitters: issuers.map((issuer) => ({ issuer, jwks })) })
    )
    const send = async (to: number, iss: string, sub: string): Promise<number> => {
      const events = { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {} }
      const about = { sub_id: { format: 'iss_sub', iss, sub }, events }
      const claims = { iss, aud: RESOURCE, iat: Math.floor(bed.clock.now()), jti: sub, ...about }
      const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 's' }, claims, key)
      const answer = await receivers[to]?.({ method: 'POST', contentType: 'application/secevent+jwt', body })
      return answer?.status ?? 0
    }
    // The attacker is the transmitter of one tenant, and sends to whichever process.
    const answers: number[] = []
    for (let i = 0; i < 40; i++) answers.push(await send(i % 2, loud.issuer, `x${i}`))
    expect(answers.filter((status) => status === 202)).toHaveLength(12)
    // Another tenant is heard in each process.
    expect(await send(1, quiet.issuer, 'u1')).toBe(202)
    for (const api of processes) expect(await ask(api, quiet.token())).toEqual(denial.inactive)
    const late = join(loud, bus, SECRET, options)
    await late.ready()
    expect([...processes, late].map(known)).toEqual([13, 13, 13])
    await until(() => bus.listeners() === 3)
    // The operator of each process.
    await late.revoke({ issuer: loud.issuer, subject: 'mine 1' })
    await processes[0]?.revoke({ issuer: loud.issuer, sessionId: 'mine 2' })
    await processes[1]?.revoke({ issuer: loud.issuer, before: bed.clock.now() })
    expect([...processes, late].map(known)).toEqual([16, 16, 16])
    for (const api of [...processes, late]) expect(await ask(api, loud.token())).toEqual(denial.inactive)
  })

  test('keeps its source for a process that joins: the operator’s may fill all room, the senders’ may not', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const one = join(issuer, bus)
    const entries = Array.from({ length: 30 }, (_, i) => ({ issuer: issuer.issuer, jti: `heard ${i}` }))
    await until(() => bus.listeners() === 1)
    await speak(bus, { type: 'revoked', by: 'sender', entries })
    await one.revoke(Array.from({ length: 8 }, (_, i) => ({ issuer: issuer.issuer, jti: `mine ${i}` })))
    const small = join(issuer, bus, SECRET, { revocation: { maxEntries: 8 } })
    await small.ready()
    expect([known(one), known(small)]).toEqual([38, 8])
    for (let i = 0; i < 8; i++)
      expect(await ask(small, issuer.token({ claims: { jti: `mine ${i}` } }))).toEqual(denial.inactive)
  })

  test.each([['known'], ['revoked']])(
    '%s of an earlier release, without a source, counts as a sender’s',
    async (type) => {
      const issuer = await bed.issuer()
      const bus = createBus()
      const api = join(issuer, bus, SECRET, { revocation: { maxEntries: 8 } })
      await until(() => bus.listeners() === 1)
      const entries = Array.from({ length: 30 }, (_, i) => ({ issuer: issuer.issuer, jti: `${i}` }))
      for (const by of [undefined, 'process', { operator: 1 }]) await speak(bus, { type, entries, by, last: true })
      expect(known(api)).toBe(6)
      await api.revoke([{ issuer: issuer.issuer, before: bed.clock.now() }])
    }
  )

  test('has entries that an earlier release understands: the source is beside them', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const said: Record<string, unknown>[] = []
    const { channel } = createShared({ store, secrets: [SECRET], channel: bus.channel }, bed.clock.now)
    await channel?.subscribe((text) => void said.push(JSON.parse(text) as Record<string, unknown>))
    const api = join(issuer, bus)
    await until(() => bus.listeners() === 2)
    await api.revoke({ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 60 })
    await speak(bus, { type: 'hello', joins: true, digest: '', id: 'x', at: bed.clock.now() })
    await until(() => said.some(({ type }) => type === 'known'))
    const entries = [{ issuer: issuer.issuer, jti: 'a', until: bed.clock.now() + 60 }]
    expect(said.filter(({ type }) => type !== 'hello')).toMatchObject([
      { type: 'revoked', entries, by: 'operator' },
      { type: 'known', entries, by: 'operator', last: true }
    ])
  })

  test('without room causes a warning, and no entry is evicted for it', async () => {
    const issuer = await bed.issuer()
    const bus = createBus()
    const messages = warnings()
    const small = join(issuer, bus, SECRET, { revocation: { maxEntries: 1 } })
    const other = join(issuer, bus)
    await until(() => bus.listeners() === 2)
    await small.revoke({ issuer: issuer.issuer, jti: 'a' })
    await other.revoke({ issuer: issuer.issuer, jti: 'b' })
    expect(known(small)).toBe(1)
    expect(small.health()).toMatchObject({ status: 'degraded', channel: { error: expect.stringContaining('no room') } })
    expect(messages.filter((message) => message.includes('could not be stored'))).toHaveLength(1)
    // What it knows already fits, and says nothing about what it missed.
    await speak(bus, { type: 'revoked', entries: [{ issuer: issuer.issuer, jti: 'a' }] })
    expect(small.health().status).toBe('degraded')
    bed.clock.advance(DAY + 60)
    expect(small.health().status).toBe('ok')
  })
})

test('close() ends once, and waits no longer than the deadline for a hanging channel', async () => {
  const issuer = await bed.issuer()
  const bus = createBus()
  let ends = 0
  const channel: Channel = {
    publish: (message) => bus.channel.publish(message),
    subscribe: async (listener) => {
      await bus.channel.subscribe(listener)
      return () => {
        ends++
        return new Promise(() => {})
      }
    }
  }
  const shared = { store, secret: SECRET, channel }
  const api = bed.api({ issuers: [issuer.issuer], shared, callbackTimeout: 0.05 })
  await until(() => bus.wire.length === 1)
  await Promise.all([api.close(), api.close()])
  expect(ends).toBe(1)
})

test('close() ends the subscription, and nothing is sent or received after it', async () => {
  const issuer = await bed.issuer()
  const bus = createBus()
  const [one, other] = [join(issuer, bus), join(issuer, bus)]
  await until(() => bus.listeners() === 2)
  await one.close()
  expect(bus.listeners()).toBe(1)
  await other.revoke({ issuer: issuer.issuer, jti: 'a' })
  expect(known(one)).toBe(0)
  const said = bus.wire.length
  await one.revoke({ issuer: issuer.issuer, jti: 'b' })
  expect(bus.wire).toHaveLength(said)
})
