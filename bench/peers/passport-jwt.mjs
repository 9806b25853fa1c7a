// @ts-check
/** With jwks-rsa, as its README recommends: cached, rate-limited; no session. */
import jwksRsa from 'jwks-rsa'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'passport-jwt + jwks-rsa',
  packages: ['passport-jwt', 'passport', 'jwks-rsa'],
  express: ({ issuer, jwksUri, audience }) => {
    const strategy = new Strategy(
      {
        secretOrKeyProvider: jwksRsa.passportJwtSecret({
          cache: true,
          rateLimit: true,
          jwksRequestsPerMinute: 5,
          jwksUri
        }),
        jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
        audience,
        issuer,
        algorithms: ['RS256', 'ES256']
      },
      (/** @type {unknown} */ claims, /** @type {(error: unknown, user: unknown) => void} */ done) => done(null, claims)
    )
    passport.use(strategy)
    return [passport.initialize(), passport.authenticate('jwt', { session: false })]
  }
}
