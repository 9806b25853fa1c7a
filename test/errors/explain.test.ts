/** The list of checks that people are shown, against the catalogue of reasons. */
import { expect, test } from 'vitest'
import { explainChecks } from '../../src/errors/explain.js'
import { PROOF_REASONS, REQUEST_REASONS, TOKEN_REASONS } from '../../src/errors/reasons.js'

test('every refusal of a token, a proof or a request belongs to a check of explain()', () => {
  const known = [REQUEST_REASONS, TOKEN_REASONS, PROOF_REASONS].flatMap((one) => Object.keys(one))
  const jwt = { authorization: 'DPoP a.b.c', fresh: true }
  const opaque = { authorization: 'Bearer abc' }
  for (const reason of [
    ...known,
    'credentials_missing',
    'proof_nonce',
    'insufficient_scope',
    'insufficient_authentication',
    'forbidden'
  ]) {
    const shown = [explainChecks(jwt, reason), explainChecks(opaque, reason)].find((one) => one.length > 0) ?? []
    const failed = shown.findIndex(({ verdict }) => verdict === 'failed')
    expect({ reason, failed: failed >= 0 }).toEqual({ reason, failed: true })
    expect(shown.slice(0, failed).every(({ verdict }) => verdict === 'passed')).toBe(true)
    expect(shown.slice(failed + 1).every(({ verdict }) => verdict === 'not reached')).toBe(true)
  }
  expect(explainChecks(jwt, 'introspection_unavailable')).toEqual([])
})

test('an accepted request passed all checks, and an opaque token is introspected once', () => {
  for (const request of [
    {},
    { authorization: 'Bearer a.b.c', fresh: true },
    { authorization: 'DPoP abc', fresh: true }
  ]) {
    const shown = explainChecks(request, null)
    expect(shown.length).toBeGreaterThan(8)
    expect(new Set(shown.map(({ verdict }) => verdict))).toEqual(new Set(['passed']))
    expect(shown.filter(({ name }) => name.includes('active')).length).toBe(1)
  }
  expect(explainChecks({}, 'credentials_missing')[0]).toMatchObject({ verdict: 'failed' })
})
