// @ts-check
/** passport-jwt with the keys of jwks-rsa behind Express, as their READMEs say. */
import express from 'express'
import jwksRsa from 'jwks-rsa'
// @ts-expect-error it has no types
import passport from 'passport'
// @ts-expect-error it has no types
import { ExtractJwt, Strategy } from 'passport-jwt'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
passport.use(
  new Strategy(
    {
      secretOrKeyProvider: jwksRsa.passportJwtSecret({
        cache: true,
        rateLimit: true,
        jwksRequestsPerMinute: 5,
        jwksUri: `${ISSUER}/keys`
      }),
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      audience: AUDIENCE,
      issuer: ISSUER,
      algorithms: ['RS256']
    },
    (/** @type {any} */ payload, /** @type {any} */ done) => done(null, payload)
  )
)
const app = express()
app.use(passport.initialize())
app.get('/orders', passport.authenticate('jwt', { session: false }), (request, response) => {
  response.json({ subject: /** @type {any} */ (request).user.sub })
})
app.listen(Number(PORT), '127.0.0.1')
