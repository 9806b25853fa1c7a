/** Tokens that verify and are refused all the same: what is remembered, for how long, and that it is asked everywhere. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { type Access, fresh, type Revocation, RevocationsFull, scope } from '../../src/index.js'
import { createRevocations, type RevocableToken, type RevokedBy } from '../../src/revocation/revocations.js'
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
  const made = createRevocations({ now: clock.now, keepFor: DAY, maxEntries: 100, ...options })
  const entries = (by?: RevokedBy): Revocation[] =>
    [...made.allMissing(Number.NaN)].flatMap((one) => (by === undefined || one.by === by ? [one.revocation] : []))
  return { clock, ...made, entries }
}

/** The same for two memories with the same entries. */
function sorted(entries: readonly Revocation[]): readonly string[] {
  return entries.map((one) => JSON.stringify(one)).sort()
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

describe('the scope of a revocation', () => {
  const about: readonly [string, Revocation, hit: Facts, miss: Facts][] = [
    ['one token', { issuer: I, jti: 't1' }, {}, { jti: 't2' }],
    ['a subject', { issuer: I, subject: 'u1' }, {}, { subject: 'u2' }],
    ['a session', { issuer: I, sessionId: 's1' }, { sid: 's1' }, { sid: 's2' }],
    ['a client', { issuer: I, clientId: 'c1' }, {}, { clientId: 'c2' }],
    ['an issuer', { issuer: I, before: NOW }, {}, { iat: NOW }]
  ]

  test.each(about)('%s, and no others', (_, revocation, hit, miss) => {
    const { revoke, isRevoked } = memory()
    expect(isRevoked(token(hit))).toBe(false)
    revoke([revocation])
    expect(isRevoked(token(hit))).toBe(true)
    expect(isRevoked(token(miss))).toBe(false)
    expect(isRevoked(token({ ...hit, issuer: 'https://other.example' }))).toBe(false)
  })

  test.each(about)('%s of one kind does not revoke the same name of another kind', (_, revocation) => {
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
    '%s: tokens issued before, by default before now, and tokens without iat',
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

  test('a token is revoked by its jti, whenever it was issued', () => {
    const { revoke, isRevoked } = memory()
    revoke([{ issuer: I, jti: 't1' }])
    expect(isRevoked(token({ iat: NOW + 1000 }))).toBe(true)
  })

  test('an earlier `before` does not undo a later one', () => {
    const { revoke, isRevoked } = memory()
    revoke([{ issuer: I, subject: 'u1', before: NOW + 5 }])
    expect(revoke([{ issuer: I, subject: 'u1', before: NOW - 5, until: NOW + 1 }])).toEqual([])
    expect(isRevoked(token({ iat: NOW + 4 }))).toBe(true)
  })

  test('claims that are not strings match no revocation', () => {
    const { revoke, isRevoked } = memory()
    revoke([
      { issuer: I, jti: '1' },
      { issuer: I, sessionId: '1' }
    ])
    expect(isRevoked(token({ jti: 1, sid: 1 }))).toBe(false)
    expect(isRevoked(token({ subject: undefined, clientId: undefined, jti: undefined }))).toBe(false)
  })
})

describe('the duration of a revocation', () => {
  test('a revocation that has ended does nothing, and the others of its list hold', () => {
    const { revoke, isRevoked, stats } = memory()
    revoke([
      { issuer: I, jti: 'ended', until: NOW - 1 },
      { issuer: I, jti: 'live', until: NOW + 60 }
    ])
    expect([isRevoked(token({ jti: 'ended' })), isRevoked(token({ jti: 'live' }))]).toEqual([false, true])
    expect(stats().entries).toBe(1)
  })

  test('lasts for `keepFor`, or until `until`', () => {
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

  test('lasts as long as the longer of two revocations', () => {
    const { clock, revoke, isRevoked } = memory()
    revoke([{ issuer: I, jti: 't1', until: NOW + 100 }])
    revoke([{ issuer: I, jti: 't1', until: NOW + 500 }])
    revoke([{ issuer: I, jti: 't1', until: NOW + 200 }])
    clock.advance(499)
    expect(isRevoked(token())).toBe(true)
    clock.advance(1)
    expect(isRevoked(token())).toBe(false)
  })

  test('is not stored if it has already ended', () => {
    const { revoke, stats } = memory()
    expect(revoke([{ issuer: I, jti: 't1', until: NOW }])).toEqual([])
    expect(stats().entries).toBe(0)
  })

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])('a clock that returns %s ends no revocation', (time) => {
    let now = NOW
    const { revoke, isRevoked } = createRevocations({ now: () => now, keepFor: DAY, maxEntries: 10 })
    revoke([{ issuer: I, jti: 't1' }])
    now = time
    expect(isRevoked(token())).toBe(true)
  })
})

describe('limits of the memory', () => {
  test('throws when full, and evicts nothing', () => {
    const { clock, revoke, isRevoked, stats } = memory({ maxEntries: 2, keepFor: 600 })
    revoke([
      { issuer: I, jti: 't1' },
      { issuer: I, subject: 'u9' }
    ])
    expect(() => revoke([{ issuer: I, jti: 't3' }])).toThrow(RevocationsFull)
    expect(() => revoke([{ issuer: I, jti: 't3' }])).toThrow('the memory for revocations is full: 2 entries')
    expect([isRevoked(token()), isRevoked(token({ jti: 't3' }))]).toEqual([true, false])
    // What is known may be known for longer.
    revoke([{ issuer: I, jti: 't1', until: NOW + 5000 }])
    clock.advance(660)
    revoke([{ issuer: I, jti: 't3' }])
    expect(stats()).toMatchObject({ entries: 2, maxEntries: 2 })
  })

  test('counts long names by their length', () => {
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
    '%s from one issuer’s events leave room for the others, and for revoke()',
    (kind) => {
      const { revoke, isRevoked, stats } = memory({ maxEntries: 80 })
      const say = (issuer: string, name: string, by?: 'sender'): void =>
        void revoke([{ issuer, [kind]: name } as unknown as Revocation], by)
      const fill = (issuer: string): number => {
        let said = 0
        expect(() => {
          for (; said < 100; said++) say(issuer, `${said}`, 'sender')
        }).toThrow(`of ${issuer} use their whole share`)
        return said
      }
      // Of the 70 that are not the operator's reserve, all but one seventh of what is left.
      expect(fill(I)).toBe(61)
      say('https://other.example', 'thief', 'sender')
      revoke([{ issuer: I, before: NOW }])
      for (let i = 0; i < 17; i++) say(I, `mine ${i}`)
      expect(() => say(I, 'mine 17')).toThrow('full: 80 entries')
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
    'senders never take an eighth of %d entries, at least one, with names of any kind and length',
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

  test('revocations of the operator leave the reserve as it is', () => {
    const { revoke, stats } = memory({ maxEntries: 48 })
    revoke(Array.from({ length: 20 }, (_, i) => ({ issuer: I, jti: `${i}` })))
    flood(revoke, 8, 3)
    expect(stats().entries).toBeGreaterThan(36)
    expect(stats().entries).toBeLessThanOrEqual(42)
    for (let i = 0; i < 6; i++) expect(revoke([{ issuer: I, subject: `${i}` }])).toHaveLength(1)
  })

  test('an entry counts as the sender’s until the operator revokes the same', () => {
    const { revoke, entries } = memory()
    const one: Revocation = { issuer: I, jti: 'a', until: NOW + 60 }
    expect(revoke([one], 'sender')).toEqual([one])
    revoke([{ issuer: I, jti: 'b', until: NOW + 60 }])
    revoke([{ issuer: I, jti: 'b', until: NOW + 90 }], 'sender')
    expect([entries('operator'), entries('sender')]).toEqual([[{ issuer: I, jti: 'b', until: NOW + 90 }], [one]])
    // It is the same revocation, and news to the other processes: there it must become the operator's too.
    expect(revoke([one])).toEqual([one])
    expect(revoke([one])).toEqual([])
    expect(revoke([one], 'sender')).toEqual([])
    expect([entries('operator').length, entries('sender').length]).toEqual([2, 0])
  })

  test('an entry that the operator repeats no longer counts against the senders’ share', () => {
    const { clock, revoke, stats } = memory({ maxEntries: 16 })
    const list = Array.from({ length: 12 }, (_, i): Revocation => ({ issuer: I, jti: `${i}` }))
    revoke(list, 'sender')
    expect(() => revoke([{ issuer: I, jti: '12' }], 'sender')).toThrow('the 12 revocations from senders of')
    revoke(list)
    revoke([{ issuer: I, jti: '12' }], 'sender')
    clock.advance(DAY + 60)
    expect(stats()).toMatchObject({ entries: 0, bytes: 0 })
    revoke(list, 'sender')
  })

  test('entries of senders with long names leave the reserve too, and expired ones free their room', () => {
    const { clock, revoke } = memory({ maxEntries: 100 })
    const fill = (): number => {
      let said = 0
      expect(() => {
        for (; said < 100; said++) revoke([{ issuer: I, subject: `${said}`.padEnd(2000) }], 'sender')
      }).toThrow('use their whole share')
      return said
    }
    const said = fill()
    expect(said).toBe(8)
    revoke([{ issuer: I, before: NOW }])
    clock.advance(DAY + 60)
    expect(fill()).toBe(said)
  })

  test('events of two issuers leave room for a third', () => {
    const { revoke } = memory({ maxEntries: 1000 })
    for (const issuer of ['https://a.example', 'https://b.example']) {
      expect(() => {
        for (let i = 0; i < 1000; i++) revoke([{ issuer, jti: `${i}` }], 'sender')
      }).toThrow('use their whole share')
    }
    expect(revoke([{ issuer: I, subject: 'u1' }], 'sender')).toHaveLength(1)
  })

  test('counts the bookkeeping of issuers, if each has an entry', () => {
    const { revoke, stats } = memory({ maxEntries: 1000 })
    const many = Array.from({ length: 1000 }, (_, i) => ({ issuer: `https://tenant-${i}.example.com`, subject: 'u1' }))
    expect(() => revoke(many)).toThrow(RevocationsFull)
    expect(stats().bytes).toBeLessThanOrEqual(1000 * 512)
    expect(stats().entries).toBeGreaterThan(300)
  })

  test('a thousand repetitions are one entry, and take the room of one', () => {
    const { revoke, stats, entries } = memory()
    for (let i = 0; i < 1000; i++) revoke([{ issuer: I, subject: 'u1', before: NOW + i, until: NOW + DAY + 61 * i }])
    expect(stats().entries).toBe(1)
    expect(entries()).toEqual([{ issuer: I, subject: 'u1', before: NOW + 999, until: NOW + DAY + 61 * 999 }])
  })
})

describe('the cost on every request', () => {
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

  test('looks up nothing while nothing is revoked', () => {
    const { isRevoked } = filled(0)
    expect(count(() => isRevoked(token({ sid: 's1' })))).toEqual({ looked: 0, walked: 0 })
  })

  test.each([1, 10_000])('makes five look-ups among %d entries, and no scan', (entries) => {
    const { isRevoked } = filled(entries)
    expect(count(() => isRevoked(token({ sid: 's1' })))).toEqual({ looked: 5, walked: 0 })
  })

  test.each([0, 1, 10_000])('allocates nothing among %d entries', (entries) => {
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

describe('invalid revocations', () => {
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
  ])('%s: throws, and the others of the list are not applied', (_, one, message) => {
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

describe('random revocations in any order', () => {
  const steps = fc.array(fc.oneof(anyRevocation, fc.integer({ min: 0, max: 90 })), { maxLength: 30 })

  test('are never forgotten early, and refuse no other token', () => {
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

  test('two memories with the same revocations, in any order and repetition, have the same entries', () => {
    fc.assert(
      fc.property(fc.array(anyRevocation, { maxLength: 20 }), fc.integer(), (list, seed) => {
        const one = memory()
        const other = memory()
        one.revoke(list)
        const shuffled = [...list, ...list].sort(
          (a, b) => ((JSON.stringify(a).length * seed) % 7) - ((JSON.stringify(b).length * seed) % 7)
        )
        for (const each of shuffled.reverse()) other.revoke([each])
        expect(sorted(other.entries())).toEqual(sorted(one.entries()))
        const copy = memory()
        copy.revoke(one.entries())
        expect(sorted(copy.entries())).toEqual(sorted(one.entries()))
      }),
      { numRuns: 300 }
    )
  })
})

describe('a default `until`', () => {
  test('counts with a later `before` only: the same event, sent again, changes nothing', () => {
    const { clock, revoke, entries } = memory()
    const event: Revocation = { issuer: I, subject: 'u1', before: NOW }
    const one: Revocation = { issuer: I, jti: 'a' }
    revoke([event, one])
    clock.advance(100)
    expect(revoke([event, one])).toEqual([])
    expect(revoke([{ ...event, before: NOW - 1 }])).toEqual([])
    expect(entries().map(({ until }) => until)).toEqual([NOW + DAY, NOW + DAY])
    expect(revoke([{ ...event, before: NOW + 1 }])).toEqual([{ ...event, before: NOW + 1, until: NOW + 100 + DAY }])
    expect(revoke([{ ...one, until: NOW + DAY + 1 }])).toEqual([{ ...one, until: NOW + DAY + 1 }])
  })
})

describe('what the log has', () => {
  const event: Revocation = { issuer: I, subject: 'u1', before: NOW, until: NOW + 60 }

  test('is missing until a reading finds all of it', () => {
    const { revoke, revokeLogged, missing, allMissing } = memory()
    revoke([event])
    const all = [{ revocation: event, by: 'operator' }]
    expect([missing([event], 1), [...allMissing(1)]]).toEqual([all, all])
    // Less than what is remembered: an earlier time, an earlier end, another origin.
    revokeLogged([{ ...event, before: NOW - 1 }], 'operator', 1)
    revokeLogged([{ ...event, until: NOW + 59 }], 'operator', 1)
    revokeLogged([event], 'sender', 1)
    expect([missing([event], 1), [...allMissing(1)]]).toEqual([all, all])
    revokeLogged([event], 'operator', 1)
    expect([missing([event], 1), [...allMissing(1)]]).toEqual([[], []])
  })

  test('is missing again for a later reading, and after it has changed', () => {
    const { revoke, revokeLogged, missing, allMissing } = memory()
    revokeLogged([event], 'sender', 1)
    expect(missing([event], 1)).toEqual([])
    expect([...allMissing(2)]).toEqual([{ revocation: event, by: 'sender' }])
    revokeLogged([event], 'sender', 2)
    // An earlier reading that ends late takes nothing back.
    revokeLogged([event], 'sender', 1)
    expect(missing([event], 2)).toEqual([])
    revoke([event])
    expect(missing([event], 2)).toEqual([{ revocation: event, by: 'operator' }])
    revokeLogged([event], 'operator', 2)
    revoke([{ ...event, before: NOW + 1 }])
    expect(missing([event], 2)).toEqual([{ revocation: { ...event, before: NOW + 1 }, by: 'operator' }])
  })

  test('names each revocation once, the operator’s first, and none that is unknown or has ended', () => {
    const { clock, revoke, missing, allMissing } = memory()
    revoke([{ issuer: I, jti: 'heard', until: NOW + 60 }], 'sender')
    revoke([
      { issuer: I, jti: 'mine', until: NOW + 60 },
      { issuer: I, before: NOW, until: NOW + 600 }
    ])
    expect([...allMissing(1)].map(({ by }) => by)).toEqual(['operator', 'operator', 'sender'])
    const asked: Revocation[] = [
      { issuer: I, jti: 'mine' },
      { issuer: I, jti: 'mine' },
      { issuer: I, before: 5 },
      { issuer: I, jti: 'strange' },
      { issuer: 'https://other.example', jti: 'mine' }
    ]
    expect(missing(asked, 1)).toHaveLength(2)
    clock.advance(120)
    expect([...allMissing(1)]).toHaveLength(1)
  })
})

describe('api.revoke()', () => {
  test('DEN-08: a token that was good a moment ago becomes inactive, although it is cached', async () => {
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

  test('accepts a list', async () => {
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

  test('applies to opaque tokens with cached answers, and to tokens that name no issuer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const access = issuer.opaque({ iss: undefined })
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access)).toEqual(denial.inactive)
    expect(await ask(api, access, scope('read'), fresh())).toEqual(denial.inactive)
  })

  test('applies to a token under every name of its issuer, named by one of `acceptedIssuers`', async () => {
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

  test('applies to a token of a resolver’s issuer whose name was not resolved before', async () => {
    const issuer = await bed.issuer()
    const second = 'https://sts.example.com'
    const options = { issuer: issuer.issuer, acceptedIssuers: [second] }
    const api = bed.api({ issuers: (name) => (name === second || name === issuer.issuer ? options : undefined) })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, issuer.token({ claims: { iss: second } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { iss: second, sub: 'u2' } }))).toEqual(granted)
  })

  test('of sessions leaves a quarter of the room for other revocations', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], revocation: { maxEntries: 8 } })
    const of = (name: object): Revocation => ({ issuer: issuer.issuer, ...name }) as Revocation
    for (let i = 0; i < 6; i++) await api.revoke(of({ sessionId: `s${i}` }))
    await expect(api.revoke(of({ sessionId: 's6' }))).rejects.toThrow('the 6 revoked sessions use their whole share')
    await api.revoke([of({ subject: 'u1' }), of({ jti: 't1' })])
    await expect(api.revoke(of({ subject: 'u2' }))).rejects.toThrow('full: 8 entries')
    expect(await ask(api, issuer.token({ claims: { sid: 's5', sub: 'u9' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { sid: 's6', sub: 'u9' } }))).toEqual(granted)
    bed.clock.advance(25 * 3600)
    await api.revoke(of({ sessionId: 's6' }))
    expect(api.stats().revocations.entries).toBe(1)
  })

  test('with names of maximum length leaves a quarter of the bytes', async () => {
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

  test('applies to tokens that are bound to a key, under either scheme', async () => {
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

  test('applies to issuers of a resolver, also unknown ones', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (name) => (name === issuer.issuer ? name : undefined) })
    await api.revoke({ issuer: issuer.issuer, clientId: 'c7' })
    const access = issuer.token()
    expect(await ask(api, issuer.token({ claims: { client_id: 'c7' } }))).toEqual(denial.inactive)
    expect(await ask(api, access)).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access)).toEqual(denial.inactive)
  })

  test('applies to a JWT that fresh() introspects, even if the authorization server calls it active', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const access = issuer.token()
    issuer.opaque({}, access)
    expect(await ask(api, access, scope('read'), fresh())).toEqual(granted)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    expect(await ask(api, access, scope('read'), fresh())).toEqual(denial.inactive)
    expect(await ask(api, access)).toEqual(denial.inactive)
  })

  test('ORD-01: is checked after the sender, and before scopes and step-up', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    const { jkt } = createDpopKey()
    expect(await ask(api, issuer.token({ claims: { cnf: { jkt } } }))).toEqual(denial.dpop)
    expect(await ask(api, issuer.token({ claims: { scope: 'other' } }))).toEqual(denial.inactive)
    expect(await ask(api, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
  })

  test('applies to access that was granted earlier: in an inner protect(), and in enforce()', async () => {
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
    '(RFC 7519 §4.1.4) access that was granted earlier ends with its %s, including the leeway',
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

  test('applies if it arrived while the authorization server was called', async () => {
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

  test('throws for an issuer that is not accepted, since it would revoke nothing', async () => {
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

  test('rejects when the memory is full', async () => {
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
  ])('the option `revocation`: refuses %s at start', (_, revocation, option) => {
    expect(() => bed.api({ issuers: [I], revocation: revocation as never })).toThrow(option)
  })
})

describe('api.refresh()', () => {
  test('KEY-07: fetches metadata and keys now, regardless of limits', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    for (const asked of [2, 3]) {
      await api.refresh()
      expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([asked, asked])
    }
  })

  test('a removed key is refused from then on, also for cached tokens', async () => {
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

  test('concurrent callers share one attempt', async () => {
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

  test('rejects after it tried all; an issuer that failed keeps its keys', async () => {
    const [bad, good] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [bad.issuer, good.issuer] })
    await api.ready()
    bad.always('jwks', fault.status(404))
    await expect(api.refresh()).rejects.toMatchObject({ status: 503, reason: 'jwks_unavailable' })
    expect(good.count('jwks')).toBe(2)
    expect(await ask(api, bad.token())).toEqual(granted)
  })

  test('also refuses a removed key of a resolver’s issuer', async () => {
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

  test('applies to each name of a resolver’s issuer, since each has its own keys', async () => {
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

  test('throws for an unknown issuer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await expect(api.refresh('https://other.example')).rejects.toThrow(TypeError)
    expect(issuer.requests).toEqual([])
  })
})
