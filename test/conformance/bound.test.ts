/** APIs that accept no token that is not bound to a key of the client: the suite finds it out, and sends all tokens so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHECKS } from '../../conformance/checks/index.js'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import type { Report } from '../../conformance/report/report.js'
import { type ConformanceOptions, runConformance } from '../../conformance/run.js'
import type { ResourceServerOptions } from '../../src/index.js'
import { startPlain } from './apis.js'
import { startOracle } from './oracle.js'
import { startWeakApi } from './weak-api.js'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com/orders', scope: 'orders:read' })
})
afterAll(() => issuer.close())

/** Some checks of each kind of token, which need neither time nor an outage. The oracle passes the others every night. */
const TOKENS = [
  'rfc9068-typ-*',
  'rfc9068-aud-other',
  'rfc7662-active',
  'rfc7662-array',
  'issuers-*',
  'rfc6750-null-token'
]
const DPOP = ['dpop-unbound', 'dpop-audience', 'dpop-hmac', 'dpop-as-bearer', 'dpop-good-members']

async function hold(server: Partial<ResourceServerOptions>, more: ConformanceOptions = {}): Promise<Report> {
  const { url } = await startOracle({ issuer, server })
  return runConformance(url, { issuer, only: [...TOKENS, ...DPOP], ...more })
}

const idsOf = ({ results }: Report, verdict: string, why = ''): readonly string[] =>
  results.filter((one) => one.verdict === verdict && (one.why ?? '').includes(why)).map(({ id }) => id)

describe('an API that accepts DPoP alone', () => {
  test.each(['off', 'required'] as const)('is tested with proofs, nonces %s', async (nonces) => {
    const report = await hold({ requireSenderConstrained: 'dpop', dpop: { nonces } })
    expect([...idsOf(report, 'failed'), ...idsOf(report, 'error')]).toEqual([])
    expect(report).toMatchObject({ binding: 'dpop', mode: 'issuer' })
    expect(report.features).toEqual(expect.arrayContaining(['issuer', 'introspection', 'second-issuer', 'dpop']))
    expect(idsOf(report, 'not applicable')).toEqual([])
    expect(idsOf(report, 'passed')).toEqual(expect.arrayContaining(['issuers-after', 'good-token-after-rfc9068']))
  })

  test('gets no check of Bearer credentials, and says why', async () => {
    const { results } = await hold({ requireSenderConstrained: 'dpop' }, { only: ['rfc6750-*', 'rfc9110-*'] })
    const bearer = results.filter(({ why }) => why === 'the API takes no Bearer tokens, only DPoP')
    const good = bearer.filter(({ id }) => id.startsWith('rfc6750-good-'))
    expect(good.map(({ verdict }) => verdict)).toEqual(Array.from({ length: 11 }, () => 'not applicable'))
    expect(bearer.filter((one) => !good.includes(one)).map(({ id, verdict }) => [id, verdict])).toEqual(
      [
        'rfc6750-challenge-bearer',
        'rfc6750-challenge-characters',
        'rfc6750-attributes-once',
        'rfc6750-error-code',
        'rfc6750-empty-token',
        'rfc6750-two-tokens-in-one',
        'rfc6750-comma-list',
        'rfc6750-query-token',
        'rfc6750-body-token',
        'rfc9110-scheme-case',
        'rfc6750-cookie-token'
      ].map((id) => [id, 'not applicable'])
    )
    const sent = results.find(({ id }) => id === 'rfc6750-null-token')?.exchanges[0]?.sent
    expect(sent).toMatch(/-H 'Authorization: DPoP null' -H 'DPoP: /)
  })

  test.each([
    ['aud', 'rfc9068-aud-other'],
    ['nbf', 'rfc7519-nbf-future'],
    ['exp of answer', 'rfc7662-exp-past'],
    ['use ignored', 'jwk-use-enc'],
    ['replay', 'dpop-replay']
  ])('with the weakness %s is caught, if DPoP is declared', async (weakness, id) => {
    const { url } = await startWeakApi(weakness, issuer)
    const report = await runConformance(url, { issuer, declared: { binding: 'dpop' }, only: [id] })
    expect(idsOf(report, 'failed')).toEqual([id])
    expect(report.results[0]?.exchanges.at(-1)?.sent).toContain('Authorization: DPoP ')
  })

  test('is told from its challenge where the suite has no issuer: a lax one is caught', async () => {
    const run = async (isLax: boolean): Promise<Report> =>
      runConformance(
        await startPlain(({ answer, authorization, request }) => {
          const isPresented = /^DPoP \S+$/.test(authorization[0] ?? '') && request.headers['dpop'] !== undefined
          if (isLax && isPresented) answer.status = 200
          answer.fields = answer.fields.map(([name, value]) => [name, value.replace('Bearer', 'DPoP')])
        }),
        { only: ['rfc6750-*'] }
      )
    expect((await run(false)).binding).toBe('dpop')
    expect(idsOf(await run(false), 'failed')).toEqual([])
    expect(idsOf(await run(true), 'failed')).toEqual(expect.arrayContaining(['rfc6750-unknown-token']))
  })
})

test('an API that accepts certificate-bound tokens alone is tested with a certificate in the field of its proxy', async () => {
  const report = await hold(
    { requireSenderConstrained: 'certificate' },
    {
      has: ['mtls'],
      declared: { certificateField: 'Client-Cert' },
      only: [...TOKENS, 'rfc8705-*', 'rfc6750-challenge-bearer']
    }
  )
  expect([...idsOf(report, 'failed'), ...idsOf(report, 'error')]).toEqual([])
  expect(report.binding).toBe('certificate')
  const passed = ['rfc9068-aud-other', 'rfc7662-active', 'rfc8705-own', 'rfc6750-challenge-bearer']
  expect(idsOf(report, 'passed')).toEqual(expect.arrayContaining(passed))
})

describe('FAPI 2.0', () => {
  const only = ['fapi2-dpop-rs256']

  test('is not held against an API that is not declared to follow it', async () => {
    const { url } = await startWeakApi('proof by RS256', issuer)
    const { results } = await runConformance(url, { issuer, checks: CHECKS.filter(({ id }) => only.includes(id)) })
    expect(results.map(({ verdict, why }) => [verdict, why])).toEqual([
      ['not applicable', 'needs an API that follows FAPI 2.0: declare it by --profile fapi2']
    ])
  })

  test.each([
    ['by default, which accepts RS256', {}, 'failed'],
    ['with the algorithms of FAPI', { dpop: { algorithms: ['ES256'] } }, 'passed'],
    ['with nonces', { dpop: { algorithms: ['ES256'], nonces: 'required' } }, 'passed'],
    ['with nonces, and RS256', { dpop: { nonces: 'required' } }, 'failed']
  ] as const)('this package %s', async (_, server, verdict) => {
    const report = await hold({ dpop: {}, ...server }, { only })
    expect(report.results[0]).toMatchObject({ id: 'fapi2-dpop-rs256', level: 'MUST', verdict })
  })
})

test('an API that refuses all of them is told which issuer to trust', async () => {
  const url = await startPlain()
  await expect(runConformance(url, { issuer, has: ['mtls'] })).rejects.toThrow(
    /refuses a good token of the suite \(401\)/
  )
})

describe('an API that answers 405 to GET', () => {
  const declared = { request: { method: 'POST', fields: [['Content-Type', 'application/json']], body: '{}' } } as const
  const only = ['rfc9068-aud-other', 'rfc9068-typ-application', 'dpop-htm', 'dpop-htm-case', 'dpop-good-query']

  test('is tested with the declared method, fields and body', async () => {
    const { url } = await startOracle({ issuer, method: 'POST' })
    const report = await runConformance(url, { issuer, declared, only, methods: true })
    expect(idsOf(report, 'passed')).toEqual(expect.arrayContaining(only))
    const sent = report.results.find(({ id }) => id === 'dpop-good-query')?.exchanges.at(-1)?.sent
    expect(sent).toMatch(/^curl -i -X POST .*-H 'Content-Type: application\/json' --data-raw '\{\}'/)
  })

  test('is not sent another method than those allowed', async () => {
    await expect(runConformance(await startPlain(), { declared, only })).rejects.toThrow(
      /declared\.request has the method POST.*--methods/
    )
  })
})
