/** What the hint of a refusal says in situations that operators meet: what came, and what to change. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, test } from 'vitest'
import {
  base64Der,
  base64DerChain,
  type ClientAuth,
  clientSecretBasic,
  clientSecretPost,
  plainPem,
  resourceServer,
  urlEncodedPemChain,
  type WarningEvent
} from '../../src/index.js'
import { auth0 } from '../../src/profiles/index.js'
import { mcp } from '../../src/profiles/mcp.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { createDpopKey } from '../support/dpop.js'
import { authorize, createBed, introspecting } from '../support/exchange.js'
import { fault } from '../support/issuer.js'
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
} from '../support/refusals.js'
import { silenceWarnings } from '../support/warnings.js'

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
    ['Bearer a.b.c.d.e', 'request an audience']
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
    ['The request has no field', '10.0.0.7', {}],
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

const bed = createBed()

describe('client secrets at a server that does not decode Basic', () => {
  /** The hint after a server has answered that takes `api:secret` in base64 as it is (RFC 6749 §2.3.1 encodes it before). */
  const hintFor = async (auth: ClientAuth, secret: string, clientId = 'api'): Promise<string> => {
    const issuer = await bed.issuer()
    const raw = `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`
    issuer.introspectionAuth = ({ headers }) => headers.authorization === raw
    const server = bed.api({ issuers: [introspecting(issuer, { auth, clientId })] })
    const error = await refusal(() => authorize(server, issuer.opaque()))
    expect(error.status).toBe(500)
    return error.hint
  }
  test.each(['sesame+1', 'sesame:1', 'sesame/1', 'sesame%1', 'sesame 1', 'sesamé'])(
    'the secret %s: the hint names form-encoding and clientSecretPost, and not the secret',
    async (secret) => {
      const hint = await hintFor(clientSecretBasic(secret), secret)
      expect(hint).toContain('form-encodes (RFC 6749 §2.3.1)')
      expect(hint).toContain('try `clientSecretPost`')
      expect(hint).not.toContain('sesam')
    }
  )
  test('a client identifier with a colon: the hint names form-encoding', async () => {
    expect(await hintFor(clientSecretBasic('sesame'), 'sesame', 'urn:api')).toContain('try `clientSecretPost`')
  })
  test.each([
    ['a wrong secret of letters and digits', clientSecretBasic('sesame-1_x.y')],
    ['clientSecretPost', clientSecretPost('sesame+1')]
  ])('%s: the hint does not name form-encoding', async (_, auth) => {
    const hint = await hintFor(auth, 'sesame+1')
    expect(hint).toContain('`introspection.auth`')
    expect(hint).not.toContain('form-encodes')
  })
})

describe('metadata behind protect', () => {
  const warningsOf = async (run: () => Promise<void>): Promise<string[]> => {
    const messages: string[] = []
    const listener = (event: unknown): void => void messages.push((event as WarningEvent).message)
    subscribe('oauth-resource-server:warning', listener)
    await run().finally(() => unsubscribe('oauth-resource-server:warning', listener))
    return messages
  }
  const metadataRequest = (fields = {}) => get(fields, { url: '/.well-known/oauth-protected-resource' })

  test('a refused request for the metadata without a token is one warning that names protectedResourceMetadata', async () => {
    const server = api()
    const messages = await warningsOf(async () => {
      for (let i = 0; i < 3; i++) expect((await outcome(server, metadataRequest())).status).toBe(401)
    })
    expect(messages).toEqual([expect.stringContaining('mount `protectedResourceMetadata(api)` before `protect`')])
  })
  test('another request without a token, and one for the metadata with a bad token, is no warning', async () => {
    const server = api()
    const messages = await warningsOf(async () => {
      expect((await outcome(server, get())).status).toBe(401)
      expect((await outcome(server, metadataRequest({ authorization: 'Bearer x' }))).status).toBe(401)
    })
    expect(messages).toEqual([])
  })
  test('a server without metadata of its own does not warn', async () => {
    const server = api({ metadata: false })
    expect(await warningsOf(async () => void (await outcome(server, metadataRequest())))).toEqual([])
  })
})

describe('an issuer that has no metadata', () => {
  test.each([
    ['opaque', '`introspection.endpoint`', '`jwksUri`'],
    ['both', '`metadataUrl` or `jwksUri`', '`introspection.endpoint`']
  ] as const)('tokens: %s: the hint names %s, and not %s', async (tokens, named, other) => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.status(404))
    const server = bed.api({ issuers: [introspecting(issuer, {}, { tokens })] })
    const error = await refusal(() => authorize(server, 'opaque'))
    expect(error).toMatchObject({ status: 500, hint: expect.stringContaining(named) })
    expect(error.hint).not.toContain(other)
  })
  test('with introspection.endpoint, as the hint says, opaque tokens are accepted', async () => {
    const issuer = await bed.issuer()
    issuer.always('metadata', fault.status(404))
    const endpoint = issuer.metadata['introspection_endpoint'] as string
    const server = bed.api({ issuers: [introspecting(issuer, { endpoint }, { tokens: 'opaque' })] })
    expect(await authorize(server, issuer.opaque())).toMatchObject({ subject: 'u1' })
  })
})

describe('DPoP behind a proxy that cuts a prefix', () => {
  const key = createDpopKey()
  const token = accessToken({ claims: { cnf: { jkt: key.jkt } } })
  const proof = key.proof({ token, url: 'https://api.example.com/v1/items' })
  const called = get({ authorization: `DPoP ${token}`, dpop: proof }, { url: '/items?page=2' })

  test('a proof for the outer URL is refused, and `expected` is the whole URL that the server took', async () => {
    const error = await refusal(() => api({ dpop: { advertise: true } }).authorize(called))
    expect(error).toMatchObject({ reason: 'proof_target', hint: expect.stringContaining('`publicUrl`') })
    expect(error.hint).toContain('set `publicUrl`')
    expect(error.expected).toEqual(['https://api.example.com/items'])
  })
  test('with the prefix in publicUrl, as the hint says, the proof is accepted', async () => {
    const options = { dpop: { advertise: true }, publicUrl: 'https://api.example.com/v1' }
    expect(await outcome(api(options), called)).toEqual(granted)
    const other = key.proof({ token, url: 'https://api.example.com/items' })
    const inner = get({ authorization: `DPoP ${token}`, dpop: other }, { url: '/items' })
    const error = await refusal(() => api(options).authorize(inner))
    expect(error.expected).toEqual(['https://api.example.com/v1/items'])
  })
})

test('a server that calls tokens of other clients inactive: the hint names the client and Doorkeeper’s switch', async () => {
  const issuer = await bed.issuer()
  const token = issuer.opaque()
  // Doorkeeper answers about a token of the asking client alone, unless `allow_token_introspection` allows more.
  issuer.always('introspection', fault.body({ active: false }))
  const error = await refusal(() => authorize(bed.api({ issuers: [introspecting(issuer)] }), token))
  expect(error).toMatchObject({ status: 401, reason: 'inactive' })
  expect(error.hint).toContain('another client got it')
  expect(error.hint).toContain('`allow_token_introspection`')
})
