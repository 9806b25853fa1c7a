// @ts-check
/** With jwks-rsa, as both READMEs recommend: cached, rate-limited. */
import { expressjwt } from 'express-jwt'
import jwksRsa from 'jwks-rsa'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'express-jwt + jwks-rsa',
  packages: ['express-jwt', 'jwks-rsa'],
  express: ({ issuer, jwksUri, audience }) =>
    expressjwt({
      secret: /** @type {any} */ (
        jwksRsa.expressJwtSecret({ cache: true, rateLimit: true, jwksRequestsPerMinute: 5, jwksUri })
      ),
      audience,
      issuer,
      algorithms: ['RS256', 'ES256']
    })
}
