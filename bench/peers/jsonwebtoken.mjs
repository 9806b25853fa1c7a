// @ts-check
/** `verify` with an imported `KeyObject`, which is kinder to it than the PEM text of its README. */
import { createPublicKey } from 'node:crypto'
import jwt from 'jsonwebtoken'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'jsonwebtoken',
  packages: ['jsonwebtoken'],
  verify: ({ issuer, audience, jwks }) => {
    const keys = new Map(
      jwks.keys.map((key) => [key.alg, createPublicKey({ key: /** @type {any} */ (key), format: 'jwk' })])
    )
    const [rs256, es256] = [keys.get('RS256'), keys.get('ES256')]
    return (authorization) => {
      const isEs256 = authorization.length < 750 && authorization.length > 600
      const options = { issuer, audience, algorithms: [isEs256 ? 'ES256' : 'RS256'] }
      return jwt.verify(authorization.slice(7), isEs256 ? es256 : rs256, options)
    }
  }
}
