/** The rules about step-up authentication: RFC 9470, whole challenges of `api.authorize` and `api.enforce`. */
import { describe, expect, test } from 'vitest'
import { type Access, authentication, type Check, fresh, scope } from '../../src/index.js'
import { createBed, introspecting } from '../support/exchange.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  issuerKey,
  NOW,
  type Outcome,
  outcome,
  outcomeOf,
  RESOURCE_METADATA,
  refused
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const METADATA = `resource_metadata="${RESOURCE_METADATA}"`
const LEVEL = 'A different authentication level is required'
const AGE = 'More recent authentication is required'

/** DEN-14, with these parameters between the description and the metadata. */
function stepUp(description: string, parameters: string, scheme = 'Bearer'): Outcome {
  return {
    status: 401,
    code: 'insufficient_user_authentication',
    reason: 'insufficient_authentication',
    headers: {
      'WWW-Authenticate': [
        `${scheme} error="insufficient_user_authentication", error_description="${description}", ${parameters}, ${METADATA}`
      ],
      'Cache-Control': 'no-store'
    },
    body: { error: 'insufficient_user_authentication', error_description: description }
  }
}

const ask = (claims: Record<string, unknown>, ...checks: readonly Check<string>[]): Promise<Outcome> =>
  outcome(server, bearer(accessToken({ claims })), ...checks)

describe('STP-02 (RFC 9470 §3, §6): the level', () => {
  const mfa = authentication({ acr: 'urn:example:mfa' })
  const either = authentication({ acr: ['urn:example:hwk', 'urn:example:mfa'] })

  test('STP-01 STP-02 DEN-14 (RFC 9470 §3): refuses another level with 401, not 403', async () => {
    expect(await ask({ acr: 'pwd' }, mfa)).toEqual(stepUp(LEVEL, 'acr_values="urn:example:mfa"'))
    expect(await ask({ acr: 'urn:example:mfa' }, mfa)).toEqual(granted)
  })

  test('STP-02 (RFC 9470 §3): accepts any one of several levels, and names all, the preferred first', async () => {
    for (const acr of ['urn:example:hwk', 'urn:example:mfa']) expect(await ask({ acr }, either)).toEqual(granted)
    expect(await ask({ acr: 'pwd' }, either)).toEqual(stepUp(LEVEL, 'acr_values="urn:example:hwk urn:example:mfa"'))
  })

  test('STP-02 DEN-14: refuses a token without acr, or with one that is not exactly the level', async () => {
    const unfit: unknown[] = [
      undefined,
      null,
      '',
      'urn:example:MFA',
      'urn:example:mf',
      'urn:example:mfa ',
      'urn:example:hwk urn:example:mfa',
      ['urn:example:mfa'],
      { value: 'urn:example:mfa' },
      0,
      true
    ]
    for (const acr of unfit) {
      const expected = stepUp(LEVEL, 'acr_values="urn:example:mfa"')
      expect(await ask({ acr }, mfa), JSON.stringify(acr)).toEqual(expected)
    }
  })
})

describe('STP-03 (RFC 9470 §3): the maximum age', () => {
  const recent = authentication({ maxAge: 300 })
  const old = stepUp(AGE, 'max_age="300"')

  test('STP-03 DEN-14: refuses a login of longer ago, and names the maximum', async () => {
    expect(await ask({ auth_time: NOW - 400 }, recent)).toEqual(old)
    expect(await ask({ auth_time: NOW - 10 }, recent)).toEqual(granted)
  })

  test('STP-03: accepts the last second within the clock tolerance, and refuses the next one', async () => {
    expect(await ask({ auth_time: NOW - 330 }, recent)).toEqual(granted)
    expect(await ask({ auth_time: NOW - 331 }, recent)).toEqual(old)
    expect(await ask({ auth_time: NOW - 330.5 }, recent)).toEqual(old)
    const strict = api({ clockTolerance: 0 })
    const at = (time: number): Promise<Outcome> =>
      outcome(strict, bearer(accessToken({ claims: { auth_time: time } })), recent)
    expect(await at(NOW - 300)).toEqual(granted)
    expect(await at(NOW - 301)).toEqual(old)
  })

  test('STP-03: max_age 0 asks for a login now', async () => {
    const now = authentication({ maxAge: 0 })
    expect(await ask({ auth_time: NOW - 30 }, now)).toEqual(granted)
    expect(await ask({ auth_time: NOW - 31 }, now)).toEqual(stepUp(AGE, 'max_age="0"'))
  })

  test('STP-03: refuses a token without auth_time', async () => {
    expect(await ask({}, recent)).toEqual(old)
  })

  test('STP-03: treats an auth_time that is null or empty as missing', async () => {
    const ever = authentication({ maxAge: NOW + 1000 })
    for (const time of [null, '']) {
      expect(await ask({ auth_time: time }, recent)).toEqual(old)
      expect((await ask({ auth_time: time }, ever)).status).toBe(401)
    }
  })

  test('STP-03: refuses an auth_time in the future, such as one in milliseconds', async () => {
    for (const time of [NOW + 61, NOW + 86_400, NOW * 1000, Number.MAX_SAFE_INTEGER]) {
      expect(await ask({ auth_time: time }, recent), String(time)).toEqual(old)
    }
    expect(await ask({ auth_time: NOW + 30 }, recent)).toEqual(granted)
  })

  test('STP-03 DEN-11: refuses a token whose auth_time is not a number', async () => {
    for (const time of ['1750000000', true, [NOW], {}]) {
      const { headers, status } = await ask({ auth_time: time }, recent)
      expect([status, headers['WWW-Authenticate']], JSON.stringify(time)).toEqual([
        401,
        [
          `Bearer error="invalid_token", error_description="The access token has a missing or invalid claim", ${METADATA}`
        ]
      ])
    }
  })

  test('STP-03 SEC-01: grants nothing with a clock that returns no number', async () => {
    for (const time of [Number.NaN, undefined, 'now'] as const) {
      const broken = api({ now: () => time as number })
      const { status } = await outcome(broken, bearer(accessToken({ claims: { auth_time: NOW } })), recent)
      expect(status).toBe(401)
    }
  })
})

describe('STP-02 (RFC 9470 §3): all in one challenge', () => {
  const both = authentication({ acr: 'mfa', maxAge: 300 })

  test('STP-02 STP-03: names level and time together, and describes what is missing', async () => {
    const parameters = 'acr_values="mfa", max_age="300"'
    expect(await ask({ acr: 'pwd', auth_time: NOW }, both)).toEqual(stepUp(LEVEL, parameters))
    expect(await ask({ acr: 'mfa', auth_time: NOW - 400 }, both)).toEqual(stepUp(AGE, parameters))
    expect(await ask({}, both)).toEqual(stepUp(LEVEL, parameters))
    expect(await ask({ acr: 'mfa', auth_time: NOW }, both)).toEqual(granted)
  })

  test('ORD-05 DEN-14 (RFC 9470 §3): names all scopes of the operation where one is missing too', async () => {
    const expected = stepUp(LEVEL, 'scope="read write", acr_values="mfa", max_age="300"')
    expect(await ask({}, scope('read', 'write'), both)).toEqual(expected)
    expect(await ask({}, both, scope('read', 'write'))).toEqual(expected)
  })

  test('ORD-05: names no scope where none is missing', async () => {
    expect(await ask({}, scope('read'), both)).toEqual(stepUp(LEVEL, 'acr_values="mfa", max_age="300"'))
  })
})

describe('STP-04 (RFC 9470 §9): before a token is verified', () => {
  const both = authentication({ acr: 'mfa', maxAge: 300 })

  test('STP-04: does not name the required login before a token is verified', async () => {
    const forged = accessToken({ sign: () => Buffer.alloc(64, 1) })
    const bad = [
      get(),
      get({ authorization: 'Basic eA==' }),
      get({ authorization: 'Bearer' }),
      bearer('ab%cd'),
      bearer(forged),
      bearer(accessToken({ claims: { exp: NOW - 31 } })),
      bearer(accessToken({ claims: { aud: 'https://other.example' } })),
      bearer(accessToken({ claims: { cnf: { jkt: 'x' } } })),
      bearer(accessToken({ claims: { cnf: { 'x5t#S256': 'x' } } }))
    ]
    for (const request of bad) {
      const { status, headers } = await outcome(server, request, scope('read'), both)
      expect([401, 400]).toContain(status)
      expect(String(headers['WWW-Authenticate'])).not.toMatch(/acr_values|max_age|insufficient/)
    }
    expect(await outcome(server, bearer(forged), scope('read'), both)).toEqual(refused('DEN-05', 'signature'))
  })
})

describe('STP-05 (RFC 9470 §3): beside other schemes', () => {
  const mfa = authentication({ acr: 'mfa' })

  test('STP-05 DEN-20: writes the error under the scheme that was used, with DPoP beside', async () => {
    const { headers } = await outcome(
      api({ dpop: { advertise: true, algorithms: ['ES256'] } }),
      bearer(accessToken()),
      mfa
    )
    expect(headers['WWW-Authenticate']).toEqual([
      `Bearer error="insufficient_user_authentication", error_description="${LEVEL}", acr_values="mfa", ${METADATA}`,
      `DPoP algs="ES256", ${METADATA}`
    ])
  })

  test('STP-05: writes the rest of the challenge without metadata', async () => {
    const bare = api({ metadata: false })
    const { headers } = await outcome(bare, bearer(accessToken()), mfa)
    expect(headers['WWW-Authenticate']).toEqual([
      `Bearer realm="https://api.example.com", error="insufficient_user_authentication", error_description="${LEVEL}", acr_values="mfa"`
    ])
  })
})

describe('introspected, cached and nested', () => {
  const mfa = authentication({ acr: 'mfa', maxAge: 300 })

  test('STP-02 (RFC 9470 §6.2): reads level and time of an introspected token too', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const ofLevel = (members: Record<string, unknown>): Promise<Outcome> =>
      outcome(of, bearer(issuer.opaque(members)), mfa)
    expect(await ofLevel({ acr: 'mfa', auth_time: bed.clock.now() })).toEqual(granted)
    expect(await ofLevel({ acr: 'pwd', auth_time: bed.clock.now() })).toEqual(
      stepUp(LEVEL, 'acr_values="mfa", max_age="300"')
    )
    expect(await ofLevel({ acr: 'mfa' })).toEqual(stepUp(AGE, 'acr_values="mfa", max_age="300"'))
  })

  test('STP-02 STP-03 (RFC 9470 §6.2): reads level and time of the current answer for a JWT that must be fresh', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const now = bed.clock.now()
    const token = issuer.token({ claims: { acr: 'mfa', auth_time: now } })
    const ofNow = async (members: Record<string, unknown>): Promise<Outcome> => {
      issuer.opaque(members, token)
      return outcome(of, bearer(token), fresh(), mfa)
    }
    const parameters = 'acr_values="mfa", max_age="300"'
    expect(await ofNow({})).toEqual(granted)
    expect(await ofNow({ acr: 'pwd' })).toEqual(stepUp(LEVEL, parameters))
    expect(await ofNow({ auth_time: now - 400 })).toEqual(stepUp(AGE, parameters))
    expect(await outcome(of, bearer(token), mfa)).toEqual(granted)
  })

  test('CCH-03 STP-03: a cached token ages like any other', async () => {
    let now = NOW
    const of = api({ now: () => now })
    const token = accessToken({ claims: { auth_time: NOW - 300, acr: 'mfa', exp: NOW + 900 } })
    expect(await outcome(of, bearer(token), mfa)).toEqual(granted)
    now += 30
    expect(await outcome(of, bearer(token), mfa)).toEqual(granted)
    now += 1
    expect(await outcome(of, bearer(token), mfa)).toEqual(stepUp(AGE, 'acr_values="mfa", max_age="300"'))
  })

  test('STP-01: enforce inside a handler, and the option `checks` for all routes, refuse with the whole answer', async () => {
    const access = (await server.authorize(bearer(accessToken()))) as Access
    const refusal = async (): Promise<void> => server.enforce(access, get(), scope('read', 'write'), mfa)
    const expected = stepUp(LEVEL, 'scope="read write", acr_values="mfa", max_age="300"')
    await refusal().then(
      () => expect.unreachable(),
      async (error: unknown) => expect(await outcomeOf(error)).toEqual(expected)
    )
    const everywhere = api({ checks: [mfa] }, { jwks: { keys: [issuerKey.publicJwk] } })
    expect(await outcome(everywhere, bearer(accessToken()), scope('read', 'write'))).toEqual(expected)
  })
})
