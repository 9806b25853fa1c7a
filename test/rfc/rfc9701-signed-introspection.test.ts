/** The rules about signed introspection answers: RFC 9701. */
import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { clientSecretBasic, type IssuerOptions, type ResourceServer, resourceServer } from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  OUTAGES,
  RESOURCE,
  refusal,
  strangeKey
} from '../support/exchange.js'
import {
  type Behaviour,
  base64url,
  createSigningKey,
  fault,
  type Signer,
  signJws,
  type TestIssuer
} from '../support/issuer.js'
import { encryptJwe } from '../support/jwe.js'

const bed = createBed()

beforeAll(() => Promise.all([import('jose'), import('undici')]))

const TYPE = 'application/token-introspection+jwt'
const ours = { kid: 'ours', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
const decryptionKeys = [{ kid: 'ours', key: ours.privateKey, algorithm: 'ECDH-ES' }] as const

type JsonObject = Record<string, unknown>

interface Flaw {
  readonly header?: JsonObject
  readonly claims?: JsonObject
  readonly key?: Signer
  readonly contentType?: string
  readonly status?: number
  /** What becomes of the finished JWT. */
  readonly wrap?: (jwt: string) => string
}

/** The normal answer, as RFC 9701 §5 writes it, but for the flaw. */
function signed(
  issuer: TestIssuer,
  { header, claims, key = issuer.key(), contentType, status = 200, wrap }: Flaw = {}
): Behaviour {
  return ({ response, normal }) => {
    const payload = {
      iss: issuer.issuer,
      aud: 'api',
      iat: bed.clock.now(),
      token_introspection: JSON.parse(normal.body) as JsonObject,
      ...claims
    }
    const jwt = signJws({ typ: 'token-introspection+jwt', alg: key.alg, kid: key.kid, ...header }, payload, key)
    const body = wrap ? wrap(jwt) : jwt
    response.writeHead(status, { 'content-type': contentType ?? TYPE, 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
}

/** An API that asks for signed answers, and an issuer that gives this one. */
async function start(
  flaw?: Flaw,
  introspection: Partial<NonNullable<IssuerOptions['introspection']>> = {},
  options: Partial<IssuerOptions> = {}
): Promise<{ issuer: TestIssuer; api: ResourceServer }> {
  const issuer = await bed.issuer()
  issuer.always('introspection', signed(issuer, flaw))
  const issuers = [introspecting(issuer, { signedResponse: true, ...introspection }, options)]
  return { issuer, api: bed.api({ issuers, decryptionKeys }) }
}

describe('INT-18 (RFC 9701 §4): the request', () => {
  test('INT-18: asks for a signed answer by name, and reads it like any other', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque({ scope: 'read write' })
    const access = await authorize(api, token)
    expect(access).toMatchObject({ issuer: issuer.issuer, subject: 'u1', scopes: ['read', 'write'] })
    expect(access.token).toBe(token)
    const asked = issuer.requests.find(({ endpoint }) => endpoint === 'introspection')
    expect(asked?.headers.accept).toBe(TYPE)
    expect(asked?.body).toBe(`token=${token}&token_type_hint=access_token`)
  })

  test('INT-18: asks for JSON without the option, and refuses a signed answer', async () => {
    const { issuer, api } = await start({}, { signedResponse: false })
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
    expect(issuer.requests.at(-1)?.headers.accept).toBe('application/json')
  })

  test('INT-18 (RFC 7662 §2.2): refuses a token by "not active" inside a signed answer, and caches that', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, 'unknown')).toEqual(denial.inactive)
    expect(await ask(api, 'unknown')).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(1)
  })

  test.each([
    ['active', { active: true }],
    ['not active', { active: false }]
  ])('INT-18 (RFC 9701 §8.2): refuses JSON that says "%s" instead of a signed answer', async (_, body) => {
    const { issuer, api } = await start()
    issuer.always('introspection', fault.body(body))
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })

  test.each(['application/json', 'application/jwt', 'text/plain', ''])(
    'INT-18 (RFC 9701 §5): refuses a signed answer as %j',
    async (contentType) => {
      const { issuer, api } = await start({ contentType })
      expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
    }
  )

  test.each([`${TYPE}; charset=utf-8`, 'Application/Token-Introspection+JWT'])(
    'INT-18 (RFC 9110 §8.3.1): accepts the media type %j',
    async (contentType) => {
      const { issuer, api } = await start({ contentType })
      expect(await ask(api, issuer.opaque())).toEqual(granted)
    }
  )

  test.each([201, 302, 400, 401, 403])(
    'INT-18 (RFC 7662 §2.3): treats %i as our misconfiguration, as without the option',
    async (status) => {
      const { issuer, api } = await start({ status })
      expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
    }
  )
})

describe('INT-07 (RFC 7662 §2.2): a server that answers 400 with an empty body to a token that is not active', () => {
  /** How the server answers a request whose credentials are wrong, and one that has none. */
  interface Refuses {
    readonly wrong: number
    readonly missing: number
  }

  /** glewlwyd: 401 or 400 without a body, and a signed answer about a token that is active. */
  const bare = (issuer: TestIssuer, { wrong, missing }: Refuses): Behaviour => {
    return (exchange) => {
      const { headers } = exchange.request
      const { active } = JSON.parse(exchange.normal.body) as { active: boolean }
      const isOurs = headers.authorization === `Basic ${btoa('api:right')}`
      if (isOurs && active) return signed(issuer)(exchange)
      const status = isOurs ? 400 : headers.authorization === undefined ? missing : wrong
      exchange.response.writeHead(status, { 'content-length': 0 }).end()
    }
  }
  const startBare = async (refuses: Refuses, secret = 'right') => {
    const { issuer, api } = await start({}, { auth: clientSecretBasic(secret) })
    issuer.always('introspection', bare(issuer, refuses))
    return { issuer, api }
  }
  const anonymous = (issuer: TestIssuer) =>
    issuer.requests.filter(({ endpoint, headers }) => endpoint === 'introspection' && !headers.authorization)

  test('answers 401 and warns once, if the server answers 401 to a request without credentials', async () => {
    const { issuer, api } = await startBare({ wrong: 401, missing: 401 })
    expect(await Promise.all(['x', 'y', 'z'].map((token) => ask(api, token)))).toEqual(Array(3).fill(denial.inactive))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(api.health().issuers[0]?.warnings).toEqual([expect.stringContaining('401 to a request without credentials')])
    expect(anonymous(issuer)).toHaveLength(1)
  })

  test('sends a made-up token without credentials, and the same again after ten minutes', async () => {
    const { issuer, api } = await startBare({ wrong: 401, missing: 401 })
    expect(await ask(api, 'x')).toEqual(denial.inactive)
    bed.clock.advance(600)
    expect(await ask(api, 'x')).toEqual(denial.inactive)
    expect(anonymous(issuer)).toHaveLength(1)
    bed.clock.advance(1)
    expect(await ask(api, 'x')).toEqual(denial.inactive)
    const asked = anonymous(issuer)
    expect(asked).toHaveLength(2)
    const tokens = asked.map(({ form }) => form.get('token'))
    expect(tokens.every((token) => /^[\w-]{43}$/.test(token ?? ''))).toBe(true)
    expect(new Set(tokens).size).toBe(2)
    for (const { form } of asked) expect([...form.keys()]).toEqual(['token', 'token_type_hint'])
  })

  test.each([
    ['answers a request without credentials 400 too', { wrong: 400, missing: 400 }, 'right'],
    ['answers a request without credentials 403', { wrong: 400, missing: 403 }, 'right'],
    ['refuses our credentials by a 401', { wrong: 401, missing: 401 }, 'wrong'],
    ['refuses our credentials by a 400, as it refuses missing ones', { wrong: 400, missing: 400 }, 'wrong']
  ])('answers 500 where the server %s', async (_, refuses, secret) => {
    const { issuer, api } = await startBare(refuses, secret)
    expect(await ask(api, 'x')).toEqual(denial.misconfigured)
    if (secret === 'wrong') expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
    expect(api.health().issuers[0]?.warnings).toEqual([])
  })

  test('answers 500 once our credentials are refused, although the server checked them a minute before', async () => {
    const { issuer, api } = await startBare({ wrong: 401, missing: 401 })
    expect(await ask(api, 'x')).toEqual(denial.inactive)
    bed.clock.advance(60)
    issuer.always('introspection', fault.status(401, { body: '' }))
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })

  test('answers 503 while the request without credentials has no answer, and 401 once it has', async () => {
    const { issuer, api } = await startBare({ wrong: 401, missing: 503 })
    expect(await ask(api, 'x')).toEqual(denial.unavailable)
    issuer.always('introspection', bare(issuer, { wrong: 401, missing: 401 }))
    expect(await ask(api, 'x')).toEqual(denial.inactive)
  })

  test('answers 500 to a 400 with a body, and without `signedResponse`', async () => {
    const { issuer, api } = await startBare({ wrong: 401, missing: 401 })
    issuer.script('introspection', fault.status(400, { body: '<h1>Bad request</h1>' }))
    expect(await ask(api, 'x')).toEqual(denial.misconfigured)
    const plain = bed.api({ issuers: [introspecting(issuer, { auth: clientSecretBasic('right') })] })
    expect(await ask(plain, 'x')).toEqual(denial.misconfigured)
    expect(anonymous(issuer)).toHaveLength(0)
  })
})

describe('INT-19 (RFC 9701 §5): valid and invalid answers', () => {
  test.each([
    ['aud: our client', { aud: 'api' }],
    ['aud: this resource', { aud: RESOURCE }],
    ['aud: one of several', { aud: ['https://other.example', 'api'] }],
    ['iat a minute ahead', { iat: 1_750_000_060 }],
    ['iat long ago', { iat: 1 }],
    ['exp ahead', { exp: 1_750_000_001 }],
    ['exp within the tolerance', { exp: 1_750_000_000 - 29 }],
    ['nbf within the tolerance', { nbf: 1_750_000_030 }],
    ['exp and nbf null', { exp: null, nbf: null }],
    ['exp and nbf empty', { exp: '', nbf: '' }],
    ['further claims', { jti: 'j', sub: 's', active: false, scope: 'admin' }]
  ])('INT-19: accepts %s', async (_, claims) => {
    const { issuer, api } = await start({ claims })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
  })

  test.each(['Token-Introspection+JWT', 'application/token-introspection+jwt'])(
    'INT-19 (RFC 7515 §4.1.9): accepts the typ %s',
    async (typ) => {
      const { issuer, api } = await start({ header: { typ } })
      expect(await ask(api, issuer.opaque())).toEqual(granted)
    }
  )

  test.each<[string, Flaw]>([
    ['typ JWT', { header: { typ: 'JWT' } }],
    ['typ at+jwt', { header: { typ: 'at+jwt' } }],
    ['no typ', { header: { typ: undefined } }],
    ['crit', { header: { crit: ['b64'], b64: true } }],
    ['alg none', { header: { alg: 'none' } }],
    ['an alg that is not how it was signed', { header: { alg: 'ES384' } }],
    ['an unknown kid', { header: { kid: 'k9' } }],
    ['the signature of a stranger', { key: strangeKey('k1') }],
    ['another issuer', { claims: { iss: 'https://other.example' } }],
    ['no issuer', { claims: { iss: undefined } }],
    ['another audience', { claims: { aud: 'other' } }],
    ['an audience that begins like ours', { claims: { aud: `${RESOURCE}/` } }],
    ['no audience', { claims: { aud: undefined } }],
    ['an empty audience', { claims: { aud: '' } }],
    ['an audience that is an object', { claims: { aud: { api: true } } }],
    ['no iat', { claims: { iat: undefined } }],
    ['an iat that is null', { claims: { iat: null } }],
    ['an iat that is a text', { claims: { iat: '1750000000' } }],
    ['an iat more than a minute ahead', { claims: { iat: 1_750_000_061 } }],
    ['an exp that has passed', { claims: { exp: 1_750_000_000 - 30 } }],
    ['an exp that is a text', { claims: { exp: '1750000300' } }],
    ['an nbf ahead', { claims: { nbf: 1_750_000_031 } }],
    ['the members at the top', { claims: { token_introspection: undefined, active: true, sub: 'u1' } }],
    ['members that are a text', { claims: { token_introspection: '{"active":true}' } }],
    ['members that are a list', { claims: { token_introspection: [{ active: true }] } }],
    ['members that are null', { claims: { token_introspection: null } }],
    ['members without active', { claims: { token_introspection: {} } }],
    ['active that is a text', { claims: { token_introspection: { active: 'true' } } }],
    ['an empty body', { wrap: () => '' }],
    ['a body that is JSON', { wrap: () => '{"active":true}' }],
    ['a body cut short', { wrap: (jwt) => jwt.slice(0, -1) }],
    ['an altered payload', { wrap: (jwt) => jwt.replace(/\.[^.]*\./, `.${base64url({ active: true })}.`) }],
    ['a payload that is no object', { wrap: (jwt) => jwt.replace(/\.[^.]*\./, `.${base64url('[]')}.`) }],
    ['a blank before it', { wrap: (jwt) => ` ${jwt}` }]
  ])('INT-19: refuses an answer with %s: 500, without a challenge', async (_, flaw) => {
    const { issuer, api } = await start(flaw)
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })

  test('INT-19 (RFC 8725 §3.1): refuses an algorithm that the issuer may not use', async () => {
    const { issuer, api } = await start({}, {}, { algorithms: ['PS256'] })
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })

  test('INT-19: does not cache a bad answer', async () => {
    const { issuer, api } = await start()
    const token = issuer.opaque()
    issuer.script('introspection', signed(issuer, { key: strangeKey('k1') }))
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    expect(await ask(api, token)).toEqual(granted)
  })

  test.each([
    ['expired', { exp: 1 }, denial.expired],
    ['for another API', { aud: 'https://other.example' }, denial.audience],
    ['of another issuer', { iss: 'https://other.example' }, denial.issuer],
    ['of another kind', { token_type: 'refresh_token' }, denial.type]
  ])('INT-19 (RFC 7662 §4): refuses a token that is called active and is %s', async (_, members, expected) => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.opaque(members))).toEqual(expected)
  })

  test('INT-19: does not take a claim of the answer for one of the token', async () => {
    const { issuer, api } = await start({ claims: { sub: 'as', exp: 1_750_000_001, scope: 'admin' } })
    const access = await authorize(api, issuer.opaque())
    expect(access).toMatchObject({ subject: 'u1', expiresAt: 1_750_000_300, scopes: ['read'] })
  })

  test('INT-19 (ASQ-17): responseAudience accepts a server that names neither client nor resource', async () => {
    const flaw: Flaw = { claims: { aud: 'https://api.example.com/draft' } }
    const { issuer, api } = await start(flaw, { responseAudience: 'https://api.example.com/draft' })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    const other = await start(flaw)
    expect(await ask(other.api, other.issuer.opaque())).toEqual(denial.misconfigured)
  })

  test('INT-19: a client without an identifier has no audience of that name', async () => {
    const issuer = await bed.issuer()
    issuer.always('introspection', signed(issuer, { claims: { aud: [''] } }))
    const api = bed.api({
      issuers: [{ issuer: issuer.issuer, introspection: { auth: () => {}, signedResponse: true } }]
    })
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })
})

test('INT-19 (RFC 9701 §5): reads the example of the RFC as it stands, once a known key has signed it', async () => {
  // Its header and payload as printed there; the private key of its signature is not.
  const header = 'eyJraWQiOiJ3RzZEIiwidHlwIjoidG9rZW4taW50cm9zcGVjdGlvbitqd3QiLCJhbGciOiJSUzI1NiJ9'
  const payload =
    'eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUuY29tLyIsImF1ZCI6Imh0dHBzOi8vcnMuZXhhbXBsZS5jb20vcmVzb3VyY2UiLCJpYXQiOjE1MTQ3OTc4OTIsInRva2VuX2ludHJvc3BlY3Rpb24iOnsiYWN0aXZlIjp0cnVlLCJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUuY29tLyIsImF1ZCI6Imh0dHBzOi8vcnMuZXhhbXBsZS5jb20vcmVzb3VyY2UiLCJpYXQiOjE1MTQ3OTc4MjIsImV4cCI6MTUxNDc5Nzk0MiwiY2xpZW50X2lkIjoicGFpQjJnb28wYSIsInNjb3BlIjoicmVhZCB3cml0ZSBkb2xwaGluIiwic3ViIjoiWjVPM3VwUEM4OFFyQWp4MDBkaXMiLCJiaXJ0aGRhdGUiOiIxOTgyLTAyLTAxIiwiZ2l2ZW5fbmFtZSI6IkpvaG4iLCJmYW1pbHlfbmFtZSI6IkRvZSIsImp0aSI6InQxRm9DQ2FaZDRYdjRPUkpVV1ZVZVRaZnNLaFczMENRQ3JXRERqd1h5NncifX0'
  const key = createSigningKey('RS256', { kid: 'wG6D' })
  const jwt = signJws(Buffer.from(header, 'base64url').toString(), Buffer.from(payload, 'base64url'), key)
  expect(jwt.startsWith(`${header}.${payload}.`)).toBe(true)
  const issuer = await bed.issuer()
  issuer.always('introspection', ({ response }) => response.writeHead(200, { 'content-type': TYPE }).end(jwt))
  const api = bed.api({
    resource: 'https://rs.example.com/resource',
    issuers: [
      {
        issuer: 'https://as.example.com/',
        jwks: { keys: [key.publicJwk] },
        introspection: {
          endpoint: `${issuer.origin}/introspect`,
          clientId: 'rs08',
          auth: () => undefined,
          signedResponse: true
        }
      }
    ],
    now: () => 1_514_797_892
  })
  expect(await authorize(api, '2YotnFZFEjr1zCsicMWpAA')).toMatchObject({
    issuer: 'https://as.example.com/',
    subject: 'Z5O3upPC88QrAjx00dis',
    clientId: 'paiB2goo0a',
    scopes: ['read', 'write', 'dolphin'],
    audience: ['https://rs.example.com/resource'],
    claims: { given_name: 'John', jti: 't1FoCCaZd4Xv4ORJUWVUeTZfsKhW30CQCrWDDjwXy6w' }
  })
})

describe('INT-19 (RFC 9701 §5): an encrypted answer', () => {
  test('INT-19: decrypts an encrypted answer, and verifies it like any other', async () => {
    const { issuer, api } = await start({ wrap: (jwt) => encryptJwe(jwt, ours) })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
  })

  test.each<[string, Flaw]>([
    ['unsigned claims', { wrap: (jwt) => encryptJwe(Buffer.from(jwt.split('.')[1] as string, 'base64url'), ours) }],
    ['what a stranger signed', { key: strangeKey('k1'), wrap: (jwt) => encryptJwe(jwt, ours) }],
    ['an answer encrypted to another', { wrap: (jwt) => encryptJwe(jwt, { ...ours, kid: 'theirs' }) }],
    ['an answer encrypted twice', { wrap: (jwt) => encryptJwe(encryptJwe(jwt, ours), ours) }],
    ['a compressed answer', { wrap: (jwt) => encryptJwe(jwt, ours, { header: { zip: 'DEF' } }) }],
    ['an altered answer', { wrap: (jwt) => `${encryptJwe(jwt, ours).slice(0, -4)}AAAA` }]
  ])('INT-19: refuses %s', async (_, flaw) => {
    const { issuer, api } = await start(flaw)
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })

  test('INT-19: treats an encrypted answer without keys as our misconfiguration', async () => {
    const issuer = await bed.issuer()
    issuer.always('introspection', signed(issuer, { wrap: (jwt) => encryptJwe(jwt, ours) }))
    const api = bed.api({ issuers: [introspecting(issuer, { signedResponse: true })] })
    expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
  })
})

describe('INT-19: the keys', () => {
  test('INT-19: finds a key that was published after the set was fetched', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    issuer.rotate('switch')
    issuer.always('introspection', signed(issuer))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test.each(OUTAGES)(
    'INT-19: answers 503 without a challenge if a key set cannot be fetched (%s)',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer()
      issuer.always('introspection', signed(issuer))
      issuer.always('jwks', behaviour)
      const issuers = [introspecting(issuer, { signedResponse: true }, { tokens: 'opaque' })]
      const api = bed.api({ issuers, ...(http && { http }) })
      expect(await ask(api, issuer.opaque())).toEqual(denial.unavailable)
      expect(((await refusal(() => authorize(api, issuer.opaque()))) as { reason?: string }).reason).toBe(
        'jwks_unavailable'
      )
    }
  )

  test('INT-19: ready() loads the keys, also where every token is opaque, and health() counts them', async () => {
    const { issuer, api } = await start({}, {}, { tokens: 'opaque' })
    await api.ready()
    expect(issuer.count('jwks')).toBe(1)
    expect(api.health().issuers[0]?.jwks.keys).toBe(1)
    issuer.script('jwks', fault.status(503), fault.status(503))
    const other = await start({}, {}, { tokens: 'opaque' })
    other.issuer.always('jwks', fault.status(500))
    await expect(other.api.ready()).rejects.toMatchObject({ status: 503 })
    expect(other.api.health().status).toBe('failed')
  })
})

describe('INT-20 (RFC 9701 §8.1): no access token', () => {
  test.each(['rfc9068', 'legacy'] as const)(
    'INT-20: refuses a signed answer that is presented as an access token (%s)',
    async (tokenProfile) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [{ issuer: issuer.issuer, tokenProfile }] })
      const answer = issuer.token({ header: { typ: 'token-introspection+jwt' } })
      expect(await ask(api, answer)).toEqual(denial.type)
    }
  )
})

describe('the options', () => {
  const starting = (introspection: object) => () =>
    resourceServer({
      resource: RESOURCE,
      issuers: [{ issuer: 'https://as.example.com', introspection: { auth: () => {}, ...introspection } }]
    })
  const dialect = { form: () => ({}), read: () => ({}) }
  test.each<[object, string]>([
    [{ signedResponse: 'yes' }, 'signedResponse` is "yes"'],
    [{ responseAudience: 'x' }, 'responseAudience` is never read'],
    [{ signedResponse: true, responseAudience: '' }, 'responseAudience` holds an empty name'],
    [{ signedResponse: true, responseAudience: ['x'] }, 'responseAudience` holds an array'],
    [{ signedResponse: true, dialect }, 'dialect` contradicts'],
    [{ dialect: {} }, 'dialect.form` is not a function'],
    [{ dialect: { ...dialect, write: 1 } }, 'dialect.write` is not an option'],
    [{ dialect: 'google' }, 'dialect` is "google"']
  ])('INT-18: refuses %j at start', (introspection, problem) => {
    expect(starting(introspection)).toThrow(problem)
  })
})
