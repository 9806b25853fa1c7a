/** Fastify 5: the plugin types `request.auth` and `config.auth`, with the scopes that the API lists. */
import fastify from 'fastify'
import { expectTypeOf } from 'vitest'
import resourceServerPlugin, {
  enforce,
  errorHandler,
  fastifyResourceServer,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata,
  type RouteAuth
} from '../../adapters/fastify.js'
import { type Access, anyScope, optional, resourceServer, scope } from '../../src/index.js'

const api = resourceServer({
  resource: 'https://api.example.com',
  issuers: ['https://as.example.com'],
  scopes: ['read', 'write']
})
const app = fastify()
await app.register(resourceServerPlugin, { api, protect: 'all' })
await app.register(fastifyResourceServer, { api })
await app.register(protectedResourceMetadata(api))
app.setErrorHandler(errorHandler)

app.get<{ Params: { id: string } }>('/:id', { config: { auth: scope('read') } }, async (request) => {
  expectTypeOf(request.auth).toEqualTypeOf<Access | null>()
  expectTypeOf(getAuth(request)).toEqualTypeOf<Access>()
  expectTypeOf(getOptionalAuth(request)).toEqualTypeOf<Access | undefined>()
  expectTypeOf(request.params.id).toEqualTypeOf<string>()
  return request.auth?.subject
})
app.get('/true', { config: { auth: true } }, async () => ({}))
app.get('/open', { config: { auth: false } }, async () => ({}))
app.get('/list', { config: { auth: [optional, anyScope('read', 'write')] } }, async () => ({}))
app.route({ method: 'GET', url: '/hook', onRequest: protect(api, scope('read')), handler: async () => ({}) })
app.route({ method: 'GET', url: '/hooks', onRequest: [protect(api, scope('read'))], handler: async () => ({}) })
app.addHook('onRequest', protect(api))

app.post('/:id', { config: { auth: true } }, async (_request, reply) => {
  await enforce(api, reply, scope('write'))
  // @ts-expect-error a scope that the API does not list
  await enforce(api, reply, scope('wirte'))
})

// @ts-expect-error a scope's name alone is no requirement
app.get('/name', { config: { auth: 'read' } }, async () => ({}))
// @ts-expect-error nor is an object of options
app.get('/object', { config: { auth: { scopes: ['read'] } } }, async () => ({}))
// @ts-expect-error a scope that the API does not list
app.addHook('onRequest', protect(api, scope('raed')))
// @ts-expect-error the plugin needs an API
app.register(resourceServerPlugin, {})
// @ts-expect-error neither 'declared' nor 'all'
app.register(resourceServerPlugin, { api, protect: 'some' })

// A route's configuration knows no API, so its scopes are checked at boot unless they are named here.
const auth: RouteAuth<'read' | 'write'> = scope('write')
// @ts-expect-error a misspelt scope
const misspelt: RouteAuth<'read' | 'write'> = scope('wirte')
app.get('/typed', { config: { auth } }, async () => misspelt)
