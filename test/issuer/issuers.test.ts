/** Which issuer a token belongs to: a fixed list, or a resolver for dynamic tenants. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import {
  bearerToken,
  Forbidden,
  fresh,
  type HttpOptions,
  InvalidToken,
  type IssuerOptions,
  type IssuerResolver,
  Misconfigured,
  scope,
  Unavailable,
  type WarningEvent
} from '../../src/index.js'
import { keycloak } from '../../src/profiles/index.js'
import {
  type Answered,
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  refusal,
  strangeKey,
  until
} from '../support/exchange.js'
import { fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()

/** A resolver that knows some issuers, and what it was asked. */
function tenants(...issuers: readonly TestIssuer[]) {
  const asked: (string | undefined)[] = []
  const known = new Map<string | undefined, string | IssuerOptions>(issuers.map(({ issuer }) => [issuer, issuer]))
  const resolve: IssuerResolver = (unverifiedIssuer) => {
    asked.push(unverifiedIssuer)
    return known.get(unverifiedIssuer)
  }
  return { asked, known, resolve }
}

describe('a list of issuers', () => {
  test('each issuer is asked for its own keys once, and an outage of one does not affect the others', async () => {
    const [a, b, c] = [await bed.issuer(), await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [a, b, c].map(({ issuer }) => issuer) })
    b.always('metadata', fault.retryAfter(60, 503))
    expect(await ask(api, a.token())).toEqual(granted)
    expect(await ask(api, b.token())).toMatchObject({ status: 503 })
    expect(await ask(api, c.token())).toEqual(granted)
    expect([a, b, c].map((one) => one.count('jwks'))).toEqual([1, 0, 1])
    expect(api.health().issuers.map(({ status }) => status)).toEqual(['ok', 'failed', 'ok'])
    expect(api.health().status).toBe('failed')
  })

  test('rules are per issuer: audience, algorithms and profile of one do not apply to another', async () => {
    const [a, b] = [
      await bed.issuer({ algorithms: ['ES256', 'RS256'] }),
      await bed.issuer({ algorithms: ['ES256', 'RS256'] })
    ]
    const api = bed.api({
      issuers: [
        { issuer: a.issuer, algorithms: ['ES256'], audience: 'urn:a' },
        { issuer: b.issuer, tokenProfile: 'legacy' }
      ]
    })
    expect(await ask(api, a.token({ claims: { aud: 'urn:a' } }))).toEqual(granted)
    expect(await ask(api, b.token({ claims: { aud: 'urn:a' } }))).toEqual(denial.audience)
    expect(await ask(api, a.token({ claims: { aud: 'urn:a' }, alg: 'RS256' }))).toEqual(denial.signature)
    expect(await ask(api, b.token({ alg: 'RS256' }))).toEqual(granted)
    expect(await ask(api, a.token({ claims: { aud: 'urn:a' }, header: { typ: 'JWT' } }))).toEqual(denial.type)
    expect(await ask(api, b.token({ header: { typ: 'JWT' } }))).toEqual(granted)
  })

  test('beside an issuer that introspects everything, a JWT is verified by the issuer of its iss', async () => {
    const [signing, opaque] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [signing.issuer, introspecting(opaque, {}, { tokens: 'opaque' })] })
    expect(await ask(api, signing.token())).toEqual(granted)
    expect(await ask(api, opaque.opaque())).toEqual(granted)
    const jwt = opaque.token()
    opaque.opaque({}, jwt)
    expect(await ask(api, jwt)).toEqual(granted)
    expect([signing.count('introspection'), opaque.count('jwks'), opaque.count('introspection')]).toEqual([0, 0, 2])
  })

  test('the longest prefix wins, in any order of the issuers', async () => {
    const [rest, one] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({
      issuers: [introspecting(rest, { tokenPrefix: '' }), introspecting(one, { tokenPrefix: 'at_' })]
    })
    expect(await ask(api, one.opaque({}, 'at_1'))).toEqual(granted)
    expect(await ask(api, rest.opaque({}, 'xt_1'))).toEqual(granted)
    expect([rest.count('introspection'), one.count('introspection')]).toEqual([1, 1])
  })
})

describe('a resolver', () => {
  test('is called with the unverified iss, before any network request, and its answer is cached for 300 s', async () => {
    const issuer = await bed.issuer()
    const { resolve, asked } = tenants(issuer)
    const api = bed.api({
      issuers: (name) => {
        expect(issuer.requests.filter(({ endpoint }) => endpoint !== 'jwks').length).toBeLessThanOrEqual(1)
        return resolve(name)
      }
    })
    expect(issuer.requests).toEqual([])
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(299)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(asked).toEqual([issuer.issuer])
    bed.clock.advance(1)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(asked).toEqual([issuer.issuer, issuer.issuer])
    // Confirmed, it keeps its keys.
    expect(issuer.count('metadata')).toBe(1)
    expect(issuer.count('jwks')).toBe(1)
  })

  test('ORD-03 (RFC 8725 §3.10): an unknown issuer is refused without a fetch, and the refusal is cached for 30 s', async () => {
    const [issuer, stranger] = [await bed.issuer(), await bed.issuer()]
    const { resolve, asked, known } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    const token = stranger.token({ claims: { exp: bed.clock.now() + 3600 } })
    expect(await ask(api, token)).toEqual(denial.issuer)
    known.set(stranger.issuer, stranger.issuer)
    bed.clock.advance(29)
    expect(await ask(api, token)).toEqual(denial.issuer)
    expect(asked).toEqual([stranger.issuer])
    expect(stranger.requests).toEqual([])
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(granted)
  })

  test('null, as databases return it, means unknown too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (() => null) as unknown as IssuerResolver })
    expect(await ask(api, issuer.token())).toEqual(denial.issuer)
    expect(issuer.requests).toEqual([])
  })

  test('refuses a withdrawn tenant when its 300 s are over, including its cached tokens', async () => {
    const issuer = await bed.issuer()
    const { resolve, known } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    const token = issuer.token({ claims: { exp: bed.clock.now() + 3600 } })
    expect(await ask(api, token)).toEqual(granted)
    known.clear()
    bed.clock.advance(299)
    expect(await ask(api, token)).toEqual(granted)
    // Verified this late, it is still not remembered for longer than its issuer is trusted.
    const late = issuer.token({ claims: { exp: bed.clock.now() + 3600 } })
    expect(await ask(api, late)).toEqual(granted)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(denial.issuer)
    expect(await ask(api, late)).toEqual(denial.issuer)
  })

  test('does not introspect at a withdrawn tenant any more', async () => {
    const issuer = await bed.issuer()
    const { resolve, known } = tenants()
    known.set(undefined, introspecting(issuer, { cacheFor: 300 }, { tokens: 'opaque' }))
    const api = bed.api({ issuers: resolve })
    const token = issuer.opaque({ exp: bed.clock.now() + 3600 })
    expect(await ask(api, token)).toEqual(granted)
    known.clear()
    bed.clock.advance(300)
    expect(await ask(api, token)).toEqual(denial.malformed)
    expect(issuer.count('introspection')).toBe(1)
  })

  test('is called once for many requests with one unknown name, also if it returns a promise', async () => {
    const issuer = await bed.issuer()
    let asked = 0
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    const api = bed.api({
      issuers: async () => {
        asked += 1
        await opened
        return issuer.issuer
      }
    })
    const answers = Array.from({ length: 50 }, () => ask(api, issuer.token()))
    await until(() => asked > 0)
    open()
    expect(await Promise.all(answers)).toEqual(answers.map(() => granted))
    expect(asked).toBe(1)
    expect(issuer.requests.map(({ endpoint }) => endpoint)).toEqual(['metadata', 'jwks'])
  })

  test('a token of a known issuer is answered in the same tick', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: async () => issuer.issuer })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(authorize(api, issuer.token())).not.toBeInstanceOf(Promise)
  })

  test.each([
    [
      'throws',
      (): never => {
        throw new Error('the database is down')
      }
    ],
    [
      'rejects',
      async (): Promise<never> => {
        throw new Error('the database is down')
      }
    ]
  ])('that %s is an outage: 503 with its cause, and another call at the next request', async (_, failing) => {
    const issuer = await bed.issuer()
    let down = true
    const api = bed.api({ issuers: () => (down ? failing() : issuer.issuer) })
    const token = issuer.token()
    expect(await ask(api, token)).toEqual(denial.unavailable)
    const error = await refusal(() => authorize(api, token))
    expect(error).toMatchObject({ dependency: 'issuer', cause: { message: 'the database is down' } })
    expect(error).toBeInstanceOf(Unavailable)
    down = false
    expect(await ask(api, token)).toEqual(granted)
  })

  test('may throw its own refusal', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: () => {
        throw new Forbidden('This tenant has not paid')
      }
    })
    const error = await refusal(() => authorize(api, issuer.token()))
    expect(error).toMatchObject({ status: 403, description: 'This tenant has not paid' })
  })

  test('that refuses two requests at once gives each its own challenge, with the scope of its own route', async () => {
    const issuer = await bed.issuer()
    let reject = (): void => {}
    const refused = new Promise<never>((_, fail) => {
      reject = () => fail(new InvalidToken('issuer'))
    })
    const api = bed.api({ issuers: () => refused })
    const challenges = ['a', 'b'].map(async (one) => {
      const error = await refusal(() => authorize(api, issuer.token(), scope(one)))
      return /scope="(.*?)"/.exec(String(error.headers['WWW-Authenticate']))?.[1]
    })
    reject()
    expect(await Promise.all(challenges)).toEqual(['a', 'b'])
  })

  const invalid: readonly [string, unknown, RegExp][] = [
    ['a URL that is plain http', 'http://as.example.com', /`answer` is a string of 21 characters: use https/],
    ['no URL', 'tenant-1', /`answer` is a string of 8 characters: it must be an issuer identifier/],
    ['a number', 42, /`answer` is 42/],
    ['an unknown option', { issuer: 'https://as.example.com', jwksUrl: 'x' }, /`answer\.jwksUrl` is not an option/],
    ['no issuer', { audience: 'x' }, /`answer\.issuer` is missing/],
    [
      'a URL that climbs',
      'https://as.example.com/t/../x',
      /`answer` is a string of 29 characters: its path would be requested otherwise than it is written/
    ],
    [
      'a URL with an encoded slash',
      { issuer: 'https://as.example.com', jwksUri: 'https://as.example.com/a%2fb' },
      /`answer\.jwksUri` is a string/
    ],
    [
      'an endpoint that climbs',
      {
        issuer: 'https://as.example.com',
        introspection: { auth: () => {}, endpoint: 'https://as.example.com/%2e%2e/x' }
      },
      /`answer\.introspection\.endpoint` is a string/
    ]
  ]
  for (const [name, answer, problem] of invalid) {
    for (const [how, wrap] of [
      ['', (value: unknown) => value],
      [', promised', async (value: unknown) => value]
    ] as const) {
      test(`an answer that is ${name}${how} is our misconfiguration: 500, and the log names it`, async () => {
        const issuer = await bed.issuer()
        const api = bed.api({ issuers: (() => wrap(answer)) as IssuerResolver })
        expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
        const error = await refusal(() => authorize(api, issuer.token()))
        expect(error).toBeInstanceOf(Misconfigured)
        expect(error.hint).toMatch(/^the issuer resolver found/)
        expect(error.hint).toMatch(problem)
      })
    }
  }

  test('the answer of another issuer does not make the token acceptable, since its iss is the first', async () => {
    const [a, b] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: () => b.issuer })
    expect(await ask(api, a.token({ key: b.key() }))).toEqual(denial.issuer)
    expect(await ask(api, b.token())).toEqual(granted)
    expect(a.requests).toEqual([])
  })

  test('is not called for an iss that is not a string, is empty or is longer than 2048 characters', async () => {
    const issuer = await bed.issuer()
    const { resolve, asked } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    for (const iss of [undefined, 1, null, ['x'], {}]) {
      expect(await ask(api, issuer.token({ claims: { iss } }))).toEqual(denial.claim)
    }
    for (const iss of ['', `https://${'x'.repeat(2041)}`])
      expect(await ask(api, issuer.token({ claims: { iss } }))).toEqual(denial.issuer)
    expect(asked).toEqual([])
    expect(await ask(api, issuer.token({ claims: { iss: `https://${'x'.repeat(2040)}` } }))).toEqual(denial.issuer)
    expect(asked).toHaveLength(1)
  })

  test('is called with undefined for an opaque token, and the answer must introspect', async () => {
    const issuer = await bed.issuer()
    const { resolve, asked, known } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    expect(await ask(api, issuer.opaque())).toEqual(denial.malformed)
    bed.clock.advance(30)
    known.set(undefined, introspecting(issuer))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    bed.clock.advance(300)
    known.set(undefined, issuer.issuer)
    expect(await ask(api, issuer.opaque())).toEqual(denial.malformed)
    expect(asked).toEqual([undefined, undefined, undefined])
  })

  test('remembers 1000 names, and a flood of unknown names evicts no known one', async () => {
    const issuer = await bed.issuer()
    const { resolve, asked } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    expect(await ask(api, issuer.token())).toEqual(granted)
    const key = strangeKey('x')
    const stranger = (i: number) => issuer.token({ key, claims: { iss: `https://t${i}.example` } })
    for (let i = 0; i < 1001; i++) expect(await ask(api, stranger(i))).toEqual(denial.issuer)
    expect(asked).toHaveLength(1002)
    // The latest 1000 refusals are remembered, the first one is not.
    expect(await ask(api, stranger(1000))).toEqual(denial.issuer)
    expect(asked).toHaveLength(1002)
    expect(await ask(api, stranger(0))).toEqual(denial.issuer)
    expect(asked).toHaveLength(1003)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(asked).toHaveLength(1003)
    expect(api.stats().issuers).toBe(1)
  })

  test('keeps at most 1000 issuers; the least recently used one is resolved again', async () => {
    const issuer = await bed.issuer()
    const asked: (string | undefined)[] = []
    const jwks = { keys: [...issuer.jwks.keys] }
    const api = bed.api({
      issuers: (name) => {
        asked.push(name)
        return { issuer: name as string, jwks }
      }
    })
    const tenant = (i: number) => issuer.token({ claims: { iss: `https://t${i}.example` } })
    for (let i = 0; i < 1001; i++) expect(await ask(api, tenant(i))).toEqual(granted)
    expect(api.stats().issuers).toBe(1000)
    expect(api.health().issuers).toHaveLength(1000)
    expect(asked).toHaveLength(1001)
    expect(await ask(api, tenant(0))).toEqual(granted)
    expect(asked).toHaveLength(1002)
  })

  test('new settings of a tenant apply when its 300 s are over', async () => {
    const issuer = await bed.issuer()
    const { resolve, known } = tenants()
    known.set(issuer.issuer, { issuer: issuer.issuer, audience: 'urn:one' })
    const api = bed.api({ issuers: resolve })
    const token = (aud: string) => issuer.token({ claims: { aud, exp: bed.clock.now() + 3600 } })
    const one = token('urn:one')
    expect(await ask(api, one)).toEqual(granted)
    known.set(issuer.issuer, { issuer: issuer.issuer, audience: 'urn:two' })
    expect(await ask(api, token('urn:two'))).toEqual(denial.audience)
    bed.clock.advance(300)
    expect(await ask(api, token('urn:two'))).toEqual(granted)
    expect(await ask(api, one)).toEqual(denial.audience)
  })

  test('a deep-equal new answer keeps the keys of its tenant', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: async (name) => ({ issuer: name as string, audience: ['https://api.example.com'] })
    })
    for (let i = 0; i < 3; i++) {
      expect(await ask(api, issuer.token())).toEqual(granted)
      bed.clock.advance(150)
    }
    expect(issuer.count('jwks')).toBe(1)
    expect(api.stats().issuers).toBe(1)
  })

  test('an answer with new functions keeps the keys too, and the new functions apply', async () => {
    const issuer = await bed.issuer()
    let credential = 'first'
    const api = bed.api({
      issuers: async (name) => ({
        issuer: name as string,
        introspection: { clientId: 'api', cacheFor: 0, auth: bearerToken(credential) }
      })
    })
    const used = (): unknown => issuer.requests.at(-1)?.headers['authorization']
    const asked = async (): Promise<void> => {
      const access = authorize(api, issuer.token(), fresh())
      await expect(access).rejects.toMatchObject({ reason: 'inactive' })
    }
    await asked()
    expect(used()).toBe('Bearer first')
    credential = 'second'
    bed.clock.advance(300)
    await asked()
    expect(used()).toBe('Bearer second')
    expect([issuer.count('jwks'), issuer.count('metadata')]).toEqual([1, 1])
    expect(api.stats().issuers).toBe(1)
  })

  test('an answer with new functions keeps the status lists too', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: async (name) => ({
        issuer: name as string,
        statusList: true,
        introspection: { clientId: 'api', auth: bearerToken('x') }
      })
    })
    const uri = issuer.statusList({ bits: 1, lst: 'eNrbuRgAAhcBXQ' }, { claims: { ttl: 3600 } })
    const token = issuer.token({ claims: { exp: bed.clock.now() + 3600, status: { status_list: { idx: 1, uri } } } })
    for (let i = 0; i < 3; i++) {
      expect(await ask(api, token)).toEqual(granted)
      bed.clock.advance(300)
    }
    expect([issuer.count('status'), api.stats().cache.statusLists.entries]).toEqual([1, 1])
  })

  test('notices changed members of the same object, and stops using the old ones', async () => {
    const issuer = await bed.issuer()
    const answer = { issuer: issuer.issuer, audience: ['https://api.example.com'] }
    const api = bed.api({ issuers: () => answer })
    expect(await ask(api, issuer.token())).toEqual(granted)
    answer.audience[0] = 'https://other.example.com'
    bed.clock.advance(300)
    expect(await ask(api, issuer.token())).toEqual(denial.audience)
  })

  test('an answer with other members beside its functions is a new issuer', async () => {
    const issuer = await bed.issuer()
    let clientId = 'one'
    const api = bed.api({
      issuers: async (name) => ({ issuer: name as string, introspection: { clientId, auth: bearerToken('x') } })
    })
    expect(await ask(api, issuer.token())).toEqual(granted)
    clientId = 'two'
    bed.clock.advance(300)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('jwks')).toBe(2)
  })

  test('ready() loads nothing before a token names an issuer, and health() reports no issuer', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: tenants(issuer).resolve })
    await api.ready()
    expect(issuer.requests).toEqual([])
    expect(api.health()).toEqual({ status: 'ok', issuers: [] })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.health()).toMatchObject({ status: 'ok', issuers: [{ issuer: issuer.issuer, status: 'ok' }] })
  })

  test('a clock that is set back does not prolong an answer', async () => {
    const issuer = await bed.issuer()
    const { resolve, asked } = tenants(issuer)
    const api = bed.api({ issuers: resolve })
    expect(await ask(api, issuer.token())).toEqual(granted)
    bed.clock.advance(-1)
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(asked).toHaveLength(2)
  })
})

/** The warnings of this process that an operator reads, while something runs. */
async function warningsWhile(run: () => unknown): Promise<readonly string[]> {
  const messages: string[] = []
  const listen = (event: unknown): unknown => messages.push((event as WarningEvent).message)
  subscribe('oauth-resource-server:warning', listen)
  try {
    await run()
  } finally {
    unsubscribe('oauth-resource-server:warning', listen)
  }
  return messages
}

describe('a resolver that trusts a prefix', () => {
  const climbing = [
    '/t/../uploads',
    '/t/%2e%2e/uploads',
    '/t/.%2E/uploads',
    '/t/..%2fuploads',
    '/t/..;/uploads',
    '/t/a\\..\\..\\uploads',
    '/t/.\t./uploads',
    '/t/\u3002\u3002/uploads',
    '/t/a b',
    '/t/a\n'
  ]
  test.each(climbing)('refuses iss …%j before the resolver is called, and requests nothing', async (path) => {
    const issuer = await bed.issuer()
    const key = strangeKey('evil')
    // Whoever may upload there would be an issuer.
    issuer.always('other', fault.body(JSON.stringify({ keys: [key.publicJwk] })))
    const asked: unknown[] = []
    const api = bed.api({
      issuers: (iss) => {
        asked.push(iss)
        return iss?.startsWith(`${issuer.origin}/t/`) ? { issuer: iss, jwksUri: `${iss}/jwks` } : undefined
      }
    })
    expect(await ask(api, issuer.token({ key, claims: { iss: issuer.origin + path } }))).toEqual(denial.issuer)
    expect([asked, issuer.requests]).toEqual([[], []])
  })

  test('accepts a tenant whose iss is requested exactly as written', async () => {
    const issuer = await bed.issuer({ path: '/t/my%20tenant' })
    const api = bed.api({ issuers: (iss) => (iss?.startsWith(`${issuer.origin}/t/`) ? iss : undefined) })
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('ORD-03: refuses a URL that climbs to a path for which the resolver would answer something else', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: () => issuer.issuer })
    for (const iss of [`${issuer.issuer}/..`, 'https:as.example.com', 'HTTPS:\\\\as.example.com', 'https://'])
      expect(await ask(api, issuer.token({ claims: { iss } }))).toEqual(denial.issuer)
    expect(issuer.requests).toEqual([])
  })
})

describe('a resolver asked about an iss that is not a URL', () => {
  test.each(['acme.com', 'kubernetes/serviceaccount', 'urn:acme', '../evil', 'a b'])(
    'looks up %j as a name',
    async (iss) => {
      const issuer = await bed.issuer()
      const api = bed.api({
        issuers: (name) => (name === iss ? { issuer: issuer.issuer, acceptedIssuers: [iss] } : undefined)
      })
      expect(await ask(api, issuer.token({ claims: { iss } }))).toEqual(granted)
    }
  )

  test.each<[what: string, resolve: (iss: string) => string | IssuerOptions]>([
    ['hands it on', (iss) => iss],
    ['makes an issuer of it', (iss) => ({ issuer: `https://login.example.com/t/${iss}` })],
    [
      'makes a jwksUri of it',
      (iss) => ({ issuer: 'https://login.example.com', jwksUri: `https://login.example.com/t/${iss}` })
    ],
    [
      'makes a metadataUrl of it',
      (iss) => ({ issuer: 'https://login.example.com', metadataUrl: `https://login.example.com/t/${iss}` })
    ],
    [
      'makes an endpoint of it',
      (iss) => ({
        issuer: 'https://login.example.com',
        introspection: { auth: () => {}, endpoint: `https://login.example.com/${iss}` }
      })
    ],
    [
      'makes an origin of it',
      (iss) => ({ issuer: 'https://login.example.com', statusList: { origins: [`https://${iss}`] } })
    ],
    ['gives a part of it to a profile', (iss) => keycloak({ issuer: iss.split('|')[0] as string, audience: 'a' })],
    ['reads it as a URL', (iss) => new URL(iss).origin]
  ])('that %s refuses the token, and no message contains a part of the iss', async (_, resolve) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (iss) => resolve(iss as string) })
    const iss = '../SECRET | SECRET'
    const messages = await warningsWhile(async () => {
      const error = await refusal(() => authorize(api, issuer.token({ claims: { iss } })))
      expect(error).toMatchObject({ status: 401, reason: 'issuer' })
      expect(inspect(error)).not.toContain('SECRET')
    })
    expect(messages.join()).not.toContain('SECRET')
  })
})

describe('messages about a resolver’s answer', () => {
  test('never quote a value: neither of an iss that was passed on, nor of an option made from it', async () => {
    const issuer = await bed.issuer()
    const token = issuer.token({ claims: { iss: 'https://login.example.com/SECRET' } })
    for (const answer of [
      { audiense: 'SECRET' },
      { 'SECRET key': 1 },
      { audience: ['SECRET', 1] },
      { profile: 'SECRET' },
      { tokens: 'SECRET' },
      { algorithms: ['SECRET'] },
      { jwksUri: 'SECRET' },
      { requiredClaimValues: { 'SECRET claim': 1 } },
      { acceptedIssuers: 'SECRET' },
      { introspection: 'SECRET' },
      { statusList: { onUnavailable: 'SECRET' } }
    ]) {
      const api = bed.api({ issuers: (iss) => ({ issuer: iss, ...answer }) as unknown as IssuerOptions })
      const error = await refusal(() => authorize(api, token))
      expect(inspect(error), JSON.stringify(answer)).not.toContain('SECRET')
    }
  })

  test('never quote the path of a URL that was made from a part of the iss', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: (iss) => ({
        issuer: 'https://login.example.com',
        audiense: 'x',
        jwksUri: `https://keys.example.com/${iss?.split('/').at(-1)}/../jwks/%2fSECRET`
      })
    })
    const messages = await warningsWhile(async () => {
      const token = issuer.token({ claims: { iss: 'https://login.example.com/SECRET' } })
      const error = await refusal(() => authorize(api, token))
      expect(error).toMatchObject({ status: 500, reason: 'misconfigured' })
      expect(error.hint).toContain('`answer.jwksUri` is a string of')
      expect(inspect(error)).not.toContain('SECRET')
    })
    expect(messages.join()).not.toContain('SECRET')
  })

  test('name an issuer without its path if its metadata cannot be found', async () => {
    const issuer = await bed.issuer()
    issuer.always('other', fault.body(JSON.stringify({ issuer: `${issuer.origin}/SECRET` })))
    const api = bed.api({ issuers: (iss) => iss })
    const error = await refusal(() => authorize(api, issuer.token({ claims: { iss: `${issuer.origin}/SECRET` } })))
    expect(error).toMatchObject({ reason: 'misconfigured', received: `${issuer.origin}/SECRET` })
    expect(error.hint).toContain(`no metadata of the issuer ${issuer.origin}/… was found`)
    expect(inspect(error)).not.toContain('SECRET')
  })

  test('warn once about an answer that was made from a token’s iss', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: (iss) => iss, http: { publicAddressesOnly: false } })
    const messages = await warningsWhile(async () => {
      for (let i = 0; i < 5; i++)
        expect(await ask(api, issuer.token({ claims: { iss: `name-${i}` } }))).toEqual(denial.issuer)
    })
    expect(messages).toEqual([expect.stringMatching(/^the issuer resolver returned unusable options/)])
  })

  test('an unusable answer is cached for 30 s: the resolver is not called for each token', async () => {
    const issuer = await bed.issuer()
    for (const bad of [
      () => ({ issuer: issuer.issuer, audiense: 'x' }) as unknown as IssuerOptions,
      async () => 42 as unknown as string,
      (): never => {
        throw new Misconfigured('the tenant is set up wrongly')
      },
      async (): Promise<never> => {
        throw new Misconfigured('the tenant is set up wrongly')
      }
    ]) {
      let asked = 0
      let isBad = true
      const api = bed.api({
        issuers: () => {
          asked++
          return isBad ? bad() : issuer.issuer
        }
      })
      for (let i = 0; i < 10; i++) expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
      bed.clock.advance(29)
      expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
      expect(asked).toBe(1)
      isBad = false
      bed.clock.advance(1)
      expect(await ask(api, issuer.token())).toEqual(granted)
      expect(asked).toBe(2)
    }
  })
})

describe('known tenants beside strangers', () => {
  /** A resolver that answers in time at first, and then when it is let. */
  function slow(...issuers: readonly TestIssuer[]) {
    const names = new Set(issuers.map(({ issuer }) => issuer))
    const open: ((answer?: string | Error) => void)[] = []
    let isSlow = false
    const resolve: IssuerResolver = async (iss = '') => {
      if (!isSlow) return names.has(iss) ? iss : undefined
      return new Promise((answer, fail) => {
        open.push((other) => (other instanceof Error ? fail(other) : answer(names.has(iss) ? iss : other)))
      })
    }
    return {
      names,
      resolve,
      open,
      slowDown: () => {
        isSlow = true
      }
    }
  }

  /** A tenant that was served once, after which its resolver answers only when it is let. `served` asks with its token. */
  async function known() {
    const issuer = await bed.issuer()
    const { resolve, slowDown, ...rest } = slow(issuer)
    const api = bed.api({ issuers: resolve })
    const token = issuer.token({ claims: { exp: bed.clock.now() + 3600 } })
    const served = (): Promise<Answered> => ask(api, token)
    expect(await served()).toEqual(granted)
    slowDown()
    return { ...rest, served }
  }

  const strange = (issuer: TestIssuer, i: number): string =>
    issuer.token({ claims: { iss: `https://junk.example.com/${i}` } })

  test('400 junk tokens with different iss do not block a known tenant during its renewal', async () => {
    const [victim, other] = [await bed.issuer(), await bed.issuer()]
    const { resolve, slowDown, open } = slow(victim, other)
    const api = bed.api({ issuers: resolve })
    const token = victim.token({ claims: { exp: bed.clock.now() + 3600 } })
    expect([await ask(api, token), await ask(api, other.token())]).toEqual([granted, granted])
    slowDown()
    bed.clock.advance(300)
    const flood = Array.from({ length: 400 }, (_, i) => ask(api, strange(victim, i)))
    for (let i = 0; i < 20; i++) expect(await ask(api, token)).toEqual(granted)
    // Seen last ten minutes ago, it waits for its answer, in no stranger's place.
    bed.clock.advance(300)
    const late = ask(api, other.token())
    await until(() => open.length === 258)
    for (const answer of open.splice(0)) answer()
    expect(await late).toEqual(granted)
    const statuses = (await Promise.all(flood)).map(({ status }) => status)
    expect([statuses.filter((one) => one === 503).length, statuses.filter((one) => one === 401).length]).toEqual([
      144, 256
    ])
  })

  test('a known tenant is served for 60 s past its 300 s while the resolver does not answer, and no longer', async () => {
    const { served, open } = await known()
    bed.clock.advance(359)
    expect([await served(), open.length]).toEqual([granted, 1])
    bed.clock.advance(1)
    const waiting = served()
    open[0]?.(new Error('the database is down'))
    expect(await waiting).toEqual(denial.unavailable)
  })

  test('a known tenant is served while the resolver fails, and resolved again at each request', async () => {
    const issuer = await bed.issuer()
    for (const failing of [
      async () => Promise.reject(new Error('down')),
      (): never => {
        throw new Error('down')
      }
    ]) {
      let asked = 0
      const api = bed.api({ issuers: () => (asked++ === 0 ? issuer.issuer : failing()) })
      const token = issuer.token({ claims: { exp: bed.clock.now() + 3600 } })
      expect(await ask(api, token)).toEqual(granted)
      bed.clock.advance(330)
      expect([await ask(api, token), await ask(api, token), asked]).toEqual([granted, granted, 3])
      bed.clock.advance(30)
      expect(await ask(api, token)).toEqual(denial.unavailable)
    }
  })

  test.each<[what: string, end: (answer: (other?: Error) => void) => void, answer: object]>([
    ['a refusal', (answer) => answer(), denial.issuer],
    ['a refusal that is thrown', (answer) => answer(new InvalidToken('issuer')), denial.issuer],
    ['a bad answer', (answer) => answer(new Misconfigured('x')), denial.misconfigured]
  ])('%s ends the use of a tenant past its 300 s at once', async (_, end, expected) => {
    const { served, open, names } = await known()
    bed.clock.advance(310)
    expect(await served()).toEqual(granted)
    names.clear()
    end(open[0] as never)
    await new Promise(setImmediate)
    expect(await served()).toEqual(expected)
    bed.clock.advance(20)
    expect(await served()).toEqual(expected)
  })

  test('a tenant that a Forbidden suspends is not served from memory after it', async () => {
    const { served, open } = await known()
    bed.clock.advance(310)
    expect(await served()).toEqual(granted)
    open[0]?.(new Forbidden('This tenant has not paid'))
    await new Promise(setImmediate)
    const again = served()
    await until(() => open.length === 2)
    open[1]?.(new Forbidden('This tenant has not paid'))
    expect(await again).toMatchObject({ status: 403 })
  })

  test('opaque tokens are resolved while strangers hold every place', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({
      issuers: async (iss) => (iss === undefined ? introspecting(issuer) : new Promise<string>(() => {})),
      http: { deadline: 2 }
    })
    const flood = Array.from({ length: 300 }, (_, i) => ask(api, strange(issuer, i)))
    expect(await ask(api, issuer.opaque())).toEqual(granted)
    await Promise.all(flood)
  })

  test('an issuer in use is kept when 1000 others are named after it', async () => {
    const issuer = await bed.issuer()
    const jwks = { keys: [...issuer.jwks.keys] }
    const asked: (string | undefined)[] = []
    const api = bed.api({
      issuers: (name) => {
        asked.push(name)
        return { issuer: name as string, jwks }
      }
    })
    for (let i = 0; i < 1200; i++) {
      expect(await ask(api, issuer.token({ claims: { iss: `https://t${i}.example` } }))).toEqual(granted)
      expect(await ask(api, issuer.token())).toEqual(granted)
    }
    expect(asked.filter((name) => name === issuer.issuer)).toHaveLength(1)
  })
})

describe('http.publicAddressesOnly with a resolver', () => {
  test('omitting it causes one warning at start; true or false causes none', async () => {
    const started = (http?: HttpOptions) =>
      warningsWhile(() => bed.api({ issuers: () => undefined, ...(http && { http }) }))
    expect(await started()).toEqual([
      expect.stringMatching(/^`issuers` is a function, and `http\.publicAddressesOnly` is not set/)
    ])
    expect(await started({ timeout: 1 })).toHaveLength(1)
    expect(await started({ publicAddressesOnly: false })).toEqual([])
    expect(await started({ publicAddressesOnly: true })).toEqual([])
    expect(await warningsWhile(() => bed.api({ issuers: ['https://as.example.com'] }))).toEqual([])
  })
})
