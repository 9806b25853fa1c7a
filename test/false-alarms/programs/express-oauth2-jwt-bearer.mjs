// @ts-check
/** express-oauth2-jwt-bearer behind Express, as its README says. */
import express from 'express'
import { auth } from 'express-oauth2-jwt-bearer'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const app = express()
app.use(auth({ issuerBaseURL: ISSUER, audience: AUDIENCE }))
app.get('/orders', (request, response) => {
  response.json({ subject: /** @type {any} */ (request.auth)?.payload.sub })
})
app.listen(Number(PORT), '127.0.0.1')
