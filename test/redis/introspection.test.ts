/** Introspection answers that several processes share over a real Redis: how long, with whom, and what is seen of them. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { fresh, type IssuerOptions, scope } from '../../src/index.js'
import { ask, authorize, createBed, denial, granted, introspecting, RESOURCE } from '../support/exchange.js'
import { fault, type TestIssuer } from '../support/issuer.js'
import { changed, insider, kept, OTHER_SECRET, SECRET, sharing } from '../support/processes.js'
import { CLIENTS, createRedis, hasRedis } from '../support/redis.js'

const bed = createBed()

describe.skipIf(!hasRedis)('introspection answers', () => {
  const redis = createRedis()
  let issuer: TestIssuer

  beforeEach(async () => {
    await redis.look.flushall()
    issuer = await bed.issuer()
  })

  async function process(
    introspection: Partial<NonNullable<IssuerOptions['introspection']>> = {},
    options: Partial<Parameters<typeof bed.api>[0]> & { secret?: string | [string, string] } = {}
  ) {
    const { secret = SECRET, ...rest } = options
    return bed.api({
      issuers: [introspecting(issuer, introspection)],
      shared: await sharing(redis, { secret }),
      ...rest
    })
  }
  const questions = (): number => issuer.count('introspection')

  test.each(CLIENTS)('are requested once for all processes (%s)', async (client) => {
    const token = issuer.opaque({ nested: { deep: [1] } })
    const issuers = [introspecting(issuer)]
    const processes = await Promise.all(
      [0, 1, 2, 3, 4].map(async () => bed.api({ issuers, shared: await sharing(redis, { client }) }))
    )
    const [first, ...others] = processes
    expect(await ask(first as (typeof processes)[0], token)).toEqual(granted)
    await kept(redis, 'introspection')
    for (const other of others) {
      const access = await authorize(other, token)
      expect([access.subject, access.claims['nested'], access.scopes]).toEqual(['u1', { deep: [1] }, ['read']])
      expect(Object.isFrozen(access.claims['nested'])).toBe(true)
    }
    expect(questions()).toBe(1)
  })

  test('a process with a cached answer responds in the same tick, without a call', async () => {
    const api = await process()
    const token = issuer.opaque()
    await authorize(api, token)
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
  })

  test('share "not active" for 10 s', async () => {
    const [a, b] = [await process(), await process()]
    expect(await ask(a, 'unknown')).toEqual(denial.inactive)
    await kept(redis, 'introspection')
    bed.clock.advance(9)
    expect(await ask(b, 'unknown')).toEqual(denial.inactive)
    expect(questions()).toBe(1)
    bed.clock.advance(1)
    expect(await ask(b, 'unknown')).toEqual(denial.inactive)
    expect(questions()).toBe(2)
  })

  test('INT-11 (RFC 7662 §4): sharing does not extend an answer’s life', async () => {
    const [a, b, c] = [await process(), await process(), await process()]
    const token = issuer.opaque()
    expect(await ask(a, token)).toEqual(granted)
    await kept(redis, 'introspection')
    bed.clock.advance(29)
    expect(await ask(b, token)).toEqual(granted)
    expect(questions()).toBe(1)
    issuer.revoke(token)
    bed.clock.advance(1)
    for (const api of [a, b, c]) expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('INT-11: an answer is never used past `exp`, nor longer than the reading process allows', async () => {
    const [a, b] = [await process(), await process({ cacheFor: 5 })]
    const brief = issuer.opaque({ exp: bed.clock.now() + 12 })
    const long = issuer.opaque()
    for (const token of [brief, long]) await authorize(a, token)
    await kept(redis, 'introspection', 2)
    bed.clock.advance(6)
    await authorize(b, long)
    expect(questions()).toBe(3)
    bed.clock.advance(6)
    issuer.reset()
    await authorize(await process(), brief)
    expect(questions()).toBe(1)
  })

  test('with `cacheFor: 0` active answers are not shared', async () => {
    const [a, b] = [await process({ cacheFor: 0 }), await process({ cacheFor: 0 })]
    const token = issuer.opaque()
    for (const api of [a, b]) expect(await ask(api, token)).toEqual(granted)
    expect(questions()).toBe(2)
    expect(await redis.look.keys('*introspection*')).toEqual([])
  })

  test('(RFC 7662 §4) fresh() ignores the shared answer and replaces it by the new one', async () => {
    const [a, b] = [await process(), await process()]
    const token = issuer.opaque()
    await authorize(a, token)
    const [key = ''] = await kept(redis, 'introspection')
    const before = await redis.look.get(key)
    issuer.revoke(token)
    expect(await ask(a, token, scope('read'), fresh())).toEqual(denial.inactive)
    await changed(redis, key, before)
    expect(await ask(b, token)).toEqual(denial.inactive)
    expect(questions()).toBe(2)
  })

  test('(RFC 7662 §4) a slow "active" does not replace "not active"', async () => {
    const [slow, quick, other] = [await process(), await process(), await process()]
    const token = issuer.opaque()
    const late = fault.late()
    issuer.script('introspection', late.behaviour)
    const asked = ask(slow, token)
    await late.asked
    issuer.revoke(token)
    bed.clock.advance(1)
    expect(await ask(quick, token, scope('read'), fresh())).toEqual(denial.inactive)
    await kept(redis, 'introspection')
    late.arrive()
    expect(await asked).toEqual(granted)
    // One more exchange on the same connection: what was to be written would have been.
    await ask(slow, issuer.opaque())
    bed.clock.advance(8)
    expect(await ask(other, token)).toEqual(denial.inactive)
  })

  test('(RFC 7662 §4) a slow "active" does not restore a removed scope', async () => {
    const [slow, quick, other] = [await process(), await process(), await process()]
    const token = issuer.opaque({ scope: 'read write' })
    const late = fault.late()
    issuer.script('introspection', ({ response, normal, ...rest }) => {
      const before = { ...normal }
      late.behaviour({ ...rest, response, normal: before })
    })
    const asked = ask(slow, token, scope('write'))
    await late.asked
    issuer.opaque({ scope: 'read' }, token)
    bed.clock.advance(1)
    expect(await ask(quick, token, scope('write'), fresh())).toMatchObject({ status: 403 })
    const [key = ''] = await kept(redis, 'introspection')
    const narrowed = await redis.look.get(key)
    late.arrive()
    expect(await asked).toEqual(granted)
    // One more exchange on the same connection: what was to be written would have been.
    await ask(slow, issuer.opaque())
    expect(await redis.look.get(key)).toBe(narrowed)
    expect(await ask(other, token, scope('write'))).toMatchObject({ status: 403 })
    // By quick two: of a token that it sees for the first time, and of the same one by fresh().
    expect(questions()).toBe(4)
  })

  test('a slow answer is not stored once it is outdated', async () => {
    const [a, b] = [await process(), await process()]
    const token = issuer.opaque()
    await authorize(a, token)
    const [key = ''] = await kept(redis, 'introspection')
    const before = await redis.look.get(key)
    issuer.opaque({ exp: bed.clock.now() - 5 }, token)
    expect(await ask(a, token, scope('read'), fresh())).toEqual(granted)
    expect(await changed(redis, key, before)).toBeNull()
    await ask(b, token)
    expect(questions()).toBe(3)
  })

  test('(RFC 7662 §2.2) are not shared with a process that uses another server, client or kind of request', async () => {
    const token = issuer.opaque({ aud: ['https://api.example.com', 'https://other.example.com'] })
    await authorize(await process(), token)
    await kept(redis, 'introspection')
    const others = [
      await process({ clientId: 'other' }),
      await process({ endpoint: `${issuer.origin}/introspect` }),
      await process({
        dialect: { form: (one) => ({ token: one }), read: (_, body) => body as Record<string, unknown> }
      }),
      await process({}, { resource: 'https://other.example.com' })
    ]
    for (const [i, api] of others.entries()) {
      await api.authorize({
        method: 'GET',
        url: '/',
        fieldLines: (n) => (n === 'authorization' ? [`Bearer ${token}`] : [])
      })
      expect(questions()).toBe(2 + i)
    }
  })

  test('values that JSON cannot represent, as a dialect may return, are not shared', async () => {
    const read = (_: number, body: unknown) => ({ ...(body as object), when: new Date(0) })
    const dialect = { form: (token: string) => ({ token }), read }
    const [a, b] = [await process({ dialect }), await process({ dialect })]
    const token = issuer.opaque()
    for (const api of [a, b]) expect((await authorize(api, token)).claims['when']).toEqual(new Date(0))
    expect(questions()).toBe(2)
  })

  test('ignores an answer from the future, whose process has another clock', async () => {
    const token = issuer.opaque()
    const ahead = await process({}, { now: () => bed.clock.now() + 11 })
    await authorize(ahead, token)
    await kept(redis, 'introspection')
    await authorize(await process(), token)
    expect(questions()).toBe(2)
  })

  test('INT-12, SEC-01 (RFC 9700 §4.9.3): the store holds no token, no hash of one, and nothing from an answer', async () => {
    const token = issuer.opaque({ sub: 'somebody@example.com' }, 'opaque-token-0123456789')
    await authorize(await process(), token)
    const [key = ''] = await kept(redis, 'introspection')
    const all = Buffer.concat([
      Buffer.from(key),
      await redis.look.dumpBuffer(key),
      Buffer.from(String(await redis.look.get(key)), 'base64url')
    ])
    const hashes = ['sha256', 'sha1', 'sha512', 'md5'].flatMap((name) =>
      (['hex', 'base64', 'base64url'] as const).map((encoding) => createHash(name).update(token).digest(encoding))
    )
    for (const trace of [token, 'somebody', issuer.issuer, 'active', 'read', SECRET, ...hashes]) {
      expect(all.includes(trace), trace).toBe(false)
    }
    expect(key).toMatch(/^oauth-rs:introspection:[\w-]{43}$/)
  })

  describe('a stored value that was changed', () => {
    const flipped = (value: string, at: number): string => {
      const bytes = Buffer.from(value, 'base64url')
      const i = at < 0 ? bytes.length + at : at
      bytes.writeUInt8((bytes.readUInt8(i) ^ 1) & 0xff, i)
      return bytes.toString('base64url')
    }
    test.each<[string, (value: string, other: string) => string]>([
      ['a bit of the nonce', (value) => flipped(value, 3)],
      ['a bit of the text', (value) => flipped(value, 20)],
      ['a bit of the tag', (value) => flipped(value, -1)],
      ['a later format', (value) => flipped(value, 0)],
      ['the end cut off', (value) => value.slice(0, -4)],
      ['all but the format cut off', (value) => value.slice(0, 4)],
      ['all cut off', () => ''],
      ['more than there was', (value) => `${value}AAAA`],
      ['the value of another token', (_, other) => other],
      ['plain text', () => JSON.stringify({ members: { active: true }, since: 0, until: 9e9 })],
      ['no text of ours', () => '\u0000 %%%']
    ])('%s: counts as missing', async (_, alter) => {
      const tokens = [issuer.opaque(), issuer.opaque()]
      const writer = await process()
      for (const token of tokens) await authorize(writer, token)
      const keys = await kept(redis, 'introspection', 2)
      const values = (await redis.look.mget(keys)) as [string, string]
      for (const [i, key] of keys.entries())
        await redis.look.set(key, alter(values[i] as string, values[1 - i] as string))
      const reader = await process()
      for (const token of tokens) expect(await ask(reader, token)).toEqual(granted)
      expect(questions()).toBe(4)
      // It is written anew.
      for (const [i, key] of keys.entries())
        await changed(redis, key, alter(values[i] as string, values[1 - i] as string))
    })

    test('of the wrong type: counts as missing', async () => {
      const token = issuer.opaque()
      await authorize(await process(), token)
      const [key = ''] = await kept(redis, 'introspection')
      await redis.look.del(key)
      await redis.look.lpush(key, 'x')
      expect(await ask(await process(), token)).toEqual(granted)
    })

    test('under another secret: counts as missing', async () => {
      const token = issuer.opaque()
      await authorize(await process({}, { secret: OTHER_SECRET }), token)
      const [theirs = ''] = await kept(redis, 'introspection')
      const api = await process()
      await authorize(api, token)
      expect(questions()).toBe(2)
      const [ours = ''] = (await kept(redis, 'introspection', 2)).filter((key) => key !== theirs)
      await redis.look.rename(theirs, ours)
      await authorize(await process(), token)
      expect(questions()).toBe(3)
    })
  })

  test('changing the secret loses no answer: the first writes, both read', async () => {
    const token = issuer.opaque()
    const before = await process({}, { secret: SECRET })
    await authorize(before, token)
    await kept(redis, 'introspection')
    const between = await process({}, { secret: [OTHER_SECRET, SECRET] })
    await authorize(between, token)
    expect(questions()).toBe(1)
    const another = issuer.opaque()
    await authorize(between, another)
    await kept(redis, 'introspection', 2)
    const after = await process({}, { secret: OTHER_SECRET })
    await authorize(after, another)
    expect(questions()).toBe(2)
    await authorize(await process({}, { secret: SECRET }), another)
    expect(questions()).toBe(3)
  })

  test('a new answer under the new secret replaces the one under the old secret', async () => {
    const token = issuer.opaque()
    await authorize(await process({}, { secret: SECRET }), token)
    const [old = ''] = await kept(redis, 'introspection')
    const value = await redis.look.get(old)
    issuer.revoke(token)
    const between = await process({}, { secret: [OTHER_SECRET, SECRET] })
    expect(await ask(between, token, scope('read'), fresh())).toEqual(denial.inactive)
    await changed(redis, old, value)
    expect(await ask(await process({}, { secret: SECRET }), token)).toEqual(denial.inactive)
  })

  test('does not share an outage of the server', async () => {
    issuer.always('introspection', fault.status(500))
    expect(await ask(await process(), issuer.opaque())).toEqual(denial.unavailable)
    expect(await redis.look.keys('*introspection*')).toEqual([])
  })

  test.each(['null', '5', 'no JSON', '{}', '{"since":null,"until":null}', '{"since":1,"until":9e9,"members":5}'])(
    'an authentic value that is not an answer (%s) counts as missing',
    async (text) => {
      const token = issuer.opaque()
      const shared = await insider(redis, bed.clock.now)
      await shared.cache('introspection').set([issuer.issuer, '', '', 'api', 'plain', RESOURCE, token], text, 60)
      const [key = ''] = await kept(redis, 'introspection')
      const before = await redis.look.get(key)
      expect(await ask(await process(), token)).toEqual(granted)
      // It stood where the true one belongs.
      await changed(redis, key, before)
      expect(await redis.look.keys('*introspection*')).toEqual([key])
    }
  )

  test('a value larger than any answer is not written', async () => {
    const cache = (await insider(redis, bed.clock.now)).cache('introspection')
    await cache.set(['big'], 'x'.repeat(512 * 1024), 60)
    expect(await cache.get(['big'])).toHaveLength(512 * 1024)
    await cache.set(['big'], 'x'.repeat(512 * 1024 + 1), 60)
    expect(await cache.get(['big'])).toBeUndefined()
  })
})
