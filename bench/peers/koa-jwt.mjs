// @ts-check
/** With jwks-rsa, as both READMEs recommend: cached, rate-limited. */
import jwksRsa from 'jwks-rsa'
import koaJwt from 'koa-jwt'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'koa-jwt + jwks-rsa',
  packages: ['koa-jwt', 'jwks-rsa'],
  koa: ({ issuer, jwksUri, audience }) =>
    koaJwt({
      secret: /** @type {any} */ (
        jwksRsa.koaJwtSecret({ cache: true, rateLimit: true, jwksRequestsPerMinute: 5, jwksUri })
      ),
      audience,
      issuer,
      algorithms: ['RS256', 'ES256']
    })
}
