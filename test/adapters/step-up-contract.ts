/**
 * What every adapter promises about routes that ask for more than scopes: how and when a user authenticated (RFC 9470),
 * what exactly was authorized (RFC 9396), and that the authorization server stands by the token now; under both schemes.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  authentication,
  authorizationDetails,
  fresh,
  optional,
  type Requirement,
  type ResourceServer,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import { createDpopKey } from '../support/dpop.js'
import { type Clock, createClock, fault, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, type Plan, RESOURCE, type Route } from './contract.js'
import { type Lines, type Reply, type Served, send } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`
const LEVEL = 'A different authentication level is required'
const AGE = 'More recent authentication is required'
const DETAIL = 'The access token lacks a required authorization detail'
const ALGS = 'ES256'

/** A refusal with everything of it that is ours: under `Bearer`, and what another scheme's line would have. */
interface Refused {
  readonly id: string
  readonly title: string
  readonly path: string
  readonly claims: (now: number) => Record<string, unknown>
  readonly status: number
  readonly error: string
  readonly description: string
  /** `scope` of every challenge, if any. */
  readonly scope?: string
  readonly parameters?: string
}

const REFUSED: readonly Refused[] = [
  {
    id: 'STP-01 STP-02 DEN-14',
    title: 'another level of authentication is 401, and told which would do',
    path: '/level',
    claims: () => ({ acr: 'pwd' }),
    status: 401,
    error: 'insufficient_user_authentication',
    description: LEVEL,
    parameters: 'acr_values="hwk mfa"'
  },
  {
    id: 'STP-03 DEN-14',
    title: 'an authentication of long ago is 401, and told how long would do',
    path: '/recent',
    claims: (now) => ({ auth_time: now - 400 }),
    status: 401,
    error: 'insufficient_user_authentication',
    description: AGE,
    parameters: 'max_age="300"'
  },
  {
    id: 'ORD-05 DEN-14',
    title: 'scope, level and time that are lacking are told together',
    path: '/all',
    claims: () => ({}),
    status: 401,
    error: 'insufficient_user_authentication',
    description: LEVEL,
    scope: 'scope="read write", ',
    parameters: 'acr_values="mfa", max_age="300"'
  },
  {
    id: 'RAR-04',
    title: 'details that are not enough are 403 without scope',
    path: '/details',
    claims: () => ({ authorization_details: [{ type: 'payment', amount: 1000 }] }),
    status: 403,
    error: 'insufficient_scope',
    description: DETAIL
  },
  {
    id: 'RAR-02',
    title: 'a detail for another place does not count',
    path: '/details',
    claims: () => ({ authorization_details: [{ type: 'payment', amount: 1, locations: ['https://other.example'] }] }),
    status: 403,
    error: 'insufficient_scope',
    description: DETAIL
  },
  {
    id: 'RAR-01 DEN-11',
    title: 'details that are no list make the token bad',
    path: '/details',
    claims: () => ({ authorization_details: {} }),
    status: 401,
    error: 'invalid_token',
    description: 'The access token has a missing or invalid claim',
    scope: 'scope="read", '
  }
]

/** Runs the contract for one adapter. */
export function describeStepUp(adapter: Adapter): void {
  describe(`${adapter.name}: more than scopes`, () => {
    let clock: Clock
    let issuer: TestIssuer
    const handled: string[] = []
    const started: { close(): Promise<unknown> }[] = []
    const key = createDpopKey()

    beforeAll(async () => {
      clock = createClock()
      issuer = await startIssuer({ now: clock.now })
    })
    afterAll(async () => {
      await Promise.all(started.map((one) => one.close()))
      await issuer.close()
    })

    const create = (options: Partial<ResourceServerOptions> = {}, from: TestIssuer = issuer): ResourceServer => {
      const introspection = { clientId: 'rs', auth: (): void => {}, cacheFor: 300 }
      const issuers = [{ issuer: from.issuer, introspection }]
      const api = resourceServer({ resource: RESOURCE, issuers, now: clock.now, ...options })
      started.push(api)
      return api
    }
    const route = (path: string, requires?: readonly Requirement[], more: Partial<Route> = {}): Route => ({
      path,
      ...(requires && { requires }),
      answer: (call) => {
        handled.push(path)
        return { scopes: call.getOptionalAuth()?.scopes ?? null }
      },
      ...more
    })
    async function serve(plan: Plan): Promise<number> {
      const served: Served = await adapter.serve({ errors: 'json', ...plan })
      started.push(served)
      return served.port
    }
    const get = (port: number, path: string, headers: Lines): Promise<Reply> => send(port, { path, headers })
    const bearer = (token: string): Lines => [['Authorization', `Bearer ${token}`]]
    const dpop = (token: string, path: string, method = 'GET'): Lines => [
      ['Authorization', `DPoP ${token}`],
      ['DPoP', key.proof({ token, at: clock.now(), url: RESOURCE + path, method })]
    ]
    const routes = (): Route[] => [
      route('/level', [scope('read'), authentication({ acr: ['hwk', 'mfa'] })]),
      route('/recent', [scope('read'), authentication({ maxAge: 300 })]),
      route('/all', [scope('read', 'write'), authentication({ acr: 'mfa' }), authentication({ maxAge: 300 })]),
      route('/details', [
        scope('read'),
        authorizationDetails(async ({ amount }) => Number(amount) < 100, { types: ['payment'] })
      ])
    ]
    const seen = (reply: Reply): unknown[] => [
      reply.status,
      reply.values('www-authenticate'),
      reply.values('cache-control')
    ]
    /** What `seen` is of a refusal; where lines are joined, they are one. */
    const refusal = (status: number, ...challenges: readonly string[]): unknown[] => [
      status,
      adapter.joinsLines ? [challenges.join(', ')] : challenges,
      ['no-store']
    ]

    describe('refusals', () => {
      let plain: number
      let both: number
      let framework: number
      let own: number
      beforeAll(async () => {
        plain = await serve({ api: create(), routes: routes() })
        both = await serve({ api: create({ dpop: { advertise: true, algorithms: [ALGS] } }), routes: routes() })
        framework = await serve({ api: create(), routes: routes(), errors: 'framework' })
        own = await serve({ api: create(), routes: routes(), errors: 'own' })
      })

      for (const { id, title, path, claims, status, error, description, scope: asked = '', parameters } of REFUSED) {
        const head = `error="${error}", error_description="${description}", ${asked}`
        const tail = parameters === undefined ? METADATA : `${parameters}, ${METADATA}`
        const dpopTail = `${parameters === undefined ? '' : `${parameters}, `}algs="${ALGS}", ${METADATA}`

        test(`${id}: ${title}`, async () => {
          handled.length = 0
          const token = issuer.token({ claims: claims(clock.now()) })
          const reply = await get(plain, path, bearer(token))
          expect(seen(reply)).toEqual(refusal(status, `Bearer ${head}${tail}`))
          expect(JSON.parse(reply.body)).toEqual({ error, error_description: description })
          expect(reply.values('content-type')).toEqual(['application/json'])
          const toHead = await send(plain, { method: 'HEAD', path, headers: bearer(token) })
          expect([...seen(toHead), toHead.body]).toEqual([...seen(reply), ''])
          for (const port of [framework, own]) {
            expect(seen(await get(port, path, bearer(token)))).toEqual(seen(reply))
          }
          expect(handled).toEqual([])
        })

        test(`${id} STP-05 DEN-20 (RFC 9449 §7.2): with DPoP advertised the error is under the scheme used: ${title}`, async () => {
          const token = issuer.token({ claims: claims(clock.now()) })
          expect(seen(await get(both, path, bearer(token)))).toEqual(
            refusal(status, `Bearer ${head}${tail}`, `DPoP ${asked}algs="${ALGS}", ${METADATA}`)
          )
          const bound = issuer.token({ claims: { ...claims(clock.now()), cnf: { jkt: key.jkt } } })
          const expected = refusal(status, `DPoP ${head}${dpopTail}`)
          expect(seen(await get(both, path, dpop(bound, path)))).toEqual(expected)
          expect(seen(await send(both, { method: 'HEAD', path, headers: dpop(bound, path, 'HEAD') }))).toEqual(expected)
        })
      }

      test('STP-04 (RFC 9470 §9): a stranger is told of scopes alone', async () => {
        for (const path of ['/level', '/recent', '/details']) {
          expect(seen(await get(plain, path, []))).toEqual(refusal(401, `Bearer scope="read", ${METADATA}`))
        }
      })

      test('STP-02 STP-03 RAR-01: enough passes, under both schemes', async () => {
        const claims = {
          acr: 'mfa',
          auth_time: clock.now() - 300,
          scope: 'write read',
          authorization_details: [{ type: 'payment', amount: 99, locations: [RESOURCE] }]
        }
        const token = issuer.token({ claims })
        const bound = issuer.token({ claims: { ...claims, cnf: { jkt: key.jkt } } })
        for (const path of ['/level', '/recent', '/all', '/details']) {
          expect((await get(both, path, bearer(token))).status, path).toBe(200)
          expect((await get(both, path, dpop(bound, path))).status, path).toBe(200)
        }
      })
    })

    test('RAR-04 (RFC 9728 §2): the types of details that routes ask for are in the metadata', async () => {
      const api = create()
      const port = await serve({ api, metadata: [api], routes: routes() })
      const { body } = await get(port, '/.well-known/oauth-protected-resource', [])
      expect(JSON.parse(body)).toMatchObject({ authorization_details_types_supported: ['payment'] })
    })

    test('ORD-05 STP-01: enforce inside a handler refuses like a route, under both schemes', async () => {
      const enforcing: Partial<Route> = {
        answer: async (call) => {
          await call.enforce(scope('read', 'export'), authentication({ acr: 'mfa', maxAge: 60 }))
          handled.push('/items')
          return {}
        }
      }
      for (const errors of ['json', 'framework', 'own'] as const) {
        handled.length = 0
        const api = create({ dpop: { advertise: true, algorithms: [ALGS] } })
        const port = await serve({ api, errors, routes: [route('/items', [scope('read')], enforcing)] })
        const head = `error="insufficient_user_authentication", error_description="${LEVEL}", scope="read export", acr_values="mfa", max_age="60"`
        expect(seen(await get(port, '/items', bearer(issuer.token())))).toEqual(
          refusal(401, `Bearer ${head}, ${METADATA}`, `DPoP scope="read export", algs="${ALGS}", ${METADATA}`)
        )
        const bound = issuer.token({ claims: { cnf: { jkt: key.jkt } } })
        expect(seen(await get(port, '/items', dpop(bound, '/items')))).toEqual(
          refusal(401, `DPoP ${head}, algs="${ALGS}", ${METADATA}`)
        )
        expect(handled).toEqual([])
        const enough = { scope: 'read export', acr: 'mfa', auth_time: clock.now() }
        expect((await get(port, '/items', bearer(issuer.token({ claims: enough })))).status).toBe(200)
      }
    })

    describe('fresh', () => {
      const REVOKED = `Bearer error="invalid_token", error_description="The access token is not active", scope="read", ${METADATA}`
      const narrow = `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read", ${METADATA}`
      /** An opaque token, and a JWT that the issuer can be asked about. */
      const kinds: readonly (readonly [string, (one: TestIssuer, members?: object) => string])[] = [
        ['an opaque token', (one, members = {}) => one.opaque({ ...members })],
        ['a JWT', (one, members = {}) => one.opaque({ ...members }, one.token())]
      ]

      for (const [kind, make] of kinds) {
        test(`INT-11 DEN-08 (RFC 7662 §4): ${kind} revoked a second ago is good elsewhere for a while, and not where it must be fresh`, async () => {
          handled.length = 0
          const port = await serve({
            api: create(),
            routes: [route('/cached', [scope('read')]), route('/fresh', [scope('read'), fresh()])]
          })
          const token = make(issuer)
          for (const path of ['/cached', '/fresh', '/fresh'])
            expect((await get(port, path, bearer(token))).status).toBe(200)
          issuer.revoke(token)
          expect((await get(port, '/cached', bearer(token))).status).toBe(200)
          const before = handled.length
          expect(seen(await get(port, '/fresh', bearer(token)))).toEqual(refusal(401, REVOKED))
          expect(handled).toHaveLength(before)
        })

        test(`INT-11: ${kind} costs one question a request`, async () => {
          const port = await serve({ api: create(), routes: [route('/fresh', [fresh(), scope('read'), fresh()])] })
          const token = make(issuer)
          await get(port, '/fresh', bearer(token))
          const before = issuer.count('introspection')
          for (const _ of [1, 2, 3]) expect((await get(port, '/fresh', bearer(token))).status).toBe(200)
          expect(issuer.count('introspection') - before).toBe(3)
        })

        test(`DEN-16: ${kind} is 503 while nobody can be asked, though it is known`, async () => {
          const down = await startIssuer({ now: clock.now })
          onTestFinished(() => down.close())
          const port = await serve({
            api: create({ http: { timeout: 1, deadline: 1 } }, down),
            routes: [route('/cached', [scope('read')]), route('/fresh', [scope('read'), fresh()])]
          })
          const token = make(down)
          expect((await get(port, '/fresh', bearer(token))).status).toBe(200)
          down.always('introspection', fault.status(503))
          const silenced = vi.spyOn(console, 'error').mockImplementation(() => undefined)
          onTestFinished(() => silenced.mockRestore())
          const reply = await get(port, '/fresh', bearer(token))
          expect([...seen(reply), reply.values('retry-after').length, reply.body]).toEqual([
            503,
            [],
            ['no-store'],
            1,
            '{"error":"temporarily_unavailable"}'
          ])
          expect((await get(port, '/cached', bearer(token))).status).toBe(200)
        })

        test(`SCP-06: ${kind} whose scope was narrowed since is held to what is left, and the handler sees that`, async () => {
          const port = await serve({
            api: create(),
            routes: [route('/fresh', [scope('read'), fresh()]), route('/any', [fresh()])]
          })
          const token = make(issuer)
          const answer = await get(port, '/any', bearer(token))
          expect(JSON.parse(answer.body)).toEqual({ scopes: ['read'] })
          issuer.opaque({ scope: 'other' }, token)
          expect(seen(await get(port, '/fresh', bearer(token)))).toEqual(refusal(403, narrow))
          const left = JSON.parse((await get(port, '/any', bearer(token))).body) as { scopes: string[] }
          expect(left.scopes).not.toContain('read')
        })

        test(`an outer protection, and one inside that must be fresh: ${kind} is asked about for the inner one alone`, async () => {
          const api = create()
          const inner = route('/pay', [scope('read'), fresh()])
          const port = await serve({ api, group: { path: '/v1', requires: [scope('read')], routes: [inner] } })
          const token = make(issuer)
          expect((await get(port, '/v1/pay', bearer(token))).status).toBe(200)
          const before = issuer.count('introspection')
          expect((await get(port, '/v1/pay', bearer(token))).status).toBe(200)
          expect(issuer.count('introspection') - before).toBe(1)
          issuer.revoke(token)
          expect(seen(await get(port, '/v1/pay', bearer(token)))).toEqual(refusal(401, REVOKED))
        })

        test(`enforce(fresh()) inside a handler refuses ${kind} that was revoked`, async () => {
          handled.length = 0
          const answer: Route['answer'] = async (call) => {
            await call.enforce(scope('read'), fresh())
            handled.push('/pay')
            return {}
          }
          for (const errors of ['json', 'framework', 'own'] as const) {
            handled.length = 0
            const port = await serve({ api: create(), errors, routes: [route('/pay', [scope('read')], { answer })] })
            const token = make(issuer)
            expect((await get(port, '/pay', bearer(token))).status).toBe(200)
            issuer.revoke(token)
            expect(seen(await get(port, '/pay', bearer(token)))).toEqual(refusal(401, REVOKED))
            expect(handled).toEqual(['/pay'])
          }
        })
      }

      test('optional lets a request without credentials pass, and asks about those that are there', async () => {
        const port = await serve({ api: create(), routes: [route('/some', [optional, fresh()])] })
        const before = issuer.count('introspection')
        expect(await get(port, '/some', [])).toMatchObject({ status: 200, body: '{"scopes":null}' })
        expect(issuer.count('introspection')).toBe(before)
        const token = issuer.opaque({}, issuer.token())
        expect((await get(port, '/some', bearer(token))).status).toBe(200)
        issuer.revoke(token)
        expect((await get(port, '/some', bearer(token))).status).toBe(401)
      })

      test('DPP-21 DPP-36 (RFC 9449 §6.2): a bound token must come with a good proof before anybody is asked, once', async () => {
        const port = await serve({ api: create(), routes: [route('/fresh', [scope('read'), fresh()])] })
        const token = issuer.opaque(
          { cnf: { jkt: key.jkt }, token_type: 'DPoP' },
          issuer.token({ claims: { cnf: { jkt: key.jkt } } })
        )
        const before = issuer.count('introspection')
        expect((await get(port, '/fresh', bearer(token))).status).toBe(401)
        expect((await get(port, '/fresh', dpop(token, '/other'))).status).toBe(401)
        expect(issuer.count('introspection')).toBe(before)
        expect((await get(port, '/fresh', dpop(token, '/fresh'))).status).toBe(200)
        issuer.revoke(token)
        expect(seen(await get(port, '/fresh', dpop(token, '/fresh')))).toEqual(
          refusal(
            401,
            `DPoP error="invalid_token", error_description="The access token is not active", scope="read", algs="ES256 EdDSA Ed25519 PS256 RS256", ${METADATA}`
          )
        )
      })
    })
  })
}
