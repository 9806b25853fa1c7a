/** The rules about protected resource metadata: RFC 9728, as `api.metadata` answers, whatever serves it. */
import { describe, expect, test } from 'vitest'
import {
  anyScope,
  type MetadataAnswer,
  type ProtectedResourceMetadata,
  type ResourceRequest,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import { createBed, refusal, request } from '../support/exchange.js'
import { createSigningKey, signJws } from '../support/issuer.js'

const bed = createBed()
const I = 'https://as.example.com'
const R = 'https://api.example.com'
const WELL_KNOWN = '/.well-known/oauth-protected-resource'

function create(options: Partial<ResourceServerOptions> = {}) {
  const api = resourceServer({ resource: R, issuers: [I], ...options })
  return { api, metadata: api.metadata as ProtectedResourceMetadata }
}

/** A request for the metadata, without any credentials unless given. */
function asking(url: string, method = 'GET', fields: Readonly<Record<string, string>> = {}): ResourceRequest {
  return { ...request(undefined, fields, url), method }
}

function respond(metadata: ProtectedResourceMetadata, ...args: Parameters<typeof asking>): MetadataAnswer {
  const answer = metadata.respond(asking(...args))
  if (!answer) throw new Error('the request is for another path')
  return answer
}

function json({ body }: MetadataAnswer): Record<string, unknown> {
  return JSON.parse(body as string)
}

describe('PRM-01 (RFC 9728 §3.1-3.2): the answer', () => {
  test('PRM-01 (RFC 9728 §3.1-3.2): answers GET with 200 and application/json, without authentication', () => {
    const { metadata } = create()
    const answer = respond(metadata, WELL_KNOWN)
    expect(answer.status).toBe(200)
    expect(answer.headers['Content-Type']).toBe('application/json')
    expect(answer.headers['Content-Length']).toBe(String(Buffer.byteLength(answer.body as string)))
    expect(json(answer)).toEqual({ resource: R, authorization_servers: [I], bearer_methods_supported: ['header'] })
    expect(json(answer)).toEqual(metadata.document())
  })

  test('PRM-01 (RFC 9728 §3.1): ignores credentials, good or bad', () => {
    const { metadata } = create()
    const plain = respond(metadata, WELL_KNOWN)
    expect(respond(metadata, WELL_KNOWN, 'GET', { authorization: 'Bearer junk' })).toEqual(plain)
  })

  test('PRM-01 (RFC 9728 §3.1): ignores a query that the identifier does not have', () => {
    const { metadata } = create()
    expect(respond(metadata, `${WELL_KNOWN}?x=1`)).toEqual(respond(metadata, WELL_KNOWN))
  })

  test('PRM-01 (RFC 9728 §3.2): Content-Length counts bytes, not characters', () => {
    const { metadata } = create({ metadata: { resource_name: 'Größe €' } })
    const { headers, body } = respond(metadata, WELL_KNOWN)
    expect(headers['Content-Length']).toBe(String(Buffer.byteLength(body as string)))
    expect(headers['Content-Length']).not.toBe(String((body as string).length))
  })
})

describe('PRM-02 (RFC 9728 §3.1): the place', () => {
  test.each([
    ['https://h.example', WELL_KNOWN],
    ['https://h.example/', WELL_KNOWN],
    ['https://h.example/r1', `${WELL_KNOWN}/r1`],
    ['https://h.example/r1/', `${WELL_KNOWN}/r1/`],
    ['https://h.example/a/b/c', `${WELL_KNOWN}/a/b/c`],
    ['https://h.example:8443/r1', `${WELL_KNOWN}/r1`],
    ['https://h.example/r1?tenant=2', `${WELL_KNOWN}/r1?tenant=2`],
    ['https://h.example?tenant=2', `${WELL_KNOWN}?tenant=2`],
    ['https://h.example/?tenant=2', `${WELL_KNOWN}?tenant=2`],
    ['https://h.example/a%20b', `${WELL_KNOWN}/a%20b`]
  ])('PRM-02 (RFC 9728 §3.1): publishes the document of %s at %s', (resource, path) => {
    const { metadata } = create({ resource })
    const { origin } = new URL(resource)
    expect(metadata.path).toBe(path)
    expect(metadata.url).toBe(origin + path)
    expect(json(respond(metadata, path)).resource).toBe(resource)
  })

  test('PRM-02 (RFC 9728 §3.1): a resource with a query answers for exactly that query', () => {
    const { metadata } = create({ resource: `${R}/r1?tenant=2` })
    expect(metadata.respond(asking(`${WELL_KNOWN}/r1?tenant=2`))?.status).toBe(200)
    expect(metadata.respond(asking(`${WELL_KNOWN}/r1?tenant=3`))).toBeUndefined()
    expect(metadata.respond(asking(`${WELL_KNOWN}/r1`))).toBeUndefined()
  })
})

test.each([R, `${R}/`, 'https://API.example.com:443/A/../b', `${R}/a~b`, `${R}/a%7Eb`])(
  'PRM-03 (RFC 9728 §3.3): names the resource %s, byte for byte',
  (resource) => {
    const { metadata, api } = create({ resource })
    expect(metadata.document().resource).toBe(resource)
    expect(json(respond(metadata, metadata.path)).resource).toBe(resource)
    expect(api.resource).toBe(resource)
  }
)

describe('PRM-04 (RFC 9728 §1.2): the identifier', () => {
  test.each([
    ['http://api.example.com', /`resource` is "http:\/\/api.example.com": use https/],
    ['http://api.localhost', /use https/],
    ['https://api.example.com#f', /`resource` must not have a fragment/],
    ['api.example.com', /`resource` is "api.example.com"/],
    ['/items', /`resource` is "\/items"/],
    ['urn:api', /`resource` is "urn:api"/],
    ['https://u:p@api.example.com', /user name or password/],
    [undefined, /`resource` is missing/]
  ])('PRM-04 (RFC 9728 §1.2): refuses %s at start', (resource, problem) => {
    const start = () => create({ resource: resource as string })
    expect(start).toThrow(TypeError)
    expect(start).toThrow(problem)
  })

  test.each(['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000/api'])(
    'PRM-04 (RFC 9728 §1.2): accepts %s, which stays on this machine',
    (resource) => {
      expect(create({ resource }).metadata.url.startsWith(new URL(resource).origin)).toBe(true)
    }
  )
})

test('PRM-05 (RFC 9728 §2): always names the resource, which the settings of metadata cannot change', () => {
  expect(create().metadata.document().resource).toBe(R)
  expect(() => create({ metadata: { resource: 'https://other.example' } })).toThrow(/`metadata.resource` cannot be set/)
})

describe('PRM-06 (RFC 9728 §2): authorization_servers', () => {
  test('PRM-06 (RFC 9728 §2): lists the issuers, verbatim and in order', () => {
    const issuers = ['https://as.example.com/', { issuer: 'https://AS.example.com/t1' }]
    expect(create({ issuers }).metadata.document().authorization_servers).toEqual([
      'https://as.example.com/',
      'https://AS.example.com/t1'
    ])
  })

  test('PRM-06 (RFC 9728 §2): may list a subset of the issuers', () => {
    const { metadata } = create({ issuers: [I, 'https://two.example'], metadata: { authorization_servers: [I] } })
    expect(metadata.document().authorization_servers).toEqual([I])
  })

  test('PRM-06 (RFC 9728 §2): lists no servers of an issuer resolver, unless they are given', () => {
    const issuers = () => undefined
    expect(create({ issuers }).metadata.document()).not.toHaveProperty('authorization_servers')
    const given = create({ issuers, metadata: { authorization_servers: [I] } })
    expect(given.metadata.document().authorization_servers).toEqual([I])
  })

  test('PRM-06 (RFC 9728 §2): does not list acceptedIssuers, which are names in tokens', () => {
    const issuers = [{ issuer: I, acceptedIssuers: ['https://sts.example.com'] }]
    expect(create({ issuers }).metadata.document().authorization_servers).toEqual([I])
  })

  test.each([[I], [[1]], [{ 0: I }]])(
    'PRM-06 (RFC 9728 §2): refuses %j at start, which is not a list of servers',
    (servers) => {
      const start = () => create({ metadata: { authorization_servers: servers === I ? I : servers } })
      expect(start).toThrow(/`metadata.authorization_servers` (is|holds)/)
    }
  )
})

describe('PRM-07 (RFC 9728 §2): keys of this API', () => {
  test('PRM-07 (RFC 9728 §2): publishes jwks_uri if it is given, and never the authorization server’s by itself', () => {
    const issuers = [{ issuer: I, jwksUri: `${I}/jwks` }]
    expect(create({ issuers }).metadata.document()).not.toHaveProperty('jwks_uri')
    const own = create({ metadata: { jwks_uri: `${R}/jwks`, resource_signing_alg_values_supported: ['ES256'] } })
    expect(own.metadata.document()).toMatchObject({
      jwks_uri: `${R}/jwks`,
      resource_signing_alg_values_supported: ['ES256']
    })
  })

  test('PRM-07 (RFC 9728 §2): requires https for jwks_uri, and refuses the algorithm none', () => {
    expect(() => create({ metadata: { jwks_uri: 'http://api.example.com/jwks' } })).toThrow(
      /`metadata.jwks_uri` is .*https/
    )
    expect(() => create({ metadata: { resource_signing_alg_values_supported: ['ES256', 'none'] } })).toThrow(
      /must not hold `none`/
    )
  })

  test('PRM-07 (RFC 9728 §2): refuses the authorization server’s own key set as this API’s', () => {
    const issuers = [{ issuer: I, jwksUri: `${I}/jwks` }]
    expect(() => create({ issuers, metadata: { jwks_uri: `${I}/jwks` } })).toThrow(/`metadata.jwks_uri`/)
  })
})

describe('PRM-08 (RFC 9728 §2): scopes_supported', () => {
  test('PRM-08 (RFC 9728 §2): lists the scopes that routes require, each once, as they are declared', () => {
    const { api, metadata } = create()
    expect(metadata.document()).not.toHaveProperty('scopes_supported')
    api.protect(scope('read'))
    api.protect(scope('read', 'write'))
    api.protect(anyScope('admin', 'support'))
    api.protect()
    expect(metadata.document().scopes_supported).toEqual(['read', 'write', 'admin', 'support'])
  })

  test('PRM-08 (RFC 9728 §2): lists scopes of routes declared after the first request, under a new ETag', () => {
    const { api, metadata } = create()
    api.protect(scope('read'))
    const before = respond(metadata, WELL_KNOWN)
    api.protect(scope('write'))
    const after = respond(metadata, WELL_KNOWN, 'GET', { 'if-none-match': before.headers.ETag as string })
    expect(after.status).toBe(200)
    expect(json(after).scopes_supported).toEqual(['read', 'write'])
    expect(after.headers.ETag).not.toBe(before.headers.ETag)
  })

  test('PRM-08 (RFC 9728 §7.2): lists the scopes of the settings where there are any, and none where they say so', () => {
    const { api, metadata } = create({ metadata: { scopes_supported: ['read'] } })
    api.protect(scope('admin'))
    expect(metadata.document().scopes_supported).toEqual(['read'])
    const { api: quiet, metadata: hidden } = create({ metadata: { scopes_supported: [] } })
    quiet.protect(scope('admin'))
    expect(hidden.document()).not.toHaveProperty('scopes_supported')
  })

  test('PRM-08 (RFC 9728 §2): lists scopes that every request needs', () => {
    const { api, metadata } = create({ checks: [scope('base')] })
    api.protect(scope('read'))
    expect(metadata.document().scopes_supported).toEqual(['base', 'read'])
  })
})

test('PRM-09 (RFC 9728 §2): lists header as bearer method, the only one that is read', () => {
  expect(create().metadata.document().bearer_methods_supported).toEqual(['header'])
  expect(() => create({ metadata: { bearer_methods_supported: ['header', 'query'] } })).toThrow(
    /`metadata.bearer_methods_supported` cannot be set: tokens are read from the Authorization field only/
  )
})

test('PRM-10 (RFC 9728 §2.1): publishes names and pages for people, in every language given', () => {
  const members = {
    resource_name: 'Example API',
    'resource_name#it': 'API di esempio',
    resource_documentation: 'https://docs.example.com',
    resource_policy_uri: 'https://docs.example.com/policy',
    resource_tos_uri: 'https://docs.example.com/tos'
  }
  expect(create({ metadata: members }).metadata.document()).toMatchObject(members)
  for (const member of ['resource_documentation', 'resource_policy_uri', 'resource_tos_uri']) {
    expect(() => create({ metadata: { [member]: 'docs' } })).toThrow(new RegExp(`\`metadata.${member}\` is "docs"`))
  }
})

test('PRM-11 (RFC 9728 §2): leaves out tls_client_certificate_bound_access_tokens, which means false', () => {
  expect(create().metadata.document()).not.toHaveProperty('tls_client_certificate_bound_access_tokens')
})

test('PRM-12 (RFC 9728 §2): publishes nothing of DPoP without it, and authorization_details_types_supported as given', () => {
  const { metadata } = create({ metadata: { authorization_details_types_supported: ['payment'] } })
  expect(metadata.document().authorization_details_types_supported).toEqual(['payment'])
  expect(Object.keys(metadata.document()).filter((name) => name.startsWith('dpop'))).toEqual([])
})

describe('PRM-13 (RFC 9728 §2.2): signed_metadata', () => {
  const key = createSigningKey('ES256')
  const signed = (claims: Record<string, unknown>) => signJws({ alg: 'ES256', kid: key.kid }, claims, key)

  test('PRM-13 (RFC 9728 §2.2): publishes signed_metadata as given', () => {
    const jwt = signed({ iss: R, resource: R })
    expect(create({ metadata: { signed_metadata: jwt } }).metadata.document().signed_metadata).toBe(jwt)
  })

  test.each([
    ['that holds another', () => signed({ iss: R, signed_metadata: 'x' }), /holds another `signed_metadata`/],
    ['without iss', () => signed({ resource: R }), /has no `iss` claim/],
    ['that is no JWT', () => 'x', /is not a JWT/],
    ['whose payload is a list', () => signJws({ alg: 'ES256' }, '[]', key), /signed_metadata` is an array/]
  ])('PRM-13 (RFC 9728 §2.2): refuses signed_metadata %s at start', (_, jwt, problem) => {
    expect(() => create({ metadata: { signed_metadata: jwt() } })).toThrow(problem)
  })
})

describe('PRM-14 (RFC 9728 §3.2): members', () => {
  test('PRM-14 (RFC 9728 §3.2): leaves out members with an empty list', () => {
    const { metadata } = create({ metadata: { 'x-list': [], authorization_details_types_supported: [] } })
    expect(json(respond(metadata, WELL_KNOWN))).toEqual({
      resource: R,
      authorization_servers: [I],
      bearer_methods_supported: ['header']
    })
  })

  test('PRM-14 (RFC 9728 §3.2): publishes members that no RFC names', () => {
    const extension = { 'x-vendor': { nested: [1, true, null] } }
    expect(create({ metadata: extension }).metadata.document()).toMatchObject(extension)
  })

  test('PRM-14 (RFC 9728 §3.2): does not follow later changes of the given object', () => {
    const members: Record<string, unknown> = { resource_name: 'one' }
    const { metadata } = create({ metadata: members })
    members['resource_name'] = 'two'
    expect(metadata.document().resource_name).toBe('one')
  })
})

describe('PRM-15 (RFC 9728 §5.1): resource_metadata in challenges', () => {
  test('PRM-15 (RFC 9728 §5.1): names the URL of the settings, whatever Host and its friends say', async () => {
    const { api, metadata } = create({ resource: `${R}/v1` })
    const fields = { host: 'evil.example', 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' }
    const error = await refusal(() => api.authorize(request(undefined, fields)))
    expect(error.headers['WWW-Authenticate']).toEqual([
      'Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"'
    ])
    expect(metadata.url).toBe('https://api.example.com/.well-known/oauth-protected-resource/v1')
    expect(respond(metadata, metadata.path, 'GET', fields)).toEqual(respond(metadata, metadata.path))
  })

  test('PRM-15 (RFC 9728 §5.1): names the URL in 401 and in 403', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    for (const [status, token] of [
      [401, undefined],
      [401, 'junk'],
      [403, issuer.token({ claims: { scope: 'other' } })]
    ] as const) {
      const error = await refusal(() => api.authorize(request(token), scope('read')))
      expect(error.status).toBe(status)
      expect(String(error.headers['WWW-Authenticate'])).toContain(`resource_metadata="${R}${WELL_KNOWN}"`)
    }
  })

  test('PRM-15 (RFC 9110 §11.6.1): keeps the percent-encoding of the identifier in the challenge', async () => {
    const { api, metadata } = create({ resource: `${R}/gr%C3%B6%C3%9Fe%20%22x%22` })
    const error = await refusal(() => api.authorize(request()))
    expect(error.headers['WWW-Authenticate']).toEqual([
      `Bearer resource_metadata="${R}${WELL_KNOWN}/gr%C3%B6%C3%9Fe%20%22x%22"`
    ])
    expect(metadata.document().resource).toBe(`${R}/gr%C3%B6%C3%9Fe%20%22x%22`)
  })

  // A parser mends these in silence: the identifier would be one text here, another in a header, or end the field.
  test.each(['/größe', '/a b', '/a"b', '/a\\b', '/a\tb', '/a\r\nb', '/日本'])(
    'PRM-04 HTTP-10 (RFC 3986 §2): refuses an identifier with %j at start, which is not a URI',
    (path) => {
      expect(() => create({ resource: `${R}${path}` })).toThrow(/`resource` is/)
      expect(() => create({ issuers: [`${I}${path}`] })).toThrow(/`issuers\[0\]` is/)
    }
  )

  test('PRM-15 (RFC 6750 §3): names no URL with metadata false, and the realm instead', async () => {
    const api = resourceServer({ resource: R, issuers: [I], metadata: false })
    expect(api.metadata).toBeUndefined()
    const error = await refusal(() => api.authorize(request()))
    expect(error.headers['WWW-Authenticate']).toEqual([`Bearer realm="${R}"`])
  })
})

describe('PRM-16 (RFC 9728 §7.10): caching', () => {
  test('PRM-16 (RFC 9728 §7.10): lets every cache keep the document for an hour', () => {
    expect(respond(create().metadata, WELL_KNOWN).headers['Cache-Control']).toBe('public, max-age=3600')
  })

  test('PRM-16 (RFC 9110 §13.1.2): derives the ETag from the document, so that it is the same in every process', () => {
    const etag = ({ metadata }: ReturnType<typeof create>) => respond(metadata, WELL_KNOWN).headers.ETag
    expect(etag(create())).toMatch(/^"[\w-]{22}"$/)
    expect(etag(create())).toBe(etag(create()))
    expect(etag(create())).not.toBe(etag(create({ metadata: { resource_name: 'x' } })))
  })

  test('PRM-16 (RFC 9110 §13.1.2): confirms a copy that is current with 304 and no body', () => {
    const { metadata } = create()
    const { ETag: etag } = respond(metadata, WELL_KNOWN).headers as { ETag: string }
    const fields = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=3600', ETag: etag }
    for (const method of ['GET', 'HEAD']) {
      for (const condition of [etag, `W/${etag}`, `"other", ${etag}`, `"other",W/${etag} `, '*']) {
        const answer = respond(metadata, WELL_KNOWN, method, { 'if-none-match': condition })
        expect(answer).toEqual({ status: 304, headers: fields, body: undefined })
      }
      for (const condition of ['"other"', 'W/"other"', '', etag.slice(1, -1)]) {
        expect(respond(metadata, WELL_KNOWN, method, { 'if-none-match': condition }).status).toBe(200)
      }
    }
  })
})

describe('PRM-17 (Fetch standard; RFC 9110 §15.5.6): methods and origins', () => {
  test('PRM-17 (Fetch standard): lets a script of any origin read the document', () => {
    const { metadata } = create()
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
      const { headers } = respond(metadata, WELL_KNOWN, method, { origin: 'https://app.example' })
      expect(headers['Access-Control-Allow-Origin']).toBe('*')
    }
  })

  test('PRM-17 (Fetch standard): answers a preflight with 204, and allows what was asked for', () => {
    const fields = {
      origin: 'https://app.example',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'mcp-protocol-version, x-custom'
    }
    expect(respond(create().metadata, WELL_KNOWN, 'OPTIONS', fields)).toEqual({
      status: 204,
      headers: {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
        'Access-Control-Allow-Headers': 'mcp-protocol-version, x-custom',
        Vary: 'Access-Control-Request-Headers'
      },
      body: undefined
    })
  })

  test.each(['x\r\nset-cookie: a=1', 'x: y', 'größe', ''])(
    'PRM-17 (RFC 9110 §5.6.2): does not send back an invalid list of header names (%j)',
    (names) => {
      const fields = { 'access-control-request-headers': names }
      const { headers } = respond(create().metadata, WELL_KNOWN, 'OPTIONS', fields)
      expect(headers).not.toHaveProperty('Access-Control-Allow-Headers')
    }
  )

  test('PRM-17 (RFC 9110 §9.3.2): answers HEAD with the fields of GET and no body', () => {
    const { metadata } = create()
    const get = respond(metadata, WELL_KNOWN)
    expect(respond(metadata, WELL_KNOWN, 'HEAD')).toEqual({ ...get, body: undefined })
  })

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'get'])(
    'PRM-17 (RFC 9110 §15.5.6): answers %s with 405',
    (method) => {
      expect(respond(create().metadata, WELL_KNOWN, method)).toEqual({
        status: 405,
        headers: { 'Access-Control-Allow-Origin': '*', Allow: 'GET, HEAD, OPTIONS' },
        body: undefined
      })
    }
  )
})

describe('PRM-18 (RFC 9728 §3.1): several resources on one host', () => {
  test('PRM-18 (RFC 9728 §3.1): publishes a document for each resource, and none answers for another', () => {
    const resources = [R, `${R}/v1`, `${R}/v1/`, `${R}/v10`, `${R}/v1/orders`]
    const all = resources.map((resource) => create({ resource }).metadata)
    for (const { path, url } of all) {
      const answers = all.map((one) => one.respond(asking(path))?.status)
      expect(answers).toEqual(all.map((one) => (one.url === url ? 200 : undefined)))
    }
  })

  test.each([
    `${WELL_KNOWN}/nope`,
    `${WELL_KNOWN}/`,
    `${WELL_KNOWN}x`,
    '/.well-known/oauth-authorization-server',
    '/.well-known',
    '/',
    `//.well-known/oauth-protected-resource`,
    `/v1${WELL_KNOWN}`,
    WELL_KNOWN.toUpperCase(),
    '/items?x=/.well-known/oauth-protected-resource'
  ])('PRM-18 (RFC 9728 §7.3): does not answer %s, which is not a request for it', (url) => {
    expect(create().metadata.respond(asking(url))).toBeUndefined()
  })
})

test('PRM-19 (RFC 9728 §3.3): an API under a prefix has the prefix in its identifier, which /api/v10 does not share', () => {
  const one = create({ resource: `${R}/api/v1` }).metadata
  expect(one.document().resource).toBe(`${R}/api/v1`)
  expect(one.path).toBe(`${WELL_KNOWN}/api/v1`)
  for (const path of [`${WELL_KNOWN}/api/v10`, `${WELL_KNOWN}/api/v1/orders`, `${WELL_KNOWN}/api`, WELL_KNOWN]) {
    expect(one.respond(asking(path))).toBeUndefined()
  }
})

test('PRM-20 (RFC 8615 §3): publishes the document at the root of the origin, whatever prefix the API has', () => {
  const { metadata } = create({ resource: `${R}/api` })
  expect(metadata.path.startsWith('/.well-known/')).toBe(true)
  expect(metadata.respond(asking(`/api${WELL_KNOWN}`))).toBeUndefined()
  expect(metadata.respond(asking(`${WELL_KNOWN}/api`))?.status).toBe(200)
})
