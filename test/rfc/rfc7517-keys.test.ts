/** The rules about keys: RFC 7517, and what RFC 8725 and OpenID Connect Core say of where keys come from and when they go. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { Agent } from 'undici'
import { beforeAll, describe, expect, test } from 'vitest'
import { resourceServer } from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  createSelfSignedCertificate,
  denial,
  granted,
  OUTAGES,
  type Outage,
  RESOURCE,
  refusal,
  strangeKey,
  unavailableFor,
  until
} from '../support/exchange.js'
import { createSigningKey, fault, type SigningKey, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

/** Loaded beforehand, so that no test with a short deadline pays for the import. */
beforeAll(() => import('undici'))

/** Seconds after which a key set of the default life is certainly due for renewal, and not yet expired. */
const DUE = 599
/** … and is expired. */
const EXPIRED = 601

function publish(issuer: TestIssuer, ...keys: readonly unknown[]): void {
  issuer.jwks.keys = keys as TestIssuer['jwks']['keys']
}

function privateJwk(key: SigningKey): Record<string, unknown> {
  return { ...key.privateKey.export({ format: 'jwk' }), kid: key.kid, alg: key.alg }
}

describe('KEY-01 (RFC 8725 §3.8): keys belong to the issuer that a token names', () => {
  test('KEY-01 (RFC 8725 §3.8): refuses a token signed with the same kid of another trusted issuer', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [a.issuer, b.issuer] })
    expect(a.key().kid).toBe(b.key().kid)
    expect(await ask(api, b.token({ claims: { iss: a.issuer } }))).toEqual(denial.signature)
    expect(await ask(api, a.token({ claims: { iss: b.issuer } }))).toEqual(denial.signature)
    expect(await ask(api, a.token())).toEqual(granted)
    expect(await ask(api, b.token())).toEqual(granted)
  })

  test('KEY-01 (RFC 8725 §3.8): a kid that only another trusted issuer has is unknown', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const key = strangeKey('only-b')
    b.jwks.keys.push(key.publicJwk)
    const api = bed.api({ issuers: [a.issuer, b.issuer] })
    expect(await ask(api, b.token({ key }))).toEqual(granted)
    expect(await ask(api, a.token({ key }))).toEqual(denial.signature)
  })

  test('KEY-01 (RFC 8725 §3.8): a token uses the keys of its own issuer only', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [a.issuer, b.issuer] })
    expect(await ask(api, a.token({ key: strangeKey('nobody') }))).toEqual(denial.signature)
    expect(a.count('jwks')).toBe(2)
    expect(b.requests).toEqual([])
  })
})

describe('KEY-02 (RFC 7517 §5): an unusable key is skipped, and the others stay usable', () => {
  const rsa1024 = createSigningKey('RS256', { modulusLength: 1024, kid: 'short' }).publicJwk
  const ec = createSigningKey('ES256', { kid: 'ec' }).publicJwk
  const rows: readonly [string, unknown][] = [
    ['an unknown kty', { kty: 'AKP', alg: 'ML-DSA-44', kid: 'x', pub: 'AAAA' }],
    ['no kty', { kid: 'x', crv: 'P-256', x: ec.x, y: ec.y }],
    ['a missing member', { ...ec, y: undefined }],
    ['an unknown curve', { ...ec, crv: 'P-192' }],
    ['an alg of another kty', { ...ec, alg: 'RS256' }],
    ['an alg of another curve', { ...ec, alg: 'ES384' }],
    ['too small an RSA modulus', rsa1024],
    ['an RSA exponent of 1', { ...createSigningKey('RS256').publicJwk, e: 'AQ' }],
    ['a kid that is a number', { ...ec, kid: 1 }],
    ['a kid of 257 characters', { ...ec, kid: 'k'.repeat(257) }],
    ['null', null],
    ['a string', 'key'],
    ['an array', []]
  ]

  test.each(rows)('KEY-02 (RFC 7517 §5): uses the good key beside %s', async (_, junk) => {
    const issuer = await bed.issuer()
    publish(issuer, junk, issuer.key().publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health().issuers[0]?.jwks.keys).toBe(1)
    expect(api.health().issuers[0]?.warnings).toEqual([expect.stringMatching(/^key set: keys\[0\] \S/)])
  })

  test('KEY-02 (RFC 7518 §3.3): refuses a token by an RSA key of less than 2048 bits', async () => {
    const issuer = await bed.issuer()
    const short = createSigningKey('RS256', { modulusLength: 1024, kid: 'short' })
    issuer.jwks.keys.push(short.publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: short }))).toEqual(denial.signature)
  })

  test('KEY-02 (RFC 7517 §4.4): ignores unknown members, and x5c', async () => {
    const issuer = await bed.issuer()
    publish(issuer, { ...issuer.key().publicJwk, x5c: ['junk'], x5t: 'junk', 'x-vendor': { a: 1 } })
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
  })
})

describe('KEY-03 (RFC 7517 §9): private and symmetric keys in a published set', () => {
  test('KEY-03 (RFC 7517 §9): a key published with its private part verifies nothing, and causes a warning', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'RS256'] })
    const [leaked, good] = issuer.keys as [SigningKey, SigningKey]
    publish(issuer, privateJwk(leaked), good.publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: leaked }))).toEqual(denial.signature)
    expect(await ask(api, issuer.token({ key: good }))).toEqual(granted)
    expect(api.health().issuers[0]?.warnings).toEqual([
      'key set: keys[0] is a private or symmetric key: it must not be published'
    ])
  })

  test.each(['RS256', 'EdDSA'] as const)('KEY-03 (RFC 7517 §9): skips a private %s key in the set', async (alg) => {
    const issuer = await bed.issuer({ algorithms: [alg, 'ES256'] })
    const [leaked, good] = issuer.keys as [SigningKey, SigningKey]
    publish(issuer, privateJwk(leaked), good.publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: leaked }))).toEqual(denial.signature)
  })

  test('KEY-03 (RFC 7517 §9, RFC 8725 §3.1): verifies nothing with an oct key in the set', async () => {
    const issuer = await bed.issuer()
    issuer.jwks.keys.push({ kty: 'oct', kid: 'shared', alg: 'HS256', k: 'c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0' })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: strangeKey('shared') }))).toEqual(denial.signature)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health().issuers[0]?.warnings).toEqual([
      'key set: keys[1] is a private or symmetric key: it must not be published'
    ])
  })
})

describe('KEY-04 (RFC 7517 §4.5): keys that share a kid', () => {
  test('KEY-04 (RFC 7517 §4.5): tells an RSA and an EC key with one kid apart by the algorithm', async () => {
    const issuer = await bed.issuer({ algorithms: ['RS256', 'ES256'] })
    const [rsa, ec] = issuer.keys.map((key) => ({ ...key, kid: 'same' })) as [SigningKey, SigningKey]
    publish(issuer, { ...rsa.publicJwk, kid: 'same' }, { ...ec.publicJwk, kid: 'same' })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: ec }))).toEqual(granted)
    expect(await ask(api, issuer.token({ key: rsa }))).toEqual(granted)
  })

  test('KEY-04 (RFC 7517 §4.5): tries the first four keys with one kid and one algorithm, and no more', async () => {
    const issuer = await bed.issuer()
    const keys = [1, 2, 3, 4, 5].map(() => strangeKey('same'))
    publish(issuer, ...keys.map((key) => key.publicJwk))
    const api = bed.api({ issuers: [issuer.issuer] })
    const answers = await Promise.all(keys.map((key) => ask(api, issuer.token({ key }))))
    expect(answers).toEqual([granted, granted, granted, granted, denial.signature])
  })

  test('KEY-04 (RFC 7517 §4.2): a key for encryption with the same kid does not replace the signature key', async () => {
    const issuer = await bed.issuer()
    const other = strangeKey(issuer.key().kid)
    publish(issuer, { ...other.publicJwk, use: 'enc' }, issuer.key().publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ key: other }))).toEqual(denial.signature)
  })
})

describe('KEY-05 (RFC 7515 §4.1.4): a token without kid', () => {
  const withoutKid = { header: { kid: undefined } }

  test('KEY-05 (RFC 7515 §4.1.4): verifies a token without kid by the only key there is', async () => {
    const issuer = await bed.issuer()
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token(withoutKid))).toEqual(granted)
  })

  test('KEY-05 (RFC 7515 §4.1.4): verifies a token without kid by the only key that fits its algorithm', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'RS256', 'ES384'] })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ ...withoutKid, alg: 'RS256' }))).toEqual(granted)
  })

  test('KEY-05 (RFC 7515 §4.1.4): verifies a token without kid by a published key that has no kid either', async () => {
    const issuer = await bed.issuer()
    publish(issuer, { ...issuer.key().publicJwk, kid: undefined })
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token(withoutKid))).toEqual(granted)
  })

  test('KEY-05 (RFC 7515 §4.1.4): verifies a token without kid where four keys fit, and refuses it where five do', async () => {
    const issuer = await bed.issuer()
    const others = ['a', 'b', 'c', 'd'].map((kid) => strangeKey(kid).publicJwk)
    publish(issuer, ...others.slice(1), issuer.key().publicJwk)
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token(withoutKid))).toEqual(granted)
    publish(issuer, ...others, issuer.key().publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token(withoutKid))).toEqual(denial.signature)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('KEY-05 (RFC 7515 §4.1.4): refuses a token without kid if no key fits', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const key = strangeKey('r', 'ES384')
    expect(await ask(api, issuer.token({ ...withoutKid, key }))).toEqual(denial.signature)
  })
})

describe('KEY-06 (RFC 7517 §4.2-4.3): keys that are not for verifying signatures', () => {
  const rows: readonly [string, Record<string, unknown>][] = [
    ['use enc', { use: 'enc' }],
    ['an unknown use', { use: 'tls' }],
    ['key_ops without verify', { use: undefined, key_ops: ['encrypt', 'wrapKey'] }],
    ['key_ops sign only', { use: undefined, key_ops: ['sign'] }],
    ['key_ops that is a string', { use: undefined, key_ops: 'verify' }],
    ['use sig, but key_ops without verify', { use: 'sig', key_ops: ['sign'] }]
  ]
  test.each(rows)('KEY-06 (RFC 7517 §4.2-4.3): a key with %s does not match', async (_, members) => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'ES384'] })
    const [one, other] = issuer.keys as [SigningKey, SigningKey]
    publish(issuer, { ...one.publicJwk, ...members }, other.publicJwk)
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: one }))).toEqual(denial.signature)
    expect(await ask(api, issuer.token({ key: other }))).toEqual(granted)
  })

  test('KEY-06 (RFC 7517 §4.3): a key with verify in key_ops, without use and alg, matches', async () => {
    const issuer = await bed.issuer()
    publish(issuer, { ...issuer.key().publicJwk, use: undefined, alg: undefined, key_ops: ['verify', 'sign'] })
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
  })

  test('KEY-06 (RFC 8725 §3.1): a key that names its algorithm verifies no other', async () => {
    const issuer = await bed.issuer({ algorithms: ['RS256', 'PS256'] })
    const [rs, ps] = issuer.keys as [SigningKey, SigningKey]
    const api = bed.api({ issuers: [issuer.issuer] })
    // Both are of one RSA pair, so the signature itself is good.
    expect(await ask(api, issuer.token({ key: { ...ps, kid: rs.kid } }))).toEqual(denial.signature)
    expect(await ask(api, issuer.token({ key: ps }))).toEqual(granted)
  })
})

describe('KEY-07 (OIDC Core §10.1.1): an unknown kid', () => {
  test('KEY-07 (OIDC Core §10.1.1): an unknown kid causes one more fetch, which finds a key that was just published', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.rotate('switch')
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-07 (RFC 9111 §5.2.1.4): the fetch for an unknown kid bypasses caches on the way, unlike the first fetch', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await ask(api, issuer.token({ key: strangeKey('x') }))
    const fetches = issuer.requests.filter(({ endpoint }) => endpoint === 'jwks')
    expect(fetches.map(({ headers }) => headers['cache-control'])).toEqual([undefined, 'no-cache'])
  })

  test('KEY-07, SEC-05, DEF-10 (OIDC Core §10.1.1): an unknown kid in 100 parallel requests causes one fetch, and each kid no other fetch for 10 s', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    issuer.reset()
    const tokens = Array.from({ length: 100 }, (_, i) => issuer.token({ key: strangeKey(`x${i}`) }))
    expect(await Promise.all(tokens.map((token) => ask(api, token)))).toEqual(tokens.map(() => denial.signature))
    expect(issuer.count('jwks')).toBe(1)
    bed.clock.advance(9)
    expect(await ask(api, tokens[0] as string)).toEqual(denial.signature)
    expect(issuer.count('jwks')).toBe(1)
    bed.clock.advance(1)
    expect(await ask(api, tokens[0] as string)).toEqual(denial.signature)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-07, SEC-05 (OIDC Core §10.1.1): after junk and a rotation, the new key is accepted two seconds later, never 401', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
    issuer.rotate('switch')
    bed.clock.advance(2)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('KEY-07, SEC-05 (RFC 6585 §4): made-up kids for 30 s cause three fetches, then 429 with Retry-After, and known keys work', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    issuer.reset()
    for (const i of [1, 2, 3]) {
      expect(await ask(api, issuer.token({ key: strangeKey(`x${i}`) }))).toEqual(denial.signature)
      bed.clock.advance(2)
    }
    for (let second = 6; second < 28; second++) {
      const answer = await ask(api, issuer.token({ key: strangeKey(`y${second}`) }))
      expect(answer).toMatchObject({ status: 429, challenge: null })
      expect(await ask(api, issuer.token())).toEqual(granted)
      bed.clock.advance(1)
    }
    expect(issuer.count('jwks')).toBe(3)
    bed.clock.advance(2)
    issuer.rotate('switch')
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('KEY-07: refuses a token issued five minutes before the last look at once', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await ask(api, issuer.token({ key: strangeKey('x') }))
    const iat = bed.clock.now() - 300
    expect(await ask(api, issuer.token({ key: strangeKey('y'), claims: { iat } }))).toEqual(denial.signature)
    expect(issuer.count('jwks')).toBe(2)
  })

  describe('KEY-07 (RFC 9110 §6.6.1): clocks that differ', () => {
    /** An API whose clock is ahead of its issuer's by so many seconds; the issuer sends this `Date`. */
    async function apart(ahead: number, date: (issuersTime: number) => string) {
      const now = (): number => bed.clock.now() - ahead
      const issuer = await bed.issuer({ now })
      const api = bed.api({ issuers: [issuer.issuer] })
      const say = (): void => issuer.always('jwks', fault.headers({ date: date(now()) }))
      say()
      /** Lives for longer than the clocks differ. */
      const token = ({ claims, ...how }: Parameters<TestIssuer['token']>[0] = {}): string =>
        issuer.token({ ...how, claims: { exp: now() + 9999, ...claims } })
      return { issuer, api, now, say, token }
    }
    const asItIs = (seconds: number): string => new Date(1000 * seconds).toUTCString()

    test('KEY-07: accepts a new key after junk where the API is ten minutes ahead of its issuer', async () => {
      const { issuer, api, say, token } = await apart(600, asItIs)
      expect(await ask(api, token({ key: strangeKey('x') }))).toEqual(denial.signature)
      issuer.rotate('switch')
      bed.clock.advance(2)
      say()
      expect(await ask(api, token())).toEqual(granted)
    })

    test('KEY-07: refuses a token issued five minutes before the last look at once, by the clock of an issuer that is ten minutes behind', async () => {
      const { issuer, api, now, token } = await apart(600, asItIs)
      await ask(api, token({ key: strangeKey('x') }))
      expect(issuer.count('jwks')).toBe(2)
      const old = { key: strangeKey('y'), claims: { iat: now() - 300 } }
      expect(await ask(api, token(old))).toEqual(denial.signature)
      expect(issuer.count('jwks')).toBe(2)
      const newer = { key: strangeKey('z'), claims: { iat: now() - 299 } }
      expect(await ask(api, token(newer))).toEqual(denial.signature)
      expect(issuer.count('jwks')).toBe(3)
    })

    const dates = fc.oneof(
      { weight: 3, arbitrary: fc.constant(asItIs) },
      { weight: 1, arbitrary: fc.integer({ min: -1e6, max: 1e6 }).map((by) => (time: number) => asItIs(time + by)) },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom(
            '',
            '0',
            'tomorrow',
            'NaN',
            '-1',
            '275760-09-13',
            asItIs(0),
            asItIs(9e9),
            'Infinity',
            '9'.repeat(400)
          )
          .map((text) => () => text)
      }
    )

    test('KEY-07: a key published after any junk is never 401, whatever Date says, where the clocks agree; nor where they differ and Date is right', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: -50, max: 3000 }), dates, fc.nat({ max: 3 }), async (ahead, date, junk) => {
          const { issuer, api, say, token } = await apart(date === asItIs ? ahead : 0, date)
          for (let i = 0; i < junk; i++) {
            say()
            expect([401, 429]).toContain((await ask(api, token({ key: strangeKey(`x${i}`) }))).status)
            bed.clock.advance(2)
          }
          issuer.rotate('switch')
          say()
          const { status } = await ask(api, token())
          expect(status).toBe(junk < 3 ? 200 : 429)
          bed.clock.advance(30)
          say()
          expect(await ask(api, token())).toEqual(granted)
          expect(issuer.count('jwks')).toBeLessThanOrEqual(5)
          await Promise.all([api.close(), issuer.close()])
        }),
        { numRuns: 25 }
      )
    }, 60_000)
  })

  test('KEY-07: finds a replaced key without kid; a known kid with a wrong signature is 401 and one renewal in 30 s', async () => {
    const issuer = await bed.issuer()
    const withoutKid = { header: { kid: undefined } }
    publish(issuer, { ...issuer.key().publicJwk, kid: undefined })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token(withoutKid))).toEqual(granted)
    const replaced = strangeKey('r')
    publish(issuer, { ...replaced.publicJwk, kid: undefined })
    expect(await ask(api, issuer.token({ ...withoutKid, key: replaced }))).toEqual(granted)

    const other = await bed.issuer()
    const reused = bed.api({ issuers: [other.issuer] })
    await reused.ready()
    const key = strangeKey(other.key().kid as string)
    for (const _ of [1, 2, 3]) expect(await ask(reused, other.token({ key }))).toEqual(denial.signature)
    await other.received('jwks', 2)
    expect(other.count('jwks')).toBe(2)
  })

  test('KEY-07, SEC-05 (OIDC Core §10.1.1): a flood of unknown kids does not use up the scheduled renewal', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(DUE)
    // The renewal began before the misses settle: they share a look of their own.
    const flood = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(api, issuer.token({ key: strangeKey(`x${i}`) })))
    )
    expect(flood).toEqual(flood.map(() => denial.signature))
    expect(issuer.count('jwks')).toBe(3)
    // The next look finds a key that was published since.
    issuer.rotate('switch')
    bed.clock.advance(2)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(4)
  })

  test('KEY-07 (OIDC Core §10.1.1): requests with known keys do not wait for the fetch', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    const gate = issuer.hold('jwks')
    const unknown = ask(api, issuer.token({ key: strangeKey('x') }))
    await issuer.received('jwks', 2)
    expect(await ask(api, issuer.token())).toEqual(granted)
    gate.release()
    expect(await unknown).toEqual(denial.signature)
  })

  test('KEY-07 (RFC 8725 §3.10): a token that would be refused anyway causes no fetch', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const key = strangeKey('x')
    const { now } = bed.clock
    expect(await ask(api, issuer.token({ key, claims: { exp: now() - 60 } }))).toEqual(denial.expired)
    expect(await ask(api, issuer.token({ key, claims: { aud: 'https://other.example' } }))).toEqual(denial.audience)
    expect(await ask(api, issuer.token({ key, claims: { iss: 'https://evil.example' } }))).toEqual(denial.issuer)
    expect(await ask(api, issuer.token({ key, header: { typ: 'JWT' } }))).toEqual(denial.type)
    expect(await ask(api, issuer.token({ key, header: { alg: 'none' } }))).toEqual(denial.signature)
    expect(issuer.requests).toEqual([])
  })

  test('KEY-07 (RFC 7515 §4.1.4): refuses a kid of 257 characters without a fetch', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: strangeKey('k'.repeat(257)) }))).toEqual(denial.signature)
    expect(issuer.requests).toEqual([])
  })

  test('KEY-07 (RFC 8725 §3.1): a known kid with another algorithm causes no further fetch', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ key: strangeKey(issuer.key().kid, 'ES384') }))).toEqual(denial.signature)
    expect(issuer.count('jwks')).toBe(1)
  })
})

describe('rotation', () => {
  test('KEY-07 (OIDC Core §10.1.1): publish, switch, retire: no good token is ever refused', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'EdDSA'] })
    const api = bed.api({ issuers: [issuer.issuer] })
    for (let generation = 0; generation < 3; generation++) {
      for (const step of ['publish', 'switch', 'retire'] as const) {
        const before = issuer.keys.map((key) => issuer.token({ key }))
        issuer.rotate(step)
        const tokens = [...(step === 'retire' ? [] : before), ...issuer.keys.map((key) => issuer.token({ key }))]
        for (const token of tokens) expect(await ask(api, token)).toEqual(granted)
        bed.clock.advance(60)
      }
    }
  })

  test('KEY-09 (RFC 8414 §2): a retired key stops working when its set expires', async () => {
    const issuer = await bed.issuer()
    const retired = issuer.key()
    const api = bed.api({ issuers: [issuer.issuer] })
    issuer.rotate('publish')
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    bed.clock.advance(EXPIRED)
    expect(await ask(api, issuer.token({ key: retired }))).toEqual(denial.signature)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('KEY-09 (RFC 8414 §2): refuses a verified token as soon as a refresh shows that its key was retired', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const remembered = issuer.token({ claims: { exp: bed.clock.now() + 3600 } })
    expect(await ask(api, remembered)).toEqual(granted)
    // Remembered: answered in the same tick.
    expect(authorize(api, remembered)).not.toBeInstanceOf(Promise)
    issuer.rotate('switch')
    issuer.rotate('retire')
    // Any token with the new key makes the set current.
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, remembered)).toEqual(denial.signature)
  })

  test('KEY-09 (RFC 8414 §2): a retired key does not return in an outage, even if the set without it was never used', async () => {
    const issuer = await bed.issuer()
    const retired = issuer.key()
    issuer.rotate('publish')
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    issuer.rotate('switch')
    issuer.rotate('retire')
    bed.clock.advance(DUE)
    // This request sets off the renewal, and is the last one before the outage.
    expect(await ask(api, issuer.token())).toEqual(granted)
    await until(() => api.health().issuers[0]?.jwks.age === 0)
    issuer.always('jwks', fault.status(404))
    bed.clock.advance(EXPIRED)
    expect(await ask(api, issuer.token({ key: retired }))).toEqual(denial.unavailable)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('KEY-09 (RFC 8414 §2): new key material under an old kid invalidates tokens of the old key', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const remembered = issuer.token()
    expect(await ask(api, remembered)).toEqual(granted)
    const replacement = strangeKey(issuer.key().kid)
    publish(issuer, replacement.publicJwk)
    bed.clock.advance(DUE - 400)
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
    expect(await ask(api, remembered)).toEqual(denial.signature)
    expect(await ask(api, issuer.token({ key: replacement }))).toEqual(granted)
  })

  test('KEY-09 (RFC 8414 §2): a key that stays keeps its verified tokens, in any order of the set', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'ES384'] })
    const api = bed.api({ issuers: [issuer.issuer] })
    const remembered = issuer.token()
    expect(await ask(api, remembered)).toEqual(granted)
    issuer.jwks.keys.reverse()
    issuer.rotate('publish')
    issuer.jwks.keys.reverse()
    await ask(api, issuer.token({ key: strangeKey('x') }))
    expect(issuer.count('jwks')).toBe(2)
    expect(authorize(api, remembered)).not.toBeInstanceOf(Promise)
  })
})

describe('renewal', () => {
  test('KEY-09, DEF-10 (RFC 9111 §4.2): fetches a set once, and again when its 600 s are over', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(400)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(1)
    bed.clock.advance(EXPIRED - 400)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-09 (RFC 9111 §4.2): renews it in the background shortly before, and no request waits', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    bed.clock.advance(DUE)
    const gate = issuer.hold('jwks')
    const token = issuer.token()
    // The check is synchronous: it cannot have waited for anything.
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    await issuer.received('jwks', 2)
    expect(await Promise.all([token, issuer.token(), issuer.token()].map((one) => ask(api, one)))).toEqual([
      granted,
      granted,
      granted
    ])
    expect(issuer.count('jwks')).toBe(2)
    gate.release()
    await until(() => api.health().issuers[0]?.jwks.age === 0)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-09 (RFC 9111 §4.2): a failed renewal in the background causes no error', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    bed.clock.advance(DUE)
    issuer.always('jwks', fault.invalidJson())
    expect(await ask(api, issuer.token())).toEqual(granted)
    await until(() => api.health().status === 'degraded')
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  // [max-age, seconds without a fetch (before the earliest renewal), seconds after which there was one]
  const lives: readonly [string, number, number][] = [
    ['max-age=1', 41, 61],
    ['max-age=0, must-revalidate', 41, 61],
    ['public, max-age=120', 83, 121],
    ['max-age="120"', 83, 121],
    ['max-age=86400', 2510, 3601],
    ['max-age=999999999', 2510, 3601],
    ['s-maxage=60', 415, 601],
    ['no-store', 415, 601],
    ['max-age=-5', 415, 601]
  ]
  test.each(lives)(
    'KEY-09, DEF-10 (RFC 9111 §5.2.2.1): Cache-Control: %s is honoured between 60 and 3600 s',
    async (field, before, after) => {
      const issuer = await bed.issuer()
      issuer.always('jwks', fault.headers({ 'cache-control': field }))
      const api = bed.api({ issuers: [issuer.issuer] })
      expect(await ask(api, issuer.token())).toEqual(granted)
      bed.clock.advance(before)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(1)
      bed.clock.advance(after - before)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(issuer.count('jwks')).toBe(2)
    }
  )

  test('KEY-09 (RFC 9111 §4.2): a clock set back makes a set due', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    bed.clock.advance(-3600)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })
})

/** Every way in which a key set can fail to come. */
const outages: readonly Outage[] = [
  ...OUTAGES,
  ['404', fault.status(404)],
  ['401', fault.status(401)],
  ['204', fault.status(204, { body: '' })],
  ['206', fault.status(206)],
  ['a redirect', fault.redirect()],
  ['a permanent redirect', fault.redirect('/elsewhere', 308)],
  ['a page with 200', fault.html200()],
  ['broken JSON', fault.invalidJson()],
  ['an empty set', fault.emptySet()],
  ['no set', fault.body({})],
  ['keys that is an object', fault.body({ keys: {} })],
  ['null', fault.body(null)],
  ['a string', fault.body('keys')],
  ['101 keys', fault.body({ keys: Array.from({ length: 101 }, () => createSigningKey('ES256').publicJwk) })],
  ['unusable keys only', fault.body({ keys: [{ kty: 'AKP' }, { kty: 'oct', k: 'AAAA' }] })]
]

describe('KEY-08 (RFC 9111 §4.2.4): an outage', () => {
  test.each(outages)(
    'KEY-08 (RFC 9111 §4.2.4, RFC 9110 §15.6.4): %s: known keys keep verifying, an unknown kid is 503, and it heals',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [issuer.issuer], ...(http && { http }) })
      expect(await ask(api, issuer.token())).toEqual(granted)
      issuer.always('jwks', behaviour)
      bed.clock.advance(EXPIRED)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.unavailable)
      expect(api.health().status).toBe('degraded')
      expect(issuer.count('other')).toBe(0)
      issuer.always('jwks', undefined)
      bed.clock.advance(30)
      issuer.rotate('switch')
      expect(await ask(api, issuer.token())).toEqual(granted)
      // With a short deadline a token does not wait for the next look: it is due.
      bed.clock.advance(2)
      expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
      expect(api.health().status).toBe('ok')
    }
  )

  test.each(outages)(
    'KEY-08, DEF-11 (RFC 9110 §15.6.4): %s in place of the first set is 503, and it heals',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer()
      issuer.always('jwks', behaviour)
      const api = bed.api({ issuers: [issuer.issuer], ...(http && { http }) })
      expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
      expect(api.health().status).toBe('failed')
      issuer.always('jwks', undefined)
      bed.clock.advance(1)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(api.health().status).toBe('ok')
    }
  )

  test('KEY-08, DEF-10 (RFC 9111 §4.2.4): uses known keys for an hour past their life while the server is down, and no longer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    await issuer.close()
    bed.clock.advance(600 + 3599)
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(31)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(api.health().status).toBe('failed')
  })

  test('KEY-08 (RFC 9111 §4.2.4): the first request is served where metadata and keys are past their time and the server is silent about both', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], http: { timeout: 2, deadline: 2 } })
    const known = issuer.token({ claims: { exp: bed.clock.now() + 9999 } })
    expect(await ask(api, known)).toEqual(granted)
    // Past the time of the metadata, and within that in which old keys may serve.
    bed.clock.advance(3601)
    for (const endpoint of ['metadata', 'jwks'] as const) issuer.hold(endpoint)
    issuer.reset()
    expect(await Promise.all([ask(api, issuer.token()), ask(api, known)])).toEqual([granted, granted])
    expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([1, 1])
    // An unknown key cannot be told from a new one meanwhile.
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.unavailable)
  })

  test('KEY-08 (RFC 9111 §4.2.4): keys are renewed by the old metadata while the server is silent about the metadata', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], http: { timeout: 5, deadline: 5 } })
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(3601)
    issuer.rotate('switch')
    issuer.hold('metadata')
    issuer.reset()
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([1, 1])
    // The keys came while the attempt at the metadata was under way, not after it.
    expect(api.health().issuers[0]?.metadata.error).toBeUndefined()
  })

  test('KEY-08 (RFC 9111 §4.2.4): once an outage is known, no request waits for attempts to end it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.always('jwks', fault.status(404))
    bed.clock.advance(EXPIRED)
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(31)
    const gate = issuer.hold('jwks')
    const attempts = issuer.count('jwks')
    // A turn of its own, in which its signature is checked at once.
    await new Promise((resolve) => setImmediate(resolve))
    expect(authorize(api, issuer.token())).not.toBeInstanceOf(Promise)
    await issuer.received('jwks', attempts + 1)
    gate.release()
  })

  test('KEY-08 (RFC 9110 §15.6.4): attempts back off, 1 s at first, 30 s at most', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.status(404))
    const api = bed.api({ issuers: [issuer.issuer] })
    // What is left of the back-off, and no less than five seconds.
    const later = { ...denial.unavailable, retryAfter: expect.stringMatching(/^([5-9]|[12]\d|30)$/) }
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(issuer.count('jwks')).toBe(1)
    for (const [attempt, pause] of [1, 2, 4, 8, 16, 30, 30, 30].entries()) {
      bed.clock.advance(pause / 10 - 0.01)
      expect(await ask(api, issuer.token())).toEqual(later)
      expect(issuer.count('jwks')).toBe(attempt + 1)
      bed.clock.advance(pause * 0.9 + 0.01)
      expect(await ask(api, issuer.token())).toEqual(later)
      expect(issuer.count('jwks')).toBe(attempt + 2)
    }
  })

  test('KEY-08 (RFC 9110 §15.6.4): does not treat 500 and then the set as an outage: one retry', async () => {
    const issuer = await bed.issuer()
    issuer.script('jwks', fault.status(500))
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-08 (RFC 9110 §15.6.4): treats 500 twice as an outage, without a second retry', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.status(500))
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-08 (RFC 9110 §10.2.3): 429 with a Retry-After within the deadline is retried then', async () => {
    const issuer = await bed.issuer()
    issuer.script('jwks', fault.retryAfter(0))
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('KEY-08 (RFC 9110 §10.2.3): 429 with a Retry-After beyond the deadline is not retried, and passed on', async () => {
    const issuer = await bed.issuer()
    issuer.script('jwks', fault.retryAfter(77))
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(unavailableFor(77))
    expect(issuer.count('jwks')).toBe(1)
  })

  test('KEY-08 (RFC 9110 §15.6.4): the error names the dependency and keeps the cause; the response has neither', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.invalidJson())
    const api = bed.api({ issuers: [issuer.issuer] })
    const error = await refusal(() => authorize(api, issuer.token()))
    expect(error).toMatchObject({ dependency: 'jwks', reason: 'jwks_unavailable', code: 'temporarily_unavailable' })
    expect(error.cause).toBeInstanceOf(SyntaxError)
    expect(error.expose).toBe(false)
  })
})

describe('KEY-09 (RFC 8414 §2): answers that never replace a good set', () => {
  test('KEY-09 (RFC 8414 §2): an empty set removes neither known keys nor verified tokens', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const remembered = issuer.token()
    expect(await ask(api, remembered)).toEqual(granted)
    issuer.always('jwks', fault.emptySet())
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.unavailable)
    expect(authorize(api, remembered)).not.toBeInstanceOf(Promise)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })
})

describe('KEY-10 (RFC 8414 §2): the source of keys', () => {
  test('KEY-10 (RFC 8414 §2): refuses a jwksUri with plain http at start', () => {
    const start = (jwksUri: string) => () =>
      resourceServer({ resource: RESOURCE, issuers: [{ issuer: 'https://as.example.com', jwksUri }] })
    expect(start('http://as.example.com/jwks')).toThrow(TypeError)
    expect(start('http://as.example.com/jwks')).toThrow(/issuers\[0\]\.jwksUri/)
    expect(start('ftp://as.example.com/jwks')).toThrow(TypeError)
    expect(start('https://user:secret@as.example.com/jwks')).toThrow(/user name or password/)
    expect(start('http://127.0.0.1.example.com/jwks')).toThrow(TypeError)
    expect(start('http://127.0.0.1:8080/jwks')).not.toThrow()
    expect(start('http://localhost/jwks')).not.toThrow()
    expect(start('http://[::1]/jwks')).not.toThrow()
  })

  test.each([
    ['plain http', 'http://as.example.com/jwks'],
    ['another scheme', 'ftp://127.0.0.1/jwks'],
    ['relative', '/jwks'],
    ['missing', undefined],
    ['a list', ['https://as.example.com/jwks']]
  ])('KEY-10 (RFC 8414 §2): a jwks_uri in metadata that is %s is 500 and never fetched', async (_, jwksUri) => {
    const issuer = await bed.issuer()
    issuer.metadata.jwks_uri = jwksUri
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
    expect(issuer.count('jwks')).toBe(0)
  })

  test('KEY-10 (RFC 9110 §4.3.4): treats an untrusted certificate as an outage, until its authority is trusted', async () => {
    const issuer = await bed.issuer()
    const { key, cert } = createSelfSignedCertificate()
    const server = createServer({ key, cert }, (_, response) => response.end(JSON.stringify(issuer.jwks)))
    bed.closing({ close: async () => server.close().closeAllConnections() })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const jwksUri = `https://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    const issuers = [{ issuer: issuer.issuer, jwksUri }]
    const error = await refusal(() => authorize(bed.api({ issuers }), issuer.token()))
    expect(error).toMatchObject({ status: 503, dependency: 'jwks', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } })
    const dispatcher = bed.closing(new Agent({ connect: { ca: cert, checkServerIdentity: () => undefined } }))
    expect(await ask(bed.api({ issuers, http: { dispatcher } }), issuer.token())).toEqual(granted)
  })
})

describe('KEY-11 (RFC 8725 §3.10): the limits of a fetch', () => {
  test('KEY-11 (RFC 8725 §3.10): reads 100 keys', async () => {
    const issuer = await bed.issuer()
    const others = Array.from({ length: 99 }, (_, i) => strangeKey(`x${i}`).publicJwk)
    publish(issuer, ...others, issuer.key().publicJwk)
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
  })

  test('KEY-11 (RFC 8725 §3.10): reads 256 KiB, and not a byte more', async () => {
    const issuer = await bed.issuer()
    const length = JSON.stringify(issuer.jwks).length
    issuer.script('jwks', fault.oversize(256 * 1024 - length))
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    issuer.always('jwks', fault.oversize(256 * 1024 - length + 1))
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(denial.unavailable)
  })

  test('KEY-11 (RFC 8725 §3.10): follows no redirect, on this host or to another', async () => {
    const [issuer, other] = [await bed.issuer(), await bed.issuer()]
    issuer.script('jwks', fault.redirect(`${other.origin}/jwks`), fault.redirect('/jwks?again', 307))
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(other.requests).toEqual([])
    expect(issuer.count('jwks')).toBe(1)
  })

  test('KEY-11 (RFC 8725 §3.10): keeps no cookies, and asks for no compression', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.headers({ 'set-cookie': 'session=1; Path=/' }))
    await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token({ key: strangeKey('x') }))
    expect(issuer.count('jwks')).toBe(2)
    for (const { headers } of issuer.requests) {
      expect(headers.cookie).toBeUndefined()
      expect(headers.authorization).toBeUndefined()
      expect(headers['accept-encoding']).toBe('identity')
    }
  })
})

describe('KEY-12 (RFC 7517 §8.5): media types', () => {
  test('KEY-12 (RFC 7517 §8.5): requests both media types', async () => {
    const issuer = await bed.issuer()
    await bed.api({ issuers: [issuer.issuer] }).ready()
    expect(issuer.requests.at(-1)).toMatchObject({
      method: 'GET',
      path: '/jwks',
      headers: { accept: 'application/json, application/jwk-set+json' }
    })
  })

  test.each(['application/jwk-set+json', 'application/json; charset=utf-8', 'application/octet-stream', undefined])(
    'KEY-12 (RFC 7517 §8.5): reads a set with the media type %s: only its content counts',
    async (type) => {
      const issuer = await bed.issuer()
      issuer.always('jwks', fault.contentType(type))
      expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    }
  )
})
