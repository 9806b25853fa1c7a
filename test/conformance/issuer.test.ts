/** The authorization server of the suite: documents, tokens and failures over a real socket. */
import { createPublicKey, type JsonWebKey, verify, X509Certificate } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import { freePort } from '../support/ports.mjs'

/** Shared, because its keys take long to make. */
let issuer: RunningIssuer

beforeAll(async () => {
  issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com' })
})
afterEach(() => issuer.recover())
afterAll(() => issuer.close())

const json = async (url: string): Promise<Record<string, unknown>> =>
  (await (await fetch(url)).json()) as Record<string, unknown>

// First: making these keys takes longer than a connection stays open.
test('publishes odd keys whose tokens are valid but for the key', async () => {
  expect(() => issuer.odd('roca')).toThrow('not published')
  issuer.publishOddKeys(true)
  const { keys } = (await json(`${issuer.url}/keys`)) as unknown as { keys: JsonWebKey[] & { kid: string }[] }
  const verdict = (name: Parameters<typeof issuer.odd>[0], hash: string): boolean => {
    const [head = '', claims = '', signature = ''] = issuer.odd(name).split('.')
    const { kid } = partOf(head) as { kid: string }
    const key = createPublicKey({ key: keys.find((one) => one.kid === kid) as JsonWebKey, format: 'jwk' })
    const bytes = Buffer.from(signature, 'base64url')
    return verify(hash, Buffer.from(`${head}.${claims}`), { key, dsaEncoding: 'ieee-p1363' }, bytes)
  }
  const valid = (['control', 'roca', 'exponent', 'operations', 'curve', 'ecdsa-one'] as const).map((name) =>
    verdict(name, 'sha256')
  )
  expect(valid).toEqual([true, true, true, true, true, true])
  expect(verdict('sha1', 'sha1')).toBe(true)
  expect(verdict('ecdsa-above-order', 'sha256')).toBe(false)
  issuer.publishOddKeys(false)
  expect(issuer.hasOddKeys).toBe(false)
})

test('signs a good token by a published key that its metadata leads to', async () => {
  const metadata = await json(`${issuer.url}/.well-known/oauth-authorization-server`)
  expect(metadata['issuer']).toBe(issuer.url)
  const { keys } = (await json(metadata['jwks_uri'] as string)) as unknown as { keys: Record<string, string>[] }
  const [head = '', claims = '', signature = ''] = issuer.token().split('.')
  const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string }
  const key = createPublicKey({ key: keys.find((one) => one['kid'] === kid) as JsonWebKey, format: 'jwk' })
  const isSigned = verify('sha256', Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, 'base64url'))
  expect(isSigned).toBe(true)
})

test('publishes only new keys for its algorithms after a rotation', async () => {
  const before = issuer.publicKey('RS256').jwk['kid']
  issuer.rotateKeys()
  const { keys } = (await json(`${issuer.url}/keys`)) as unknown as { keys: Record<string, string>[] }
  expect(keys.map(({ kid }) => kid)).not.toContain(before)
})

test('introspects an opaque token as active until it is revoked', async () => {
  const token = issuer.opaque()
  const ask = async (): Promise<unknown> =>
    (await fetch(`${issuer.url}/introspect`, { method: 'POST', body: new URLSearchParams({ token }) })).json()
  expect(await ask()).toMatchObject({ active: true, iss: issuer.url })
  issuer.revoke(token)
  expect(await ask()).toEqual({ active: false })
})

test('fails as it is told, until it recovers, and logs each request', async () => {
  issuer.fail('keys', { status: 429, fields: { 'Retry-After': '7' } })
  const answer = await fetch(`${issuer.url}/keys`)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7'])
  issuer.recover()
  expect((await fetch(`${issuer.url}/keys`)).status).toBe(200)
  expect(issuer.requests.slice(-2).map(({ path }) => path)).toEqual(['/keys', '/keys'])
})

test('names the port that another process uses', async () => {
  const { url } = issuer
  const port = Number(new URL(url).port)
  await expect(startSuiteIssuer({ port, audience: 'a' })).rejects.toThrow(
    /cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\).*--port/
  )
})

test('packs a good document into a bomb that is 32 MiB', async () => {
  issuer.fail('keys', 'bomb')
  const text = await (await fetch(`${issuer.url}/keys`)).text()
  expect(text.length).toBeGreaterThan(32 * 1024 * 1024)
  expect(JSON.parse(text)).toHaveProperty('keys')
})

test('counts how much of an endless answer a client takes', async () => {
  issuer.fail('keys', 'endless')
  await (await fetch(`${issuer.url}/keys`)).body?.cancel()
  await (await fetch(`${issuer.url}/keys`)).arrayBuffer()
  const [cancelled, read] = issuer.requests.slice(-2).map(({ taken }) => taken)
  expect(read).toBe(64 * 1024 * 1024)
  expect(cancelled).toBeLessThan(24 * 1024 * 1024)
})

test('names another issuer and its own keys while its metadata lies', async () => {
  issuer.fail('metadata', 'lie')
  const metadata = await json(`${issuer.url}/.well-known/oauth-authorization-server`)
  expect(metadata).toMatchObject({ issuer: 'https://another-issuer.example', jwks_uri: `${issuer.url}/lie/keys` })
  expect(await json(`${issuer.url}/lie/keys`)).toEqual({ keys: [issuer.strangerKey()] })
})

test('signs an introspection answer for the client that asks for it, and no other', async () => {
  const body = new URLSearchParams({ token: issuer.opaque() })
  const ask = async (headers: Record<string, string>): Promise<Response> =>
    fetch(`${issuer.url}/introspect`, { method: 'POST', body, headers })
  const plain = await ask({})
  expect(await plain.json()).toMatchObject({ active: true })
  const authorization = `Basic ${Buffer.from('api:secret').toString('base64')}`
  const signed = await ask({ accept: 'application/token-introspection+jwt', authorization })
  expect(signed.headers.get('content-type')).toBe('application/token-introspection+jwt')
  const [head = '', claims = ''] = (await signed.text()).split('.')
  expect(partOf(head)).toMatchObject({ typ: 'token-introspection+jwt' })
  expect(partOf(claims)).toMatchObject({ iss: issuer.url, aud: 'api', token_introspection: { active: true } })
})

const partOf = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())

test('the second issuer has the name of the first one, with the next port', async () => {
  const start = async (attempts: number): Promise<RunningIssuer> => {
    const port = await freePort()
    const options = { port, issuer: `http://host.docker.internal:${port}`, audience: 'https://api.example.com' }
    // Another program may have taken the next port.
    return startSuiteIssuer(options).catch((error: unknown) => {
      if (attempts === 0) throw error
      return start(attempts - 1)
    })
  }
  const named = await start(5)
  onTestFinished(() => named.close())
  const { port } = new URL(named.url)
  expect(named.second?.url).toBe(`http://host.docker.internal:${Number(port) + 1}`)
})

test('the certificate of the unknown key verifies what this key signs', () => {
  const certificate = new X509Certificate(Buffer.from(issuer.strangerCertificate(), 'base64'))
  expect(certificate.verify(certificate.publicKey)).toBe(true)
  const [head, body, signature = ''] = issuer.token({ key: 'unpublished' }).split('.')
  const isSigned = verify(
    'sha256',
    Buffer.from(`${head}.${body}`),
    certificate.publicKey,
    Buffer.from(signature, 'base64url')
  )
  expect(isSigned).toBe(true)
})

test('a forged status list marks no token, and an unknown key signed it', async () => {
  const listed = issuer.listed()
  issuer.revoke(listed)
  const read = async (): Promise<string> => (await fetch(`${issuer.url}/status`)).text()
  const good = await read()
  issuer.fail('status-list', 'lie')
  const forged = await read()
  const part = (token: string, index: number): Record<string, unknown> =>
    JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString())
  expect(part(forged, 0)).toEqual(part(good, 0))
  expect(part(forged, 1)['status_list']).not.toEqual(part(good, 1)['status_list'])
  const key = createPublicKey({ key: issuer.publicKey('RS256').jwk as JsonWebKey, format: 'jwk' })
  const isSigned = (token: string): boolean => {
    const [head, body, signature = ''] = token.split('.')
    return verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))
  }
  expect([isSigned(good), isSigned(forged)]).toEqual([true, false])
})
