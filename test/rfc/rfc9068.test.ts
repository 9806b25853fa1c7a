/** RFC 9068: the JWT profile for access tokens, the looser `legacy` profile, and more than one issuer. */
import { describe, expect, test } from 'vitest'
import { type IssuerOptions, resourceServer, scope } from '../../src/index.js'
import { createBed, refusal } from '../support/exchange.js'
import { createSigningKey } from '../support/issuer.js'
import {
  access,
  accessToken,
  api,
  bearer,
  granted,
  ISSUER,
  insufficient,
  issuerKey,
  keySet,
  NOW,
  outcome,
  RESOURCE,
  RESOURCE_METADATA,
  refused,
  type Token
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const legacy = api({}, { tokenProfile: 'legacy' })
const answerTo = (token: Token, of = server): ReturnType<typeof outcome> => outcome(of, bearer(accessToken(token)))
const type = refused('DEN-12', 'type')
const audience = refused('DEN-10', 'audience')
const claim = refused('DEN-11', 'claim')

describe('RFC 9068 §4: the required checks', () => {
  test('ATV-01 ATV-05 (RFC 9068 §4): accepts a correct token', async () => {
    expect(await answerTo({})).toEqual(granted)
    expect(await access(server, accessToken())).toMatchObject({
      issuer: ISSUER,
      subject: 'u1',
      clientId: 'c1',
      audience: [RESOURCE],
      scopes: ['read'],
      issuedAt: NOW - 10,
      expiresAt: NOW + 300
    })
  })

  test('ATV-01 DEF-02 DEN-12 (RFC 9068 §4): refuses typ JWT and a missing typ, which are not those of an access token', async () => {
    for (const typ of ['JWT', 'jwt', 'application/jwt', undefined]) {
      expect(await answerTo({ header: { typ } })).toEqual(type)
    }
  })

  test('ATV-03 DEN-09 (RFC 9068 §4): iss must equal the issuer exactly', async () => {
    const others = [
      `${ISSUER}/`,
      'https://AS.example.com',
      'https://as.example.com:443',
      'http://as.example.com',
      '',
      'x'
    ]
    for (const iss of others) {
      expect(await answerTo({ claims: { iss } })).toEqual(refused('DEN-09', 'issuer'))
    }
  })

  test('ATV-03 (RFC 8414 §2): an issuer with a trailing slash has one in its tokens', async () => {
    const slash = api({}, { issuer: `${ISSUER}/` })
    expect(await answerTo({ claims: { iss: `${ISSUER}/` } }, slash)).toEqual(granted)
    expect(await answerTo({}, slash)).toEqual(refused('DEN-09', 'issuer'))
    expect(await refusal(() => slash.authorize(bearer(accessToken())))).toMatchObject({
      expected: [`${ISSUER}/`],
      received: ISSUER
    })
  })

  test('ATV-03: `acceptedIssuers` adds exact names for the same keys', async () => {
    const two = api({}, { acceptedIssuers: ['https://sts.example/tenant/'] })
    for (const iss of [ISSUER, 'https://sts.example/tenant/'])
      expect(await answerTo({ claims: { iss } }, two)).toEqual(granted)
    expect(await answerTo({ claims: { iss: 'https://sts.example/tenant' } }, two)).toEqual(refused('DEN-09', 'issuer'))
  })

  test('ATV-04 DEF-04 DEN-10 (RFC 9068 §4): aud must name this API, alone or among others', async () => {
    for (const aud of [RESOURCE, [RESOURCE], ['x', RESOURCE], [RESOURCE, 'x']]) {
      expect(await answerTo({ claims: { aud } })).toEqual(granted)
    }
    const others = [
      'x',
      `${RESOURCE}/`,
      `${RESOURCE}/items`,
      RESOURCE.toUpperCase(),
      'api.example.com',
      `x ${RESOURCE}`
    ]
    for (const aud of others) {
      expect(await answerTo({ claims: { aud } })).toEqual(audience)
      expect(await answerTo({ claims: { aud: [aud] } })).toEqual(audience)
    }
  })

  test('ATV-04 DEF-04 (RFC 8707 §2): compares a resource with a slash or a path as written', async () => {
    const slash = resourceServer({
      resource: `${RESOURCE}/`,
      issuers: [{ issuer: ISSUER, jwks: keySet(issuerKey) }],
      now: () => NOW
    })
    expect((await outcome(slash, bearer(accessToken({ claims: { aud: `${RESOURCE}/` } })))).status).toBe(200)
    expect((await outcome(slash, bearer(accessToken()))).reason).toBe('audience')
  })

  test('ATV-17 DEF-04 (RFC 9700 §4.10.2): the audience is configurable, and may be any string', async () => {
    const abstract = api({}, { audience: 'urn:api' })
    expect(await answerTo({ claims: { aud: 'urn:api' } }, abstract)).toEqual(granted)
    expect(await answerTo({}, abstract)).toEqual(audience)
    const several = api({}, { audience: ['urn:api', RESOURCE] })
    for (const aud of ['urn:api', RESOURCE]) expect(await answerTo({ claims: { aud } }, several)).toEqual(granted)
    expect(await answerTo({ claims: { aud: 'urn:API' } }, several)).toEqual(audience)
  })

  test('DEF-04 ATV-08: only `audience: null` accepts any audience, and then aud must still be present and well-formed', async () => {
    const any = api({}, { audience: null })
    expect(await answerTo({ claims: { aud: 'x' } }, any)).toEqual(granted)
    expect(await answerTo({ claims: { aud: [] } }, any)).toEqual(granted)
    expect(await answerTo({ claims: { aud: 1 } }, any)).toEqual(claim)
  })

  test('ATV-06 DEN-06 DEF-05 (RFC 9068 §4): a token is refused from the second its leeway ends', async () => {
    expect(await answerTo({ claims: { exp: NOW - 30 } })).toEqual(refused('DEN-06', 'expired'))
    expect(await answerTo({ claims: { exp: NOW - 29 } })).toEqual(granted)
    expect(await answerTo({ claims: { exp: NOW - 29.5 } })).toEqual(granted)
    for (const exp of [0, -1, NOW - 31])
      expect(await answerTo({ claims: { exp } })).toEqual(refused('DEN-06', 'expired'))
  })

  test('ATV-06 DEF-05 (RFC 7519 §4.1.4): without leeway a token is refused from the second of its exp', async () => {
    const exact = api({ clockTolerance: 0 })
    expect(await answerTo({ claims: { exp: NOW } }, exact)).toEqual(refused('DEN-06', 'expired'))
    expect(await answerTo({ claims: { exp: NOW + 1 } }, exact)).toEqual(granted)
  })

  test('ATV-06 DEF-05: leeway is at most five minutes', () => {
    expect(() => api({ clockTolerance: 301 })).toThrow(
      '`clockTolerance` is 301: it must be a number of seconds from 0 to 300'
    )
    expect(api({ clockTolerance: 300 })).toBeDefined()
  })

  test('ATV-09 DEN-07 DEF-05 (RFC 7519 §4.1.5): applies the leeway to nbf, if present', async () => {
    expect(await answerTo({ claims: { nbf: NOW + 31 } })).toEqual(refused('DEN-07', 'not_yet_valid'))
    expect(await answerTo({ claims: { nbf: NOW + 30 } })).toEqual(granted)
  })

  test('DEF-05 DEN-07: refuses an iat more than a minute ahead, which shows a wrong clock', async () => {
    expect(await answerTo({ claims: { iat: NOW + 61 } })).toEqual(refused('DEN-07', 'not_yet_valid'))
    expect(await answerTo({ claims: { iat: NOW + 60 } })).toEqual(granted)
    expect(await answerTo({ claims: { iat: 0 } })).toEqual(granted)
  })

  test('ATV-07 (RFC 9068 §4): every failure is invalid_token with status 401', async () => {
    const failures: Token[] = [
      { header: { typ: 'JWT' } },
      { claims: { iss: 'x' } },
      { claims: { aud: 'x' } },
      { header: { alg: 'none' } },
      { key: createSigningKey('ES256') },
      { claims: { exp: 1 } },
      { claims: { jti: undefined } }
    ]
    for (const one of failures) {
      const { status, code, headers } = await answerTo(one)
      expect([status, code]).toEqual([401, 'invalid_token'])
      expect((headers['WWW-Authenticate'] as string[])[0]).toMatch(/^Bearer error="invalid_token", /)
    }
  })
})

describe('RFC 9068 §2.2: required claims', () => {
  test.each(['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'])(
    'ATV-08 DEN-11 (RFC 9068 §2.2): refuses a token without %s',
    async (name) => {
      const expected = name === 'aud' ? audience : claim
      expect(await answerTo({ claims: { [name]: undefined } })).toEqual(expected)
    }
  )

  test('ATV-08: refuses a required claim that is null or empty; nbf and cnf may be so (RFC 9068 §2.2)', async () => {
    for (const nothing of [null, '']) {
      for (const name of ['exp', 'sub', 'client_id', 'iat', 'jti'])
        expect(await answerTo({ claims: { [name]: nothing } }), name).toEqual(claim)
      expect(await answerTo({ claims: { aud: nothing } })).toEqual(audience)
      expect(await answerTo({ claims: { nbf: nothing, cnf: nothing, auth_time: nothing } })).toEqual(granted)
    }
  })

  test('ATV-08: requires no other claim', async () => {
    const token = { claims: { scope: undefined } }
    expect(await outcome(server, bearer(accessToken(token)), () => {})).toEqual(granted)
  })

  test('ATV-08: `requiredClaims` changes that for one issuer, but never for exp', async () => {
    const fewer = api({}, { requiredClaims: [] })
    for (const name of ['sub', 'client_id', 'iat', 'jti']) {
      expect(await answerTo({ claims: { [name]: undefined } }, fewer)).toEqual(granted)
    }
    expect(await answerTo({ claims: { exp: undefined } }, fewer)).toEqual(claim)
    const more = api({}, { requiredClaims: ['tenant'] })
    expect(await answerTo({}, more)).toEqual(claim)
    expect(await answerTo({ claims: { tenant: 't1' } }, more)).toEqual(granted)
  })

  test('ATV-08: `clientIdClaim` names the claim with the client', async () => {
    const azp = api({}, { clientIdClaim: ['client_id', 'azp'] })
    const token = accessToken({ claims: { client_id: undefined, azp: 'c2' } })
    expect(await outcome(azp, bearer(token))).toEqual(granted)
    expect((await access(azp, token)).clientId).toBe('c2')
    expect(await outcome(server, bearer(token))).toEqual(claim)
  })

  test('ATV-14 (RFC 9068 §2.2.1): auth_time, acr and amr are optional, and available to handlers', async () => {
    const claims = { auth_time: NOW - 100, acr: 'urn:example:mfa', amr: ['pwd', 'otp'] }
    const token = accessToken({ claims })
    expect(await outcome(server, bearer(token))).toEqual(granted)
    expect((await access(server, token)).claims).toMatchObject(claims)
    expect(await answerTo({ claims: { auth_time: 'yesterday' } })).toEqual(claim)
  })

  test('ATV-13 (RFC 9700 §4.15): the subject is a client if sub and client are equal, otherwise unknown', async () => {
    const typeOf = async (claims: object): Promise<string> =>
      (await access(server, accessToken({ claims: { ...claims } }))).subjectType
    expect(await typeOf({ sub: 'c1' })).toBe('client')
    expect(await typeOf({})).toBe('unknown')
    expect(await typeOf({ sub: 'c1', auth_time: NOW - 10 })).toBe('unknown')
    expect(await typeOf({ sub: 'C1' })).toBe('unknown')
  })

  test('ATV-15 (RFC 9068 §2.2): accepts the same token twice', async () => {
    const token = bearer(accessToken())
    expect(await outcome(server, token)).toEqual(granted)
    expect(await outcome(server, token)).toEqual(granted)
    expect(await answerTo({ claims: { sub: 'u2' } })).toEqual(granted)
  })

  test('ATV-18 (RFC 8693 §4.1): act and may_act are available unchanged, and are never the subject', async () => {
    const claims = { act: { sub: 'admin', act: { sub: 'root' } }, may_act: { sub: 'helper' } }
    const granted = await access(server, accessToken({ claims }))
    expect(granted.subject).toBe('u1')
    expect(granted.claims).toMatchObject(claims)
    expect(await answerTo({ claims: { ...claims, sub: undefined } })).toEqual(claim)
  })
})

describe('RFC 9068 §5: an ID token is not an access token', () => {
  test('ATV-11 DEN-12 (RFC 9068 §5): refuses an ID token signed by the same key, with any aud', async () => {
    const idToken = { header: { typ: 'JWT' }, claims: { nonce: 'n', at_hash: 'h', auth_time: NOW } }
    expect(await answerTo(idToken)).toEqual(type)
    expect(await answerTo(idToken, legacy)).toEqual(type)
  })

  test('ATV-11: accepts claims of an ID token if typ is at+jwt', async () => {
    expect(await answerTo({ claims: { nonce: 'n', at_hash: 'h' } })).toEqual(granted)
  })
})

describe('ATV-12: the legacy profile', () => {
  test('ATV-12 DEF-02 (RFC 8725 §3.12): accepts typ JWT, a missing typ, and at+jwt', async () => {
    for (const typ of ['JWT', 'jwt', 'application/jwt', undefined, 'at+jwt', 'application/at+jwt']) {
      expect(await answerTo({ header: { typ } }, legacy)).toEqual(granted)
    }
  })

  test('ATV-12 DEN-12 (RFC 8725 §3.12): refuses any other typ', async () => {
    for (const typ of ['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'token-introspection+jwt', 'text/jwt', '', null, 1]) {
      expect(await answerTo({ header: { typ } }, legacy)).toEqual(type)
    }
  })

  const telltales: readonly [string, Record<string, unknown>][] = [
    ['a nonce and no scope claim', { nonce: 'n', scope: undefined }],
    ['a nonce and no client claim', { nonce: 'n', client_id: undefined }],
    ['an at_hash', { at_hash: 'h' }],
    ['a c_hash', { c_hash: 'h' }],
    ['events', { events: {} }],
    ['an empty nonce and no scope claim', { nonce: '', scope: undefined }],
    ['a nonce that is null and no client claim', { nonce: null, client_id: undefined }],
    ['neither a scope claim nor a client claim', { scope: undefined, client_id: undefined }],
    ['the audience as its client, and no scope claim', { scope: undefined, client_id: RESOURCE }],
    ['the tokenName id_token', { tokenName: 'id_token' }],
    ['the payload typ ID', { typ: 'ID' }],
    ['the payload typ Refresh', { typ: 'Refresh' }],
    ['the payload typ Offline', { typ: 'Offline' }],
    ['the payload typ Logout', { typ: 'Logout' }],
    ['the payload typ id, in small letters', { typ: 'id' }],
    ['the token_use id', { token_use: 'id' }],
    ['the token_use refresh', { token_use: 'refresh' }],
    ['the token_use id_token', { token_use: 'id_token' }],
    ['the token_type refresh_token', { token_type: 'refresh_token' }],
    ['a token_use that is no string', { token_use: ['access'] }]
  ]
  test.each(telltales)('ATV-12 DEN-12 (RFC 8725 §3.12): refuses a token with %s', async (_, claims) => {
    expect(await answerTo({ header: { typ: 'JWT' }, claims }, legacy)).toEqual(type)
    expect(await answerTo({ claims }, legacy)).toEqual(type)
  })

  test('ATV-12: accepts a nonce beside a scope claim and a client claim, as Keycloak before 25 issues them', async () => {
    for (const nonce of ['n', '', null])
      expect(await answerTo({ header: { typ: 'JWT' }, claims: { nonce } }, legacy)).toEqual(granted)
  })

  test('ATV-12: accepts the payload typ Bearer and the token_use access as evidence', async () => {
    for (const claims of [{ typ: 'Bearer' }, { token_use: 'access' }, { token_type: 'access_token' }]) {
      expect(await answerTo({ header: { typ: 'JWT' }, claims }, legacy)).toEqual(granted)
    }
  })

  test('ATV-12 ATV-08: requires none of RFC 9068’s own claims, only issuer, audience and time', async () => {
    const claims = { sub: undefined, client_id: undefined, iat: undefined, jti: undefined }
    expect(await answerTo({ claims }, legacy)).toEqual(granted)
    expect(await answerTo({ claims: { iss: undefined } }, legacy)).toEqual(claim)
    expect(await answerTo({ claims: { aud: undefined } }, legacy)).toEqual(audience)
    expect(await answerTo({ claims: { exp: undefined } }, legacy)).toEqual(claim)
  })

  test('ATV-12 ATV-05: is equally strict about the signature, the audience and the time', async () => {
    expect(await answerTo({ key: createSigningKey('ES256') }, legacy)).toEqual(refused('DEN-05', 'signature'))
    expect(await answerTo({ claims: { aud: 'x' } }, legacy)).toEqual(audience)
    expect(await answerTo({ claims: { exp: NOW - 30 } }, legacy)).toEqual(refused('DEN-06', 'expired'))
    expect(await answerTo({ header: { alg: 'none' } }, legacy)).toEqual(refused('DEN-05', 'algorithm'))
  })
})

describe('RFC 8725 §3.8: several issuers', () => {
  const other = 'https://b.example'
  const otherKey = createSigningKey('ES256')
  const both = (first: Partial<IssuerOptions> = {}, second: Partial<IssuerOptions> = {}): ReturnType<typeof api> =>
    api({
      issuers: [
        { issuer: ISSUER, jwks: keySet(issuerKey), ...first },
        { issuer: other, jwks: keySet(otherKey), ...second }
      ]
    })
  const ofOther = (token: Token = {}): Token => ({ key: otherKey, ...token, claims: { iss: other, ...token.claims } })

  test('ATV-16 ATV-03 (RFC 8725 §3.8): each token is verified by the keys of the issuer that it names', async () => {
    expect(await answerTo({}, both())).toEqual(granted)
    expect(await answerTo(ofOther(), both())).toEqual(granted)
    expect(await answerTo({ claims: { iss: other } }, both())).toEqual(refused('DEN-05', 'signature'))
    expect(await answerTo({ key: otherKey }, both())).toEqual(refused('DEN-05', 'signature'))
  })

  test('ATV-16 (RFC 8725 §3.8): an audience of one issuer is not accepted from another', async () => {
    const of = both({}, { audience: 'urn:api' })
    expect(await answerTo(ofOther({ claims: { aud: 'urn:api' } }), of)).toEqual(granted)
    expect(await answerTo(ofOther(), of)).toEqual(audience)
    expect(await answerTo({ claims: { aud: 'urn:api' } }, of)).toEqual(audience)
  })

  test('ATV-16 (RFC 8725 §3.8): the profile of one issuer does not apply to another', async () => {
    const of = both({ tokenProfile: 'legacy' })
    expect(await answerTo({ header: { typ: 'JWT' } }, of)).toEqual(granted)
    expect(await answerTo(ofOther({ header: { typ: 'JWT' } }), of)).toEqual(type)
  })

  test('ATV-16 (RFC 8725 §3.8): algorithms, claims and scope claims of one issuer do not apply to another', async () => {
    const of = both({}, { algorithms: ['RS256'] })
    expect(await answerTo(ofOther(), of)).toEqual(refused('DEN-05', 'algorithm'))
    const claims = both({ requiredClaims: [], scopeClaim: 'permissions' })
    expect(await answerTo(ofOther({ claims: { jti: undefined } }), claims)).toEqual(claim)
    expect(await answerTo(ofOther({ claims: { scope: undefined, permissions: 'read' } }), claims)).toEqual(
      insufficient('read')
    )
    expect(await answerTo({ claims: { scope: undefined, permissions: 'read', jti: undefined } }, claims)).toEqual(
      granted
    )
  })
})

describe('RFC 9068 §4: the order of checks', () => {
  test('ORD-01 DEN-06 (RFC 6750 §3.1): an expired token that lacks the scope is 401, not 403', async () => {
    expect(await answerTo({ claims: { exp: NOW - 30, scope: '' } })).toEqual(refused('DEN-06', 'expired'))
  })

  test('ORD-01 (RFC 6750 §3.1): a malformed field is 400, whatever follows it', async () => {
    const request = bearer(`${accessToken({ claims: { exp: 1 } })} x`)
    expect((await outcome(server, request)).status).toBe(400)
  })

  test('ORD-04 DEN-05 DEN-06 (RFC 9449 §7.1): the binding of a token is not revealed before the token is verified', async () => {
    const claims = { cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }
    expect(await answerTo({ claims, key: createSigningKey('ES256') })).toEqual(refused('DEN-05', 'signature'))
    expect(await answerTo({ claims: { ...claims, exp: 1 } })).toEqual(refused('DEN-06', 'expired'))
  })

  test('ORD-01 DEN-21 (RFC 9449 §7.2): a bound token that lacks the scope is 401, because binding comes before policy', async () => {
    const claims = { cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' }, scope: '' }
    expect(await answerTo({ claims })).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })

  test('ORD-02 (RFC 9068 §4): checks of the server run before those of the route, and the first refusal ends the run', async () => {
    const order: string[] = []
    const note = (name: string) => (): void => {
      order.push(name)
    }
    const of = api({ checks: [note('server'), scope('write')] })
    expect(await outcome(of, bearer(accessToken()), note('route'))).toEqual(insufficient('write'))
    expect(order).toEqual(['server'])
  })

  test('ORD-02: checks never see a token that was refused', async () => {
    const never = (): void => expect.unreachable('a check ran')
    for (const token of ['x', accessToken({ claims: { exp: 1 } }), accessToken({ claims: { cnf: { jkt: 'x' } } })]) {
      expect((await outcome(server, bearer(token), never)).status).toBe(401)
    }
  })
})

test('ATV-05 KEY-01 (RFC 9068 §4): fetches the keys through the issuer’s metadata, once for many tokens', async () => {
  const issuer = await bed.issuer({ algorithms: ['RS256', 'ES256'] })
  const of = bed.api({ issuers: [issuer.issuer] })
  for (const alg of ['RS256', 'ES256'] as const) {
    expect(await outcome(of, bearer(issuer.token({ alg })))).toEqual(granted)
  }
  expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([1, 1])
  expect(of.metadata?.url).toBe(RESOURCE_METADATA)
})
