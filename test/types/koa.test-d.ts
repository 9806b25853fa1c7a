/** Koa 2 and 3, with their own types: `new Koa<AuthState>()` knows `ctx.state.auth`, and middleware fits everywhere. */
import Router from '@koa/router'
import Koa from 'koa'
import mount from 'koa-mount'
import Koa2 from 'koa2'
import { expectTypeOf } from 'vitest'
import {
  type AuthState,
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/koa.js'
import { type Access, resourceServer, scope } from '../../src/index.js'

const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
const guard = protect(api, scope('read'))

const plain3: Koa.Middleware = guard
const app3 = new Koa<AuthState>()
app3.use(errorHandler()).use(protectedResourceMetadata(api)).use(guard).use(plain3)
app3.use((ctx) => {
  expectTypeOf(ctx.state.auth).toEqualTypeOf<Access | undefined>()
  expectTypeOf(getAuth(ctx)).toEqualTypeOf<Access>()
  expectTypeOf(getOptionalAuth(ctx)).toEqualTypeOf<Access | undefined>()
  ctx.body = ctx.state.auth?.subject
})
const router = new Router<AuthState>()
router.use('', guard)
router.get('/:id', guard, (ctx) => {
  expectTypeOf(ctx.state.auth).toEqualTypeOf<Access | undefined>()
  expectTypeOf(getAuth(ctx)).toEqualTypeOf<Access>()
})
router.post('/:id', guard, async (ctx) => {
  await enforce(api, ctx, scope('read'))
})
app3.use(router.routes())
app3.use(mount('/v1', guard))
new Koa().use(errorHandler()).use(guard)

const plain2: Koa2.Middleware = guard
const app2 = new Koa2<AuthState>()
app2.use(errorHandler()).use(protectedResourceMetadata(api)).use(guard).use(plain2)
app2.use((ctx) => {
  expectTypeOf(ctx.state.auth).toEqualTypeOf<Access | undefined>()
  expectTypeOf(getAuth(ctx)).toEqualTypeOf<Access>()
})
app2.use(async (ctx) => enforce(api, ctx, scope('read')))
new Koa2().use(errorHandler()).use(guard)
