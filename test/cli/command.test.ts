/** The names that the program suggests for a misspelt one. */
import { expect, test } from 'vitest'
import { nearest } from '../../src/cli/command.js'

test.each([
  ['isuer', ['issuer', 'resource', 'jwks'], ['issuer']],
  ['audiance', ['audience', 'issuer'], ['audience']],
  ['jwks', ['jwks-uri', 'json', 'jwks'], ['jwks', 'jwks-uri']],
  ['proof', ['proof_type', 'proof_key', 'type'], ['proof_key', 'proof_type']],
  ['nonsense', ['issuer', 'audience'], []],
  ['', ['a', 'issuer'], []],
  ['x'.repeat(1_000_000), ['issuer'], []]
])('nearest: %s', (written, known, names) => {
  expect(nearest(written, known)).toEqual(names)
})
