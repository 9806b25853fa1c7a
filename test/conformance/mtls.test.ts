/** The checks of client certificates on the TLS connection itself (RFC 8705), against the node adapter and an API that compares nothing. */
import type { RequestListener } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { protect } from '../../adapters/node.js'
import type { Check } from '../../conformance/check.js'
import { rfc8705 } from '../../conformance/checks/issuer/rfc8705.js'
import { rfc9068 } from '../../conformance/checks/issuer/rfc9068.js'
import type { Verdict } from '../../conformance/index.js'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import { runConformance } from '../../conformance/run.js'
import { type ResourceServerOptions, resourceServer } from '../../src/index.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { listen } from './apis.js'

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })

let issuer: RunningIssuer

beforeAll(async () => {
  issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com' })
})
afterAll(() => issuer.close())

/** Verdicts of the checks by id, of an API behind TLS that asks for a certificate and takes any. */
async function verdictsOf(
  listenerAt: (origin: string) => RequestListener,
  checks: readonly Check[] = rfc8705
): Promise<Record<string, Verdict>> {
  let listener: RequestListener = () => {}
  const tls = { ...own, requestCert: true, rejectUnauthorized: false }
  const origin = await listen((request, response) => listener(request, response), tls)
  listener = listenerAt(origin)
  const report = await runConformance(`${origin}/orders`, {
    issuer,
    has: ['mtls'],
    checks,
    ca: authority.cert
  })
  return Object.fromEntries(report.results.map(({ id, verdict }) => [id, verdict]))
}

const BOUND = [
  'own',
  'other',
  'missing',
  'thumbprint-prefix',
  'thumbprint-number',
  'unknown-confirmation',
  'two-bindings'
]
const inField = { 'rfc9440-malformed': 'not applicable', 'rfc9440-twice': 'not applicable' }
const passed = Object.fromEntries(BOUND.map((id) => [`rfc8705-${id}`, 'passed']))

/** An API of the node adapter at this origin. */
function listenerOf(origin: string, options: Partial<ResourceServerOptions> = {}): RequestListener {
  const api = resourceServer({
    resource: 'https://api.example.com',
    publicUrl: origin,
    issuers: [{ issuer: issuer.url }],
    log: false,
    ...options
  })
  onTestFinished(() => api.close())
  const guard = protect(api)
  return async (request, response) => {
    if (await guard(request, response)) response.writeHead(200).end('[]')
  }
}

test('the node adapter passes with certificates of the TLS connection', async () => {
  const verdicts = await verdictsOf((origin) => listenerOf(origin))
  expect(verdicts).toEqual({ ...passed, ...inField, 'good-token-after-mtls': 'passed' })
})

test('an API that takes certificate-bound tokens alone gets those of all checks on connections with the certificate', async () => {
  const tokens = rfc9068.filter(({ id }) => /^rfc9068-(?:typ|aud)-/.test(id))
  const verdicts = await verdictsOf(
    (origin) => listenerOf(origin, { requireSenderConstrained: 'certificate' }),
    [...tokens, ...rfc8705]
  )
  const accepted = { 'rfc9068-aud-array': 'passed', 'good-token-after-rfc9068': 'passed' }
  expect(verdicts).toMatchObject({ ...passed, ...inField, ...accepted, 'rfc9068-aud-other': 'passed' })
  expect(Object.values(verdicts)).not.toContain('failed')
})

test('an API that asks for a certificate and compares nothing fails, but for the check of a good one', async () => {
  const verdicts = await verdictsOf(() => (request, response) => {
    const hasToken = request.headers.authorization !== undefined
    const isBound = (request.headers.authorization?.length ?? 0) > 1000
    const hasCertificate = (request.socket as TLSSocket).getPeerX509Certificate() !== undefined
    response.writeHead(hasToken && (hasCertificate || !isBound) ? 200 : 401).end()
  })
  const failed = BOUND.filter((id) => id !== 'own').map((id) => [`rfc8705-${id}`, 'failed'])
  expect(verdicts).toMatchObject({ 'rfc8705-own': 'passed', ...Object.fromEntries(failed) })
})
