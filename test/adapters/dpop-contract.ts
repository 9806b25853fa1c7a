/**
 * What every adapter promises of DPoP (RFC 9449), asked of each over real sockets: the challenges line by line, proofs as
 * they stand on the wire, the target as the client called it, and nonces on refusals and successes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  memoryOnceStore,
  optional,
  type Requirement,
  type ResourceServer,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import { ALGS, athOf, createDpopKey, PROOF_TEXTS, type Proof } from '../support/dpop.js'
import { type Clock, createClock, type createSigningKey, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, type Call, type Plan, RESOURCE, type Route } from './contract.js'
import { type Lines, type Reply, type Served, send } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`
const SCOPE = 'scope="read", '
const SECRET = 'a secret of thirty-two characters'

const bearerLine = (error = '', asked = SCOPE): string => `Bearer ${error}${asked}${METADATA}`
const dpopLine = (error = '', asked = SCOPE): string => `DPoP ${error}${asked}algs="${ALGS}", ${METADATA}`
const error = (code: string, text: string): string => `error="${code}", error_description="${text}", `

const key = createDpopKey()
const stranger = createDpopKey()

interface Servers {
  readonly clock: Clock
  readonly issuer: TestIssuer
  /** Both schemes. */
  readonly both: ResourceServer
  /** DPoP alone. */
  readonly strict: ResourceServer
  close(): Promise<void>
}

async function createServers(): Promise<Servers> {
  const clock = createClock()
  const issuer = await startIssuer({ now: clock.now })
  const create = (options: Partial<ResourceServerOptions>): ResourceServer =>
    resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now: clock.now, ...options })
  const [both, strict] = [create({ dpop: { advertise: true } }), create({ requireSenderConstrained: 'dpop' })]
  return {
    clock,
    issuer,
    both,
    strict,
    close: async () => {
      await Promise.all([both.close(), strict.close()])
      await issuer.close()
    }
  }
}

/** A token that is bound to the client's key, for long. */
function boundToken({ issuer, clock }: Servers, claims: Record<string, unknown> = {}): string {
  return issuer.token({ claims: { cnf: { jkt: key.jkt }, exp: clock.now() + 3600, ...claims } })
}

/** The field lines of a request by DPoP, right but for `flaw`. */
function withProof(servers: Servers, flaw: Proof = {}, token = boundToken(servers)): Lines {
  return [
    ['Authorization', `DPoP ${token}`],
    ['DPoP', key.proof({ token, at: servers.clock.now(), ...flaw })]
  ]
}

interface Row {
  readonly id: string
  readonly title: string
  /** Which server. Default `both`. */
  readonly by?: 'both' | 'strict'
  readonly path?: string
  readonly headers: (servers: Servers) => Lines
  readonly status: number
  readonly challenges: readonly string[]
  /** `error` and `error_description`; without them no body. */
  readonly told?: readonly [code: string, text: string]
}

const underDpop = (
  status: number,
  code: string,
  text: string,
  asked = SCOPE
): Pick<Row, 'status' | 'challenges' | 'told'> => ({
  status,
  challenges: [dpopLine(error(code, text), asked)],
  told: [code, text]
})

const badProof = (reason: keyof typeof PROOF_TEXTS): Pick<Row, 'status' | 'challenges' | 'told'> =>
  underDpop(401, 'invalid_dpop_proof', PROOF_TEXTS[reason])

const proofs = (lines: Lines, ...others: readonly string[]): Lines => [
  ...lines,
  ...others.map((value) => ['DPoP', value] as const)
]

const ROWS: readonly Row[] = [
  {
    id: 'DEN-19 HTTP-07',
    title: 'without credentials each scheme has its line, Bearer first, and no error',
    headers: () => [],
    status: 401,
    challenges: [bearerLine(), dpopLine()]
  },
  {
    id: 'DEN-19 DPP-35',
    title: 'a proof alone is no credential',
    headers: (servers) => withProof(servers).slice(1),
    status: 401,
    challenges: [bearerLine(), dpopLine()]
  },
  {
    id: 'DEN-20',
    title: 'a bad bearer token has the error under Bearer',
    headers: ({ issuer }) => [['Authorization', `Bearer ${issuer.token({ claims: { exp: 1 } })}`]],
    status: 401,
    challenges: [bearerLine(error('invalid_token', 'The access token expired')), dpopLine()],
    told: ['invalid_token', 'The access token expired']
  },
  {
    id: 'DEN-21 DPP-25',
    title: 'a bound token is no bearer token, with a good proof beside it either',
    headers: (servers) => {
      const token = boundToken(servers)
      return [['Authorization', `Bearer ${token}`], ...withProof(servers, {}, token).slice(1)]
    },
    status: 401,
    challenges: [bearerLine(error('invalid_token', 'DPoP-bound access token used with the Bearer scheme')), dpopLine()],
    told: ['invalid_token', 'DPoP-bound access token used with the Bearer scheme']
  },
  {
    id: 'DEN-22 DPP-23',
    title: 'no proof',
    headers: (servers) => withProof(servers).slice(0, 1),
    ...badProof('proof_missing')
  },
  {
    id: 'DEN-22 DPP-01 ADP-01',
    title: 'two lines of proof, each of them good',
    headers: (servers) => {
      const token = boundToken(servers)
      return proofs(withProof(servers, {}, token), key.proof({ token, at: servers.clock.now() }))
    },
    ...badProof('proof_multiple')
  },
  {
    id: 'DPP-01 ADP-01',
    title: 'the same proof on two lines, in other letters',
    headers: (servers) => {
      const lines = withProof(servers)
      return [...lines, ['dPoP', lines[1]?.[1] ?? '']]
    },
    ...badProof('proof_multiple')
  },
  {
    id: 'DPP-01',
    title: 'two proofs on one line',
    headers: (servers) => {
      const [authorization, proof] = withProof(servers) as [Lines[number], Lines[number]]
      return [authorization, ['DPoP', `${proof[1]}, ${proof[1]}`]]
    },
    ...badProof('proof_multiple')
  },
  {
    id: 'DPP-02',
    title: 'no JWT',
    headers: (servers) => proofs(withProof(servers).slice(0, 1), 'x'),
    ...badProof('proof_malformed')
  },
  ...(
    [
      ['DPP-03', 'no jti', { claims: { jti: undefined } }, 'proof_claim'],
      ['DPP-03', 'no ath', { claims: { ath: undefined } }, 'proof_claim'],
      ['DPP-04', 'another typ', { header: { typ: 'JWT' } }, 'proof_type'],
      ['DPP-05', 'another algorithm', { header: { alg: 'HS256' } }, 'proof_algorithm'],
      ['DPP-06', 'a signature by another key', { key: stranger.key }, 'proof_signature'],
      ['DPP-07', 'a private key', { header: { jwk: { ...key.jwk, d: 'x' } } }, 'proof_key'],
      ['DPP-08', 'another method', { method: 'POST' }, 'proof_method'],
      ['DPP-08', 'the method of a GET in small letters', { method: 'get' }, 'proof_method'],
      ['DPP-09', 'another target', { url: `${RESOURCE}/other` }, 'proof_target'],
      ['DPP-11', 'a slash at the end', { url: `${RESOURCE}/items/` }, 'proof_target'],
      ['DPP-12', 'the origin that the socket has', { url: 'http://127.0.0.1/items' }, 'proof_target'],
      ['DPP-15', 'an old proof', { at: 0 }, 'proof_freshness'],
      ['DPP-17', 'another token', { claims: { ath: athOf('other') } }, 'proof_token']
    ] as const
  ).map(
    ([id, title, flaw, reason]): Row => ({
      id: `DEN-22 ${id}`,
      title,
      headers: (servers) => withProof(servers, flaw),
      ...badProof(reason)
    })
  ),
  {
    id: 'DEN-23 DPP-18',
    title: 'a good proof by another key',
    headers: (servers) => {
      const token = boundToken(servers)
      return [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', stranger.proof({ token, at: servers.clock.now() })]
      ]
    },
    ...underDpop(401, 'invalid_token', 'Invalid DPoP key binding')
  },
  {
    id: 'DEN-23 DPP-24',
    title: 'a token that is bound to no key',
    headers: (servers) => withProof(servers, {}, servers.issuer.token()),
    ...underDpop(401, 'invalid_token', 'The access token is not DPoP-bound')
  },
  {
    id: 'DEN-22 ORD-01',
    title: 'a bad token comes before a bad proof',
    headers: (servers) => [
      ['Authorization', `DPoP ${boundToken(servers, { exp: 1 })}`],
      ['DPoP', 'x']
    ],
    ...underDpop(401, 'invalid_token', 'The access token expired')
  },
  {
    id: 'DEN-25',
    title: 'a lack of scope',
    path: '/both',
    headers: (servers) => withProof(servers, { url: `${RESOURCE}/both` }),
    ...underDpop(403, 'insufficient_scope', 'The access token lacks a required scope', 'scope="read write", ')
  },
  {
    id: 'DEN-26 DPP-39',
    title: 'nothing sent to a server that requires DPoP',
    by: 'strict',
    headers: () => [],
    status: 401,
    challenges: [dpopLine()]
  },
  {
    id: 'DEN-26 DPP-39',
    title: 'a bearer token sent to a server that requires DPoP counts as nothing',
    by: 'strict',
    headers: ({ issuer }) => [['Authorization', `Bearer ${issuer.token()}`]],
    status: 401,
    challenges: [dpopLine()]
  },
  {
    id: 'DEN-22',
    title: 'no proof, to a server that requires DPoP',
    by: 'strict',
    headers: (servers) => withProof(servers).slice(0, 1),
    ...badProof('proof_missing')
  },
  {
    id: 'DEN-27 TRN-06',
    title: 'a line of each scheme has the error under both',
    headers: (servers) => {
      const token = boundToken(servers)
      return [['Authorization', `Bearer ${token}`], ...withProof(servers, {}, token)]
    },
    status: 400,
    challenges: [
      bearerLine(error('invalid_request', 'Multiple methods used to include access token'), ''),
      dpopLine(error('invalid_request', 'Multiple methods used to include access token'), '')
    ],
    told: ['invalid_request', 'Multiple methods used to include access token']
  },
  {
    id: 'DEN-02',
    title: 'DPoP without a token',
    headers: (servers) => [['Authorization', 'DPoP'], ...withProof(servers).slice(1)],
    ...underDpop(400, 'invalid_request', 'Malformed Authorization header', '')
  }
]

/** Instead of `test` where an adapter has nothing to hold the rule with: the row does not exist there. */
const notApplicable = (): void => undefined

export function describeDpop(adapter: Adapter): void {
  const inChain: typeof test | typeof notApplicable = adapter.isFunction ? notApplicable : test
  /** The lines of a field as this framework sends them. */
  const lines = (...values: readonly string[]): readonly string[] => (adapter.joinsLines ? [values.join(', ')] : values)

  describe(`${adapter.name}: DPoP`, () => {
    let servers: Servers
    const handled: string[] = []
    const started: Served[] = []

    beforeAll(async () => {
      servers = await createServers()
    })
    afterEach(() => {
      handled.length = 0
    })
    afterAll(async () => {
      await Promise.all(started.map((one) => one.close()))
      await servers.close()
    })

    const route = (path: string, requires?: readonly Requirement[], more: Partial<Route> = {}): Route => ({
      path,
      ...(requires && { requires }),
      answer: (call: Call) => {
        handled.push(path)
        const access = call.getOptionalAuth()
        return { scheme: access?.scheme ?? null, confirmedBy: access?.confirmedBy ?? null }
      },
      ...more
    })

    async function serve(plan: Omit<Plan, 'api'> & { readonly api?: ResourceServer }): Promise<number> {
      const one = await adapter.serve({ api: servers.both, errors: 'json', ...plan })
      started.push(one)
      return one.port
    }

    /** Another server, with a store and nonces of its own. */
    function create(options: Partial<ResourceServerOptions>): ResourceServer {
      const { issuer, clock } = servers
      const one = resourceServer({ resource: RESOURCE, issuers: [issuer.issuer], now: clock.now, ...options })
      onTestFinished(() => one.close())
      return one
    }

    const get = (port: number, headers: Lines, path = '/items'): Promise<Reply> => send(port, { path, headers })
    const ITEMS = [route('/items', [scope('read')]), route('/both', [scope('read', 'write')])]

    describe('refusals', () => {
      const ports = {} as Record<'both' | 'strict', Record<'json' | 'framework' | 'own', number>>
      beforeAll(async () => {
        for (const by of ['both', 'strict'] as const) {
          const at = async (errors: Plan['errors']): Promise<number> =>
            serve({ api: servers[by], routes: ITEMS, ...(errors && { errors }) })
          ports[by] = { json: await at('json'), framework: await at('framework'), own: await at('own') }
        }
      })

      for (const { id, title, by = 'both', path = '/items', headers, status, challenges, told } of ROWS) {
        test(`${id}: ${title}`, async () => {
          const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
          onTestFinished(() => log.mockRestore())
          const body = told ? JSON.stringify({ error: told[0], error_description: told[1] }) : ''
          for (const errors of ['json', 'framework', 'own'] as const) {
            const sent = headers(servers)
            const reply = await get(ports[by][errors], sent, path)
            expect([reply.status, reply.values('www-authenticate')], errors).toEqual([status, lines(...challenges)])
            expect(reply.values('cache-control')).toEqual(['no-store'])
            expect(reply.values('dpop-nonce')).toEqual([])
            if (errors === 'json') expect(reply.body).toBe(body)
            for (const [, value] of sent)
              if (value.length > 20) expect(reply.body).not.toContain(value.split(' ').at(-1))
          }
          expect(handled).toEqual([])
        })
      }

      test('HTTP-14 (RFC 9449 §7.1): a refusal to a script of another origin exposes challenge and nonce', async () => {
        const reply = await get(ports.both.json, [['Origin', 'https://app.example'], ...withProof(servers, { at: 0 })])
        expect(reply.values('access-control-expose-headers')).toEqual(['WWW-Authenticate, DPoP-Nonce'])
        expect(reply.values('www-authenticate')).toEqual(badProof('proof_freshness').challenges)
      })
    })

    describe('requests', () => {
      test('DPP-09: a good proof reaches the handler, whatever query the request has', async () => {
        const port = await serve({ routes: ITEMS })
        for (const path of ['/items', '/items?page=2&q=%7e']) {
          const reply = await get(port, withProof(servers), path)
          expect([reply.status, reply.body]).toEqual([200, '{"scheme":"DPoP","confirmedBy":["dpop"]}'])
          expect([reply.values('www-authenticate'), reply.values('dpop-nonce')]).toEqual([[], []])
        }
        expect(handled).toHaveLength(2)
      })

      test('DPP-26: beside an unbound bearer token the field is not looked at', async () => {
        const port = await serve({ routes: ITEMS })
        const reply = await get(port, [
          ['Authorization', `Bearer ${servers.issuer.token()}`],
          ['DPoP', 'x']
        ])
        expect([reply.status, reply.body]).toEqual([200, '{"scheme":"Bearer","confirmedBy":[]}'])
      })

      test('DPP-08: HEAD is HEAD, though a handler of GET answers it', async () => {
        const port = await serve({ routes: ITEMS })
        const head = (flaw: Proof): Promise<Reply> =>
          send(port, { method: 'HEAD', path: '/items', headers: withProof(servers, flaw) })
        expect((await head({ method: 'HEAD' })).status).toBe(200)
        const reply = await head({ method: 'GET' })
        expect([reply.status, reply.values('www-authenticate'), reply.body]).toEqual([
          401,
          badProof('proof_method').challenges,
          ''
        ])
      })

      test('DPP-12 ADP-02: below a mounted router htu is still the URL that the client called', async () => {
        const port = await serve({
          group: { path: '/shop', requires: [scope('read')], routes: [route('/items')] }
        })
        const called = await get(port, withProof(servers, { url: `${RESOURCE}/shop/items` }), '/shop/items?page=2')
        expect(called.status).toBe(200)
        for (const url of [`${RESOURCE}/items`, `${RESOURCE}/shop`, `${RESOURCE}/shop/shop/items`]) {
          const reply = await get(port, withProof(servers, { url }), '/shop/items')
          expect([reply.status, reply.values('www-authenticate')], url).toEqual([
            401,
            badProof('proof_target').challenges
          ])
        }
        expect(handled).toEqual(['/items'])
      })

      test('DPP-12 (RFC 9700 §4.13): no field and no absolute target makes another origin', async () => {
        const port = await serve({ routes: ITEMS })
        const claimed: readonly Lines[] = [
          [['X-Forwarded-Host', 'evil.example']],
          [['Forwarded', 'host=evil.example;proto=https']],
          [['X-Original-URL', '/other']],
          []
        ]
        for (const fields of claimed) {
          const reply = await get(port, [...withProof(servers, { url: 'https://evil.example/items' }), ...fields])
          expect([reply.status, reply.values('www-authenticate')]).toEqual([401, badProof('proof_target').challenges])
          expect((await get(port, [...withProof(servers), ...fields])).status).toBe(200)
        }
        for (const origin of ['http://evil.example', 'https://evil.example', 'http://127.0.0.1']) {
          const absolute = await get(port, withProof(servers, { url: `${origin}/items` }), `${origin}/items`)
          expect([400, 401, 404], origin).toContain(absolute.status)
          // Where the framework routes such a target, it is the one of its path.
          expect([200, 400, 404]).toContain((await get(port, withProof(servers), `${origin}/items`)).status)
        }
      })

      test('DPP-19: of copies that come at once exactly one passes, and none later', async () => {
        const port = await serve({ routes: ITEMS })
        const sent = withProof(servers)
        const replies = await Promise.all(Array.from({ length: 30 }, () => get(port, sent)))
        expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
        const again = await get(port, [...sent].reverse())
        const expected = badProof('proof_replayed')
        for (const reply of [again, ...replies.filter(({ status }) => status !== 200)])
          expect([reply.status, reply.values('www-authenticate')]).toEqual([401, expected.challenges])
        expect(handled).toHaveLength(1)
      })

      inChain('DPP-19: nested protection uses a proof once, and applies the checks of all', async () => {
        const port = await serve({
          whole: [scope('read')],
          group: { path: '/v1', requires: [scope('write')], routes: [route('/items', [scope('admin')])] }
        })
        const token = boundToken(servers, { scope: 'read write admin' })
        const url = `${RESOURCE}/v1/items`
        expect((await get(port, withProof(servers, { url }, token), '/v1/items')).status).toBe(200)
        const narrow = await get(
          port,
          withProof(servers, { url }, boundToken(servers, { scope: 'read write' })),
          '/v1/items'
        )
        expect([narrow.status, narrow.values('www-authenticate')]).toEqual([
          403,
          [dpopLine(error('insufficient_scope', 'The access token lacks a required scope'), 'scope="admin", ')]
        ])
        expect(handled).toEqual(['/items'])
      })

      test('DPP-22 DEN-16: a store that fails is an outage', async () => {
        const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
        onTestFinished(() => log.mockRestore())
        const replayStore = { add: () => Promise.reject(new Error('down')) }
        for (const errors of ['json', 'framework', 'own'] as const) {
          const port = await serve({ api: create({ dpop: { advertise: true, replayStore } }), errors, routes: ITEMS })
          const reply = await get(port, withProof(servers))
          expect([reply.status, reply.values('www-authenticate'), reply.values('retry-after')]).toEqual([
            503,
            [],
            ['5']
          ])
          if (errors === 'json') expect(reply.body).toBe('{"error":"temporarily_unavailable"}')
        }
        expect(handled).toEqual([])
      })

      test('DPP-20 (RFC 6585 §4): a client over its share is 429 without a challenge, and other clients are served', async () => {
        const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
        onTestFinished(() => log.mockRestore())
        for (const errors of ['json', 'framework', 'own'] as const) {
          const api = create({ dpop: { advertise: true, replayStore: memoryOnceStore({ maxPerOwner: 1 }) } })
          const port = await serve({ api, errors, routes: ITEMS })
          expect((await get(port, withProof(servers))).status).toBe(200)
          const reply = await get(port, withProof(servers))
          expect([reply.status, reply.values('www-authenticate')]).toEqual([429, []])
          expect(Number(reply.values('retry-after')[0])).toBeGreaterThan(60)
          if (errors === 'json')
            expect(reply.body).toBe(
              '{"error":"too_many_requests","error_description":"Too many requests with DPoP proofs"}'
            )
          const another = boundToken(servers, { sub: 'another-user' })
          expect((await get(port, withProof(servers, {}, another))).status).toBe(200)
        }
        expect(handled).toHaveLength(6)
      })

      test('a check inside a handler refuses under DPoP', async () => {
        const answer = async (call: Call): Promise<object> => {
          await call.enforce(scope('read', 'write'))
          return {}
        }
        const port = await serve({ routes: [route('/items', [], { answer })] })
        const reply = await get(port, withProof(servers))
        expect([reply.status, reply.values('www-authenticate')]).toEqual([
          403,
          [dpopLine(error('insufficient_scope', 'The access token lacks a required scope'), 'scope="read write", ')]
        ])
      })

      test('CCH-02: what optional answers varies by both fields', async () => {
        const port = await serve({ routes: [route('/items', [optional])] })
        expect((await get(port, [])).values('vary')).toEqual(['Authorization, DPoP'])
        expect((await get(port, withProof(servers))).values('vary')).toEqual(['Authorization, DPoP'])
        expect((await get(port, withProof(servers, { at: 0 }))).status).toBe(401)
      })
    })

    describe('nonces', () => {
      const nonceOf = (reply: Reply): string => {
        const nonces = reply.values('dpop-nonce')
        expect(nonces).toHaveLength(1)
        expect(nonces[0]).toMatch(/^[\x21\x23-\x5B\x5D-\x7E]+$/)
        return nonces[0] as string
      }

      for (const errors of ['json', 'framework', 'own'] as const) {
        test(`DEN-24 DPP-13 DPP-38: required, one challenge and one nonce, which then lets in, with errors answered by: ${errors}`, async () => {
          const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
          onTestFinished(() => log.mockRestore())
          const port = await serve({
            api: create({ dpop: { advertise: true, nonces: 'required', nonceSecret: SECRET } }),
            errors,
            routes: ITEMS
          })
          const asked = await get(port, [...withProof(servers), ['Origin', 'https://app.example']])
          const text = 'Resource server requires nonce in DPoP proof'
          expect([asked.status, asked.values('www-authenticate')]).toEqual([
            401,
            [dpopLine(error('use_dpop_nonce', text), '')]
          ])
          expect(asked.values('cache-control')).toEqual(['no-store'])
          expect(asked.values('access-control-expose-headers')).toEqual(['WWW-Authenticate, DPoP-Nonce'])
          if (errors === 'json')
            expect(JSON.parse(asked.body)).toEqual({ error: 'use_dpop_nonce', error_description: text })
          const reply = await get(port, withProof(servers, { nonce: nonceOf(asked) }))
          expect([reply.status, reply.values('dpop-nonce')]).toEqual([200, []])
          const stale = await get(port, withProof(servers, { nonce: 'eyJ7S_zG.eyJH0-Z.HX4w-7v' }))
          expect([stale.status, stale.values('www-authenticate')]).toEqual([
            401,
            [dpopLine(error('use_dpop_nonce', text), '')]
          ])
          nonceOf(stale)
          expect(handled).toEqual(['/items'])
        })
      }

      test('DPP-30 (RFC 9449 §8.2): an ageing nonce is followed by the next one on the answer, which nobody stores', async () => {
        const port = await serve({
          api: create({ dpop: { advertise: true, nonces: 'required', nonceSecret: SECRET } }),
          prior: [
            ['Cache-Control', 'public, max-age=60'],
            ['Access-Control-Expose-Headers', 'X-Total']
          ],
          routes: ITEMS
        })
        const origin: Lines = [['Origin', 'https://app.example']]
        const nonce = nonceOf(await get(port, withProof(servers)))
        servers.clock.advance(151)
        const reply = await get(port, [...withProof(servers, { nonce }), ...origin])
        expect(reply.status).toBe(200)
        const next = nonceOf(reply)
        expect(next).not.toBe(nonce)
        expect(reply.values('cache-control')).toEqual(['no-store'])
        expect(reply.values('access-control-expose-headers')).toEqual([
          adapter.isFunction ? 'DPoP-Nonce' : 'X-Total, DPoP-Nonce'
        ])
        const after = await get(port, withProof(servers, { nonce: next }))
        expect([after.status, after.values('dpop-nonce')]).toEqual([200, []])
      })

      inChain('DPP-29: two middlewares make one nonce, on a success and on a refusal', async () => {
        const [outer, inner] = [
          create({ dpop: { advertise: true, nonces: 'offered' } }),
          create({ dpop: { advertise: true, nonces: 'offered' } })
        ]
        const port = await serve({ api: outer, whole: [], routes: [route('/items', [], { api: inner })] })
        const reply = await get(port, withProof(servers))
        expect(reply.status).toBe(200)
        const nonce = nonceOf(reply)
        // It is the inner one's, and of no use to the outer one.
        const refused = await get(port, withProof(servers, { nonce }))
        expect(refused.status).toBe(401)
        nonceOf(refused)
        const strict = await serve({
          api: outer,
          whole: [],
          routes: [route('/items', [], { api: create({ dpop: { advertise: true, nonces: 'required' } }) })]
        })
        const asked = await get(strict, withProof(servers))
        expect(asked.status).toBe(401)
        nonceOf(asked)
        expect(asked.values('www-authenticate')).toHaveLength(1)
      })
    })

    test('DPP-05: every algorithm that is advertised is accepted', async () => {
      const port = await serve({ routes: ITEMS })
      for (const alg of ALGS.split(' ') as Parameters<typeof createSigningKey>[0][]) {
        const client = createDpopKey(alg)
        const token = boundToken(servers, { cnf: { jkt: client.jkt } })
        const reply = await get(port, [
          ['Authorization', `DPoP ${token}`],
          ['DPoP', client.proof({ token, at: servers.clock.now() })]
        ])
        expect(reply.status, alg).toBe(200)
      }
    })
  })
}
