/** Options that make no sense do not start: every problem at once, each with the option, what it holds and a cure. */
import { describe, expect, test } from 'vitest'
import { type IssuerOptions, type ResourceServerOptions, resourceServer, scope } from '../../src/index.js'
import { readSettings } from '../../src/server/settings.js'
import { ask, createBed, denial, granted } from '../support/exchange.js'
import { ALGORITHMS, createSigningKey } from '../support/issuer.js'
import { ISSUER, issuerKey, keySet, RESOURCE } from '../support/refusals.js'

type Options = Record<string, unknown>

const bed = createBed()

const start = (options: Options): unknown =>
  resourceServer({ resource: RESOURCE, issuers: [ISSUER], ...options } as unknown as ResourceServerOptions)

/** The lines of the one error, without their dashes. */
function problemsOf(options: unknown): readonly string[] {
  try {
    resourceServer(options as ResourceServerOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    const [first, ...lines] = (error as TypeError).message.split('\n')
    expect(first).toBe(
      `resourceServer() found ${lines.length === 1 ? 'a problem' : `${lines.length} problems`} in its options:`
    )
    for (const line of lines) expect(line).toMatch(/^- `[^`]+` .+: .+/)
    return lines.map((line) => line.slice(2))
  }
  throw new Error('it started')
}

const withOption = (option: string, value: unknown): readonly string[] =>
  problemsOf({ resource: RESOURCE, issuers: [ISSUER], [option]: value })
const withIssuer = (issuer: Options): readonly string[] =>
  problemsOf({ resource: RESOURCE, issuers: [{ issuer: ISSUER, ...issuer }] })

describe('what must be there', () => {
  test.each([undefined, null, [], 'https://api.example.com', 1])('options that are %j', (options) => {
    expect(problemsOf(options)).toEqual([expect.stringMatching(/^`options` is .*: it must be an object$/)])
  })

  test('all that is missing is named at once', () => {
    expect(problemsOf({})).toEqual([
      '`resource` is missing: it must be this API’s identifier, such as https://api.example.com',
      "`issuers` must be a list of at least one issuer, or a function: write issuers: ['https://as.example.com']"
    ])
  })

  test('mistakes in every part are named at once', () => {
    const lines = problemsOf({
      resource: 'api',
      issuers: [{ issuer: ISSUER, tokenProfile: 'x', introspection: {} }],
      clockTolerance: -1,
      colour: 'blue',
      http: { timeout: 0 }
    })
    expect(lines.map((line) => line.split(' ', 1)[0])).toEqual([
      '`colour`',
      '`resource`',
      '`issuers[0].tokenProfile`',
      '`issuers[0].introspection.auth`',
      '`clockTolerance`',
      '`http.timeout`'
    ])
  })
})

describe('names that are not options', () => {
  test.each<readonly [string, object]>([
    [
      "`requireCertificateBound` was renamed: write requireSenderConstrained: 'certificate'",
      { requireCertificateBound: true }
    ],
    [
      "`dpop.required` was renamed: write requireSenderConstrained: 'dpop', beside `dpop`",
      { dpop: { required: true } }
    ],
    [
      "`issuers[0].profile` was renamed: write tokenProfile: 'rfc9068' or tokenProfile: 'legacy'",
      { issuers: [{ issuer: ISSUER, profile: 'legacy' }] }
    ]
  ])('refuses a former name at start, and shows the new line: %s', (line, options) => {
    expect(() => resourceServer({ resource: RESOURCE, issuers: [ISSUER], ...options } as never)).toThrow(`- ${line}`)
  })

  test.each<readonly [string, object]>([
    [
      "`requireSenderConstrained` is \"DPoP\": it must be true, false, 'dpop' or 'certificate'",
      { requireSenderConstrained: 'DPoP' }
    ],
    ['`dpop` is false', { dpop: false, requireSenderConstrained: 'dpop' }],
    ['`dpop.advertise` is false', { dpop: { advertise: false }, requireSenderConstrained: 'dpop' }],
    ['`dpop.advertise` is "yes": it must be a boolean, such as advertise: true', { dpop: { advertise: 'yes' } }],
    ['`callbackTimeout` is 0: it must be a number of seconds from 0.01 to 120', { callbackTimeout: 0 }]
  ])('refuses what contradicts at start: %s', (line, options) => {
    expect(() => resourceServer({ resource: RESOURCE, issuers: [ISSUER], ...options } as never)).toThrow(line)
  })

  test.each<readonly [object, readonly string[], readonly string[]]>([
    [{}, ['Bearer', 'DPoP'], ['Bearer']],
    [{ dpop: {} }, ['Bearer', 'DPoP'], ['Bearer']],
    [{ dpop: { advertise: true } }, ['Bearer', 'DPoP'], ['Bearer', 'DPoP']],
    [{ dpop: false }, ['Bearer'], ['Bearer']],
    [{ requireSenderConstrained: 'dpop' }, ['DPoP'], ['DPoP']],
    [{ requireSenderConstrained: true }, ['Bearer', 'DPoP'], ['Bearer']]
  ])('%j decides which schemes are accepted and which are advertised', (options, accepted, advertised) => {
    expect(resourceServer({ resource: RESOURCE, issuers: [ISSUER], ...options }).describe()['schemes']).toEqual({
      accepted,
      advertised
    })
  })

  test.each<readonly [string, Options]>([
    ['`colour`', { colour: 5 }],
    ['`http.retries`', { http: { retries: 3 } }],
    [
      '`issuers[0].introspection.cacheTime`',
      { issuers: [{ issuer: ISSUER, introspection: { auth: () => {}, cacheTime: 1 } }] }
    ]
  ])('%s, which is like no option, is told from the options there are', (name, options) => {
    const [line, ...others] = problemsOf({ resource: RESOURCE, issuers: [ISSUER], ...options })
    expect(others).toEqual([])
    expect(line?.startsWith(`${name} is not an option: the options are `)).toBe(true)
  })
})

describe('resource', () => {
  const bad: readonly [unknown, string][] = [
    [
      'api',
      `\`resource\` is "api": it must be this API’s identifier, such as https://api.example.com. If \`aud\` of tokens is this text, write resource: 'https://api.example.com', issuers: [{ issuer: 'https://as.example.com', audience: 'api' }]`
    ],
    [
      'urn:api',
      `\`resource\` is "urn:api": it must be this API’s identifier, such as https://api.example.com. If \`aud\` of tokens is this text, write resource: 'https://api.example.com', issuers: [{ issuer: 'https://as.example.com', audience: 'urn:api' }]`
    ],
    ['https://', '`resource` is "https://": it must be this API’s identifier, such as https://api.example.com'],
    [
      'http://api.example.com',
      '`resource` is "http://api.example.com": use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only'
    ],
    [`${RESOURCE}#x`, '`resource` must not have a fragment (RFC 9728 §1.2): remove the # and the text after it'],
    ['https://u:p@api.example.com', '`resource` holds a user name or password: remove it from the URL']
  ]
  test.each(bad)('PRM-01 (RFC 9728 §1.2): %j does not start', (resource, line) => {
    expect(withOption('resource', resource)).toEqual([line])
  })

  test.each([
    'https://api.example.com/a b',
    ' https://api.example.com',
    'https://api.example.com\n',
    'https:\\\\api.example.com',
    'https://api.example.com/\u00e9',
    'https://api.ex\u00e4mple.com',
    'https://api.example.com/<a>',
    'https:api.example.com',
    'https:///api.example.com'
  ])('%j, which a URL parser would mend, does not start', (resource) => {
    expect(withOption('resource', resource)).toEqual([expect.stringMatching(/^`resource` is .*: it must be /)])
  })

  test('a URL object is not a text, whose every character counts', () => {
    expect(withOption('resource', new URL(RESOURCE))).toHaveLength(1)
  })

  test.each(['http://localhost:3000', 'http://127.0.0.1', 'http://127.8.8.8:1/x', 'http://[::1]:3000/'])(
    '%s stays on this machine',
    (resource) => {
      expect(start({ resource })).toMatchObject({ resource })
    }
  )

  test.each([
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://128.0.0.1',
    'http://[::2]',
    'http://0.0.0.0'
  ])('%s does not', (resource) => {
    expect(withOption('resource', resource)).toEqual([expect.stringContaining('use https')])
  })

  test('is kept byte for byte', () => {
    for (const resource of [RESOURCE, `${RESOURCE}/`, 'HTTPS://API.example.com:443/a/../b', `${RESOURCE}/a?b`]) {
      expect(start({ resource })).toMatchObject({ resource })
    }
  })
})

describe('issuers', () => {
  test.each([[], ISSUER, {}, null, undefined])('%j is no list of issuers', (issuers) => {
    expect(withOption('issuers', issuers)).toEqual([
      "`issuers` must be a list of at least one issuer, or a function: write issuers: ['https://as.example.com']"
    ])
  })

  test.each([null, 1, [], ''])('an entry that is %j does not start', (one) => {
    expect(withOption('issuers', [one])[0]).toMatch(/^`issuers\[0\]`/)
  })

  test('ASM-05 (RFC 8414 §2): an issuer has no query and no fragment, and is https', () => {
    for (const issuer of [`${ISSUER}?x`, `${ISSUER}?`, `${ISSUER}#x`, `${ISSUER}/#`]) {
      expect(withOption('issuers', [issuer])).toEqual([
        '`issuers[0]` has a query or a fragment: an issuer identifier has neither (RFC 8414 §2)'
      ])
    }
    expect(withOption('issuers', ['http://as.example.com'])).toEqual([expect.stringContaining('use https')])
  })

  test('the second of two is named by its place', () => {
    expect(withOption('issuers', [ISSUER, 'x'])).toEqual([expect.stringMatching(/^`issuers\[1\]` is "x"/)])
  })

  test.each([
    ['acme.com', 'https://acme.com'],
    ['acme.com/', 'https://acme.com'],
    ['Login.Acme.com/tenant', 'https://login.acme.com'],
    ['kubernetes/serviceaccount', 'https://as.example.com'],
    ['urn:x', 'https://as.example.com'],
    ['urn:acme:sso', 'https://as.example.com']
  ])(
    'an issuer %j, which is not a URL, does not start, and shows the line that accepts its tokens',
    async (name, address) => {
      const shown = `{ issuer: '${address}', acceptedIssuers: ['${name}'], jwksUri: '${address}/…' }`
      for (const entry of [name, { issuer: name }]) {
        const [line, ...others] = withOption('issuers', [entry])
        expect(others).toEqual([])
        expect(line).toContain(
          `is ${JSON.stringify(name)}: it must be an issuer identifier, such as https://as.example.com. `
        )
        expect(line).toContain(`write ${shown} in the \`issuers\` of resourceServer()`)
      }
      const server = await bed.issuer()
      const token = server.token({ claims: { iss: name } })
      const options = { issuer: address, acceptedIssuers: [name], jwksUri: `${server.origin}/jwks` }
      expect(await ask(bed.api({ issuers: [options] }), token)).toEqual(granted)
      expect(await ask(bed.api({ issuers: [{ ...options, acceptedIssuers: [] }] }), token)).toEqual(denial.issuer)
    }
  )

  test('a text that is a URL mistyped gets no line for acceptedIssuers', () => {
    for (const issuer of [
      'https:as.example.com',
      'https//as.example.com',
      '//as.example.com',
      'a b',
      'ftp://as.example.com'
    ])
      expect(withOption('issuers', [issuer])).toEqual([expect.not.stringContaining('acceptedIssuers')])
  })

  test('ATV-16: no name belongs to two', () => {
    const line =
      '`issuers[1]` accepts https://as.example.com, as an earlier entry does: list each issuer once: a token must belong to exactly one'
    expect(withOption('issuers', [ISSUER, ISSUER])).toEqual([line])
    expect(withOption('issuers', [ISSUER, { issuer: 'https://b.example', acceptedIssuers: [ISSUER] }])).toEqual([line])
  })

  const flaws: readonly [Options, string][] = [
    [
      { audience: [] },
      '`issuers[0].audience` is empty: name an identifier of this API, or write null to accept tokens for any API'
    ],
    [{ tokenProfile: 'strict' }, "`issuers[0].tokenProfile` is \"strict\": it must be one of 'rfc9068', 'legacy'"],
    [{ tokens: 'all' }, "`issuers[0].tokens` is \"all\": it must be one of 'jwt', 'opaque', 'both'"],
    [
      { tokens: 'opaque' },
      "`issuers[0].tokens` is 'opaque' without `introspection`: opaque tokens can only be introspected: configure it"
    ],
    [
      { algorithms: [] },
      '`issuers[0].algorithms` names no algorithm: choose from RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519'
    ],
    [{ jwksUri: 'x' }, '`issuers[0].jwksUri` is "x": it must be an https URL'],
    [
      { jwksUri: `${ISSUER}/jwks`, jwks: keySet(issuerKey) },
      '`issuers[0].jwksUri` contradicts `jwks`: give the keys or the place to fetch them, not both'
    ],
    [
      { metadataUrl: 'http://as.example.com/m' },
      '`issuers[0].metadataUrl` is "http://as.example.com/m": use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only, unless `http.insecureHosts` names the host and port'
    ],
    [
      { expectedMetadataIssuer: 1 },
      "`issuers[0].expectedMetadataIssuer` is 1: it must be a string, such as expectedMetadataIssuer: 'https://as.example.com/common'"
    ],
    [
      { acceptedIssuers: 'x' },
      '`issuers[0].acceptedIssuers` is "x": it must be an array of strings, such as acceptedIssuers: [\'https://old.example.com\']'
    ],
    [
      { requiredClaims: 'sub' },
      "`issuers[0].requiredClaims` is \"sub\": it must be an array of strings, such as requiredClaims: ['sub', 'client_id']"
    ],
    [
      { jwks: {} },
      '`issuers[0].jwks` is not a JSON Web Key Set: `keys` must be an array: give a JSON Web Key Set: { keys: […] } (RFC 7517 §5)'
    ],
    [
      { jwks: { keys: [] } },
      '`issuers[0].jwks` has no usable key: add a public signature key: without one no token can be verified'
    ],
    [
      { introspection: null },
      "`issuers[0].introspection` is null: it must be an object, such as introspection: { clientId: 'orders-api', auth: clientSecretBasic(clientSecret) }"
    ],
    [
      { introspection: {} },
      '`issuers[0].introspection.auth` is missing: say how this API authenticates: clientSecretBasic(…), privateKeyJwt(…), bearerToken(…), noClientAuth()'
    ]
  ]
  test.each(flaws)('%j does not start', (issuer, line) => {
    expect(withIssuer(issuer)).toEqual([line])
  })

  const empty: readonly Options[] = [
    { audience: '' },
    { audience: [RESOURCE, ''] },
    { acceptedIssuers: [''] },
    { scopeClaim: '' },
    { scopeClaim: [] },
    { rolesClaim: '' },
    { rolesClaim: [] },
    { clientIdClaim: [] },
    { requiredClaims: [''] }
  ]
  test.each(empty)('DEF-04: an empty name does not start: %j', (issuer) => {
    expect(withIssuer(issuer)).toEqual([expect.stringContaining(`\`issuers[0].${Object.keys(issuer)[0]}\``)])
  })

  test.each(['scopeClaim', 'rolesClaim', 'clientIdClaim', 'audience'])('%s is a name or a list of names', (option) => {
    for (const value of [1, [1], {}, true]) {
      expect(withIssuer({ [option]: value })[0]).toMatch(new RegExp(`^\`issuers\\[0\\]\\.${option}(\\.all)?\``))
    }
  })

  test.each(['scopeClaim', 'rolesClaim'])(
    '%s is a claim, alternatives, or { all }; a list within is a path',
    (option) => {
      const at = `\`issuers[0].${option}`
      const lines: readonly (readonly [value: unknown, line: string])[] = [
        [7, `${at}\` is 7: it must be a claim, a list of alternatives, or { all: [ … ] }`],
        [['a', 7], `${at}\` holds 7: a claim is a name, or a path: a list of names`],
        [['a', ''], `${at}\` holds an empty name: is a variable unset?`],
        [[[]], `${at}[0]\` is empty: name at least one, or leave it out`],
        [['a', ['b', '']], `${at}[1]\` holds an empty name: is a variable unset?`],
        [['a', ['b', 7]], `${at}[1]\` holds 7: it must be an array of strings`],
        [['a', ['b', ['c']]], `${at}[1]\` holds an array: it must be an array of strings`],
        [{ all: [] }, `${at}.all\` is empty: name at least one, or leave it out`],
        [{ all: 'a' }, `${at}.all\` is "a": it must be a list of claims`],
        [{}, `${at}.all\` is missing: it must be a list of claims`],
        [{ all: ['a', { all: ['b'] }] }, `${at}.all\` holds an object: a claim is a name, or a path: a list of names`],
        [{ all: ['a'], any: ['b'] }, `${at}.any\` is not an option: the options are all`]
      ]
      for (const [value, line] of lines) expect(withIssuer({ [option]: value }), JSON.stringify(value)).toEqual([line])
      const good: readonly unknown[] = ['a', ['a', 'b'], [['a', 'b'], 'c'], { all: ['a', ['b', 'c']] }]
      for (const value of good)
        expect(start({ issuers: [{ issuer: ISSUER, [option]: value }] }), JSON.stringify(value)).toBeDefined()
    }
  )

  test('the option roles is a list of texts that are not empty', () => {
    expect(withOption('roles', 'admin')).toEqual([
      "`roles` is \"admin\": it must be an array of strings, such as roles: ['clerk', 'admin']"
    ])
    expect(withOption('roles', ['admin', ''])).toEqual(['`roles` holds an empty name: is a variable unset?'])
    expect(start({ roles: ['admin', 'Domain Admins'] })).toBeDefined()
  })

  test('KEY-03: a private key among the keys given is told, not used', () => {
    const { privateKey } = createSigningKey('ES256')
    const jwks = { keys: [privateKey.export({ format: 'jwk' }), issuerKey.publicJwk] }
    expect(withIssuer({ jwks })).toEqual([
      '`issuers[0].jwks` keys[0] is a private or symmetric key: it must not be published: give public signature keys only'
    ])
  })

  test('INT-16 (RFC 9700 §4.9.1): two that introspect must be told apart by a prefix', () => {
    const auth = (): void => {}
    const line =
      '`issuers[1].introspection.tokenPrefix` cannot tell this issuer’s opaque tokens from those of another issuer: set a different tokenPrefix for each issuer with introspection; one of them may have none'
    const two = (first?: string, second?: string): readonly Options[] =>
      [first, second].map((tokenPrefix, i) => ({
        issuer: `https://${i}.example`,
        introspection: { auth, tokenPrefix }
      }))
    for (const pair of [two(), two('a', 'a'), two('a', 'ab'), two('ab', 'a')]) {
      expect(withOption('issuers', pair)).toEqual([line])
    }
    for (const pair of [two('a'), two(undefined, 'a'), two('a', 'b')]) expect(start({ issuers: pair })).toBeDefined()
  })

  const introspection: readonly [Options, string][] = [
    [{ endpoint: 'x' }, '`issuers[0].introspection.endpoint` is "x": it must be an https URL'],
    [{ clientId: 1 }, "`issuers[0].introspection.clientId` is 1: it must be a string, such as clientId: 'orders-api'"],
    [{ cacheFor: 301 }, '`issuers[0].introspection.cacheFor` is 301: it must be a number of seconds from 0 to 300'],
    [{ cacheFor: -1 }, '`issuers[0].introspection.cacheFor` is -1: it must be a number of seconds from 0 to 300'],
    [
      { allowMissingAudience: 1 },
      '`issuers[0].introspection.allowMissingAudience` is 1: it must be a boolean, such as allowMissingAudience: true'
    ],
    [
      { tokenPrefix: 1 },
      "`issuers[0].introspection.tokenPrefix` is 1: it must be a string, such as tokenPrefix: 'ory_at_'"
    ]
  ]
  test.each(introspection)('introspection with %j does not start', (options, line) => {
    expect(withIssuer({ introspection: { auth: () => {}, ...options } })).toEqual([line])
  })
})

describe('other options', () => {
  const flaws: readonly [string, unknown, string][] = [
    ['clockTolerance', '30', '`clockTolerance` is "30": it must be a number of seconds from 0 to 300'],
    ['clockTolerance', Number.NaN, '`clockTolerance` is NaN: it must be a number of seconds from 0 to 300'],
    ['clockTolerance', 301, '`clockTolerance` is 301: it must be a number of seconds from 0 to 300'],
    ['clockTolerance', null, '`clockTolerance` is null: it must be a number of seconds from 0 to 300'],
    ['now', 5, '`now` is 5: it must be a function, such as now: () => Date.now() / 1000'],
    ['realm', 1, "`realm` is 1: it must be a string, such as realm: 'orders'"],
    [
      'realm',
      'a\nb',
      '`realm` has a character that is not allowed in a header field: use printable ASCII (RFC 9110 §5.6.4)'
    ],
    [
      'checks',
      'x',
      '`checks` is "x": it must be an array of functions, such as checks: [claims((claims) => claims.tenant === \'acme\')]'
    ],
    [
      'scopes',
      'read',
      "`scopes` is \"read\": it must be an array of strings, such as scopes: ['orders:read', 'orders:write']"
    ],
    [
      'scopes',
      ['a b'],
      '`scopes` holds "a b", which is not a scope: a scope is printable ASCII without space, quote or backslash (RFC 6749 §3.3)'
    ],
    [
      'scopeHierarchy',
      [],
      "`scopeHierarchy` is an array: it must be an object, such as scopeHierarchy: { 'orders:write': ['orders:read'] }"
    ],
    ['scopeHierarchy', { a: 'b' }, '`scopeHierarchy.a` is "b": it must be an array of strings'],
    ['legacyClients', 'yes', '`legacyClients` is "yes": it must be a boolean, such as legacyClients: true'],
    ['rejectQueryToken', 'yes', '`rejectQueryToken` is "yes": it must be a boolean, such as rejectQueryToken: true'],
    ['metadata', true, "`metadata` is true: it must be an object, such as metadata: { resource_name: 'Orders' }"],
    ['metadata', { resource: 'x' }, '`metadata.resource` cannot be set: it is the option `resource`'],
    [
      'metadata',
      { bearer_methods_supported: ['body'] },
      '`metadata.bearer_methods_supported` cannot be set: tokens are read from the Authorization field only'
    ],
    ['metadata', { scopes_supported: 'read' }, '`metadata.scopes_supported` is "read": it must be an array of strings'],
    [
      'metadata',
      { resource_documentation: 'docs' },
      '`metadata.resource_documentation` is "docs": it must be a URL (RFC 9728 §2)'
    ],
    [
      'metadata',
      { signed_metadata: 'x' },
      '`metadata.signed_metadata` is not a JWT: give the compact serialization (RFC 9728 §2.2)'
    ],
    ['http', 1, '`http` is 1: it must be an object, such as http: { timeout: 3 }'],
    ['http', { timeout: 0 }, '`http.timeout` is 0: it must be a number of seconds from 0.01 to 60'],
    ['http', { deadline: 121 }, '`http.deadline` is 121: it must be a number of seconds from 0.01 to 120'],
    [
      'http',
      { dispatcher: {} },
      '`http.dispatcher` is not an undici Dispatcher: pass a new Agent(…) of undici, or leave it out'
    ]
  ]
  test.each(flaws)('%s %j does not start', (option, value, line) => {
    expect(withOption(option, value)).toEqual([line])
  })

  test('a function among the checks is a check, anything else is not', () => {
    expect(withOption('checks', [() => {}, 1])).toHaveLength(1)
    expect(start({ checks: [() => {}, scope('read')] })).toBeDefined()
  })

  test('a value as long as a page is cut in the message', () => {
    const [line] = withOption('resource', 'x'.repeat(5000))
    expect(line?.length).toBeLessThan(250)
  })
})

describe('settings', () => {
  test('DEF-02 DEF-03 DEF-04 DEF-05: defaults are the safe ones', () => {
    const settings = readSettings({ resource: RESOURCE, issuers: [ISSUER] })
    expect(settings).toMatchObject({
      clockTolerance: 30,
      checks: [],
      scopes: undefined,
      roles: undefined,
      realm: undefined,
      metadata: {},
      legacyClients: false,
      rejectQueryToken: false,
      http: { dispatcher: undefined, timeout: 3, deadline: 5 },
      issuers: [
        {
          issuer: ISSUER,
          acceptedIssuers: new Set([ISSUER]),
          audience: new Set([RESOURCE]),
          tokenProfile: 'rfc9068',
          algorithms: new Set(ALGORITHMS),
          expectedMetadataIssuer: ISSUER,
          introspection: undefined,
          tokens: 'jwt',
          scopeClaims: ['scope', 'scp'],
          rolesClaims: undefined,
          clientIdClaims: ['client_id'],
          requiredClaims: ['sub', 'client_id', 'iat', 'jti']
        }
      ]
    })
    expect(Math.abs(settings.now() - Date.now() / 1000)).toBeLessThan(60)
  })

  test('DEF-09: introspection decides what tokens are expected, and has its own defaults', () => {
    const auth = (): void => {}
    const [issuer] = readSettings({ resource: RESOURCE, issuers: [{ issuer: ISSUER, introspection: { auth } }] })
      .issuers as unknown as IssuerOptions[]
    expect(issuer).toMatchObject({
      tokens: 'both',
      introspection: {
        auth,
        cacheFor: 30,
        allowMissingAudience: false,
        clientId: '',
        tokenPrefix: '',
        endpoint: undefined
      }
    })
  })

  test('are frozen, and do not follow the options when those change', () => {
    const audience = [RESOURCE]
    const issuers = [{ issuer: ISSUER, audience }]
    const options = { resource: RESOURCE, issuers, checks: [] as (() => void)[], http: { timeout: 1 } }
    const settings = readSettings(options)
    audience.push('x')
    issuers.push({ issuer: 'https://evil.example', audience: [] })
    options.checks.push(() => {})
    options.http.timeout = 60
    expect(settings.issuers).toHaveLength(1)
    expect((settings.issuers as unknown as { audience: Set<string> }[])[0]?.audience).toEqual(new Set([RESOURCE]))
    expect(settings.checks).toHaveLength(0)
    expect(settings.http.timeout).toBe(1)
    for (const one of [settings, settings.issuers, settings.checks, settings.http])
      expect(Object.isFrozen(one)).toBe(true)
  })

  test('undefined is as good as absent', () => {
    const none = { checks: undefined, realm: undefined, http: undefined, metadata: undefined, now: undefined }
    expect(
      readSettings({ resource: RESOURCE, issuers: [ISSUER], ...none } as unknown as ResourceServerOptions)
    ).toMatchObject({
      clockTolerance: 30
    })
  })
})
