/** Roles and scopes wherever vendors write them: places, paths, `roles()` and `anyRole()`, and what never counts as a role. */
import { describe, expect, test } from 'vitest'
import {
  anyRole,
  type ClaimPlaces,
  fresh,
  InsufficientRole,
  type IssuerOptions,
  optional,
  resourceServer,
  roles,
  scope
} from '../../src/index.js'
import { auth0, cognito, entra, keycloak, okta } from '../../src/profiles/index.js'
import { fakeAccess } from '../../test-kit/issuer.js'
import { ask, authorize, createBed, introspecting, granted as served } from '../support/exchange.js'
import type { TestIssuer } from '../support/issuer.js'
import {
  access,
  accessToken,
  api,
  bearer,
  granted,
  ISSUER,
  insufficient,
  issuerKey,
  NOW,
  outcome,
  RESOURCE,
  RESOURCE_METADATA,
  refusal
} from '../support/refusals.js'

const bed = createBed()
const description = 'The access token lacks a required role'

/** The answer where a role is missing: nothing in it says which, and no scope is named. */
const lacksRole = {
  status: 403,
  code: 'insufficient_scope',
  reason: 'insufficient_role',
  headers: {
    'WWW-Authenticate': [
      `Bearer error="insufficient_scope", error_description="${description}", resource_metadata="${RESOURCE_METADATA}"`
    ],
    'Cache-Control': 'no-store'
  },
  body: { error: 'insufficient_scope', error_description: description }
}
const malformed = { status: 401, reason: 'claim' }

const server = (rolesClaim: ClaimPlaces) => api({}, { rolesClaim })
const token = (claims: Record<string, unknown>): string => accessToken({ claims })
/** Claims as they are on the wire: `__proto__` is a member like others. */
const parsed = (json: string): Record<string, unknown> => JSON.parse(json) as Record<string, unknown>

describe('roles() and anyRole()', () => {
  const one = server('roles')

  test('roles() requires all, anyRole() one; exact and case-sensitive', async () => {
    const of = (...held: string[]) => bearer(token({ roles: held }))
    expect(await outcome(one, of('admin', 'auditor'), roles('admin', 'auditor'))).toEqual(granted)
    expect(await outcome(one, of('admin'), roles('admin', 'auditor'))).toEqual(lacksRole)
    expect(await outcome(one, of('auditor'), anyRole('admin', 'auditor'))).toEqual(granted)
    expect(await outcome(one, of('viewer'), anyRole('admin', 'auditor'))).toEqual(lacksRole)
    for (const near of ['Admin', 'admin ', 'administrator', 'adm', 'admin auditor', '*', ''])
      expect(await outcome(one, of(near), roles('admin')), near).toEqual(lacksRole)
    expect(await outcome(one, of('Domain Admins / Österreich'), roles('Domain Admins / Österreich'))).toEqual(granted)
  })

  test('the challenge names no scope, even on a route with scopes; the log gets the required and the actual roles', async () => {
    const error = await refusal(() =>
      one.authorize(bearer(token({ roles: ['viewer'] })), scope('read'), roles('admin'))
    )
    expect(error).toBeInstanceOf(InsufficientRole)
    expect([error.expected, error.received]).toEqual([['admin'], ['viewer']])
    expect(error.headers).toEqual(lacksRole.headers)
    expect(JSON.stringify(error.headers)).not.toContain('scope="')
  })

  test('a missing scope is reported first if its check comes first', async () => {
    const neither = bearer(token({ scope: 'write', roles: [] }))
    expect(await outcome(one, neither, scope('read'), roles('admin'))).toEqual(insufficient('read'))
    expect(await outcome(one, neither, roles('admin'), scope('read'))).toEqual(lacksRole)
  })

  test('a role is not a scope and a scope is not a role', async () => {
    expect(await outcome(one, bearer(token({ scope: 'write', roles: ['read'] })), scope('read'))).toEqual(
      insufficient('read')
    )
    expect(await outcome(one, bearer(token({ scope: 'admin' })), roles('admin'))).toEqual(lacksRole)
  })

  test('a request without a token is 401, and optional accepts it', async () => {
    const error = await refusal(() => one.authorize({ method: 'GET', url: '/', fieldLines: () => [] }, roles('admin')))
    expect([error.status, error.reason]).toEqual([401, 'credentials_missing'])
    const none = one.authorize({ method: 'GET', url: '/', fieldLines: () => [] }, optional, roles('admin'))
    expect(await none).toBeUndefined()
  })

  test('a handler sees the roles, each once and frozen, and enforce() can require more', async () => {
    const request = bearer(token({ roles: ['a', 'b', 'a'] }))
    const seen = await access(one, token({ roles: ['a', 'b', 'a'] }))
    expect(seen.roles).toEqual(['a', 'b'])
    expect(Object.isFrozen(seen.roles)).toBe(true)
    expect(Object.isFrozen((await access(one, token({ roles: ['a'] }))).roles)).toBe(true)
    expect({ ...seen }).toMatchObject({ roles: ['a', 'b'] })
    await one.enforce(seen, request, roles('b'))
    expect((await refusal(() => one.enforce(seen, request, anyRole('c')))).reason).toBe('insufficient_role')
  })

  test('no roles are read without rolesClaim', async () => {
    const claims = { roles: ['admin'], groups: ['admin'], realm_access: { roles: ['admin'] } }
    expect((await access(api(), token(claims))).roles).toEqual([])
  })

  test.each([
    ['no role', () => roles(), 'roles() needs at least one role'],
    ['no alternative', () => anyRole(), 'anyRole() needs at least one role'],
    ['an empty one', () => roles('admin', ''), 'roles(): each role must be a string that is not empty'],
    ['undefined', () => anyRole(undefined as never), 'anyRole(): each role must be a string that is not empty']
  ])('%s is refused at start', (_, create, message) => {
    expect(create).toThrow(message)
  })

  test('a route that requires a role is refused at start if no issuer has rolesClaim', () => {
    expect(() => api().protect(roles('admin'))).toThrow(
      'roles() and anyRole() need `rolesClaim` for at least one issuer'
    )
    expect(() => api({ checks: [anyRole('admin')] }).protect()).toThrow(TypeError)
    const mixed = resourceServer({
      resource: RESOURCE,
      issuers: ['https://other.example', { issuer: ISSUER, rolesClaim: 'roles' }]
    })
    expect(mixed.protect(roles('admin'))).toBeDefined()
    const dynamic = resourceServer({ resource: RESOURCE, issuers: () => undefined })
    expect(dynamic.protect(roles('admin'))).toBeDefined()
  })

  test('a role that the API does not declare is refused at start', () => {
    const declared = api({ roles: ['admin'] }, { rolesClaim: 'roles' })
    expect(() => declared.protect(roles('admni'))).toThrow('the role "admni" is not in the option `roles`')
    expect(() => declared.protect(anyRole('admin', 'admni'))).toThrow(TypeError)
    expect(declared.protect(anyRole('admin'))).toBeDefined()
  })

  test('passed without being called, they are refused at start', () => {
    expect(() => one.protect(roles as never)).toThrow('roles was passed without being called')
    expect(() => one.protect(anyRole as never)).toThrow('anyRole was passed without being called')
  })

  test('the metadata of the resource names no role', () => {
    const own = server('roles')
    own.protect(scope('read'), roles('admin'))
    expect(JSON.stringify(own.metadata?.document())).not.toContain('admin')
  })

  test('fakeAccess() has roles for the unit test of a handler', async () => {
    expect(await fakeAccess({ roles: ['admin'] })).toMatchObject({ roles: ['admin'], scopes: [] })
    expect((await fakeAccess()).roles).toEqual([])
  })
})

describe('the place of the roles', () => {
  const rolesAt = async (rolesClaim: ClaimPlaces, claims: Record<string, unknown>) =>
    (await access(server(rolesClaim), token(claims))).roles
  const refusedAt = (rolesClaim: ClaimPlaces, claims: Record<string, unknown>) =>
    refusal(() => server(rolesClaim).authorize(bearer(token(claims))))

  test('is a claim by its name, which may have dots and slashes', async () => {
    const name = 'https://example.com/roles'
    expect(await rolesAt(name, { [name]: ['a'] })).toEqual(['a'])
    expect(await rolesAt('realm_access.roles', { realm_access: { roles: ['a'] } })).toEqual([])
    expect(await rolesAt('realm_access.roles', { 'realm_access.roles': ['a'] })).toEqual(['a'])
  })

  test('is a path if it is a list within the list', async () => {
    const path: ClaimPlaces = [['realm_access', 'roles'], 'groups']
    expect(await rolesAt(path, { realm_access: { roles: ['a'] }, groups: ['b'] })).toEqual(['a'])
    expect(await rolesAt(path, { realm_access: {}, groups: ['b'] })).toEqual(['b'])
    expect(await rolesAt(path, { realm_access: null, groups: ['b'] })).toEqual(['b'])
    expect(await rolesAt(path, { groups: ['b'] })).toEqual(['b'])
  })

  test('is one of alternatives in a list of names: the first that is neither missing nor null', async () => {
    expect(await rolesAt(['roles', 'groups'], { roles: ['a'], groups: ['b'] })).toEqual(['a'])
    expect(await rolesAt(['roles', 'groups'], { roles: null, groups: ['b'] })).toEqual(['b'])
    for (const empty of [[], ''])
      expect(await rolesAt(['roles', 'groups'], { roles: empty, groups: ['b'] }), JSON.stringify(empty)).toEqual([])
  })

  test('can be several claims with { all }: each role once', async () => {
    const both: ClaimPlaces = { all: [['realm_access', 'roles'], 'groups'] }
    expect(await rolesAt(both, { realm_access: { roles: ['a', 'b'] }, groups: ['b', 'c'] })).toEqual(['a', 'b', 'c'])
    expect(await rolesAt(both, { groups: ['c'] })).toEqual(['c'])
    expect(await rolesAt(both, { realm_access: { roles: '' }, groups: null })).toEqual([])
    expect(await rolesAt(both, {})).toEqual([])
    expect(Object.isFrozen(await rolesAt(both, { groups: ['c'] }))).toBe(true)
    expect(await refusedAt(both, { realm_access: { roles: ['a'] }, groups: 'b' })).toMatchObject(malformed)
  })

  test('follows own members only, never a prototype', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length']) {
      expect(await rolesAt(name, {}), name).toEqual([])
      expect(await rolesAt([['realm_access', name]], { realm_access: {} }), name).toEqual([])
      expect(await rolesAt([[name, 'roles']], {}), name).toEqual([])
      expect(await rolesAt([['constructor', 'prototype', name]], {}), name).toEqual([])
    }
    const inherited = parsed('{"realm_access":{"__proto__":{"roles":["a"]}}}')
    expect(await rolesAt([['realm_access', 'roles']], inherited)).toEqual([])
    expect(await rolesAt([['realm_access', '__proto__', 'roles']], inherited)).toEqual(['a'])
  })

  test.each([
    ['a text', 'admin'],
    ['a text of several', 'admin viewer'],
    ['a number', 7],
    ['true', true],
    ['an object', { admin: true }],
    ['a list with a number', ['admin', 7]],
    ['a list with null', ['admin', null]],
    ['a list in a list', [['admin']]]
  ])('that holds %s makes the token invalid: 401', async (_, value) => {
    const expected = 'realm_access.roles: an array of role names'
    const error = await refusedAt([['realm_access', 'roles']], { realm_access: { roles: value } })
    expect(error).toMatchObject({ ...malformed, expected, received: value })
  })

  test.each([
    ['a text', 'roles'],
    ['a list', [{ roles: ['admin'] }]],
    ['true', true]
  ])('whose path leads through %s makes the token invalid', async (_, value) => {
    const error = await refusedAt([['realm_access', 'roles'], 'roles'], { realm_access: value, roles: ['admin'] })
    expect(error).toMatchObject({ ...malformed, expected: 'realm_access: an object', received: value })
  })

  test('that is the object around the list: the hint shows how to write a path', async () => {
    const claims = { realm_access: { roles: ['admin'] } }
    const { hint } = await refusedAt(['realm_access', 'roles'], claims)
    expect(hint).toContain("`[['realm_access', 'roles']]`")
  })
})

describe('scopeClaim', () => {
  const scopesAt = async (scopeClaim: ClaimPlaces, claims: Record<string, unknown>) =>
    (await access(api({}, { scopeClaim }), token({ scope: undefined, ...claims }))).scopes

  test('reads a path, a claim named by a URL, and alternatives, as string or list', async () => {
    expect(await scopesAt([['authorization', 'scopes'], 'scope'], { authorization: { scopes: 'a b' } })).toEqual([
      'a',
      'b'
    ])
    expect(await scopesAt([['authorization', 'scopes'], 'scope'], { scope: 'c' })).toEqual(['c'])
    expect(await scopesAt('https://example.com/permissions', { 'https://example.com/permissions': ['a'] })).toEqual([
      'a'
    ])
  })

  test('reads several claims with { all }, each scope once, and refuses a malformed one', async () => {
    const both: ClaimPlaces = { all: ['scope', 'permissions'] }
    expect(await scopesAt(both, { scope: 'a b', permissions: ['b', 'c'] })).toEqual(['a', 'b', 'c'])
    expect(await scopesAt(both, { scope: '', permissions: ['c'] })).toEqual(['c'])
    expect(await scopesAt(both, { permissions: null })).toEqual([])
    const bad = api({}, { scopeClaim: both })
    const error = await refusal(() => bad.authorize(bearer(token({ scope: 'a', permissions: { b: true } }))))
    expect(error).toMatchObject({ ...malformed, expected: 'permissions: space-delimited scopes or an array of them' })
  })

  test('treats an array of names as alternatives, which are not added up', async () => {
    expect(await scopesAt(['permissions', 'scope'], { permissions: ['a'], scope: 'b' })).toEqual(['a'])
  })

  test('applies the scope hierarchy, and counts as evidence of an access token under `legacy`', async () => {
    const legacy: Partial<IssuerOptions> = { scopeClaim: [['granted', 'scopes']], tokenProfile: 'legacy' }
    const one = api({ scopeHierarchy: { admin: ['read'] } }, legacy)
    const typed = (claims: Record<string, unknown>): string =>
      accessToken({ header: { typ: 'JWT' }, claims: { scope: undefined, client_id: undefined, ...claims } })
    expect(await outcome(one, bearer(typed({ granted: { scopes: ['admin'] } })))).toEqual(granted)
    expect(await outcome(one, bearer(typed({ granted: {} })))).toMatchObject({ status: 401, reason: 'type' })
    const onlyRoles = api({}, { rolesClaim: 'roles', tokenProfile: 'legacy' })
    expect(await outcome(onlyRoles, bearer(typed({ roles: ['admin'] })))).toMatchObject({ status: 401, reason: 'type' })
  })
})

describe('profiles: the roles that a vendor documents, and near misses', () => {
  interface Vendor {
    readonly name: string
    readonly profile: IssuerOptions
    readonly claims: Record<string, unknown>
    /** Of the token beside a role. */
    readonly more?: Record<string, unknown>
    readonly held: readonly string[]
    readonly lacking: readonly (readonly [title: string, claims: Record<string, unknown>])[]
    readonly malformed: readonly Record<string, unknown>[]
  }
  const TENANT = '72f988bf-86f1-41af-91ab-2d7cd011db47'
  const KEYCLOAK = { issuer: 'https://sso.example.com/realms/acme', audience: RESOURCE }
  const bearerType = { typ: 'Bearer', azp: 'web' }
  const NAME = 'https://example.com/roles'

  const VENDORS: readonly Vendor[] = [
    {
      name: 'Keycloak, realm roles',
      profile: keycloak(KEYCLOAK),
      more: bearerType,
      claims: { realm_access: { roles: ['offline_access', 'admin'] } },
      held: ['offline_access', 'admin'],
      lacking: [
        ['client roles, which were not asked for', { resource_access: { 'orders-api': { roles: ['admin'] } } }],
        ['a claim roles at the top', { roles: ['admin'], groups: ['admin'] }],
        ['no roles', { realm_access: {} }]
      ],
      malformed: [{ realm_access: { roles: 'admin' } }, { realm_access: ['admin'] }]
    },
    {
      name: 'Keycloak, realm and client roles',
      profile: keycloak({ ...KEYCLOAK, clientId: 'orders-api' }),
      more: bearerType,
      claims: {
        realm_access: { roles: ['staff'] },
        resource_access: { 'orders-api': { roles: ['admin'] }, account: { roles: ['manage-account'] } }
      },
      held: ['staff', 'admin'],
      lacking: [
        ['a role of another client', { resource_access: { 'invoices-api': { roles: ['admin'] } } }],
        ['a role of the client that asked', { resource_access: { web: { roles: ['admin'] } } }],
        ['an inherited client', parsed('{"resource_access":{"__proto__":{"orders-api":{"roles":["admin"]}}}}')]
      ],
      malformed: [
        { resource_access: { 'orders-api': { roles: 'admin' } } },
        { resource_access: { 'orders-api': ['admin'] } }
      ]
    },
    {
      name: 'Entra ID',
      profile: entra({ tenantIds: TENANT, audience: RESOURCE })[0] as IssuerOptions,
      more: { tid: TENANT, azp: 'web', scp: 'orders.read' },
      claims: { roles: ['admin', 'Orders.Read.All'] },
      held: ['admin', 'Orders.Read.All'],
      lacking: [
        ['a directory role', { wids: ['admin'] }],
        ['a group', { groups: ['admin'] }],
        ['a delegated scope of that name', { scp: 'admin' }]
      ],
      malformed: [{ roles: 'admin' }, { roles: { admin: true } }]
    },
    {
      name: 'Auth0, a claim of an Action',
      profile: auth0({ domain: 'tenant.eu.auth0.com', audience: RESOURCE, rolesClaim: NAME }),
      more: { azp: 'web' },
      claims: { [NAME]: ['admin'] },
      held: ['admin'],
      lacking: [
        ['a permission', { permissions: ['admin'] }],
        ['a claim of another name', { 'https://example.org/roles': ['admin'], roles: ['admin'] }]
      ],
      malformed: [{ [NAME]: 'admin' }]
    },
    {
      name: 'Cognito',
      profile: cognito({ region: 'eu-central-1', userPoolId: 'eu-central-1_Example', clientIds: 'c1' }),
      more: { token_use: 'access' },
      claims: { 'cognito:groups': ['admin'] },
      held: ['admin'],
      lacking: [
        ['an IAM role', { 'cognito:roles': ['admin'] }],
        ['groups without the prefix', { groups: ['admin'] }]
      ],
      malformed: [{ 'cognito:groups': 'admin' }]
    },
    {
      name: 'Okta',
      profile: okta({ issuer: 'https://acme.okta.com/oauth2/default', audience: RESOURCE }),
      more: { cid: 'c1', scp: ['orders.read'] },
      claims: { groups: ['Everyone', 'admin'] },
      held: ['Everyone', 'admin'],
      lacking: [
        ['a claim roles', { roles: ['admin'] }],
        ['a scope of that name', { scp: ['admin'] }]
      ],
      malformed: [{ groups: 'admin' }, { groups: [{ name: 'admin' }] }]
    }
  ]

  for (const { name, profile, claims, more, held, lacking, malformed: bad } of VENDORS) {
    const { metadataUrl: _, ...rest } = profile
    const one = resourceServer({
      resource: RESOURCE,
      issuers: [{ ...rest, jwks: { keys: [issuerKey.publicJwk] } }],
      now: () => NOW
    })
    const of = (given: Record<string, unknown>): string =>
      accessToken({ header: { typ: 'JWT' }, claims: { iss: profile.issuer, ...more, ...given } })

    test(`${name}: has exactly the documented roles, and none of them as a scope`, async () => {
      expect(await outcome(one, bearer(of(claims)), roles('admin'))).toEqual(granted)
      const seen = await access(one, of(claims))
      expect(seen.roles).toEqual(held)
      expect(seen.scopes.filter((one) => held.includes(one))).toEqual([])
      expect(await outcome(one, bearer(of(claims)), scope('admin'))).toMatchObject({ reason: 'insufficient_scope' })
    })

    test.each(lacking)(`${name}: %s is not a role`, async (_title, given) => {
      expect(await outcome(one, bearer(of(given)), roles('admin'))).toEqual(lacksRole)
    })

    test.each(bad)(`${name}: %j makes the token invalid`, async (given) => {
      expect(await outcome(one, bearer(of(given)), roles('admin'))).toMatchObject(malformed)
    })
  }

  test('auth0() without rolesClaim reads no roles, and no profile reads roles as scopes', () => {
    expect(auth0({ domain: 'tenant.eu.auth0.com', audience: RESOURCE })).not.toHaveProperty('rolesClaim')
    for (const { profile } of VENDORS)
      expect(JSON.stringify(profile.scopeClaim ?? '')).not.toMatch(/role|group|realm_access|resource_access/)
  })

  test('an empty parameter is refused at start', () => {
    expect(() => keycloak({ ...KEYCLOAK, clientId: '' })).toThrow('`clientId` holds an empty name')
    expect(() => auth0({ domain: 'tenant.eu.auth0.com', audience: RESOURCE, rolesClaim: '' })).toThrow('`rolesClaim`')
  })
})

describe('roles and introspection', () => {
  const start = async (rolesClaim: ClaimPlaces = 'roles') => {
    const issuer = await bed.issuer()
    return { issuer, api: bed.api({ issuers: [introspecting(issuer, {}, { rolesClaim })] }) }
  }
  /** A JWT that can also be asked about. */
  const known = (issuer: TestIssuer, members: Record<string, unknown>, claims: Record<string, unknown>): string =>
    issuer.opaque(members, issuer.token({ claims }))

  test('an opaque token has the roles of the answer', async () => {
    const { issuer, api: one } = await start()
    expect(await ask(one, issuer.opaque({ roles: ['admin'] }), roles('admin'))).toEqual(served)
    expect(await ask(one, issuer.opaque({ roles: ['viewer'] }), roles('admin'))).toMatchObject({ status: 403 })
    expect(await ask(one, issuer.opaque({}), roles('admin'))).toMatchObject({ status: 403 })
    expect(await ask(one, issuer.opaque({ roles: 'admin' }), roles('admin'))).toMatchObject({ status: 401 })
  })

  test('fresh(): a JWT keeps the roles that the answer still has, and gets no others', async () => {
    const { issuer, api: one } = await start()
    const after = async (members: Record<string, unknown>) =>
      (await authorize(one, known(issuer, members, { roles: ['a', 'b'] }), fresh())).roles
    expect(await after({ roles: ['b', 'c'] })).toEqual(['b'])
    expect(await after({ roles: ['b', 'a'] })).toEqual(['a', 'b'])
    expect(await after({ roles: [] })).toEqual([])
    for (const silent of [undefined, null]) expect(await after({ roles: silent })).toEqual(['a', 'b'])
  })

  test('fresh(): refuses a role that was removed since, even if another place still has some', async () => {
    const { issuer, api: one } = await start({ all: [['realm_access', 'roles'], 'groups'] })
    const claims = { realm_access: { roles: ['staff'] }, groups: ['admin'] }
    const taken = known(issuer, { realm_access: { roles: ['staff'] } }, claims)
    expect(await ask(one, taken, roles('admin'))).toEqual(served)
    expect(await ask(one, taken, roles('admin'), fresh())).toMatchObject({ status: 403 })
    const { roles: left } = await authorize(one, taken, fresh())
    expect(left).toEqual(['staff'])
  })

  test('fresh(): a JWT that lacks the role is refused without introspection', async () => {
    const { issuer, api: one } = await start()
    const lacking = known(issuer, { roles: ['admin'] }, { roles: ['viewer'] })
    for (const requirements of [[fresh(), roles('admin')] as const, [anyRole('admin', 'owner'), fresh()] as const])
      expect(await ask(one, lacking, ...requirements)).toMatchObject({ status: 403 })
    expect(issuer.count('introspection')).toBe(0)
  })
})
