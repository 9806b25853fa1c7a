/**
 * What a test of the authorization server side needs around the issuer: requests, whole answers to compare, and an end
 * to everything a test started.
 *
 * ```ts
 * const bed = createBed()
 * const issuer = await bed.issuer()
 * const api = bed.api({ issuers: [issuer.issuer] })
 * expect(await ask(api, issuer.token())).toEqual(granted)
 * expect(await ask(api, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
 * ```
 */
import { setTimeout } from 'node:timers/promises'
import { Agent } from 'undici'
import { afterEach } from 'vitest'
import {
  type Access,
  type Awaitable,
  type HttpOptions,
  type IssuerOptions,
  type Requirement,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import {
  type Behaviour,
  type Clock,
  createClock,
  createSigningKey,
  fault,
  type IssuerSettings,
  type SigningKey,
  startIssuer,
  type TestIssuer
} from './issuer.js'

export { createSelfSignedCertificate } from './certificates.js'

export const RESOURCE = 'https://api.example.com'
export const RESOURCE_METADATA = 'https://api.example.com/.well-known/oauth-protected-resource'

/** Everything of an answer that a client can see and that this package decides. */
export interface Answered {
  readonly status: number
  /** The whole `WWW-Authenticate` field, or null. */
  readonly challenge: string | null
  readonly retryAfter: string | null
  readonly body: unknown
}

/** No answer of ours: the handler runs. */
export const granted: Answered = { status: 200, challenge: null, retryAfter: null, body: null }

function refused(description: string): Answered {
  return {
    status: 401,
    challenge: `Bearer error="invalid_token", error_description="${description}", scope="read", resource_metadata="${RESOURCE_METADATA}"`,
    retryAfter: null,
    body: { error: 'invalid_token', error_description: description }
  }
}

/** The answers of a route that requires the scope `read`. */
export const denial = {
  malformed: refused('The access token is malformed'),
  signature: refused('The access token signature could not be verified'),
  expired: refused('The access token expired'),
  notYetValid: refused('The access token is not yet valid'),
  inactive: refused('The access token is not active'),
  issuer: refused('The access token issuer is not accepted'),
  audience: refused('The access token audience is not accepted'),
  claim: refused('The access token has a missing or invalid claim'),
  type: refused('The token is not an access token'),
  decryption: refused('The access token could not be decrypted'),
  notEncrypted: refused('The access token is not encrypted'),
  certificate: refused('The access token is bound to a different client certificate'),
  dpop: refused('DPoP-bound access token used with the Bearer scheme'),
  scope: {
    status: 403,
    challenge: `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read", resource_metadata="${RESOURCE_METADATA}"`,
    retryAfter: null,
    body: { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' }
  },
  unavailable: { status: 503, challenge: null, retryAfter: '5', body: { error: 'temporarily_unavailable' } },
  misconfigured: { status: 500, challenge: null, retryAfter: null, body: { error: 'server_error' } }
} as const satisfies Record<string, Answered>

/** The 503 that passes on how long the authorization server asked us to wait. */
export function unavailableFor(seconds: number): Answered {
  return { ...denial.unavailable, retryAfter: String(seconds) }
}

/** A request with this bearer token and these further field lines. */
export function request(
  token?: string,
  fields: Readonly<Record<string, string>> = {},
  url = '/items'
): ResourceRequest {
  const lines: Readonly<Record<string, string>> = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...fields
  }
  return { method: 'GET', url, fieldLines: (name) => (lines[name] === undefined ? [] : [lines[name]]) }
}

/** Limits under which a server that says nothing is soon given up, and a busy machine still answers in time. */
const brief = { timeout: 1.5, deadline: 1.5 }

export type Outage = [what: string, behaviour: Behaviour, http?: HttpOptions]

/** Every way in which a server can fail to answer at all, with the `http` options that a test of it wants. */
export const OUTAGES: readonly Outage[] = [
  ['500', fault.status(500)],
  ['502 with a page', fault.status(502, { headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' })],
  ['503', fault.status(503)],
  ['504', fault.status(504)],
  ['408', fault.status(408)],
  ['429', fault.status(429)],
  ['no answer', fault.hang(), brief],
  ['half an answer and silence', fault.stall(), brief],
  ['an answer that drips', fault.drip(), brief],
  ['a reset connection', fault.reset()],
  ['a body cut short', fault.cut()],
  ['a body of 10 MiB', fault.oversize(10 * 1024 * 1024)],
  ['a body one byte too long', fault.oversize(256 * 1024)],
  ['a compressed body that grows', fault.gzipBomb(10 * 1024 * 1024)]
]

/** What the API answers to a request with this token. Any error that is not an answer is thrown on. */
export async function ask(
  api: Pick<ResourceServer, 'authorize'>,
  token: string | undefined,
  ...requirements: readonly Requirement[]
): Promise<Answered> {
  try {
    await authorize(api, token, ...requirements)
    return granted
  } catch (error) {
    return answerOf(error)
  }
}

/** The whole answer that an error carries; an error that carries none is thrown on. */
export async function answerOf(error: unknown): Promise<Answered> {
  if (!(error instanceof ResourceServerError)) throw error
  const response = error.toResponse()
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    retryAfter: response.headers.get('retry-after'),
    body: text === '' ? null : JSON.parse(text)
  }
}

/** `api.authorize` for a route that requires `read`, unless told otherwise. */
export function authorize(
  api: Pick<ResourceServer, 'authorize'>,
  token: string | undefined,
  ...requirements: readonly Requirement[]
): Awaitable<Access> {
  return api.authorize(request(token), ...(requirements.length ? requirements : [scope('read')])) as Awaitable<Access>
}

/** The error with which something is refused, thrown or rejected. */
export async function refusal(attempt: () => unknown): Promise<ResourceServerError> {
  try {
    await attempt()
  } catch (error) {
    if (error instanceof ResourceServerError) return error
    throw error
  }
  throw new Error('it was not refused')
}

/** Lets the event loop turn until something is so; the test's own timeout is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}

export type ApiOptions = Omit<Partial<ResourceServerOptions>, 'issuers'> & {
  readonly issuers: ResourceServerOptions['issuers']
}

export interface Bed {
  /** The clock of every issuer and API of this test. */
  readonly clock: Clock
  issuer(settings?: IssuerSettings): Promise<TestIssuer>
  /** A resource server for `https://api.example.com`. */
  api(options: ApiOptions): ResourceServer
  /** Ends this after the test, whatever became of it. */
  closing<T extends { close(): Promise<unknown> }>(one: T): T
}

/** Call it at the top of a test file: whatever a test starts ends with it, and the next one has a clock of its own. */
export function createBed(): Bed {
  const open: { close(): Promise<unknown> }[] = []
  let clock = createClock()
  afterEach(async () => {
    clock = createClock()
    await Promise.all(open.splice(0).map((one) => one.close()))
  })
  const closing = <T extends { close(): Promise<unknown> }>(one: T): T => {
    open.push(one)
    return one
  }
  return {
    get clock() {
      return clock
    },
    issuer: async (settings) => closing(await startIssuer({ now: clock.now, ...settings })),
    api: (options) => closing(resourceServer({ resource: RESOURCE, now: clock.now, ...options })),
    closing
  }
}

/** A key that no issuer has published, under a name that none has used. */
export function strangeKey(kid: string, alg: SigningKey['alg'] = 'ES256'): SigningKey {
  return createSigningKey(alg, { kid })
}

/** Options of an issuer that introspects every token that is not built like a JWT. */
export function introspecting(
  issuer: TestIssuer,
  introspection: Partial<NonNullable<IssuerOptions['introspection']>> = {},
  options: Partial<IssuerOptions> = {}
): IssuerOptions {
  return { issuer: issuer.issuer, introspection: { auth: () => {}, clientId: 'api', ...introspection }, ...options }
}

/**
 * A dispatcher that finds `https://` origins on this machine: `{ 'https://as.example.com': issuer.origin }`. Everything
 * behind it is real.
 */
export function redirectingAgent(origins: Readonly<Record<string, string>>): Agent {
  const agent = new Agent()
  const dispatch = agent.dispatch.bind(agent)
  agent.dispatch = (options, handler) =>
    dispatch({ ...options, origin: origins[String(options.origin)] ?? String(options.origin) }, handler)
  return agent
}
