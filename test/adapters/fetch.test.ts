import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Connection,
  errorHandler,
  FetchRequest,
  protect,
  protectedResourceMetadata
} from '../../adapters/fetch.js'
import {
  type Access,
  optional,
  type ResourceServer,
  ResourceServerError,
  resourceServer,
  scope,
  skipPreflight
} from '../../src/index.js'
import { createClock, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, describeAdapter, type Plan, RESOURCE, type Route } from './contract.js'
import { describeDpop } from './dpop-contract.js'
import { describeMutualTls } from './mtls-contract.js'
import { describeStepUp } from './step-up-contract.js'
import { listen } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`

type Handler = (request: Request, connection: Connection) => Promise<Response>

/** Without a body in the shape of the API. */
const PLAIN: ReturnType<typeof errorHandler> = {
  protect,
  toResponse: (error) => {
    if (error instanceof ResourceServerError) return error.toResponse()
    throw error
  }
}

/** A router as somebody would write it: exact paths, and HEAD as GET. */
function build(plan: Plan): Handler {
  const { api, group, onBody, whole } = plan
  const { protect: guard, toResponse } = typeof plan.errors === 'object' ? errorHandler(plan.errors) : PLAIN
  const metadata = plan.metadata && protectedResourceMetadata(...plan.metadata)
  const wholeApp = whole && guard(api, ...whole)
  const compile = (prefix: string, route: Route, outer: Plan['whole']): [string, Handler] => {
    const requires = route.requires || outer ? [...(outer ?? []), ...(route.requires ?? [])] : undefined
    const decide = requires && guard(route.api ?? api, ...requires)
    return [
      `${route.method ?? 'GET'} ${prefix}${route.path}`,
      async (request, connection) => {
        const decision = await decide?.(request, connection)
        if (decision instanceof Response) return decision
        if (onBody) {
          onBody()
          await request.json()
        }
        const access = decision as Access | undefined
        try {
          const answer = await route.answer({
            getAuth: () => access as Access,
            getOptionalAuth: () => access,
            enforce: async (...checks) =>
              api.enforce(access as Access, new FetchRequest(request, connection), ...checks)
          })
          const headers = new Headers(decide?.headers as Record<string, string>)
          for (const [name, value] of Object.entries(access?.responseHeaders ?? {})) headers.append(name, String(value))
          return Response.json(answer, { headers })
        } catch (error) {
          return toResponse(error)
        }
      }
    ]
  }
  const routes = new Map<string, Handler>([
    ...(group?.routes ?? []).map((route) => compile(group?.path ?? '', route, group?.requires)),
    ...(plan.routes ?? []).map((route) => compile('', route, undefined))
  ])
  return async (request, connection) => {
    const document = metadata?.(request)
    if (document) return document
    if (wholeApp) {
      const decision = await wholeApp(request, connection)
      if (decision instanceof Response) return decision
    }
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const handler = routes.get(`${method} ${new URL(request.url).pathname}`)
    return handler ? handler(request, connection) : new Response(null, { status: 404 })
  }
}

const adapter: Adapter = {
  name: 'fetch',
  matches: { slash: false, case: false },
  joinsLines: true,
  isFunction: true,
  serve: async (plan) => {
    const handle = build(plan)
    const listener = getRequestListener((request, { incoming }) => handle(request, incoming.socket))
    return listen(listener, plan.tls)
  }
}
describeAdapter(adapter)
describeDpop(adapter)
describeMutualTls(adapter)
describeStepUp(adapter)

describe('fetch alone', () => {
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

  const ask = (headers: Record<string, string> = {}, method = 'GET'): Request =>
    new Request('https://api.example.com/items?page=2#part', { method, headers })

  test('a decision is an access, a response, or undefined where none was needed', async () => {
    const strict = protect(api, scope('read'))
    const granted = await strict(ask({ authorization: `Bearer ${issuer.token()}` }))
    expect(granted).not.toBeInstanceOf(Response)
    expect(granted).toMatchObject({ subject: 'u1', scopes: ['read'] })

    const refused = (await strict(ask())) as Response
    expect(refused).toBeInstanceOf(Response)
    expect([refused.status, refused.body, [...refused.headers]]).toEqual([
      401,
      null,
      [
        ['cache-control', 'no-store'],
        ['www-authenticate', `Bearer scope="read", ${METADATA}`]
      ]
    ])

    expect(await protect(api, optional)(ask())).toBeUndefined()
    const preflight = { origin: 'https://app.example', 'access-control-request-method': 'GET' }
    expect(await protect(api, skipPreflight)(ask(preflight, 'OPTIONS'))).toBeUndefined()
  })

  test('the target that checks see is path and query', async () => {
    const seen: string[] = []
    await protect(
      api,
      (_access, { method, url }) => void seen.push(`${method} ${url}`)
    )(ask({ authorization: `Bearer ${issuer.token()}` }))
    expect(seen).toEqual(['GET /items?page=2'])
  })

  test('TRN-06: a second credential that Headers joined to the first is refused', async () => {
    const headers = new Headers()
    headers.append('authorization', `Bearer ${issuer.token()}`)
    headers.append('authorization', `Bearer ${issuer.token()}`)
    const refused = (await protect(api)(new Request('https://api.example.com/', { headers }))) as Response
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      400,
      `Bearer error="invalid_request", error_description="Multiple methods used to include access token", ${METADATA}`
    ])
  })

  test("an error of a check's own is rejected, for the host to answer", async () => {
    const broken = protect(api, () => {
      throw new RangeError('a bug')
    })
    await expect(broken(ask({ authorization: `Bearer ${issuer.token()}` }))).rejects.toThrow(RangeError)
  })

  test('the body of a request is left unread', async () => {
    const request = new Request('https://api.example.com/items', { method: 'POST', body: 'a=b' })
    await protect(api)(request)
    expect([request.bodyUsed, await request.text()]).toEqual([false, 'a=b'])
  })

  test('metadata is a response to its path, and undefined to any other', async () => {
    const respond = protectedResourceMetadata(api)
    expect(respond(ask())).toBeUndefined()
    const response = respond(new Request('http://internal:8080/.well-known/oauth-protected-resource')) as Response
    expect([response.status, await response.json()]).toMatchObject([200, { resource: RESOURCE }])
  })

  test('SCP-08: a requirement that is none stops the start', () => {
    expect(() => protect(api, 'read' as never)).toThrow(TypeError)
  })
})
