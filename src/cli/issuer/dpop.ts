/**
 * DPoP proofs at the token endpoint (RFC 9449 §5): the key that a token will be bound to. Verified by jose. A proof is
 * accepted once.
 *
 * Does NOT use nonces.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import type { IncomingMessage } from 'node:http'
import { isTargetUri } from '../../confirmation/target-uri.js'
import { memoryOnceStore } from '../../sharing/memory-once-store.js'
import { OAuthError } from './answers.js'

/** The signature algorithms of proofs, for the metadata too. */
export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const

/** Maximum seconds since `iat`. */
const PROOF_LIFETIME = 60
/** Maximum seconds that a client's clock may be ahead. */
const MAX_AHEAD = 10
/** Maximum proofs remembered against replay. */
const MAX_PROOFS = 10_000
/** Maximum characters of a `jti`. */
const MAX_JTI = 256

/** @returns the thumbprint of the proof's key, or undefined without a proof @throws {OAuthError} `invalid_dpop_proof` */
export type ReadProof = (request: IncomingMessage) => Promise<string | undefined>

export function createReadProof(issuer: string, path: string): ReadProof {
  const used = memoryOnceStore({ maxEntries: MAX_PROOFS })
  return async ({ headersDistinct }) => {
    const [proof, ...more] = headersDistinct['dpop'] ?? []
    if (proof === undefined) return undefined
    if (more.length > 0) throw refusal('there is more than one proof')
    const { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } = await import('jose')
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...PROOF_ALGORITHMS],
      maxTokenAge: PROOF_LIFETIME,
      clockTolerance: MAX_AHEAD,
      requiredClaims: ['jti', 'htm', 'htu', 'iat']
    }).catch((error: Error) => {
      throw refusal(error.message)
    })
    const { jti, htm, htu } = payload
    if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI) throw refusal('jti is not a short text')
    if (htm !== 'POST') throw refusal('htm is not POST')
    if (typeof htu !== 'string' || !isTargetUri([issuer], path, htu)) throw refusal(`htu is not ${issuer}${path}`)
    const jkt = await calculateJwkThumbprint(protectedHeader.jwk as NonNullable<typeof protectedHeader.jwk>)
    if (!(await isNew(`${jkt}.${jti}`))) throw refusal('the proof was used before')
    return jkt
  }

  async function isNew(key: string): Promise<boolean> {
    try {
      return await used.add(key, PROOF_LIFETIME + 2 * MAX_AHEAD)
    } catch {
      throw new OAuthError(503, 'temporarily_unavailable', 'Too many DPoP proofs in a minute: try again later.')
    }
  }
}

function refusal(problem: string): OAuthError {
  return new OAuthError(400, 'invalid_dpop_proof', `The DPoP proof was refused: ${problem}.`)
}
