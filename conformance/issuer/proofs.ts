/**
 * Clients of the suite that prove possession of a key (RFC 9449 §4.2): good proofs, and proofs with one flaw.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { randomUUID } from 'node:crypto'
import { createKey } from '../../test-kit/keys.js'
import type { ProofKey, SigningAlgorithm } from '../check.js'
import { encodeText, jwkThumbprint, type SuiteKey, sha256, signInput } from './keys.js'

/** @param now  seconds since the epoch */
export function createProofKey(now: () => number, algorithm: SigningAlgorithm = 'ES256'): ProofKey {
  const key: SuiteKey = createKey(algorithm, 'dpop')
  const { kid: _kid, alg: _alg, use: _use, ...jwk } = key.publicJwk
  return {
    jkt: jwkThumbprint(jwk),
    jwk,
    proof: ({ method, url, token }, { header, claims, signature = (made: Buffer) => made } = {}) => {
      const { origin, pathname } = new URL(url)
      const good = {
        jti: randomUUID(),
        htm: method,
        htu: origin + pathname,
        iat: Math.floor(now()),
        ath: sha256(token)
      }
      const head = encodeText(JSON.stringify({ typ: 'dpop+jwt', alg: algorithm, jwk, ...header }))
      const input = `${head}.${encodeText(JSON.stringify({ ...good, ...claims }))}`
      return `${input}.${Buffer.from(signature(signInput(input, key))).toString('base64url')}`
    }
  }
}
