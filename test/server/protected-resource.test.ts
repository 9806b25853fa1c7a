/** The metadata document and its answers, by themselves; the rules of RFC 9728 are in rfc/rfc9728-metadata.test.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createProtectedResourceMetadata, metadataUrl } from '../../src/server/protected-resource.js'
import { request } from '../support/exchange.js'

function create(more: Partial<Parameters<typeof createProtectedResourceMetadata>[0]> = {}) {
  return createProtectedResourceMetadata({
    resource: 'https://api.example.com',
    authorizationServers: ['https://as.example.com'],
    derived: () => ({}),
    members: {},
    ...more
  })
}

const get = (url: string) => request(undefined, {}, url)

describe('metadataUrl', () => {
  test.each([
    ['https://api.example.com', 'https://api.example.com/.well-known/oauth-protected-resource'],
    ['https://api.example.com/', 'https://api.example.com/.well-known/oauth-protected-resource'],
    ['https://api.example.com/v1', 'https://api.example.com/.well-known/oauth-protected-resource/v1'],
    ['https://api.example.com/v1/', 'https://api.example.com/.well-known/oauth-protected-resource/v1/'],
    ['https://api.example.com?a=b', 'https://api.example.com/.well-known/oauth-protected-resource?a=b'],
    ['https://api.example.com/?a=b/', 'https://api.example.com/.well-known/oauth-protected-resource?a=b/'],
    ['https://API.example.com:443/V1', 'https://api.example.com/.well-known/oauth-protected-resource/V1'],
    ['http://[::1]:3000/v1', 'http://[::1]:3000/.well-known/oauth-protected-resource/v1']
  ])('of %s', (resource, url) => {
    expect(metadataUrl(resource)).toBe(url)
  })

  test('is printable ASCII without quote or backslash, whatever the path is', () => {
    fc.assert(
      fc.property(fc.webPath(), fc.string({ unit: 'grapheme' }), (path, name) => {
        const resource = `https://api.example.com${path}/${name.replaceAll('#', '')}`
        expect(metadataUrl(resource)).toMatch(/^[\x21\x23-\x5B\x5D-\x7E]+$/)
      }),
      // A line separator, which `.` of a RegExp does not match.
      { examples: [['', '\u2028']] }
    )
  })

  test('is where the document answers, whatever the path is', () => {
    fc.assert(
      fc.property(fc.webPath(), fc.option(fc.webQueryParameters(), { nil: '' }), (path, query) => {
        const resource = `https://api.example.com${path}${query && `?${query}`}`
        const metadata = create({ resource })
        expect(metadata.url).toBe(`https://api.example.com${metadata.path}`)
        expect(JSON.parse(metadata.respond(get(metadata.path))?.body ?? '{}').resource).toBe(resource)
        expect(metadata.respond(get(`${metadata.path}x`))).toBeUndefined()
      })
    )
  })
})

describe('the document', () => {
  test('is made again only when the scopes change', () => {
    const scopes = ['read']
    const metadata = create({ derived: () => ({ scopes_supported: scopes }) })
    const [one, two] = [metadata.respond(get(metadata.path)), metadata.respond(get(metadata.path))]
    expect(one).toEqual(two)
    scopes.push('write')
    const three = metadata.respond(get(metadata.path))
    expect(JSON.parse(three?.body as string).scopes_supported).toEqual(['read', 'write'])
    expect(three?.headers.ETag).not.toBe(one?.headers.ETag)
  })

  test('lets members of the user’s take the place of those that are known', () => {
    const metadata = create({ members: { authorization_servers: ['https://other.example'], scopes_supported: ['a'] } })
    expect(metadata.document()).toMatchObject({
      authorization_servers: ['https://other.example'],
      scopes_supported: ['a']
    })
  })

  test('has no member without a value', () => {
    const { body } = create({ members: { resource_name: undefined } }).respond(
      get('/.well-known/oauth-protected-resource')
    ) as { body: string }
    expect(JSON.parse(body)).not.toHaveProperty('resource_name')
  })

  test('is a new object each time, so that what a caller does to it reaches nobody', () => {
    const metadata = create()
    const document = metadata.document() as Record<string, unknown>
    document['resource'] = 'changed'
    expect(metadata.document().resource).toBe('https://api.example.com')
  })
})

describe('the keys of the resource', () => {
  const jwks = { keys: [{ kty: 'EC', kid: 'a', use: 'enc', crv: 'P-256', x: 'x', y: 'y' }] }

  test.each([
    ['https://api.example.com', 'https://api.example.com/.well-known/jwks.json'],
    ['https://api.example.com/', 'https://api.example.com/.well-known/jwks.json'],
    ['https://api.example.com/v1', 'https://api.example.com/.well-known/jwks.json/v1'],
    ['https://api.example.com/v1/', 'https://api.example.com/.well-known/jwks.json/v1/'],
    ['https://api.example.com?a=b', 'https://api.example.com/.well-known/jwks.json?a=b']
  ])('of %s are at a place of its own, which the document names', (resource, uri) => {
    const metadata = create({ resource, jwks })
    expect(metadata.document()['jwks_uri']).toBe(uri)
    const { pathname, search } = new URL(uri)
    const answer = metadata.respond(get(pathname + search))
    expect(answer).toEqual({
      status: 200,
      headers: {
        'Access-Control-Allow-Origin': '*',
        'Cache-Control': 'public, max-age=3600',
        'Content-Length': String(JSON.stringify(jwks).length),
        'Content-Type': 'application/jwk-set+json',
        ETag: expect.stringMatching(/^"[\w-]{22}"$/)
      },
      body: JSON.stringify(jwks)
    })
    const again = { ...get(pathname + search), fieldLines: () => [answer?.headers['ETag'] as string] }
    expect(metadata.respond(again)).toMatchObject({ status: 304, body: undefined })
    expect(metadata.respond({ ...get(pathname + search), method: 'HEAD' })).toMatchObject({
      status: 200,
      headers: { 'Content-Length': answer?.headers['Content-Length'] },
      body: undefined
    })
    expect(metadata.respond({ ...get(pathname + search), method: 'OPTIONS' })?.status).toBe(204)
    expect(metadata.respond({ ...get(pathname + search), method: 'POST' })?.status).toBe(405)
  })

  test('are nowhere without keys, and the document is where it was', () => {
    const without = create()
    expect(without.respond(get('/.well-known/jwks.json'))).toBeUndefined()
    expect(without.document()).not.toHaveProperty('jwks_uri')
    const withKeys = create({ jwks })
    expect(withKeys.respond(get('/.well-known/oauth-protected-resource'))?.headers['Content-Type']).toBe(
      'application/json'
    )
    expect(withKeys.respond(get('/.well-known/jwks.json/v1'))).toBeUndefined()
  })
})
