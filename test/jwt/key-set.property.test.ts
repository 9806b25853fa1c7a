/**
 * Whatever an authorization server publishes, in its key set, its metadata or an introspection answer: a request is
 * answered with one of our errors, or let in for a reason that can be pointed at. Real HTTP; the oracle is written
 * anew here, and looks at the document that was served only.
 */
import fc from 'fast-check'
import { Agent } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resourceServer } from '../../src/index.js'
import { readKeySet } from '../../src/jwt/key-set.js'
import { type Answered, ask, introspecting, RESOURCE } from '../support/exchange.js'
import {
  type Behaviour,
  createClock,
  createSigningKey,
  fault,
  startIssuer,
  type TestIssuer
} from '../support/issuer.js'

type Json = Record<string, unknown>

const clock = createClock()
const dispatcher = new Agent()
let issuer: TestIssuer

beforeAll(async () => {
  issuer = await startIssuer({ now: clock.now, algorithms: ['ES256'] })
})

afterAll(async () => {
  await dispatcher.close()
  await issuer.close()
})

/** An API that remembers nothing yet. Its connections are shared, so that many are cheap. */
function api(issuers: Parameters<typeof resourceServer>[0]['issuers']) {
  return resourceServer({ resource: RESOURCE, issuers, now: clock.now, http: { dispatcher } })
}

/** What is served: any JSON value, or any text in its place. */
const junk: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }).map((value) => fault.body(value)),
  fc.jsonValue().map((value) => fault.body({ keys: value, issuer: value, active: value, jwks_uri: value })),
  fc.string({ unit: 'binary', maxLength: 200 }).map(
    (text): Behaviour =>
      ({ response }) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(text)
  )
)

const anyValue = fc.jsonValue({ maxDepth: 2 })

/** Usually what it should be; now and then anything, or not there. */
function mostly(...values: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(...values), weight: 40 },
    { arbitrary: anyValue, weight: 1 },
    { arbitrary: fc.constant(undefined), weight: 1 }
  )
}

function expectAnError(answer: Answered, ...statuses: readonly number[]): void {
  expect(statuses).toContain(answer.status)
  expect(answer.body).toMatchObject({ error: expect.any(String) })
  expect(answer.challenge === null).toBe(answer.status >= 500)
}

describe('a key set', () => {
  const keyed = () => api([{ issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }])
  const others = (['ES256', 'RS256', 'EdDSA'] as const).map((alg) => createSigningKey(alg, { kid: 'k1' }).publicJwk)

  /** The right key, other keys under its name, keys with something wrong, and things that are no keys. */
  /** Null, an empty text or an empty list, as several servers write what they do not say. */
  const isSilent = (value: unknown): boolean =>
    value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
  const isSilentOr = (value: unknown, right: string): boolean => isSilent(value) || value === right
  const jwk = fc.oneof(
    fc.constantFrom<Json>(...others),
    fc
      .tuple(
        fc.constantFrom('kty', 'crv', 'x', 'y', 'kid', 'alg', 'use', 'key_ops', 'd', 'n', 'e'),
        anyValue,
        fc.boolean()
      )
      .map(([member, value, right]) => ({ ...(right ? issuer.key().publicJwk : others[0]), [member]: value })),
    fc.constant(0).map(() => issuer.key().publicJwk),
    anyValue
  )

  test('with any content never accepts a token whose key is not in it', async () => {
    await fc.assert(
      fc.asyncProperty(junk, async (behaviour) => {
        issuer.always('jwks', behaviour)
        expectAnError(await ask(keyed(), issuer.token()), 503)
      }),
      { numRuns: 100 }
    )
    issuer.always('jwks', undefined)
  })

  test('that is nearly valid accepts a token exactly if its key is in it, usable and public', async () => {
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(fc.array(jwk, { maxLength: 6 }), async (keys) => {
        issuer.always('jwks', fault.body({ keys }))
        const answer = await ask(keyed(), issuer.token())
        const usable = (key: unknown, { x, y, kid, crv, kty } = issuer.key().publicJwk): boolean => {
          const one = Object(key) as Json
          const same =
            one['x'] === x && one['y'] === y && one['kid'] === kid && one['crv'] === crv && one['kty'] === kty
          const operations = isSilent(one['key_ops']) ? ['verify'] : one['key_ops']
          const forVerifying = Array.isArray(operations) && operations.includes('verify')
          // Members that say nothing, as several servers write them, count as missing.
          const secret = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'].some((member) => (one[member] ?? null) !== null)
          return same && forVerifying && !secret && isSilentOr(one['use'], 'sig') && isSilentOr(one['alg'], 'ES256')
        }
        const candidates = keys.filter((key) => (key as Json | null)?.['kid'] === 'k1')
        const right = keys.some((key) => usable(key))
        if (answer.status === 200) {
          accepted += 1
          expect(right).toBe(true)
        } else {
          expectAnError(answer, 401, 503)
          // Of many keys under one name only the first four are tried.
          if (candidates.length <= 4) expect(right).toBe(false)
        }
      }),
      { numRuns: 150 }
    )
    issuer.always('jwks', undefined)
    expect(accepted).toBeGreaterThan(0)
  })

  test('is read or refused, and causes no other outcome', () => {
    fc.assert(
      fc.property(fc.oneof(anyValue, fc.record({ keys: fc.oneof(anyValue, fc.array(anyValue)) })), (document) => {
        let set: ReturnType<typeof readKeySet>
        try {
          set = readKeySet(document)
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError)
          expect((error as Error).message).toMatch(/^(not a JSON Web Key Set|a key set of \d+ keys)/)
          return
        }
        expect(set.skipped).toHaveLength((document as { keys: unknown[] }).keys.length)
        expect(set.size).toBe(0)
      }),
      { numRuns: 1000 }
    )
  })
})

describe('metadata', () => {
  test('with junk content never lead to accepting a token', async () => {
    issuer.always('jwks', undefined)
    await fc.assert(
      fc.asyncProperty(junk, async (behaviour) => {
        issuer.always('metadata', behaviour)
        expectAnError(await ask(api([issuer.issuer]), issuer.token()), 500)
      }),
      { numRuns: 100 }
    )
    issuer.always('metadata', undefined)
  })

  test('that are nearly valid accept a token exactly if they name the issuer and its keys', async () => {
    let accepted = 0
    const { issuer: name, origin } = issuer
    const document = fc.record(
      {
        issuer: mostly(name, name, name, `${name}/`, 'https://other.example'),
        jwks_uri: mostly(
          `${origin}/jwks`,
          `${origin}/jwks`,
          `${origin}/jwks?x=1`,
          'http://as.example.com/jwks',
          '/jwks'
        ),
        introspection_endpoint: anyValue,
        protected_resources: anyValue,
        signed_metadata: anyValue
      },
      { requiredKeys: ['issuer', 'jwks_uri'] }
    )
    await fc.assert(
      fc.asyncProperty(document, async (metadata) => {
        issuer.always('metadata', fault.body(metadata))
        const answer = await ask(api([name]), issuer.token())
        const right = metadata.issuer === name && String(metadata.jwks_uri).startsWith(`${origin}/jwks`)
        if (answer.status === 200) accepted += 1
        else expectAnError(answer, 500)
        expect(answer.status === 200).toBe(right && typeof metadata.jwks_uri === 'string')
      }),
      { numRuns: 150 }
    )
    issuer.always('metadata', undefined)
    expect(accepted).toBeGreaterThan(0)
  })
})

describe('an introspection answer', () => {
  const opaque = () => api([introspecting(issuer, { endpoint: `${issuer.origin}/introspect` }, { tokens: 'opaque' })])

  test('with junk content never accepts a token', async () => {
    await fc.assert(
      fc.asyncProperty(junk, async (behaviour) => {
        issuer.script('introspection', behaviour)
        const answer = await ask(opaque(), 'token')
        // `{ active: false }` and `{ active: true }` without an audience may come up by chance.
        expectAnError(answer, 401, 500, 503)
      }),
      { numRuns: 300 }
    )
  })

  test('that is nearly valid accepts a token exactly if every rule holds', async () => {
    const now = clock.now()
    let accepted = 0
    const good = fc.record(
      {
        active: fc.constant(true),
        iss: fc.constant(issuer.issuer),
        aud: fc.constantFrom<unknown>(RESOURCE, [RESOURCE], ['x', RESOURCE]),
        exp: fc.constantFrom(now + 300, now - 29, now + 0.5, 1e11),
        nbf: fc.constantFrom(now, now - 100, now + 30),
        iat: fc.constantFrom(now, now + 60),
        scope: fc.constantFrom<unknown>('read', 'a read b', ' read  x', ['read'], ['x y', 'read']),
        sub: fc.constantFrom('u1', 'u2'),
        client_id: fc.constantFrom('c1', 'c2'),
        token_type: fc.constantFrom('Bearer', 'bearer', 'access_token', 1),
        act: anyValue
      },
      { requiredKeys: ['active', 'aud', 'scope'] }
    )
    const flaw = fc.oneof(
      fc.constantFrom<Json>(
        { active: false },
        { active: 'true' },
        { iss: `${issuer.issuer}/` },
        { aud: [] },
        { aud: undefined },
        { aud: [RESOURCE, 1] },
        { exp: now - 30 },
        { exp: 1e11 + 1 },
        { exp: String(now + 300) },
        { nbf: now + 31 },
        { iat: now + 61 },
        { scope: 'Read' },
        { scope: 'read\t' },
        { scope: ['read write'] },
        { scope: undefined },
        { sub: '' },
        { client_id: null },
        { exp: null, nbf: '', cnf: null },
        { aud: '' },
        { token_type: 'DPoP' },
        { token_type: 'dpop' },
        { cnf: { jkt: 'x' } },
        { cnf: {} }
      ),
      fc
        .tuple(
          fc.constantFrom('active', 'iss', 'aud', 'exp', 'nbf', 'iat', 'scope', 'sub', 'client_id', 'jti', 'cnf'),
          anyValue
        )
        .map(([member, value]): Json => ({ [member]: value }))
    )
    const answer = fc
      .tuple(good, fc.array(flaw, { maxLength: 2 }))
      .map(([members, flaws]): Json => Object.assign({}, members, ...flaws))
    const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
    const scopes = (value: unknown): readonly unknown[] =>
      typeof value === 'string' ? value.split(' ') : [value].flat()
    await fc.assert(
      fc.asyncProperty(answer, async (members) => {
        issuer.script('introspection', fault.body(members))
        const { status, ...rest } = await ask(opaque(), 'token')
        // A member that is null or an empty text counts as missing.
        const said = Object.entries(members).filter(([, value]) => (value ?? '') !== '')
        const { active, iss, aud, exp, nbf, iat, scope, cnf, ...others } = Object.fromEntries(said) as Json
        const kept = [
          active === true,
          iss === undefined || iss === issuer.issuer,
          [aud].flat().includes(RESOURCE) && [aud].flat().every((one) => typeof one === 'string'),
          // A larger number than 1e11 is in milliseconds.
          exp === undefined || (typeof exp === 'number' && exp > now - 30 && exp <= 1e11),
          nbf === undefined || (typeof nbf === 'number' && nbf <= now + 30),
          iat === undefined || (typeof iat === 'number' && iat <= now + 60),
          scopes(scope).includes('read') && scopes(scope).every((one) => typeof one === 'string' && !/\t/.test(one)),
          cnf === undefined && !/^dpop$/i.test(String(others['token_type'])),
          [others['sub'], others['client_id'], others['jti']].every(isText)
        ]
        if (status === 200) accepted += 1
        else expectAnError({ status, ...rest }, 401, 403, 500)
        expect(status === 200).toBe(kept.every(Boolean))
      }),
      { numRuns: 300 }
    )
    expect(accepted).toBeGreaterThan(0)
  })
})
