import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExecutionContext,
  Get,
  HttpException,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  Post,
  Req,
  Scope,
  Sse,
  UseFilters,
  UseGuards,
  VersioningType
} from '@nestjs/common'
import { APP_FILTER, APP_GUARD, HttpAdapterHost, REQUEST } from '@nestjs/core'
import { ClientProxyFactory, MessagePattern, type MicroserviceOptions, Transport } from '@nestjs/microservices'
import { Test } from '@nestjs/testing'
import { fromEvent, interval, lastValueFrom, map, takeUntil } from 'rxjs'
import { describe, expect, onTestFinished, test } from 'vitest'
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
import { freePort } from '../support/ports.mjs'
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

/** A decorator that calls the method from a function of its own, as many for logs and transactions do. */
function replace(_target: object, _name: string, descriptor: PropertyDescriptor): void {
  const own = descriptor.value as (...given: unknown[]) => unknown
  descriptor.value = function wrapper(...given: unknown[]): unknown {
    return own.apply(this, given)
  }
}

async function createApi(
  options: Partial<Parameters<TestIssuer['options']>[0]> = {}
): Promise<{ as: TestIssuer; api: ResourceServer }> {
  const as = await createTestIssuer()
  const api = resourceServer(as.options({ resource: RESOURCE, issuer: { rolesClaim: 'roles' }, ...options }))
  return { as, api: api as ResourceServer }
}

describe.each(PLATFORMS)('NestJS on %s', (_, platform) => {
  const serve = (options: ResourceServerModuleOptions, prepare?: (app: INestApplication) => unknown): Promise<string> =>
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

  describe('a filter of the application that catches everything', () => {
    /** The one of Nest's documentation. */
    class CatchAll {
      readonly #host: HttpAdapterHost
      constructor(host: HttpAdapterHost) {
        this.#host = host
      }
      catch(error: unknown, context: ArgumentsHost): void {
        const statusCode = error instanceof HttpException ? error.getStatus() : 500
        this.#host.httpAdapter.reply(context.switchToHttp().getResponse(), { statusCode, own: true }, statusCode)
      }
    }
    Catch()(CatchAll)
    Inject(HttpAdapterHost)(CatchAll, undefined, 0)

    test.each([
      [
        'useGlobalFilters()',
        (app: INestApplication) => void app.useGlobalFilters(new CatchAll(app.get(HttpAdapterHost)))
      ],
      ['APP_FILTER', undefined],
      ['@UseFilters() on the class', undefined]
    ] as const)('keeps the status and the challenge of a refusal: %s', async (place, prepare) => {
      const { as, api } = await createApi()
      class Filtered {
        get(): object {
          return {}
        }
        async bulk(request: object): Promise<object> {
          await enforce(api, request, scope('bulk'))
          return {}
        }
      }
      method(Filtered, 'get', [Get('filtered')])
      method(Filtered, 'bulk', [Get('bulk')], [Req()])
      if (place.startsWith('@')) UseFilters(CatchAll)(Filtered)
      Controller()(Filtered)
      const providers = place === 'APP_FILTER' ? [{ provide: APP_FILTER, useClass: CatchAll }] : [CatchAll]
      const imports = [ResourceServerModule.forRoot({ api })]
      const origin = await listen(platform, { imports, controllers: [Filtered], providers }, prepare)
      const absent = await ask(`${origin}/filtered`)
      expect(absent.status).toBe(401)
      expect(absent.headers.get('www-authenticate')).toBe(`Bearer ${METADATA}`)
      const expired = await ask(`${origin}/filtered`, as.expired())
      expect(expired.status).toBe(401)
      expect(expired.headers.get('www-authenticate')).toContain('error="invalid_token"')
      const lacking = await ask(`${origin}/bulk`, as.token({ scope: 'x' }))
      expect(lacking.status).toBe(403)
      expect(lacking.headers.get('www-authenticate')).toContain('scope="bulk"')
    })
  })

  test('a class that extends another has the requirements of both, and a handler that it inherits its own', async () => {
    const { as, api } = await createApi()
    class Base {
      inherited(): object {
        return {}
      }
    }
    method(Base, 'inherited', [Get('inherited'), Protect(scope('method'))])
    Protect(scope('parent'))(Base)
    class Child extends Base {}
    Protect(scope('child'))(Child)
    Controller('child')(Child)
    class Open extends Base {}
    Public()(Open)
    Controller('open')(Open)
    const imports = [ResourceServerModule.forRoot({ api })]
    const origin = await listen(platform, { imports, controllers: [Child, Open] })
    const lacking = await ask(`${origin}/child/inherited`, as.token({ scope: 'x' }))
    expect(lacking.status).toBe(403)
    expect(lacking.headers.get('www-authenticate')).toContain('scope="method child parent"')
    expect((await ask(`${origin}/child/inherited`, as.token({ scope: 'method child parent' }))).status).toBe(200)
    // Public() on the class ends the search, and the method has a requirement.
    expect((await ask(`${origin}/open/inherited`)).status).toBe(401)
    expect((await ask(`${origin}/open/inherited`, as.token({ scope: 'method' }))).status).toBe(200)
  })

  test('works with versions, a prefix and providers of a request', async () => {
    const { as, api } = await createApi()
    class PerRequest {
      readonly #request: object
      constructor(request: object) {
        this.#request = request
      }
      get subject(): string | undefined {
        return getAuth(this.#request).subject
      }
    }
    Injectable({ scope: Scope.REQUEST })(PerRequest)
    Inject(REQUEST)(PerRequest, undefined, 0)
    class Versioned {
      readonly #per: PerRequest
      constructor(per: PerRequest) {
        this.#per = per
      }
      get(): object {
        return { subject: this.#per.subject }
      }
    }
    method(Versioned, 'get', [Get(), Protect(scope('orders:read'))])
    Inject(PerRequest)(Versioned, undefined, 0)
    Controller({ path: 'orders', version: '2' })(Versioned)
    const parts = {
      imports: [ResourceServerModule.forRoot({ api })],
      controllers: [Versioned],
      providers: [PerRequest]
    }
    const origin = await listen(platform, parts, (app) => {
      app.setGlobalPrefix('api').enableVersioning({ type: VersioningType.URI })
    })
    expect((await ask(`${origin}/api/v2/orders`)).status).toBe(401)
    const good = await ask(`${origin}/api/v2/orders`, as.token({ scope: 'orders:read' }))
    expect(good).toMatchObject({ status: 200, body: { subject: 'user-1' } })
  })

  test('@Sse(): a stream ends when its token is revoked, with takeUntil() and the signal', async () => {
    const { as, api } = await createApi()
    class Streams {
      events(access: Access): object {
        const ticks = interval(5).pipe(map((tick) => ({ data: { tick } })))
        return ticks.pipe(takeUntil(fromEvent(access.signal, 'abort')))
      }
    }
    method(Streams, 'events', [Sse('events'), Protect(scope('orders:read'))], [Auth()])
    Controller()(Streams)
    const imports = [ResourceServerModule.forRoot({ api })]
    const origin = await listen(platform, { imports, controllers: [Streams] })
    expect((await ask(`${origin}/events`)).status).toBe(401)
    const token = as.token({ scope: 'orders:read', jti: 'stream' })
    const { status, body } = await fetch(`${origin}/events`, { headers: { authorization: `Bearer ${token}` } })
    expect(status).toBe(200)
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/data|^\n/)
    await api.revoke({ issuer: as.issuer, jti: 'stream' } as never)
    while (!(await reader.read()).done);
  })

  test('a guard of an own module after ours, and one of a class, find the access', async () => {
    const { as, api } = await createApi()
    const seen: unknown[] = []
    class Tenant {
      canActivate(context: ExecutionContext): boolean {
        seen.push(getAuth(context.switchToHttp().getRequest()).subject)
        return true
      }
    }
    Injectable()(Tenant)
    class Tenants {}
    Module({ providers: [{ provide: APP_GUARD, useClass: Tenant }] })(Tenants)
    class Guarded {
      get(): object {
        return {}
      }
    }
    method(Guarded, 'get', [Get('guarded')])
    UseGuards(Tenant)(Guarded)
    Controller()(Guarded)
    const after = { module: Tenants }
    const imports = [ResourceServerModule.forRoot({ api }), after]
    const origin = await listen(platform, { imports, controllers: [Guarded], providers: [Tenant] })
    expect((await ask(`${origin}/guarded`)).status).toBe(401)
    expect(seen).toEqual([])
    expect((await ask(`${origin}/guarded`, as.token())).status).toBe(200)
    expect(seen).toEqual(['user-1', 'user-1'])
  })

  test('overrideProvider(RESOURCE_SERVER) puts an API of the test in the place of the real one', async () => {
    const real = await createApi()
    const { as, api } = await createApi()
    class App {}
    Module({ imports: [ResourceServerModule.forRoot({ api: real.api })], controllers: [...createControllers()] })(App)
    const testing = Test.createTestingModule({ imports: [App] }).overrideProvider(RESOURCE_SERVER)
    const app = (await testing.useValue(api).compile()).createNestApplication(platform(), { logger: false })
    onTestFinished(() => app.close())
    await app.listen(0, '127.0.0.1')
    const origin = await app.getUrl()
    expect((await ask(`${origin}/me`, as.token())).status).toBe(200)
    expect((await ask(`${origin}/me`, real.as.token())).status).toBe(401)
  })

  test.each([
    [
      'a decorator that replaced a method after Protect()',
      [replace, Protect(scope('a'))],
      /^oauth-resource-server: Wrong\.get: a decorator replaced the method.*above that decorator/
    ],
    [
      'a decorator that replaced a method after Public()',
      [replace, Public()],
      /^oauth-resource-server: Wrong\.get: a decorator replaced the method/
    ],
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

describe('microservices of a hybrid app', () => {
  class Messages {
    sum(numbers: number[]): number {
      return numbers.reduce((one, other) => one + other)
    }
    secret(): string {
      return 'secret'
    }
    open(): string {
      return 'open'
    }
  }
  method(Messages, 'sum', [MessagePattern('sum')])
  method(Messages, 'secret', [MessagePattern('secret'), Protect(scope('a'))])
  method(Messages, 'open', [MessagePattern('open'), Public()])
  Controller()(Messages)

  test.each([
    [true, ['error', 'error', 'open']],
    // Nest's default: the global guard does not run.
    [false, [3, 'error', 'open']]
  ])('inheritAppConfig: %s', async (inheritAppConfig, expected) => {
    const { api } = await createApi()
    const port = await freePort()
    const options = { host: '127.0.0.1', port }
    const platform = PLATFORMS[0]?.[1] as (typeof PLATFORMS)[number][1]
    const imports = [ResourceServerModule.forRoot({ api })]
    await listen(platform, { imports, controllers: [Messages] }, async (app) => {
      app.connectMicroservice<MicroserviceOptions>({ transport: Transport.TCP, options }, { inheritAppConfig })
      await app.startAllMicroservices()
    })
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options })
    onTestFinished(() => client.close())
    const send = (pattern: string): Promise<unknown> =>
      lastValueFrom(client.send(pattern, [1, 2])).catch(({ status }: { status: unknown }) => status)
    expect([await send('sum'), await send('secret'), await send('open')]).toEqual(expected)
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
