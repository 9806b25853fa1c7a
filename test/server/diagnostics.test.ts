/** What `node:diagnostics_channel` tells those who listen, and that nobody else notices. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { type RefusalEvent, scope, type WarningEvent } from '../../src/index.js'
import { ask, createBed, denial, granted, RESOURCE, refusal, request, strangeKey } from '../support/exchange.js'
import { fault } from '../support/issuer.js'

const bed = createBed()
const REFUSAL = 'oauth-resource-server:refusal'
const WARNING = 'oauth-resource-server:warning'
const ended: (() => void)[] = []

afterEach(() => {
  for (const end of ended.splice(0)) end()
})

function listen<Event>(name: string): Event[] {
  const events: Event[] = []
  const listener = (event: unknown): void => void events.push(event as Event)
  subscribe(name, listener)
  ended.push(() => unsubscribe(name, listener))
  return events
}

describe('oauth-resource-server:refusal', () => {
  test('tells of each refusal once: the very error that is thrown, with its reason and its answer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const events = listen<RefusalEvent>(REFUSAL)
    const token = issuer.token({ claims: { exp: 1 } })
    const error = await refusal(() => api.authorize(request(token), scope('read')))
    expect(events).toEqual([{ resource: RESOURCE, error }])
    expect(events[0]?.error).toBe(error)
    expect(error.reason).toBe('expired')
    expect(events[0]?.error.headers).toMatchObject({ 'WWW-Authenticate': [expect.stringContaining('scope="read"')] })
  })

  test('tells of missing credentials, of scopes and of outages too, and of nothing that was granted', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const events = listen<RefusalEvent>(REFUSAL)
    expect(await ask(api, issuer.token())).toEqual(granted)
    await ask(api, undefined)
    await ask(api, issuer.token({ claims: { scope: 'x' } }))
    issuer.always('jwks', fault.status(404))
    await ask(api, issuer.token({ key: strangeKey('x') }))
    expect(events.map(({ error }) => [error.status, error.reason])).toEqual([
      [401, 'credentials_missing'],
      [403, 'insufficient_scope'],
      [503, 'jwks_unavailable']
    ])
  })

  test('SEC-01 (RFC 9700 §4.9.3): holds no token, however closely it is looked at', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const events = listen<RefusalEvent>(REFUSAL)
    const tokens = [
      issuer.token({ key: strangeKey('x') }),
      issuer.token({ claims: { aud: 'x' } }),
      issuer.token({ claims: { exp: 1 } }),
      'opaque-token-0123456789'
    ]
    for (const token of tokens) await ask(api, token)
    expect(events).toHaveLength(tokens.length)
    for (const [i, event] of events.entries()) {
      expect(inspect(event, { depth: 9, showHidden: true })).not.toContain(tokens[i])
      expect(JSON.stringify(event)).not.toContain(tokens[i])
    }
  })

  test('a listener that throws does not turn a refusal into a pass', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const thrown: unknown[] = []
    const listener = (): void => {
      throw new Error('listener')
    }
    // The channel reports such an error as uncaught; this test takes the place of whoever would hear of it.
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const heard = new Promise<void>((resolve) => {
      process.once('uncaughtException', (error) => {
        thrown.push(error)
        resolve()
      })
    })
    subscribe(REFUSAL, listener)
    try {
      expect(await ask(api, issuer.token({ claims: { exp: 1 } }))).toEqual(denial.expired)
      await heard
    } finally {
      unsubscribe(REFUSAL, listener)
      for (const other of others) process.on('uncaughtException', other)
    }
    expect(thrown).toEqual([new Error('listener')])
  })
})

describe('oauth-resource-server:warning', () => {
  test('tells an operator of an oddity once, with the issuer it is about', async () => {
    const issuer = await bed.issuer()
    issuer.jwks.keys.push({ kty: 'AKP' })
    issuer.metadata.protected_resources = []
    const api = bed.api({ issuers: [issuer.issuer] })
    const events = listen<WarningEvent>(WARNING)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
    expect(issuer.count('jwks')).toBe(2)
    expect(events).toEqual([
      {
        resource: RESOURCE,
        issuer: issuer.issuer,
        message: 'metadata: `protected_resources` does not list https://api.example.com (RFC 9728 §4)'
      },
      {
        resource: RESOURCE,
        issuer: issuer.issuer,
        message: 'key set: keys[1] has an unsupported combination of kty, crv and alg'
      }
    ])
  })

  test('is silent about an ordinary issuer', async () => {
    const issuer = await bed.issuer()
    const events = listen(WARNING)
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), issuer.token())).toEqual(granted)
    expect(events).toEqual([])
  })
})
