/**
 * What a test of requests and tokens needs: an issuer of one key whose set is given inline (so that nothing is fetched),
 * tokens of it, requests, and every refusal as a whole: status, code, reason, header fields, body.
 *
 * ```ts
 * expect(await outcome(api(), bearer(accessToken()))).toEqual(granted)
 * expect(await outcome(api(), bearer(accessToken({ claims: { exp: 1 } })))).toEqual(refused('DEN-06', 'expired'))
 * ```
 */
import {
  type Access,
  type IssuerOptions,
  type Requirement,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import { createSigningKey, type Signer, type SigningKey, signJws } from './issuer.js'

export const ISSUER = 'https://as.example.com'
export const RESOURCE = 'https://api.example.com'
export const RESOURCE_METADATA = 'https://api.example.com/.well-known/oauth-protected-resource'
export const NOW = 1_750_000_000

type JsonObject = Record<string, unknown>

/** The issuer's only key, unless a test gives it others. */
export const issuerKey: SigningKey = createSigningKey('ES256')

/** The claims of a token that is valid in every respect. */
export const validClaims = {
  iss: ISSUER,
  aud: RESOURCE,
  sub: 'u1',
  client_id: 'c1',
  iat: NOW - 10,
  exp: NOW + 300,
  jti: 't1',
  scope: 'read'
} as const

export interface Token {
  /** Members set, or with `undefined` removed. */
  readonly header?: JsonObject
  /** Claims set, or with `undefined` removed. */
  readonly claims?: JsonObject
  readonly key?: Signer
  readonly sign?: (input: string, key: Signer) => Uint8Array
}

/** An access token, valid but for what is said. */
export function accessToken({ header, claims, key = issuerKey, sign }: Token = {}): string {
  const { alg, kid } = key
  return signJws({ typ: 'at+jwt', alg, kid, ...header }, { ...validClaims, ...claims }, key, sign)
}

/** The same, with a payload that is not an object of ours. */
export function accessTokenOf(payload: string | Uint8Array, header: JsonObject | string = {}): string {
  const whole = typeof header === 'string' ? header : { typ: 'at+jwt', alg: 'ES256', kid: 'k1', ...header }
  return signJws(whole, payload, issuerKey)
}

/** A resource server for one issuer, whose keys it has. */
export function api(options: Partial<ResourceServerOptions> = {}, issuer: Partial<IssuerOptions> = {}): ResourceServer {
  return resourceServer({
    resource: RESOURCE,
    issuers: [{ issuer: ISSUER, jwks: { keys: [issuerKey.publicJwk] }, ...issuer }],
    now: () => NOW,
    ...options
  })
}

/** The option `jwks` of these keys. */
export function keySet(...keys: readonly SigningKey[]): { keys: JsonObject[] } {
  return { keys: keys.map((key) => key.publicJwk) }
}

/** `GET /items` with these field lines: one value, or one for each line. */
export function get(
  fields: Readonly<Record<string, string | readonly string[]>> = {},
  { method = 'GET', url = '/items' }: { readonly method?: string; readonly url?: string } = {}
): ResourceRequest {
  return { method, url, fieldLines: (name) => [fields[name] ?? []].flat() }
}

/** `GET /items` with `Authorization: Bearer …`. */
export function bearer(token: string, fields: Readonly<Record<string, string>> = {}): ResourceRequest {
  return get({ authorization: `Bearer ${token}`, ...fields })
}

/** All that a client sees of an answer, and the reason that the log sees. */
export interface Outcome {
  readonly status: number
  readonly code?: string | undefined
  readonly reason?: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: unknown
}

export const granted: Outcome = { status: 200, headers: {}, body: null }

/** What becomes of a request to a route that requires `read`, unless told otherwise. */
export async function outcome(
  server: Pick<ResourceServer, 'authorize'>,
  request: ResourceRequest,
  ...requirements: readonly Requirement[]
): Promise<Outcome> {
  try {
    await server.authorize(request, ...(requirements.length ? requirements : [scope('read')]))
    return granted
  } catch (error) {
    return outcomeOf(error)
  }
}

/** The whole answer of an error; one that is no answer is thrown on. */
export async function outcomeOf(error: unknown): Promise<Outcome> {
  if (!(error instanceof ResourceServerError)) throw error
  const response = error.toResponse()
  const text = await response.text()
  return {
    status: response.status,
    code: error.code,
    reason: error.reason,
    headers: error.headers,
    body: text === '' ? null : JSON.parse(text)
  }
}

/** The error with which something is refused. */
export async function refusal(attempt: () => unknown): Promise<ResourceServerError> {
  try {
    await attempt()
  } catch (error) {
    if (error instanceof ResourceServerError) return error
    throw error
  }
  throw new Error('it was not refused')
}

/** The access that a token gives. */
export async function access(
  server: Pick<ResourceServer, 'authorize'>,
  token: string,
  ...requirements: readonly Requirement[]
): Promise<Access> {
  return (await server.authorize(bearer(token), ...requirements)) as Access
}

const INVALID_TOKEN = {
  'DEN-04': 'The access token is malformed',
  'DEN-05': 'The access token signature could not be verified',
  'DEN-06': 'The access token expired',
  'DEN-07': 'The access token is not yet valid',
  'DEN-08': 'The access token is not active',
  'DEN-09': 'The access token issuer is not accepted',
  'DEN-10': 'The access token audience is not accepted',
  'DEN-11': 'The access token has a missing or invalid claim',
  'DEN-12': 'The token is not an access token',
  'DEN-15': 'The access token is bound to a different client certificate',
  'DEN-21': 'DPoP-bound access token used with the Bearer scheme'
} as const

const INVALID_REQUEST = {
  'DEN-02': 'Malformed Authorization header',
  'DEN-03': 'Multiple methods used to include access token'
} as const

/** A 401 `invalid_token`; `advertised` is what the challenge says of the route. */
export function refused(id: keyof typeof INVALID_TOKEN, reason: string, advertised = 'scope="read", '): Outcome {
  const description = INVALID_TOKEN[id]
  return challenged(401, 'invalid_token', reason, description, advertised)
}

/** A 400 `invalid_request`, which asks for no scope: none would help. */
export function malformed(id: keyof typeof INVALID_REQUEST): Outcome {
  const reason = id === 'DEN-02' ? 'malformed_authorization' : 'multiple_credentials'
  return challenged(400, 'invalid_request', reason, INVALID_REQUEST[id], '')
}

/** DEN-13: a 403 that asks for these scopes. */
export function insufficient(scopes: string): Outcome {
  const description = 'The access token lacks a required scope'
  return challenged(403, 'insufficient_scope', 'insufficient_scope', description, `scope="${scopes}", `)
}

function challenged(status: number, code: string, reason: string, description: string, advertised: string): Outcome {
  return {
    status,
    code,
    reason,
    headers: {
      'WWW-Authenticate': [
        `Bearer error="${code}", error_description="${description}", ${advertised}resource_metadata="${RESOURCE_METADATA}"`
      ],
      'Cache-Control': 'no-store'
    },
    body: { error: code, error_description: description }
  }
}

/** DEN-01: a 401 without an error and without a body. */
export function missing(challenge = `Bearer scope="read", resource_metadata="${RESOURCE_METADATA}"`): Outcome {
  return {
    status: 401,
    code: undefined,
    reason: 'credentials_missing',
    headers: { 'WWW-Authenticate': [challenge], 'Cache-Control': 'no-store' },
    body: null
  }
}
