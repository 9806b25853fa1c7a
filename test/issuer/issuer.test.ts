/** The life of a trusted issuer: ready(), health(), stats() and close(), and what a process is left with after them. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Agent } from 'undici'
import { beforeAll, describe, expect, test } from 'vitest'
import type { IssuerHealth, ResourceServer } from '../../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  refusal,
  strangeKey,
  unavailableFor,
  until
} from '../support/exchange.js'
import { fault } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

function healthOf(api: ResourceServer): IssuerHealth {
  return api.health().issuers[0] as IssuerHealth
}

describe('ready()', () => {
  test('loads metadata and keys, so that the first token is answered in the same tick', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await api.ready()).toBeUndefined()
    expect(issuer.requests.map(({ endpoint }) => endpoint)).toEqual(['metadata', 'jwks'])
    expect(authorize(api, issuer.token())).not.toBeInstanceOf(Promise)
    await api.ready()
    expect(issuer.requests).toHaveLength(2)
  })

  test('loads what an issuer will need, and nothing else', async () => {
    const issuer = await bed.issuer()
    const endpoint = `${issuer.origin}/introspect`
    const jwksUri = `${issuer.origin}/jwks`
    const loaded = async (...issuers: Parameters<typeof bed.api>[0]['issuers'] & object[]) => {
      issuer.reset()
      await bed.api({ issuers }).ready()
      return issuer.requests.map((request) => request.endpoint)
    }
    expect(await loaded(introspecting(issuer, {}, { tokens: 'opaque' }))).toEqual(['metadata'])
    expect(await loaded(introspecting(issuer, { endpoint }, { tokens: 'opaque' }))).toEqual([])
    expect(await loaded(introspecting(issuer))).toEqual(['metadata', 'jwks'])
    expect(await loaded(introspecting(issuer, { endpoint }, { jwksUri }))).toEqual(['jwks'])
    expect(await loaded({ issuer: issuer.issuer, jwksUri })).toEqual(['jwks'])
    expect(await loaded({ issuer: issuer.issuer, jwks: issuer.jwks })).toEqual([])
  })

  test('rejects with the failure, and may be called again', async () => {
    const [well, sick] = [await bed.issuer(), await bed.issuer()]
    sick.script('jwks', fault.status(404))
    const api = bed.api({ issuers: [well.issuer, sick.issuer] })
    await expect(api.ready()).rejects.toMatchObject({ status: 503, dependency: 'jwks' })
    bed.clock.advance(1)
    await api.ready()
    expect(api.health().status).toBe('ok')
  })

  test('reports an issuer without an introspection endpoint', async () => {
    const issuer = await bed.issuer()
    issuer.metadata.introspection_endpoint = undefined
    const api = bed.api({ issuers: [introspecting(issuer)] })
    await expect(api.ready()).rejects.toMatchObject({
      status: 500,
      hint: expect.stringContaining('introspection_endpoint')
    })
  })
})

describe('a key set that has moved', () => {
  /** What is at the old place answers as `fault`; the metadata names the new one. */
  async function moved(status: number) {
    const issuer = await bed.issuer()
    const elsewhere = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    elsewhere.jwks.keys.splice(0, 99, ...issuer.jwks.keys)
    issuer.always('jwks', fault.status(status))
    issuer.metadata.jwks_uri = `${elsewhere.origin}/jwks`
    return { issuer, elsewhere, api }
  }

  test.each([404, 410, 403, 400])('is found through the metadata when its old URL answers %i', async (status) => {
    const { issuer, elsewhere, api } = await moved(status)
    issuer.rotate('switch')
    elsewhere.jwks.keys.splice(0, 99, ...issuer.jwks.keys)
    bed.clock.advance(31)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect([elsewhere.count('jwks'), issuer.count('jwks')]).toEqual([1, 2])
    expect(healthOf(api)).toMatchObject({ status: 'ok', metadata: { age: 0 }, jwks: { age: 0 } })
  })

  test('is not searched for if the old URL answers 5xx, which says nothing about a move', async () => {
    const { issuer, elsewhere, api } = await moved(500)
    issuer.rotate('switch')
    bed.clock.advance(31)
    expect(await ask(api, issuer.token())).toMatchObject({ status: 503 })
    expect(elsewhere.count('jwks')).toBe(0)
  })

  test('is searched for as seldom as metadata may be fetched, and the old answer stands meanwhile', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    const before = issuer.count('metadata')
    issuer.always('jwks', fault.status(404))
    for (let i = 0; i < 20; i++) {
      bed.clock.advance(1)
      expect(await ask(api, issuer.token({ key: strangeKey(`stranger${i}`) }))).toMatchObject({ status: 503 })
    }
    expect(issuer.count('metadata')).toBe(before + 1)
    const error = expect.stringContaining('answered 404 for the key set')
    expect(healthOf(api)).toMatchObject({ status: 'degraded', jwks: { error } })
  })

  test('is not searched for if the settings give its URL', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }] })
    issuer.always('jwks', fault.status(404))
    expect(await ask(api, issuer.token())).toMatchObject({ status: 503 })
    expect(issuer.count('metadata')).toBe(0)
  })
})

describe('health()', () => {
  const nothing = { age: undefined, freshFor: undefined, error: undefined }

  test('is ok before anything was needed, and knows nothing', async () => {
    const issuer = await bed.issuer()
    expect(bed.api({ issuers: [issuer.issuer] }).health()).toEqual({
      status: 'ok',
      issuers: [
        {
          issuer: issuer.issuer,
          status: 'ok',
          metadata: nothing,
          jwks: { ...nothing, keys: 0 },
          introspection: {
            state: 'closed',
            underWay: 0,
            queued: 0,
            strangers: { underWay: 0, queued: 0 },
            limitedFor: 0
          },
          warnings: []
        }
      ]
    })
  })

  test('reports the age of each document and how long it stays fresh, in seconds', async () => {
    const issuer = await bed.issuer({ algorithms: ['ES256', 'RS256'] })
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    bed.clock.advance(100)
    expect(healthOf(api)).toMatchObject({
      status: 'ok',
      metadata: { age: 100, freshFor: 3500, error: undefined },
      jwks: { age: 100, freshFor: 500, keys: 2, error: undefined }
    })
    bed.clock.advance(600)
    expect(healthOf(api)).toMatchObject({ status: 'ok', jwks: { age: 700, freshFor: -100 } })
  })

  test('reports no age for keys in the settings', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, jwks: issuer.jwks }] })
    await api.ready()
    bed.clock.advance(1e6)
    expect(healthOf(api)).toMatchObject({ status: 'ok', jwks: { keys: 1, freshFor: undefined, error: undefined } })
  })

  test('is degraded while it serves from memory, failed when that ends, and ok after a success', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    issuer.always('jwks', fault.html200())
    bed.clock.advance(601)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(healthOf(api)).toMatchObject({
      status: 'degraded',
      jwks: { age: 601, keys: 1, error: expect.stringContaining('did not answer with a key set') }
    })
    bed.clock.advance(3600)
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(api.health().status).toBe('failed')
    issuer.always('jwks', undefined)
    bed.clock.advance(31)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(healthOf(api)).toMatchObject({ status: 'ok', jwks: { age: 0, error: undefined } })
  })

  test('is failed if the first keys or metadata could not be fetched, and names the issuer that was found instead', async () => {
    const [keyless, misnamed] = [await bed.issuer(), await bed.issuer()]
    keyless.always('jwks', fault.emptySet())
    misnamed.always('metadata', fault.wrongIssuer('https://other.example'))
    const apis = [keyless, misnamed].map(({ issuer }) => bed.api({ issuers: [issuer] }))
    for (const api of apis) await api.ready().catch(() => undefined)
    const [one, two] = apis.map(healthOf)
    expect(one).toMatchObject({ status: 'failed', jwks: { error: expect.stringContaining('no usable key') } })
    expect(two).toMatchObject({
      status: 'failed',
      metadata: { error: expect.stringContaining('names the issuer "https://other.example"') }
    })
  })

  test('reports the worst status of all issuers', async () => {
    const issuers = [await bed.issuer(), await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: issuers.map(({ issuer }) => issuer) })
    await api.ready()
    expect(api.health().status).toBe('ok')
    issuers[1]?.always('jwks', fault.status(404))
    bed.clock.advance(601)
    for (const issuer of issuers) expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health().issuers.map(({ status }) => status)).toEqual(['ok', 'degraded', 'ok'])
    expect(api.health().status).toBe('degraded')
  })

  test('ignores keys of an issuer that only introspects, and reports its breaker', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.status(404))
    const api = bed.api({ issuers: [introspecting(issuer, {}, { tokens: 'opaque' })] })
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    expect(healthOf(api)).toMatchObject({ status: 'ok', jwks: { keys: 0 } })
    issuer.always('introspection', fault.retryAfter(60, 503))
    bed.clock.advance(10)
    for (let i = 0; i < 20; i++) expect(await ask(api, `t${i}`)).toEqual(unavailableFor(60))
    expect(healthOf(api)).toMatchObject({ status: 'degraded', introspection: { state: 'open' } })
  })

  test('keeps the latest ten warnings, each once', async () => {
    const issuer = await bed.issuer()
    const junk = Array.from({ length: 12 }, (_, i) => ({ kty: `K${i}` }))
    issuer.jwks.keys.push(...junk)
    const api = bed.api({ issuers: [issuer.issuer] })
    await api.ready()
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.signature)
    const { warnings } = healthOf(api)
    expect(warnings).toEqual(
      Array.from({ length: 10 }, (_, i) => `key set: keys[${i + 3}] has an unsupported combination of kty, crv and alg`)
    )
  })

  test('is a copy: changing it changes nothing', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    ;(healthOf(api).warnings as string[]).push('x')
    expect(healthOf(api).warnings).toEqual([])
  })
})

describe('stats()', () => {
  test('counts cached entries and calls under way, with their limits', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(api.stats()).toEqual({
      cache: {
        verified: { entries: 0, maxEntries: 10_000, bytes: 0, maxBytes: 32 * 1024 * 1024 },
        headers: { entries: 0, maxEntries: 1000, bytes: 0, maxBytes: 16 * 1024 * 1024 },
        scopes: { entries: 0, maxEntries: 1000, bytes: 0, maxBytes: 16 * 1024 * 1024 },
        active: { entries: 0, maxEntries: 10_000, bytes: 0, maxBytes: 16 * 1024 * 1024 },
        inactive: { entries: 0, maxEntries: 1000, bytes: 0, maxBytes: 16 * 1024 * 1024 },
        introspecting: 0,
        knownTokens: { entries: 0, maxEntries: 10_000 },
        statusLists: { entries: 0, maxEntries: 1000, bytes: 0, maxBytes: 64 * 1024 * 1024, failing: 0 }
      },
      issuers: 1,
      keySets: { bytes: 0, maxBytes: 64 * 1024 * 1024 },
      replay: { entries: 0, maxEntries: 250_000, owners: 0 },
      proofKeys: { entries: 0, maxEntries: 5000, bytes: 0, maxBytes: 16 * 1024 * 1024 },
      revocations: { entries: 0, maxEntries: 100_000, bytes: 0, maxBytes: 51_200_000 },
      shared: undefined
    })
    const gate = issuer.hold('introspection')
    const pending = ask(api, issuer.opaque())
    await issuer.received('introspection', 1)
    expect(api.stats().cache.introspecting).toBe(1)
    gate.release()
    expect(await pending).toEqual(granted)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, 'unknown')).toEqual(denial.inactive)
    await until(() => api.stats().cache.introspecting === 0)
    expect(api.stats().cache).toMatchObject({
      verified: { entries: 1, bytes: expect.any(Number) },
      active: { entries: 1 },
      inactive: { entries: 1 }
    })
  })

  test('a refused token leaves nothing behind', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    for (const claims of [{ exp: 1 }, { aud: 'x' }, { sub: 1 }]) await ask(api, issuer.token({ claims }))
    await ask(api, issuer.token({ key: strangeKey('x') }))
    await ask(api, issuer.token({ key: strangeKey(issuer.key().kid) }))
    expect(api.stats().cache.verified.entries).toBe(0)
  })
})

describe('close()', () => {
  test('known tokens keep verifying after it; nothing more is fetched', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    await api.ready()
    await api.close()
    const asked = issuer.requests.length
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(await ask(api, issuer.token({ key: strangeKey('x') }))).toEqual(denial.unavailable)
    expect(await ask(api, issuer.opaque())).toEqual(denial.unavailable)
    expect((await refusal(() => authorize(api, issuer.opaque()))).hint).toContain('was closed')
    expect(issuer.requests).toHaveLength(asked)
    await api.close()
  })

  test('ends a request that waits for the authorization server with 503', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    issuer.always('jwks', fault.hang())
    const pending = ask(api, issuer.token())
    await issuer.received('jwks', 1)
    await api.close()
    expect(await pending).toEqual(denial.unavailable)
  })

  test('does not close a custom dispatcher, which others may use', async () => {
    const issuer = await bed.issuer()
    const dispatcher = bed.closing(new Agent())
    const [one, other] = [0, 1].map(() => bed.api({ issuers: [issuer.issuer], http: { dispatcher } })) as [
      ResourceServer,
      ResourceServer
    ]
    await one.ready()
    await one.close()
    expect([dispatcher.closed, dispatcher.destroyed]).toEqual([false, false])
    expect(await ask(other, issuer.token())).toEqual(granted)
  })
})

describe('a process', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))

  /** Runs a module that imports the package by its name, as built, and tells what it printed. */
  async function run(source: string): Promise<string> {
    const module = `import { resourceServer } from 'oauth-resource-server'\n${source}`
    const args = ['--unhandled-rejections=strict', '--input-type=module', '--eval', module]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000 })
    return stdout.trim()
  }

  const create = (issuer: string) => `resourceServer({ resource: 'https://api.example.com', issuers: ['${issuer}'] })`

  test('OPS-01: ends by itself after its work, with and without close(), since no handle is left', async () => {
    const issuer = await bed.issuer()
    for (const end of ['await api.close()', '']) {
      const printed = await run(`
        const api = ${create(issuer.issuer)}
        await api.ready()
        ${end}
        console.log(api.health().status)
      `)
      expect(printed).toBe('ok')
    }
  })

  test('that awaits ready() while the server is down gets the error, and does not end silently', async () => {
    const issuer = await bed.issuer()
    await issuer.close()
    const printed = await run(`
      const api = ${create(issuer.issuer)}
      await api.ready().catch((error) => console.log(error.status))
      console.log(api.health().status)
    `)
    expect(printed).toBe('503\nfailed')
  })

  test('loads undici only when something is fetched', async () => {
    const issuer = await bed.issuer()
    const token = issuer.token({ claims: { exp: Math.floor(Date.now() / 1000) + 300, iat: undefined } })
    const printed = await run(`
      import Module from 'node:module'
      const loaded = () => Object.keys(Module._cache).some((path) => /node_modules.undici/.test(path))
      const api = resourceServer({
        resource: 'https://api.example.com',
        issuers: [{ issuer: '${issuer.issuer}', jwks: ${JSON.stringify(issuer.jwks)}, requiredClaims: [] }]
      })
      const fieldLines = (name) => (name === 'authorization' ? ['Bearer ${token}'] : [])
      const access = await api.authorize({ method: 'GET', url: '/', fieldLines })
      console.log(access.subject, loaded())
      await ${create(issuer.issuer)}.ready()
      console.log(loaded())
    `)
    expect(printed).toBe('u1 false\ntrue')
  })
})
