/**
 * What every adapter promises, asked of each over real sockets: the same refusals line by line (RFC 6750 §3), the same
 * protection of an app, a router and a route, and the same metadata (RFC 9728). An adapter's test file says how a
 * {@link Plan} is built in its framework; everything expected is here.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { STATUS_CODES } from 'node:http'
import type { TlsOptions } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type ErrorBodyOptions, type ErrorFacts, problemDetails } from '../../adapters/shared/error-body.js'
import {
  type Access,
  type AccessEvent,
  anyScope,
  type Check,
  CredentialsMissing,
  claims,
  clientSecretBasic,
  Forbidden,
  InsufficientAuthentication,
  InsufficientAuthorizationDetails,
  InsufficientRole,
  InsufficientScope,
  InvalidProof,
  InvalidRequest,
  InvalidToken,
  Misconfigured,
  optional,
  ProofNonceRequired,
  type Requirement,
  type ResourceServer,
  type ResourceServerError,
  resourceServer,
  roles,
  scope,
  skipPreflight,
  TooManyRequests,
  Unavailable
} from '../../src/index.js'
import { mcp } from '../../src/profiles/mcp.js'
import { type Clock, createClock, createSigningKey, fault, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Lines, type RawRequest, type Reply, type Served, send } from './wire.js'

/** An app, in no framework's words. */
export interface Plan {
  /** Protects the whole app, the group and the routes that name no other. */
  readonly api: ResourceServer
  /** Resources whose metadata the app serves. Default: none. */
  readonly metadata?: readonly ResourceServer[]
  /** Header fields that other middleware sets before any of ours. */
  readonly prior?: Lines
  /** Other middleware that answers 504 at once and for all requests without `?patiently`, while ours decides. */
  readonly impatient?: boolean
  /** Protects the whole app. */
  readonly whole?: readonly Requirement[]
  /** Middleware after the protection of the app, the group and the routes that reads bodies; called when it starts to. */
  readonly onBody?: () => void
  readonly routes?: readonly Route[]
  /** A router (a plugin, a sub-app) of its own, mounted under a path and protected as one. */
  readonly group?: {
    readonly path: string
    readonly requires: readonly Requirement[]
    readonly routes: readonly Route[]
  }
  /**
   * Who answers an error: the framework's default, our JSON handler, a handler of the user's that only reads `status`, or our
   * handler with a body in the shape of the API.
   */
  readonly errors?: 'framework' | 'json' | 'own' | ErrorBodyOptions
  /** Served over TLS with these. Default: plain HTTP. */
  readonly tls?: TlsOptions
}

export interface Route {
  readonly method?: 'GET' | 'POST' | 'OPTIONS'
  readonly path: string
  /** What protects this route alone; undefined: nothing does. */
  readonly requires?: readonly Requirement[]
  /** Another API than the plan's. */
  readonly api?: ResourceServer
  /** The handler: returns the JSON to answer with, or a promise of it. */
  readonly answer: (call: Call) => unknown
}

/** What a handler can ask its adapter. */
export interface Call {
  getAuth(): Access
  getOptionalAuth(): Access | undefined
  /** Applies checks of the plan's API inside the handler. */
  enforce(...checks: readonly Check<string>[]): Promise<void>
  /** Sets a field of the response; not where there is none yet. */
  setHeader?(name: string, value: string): void
}

export interface Adapter {
  readonly name: string
  /** Which requests for `/items` the framework takes for it when it is at its most lenient. */
  readonly matches: { readonly slash: boolean; readonly case: boolean }
  /** True where the framework knows header fields as WHATWG `Headers`, which join lines with a comma. */
  readonly joinsLines?: boolean
  /** True where a decision is a value in the user's hands: there is no error handling, no chain and no response to add to. */
  readonly isFunction?: boolean
  serve(plan: Plan): Promise<Served>
}

export const RESOURCE = 'https://api.example.com'
const METADATA_PATH = '/.well-known/oauth-protected-resource'
const METADATA = `resource_metadata="${RESOURCE}${METADATA_PATH}"`

/** An API whose authorization server issues good tokens, and fails us in one way. */
interface Faulty {
  readonly api: ResourceServer
  readonly issuer: TestIssuer
}

interface Fixture {
  readonly clock: Clock
  readonly issuer: TestIssuer
  readonly api: ResourceServer
  /** Its authorization server resets every connection. */
  readonly unreachable: Faulty
  /** Its authorization server's metadata names another issuer. */
  readonly mismatched: Faulty
  /** Its authorization server refuses the credentials we introspect with. */
  readonly unauthorized: Faulty
  close(): Promise<void>
}

async function createFixture(): Promise<Fixture> {
  const clock = createClock()
  const { now } = clock
  const auth = clientSecretBasic('secret')
  const issuers = await Promise.all([1, 2, 3, 4].map(() => startIssuer({ now })))
  const [issuer, down, liar, strict] = issuers as [TestIssuer, TestIssuer, TestIssuer, TestIssuer]
  down.always('metadata', fault.reset())
  liar.always('metadata', fault.wrongIssuer())
  strict.introspectionAuth = () => false
  const introspecting = (one: TestIssuer): ResourceServer =>
    resourceServer({
      resource: RESOURCE,
      issuers: [{ issuer: one.issuer, introspection: { clientId: 'rs', auth, cacheFor: 0 }, rolesClaim: 'roles' }],
      now
    })
  const verifying = (one: TestIssuer): ResourceServer =>
    resourceServer({ resource: RESOURCE, issuers: [one.issuer], now })
  const api = introspecting(issuer)
  const unreachable = { issuer: down, api: verifying(down) }
  const mismatched = { issuer: liar, api: verifying(liar) }
  const unauthorized = { issuer: strict, api: introspecting(strict) }
  return {
    clock,
    issuer,
    api,
    unreachable,
    mismatched,
    unauthorized,
    close: async () => {
      await Promise.all([api, unreachable.api, mismatched.api, unauthorized.api].map((one) => one.close()))
      await Promise.all(issuers.map((one) => one.close()))
    }
  }
}

const bearer = (token: string): Lines => [['Authorization', `Bearer ${token}`]]

/** A request that is refused, and the whole answer to it. */
interface Refused {
  readonly id: string
  readonly title: string
  readonly path?: string
  readonly headers: (fixture: Fixture) => Lines
  readonly status: number
  readonly challenge?: string
  readonly retryAfter?: string
  readonly body?: { readonly error: string; readonly error_description?: string }
}

type Answered = Pick<Refused, 'status' | 'challenge' | 'retryAfter' | 'body'>

const NO_CREDENTIALS: Answered = { status: 401, challenge: `Bearer scope="read", ${METADATA}` }

const invalidRequest = (text: string): Answered => ({
  status: 400,
  challenge: `Bearer error="invalid_request", error_description="${text}", ${METADATA}`,
  body: { error: 'invalid_request', error_description: text }
})

const invalidToken = (text: string): Answered => ({
  status: 401,
  challenge: `Bearer error="invalid_token", error_description="${text}", scope="read", ${METADATA}`,
  body: { error: 'invalid_token', error_description: text }
})

const insufficientScope = (scopes: string): Answered => ({
  status: 403,
  challenge: `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="${scopes}", ${METADATA}`,
  body: { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' }
})

const forbidden = (text: string): Answered => ({
  status: 403,
  body: { error: 'access_denied', error_description: text }
})

const MISCONFIGURED: Answered = { status: 500, body: { error: 'server_error' } }

const REFUSED: readonly Refused[] = [
  {
    id: 'DEN-01',
    title: 'a request without a token is told what to ask for, and has no error code',
    headers: () => [],
    ...NO_CREDENTIALS
  },
  {
    id: 'DEN-01',
    title: 'an unsupported scheme counts as no credentials',
    headers: () => [['Authorization', 'Basic eA==']],
    ...NO_CREDENTIALS
  },
  {
    id: 'DEN-01',
    title: 'a token in the query counts as no credentials',
    path: '/items?access_token=abc',
    headers: () => [],
    ...NO_CREDENTIALS
  },
  {
    id: 'DEN-02',
    title: 'a scheme without a token is a malformed request',
    headers: () => [['Authorization', 'Bearer']],
    ...invalidRequest('Malformed Authorization header')
  },
  {
    id: 'DEN-02',
    title: 'a second part after the token is a malformed request',
    headers: ({ issuer }) => bearer(`${issuer.token()} more`),
    ...invalidRequest('Malformed Authorization header')
  },
  {
    id: 'DEN-03',
    title: 'a repeated Authorization field is refused, though each line would do (TRN-06, ADP-01)',
    headers: ({ issuer }) => [...bearer(issuer.token()), ...bearer(issuer.token())],
    ...invalidRequest('Multiple methods used to include access token')
  },
  {
    id: 'DEN-03',
    title: 'an Authorization field of another scheme after a good token is refused (TRN-06, ADP-01)',
    headers: ({ issuer }) => [...bearer(issuer.token()), ['authorization', 'Basic eA==']],
    ...invalidRequest('Multiple methods used to include access token')
  },
  {
    id: 'DEN-03',
    title: 'a good token after an Authorization field of another scheme is refused (TRN-06, ADP-01)',
    headers: ({ issuer }) => [['Authorization', 'Basic eA=='], ...bearer(issuer.token())],
    ...invalidRequest('Multiple methods used to include access token')
  },
  {
    id: 'DEN-04',
    title: 'a character that no token has makes it malformed',
    headers: () => bearer('ab%cd'),
    ...invalidToken('The access token is malformed')
  },
  {
    id: 'DEN-05',
    title: 'a signature by another key under the same name is refused',
    headers: ({ issuer }) => bearer(issuer.token({ key: createSigningKey('ES256', { kid: 'k1' }) })),
    ...invalidToken('The access token signature could not be verified')
  },
  {
    id: 'DEN-06',
    title: 'an expired token is refused',
    headers: ({ issuer, clock }) => bearer(issuer.token({ claims: { exp: clock.now() - 31 } })),
    ...invalidToken('The access token expired')
  },
  {
    id: 'DEN-06',
    title: 'an expired token that lacks the scope too is 401 and not 403 (ORD-01)',
    headers: ({ issuer, clock }) => bearer(issuer.token({ claims: { exp: clock.now() - 31, scope: 'other' } })),
    ...invalidToken('The access token expired')
  },
  {
    id: 'DEN-07',
    title: 'a token for later is refused',
    headers: ({ issuer, clock }) => bearer(issuer.token({ claims: { nbf: clock.now() + 31 } })),
    ...invalidToken('The access token is not yet valid')
  },
  {
    id: 'DEN-08',
    title: 'an opaque token that its authorization server does not call active is refused',
    headers: () => bearer('revoked-or-unknown'),
    ...invalidToken('The access token is not active')
  },
  {
    id: 'DEN-09',
    title: 'a token of an issuer that is not listed is refused',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { iss: 'https://other.example' } })),
    ...invalidToken('The access token issuer is not accepted')
  },
  {
    id: 'DEN-10',
    title: 'a token for another API is refused',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { aud: 'https://other.example' } })),
    ...invalidToken('The access token audience is not accepted')
  },
  {
    id: 'DEN-11',
    title: 'a token without a required claim is refused',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { sub: undefined } })),
    ...invalidToken('The access token has a missing or invalid claim')
  },
  {
    id: 'DEN-12',
    title: 'a JWT that is no access token is refused',
    headers: ({ issuer }) => bearer(issuer.token({ header: { typ: 'JWT' } })),
    ...invalidToken('The token is not an access token')
  },
  {
    id: 'DEN-13',
    title: 'a token without one of two scopes is told of both',
    path: '/both',
    headers: ({ issuer }) => bearer(issuer.token()),
    ...insufficientScope('read write')
  },
  {
    id: 'DEN-13',
    title: 'a token without any of several scopes is told of the preferred one (SCP-07)',
    path: '/either',
    headers: ({ issuer }) => bearer(issuer.token()),
    ...insufficientScope('write')
  },
  {
    id: 'DEN-15',
    title: 'a token bound to a client certificate is no bearer token',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { cnf: { 'x5t#S256': 'A'.repeat(43) } } })),
    ...invalidToken('The access token is bound to a different client certificate')
  },
  {
    id: 'DEN-16',
    title: 'an authorization server that cannot be reached is an outage, not the fault of the token',
    path: '/unreachable',
    headers: ({ unreachable }) => bearer(unreachable.issuer.token()),
    status: 503,
    retryAfter: '5',
    body: { error: 'temporarily_unavailable' }
  },
  {
    id: 'DEN-17',
    title: 'metadata that names another issuer is our misconfiguration',
    path: '/mismatched',
    headers: ({ mismatched }) => bearer(mismatched.issuer.token()),
    ...MISCONFIGURED
  },
  {
    id: 'DEN-17',
    title: 'an authorization server that refuses to introspect for us is our misconfiguration',
    path: '/unauthorized',
    headers: ({ unauthorized }) => bearer(unauthorized.issuer.opaque()),
    ...MISCONFIGURED
  },
  {
    id: 'ATV-10',
    title: 'a token without a required role is refused with a challenge that names no scope, though the route has one',
    path: '/admin',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { roles: ['viewer'] } })),
    status: 403,
    challenge: `Bearer error="insufficient_scope", error_description="The access token lacks a required role", ${METADATA}`,
    body: { error: 'insufficient_scope', error_description: 'The access token lacks a required role' }
  },
  {
    id: 'DEN-18',
    title: "a check of the application's own refuses in its own words, without a challenge",
    path: '/own',
    headers: ({ issuer }) => bearer(issuer.token()),
    ...forbidden('Not your items')
  },
  {
    id: 'DEN-18',
    title: 'claims that the route does not admit are refused without a challenge',
    path: '/gold',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { tier: 'silver' } })),
    ...forbidden("The access token's claims do not allow this")
  },
  {
    id: 'DEN-21',
    title: 'a DPoP-bound token is no bearer token',
    headers: ({ issuer }) => bearer(issuer.token({ claims: { cnf: { jkt: 'A'.repeat(43) } } })),
    ...invalidToken('DPoP-bound access token used with the Bearer scheme')
  }
]

/** Fields of the connection and of the host: they are not ours. */
const OF_THE_HOST = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'x-powered-by'])

const sorted = (lines: Lines): Lines => lines.toSorted((a, b) => (a.join() < b.join() ? -1 : 1))

/** All field lines but the host's, in one order. */
const ownLines = (reply: Reply): Lines => sorted(reply.lines.filter(([name]) => !OF_THE_HOST.has(name)))

/** Whether an answer says where it ends (RFC 9112 §6.3): if not, its end is the connection's. */
const hasEnd = (reply: Reply): boolean =>
  reply.values('content-length').length > 0 || reply.values('transfer-encoding').length > 0

/** What a handler may say of what it is about to send, and of what a refusal is not. */
const ABOUT_CONTENT: Lines = [
  ['Content-Length', '500'],
  ['Content-Type', 'application/pdf'],
  ['Content-Encoding', 'gzip'],
  ['Content-Range', 'bytes 0-499/1234'],
  ['Content-Disposition', 'attachment; filename="orders.pdf"'],
  ['Content-Language', 'de'],
  ['Content-Location', '/orders.pdf'],
  ['Content-Digest', 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'],
  ['ETag', '"1"'],
  ['Last-Modified', 'Tue, 15 Nov 1994 12:45:26 GMT']
]

/** The field lines that make a refusal, whatever body somebody gave it. */
const REFUSAL_FIELDS = new Set(['www-authenticate', 'cache-control', 'retry-after', 'access-control-expose-headers'])
const refusalLines = (reply: Reply): Lines => sorted(reply.lines.filter(([name]) => REFUSAL_FIELDS.has(name)))

function expectedLines({ challenge, retryAfter }: Answered): Lines {
  return sorted([
    ['cache-control', 'no-store'],
    ...(challenge === undefined ? [] : [['www-authenticate', challenge] as const]),
    ...(retryAfter === undefined ? [] : [['retry-after', retryAfter] as const])
  ])
}

/** Runs the contract for one adapter. */
/** Instead of `test` or `describe` where an adapter has nothing to hold the rule with: the row does not exist there. */
const notApplicable = (): void => undefined

export function describeAdapter(adapter: Adapter): void {
  // A function that decides has no chain of handlers, no error channel and no response to add to.
  const inChain: typeof test | typeof notApplicable = adapter.isFunction ? notApplicable : test
  const describeInChain: typeof describe | typeof notApplicable = adapter.isFunction ? notApplicable : describe
  describe(adapter.name, () => {
    let fixture: Fixture
    /** Paths of the routes whose handlers ran since the test began. */
    const handled: string[] = []
    const started: Served[] = []

    beforeAll(async () => {
      fixture = await createFixture()
    })
    afterEach(() => {
      handled.length = 0
    })
    afterAll(async () => {
      await Promise.all(started.map((one) => one.close()))
      await fixture.close()
    })

    const route = (path: string, requires?: readonly Requirement[], more: Partial<Route> = {}): Route => ({
      path,
      ...(requires && { requires }),
      answer: (call) => {
        handled.push(path)
        return { subject: call.getOptionalAuth()?.subject ?? null }
      },
      ...more
    })

    async function serve(plan: Omit<Plan, 'api'> & { readonly api?: ResourceServer }): Promise<number> {
      const one = await adapter.serve({ api: fixture.api, errors: 'json', ...plan })
      started.push(one)
      return one.port
    }

    const get = (port: number, path: string, headers: Lines = []): Promise<Reply> => send(port, { path, headers })

    /** A host logs the errors that are not refusals; here they are meant to happen. */
    function silence(): void {
      const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
      onTestFinished(() => log.mockRestore())
    }

    const refusingRoutes = (): Route[] => [
      route('/items', [scope('read')]),
      route('/both', [scope('read', 'write')]),
      route('/either', [anyScope('write', 'admin')]),
      route('/admin', [scope('read'), roles('admin')]),
      route('/gold', [claims(({ tier }) => tier === 'gold')]),
      route('/own', [
        async () => {
          throw new Forbidden('Not your items')
        }
      ]),
      route('/unreachable', [scope('read')], { api: fixture.unreachable.api }),
      route('/mismatched', [scope('read')], { api: fixture.mismatched.api }),
      route('/unauthorized', [scope('read')], { api: fixture.unauthorized.api })
    ]

    describe('refusals', () => {
      let json: number
      let problem: number
      let framework: number
      let own: number
      beforeAll(async () => {
        json = await serve({ routes: refusingRoutes() })
        problem = await serve({ routes: refusingRoutes(), errors: problemDetails })
        framework = await serve({ routes: refusingRoutes(), errors: 'framework' })
        own = await serve({ routes: refusingRoutes(), errors: 'own' })
      })

      for (const { id, title, path = '/items', headers, ...answer } of REFUSED) {
        test(`${id}: ${title}`, async () => {
          silence()
          const sent = headers(fixture)
          const reply = await get(json, path, sent)
          const body = answer.body ? [['content-type', 'application/json'] as const] : []
          expect(reply.status).toBe(answer.status)
          expect(ownLines(reply)).toEqual(sorted([...expectedLines(answer), ...body]))
          expect(reply.body).toBe(answer.body ? JSON.stringify(answer.body) : '')

          expect(hasEnd(reply), 'the connection goes on').toBe(true)

          const toHead = await send(json, { method: 'HEAD', path, headers: sent })
          expect([toHead.status, ownLines(toHead), toHead.body]).toEqual([reply.status, ownLines(reply), ''])

          const details = await get(problem, path, sent)
          expect(details.status).toBe(answer.status)
          const type: Lines = [['content-type', 'application/problem+json']]
          expect(ownLines(details)).toEqual(sorted([...expectedLines(answer), ...type]))
          expect(JSON.parse(details.body)).toEqual({
            title: STATUS_CODES[answer.status],
            status: answer.status,
            ...(answer.body && { error: answer.body.error }),
            ...(answer.body?.error_description !== undefined && { detail: answer.body.error_description })
          })
          expect(hasEnd(details), 'the connection goes on').toBe(true)
          const headOfDetails = await send(problem, { method: 'HEAD', path, headers: sent })
          expect([headOfDetails.status, ownLines(headOfDetails), headOfDetails.body]).toEqual([
            answer.status,
            ownLines(details),
            ''
          ])

          for (const port of [framework, own]) {
            const other = await get(port, path, sent)
            expect([other.status, refusalLines(other)]).toEqual([answer.status, expectedLines(answer)])
            for (const [, value] of sent) {
              if (value.length > 20) expect(other.body).not.toContain(value.split(' ')[1])
            }
          }
          expect(handled).toEqual([])
        })
      }

      test('HTTP-14: a refusal to a script of another origin is exposed to it', async () => {
        const reply = await get(json, '/items', [['Origin', 'https://app.example']])
        expect(reply.status).toBe(401)
        expect(ownLines(reply)).toEqual([
          ['access-control-expose-headers', 'WWW-Authenticate'],
          ['cache-control', 'no-store'],
          ['www-authenticate', `Bearer scope="read", ${METADATA}`]
        ])
        const failing = await get(framework, '/items', [['Origin', 'https://app.example'], ...bearer('ab%cd')])
        expect(refusalLines(failing)).toEqual([
          ['access-control-expose-headers', 'WWW-Authenticate'],
          ['cache-control', 'no-store'],
          [
            'www-authenticate',
            `Bearer error="invalid_token", error_description="The access token is malformed", scope="read", ${METADATA}`
          ]
        ])
      })

      test('PRM-15: the challenge names our own place of metadata, whatever Host the request has', async () => {
        const reply = await get(json, '/items', [
          ['X-Forwarded-Host', 'evil.example'],
          ['X-Forwarded-Proto', 'http']
        ])
        expect(reply.values('www-authenticate')).toEqual([`Bearer scope="read", ${METADATA}`])
      })
    })

    describe('access', () => {
      test('TRN-01: a good token reaches the handler, with who it is and what it may do', async () => {
        const seen: Access[] = []
        const port = await serve({
          routes: [
            route('/items', [scope('read')], {
              answer: (call) => {
                seen.push(call.getAuth())
                return { subject: call.getAuth().subject }
              }
            })
          ]
        })
        const token = fixture.issuer.token({ claims: { scope: 'read write', sub: 'u7' } })
        const reply = await get(port, '/items', [['authorization', `bEaReR  ${token}`]])
        expect([reply.status, reply.body]).toEqual([200, '{"subject":"u7"}'])
        expect(refusalLines(reply)).toEqual([])
        expect(seen).toHaveLength(1)
        expect(seen[0]).toMatchObject({
          subject: 'u7',
          clientId: 'c1',
          issuer: fixture.issuer.issuer,
          scopes: ['read', 'write'],
          audience: [RESOURCE],
          scheme: 'Bearer'
        })
        expect(seen[0]?.token).toBe(token)
      })

      test('an opaque token reaches the handler as a JWT does', async () => {
        const port = await serve({ routes: [route('/items', [scope('read')])] })
        const reply = await get(port, '/items', bearer(fixture.issuer.opaque({ sub: 'u8' })))
        expect([reply.status, reply.body]).toEqual([200, '{"subject":"u8"}'])
      })

      test('SCP-07: any of several scopes is enough', async () => {
        const port = await serve({ routes: [route('/items', [anyScope('write', 'admin')])] })
        for (const granted of ['write', 'admin']) {
          const reply = await get(port, '/items', bearer(fixture.issuer.token({ claims: { scope: granted } })))
          expect(reply.status).toBe(200)
        }
      })

      test('claims that the route admits pass', async () => {
        const port = await serve({ routes: [route('/items', [claims(({ tier }) => tier === 'gold')])] })
        const reply = await get(port, '/items', bearer(fixture.issuer.token({ claims: { tier: 'gold' } })))
        expect(reply.status).toBe(200)
      })

      test('TRN-03: a token in the query beside a good one is not looked at', async () => {
        const port = await serve({ routes: [route('/items', [scope('read')])] })
        const reply = await get(port, '/items?access_token=x', bearer(fixture.issuer.token()))
        expect(reply.status).toBe(200)
      })

      test('a check reads the target and the field lines as they were sent, whatever routers cut', async () => {
        const seen: unknown[] = []
        const lines: Check = (_access, request) =>
          void seen.push([request.method, request.url, request.fieldLines('x-two'), request.fieldLines('x-none')])
        const port = await serve({
          group: {
            path: '/shop',
            requires: [lines],
            routes: [
              route('/items', undefined, {
                answer: async (call) => {
                  await call.enforce(lines)
                  return {}
                }
              })
            ]
          }
        })
        const two: Lines = [
          ['X-Two', 'a'],
          ['x-two', 'b']
        ]
        await get(port, '/shop/items?page=2&q=%7e', [...bearer(fixture.issuer.token()), ...two])
        const asSent = ['GET', '/shop/items?page=2&q=%7e', adapter.joinsLines ? ['a, b'] : ['a', 'b'], []]
        expect(seen).toEqual([asSent, asSent])
      })
    })

    inChain('tells listeners of a decision which route it was about, by its pattern', async () => {
      const routes: unknown[] = []
      const listener = (event: unknown): void => {
        const { resource, request } = event as AccessEvent
        if (resource === fixture.api.resource) routes.push(request.route)
      }
      for (const name of ['access', 'refusal']) {
        subscribe(`oauth-resource-server:${name}`, listener)
        onTestFinished(() => void unsubscribe(`oauth-resource-server:${name}`, listener))
      }
      const known = ['/items/:id', '/group/items/:id']
      const port = await serve({
        routes: [route('/items/:id', [scope('read')])],
        group: { path: '/group', requires: [], routes: [route('/items/:id', [scope('write')])] }
      })
      const token = bearer(fixture.issuer.token())
      await get(port, '/items/17', token)
      await get(port, '/group/items/17', token)
      // The group is decided about as well, before it is known which of its routes is meant, in some frameworks.
      expect([routes[0], routes.at(-1)]).toEqual(known)
    })

    describe('waivers', () => {
      test('CCH-03: optional lets a request without credentials pass, and no broken one', async () => {
        const port = await serve({ routes: [route('/items', [optional, scope('read')])] })
        expect(await get(port, '/items')).toMatchObject({ status: 200, body: '{"subject":null}' })
        expect(await get(port, '/items', [['Authorization', 'Basic eA==']])).toMatchObject({ status: 200 })
        expect(await get(port, '/items', bearer(fixture.issuer.token()))).toMatchObject({
          status: 200,
          body: '{"subject":"u1"}'
        })
        expect(handled).toHaveLength(3)
        const malformed = await get(port, '/items', bearer('ab%cd'))
        expect(malformed.status).toBe(401)
        expect(malformed.values('www-authenticate')).toEqual([
          `Bearer error="invalid_token", error_description="The access token is malformed", scope="read", ${METADATA}`
        ])
        const narrow = await get(port, '/items', bearer(fixture.issuer.token({ claims: { scope: 'other' } })))
        expect(narrow.status).toBe(403)
        expect((await get(port, '/items', [['Authorization', 'Bearer']])).status).toBe(400)
        expect(handled).toHaveLength(3)
      })

      test('CCH-02: what optional answers varies by Authorization', async () => {
        const port = await serve({ routes: [route('/items', [optional]), route('/strict', [])] })
        expect((await get(port, '/items')).values('vary')).toEqual(['Authorization'])
        expect((await get(port, '/items', bearer(fixture.issuer.token()))).values('vary')).toEqual(['Authorization'])
        expect((await get(port, '/strict', bearer(fixture.issuer.token()))).values('vary')).toEqual([])
      })

      inChain('CCH-02: what varies by something else already keeps doing so', async () => {
        const port = await serve({
          prior: [['Vary', 'Origin, Accept-Encoding']],
          routes: [route('/items', [optional])]
        })
        expect((await get(port, '/items')).values('vary')).toEqual(['Origin, Accept-Encoding, Authorization'])
        const twice = await serve({
          prior: [['Vary', 'authorization']],
          whole: [optional],
          routes: [route('/items', [optional])]
        })
        expect((await get(twice, '/items')).values('vary')).toEqual(['authorization'])
      })

      test('HTTP-15: skipPreflight lets a CORS preflight pass, and no other OPTIONS request', async () => {
        const port = await serve({
          routes: [
            route('/items', [skipPreflight, scope('read')], { method: 'OPTIONS' }),
            route('/strict', [scope('read')], { method: 'OPTIONS' })
          ]
        })
        const preflight: Lines = [
          ['Origin', 'https://app.example'],
          ['Access-Control-Request-Method', 'GET']
        ]
        expect(await send(port, { method: 'OPTIONS', path: '/items', headers: preflight })).toMatchObject({
          status: 200,
          body: '{"subject":null}'
        })
        expect((await send(port, { method: 'OPTIONS', path: '/items' })).status).toBe(401)
        expect((await send(port, { method: 'OPTIONS', path: '/strict', headers: preflight })).status).toBe(401)
        expect(handled).toEqual(['/items'])
      })
    })

    describe('what is protected', () => {
      test('a whole app: every path, and also one that no route has', async () => {
        const port = await serve({ whole: [scope('read')], routes: [route('/items'), route('/deep/er')] })
        for (const path of ['/items', '/deep/er']) {
          const reply = await get(port, path)
          expect([reply.status, reply.values('www-authenticate')]).toEqual([401, [`Bearer scope="read", ${METADATA}`]])
          expect((await get(port, path, bearer(fixture.issuer.token()))).status).toBe(200)
        }
        expect(handled).toEqual(['/items', '/deep/er'])
        expect([401, 404]).toContain((await get(port, '/nowhere')).status)
      })

      test('a router: everything below its path and nothing beside it', async () => {
        const port = await serve({
          group: { path: '/admin', requires: [scope('admin')], routes: [route('/users')] },
          routes: [route('/public')]
        })
        const reply = await get(port, '/admin/users')
        expect([reply.status, reply.values('www-authenticate')]).toEqual([401, [`Bearer scope="admin", ${METADATA}`]])
        expect((await get(port, '/admin/users', bearer(fixture.issuer.token()))).status).toBe(403)
        expect((await get(port, '/public')).status).toBe(200)
        const admin = bearer(fixture.issuer.token({ claims: { scope: 'admin' } }))
        expect((await get(port, '/admin/users', admin)).status).toBe(200)
        expect(handled).toEqual(['/public', '/users'])
      })

      test('a route: itself and nothing beside it', async () => {
        const port = await serve({ routes: [route('/items', []), route('/public')] })
        expect((await get(port, '/items')).status).toBe(401)
        expect((await get(port, '/public')).status).toBe(200)
        expect(handled).toEqual(['/public'])
      })

      test('ADP-05: HEAD, a trailing slash, another case or another spelling leads past no protection', async () => {
        const plans: readonly Omit<Plan, 'api'>[] = [
          { whole: [scope('read')], routes: [route('/items')] },
          { routes: [route('/items', [scope('read')])] },
          { group: { path: '/v1', requires: [scope('read')], routes: [route('/items')] } }
        ]
        for (const plan of plans) {
          const path = plan.group ? '/v1/items' : '/items'
          const port = await serve(plan)
          const toHead = await send(port, { method: 'HEAD', path })
          expect([toHead.status, toHead.values('www-authenticate'), toHead.body]).toEqual([
            401,
            [`Bearer scope="read", ${METADATA}`],
            ''
          ])
          const withToken = await send(port, { method: 'HEAD', path, headers: bearer(fixture.issuer.token()) })
          expect(withToken.status).toBe(200)
          handled.length = 0
          const spellings: readonly (readonly [string, boolean])[] = [
            [`${path}/`, adapter.matches.slash],
            [path.toUpperCase(), adapter.matches.case],
            [`${path.toUpperCase()}/`, adapter.matches.slash && adapter.matches.case]
          ]
          for (const [spelling, matches] of spellings) {
            for (const method of ['GET', 'HEAD']) {
              const reply = await send(port, { method, path: spelling })
              const expected = matches ? [401] : plan.whole ? [401, 404] : [404]
              expect(expected, `${method} ${spelling}`).toContain(reply.status)
            }
          }
          for (const spelling of [
            `/${path}`,
            `${path}//`,
            `/.${path}`,
            `${path}/..${path}`,
            `${path}%2f`,
            `${path};a=b`,
            path.replace('i', '%69'),
            `http://127.0.0.1${path}`
          ]) {
            expect([400, 401, 404], spelling).toContain((await get(port, spelling)).status)
          }
          for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']) {
            const reply = await send(port, { method, path })
            expect(reply.status, method).not.toBe(500)
          }
          expect(handled).toEqual([])
        }
      })

      inChain('nested protection verifies a token once, and applies the checks of all', async () => {
        const port = await serve({
          whole: [scope('read')],
          group: { path: '/v1', requires: [scope('write')], routes: [route('/items', [scope('admin')])] }
        })
        const { issuer } = fixture
        issuer.reset()
        const all = issuer.opaque({ scope: 'read write admin' })
        expect((await get(port, '/v1/items', bearer(all))).status).toBe(200)
        expect(issuer.count('introspection')).toBe(1)
        for (const [missing, granted] of [
          ['read', 'write admin'],
          ['write', 'read admin'],
          ['admin', 'read write']
        ] as const) {
          const reply = await get(port, '/v1/items', bearer(issuer.token({ claims: { scope: granted } })))
          expect([reply.status, reply.values('www-authenticate')]).toEqual([
            403,
            [
              `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="${missing}", ${METADATA}`
            ]
          ])
        }
        expect(handled).toEqual(['/items'])
      })

      inChain('a route may be strict below an app where tokens are optional', async () => {
        const port = await serve({ whole: [optional], routes: [route('/strict', [scope('read')]), route('/open')] })
        expect((await get(port, '/open')).status).toBe(200)
        expect((await get(port, '/strict')).status).toBe(401)
        expect((await get(port, '/open', bearer('ab%cd'))).status).toBe(401)
        expect((await get(port, '/strict', bearer(fixture.issuer.token()))).status).toBe(200)
        expect(handled).toEqual(['/open', '/strict'])
      })

      inChain("another API's grant opens nothing", async () => {
        const other = resourceServer({
          resource: 'https://other.example.com',
          issuers: [fixture.issuer.issuer],
          now: fixture.clock.now
        })
        onTestFinished(() => other.close())
        const port = await serve({ whole: [], routes: [route('/items', [], { api: other })] })
        const reply = await get(port, '/items', bearer(fixture.issuer.token()))
        expect([reply.status, reply.values('www-authenticate')]).toEqual([
          401,
          [
            'Bearer error="invalid_token", error_description="The access token audience is not accepted", resource_metadata="https://other.example.com/.well-known/oauth-protected-resource"'
          ]
        ])
        expect(handled).toEqual([])
      })
    })

    describe('bodies of refusals in the shape of the API', () => {
      const answer = async (call: Call): Promise<object> => {
        await call.enforce(scope('write'))
        return {}
      }
      const throwing = (): never => {
        throw new Forbidden('Not these items')
      }
      const routes = (): Route[] => [
        route('/items', [scope('read')]),
        route('/enforced', [], { answer }),
        route('/thrown', [], { answer: throwing })
      ]

      test('answers refusals of the route, of its handler, and those a handler throws, by the same function', async () => {
        const told: ErrorFacts[] = []
        const body = (error: ErrorFacts): object => {
          told.push(error)
          return { errors: [{ code: error.reason }] }
        }
        const port = await serve({ errors: { body }, routes: routes() })
        const token = bearer(fixture.issuer.token())
        const replies = [await get(port, '/items', bearer('ab%cd')), await get(port, '/enforced', token)]
        replies.push(await get(port, '/thrown', token))
        const bodies = ['malformed', 'insufficient_scope', 'forbidden'].map((code) => `{"errors":[{"code":"${code}"}]}`)
        expect(replies.map(({ body: sent }) => sent)).toEqual(bodies)
        expect(replies.map(({ status }) => status)).toEqual([401, 403, 403])
        expect(replies.map((reply) => reply.values('content-type'))).toEqual(replies.map(() => ['application/json']))
        expect(replies.map(refusalLines)).toEqual(
          [invalidToken('The access token is malformed'), insufficientScope('write'), forbidden('')].map(expectedLines)
        )
        // Nothing of the request: no headers, no cause, nothing that came.
        expect(told.map((facts) => Object.keys(facts))).toEqual(
          told.map(() => ['status', 'code', 'description', 'reason'])
        )
        expect(JSON.stringify(told)).not.toContain('ab%cd')
      })

      test('answers an empty body where the function returns undefined', async () => {
        const port = await serve({ errors: { body: () => undefined }, routes: routes() })
        const reply = await get(port, '/items', bearer('ab%cd'))
        expect([reply.status, reply.body, reply.values('content-type')]).toEqual([401, '', []])
        expect(refusalLines(reply)).toEqual(expectedLines(invalidToken('The access token is malformed')))
        expect(hasEnd(reply)).toBe(true)
      })

      const mistakes: readonly (readonly [string, () => unknown])[] = [
        ['throws', () => throwing()],
        ['returns a promise', async () => ({ a: 1 })],
        ['returns a promise that rejects', () => Promise.reject(new Error('late'))],
        ['returns null', () => null],
        ['returns a text', () => 'no'],
        ['returns a circle', () => Object.assign([] as unknown[], { toJSON: (): unknown => [1n] })],
        ['returns what has no JSON', () => ({ toJSON: () => undefined })],
        ['returns more than 65,536 bytes', () => ({ a: 'ü'.repeat(40_000) })]
      ]
      test.each(mistakes)('answers with the JSON of OAuth, and warns once, where the function %s', async (_, body) => {
        const warn = vi.fn<(warning: Error) => void>()
        process.on('warning', warn)
        onTestFinished(() => void process.off('warning', warn))
        const rejections = vi.fn()
        process.on('unhandledRejection', rejections)
        onTestFinished(() => void process.off('unhandledRejection', rejections))
        const port = await serve({ errors: { body: body as ErrorBodyOptions['body'] }, routes: routes() })
        const expected = invalidToken('The access token is malformed')
        for (let i = 0; i < 2; i++) {
          const reply = await get(port, '/items', bearer('ab%cd'))
          expect([reply.status, refusalLines(reply)]).toEqual([401, expectedLines(expected)])
          expect(JSON.parse(reply.body)).toEqual(expected.body)
          expect(reply.values('content-type')).toEqual(['application/json'])
        }
        expect(rejections).not.toHaveBeenCalled()
        const warnings = warn.mock.calls.map(([{ message }]) => message).filter((text) => text.includes('`body`'))
        expect(warnings).toHaveLength(1)
        expect(warnings[0]).not.toContain('ab%cd')
      })

      test('takes no options that are not right', async () => {
        for (const errors of [{}, { body: 'no' }, { body: () => ({}), contentType: 'a/b\r\nX: y' }])
          await expect(adapter.serve({ api: fixture.api, errors: errors as never })).rejects.toThrow(
            /^errorHandler\(\): `/
          )
      })

      inChain('(RFC 9110 §8.6) leaves nothing of a content that is not sent', async () => {
        const describing = async (call: Call): Promise<object> => {
          for (const [name, value] of ABOUT_CONTENT) call.setHeader?.(name, value)
          return answer(call)
        }
        const prior: Lines = [['WWW-Authenticate', 'Basic realm="x"']]
        const port = await serve({
          errors: problemDetails,
          prior,
          routes: [route('/items', [], { answer: describing })]
        })
        for (const method of ['GET', 'HEAD']) {
          const reply = await send(port, { method, path: '/items', headers: bearer(fixture.issuer.token()) })
          const challenges = ['Basic realm="x"', insufficientScope('write').challenge as string]
          const expected = adapter.joinsLines ? [challenges.join(', ')] : challenges
          expect(reply.status).toBe(403)
          expect(reply.values('www-authenticate')).toEqual(expected)
          expect(ownLines(reply).filter(([name]) => name !== 'www-authenticate')).toEqual([
            ['cache-control', 'no-store'],
            ['content-type', 'application/problem+json']
          ])
        }
      })
    })

    describe('checks inside a handler', () => {
      const answer = async (call: Call): Promise<object> => {
        await call.enforce(scope('read', 'write'))
        handled.push('/items')
        return {}
      }

      for (const errors of ['json', 'framework', 'own'] as const) {
        test(`MCP-10: refuse as those of the route do, with errors answered by: ${errors}`, async () => {
          const port = await serve({ errors, routes: [route('/items', [], { answer })] })
          const origin: Lines = [['Origin', 'https://app.example']]
          const refused = await get(port, '/items', [...bearer(fixture.issuer.token()), ...origin])
          const expected = insufficientScope('read write')
          const exposed: Lines = [['access-control-expose-headers', 'WWW-Authenticate']]
          expect(refused.status).toBe(403)
          expect(refusalLines(refused)).toEqual(sorted([...expectedLines(expected), ...exposed]))
          if (errors === 'json') expect(JSON.parse(refused.body)).toEqual(expected.body)
          expect(handled).toEqual([])
          const token = fixture.issuer.token({ claims: { scope: 'read write' } })
          expect((await get(port, '/items', bearer(token))).status).toBe(200)
          expect(handled).toEqual(['/items'])
        })

        inChain(`HTTP-13: add to challenges set before, with errors answered by: ${errors}`, async () => {
          const prior: Lines = [['WWW-Authenticate', 'Basic realm="x"']]
          const port = await serve({ errors, prior, routes: [route('/items', [], { answer })] })
          const reply = await get(port, '/items', bearer(fixture.issuer.token()))
          const challenges = ['Basic realm="x"', insufficientScope('read write').challenge as string]
          expect(reply.values('www-authenticate')).toEqual(adapter.joinsLines ? [challenges.join(', ')] : challenges)
        })
      }

      for (const errors of ['json', 'framework', 'own'] as const) {
        inChain(
          `(RFC 9110 §8.6) leave nothing of a content that is not sent, with errors answered by: ${errors}`,
          async () => {
            const describing = async (call: Call): Promise<object> => {
              for (const [name, value] of ABOUT_CONTENT) call.setHeader?.(name, value)
              await call.enforce(scope('write'))
              return {}
            }
            const port = await serve({ errors, routes: [route('/items', [], { answer: describing })] })
            const expected = insufficientScope('write')
            for (const method of ['GET', 'HEAD']) {
              const reply = await send(port, { method, path: '/items', headers: bearer(fixture.issuer.token()) })
              expect([reply.status, refusalLines(reply)]).toEqual([403, expectedLines(expected)])
              if (errors !== 'json') continue
              expect(ownLines(reply)).toEqual(
                sorted([...expectedLines(expected), ['content-type', 'application/json']])
              )
              if (method === 'GET') expect(reply.body).toBe(JSON.stringify(expected.body))
            }
          }
        )
      }

      for (const errors of ['json', 'framework', 'own'] as const) {
        inChain(
          `(RFC 9110 §8.6) a refusal that the handler throws itself has a length of its own, with errors answered by: ${errors}`,
          async () => {
            const throwing = async (call: Call): Promise<object> => {
              call.setHeader?.('Content-Length', '500')
              throw new Forbidden()
            }
            const port = await serve({ errors, routes: [route('/items', [], { answer: throwing })] })
            const reply = await get(port, '/items', bearer(fixture.issuer.token()))
            expect(reply.status).toBe(403)
            expect(Number(reply.values('content-length')[0] ?? reply.body.length)).toBe(reply.body.length)
          }
        )
      }

      for (const errors of ['json', 'framework'] as const) {
        inChain(
          `HTTP-13, CCH-01: a refusal that the handler throws itself is not to be cached, and its challenge stands beside others, with errors answered by: ${errors}`,
          async () => {
            const throwing = async (call: Call): Promise<object> => {
              call.setHeader?.('Cache-Control', 'public, max-age=600')
              call.setHeader?.('WWW-Authenticate', 'Basic realm="x"')
              throw new InsufficientScope(['write'])
            }
            const prior: Lines = [['Access-Control-Allow-Origin', '*']]
            const port = await serve({ errors, prior, routes: [route('/items', [], { answer: throwing })] })
            const reply = await get(port, '/items', bearer(fixture.issuer.token()))
            expect([reply.status, reply.values('cache-control')]).toEqual([403, ['no-store']])
            const challenges = reply.values('www-authenticate').join(', ')
            expect(challenges).toContain('error="insufficient_scope"')
            // By default some answer with nothing but what the error has; Hono always does.
            if (errors === 'json' && !adapter.joinsLines) expect(challenges).toContain('Basic realm="x"')
          }
        )
      }

      inChain('are no replacement for protection', async () => {
        silence()
        const port = await serve({
          routes: [route('/items', undefined, { answer }), route('/some', [optional], { answer })]
        })
        for (const path of ['/items', '/some']) expect((await get(port, path)).status).toBe(500)
        expect(handled).toEqual([])
      })
    })

    describe('bodies', () => {
      const post = (port: number, more: RawRequest): Promise<Reply> =>
        send(port, {
          method: 'POST',
          path: '/items',
          ...more,
          headers: [['Content-Type', 'application/json'], ...(more.headers ?? [])]
        })

      for (const level of ['whole', 'group', 'route'] as const) {
        test(`a refused request is answered before its body is read: protection of the ${level}`, async () => {
          const onBody = vi.fn()
          const item = route('/items', level === 'route' ? [scope('read')] : undefined, { method: 'POST' })
          const port = await serve({
            onBody,
            ...(level === 'whole' && { whole: [scope('read')] }),
            ...(level === 'group'
              ? { group: { path: '/v1', requires: [scope('read')], routes: [item] } }
              : { routes: [item] })
          })
          const path = level === 'group' ? '/v1/items' : '/items'
          expect((await post(port, { path, body: '{"a":1}' })).status).toBe(401)
          expect((await post(port, { path, body: '{"a":1}', missing: 100_000 })).status).toBe(401)
          expect((await post(port, { path, body: 'not json', headers: bearer('ab%cd') })).status).toBe(401)
          expect(onBody).not.toHaveBeenCalled()
          expect((await post(port, { path, body: '{"a":1}', headers: bearer(fixture.issuer.token()) })).status).toBe(
            200
          )
          expect(onBody).toHaveBeenCalledTimes(1)
          expect(handled).toEqual(['/items'])
        })
      }
    })

    // Frameworks send a stack where NODE_ENV is not set, as on a machine that nobody set up.
    test("SEC-04: the framework's own answer to any error holds fixed words: no hint, no cause, nothing of a token", async () => {
      silence()
      vi.stubEnv('NODE_ENV', undefined)
      onTestFinished(() => void vi.unstubAllEnvs())
      const evidence = { expected: 'EXPECTED', received: 'RECEIVED' }
      const cause = new Error('CAUSE')
      const errors: readonly ResourceServerError[] = [
        new CredentialsMissing(),
        new InvalidRequest('malformed_authorization'),
        new InvalidToken('audience', evidence),
        new InvalidProof('proof_malformed', evidence),
        new ProofNonceRequired('NONCE'),
        new InsufficientAuthentication({ acr: ['gold'] }, ['read'], evidence),
        new InsufficientAuthorizationDetails(evidence),
        new InsufficientRole(evidence),
        new InsufficientScope(['read'], evidence),
        new Forbidden('Not yours', { ...evidence, cause }),
        new TooManyRequests('key_unknown_yet', evidence),
        new Unavailable('jwks', 'HINT: GET https://as.internal/jwks timed out', { ...evidence, cause }),
        new Misconfigured('HINT: the secret is wrong', { ...evidence, cause })
      ]
      const port = await serve({
        errors: 'framework',
        routes: errors.map((error, i) =>
          route(`/items-${i}`, [
            () => {
              throw error
            }
          ])
        )
      })
      for (const [i, error] of errors.entries()) {
        const reply = await get(port, `/items-${i}`, bearer(fixture.issuer.token()))
        const sent = JSON.stringify(reply).replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&lt;', '<')
        expect(reply.status, error.name).toBe(error.status)
        for (const word of ['HINT', 'EXPECTED', 'RECEIVED', 'CAUSE', 'as.internal', 'secret is wrong', error.hint])
          expect(sent, `${error.name} ${word}`).not.toContain(word)
      }
    })

    describe('errors that are not refusals', () => {
      const broken: readonly (readonly [string, Requirement])[] = [
        [
          'throws',
          () => {
            throw new TypeError('a bug')
          }
        ],
        ['rejects', () => Promise.reject(new TypeError('a bug'))]
      ]
      for (const [how, check] of broken) {
        test(`ORD-02: a check that ${how} a TypeError is a 500, and the handler does not run`, async () => {
          silence()
          const port = await serve({ routes: [route('/items', [check])], errors: 'framework' })
          const token = bearer(fixture.issuer.token())
          for (const time of ['with a new token', 'with a known token']) {
            const reply = await get(port, '/items', token)
            expect([reply.status, reply.values('www-authenticate')], time).toEqual([500, []])
          }
          expect(handled).toEqual([])
        })
      }

      const nothings: readonly unknown[] = [undefined, null, '', false, 0, 'route', 'router']
      test('ORD-02: a check that throws or rejects with what is no error is a 500, and neither the handler nor a later one runs', async () => {
        silence()
        const checks = [...nothings, { status: 404 }].flatMap((nothing): Check[] => [
          () => {
            throw nothing
          },
          () => Promise.reject(nothing),
          () => new Promise((_resolve, reject) => setImmediate(reject, nothing))
        ])
        for (const errors of ['json', 'framework', 'own'] as const) {
          const port = await serve({
            errors,
            routes: checks.map((check, i) => route(`/items-${i}`, [check])),
            group: { path: '/v1', requires: [checks[0] as Check], routes: [route('/items')] }
          })
          const token = bearer(fixture.issuer.token())
          for (const path of [...checks.keys()].map((i) => `/items-${i}`).concat('/v1/items')) {
            const reply = await get(port, path, token)
            expect([reply.status, reply.values('www-authenticate')], `${errors} ${path}`).toEqual([500, []])
          }
        }
        expect(handled).toEqual([])
      })

      test('ORD-02: what is no error is one when checks inside a handler throw it', async () => {
        silence()
        const caught: unknown[] = []
        const answer = async (call: Call): Promise<object> => {
          for (const nothing of nothings) {
            await call.enforce(() => Promise.reject(nothing)).catch((error: unknown) => void caught.push(error))
          }
          return {}
        }
        const port = await serve({ routes: [route('/items', [], { answer })] })
        expect((await get(port, '/items', bearer(fixture.issuer.token()))).status).toBe(200)
        expect(caught.map((error) => error instanceof TypeError && error.cause)).toEqual(nothings)
      })

      inChain(
        'ORD-02: nor does what stands in for a resource server let anybody in by failing with nothing',
        async () => {
          silence()
          const failing: readonly (() => never | Promise<never>)[] = nothings.flatMap((nothing) => [
            () => {
              throw nothing
            },
            () => Promise.reject(nothing)
          ])
          for (const authorize of failing) {
            const protect = (() => ({ authorize, headers: {} })) as unknown as ResourceServer['protect']
            const api = { ...fixture.api, protect }
            const port = await serve({ errors: 'framework', routes: [route('/items', [], { api })] })
            expect((await get(port, '/items')).status).toBe(500)
          }
          expect(handled).toEqual([])
        }
      )

      test("an error of the handler's own is answered once, also where the decision came at once", async () => {
        silence()
        const calls: number[] = []
        const port = await serve({
          routes: [
            route('/items', [], {
              answer: () => {
                calls.push(calls.length)
                throw new RangeError('of the handler')
              }
            })
          ]
        })
        const token = bearer(fixture.issuer.token())
        expect((await get(port, '/items', token)).status).toBe(500)
        expect((await get(port, '/items', token)).status).toBe(500)
        expect(calls).toEqual([0, 1])
      })

      test('a refusal that a handler throws is answered as one', async () => {
        const answer = (): never => {
          throw new Forbidden('Not these items')
        }
        for (const errors of ['json', 'framework'] as const) {
          const port = await serve({ errors, routes: [route('/items', [], { answer })] })
          const reply = await get(port, '/items', bearer(fixture.issuer.token()))
          expect([reply.status, refusalLines(reply)]).toEqual([403, expectedLines({ status: 403 })])
          if (errors === 'json') expect(JSON.parse(reply.body)).toEqual(forbidden('Not these items').body)
        }
      })

      inChain('a decision that comes after the answer was sent harms nobody', async () => {
        silence()
        const { issuer, clock } = fixture
        const rejections = vi.fn()
        process.on('unhandledRejection', rejections)
        onTestFinished(() => void process.off('unhandledRejection', rejections))
        for (const errors of ['json', 'framework', 'own'] as const) {
          const slow = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now: clock.now })
          onTestFinished(() => slow.close())
          const port = await serve({ api: slow, errors, impatient: true, routes: [route('/items', [scope('write')])] })
          const gate = issuer.hold('metadata')
          issuer.reset()
          const asked = get(port, '/items', bearer(issuer.token()))
          await issuer.received('metadata', 1)
          expect(await asked).toMatchObject({ status: 504 })
          gate.release()
          // A second request is answered after the first one's decision.
          expect((await get(port, '/items?patiently', bearer(issuer.token()))).status).toBe(403)
        }
        expect(rejections).not.toHaveBeenCalled()
      })

      // Hono has no response of its own whose state could tell.
      if (!adapter.joinsLines)
        inChain('access that is granted after the answer was sent reaches no handler', async () => {
          const { issuer, clock } = fixture
          const slow = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now: clock.now })
          onTestFinished(() => slow.close())
          const port = await serve({ api: slow, impatient: true, routes: [route('/items', [scope('read')])] })
          const gate = issuer.hold('metadata')
          issuer.reset()
          const asked = get(port, '/items', bearer(issuer.token()))
          await issuer.received('metadata', 1)
          expect(await asked).toMatchObject({ status: 504 })
          gate.release()
          expect((await get(port, '/items?patiently', bearer(issuer.token()))).status).toBe(200)
          expect(handled).toEqual(['/items'])
        })

      inChain('getAuth says what to do where nothing protects the handler', async () => {
        const answer = (call: Call): unknown => {
          const optionally = call.getOptionalAuth()
          try {
            return call.getAuth()
          } catch (error) {
            return { message: (error as Error).message, optionally: optionally ?? null }
          }
        }
        const port = await serve({
          routes: [route('/open', undefined, { answer }), route('/some', [optional], { answer })]
        })
        for (const path of ['/open', '/some']) {
          const { message, optionally } = JSON.parse((await get(port, path)).body) as Record<string, unknown>
          expect(message).toMatch(/^getAuth\(\): there is no access on .*Mount protect\(api, …\).*getOptionalAuth\(\)/)
          expect(optionally).toBeNull()
        }
      })
    })

    describeInChain('beside other middleware', () => {
      const prior: Lines = [
        ['WWW-Authenticate', 'Basic realm="x"'],
        ['Access-Control-Expose-Headers', 'X-Total'],
        ['Access-Control-Allow-Origin', '*']
      ]
      for (const errors of ['json', 'framework', 'own'] as const) {
        test(`HTTP-13 (RFC 9728 §5.4): challenges and exposed fields set before are added to, with errors answered by: ${errors}`, async () => {
          const port = await serve({ prior, errors, routes: [route('/items', [scope('read')])] })
          const reply = await get(port, '/items', [['Origin', 'https://app.example']])
          const challenges = ['Basic realm="x"', `Bearer scope="read", ${METADATA}`]
          expect(reply.values('www-authenticate')).toEqual(adapter.joinsLines ? [challenges.join(', ')] : challenges)
          expect(reply.values('access-control-expose-headers')).toEqual(['X-Total, WWW-Authenticate'])
          expect(reply.values('cache-control')).toEqual(['no-store'])
        })
      }

      test('CCH-01: what other middleware said of caching is not said of refusals, and is of successes', async () => {
        silence()
        for (const errors of ['json', 'framework', 'own'] as const) {
          const port = await serve({
            errors,
            prior: [['Cache-Control', 'public, max-age=60']],
            routes: [
              route('/items', [scope('read')]),
              route('/unreachable', [], { api: fixture.unreachable.api }),
              route('/own', [() => Promise.reject(new Forbidden())])
            ]
          })
          const token = bearer(fixture.issuer.token())
          expect((await get(port, '/items')).values('cache-control')).toEqual(['no-store'])
          expect((await get(port, '/own', token)).values('cache-control')).toEqual(['no-store'])
          const outage = await get(port, '/unreachable', bearer(fixture.unreachable.issuer.token()))
          expect([outage.status, outage.values('cache-control')]).toEqual([503, ['no-store']])
          expect((await get(port, '/items', token)).values('cache-control')).toEqual(['public, max-age=60'])
        }
      })

      test('(RFC 9110 §8.6) what it said of a content that is not sent is not said of refusals, and is of successes', async () => {
        const about = ABOUT_CONTENT.filter(([name]) => name !== 'Content-Length' && name !== 'Content-Type')
        const port = await serve({ prior: about, routes: [route('/items', [scope('read')])] })
        expect(ownLines(await get(port, '/items'))).toEqual(sorted(expectedLines(NO_CREDENTIALS)))
        const granted = await get(port, '/items', bearer(fixture.issuer.token()))
        expect([granted.status, granted.values('content-disposition')]).toEqual([
          200,
          ['attachment; filename="orders.pdf"']
        ])
      })

      test('HTTP-13: on a success what other middleware set stays as it is', async () => {
        const port = await serve({ prior, routes: [route('/items', [optional])] })
        const reply = await get(port, '/items', bearer(fixture.issuer.token()))
        expect(reply.values('access-control-expose-headers')).toEqual(['X-Total'])
        expect(reply.values('access-control-allow-origin')).toEqual(['*'])
      })
    })

    describe('metadata', () => {
      const apiFor = (resource: string): ResourceServer => {
        const api = resourceServer({ resource, issuers: ['https://as.example.com'] })
        onTestFinished(() => api.close())
        return api
      }

      test('PRM-01, PRM-16: the document is public JSON that may be cached, and HEAD has its header fields', async () => {
        const api = apiFor(RESOURCE)
        const port = await serve({ api, metadata: [api], routes: [route('/items', [scope('read')])] })
        const reply = await get(port, METADATA_PATH)
        const body = `{"resource":"${RESOURCE}","authorization_servers":["https://as.example.com"],"scopes_supported":["read"],"bearer_methods_supported":["header"]}`
        expect([reply.status, reply.body]).toEqual([200, body])
        const [etag] = reply.values('etag')
        expect(etag).toMatch(/^"[\w-]+"$/)
        const lines: Lines = [
          ['access-control-allow-origin', '*'],
          ['cache-control', 'public, max-age=3600'],
          ['content-type', 'application/json'],
          ['etag', etag ?? '']
        ]
        expect(ownLines(reply)).toEqual(lines)
        expect(reply.values('content-length')).toEqual([String(body.length)])
        const toHead = await send(port, { method: 'HEAD', path: METADATA_PATH })
        expect([toHead.status, ownLines(toHead), toHead.body]).toEqual([200, lines, ''])
        expect(toHead.values('content-length')).toEqual([String(body.length)])
        expect((await get(port, `${METADATA_PATH}?x=1`)).status).toBe(200)
        const other = await send(port, { method: 'POST', path: METADATA_PATH })
        expect([other.status, other.body, hasEnd(other)]).toEqual([405, '', true])
      })

      describe('with legacyClients: true', () => {
        const AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'
        const older = async (): Promise<Faulty> => {
          const { now } = fixture.clock
          const issuer = await startIssuer({ now })
          const options = { resource: `${RESOURCE}/mcp`, issuers: [issuer.issuer], now, legacyClients: true }
          const api = resourceServer(mcp(options))
          onTestFinished(async () => {
            await api.close()
            await issuer.close()
          })
          return { api, issuer }
        }

        test('serves the document at the root as well, unless that is the place of another API', async () => {
          const { api } = await older()
          const port = await serve({ api, metadata: [api], whole: [] })
          for (const path of [METADATA_PATH, `${METADATA_PATH}/mcp`])
            expect(JSON.parse((await get(port, path)).body)).toMatchObject({ resource: `${RESOURCE}/mcp` })
          const both = await serve({ api, metadata: [api, fixture.api] })
          expect(JSON.parse((await get(both, METADATA_PATH)).body)).toMatchObject({ resource: RESOURCE })
          const plain = apiFor(`${RESOURCE}/mcp`)
          const without = await serve({ api: plain, metadata: [plain] })
          for (const path of [METADATA_PATH, AUTHORIZATION_SERVER]) expect((await get(without, path)).status).toBe(404)
        })

        test('serves the metadata that the issuer discovered, once, to any origin and without a token', async () => {
          const { api, issuer } = await older()
          issuer.metadata['authorization_endpoint'] = `${issuer.issuer}/authorize`
          const port = await serve({ api, metadata: [api], whole: [] })
          const reply = await get(port, AUTHORIZATION_SERVER)
          expect([reply.status, reply.values('content-type'), reply.values('access-control-allow-origin')]).toEqual([
            200,
            ['application/json'],
            ['*']
          ])
          expect(JSON.parse(reply.body)).toMatchObject({
            issuer: issuer.issuer,
            authorization_endpoint: `${issuer.issuer}/authorize`
          })
          const head = await send(port, { method: 'HEAD', path: `${AUTHORIZATION_SERVER}?x=http://other.example` })
          expect([head.status, ownLines(head), head.body]).toEqual([200, ownLines(reply), ''])
          const [etag = ''] = reply.values('etag')
          expect((await get(port, AUTHORIZATION_SERVER, [['If-None-Match', etag]])).status).toBe(304)
          expect((await send(port, { method: 'POST', path: AUTHORIZATION_SERVER })).status).toBe(405)
          const preflight = await send(port, { method: 'OPTIONS', path: AUTHORIZATION_SERVER })
          expect([preflight.status, preflight.values('access-control-allow-origin')]).toEqual([204, ['*']])
          expect(issuer.count('metadata')).toBe(1)
          expect((await get(port, `${AUTHORIZATION_SERVER}/mcp`)).status).not.toBe(200)
        })

        test('answers 503, not to be cached, while the metadata cannot be had, and asks no more often than for tokens', async () => {
          const { api, issuer } = await older()
          issuer.always('metadata', fault.reset())
          const port = await serve({ api, metadata: [api], whole: [] })
          const reply = await get(port, AUTHORIZATION_SERVER)
          expect([reply.status, reply.body, hasEnd(reply)]).toEqual([503, '', true])
          expect(reply.values('retry-after')).toHaveLength(1)
          expect([reply.values('cache-control'), reply.values('access-control-allow-origin')]).toEqual([
            ['no-store'],
            ['*']
          ])
          const asked = issuer.count('metadata')
          for (let i = 0; i < 5; i++) expect((await get(port, AUTHORIZATION_SERVER)).status).toBe(503)
          expect(issuer.count('metadata')).toBe(asked)
        })
      })

      test('PRM-01: a token, good or bad, makes no difference, also where the whole app is protected', async () => {
        const port = await serve({ metadata: [fixture.api], whole: [scope('read')] })
        for (const headers of [[], bearer('ab%cd'), bearer(fixture.issuer.token()), [...bearer('a'), ...bearer('b')]]) {
          expect((await get(port, METADATA_PATH, headers)).status).toBe(200)
        }
      })

      test('PRM-16 (RFC 9110 §13.1.2): a copy that is still good is answered 304', async () => {
        const port = await serve({ metadata: [fixture.api] })
        const etag = (await get(port, METADATA_PATH)).values('etag')[0] ?? ''
        for (const value of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
          const reply = await get(port, METADATA_PATH, [['If-None-Match', value]])
          expect([reply.status, reply.body, reply.values('etag')]).toEqual([304, '', [etag]])
          expect(reply.values('cache-control')).toEqual(['public, max-age=3600'])
        }
        expect((await get(port, METADATA_PATH, [['If-None-Match', '"other"']])).status).toBe(200)
      })

      test('PRM-17: a preflight is 204 and allows the header fields asked for', async () => {
        const port = await serve({ metadata: [fixture.api], whole: [] })
        const reply = await send(port, {
          method: 'OPTIONS',
          path: METADATA_PATH,
          headers: [
            ['Origin', 'https://app.example'],
            ['Access-Control-Request-Method', 'GET'],
            ['Access-Control-Request-Headers', 'mcp-protocol-version, x-trace']
          ]
        })
        expect([reply.status, reply.body]).toEqual([204, ''])
        expect(ownLines(reply)).toEqual([
          ['access-control-allow-headers', 'mcp-protocol-version, x-trace'],
          ['access-control-allow-methods', 'GET, HEAD, OPTIONS'],
          ['access-control-allow-origin', '*'],
          ['vary', 'Access-Control-Request-Headers']
        ])
      })

      test('PRM-17 (RFC 9110 §15.5.6): any other method is 405 and told which are allowed', async () => {
        const port = await serve({ metadata: [fixture.api] })
        const requests: readonly RawRequest[] = [
          { method: 'POST' },
          { method: 'POST', body: 'a=b', headers: [['Content-Type', 'application/x-www-form-urlencoded']] },
          { method: 'POST', body: 'not json', headers: [['Content-Type', 'application/json']] },
          { method: 'PUT' },
          { method: 'PATCH' },
          { method: 'DELETE' }
        ]
        for (const request of requests) {
          const reply = await send(port, { path: METADATA_PATH, ...request })
          expect([reply.status, reply.body], request.method).toEqual([405, ''])
          expect(ownLines(reply)).toEqual([
            ['access-control-allow-origin', '*'],
            ['allow', 'GET, HEAD, OPTIONS']
          ])
        }
      })

      test('PRM-18: several resources on one host have a document each, and an unknown one has none', async () => {
        const [orders, users] = [apiFor('https://api.example.com/orders'), apiFor('https://api.example.com/users?v=2')]
        const port = await serve({ api: orders, metadata: [orders, users] })
        const documentAt = async (path: string): Promise<unknown> => {
          const reply = await get(port, path)
          return reply.status === 200 ? (JSON.parse(reply.body) as { resource: unknown }).resource : reply.status
        }
        expect(await documentAt(`${METADATA_PATH}/orders`)).toBe('https://api.example.com/orders')
        expect(await documentAt(`${METADATA_PATH}/users?v=2`)).toBe('https://api.example.com/users?v=2')
        // A query that the identifier does not have is no other place.
        expect(await documentAt(`${METADATA_PATH}/orders?x=1`)).toBe('https://api.example.com/orders')
        for (const path of ['', '/', '/nope', '/orders/1', '/orders1', '/users', '/users?v=3', '/users?v=2&x=1']) {
          expect(await documentAt(METADATA_PATH + path), path).toBe(404)
        }
      })

      test('PRM-02 (RFC 9728 §3.1): a path that must be percent-encoded is found where challenges point to', async () => {
        const api = apiFor('https://api.example.com/caf%C3%A9/a:b')
        const port = await serve({ api, metadata: [api], routes: [route('/items', [])] })
        const [challenge] = (await get(port, '/items')).values('www-authenticate')
        const url = /resource_metadata="https:\/\/api\.example\.com([^"]+)"/.exec(challenge ?? '')?.[1]
        expect(url).toBe(`${METADATA_PATH}/caf%C3%A9/a:b`)
        expect((await get(port, url ?? '')).status).toBe(200)
      })

      test('other requests pass by the metadata untouched', async () => {
        const port = await serve({ metadata: [fixture.api], routes: [route('/items')] })
        const reply = await get(port, '/items')
        expect([reply.status, reply.values('access-control-allow-origin')]).toEqual([200, []])
        expect(handled).toEqual(['/items'])
      })
    })
  })
}
