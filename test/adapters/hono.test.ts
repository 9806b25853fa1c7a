import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AuthVariables,
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/hono.js'
import { InsufficientScope, optional, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createClock, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, describeAdapter, type Plan, RESOURCE, type Route } from './contract.js'
import { describeDpop } from './dpop-contract.js'
import { describeMutualTls } from './mtls-contract.js'
import { describeStepUp } from './step-up-contract.js'
import { listen } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

type App = Hono<{ Variables: AuthVariables }>

function build(plan: Plan): App {
  const { api, group, onBody } = plan
  const app: App = new Hono<{ Variables: AuthVariables }>({ strict: false })
  const add = (router: App, route: Route): void => {
    if (route.requires) router.use(route.path, protect(route.api ?? api, ...route.requires))
    if (onBody) {
      router.use(route.path, async (c, next) => {
        onBody()
        await c.req.json()
        await next()
      })
    }
    router.on(route.method ?? 'GET', route.path, async (c) => {
      const answer = await route.answer({
        getAuth: () => getAuth(c),
        getOptionalAuth: () => getOptionalAuth(c),
        enforce: (...checks) => enforce(api, c, ...checks),
        setHeader: (name, value) => c.header(name, value)
      })
      return c.json(answer as object)
    })
  }
  if (typeof plan.errors === 'object') app.use(errorHandler(plan.errors))
  app.use(async (c, next) => {
    for (const [name, value] of plan.prior ?? []) c.header(name, value)
    await next()
  })
  if (plan.impatient) {
    app.use(async (c, next) => {
      const decided = next()
      if (c.req.query('patiently') === undefined) {
        decided.catch(() => undefined)
        return c.body(null, 504)
      }
      await decided
    })
  }
  if (plan.metadata) app.use(protectedResourceMetadata(...plan.metadata))
  if (plan.whole) app.use(protect(api, ...plan.whole))
  if (group) {
    const router: App = new Hono<{ Variables: AuthVariables }>({ strict: false })
    router.use(protect(api, ...group.requires))
    for (const route of group.routes) add(router, route)
    app.route(group.path, router)
  }
  for (const route of plan.routes ?? []) add(app, route)
  if (plan.errors === 'own') {
    app.onError((error, c) => c.json({ message: 'own' }, ((error as { status?: number }).status ?? 500) as 500))
  }
  return app
}

const adapter: Adapter = {
  name: 'Hono',
  matches: { slash: true, case: false },
  joinsLines: true,
  serve: async (plan) => listen(getRequestListener(build(plan).fetch), plan.tls)
}
describeAdapter(adapter)
describeDpop(adapter)
describeMutualTls(adapter)
describeStepUp(adapter)

describe('Hono alone', () => {
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

  const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } })

  test('an app is asked without a server, and has the access as c.var.auth', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.get('/items', protect(api, scope('read')), (c) =>
      c.json({ subject: c.var.auth?.subject, same: c.var.auth === getAuth(c) })
    )
    const granted = await app.request('/items', bearer(issuer.token()))
    expect([granted.status, await granted.json()]).toEqual([200, { subject: 'u1', same: true }])
    const refused = await app.request('/items', bearer('ab%cd'))
    expect([refused.status, await refused.json()]).toEqual([
      401,
      { error: 'invalid_token', error_description: 'The access token is malformed' }
    ])
    expect(refused.headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", error_description="The access token is malformed", scope="read", ${METADATA}`
    )
    const empty = await app.request('/items')
    expect([empty.status, empty.body, empty.headers.get('content-type')]).toEqual([401, null, null])
  })

  test('a handler that goes on without what it was refused keeps what it said of its content', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.get('/report', protect(api), async (c) => {
      c.header('Content-Type', 'text/csv')
      c.header('Content-Disposition', 'attachment; filename="report.csv"')
      const all = await enforce(api, c, scope('audit')).then(
        () => true,
        () => false
      )
      return c.body(all ? 'a,b,c' : 'a,b')
    })
    const answer = await app.request('/report', bearer(issuer.token()))
    expect([answer.status, await answer.text()]).toEqual([200, 'a,b'])
    expect(answer.headers.get('content-type')).toBe('text/csv')
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="report.csv"')
  })

  test.each([
    ['before', undefined],
    ['by the handler', 'Basic realm="x"']
  ])(
    'HTTP-13, CCH-01: where the response was touched %s, a refusal that the handler throws keeps its own fields',
    async (_, challenge) => {
      const app: App = new Hono<{ Variables: AuthVariables }>()
      app.use(cors())
      app.get('/report', protect(api, scope('read')), (c) => {
        c.header('Cache-Control', 'public, max-age=600')
        if (challenge) c.header('WWW-Authenticate', challenge)
        throw new InsufficientScope(['write'])
      })
      const answer = await app.request('/report', bearer(issuer.token()))
      expect([answer.status, answer.headers.get('cache-control')]).toEqual([403, 'no-store'])
      const own =
        'Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="write"'
      expect(answer.headers.get('www-authenticate')).toBe(challenge ? `${challenge}, ${own}` : own)
      expect(await answer.json()).toMatchObject({ error: 'insufficient_scope' })
    }
  )

  test('what an error handler of the app makes of a refusal is left alone, but for the length', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.onError((_error, c) => c.json({ error: 'not_found' }, 404))
    app.get('/hidden', protect(api), (c) => {
      c.header('Content-Length', '500')
      c.header('Cache-Control', 'private')
      throw new InsufficientScope(['admin'])
    })
    const { status, headers } = await app.request('/hidden', bearer(issuer.token()))
    expect(status).toBe(404)
    const names = ['www-authenticate', 'cache-control', 'content-length']
    expect(names.map((name) => headers.get(name))).toEqual([null, 'private', null])
  })

  test.each([
    ['a response of its own', () => new Response('x', { headers: { Vary: 'Accept' } })],
    ['fields of the answer', (c: Context) => c.json({}, 200, { Vary: 'Accept' })],
    [
      'a field set anew',
      (c: Context) => {
        c.header('Vary', 'Accept')
        return c.json({})
      }
    ]
  ])('(RFC 9110 §12.5.5) on an optional route the handler’s Vary is joined by ours: %s', async (_, answer) => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.get('/items', protect(api, optional), (c) => answer(c))
    expect((await app.request('/items')).headers.get('vary')).toBe('Accept, Authorization')
  })

  test('fields set before, and by the handler, stay beside those of an optional route', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.use(async (c, next) => {
      c.header('X-Before', '1')
      c.header('Vary', 'Origin')
      await next()
      c.header('X-After', '1')
    })
    app.get('/json', protect(api, optional), (c) => c.json({}))
    app.get('/raw', protect(api, optional), () => new Response('raw', { headers: { 'x-own': '1' } }))
    for (const path of ['/json', '/raw']) {
      const { headers } = await app.request(path)
      expect([headers.get('x-before'), headers.get('vary'), headers.get('x-after')], path).toEqual([
        '1',
        'Origin, Authorization',
        '1'
      ])
    }
  })

  test('what another middleware left as c.var.auth is neither access nor taken for it', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.use((c, next) => {
      c.set('auth', { subject: 'u1' } as never)
      expect(getOptionalAuth(c)).toBeUndefined()
      expect(() => getAuth(c)).toThrow('there is no access on this context')
      return next()
    })
    app.get('/', protect(api), (c) => c.json({}))
    expect((await app.request('/')).status).toBe(401)
  })

  test("ADP-05: a path's spelling leads past no protection of a mounted app", async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    const inner: App = new Hono<{ Variables: AuthVariables }>()
    inner.use(protect(api))
    inner.get('/items', (c) => c.json({}))
    app.route('/v1', inner)
    for (const path of ['/v1/items', '/v1/items/', '/V1/items', '/v1//items', '/v1/%69tems', '/%76%31/items']) {
      expect([401, 404], path).toContain((await app.request(path)).status)
    }
    expect((await app.request('/v1/items', bearer(issuer.token()))).status).toBe(200)
  })

  test('metadata is answered in an app without a server', async () => {
    const app: App = new Hono<{ Variables: AuthVariables }>()
    app.use(protectedResourceMetadata(api), protect(api))
    const response = await app.request('https://anything.example/.well-known/oauth-protected-resource')
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ resource: RESOURCE, authorization_servers: [issuer.issuer] })
  })

  test('SCP-08: a requirement that is none stops the start', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
  })
})
