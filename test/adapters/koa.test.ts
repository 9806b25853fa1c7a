import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Router from '@koa/router'
import Koa from 'koa'
import mount from 'koa-mount'
import Koa2 from 'koa2'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type AuthState,
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  type KoaMiddleware,
  protect,
  protectedResourceMetadata
} from '../../adapters/koa.js'
import { Forbidden, Misconfigured, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createClock, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, describeAdapter, type Plan, RESOURCE, type Route } from './contract.js'
import { describeDpop } from './dpop-contract.js'
import { describeMutualTls } from './mtls-contract.js'
import { describeStepUp } from './step-up-contract.js'
import { listen, send } from './wire.js'

const BARE_CHALLENGE = `Bearer resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

const versions: readonly (readonly [string, typeof Koa])[] = [
  ['Koa 3', Koa],
  ['Koa 2', Koa2 as unknown as typeof Koa]
]

function build(Application: typeof Koa, plan: Plan): Koa<AuthState> {
  const { api, group, onBody } = plan
  const app = new Application<AuthState>()
  app.silent = true
  const root = new Router<AuthState>()
  const parse: Koa.Middleware<AuthState>[] = onBody
    ? [
        async (ctx, next) => {
          onBody()
          for await (const _ of ctx.req);
          await next()
        }
      ]
    : []
  const add = (router: Router<AuthState>, route: Route): void => {
    const guards = route.requires ? [protect(route.api ?? api, ...route.requires)] : []
    const method = (route.method ?? 'GET').toLowerCase() as 'get' | 'post' | 'options'
    router[method](route.path, ...guards, ...parse, async (ctx) => {
      ctx.body = await route.answer({
        getAuth: () => getAuth(ctx),
        getOptionalAuth: () => getOptionalAuth(ctx),
        enforce: (...checks) => enforce(api, ctx, ...checks),
        setHeader: (name, value) => ctx.set(name, value)
      })
    })
  }
  if (plan.errors === 'json') app.use(errorHandler())
  if (typeof plan.errors === 'object') app.use(errorHandler(plan.errors))
  if (plan.errors === 'own') {
    app.use(async (ctx, next) => {
      try {
        await next()
      } catch (error) {
        ctx.status = (error as { status?: number }).status ?? 500
        ctx.body = { message: 'own' }
      }
    })
  }
  app.use((ctx, next) => {
    for (const [name, value] of plan.prior ?? []) ctx.set(name, value)
    return next()
  })
  if (plan.impatient) {
    app.use((ctx, next) => {
      const decided = next()
      if (!('patiently' in ctx.query)) ctx.res.writeHead(504).end()
      return decided
    })
  }
  if (plan.metadata) app.use(protectedResourceMetadata(...plan.metadata))
  if (plan.whole) app.use(protect(api, ...plan.whole))
  if (group) {
    const router = new Router<AuthState>({ prefix: group.path })
    // Without '' a router compiles a pattern that is case-sensitive, unlike its routes'.
    router.use('', protect(api, ...group.requires))
    for (const route of group.routes) add(router, route)
    app.use(router.routes())
  }
  for (const route of plan.routes ?? []) add(root, route)
  app.use(root.routes())
  return app
}

for (const [name, Application] of versions) {
  const adapter: Adapter = {
    name,
    matches: { slash: true, case: true },
    serve: async (plan) => listen(build(Application, plan).callback(), plan.tls)
  }
  describeAdapter(adapter)
  describeDpop(adapter)
  describeMutualTls(adapter)
  describeStepUp(adapter)
}

describe.each(versions)('%s alone', (_name, Application) => {
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

  const createApp = (): Koa<AuthState> => {
    const app = new Application<AuthState>()
    app.silent = true
    return app
  }

  test("ADP-03: Koa's own error answer drops fields set before, and the challenge is none of them", async () => {
    const app = createApp()
    app.use((ctx, next) => {
      ctx.set('X-Before', '1')
      ctx.set('WWW-Authenticate', ['Basic realm="a"', 'Digest realm="b"'])
      return next()
    })
    app.use(protect(api))
    const served = await listen(app.callback())
    onTestFinished(() => served.close())
    const reply = await send(served.port)
    expect([reply.status, reply.values('x-before')]).toEqual([401, []])
    expect(reply.values('www-authenticate')).toEqual(['Basic realm="a"', 'Digest realm="b"', BARE_CHALLENGE])
    expect(reply.values('cache-control')).toEqual(['no-store'])
  })

  test('access is on ctx.state.auth', async () => {
    const app = createApp()
    app.use(protect(api))
    app.use((ctx) => {
      ctx.body = { subject: ctx.state.auth?.subject, same: ctx.state.auth === getAuth(ctx) }
    })
    const response = await request(app.callback()).get('/').auth(issuer.token(), { type: 'bearer' })
    expect(response.body).toEqual({ subject: 'u1', same: true })
  })

  test('what another package left on ctx.state.auth is neither access nor taken for it', async () => {
    const app = createApp()
    app.use((ctx, next) => {
      ctx.state.auth = { subject: 'u1' } as never
      expect(getOptionalAuth(ctx)).toBeUndefined()
      expect(() => getAuth(ctx)).toThrow('there is no access on ctx.state.auth')
      return next()
    })
    app.use(protect(api))
    expect((await request(app.callback()).get('/')).status).toBe(401)
  })

  // How a router of @koa/router is protected as a whole. Its `use(middleware)` without a path is not among them: the
  // pattern it compiles is case-sensitive, its routes are not, and `/V1/items` would pass it by.
  const protectedRouters: readonly (readonly [string, (app: Koa<AuthState>, guard: KoaMiddleware) => unknown])[] = [
    [
      "use('', …)",
      (app, guard) => {
        const router = new Router<AuthState>({ prefix: '/v1' })
        router.use('', guard)
        app.use(addRoutes(router).routes())
      }
    ],
    [
      'use(…) of a case-sensitive router',
      (app, guard) => {
        const router = new Router<AuthState>({ prefix: '/v1', sensitive: true })
        router.use(guard)
        app.use(addRoutes(router).routes())
      }
    ],
    [
      'use(…) of a mounted app',
      (app, guard) => {
        const inner = createApp()
        inner.use(guard)
        inner.use(addRoutes(new Router<AuthState>()).routes())
        app.use(mount('/v1', inner))
      }
    ]
  ]
  function addRoutes(router: Router<AuthState>): Router<AuthState> {
    for (const path of ['/', '/items', '/:id/parts']) {
      router.get(path, (ctx) => {
        ctx.body = { url: ctx.originalUrl }
      })
    }
    return router
  }
  for (const [how, mountProtected] of protectedRouters) {
    test(`ADP-05: a router protected by ${how} has no way around it`, async () => {
      const app = createApp()
      const seen: string[] = []
      app.use(errorHandler())
      mountProtected(
        app,
        protect(api, (_access, { url }) => void seen.push(url))
      )
      const server = app.callback()
      const paths = ['/v1', '/v1/', '/v1/items', '/v1/items/', '/v1/7/parts']
      for (const path of [...paths, ...paths.map((one) => one.toUpperCase())]) {
        expect([401, 404], path).toContain((await request(server).get(path)).status)
        expect([401, 404], path).toContain((await request(server).head(path)).status)
      }
      expect(seen).toEqual([])
      for (const path of ['/v1/items?a=b', '/v1/7/parts']) {
        const response = await request(server).get(path).auth(issuer.token(), { type: 'bearer' })
        expect([response.status, response.body]).toEqual([200, { url: path }])
      }
      expect(seen).toEqual(['/v1/items?a=b', '/v1/7/parts'])
    })
  }

  test('PRM-20 (RFC 8615 §3): metadata mounted under a prefix is found out', async () => {
    const app = createApp()
    const errors: unknown[] = []
    app.use(async (_ctx, next) => {
      try {
        await next()
      } catch (error) {
        errors.push(error)
        throw error
      }
    })
    const inner = createApp()
    inner.use(protectedResourceMetadata(api))
    inner.use((ctx) => {
      ctx.body = 'inner'
    })
    app.use(mount('/v1', inner))
    const server = app.callback()
    expect((await request(server).get('/v1/.well-known/oauth-protected-resource')).status).toBe(500)
    expect(errors[0]).toBeInstanceOf(Misconfigured)
    expect(errors[0]).toMatchObject({ hint: expect.stringContaining('is mounted under /v1,') as string })
    expect((await request(server).get('/v1/items')).text).toBe('inner')
    expect((await request(server).get('/.well-known/oauth-protected-resource')).status).toBe(404)
  })

  test('a refusal still has an end where a middleware takes its length away, as compression does', async () => {
    const app = createApp()
    app.use(async (ctx, next) => {
      await next()
      ctx.remove('Content-Length')
      ctx.body = Readable.from([String(ctx.body)])
    })
    app.use(errorHandler())
    app.use(protect(api))
    const { headers } = await request(app.callback()).get('/').set('Authorization', 'Bearer x%')
    expect([headers['content-length'], headers['transfer-encoding']]).toEqual([undefined, 'chunked'])
  })

  test('an answer that had begun before is no other answer: its handler runs, whether or not the token is known', async () => {
    const own = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now })
    onTestFinished(() => own.close())
    const app = createApp()
    app.use(async (ctx, next) => {
      ctx.status = 200
      ctx.type = 'text/plain'
      ctx.flushHeaders()
      await next()
    })
    app.use(protect(own))
    app.use((ctx) => {
      ctx.body = 'data'
    })
    const token = `Bearer ${issuer.token()}`
    for (let i = 0; i < 2; i++) {
      const { text } = await request(app.callback()).get('/').set('Authorization', token)
      expect(text).toBe('data')
    }
  })

  test.each([
    ['ctx.res.write()', (ctx: Koa.Context) => new Promise<void>((resolve) => ctx.res.write('part', () => resolve()))],
    ['a head alone', (ctx: Koa.Context) => ctx.res.flushHeaders()]
  ])('cuts off a response that had begun by %s when enforce() refuses, and tells the app', async (_title, begin) => {
    const app = new Application()
    app.silent = true
    const told: unknown[] = []
    app.on('error', (error) => told.push(error))
    app.use(errorHandler() as Koa.Middleware)
    app.use(protect(api) as Koa.Middleware)
    app.use(async (ctx) => {
      ctx.status = 200
      begin(ctx)
      await enforce(api, ctx, scope('never'))
    })
    const served = await listen(app.callback())
    onTestFinished(() => served.close())
    const response = await fetch(`http://127.0.0.1:${served.port}/`, {
      headers: { authorization: `Bearer ${issuer.token()}` }
    })
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow('terminated')
    expect(told).toMatchObject([{ status: 403 }])
  })

  test('a refusal after an answer has begun is told to the app, and not what came of answering it', async () => {
    const app = createApp()
    const errors: unknown[] = []
    app.on('error', (error) => errors.push((error as Error).name))
    app.use(errorHandler())
    app.use((ctx) => {
      ctx.res.end('answered')
      throw new Forbidden()
    })
    expect((await request(app.callback()).get('/')).text).toBe('answered')
    expect(errors).toEqual(['Forbidden'])
  })

  test('(RFC 9113 §8.1) a refusal ends its stream of HTTP/2, also of a body that is larger than its window', async () => {
    const app = createApp()
    app.use(errorHandler())
    app.use(protectedResourceMetadata(api))
    app.use(protect(api))
    const server = createHttp2Server(app.callback() as never).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    onTestFinished(async () => {
      client.destroy()
      server.close()
    })
    for (const [path, status] of [
      ['/items', 401],
      ['/.well-known/oauth-protected-resource', 405]
    ] as const) {
      const stream = client.request({ ':method': 'POST', ':path': path })
      stream.end('x'.repeat(200_000))
      const [answer] = (await once(stream, 'response')) as [Record<string, unknown>]
      stream.resume()
      await once(stream, 'close')
      expect(answer[':status']).toBe(status)
    }
  })

  test('the JSON error handler leaves other errors alone', async () => {
    const app = createApp()
    const errors: unknown[] = []
    app.on('error', (error) => errors.push((error as Error).name))
    app.use(errorHandler())
    app.use(() => {
      throw new RangeError('of the app')
    })
    expect((await request(app.callback()).get('/')).status).toBe(500)
    expect(errors).toEqual(['RangeError'])
  })

  test('SCP-08: a requirement that is none stops the start', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
    expect(() => protect(api, scope(''))).toThrow(TypeError)
  })
})
