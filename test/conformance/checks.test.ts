/** The outside checks: APIs without a flaw pass all of them, and each flaw is found by the check that is meant for it. */
import { describe, expect, test } from 'vitest'
import { PROFILES, type Profile } from '../../conformance/check.js'
import { CHECKS } from '../../conformance/checks/index.js'
import { outsideChecks } from '../../conformance/checks/outside/index.js'
import { runConformance } from '../../conformance/run.js'
import { type Exchange, type Flaw, listen, startOurs, startPlain } from './apis.js'

const OUTSIDE: readonly Profile[] = ['rfc6750', 'rfc9728', 'mcp', 'hardening']

/** Ids of the checks that fail or break, with the finding for whoever reads the failure. */
async function failuresOf(url: string): Promise<Record<string, unknown>> {
  const report = await runConformance(url, { checks: outsideChecks, profiles: OUTSIDE, methods: true })
  const bad = report.results.filter(({ verdict }) => verdict === 'failed' || verdict === 'error')
  return Object.fromEntries(bad.map(({ id, finding, why }) => [id, finding ?? why]))
}

describe('APIs without a flaw', () => {
  test('an API of this package passes all outside checks', async () => {
    const { url } = await startOurs()
    expect(await failuresOf(url)).toEqual({})
  })

  test('an API written by hand passes all outside checks', async () => {
    expect(await failuresOf(await startPlain())).toEqual({})
  })
})

const setChallenge = ({ answer }: Exchange, change: (value: string) => string): void => {
  answer.fields = answer.fields.map(([name, value]) => [name, name === 'WWW-Authenticate' ? change(value) : value])
}
const setDocument = ({ answer, isMetadata }: Exchange, members: object): void => {
  if (isMetadata) answer.body = JSON.stringify({ ...JSON.parse(answer.body), ...members })
}
const open = ({ answer }: Exchange): void => {
  Object.assign(answer, { status: 200, fields: [['Content-Type', 'application/json']], body: '[{"id":1}]' })
}
const openIf =
  (test: (exchange: Exchange) => boolean): Flaw =>
  (exchange) => {
    if (test(exchange)) open(exchange)
  }
const isRefusal = ({ answer }: Exchange): boolean => answer.status === 401 || answer.status === 400
const given = ({ authorization }: Exchange): string => authorization[0] ?? ''

/** Checks whose credentials are of one check alone. */
const BREAKING =
  /^hardening-(?:deep-jwt|header-|claims-|not-base64url|encrypted-jwt|latin-1|tab|scheme-only)|^rfc6750-comma-list$/

/** A flaw, the check that is meant for it, and the other checks that see it too. */
const FLAWS: readonly (readonly [flaw: string, id: string, others: readonly string[], change: Flaw])[] = [
  [
    'the token undefined accepted',
    'rfc6750-undefined-token',
    [],
    openIf((exchange) => given(exchange) === 'Bearer undefined')
  ],
  [
    'unknown opaque tokens accepted',
    'rfc6750-unknown-token',
    ['rfc6750-error-code', 'mcp-invalid-token', 'rfc9110-scheme-case', 'hardening-two-authorization-lines'],
    openIf((exchange) => given(exchange) === 'Bearer conformance-suite-token-that-nobody-issued0')
  ],
  ['two dots accepted', 'rfc6750-jwt-of-dots', [], openIf((exchange) => given(exchange) === 'Bearer ..')],
  [
    'an empty signature accepted',
    'rfc6750-jwt-without-signature',
    [],
    openIf((exchange) => alg(exchange) === 'RS256' && issuer(exchange) !== '' && given(exchange).endsWith('.'))
  ],

  [
    'a token in a form body is read',
    'rfc6750-body-token',
    [],
    (exchange) => {
      if (exchange.request.method === 'POST') setChallenge(exchange, (value) => `${value}, error="invalid_token"`)
    }
  ],
  [
    'no metadata',
    'mcp-discovery',
    ['mcp-metadata'],
    (exchange) => {
      setChallenge(exchange, (value) => value.replace(/, resource_metadata="[^"]*"/, ''))
      if (exchange.isMetadata) Object.assign(exchange.answer, { status: 404, body: '' })
    }
  ],
  [
    'metadata named where there is none',
    'rfc9728-response',
    ['mcp-metadata', 'mcp-authorization-servers', 'rfc9728-cors'],
    (exchange) => {
      if (exchange.isMetadata) Object.assign(exchange.answer, { status: 404, body: '', fields: [] })
    }
  ],
  [
    'one document at every well-known place',
    'rfc9728-well-known-identical',
    ['rfc9728-resource-identical'],
    (exchange) => {
      if (exchange.path.startsWith('/.well-known/')) {
        const document = { resource: exchange.origin, authorization_servers: ['https://as.example.com'] }
        Object.assign(exchange.answer, {
          status: 200,
          fields: [
            ['Content-Type', 'application/json'],
            ['Access-Control-Allow-Origin', '*']
          ],
          body: JSON.stringify(document)
        })
      }
    }
  ],

  [
    'no challenge',
    'rfc6750-no-token',
    [
      'rfc6750-challenge-bearer',
      'rfc9110-401-challenge',
      'rfc6750-error-code',
      'rfc9728-challenge',
      'mcp-challenge-scope'
    ],
    ({ answer }) => {
      answer.fields = answer.fields.filter(([name]) => name !== 'WWW-Authenticate')
    }
  ],
  [
    'challenge only without a token',
    'rfc9110-401-challenge',
    ['rfc6750-error-code'],
    (exchange) => {
      if (given(exchange) !== '') exchange.answer.fields = []
    }
  ],
  [
    'bare Bearer',
    'rfc6750-challenge-bearer',
    ['rfc6750-error-code', 'rfc9728-challenge', 'mcp-challenge-scope'],
    (exchange) => setChallenge(exchange, () => 'Bearer')
  ],
  [
    'error without a token',
    'rfc6750-no-error-without-token',
    [],
    (exchange) => {
      if (given(exchange) === '') setChallenge(exchange, (value) => `${value}, error="invalid_token"`)
    }
  ],
  [
    'error for Basic',
    'rfc6750-no-error-for-other-scheme',
    [],
    (exchange) => {
      if (given(exchange).startsWith('Basic')) setChallenge(exchange, (value) => `${value}, error="invalid_request"`)
    }
  ],
  [
    'challenge without quotes',
    'rfc9110-challenge-grammar',
    ['rfc9110-realm-quoted', 'rfc9728-challenge'],
    (exchange) => setChallenge(exchange, (value) => value.replaceAll('"', ''))
  ],
  [
    'realm without quotes',
    'rfc9110-realm-quoted',
    [],
    (exchange) => setChallenge(exchange, (value) => value.replace('"orders"', 'orders'))
  ],
  [
    'realm twice',
    'rfc9110-parameter-once',
    ['rfc6750-attributes-once'],
    (exchange) => setChallenge(exchange, (value) => `${value}, Realm="x"`)
  ],
  [
    'umlaut in the description',
    'rfc6750-challenge-characters',
    [],
    (exchange) => setChallenge(exchange, (value) => `${value}, error_description="ung\u00fcltig"`)
  ],
  [
    'empty scope',
    'rfc6750-challenge-characters',
    [],
    (exchange) => setChallenge(exchange, (value) => value.replace('orders:read', ''))
  ],
  [
    'no error code',
    'rfc6750-error-code',
    [],
    (exchange) => setChallenge(exchange, (value) => value.replace(/error="\w+", /, ''))
  ],
  [
    '403 for an unknown token',
    'rfc6750-invalid-token-status',
    ['mcp-invalid-token'],
    (exchange) => {
      if (/^bearer [^\s,]+$/i.test(given(exchange)) && isRefusal(exchange)) exchange.answer.status = 403
    }
  ],
  ['alg none accepted', 'rfc6750-unsigned-jwt', [], openIf((exchange) => alg(exchange) === 'none')],
  [
    'alg none accepted in another case',
    'rfc6750-unsigned-jwt-case',
    [],
    openIf((exchange) => alg(exchange) === 'NoNe')
  ],
  [
    'a signature is not checked',
    'rfc6750-unknown-issuer',
    ['rfc6750-jwt-without-signature'],
    openIf((exchange) => ['RS256', 'ES256'].includes(alg(exchange)) && issuer(exchange) !== '')
  ],
  ['the token null accepted', 'rfc6750-null-token', [], openIf((exchange) => given(exchange) === 'Bearer null')],
  [
    '500 for an empty token',
    'rfc6750-empty-token',
    [],
    (exchange) => {
      if (given(exchange).trim() === 'Bearer') exchange.answer.status = 500
    }
  ],
  [
    'two tokens: the first counts',
    'rfc6750-two-tokens-in-one',
    [],
    openIf(
      (exchange) =>
        given(exchange).split(' ').length === 3 && !given(exchange).includes(',') && !given(exchange).includes('Echo')
    )
  ],
  [
    'a token in the query is read',
    'rfc6750-query-token',
    [],
    (exchange) => {
      if (exchange.query.includes('access_token=')) setChallenge(exchange, (value) => `${value}, error="invalid_token"`)
    }
  ],
  [
    'a token in a cookie is read',
    'rfc6750-cookie-token',
    [],
    openIf(({ request }) => request.headers.cookie?.includes('token=') === true)
  ],
  [
    'the scheme is compared with case',
    'rfc9110-scheme-case',
    [],
    (exchange) => {
      if (/^(?:bearer|BEARER|bEaReR)/.test(given(exchange))) exchange.answer.status = 400
    }
  ],
  ['HEAD is open', 'rfc9110-head', [], openIf(({ request }) => request.method === 'HEAD')],
  [
    'two Host lines accepted',
    'rfc9112-host-twice',
    [],
    (exchange) => {
      if (exchange.answer.status === 400 && given(exchange) === '') open(exchange)
    }
  ],
  [
    'metadata as text',
    'rfc9728-response',
    [],
    ({ isMetadata, answer }) => {
      if (isMetadata)
        answer.fields = [
          ['Content-Type', 'text/plain'],
          ['Access-Control-Allow-Origin', '*']
        ]
    }
  ],
  [
    'metadata with a fragment',
    'rfc9728-resource',
    ['rfc9728-resource-identical', 'rfc9728-well-known-identical'],
    (exchange) => setDocument(exchange, { resource: `${exchange.origin}/orders#x` })
  ],
  [
    'metadata of another host',
    'rfc9728-resource-covers',
    ['rfc9728-resource-identical', 'rfc9728-well-known-identical'],
    (exchange) => setDocument(exchange, { resource: 'https://other.example.com/orders' })
  ],
  [
    'metadata of a sibling path',
    'rfc9728-resource-covers',
    ['rfc9728-place', 'rfc9728-resource-identical', 'rfc9728-well-known-identical'],
    (exchange) => setDocument(exchange, { resource: `${exchange.origin}/ord` })
  ],
  [
    'metadata of the origin',
    'rfc9728-place',
    ['rfc9728-resource-identical', 'rfc9728-well-known-identical'],
    (exchange) => setDocument(exchange, { resource: exchange.origin })
  ],
  ['empty list of scopes', 'rfc9728-empty-members', [], (exchange) => setDocument(exchange, { scopes_supported: [] })],
  [
    'scopes as a string',
    'rfc9728-member-types',
    [],
    (exchange) => setDocument(exchange, { scopes_supported: 'orders:read' })
  ],
  [
    'alg none in the metadata',
    'rfc9728-member-types',
    [],
    (exchange) => setDocument(exchange, { resource_signing_alg_values_supported: ['none'] })
  ],
  [
    'an issuer with a query',
    'rfc9728-authorization-servers',
    [],
    (exchange) => setDocument(exchange, { authorization_servers: ['https://as.example.com/?tenant=1'] })
  ],
  [
    'no issuer',
    'mcp-authorization-servers',
    [],
    (exchange) => setDocument(exchange, { authorization_servers: undefined })
  ],
  [
    'metadata not named',
    'rfc9728-challenge',
    [],
    (exchange) => setChallenge(exchange, (value) => value.replace(/, resource_metadata="[^"]*"/, ''))
  ],
  [
    'metadata without CORS',
    'rfc9728-cors',
    [],
    ({ isMetadata, answer }) => {
      if (isMetadata) answer.fields = [['Content-Type', 'application/json']]
    }
  ],
  [
    'HEAD of the metadata is 405',
    'rfc9728-head',
    [],
    ({ isMetadata, request, answer }) => {
      if (isMetadata && request.method === 'HEAD') answer.status = 405
    }
  ],
  [
    'POST is open',
    'mcp-post-without-token',
    [],
    openIf(
      ({ request, path }) =>
        request.method === 'POST' && path === '/orders' && request.headers['content-type'] === 'application/json'
    )
  ],
  [
    'no scope in the challenge',
    'mcp-challenge-scope',
    [],
    (exchange) => setChallenge(exchange, (value) => value.replace('scope="orders:read", ', ''))
  ],
  [
    'CORS without the challenge',
    'mcp-cors-challenge',
    [],
    ({ answer, isMetadata }) => {
      if (!isMetadata) answer.fields.push(['Access-Control-Allow-Origin', '*'])
    }
  ],
  [
    'refusals may be stored',
    'hardening-no-store',
    [],
    ({ answer }) => {
      answer.fields = answer.fields.filter(([name]) => name !== 'Cache-Control')
    }
  ],
  [
    'the token is repeated',
    'hardening-no-token-echo',
    [],
    (exchange) => {
      if (given(exchange) !== '' && isRefusal(exchange)) exchange.answer.body = `bad token: ${given(exchange)}`
    }
  ],
  [
    'the query is repeated',
    'hardening-no-query-echo',
    [],
    ({ answer, query }) => {
      if (query.includes('q='))
        Object.assign(answer, {
          fields: [...answer.fields, ['Content-Type', 'text/html']],
          body: decodeURIComponent(query)
        })
    }
  ],
  [
    'a stack in the body',
    'hardening-no-stack',
    [],
    (exchange) => {
      if (given(exchange).includes('e30.e30')) exchange.answer.body = 'Error: x\n    at verify (/app/auth.js:10:5)'
    }
  ],
  [
    'a version in the page of an error',
    'hardening-no-version',
    [],
    (exchange) => {
      if (exchange.query === '%') exchange.answer.body = '<center>nginx/1.18.0</center>'
    }
  ],
  [
    'other methods are open',
    'hardening-other-methods',
    [],
    openIf(({ request, path }) => request.method === 'PROPFIND' && path === '/orders')
  ],
  [
    'the host that the client claims is repeated',
    'hardening-forwarded-host',
    [],
    (exchange) =>
      setChallenge(exchange, (value) =>
        value.replace('127.0.0.1', String(exchange.request.headers['x-forwarded-host'] ?? '127.0.0.1'))
      )
  ],
  [
    'a DPoP challenge without algorithms',
    'rfc9449-challenge-algs',
    [],
    (exchange) => setChallenge(exchange, (value) => `${value}, DPoP realm="orders"`)
  ],
  [
    'a DPoP challenge with a symmetric algorithm',
    'rfc9449-challenge-algs',
    [],
    (exchange) => setChallenge(exchange, (value) => `${value}, DPoP algs="ES256 HS256"`)
  ],
  [
    'max_age in words',
    'rfc9470-max-age-number',
    [],
    (exchange) => setChallenge(exchange, (value) => `${value}, max_age="5m"`)
  ],
  [
    'a symmetric algorithm for proofs in the metadata',
    'rfc9728-member-types',
    [],
    (exchange) => setDocument(exchange, { dpop_signing_alg_values_supported: ['ES256', 'HS256'] })
  ],
  [
    'the well-known string behind the path',
    'rfc9728-place',
    ['mcp-discovery', 'rfc9728-challenge'],
    (exchange) => {
      const { path, isMetadata, answer, origin } = exchange
      setChallenge(exchange, (value) => value.replace(/, resource_metadata="[^"]*"/, ''))
      if (isMetadata) Object.assign(answer, { status: 404, body: '' })
      if (path !== '/orders/.well-known/oauth-protected-resource') return
      const document = { resource: `${origin}/orders`, authorization_servers: ['https://as.example.com'] }
      answer.status = 200
      answer.fields = [
        ['Content-Type', 'application/json'],
        ['Access-Control-Allow-Origin', '*']
      ]
      answer.body = JSON.stringify(document)
    }
  ],
  ['X-Powered-By', 'hardening-no-version', [], ({ answer }) => void answer.fields.push(['X-Powered-By', 'Express'])],
  [
    'a session cookie',
    'hardening-no-cookie',
    [],
    ({ answer }) => void answer.fields.push(['Set-Cookie', 'JSESSIONID=1'])
  ],
  [
    'credentials for any origin',
    'hardening-cors-credentials',
    [],
    ({ answer, request, isMetadata }) => {
      if (!isMetadata && request.headers.origin !== undefined && request.method === 'GET')
        answer.fields.push(
          ['Access-Control-Allow-Origin', request.headers.origin],
          ['Access-Control-Allow-Credentials', 'true'],
          ['Access-Control-Expose-Headers', 'WWW-Authenticate']
        )
    }
  ],
  [
    '500 for a long token',
    'hardening-long-token',
    [],
    (exchange) => {
      if (given(exchange).length > 5000) exchange.answer.status = 500
    }
  ],
  [
    '500 for a null header',
    'hardening-header-null',
    [],
    (exchange) => {
      if (given(exchange).startsWith('Bearer bnVsbA')) exchange.answer.status = 500
    }
  ],
  [
    'a second line is not seen',
    'hardening-two-authorization-lines',
    [],
    openIf(({ authorization }) => authorization.length > 1)
  ],
  [
    'OPTIONS shows the resource',
    'hardening-options',
    [],
    openIf(({ request, path }) => request.method === 'OPTIONS' && path === '/orders')
  ],
  [
    'TRACE repeats the token',
    'hardening-trace',
    [],
    (exchange) => {
      if (exchange.request.method === 'TRACE') Object.assign(exchange.answer, { status: 200, body: given(exchange) })
    }
  ],
  ['a double slash passes the guard', 'hardening-path-double-slash', [], openIf(({ path }) => path === '//orders')],
  ['capitals pass the guard', 'hardening-path-upper-case', [], openIf(({ path }) => path === '/ORDERS')],
  ['a final slash passes the guard', 'hardening-path-final-slash', [], openIf(({ path }) => path === '/orders/')],
  [
    'an encoded letter passes the guard',
    'hardening-path-encoded-letter',
    [],
    openIf(({ path }) => path === '/%6frders')
  ],
  [
    'the absolute form passes the guard',
    'hardening-absolute-form',
    [],
    openIf(({ path }) => path.startsWith('http://'))
  ],
  [
    'X-Original-URL passes the guard',
    'hardening-rewrite-fields',
    [],
    openIf(({ request }) => request.headers['x-original-url'] !== undefined)
  ],
  [
    'X-Forwarded-User passes the guard',
    'hardening-identity-fields',
    [],
    openIf(({ request }) => request.headers['x-forwarded-user'] !== undefined)
  ]
]

/** Credentials that break readers: the API answers 500 to the one that differs from all that other checks send. */
const READERS = outsideChecks.map(({ id }) => id).filter((id) => BREAKING.test(id))
/** Ways to write the path, as the router of an API sees them. */
const PATHS: readonly (readonly [id: string, target: string])[] = [
  ['hardening-path-dot', '/./orders'],
  ['hardening-path-encoded-dot', '/%2e/orders'],
  ['hardening-path-dot-dot', '/conformance/../orders'],
  ['hardening-path-encoded-dot-dot', '/conformance/%2e%2e/orders'],
  ['hardening-path-path-parameter', '/orders;conformance=1'],
  ['hardening-path-encoded-slash', '/%2forders'],
  ['hardening-path-extension', '/orders.json'],
  ['hardening-path-encoded-end', '/orders%00'],
  ['hardening-path-one-capital', '/Orders'],
  ['hardening-path-dot-dot-parameter', '/conformance/..;/orders'],
  ['hardening-path-first-parameter', '/;conformance=1/orders'],
  ['hardening-path-twice-encoded', '/%256frders'],
  ['hardening-path-encoded-space', '/orders%20'],
  ['hardening-path-backslash', '/%5corders']
]

/** A member of the header or of the claims of the token, if it is a JWT. */
function jsonOf(exchange: Exchange, index: number): Record<string, unknown> {
  try {
    const text = Buffer.from(given(exchange).slice(7).split('.')[index] ?? '', 'base64url').toString()
    return (JSON.parse(text) as Record<string, unknown> | null) ?? {}
  } catch {
    return {}
  }
}
const alg = (exchange: Exchange): string => jsonOf(exchange, 0)['alg'] as string
const issuer = (exchange: Exchange): string =>
  jsonOf(exchange, 1)['iss'] === 'https://conformance.invalid' ? 'suite' : ''

describe('APIs with one flaw', () => {
  test.each(FLAWS)('%s: found by %s', async (_flaw, id, others, change) => {
    const found = await failuresOf(await startPlain(change))
    expect(Object.keys(found).toSorted()).toEqual([id, ...others].toSorted())
  })

  test('hardening-path-inner-double-slash: finds a guard that does not know the path /api//orders', async () => {
    const origin = await listen(({ url }, response) => {
      const status = url === '/api//orders' ? 200 : url === '/api/orders' ? 401 : 404
      response.writeHead(status, { 'WWW-Authenticate': 'Bearer realm="x"' }).end('[]')
    })
    const { results } = await runConformance(`${origin}/api/orders`, { only: ['hardening-path-*'] })
    const failed = results.filter(({ verdict }) => verdict === 'failed')
    expect(failed.map(({ id }) => id)).toEqual(['hardening-path-inner-double-slash'])
  })

  test.each(PATHS)('%s: finds a guard that does not know the path %s', async (id, target) => {
    const found = await failuresOf(await startPlain(openIf(({ path }) => path === target)))
    expect(Object.keys(found)).toEqual([id])
  })

  test.each(READERS)('%s: finds an API that answers 500 to its credentials', async (id) => {
    // The credentials are learnt from an API without a flaw, in a run of that check alone.
    const seen = new Set<string>()
    const first = await startPlain((exchange) => void seen.add(given(exchange)))
    await runConformance(first, { only: [id] })
    seen.delete('')
    const breaks: Flaw = (exchange) => {
      if (seen.has(given(exchange))) exchange.answer.status = 500
    }
    expect(Object.keys(await failuresOf(await startPlain(breaks)))).toEqual([id])
  })

  test('every outside check that needs no https is meant for a flaw', () => {
    const meant = new Set<string>([
      'mcp-metadata',
      ...FLAWS.map(([, id]) => id),
      ...READERS,
      ...PATHS.map(([id]) => id),
      'hardening-path-inner-double-slash'
    ])
    const unproved = outsideChecks.map(({ id }) => id).filter((id) => !meant.has(id))
    expect(unproved).toEqual([
      'rfc6750-attributes-once',
      'rfc6750-https',
      'rfc9325-tls11',
      'rfc9728-resource-identical',
      'mcp-invalid-token',
      'hardening-hsts'
    ])
  })
})

describe('every check', () => {
  test.each(CHECKS.map((check) => [check.id, check] as const))('%s is told completely', (id, check) => {
    expect(id).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/)
    expect(PROFILES).toContain(check.profile)
    expect(check.title).toMatch(/^[A-Z0-9].*\.$/)
    if (check.level !== 'hardening') expect(check.source).toBeDefined()
    if (check.source !== undefined) {
      expect(check.source.quote.length).toBeLessThanOrEqual(300)
      expect(check.source.url).toMatch(/^https:\/\//)
    }
  })

  test('the six requirements of SEP-1932, and six modules of the OpenID suite, each have a check that bears their name', () => {
    const borne = new Set(CHECKS.flatMap(({ also = [] }) => also))
    const requirements = [
      'validate-proof',
      'iat-window',
      'reject-401',
      'asymmetric-only',
      'nonce',
      'audience-validation'
    ]
    const named = [...borne].filter((name) => name.startsWith('sep-1932-'))
    for (const one of requirements)
      expect(
        named.some((name) => name.endsWith(one.replace('only', 'alg-only'))),
        one
      ).toBe(true)
    expect([...borne].filter((name) => name.startsWith('fapi2-security-profile-final-'))).toHaveLength(6)
  })

  test('ids are unique', () => {
    const ids = CHECKS.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
