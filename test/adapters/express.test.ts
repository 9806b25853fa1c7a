import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import express4 from 'express4'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/express.js'
import {
  type Access,
  CredentialsMissing,
  Misconfigured,
  optional,
  type ResourceRequest,
  type ResourceServer,
  type ResourceServerError,
  resourceServer,
  scope
} from '../../src/index.js'
import { createClock, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, describeAdapter, type Plan, RESOURCE, type Route } from './contract.js'
import { describeDpop } from './dpop-contract.js'
import { describeMutualTls } from './mtls-contract.js'
import { describeStepUp } from './step-up-contract.js'
import { type Lines, listen, send } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`
const BARE_CHALLENGE = `Bearer ${METADATA}`

const versions: readonly (readonly [string, typeof express])[] = [
  ['Express 5', express],
  ['Express 4', express4 as unknown as typeof express]
]

function build(create: typeof express, plan: Plan): express.Express {
  const app = create()
  const { api, group, onBody } = plan
  const started: express.RequestHandler = (_req, _res, next) => {
    onBody?.()
    next()
  }
  const parse = onBody ? [started, create.json()] : []
  const add = (router: express.Router, route: Route): void => {
    const guards = route.requires ? [protect(route.api ?? api, ...route.requires)] : []
    const method = (route.method ?? 'GET').toLowerCase() as 'get' | 'post' | 'options'
    router[method](route.path, ...guards, ...parse, (req, res, next) => {
      const answer = route.answer({
        getAuth: () => getAuth(req),
        getOptionalAuth: () => getOptionalAuth(req),
        enforce: (...checks) => enforce(api, req, ...checks),
        setHeader: (name, value) => void res.setHeader(name, value)
      })
      if (answer instanceof Promise) answer.then((body) => res.json(body), next)
      else res.json(answer)
    })
  }
  app.use((_req, res, next) => {
    for (const [name, value] of plan.prior ?? []) res.setHeader(name, value)
    next()
  })
  if (plan.impatient) {
    app.use((req, res, next) => {
      next()
      if (!('patiently' in req.query)) res.status(504).end()
    })
  }
  if (plan.metadata) app.use(protectedResourceMetadata(...plan.metadata))
  if (plan.whole) app.use(protect(api, ...plan.whole))
  if (group) {
    const router = create.Router()
    router.use(protect(api, ...group.requires))
    for (const route of group.routes) add(router, route)
    app.use(group.path, router)
  }
  for (const route of plan.routes ?? []) add(app, route)
  if (plan.errors === 'json') app.use(errorHandler())
  if (typeof plan.errors === 'object') app.use(errorHandler(plan.errors))
  if (plan.errors === 'own') {
    const own: express.ErrorRequestHandler = (error: { status?: number }, _req, res, _next) => {
      res.status(error.status ?? 500).json({ message: 'own' })
    }
    app.use(own)
  }
  return app
}

for (const [name, create] of versions) {
  const adapter: Adapter = {
    name,
    matches: { slash: true, case: true },
    serve: async (plan) => listen(build(create, plan), plan.tls)
  }
  describeAdapter(adapter)
  describeDpop(adapter)
  describeMutualTls(adapter)
  describeStepUp(adapter)
}

describe.each(versions)('%s alone', (_name, create) => {
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

  test('ADP-02: refusals go to next(error), and several challenges are several lines', async () => {
    const app = create()
    const errors: unknown[] = []
    app.use((_req, res, next) => {
      res.setHeader('WWW-Authenticate', ['Basic realm="a"', 'Digest realm="b"'])
      next()
    })
    app.use(protect(api))
    const watch: express.ErrorRequestHandler = (error, _req, _res, next) => {
      errors.push(error)
      next(error)
    }
    app.use(watch)
    const served = await listen(app)
    onTestFinished(() => served.close())
    const reply = await send(served.port)
    expect(reply.status).toBe(401)
    expect(reply.values('www-authenticate')).toEqual(['Basic realm="a"', 'Digest realm="b"', BARE_CHALLENGE])
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(CredentialsMissing)
    expect(errors[0]).toMatchObject({ status: 401, statusCode: 401, expose: true, reason: 'credentials_missing' })
  })

  test('ADP-02: a mounted router and a mounted app see the target as it was sent', async () => {
    const app = create()
    const seen: string[] = []
    const note = (_access: Access, { url }: ResourceRequest): void => void seen.push(url)
    const inner = create()
    inner.get('/items', protect(api, note), (_req, res) => void res.json({}))
    const router = create.Router()
    router.use('/deep', inner)
    app.use('/v1', router)
    const response = await request(app).get('/v1/deep/items?a=b').auth(issuer.token(), { type: 'bearer' })
    expect([response.status, seen]).toEqual([200, ['/v1/deep/items?a=b']])
  })

  test('a known token is decided about in the same tick', async () => {
    const fresh = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now })
    onTestFinished(() => fresh.close())
    const app = create()
    let sameTick = false
    app.use((_req, _res, next) => {
      sameTick = true
      next()
      sameTick = false
    })
    app.get('/items', protect(fresh, scope('read')), (_req, res) => void res.json({ sameTick }))
    const token = issuer.token()
    const first = await request(app).get('/items').auth(token, { type: 'bearer' })
    const second = await request(app).get('/items').auth(token, { type: 'bearer' })
    expect([first.body, second.body]).toEqual([{ sameTick: false }, { sameTick: true }])
  })

  test('what another package left on req.auth is neither access nor taken for it', async () => {
    const app = create()
    app.use((req: { auth?: unknown }, _res, next) => {
      req.auth = { token: 'x', clientId: 'c1', scopes: ['read'], subject: 'u1' }
      next()
    })
    app.get('/open', (req, res) => {
      expect(getOptionalAuth(req)).toBeUndefined()
      expect(() => getAuth(req)).toThrow('there is no access on this request')
      res.json({})
    })
    app.get('/items', protect(api, scope('read')), (_req, res) => void res.json({}))
    app.use(errorHandler())
    expect((await request(app).get('/open')).status).toBe(200)
    expect((await request(app).get('/items')).status).toBe(401)
  })

  test('optional leaves nothing of another package on req.auth', async () => {
    const app = create()
    app.use((req: { auth?: unknown }, _res, next) => {
      req.auth = { subject: 'u1' }
      next()
    })
    app.get(
      '/',
      protect(api, optional),
      (req, res) => void res.json({ auth: (req as { auth?: unknown }).auth ?? null })
    )
    expect((await request(app).get('/')).body).toEqual({ auth: null })
  })

  test('MCP-10: a handler that knows the operation only from the body asks for its scopes, and is refused alike', async () => {
    const app = create()
    app.post('/mcp', protect(api), create.json(), (req, res, next) => {
      const { tool } = req.body as { tool: string }
      enforce(api, req, scope(tool)).then(() => res.json({ tool }), next)
    })
    app.use(errorHandler())
    const call = (tool: string): request.Test =>
      request(app).post('/mcp').auth(issuer.token(), { type: 'bearer' }).send({ tool })
    expect((await call('read')).body).toEqual({ tool: 'read' })
    const refused = await call('write')
    expect([refused.status, refused.headers['www-authenticate'], refused.body]).toEqual([
      403,
      `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="write", ${METADATA}`,
      { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' }
    ])
  })

  test('ADP-06: a WebSocket handshake is authorised as any request is, and knows when access ends', async () => {
    const served = createServer(create())
    served.on('upgrade', (upgrade, socket) => {
      const decide = async (): Promise<string> => {
        try {
          const asked = {
            method: upgrade.method ?? '',
            url: upgrade.url ?? '',
            fieldLines: (field: string) => upgrade.headersDistinct[field] ?? []
          }
          const access = await api.authorize(asked, scope('read'))
          return `HTTP/1.1 101 Switching Protocols\r\nX-Expires-At: ${access.expiresAt}\r\n\r\n`
        } catch (error) {
          const { status, headers } = error as ResourceServerError
          return `HTTP/1.1 ${status} Refused\r\nWWW-Authenticate: ${String(headers['WWW-Authenticate'])}\r\nContent-Length: 0\r\n\r\n`
        }
      }
      void decide().then((answer) => socket.end(answer))
    })
    served.listen(0, '127.0.0.1')
    await once(served, 'listening')
    onTestFinished(() => void served.close())
    const { port } = served.address() as AddressInfo
    const handshake: Lines = [
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket']
    ]
    const refused = await send(port, { headers: handshake })
    expect([refused.status, refused.values('www-authenticate')]).toEqual([401, [`Bearer scope="read", ${METADATA}`]])
    const token = issuer.token({ claims: { exp: now() + 60 } })
    const opened = await send(port, { headers: [...handshake, ['Authorization', `Bearer ${token}`]] })
    expect([opened.status, opened.values('x-expires-at')]).toEqual([101, [String(now() + 60)]])
  })

  test('PRM-20 (RFC 8615 §3): metadata mounted under a prefix is found out', async () => {
    const app = create()
    app.use('/v1', protectedResourceMetadata(api))
    app.get('/v1/items', (_req, res) => void res.json({}))
    let error: unknown
    const keep: express.ErrorRequestHandler = (caught, _req, res, _next) => {
      error = caught
      res.sendStatus(500)
    }
    app.use(keep)
    const warned = vi.fn()
    subscribe('oauth-resource-server:warning', warned)
    onTestFinished(() => void unsubscribe('oauth-resource-server:warning', warned))
    for (let i = 0; i < 2; i++)
      expect((await request(app).get('/v1/.well-known/oauth-protected-resource')).status).toBe(500)
    expect(warned.mock.calls.length).toBe(1)
    expect(warned.mock.calls[0]?.[0]).toEqual({
      resource: RESOURCE,
      issuer: '',
      message: expect.stringContaining('is mounted under /v1,') as string
    })
    expect(error).toBeInstanceOf(Misconfigured)
    expect(error).toMatchObject({ status: 500, hint: expect.stringContaining('is mounted under /v1,') as string })
    expect((await request(app).get('/v1/items')).status).toBe(200)
    expect((await request(app).get('/.well-known/oauth-protected-resource')).status).toBe(404)
  })

  test('a refusal that the app forgives, and that comes again, is one challenge', async () => {
    const app = create()
    app.use(protect(api))
    const forgive: express.ErrorRequestHandler = (_error, _req, _res, next) => next()
    app.use(forgive)
    app.get('/items', protect(api), (_req, res) => void res.json({}))
    const served = await listen(app)
    onTestFinished(() => served.close())
    const reply = await send(served.port, { path: '/items' })
    expect([reply.status, reply.values('www-authenticate')]).toEqual([401, [BARE_CHALLENGE]])
  })

  test('a refusal still has an end where a middleware takes its length away, as compression does', async () => {
    const app = create()
    app.use((_req, res, next) => {
      const writeHead = res.writeHead.bind(res) as (...args: unknown[]) => typeof res
      res.writeHead = (...args: unknown[]) => {
        res.removeHeader('Content-Length')
        return writeHead(...args)
      }
      next()
    })
    app.get('/', protect(api))
    app.use(errorHandler())
    const { headers } = await request(app).get('/').set('Authorization', 'Bearer x%')
    expect([headers['content-length'], headers['transfer-encoding']]).toEqual([undefined, 'chunked'])
  })

  test('an answer that had begun before is no other answer: its handler runs, whether or not the token is known', async () => {
    const own = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now })
    onTestFinished(() => own.close())
    const app = create()
    app.use((_req, res, next) => {
      res.flushHeaders()
      next()
    })
    app.get('/', protect(own), (_req, res) => void res.end('data'))
    const token = `Bearer ${issuer.token()}`
    for (let i = 0; i < 2; i++) expect((await request(app).get('/').set('Authorization', token)).text).toBe('data')
  })

  test('the JSON error handler leaves other errors, and answers that have begun, to the next', async () => {
    const app = create()
    const passed: unknown[] = []
    app.get('/other', () => {
      throw new RangeError('of the app')
    })
    app.get('/begun', (_req, res, next) => {
      res.write('begun')
      next(new CredentialsMissing())
    })
    app.use(errorHandler())
    const keep: express.ErrorRequestHandler = (error, _req, res, _next) => {
      passed.push((error as Error).name)
      res.end()
    }
    app.use(keep)
    await request(app).get('/other')
    expect((await request(app).get('/begun')).text).toBe('begun')
    expect(passed).toEqual(['RangeError', 'CredentialsMissing'])
  })

  test('SCP-08: a requirement that is none stops the start', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
    expect(() => protect(api, undefined as never)).toThrow(TypeError)
    expect(() => protect(api, scope('a b'))).toThrow(TypeError)
  })
})
