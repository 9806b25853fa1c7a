// @ts-check
/** koa-jwt with the keys of jwks-rsa, as their READMEs say. */
import jwksRsa from 'jwks-rsa'
import Koa from 'koa'
import koaJwt from 'koa-jwt'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const app = new Koa()
app.use(
  koaJwt({
    secret: /** @type {any} */ (
      jwksRsa.koaJwtSecret({ cache: true, rateLimit: true, jwksRequestsPerMinute: 5, jwksUri: `${ISSUER}/keys` })
    ),
    audience: AUDIENCE,
    issuer: ISSUER,
    algorithms: ['RS256']
  })
)
app.use((context) => {
  if (context.path === '/orders') context.body = { subject: context.state['user'].sub }
})
app.listen(Number(PORT), '127.0.0.1')
