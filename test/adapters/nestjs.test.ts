import { Controller, Get, type INestApplication, Injectable, Module, Post, Req } from '@nestjs/common'
import { describe, expect, test } from 'vitest'
import {
  Auth,
  enforce,
  getAuth,
  OptionalAuth,
  Protect,
  Public,
  problemDetails,
  RESOURCE_SERVER,
  ResourceServerModule,
  type ResourceServerModuleOptions,
  Roles
} from '../../adapters/nestjs.js'
import { type Access, optional, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { listen, method, PLATFORMS } from './nest-apps.js'

const RESOURCE = 'https://api.example.com'
const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

async function ask(url: string, token?: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { ...(init.headers as object), ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  const response = await fetch(url, { ...init, headers })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? '' : JSON.parse(text) }
}

/** Every kind of declaration. */
function createControllers(): readonly (new () => object)[] {
  class Orders {
    list(access: Access): object {
      return { subject: access.subject }
    }
    write(access: Access, request: object): object {
      return { same: getAuth(request) === access }
    }
    admin(): object {
      return { admin: true }
    }
    open(access: Access | undefined): object {
      return { subject: access?.subject ?? null }
    }
    maybe(access: Access | undefined): object {
      return { subject: access?.subject ?? null }
    }
  }
  method(Orders, 'list', [Get('orders')], [Auth()])
  method(Orders, 'write', [Post('orders'), Protect(scope('orders:write'))], [Auth(), Req()])
  method(Orders, 'admin', [Get('admin'), Roles('admin'), Protect(scope('orders:write'))])
  method(Orders, 'open', [Get('open'), Public()], [OptionalAuth()])
  method(Orders, 'maybe', [Get('maybe'), Protect(optional)], [OptionalAuth()])
  Protect(scope('orders:read'))(Orders)
  Controller()(Orders)
  class Plain {
    me(access: Access): object {
      return { subject: access.subject }
    }
  }
  method(Plain, 'me', [Get('me')], [Auth()])
  Controller()(Plain)
  class Open {
    health(): object {
      return { status: 'ok' }
    }
    secret(): object {
      return {}
    }
  }
  method(Open, 'health', [Get('health')])
  method(Open, 'secret', [Get('secret'), Protect(scope('secret'))])
  Public()(Open)
  Controller()(Open)
  return [Orders, Plain, Open]
}

async function createApi(
  options: Partial<Parameters<TestIssuer['options']>[0]> = {}
): Promise<{ as: TestIssuer; api: ResourceServer }> {
  const as = await createTestIssuer()
  const api = resourceServer(as.options({ resource: RESOURCE, issuer: { rolesClaim: 'roles' }, ...options }))
  return { as, api: api as ResourceServer }
}

describe.each(PLATFORMS)('NestJS on %s', (_, platform) => {
  const serve = (options: ResourceServerModuleOptions, prepare?: (app: INestApplication) => void): Promise<string> =>
    listen(platform, { imports: [ResourceServerModule.forRoot(options)], controllers: createControllers() }, prepare)

  test('refuses with the status, challenge and body of every adapter', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api })
    const good = await ask(`${origin}/orders`, as.token({ scope: 'orders:read' }))
    expect(good).toMatchObject({ status: 200, body: { subject: 'user-1' } })
    expect(good.headers.get('cache-control')).toBeNull()

    const absent = await ask(`${origin}/orders`)
    expect(absent).toMatchObject({ status: 401, body: '' })
    expect(absent.headers.get('www-authenticate')).toBe(`Bearer scope="orders:read", ${METADATA}`)
    expect(absent.headers.get('content-length')).toBe('0')

    const expired = await ask(`${origin}/orders`, as.expired())
    expect(expired).toMatchObject({ status: 401, body: { error: 'invalid_token' } })
    expect(expired.headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect(expired.headers.get('content-type')).toBe('application/json')
    expect(expired.headers.get('cache-control')).toBe('no-store')

    const lacking = await ask(`${origin}/orders`, as.token({ scope: 'other' }))
    expect(lacking).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } })
    expect(lacking.headers.get('www-authenticate')).toContain('scope="orders:read"')

    const head = await fetch(`${origin}/orders`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([401, ''])
    expect((await ask(`${origin}/orders`, `${as.token()}, Bearer x`)).status).toBe(400)
    expect((await ask(`${origin}/none`)).status).toBe(404)
  })

  test('answers 503 without a challenge while the authorization server is down', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api })
    as.fail('metadata', 503)
    const outage = await ask(`${origin}/orders`, as.token({ scope: 'orders:read' }))
    expect(outage).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect(outage.headers.get('www-authenticate')).toBeNull()
    expect(outage.headers.get('retry-after')).not.toBeNull()
  })

  test('a method needs its own requirements and those of its class', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api })
    const post = (scopes: string): Promise<Answer> =>
      ask(`${origin}/orders`, as.token({ scope: scopes }), { method: 'POST' })
    expect(await post('orders:read orders:write')).toMatchObject({ status: 201, body: { same: true } })
    for (const lacking of ['orders:read', 'orders:write']) {
      const refused = await post(lacking)
      expect(refused.status).toBe(403)
      expect(refused.headers.get('www-authenticate')).toContain('scope="orders:write orders:read"')
    }
    const admin = (roles: readonly string[]): Promise<Answer> =>
      ask(`${origin}/admin`, as.token({ scope: 'orders:read orders:write', roles }))
    expect(await admin(['admin'])).toMatchObject({ status: 200, body: { admin: true } })
    expect(await admin(['viewer'])).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } })
  })

  test('a handler without decorators needs a token, Public() opens one, and a class stays open only where it says so', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api })
    expect(await ask(`${origin}/me`)).toMatchObject({ status: 401 })
    expect(await ask(`${origin}/me`, as.token())).toMatchObject({ status: 200, body: { subject: 'user-1' } })
    expect(await ask(`${origin}/open`)).toMatchObject({ status: 200, body: { subject: null } })
    expect(await ask(`${origin}/health`)).toMatchObject({ status: 200 })
    expect(await ask(`${origin}/secret`)).toMatchObject({ status: 401 })
    expect(await ask(`${origin}/secret`, as.token())).toMatchObject({ status: 403 })
    expect(await ask(`${origin}/maybe`)).toMatchObject({ status: 200, body: { subject: null } })
    expect(await ask(`${origin}/maybe`, as.token({ scope: 'orders:read' }))).toMatchObject({
      body: { subject: 'user-1' }
    })
    expect(await ask(`${origin}/maybe`, as.expired())).toMatchObject({ status: 401 })
  })

  test('with protect: "declared" a handler without decorators needs no token', async () => {
    const { api } = await createApi()
    class Free {
      list(access?: Access): object {
        return { access: access ?? null }
      }
    }
    method(Free, 'list', [Get('free')], [OptionalAuth()])
    Controller()(Free)
    const origin = await listen(platform, {
      imports: [ResourceServerModule.forRoot({ api, protect: 'declared' })],
      controllers: [...createControllers(), Free]
    })
    expect(await ask(`${origin}/free`)).toMatchObject({ status: 200, body: { access: null } })
    expect(await ask(`${origin}/orders`)).toMatchObject({ status: 401 })
  })

  test('serves the metadata with all scopes at the root of the origin, whatever the global prefix is', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api }, (app) => app.setGlobalPrefix('v1'))
    const document = await ask(`${origin}/.well-known/oauth-protected-resource`)
    expect(document).toMatchObject({ status: 200, body: { resource: RESOURCE, authorization_servers: [as.issuer] } })
    const { scopes_supported: scopes } = document.body as { scopes_supported: string[] }
    expect(scopes.toSorted()).toEqual(['orders:read', 'orders:write', 'secret'])
    expect((await ask(`${origin}/v1/orders`)).status).toBe(401)
  })

  test('DPoP: sends a nonce with refusals and grants, and refuses a replay', async () => {
    const { as, api } = await createApi({ dpop: { nonces: 'required' } })
    const origin = await serve({ api })
    const key = as.dpopKey()
    const url = `${RESOURCE}/orders`
    const get = (nonce?: string): { authorization: string; dpop: string } =>
      as.dpop({ url, key, claims: { scope: 'orders:read' }, ...(nonce !== undefined && { nonce }) })
    const first = await ask(`${origin}/orders`, undefined, { headers: { ...get() } })
    expect(first.status).toBe(401)
    expect(first.headers.get('www-authenticate')).toContain('error="use_dpop_nonce"')
    const nonce = first.headers.get('dpop-nonce')
    expect(nonce).not.toBeNull()
    const fields = { ...get(nonce as string) }
    expect(await ask(`${origin}/orders`, undefined, { headers: fields })).toMatchObject({ status: 200 })
    const replay = await ask(`${origin}/orders`, undefined, { headers: fields })
    expect(replay).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } })
    // A bound token is refused as a bearer token.
    const downgrade = { authorization: fields.authorization.replace('DPoP', 'Bearer') }
    expect(await ask(`${origin}/orders`, undefined, { headers: downgrade })).toMatchObject({ status: 401 })
  })

  test('sends the fields of a granted request, such as a nonce', async () => {
    const { as, api } = await createApi({ dpop: { nonces: 'offered' } })
    const origin = await serve({ api })
    const headers = { ...as.dpop({ url: `${RESOURCE}/me` }) }
    const answer = await ask(`${origin}/me`, undefined, { headers })
    expect([answer.status, answer.headers.get('dpop-nonce')]).toEqual([200, expect.any(String)])
  })

  test('gives refusals the body of the API', async () => {
    const { as, api } = await createApi()
    const origin = await serve({ api, errors: problemDetails })
    const refused = await ask(`${origin}/orders`, as.expired())
    expect(refused).toMatchObject({ status: 401, body: { title: 'Unauthorized', status: 401, error: 'invalid_token' } })
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
  })

  test('enforce() in a handler refuses as a requirement does', async () => {
    const { as, api } = await createApi()
    class Bulk {
      async write(request: object): Promise<object> {
        await enforce(api, request, scope('bulk'))
        return { ok: true }
      }
    }
    method(Bulk, 'write', [Post('bulk')], [Req()])
    Controller()(Bulk)
    const origin = await listen(platform, { imports: [ResourceServerModule.forRoot({ api })], controllers: [Bulk] })
    const refused = await ask(`${origin}/bulk`, as.token({ scope: 'x' }), { method: 'POST' })
    expect(refused).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } })
    expect(refused.headers.get('www-authenticate')).toContain('scope="bulk"')
    expect(await ask(`${origin}/bulk`, as.token({ scope: 'bulk' }), { method: 'POST' })).toMatchObject({ status: 201 })
  })

  test('forRootAsync() takes the options from a factory with injected providers', async () => {
    const { as, api } = await createApi()
    class Config {
      readonly api = api
    }
    Injectable()(Config)
    class ConfigModule {}
    Module({ providers: [Config], exports: [Config] })(ConfigModule)
    class Service {
      resource = ''
    }
    Injectable()(Service)
    const seen: unknown[] = []
    const origin = await listen(
      platform,
      {
        imports: [
          ResourceServerModule.forRootAsync({
            imports: [ConfigModule],
            inject: [Config],
            useFactory: async (config: Config) => ({ api: config.api })
          })
        ],
        controllers: createControllers()
      },
      (app) => seen.push(app.get(RESOURCE_SERVER))
    )
    expect(seen).toEqual([api])
    expect(await ask(`${origin}/orders`)).toMatchObject({ status: 401 })
    expect(await ask(`${origin}/orders`, as.token({ scope: 'orders:read' }))).toMatchObject({ status: 200 })
  })

  test('runs the checks of a handler once, although several guards run', async () => {
    const { as, api } = await createApi()
    const calls: unknown[] = []
    class Counted {
      get(): object {
        return { ok: true }
      }
    }
    const count = (access: Access): void => void calls.push(access.subject)
    method(Counted, 'get', [Get('counted'), Protect(count)])
    Protect(scope('orders:read'))(Counted)
    Controller()(Counted)
    const origin = await listen(platform, { imports: [ResourceServerModule.forRoot({ api })], controllers: [Counted] })
    expect(await ask(`${origin}/counted`, as.token({ scope: 'orders:read' }))).toMatchObject({ status: 200 })
    expect(calls).toEqual(['user-1'])
  })

  test.each([
    [
      'a requirement that was not called',
      [Protect('orders:read' as never)],
      /^oauth-resource-server: Wrong\.get: .*write scope\('orders:read'\)/
    ],
    [
      'Public() and Protect() on one method',
      [Protect(scope('a')), Public()],
      /^oauth-resource-server: Wrong\.get: Public\(\) and Protect\(\)/
    ],
    [
      'a scope that the API does not declare',
      [Protect(scope('b'))],
      /^oauth-resource-server: Wrong\.get: the scope "b" is not in the option `scopes`/
    ]
  ] as const)('does not start with %s', async (_what, decorators, message) => {
    const { api } = await createApi({ scopes: ['a'] })
    class Wrong {
      get(): object {
        return {}
      }
    }
    method(Wrong, 'get', [Get('wrong'), ...decorators])
    Controller()(Wrong)
    await expect(
      listen(platform, { imports: [ResourceServerModule.forRoot({ api })], controllers: [Wrong] })
    ).rejects.toThrow(message)
  })
})

test.each([
  [undefined, /needs the option `api`/],
  [{ resource: RESOURCE }, /needs the option `api`/],
  [{ protect: 'al' }, /the option `protect` is 'al', not 'all' or 'declared'/],
  [{ guard: true }, /guard/],
  [{ errors: {} }, /`body` is not a function/]
])('forRoot(%j) is refused at once', async (options, message) => {
  const { api } = await createApi()
  const given = options && 'resource' in options ? options : options && { api, ...options }
  expect(() => ResourceServerModule.forRoot(given as never)).toThrow(message)
})
