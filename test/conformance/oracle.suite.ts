/** An API of this package passes every check of the suite, from outside and with the authorization server. */
import { expect, test } from 'vitest'
import { PROFILES } from '../../conformance/check.js'
import { type ConformanceOptions, runConformance } from '../../conformance/run.js'
import { DECLARED, HAS, type OracleOptions, startOracle } from './oracle.js'

const TIME = { timeout: 900_000 }

/** Features that this API does not have: https, nonces, a realm, CORS, a default port, and signed answers, which another one asks for. */
const OTHER_SERVERS =
  /^(?:hardening-tls|hardening-hsts|rfc9325-.*|rfc6750-https|rfc9110-realm-quoted|rfc9701-(?!as-token).*|dpop-nonce|dpop-good-htu-port|mcp-cors-challenge|hardening-path-inner-double-slash|rfc9449-challenge-algs|rfc9470-max-age-number)$/

/** Runs the checks against an API that must pass them. @param lacks  ids of checks that may be not applicable */
async function requirePass(
  { lacks = /^$/, ...api }: OracleOptions & { readonly lacks?: RegExp },
  more: ConformanceOptions
): Promise<void> {
  const { url, issuer, restart } = await startOracle(api)
  const declared = { ...(more.declared ?? DECLARED), restart }
  const { results } = await runConformance(url, { issuer, has: HAS, methods: true, ...more, declared })
  const bad = results.filter(({ verdict }) => verdict === 'failed' || verdict === 'error')
  expect(Object.fromEntries(bad.map(({ id, finding, why }) => [id, finding ?? why]))).toEqual({})
  const skipped = results.filter(({ verdict, id }) => verdict === 'not applicable' && !lacks.test(id))
  expect(skipped.map(({ id, why }) => [id, why])).toEqual([])
  const passed = results.filter(({ verdict }) => verdict === 'passed').length
  process.stdout.write(`\n${passed} of ${results.length} checks passed, the others are not applicable.\n`)
}

test('an API of this package passes all checks, and all of them are applicable', TIME, async () => {
  await requirePass({ lacks: OTHER_SERVERS }, { profiles: PROFILES })
})

test('an API of this package that asks for signed answers passes the checks of introspection', TIME, async () => {
  await requirePass({ signedResponse: true }, { only: ['rfc7662-*', 'rfc9701-*'] })
})

/** What such an API does not have: Bearer tokens and, as it is declared here, certificates. */
const NO_BEARER =
  /^(?:rfc6750-(?:challenge-bearer|challenge-characters|attributes-once|error-code|empty-token|two-tokens-in-one|comma-list|query-token|body-token|cookie-token|good-(?!then-none).*)|rfc9110-scheme-case|rfc7662-certificate-other|rfc8705-.*|rfc9440-.*)$/
const { certificateField: _field, ...declared } = DECLARED
const NO_MTLS: ConformanceOptions = { has: HAS.filter((need) => need !== 'mtls'), declared }
const either = (...patterns: readonly RegExp[]): RegExp => new RegExp(patterns.map(({ source }) => source).join('|'))

test('an API of this package that takes DPoP alone passes all checks', TIME, async () => {
  const server = { requireSenderConstrained: 'dpop' } as const
  await requirePass({ server, lacks: either(OTHER_SERVERS, NO_BEARER) }, { profiles: PROFILES, ...NO_MTLS })
})

test('an API of this package that takes DPoP alone, with nonces, passes the checks of tokens', TIME, async () => {
  const server = { requireSenderConstrained: 'dpop', dpop: { nonces: 'required', algorithms: ['ES256'] } } as const
  // A proof with a nonce need not be compared with the clock.
  const lacks = either(OTHER_SERVERS, NO_BEARER, /^dpop-iat-/)
  await requirePass({ server, lacks }, { profiles: ['rfc6750', 'rfc9068', 'rfc7662', 'dpop', 'fapi2'], ...NO_MTLS })
})
