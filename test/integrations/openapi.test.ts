/** The document says what is enforced: every operation of it is asked with every set of scopes, by whoever reads it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import swagger from '@fastify/swagger'
import express from 'express'
import createFastify from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errorHandler, protect } from '../../adapters/express.js'
import fastifyResourceServer from '../../adapters/fastify.js'
import {
  documentSecurity,
  requiredRolesOf,
  type SecurityRequirement,
  securityOf,
  securitySchemes
} from '../../integrations/openapi.js'
import {
  anyRole,
  anyScope,
  authentication,
  claims,
  fresh,
  optional,
  type Requirement,
  type ResourceServer,
  resourceServer,
  roles,
  scope,
  skipPreflight
} from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

const RESOURCE = 'https://api.example.com'
const SCOPES = ['read', 'write', 'admin']
const SUBSETS = Array.from({ length: 8 }, (_, bits) => SCOPES.filter((_scope, i) => bits & (1 << i)))

/** By path, what protects it. */
const ROUTES: Readonly<Record<string, readonly Requirement<string>[]>> = {
  '/any-token': [],
  '/read': [scope('read')],
  '/both': [scope('read', 'write')],
  '/either': [anyScope('read', 'admin')],
  '/either-and': [scope('write'), anyScope('read', 'admin')],
  '/optional': [optional, scope('read')],
  '/more': [scope('read'), claims(() => true), fresh(), skipPreflight]
}

let as: TestIssuer
let api: ResourceServer
const closing: (() => unknown)[] = []
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** What a reader of the document expects of a request with these scopes, or without a token. */
function expected(security: readonly SecurityRequirement[], scopes: readonly string[] | undefined): number {
  if (scopes === undefined) return security.length === 0 || security.some((one) => !('oauth' in one)) ? 200 : 401
  const needs = security.filter((one) => 'oauth' in one)
  return needs.length === 0 || needs.some(({ oauth = [] }) => oauth.every((one) => scopes.includes(one))) ? 200 : 403
}

async function compare(
  origin: string,
  documented: Readonly<Record<string, readonly SecurityRequirement[]>>
): Promise<void> {
  for (const [path, security] of Object.entries(documented)) {
    for (const scopes of [undefined, ...SUBSETS]) {
      // Opaque, so that routes with fresh() can ask about it.
      const headers = scopes && {
        authorization: `Bearer ${as.opaque({ scope: scopes.length > 0 ? scopes : undefined })}`
      }
      const { status } = await fetch(`${origin}${path}`, { headers: { ...headers } })
      expect({ path, scopes, status }).toEqual({ path, scopes, status: expected(security, scopes) })
    }
  }
}

describe('securityOf()', () => {
  test('describes the requirements of an operation', () => {
    const said = Object.fromEntries(
      Object.entries(ROUTES).map(([path, requirements]) => [path, securityOf(requirements)])
    )
    expect(said).toEqual({
      '/any-token': [{ oauth: [] }],
      '/read': [{ oauth: ['read'] }],
      '/both': [{ oauth: ['read', 'write'] }],
      '/either': [{ oauth: ['read'] }, { oauth: ['admin'] }],
      '/either-and': [{ oauth: ['write', 'read'] }, { oauth: ['write', 'admin'] }],
      '/optional': [{ oauth: ['read'] }, {}],
      '/more': [{ oauth: ['read'] }]
    })
    expect(securityOf([scope('read'), authentication({ acr: ['mfa'] })], 'bearer')).toEqual([{ bearer: ['read'] }])
  })

  test('limits the number of alternatives', () => {
    const many = anyScope(...Array.from({ length: 33 }, (_, i) => `s${i}`))
    expect(() => securityOf([many])).toThrow('more than 32 alternatives')
  })

  test('agrees with what Express enforces', async () => {
    const app = express()
    for (const [path, requirements] of Object.entries(ROUTES))
      app.get(path, protect(api, ...requirements), (_req, res) => void res.end())
    app.use(errorHandler())
    const server = createServer(app).listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => server.close())
    const documented = Object.fromEntries(
      Object.entries(ROUTES).map(([path, requirements]) => [path, securityOf(requirements)])
    )
    await compare(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, documented)
  })
})

describe('requiredRolesOf()', () => {
  test('lists the required roles, apart from the scopes', () => {
    const both = [scope('read'), roles('admin', 'staff'), anyRole('a', 'b'), roles('admin'), anyRole('c')] as const
    expect(requiredRolesOf(both)).toEqual({
      'x-required-roles': { allOf: ['admin', 'staff'], anyOf: [['a', 'b'], ['c']] }
    })
    expect(securityOf(both)).toEqual([{ oauth: ['read'] }])
    expect(requiredRolesOf([anyRole('a')])).toEqual({ 'x-required-roles': { anyOf: [['a']] } })
  })

  test('has no members if no role is required', () => {
    expect(requiredRolesOf([scope('read'), optional, claims(() => true)])).toEqual({})
  })

  test('appears in Fastify’s document, unless the schema has its own', async () => {
    const withRoles = resourceServer(as.options({ resource: RESOURCE, issuer: { rolesClaim: 'roles' } }))
    const app = createFastify()
    closing.push(() => app.close())
    await app.register(swagger, {
      openapi: { openapi: '3.1.0', components: { securitySchemes: securitySchemes(api) as never } }
    })
    documentSecurity(app)
    await app.register(fastifyResourceServer, { api: withRoles })
    const handler = async (): Promise<object> => ({})
    app.get('/admin', { config: { auth: [scope('read'), roles('admin')] }, handler })
    app.get('/own', {
      config: { auth: roles('admin') },
      schema: { 'x-required-roles': 'see the wiki' } as never,
      handler
    })
    app.get('/read', { config: { auth: scope('read') }, handler })
    await app.ready()
    const { paths = {} } = app.swagger() as { paths?: Record<string, { get?: Record<string, unknown> }> }
    expect(paths['/admin']?.get).toMatchObject({
      security: [{ oauth: ['read'] }],
      'x-required-roles': { allOf: ['admin'] }
    })
    expect(paths['/own']?.get?.['x-required-roles']).toBe('see the wiki')
    expect(paths['/read']?.get).not.toHaveProperty('x-required-roles')
  })
})

describe('documentSecurity()', () => {
  test.each(['declared', 'all'] as const)('agrees with what Fastify enforces: %s', async (which) => {
    const app = createFastify()
    closing.push(() => app.close())
    await app.register(swagger, {
      openapi: { openapi: '3.1.0', components: { securitySchemes: securitySchemes(api) as never } }
    })
    documentSecurity(app, { protect: which })
    await app.register(fastifyResourceServer, { api, protect: which })
    const handler = async (): Promise<object> => ({})
    for (const [path, requirements] of Object.entries(ROUTES))
      app.get(path, { config: { auth: requirements }, handler })
    app.get('/true', { config: { auth: true }, handler })
    app.get('/one', { config: { auth: scope('read') }, handler })
    app.get('/open', { config: { auth: false }, schema: { summary: 'Open to all' }, handler })
    app.get('/undeclared', { handler })
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const { paths = {} } = app.swagger() as {
      paths?: Record<string, { get?: { security?: SecurityRequirement[]; summary?: string } }>
    }
    const documented = Object.fromEntries(
      Object.entries(paths).map(([path, { get }]) => [
        path,
        get?.security ??
          (() => {
            throw new Error(`${path} says nothing`)
          })()
      ])
    )
    expect(Object.keys(documented)).toHaveLength(Object.keys(ROUTES).length + 4)
    expect(documented['/open']).toEqual([])
    expect(paths['/open']?.get?.summary).toBe('Open to all')
    expect(documented['/undeclared']).toEqual(which === 'all' ? [{ oauth: [] }] : [])
    await compare(origin, documented)
  })

  test('keeps the security of a route whose schema has one', async () => {
    const app = createFastify()
    closing.push(() => app.close())
    const schemes = { own: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } } as const
    await app.register(swagger, { openapi: { openapi: '3.1.0', components: { securitySchemes: schemes } } })
    documentSecurity(app, { name: 'bearer' })
    app.get('/own', { config: { auth: true }, schema: { security: [{ own: [] }] }, handler: async () => ({}) })
    app.get('/ours', { config: { auth: scope('read') }, handler: async () => ({}) })
    await app.ready()
    expect(app.swagger()).toMatchObject({
      paths: { '/own': { get: { security: [{ own: [] }] } }, '/ours': { get: { security: [{ bearer: ['read'] }] } } }
    })
  })
})

describe('securitySchemes()', () => {
  test('describes Bearer, or OAuth 2.0 with the scopes of the routes', () => {
    expect(securitySchemes(api)).toEqual({
      oauth: { type: 'http', scheme: 'bearer', description: `An access token for ${RESOURCE}` }
    })
    api.protect(scope('read', 'write'))
    const endpoints = { authorizationUrl: 'https://as.test/authorize', tokenUrl: 'https://as.test/token' }
    expect(securitySchemes(api, { ...endpoints, name: 'sso', scopes: { read: 'Read it' } })).toEqual({
      sso: {
        type: 'oauth2',
        description: `An access token for ${RESOURCE}`,
        flows: { authorizationCode: { ...endpoints, scopes: { read: 'Read it', write: '' } } }
      }
    })
    const bare = resourceServer(as.options({ resource: RESOURCE, metadata: false }))
    expect(securitySchemes(bare, { ...endpoints, scopes: { read: 'Read it' } })).toMatchObject({
      oauth: { flows: { authorizationCode: { scopes: { read: 'Read it' } } } }
    })
  })
})
