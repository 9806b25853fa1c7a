/** An error is a whole HTTP answer, and says to the log what it does not say to the client. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { LIMIT_REASONS, REQUEST_REASONS, TOKEN_REASONS } from '../../src/errors/reasons.js'
import {
  CredentialsMissing,
  Forbidden,
  InsufficientScope,
  InvalidRequest,
  InvalidToken,
  Misconfigured,
  Refusal,
  ResourceServerError,
  TooManyRequests,
  Unavailable
} from '../../src/index.js'
import { api, get, RESOURCE_METADATA, refusal } from '../support/refusals.js'

const cause = new Error('connect ECONNREFUSED')
const all = [
  new CredentialsMissing(),
  new InvalidRequest('malformed_authorization'),
  new InvalidToken('audience', { expected: ['x'], received: 'secret' }),
  new InsufficientScope(['read']),
  new Forbidden('Not yours'),
  new Unavailable('jwks', 'GET https://as.internal/jwks timed out', { cause, retryAfter: 4.1 }),
  new Misconfigured('the secret is wrong', { cause })
] as const

describe('each error', () => {
  test('has the status and the code of its class', () => {
    expect(all.map(({ name, status, code }) => [name, status, code])).toEqual([
      ['CredentialsMissing', 401, undefined],
      ['InvalidRequest', 400, 'invalid_request'],
      ['InvalidToken', 401, 'invalid_token'],
      ['InsufficientScope', 403, 'insufficient_scope'],
      ['Forbidden', 403, 'access_denied'],
      ['Unavailable', 503, 'temporarily_unavailable'],
      ['Misconfigured', 500, 'server_error']
    ])
  })

  test('is a ResourceServerError; only the client’s faults are a Refusal', () => {
    for (const error of all) expect(error).toBeInstanceOf(ResourceServerError)
    expect(all.map((error) => error instanceof Refusal)).toEqual([true, true, true, true, false, false, false])
  })

  test('has the properties that frameworks read: statusCode, expose, headers', () => {
    for (const error of all) {
      expect(error.statusCode).toBe(error.status)
      expect(error.expose).toBe(error.status < 500)
      expect(error.headers['Cache-Control']).toBe('no-store')
    }
  })

  test('HTTP-01 HTTP-02 (RFC 6750 §3): a refusal has a challenge with a parameter even without a server', () => {
    expect(all.slice(0, 4).map((error) => error.headers['WWW-Authenticate'])).toEqual([
      ['Bearer realm="api"'],
      ['Bearer error="invalid_request", error_description="Malformed Authorization header"'],
      ['Bearer error="invalid_token", error_description="The access token audience is not accepted"'],
      ['Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read"']
    ])
    for (const error of all.slice(4)) expect(error.headers['WWW-Authenticate']).toBeUndefined()
  })

  test('DEF-16: has a body for the client, which for our own faults is only a code', () => {
    expect(all.map((error) => error.toJSON())).toEqual([
      undefined,
      { error: 'invalid_request', error_description: 'Malformed Authorization header' },
      { error: 'invalid_token', error_description: 'The access token audience is not accepted' },
      { error: 'insufficient_scope', error_description: 'The access token lacks a required scope' },
      { error: 'access_denied', error_description: 'Not yours' },
      { error: 'temporarily_unavailable' },
      { error: 'server_error' }
    ])
  })

  test('converts to a complete Response', async () => {
    for (const error of all) {
      for (const response of [error.toResponse(), error.getResponse()]) {
        expect(response.status).toBe(error.status)
        const text = await response.text()
        expect(text === '' ? undefined : JSON.parse(text)).toEqual(error.toJSON())
        expect(response.headers.get('content-type')).toBe(error.toJSON() ? 'application/json' : null)
        expect(response.headers.get('www-authenticate')).toBe(
          (error.headers['WWW-Authenticate'] as string[] | undefined)?.join(', ') ?? null
        )
      }
    }
  })

  test('HTTP-07 HTTP-13: fields that an adapter adds are in the Response, one line each', () => {
    const error = new InvalidToken('expired')
    error.headers = { ...error.headers, 'WWW-Authenticate': ['Basic realm="x"', 'Bearer realm="y"'], Vary: 'Origin' }
    const { headers } = error.toResponse()
    expect(headers.get('www-authenticate')).toBe('Basic realm="x", Bearer realm="y"')
    expect(headers.get('vary')).toBe('Origin')
    expect(error.headers['Vary']).toBe('Origin')
  })
})

describe('the secrecy of an error', () => {
  test('DEF-15 SEC-04: the message is fixed words for every error', () => {
    expect(all.map(({ message }) => message)).toEqual([
      'An access token is required',
      'Malformed Authorization header',
      'The access token audience is not accepted',
      'The access token lacks a required scope',
      'Not yours',
      'The authorization server cannot be asked now',
      'The resource server is misconfigured'
    ])
    for (const { description, message } of all) expect(message).toBe(description)
  })

  test('SEC-04: the first line of a stack is the name and the fixed message', () => {
    for (const error of all) expect(error.stack?.split('\n')[0]).toBe(`${error.name}: ${error.description}`)
  })

  test('SEC-04: printing a fault of ours shows its hint and its cause', () => {
    const [, , , , , outage, ours] = all
    expect(outage.hint).toContain('GET https://as.internal/jwks timed out')
    expect([outage.cause, ours.cause]).toEqual([cause, cause])
    expect(inspect(outage)).toContain('GET https://as.internal/jwks timed out')
    expect(inspect(outage)).toContain('connect ECONNREFUSED')
    expect(inspect(ours)).toContain('the secret is wrong')
  })

  test('SEC-01 SEC-04: `received` can be read, but is never printed or sent', () => {
    const error = all[2]
    expect([error.expected, error.received]).toEqual([['x'], 'secret'])
    expect(
      inspect(error) + JSON.stringify(error) + JSON.stringify(Object.entries(error)) + String(error)
    ).not.toContain('secret')
  })

  test('a refusal has no stack and a fault has one, without affecting other errors', () => {
    const { stackTraceLimit } = Error
    const frames = (error: Error): number => (error.stack ?? '').split('\n').length - 1
    expect(frames(new InvalidToken('expired'))).toBe(0)
    expect(new InvalidToken('expired').stack).toBe('InvalidToken: The access token expired')
    expect(frames(new Misconfigured('the secret is wrong'))).toBeGreaterThan(0)
    expect(frames(new Error('another'))).toBeGreaterThan(0)
    expect(Error.stackTraceLimit).toBe(stackTraceLimit)
  })

  test('an error can be renamed, like any Error', () => {
    const error = new InvalidToken('expired')
    error.name = 'Renamed'
    expect([error.name, String(error), new InvalidToken('expired').name]).toEqual([
      'Renamed',
      'Renamed: The access token expired',
      'InvalidToken'
    ])
    expect(Object.keys(error)).toContain('reason')
    expect(Object.keys(error)).not.toContain('name')
  })

  test('SEC-04: every reason has a hint, and reasons are unique', () => {
    const reasons = [REQUEST_REASONS, TOKEN_REASONS, LIMIT_REASONS].flatMap((one) => Object.entries(one))
    for (const [name, { hint, description }] of reasons) {
      expect(name).toMatch(/^[a-z_]+$/)
      expect(hint.length).toBeGreaterThan(20)
      expect(hint).not.toBe(description)
    }
    expect(new Set(reasons.map(([name]) => name)).size).toBe(reasons.length)
    for (const error of all) expect(error.hint).not.toBe('')
  })

  test('an Unavailable names the dependency, and when to retry: whole seconds from one to an hour', () => {
    const dependencies = ['issuer', 'metadata', 'jwks', 'introspection'] as const
    for (const dependency of dependencies) {
      const error = new Unavailable(dependency, 'x')
      expect([error.dependency, error.reason, error.retryAfter]).toEqual([dependency, `${dependency}_unavailable`, 5])
      expect(error.headers['Retry-After']).toBe('5')
    }
    expect(
      [0, 0.1, 4.1, 60, 1e9].map((retryAfter) => new Unavailable('jwks', 'x', { retryAfter }).headers['Retry-After'])
    ).toEqual(['1', '1', '5', '60', '3600'])
  })

  test('RFC 6585 §4: TooManyRequests has a Retry-After and no challenge, and is not a Refusal', () => {
    const error = new TooManyRequests('key_unknown_yet', { retryAfter: 1.2, expected: 'a kid', received: 'k9' })
    expect([error.status, error.code, error.reason, error.retryAfter]).toEqual([
      429,
      'too_many_requests',
      'key_unknown_yet',
      2
    ])
    expect(error.headers).toEqual({ 'Retry-After': '2', 'Cache-Control': 'no-store' })
    expect(error).not.toBeInstanceOf(Refusal)
    expect(error.toJSON()).toEqual({
      error: 'too_many_requests',
      error_description: 'The access token cannot be verified yet'
    })
    expect(
      [new TooManyRequests('replay_share'), new TooManyRequests('replay_share', { retryAfter: 1e9 })].map(
        (e) => e.retryAfter
      )
    ).toEqual([1, 3600])
  })

  test('a Forbidden has the application’s text, or ours', () => {
    expect(new Forbidden().message).toBe('Access is not allowed')
    expect(new Forbidden('No', { cause }).cause).toBe(cause)
  })
})

describe('what a server adds', () => {
  test('adds realm, scopes and the metadata URL once', async () => {
    const server = api({ realm: 'orders' })
    const error = await refusal(() => server.authorize(get()))
    expect(error.headers['WWW-Authenticate']).toEqual([
      `Bearer realm="orders", resource_metadata="${RESOURCE_METADATA}"`
    ])
    expect((error as Refusal).advertise({ realm: 'other' }).headers['WWW-Authenticate']).toEqual([
      'Bearer realm="other"'
    ])
  })

  test('does not leak the advertised values of one route into another’s refusal', async () => {
    const server = api()
    const { scope } = await import('../../src/index.js')
    const first = await refusal(() => server.authorize(get(), scope('a')))
    const second = await refusal(() => server.authorize(get(), scope('b')))
    expect([first, second].map((error) => (error.headers['WWW-Authenticate'] as string[])[0]?.slice(0, 16))).toEqual([
      'Bearer scope="a"',
      'Bearer scope="b"'
    ])
  })
})
