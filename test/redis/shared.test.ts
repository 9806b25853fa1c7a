/** The option `shared`: what it may be, what is shown of it, and stores that do not do what a store does. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { fresh, type ResourceServer, resourceServer, type SharedOptions, scope } from '../../src/index.js'
import { createTestLog } from '../../test-kit/issuer.js'
import { ask, createBed, denial, granted, introspecting, until } from '../support/exchange.js'
import { fault } from '../support/issuer.js'
import { OTHER_SECRET, SECRET } from '../support/processes.js'

const bed = createBed()

function memoryStore(): SharedOptions['store'] & { readonly entries: Map<string, string> } {
  const entries = new Map<string, string>()
  return {
    entries,
    get: (key) => entries.get(key),
    set: (key, value) => entries.set(key, value),
    delete: (key) => entries.delete(key),
    add: (key) => !entries.has(key) && entries.set(key, '1') !== undefined
  }
}

const serverWith = (shared: unknown) =>
  resourceServer({
    resource: 'https://api.example.com',
    issuers: ['https://as.example.com'],
    shared: shared as SharedOptions
  })

describe('the option `shared`', () => {
  const store = memoryStore()
  const log = createTestLog()

  test.each<[string, unknown, string]>([
    ['is no object', 'redis://localhost', '`shared`'],
    ['has no store', { secret: SECRET }, '`shared.store` is not an object'],
    ['has a client for a store', { store: { get: () => 1, set: () => 1 }, secret: SECRET }, '`shared.store` has no'],
    ['has no secret', { store }, '`shared.secret` is not a secret or a pair of secrets'],
    ['has a secret of 31 characters', { store, secret: 'x'.repeat(31) }, '`shared.secret`'],
    ['has a secret that is no text', { store, secret: Buffer.alloc(32) }, '`shared.secret`'],
    ['has no secret in its list', { store, secret: [] }, '`shared.secret`'],
    ['has three secrets', { store, secret: [SECRET, OTHER_SECRET, SECRET] }, '`shared.secret`'],
    ['has one short secret of two', { store, secret: [SECRET, 'x'] }, '`shared.secret`'],
    ['has a log without read', { store, secret: SECRET, log: { append: () => '' } }, '`shared.log` has no'],
    ['has a member that is none', { store, secret: SECRET, prefix: 'x' }, '`shared.prefix`']
  ])('that %s is refused at start', (_, shared, problem) => {
    const attempt = (): unknown => serverWith(shared)
    expect(attempt).toThrow(TypeError)
    expect(attempt).toThrow(problem)
  })

  test('a refusal does not reveal the secret', () => {
    const secret = 'too short, and nobody may read'
    try {
      serverWith({ store, secret: [secret, SECRET] })
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain(secret)
      expect(String(error)).not.toContain(SECRET)
    }
  })

  test('SEC-01: describe(), stats() and health() reveal neither the secret nor keys derived from it', async () => {
    const api = serverWith({ store, secret: [SECRET, OTHER_SECRET], log })
    const told = JSON.stringify([api.describe(), api.stats(), api.health()])
    for (const secret of [SECRET, OTHER_SECRET]) expect(told).not.toContain(secret)
    expect(api.describe()).toMatchObject({ shared: 'a store and a log', dpop: { nonceSecrets: 2 } })
    expect(api.stats().shared).toEqual({ state: 'ok', error: undefined })
    expect(api.health().shared).toEqual({ status: 'ok', error: undefined })
    await api.close()
  })

  test('without it nothing is shared, and nothing is reported', () => {
    const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
    expect([api.describe()['shared'], api.stats().shared, api.health().shared]).toEqual([
      undefined,
      undefined,
      undefined
    ])
  })
})

describe('a store that', () => {
  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no')
      }
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['rejects with nothing', () => Promise.reject()],
    ['answers with a number', () => 1],
    ['answers with an object', () => ({})],
    ['answers with bytes', () => Buffer.alloc(100, 1)],
    ['answers with null', () => null],
    ['answers with what is far too long', () => 'AQ'.repeat(2 ** 21)]
  ])('that %s works like a missing one', async (_, answer) => {
    const issuer = await bed.issuer()
    const broken = { get: answer, set: answer, delete: answer, add: answer } as unknown as SharedOptions['store']
    const api = bed.api({ issuers: [introspecting(issuer)], shared: { store: broken, secret: SECRET } })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('(RFC 7662 §4) that is slow does not restore "active" after "not active", in either order of writing', async () => {
    const issuer = await bed.issuer()
    const kept = new Map<string, string>()
    /** Reads and writes that wait; undefined: none does. */
    let held: (() => void)[] | undefined
    const slowly = async (): Promise<void> => {
      const waiting = held
      if (waiting) await new Promise<void>((resolve) => void waiting.push(resolve))
    }
    const store = {
      get: async (key: string) => {
        const value = kept.get(key)
        await slowly()
        return value
      },
      set: async (key: string, value: string) => {
        await slowly()
        kept.set(key, value)
      },
      delete: async (key: string) => {
        await slowly()
        kept.delete(key)
      },
      add: async () => true
    }
    const [told, slow, other] = [0, 1, 2].map(() =>
      bed.api({ issuers: [introspecting(issuer, { cacheFor: 60 })], shared: { store, secret: SECRET } })
    ) as [ResourceServer, ResourceServer, ResourceServer]
    for (const api of [told, slow, other]) await ask(api, issuer.opaque())
    for (const first of ['active', 'not active']) {
      const token = issuer.opaque()
      for (const api of [told, slow]) expect(await ask(api, token)).toEqual(granted)
      const late = fault.late()
      issuer.script('introspection', late.behaviour)
      const asked = ask(slow, token, scope('read'), fresh())
      await late.asked
      issuer.revoke(token)
      if (first === 'active') {
        held = []
        late.arrive()
        expect(await asked).toEqual(granted)
      }
      expect(await ask(told, token, scope('read'), fresh())).toEqual(denial.inactive)
      if (first !== 'active') late.arrive()
      await asked
      // One after the other, in the order in which they came.
      for (let idle = 0; idle < 20; idle++) {
        held?.shift()?.()
        await setImmediate()
      }
      held = undefined
      expect(await ask(other, token)).toEqual(denial.inactive)
      bed.clock.advance(11)
      expect(await ask(other, token)).toEqual(denial.inactive)
    }
  })

  test('keeps its own `this`, and gets whole seconds', async () => {
    const issuer = await bed.issuer()
    class Store {
      readonly told: number[] = []
      get(): undefined {
        return void this.told.length
      }
      set(_key: string, _value: string, ttl: number): void {
        this.told.push(ttl)
      }
      delete(): void {
        this.told.length = 0
      }
      add(): boolean {
        return this.told.length >= 0
      }
    }
    const store = new Store()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 1.5 })], shared: { store, secret: SECRET } })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    await until(() => store.told.at(-1) === 2)
    for (const ttl of store.told) expect(Number.isInteger(ttl)).toBe(true)
  })
})
