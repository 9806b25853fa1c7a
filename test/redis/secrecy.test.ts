/** Everything that several processes say to a Redis while they do all they do with it, read on the wire. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { redisLog, redisStore } from '../../integrations/redis.js'
import type { ResourceServer } from '../../src/index.js'
import { createDpopKey } from '../support/dpop.js'
import { ask, createBed, granted, introspecting, strangeKey, until } from '../support/exchange.js'
import { kept, SECRET } from '../support/processes.js'
import { createRedis, hasRedis } from '../support/redis.js'
import { get, outcome } from '../support/refusals.js'

const bed = createBed()

describe.skipIf(!hasRedis)('what Redis is told', () => {
  const redis = createRedis()

  test('SEC-01, INT-12 (RFC 9700 §4.9.3): no token, no proof, no claim, no hash of them, no secret', async () => {
    const issuer = await bed.issuer()
    const key = createDpopKey()
    const said: string[] = []
    const monitor = await redis.look.monitor()
    monitor.on('error', () => undefined)
    monitor.on('monitor', (_time: string, args: string[]) => said.push(...args))
    const process = async (): Promise<ResourceServer> => {
      const log = redisLog(await redis.client('ioredis'), { subscriber: await redis.client('ioredis') })
      const store = redisStore(await redis.client('ioredis'))
      return bed.api({
        issuers: [introspecting(issuer)],
        dpop: { advertise: true },
        shared: { store, secret: SECRET, log }
      })
    }
    const [a, b] = [await process(), await process()]
    await Promise.all([a.ready(), b.ready()])
    const opaque = issuer.opaque({ sub: 'opaque-subject' }, 'opaque-token-0123456789')
    const jti = 'token-identifier-0123456789'
    const jwt = issuer.token({ claims: { cnf: { jkt: key.jkt }, sub: 'bound-subject', jti } })
    const proof = key.proof({ token: jwt, at: bed.clock.now(), claims: { jti: 'proof-identifier-0123456789' } })
    expect(await ask(a, opaque)).toEqual(granted)
    await kept(redis, 'introspection')
    expect(await ask(b, opaque)).toEqual(granted)
    expect((await outcome(a, get({ authorization: `DPoP ${jwt}`, dpop: proof }))).status).toBe(200)
    expect((await outcome(b, get({ authorization: `DPoP ${jwt}`, dpop: proof }))).status).toBe(401)
    bed.clock.advance(16)
    expect((await ask(a, issuer.token({ key: strangeKey('unknown-kid') }))).status).toBe(401)
    await a.revoke({ issuer: issuer.issuer, subject: 'revoked-subject' })
    await until(() => b.stats().revocations.entries === 1)
    monitor.disconnect()

    const commands = said
      .filter((word) => /^(get|set|publish|subscribe|del|evalsha|eval)$/i.test(word))
      .map((one) => one.toLowerCase())
    expect([...new Set(commands)].sort()).toEqual(['eval', 'evalsha', 'get', 'publish', 'set', 'subscribe'])
    const purposes = said.flatMap((word) => /^oauth-rs:\{?([\w-]+):[\w-]{43}(?:\}\.[\w-]{43})?$/.exec(word)?.[1] ?? [])
    expect([...new Set(purposes)].sort()).toEqual([
      'introspection',
      'jwks',
      'jwks-refetch',
      'known-token',
      'log',
      'metadata',
      'replay'
    ])

    const secrets = [opaque, jwt, proof, jti, key.jkt, 'proof-identifier-0123456789']
    const hashes = secrets.flatMap((one) =>
      (['hex', 'base64', 'base64url'] as const).map((encoding) => createHash('sha256').update(one).digest(encoding))
    )
    const traces = [...secrets, ...hashes, ...jwt.split('.'), ...proof.split('.'), SECRET]
    const public_ = ['opaque-subject', 'bound-subject', 'revoked-subject', issuer.issuer, 'unknown-kid', 'jwks_uri']
    const wire = said.flatMap((word) => [word, Buffer.from(word, 'base64url').toString('latin1')])
    for (const trace of [...traces, ...public_])
      expect(
        wire.filter((word) => word.includes(trace)),
        trace
      ).toEqual([])
  })
})
