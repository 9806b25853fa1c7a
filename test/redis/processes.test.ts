/**
 * Processes of the operating system, one with each client, that share a Redis and nothing else; the package as it is
 * installed. What each knows is seen in its answers, and in how often the authorization server is asked.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Health, Stats } from '../../src/index.js'
import { createDpopKey } from '../support/dpop.js'
import { strangeKey } from '../support/exchange.js'
import { startIssuer, type TestIssuer } from '../support/issuer.js'
import { kept, SECRET } from '../support/processes.js'
import { CLIENTS, type ClientName, createRedis, hasRedis } from '../support/redis.js'

const PROCESS = fileURLToPath(new URL('../support/redis-process.mjs', import.meta.url))

describe.skipIf(!hasRedis)('several processes', () => {
  const redis = createRedis()
  const key = createDpopKey()
  const children: ChildProcess[] = []
  let issuer: TestIssuer
  let origins: string[]

  beforeAll(async () => {
    issuer = await startIssuer()
    origins = await Promise.all(CLIENTS.map((client) => start(client)))
  })
  afterAll(async () => {
    for (const child of children) {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    await issuer.close()
  })

  async function start(client: ClientName): Promise<string> {
    const child = spawn(process.execPath, [PROCESS], {
      env: {
        PATH: process.env['PATH'],
        CLIENT: client,
        ISSUER: issuer.issuer,
        REDIS_PORT: String(redis.port),
        SECRET
      },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    children.push(child)
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    return line
  }

  interface Answer {
    readonly status: number
    readonly body: string
    readonly retryAfter: string | null
    readonly challenge: string | null
  }
  async function call(origin: string, headers: Record<string, string>): Promise<Answer> {
    const response = await fetch(`${origin}/items`, { headers })
    return {
      status: response.status,
      body: await response.text(),
      retryAfter: response.headers.get('retry-after'),
      challenge: response.headers.get('www-authenticate')
    }
  }
  const bearer = (origin: string, token: string): Promise<Answer> => call(origin, { authorization: `Bearer ${token}` })
  const dpop = (origin: string, token: string, proof: string): Promise<Answer> =>
    call(origin, { authorization: `DPoP ${token}`, dpop: proof })
  const bound = (): string => issuer.token({ claims: { cnf: { jkt: key.jkt } } })
  const proofOf = (token: string): string => key.proof({ token, at: Math.floor(Date.now() / 1000) })
  const state = async (origin: string): Promise<{ health: Health; stats: Stats }> =>
    (await fetch(`${origin}/state`)).json() as Promise<{ health: Health; stats: Stats }>
  const junk = (): string => issuer.token({ key: strangeKey(`x${Math.random()}`) })
  const ok = { status: 200, body: 'u1', retryAfter: null, challenge: null }
  const outage = {
    status: 503,
    body: '{"error":"temporarily_unavailable"}',
    retryAfter: '5',
    challenge: null
  }

  test('INT-11: introspect a token once in total', async () => {
    const token = issuer.opaque()
    const [first = '', ...others] = origins
    expect(await bearer(first, token)).toEqual(ok)
    await kept(redis, 'introspection')
    expect(await Promise.all(others.map((origin) => bearer(origin, token)))).toEqual([ok, ok])
    expect(issuer.count('introspection')).toBe(1)
  })

  test('DPP-19 DPP-22 (RFC 9449 §11.1): accept a proof once in total', async () => {
    const token = bound()
    for (let round = 0; round < 3; round++) {
      const proof = proofOf(token)
      const answers = await Promise.all(
        Array.from({ length: 24 }, (_, i) => dpop(origins[i % 3] as string, token, proof))
      )
      expect(answers.filter(({ status }) => status === 200)).toEqual([ok])
      expect(answers.filter(({ body }) => body.includes('DPoP proof has been used already'))).toHaveLength(23)
    }
  })

  test('KEY-07: fetch a new key once in total', async () => {
    const token = issuer.token()
    for (const origin of origins) expect(await bearer(origin, token)).toEqual(ok)
    await kept(redis, 'jwks')
    issuer.rotate('switch')
    issuer.reset()
    const fresh = issuer.token()
    expect(await Promise.all(origins.map((origin) => bearer(origin, fresh)))).toEqual([ok, ok, ok])
    expect(issuer.count('jwks')).toBe(1)
  })

  test('SET-09: share a revocation', async () => {
    const token = issuer.token({ claims: { sub: 'somebody' } })
    for (const origin of origins) expect((await bearer(origin, token)).status).toBe(200)
    await fetch(`${origins[0]}/revoke/somebody`)
    for (const origin of origins) {
      while ((await state(origin)).stats.revocations.entries === 0);
      expect((await bearer(origin, token)).body).toContain('The access token is not active')
    }
  })

  test('DEN-16: without Redis each works alone, except for what only all can know; and together after the outage', async () => {
    const known = issuer.token()
    for (const origin of origins) expect(await bearer(origin, known)).toEqual(ok)
    await redis.kill()
    const opaque = issuer.opaque()
    issuer.reset()
    for (const origin of origins) {
      expect(await bearer(origin, known)).toEqual(ok)
      expect(await bearer(origin, issuer.token())).toEqual(ok)
      expect(await bearer(origin, opaque)).toEqual(ok)
      const token = bound()
      expect(await dpop(origin, token, proofOf(token))).toEqual(outage)
    }
    expect(issuer.count('introspection')).toBe(3)
    for (const origin of origins) {
      while ((await state(origin)).stats.shared?.state !== 'paused') await bearer(origin, issuer.opaque())
      expect((await state(origin)).health.status).toBe('degraded')
    }
    await redis.start()
    for (const origin of origins) {
      const token = bound()
      let answer = await dpop(origin, token, proofOf(token))
      while (answer.status === 503) answer = await dpop(origin, token, proofOf(token))
      expect(answer).toEqual(ok)
    }
    const token = bound()
    const proof = proofOf(token)
    const answers = await Promise.all(origins.map((origin) => dpop(origin, token, proof)))
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 401, 401])
  })

  test('KEY-08: one that starts while the authorization server is down verifies with what another has fetched', async () => {
    // Redis has forgotten everything: a key that is unknown makes one of them fetch and say what it found.
    while ((await redis.look.keys('oauth-rs:jwks:*')).length === 0) await bearer(origins[0] as string, junk())
    const token = issuer.token()
    // Where the keys are was known all the time.
    await issuer.close()
    const late = await start('ioredis')
    expect(await bearer(late, token)).toEqual(ok)
    expect((await bearer(late, junk())).status).toBe(503)
    expect((await state(late)).health.status).toBe('degraded')
  })
})
