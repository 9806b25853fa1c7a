/** Tokens that verify and are refused all the same: what is remembered, for how long, and that it is asked everywhere. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { type Access, fresh, type Revocation, RevocationsFull, scope } from '../../src/index.js'
import { createRevocations, type RevocableToken } from '../../src/revocation/revocations.js'
import { createDpopKey } from '../support/dpop.js'
import { ask, authorize, createBed, denial, granted, introspecting, refusal, request } from '../support/exchange.js'
import { createClock, fault } from '../support/issuer.js'

const bed = createBed()
const I = 'https://as.example.com'
const NOW = 1_750_000_000
const DAY = 24 * 3600

beforeAll(() => import('undici'))

function memory(options: { readonly maxEntries?: number; readonly keepFor?: number } = {}) {
  const clock = createClock(NOW)
  return { clock, ...createRevocations({ now: clock.now, keepFor: DAY, maxEntries: 100, ...options }) }
}

interface Facts {
  readonly issuer?: string
  readonly subject?: string | undefined
  readonly clientId?: string | undefined
  readonly iat?: number | undefined
  readonly jti?: unknown
  readonly sid?: unknown
}

/** An access token of a while ago, but for what is said. */
function token({ issuer = I, jti = 't1', sid, ...facts }: Facts = {}): RevocableToken {
  const { subject = 'u1', clientId = 'c1', iat: issuedAt = NOW - 10 } = facts
  return {
    issuer,
    issuedBy: { settings: { acceptedIssuers: new Set([issuer]) } },
    subject: 'subject' in facts ? facts.subject : subject,
    clientId: 'clientId' in facts ? facts.clientId : clientId,
    issuedAt: 'iat' in facts ? facts.iat : issuedAt,
    claims: { jti, sid }
  }
}

describe('what a revocation is about', () => {
  const about: readonly [string, Revocation, hit: Facts, miss: Facts][] = [
    ['one token', { issuer: I, jti: 't1' }, {}, { jti: 't2' }],
    ['a subject', { issuer: I, subject: 'u1' }, {}, { subject: 'u2' }],
    ['a session', { issuer: I, sessionId: 's1' }, { sid: 's1' }, { sid: 's2' }],
    ['a client', { issuer: I, clientId: 'c1' }, {}, { clientId: 'c2' }],
    ['an issuer', { issuer: I, before: NOW }, {}, { iat: NOW }]
  ]

  test.each(about)('%s, and no other', (_, revocation, hit, miss) => {
    const { revoke, isRevoked } = memory()
    expect(isRevoked(token(hit))).toBe(false)
    revoke([revocation])
    expect(isRevoked(token(hit))).toBe(true)
    expect(isRevoked(token(miss))).toBe(false)
    expect(isRevoked(token({ ...hit, issuer: 'https://other.example' }))).toBe(false)
  })

  test.each(about)('%s of one kind is not the same name of another', (_, revocation) => {
    const { revoke, isRevoked } = memory()
    revoke([revocation])
    const names = { t1: 'jti', u1: 'subject', s1: 'sid', c1: 'clientId' }
    for (const name of Object.keys(names)) {
      const others = Object.fromEntries(
        Object.entries(names).map(([own, kind]) => [kind, own === name ? `no ${name}` : name])
      )
      expect(isRevoked(token({ ...others, iat: NOW + 1 }))).toBe(false)
    }
  })

  test.each(about.slice(1))(
    '%s: tokens issued before, now by default, and those that do not say when',
    (_, one, hit) => {
      const { revoke, isRevoked } = memory()
      revoke([one])
      expect(isRevoked(token({ ...hit, iat: NOW - 1 }))).toBe(true)
      expect(isRevoked(token({ ...hit, iat: NOW }))).toBe(false)
      expect(isRevoked(token({ ...hit, iat: undefined }))).toBe(true)
      revoke([{ ...one, before: NOW + 5 } as Revocation])
      expect(isRevoked(token({ ...hit, iat: NOW + 4 }))).toBe(true)
      expect(isRevoked(token({ ...hit, iat: NOW + 5 }))).toBe(false)
    }
  )

  test('one token is revoked whenever it says that it was issued', () => {
    const { revoke, isRevoked } = memory()
    revoke([{ issuer: I, jti: 't1' }])
    expect(isRevoked(token({ iat: NOW + 1000 }))).toBe(true)
  })

  test('an earlier `before` takes nothing back', () => {
    const { revoke, isRevoked } = memory()
    revoke([{ issuer: I, subject: 'u1', before: NOW + 5 }])
    expect(revoke([{ issuer: I, subject: 'u1', before: NOW - 5, until: NOW + 1 }])).toEqual([])
    expect(isRevoked(token({ iat: NOW + 4 }))).toBe(true)
  })

  test('claims of another type than a text name nothing', () => {
    const { revoke, isRevoked } = memory()
    revoke([
      { issuer: I, jti: '1' },
      { issuer: I, sessionId: '1' }
    ])
    expect(isRevoked(token({ jti: 1, sid: 1 }))).toBe(false)
    expect(isRevoked(token({ subject: undefined, clientId: undefined, jti: undefined }))).toBe(false)
  })
})

describe('how long', () => {
  test('for `keepFor`, or until `until`', () => {
    const { clock, revoke, isRevoked, stats } = memory({ keepFor: 600 })
    revoke([
      { issuer: I, jti: 't1' },
      { issuer: I, jti: 't2', until: NOW + 6000 }
    ])
    clock.advance(599.9)
    expect([isRevoked(token()), isRevoked(token({ jti: 't2' }))]).toEqual([true, true])
    clock.advance(0.1)
    expect([isRevoked(token()), isRevoked(token({ jti: 't2' }))]).toEqual([false, true])
    clock.advance(5400)
    expect(isRevoked(token({ jti: 't2' }))).toBe(false)
    clock.advance(60)
    expect(stats()).toMatchObject({ entries: 0, bytes: 0 })
  })

  test('revoked again, as long as the longer one', () => {
    const { clock, revoke, isRevoked } = memory()
    revoke([{ issuer: I, jti: 't1', until: NOW + 100 }])
    revoke([{ issuer: I, jti: 't1', until: NOW + 500 }])
    revoke([{ issuer: I, jti: 't1', until: NOW + 200 }])
    clock.advance(499)
    expect(isRevoked(token())).toBe(true)
    clock.advance(1)
    expect(isRevoked(token())).toBe(false)
  })

  test('what is over already is not remembered', () => {
    const { revoke, stats } = memory()
    expect(revoke([{ issuer: I, jti: 't1', until: NOW }])).toEqual([])
    expect(stats().entries).toBe(0)
  })

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])('a clock that says %s ends nothing', (time) => {
    let now = NOW
    const { revoke, isRevoked } = createRevocations({ now: () => now, keepFor: DAY, maxEntries: 10 })
    revoke([{ issuer: I, jti: 't1' }])
    now = time
    expect(isRevoked(token())).toBe(true)
  })
})

describe('bounds', () => {
  test('full, it says so, and forgets nothing', () => {
    const { clock, revoke, isRevoked, stats } = memory({ maxEntries: 2, keepFor: 600 })
    revoke([
      { issuer: I, jti: 't1' },
      { issuer: I, subject: 'u9' }
    ])
    expect(() => revoke([{ issuer: I, jti: 't3' }])).toThrow(RevocationsFull)
    expect(() => revoke([{ issuer: I, jti: 't3' }])).toThrow('2 revocations are remembered')
    expect([isRevoked(token()), isRevoked(token({ jti: 't3' }))]).toEqual([true, false])
    // What is known may be known for longer.
    revoke([{ issuer: I, jti: 't1', until: NOW + 5000 }])
    clock.advance(660)
    revoke([{ issuer: I, jti: 't3' }])
    expect(stats()).toMatchObject({ entries: 2, maxEntries: 2 })
  })

  test('long names count by their length', () => {
    const { clock, revoke, stats } = memory({ maxEntries: 32 })
    expect(stats()).toMatchObject({ bytes: 0, maxBytes: 16 * 1024 })
    const ofIssuer = 1024 + 2 * I.length
    for (const [i, letter] of ['a', 'b', 'c'].entries()) {
      revoke([{ issuer: I, jti: letter.repeat(2000) }])
      expect(stats().bytes).toBe(ofIssuer + (i + 1) * (256 + 4000))
    }
    expect(() => revoke([{ issuer: I, jti: 'd'.repeat(2000) }])).toThrow(RevocationsFull)
    clock.advance(DAY + 60)
    expect(stats()).toMatchObject({ entries: 0, bytes: 0 })
  })

  test.each(['jti', 'subject', 'clientId'] as const)(
    'what one issuer’s events say by %s leaves room for the others, and for whoever calls revoke()',
    (kind) => {
      const { revoke, isRevoked, stats } = memory({ maxEntries: 80 })
      const say = (issuer: string, name: string, by?: 'sender'): void =>
        void revoke([{ issuer, [kind]: name } as unknown as Revocation], by)
      const fill = (issuer: string): number => {
        let said = 0
        expect(() => {
          for (; said < 100; said++) say(issuer, `${said}`, 'sender')
        }).toThrow(`${issuer} have no more room`)
        return said
      }
      // Of the 70 that are not the operator's reserve, all but one seventh of what is left.
      expect(fill(I)).toBe(61)
      say('https://other.example', 'thief', 'sender')
      revoke([{ issuer: I, before: NOW }])
      for (let i = 0; i < 17; i++) say(I, `mine ${i}`)
      expect(() => say(I, 'mine 17')).toThrow('80 revocations')
      expect(stats().entries).toBe(80)
      expect(isRevoked(token({ jti: 'other', subject: 'other', clientId: 'other' }))).toBe(true)
    }
  )

  /** All that senders can say, of several issuers and by names of every kind. */
  function flood(revoke: ReturnType<typeof memory>['revoke'], length = 8, issuers = 20): void {
    for (let i = 0; i < 400; i++) {
      const issuer = `https://tenant-${i % issuers}.example.com`
      const kind = ['sessionId', 'jti', 'subject', 'clientId'][i % 4] as string
      try {
        revoke([{ issuer, [kind]: `${i}`.padEnd(length, '-') } as unknown as Revocation], 'sender')
      } catch (error) {
        expect(error).toBeInstanceOf(RevocationsFull)
      }
    }
  }

  test.each([1, 2, 3, 7, 8, 9, 16, 100, 200])(
    'of %d entries, an eighth and at least one are never taken by senders, by names of any kind and length',
    (maxEntries) => {
      const reserve = Math.max(1, Math.ceil(maxEntries / 8))
      for (const kind of ['jti', 'subject', 'sessionId', 'clientId'])
        for (const [length, mine] of [
          [8, reserve],
          [2048, 1]
        ] as const) {
          const { revoke, stats } = memory({ maxEntries })
          flood(revoke, length)
          expect(stats().entries).toBeLessThanOrEqual(maxEntries - reserve)
          for (let i = 0; i < mine; i++)
            expect(revoke([{ issuer: I, [kind]: `${i}`.padEnd(length, '+') } as unknown as Revocation])).toHaveLength(1)
        }
    }
  )

  test('what the operator revoked before leaves the reserve as it is', () => {
    const { revoke, stats } = memory({ maxEntries: 48 })
    revoke(Array.from({ length: 20 }, (_, i) => ({ issuer: I, jti: `${i}` })))
    flood(revoke, 8, 3)
    expect(stats().entries).toBeGreaterThan(36)
    expect(stats().entries).toBeLessThanOrEqual(42)
    for (let i = 0; i < 6; i++) expect(revoke([{ issuer: I, subject: `${i}` }])).toHaveLength(1)
  })

  test('an entry keeps who said it first, until the operator says the same', () => {
    const { revoke, entries, digest } = memory()
    const one: Revocation = { issuer: I, jti: 'a', until: NOW + 60 }
    expect(revoke([one], 'sender')).toEqual([one])
    revoke([{ issuer: I, jti: 'b', until: NOW + 60 }])
    revoke([{ issuer: I, jti: 'b', until: NOW + 90 }], 'sender')
    expect([entries('operator'), entries('sender')]).toEqual([[{ issuer: I, jti: 'b', until: NOW + 90 }], [one]])
    const before = digest()
    // Said by the operator too, it is news to the other processes, and the same revocation.
    expect(revoke([one])).toEqual([one])
    expect(revoke([one])).toEqual([])
    expect(revoke([one], 'sender')).toEqual([])
    expect([entries('operator').length, entries('sender').length, digest()]).toEqual([2, 0, before])
  })

  test('what the operator says too takes nothing of what senders may say any more', () => {
    const { clock, revoke, stats } = memory({ maxEntries: 16 })
    const list = Array.from({ length: 12 }, (_, i): Revocation => ({ issuer: I, jti: `${i}` }))
    revoke(list, 'sender')
    expect(() => revoke([{ issuer: I, jti: '12' }], 'sender')).toThrow('12 revocations of')
    revoke(list)
    revoke([{ issuer: I, jti: '12' }], 'sender')
    clock.advance(DAY + 60)
    expect(stats()).toMatchObject({ entries: 0, bytes: 0 })
    revoke(list, 'sender')
  })

  test('… by long names too, and what has ended leaves its room', () => {
    const { clock, revoke } = memory({ maxEntries: 100 })
    const fill = (): number => {
      let said = 0
      expect(() => {
        for (; said < 100; said++) revoke([{ issuer: I, subject: `${said}`.padEnd(2000) }], 'sender')
      }).toThrow('have no more room')
      return said
    }
    const said = fill()
    expect(said).toBe(8)
    revoke([{ issuer: I, before: NOW }])
    clock.advance(DAY + 60)
    expect(fill()).toBe(said)
  })

  test('two issuers’ events leave room for a third', () => {
    const { revoke } = memory({ maxEntries: 1000 })
    for (const issuer of ['https://a.example', 'https://b.example']) {
      expect(() => {
        for (let i = 0; i < 1000; i++) revoke([{ issuer, jti: `${i}` }], 'sender')
      }).toThrow('have no more room')
    }
    expect(revoke([{ issuer: I, subject: 'u1' }], 'sender')).toHaveLength(1)
  })

  test('issuers count too, where each has an entry', () => {
    const { revoke, stats } = memory({ maxEntries: 1000 })
    const many = Array.from({ length: 1000 }, (_, i) => ({ issuer: `https://tenant-${i}.example.com`, subject: 'u1' }))
    expect(() => revoke(many)).toThrow(RevocationsFull)
    expect(stats().bytes).toBeLessThanOrEqual(1000 * 512)
    expect(stats().entries).toBeGreaterThan(300)
  })

  test('a thousand times the same is one entry, and no more is kept for it', () => {
    const { revoke, stats, entries } = memory()
    for (let i = 0; i < 1000; i++) revoke([{ issuer: I, subject: 'u1', before: NOW + i, until: NOW + DAY + 61 * i }])
    expect(stats().entries).toBe(1)
    expect(entries()).toEqual([{ issuer: I, subject: 'u1', before: NOW + 999, until: NOW + DAY + 61 * 999 }])
  })
})

describe('on every request', () => {
  /** Look-ups of this many calls, and walks through anything. */
  function count(calls: () => void): { readonly looked: number; readonly walked: number } {
    const looked = vi.spyOn(Map.prototype, 'get')
    const walked = [
      vi.spyOn(Map.prototype, Symbol.iterator),
      vi.spyOn(Map.prototype, 'values'),
      vi.spyOn(Set.prototype, Symbol.iterator)
    ]
    try {
      calls()
      return { looked: looked.mock.calls.length, walked: walked.flatMap(({ mock }) => mock.calls).length }
    } finally {
      for (const spy of [looked, ...walked]) spy.mockRestore()
    }
  }

  function filled(entries: number) {
    const one = memory({ maxEntries: 200_000 })
    one.revoke(Array.from({ length: entries }, (_, i) => ({ issuer: I, jti: `other-${i}`, until: NOW + DAY + i })))
    // The first one within a minute sees to what has ended.
    one.isRevoked(token())
    return one
  }

  test('nothing is looked up while nothing is revoked', () => {
    const { isRevoked } = filled(0)
    expect(count(() => isRevoked(token({ sid: 's1' })))).toEqual({ looked: 0, walked: 0 })
  })

  test.each([1, 10_000])('five look-ups among %d entries, and no walk through them', (entries) => {
    const { isRevoked } = filled(entries)
    expect(count(() => isRevoked(token({ sid: 's1' })))).toEqual({ looked: 5, walked: 0 })
  })

  test.each([0, 1, 10_000])('nothing is allocated, among %d entries', (entries) => {
    const { isRevoked } = filled(entries)
    const asked = token({ sid: 's1' })
    const ask = (times: number): number => {
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < times; i++) isRevoked(asked)
      return process.memoryUsage().heapUsed - before
    }
    // The smallest object has 16 bytes. What else the runtime does meanwhile is in the tens of kilobytes.
    ask(100_000)
    expect(Math.min(ask(100_000), ask(100_000), ask(100_000))).toBeLessThan(400_000)
  })
})

describe('what is no revocation', () => {
  test.each([
    ['nothing', null, 'must be an object'],
    ['no issuer', { jti: 't1' }, '`issuer`'],
    ['an empty name', { issuer: I, jti: '' }, '`jti`'],
    ['a name of another type', { issuer: I, subject: 5 }, '`subject`'],
    ['a name that is too long', { issuer: I, subject: 'x'.repeat(2049) }, '`subject`'],
    ['two names', { issuer: I, jti: 't1', subject: 'u1' }, 'jti, subject'],
    ['no name and no time', { issuer: I }, '`before`'],
    ['a misspelt name', { issuer: I, sub: 'u1', before: 5 }, '"sub"'],
    ['a time for one token', { issuer: I, jti: 't1', before: 5 }, 'leave out `before`'],
    ['a time that is none', { issuer: I, subject: 'u1', before: Number.NaN }, '`before`'],
    ['an end that is none', { issuer: I, subject: 'u1', until: '5' }, '`until`']
  ])('%s: throws, and those beside it are not heeded', (_, one, message) => {
    const { revoke, stats } = memory()
    const list = [{ issuer: I, jti: 'good' }, one] as Revocation[]
    expect(() => revoke(list)).toThrow(TypeError)
    expect(() => revoke(list)).toThrow(message)
    expect(stats().entries).toBe(0)
  })
})

const NAMES = ['a', 'b', '__proto__']
const anyRevocation = fc
  .record({
    issuer: fc.constantFrom(I, 'https://b.example'),
    kind: fc.constantFrom('jti', 'subject', 'sessionId', 'clientId', 'everything'),
    name: fc.constantFrom(...NAMES),
    before: fc.integer({ min: NOW - 50, max: NOW + 50 }),
    until: fc.integer({ min: NOW - 10, max: NOW + 400 })
  })
  .map(({ issuer, kind, name, before, until }) => {
    if (kind === 'everything') return { issuer, before, until }
    return { issuer, [kind]: name, ...(kind !== 'jti' && { before }), until } as unknown as Revocation
  })
const anyToken = fc.record({
  issuer: fc.constantFrom(I, 'https://b.example', 'https://c.example'),
  jti: fc.constantFrom(...NAMES),
  subject: fc.constantFrom(...NAMES),
  sid: fc.constantFrom(...NAMES),
  clientId: fc.constantFrom(...NAMES),
  iat: fc.option(fc.integer({ min: NOW - 60, max: NOW + 60 }), { nil: undefined })
})

/** As the types say it, without any memory to speak of. */
function isMeant(revocation: Revocation, facts: Facts, inTime: boolean): boolean {
  const { issuer, jti, subject, sessionId, clientId, before } = revocation as unknown as Record<string, unknown>
  const isNamed = [
    [jti, facts.jti],
    [subject, facts.subject],
    [sessionId, facts.sid],
    [clientId, facts.clientId]
  ].every(([meant, has]) => meant === undefined || meant === has)
  const isBefore = before === undefined || facts.iat === undefined || facts.iat < (before as number)
  return inTime && issuer === facts.issuer && isNamed && isBefore
}

describe('whatever comes, in whatever order', () => {
  const steps = fc.array(fc.oneof(anyRevocation, fc.integer({ min: 0, max: 90 })), { maxLength: 30 })

  test('never forgets early, and never refuses a token that no revocation is about', () => {
    fc.assert(
      fc.property(steps, fc.array(anyToken, { minLength: 1, maxLength: 10 }), (script, tokens) => {
        const { clock, revoke, isRevoked } = memory()
        const said: { readonly one: Revocation; readonly at: number }[] = []
        for (const step of script) {
          if (typeof step === 'number') clock.advance(step)
          else {
            said.push({ one: step, at: clock.now() })
            revoke([step])
          }
          for (const facts of tokens) {
            const has = isRevoked(token(facts))
            const live = said.filter(({ one, at }) => (one.until as number) > at)
            const due = live.some(({ one }) => isMeant(one, facts, clock.now() < (one.until as number)))
            const everMeant = live.some(({ one }) => isMeant(one, facts, true))
            if (due) expect(has).toBe(true)
            if (!everMeant) expect(has).toBe(false)
          }
        }
      }),
      { numRuns: 500 }
    )
  })

  test('two that heard the same, in another order and more than once, know the same', () => {
    fc.assert(
      fc.property(fc.array(anyRevocation, { maxLength: 20 }), fc.integer(), (list, seed) => {
        const one = memory()
        const other = memory()
        one.revoke(list)
        const shuffled = [...list, ...list].sort(
          (a, b) => ((JSON.stringify(a).length * seed) % 7) - ((JSON.stringify(b).length * seed) % 7)
        )
        for (const each of shuffled.reverse()) other.revoke([each])
        expect(other.digest()).toBe(one.digest())
        const sorted = (entries: readonly Revocation[]): string[] => entries.map((each) => JSON.stringify(each)).sort()
        expect(sorted(other.entries())).toEqual(sorted(one.entries()))
        const copy = memory()
        copy.revoke(one.entries())
        expect(copy.digest()).toBe(one.digest())
      }),
      { numRuns: 300 }
    )
  })

  test('two that know different things can tell', () => {
    const one = memory()
    const other = memory()
    one.revoke([{ issuer: I, jti: 't1' }])
    other.revoke([{ issuer: I, jti: 't2' }])
    expect(one.digest()).not.toBe(other.digest())
  })
})

describe('api.revoke()', () => {
  test('DEN-08: a token that was good a moment ago is not active any more, past the memory of tokens', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const access = issuer.token({ claims: { jti: 'a' } })
    const other = issuer.token({ claims: { jti: 'b' } })
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, jti: 'a' })
    expect(await ask(api, access)).toEqual(denial.inactive)
    expect((await refusal(() => authorize(api, access))).reason).toBe('revoked')
    expect(await ask(api, other)).toEqual(granted)
    expect(api.stats().revocations).toMatchObject({ entries: 1, maxEntries: 100_000, maxBytes: 51_200_000 })
  })

  test('takes a list', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.revoke([
      { issuer: issuer.issuer, subject: 'u7' },
      { issuer: issuer.issuer, clientId: 'c7' }
    ])
    expect(await ask(api, issuer.token({ claims: { sub: 'u7' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { client_id: 'c7' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { sub: 'u7', iat: bed.clock.now() } }))).toEqual(granted)
  })

  test('holds for opaque tokens, whose answers are remembered, and for those that name no issuer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const access = issuer.opaque({ iss: undefined })
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access)).toEqual(denial.inactive)
    expect(await ask(api, access, scope('read'), fresh())).toEqual(denial.inactive)
  })

  test('of a token by one of `acceptedIssuers`, goes by every name of the issuer', async () => {
    const issuer = await bed.issuer()
    const second = 'https://sts.example.com'
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, acceptedIssuers: [second] }] })
    const access = issuer.token({ claims: { iss: second } })
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access)).toEqual(denial.inactive)
    const other = issuer.token({ claims: { sub: 'u2' } })
    expect(await ask(api, other)).toEqual(granted)
    await api.revoke({ issuer: second, before: bed.clock.now() + 1 })
    expect(await ask(api, other)).toEqual(denial.inactive)
    expect(api.stats().revocations.entries).toBe(2)
  })

  test('… also where issuers are looked up, and nobody has asked for one by that name yet', async () => {
    const issuer = await bed.issuer()
    const second = 'https://sts.example.com'
    const options = { issuer: issuer.issuer, acceptedIssuers: [second] }
    const api = bed.api({ issuers: (name) => (name === second || name === issuer.issuer ? options : undefined) })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, issuer.token({ claims: { iss: second } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iss: second, sub: 'u2' } }))).toEqual(granted)
  })

  test('of sessions alone leaves a quarter of the room for all else', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 8 } })
    const of = (name: object): Revocation => ({ issuer: issuer.issuer, ...name }) as Revocation
    for (let i = 0; i < 6; i++) await api.revoke(of({ sessionId: `s${i}` }))
    await expect(api.revoke(of({ sessionId: 's6' }))).rejects.toThrow('6 sessions are revoked')
    await api.revoke([of({ subject: 'u1' }), of({ jti: 't1' })])
    await expect(api.revoke(of({ subject: 'u2' }))).rejects.toThrow('8 revocations')
    expect(await ask(api, issuer.token({ claims: { sid: 's5', sub: 'u9' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { sid: 's6', sub: 'u9' } }))).toEqual(granted)
    bed.clock.advance(25 * 3600)
    await api.revoke(of({ sessionId: 's6' }))
    expect(api.stats().revocations.entries).toBe(1)
  })

  test('of names as long as may be leaves a quarter of the bytes', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 100 } })
    const long = (i: number): string => `${i}`.padEnd(2048, '-')
    let sessions = 0
    for (; sessions < 100; sessions++) {
      const done = api.revoke({ issuer: issuer.issuer, sessionId: long(sessions) }).then(() => true)
      if (!(await done.catch(() => false))) break
    }
    expect(sessions).toBeGreaterThan(5)
    await api.revoke({ issuer: issuer.issuer, subject: long(0) })
    const { bytes, maxBytes } = api.stats().revocations
    expect(bytes).toBeLessThan(maxBytes)
  })

  test('holds for tokens that are bound to a key, by whichever scheme', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const key = createDpopKey()
    const access = issuer.token({ claims: { cnf: { jkt: key.jkt } } })
    const sent = () =>
      request(undefined, {
        authorization: `DPoP ${access}`,
        dpop: key.proof({ token: access, claims: { iat: bed.clock.now() } })
      })
    expect(await api.authorize(sent(), scope('read'))).toMatchObject({ scheme: 'DPoP' })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const error = await refusal(() => api.authorize(sent(), scope('read')))
    expect([error.status, error.reason]).toEqual([401, 'revoked'])
    expect(error.toResponse().headers.get('www-authenticate')).toMatch(
      /^DPoP error="invalid_token", error_description="The access token is not active"/
    )
  })

  test('holds where issuers are looked up, also for one that was not heard of before', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (name) => (name === issuer.issuer ? name : undefined) })
    await api.revoke({ issuer: issuer.issuer, clientId: 'c7' })
    const access = issuer.token()
    expect(await ask(api, issuer.token({ claims: { client_id: 'c7' } }))).toEqual(denial.inactive)
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access)).toEqual(denial.inactive)
  })

  test('holds for a JWT that is introspected for fresh(), though the authorization server says it is active', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const access = issuer.token()
    issuer.opaque({}, access)
    expect(await ask(api, access, scope('read'), fresh())).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access, scope('read'), fresh())).toEqual(denial.inactive)
    expect(await ask(api, access)).toEqual(denial.inactive)
  })

  test('ORD-01: comes after the sender, and before scopes and step-up', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const { jkt } = createDpopKey()
    expect(await ask(api, issuer.token({ claims: { cnf: { jkt } } }))).toEqual(denial.dpop)
    expect(await ask(api, issuer.token({ claims: { scope: 'other' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
  })

  test('holds for access that was granted before: in an inner protect(), and in enforce()', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const sent = request(issuer.token())
    const access = (await api.protect().authorize(sent)) as Access
    await api.enforce(access, sent, scope('read'))
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect((await refusal(() => api.enforce(access, sent, scope('read')))).reason).toBe('revoked')
    expect((await refusal(() => api.protect(scope('read')).authorize(sent, access))).reason).toBe('revoked')
  })

  test.each(['JWT', 'opaque token'])(
    '(RFC 7519 §4.1.4) access that was granted before ends with its %s, to the tolerance',
    async (kind) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)], clockTolerance: 30 })
      const exp = bed.clock.now() + 60
      const sent = request(kind === 'JWT' ? issuer.token({ claims: { exp } }) : issuer.opaque({ exp }))
      const access = (await api.protect().authorize(sent)) as Access
      bed.clock.advance(89)
      await api.enforce(access, sent, scope('read'))
      expect(await api.protect(scope('read')).authorize(sent, access)).toBe(access)
      bed.clock.advance(1)
      expect((await refusal(() => api.enforce(access, sent, scope('read')))).reason).toBe('expired')
      expect((await refusal(() => api.protect(scope('read')).authorize(sent, access))).reason).toBe('expired')
    }
  )

  test('that came while the authorization server was asked is heeded', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const access = issuer.opaque()
    // Known already, it is asked about again for `fresh()` alone, after it was looked up here.
    expect(await ask(api, access)).toEqual(granted)
    const gate = issuer.hold('introspection')
    const answered = ask(api, access, scope('read'), fresh())
    await issuer.received('introspection', 2)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    gate.release()
    expect(await answered).toEqual(denial.inactive)
  })

  test('of an issuer that is not accepted throws: it would have revoked nothing', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await expect(api.revoke({ issuer: `${issuer.issuer}/`, subject: 'u1' })).rejects.toThrow(
      '`issuer` is not an issuer that this server accepts'
    )
    await expect(api.revoke(null as never)).rejects.toThrow(TypeError)
    const dynamic = bed.api({ issuers: () => undefined })
    await dynamic.revoke({ issuer: 'https://tenant.example.com', subject: 'u1' })
    expect(dynamic.stats().revocations.entries).toBe(1)
  })

  test('full, rejects', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 1, keepFor: 60 } })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    await expect(api.revoke({ issuer: issuer.issuer, subject: 'u2' })).rejects.toThrow(RevocationsFull)
    expect(await ask(api, issuer.token())).toEqual(denial.inactive)
    bed.clock.advance(60)
    expect(await ask(api, issuer.token({ claims: { iat: 1 } }))).toEqual(granted)
  })

  test.each([
    ['no object', 5, '`revocation`'],
    ['an unknown name', { keepfor: 5 }, '`revocation.keepfor`'],
    ['too short', { keepFor: 59 }, '`revocation.keepFor`'],
    ['too many', { maxEntries: 1_000_001 }, '`revocation.maxEntries`'],
    ['half an entry', { maxEntries: 1.5 }, '`revocation.maxEntries`']
  ])('the option `revocation`: %s does not start', (_, revocation, option) => {
    expect(() => bed.api({ issuers: [I], revocation: revocation as never })).toThrow(option)
  })
})

describe('api.refresh()', () => {
  test('KEY-07: asks for metadata and keys now, past every cool-down', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    for (const asked of [2, 3]) {
      await api.refresh()
      expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([asked, asked])
    }
  })

  test('a key that is gone is of no use from then on, for tokens that are remembered too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const access = issuer.token()
    expect(await ask(api, access)).toEqual(granted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    expect(await ask(api, access)).toEqual(granted)
    await api.refresh(issuer.issuer)
    expect(await ask(api, access)).toEqual(denial.signature)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('while it is under way, whoever asks shares it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    const gate = issuer.hold('jwks')
    const all = [api.refresh(), api.refresh(), api.refresh(issuer.issuer)]
    await issuer.received('jwks', 2)
    gate.release()
    await Promise.all(all)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('that fails rejects, after all were tried; what failed keeps the keys it had', async () => {
    const [bad, good] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [bad.issuer, good.issuer] })
    await api.ready()
    bad.always('jwks', fault.status(404))
    await expect(api.refresh()).rejects.toMatchObject({ status: 503, reason: 'jwks_unavailable' })
    expect(good.count('jwks')).toBe(2)
    expect(await ask(api, bad.token())).toEqual(granted)
  })

  test('of an issuer that is looked up: a key that is gone is of no use', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (name) => (name === issuer.issuer ? name : undefined) })
    const access = issuer.token()
    expect(await ask(api, access)).toEqual(granted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    expect(await ask(api, access)).toEqual(granted)
    await api.refresh()
    expect(await ask(api, access)).toEqual(denial.signature)
    await expect(api.refresh('https://other.example')).rejects.toThrow('not an issuer')
    await api.refresh(issuer.issuer)
    expect(issuer.count('jwks')).toBe(4) // One for the key that nobody has.
  })

  test('… by whatever name: each has keys of its own', async () => {
    const issuer = await bed.issuer()
    const second = 'https://sts.example.com'
    const options = { issuer: issuer.issuer, acceptedIssuers: [second] }
    const api = bed.api({ issuers: (name) => (name === second || name === issuer.issuer ? options : undefined) })
    const tokens = [issuer.issuer, second].map((iss) => issuer.token({ claims: { iss } }))
    for (const one of tokens) expect(await ask(api, one)).toEqual(granted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    await api.refresh(second)
    for (const one of tokens) expect(await ask(api, one)).toEqual(denial.signature)
  })

  test('of an issuer that is none of ours is a mistake', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await expect(api.refresh('https://other.example')).rejects.toThrow(TypeError)
    expect(issuer.requests).toEqual([])
  })
})
