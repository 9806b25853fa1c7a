/** Authorization servers that do not do as the RFCs say, and the options for them. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Agent } from 'undici'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  bearerToken,
  InvalidToken,
  type IssuerOptions,
  noClientAuth,
  type ResourceServerOptions,
  resourceServer,
  tlsClientAuth
} from '../../src/index.js'
import type { IntrospectionDialect } from '../../src/issuer/introspection-settings.js'
import { createCertificateAuthority } from '../support/certificates.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  OUTAGES,
  RESOURCE,
  refusal
} from '../support/exchange.js'
import { fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

/** The problems with which an issuer of these options does not start. */
function problem(issuer: object, options: Partial<ResourceServerOptions> = {}): string {
  try {
    resourceServer({ resource: RESOURCE, issuers: [{ issuer: 'https://as.example.com', ...issuer }], ...options })
    return ''
  } catch (error) {
    return (error as TypeError).message.split('\n').slice(1).join('\n')
  }
}

describe('ASQ-05: a claim other than aud names the resource', () => {
  const cognito = { audience: ['client-1', 'client-2'], audienceClaim: 'client_id', tokenProfile: 'legacy' } as const

  test.each([
    ['names one of ours', { client_id: 'client-1', aud: undefined }, granted],
    ['names another', { client_id: 'client-3', aud: undefined }, denial.audience],
    ['begins like ours', { client_id: 'client-11', aud: undefined }, denial.audience],
    ['is missing', { client_id: undefined, aud: undefined }, denial.audience],
    ['names one of ours, whatever aud says', { client_id: 'client-2', aud: 'https://other.example' }, granted],
    ['names one of ours, whatever aud is', { client_id: 'client-2', aud: 7 }, granted],
    ['names another, though aud is right', { client_id: 'client-3', aud: 'client-1' }, denial.audience]
  ])('ASQ-05 (RFC 7519 §4.1.3): a JWT in which it %s', async (_, claims, expected) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, ...cognito }] })
    expect(await ask(api, issuer.token({ claims }))).toEqual(expected)
  })

  test('ASQ-05: the claim becomes the audience of the token', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, ...cognito, audienceClaim: 'azp' }] })
    const claims = { azp: ['client-1', 'x'], aud: RESOURCE }
    expect((await authorize(api, issuer.token({ claims }))).audience).toEqual(['client-1', 'x'])
    expect(await ask(api, issuer.token({ claims: { azp: [1] } }))).toEqual(denial.claim)
  })

  test('ASQ-05 (RFC 7662 §2.2): the claim applies to introspection answers too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, cognito)] })
    expect(await ask(api, issuer.opaque({ client_id: 'client-1', aud: undefined }))).toEqual(granted)
    expect(await ask(api, issuer.opaque({ client_id: 'c', aud: 'client-1' }))).toEqual(denial.audience)
  })

  test.each([
    ['', '`issuers[0].audienceClaim` holds an empty name'],
    [7, '`issuers[0].audienceClaim` holds 7'],
    [['azp'], '`issuers[0].audienceClaim` holds an array']
  ])('ASQ-05: refuses the claim %j at start', (audienceClaim, expected) => {
    expect(problem({ audienceClaim })).toContain(expected)
  })

  test('ASQ-05: refuses a claim that is compared with nothing at start', () => {
    expect(problem({ audienceClaim: 'azp', audience: null })).toContain('is never read with `audience: null`')
  })
})

describe('ASQ-05 ASQ-10: a vendor’s own claim tells the kind of token', () => {
  const requiredClaimValues = { token_use: ['access'], typ: ['Bearer', 'DPoP'] }

  test.each([
    ['every claim has one of its values', { token_use: 'access', typ: 'DPoP' }, granted],
    ['one has another', { token_use: 'access', typ: 'Offlinex' }, denial.type],
    ['one has another case', { token_use: 'access', typ: 'bearer' }, denial.type],
    ['one is missing', { typ: 'Bearer' }, denial.type],
    ['one is a list', { token_use: ['access'], typ: 'Bearer' }, denial.type],
    ['one is an object', { token_use: { access: true }, typ: 'Bearer' }, denial.type]
  ])('ASQ-10 (RFC 8725 §3.12): a JWT in which %s', async (_, claims, expected) => {
    const issuer = await bed.issuer()
    for (const tokenProfile of ['rfc9068', 'legacy'] as const) {
      const api = bed.api({ issuers: [{ issuer: issuer.issuer, tokenProfile, requiredClaimValues }] })
      expect(await ask(api, issuer.token({ claims }))).toEqual(expected)
    }
  })

  test('ASQ-10: an inherited claim counts as missing', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, requiredClaimValues: { toString: ['x'] } }] })
    expect(await ask(api, issuer.token())).toEqual(denial.type)
    expect(await ask(api, issuer.token({ claims: { toString: 'x' } }))).toEqual(granted)
  })

  test.each([
    ['an object', { firebase: {} }, granted],
    ['a text', { firebase: 'x' }, granted],
    ['false', { firebase: false }, granted],
    ['null', { firebase: null }, denial.type],
    ['nothing', {}, denial.type]
  ])('ASQ-10: `true` instead of values: a claim that is %s', async (_, claims, expected) => {
    const issuer = await bed.issuer()
    for (const tokenProfile of ['rfc9068', 'legacy'] as const) {
      const required = { issuer: issuer.issuer, tokenProfile, requiredClaimValues: { firebase: true } } as const
      expect(await ask(bed.api({ issuers: [required] }), issuer.token({ claims }))).toEqual(expected)
    }
    const inherited = bed.api({
      issuers: [{ issuer: issuer.issuer, requiredClaimValues: { toString: true as const } }]
    })
    expect(await ask(inherited, issuer.token())).toEqual(denial.type)
  })

  test('ASQ-10: is required of introspection answers too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { requiredClaimValues })] })
    const good = { token_use: 'access', typ: 'DPoP', cnf: undefined }
    expect(await ask(api, issuer.opaque(good))).toEqual(granted)
    for (const typ of [undefined, 'other']) expect(await ask(api, issuer.opaque({ ...good, typ }))).toEqual(denial.type)
  })

  test.each([
    [['access'], 'requiredClaimValues` is an array'],
    [{ token_use: [] }, 'requiredClaimValues.token_use` is empty'],
    [{ token_use: false }, 'requiredClaimValues.token_use` is false'],
    [{ token_use: [1] }, 'requiredClaimValues.token_use` holds 1'],
    [{ token_use: [''] }, 'requiredClaimValues.token_use` holds an empty name']
  ])('ASQ-10: refuses %j at start', (values, expected) => {
    expect(problem({ requiredClaimValues: values })).toContain(expected)
  })
})

describe('ASQ-12: an endpoint that does not speak RFC 7662', () => {
  /** A token information endpoint: no `active`, no `iss`, numbers as texts, 400 for a bad token. */
  const tokeninfo: IntrospectionDialect = {
    form: (token) => ({ access_token: token }),
    read: (status, body) => {
      const info = body as Record<string, string>
      if (status === 400 && info['error'] === 'invalid_token') return undefined
      if (status !== 200) throw new Error(`what is ${status}?`)
      return { ...info, exp: Number(info['exp']) }
    }
  }
  const info = { aud: RESOURCE, scope: 'read', exp: '1750000300', email: 'a@example.com' }

  async function start(dialect: Partial<IntrospectionDialect> = {}, options: Partial<IssuerOptions> = {}) {
    const issuer = await bed.issuer()
    issuer.always('introspection', fault.body(info))
    const introspection = { auth: noClientAuth(), dialect: { ...tokeninfo, ...dialect } }
    return { issuer, api: bed.api({ issuers: [introspecting(issuer, introspection, options)] }) }
  }

  test('ASQ-12: is called with its own form, and its answer is understood', async () => {
    const { issuer, api } = await start()
    const access = await authorize(api, 'ya29.abc')
    expect(access).toMatchObject({ issuer: issuer.issuer, expiresAt: 1_750_000_300, scopes: ['read'] })
    expect(access.claims['email']).toBe('a@example.com')
    const asked = issuer.requests.at(-1)
    expect(asked?.form.toString()).toBe('access_token=ya29.abc&client_id=api')
    expect(asked?.headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded'
    })
  })

  test('ASQ-12: encodes the values of the form', async () => {
    const { issuer, api } = await start({ form: (token) => ({ t: `${token}&x=1`, 'a b': 'ä' }) })
    expect(await ask(api, 'abc')).toEqual(granted)
    expect(issuer.requests.at(-1)?.body).toBe('t=abc%26x%3D1&a+b=%C3%A4&client_id=api')
  })

  test('ASQ-12 (RFC 7662 §2.2): refuses a token that it reads as not active, and caches that', async () => {
    const { issuer, api } = await start()
    issuer.script('introspection', fault.status(400, { body: '{"error":"invalid_token"}' }))
    expect(await ask(api, 'abc')).toEqual(denial.inactive)
    expect(await ask(api, 'abc')).toEqual(denial.inactive)
    expect(issuer.count('introspection')).toBe(1)
  })

  test.each([
    ['expired', { ...info, exp: '1749999970' }, denial.expired],
    ['for another', { ...info, aud: 'https://other.example' }, denial.audience],
    ['without an audience', { ...info, aud: undefined }, denial.audience],
    ['of an exp that is no number', { ...info, exp: 'soon' }, denial.claim]
  ])('ASQ-12 (RFC 7662 §4): refuses a token that is %s, even if it is active', async (_, body, expected) => {
    const { issuer, api } = await start()
    issuer.always('introspection', fault.body(body))
    expect(await ask(api, 'abc')).toEqual(expected)
  })

  test.each([
    [
      'throws',
      {
        read: () => {
          throw new Error('no')
        }
      }
    ],
    [
      'throws a refusal',
      {
        read: () => {
          throw new InvalidToken('expired')
        }
      }
    ],
    ['returns null', { read: () => null }],
    ['returns a list', { read: () => [info] }],
    ['returns a text', { read: () => 'active' }],
    ['returns true', { read: () => true }],
    ['returns a promise', { read: async () => ({ ...info, exp: 1_750_000_300 }) }],
    ['returns an active that is no boolean', { read: () => ({ ...info, exp: 1_750_000_300, active: 'true' }) }],
    [
      'cannot make a form',
      {
        form: () => {
          throw new Error('no')
        }
      }
    ],
    ['makes a form of nothing', { form: () => null }],
    ['promises a form', { form: async () => ({ token: 't' }) }]
  ])('ASQ-12: a dialect that %s is a misconfiguration', async (_, dialect) => {
    const { api } = await start(dialect as unknown as Partial<IntrospectionDialect>, { audience: null })
    expect(await ask(api, 'abc')).toEqual(denial.misconfigured)
  })

  test('ASQ-12 (RFC 7662 §2.2): an RFC 7662 answer that is returned unchanged keeps its meaning', async () => {
    const { issuer, api } = await start({ read: (_, body) => body as Record<string, unknown> })
    issuer.always('introspection', fault.body({ active: false, aud: RESOURCE }))
    expect(await ask(api, 'abc')).toEqual(denial.inactive)
  })

  test.each([301, 400, 401, 403, 404, 410])('ASQ-12: gets the status %i', async (status) => {
    const seen: unknown[] = []
    const read: IntrospectionDialect['read'] = (...answer) => {
      seen.push(...answer)
      return undefined
    }
    const { issuer, api } = await start({ read })
    issuer.always('introspection', fault.status(status, { body: '[1]' }))
    expect(await ask(api, 'abc')).toEqual(denial.inactive)
    expect(seen).toEqual([status, [1]])
  })

  test('ASQ-12: gets undefined for a body that is not JSON, whatever its media type', async () => {
    const seen: unknown[] = []
    const read: IntrospectionDialect['read'] = (_, body) => {
      seen.push(body)
      return undefined
    }
    const { issuer, api } = await start({ read })
    const plain = { headers: { 'content-type': 'text/plain' }, body: '{"a":1}' }
    issuer.script('introspection', fault.html200(), fault.status(400, plain))
    expect(await ask(api, 'abc')).toEqual(denial.inactive)
    expect(await ask(api, 'def')).toEqual(denial.inactive)
    expect(seen).toEqual([undefined, { a: 1 }])
  })

  test('ASQ-12: is not called for an answer without content (204)', async () => {
    const { issuer, api } = await start({ read: () => ({ aud: RESOURCE, scope: 'read' }) })
    issuer.always('introspection', fault.status(204, { body: '' }))
    expect(await ask(api, 'abc')).toEqual(denial.misconfigured)
  })

  test.each(OUTAGES)('ASQ-12 (RFC 7662 §2.3): is not called for %s, which is an outage', async (_, behaviour, http) => {
    const issuer = await bed.issuer()
    issuer.always('introspection', behaviour)
    const read = (): never => {
      throw new Error('it was read')
    }
    const issuers = [introspecting(issuer, { dialect: { ...tokeninfo, read } })]
    expect(await ask(bed.api({ issuers, ...(http && { http }) }), 'abc')).toEqual(denial.unavailable)
  })

  test('ASQ-12: its result is used for that token only', async () => {
    const shared = { aud: RESOURCE, scope: 'read', nested: { a: 1 } }
    const { api } = await start({ read: () => shared })
    const access = await authorize(api, 'abc')
    expect(Object.isFrozen(access.claims) && Object.isFrozen(access.claims['nested'])).toBe(true)
  })
})

describe('ASM-09 (RFC 8705 §5): the endpoint for a client with a certificate', () => {
  /** A TLS server in front of the issuer's introspection endpoint. */
  async function startTls(issuer: TestIssuer) {
    const authority = createCertificateAuthority()
    let connections = 0
    const server = createServer(authority.issue({ commonName: 'localhost', sans: ['localhost'] }), (req, res) => {
      connections += 1
      void (async () => {
        const body = await text(req)
        const answer = await fetch(`${issuer.origin}/introspect`, {
          method: 'POST',
          headers: { 'content-type': String(req.headers['content-type']) },
          body
        })
        res.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
      })()
    })
    bed.closing({ close: async () => server.close().closeAllConnections() })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const alias = `https://localhost:${(server.address() as AddressInfo).port}/introspect`
    return { alias, ca: authority.cert, connections: () => connections }
  }

  async function start(auth = tlsClientAuth(), endpoint?: string) {
    const issuer = await bed.issuer()
    const tls = await startTls(issuer)
    issuer.metadata.mtls_endpoint_aliases = { introspection_endpoint: tls.alias }
    const dispatcher = new Agent({ connect: { ca: tls.ca } })
    bed.closing({ close: () => dispatcher.destroy() })
    const introspection = { auth, ...(endpoint && { endpoint }) }
    const api = bed.api({ issuers: [introspecting(issuer, introspection)], http: { dispatcher } })
    return { issuer, api, tls }
  }

  test('ASM-09: asks a server with a client certificate at the alias, if there is one', async () => {
    const { issuer, api, tls } = await start()
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(tls.connections()).toBe(1)
    expect(issuer.requests.at(-1)?.form.get('client_id')).toBe('api')
  })

  test('ASM-09: asks at the usual endpoint without a client certificate', async () => {
    const { issuer, api, tls } = await start(bearerToken('t'))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(tls.connections()).toBe(0)
  })

  test.each([
    ['no aliases', undefined],
    ['aliases of other endpoints', { token_endpoint: 'https://mtls.example.com/token' }],
    ['aliases that are null', null],
    ['aliases that are a text', 'https://mtls.example.com']
  ])('ASM-09: asks at the usual endpoint with %s', async (_, aliases) => {
    const { issuer, api } = await start()
    issuer.metadata.mtls_endpoint_aliases = aliases
    expect(await ask(api, issuer.opaque())).toEqual(granted)
  })

  test.each([
    ['plain http', 'http://as.example.com/introspect'],
    ['no URL', '/introspect'],
    ['null', null],
    ['a number', 1]
  ])(
    'ASM-09 (RFC 7662 §4): treats an alias that is %s as a misconfiguration, and does not skip it',
    async (_, alias) => {
      const { issuer, api } = await start()
      issuer.metadata.mtls_endpoint_aliases = { introspection_endpoint: alias }
      expect(await ask(api, issuer.opaque())).toEqual(denial.misconfigured)
      expect(issuer.count('introspection')).toBe(0)
    }
  )

  test('ASM-09 (ASM-12): uses an endpoint in the options as written', async () => {
    const { issuer, api, tls } = await start(tlsClientAuth(), 'https://localhost:1/introspect')
    expect((await refusal(() => authorize(api, issuer.opaque()))).status).toBe(503)
    expect(tls.connections()).toBe(0)
  })
})
