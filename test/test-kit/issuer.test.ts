/** The test kit: each token of it, before our own verifier and before jose's; its clock, its outages, its socket. */
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  fresh,
  type Requirement,
  type ResourceServer,
  ResourceServerError,
  resourceServer,
  scope
} from '../../src/index.js'
import { createTestIssuer, fakeAccess, type TestAlgorithm, type TestIssuer } from '../../test-kit/issuer.js'

const RESOURCE = 'https://api.example.com'

let as: TestIssuer
let api: ResourceServer
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})

interface Sent {
  readonly authorization?: string
  readonly dpop?: string
}

/** `200`, or the status and reason of the refusal. */
async function ask(sent: Sent | string, ...requirements: Requirement[]): Promise<string> {
  return decide(api, sent, ...requirements)
}

async function decide(server: ResourceServer, sent: Sent | string, ...requirements: Requirement[]): Promise<string> {
  const fields: Sent = typeof sent === 'string' ? { authorization: `Bearer ${sent}` } : sent
  const request = {
    method: 'GET',
    url: '/orders',
    fieldLines: (name: string) => [fields[name as keyof Sent] ?? []].flat()
  }
  try {
    await server.authorize(request, ...requirements)
    return '200'
  } catch (error) {
    if (!(error instanceof ResourceServerError)) throw error
    return `${error.status} ${error.reason}`
  }
}

describe('tokens', () => {
  test('a good one is good, with the scopes and claims that it was given', async () => {
    expect(await ask(as.token({ scope: 'orders:read' }), scope('orders:read'))).toBe('200')
    expect(await ask(as.token({ scope: ['a', 'b'] }), scope('a', 'b'))).toBe('200')
    expect(await ask(as.token(), scope('orders:read'))).toBe('403 insufficient_scope')
    expect(await ask(as.token({ sub: undefined }))).toBe('401 claim')
  })

  test.each([
    ['expired', '401 expired'],
    ['notYetValid', '401 not_yet_valid'],
    ['wrongAudience', '401 audience'],
    ['wrongIssuer', '401 issuer'],
    ['wrongType', '401 type'],
    ['unsigned', '401 algorithm'],
    ['tampered', '401 signature'],
    ['unknownKey', '401 unknown_key']
  ] as const)('%s() has that one flaw', async (flaw, expected) => {
    expect(await ask(as[flaw]())).toBe(expected)
    // The flaw is not the claims': those are as they were asked for.
    expect(await ask(as[flaw]({ scope: 'orders:read' }), scope('orders:read'))).toBe(expected)
  })

  test.each(['ES256', 'RS256', 'PS256', 'EdDSA'] as const)(
    'jose takes them too: %s',
    async (algorithm: TestAlgorithm) => {
      const issuer = await createTestIssuer({ algorithm })
      const origin = await issuer.listen()
      try {
        expect(issuer.issuer).toBe(origin)
        issuer.options({ resource: RESOURCE })
        const keys = createRemoteJWKSet(new URL('/jwks', origin))
        const options = { issuer: origin, audience: RESOURCE, typ: 'at+jwt' }
        const { payload } = await jwtVerify(issuer.token({ scope: 'read' }), keys, options)
        expect(payload).toMatchObject({ sub: 'user-1', client_id: 'client-1', scope: 'read' })
        await expect(jwtVerify(issuer.expired(), keys, options)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' })
        await expect(jwtVerify(issuer.tampered(), keys, options)).rejects.toThrow('signature')
      } finally {
        await issuer.close()
      }
    }
  )

  test('opaque ones: active, inactive, revoked, unknown', async () => {
    const token = as.opaque({ scope: 'orders:read' })
    expect(await ask(token, scope('orders:read'))).toBe('200')
    as.revoke(token)
    expect(await ask(token)).toBe('200')
    as.advance(31)
    expect(await ask(token)).toBe('401 inactive')
    expect(await ask(as.opaque({ active: false }))).toBe('401 inactive')
    expect(await ask('unheard-of')).toBe('401 inactive')
    expect(await ask(as.opaque({ aud: 'https://another-api.example' }))).toBe('401 audience')
  })

  test('options() set log: false, so that a test prints no warnings about refusals', () => {
    expect(as.options({ resource: RESOURCE }).log).toBe(false)
  })

  test('the issuer’s options may be more: a profile, an audience', async () => {
    const legacy = resourceServer(
      as.options({ resource: RESOURCE, issuer: { tokenProfile: 'legacy', audience: 'orders' } })
    )
    expect(await decide(legacy, as.wrongType({ aud: 'orders' }))).toBe('200')
    expect(await decide(legacy, as.wrongType())).toBe('401 audience')
  })
})

describe('tokens that are bound to a key', () => {
  const url = `${RESOURCE}/orders`

  test('DPoP: a proof is good once, for one request', async () => {
    const sent = as.dpop({ url })
    expect(await ask(sent)).toBe('200')
    expect(await ask(sent)).toBe('401 proof_replayed')
    expect(await ask(as.dpop({ url, method: 'POST' }))).toBe('401 proof_method')
    expect(await ask(as.dpop({ url: `${RESOURCE}/other` }))).toBe('401 proof_target')
    expect(await ask(as.dpop({ url, proof: { ath: undefined } }))).toBe('401 proof_claim')
    expect(await ask({ authorization: sent.authorization.replace('DPoP', 'Bearer') })).toBe('401 dpop_downgrade')
    expect(await ask({ authorization: sent.authorization })).toBe('401 proof_missing')
    const { dpop: another } = as.dpop({ url })
    expect(await ask({ authorization: sent.authorization, dpop: another })).toBe('401 proof_token')
  })

  test('DPoP: one key for several requests, and with a nonce', async () => {
    const key = as.dpopKey()
    expect(await ask(as.dpop({ url, key, claims: { scope: 'a' } }), scope('a'))).toBe('200')
    expect(await ask(as.dpop({ url: `${url}?page=2`, key }))).toBe('200')
    const nonces = resourceServer(as.options({ resource: RESOURCE, dpop: { advertise: true, nonces: 'required' } }))
    expect(await decide(nonces, as.dpop({ url, key }))).toBe('401 proof_nonce')
  })

  test('a certificate of its own, or yours', async () => {
    const { token, certificate } = as.certificateBound({ scope: 'a' })
    const der = Buffer.from(certificate?.cert.replace(/-----[^-]+-----|\s/g, '') ?? '', 'base64')
    const withCertificate = async (bound: string, presented: Buffer): Promise<string> => {
      try {
        await api.authorize({
          method: 'GET',
          url: '/orders',
          fieldLines: (name) => (name === 'authorization' ? [`Bearer ${bound}`] : []),
          certificate: () => presented
        })
        return '200'
      } catch (error) {
        return (error as ResourceServerError).reason
      }
    }
    expect(await withCertificate(token, der)).toBe('200')
    expect(await withCertificate(as.certificateBound().token, der)).toBe('certificate_binding')
    expect(await withCertificate(as.certificateBound({}, certificate?.cert).token, der)).toBe('200')
    expect(as.certificateBound({}, der).certificate).toBeUndefined()
    expect(certificate?.key).toContain('PRIVATE KEY')
  })
})

describe('what happens to an authorization server', () => {
  test('its keys are rotated', async () => {
    const before = as.token()
    expect(await ask(before)).toBe('200')
    as.rotateKeys()
    as.advance(31)
    expect(await ask(as.token())).toBe('200')
    expect(await ask(before)).toBe('401 unknown_key')
  })

  test('time passes', async () => {
    const token = as.token()
    expect(await ask(token)).toBe('200')
    as.advance(331)
    expect(await ask(token)).toBe('401 expired')
    as.advance(-331)
    expect(await ask(token)).toBe('200')
  })

  test.each([[503], [404], ['reset'], ['garbage']] as const)('its keys cannot be had: %s', async (failure) => {
    as.fail('jwks', failure)
    expect(await ask(as.token())).toBe('503 jwks_unavailable')
    as.recover()
    as.advance(31)
    expect(await ask(as.token())).toBe('200')
  })

  test('it does not answer', async () => {
    const patient = resourceServer(as.options({ resource: RESOURCE, http: { timeout: 0.05, deadline: 0.1 } }))
    as.fail('introspection', 'timeout')
    expect(await decide(patient, as.opaque())).toBe('503 introspection_unavailable')
  })

  test('it fails for a while: a failed request is made once more', async () => {
    as.fail('metadata', 500, 1)
    expect(await ask(as.token())).toBe('200')
    const asked = as.requests.map(({ endpoint }) => endpoint)
    expect(asked).toEqual(['metadata', 'metadata', 'jwks'])
    expect(as.requests.every(({ at }) => Math.abs(at - as.now()) < 60)).toBe(true)
    expect(await ask(as.opaque(), fresh())).toBe('200')
    expect(as.requests.filter(({ endpoint }) => endpoint === 'introspection')).not.toEqual([])
  })

  test.each([
    ['reset', '503 introspection_unavailable'],
    ['timeout', '503 introspection_unavailable'],
    [503, '503 introspection_unavailable'],
    // What is no answer at all to a good question is a setting that is wrong.
    ['garbage', '500 misconfigured']
  ] as const)('the same on a socket: %s', async (failure, expected) => {
    const issuer = await createTestIssuer()
    try {
      await issuer.listen()
      expect(await issuer.listen()).toBe(issuer.issuer)
      const http = { timeout: 1, deadline: 2 }
      const server = resourceServer(issuer.options({ resource: RESOURCE, http }))
      expect(await decide(server, issuer.token())).toBe('200')
      expect(await decide(server, issuer.opaque())).toBe('200')
      expect((await fetch(new URL('/other', issuer.issuer))).status).toBe(404)
      issuer.fail('introspection', failure)
      expect(await decide(server, issuer.opaque())).toBe(expected)
      await server.close()
    } finally {
      await issuer.close()
      await issuer.close()
    }
  })
})

describe('fakeAccess()', () => {
  test('is whatever a real one is', async () => {
    const access = await fakeAccess({ subject: 'alice', clientId: 'app', scopes: ['a', 'b'], claims: { tenant: 't1' } })
    expect(access).toMatchObject({
      subject: 'alice',
      clientId: 'app',
      scopes: ['a', 'b'],
      scheme: 'Bearer',
      audience: [RESOURCE],
      claims: { tenant: 't1' }
    })
    expect(Object.isFrozen(access.claims)).toBe(true)
    expect(await fakeAccess()).toMatchObject({ subject: 'user-1', clientId: 'client-1', scopes: [] })
  })

  test('bound to a key, for another API', async () => {
    const access = await fakeAccess({ scheme: 'DPoP', resource: 'https://api.example.com/v2' })
    expect(access).toMatchObject({ scheme: 'DPoP', confirmedBy: ['dpop'], audience: ['https://api.example.com/v2'] })
  })
})
