/** An attacker who may send revocations, and the operator, in processes of one API over a real Redis. */
import { describe, expect, test } from 'vitest'
import { redisChannel, redisStore } from '../../adapters/redis.js'
import { type ResourceServer, securityEventReceiver } from '../../src/index.js'
import { ask, createBed, denial, granted, RESOURCE, until } from '../support/exchange.js'
import { createSigningKey, signJws } from '../support/issuer.js'
import { SECRET } from '../support/processes.js'
import { createRedis, hasRedis } from '../support/redis.js'

const bed = createBed()
const MAX_ENTRIES = 16
const RESERVE = 2

describe.skipIf(!hasRedis)('a transmitter of one tenant that sends revocations without end', () => {
  const redis = createRedis()

  test('OPS-01, SEC-05: fills no process of the fleet: api.revoke() works in each, and holds in all', async () => {
    const [loud, quiet] = [await bed.issuer(), await bed.issuer()]
    const issuers = [loud.issuer, quiet.issuer]
    const key = createSigningKey('RS256', { kid: 's' })
    const start = async (): Promise<ResourceServer> => {
      const channel = redisChannel(await redis.client('ioredis'), await redis.client('ioredis'))
      const store = redisStore(await redis.client('ioredis'))
      const api = bed.api({
        issuers,
        shared: { store, secret: SECRET, channel },
        revocation: { maxEntries: MAX_ENTRIES }
      })
      await api.ready()
      return api
    }
    const known = (api: ResourceServer): number => api.stats().revocations.entries
    const processes = [await start(), await start(), await start()]
    const receivers = processes.map((api) =>
      securityEventReceiver(api, { transmitters: [{ issuer: loud.issuer, jwks: { keys: [key.publicJwk] } }] })
    )
    const send = async (to: number, sub: string): Promise<number | undefined> => {
      const iss = loud.issuer
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
    let taken = 0
    for (let i = 0; i < 3 * MAX_ENTRIES; i++) {
      if ((await send(i % 3, `x${i}`)) !== 202) continue
      taken++
      // Told to the other processes, which may be asked next.
      await until(() => processes.every((api) => known(api) === taken))
    }
    expect(taken).toBeLessThanOrEqual(MAX_ENTRIES - RESERVE)
    // A process that joins hears of all of it.
    processes.push(await start())
    await until(() => processes.every((api) => known(api) === taken))

    for (const api of processes) expect(await ask(api, quiet.token())).toEqual(granted)
    const operators = processes.slice(-RESERVE)
    for (const [i, api] of operators.entries())
      await api.revoke({ issuer: quiet.issuer, ...(i === 0 ? { sessionId: 'another' } : { before: bed.clock.now() }) })
    await until(() => processes.every((api) => known(api) === taken + RESERVE))
    for (const api of processes) expect(await ask(api, quiet.token())).toEqual(denial.inactive)
    await Promise.all(processes.map((api) => api.close()))
  })
})
