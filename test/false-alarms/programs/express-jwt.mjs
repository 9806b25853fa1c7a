// @ts-check
/** express-jwt with the keys of jwks-rsa behind Express, as their READMEs say. */
import express from 'express'
import { expressjwt } from 'express-jwt'
import jwksRsa from 'jwks-rsa'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const app = express()
app.use(
  expressjwt({
    secret: /** @type {any} */ (
      jwksRsa.expressJwtSecret({ cache: true, rateLimit: true, jwksRequestsPerMinute: 5, jwksUri: `${ISSUER}/keys` })
    ),
    audience: AUDIENCE,
    issuer: ISSUER,
    algorithms: ['RS256']
  })
)
app.get('/orders', (request, response) => {
  response.json({ subject: /** @type {any} */ (request).auth?.sub })
})
app.listen(Number(PORT), '127.0.0.1')
