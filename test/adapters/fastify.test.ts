import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import resourceServerPlugin, {
  assertProtected,
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/fastify.js'
import { anyScope, optional, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createClock, fault, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, describeAdapter, type Plan, RESOURCE, type Route } from './contract.js'
import { describeDpop } from './dpop-contract.js'
import { describeMutualTls } from './mtls-contract.js'
import { describeStepUp } from './step-up-contract.js'
import { type Lines, type Reply, type Served, send } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

/** `hook`: `protect` everywhere. `plugin`: routes say in `config.auth` what they ask for. */
async function build(kind: 'hook' | 'plugin', plan: Plan): Promise<FastifyInstance> {
  const { api, group, onBody } = plan
  const options = { routerOptions: { ignoreTrailingSlash: true, caseSensitive: false } }
  const app = plan.tls ? (fastify({ ...options, https: plan.tls }) as unknown as FastifyInstance) : fastify(options)
  if (plan.errors === 'json') app.setErrorHandler(errorHandler)
  if (typeof plan.errors === 'object') app.setErrorHandler(errorHandler(plan.errors))
  if (plan.errors === 'own') {
    app.setErrorHandler((error: { statusCode?: number }, _request, reply) =>
      reply.code(error.statusCode ?? 500).send({ message: 'own' })
    )
  }
  app.addHook('onRequest', async (_request, reply) => {
    for (const [name, value] of plan.prior ?? []) reply.header(name, value)
  })
  if (plan.impatient) {
    app.addHook('onRequest', (request, reply, done) => {
      done()
      if (!request.url.includes('patiently')) reply.raw.writeHead(504).end()
    })
  }
  if (kind === 'plugin') await app.register(resourceServerPlugin, { api })
  if (plan.metadata) await app.register(protectedResourceMetadata(...plan.metadata))
  if (onBody) {
    app.addHook('preParsing', async () => {
      onBody()
    })
  }
  const add = (router: FastifyInstance, route: Route): void => {
    const { requires } = route
    const byConfig = kind === 'plugin' && route.api === undefined
    router.route({
      method: route.method ?? 'GET',
      url: route.path,
      ...(requires &&
        (byConfig ? { config: { auth: requires } } : { onRequest: protect(route.api ?? api, ...requires) })),
      handler: async (request, reply) =>
        route.answer({
          getAuth: () => getAuth(request),
          getOptionalAuth: () => getOptionalAuth(request),
          enforce: (...checks) => enforce(api, reply, ...checks),
          setHeader: (name, value) => void reply.header(name, value)
        })
    })
  }
  if (plan.whole) app.addHook('onRequest', protect(api, ...plan.whole))
  if (group) {
    await app.register(
      async (child) => {
        child.addHook('onRequest', protect(api, ...group.requires))
        for (const route of group.routes) add(child, route)
      },
      { prefix: group.path }
    )
  }
  for (const route of plan.routes ?? []) add(app, route)
  return app
}

async function serve(app: FastifyInstance): Promise<Served> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { port: (app.server.address() as { port: number }).port, close: () => app.close() }
}

for (const kind of ['hook', 'plugin'] as const) {
  const adapter: Adapter = {
    name: `Fastify 5, by ${kind}`,
    matches: { slash: true, case: true },
    serve: async (plan) => serve(await build(kind, plan))
  }
  describeAdapter(adapter)
  describeDpop(adapter)
  describeMutualTls(adapter)
  describeStepUp(adapter)
}

describe('Fastify 5 alone', () => {
  const { now } = createClock()
  let issuer: TestIssuer
  let api: ResourceServer

  beforeAll(async () => {
    issuer = await startIssuer({ now })
    api = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now })
  })
  afterAll(async () => {
    await api.close()
    await issuer.close()
  })

  const handler = async (): Promise<object> => ({ handled: true })

  /** Starts the app, and asks it without a token or with one. */
  async function start(
    app: FastifyInstance
  ): Promise<(path: string, headers?: Lines, method?: string) => Promise<Reply>> {
    const served = await serve(app)
    onTestFinished(() => served.close())
    return (path, headers = [], method = 'GET') => send(served.port, { method, path, headers })
  }
  const bearer = (granted = 'read'): Lines => [
    ['Authorization', `Bearer ${issuer.token({ claims: { scope: granted } })}`]
  ]

  test('each route says in config.auth what it asks for', async () => {
    const app = fastify()
    await app.register(resourceServerPlugin, { api })
    app.get('/none', handler)
    app.get('/false', { config: { auth: false } }, handler)
    app.get('/true', { config: { auth: true } }, handler)
    app.get('/one', { config: { auth: scope('write') } }, handler)
    app.get('/several', { config: { auth: [scope('write'), anyScope('x', 'y')] } }, handler)
    app.get('/waived', { config: { auth: [optional, scope('write')] } }, handler)
    const ask = await start(app)
    const statuses = async (headers?: Lines): Promise<number[]> => {
      const paths = ['/none', '/false', '/true', '/one', '/several', '/waived']
      return Promise.all(paths.map(async (path) => (await ask(path, headers)).status))
    }
    expect(await statuses()).toEqual([200, 200, 401, 401, 401, 200])
    expect(await statuses(bearer('read'))).toEqual([200, 200, 200, 403, 403, 403])
    expect(await statuses(bearer('write'))).toEqual([200, 200, 200, 200, 403, 200])
    expect(await statuses(bearer('write y'))).toEqual([200, 200, 200, 200, 200, 200])
    expect((await ask('/several')).values('www-authenticate')).toEqual([`Bearer scope="write x", ${METADATA}`])
  })

  test("protect: 'all' closes every route that does not open itself", async () => {
    const app = fastify()
    await app.register(resourceServerPlugin, { api, protect: 'all' })
    app.get('/none', handler)
    app.get('/configured', { config: { other: 1 } as object }, handler)
    app.get('/one', { config: { auth: scope('write') } }, handler)
    app.get('/open', { config: { auth: false } }, handler)
    await app.register(async (child) => child.get('/none', handler), { prefix: '/child' })
    const ask = await start(app)
    for (const path of ['/none', '/configured', '/one', '/child/none']) {
      expect((await ask(path)).status, path).toBe(401)
      expect((await ask(path, [], 'HEAD')).status, path).toBe(401)
    }
    expect((await ask('/open')).status).toBe(200)
    expect((await ask('/none', bearer())).status).toBe(200)
    expect((await ask('/one', bearer())).status).toBe(403)
    expect((await ask('/nowhere')).status).toBe(404)
  })

  test("protect: 'all' is of routes: a handler for what is none protects itself", async () => {
    for (const [preHandler, expected] of [
      [undefined, [200, 200, 200]],
      [protect(api), [401, 401, 200]],
      [protect(api, scope('write')), [401, 401, 403]]
    ] as const) {
      const app = fastify()
      await app.register(resourceServerPlugin, { api, protect: 'all' })
      app.get('/items', handler)
      if (preHandler) app.setNotFoundHandler({ preHandler }, handler)
      else app.setNotFoundHandler(handler)
      const ask = await start(app)
      expect((await ask('/items')).status).toBe(401)
      const answers = [await ask('/proxied'), await ask('/items', [], 'POST'), await ask('/proxied', bearer())]
      expect(answers.map(({ status }) => status)).toEqual(expected)
    }
  })

  test('ADP-04, ADP-05: routes of before the plugin, their HEAD, and routes of children are protected too', async () => {
    const app = fastify()
    const protectedRoute = { config: { auth: scope('read') } }
    app.get('/before', protectedRoute, handler)
    await app.register(async (child) => child.get('/items', protectedRoute, handler), { prefix: '/before-child' })
    await app.register(resourceServerPlugin, { api })
    app.get('/after', protectedRoute, handler)
    await app.register(
      async (child) => {
        child.get('/items', protectedRoute, handler)
        await child.register(async (deeper) => deeper.get('/items', protectedRoute, handler), { prefix: '/deeper' })
      },
      { prefix: '/child' }
    )
    const ask = await start(app)
    for (const path of ['/before', '/before-child/items', '/after', '/child/items', '/child/deeper/items']) {
      expect((await ask(path)).values('www-authenticate'), path).toEqual([`Bearer scope="read", ${METADATA}`])
      expect((await ask(path, [], 'HEAD')).status, path).toBe(401)
      expect((await ask(path, bearer())).status, path).toBe(200)
    }
  })

  test('the plugin need not be awaited', async () => {
    const app = fastify()
    void app.register(resourceServerPlugin, { api, protect: 'all' })
    app.get('/items', handler)
    app.get('/open', { config: { auth: false } }, handler)
    const ask = await start(app)
    expect([(await ask('/items')).status, (await ask('/open')).status]).toEqual([401, 200])
  })

  test.each([
    ['a scope by its name alone', 'read'],
    ['undefined, as of a misspelt variable', undefined],
    ['null', null],
    ['a list with something else in it', [scope('read'), 'write']],
    ['an object of options', { scopes: ['read'] }]
  ])('a config.auth that is %s stops the start', async (_what, auth) => {
    const app = fastify()
    onTestFinished(() => app.close())
    await app.register(resourceServerPlugin, { api })
    expect(() => app.get('/items', { config: { auth: auth as never } }, handler)).toThrow(TypeError)
  })

  test("a misspelt protect: 'all' stops the start, and does not leave routes open", async () => {
    const app = fastify()
    onTestFinished(() => app.close())
    await expect(app.register(resourceServerPlugin, { api, protect: 'All' as never })).rejects.toThrow(
      "`protect` is 'All'"
    )
  })

  test('a config.auth with a scope that the API does not list stops the start', async () => {
    const listed = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], scopes: ['read'] })
    const app = fastify()
    onTestFinished(() => app.close())
    await app.register(resourceServerPlugin, { api: listed })
    expect(() => app.get('/items', { config: { auth: scope('raed') } }, handler)).toThrow('"raed"')
  })

  test('a mistaken config.auth of before the plugin never opens its route', async () => {
    const app = fastify()
    const handled = vi.fn(handler)
    app.get('/items', { config: { auth: 'read' as never } }, handled)
    await app.register(resourceServerPlugin, { api })
    const ask = await start(app)
    expect([(await ask('/items')).status, (await ask('/items', bearer())).status]).toEqual([500, 500])
    expect(handled).not.toHaveBeenCalled()
  })

  test('PRM-20 (RFC 8615 §3): under a prefix the plugin does not start', async () => {
    for (const plugin of [
      async (child: FastifyInstance) => {
        await child.register(resourceServerPlugin, { api })
      },
      async (child: FastifyInstance) => {
        await child.register(protectedResourceMetadata(api))
      }
    ]) {
      const app = fastify()
      onTestFinished(() => app.close())
      void app.register(plugin, { prefix: '/v1' })
      await expect(app.ready()).rejects.toThrow('registered under /v1')
    }
    const quiet = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now, metadata: false })
    const app = fastify()
    await app.register(
      async (child) => {
        await child.register(resourceServerPlugin, { api: quiet, protect: 'all', encapsulated: true })
        child.get('/items', handler)
      },
      { prefix: '/v1' }
    )
    app.get('/open', handler)
    const ask = await start(app)
    const refused = await ask('/v1/items')
    expect([refused.status, refused.values('www-authenticate')]).toEqual([401, [`Bearer realm="${RESOURCE}"`]])
    expect((await ask('/open')).status).toBe(200)
  })

  describe('ADP-04: encapsulation', () => {
    const closed = { config: { auth: scope('read') } }
    type Plugin = (app: FastifyInstance) => Promise<void>
    /** As the package fastify-plugin does: the plugin gets the instance it is registered on, and not a child. */
    const wrapped = (plugin: Plugin): Plugin => Object.assign(plugin, { [Symbol.for('skip-override')]: true })
    const inside =
      (encapsulated?: boolean): Plugin =>
      async (child) => {
        await child.register(resourceServerPlugin, { api, ...(encapsulated !== undefined && { encapsulated }) })
        child.get('/inside', closed, handler)
      }
    const create = (...plugins: readonly Plugin[]): FastifyInstance => {
      const app = fastify()
      onTestFinished(() => app.close())
      for (const plugin of plugins) void app.register(plugin)
      return app
    }
    const metadata: Plugin = wrapped(async (app) => void app.register(protectedResourceMetadata(api)))

    test.each<[string, Plugin]>([
      ['a child', inside()],
      ['a child, encapsulated: false', inside(false)],
      ['a child of a child', async (child) => void child.register(inside())],
      ['a child of a plugin that is wrapped', wrapped(async (app) => void app.register(inside()))],
      ['a wrapped plugin of a child', async (child) => void child.register(wrapped(inside()))]
    ])('the plugin on %s stops the start', async (_where, plugin) => {
      const app = create(plugin)
      app.get('/outside', closed, handler)
      await expect(app.ready()).rejects.toThrow(
        /^oauth-resource-server is registered inside another plugin, not on the root instance: .*encapsulated: true/
      )
    })

    test('the plugin in plugins that are wrapped protects the whole app: they keep the root instance', async () => {
      const app = create(wrapped(async (one) => void one.register(wrapped(inside()))))
      app.get('/outside', closed, handler)
      assertProtected(app)
      const ask = await start(app)
      for (const path of ['/inside', '/outside']) expect((await ask(path)).status, path).toBe(401)
      expect((await ask('/.well-known/oauth-protected-resource')).status).toBe(200)
    })

    test('encapsulated: true protects the routes of its plugin, of before and of children, and no others', async () => {
      const app = fastify()
      void app.register(metadata)
      void app.register(
        async (child) => {
          child.get('/before', closed, handler)
          await child.register(resourceServerPlugin, { api, encapsulated: true })
          await child.register(async (deeper) => void deeper.get('/deeper', closed, handler))
        },
        { prefix: '/v1' }
      )
      app.get('/outside', closed, handler)
      const ask = await start(app)
      for (const path of ['/v1/before', '/v1/deeper']) {
        expect((await ask(path)).status, path).toBe(401)
        expect((await ask(path, [], 'HEAD')).status, path).toBe(401)
        expect((await ask(path, bearer())).status, path).toBe(200)
      }
      expect((await ask('/outside')).status).toBe(200)
      expect((await ask('/.well-known/oauth-protected-resource')).status).toBe(200)
    })

    test('encapsulated: true on the root instance protects all, and serves the metadata', async () => {
      const app = fastify()
      await app.register(resourceServerPlugin, { api, encapsulated: true })
      app.get('/items', closed, handler)
      const ask = await start(app)
      expect((await ask('/items')).status).toBe(401)
      expect((await ask('/.well-known/oauth-protected-resource')).status).toBe(200)
    })

    test('an encapsulated that is neither true nor false stops the start', async () => {
      const app = create(async (child) => {
        await child.register(resourceServerPlugin, { api, encapsulated: 'yes' as never })
      })
      await expect(app.ready()).rejects.toThrow('`encapsulated` is not true or false')
    })

    test('PRM-20 (RFC 8615 §3): encapsulated: true stops the start where the root instance serves no metadata', async () => {
      await expect(create(inside(true)).ready()).rejects.toThrow('register protectedResourceMetadata(api) on the root')
      const child: Plugin = async (one) => void one.register(protectedResourceMetadata(api))
      await expect(create(child).ready()).rejects.toThrow('no request for the metadata')
      await create(inside(true), metadata).ready()
      await create(metadata, inside(true)).ready()
    })

    test('assertProtected() names every route whose config.auth nothing reads, wherever and whenever declared', async () => {
      const app = create(metadata)
      app.get('/early', closed, handler)
      void app.register(inside(true), { prefix: '/safe' })
      void app.register(
        async (child) => {
          child.route({ method: ['POST', 'PUT'], url: '/', config: { auth: true }, handler })
          child.get('/:id', { ...closed, constraints: { host: 'a.example' } }, handler)
          child.get('/open', { config: { auth: false } }, handler)
          child.get('/none', handler)
        },
        { prefix: '/outside' }
      )
      assertProtected(app)
      app.get('*', { config: { auth: undefined as never } }, handler)
      const error = await app.ready().then(
        () => undefined,
        (thrown: Error) => thrown
      )
      expect(error).toBeInstanceOf(TypeError)
      const named = /`config\.auth` of (.*), so requests/.exec((error as Error).message)?.[1]?.split(', ')
      expect(new Set(named)).toEqual(
        new Set([
          'GET /early',
          'HEAD /early',
          'POST /outside',
          'PUT /outside',
          'GET /outside/:id',
          'HEAD /outside/:id',
          'GET *',
          'HEAD *'
        ])
      )
    })

    test('assertProtected() throws at once where the app is ready', async () => {
      const app = create()
      app.get('/items', closed, handler)
      await app.ready()
      expect(() => assertProtected(app)).toThrow('GET /items')
      const none = create()
      await none.ready()
      assertProtected(none)
    })

    test('assertProtected() accepts a plugin that is registered after it and after the routes', async () => {
      const app = create()
      assertProtected(app)
      app.get('/items', closed, handler)
      await app.register(async (child) => void child.get('/child', closed, handler))
      await app.register(resourceServerPlugin, { api })
      await app.ready()
      assertProtected(app)
    })

    test('assertProtected() throws, and does not pass, where a version of Fastify shows no routes', async () => {
      const app = create()
      await app.ready()
      const odd = Object.assign(Object.create(app), { printRoutes: () => '└── /items (GET)' })
      expect(() => assertProtected(odd)).toThrow('cannot read the routes')
    })
  })

  test('request.auth is the access in handlers and null where none was asked for', async () => {
    const app = fastify()
    await app.register(resourceServerPlugin, { api })
    app.get('/items', { config: { auth: true } }, async (request) => ({
      subject: request.auth?.subject,
      same: request.auth === getAuth(request)
    }))
    app.get('/open', async (request) => ({ auth: request.auth }))
    const ask = await start(app)
    expect((await ask('/items', bearer())).body).toBe('{"subject":"u1","same":true}')
    expect((await ask('/open', bearer())).body).toBe('{"auth":null}')
  })

  test('what another plugin left on request.auth is neither access nor taken for it', async () => {
    const app = fastify()
    app.addHook('onRequest', async (request) => {
      request.auth = { subject: 'u1' } as never
      expect(getOptionalAuth(request)).toBeUndefined()
      expect(() => getAuth(request)).toThrow('there is no access on this request')
    })
    app.get('/items', { onRequest: protect(api) }, handler)
    app.get('/some', { onRequest: protect(api, optional) }, async ({ auth }) => ({ auth }))
    const ask = await start(app)
    expect((await ask('/items')).status).toBe(401)
    expect((await ask('/some')).body).toBe('{"auth":null}')
  })

  test('ADP-04: challenges set before are kept, one a line, and those of a route hook run before its body is parsed', async () => {
    const app = fastify()
    const parsed = vi.fn()
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('www-authenticate', ['Basic realm="a"', 'Digest realm="b"'])
    })
    app.addContentTypeParser('text/x', (_request, payload, done) => {
      parsed()
      payload.resume().on('end', () => done(null, 'parsed'))
    })
    app.post('/items', { onRequest: protect(api) }, handler)
    const served = await serve(app)
    onTestFinished(() => served.close())
    const post = (headers: Lines): Promise<Reply> =>
      send(served.port, {
        method: 'POST',
        path: '/items',
        body: 'x',
        headers: [['Content-Type', 'text/x'], ...headers]
      })
    const refused = await post([])
    expect([refused.status, refused.values('www-authenticate')]).toEqual([
      401,
      ['Basic realm="a"', 'Digest realm="b"', `Bearer ${METADATA}`]
    ])
    expect(parsed).not.toHaveBeenCalled()
    expect((await post(bearer())).status).toBe(200)
    expect(parsed).toHaveBeenCalledTimes(1)
  })

  test.each([
    ['a text', 'db down'],
    ['an object', { code: 'E1', message: 'db down' }],
    ['one with a status', { statusCode: 403, message: 'no' }],
    ['one with a status of another name', { status: 404 }],
    ['one with a status of success', { statusCode: 200 }],
    ['one with a status that is none', { statusCode: '403x', status: 1000 }],
    ['null', null],
    ['undefined', undefined]
  ])('what is thrown and is no error is a failure, as it is by default: %s', async (_, thrown) => {
    const statuses = async (app: FastifyInstance): Promise<number[]> => {
      app.get('/handler', () => Promise.reject(thrown))
      app.get('/accepted', (_request, reply) => {
        void reply.code(202)
        return Promise.reject(thrown)
      })
      app.get('/begun', (_request, reply) => {
        void reply.code(422)
        return Promise.reject(thrown)
      })
      app.get('/hook', { preHandler: () => Promise.reject(thrown) }, handler)
      const ask = await start(app)
      return Promise.all(['/handler', '/accepted', '/begun', '/hook'].map(async (path) => (await ask(path)).status))
    }
    const own = fastify()
    own.setErrorHandler(errorHandler)
    const all = await statuses(own)
    expect(Math.min(...all)).toBeGreaterThanOrEqual(400)
    expect(all).toEqual(await statuses(fastify()))
  })

  test('the JSON error handler leaves other errors to Fastify', async () => {
    const app = fastify()
    app.setErrorHandler(errorHandler)
    app.get('/teapot', async () => {
      throw Object.assign(new Error('short and stout'), { statusCode: 418 })
    })
    const ask = await start(app)
    const reply = await ask('/teapot')
    expect([reply.status, JSON.parse(reply.body)]).toMatchObject([418, { message: 'short and stout' }])
  })

  test("SEC-04: Fastify's own error answer tells a client nothing of the authorization server", async () => {
    const down = await startIssuer({ now })
    down.always('metadata', fault.status(500))
    const broken = resourceServer({ resource: RESOURCE, issuers: [down.issuer], now })
    onTestFinished(async () => {
      await broken.close()
      await down.close()
    })
    const app = fastify()
    app.get('/items', { onRequest: protect(broken) }, handler)
    const ask = await start(app)
    const reply = await ask('/items', [['Authorization', `Bearer ${down.token()}`]])
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      503,
      {
        statusCode: 503,
        code: 'temporarily_unavailable',
        error: 'Service Unavailable',
        message: 'The authorization server cannot be asked now'
      }
    ])
  })

  test('HTTP/2 requests are read alike', async () => {
    const app = fastify({ http2: true })
    await app.register(resourceServerPlugin, { api, protect: 'all' })
    app.get('/items', handler)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    onTestFinished(async () => {
      session.close()
      await app.close()
    })
    const ask = async (headers: Record<string, string>): Promise<unknown[]> => {
      const stream = session.request({ ':path': '/items', ...headers })
      stream.resume()
      const [fields] = (await once(stream, 'response')) as [Record<string, unknown>]
      return [fields[':status'], fields['www-authenticate']]
    }
    expect(await ask({})).toEqual([401, `Bearer ${METADATA}`])
    expect(await ask({ authorization: `Bearer ${issuer.token()}` })).toEqual([200, undefined])
  })

  test('the same server may not be registered twice', async () => {
    const app = fastify()
    onTestFinished(() => app.close())
    await app.register(resourceServerPlugin, { api })
    await expect(async () => app.register(resourceServerPlugin, { api })).rejects.toThrow()
  })

  test('SCP-08: a requirement that is none stops the start', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
  })
})
