/** The rules about discovery: RFC 8414 and OpenID Connect Discovery 1.0, as far as a resource server is concerned. */
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type AuthorizationServerMetadata,
  type ClientAuth,
  clientSecretBasic,
  type IssuerOptions,
  Misconfigured,
  resourceServer,
  tlsClientAuth
} from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  OUTAGES,
  RESOURCE,
  redirectingAgent,
  refusal,
  request,
  strangeKey,
  unavailableFor,
  until
} from '../support/exchange.js'
import { type Behaviour, type Discovery, fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

/** The paths where metadata was looked for, in order. */
function asked(issuer: TestIssuer): string[] {
  return issuer.requests.filter(({ endpoint }) => endpoint === 'metadata').map(({ path }) => path)
}

const places: Readonly<Record<Discovery, string>> = {
  rfc8414: '/.well-known/oauth-authorization-server',
  'openid-insert': '/.well-known/openid-configuration',
  'openid-append': '/.well-known/openid-configuration'
}

describe('ASM-01 (RFC 8414 §3.1): the well-known path is inserted between host and path', () => {
  test.each([
    [undefined, '/.well-known/oauth-authorization-server'],
    ['/', '/.well-known/oauth-authorization-server'],
    ['/t1', '/.well-known/oauth-authorization-server/t1'],
    ['/t1/', '/.well-known/oauth-authorization-server/t1'],
    ['/a/b%20c/d', '/.well-known/oauth-authorization-server/a/b%20c/d']
  ])('ASM-01 (RFC 8414 §3.1): finds the metadata of an issuer with the path %s', async (path, expected) => {
    const issuer = await bed.issuer(path === undefined ? {} : { path })
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    expect(asked(issuer)).toEqual([expected])
    expect(issuer.requests[0]).toMatchObject({ method: 'GET', headers: { accept: 'application/json' } })
  })
})

describe('ASM-02 (OIDC Discovery §4): the other places', () => {
  test.each([
    ['/t1', '/t1/.well-known/openid-configuration'],
    ['/t1/', '/t1/.well-known/openid-configuration'],
    ['/a/b', '/a/b/.well-known/openid-configuration']
  ])(
    'ASM-02 (OIDC Discovery §4): appends the well-known path to an issuer with the path %s, after removing a final slash',
    async (path, expected) => {
      const issuer = await bed.issuer({ path, discovery: 'openid-append' })
      expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
      expect(asked(issuer).at(-1)).toBe(expected)
    }
  )
})

describe('ASM-03 (RFC 8414 §5): the order of the places', () => {
  test('ASM-03 (RFC 8414 §5): asks RFC 8414 inserted, OpenID inserted, OpenID appended, and uses the first document', async () => {
    for (const [index, discovery] of (['rfc8414', 'openid-insert', 'openid-append'] as const).entries()) {
      const issuer = await bed.issuer({ path: '/t1', discovery })
      expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
      expect(asked(issuer)).toEqual(
        [
          '/.well-known/oauth-authorization-server/t1',
          '/.well-known/openid-configuration/t1',
          '/t1/.well-known/openid-configuration'
        ].slice(0, index + 1)
      )
    }
  })

  test('ASM-03 (RFC 8414 §5): asks two places, not three, for an issuer without a path', async () => {
    const issuer = await bed.issuer({ discovery: [] })
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(denial.misconfigured)
    expect(asked(issuer)).toEqual([places.rfc8414, places['openid-insert']])
  })

  test('ASM-03 (RFC 8414 §5): treats three places without a document as our own misconfiguration, not the client’s', async () => {
    const issuer = await bed.issuer({ path: '/t1', discovery: [] })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
    const error = await refusal(() => authorize(api, issuer.token()))
    expect(error).toBeInstanceOf(Misconfigured)
    for (const path of asked(issuer)) expect(error.hint).toContain(`${issuer.origin}${path} answered 404`)
  })

  const next: readonly [string, Behaviour][] = [
    ['404', fault.status(404)],
    ['400', fault.status(400)],
    ['401', fault.status(401)],
    ['403', fault.status(403)],
    ['410', fault.status(410)],
    ['204', fault.status(204, { body: '' })],
    ['a page with 200', fault.html200()],
    ['the document as text/html', fault.contentType('text/html')],
    ['the document as text/plain', fault.contentType('text/plain')],
    ['the document without a media type', fault.contentType(undefined)],
    ['broken JSON', fault.invalidJson()],
    ['a list', fault.body([])],
    ['null', fault.body(null)],
    ['a string', fault.body('https://as.example.com')],
    ['an empty object', fault.body({})],
    ['the document of another issuer', fault.wrongIssuer()]
  ]
  test.each(next)('ASM-03 (RFC 8414 §5): asks the next place after %s', async (_, behaviour) => {
    const issuer = await bed.issuer({ discovery: ['rfc8414', 'openid-append'] })
    issuer.script('metadata', behaviour)
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    expect(asked(issuer)).toEqual([places.rfc8414, places['openid-append']])
  })

  /** One place answers badly, the others as they would. */
  const at =
    (path: string, behaviour: Behaviour): Behaviour =>
    (exchange) =>
      (exchange.request.path === path ? behaviour : fault.none())(exchange)

  test.each(OUTAGES)(
    'ASM-03 (RFC 8414 §5): uses the document of the second place after %s at the first',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer({ discovery: ['rfc8414', 'openid-append'] })
      issuer.always('metadata', at(places.rfc8414, behaviour))
      const api = bed.api({ issuers: [issuer.issuer], ...(http && { http: { timeout: 0.5, deadline: 2 } }) })
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(api.health().status).toBe('ok')
    }
  )

  test.each(OUTAGES)(
    'ASM-03 (RFC 8414 §5): answers 503 and names each place after %s at every place, and recovers',
    async (_, behaviour, http) => {
      const issuer = await bed.issuer({ path: '/t1' })
      issuer.always('metadata', behaviour)
      const api = bed.api({ issuers: [issuer.issuer], ...(http && { http }) })
      expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
      for (const path of new Set(asked(issuer)))
        expect(api.health().issuers[0]?.metadata.error).toMatch(`${issuer.origin}${path} `)
      expect(new Set(asked(issuer)).size).toBe(3)
      expect(issuer.count('jwks')).toBe(0)
      expect(api.health().status).toBe('failed')
      issuer.always('metadata', undefined)
      bed.clock.advance(1)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(api.health().status).toBe('ok')
    }
  )

  test('ASM-03 (RFC 8414 §5): uses the document of the first place where the second answers sooner', async () => {
    const [issuer, other] = [await bed.issuer({ discovery: ['rfc8414', 'openid-insert'] }), await bed.issuer()]
    const second = { ...issuer.metadata, jwks_uri: `${other.origin}/jwks` }
    issuer.always('metadata', (exchange) => {
      if (exchange.request.path !== places.rfc8414) {
        fault.body(second)(exchange)
        return
      }
      void issuer.received('metadata', 2).then(() => setTimeout(() => fault.none()(exchange), 50))
    })
    const api = bed.api({ issuers: [issuer.issuer], http: { timeout: 10, deadline: 10 } })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(1)
  })

  test.each<readonly [string, Behaviour]>([
    ['500', fault.status(500)],
    ['404', fault.status(404)],
    ['a page', fault.html200()],
    ['the document of another issuer', fault.wrongIssuer()]
  ])('ASM-03: never asks another place after %s at the place that had the document', async (_, behaviour) => {
    const issuer = await bed.issuer({ discovery: ['rfc8414', 'openid-insert'] })
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.always('metadata', at(places.rfc8414, behaviour))
    bed.clock.advance(25 * 3600 + 1)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(new Set(asked(issuer))).toEqual(new Set([places.rfc8414]))
  })

  test('ASM-03 (RFC 9110 §10.2.3): passes on a 429 with a Retry-After beyond the deadline, without a retry', async () => {
    const issuer = await bed.issuer({ discovery: [] })
    issuer.script('metadata', fault.retryAfter(120))
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(unavailableFor(120))
    expect(asked(issuer)).toEqual([places.rfc8414, places['openid-insert']])
  })

  test('ASM-03 (RFC 8414 §5): does not treat 500 and then the document as an outage: one retry at the same place', async () => {
    const issuer = await bed.issuer()
    issuer.script('metadata', fault.status(500))
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    expect(asked(issuer)).toEqual([places.rfc8414, places.rfc8414])
  })
})

describe('ASM-04 (RFC 8414 §3.3): the document names the issuer, code point by code point', () => {
  const I = 'https://as.example.com'
  test.each([
    ['a final slash more', I, `${I}/`],
    ['a final slash less', `${I}/t1/`, `${I}/t1`],
    ['another case', I, 'https://AS.example.com'],
    ['another case of the path', `${I}/t1`, `${I}/T1`],
    ['the default port', I, `${I}:443`],
    ['percent encoding', `${I}/t~1`, `${I}/t%7E1`],
    ['another scheme', I, 'http://as.example.com'],
    ['a query', I, `${I}?`],
    ['another tenant', `${I}/t1`, `${I}/t2`],
    ['a list of it', I, [I]],
    ['nothing', I, undefined]
  ])(
    'ASM-04 (RFC 8414 §3.3): treats %s as another issuer: 500, and never fetches its keys',
    async (_, configured, named) => {
      const { pathname } = new URL(configured)
      const issuer = await bed.issuer({ path: pathname, discovery: ['rfc8414', 'openid-insert', 'openid-append'] })
      const dispatcher = bed.closing(redirectingAgent({ 'https://as.example.com': issuer.origin }))
      issuer.metadata.issuer = named
      issuer.metadata.jwks_uri = `${I}/jwks`
      const api = bed.api({ issuers: [configured], http: { dispatcher } })
      expect(await ask(api, issuer.token({ claims: { iss: configured } }))).toEqual(denial.misconfigured)
      expect(issuer.count('metadata')).toBeGreaterThanOrEqual(2)
      expect(issuer.count('jwks') + issuer.count('other')).toBe(0)
    }
  )

  test('ASM-04 (RFC 8414 §3.3): names the other issuer in the log, and not in the answer', async () => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.wrongIssuer(`${issuer.issuer}/`))
    const error = await refusal(() => authorize(bed.api({ issuers: [issuer.issuer] }), issuer.token()))
    expect(error.hint).toContain(`names the issuer "${issuer.issuer}/"`)
    issuer.always('metadata', fault.wrongIssuer([issuer.issuer]))
    const other = await refusal(() => authorize(bed.api({ issuers: [issuer.issuer] }), issuer.token()))
    expect(other.hint).toContain('names no issuer')
    expect(await error.toResponse().text()).toBe('{"error":"server_error"}')
  })

  test('ASM-04 (RFC 8414 §3.3): a document of another issuer never replaces a good one', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.always('metadata', fault.wrongIssuer())
    bed.clock.advance(3601)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health()).toMatchObject({ status: 'degraded' })
  })
})

describe('ASM-05 (RFC 8414 §2): valid issuers', () => {
  test.each([
    ['https://as.example.com?x=1', /query or a fragment/],
    ['https://as.example.com?', /query or a fragment/],
    ['https://as.example.com#x', /query or a fragment/],
    ['http://as.example.com', /use https/],
    ['as.example.com', /an issuer identifier, such as/],
    ['urn:example:issuer', /an issuer identifier, such as/],
    ['', /an issuer identifier, such as/],
    ['https://user:secret@as.example.com', /user name or password/]
  ])('ASM-05 (RFC 8414 §2): refuses %s at start', (issuer, problem) => {
    expect(() => resourceServer({ resource: RESOURCE, issuers: [issuer] })).toThrow(TypeError)
    expect(() => resourceServer({ resource: RESOURCE, issuers: [issuer] })).toThrow(problem)
    expect(() => resourceServer({ resource: RESOURCE, issuers: [{ issuer }] })).toThrow(/issuers\[0\]\.issuer/)
  })
})

describe('ASM-06 (RFC 8414 §3.2): a document', () => {
  test.each(['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/vnd.example+json'])(
    'ASM-06 (RFC 8414 §3.2): reads a document of the type %s',
    async (type) => {
      const issuer = await bed.issuer()
      issuer.always('metadata', fault.contentType(type))
      expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
      expect(issuer.count('metadata')).toBe(1)
    }
  )

  test('ASM-06 (RFC 8414 §3.2): accepts unknown members, and lists that repeat themselves', async () => {
    const issuer = await bed.issuer()
    issuer.metadata['x-vendor'] = { nested: [1, 2, null] }
    issuer.metadata.scopes_supported = ['read', 'read']
    issuer.metadata.response_types_supported = ['code', 'code']
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
  })
})

test('ASM-06: keeps only the used members of a document: many issuers’ are held at once', async () => {
  const issuer = await bed.issuer()
  const seen: AuthorizationServerMetadata[] = []
  const auth: ClientAuth = (as) => void seen.push(as)
  const list = Array.from({ length: 100 }, (_, i) => `x${i}`)
  const of = {
    small: 'text',
    list,
    flag: true,
    aliases: { token_endpoint: 'https://as.example/mtls' },
    nested: { deep: { deeper: 1 }, list: ['x'], token_endpoint: 'https://as.example/mtls' },
    lists: [[], []],
    nothing: null,
    large: 'x'.repeat(33_000),
    many: Array.from({ length: 2000 }, () => ''),
    last: 'text'
  }
  const { issuer: name, introspection_endpoint: endpoint, jwks_uri: keys, ...others } = issuer.metadata
  // Those that are read come last, and are kept all the same.
  const document = `{"__proto__":"x",${JSON.stringify({ ...of, ...others, introspection_endpoint: endpoint, jwks_uri: keys, issuer: name }).slice(1)}`
  issuer.always('metadata', fault.status(200, { body: document, headers: { 'content-type': 'application/json' } }))
  const introspection = { clientId: 'api', auth }
  await ask(bed.api({ issuers: [{ issuer: issuer.issuer, introspection }] }), issuer.opaque())
  const [as] = seen
  expect(as).toMatchObject({ issuer: name, introspection_endpoint: endpoint, jwks_uri: keys })
  expect(as).toMatchObject({ small: 'text', list, flag: true, aliases: of.aliases, nothing: null, last: 'text' })
  // A member that has members is left out, and those beside it are not.
  expect(as?.['nested']).toEqual({ token_endpoint: 'https://as.example/mtls' })
  for (const left of ['lists', 'large', 'many']) expect(as).not.toHaveProperty(left)
  expect(Object.getPrototypeOf(as)).toBe(Object.prototype)
})

test('ASM-07 (RFC 8414 §2.1): does not read signed_metadata: the plain values count', async () => {
  const issuer = await bed.issuer()
  const { issuer: name } = issuer
  issuer.metadata.signed_metadata = issuer.token({ claims: { iss: name, jwks_uri: 'https://evil.example/jwks' } })
  expect(await ask(bed.api({ issuers: [name] }), issuer.token())).toEqual(granted)
})

test('ASM-08 (RFC 8414 §2): ignores algorithms named for ID tokens and client assertions', async () => {
  const issuer = await bed.issuer({ algorithms: ['ES256', 'RS256'] })
  issuer.metadata.id_token_signing_alg_values_supported = ['RS256']
  issuer.metadata.token_endpoint_auth_signing_alg_values_supported = ['RS256']
  issuer.metadata.userinfo_signing_alg_values_supported = ['none']
  const narrow = bed.api({ issuers: [{ issuer: issuer.issuer, algorithms: ['ES256'] }] })
  expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token({ alg: 'ES256' }))).toEqual(granted)
  expect(await ask(narrow, issuer.token({ alg: 'ES256' }))).toEqual(granted)
  expect(await ask(narrow, issuer.token({ alg: 'RS256' }))).toEqual(denial.signature)
})

test('ASM-09 (RFC 8705 §5): does not use mtls_endpoint_aliases without a client certificate', async () => {
  const issuer = await bed.issuer()
  issuer.metadata.mtls_endpoint_aliases = { introspection_endpoint: `${issuer.origin}/mtls/introspect` }
  const auth = clientSecretBasic('secret')
  expect(await ask(bed.api({ issuers: [introspecting(issuer, { auth })] }), issuer.opaque())).toEqual(granted)
  expect(issuer.count('introspection')).toBe(1)
  expect(issuer.count('other')).toBe(0)
})

describe('ASM-10 (RFC 9700 §2.6): when metadata is fetched', () => {
  test('ASM-10 (RFC 9700 §2.6): fetches metadata only when a token needs it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await expect(async () => authorize(api, undefined)).rejects.toMatchObject({ status: 401 })
    expect(await ask(api, 'opaque')).toEqual(denial.malformed)
    expect(issuer.requests).toEqual([])
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.requests.map(({ endpoint }) => endpoint)).toEqual(['metadata', 'jwks'])
  })

  test('ASM-10 (RFC 9700 §2.6): never fetches metadata where the keys are in the settings', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, jwks: { keys: [...issuer.jwks.keys] } }] })
    await api.ready()
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
    bed.clock.advance(10 * 24 * 3600)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.requests).toEqual([])
  })

  test('ASM-10 (RFC 9700 §2.6): fetches metadata once for fifty first requests', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(api, issuer.token())))
    expect(answers).toEqual(answers.map(() => granted))
    expect(issuer.requests.map(({ endpoint }) => endpoint)).toEqual(['metadata', 'jwks'])
  })

  test('ASM-10 (RFC 9700 §2.6): fetches metadata once for keys and introspection together', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const answers = await Promise.all(
      [issuer.token(), issuer.opaque(), issuer.opaque()].map((token) => ask(api, token))
    )
    expect(answers).toEqual([granted, granted, granted])
    expect(issuer.count('metadata')).toBe(1)
  })

  test('ASM-10 (RFC 9700 §2.6): keeps metadata for an hour, and renews it in the background when that is nearly over', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { cacheFor: 0 }, { tokens: 'opaque' })] })
    const read = () => ask(api, issuer.opaque())
    expect(await read()).toEqual(granted)
    bed.clock.advance(2510)
    expect(await read()).toEqual(granted)
    expect(issuer.count('metadata')).toBe(1)
    bed.clock.advance(3599 - 2510)
    const gate = issuer.hold('metadata')
    expect(await read()).toEqual(granted)
    await issuer.received('metadata', 2)
    expect(await read()).toEqual(granted)
    gate.release()
    await until(() => api.health().issuers[0]?.metadata.age === 0)
    expect(issuer.count('metadata')).toBe(2)
  })

  test('ASM-10 (RFC 9700 §2.6): uses metadata in an outage for 24 h past its hour, and no longer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'opaque' })] })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    issuer.always('metadata', fault.retryAfter(3600, 503))
    bed.clock.advance(3600 + 24 * 3600 - 1)
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(api.health().status).toBe('degraded')
    bed.clock.advance(31)
    // Five minutes are what it is granted, of which 31 s are over.
    expect(await ask(api, issuer.opaque())).toEqual(unavailableFor(269))
    expect(api.health().status).toBe('failed')
    issuer.always('metadata', undefined)
    bed.clock.advance(269)
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(api.health().status).toBe('ok')
  })

  test('ASM-10 (RFC 9700 §2.6): follows a jwks_uri that moved', async () => {
    const [issuer, elsewhere] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.metadata.jwks_uri = `${elsewhere.origin}/jwks`
    bed.clock.advance(3601)
    expect(await ask(api, issuer.token({ key: elsewhere.key() }))).toEqual(granted)
  })

  test('ASM-10 (RFC 9700 §2.6): answers 503 while a server is down at the start, and asks it again, backing off', async () => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.reset())
    const api = bed.api({ issuers: [issuer.issuer] })
    await expect(api.ready()).rejects.toMatchObject({ status: 503, dependency: 'metadata' })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    const attempts = issuer.count('metadata')
    // Within the back-off the failure is remembered, and nothing is asked.
    bed.clock.advance(0.09)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(issuer.count('metadata')).toBe(attempts)
    bed.clock.advance(0.91)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(issuer.count('metadata')).toBeGreaterThan(attempts)
    issuer.always('metadata', undefined)
    bed.clock.advance(2)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health()).toMatchObject({ status: 'ok' })
  })

  test('ASM-10 (RFC 9700 §2.6): remembers a failure for 30 s at most, or as long as the server asked for, however long it was down', async () => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.retryAfter(60, 503))
    const api = bed.api({ issuers: [issuer.issuer] })
    for (let i = 0; i < 10; i++) {
      expect(await ask(api, issuer.token())).toEqual(unavailableFor(60))
      bed.clock.advance(30)
      expect(await ask(api, issuer.token())).toEqual(unavailableFor(30))
      bed.clock.advance(30)
    }
    expect(issuer.count('metadata')).toBe(20)
    issuer.always('metadata', fault.html200())
    for (let i = 0; i < 3; i++) {
      expect(await ask(api, issuer.token())).toMatchObject({ status: 500 })
      bed.clock.advance(30)
    }
    expect(issuer.count('metadata')).toBeGreaterThan(24)
    issuer.always('metadata', undefined)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('ASM-10, DEF-11 (RFC 9700 §2.6): answers 503 with a Retry-After and without a challenge if a port refuses connections', async () => {
    const issuer = await bed.issuer()
    const token = issuer.token()
    await issuer.close()
    const error = await refusal(() => authorize(bed.api({ issuers: [issuer.issuer] }), token))
    expect(error).toMatchObject({ status: 503, cause: { code: 'ECONNREFUSED' } })
    expect(error.headers).toEqual({ 'Retry-After': '5', 'Cache-Control': 'no-store' })
  })
})

test('ASM-11 (RFC 9728 §4): warns about protected_resources that does not list this API, and goes on', async () => {
  const issuer = await bed.issuer()
  issuer.metadata.protected_resources = ['https://other.example']
  const api = bed.api({ issuers: [issuer.issuer] })
  expect(await ask(api, issuer.token())).toEqual(granted)
  expect(api.health().issuers[0]?.warnings).toEqual([
    'metadata: `protected_resources` does not list https://api.example.com (RFC 9728 §4)'
  ])
  issuer.metadata.protected_resources = ['https://other.example', RESOURCE]
  const listed = bed.api({ issuers: [issuer.issuer] })
  expect(await ask(listed, issuer.token())).toEqual(granted)
  expect(listed.health().issuers[0]?.warnings).toEqual([])
})

describe('ASM-12: settings that override metadata', () => {
  const start = async (options: (issuer: TestIssuer) => Partial<IssuerOptions>, settings = {}) => {
    const issuer = await bed.issuer(settings)
    return { issuer, api: bed.api({ issuers: [{ issuer: issuer.issuer, ...options(issuer) }] }) }
  }

  test('ASM-12 (RFC 8414 §3.3): asks only metadataUrl, and still compares its issuer', async () => {
    const { issuer, api } = await start(
      ({ origin }) => ({ metadataUrl: `${origin}/t1/.well-known/openid-configuration` }),
      {
        path: '/t1',
        discovery: ['rfc8414', 'openid-append']
      }
    )
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(asked(issuer)).toEqual(['/t1/.well-known/openid-configuration'])
    const { issuer: other, api: wrong } = await start(({ origin }) => ({ metadataUrl: `${origin}${places.rfc8414}` }))
    other.always('metadata', fault.wrongIssuer())
    expect(await ask(wrong, other.token())).toEqual(denial.misconfigured)
    expect(asked(other)).toEqual([places.rfc8414])
  })

  test('ASM-12 (RFC 8414 §3.3): requires expectedMetadataIssuer in the metadata, and in no token', async () => {
    const { issuer, api } = await start(() => ({ expectedMetadataIssuer: 'https://template.example/{tenant}' }))
    issuer.metadata.issuer = 'https://template.example/{tenant}'
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ claims: { iss: 'https://template.example/{tenant}' } }))).toEqual(
      denial.issuer
    )
    const { issuer: plain, api: strict } = await start(() => ({ expectedMetadataIssuer: 'https://other.example' }))
    expect(await ask(strict, plain.token())).toEqual(denial.misconfigured)
  })

  test('ASM-12 (RFC 8414 §2): fetches no metadata with jwksUri', async () => {
    const [keys] = [await bed.issuer()]
    const { issuer, api } = await start(() => ({ jwksUri: `${keys.origin}/jwks` }))
    expect(await ask(api, issuer.token({ key: keys.key() }))).toEqual(granted)
    expect(await ask(api, issuer.token())).toEqual(denial.signature)
    expect(issuer.requests).toEqual([])
  })

  test('ASM-12 (RFC 7662 §2): fetches no metadata with introspection.endpoint', async () => {
    const { issuer, api } = await start(({ origin }) => ({
      introspection: { endpoint: `${origin}/introspect`, auth: clientSecretBasic('secret'), clientId: 'api' }
    }))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(issuer.requests.map(({ endpoint }) => endpoint)).toEqual(['introspection'])
  })

  test('ASM-12: accepts acceptedIssuers as further exact names for the same keys', async () => {
    const alias = 'https://sts.example.com/tenant/'
    const { issuer, api } = await start(() => ({ acceptedIssuers: [alias] }))
    expect(await ask(api, issuer.token({ claims: { iss: alias } }))).toEqual(granted)
    expect(await ask(api, issuer.token({ claims: { iss: alias.slice(0, -1) } }))).toEqual(denial.issuer)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(1)
  })

  test.each(['metadataUrl', 'jwksUri'] as const)(
    'ASM-12 (RFC 8414 §2): refuses a %s with plain http at start',
    (option) => {
      const issuers = [{ issuer: 'https://as.example.com', [option]: 'http://as.example.com/x' }]
      expect(() => resourceServer({ resource: RESOURCE, issuers })).toThrow(new RegExp(`issuers\\[0\\]\\.${option}`))
    }
  )
})

test('ASM-13 (RFC 9207): ignores an iss parameter of a request', async () => {
  const issuer = await bed.issuer()
  const api = bed.api({ issuers: [issuer.issuer] })
  const asking = request(issuer.token(), {}, '/items?iss=https%3A%2F%2Fevil.example')
  expect(await api.authorize(asking)).toMatchObject({ issuer: issuer.issuer })
})

describe('ASM-14 (RFC 8414 §6.2): metadata comes from where the settings say', () => {
  test.each([301, 302, 303, 307, 308])(
    'ASM-14 (RFC 8414 §6.2): does not follow a %i: the place has no metadata',
    async (status) => {
      const [issuer, other] = [await bed.issuer(), await bed.issuer()]
      issuer.always('metadata', fault.redirect(`${other.origin}${places.rfc8414}`, status))
      expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(denial.misconfigured)
      expect(other.requests).toEqual([])
      expect(issuer.count('metadata')).toBe(2)
    }
  )

  test('ASM-14, ORD-03, DEF-18 (RFC 9728 §7.7, RFC 8725 §3.10): asks no host that a request or a token names', async () => {
    const [issuer, evil] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [issuer.issuer] })
    const header = { jku: `${evil.origin}/jwks`, x5u: `${evil.origin}/cert`, jwk: evil.key().publicJwk }
    expect(await ask(api, evil.token())).toEqual(denial.issuer)
    expect(await ask(api, issuer.token({ header, key: evil.key() }))).toEqual(denial.signature)
    const fields = {
      host: evil.origin.slice(7),
      'x-forwarded-host': evil.origin.slice(7),
      forwarded: `host=${evil.origin}`
    }
    expect(await api.authorize(request(issuer.token(), fields))).toMatchObject({ issuer: issuer.issuer })
    expect(evil.requests).toEqual([])
  })
})

describe('the scheme of the issuer binds its endpoints (RFC 8414 §2, RFC 7662 §4)', () => {
  /** An https issuer on loopback, whose metadata say plain http on this machine. */
  async function secure(options: (issuer: TestIssuer) => Partial<IssuerOptions> = () => ({})) {
    const issuer = await bed.issuer()
    const name = 'https://127.0.0.1'
    const dispatcher = bed.closing(redirectingAgent({ [name]: issuer.origin }))
    issuer.metadata.issuer = name
    const api = bed.api({ issuers: [{ issuer: name, ...options(issuer) }], http: { dispatcher } })
    return { issuer, api, name }
  }

  test('refuses a jwks_uri with plain http of an https issuer on loopback, and fetches no key by it', async () => {
    const { issuer, api, name } = await secure()
    const error = await refusal(() => authorize(api, issuer.token({ claims: { iss: name } })))
    expect(error).toMatchObject({ reason: 'misconfigured', hint: expect.stringMatching(/jwks_uri that is not https/) })
    expect(issuer.count('jwks')).toBe(0)
  })

  test.each(['introspection_endpoint', 'its mtls alias'])(
    'refuses an %s with plain http, and sends no token there',
    async (where) => {
      const { issuer, api } = await secure((one) => ({
        jwks: one.jwks as never,
        introspection: {
          clientId: 'api',
          auth: where === 'its mtls alias' ? tlsClientAuth() : clientSecretBasic('SECRET')
        }
      }))
      issuer.metadata.mtls_endpoint_aliases = { introspection_endpoint: `${issuer.origin}/introspect` }
      if (where === 'its mtls alias') issuer.metadata.introspection_endpoint = 'https://127.0.0.1/introspect'
      expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
      expect(issuer.count('introspection')).toBe(0)
    }
  )

  test('accepts a jwksUri with plain http in the settings: the operator says so', async () => {
    const { issuer, api, name } = await secure((one) => ({ jwksUri: `${one.origin}/jwks` }))
    expect(await ask(api, issuer.token({ claims: { iss: name } }))).toEqual(granted)
  })
})

test.each(['issuer', 'jwksUri', 'metadataUrl', 'introspection'])(
  'refuses a path at start that is not requested as written: %s',
  (option) => {
    for (const path of ['/t/../x', '/t/%2e%2e/x', '/t%2fx', '/t/..;/x', '/t/%c0%ae']) {
      const url = `https://as.example.com${path}`
      const issuer = {
        issuer: 'https://as.example.com',
        [option]: option === 'introspection' ? { auth: () => {}, endpoint: url } : url
      }
      expect(() => resourceServer({ resource: RESOURCE, issuers: [issuer as IssuerOptions] }), path).toThrow(
        /its path would be requested as/
      )
    }
  }
)
