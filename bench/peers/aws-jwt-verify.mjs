// @ts-check
/** `JwtVerifier`; it fetches key sets over https only, so this one is given to it (`cacheJwks`). */
import { JwtVerifier } from 'aws-jwt-verify'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'aws-jwt-verify',
  packages: ['aws-jwt-verify'],
  verify: ({ issuer, audience, jwks }) => {
    const verifier = JwtVerifier.create({ issuer, audience, jwksUri: 'https://as.example.com/jwks' })
    verifier.cacheJwks(/** @type {any} */ (jwks))
    return (authorization) => verifier.verifySync(authorization.slice(7))
  }
}
