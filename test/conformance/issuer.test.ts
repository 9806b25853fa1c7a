/** The authorization server of the suite: documents, tokens and failures over a real socket. */
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'

async function start(): Promise<RunningIssuer> {
  const issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com' })
  onTestFinished(() => issuer.close())
  return issuer
}

const json = async (url: string): Promise<Record<string, unknown>> =>
  (await (await fetch(url)).json()) as Record<string, unknown>

test('signs a good token by a published key that its metadata leads to', async () => {
  const issuer = await start()
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
  const issuer = await start()
  const before = issuer.publicKey('RS256').jwk['kid']
  issuer.rotateKeys()
  const { keys } = (await json(`${issuer.url}/keys`)) as unknown as { keys: Record<string, string>[] }
  expect(keys.map(({ kid }) => kid)).not.toContain(before)
})

test('introspects an opaque token as active until it is revoked', async () => {
  const issuer = await start()
  const token = issuer.opaque()
  const ask = async (): Promise<unknown> =>
    (await fetch(`${issuer.url}/introspect`, { method: 'POST', body: new URLSearchParams({ token }) })).json()
  expect(await ask()).toMatchObject({ active: true, iss: issuer.url })
  issuer.revoke(token)
  expect(await ask()).toEqual({ active: false })
})

test('fails as it is told, until it recovers, and logs each request', async () => {
  const issuer = await start()
  issuer.fail('keys', { status: 429, fields: { 'Retry-After': '7' } })
  const answer = await fetch(`${issuer.url}/keys`)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7'])
  issuer.recover()
  expect((await fetch(`${issuer.url}/keys`)).status).toBe(200)
  expect(issuer.requests.map(({ path }) => path)).toEqual(['/keys', '/keys'])
})

test('names the port that another process uses', async () => {
  const { url } = await start()
  const port = Number(new URL(url).port)
  await expect(startSuiteIssuer({ port, audience: 'a' })).rejects.toThrow(
    /cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\).*--port/
  )
})
