/** An attacker who may send revocations, and the operator, in processes of one API over a real Redis. */
import { describe, expect, test } from 'vitest'
import { redisLog, redisStore } from '../../integrations/redis.js'
import { type ResourceServer, securityEventReceiver } from '../../src/index.js'
import { ask, createBed, denial, granted, RESOURCE, until } from '../support/exchange.js'
import { createSigningKey, signJws, type TestIssuer } from '../support/issuer.js'
import { SECRET } from '../support/processes.js'
import { createRedis, hasRedis } from '../support/redis.js'

const bed = createBed()
const MAX_ENTRIES = 16
const RESERVE = 2
/** What a sender alone may fill. */
const FILLED = 12

describe.skipIf(!hasRedis)('transmitters of some tenants that send revocations without end', () => {
  const redis = createRedis()

  test('OPS-01, SEC-05: fill no process of the fleet: api.revoke() works in each, and holds in all', async () => {
    const loud = [await bed.issuer(), await bed.issuer(), await bed.issuer(), await bed.issuer()]
    const quiet = await bed.issuer()
    const issuers = [...loud, quiet].map(({ issuer }) => issuer)
    const key = createSigningKey('RS256', { kid: 's' })
    const start = async (): Promise<ResourceServer> => {
      const log = redisLog(await redis.client('ioredis'), { subscriber: await redis.client('ioredis') })
      const store = redisStore(await redis.client('ioredis'))
      const api = bed.api({
        issuers,
        shared: { store, secret: SECRET, log },
        revocation: { maxEntries: MAX_ENTRIES }
      })
      await api.ready()
      return api
    }
    const known = (api: ResourceServer): number => api.stats().revocations.entries
    const processes = [await start(), await start(), await start()]
    const receivers = processes.map((api) =>
      securityEventReceiver(api, {
        transmitters: loud.map(({ issuer }) => ({ issuer, jwks: { keys: [key.publicJwk] } }))
      })
    )
    const send = async (to: number, sub: string, { issuer: iss }: TestIssuer): Promise<number | undefined> => {
      const events = { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {} }
      const claims = {
        iss,
        aud: RESOURCE,
        iat: Math.floor(bed.clock.now()),
        jti: sub,
        sub_id: { format: 'iss_sub', iss, sub },
        events
      }
      const body = signJws({ typ: 'secevent+jwt', alg: 'RS256', kid: 's' }, claims, key)
      return (await receivers[to]?.({ method: 'POST', contentType: 'application/secevent+jwt', body }))?.status
    }
    // At once, so that each process takes some before it hears what the others took.
    const sent = Array.from({ length: 6 * MAX_ENTRIES }, (_, i) => send(i % 3, `x${i}`, loud[i % 4] as TestIssuer))
    const taken = (await Promise.all(sent)).filter((status) => status === 202).length
    expect(taken).toBeGreaterThan(MAX_ENTRIES)
    await until(() => processes.every((api) => known(api) >= FILLED))
    processes.push(await start())
    for (const api of processes) expect(known(api)).toBeLessThanOrEqual(MAX_ENTRIES - RESERVE)

    for (const api of processes) expect(await ask(api, quiet.token({ claims: { sid: 's' } }))).toEqual(granted)
    for (const api of processes) {
      await api.revoke({ issuer: quiet.issuer, sessionId: 's' })
      expect(await ask(api, quiet.token({ claims: { sid: 's' } }))).toEqual(denial.inactive)
    }
    await Promise.all(processes.map((api) => api.close()))
  })
})
