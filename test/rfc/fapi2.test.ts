/** FAPI 2.0 Security Profile §5.3.4, what it wants of a resource server, with the preset `fapi2()`. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import {
  clientSecretBasic,
  type IssuerOptions,
  type ResourceRequest,
  type ResourceServer,
  type ResourceServerOptions,
  resourceServer
} from '../../src/index.js'
import { fapi2 } from '../../src/profiles/fapi2.js'
import { createSelfSignedCertificate } from '../support/certificates.js'
import { challengeOf, createDpopKey, type DpopKey, PROOF_TEXTS } from '../support/dpop.js'
import { ask, createBed, denial, introspecting } from '../support/exchange.js'
import { type Algorithm, createSigningKey } from '../support/issuer.js'
import {
  accessToken,
  bearer,
  get,
  granted,
  ISSUER,
  issuerKey,
  keySet,
  NOW,
  type Outcome,
  outcome,
  RESOURCE,
  type Token
} from '../support/refusals.js'
import { silenceWarnings, warningsOf } from '../support/warnings.js'

silenceWarnings()
const bed = createBed()
const ALGS = 'PS256 ES256 EdDSA Ed25519'
const client = createDpopKey()

function api(options: Partial<ResourceServerOptions> = {}, issuer: Partial<IssuerOptions> = {}): ResourceServer {
  const issuers = [{ issuer: ISSUER, jwks: keySet(issuerKey), ...issuer }]
  return resourceServer(fapi2({ resource: RESOURCE, issuers, now: () => NOW, ...options }))
}

/** A token that is bound to the client's key. */
function bound({ claims, ...token }: Token = {}, key: DpopKey = client): string {
  return accessToken({ ...token, claims: { cnf: { jkt: key.jkt }, ...claims } })
}

function dpop(token: string, proof: string = client.proof({ token }), url = '/items'): ResourceRequest {
  return get({ authorization: `DPoP ${token}`, dpop: proof }, { url })
}

/** A refusal of a request with this scheme: both schemes are named for Bearer, DPoP alone for DPoP. */
function refused(
  scheme: 'Bearer' | 'DPoP',
  reason: string,
  description: string,
  { status = 401, code = 'invalid_token', scope = 'scope="read", ' } = {}
): Outcome {
  const error = `error="${code}", error_description="${description}", `
  const lines =
    scheme === 'DPoP'
      ? [challengeOf('DPoP', error, scope, ALGS)]
      : [challengeOf('Bearer', error, scope), challengeOf('DPoP', '', scope, ALGS)]
  return {
    status,
    code,
    reason,
    headers: { 'WWW-Authenticate': lines, 'Cache-Control': 'no-store' },
    body: { error: code, error_description: description }
  }
}

const SIGNATURE = 'The access token signature could not be verified'
const CERTIFICATE = 'The access token is bound to a different client certificate'

describe('FAPI 2.0 Security Profile §5.3.4: a resource server', () => {
  test('FAP-01 FAP-04 (§5.3.4): accepts a DPoP-bound token with its proof', async () => {
    expect(await outcome(api(), dpop(bound()))).toEqual(granted)
  })

  test('FAP-01 (§5.3.4, RFC 6750 §2.3): refuses a request with a token in the query, whatever else it carries', async () => {
    const several = 'Multiple methods used to include access token'
    const token = bound()
    const request = dpop(token, client.proof({ token }), `/items?access_token=${token}`)
    const answer = await outcome(api(), request)
    expect(answer).toMatchObject({ status: 400, code: 'invalid_request', reason: 'multiple_credentials' })
    expect(answer.body).toEqual({ error: 'invalid_request', error_description: several })
    expect((await outcome(api(), get({}, { url: `/items?access_token=${token}` }))).status).toBe(400)
  })

  test('FAP-02 (§5.3.4): verifies validity, integrity and expiration', async () => {
    const cases: readonly (readonly [token: string, reason: string, description: string])[] = [
      [bound({ claims: { exp: NOW - 30 } }), 'expired', 'The access token expired'],
      [bound({ claims: { nbf: NOW + 31 } }), 'not_yet_valid', 'The access token is not yet valid'],
      [bound({ claims: { aud: 'x' } }), 'audience', 'The access token audience is not accepted'],
      [bound({ key: createSigningKey('ES256') }), 'signature', SIGNATURE]
    ]
    for (const [token, reason, description] of cases)
      expect(await outcome(api(), dpop(token))).toEqual(refused('DPoP', reason, description))
  })

  test('FAP-02 (§5.3.4): learns the revocation status by introspection, and warns the process without it', async () => {
    const issuer = await bed.issuer()
    const introspected = introspecting(issuer, {}, { tokens: 'opaque' })
    const server = bed.api(fapi2({ resource: RESOURCE, issuers: [introspected], now: bed.clock.now }))
    const token = issuer.opaque({ cnf: { jkt: client.jkt }, token_type: 'DPoP' })
    expect(await outcome(server, dpop(token))).toEqual(granted)
    issuer.revoke(token)
    bed.clock.advance(31)
    const later = client.proof({ token, at: bed.clock.now() })
    expect(await outcome(server, dpop(token, later))).toEqual(
      refused('DPoP', 'inactive', 'The access token is not active')
    )
    expect(await warningsOf(() => fapi2({ resource: RESOURCE, issuers: [introspected] }))).toEqual([])
    const [warning] = await warningsOf(() => fapi2({ resource: RESOURCE, issuers: [ISSUER] }))
    expect(warning?.code).toBe('OAUTH_RS_FAPI_REVOCATION')
  })

  test('FAP-03 (§5.3.4, RFC 6750 §3.1): refuses a token that does not suffice with 403', async () => {
    const expected = refused('DPoP', 'insufficient_scope', 'The access token lacks a required scope', {
      status: 403,
      code: 'insufficient_scope'
    })
    expect(await outcome(api(), dpop(bound({ claims: { scope: 'write' } })))).toEqual(expected)
  })

  test('FAP-04 (§5.3.4): refuses a token that is not bound to a key, with either scheme', async () => {
    expect(await outcome(api(), bearer(accessToken()))).toEqual(refused('Bearer', 'certificate_binding', CERTIFICATE))
    expect(await outcome(api(), dpop(accessToken()))).toEqual(
      refused('DPoP', 'dpop_unbound', 'The access token is not DPoP-bound')
    )
  })

  test('FAP-04 (§5.3.4): refuses a bound token without its proof, or with the proof of another client', async () => {
    const token = bound()
    expect(await outcome(api(), bearer(token))).toEqual(
      refused('Bearer', 'dpop_downgrade', 'DPoP-bound access token used with the Bearer scheme')
    )
    const other = createDpopKey().proof({ token })
    expect(await outcome(api(), dpop(token, other))).toEqual(
      refused('DPoP', 'dpop_binding', 'Invalid DPoP key binding')
    )
  })

  test('FAP-04 (§5.3.4, RFC 8705 §3): refuses a certificate-bound token without its certificate', async () => {
    const [mine, other] = [createSelfSignedCertificate(), createSelfSignedCertificate()].map(
      ({ cert }) => new X509Certificate(cert).raw
    ) as [Buffer, Buffer]
    const thumbprint = Buffer.from(new X509Certificate(mine).fingerprint256.replaceAll(':', ''), 'hex')
    const request = bearer(accessToken({ claims: { cnf: { 'x5t#S256': thumbprint.toString('base64url') } } }))
    for (const server of [api(), api({ requireSenderConstrained: 'certificate', dpop: false })]) {
      expect(await outcome(server, { ...request, certificate: () => mine })).toEqual(granted)
      for (const certificate of [() => other, () => undefined])
        expect(await outcome(server, { ...request, certificate })).toMatchObject({
          status: 401,
          reason: 'certificate_binding',
          body: { error: 'invalid_token', error_description: CERTIFICATE }
        })
    }
    const certificateOnly = api({ requireSenderConstrained: 'certificate' })
    expect(await outcome(certificateOnly, get())).toMatchObject({
      headers: { 'WWW-Authenticate': [challengeOf('Bearer')] }
    })
  })

  test('FAP-04: treats Bearer as no credentials with `requireSenderConstrained` dpop', async () => {
    const server = api({ requireSenderConstrained: 'dpop' })
    expect(await outcome(server, dpop(bound()))).toEqual(granted)
    expect(await outcome(server, bearer(bound()))).toMatchObject({
      status: 401,
      headers: { 'WWW-Authenticate': [challengeOf('DPoP', '', 'scope="read", ', ALGS)] }
    })
  })
})

describe('FAPI 2.0 Security Profile §5.4.1: algorithms', () => {
  const others: readonly Algorithm[] = ['RS256', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512']

  test.each(['PS256', 'ES256', 'EdDSA', 'Ed25519'] as const)(
    'FAP-05: accepts a token and a proof by %s',
    async (alg) => {
      const key = createSigningKey(alg)
      const server = api({}, { jwks: keySet(key) })
      const holder = createDpopKey(alg)
      const token = bound({ key }, holder)
      expect(await outcome(server, dpop(token, holder.proof({ token })))).toEqual(granted)
    }
  )

  test.each(others)('FAP-05 DEN-05: refuses a token by %s, though a key of the issuer signed it', async (alg) => {
    const key = createSigningKey(alg)
    const server = api({}, { jwks: keySet(key) })
    expect(await outcome(server, dpop(bound({ key })))).toEqual(refused('DPoP', 'algorithm', SIGNATURE))
  })

  test.each(others)('FAP-05 DEN-22: refuses a proof by %s', async (alg) => {
    const holder = createDpopKey(alg)
    const token = bound({}, holder)
    const description = PROOF_TEXTS.proof_algorithm
    expect(await outcome(api(), dpop(token, holder.proof({ token })))).toEqual(
      refused('DPoP', 'proof_algorithm', description, { code: 'invalid_dpop_proof' })
    )
  })

  test('FAP-05 (§5.4.1): refuses RSA keys of less than 2048 bits', async () => {
    const holder = createDpopKey('PS256', createSigningKey('PS256', { modulusLength: 1024 }))
    const token = bound({}, holder)
    expect(await outcome(api(), dpop(token, holder.proof({ token })))).toEqual(
      refused('DPoP', 'proof_key', PROOF_TEXTS.proof_key, { code: 'invalid_dpop_proof' })
    )
    expect(() => api({}, { jwks: keySet(createSigningKey('PS256', { modulusLength: 1024 })) })).toThrow(
      '`issuers[0].jwks`'
    )
  })

  test('FAP-05 DPP-27: challenges and metadata name the same algorithms', async () => {
    const server = api()
    expect((await outcome(server, get())).headers['WWW-Authenticate']).toEqual([
      challengeOf('Bearer'),
      challengeOf('DPoP', '', 'scope="read", ', ALGS)
    ])
    expect(server.metadata?.document()).toMatchObject({ dpop_signing_alg_values_supported: ALGS.split(' ') })
  })

  test('FAP-04 (RFC 9449 §11.1): accepts a proof for 60 s', async () => {
    const token = bound()
    expect(await outcome(api(), dpop(token, client.proof({ token, at: NOW - 60 })))).toEqual(granted)
    expect(await outcome(api(), dpop(token, client.proof({ token, at: NOW - 61 })))).toEqual(
      refused('DPoP', 'proof_freshness', PROOF_TEXTS.proof_freshness, { code: 'invalid_dpop_proof' })
    )
  })
})

describe('FAPI 2.0 Security Profile §5.2: TLS', () => {
  test('FAP-06 (§5.2, BCP 195): verifies the authorization server’s certificate, and no option turns that off', async () => {
    const server = createServer(createSelfSignedCertificate('127.0.0.1'), (_request, response) => response.end('{}'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    bed.closing({ close: async () => void server.close() })
    const issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const guarded = bed.closing(
      resourceServer(
        fapi2({ resource: RESOURCE, issuers: [issuer], now: () => NOW, http: { deadline: 1, timeout: 1 } })
      )
    )
    expect(await outcome(guarded, dpop(bound({ claims: { iss: issuer } })))).toMatchObject({ status: 503 })
    for (const option of ['rejectUnauthorized', 'insecure', 'tls'])
      expect(() => api({ http: { [option]: false } })).toThrow(`\`http.${option}\` is not an option`)
    expect(() => api({}, { issuer: 'http://as.example.com' })).toThrow('use https')
  })
})

describe('FAPI 2.0 Message Signing §5.5: introspection', () => {
  test('FAP-07 (§5.5, RFC 9701 §8.2): accepts only signed answers where they are configured', async () => {
    const issuer = await bed.issuer()
    const introspection = { auth: clientSecretBasic('secret'), clientId: 'api' }
    const token = issuer.opaque({ cnf: { jkt: client.jkt }, token_type: 'DPoP' })
    const server = (signedResponse: boolean): ResourceServer =>
      bed.api(
        fapi2({
          resource: RESOURCE,
          issuers: [{ issuer: issuer.issuer, introspection: { ...introspection, signedResponse } }],
          now: bed.clock.now
        })
      )
    expect(await outcome(server(false), dpop(token))).toEqual(granted)
    expect(await ask(server(true), token)).toEqual(denial.misconfigured)
    expect(issuer.requests.at(-1)?.headers.accept).toBe('application/token-introspection+jwt')
  })
})
