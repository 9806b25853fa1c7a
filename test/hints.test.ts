/** What the hint of a refusal says in situations that operators meet: what came, and what to change. */
import { describe, expect, test } from 'vitest'
import { base64Der, base64DerChain, plainPem, resourceServer, urlEncodedPemChain } from '../src/index.js'
import { mcp } from '../src/presets.js'
import { auth0 } from '../src/profiles.js'
import { createCertificateAuthority } from './support/certificates.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  ISSUER,
  issuerKey,
  keySet,
  NOW,
  outcome,
  RESOURCE,
  refusal
} from './support/refusals.js'
import { silenceWarnings } from './support/warnings.js'

silenceWarnings()
const told = async (authorization: string, server = api()) => refusal(() => server.authorize(get({ authorization })))

describe('a word in place of a token', () => {
  test.each([
    ['Bearer undefined', 'empty'],
    ['Bearer null', 'empty'],
    ['Bearer', 'empty'],
    ['Bearer Bearer', 'empty'],
    ['Bearer "eyJhbGciOi"', 'quotes'],
    ['Bearer Bearer x.y.z', 'twice'],
    ['Bearer {{token}}', 'placeholder'],
    ['Bearer a.b.c.d.e', 'ask for an audience']
  ])('%s is refused with a hint that says %s', async (line, word) => {
    const error = await told(line)
    expect([400, 401]).toContain(error.status)
    expect(error.hint).toContain(word)
    expect(error.hint).not.toContain('eyJ')
  })
})

test('a token longer than maxTokenLength is refused with a hint that names the option, and a longer limit takes it', async () => {
  const token = accessToken({ claims: { padding: 'x'.repeat(20_000) } })
  const error = await told(`Bearer ${token}`)
  expect(error.hint).toContain('`maxTokenLength`')
  expect(error.hint).toContain('--max-http-header-size')
  expect(await outcome(api({ maxTokenLength: 65_536 }), bearer(token))).toEqual(granted)
  expect(() => api({ maxTokenLength: 65_537 })).toThrow('`maxTokenLength`')
})

test.each(['exp', 'iat', 'nbf'])('%s in milliseconds is refused as claim, with the word milliseconds', async (name) => {
  const error = await told(`Bearer ${accessToken({ claims: { [name]: NOW * 1000 } })}`)
  expect(error).toMatchObject({ reason: 'claim', hint: expect.stringContaining('milliseconds') })
})

test('aud that differs by a final slash, or is missing, is refused with a hint that names the way', async () => {
  expect((await told(`Bearer ${accessToken({ claims: { aud: `${RESOURCE}/` } })}`)).hint).toContain('final slash')
  expect((await told(`Bearer ${accessToken({ claims: { aud: undefined } })}`)).hint).toContain('`audienceClaim`')
})

test('mcp() accepts an audience with an empty path with and without its final slash (RFC 3986 §6.2.3)', async () => {
  const issuer = { issuer: ISSUER, jwks: keySet(issuerKey) }
  for (const resource of [RESOURCE, `${RESOURCE}/`]) {
    const server = resourceServer(mcp({ resource, issuers: [issuer], now: () => NOW }))
    for (const aud of [RESOURCE, `${RESOURCE}/`, [`${RESOURCE}/`]])
      expect((await outcome(server, bearer(accessToken({ claims: { aud } })))).status).toBe(200)
    expect((await outcome(server, bearer(accessToken({ claims: { aud: `${RESOURCE}/x` } })))).status).toBe(401)
  }
})

test('an iss that is not a URL is refused with a hint that names acceptedIssuers and jwksUri', async () => {
  const token = accessToken({ claims: { iss: 'acme.com' } })
  const { hint } = await told(`Bearer ${token}`)
  expect(hint).toContain('`acceptedIssuers`')
  expect(hint).toContain('`jwksUri`')
  expect(await outcome(api({}, { acceptedIssuers: ['acme.com'] }), bearer(token))).toEqual(granted)
})

test('auth0() takes a domain with a port', () => {
  expect(auth0({ domain: 'auth.example.com:8443', audience: 'a' }).issuer).toBe('https://auth.example.com:8443/')
  expect(() => auth0({ domain: 'https://auth.example.com', audience: 'a' })).toThrow('without https://')
})

describe('certificates as proxies write them', () => {
  const authority = createCertificateAuthority()
  const pem = authority.issue({ commonName: 'client', client: true }).cert
  const body = (text: string): string => text.replace(/-----.*-----|\s/g, '')
  const der = Buffer.from(body(pem), 'base64')
  test('reads Traefik, HAProxy, Apache, Azure and ALB chains', () => {
    expect(base64DerChain(`${body(pem)},${body(authority.cert)}`)).toEqual(der)
    expect(base64DerChain(encodeURIComponent(body(pem)))).toEqual(der)
    expect(base64Der(body(pem))).toEqual(der)
    expect(plainPem(pem.replaceAll('\n', ' '))).toEqual(der)
    expect(plainPem(encodeURIComponent(pem))).toEqual(der)
    expect(urlEncodedPemChain(encodeURIComponent(pem + authority.cert))).toEqual(der)
  })
  test.each([
    ['not in `clientCertificate.trustedProxies`', '10.0.0.9', {}],
    ['did not arrive', '10.0.0.7', {}],
    ['returned nothing', '10.0.0.7', { 'client-cert': body(pem) }]
  ])(
    'a certificate-bound token without a readable certificate: the hint says %s',
    async (words, peerAddress, fields) => {
      const token = accessToken({ claims: { cnf: { 'x5t#S256': 'x' } } })
      const server = api({ clientCertificate: { trustedProxies: ['10.0.0.7'] } })
      const request = { ...bearer(token, fields as Record<string, string>), peerAddress }
      const error = await refusal(() => server.authorize(request))
      expect(error.hint.replace(' is ', ' ')).toContain(words.replace('not in', 'not in'))
    }
  )
})
