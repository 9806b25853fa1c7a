/**
 * Hosts that imitate `node:http`: without a socket, and without `rawHeaders` or with them empty. The packages that people
 * put between AWS Lambda and a framework, and mocks for tests, each with the same questions.
 */
import fastifyOnLambda from '@fastify/aws-lambda'
import onVendia from '@vendia/serverless-express'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { handle } from 'hono/aws-lambda'
import Koa from 'koa'
import httpMocks from 'node-mocks-http'
import serverless from 'serverless-http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as onExpress from '../../adapters/express.js'
import * as onFastify from '../../adapters/fastify.js'
import * as onHono from '../../adapters/hono.js'
import * as onKoa from '../../adapters/koa.js'
import { NodeRequest } from '../../adapters/node.js'
import { type ResourceServer, resourceServer } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

const RESOURCE = 'https://api.example.com'
const METADATA = '/.well-known/oauth-protected-resource'

let as: TestIssuer
let api: ResourceServer
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})
afterEach(() => api.close())

interface Answer {
  readonly status: number
  readonly challenge: string | undefined
  readonly body: string
}
/** Field names as the client wrote them; two values are two lines. */
type Fields = Readonly<Record<string, string | readonly string[]>>
type Ask = (path: string, fields: Fields) => Promise<Answer>

const one = (value: string | readonly string[]): string => [value].flat().at(-1) as string

/** API Gateway, payload version 1.0. */
function eventV1(path: string, fields: Fields): object {
  const entries = Object.entries(fields)
  return {
    version: '1.0',
    resource: '/{proxy+}',
    httpMethod: 'GET',
    path,
    headers: Object.fromEntries(entries.map(([name, value]) => [name, one(value)])),
    multiValueHeaders: Object.fromEntries(entries.map(([name, value]) => [name, [value].flat()])),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    requestContext: { stage: 'prod', path, identity: { sourceIp: '192.0.2.1' } },
    body: '',
    isBase64Encoded: false
  }
}

/** API Gateway, payload version 2.0: names in lower case, and lines joined with a comma. */
function eventV2(path: string, fields: Fields): object {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name.toLowerCase(), [value].flat().join(',')])
    ),
    requestContext: { stage: '$default', http: { method: 'GET', path, sourceIp: '192.0.2.1' } },
    body: '',
    isBase64Encoded: false
  }
}

interface LambdaAnswer {
  readonly statusCode: number
  readonly headers?: Readonly<Record<string, unknown>>
  readonly multiValueHeaders?: Readonly<Record<string, readonly unknown[]>>
  readonly body?: string
}

function answerOf({ statusCode, headers, multiValueHeaders, body = '' }: LambdaAnswer): Answer {
  const fields = Object.entries({ ...multiValueHeaders, ...headers })
  const challenge = fields.find(([name]) => name.toLowerCase() === 'www-authenticate')?.[1]
  return { status: statusCode, challenge: [challenge].flat()[0] as string | undefined, body }
}

function expressApp(): express.Express {
  const app = express()
  app.use(onExpress.protectedResourceMetadata(api))
  app.get('/items', onExpress.protect(api), (req, res) => void res.json({ subject: onExpress.getAuth(req).subject }))
  app.use(onExpress.errorHandler())
  return app
}

function koaApp(): Koa {
  const app = new Koa()
  app.use(onKoa.errorHandler())
  app.use(onKoa.protectedResourceMetadata(api))
  app.use(onKoa.protect(api))
  app.use((ctx) => {
    ctx.body = { subject: onKoa.getAuth(ctx).subject }
  })
  return app
}

function fastifyApp(): ReturnType<typeof fastify> {
  const app = fastify()
  app.register(onFastify.fastifyResourceServer, { api })
  app.setErrorHandler(onFastify.errorHandler)
  app.get('/items', { config: { auth: true } }, (request) => ({ subject: onFastify.getAuth(request).subject }))
  return app
}

function honoApp(): Hono<{ Variables: onHono.AuthVariables }> {
  const app = new Hono<{ Variables: onHono.AuthVariables }>()
  app.use(onHono.protectedResourceMetadata(api))
  app.get('/items', onHono.protect(api), (c) => c.json({ subject: onHono.getAuth(c).subject }))
  return app
}

type Handler = (event: object, context: object) => Promise<unknown>
type Event = (path: string, fields: Fields) => object

function onLambda(handler: unknown, event: Event): Ask {
  return async (path, fields) => answerOf((await (handler as Handler)(event(path, fields), {})) as LambdaAnswer)
}

/** Its declarations do not know that CommonJS exports the function itself. */
const configure = onVendia as unknown as (options: { readonly app: object }) => Handler

const HOSTS: Readonly<Record<string, () => Ask>> = {
  'serverless-http, Express, payload 1.0': () => onLambda(serverless(expressApp()), eventV1),
  'serverless-http, Express, payload 2.0': () => onLambda(serverless(expressApp()), eventV2),
  'serverless-http, Koa, payload 1.0': () => onLambda(serverless(koaApp() as never), eventV1),
  '@vendia/serverless-express, Express, payload 1.0': () => onLambda(configure({ app: expressApp() }), eventV1),
  '@vendia/serverless-express, Express, payload 2.0': () => onLambda(configure({ app: expressApp() }), eventV2),
  '@vendia/serverless-express, Koa, payload 1.0': () => onLambda(configure({ app: koaApp().callback() }), eventV1),
  '@fastify/aws-lambda, payload 1.0': () => onLambda(fastifyOnLambda(fastifyApp() as never), eventV1),
  '@fastify/aws-lambda, payload 2.0': () => onLambda(fastifyOnLambda(fastifyApp() as never), eventV2),
  'hono/aws-lambda, payload 1.0': () => onLambda(handle(honoApp()), eventV1),
  'hono/aws-lambda, payload 2.0': () => onLambda(handle(honoApp()), eventV2),
  'light-my-request, as Fastify’s inject()': () => async (url, fields) => {
    const { statusCode, headers, body } = await fastifyApp().inject({ url, headers: fields as never })
    return answerOf({ statusCode, headers, body })
  },
  'node-mocks-http, Express': () => async (url, fields) => {
    const request = httpMocks.createRequest({ method: 'GET', url, headers: fields as never })
    const response = httpMocks.createResponse({
      eventEmitter: (await import('node:events')).EventEmitter,
      req: request
    })
    const ended = new Promise<void>((resolve) => response.on('end', resolve))
    ;(expressApp() as unknown as (...args: unknown[]) => void)(request, response)
    await ended
    return answerOf({ statusCode: response.statusCode, headers: response.getHeaders(), body: response._getData() })
  }
}

describe.each(Object.keys(HOSTS))('%s', (name) => {
  let ask: Ask
  beforeEach(() => {
    ask = (HOSTS[name] as () => Ask)()
  })

  test.each(['Authorization', 'authorization', 'AUTHORIZATION'])(
    'lets a good token in under the name %s',
    async (field) => {
      const answer = await ask('/items', { [field]: `Bearer ${as.token()}` })
      expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { subject: 'user-1' }])
    }
  )

  test('refuses no token, an expired one and one for another API with 401 and the challenge', async () => {
    const absent = await ask('/items', {})
    expect([absent.status, absent.challenge]).toEqual([401, `Bearer resource_metadata="${RESOURCE}${METADATA}"`])
    for (const token of [as.expired(), as.wrongAudience(), as.tampered()]) {
      const refused = await ask('/items', { Authorization: `Bearer ${token}` })
      expect([refused.status, JSON.parse(refused.body).error]).toEqual([401, 'invalid_token'])
      expect(refused.challenge).toContain('error="invalid_token"')
    }
  })

  test('takes a DPoP proof once, and refuses it the second time', async () => {
    const { authorization, dpop } = as.dpop({ url: `${RESOURCE}/items` })
    expect((await ask('/items', { Authorization: authorization, DPoP: dpop })).status).toBe(200)
    expect((await ask('/items', { Authorization: authorization, DPoP: dpop })).status).toBe(401)
  })

  test('refuses two tokens with 400, where the host passes both on', async () => {
    const [first, second] = [`Bearer ${as.token()}`, `Bearer ${as.token()}`]
    const joined = await ask('/items', { Authorization: `${first}, ${second}` })
    expect(joined.status).toBe(400)
    // serverless-http keeps the last of two lines: the other one never arrives.
    if (name.startsWith('serverless-http') && name.endsWith('1.0')) return
    expect((await ask('/items', { Authorization: [first, second] })).status).toBe(400)
  })

  test('serves the metadata', async () => {
    const { status, body } = await ask(METADATA, {})
    expect([status, JSON.parse(body).resource]).toEqual([200, RESOURCE])
  })
})

describe('NodeRequest.fieldLines()', () => {
  const raw = ['Authorization', 'sent']
  test.each([
    ['without rawHeaders', { headers: { authorization: 'a' } }, ['a']],
    ['with empty rawHeaders', { rawHeaders: [], headers: { authorization: 'a' } }, ['a']],
    ['with empty rawHeaders and a name in another case', { rawHeaders: [], headers: { Authorization: 'a' } }, ['a']],
    ['with empty rawHeaders and two spellings', { headers: { Authorization: 'a', authorization: 'b' } }, ['a', 'b']],
    ['with empty rawHeaders and an array', { rawHeaders: [], headers: { authorization: ['a', 'b'] } }, ['a', 'b']],
    ['with empty rawHeaders and undefined', { rawHeaders: [], headers: { authorization: undefined } }, []],
    ['with neither', {}, []],
    ['without headers', { rawHeaders: raw }, ['sent']],
    ['with both that agree', { rawHeaders: raw, headers: { authorization: 'sent' } }, ['sent']],
    ['with a replaced value', { rawHeaders: raw, headers: { authorization: 'set' } }, ['set']],
    ['with an array put in its place', { rawHeaders: raw, headers: { authorization: ['a', 'b'] } }, ['a', 'b']],
    ['with a deleted field', { rawHeaders: raw, headers: {} }, []],
    ['with a field set to null', { rawHeaders: raw, headers: { authorization: null } }, []],
    ['with an inherited field only', { rawHeaders: raw, headers: Object.create({ authorization: 'x' }) }, []],
    ['with a set field', { rawHeaders: ['Host', 'a'], headers: { authorization: 'set' } }, ['set']],
    ['with two raw lines and a deleted field', { rawHeaders: [...raw, ...raw], headers: {} }, ['sent', 'sent']]
  ])('%s', (_title, request, lines) => {
    expect(new NodeRequest(request as never).fieldLines('authorization')).toEqual(lines)
  })
})
