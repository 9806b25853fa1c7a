/** Scopes as types: a misspelt one does not compile, in any adapter; and a waiver is seen in the type of the result. */
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import * as express from '../../adapters/express.js'
import * as fastify from '../../adapters/fastify.js'
import * as fetchAdapter from '../../adapters/fetch.js'
import * as hono from '../../adapters/hono.js'
import * as koa from '../../adapters/koa.js'
import {
  type Access,
  type Awaitable,
  anyRole,
  anyScope,
  type Check,
  claims,
  optional,
  type Protection,
  type ResourceRequest,
  type ResourceServer,
  resourceServer,
  roles,
  scope,
  skipPreflight
} from '../../src/index.js'

const options = { resource: 'https://api.example.com', issuers: ['https://as.example.com'] }
declare const request: ResourceRequest
declare const access: Access

const typed = resourceServer<'orders:read' | 'orders:write'>(options)
const listed = resourceServer({ ...options, scopes: ['orders:read', 'orders:write'] })
const open = resourceServer(options)

expectTypeOf(typed).toEqualTypeOf<ResourceServer<'orders:read' | 'orders:write'>>()
expectTypeOf(listed).toEqualTypeOf<ResourceServer<'orders:read' | 'orders:write'>>()
expectTypeOf(open).toEqualTypeOf<ResourceServer<string>>()

for (const api of [typed, listed]) {
  api.protect(scope('orders:read'), anyScope('orders:read', 'orders:write'))
  api.protect()
  // @ts-expect-error misspelt
  api.protect(scope('orders:raed'))
  // @ts-expect-error one of two misspelt
  api.protect(scope('orders:read', 'orders:wirte'))
  // @ts-expect-error misspelt among alternatives
  api.protect(optional, anyScope('orders:raed', 'orders:write'))
  // @ts-expect-error misspelt, for one request
  void api.authorize(request, scope('orders:raed'))
  // @ts-expect-error misspelt, inside a handler
  void api.enforce(access, request, scope('orders:raed'))
  // @ts-expect-error a waiver is no check: what was let in stays in
  void api.enforce(access, request, optional)

  express.protect(api, scope('orders:read'))
  // @ts-expect-error misspelt
  express.protect(api, scope('orders:raed'))
  koa.protect(api, scope('orders:read'))
  // @ts-expect-error misspelt
  koa.protect(api, scope('orders:raed'))
  fastify.protect(api, scope('orders:read'))
  // @ts-expect-error misspelt
  fastify.protect(api, scope('orders:raed'))
  fetchAdapter.protect(api, scope('orders:read'))
  // @ts-expect-error misspelt
  fetchAdapter.protect(api, scope('orders:raed'))
  hono.protect(api, scope('orders:read'))
  // @ts-expect-error misspelt
  hono.protect(api, scope('orders:raed'))

  express.protectedResourceMetadata(api, open)
  koa.protectedResourceMetadata(api, open)
  fetchAdapter.protectedResourceMetadata(api, open)
  hono.protectedResourceMetadata(api, open)
  fastify.protectedResourceMetadata(api, open)
}
open.protect(scope('anything'), roles('anything'))

const withRoles = resourceServer({ ...options, scopes: ['orders:read'], roles: ['admin', 'staff'] })
expectTypeOf(withRoles).toEqualTypeOf<ResourceServer<'orders:read', 'admin' | 'staff'>>()
expectTypeOf(resourceServer<'orders:read', 'admin'>(options)).toEqualTypeOf<ResourceServer<'orders:read', 'admin'>>()
// A check for every request does not say which roles there are.
expectTypeOf(resourceServer({ ...options, checks: [roles('admin'), scope('a')] })).toEqualTypeOf<ResourceServer<'a'>>()
typed.protect(roles('anything'))
withRoles.protect(scope('orders:read'), roles('admin', 'staff'), anyRole('staff'), optional)
void withRoles.enforce(access, request, roles('admin'))
// @ts-expect-error a misspelt role
withRoles.protect(roles('admni'))
// @ts-expect-error a misspelt role beside a good one
withRoles.protect(anyRole('admin', 'stuff'))
// @ts-expect-error a scope in place of a role
withRoles.protect(roles('orders:read'))
// @ts-expect-error a role in place of a scope
withRoles.protect(scope('admin'))
// @ts-expect-error a misspelt role, for one request
void withRoles.authorize(request, roles('admni'))
// @ts-expect-error a misspelt role, inside a handler
void withRoles.enforce(access, request, roles('admni'))
express.protect(withRoles, roles('admin'))
// @ts-expect-error a misspelt role
express.protect(withRoles, roles('admni'))
koa.protect(withRoles, roles('admin'))
// @ts-expect-error a misspelt role
koa.protect(withRoles, roles('admni'))
fastify.protect(withRoles, roles('admin'))
// @ts-expect-error a misspelt role
fastify.protect(withRoles, roles('admni'))
fetchAdapter.protect(withRoles, roles('admin'))
// @ts-expect-error a misspelt role
fetchAdapter.protect(withRoles, roles('admni'))
hono.protect(withRoles, roles('admin'))
// @ts-expect-error a misspelt role
hono.protect(withRoles, roles('admni'))
express.protectedResourceMetadata(withRoles)
// @ts-expect-error misspelt in a check for every request
resourceServer<'a' | 'b'>({ ...options, checks: [scope('c')] })
// @ts-expect-error misspelt in the list itself
resourceServer<'a' | 'b'>({ ...options, scopes: ['c'] })

expectTypeOf(open.protect(scope('a'))).toEqualTypeOf<Protection<Access>>()
expectTypeOf(open.protect()).toEqualTypeOf<Protection<Access>>()
expectTypeOf(open.protect(scope('a'), optional)).toEqualTypeOf<Protection<Access | undefined>>()
expectTypeOf(open.protect(skipPreflight)).toEqualTypeOf<Protection<Access | undefined>>()
expectTypeOf(open.authorize(request, scope('a'))).toEqualTypeOf<Awaitable<Access>>()
expectTypeOf(open.authorize(request, optional)).toEqualTypeOf<Awaitable<Access | undefined>>()
expectTypeOf(fetchAdapter.protect(open, scope('a'))).returns.resolves.toEqualTypeOf<Access | Response>()
expectTypeOf(fetchAdapter.protect(open, optional)).returns.resolves.toEqualTypeOf<Access | Response | undefined>()

// A check of one's own, claims by a predicate and by a schema.
const own: Check = async (granted, { method }) => {
  expectTypeOf(granted).toEqualTypeOf<Access>()
  expectTypeOf(method).toEqualTypeOf<string>()
}
open.protect(own, (granted) => void granted.hasScope('a'))
open.protect(claims(({ tier }) => tier === 'gold'))
open.protect(claims(z.object({ tier: z.literal('gold') })))
typed.protect(
  own,
  claims(() => true)
)
// @ts-expect-error a predicate must decide
open.protect(claims(({ tier }) => tier))

// What a handler is given cannot be changed.
// @ts-expect-error read-only
access.subject = 'somebody'
// @ts-expect-error read-only
access.scopes.push('admin')
// @ts-expect-error read-only
access.roles.push('admin')
// @ts-expect-error read-only
access.claims.tier = 'gold'

// Options that cannot be meant do not compile.
// @ts-expect-error no resource
resourceServer({ issuers: ['https://as.example.com'] })
// @ts-expect-error no symmetric algorithm
resourceServer({ ...options, issuers: [{ issuer: 'https://as.example.com', algorithms: ['HS256'] }] })
// @ts-expect-error several claims together are { all: […] }
resourceServer({ ...options, issuers: [{ issuer: 'https://as.example.com', rolesClaim: { any: ['a'] } }] })
// @ts-expect-error a misspelt option
resourceServer({ ...options, clockTolerence: 5 })
