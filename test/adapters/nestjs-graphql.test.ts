import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo'
import type { DynamicModule } from '@nestjs/common'
import type { AbstractHttpAdapter } from '@nestjs/core'
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql'
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius'
import mercurius from 'mercurius'
import { describe, expect, test } from 'vitest'
import { Auth, Protect, Public, ResourceServerModule } from '../../adapters/nestjs.js'
import { type Access, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { listen, method, PLATFORMS } from './nest-apps.js'

const RESOURCE = 'https://api.example.com'

class Orders {
  me(access: Access): string | undefined {
    return access.subject
  }
  orders(access: Access): string {
    return `orders of ${access.subject}`
  }
  health(): string {
    return 'ok'
  }
}
method(Orders, 'me', [Query('me')], [Auth()])
method(Orders, 'orders', [Query('orders'), Protect(scope('orders:read'))], [Auth()])
method(Orders, 'health', [Query('health'), Public()])
Resolver('Query')(Orders)

interface Answer {
  readonly status: number
  readonly challenge: string | null
  readonly nonce: string | null
  readonly body: { readonly data?: unknown; readonly errors?: readonly Record<string, unknown>[] }
}

const SCHEMA = 'type Query { me: String, orders: String, health: String }'

async function createApp(
  platform: () => AbstractHttpAdapter,
  options: object = {},
  graphql: Partial<ApolloDriverConfig> = {}
): Promise<{ as: TestIssuer; query: (text: string, fields?: Record<string, string>) => Promise<Answer> }> {
  return createAppWith(
    platform,
    GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      typeDefs: SCHEMA,
      playground: false,
      preserveHttpStatusForExecutionErrors: false,
      ...graphql
    }),
    options
  )
}

async function createAppWith(
  platform: () => AbstractHttpAdapter,
  module: DynamicModule,
  options: object
): Promise<{ as: TestIssuer; query: (text: string, fields?: Record<string, string>) => Promise<Answer> }> {
  const as = await createTestIssuer()
  const api = resourceServer(as.options({ resource: RESOURCE, ...options })) as ResourceServer
  const origin = await listen(platform, {
    imports: [ResourceServerModule.forRoot({ api }), module],
    providers: [Orders]
  })
  const query = async (text: string, fields: Record<string, string> = {}): Promise<Answer> => {
    const headers = { 'content-type': 'application/json', ...fields }
    const response = await fetch(`${origin}/graphql`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ query: text })
    })
    return {
      status: response.status,
      challenge: response.headers.get('www-authenticate'),
      nonce: response.headers.get('dpop-nonce'),
      body: (await response.json()) as Answer['body']
    }
  }
  return { as, query }
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe.each(PLATFORMS)('@nestjs/graphql with Apollo on %s', (name, platform) => {
  test('protects resolvers by the same decorators, with the status and the challenge of a refusal', async () => {
    const { as, query } = await createApp(platform)
    const good = bearer(as.token({ scope: 'orders:read' }))
    expect(await query('{ me orders health }', good)).toMatchObject({
      status: 200,
      challenge: null,
      body: { data: { me: 'user-1', orders: 'orders of user-1', health: 'ok' } }
    })
    expect(await query('{ health }')).toMatchObject({ status: 200, body: { data: { health: 'ok' } } })
    expect(await query('{ me health }')).toMatchObject({
      status: 401,
      challenge: expect.stringMatching(/^Bearer resource_metadata=/),
      body: { data: { me: null, health: 'ok' }, errors: [{ message: 'Unauthorized', path: ['me'] }] }
    })
    const expired = await query('{ me }', bearer(as.expired()))
    expect(expired).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('error="invalid_token"'),
      body: { data: { me: null }, errors: [{ extensions: { code: 'invalid_token', error: 'invalid_token' } }] }
    })
    const lacking = await query('{ me orders }', bearer(as.token({ scope: 'x' })))
    expect(lacking).toMatchObject({
      status: 403,
      challenge: expect.stringContaining('scope="orders:read"'),
      body: { data: { me: 'user-1', orders: null }, errors: [{ extensions: { error: 'insufficient_scope' } }] }
    })
    expect(JSON.stringify(lacking.body)).not.toMatch(/stack|hint|user-1.*user-1/)
  })

  test('has the status 200 where GraphQLModule resets it, and the challenge all the same', async () => {
    const { query } = await createApp(platform, {}, { preserveHttpStatusForExecutionErrors: true })
    expect(await query('{ me }')).toMatchObject({ status: 200, challenge: expect.stringMatching(/^Bearer /) })
  })

  test('an outage is 503, and no hint goes out', async () => {
    const { as, query } = await createApp(platform)
    as.fail('metadata', 503)
    const outage = await query('{ me }', bearer(as.token()))
    expect(outage).toMatchObject({
      status: 503,
      challenge: null,
      body: { errors: [{ message: 'Service Unavailable', extensions: { code: 'temporarily_unavailable' } }] }
    })
  })

  test('verifies a DPoP proof once for all resolvers of a request', async () => {
    const context = (request: { res?: object }, reply?: object): object =>
      name === 'platform-fastify' ? { req: request, res: reply } : request
    const { as, query } = await createApp(platform, { dpop: { nonces: 'required' } }, { context })
    const key = as.dpopKey()
    const make = (nonce?: string): Record<string, string> => ({
      ...as.dpop({
        method: 'POST',
        url: `${RESOURCE}/graphql`,
        key,
        claims: { scope: 'orders:read' },
        ...(nonce !== undefined && { nonce })
      })
    })
    const first = await query('{ me orders }', make())
    expect(first).toMatchObject({ status: 401, challenge: expect.stringContaining('use_dpop_nonce') })
    const fields = make(first.nonce as string)
    expect(await query('{ me orders }', fields)).toMatchObject({
      status: 200,
      body: { data: { me: 'user-1', orders: 'orders of user-1' } }
    })
    expect(await query('{ me orders }', fields)).toMatchObject({ status: 401 })
  })

  test('sends the fields of a granted request, such as a nonce', async () => {
    const context = (request: { res?: object }, reply?: object): object =>
      name === 'platform-fastify' ? { req: request, res: reply } : request
    const { as, query } = await createApp(platform, { dpop: { nonces: 'offered' } }, { context })
    const fields = { ...as.dpop({ method: 'POST', url: `${RESOURCE}/graphql` }) }
    expect(await query('{ me }', fields)).toMatchObject({ status: 200, nonce: expect.any(String) })
  })

  test('a context without a request refuses, as a fault of the app', async () => {
    const { as, query } = await createApp(platform, {}, { context: () => ({ req: Object.create(null) }) })
    expect(await query('{ me }', bearer(as.token()))).toMatchObject({ body: { data: { me: null } } })
  })
})

describe('@nestjs/graphql with Mercurius', () => {
  const create = (own: Partial<MercuriusDriverConfig> = {}): ReturnType<typeof createAppWith> => {
    const platform = PLATFORMS[1]?.[1] as (typeof PLATFORMS)[number][1]
    const options = { driver: MercuriusDriver, typeDefs: SCHEMA, ...own }
    return createAppWith(platform, GraphQLModule.forRoot<MercuriusDriverConfig>(options), {
      dpop: { nonces: 'offered' }
    })
  }

  test('has the challenge of the first refusal, once for any number of refused fields', async () => {
    const { as, query } = await create()
    const many = Array.from({ length: 100 }, (_, index) => `a${index}: orders`).join(' ')
    const absent = await query(`{ health me ${many} }`)
    expect(absent).toMatchObject({
      status: 200,
      challenge: `Bearer resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`,
      body: { data: { health: 'ok', me: null, a0: null, a99: null } }
    })
    expect(await query('{ me }', bearer(as.expired()))).toMatchObject({
      challenge: expect.stringContaining('error="invalid_token"'),
      body: { data: { me: null }, errors: [{ extensions: { error: 'invalid_token' } }] }
    })
    expect(await query('{ me }', bearer(as.token()))).toMatchObject({ status: 200, challenge: null })
    const fields = { ...as.dpop({ method: 'POST', url: `${RESOURCE}/graphql` }) }
    expect(await query('{ me }', fields)).toMatchObject({ status: 200, nonce: expect.any(String) })
  })

  test('has the status of a refusal with an errorFormatter', async () => {
    const { as, query } = await create({
      errorFormatter: (execution, context) => {
        const formatted = mercurius.defaultErrorFormatter(execution, context)
        const refusals = execution.errors?.map(({ extensions }) => extensions['http'] as { status: number } | undefined)
        return { ...formatted, statusCode: refusals?.find((one) => one)?.status ?? formatted.statusCode }
      }
    })
    expect(await query('{ me }')).toMatchObject({ status: 401 })
    expect(await query('{ me orders }', bearer(as.token({ scope: 'x' })))).toMatchObject({
      status: 403,
      body: { data: { me: 'user-1', orders: null } }
    })
    expect(await query('{ me }', bearer(as.token()))).toMatchObject({ status: 200 })
    expect(await query('{ none }')).toMatchObject({ status: 400 })
  })
})
