/**
 * docs/migration.md, shown by running it: the same tokens before and after, for each package that it is about, configured
 * as its README says. What was let in and is refused afterwards is named there, and here.
 */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastifyJwt from '@fastify/jwt'
import express from 'express'
import { expressjwt } from 'express-jwt'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import createFastify from 'fastify'
import buildGetJwks from 'get-jwks'
import jwksRsa from 'jwks-rsa'
import Koa from 'koa'
import koaJwt from 'koa-jwt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as onExpress from '../../adapters/express.js'
import resourceServerPlugin, * as onFastify from '../../adapters/fastify.js'
import * as onKoa from '../../adapters/koa.js'
import { type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

const AUDIENCE = 'https://api.example.com'

let as: TestIssuer
let api: ResourceServer
/** Of every package, before and after: the origin of `GET /orders`, which needs the scope `read`. */
const origins = new Map<string, string>()
const closing: (() => unknown)[] = []

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** With the package's own refusals, as Express shows them. */
async function expressApp(...guards: unknown[]): Promise<string> {
  const app = express()
  app.get('/orders', ...(guards as express.RequestHandler[]), (_req, res) => void res.json([]))
  const quiet: express.ErrorRequestHandler = (error, _req, res, _next) => void res.status(error.status ?? 500).end()
  app.use(quiet)
  return listen(app)
}

const hasScope: express.RequestHandler = (req, res, next) => {
  const { auth: claims, user } = req as { auth?: { scope?: string }; user?: { scope?: string } }
  const granted = (claims ?? user)?.scope ?? ''
  if (granted.split(' ').includes('read')) next()
  else res.status(403).end()
}

beforeAll(async () => {
  as = await createTestIssuer({ algorithm: 'RS256' })
  const issuer = await as.listen()
  api = resourceServer(as.options({ resource: AUDIENCE }))
  const jwksUri = `${issuer}/jwks`
  const keys = { cache: true, rateLimit: true, jwksRequestsPerMinute: 5, jwksUri }
  const algorithms: ['RS256'] = ['RS256']

  origins.set('express', await expressApp(onExpress.protect(api, scope('read')), onExpress.errorHandler()))
  origins.set(
    'express-oauth2-jwt-bearer',
    await expressApp(auth({ issuerBaseURL: issuer, audience: AUDIENCE }), requiredScopes('read'))
  )
  const secret = jwksRsa.expressJwtSecret(keys) as never
  origins.set(
    'express-jwt + jwks-rsa',
    await expressApp(expressjwt({ secret, audience: AUDIENCE, issuer, algorithms }), hasScope)
  )
  // Neither has types of its own.
  const { default: passport } = await import('passport' as string)
  const { ExtractJwt, Strategy } = await import('passport-jwt' as string)
  passport.use(
    new Strategy(
      {
        secretOrKeyProvider: jwksRsa.passportJwtSecret(keys),
        jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
        audience: AUDIENCE,
        issuer,
        algorithms
      },
      (claims: unknown, done: (error: unknown, user: unknown) => void) => done(null, claims)
    )
  )
  origins.set(
    'passport-jwt + jwks-rsa',
    await expressApp(passport.initialize(), passport.authenticate('jwt', { session: false }), hasScope)
  )

  const legacy = resourceServer(as.options({ resource: AUDIENCE, issuer: { tokenProfile: 'legacy' } }))
  origins.set('express, legacy', await expressApp(onExpress.protect(legacy, scope('read'))))

  const koa = async (...middleware: unknown[]): Promise<string> => {
    const app = new Koa()
    app.silent = true
    for (const one of middleware) app.use(one as Koa.Middleware)
    app.use((ctx) => {
      ctx.body = []
    })
    return listen(app.callback())
  }
  origins.set('koa', await koa(onKoa.errorHandler(), onKoa.protect(api, scope('read'))))
  origins.set('koa, legacy', await koa(onKoa.protect(legacy, scope('read'))))
  const koaScope: Koa.Middleware = (ctx, next) => {
    const { user } = ctx.state as { user: { scope?: string } }
    return user.scope?.split(' ').includes('read') ? next() : ctx.throw(403)
  }
  const koaSecret = jwksRsa.koaJwtSecret(keys) as never
  origins.set(
    'koa-jwt + jwks-rsa',
    await koa(koaJwt({ secret: koaSecret, audience: AUDIENCE, issuer, algorithms }), koaScope)
  )

  const old = createFastify()
  await old.register(resourceServerPlugin, { api: legacy })
  old.get('/orders', { config: { auth: scope('read') } }, async () => [])
  origins.set('fastify, legacy', await old.listen({ port: 0, host: '127.0.0.1' }))
  closing.push(
    () => old.close(),
    () => legacy.close()
  )
  const ours = createFastify()
  await ours.register(resourceServerPlugin, { api })
  ours.setErrorHandler(onFastify.errorHandler)
  ours.get('/orders', { config: { auth: scope('read') } }, async () => [])
  origins.set('fastify', await ours.listen({ port: 0, host: '127.0.0.1' }))
  const theirs = createFastify()
  const getJwks = buildGetJwks({ issuersWhitelist: [issuer], jwksPath: '/jwks' })
  await theirs.register(fastifyJwt, {
    decode: { complete: true },
    secret: ((
      _request: unknown,
      token: { header: { kid: string; alg: string }; payload: { iss: string } },
      done: (error: unknown, key?: string) => void
    ) => {
      const { header, payload } = token
      getJwks
        .getPublicKey({ kid: header.kid, alg: header.alg, domain: payload.iss })
        .then((key: string) => done(null, key), done)
    }) as never,
    verify: { allowedIss: issuer, allowedAud: AUDIENCE, algorithms }
  })
  theirs.get('/orders', { onRequest: async (request) => void (await request.jwtVerify()) }, async (request, reply) => {
    const { scope: granted = '' } = request.user as { scope?: string }
    if (!granted.split(' ').includes('read')) return reply.code(403).send()
    return []
  })
  origins.set('@fastify/jwt + get-jwks', await theirs.listen({ port: 0, host: '127.0.0.1' }))
  closing.push(
    () => ours.close(),
    () => theirs.close()
  )
})
afterAll(async () => {
  for (const close of closing) await close()
  await api.close()
  await as.close()
})

async function ask(name: string, token: string | undefined): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return (await fetch(`${origins.get(name)}/orders`, { headers })).status
}

const MIGRATIONS = [
  ['express-oauth2-jwt-bearer', 'express'],
  ['express-jwt + jwks-rsa', 'express'],
  ['passport-jwt + jwks-rsa', 'express'],
  ['koa-jwt + jwks-rsa', 'koa'],
  ['@fastify/jwt + get-jwks', 'fastify']
] as const

describe.each(MIGRATIONS)('%s → %s', (before, after) => {
  const read = { scope: 'read' }

  test.each([
    ['a good token', (): string => as.token(read), 200],
    ['one of several scopes', () => as.token({ scope: 'write read' }), 200],
    ['another scope', () => as.token({ scope: 'write' }), 403],
    ['no token', (): string | undefined => undefined, 401],
    ['an expired token', () => as.expired(read), 401],
    ['one for another API', () => as.wrongAudience(read), 401],
    ['no signature', () => as.unsigned(read), 401],
    ['an altered token', () => as.tampered(read), 401]
  ] as const)('%s: decides alike before and after the migration', async (_title, make, status) => {
    const token = make()
    const was = await ask(before, token)
    // By which status a package says no is its own affair.
    expect({ letIn: was === 200, after: await ask(after, token) }).toEqual({ letIn: status === 200, after: status })
  })

  test('refuses a token whose `typ` is `JWT` after the migration, unless `tokenProfile` is "legacy"', async () => {
    const token = as.wrongType(read)
    const was = await ask(before, token)
    expect({ before: was, after: await ask(after, token) }).toEqual({ before: 200, after: 401 })
    expect(await ask(`${after}, legacy`, token)).toBe(200)
  })
})
