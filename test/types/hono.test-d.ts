/** Hono: `Hono<{ Variables: AuthVariables }>` knows `c.var.auth`, and the middleware fits an app that has no such variables. */
import { Hono, type MiddlewareHandler } from 'hono'
import { expectTypeOf } from 'vitest'
import {
  type AuthVariables,
  enforce,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/hono.js'
import { type Access, resourceServer, scope } from '../../src/index.js'

const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
const guard = protect(api, scope('read'))

const app = new Hono<{ Variables: AuthVariables }>()
app.use(protectedResourceMetadata(api))
app.use(guard)
app.use('/v1/*', guard)
app.get('/:id', guard, (c) => {
  expectTypeOf(c.var.auth).toEqualTypeOf<Access | undefined>()
  expectTypeOf(c.get('auth')).toEqualTypeOf<Access | undefined>()
  expectTypeOf(getAuth(c)).toEqualTypeOf<Access>()
  expectTypeOf(getOptionalAuth(c)).toEqualTypeOf<Access | undefined>()
  expectTypeOf(c.req.param('id')).toEqualTypeOf<string>()
  return c.json({ subject: c.var.auth?.subject })
})

app.post('/:id', guard, async (c) => {
  await enforce(api, c, scope('read'))
  return c.body(null)
})

const any: MiddlewareHandler = guard
new Hono().use(any).get('/', guard, (c) => c.text(getAuth(c).subject ?? ''))

const more = new Hono<{ Variables: AuthVariables & { requestId: string } }>()
more.use(guard).get('/', (c) => c.text(c.var.requestId))
