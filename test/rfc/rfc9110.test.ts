/** RFC 9110 §11: schemes, challenges and their grammar, and header fields that nobody can break out of. */
import { createServer, get as httpGet } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { Forbidden, InsufficientScope, InvalidToken, optional, scope, skipPreflight } from '../../src/index.js'
import { parseChallenge } from '../support/challenge-parser.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  insufficient,
  malformed,
  missing,
  NOW,
  outcome,
  RESOURCE_METADATA,
  refusal,
  refused
} from '../support/refusals.js'

const token = accessToken()
const server = api()

/** Whatever can be sent that is answered with a challenge. */
const refusedRequests = [
  get(),
  get({ authorization: 'Basic eA==' }),
  get({ authorization: 'Bearer' }),
  get({ authorization: ['Bearer a', 'Bearer b'] }),
  bearer('x'),
  bearer(accessToken({ header: { alg: 'none' } })),
  bearer(accessToken({ claims: { exp: NOW - 300 } })),
  bearer(accessToken({ claims: { iss: 'https://other.example' } })),
  bearer(accessToken({ claims: { scope: '' } }))
]

async function challengesOf(request: (typeof refusedRequests)[number], of = server): Promise<readonly string[]> {
  const { headers } = await outcome(of, request)
  const field = headers['WWW-Authenticate']
  if (!Array.isArray(field)) throw new Error('no challenge')
  return field as string[]
}

describe('RFC 9110 §11.6.1: WWW-Authenticate', () => {
  test('HTTP-01 HTTP-12 (RFC 9110 §15.5.2): every 401, and every 400 and 403 of ours, has a challenge', async () => {
    for (const request of refusedRequests) expect(await challengesOf(request)).toHaveLength(1)
  })

  test('HTTP-07 DEF-12 DEF-13 (RFC 9110 §11.6.1): writes one line for each challenge, which begins with Bearer and a parameter', async () => {
    for (const request of refusedRequests) {
      const [line] = await challengesOf(request)
      expect(line).toMatch(/^Bearer [a-z_]+="/)
    }
  })

  test('HTTP-05 HTTP-06 HTTP-09 (RFC 9110 §11.2): writes challenges that parse, with no parameter twice and every value quoted', async () => {
    const named = api({ realm: 'orders' })
    for (const of of [server, named, api({ metadata: false })]) {
      for (const request of refusedRequests) {
        const [line] = await challengesOf(request, of)
        const { scheme, parameters } = parseChallenge(line as string)
        expect(scheme).toBe('Bearer')
        expect(parameters.every(({ quoted }) => quoted)).toBe(true)
      }
    }
  })

  test('DEF-13 (RFC 9110 §11.2): writes the parameters in one order', async () => {
    const of = api({ realm: 'orders' })
    const [line] = await challengesOf(bearer('x'), of)
    expect(parseChallenge(line as string).parameters.map(({ name }) => name)).toEqual([
      'realm',
      'error',
      'error_description',
      'scope',
      'resource_metadata'
    ])
  })

  test('HTTP-02 (RFC 6750 §3): the realm keeps Bearer from being bare, without metadata, scope and error', async () => {
    const bare = api({ metadata: false })
    const { headers } = await outcome(bare, get(), () => {})
    expect(headers['WWW-Authenticate']).toEqual(['Bearer realm="https://api.example.com"'])
  })

  test('HTTP-02 (RFC 6750 §3): writes a parameter into the challenge of an error that no server advertises for', () => {
    expect(new InvalidToken('expired').headers['WWW-Authenticate']).toEqual([
      'Bearer error="invalid_token", error_description="The access token expired"'
    ])
  })

  test('HTTP-06 (RFC 9110 §11.5): writes the realm of the server first in every challenge', async () => {
    const of = api({ realm: 'orders' })
    expect(await outcome(of, get())).toEqual(
      missing(`Bearer realm="orders", scope="read", resource_metadata="${RESOURCE_METADATA}"`)
    )
    for (const request of refusedRequests)
      expect((await challengesOf(request, of))[0]).toMatch(/^Bearer realm="orders", /)
  })

  test('HTTP-11 (RFC 9110 §5.6.4): escapes a quote and a backslash in the realm, and they are read back as they were', async () => {
    const realm = 'a"b\\c'
    const [line] = await challengesOf(get(), api({ realm }))
    expect(line).toBe(`Bearer realm="a\\"b\\\\c", scope="read", resource_metadata="${RESOURCE_METADATA}"`)
    expect(parseChallenge(line as string).parameters[0]).toEqual({ name: 'realm', value: realm, quoted: true })
  })

  test('HTTP-11 (RFC 3986 §2): refuses a quote in the URL of the resource at start, unless it is percent-encoded', async () => {
    expect(() => api({ resource: 'https://api.example.com/a"b' })).toThrow(/^resourceServer\(\) found a problem/)
    const of = api({ resource: 'https://api.example.com/a%22b' }, { audience: 'x' })
    const [line] = await challengesOf(get(), of)
    const { value } = parseChallenge(line as string).parameters.at(-1) as { value: string }
    expect(value).toBe('https://api.example.com/.well-known/oauth-protected-resource/a%22b')
  })
})

describe('RFC 9110 §5.5: nothing can end a field', () => {
  const splitting = ['x\r\nSet-Cookie: a=b', 'x\ny', 'x\0', 'x\x7F', '\t', 'é', '\u{1F512}']
  test.each(splitting)('HTTP-10 (RFC 9110 §5.5): refuses the realm %j at start', (realm) => {
    expect(() => api({ realm })).toThrow(
      /^resourceServer\(\) found a problem in its options:\n- `realm` has a character/
    )
  })

  test('HTTP-10 (RFC 9110 §5.5): refuses a scope at start that no field could carry', () => {
    for (const one of splitting) expect(() => scope(one)).toThrow(TypeError)
  })

  test('HTTP-09 HTTP-10 (RFC 6750 §3): reduces texts of the application to the allowed characters', async () => {
    const forbid = (): void => {
      throw new Forbidden('a"b\\c\r\nSet-Cookie: é')
    }
    const { headers, body } = await outcome(server, bearer(token), forbid)
    expect(body).toEqual({ error: 'access_denied', error_description: 'a b c Set-Cookie:' })
    expect(headers).toEqual({ 'Cache-Control': 'no-store' })
  })

  test('HTTP-09 (RFC 6750 §3): a scope that a check asks for cannot break the challenge', async () => {
    const bad = (): void => {
      throw new InsufficientScope(['read"', 'a\r\nb', 'write'])
    }
    expect(await outcome(server, bearer(token), bad)).toEqual(insufficient('write'))
  })
})

describe('RFC 9110 §11.1: the scheme', () => {
  test('HTTP-08 (RFC 9110 §11.1): matches the scheme without regard to case, and accepts spaces after it', async () => {
    for (const scheme of ['Bearer ', 'bearer ', 'BEARER ', 'bEaReR  ', 'Bearer     ']) {
      expect(await outcome(server, get({ authorization: scheme + token }))).toEqual(granted)
    }
  })

  test('HTTP-08 DEN-02 (RFC 9110 §11.4): does not read a tab as a space', async () => {
    expect(await outcome(server, get({ authorization: `Bearer\t${token}` }))).toEqual(malformed('DEN-02'))
  })

  test('HTTP-08 (RFC 9110 §11.1): does not match a scheme that only begins or ends alike', async () => {
    for (const scheme of ['Bearers', 'XBearer', 'Bear', 'Bearer,']) {
      expect((await outcome(server, get({ authorization: `${scheme} ${token}` }))).status).toBe(401)
    }
  })

  test('HTTP-16 (RFC 9110 §11.7.2): ignores Proxy-Authorization, which is for the proxy', async () => {
    expect(await outcome(server, get({ 'proxy-authorization': `Bearer ${token}` }))).toEqual(missing())
    const both = get({ 'proxy-authorization': 'Bearer x', authorization: `Bearer ${token}` })
    expect(await outcome(server, both)).toEqual(granted)
  })
})

describe('RFC 9110 §11: other parts of an exchange', () => {
  test('HTTP-12 (RFC 9110 §11.6.1): answers a missing scope with 403 and a challenge', async () => {
    expect(await outcome(server, bearer(token), scope('write'))).toEqual(insufficient('write'))
  })

  test('HTTP-14 (Fetch standard): exposes the challenge to a request from another origin', async () => {
    const origin = { origin: 'https://app.example' }
    for (const request of [get(origin), bearer('x', origin), bearer(accessToken({ claims: { scope: '' } }), origin)]) {
      const { headers } = await outcome(server, request)
      expect(headers['Access-Control-Expose-Headers']).toBe('WWW-Authenticate')
    }
  })

  test('HTTP-14 (Fetch standard): exposes nothing to a request without an origin', async () => {
    expect(await outcome(server, bearer('x'))).toEqual(refused('DEN-04', 'malformed'))
  })

  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'GET' }

  test('HTTP-15 (Fetch standard): refuses a preflight like any request without credentials', async () => {
    const { status } = await outcome(server, get(preflight, { method: 'OPTIONS' }))
    expect(status).toBe(401)
  })

  test('HTTP-15 (Fetch standard): skipPreflight accepts a preflight, whatever it carries', async () => {
    const request = get(preflight, { method: 'OPTIONS' })
    expect(await server.authorize(request, skipPreflight, scope('read'))).toBeUndefined()
  })

  test('HTTP-15 (Fetch standard): skipPreflight accepts nothing else', async () => {
    const others = [
      get(preflight),
      get(preflight, { method: 'options' }),
      get({ origin: 'https://app.example' }, { method: 'OPTIONS' }),
      get({ 'access-control-request-method': 'GET' }, { method: 'OPTIONS' }),
      get({}, { method: 'OPTIONS' })
    ]
    for (const request of others) {
      expect(await outcome(server, request, skipPreflight, scope('read'))).toMatchObject({
        status: 401,
        reason: 'credentials_missing'
      })
    }
  })

  test('HTTP-15 CCH-03: skipPreflight and optional are separate waivers', async () => {
    expect(await server.authorize(get(), skipPreflight, optional)).toBeUndefined()
    expect((await outcome(server, bearer('x'), skipPreflight, optional)).status).toBe(401)
  })
})

describe('on a real connection', () => {
  const open = new Set<ReturnType<typeof createServer>>()
  afterEach(() => {
    for (const one of open) one.close()
    open.clear()
  })

  test('HTTP-09 HTTP-10 HTTP-13 (RFC 9110 §5.5): Node sends every refusal, and it arrives as it was', async () => {
    let current = 0
    const plain = createServer((_, response) => {
      void refusal(() =>
        server.authorize(refusedRequests[current] as (typeof refusedRequests)[number], scope('read'))
      ).then((error) => {
        response.setHeader('www-authenticate', ['Basic realm="x"'])
        response.appendHeader('www-authenticate', error.headers['WWW-Authenticate'] as string[])
        response.statusCode = error.status
        response.end()
      })
    })
    open.add(plain.listen(0, '127.0.0.1'))
    await new Promise((resolve) => plain.once('listening', resolve))
    const { port } = plain.address() as AddressInfo
    for (; current < refusedRequests.length; current++) {
      const lines = await new Promise<string[]>((resolve, reject) => {
        httpGet({ port, host: '127.0.0.1', agent: false }, (response) => {
          response.resume()
          resolve(response.headersDistinct['www-authenticate'] as string[])
        }).once('error', reject)
      })
      const expected = await challengesOf(refusedRequests[current] as (typeof refusedRequests)[number])
      expect(lines).toEqual(['Basic realm="x"', ...expected])
    }
  })
})
