/**
 * Every example is run as its reader would run it: a process of its own, on the built package, asked over HTTP. So what
 * the README shows works.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { startIssuer, type TestIssuer } from './support/issuer.js'

const EXAMPLES = new URL('../examples/', import.meta.url)
const SERVERS = ['express.mjs', 'fastify.mjs', 'hono.mjs', 'introspection.mjs', 'koa.mjs']

let issuer: TestIssuer | undefined
let child: ChildProcess | undefined

afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  await issuer?.close()
  child = undefined
  issuer = undefined
})

interface Running {
  readonly origin: string
  readonly line: string
  readonly issuer: TestIssuer
}

/** Starts an issuer, then the example against it, and waits for its first line. */
async function run(example: string): Promise<Running> {
  issuer = await startIssuer()
  const port = await freePort()
  const origin = `http://localhost:${port}`
  child = spawn(process.execPath, [fileURLToPath(new URL(example, EXAMPLES))], {
    env: {
      PATH: process.env.PATH,
      ISSUER: issuer.issuer,
      RESOURCE: origin,
      PORT: String(port),
      CLIENT_ID: 'orders-api',
      CLIENT_SECRET: 's3cret'
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => String(text)),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${example} ended with ${code} before it listened`)))
  ])
  return { origin, line, issuer }
}

/** Outside of the range that `listen(0)` of other tests draws from, so that nobody takes it before the example does. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 5000) * 2; ; port++) {
    const server = createServer().listen(port)
    const free = await Promise.race([
      once(server, 'listening').then(() => true),
      once(server, 'error').then(() => false)
    ])
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** A token for the example, by the standard claims of the issuer. */
function claims(origin: string, scope: string): Record<string, unknown> {
  return { aud: origin, scope, sub: 'alice' }
}

function get(url: string, token?: string): Promise<Response> {
  return fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
}

test('every file of examples/ is run here', () => {
  expect(
    readdirSync(EXAMPLES)
      .filter((name) => name.endsWith('.mjs'))
      .sort()
  ).toEqual(SERVERS)
})

describe.each(SERVERS)('examples/%s', (example) => {
  test('lets in a good token, refuses the others, publishes its metadata and ends on SIGTERM', async () => {
    const { origin, line, issuer } = await run(example)
    const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource"`
    expect(line).toMatch(new RegExp(`^\\w+: ${origin}/orders$`))

    const good = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:read') }))
    expect(good.status).toBe(200)
    expect(await good.json()).toEqual({ orders: [], subject: 'alice' })

    const absent = await get(`${origin}/orders`)
    expect(absent.status).toBe(401)
    expect(absent.headers.get('www-authenticate')).toBe(`Bearer scope="orders:read", ${metadata}`)
    expect(await absent.text()).toBe('')

    const foreign = { ...claims(origin, 'orders:read'), aud: 'https://other.example' }
    const bad = await get(`${origin}/orders`, issuer.token({ claims: foreign }))
    expect(bad.status).toBe(401)
    expect(bad.headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", error_description="The access token audience is not accepted", scope="orders:read", ${metadata}`
    )
    expect(bad.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await bad.json()).toEqual({
      error: 'invalid_token',
      error_description: 'The access token audience is not accepted'
    })

    const lacking = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:write') }))
    expect(lacking.status).toBe(403)
    expect(lacking.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="orders:read", ${metadata}`
    )
    expect(await lacking.json()).toEqual({
      error: 'insufficient_scope',
      error_description: 'The access token lacks a required scope'
    })

    const document = await get(`${origin}/.well-known/oauth-protected-resource`)
    expect(document.status).toBe(200)
    expect(await document.json()).toEqual({
      resource: origin,
      authorization_servers: [issuer.issuer],
      scopes_supported: ['orders:read'],
      bearer_methods_supported: ['header']
    })

    const exited = once(child as ChildProcess, 'exit')
    child?.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })
})

test('examples/introspection.mjs asks about opaque tokens with its client secret, and about no JWT', async () => {
  const { origin, issuer } = await run('introspection.mjs')
  const basic = `Basic ${Buffer.from('orders-api:s3cret').toString('base64')}`
  issuer.introspectionAuth = ({ headers }) => headers.authorization === basic

  const jwt = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:read') }))
  expect(jwt.status).toBe(200)
  expect(issuer.count('introspection')).toBe(0)

  const opaque = await get(`${origin}/orders`, issuer.opaque(claims(origin, 'orders:read')))
  expect(opaque.status).toBe(200)
  expect(await opaque.json()).toEqual({ orders: [], subject: 'alice' })

  const unknown = await get(`${origin}/orders`, 'no-such-token')
  expect(unknown.status).toBe(401)
  expect(unknown.headers.get('www-authenticate')).toBe(
    `Bearer error="invalid_token", error_description="The access token is not active", scope="orders:read", resource_metadata="${origin}/.well-known/oauth-protected-resource"`
  )
  expect(issuer.count('introspection')).toBe(2)
})
