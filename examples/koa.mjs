// @ts-check
import Router from '@koa/router'
import Koa from 'koa'
import { resourceServer, scope } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/koa'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

const router = new Router()
router.get('/orders', protect(api, scope('orders:read')), (ctx) => {
  ctx.body = { orders: [], subject: getAuth(ctx).subject }
})

const app = new Koa()
app.use(errorHandler())
app.use(protectedResourceMetadata(api))
app.use(router.routes())

const server = app.listen(Number(PORT), () => console.log(`Koa: http://localhost:${PORT}/orders`))
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => server.close(() => api.close()))
