/** The support itself, held against jose: what a test relies on when it blames the code and not the issuer. */
import { connect } from 'node:net'
import { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { afterEach, describe, expect, test } from 'vitest'
import {
  ALGORITHMS,
  createClock,
  createSigningKey,
  fault,
  type IssuerSettings,
  startIssuer,
  type TestIssuer
} from './issuer.js'

const clock = createClock()
const running: TestIssuer[] = []

async function start(settings: IssuerSettings = {}): Promise<TestIssuer> {
  const issuer = await startIssuer({ now: clock.now, ...settings })
  running.push(issuer)
  return issuer
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((issuer) => issuer.close()))
})

/** A jose verifier of this issuer's tokens, whose key set is fetched anew for every unknown key. */
function verifier(issuer: TestIssuer): (token: string) => ReturnType<typeof jwtVerify> {
  const keys = createRemoteJWKSet(new URL(issuer.metadata.jwks_uri as string), { cooldownDuration: 0 })
  return (token) =>
    jwtVerify(token, keys, {
      issuer: issuer.issuer,
      audience: 'https://api.example.com',
      typ: 'at+jwt',
      currentDate: new Date(clock.now() * 1000)
    })
}

function introspect(issuer: TestIssuer, token: string, headers: Record<string, string> = {}): Promise<Response> {
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
  return fetch(issuer.metadata.introspection_endpoint as string, { method: 'POST', body, headers })
}

function fetchKeys(issuer: TestIssuer): Promise<Response> {
  return fetch(issuer.metadata.jwks_uri as string)
}

describe('tokens', () => {
  test('jose accepts a token of every algorithm', async () => {
    const issuer = await start({ algorithms: ALGORITHMS })
    const verify = verifier(issuer)
    for (const alg of ALGORITHMS) {
      const { protectedHeader, payload } = await verify(issuer.token({ alg }))
      expect(protectedHeader).toEqual({ typ: 'at+jwt', alg, kid: issuer.key(alg).kid })
      expect(payload).toMatchObject({
        iss: issuer.issuer,
        sub: 'u1',
        client_id: 'c1',
        exp: clock.now() + 300,
        scope: 'read'
      })
    }
    expect(issuer.count('jwks')).toBe(1)
  })

  test('adds and removes members, and no two tokens have one jti', async () => {
    const issuer = await start()
    const token = issuer.token({ header: { kid: undefined, x: 1 }, claims: { scope: undefined, roles: ['r'] } })
    const { protectedHeader, payload } = await verifier(issuer)(token)
    expect(protectedHeader).toEqual({ typ: 'at+jwt', alg: 'ES256', x: 1 })
    expect(payload).not.toHaveProperty('scope')
    expect(payload.roles).toEqual(['r'])
    expect(payload.jti).not.toBe((await verifier(issuer)(issuer.token())).payload.jti)
  })

  test('a header may lie about the algorithm', async () => {
    const issuer = await start()
    const token = issuer.token({ header: { alg: 'nOnE' } })
    expect(decodeProtectedHeader(token).alg).toBe('nOnE')
    expect(token.split('.')[2]).toHaveLength(86)
  })

  test('the signature of a key that is not published, or made otherwise, does not verify', async () => {
    const issuer = await start()
    const tokens = [issuer.token({ key: createSigningKey('ES256') }), issuer.token({ sign: () => Buffer.alloc(64, 1) })]
    for (const token of tokens) {
      await expect(verifier(issuer)(token)).rejects.toThrow(errors.JWSSignatureVerificationFailed)
    }
  })

  test('issuers share RSA keys, unless they are told not to, and nothing else', async () => {
    const [one, two] = [
      await start({ algorithms: ['RS256', 'ES256'] }),
      await start({ algorithms: ['RS256', 'ES256'] })
    ]
    const apart = await start({ algorithms: ['RS256'], distinctKeys: true })
    expect(two.key('RS256').publicJwk.n).toBe(one.key('RS256').publicJwk.n)
    expect(two.key('ES256').publicJwk.x).not.toBe(one.key('ES256').publicJwk.x)
    expect(apart.key('RS256').publicJwk.n).not.toBe(one.key('RS256').publicJwk.n)
  })
})

test('keys rotate: published, switched to, retired', async () => {
  const issuer = await start()
  const verify = verifier(issuer)
  const old = issuer.token()
  issuer.rotate('publish')
  expect(issuer.jwks.keys.map((key) => key.kid)).toEqual(['k1', 'k2'])
  expect(decodeProtectedHeader(issuer.token()).kid).toBe('k1')
  issuer.rotate('switch')
  expect(decodeProtectedHeader(issuer.token()).kid).toBe('k2')
  await verify(issuer.token())
  await verify(old)
  issuer.rotate('retire')
  await expect(verifier(issuer)(old)).rejects.toThrow(errors.JWKSNoMatchingKey)
  await verifier(issuer)(issuer.token())
})

describe('metadata', () => {
  test.each([
    ['rfc8414', '/.well-known/oauth-authorization-server/tenant'],
    ['openid-insert', '/.well-known/openid-configuration/tenant'],
    ['openid-append', '/tenant/.well-known/openid-configuration']
  ] as const)('%s: publishes metadata at %s and nowhere else', async (discovery, path) => {
    const issuer = await start({ path: '/tenant/', discovery })
    issuer.metadata.extra = true
    const response = await fetch(issuer.origin + path)
    expect(await response.json()).toMatchObject({ issuer: `${issuer.origin}/tenant/`, extra: true })
    expect((await fetch(`${issuer.origin}/.well-known/openid-configuration`)).status).toBe(404)
    expect(issuer.count('metadata')).toBe(1)
  })
})

describe('introspection', () => {
  test('a registered token is active until it is revoked', async () => {
    const issuer = await start()
    const token = issuer.opaque({ scope: undefined, sub: 'u2' })
    const answer = (await (await introspect(issuer, token)).json()) as Record<string, unknown>
    expect(answer).toMatchObject({ active: true, iss: issuer.issuer, aud: 'https://api.example.com', sub: 'u2' })
    expect(answer).not.toHaveProperty('scope')
    issuer.revoke(token)
    expect(await (await introspect(issuer, token)).json()).toEqual({ active: false })
  })

  test('records requests, and can require authentication', async () => {
    const issuer = await start()
    issuer.introspectionAuth = (request) => request.headers.authorization === 'Basic YTpi'
    expect((await introspect(issuer, 'x')).status).toBe(401)
    expect((await introspect(issuer, 'x', { authorization: 'Basic YTpi' })).status).toBe(200)
    expect(issuer.requests).toMatchObject([{ headers: {} }, { headers: { authorization: 'Basic YTpi' } }])
    expect(issuer.requests[0]).toMatchObject({ method: 'POST', path: '/introspect', at: clock.now() })
    expect(Object.fromEntries(issuer.requests[0]?.form ?? [])).toEqual({ token: 'x', token_type_hint: 'access_token' })
    issuer.reset()
    expect(issuer.count('introspection')).toBe(0)
  })
})

describe('faults', () => {
  test('gives scripted answers once each, then a lasting one, then the normal one', async () => {
    const issuer = await start()
    issuer.script('jwks', fault.retryAfter(7), fault.none(), fault.html200())
    issuer.always('jwks', fault.emptySet())
    const [limited, normal, html, empty] = [
      await fetchKeys(issuer),
      await fetchKeys(issuer),
      await fetchKeys(issuer),
      await fetchKeys(issuer)
    ]
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '7'])
    expect(await normal.json()).toEqual(issuer.jwks)
    expect([html.status, html.headers.get('content-type')]).toEqual([200, 'text/html'])
    expect(await empty.json()).toEqual({ keys: [] })
    issuer.always('jwks', undefined)
    expect(await (await fetchKeys(issuer)).json()).toEqual(issuer.jwks)
  })

  test('sends bodies that are too long, plainly or compressed, and otherwise valid', async () => {
    const issuer = await start()
    issuer.script('jwks', fault.oversize(1_000_000), fault.gzipBomb(1_000_000))
    for (const encoding of [null, 'gzip']) {
      const response = await fetchKeys(issuer)
      expect(response.headers.get('content-encoding')).toBe(encoding)
      const text = await response.text()
      expect(text.length).toBeGreaterThan(1_000_000)
      expect(JSON.parse(text)).toEqual(issuer.jwks)
    }
  })

  test('sends bodies that are wrong in type, syntax or content', async () => {
    const issuer = await start()
    issuer.script('jwks', fault.contentType('text/plain'), fault.contentType(undefined), fault.invalidJson())
    expect((await fetchKeys(issuer)).headers.get('content-type')).toBe('text/plain')
    expect((await fetchKeys(issuer)).headers.get('content-type')).toBeNull()
    await expect((await fetchKeys(issuer)).json()).rejects.toThrow(SyntaxError)
    issuer.script('metadata', fault.wrongIssuer(), fault.redirect())
    const url = `${issuer.origin}/.well-known/oauth-authorization-server`
    expect(await (await fetch(url)).json()).toEqual({ ...issuer.metadata, issuer: 'https://other.example' })
    expect((await fetch(url)).url).toBe(`${issuer.origin}/elsewhere`)
    expect(issuer.count('other')).toBe(1)
  })

  test('resets connections, or cuts them in the body', async () => {
    const issuer = await start()
    issuer.script('jwks', fault.reset(), fault.cut())
    await expect(fetchKeys(issuer)).rejects.toThrow(TypeError)
    const cut = await fetchKeys(issuer)
    expect(cut.status).toBe(200)
    await expect(cut.text()).rejects.toThrow(TypeError)
  })

  test.each(['hang', 'stall', 'drip'] as const)(
    '%s: no complete answer comes before the issuer is closed',
    async (name) => {
      const issuer = await start()
      issuer.script('jwks', fault[name]())
      const answer = fetchKeys(issuer)
        .then((response) => response.text())
        .then(
          () => 'complete',
          () => 'broken'
        )
      await issuer.received('jwks', 1)
      expect(await Promise.race([answer, fetchKeys(issuer).then(() => 'pending')])).toBe('pending')
      await issuer.close()
      expect(await answer).toBe('broken')
    }
  )

  test('requests held at a gate arrive, wait, and are answered on release', async () => {
    const issuer = await start()
    const gate = issuer.hold('jwks')
    const answers = Promise.all([fetchKeys(issuer), fetchKeys(issuer)])
    await issuer.received('jwks', 2)
    expect((await introspect(issuer, 'x')).status).toBe(200)
    gate.release()
    for (const answer of await answers) expect(await answer.json()).toEqual(issuer.jwks)
    expect((await fetchKeys(issuer)).status).toBe(200)
  })

  test('a client that leaves while it is held does no harm', async () => {
    const issuer = await start()
    const gate = issuer.hold('jwks')
    const leaving = new AbortController()
    const left = fetch(issuer.metadata.jwks_uri as string, { signal: leaving.signal })
    await issuer.received('jwks', 1)
    leaving.abort()
    await expect(left).rejects.toThrow('aborted')
    gate.release()
    expect((await fetchKeys(issuer)).status).toBe(200)
  })
})

test('closing breaks off a request that is held', async () => {
  const issuer = await start()
  issuer.hold('jwks')
  const answer = fetchKeys(issuer)
  const broken = expect(answer).rejects.toThrow(TypeError)
  await issuer.received('jwks', 1)
  await issuer.close()
  await broken
})

test('closing destroys silent sockets and refuses new ones', async () => {
  const issuer = await start()
  const socket = connect(Number(new URL(issuer.origin).port), '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  const closed = new Promise((resolve) => socket.once('error', resolve).once('close', resolve))
  await issuer.close()
  await closed
  await expect(fetchKeys(issuer)).rejects.toThrow(TypeError)
})
