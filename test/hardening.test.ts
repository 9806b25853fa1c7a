/**
 * What must not happen whatever goes wrong around this package: a process that ends, a wait without end, a door left
 * open by somebody else's object. Each of these happened once.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createLimits } from '../src/http/breaker.js'
import { bearerToken, type Check, claims, type resourceServer, scope } from '../src/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  RESOURCE,
  request,
  unavailableFor
} from './support/exchange.js'
import { createClock, fault } from './support/issuer.js'

const bed = createBed()
const run = promisify(execFile)

describe('a key set that stays unreachable', () => {
  test('OPS-01: past its stale time a remembered token is refused with 503, and no rejection is left over', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const long = () => issuer.token({ claims: { exp: bed.clock.now() + 90_000 } })
    expect(await ask(api, long())).toEqual(granted)
    issuer.always('jwks', fault.status(500))
    bed.clock.advance(600 + 3500)
    const token = long()
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(200)
    // vitest fails a run in which a rejection is left unhandled.
    expect((await ask(api, token)).status).toBe(503)
  })
})

describe('the functions of the user', () => {
  test.each([
    [
      'auth of introspection',
      {
        issuer: 'https://as.example.com',
        introspection: { endpoint: 'http://127.0.0.1:1', auth: () => new Promise<void>(() => {}) }
      }
    ]
  ])('%s that never finishes gives 503 when the deadline is over, and its place back', async (_what, issuer) => {
    const api = bed.api({ issuers: [issuer], callbackTimeout: 0.05 })
    expect(await ask(api, 'opaque')).toEqual(denial.unavailable)
    expect(api.health().issuers[0]?.introspection).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('an issuer resolver that never answers gives 503 when the deadline is over', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: () => new Promise<string>(() => {}), callbackTimeout: 0.05 })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
  })

  test('an issuer resolver is asked about 256 names at once, and no more', async () => {
    const issuer = await bed.issuer()
    let asked = 0
    const api = bed.api({
      issuers: () => {
        asked++
        return new Promise<string>(() => {})
      },
      callbackTimeout: 0.2
    })
    const answers = Array.from({ length: 300 }, (_, i) =>
      ask(api, issuer.token({ claims: { iss: `https://as.example.com/${i}` } }))
    )
    expect((await Promise.all(answers)).filter(({ retryAfter }) => retryAfter === '1')).toHaveLength(44)
    expect(asked).toBe(256)
  })

  test('ORD-02: a check that is written like a predicate lets nobody in by answering false', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const forbidden = {
      status: 403,
      challenge: null,
      retryAfter: null,
      body: expect.objectContaining({ error: 'access_denied' })
    }
    const no = (() => false) as unknown as Check
    const noLater = (async () => false) as unknown as Check
    expect(await ask(api, issuer.token(), no)).toEqual(forbidden)
    expect(await ask(api, issuer.token(), noLater)).toEqual(forbidden)
  })

  test('ORD-02: a thenable whose then() answers nothing is waited for', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const later = (value: unknown): never => foreign((resolve) => setImmediate(() => resolve(value)))
    expect(
      (
        await ask(
          api,
          issuer.token(),
          claims(() => later(false))
        )
      ).status
    ).toBe(403)
    expect(
      await ask(
        api,
        issuer.token(),
        claims(() => later(true))
      )
    ).toEqual(granted)
    const refusing = (): never => foreign((_resolve, reject) => setImmediate(() => reject(new Error('no'))))
    await expect(authorize(api, issuer.token(), refusing)).rejects.toThrow('no')
  })

  test('ORD-02: a clock that answers no number lets nothing in', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer], now: () => Number.NaN })
    expect(await ask(api, issuer.token())).toEqual(denial.expired)
  })

  test('SEC-01: a secret that cannot be sent is not quoted by what refuses it', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, { auth: bearerToken(() => 'se\ncret') })] })
    const error = await Promise.resolve(authorize(api, 'opaque')).catch((cause: unknown) => cause as Error)
    expect(error).toMatchObject({ status: 500 })
    expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toContain('cret\n')
    expect(String((error as Error).cause)).not.toContain('se\ncret')
  })

  test('enforce() takes no access but those that the same server granted', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const other = bed.api({ issuers: [issuer.issuer] })
    const access = await authorize(other, issuer.token())
    expect(() => api.enforce({ ...access, hasScope: () => true }, request(), scope('write'))).toThrow(TypeError)
    expect(() => api.enforce(access, request(), scope('read'))).toThrow('this resource server granted')
  })
})

describe('introspection', () => {
  test.each([
    { typ: 'ID' },
    { typ: 'Refresh' },
    { token_use: 'id' },
    { token_use: 'refresh_token' },
    { token_type: 'refresh_token' }
  ])('ATV-12 (RFC 8725 §3.12): an answer that says %j is not about an access token', async (members) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, issuer.opaque(members))).toEqual(denial.type)
  })

  test.each([{ typ: 'Bearer' }, { token_use: 'access' }, { token_use: 'access_token' }, { token_type: 'Bearer' }])(
    'RFC 7662 §2.2: an answer that says %j is',
    async (members) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)] })
      expect(await ask(api, issuer.opaque(members))).toEqual(granted)
    }
  )

  test('what waits in the queue while the breaker opens does not go out any more', async () => {
    const clock = createClock()
    const limits = createLimits(clock.now)
    const unavailable = await refusalOf(bed.api({ issuers: ['http://127.0.0.1:1'], http: { deadline: 0.05 } }))
    let calls = 0
    const fail = async (): Promise<never> => {
      calls++
      await Promise.resolve()
      throw unavailable
    }
    const all = await Promise.allSettled(Array.from({ length: 320 }, () => limits.run(fail, 'stranger')))
    expect(all.every(({ status }) => status === 'rejected')).toBe(true)
    expect(calls).toBe(48)
    expect(limits.health()).toMatchObject({ state: 'open', underWay: 0, queued: 0 })
  })

  test('Retry-After is passed on up to an hour', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    issuer.always('introspection', fault.retryAfter(999_999_999))
    expect(await ask(api, 'opaque')).toEqual(unavailableFor(3600))
  })

  test('answers are remembered up to so many bytes, however few they are', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    for (let i = 0; i < 290; i++) expect(await ask(api, issuer.opaque({ junk: 'x'.repeat(60_000) }))).toEqual(granted)
    const { entries, bytes, maxBytes } = api.stats().cache.active
    expect(bytes).toBeLessThanOrEqual(maxBytes)
    expect(entries).toBeGreaterThan(250)
    expect(entries).toBeLessThan(290)
  })

  test('an answer of more than a 256th of their room is given and not remembered, by its objects and not its text', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ nests: Array.from({ length: 1100 }, () => ({})) })
    for (const asked of [1, 2]) {
      expect(await ask(api, token)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(asked)
    }
    expect(api.stats().cache.active).toMatchObject({ entries: 0, bytes: 0 })
  })

  test('a tenant whose settings changed has none of its answers remembered under the old ones', async () => {
    const issuer = await bed.issuer()
    let scopeClaim = 'scope'
    const api = bed.api({ issuers: () => introspecting(issuer, { cacheFor: 300 }, { scopeClaim }) })
    const token = issuer.opaque({ exp: bed.clock.now() + 900, roles: ['other'] })
    expect(await ask(api, token)).toEqual(granted)
    scopeClaim = 'roles'
    bed.clock.advance(299)
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(2)
    expect((await ask(api, token)).status).toBe(403)
  })
})

test('OPS-01: the package as built exits by itself after a refusal in an outage', async () => {
  const index = fileURLToPath(new URL('../dist/src/index.js', import.meta.url))
  const program = `
    const { resourceServer } = await import(${JSON.stringify(index)})
    const api = resourceServer({ resource: '${RESOURCE}', issuers: ['http://127.0.0.1:1'] })
    const line = 'Bearer ' + [{ alg: 'ES256', typ: 'at+jwt' }, { iss: 'http://127.0.0.1:1', aud: '${RESOURCE}', sub: 'a', client_id: 'c', jti: 'j', iat: 1, exp: 9e9 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.' + 'A'.repeat(86)
    const request = { method: 'GET', url: '/', fieldLines: (name) => (name === 'authorization' ? [line] : []) }
    try { await api.authorize(request) } catch (error) { console.log(error.status) }`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', program])
  expect(stdout).toBe('503\n')
  // Without a logger, the failure is a process warning.
  expect(stderr).toMatch(
    /^\(node:\d+\) \[OAUTH_RS_UNAVAILABLE\] Warning: [^\n]*ECONNREFUSED[^\n]*\n\(Use `node --trace-warnings[^\n]*\n$/
  )
})

async function refusalOf(api: ReturnType<typeof resourceServer>): Promise<Error> {
  try {
    await api.ready()
  } catch (error) {
    return error as Error
  }
  throw new Error('it was ready')
}

/** An object that `await` takes for a promise, and whose `then` answers nothing. */
function foreign(settle: (resolve: (value: unknown) => void, reject: (error: Error) => void) => void): never {
  const then = (resolve: (value: unknown) => void, reject: (error: Error) => void): void => settle(resolve, reject)
  // oxlint-disable-next-line unicorn/no-thenable -- that is what is tested
  return Object.defineProperty({}, 'then', { value: then }) as never
}

/** JSON of this many lists in one another. */
function nested(levels: number): string {
  return `${'['.repeat(levels)}${']'.repeat(levels)}`
}

describe('JOS-21: a value nested deeper than 64 levels, the object of all claims counted', () => {
  test.each([
    [62, granted],
    [63, granted],
    [64, denial.malformed],
    [65, denial.malformed],
    [2000, denial.malformed]
  ])('in a claim of %i levels of a JWT is answered %o', async (levels, expected) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    for (const claims of [
      { deep: JSON.parse(nested(levels)) },
      { act: { sub: 'a', b: JSON.parse(nested(levels - 1)) } }
    ])
      expect(await ask(api, issuer.token({ claims }))).toEqual(expected)
  })

  test('in a JWT that is let in, can be written down with all the rest', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    const access = await authorize(api, issuer.token({ claims: { deep: JSON.parse(nested(63)) } }))
    expect(JSON.parse(JSON.stringify(access))).toMatchObject({ subject: 'u1' })
  })

  test('in many claims side by side is not deep: 3000 lists are let in', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [issuer.issuer] })
    expect(await ask(api, issuer.token({ claims: { wide: Array.from({ length: 3000 }, () => []) } }))).toEqual(granted)
  })

  test.each([64, 2000, 20_000])(
    'in an introspection answer (%i levels) is 401 about this token, remembered neither as active nor as inactive',
    async (levels) => {
      const issuer = await bed.issuer()
      const api = bed.api({ issuers: [introspecting(issuer)] })
      const token = issuer.opaque()
      issuer.script('introspection', ({ response, normal }) => {
        const body = `${normal.body.slice(0, -1)},"authorization_details":${nested(levels)}}`
        response.writeHead(200, { 'content-type': 'application/json' }).end(body)
      })
      expect(await ask(api, token)).toEqual(denial.claim)
      expect(await ask(api, issuer.opaque())).toEqual(granted)
      expect(await ask(api, token)).toEqual(granted)
      expect(issuer.count('introspection')).toBe(3)
    }
  )

  test('in what a dialect reads is 401, also where the value holds itself', async () => {
    const issuer = await bed.issuer()
    const self: Record<string, unknown> = { aud: RESOURCE, scope: 'read' }
    self['self'] = self
    const dialect = { form: (token: string) => ({ token }), read: () => self }
    const api = bed.api({ issuers: [introspecting(issuer, { dialect })] })
    expect(await ask(api, 'opaque')).toEqual(denial.claim)
  })
})
