/** An API of this package passes every check of the suite, from outside and with the authorization server. */
import { expect, test } from 'vitest'
import { PROFILES } from '../../conformance/check.js'
import { type ConformanceOptions, runConformance } from '../../conformance/run.js'
import { DECLARED, HAS, startOracle } from './oracle.js'

const TIME = { timeout: 900_000 }

/** Features that this API does not have: https, nonces, a realm, CORS, a default port, and signed answers, which another one asks for. */
const OTHER_SERVERS =
  /^(?:hardening-tls|hardening-hsts|rfc9325-.*|rfc6750-https|rfc9110-realm-quoted|rfc9701-(?!as-token).*|dpop-nonce|dpop-good-htu-port|mcp-cors-challenge)$/

/** Runs the checks against an API that must pass them. @param lacks  ids of checks that may be not applicable */
async function requirePass(
  { signedResponse = false, lacks = /^$/ }: { readonly signedResponse?: boolean; readonly lacks?: RegExp },
  more: ConformanceOptions
): Promise<void> {
  const { url, issuer, restart } = await startOracle(signedResponse)
  const declared = { ...DECLARED, restart }
  const { results } = await runConformance(url, { issuer, has: HAS, declared, methods: true, ...more })
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
