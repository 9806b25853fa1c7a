/** An API of this package passes every check of the suite, from outside and with the authorization server. */
import { expect, test } from 'vitest'
import { runConformance } from '../../conformance/run.js'
import { DECLARED, HAS, startOracle } from './oracle.js'

test('an API of this package passes all checks, and all of them are applicable', { timeout: 600_000 }, async () => {
  const { url, issuer } = await startOracle()
  const report = await runConformance(url, { issuer, has: HAS, declared: DECLARED, methods: true })
  const bad = report.results.filter(({ verdict }) => verdict === 'failed' || verdict === 'error')
  expect(Object.fromEntries(bad.map(({ id, finding, why }) => [id, finding ?? why]))).toEqual({})
  const skipped = report.results.filter(({ verdict, id }) => verdict === 'not applicable' && !OTHER_SERVERS.test(id))
  expect(skipped.map(({ id, why }) => [id, why])).toEqual([])
})

/** Checks of features that this API does not have: https, and nonces. */
const OTHER_SERVERS = /^(?:hardening-tls|hardening-hsts|dpop-nonce$)/
