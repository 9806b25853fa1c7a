/** The rules about status lists: draft-ietf-oauth-status-list. */
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  fresh,
  type IssuerOptions,
  type ResourceServer,
  resourceServer,
  type SharedOptions,
  scope
} from '../../src/index.js'
import { createShared } from '../../src/sharing/shared.js'
import {
  type Answered,
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  OUTAGES,
  RESOURCE,
  refusal,
  request,
  strangeKey,
  unavailableFor,
  until
} from '../support/exchange.js'
import { type Behaviour, base64url, fault, type TestIssuer, type TokenOverrides } from '../support/issuer.js'

const bed = createBed()

beforeAll(() => import('undici'))

type JsonObject = Record<string, unknown>

/** Two bytes of one-bit statuses (§4.1): of 0, 3, 4, 5, 7, 8, 9, 13 and 15 it is 1. */
const LIST = { bits: 1, lst: 'eNrbuRgAAhcBXQ' }
const VALID = 1
const INVALID = 0

async function start(
  statusList: IssuerOptions['statusList'] = true,
  options: Partial<IssuerOptions> = {}
): Promise<{ issuer: TestIssuer; api: ResourceServer }> {
  const issuer = await bed.issuer({ algorithms: ['ES256', 'RS256'] })
  return { issuer, api: bed.api({ issuers: [{ issuer: issuer.issuer, ...options, statusList }] }) }
}

/** A token for four hours with this claim. */
function withStatus(issuer: TestIssuer, status: unknown, claims: JsonObject = {}): string {
  return issuer.token({ claims: { exp: bed.clock.now() + 4 * 3600, status, ...claims } })
}

/** A token that is on the list at `uri`, under `idx`. */
function listed(issuer: TestIssuer, idx: unknown, uri: string, claims: JsonObject = {}): string {
  return withStatus(issuer, { status_list: { idx, uri } }, claims)
}

/** The status by which a token is refused; 0 for one that is not. */
async function statusOf(api: ResourceServer, token: string): Promise<unknown> {
  if ((await ask(api, token)).status === 200) return 0
  const { reason, received } = await refusal(() => authorize(api, token))
  expect(reason).toBe('status')
  return received
}

describe('TSL-01 (§8.3): the token comes first', () => {
  test('TSL-01: a token on a list is accepted while its status is VALID', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST))
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('status')).toBe(1)
  })

  const now = 1_750_000_000
  test.each<[what: string, overrides: TokenOverrides, answer: object]>([
    ['expired', { claims: { exp: now - 30 } }, denial.expired],
    ['not valid yet', { claims: { nbf: now + 31 } }, denial.notYetValid],
    ['for another API', { claims: { aud: 'https://other.example' } }, denial.audience],
    ['of another type', { header: { typ: 'JWT' } }, denial.type],
    ['signed by a stranger', { key: strangeKey('k1') }, denial.signature],
    ['bound to a key that nobody proved', { claims: { cnf: { jkt: 'x' } } }, denial.dpop]
  ])('TSL-01 (§8.3): fetches nothing for a token that is %s', async (_, overrides, answer) => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    const claims = { status: { status_list: { idx: VALID, uri } }, ...overrides.claims }
    expect(await ask(api, issuer.token({ ...overrides, claims }))).toEqual(answer)
    // What was fetched for it would have arrived before this is.
    expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST, {}, '2')))).toEqual(granted)
    const fetched = issuer.requests.filter(({ endpoint }) => endpoint === 'status')
    expect(fetched.map(({ path }) => path)).toEqual(['/status/2'])
  })

  test('TSL-01 (§7.1): reports an expired token with a VALID status as expired', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST), { exp: bed.clock.now() + 10 })
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(40)
    expect(await ask(api, token)).toEqual(denial.expired)
  })

  test('TSL-01, ORD-01: reports an invalid status before a missing scope', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, INVALID, issuer.statusList(LIST), { scope: 'write' })
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  test('TSL-01: refuses a token that was revoked here while its list was fetched', async () => {
    const { issuer, api } = await start()
    const gate = issuer.hold('status')
    const pending = ask(api, listed(issuer, VALID, issuer.statusList(LIST)))
    await issuer.received('status', 1)
    await api.revoke({ issuer: issuer.issuer, subject: 'u1' })
    gate.release()
    expect(await pending).toEqual(denial.inactive)
    expect(api.stats().cache.statusLists.entries).toBe(1)
  })
})

describe('TSL-02 (§6.2): the claim', () => {
  const uri = 'https://as.example.com/status/1'
  test.each([
    ['a text', 'valid'],
    ['null', null],
    ['a list', []],
    ['empty', {}],
    ['of another mechanism, which nobody here knows', { other: { uri } }],
    ['without idx', { status_list: { uri } }],
    ['without uri', { status_list: { idx: 0 } }],
    ['with idx -1', { status_list: { idx: -1, uri } }],
    ['with idx 0.5', { status_list: { idx: 0.5, uri } }],
    ['with idx as a text', { status_list: { idx: '0', uri } }],
    ['with idx beyond all numbers', { status_list: { idx: 2 ** 53, uri } }],
    ['with uri as a list', { status_list: { idx: 0, uri: [uri] } }],
    ['with uri that is none', { status_list: { idx: 0, uri: '/status/1' } }],
    ['null within', { status_list: null }]
  ])('TSL-02 DEN-11: refuses a status that is %s', async (_, status) => {
    const { issuer, api } = await start()
    const token = withStatus(issuer, status)
    for (let i = 0; i < 2; i++) expect(await ask(api, token)).toEqual(denial.claim)
    expect(issuer.count('status')).toBe(0)
    expect(api.stats().cache.statusLists.entries).toBe(0)
  })

  test('TSL-02 (§6.1): accepts a token without a status, which is on no list', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(issuer.count('status')).toBe(0)
  })

  test.each([undefined, false])('TSL-02: with the option %s the claim is not read', async (statusList) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, ...(statusList === false && { statusList }) }] })
    expect(await ask(api, listed(issuer, INVALID, issuer.statusList(LIST)))).toEqual(granted)
    expect(await ask(api, withStatus(issuer, 'any'))).toEqual(granted)
    expect(issuer.count('status')).toBe(0)
  })

  test('TSL-02: does not look up an opaque token, whose server says that it is active', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { statusList: true })] })
    const status = { status_list: { idx: INVALID, uri: issuer.statusList(LIST) } }
    expect(await ask(api, issuer.opaque({ status }))).toEqual(granted)
    expect(await ask(api, issuer.token({ claims: { status } }))).toEqual(denial.inactive)
  })
})

describe('TSL-03 (§5.1, §8.1): the status list token', () => {
  test('TSL-03 (§8.1): is requested by GET, with its media type', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST)))).toEqual(granted)
    const asked = issuer.requests.find(({ endpoint }) => endpoint === 'status')
    expect(asked).toMatchObject({
      method: 'GET',
      path: '/status/1',
      headers: { accept: 'application/statuslist+jwt', 'accept-encoding': 'identity' },
      body: ''
    })
  })

  const now = 1_750_000_000
  test.each<[what: string, overrides: TokenOverrides]>([
    ['as it should be', {}],
    ['with its type in full', { header: { typ: 'application/statuslist+jwt' } }],
    ['signed by another key of the issuer', { alg: 'RS256' }],
    ['without iss', { claims: { iss: undefined } }],
    ['whose exp is within the tolerance', { claims: { exp: now - 29 } }],
    ['from a clock that is a minute ahead', { claims: { iat: now + 60 } }],
    ['with claims of its own', { claims: { jti: '1', aud: 'x' } }]
  ])('TSL-03 (§5.1): accepts a list %s', async (_, overrides) => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST, overrides)
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
    expect(await ask(api, listed(issuer, INVALID, uri))).toEqual(denial.inactive)
  })

  test.each<[what: string, overrides: TokenOverrides]>([
    ['of type JWT', { header: { typ: 'JWT' } }],
    ['of no type', { header: { typ: undefined } }],
    ['of the type of access tokens', { header: { typ: 'at+jwt' } }],
    ['of the type of CBOR', { header: { typ: 'statuslist+cwt' } }],
    ['of another URI', { claims: { sub: 'https://as.example.com/status/1' } }],
    ['without sub', { claims: { sub: undefined } }],
    ['of another issuer', { claims: { iss: 'https://other.example' } }],
    ['with iss null', { claims: { iss: null } }],
    ['without iat', { claims: { iat: undefined } }],
    ['with iat as a text', { claims: { iat: String(now) } }],
    ['of the future', { claims: { iat: now + 61 } }],
    ['with exp as a text', { claims: { exp: String(now + 60) } }],
    ['that is not valid yet', { claims: { nbf: now + 31 } }],
    ['with ttl 0', { claims: { ttl: 0 } }],
    ['with ttl -1', { claims: { ttl: -1 } }],
    ['with ttl as a text', { claims: { ttl: '60' } }],
    ['signed by a stranger', { key: strangeKey('k1') }],
    ['signed by a key that nobody has published', { key: strangeKey('k9') }],
    ['signed by nobody', { header: { alg: 'none' }, sign: () => new Uint8Array() }],
    ['with an extension', { header: { crit: ['b64'], b64: true } }],
    ['with another signature', { sign: () => new Uint8Array(64) }]
  ])('TSL-03 DEN-17 (§5.1): does not use a list %s', async (_, overrides) => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST, overrides))
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    expect(await ask(api, issuer.token())).toEqual(granted)
  })

  test('TSL-03: tells the log what is wrong with a list', async () => {
    const { issuer, api } = await start()
    const { host } = new URL(issuer.issuer)
    const about = `the status list token of ${issuer.issuer} at ${host}`
    const sub = listed(issuer, VALID, issuer.statusList(LIST, { claims: { sub: 'x' } }, 'sub'))
    expect((await refusal(() => authorize(api, sub))).hint).toBe(
      `${about} does not follow draft-ietf-oauth-status-list §5.1: its \`sub\` is not exactly the URI in the access token`
    )
    const signed = listed(issuer, VALID, issuer.statusList(LIST, { key: strangeKey('k1') }, 'signed'))
    expect((await refusal(() => authorize(api, signed))).hint).toContain(`${about} failed verification (signature)`)
  })

  test('TSL-03 DEN-16 (§8.3): does not use an expired list', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { exp: now - 30 } }))
    expect(await ask(api, token)).toEqual(denial.unavailable)
    expect((await refusal(() => authorize(api, token))).hint).toContain('has expired')
    expect(issuer.count('status')).toBe(1)
  })

  test('TSL-03: refuses a list signed with an algorithm that the issuer does not use', async () => {
    const { issuer, api } = await start(true, { algorithms: ['ES256'] })
    const uri = issuer.statusList(LIST, { alg: 'RS256' })
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(denial.misconfigured)
  })

  test('TSL-03: refuses a list of another issuer of this API', async () => {
    const [one, other] = await Promise.all([bed.issuer(), bed.issuer()])
    const api = bed.api({ issuers: [{ issuer: one.issuer, statusList: true }, other.issuer] })
    const uri = one.statusList(LIST, { key: { ...other.key(), kid: 'k1' } })
    expect(await ask(api, listed(one, VALID, uri))).toEqual(denial.misconfigured)
  })

  test('TSL-03: accepts the other name of an issuer that signs with the same keys', async () => {
    const other = 'https://v2.as.example.com'
    const { issuer, api } = await start(true, { acceptedIssuers: [other] })
    const uri = issuer.statusList(LIST, { claims: { iss: other } })
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
  })

  test.each([
    ['is no JWT', (body: string) => body.split('.').slice(0, 2).join('.')],
    ['is no JSON', () => `${base64url('{"alg":"ES256","typ":"statuslist+jwt","kid":"k1"}')}.${base64url('[')}.AA`],
    ['is empty', () => '']
  ])('TSL-03 DEN-17: refuses a list that %s', async (_, spoil) => {
    const { issuer, api } = await start()
    issuer.always('status', ({ response, normal }) => {
      response.writeHead(200, normal.headers).end(spoil(normal.body))
    })
    expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST)))).toEqual(denial.misconfigured)
  })

  test('TSL-03: refuses an access token as status list token, and the other way round', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    const token = listed(issuer, VALID, uri)
    issuer.script('status', ({ response, normal }) => {
      response.writeHead(200, normal.headers).end(listed(issuer, VALID, uri, { sub: uri, status_list: LIST }))
    })
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    const claims = { ...JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) } as JsonObject
    const list = issuer.token({ header: { typ: 'statuslist+jwt' }, claims: { ...claims, sub: uri, status_list: LIST } })
    expect(await ask(api, list)).toEqual(denial.type)
  })

  test('TSL-03 (KEY-07): a list signed with a new key is verified with the renewed key set', async () => {
    const { issuer, api } = await start()
    const token = withStatus(issuer, { status_list: { idx: VALID, uri: issuer.statusList(LIST) } })
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.rotate('switch')
    issuer.statusList(LIST)
    issuer.reset()
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('jwks')).toBe(1)
  })

  test('TSL-03 (KEY-09): fetches a list again when the key that signed it leaves the set', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
    issuer.rotate('switch')
    issuer.rotate('retire')
    await api.refresh()
    // Signed by the old key still: worth nothing now.
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(denial.misconfigured)
    issuer.statusList(LIST)
    bed.clock.advance(30)
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
  })
})

describe('TSL-04 (RFC 8725 §3.10): where lists are', () => {
  test('TSL-04 DEN-17: fetches nothing from another origin than the issuer’s', async () => {
    const { issuer, api } = await start()
    const other = await bed.issuer()
    const uri = other.statusList(LIST, { key: issuer.key() })
    const token = listed(issuer, VALID, uri)
    for (let i = 0; i < 2; i++) expect(await ask(api, token)).toEqual(denial.misconfigured)
    expect((await refusal(() => authorize(api, token))).hint).toContain('`statusList.origins`')
    expect(other.requests).toEqual([])
    expect(api.stats().cache.statusLists.entries).toBe(0)
  })

  test.each([
    ['another port', (uri: string) => uri.replace(/:\d+\//, ':1/')],
    ['another scheme', (uri: string) => uri.replace('http:', 'https:')],
    ['another name of the same host', (uri: string) => uri.replace('127.0.0.1', 'localhost')],
    ['the host as a user', (uri: string) => `http://${new URL(uri).host}@192.0.2.1/status/1`],
    ['no origin', () => 'data:application/statuslist+jwt,x']
  ])('TSL-04 DEN-17: refuses %s as another origin', async (_, change) => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, change(issuer.statusList(LIST)))
    expect(await ask(api, token)).toEqual(denial.misconfigured)
    expect(issuer.count('status')).toBe(0)
  })

  test.each(['/x/../status/1', '/%2e%2e/status/1', '/status%2f1', '/status/..;/status/1', '/status\\1', '/status/1 '])(
    'TSL-04: refuses a URI that is not requested as written, and fetches nothing: %j',
    async (path) => {
      const { issuer, api } = await start()
      issuer.statusList(LIST)
      expect(await ask(api, listed(issuer, VALID, issuer.origin + path))).toEqual(denial.claim)
      expect(issuer.count('status')).toBe(0)
    }
  )

  test('TSL-04: the origins in the settings replace the issuer’s', async () => {
    const other = await bed.issuer()
    const issuer = await bed.issuer()
    const statusList = { origins: [other.origin] }
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList }] })
    const overrides = { key: issuer.key(), claims: { iss: issuer.issuer } }
    expect(await ask(api, listed(issuer, VALID, other.statusList(LIST, overrides)))).toEqual(granted)
    expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST)))).toEqual(denial.misconfigured)
  })

  test('TSL-04: a redirect is not followed', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    issuer.always('status', fault.redirect(`${issuer.origin}/elsewhere`))
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(denial.unavailable)
    expect(issuer.count('other')).toBe(0)
  })

  test('TSL-04: does not inflate a list to more than 2 MiB', async () => {
    const { issuer, api } = await start()
    const size = 2 * 1024 * 1024
    const most = issuer.statusList({ lst: new Uint8Array(size) }, {}, 'most')
    expect(await ask(api, listed(issuer, 8 * size - 1, most))).toEqual(granted)
    const more = issuer.statusList({ lst: new Uint8Array(size + 1) }, {}, 'more')
    expect(await ask(api, listed(issuer, 0, more))).toEqual(denial.misconfigured)
    const bomb = issuer.statusList({ lst: new Uint8Array(64 * size) }, {}, 'bomb')
    expect(await ask(api, listed(issuer, 0, bomb))).toEqual(denial.misconfigured)
  })

  test('TSL-04: does not inflate a list without a valid signature', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList({ lst: base64url('no zlib') }, { key: strangeKey('k1') })
    expect((await refusal(() => authorize(api, listed(issuer, 0, uri)))).hint).toContain('(signature)')
  })

  test.each<[statusList: unknown, issuer: JsonObject, problem: string]>([
    [1, {}, "`issuers[0].statusList` is 1: it must be an object, such as statusList: { onUnavailable: 'refuse' }"],
    [{ origin: 'x' }, {}, '`issuers[0].statusList.origin` is not an option: did you mean `origins`?'],
    [{ origins: [] }, {}, '`issuers[0].statusList.origins` is empty: name at least one, or leave it out'],
    [
      { origins: 'https://a.example' },
      {},
      '`issuers[0].statusList.origins` is "https://a.example": it must be an array of strings, such as origins: [\'https://status.example.com\']'
    ],
    [
      { origins: ['a.example'] },
      {},
      '`issuers[0].statusList.origins` is "a.example": it must be an origin, such as https://status.example.com'
    ],
    [
      { origins: ['https://a.example/lists'] },
      {},
      '`issuers[0].statusList.origins` has a path, a query or a fragment: give the origin only: all of its paths are allowed'
    ],
    [
      { origins: ['http://a.example'] },
      {},
      '`issuers[0].statusList.origins` is "http://a.example": use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only, unless `http.insecureHosts` names the host and port'
    ],
    [
      { onUnavailable: 'ignore' },
      {},
      "`issuers[0].statusList.onUnavailable` is \"ignore\": it must be one of 'refuse', 'allow'"
    ],
    [
      true,
      { tokens: 'opaque', introspection: { auth: () => {}, clientId: 'c' } },
      "`issuers[0].statusList` has no effect with `tokens: 'opaque'`: leave one of them out: this issuer’s JWTs are not verified locally"
    ]
  ])('TSL-04: refuses statusList: %j at start', (statusList, more, problem) => {
    const issuer = { issuer: 'https://as.example.com', statusList, ...more } as IssuerOptions
    expect(() => resourceServer({ resource: RESOURCE, issuers: [issuer] })).toThrow(
      new TypeError(`resourceServer() found a problem in its options:\n- ${problem}`)
    )
  })

  test('TSL-04: describe() shows the settings in effect', () => {
    const described = (statusList: IssuerOptions['statusList']): unknown =>
      bed.api({ issuers: [{ issuer: 'https://as.example.com/tenant', ...(statusList && { statusList }) }] }).describe()
    const issuer = (effect?: object): object => ({ issuers: [effect ? { statusList: effect } : {}] })
    expect(described(true)).toMatchObject(issuer({ origins: ['https://as.example.com'], onUnavailable: 'refuse' }))
    expect(described({ origins: ['https://a.example/'], onUnavailable: 'allow' })).toMatchObject(
      issuer({ origins: ['https://a.example'], onUnavailable: 'allow' })
    )
    expect((described(undefined) as { issuers: [object] }).issuers[0]).not.toHaveProperty('statusList')
  })
})

/** Appendix C: 2^20 statuses each; those not named are 0. */
const VECTORS: readonly [name: string, bits: number, lst: string, statuses: Readonly<Record<number, number>>][] = [
  ['§4.1, 1 bit', 1, LIST.lst, list('1001110111000101')],
  ['§4.1, 2 bits', 2, 'eNo76fITAAPfAgc', list('120301011233')],
  [
    'C.1, 1 bit',
    1,
    'eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb',
    {
      0: 1,
      1993: 1,
      25460: 1,
      159495: 1,
      495669: 1,
      554353: 1,
      645645: 1,
      723232: 1,
      854545: 1,
      934534: 1,
      1000345: 1,
      1: 0,
      1992: 0,
      1994: 0,
      1048575: 0
    }
  ],
  [
    'C.2, 2 bits',
    2,
    'eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5WwIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAID0ugQAAAAAAAAAAAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoAAAAAAAAAAAAAAEBqH81gAQw',
    {
      0: 1,
      1993: 2,
      25460: 1,
      159495: 3,
      495669: 1,
      554353: 1,
      645645: 2,
      723232: 1,
      854545: 1,
      934534: 2,
      1000345: 3,
      1: 0,
      1992: 0,
      1994: 0,
      1048575: 0
    }
  ],
  [
    'C.3, 4 bits',
    4,
    'eNrt0EENgDAQADAIHwImkIIEJEwCUpCEBBQRHOy35Li1EjoOQGabAgAAAAAAAAAAAAAAAAAAACC1SQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABADrsCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADoxaEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIIoCgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACArpwKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGhqVkAzlwIAAAAAiGVRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABx3AoAgLpVAQAAAAAAAAAAAAAAwM89rwMAAAAAAAAAAAjsA9xMBMA',
    {
      0: 1,
      1993: 2,
      35460: 3,
      459495: 4,
      595669: 5,
      754353: 6,
      845645: 7,
      923232: 8,
      924445: 9,
      934534: 10,
      1004534: 11,
      1000345: 12,
      1030203: 13,
      1030204: 14,
      1030205: 15,
      1: 0,
      1030202: 0,
      1030206: 0,
      1048575: 0
    }
  ],
  [
    'of our own, 8 bits',
    8,
    deflateSync(Uint8Array.from({ length: 256 }, (_, i) => i)).toString('base64url'),
    Object.fromEntries([0, 1, 2, 3, 15, 16, 127, 128, 255].map((status) => [status, status]))
  ]
]

function list(digits: string): Readonly<Record<number, number>> {
  return Object.fromEntries(Array.from(digits, (digit, index) => [index, Number(digit)]))
}

describe('TSL-05 (§4): the list', () => {
  test.each(VECTORS)('TSL-05 (§4.1, Appendix C): %s', async (_, bits, lst, statuses) => {
    const { issuer, api } = await start()
    const uri = issuer.statusList({ bits, lst })
    for (const [idx, expected] of Object.entries(statuses)) {
      expect(await statusOf(api, listed(issuer, Number(idx), uri)), idx).toBe(expected)
    }
    expect(issuer.count('status')).toBe(1)
  })

  const bytes = Uint8Array.of(0xb9, 0xa3)
  test.each<[what: string, list: unknown]>([
    ['without bits', { lst: LIST.lst }],
    ['with bits 0', { ...LIST, bits: 0 }],
    ['with bits 3', { ...LIST, bits: 3 }],
    ['with bits 16', { ...LIST, bits: 16 }],
    ['with bits as a text', { ...LIST, bits: '1' }],
    ['without lst', { bits: 1 }],
    ['with lst as a list', { bits: 1, lst: [0xb9, 0xa3] }],
    ['with an empty lst', { bits: 1, lst: '' }],
    ['with padding', { bits: 1, lst: `${LIST.lst}==` }],
    ['in base64 of another alphabet', { bits: 1, lst: 'eNrbuRgAAhcBX+' }],
    ['with bits that no encoder writes', { bits: 1, lst: 'eNrbuRgAAhcBXR' }],
    ['without the ZLIB format', { bits: 1, lst: deflateRawSync(bytes).toString('base64url') }],
    ['in the GZIP format', { bits: 1, lst: gzipSync(bytes).toString('base64url') }],
    ['cut short', { bits: 1, lst: deflateSync(bytes).subarray(0, -2).toString('base64url') }],
    ['with a wrong checksum', { bits: 1, lst: Buffer.from(deflateSync(bytes)).fill(0, 9).toString('base64url') }],
    ['not compressed', { bits: 1, lst: base64url(bytes) }],
    ['that is none', null],
    ['that is a text', LIST.lst]
  ])('TSL-05 DEN-17 (§4.2): a list %s', async (_, status_list) => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST, { claims: { status_list } })
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(denial.misconfigured)
  })
})

describe('TSL-06 (§7.1, §8.3): what a status means', () => {
  const statuses = deflateSync(Uint8Array.of(0, 1, 2, 3, 11, 12, 15, 16, 255)).toString('base64url')
  test.each([
    [1, 'INVALID', 1],
    [2, 'SUSPENDED', 2],
    [3, 'of the application', 3],
    [4, 'not registered', 11],
    [5, 'of the application', 12],
    [6, 'of the application', 15],
    [7, 'not registered', 16],
    [8, 'not registered', 255]
  ])('TSL-06 DEN-08 (§7.1): refuses the status at %i, %s', async (idx, _, value) => {
    const { issuer, api } = await start()
    const uri = issuer.statusList({ bits: 8, lst: statuses })
    expect(await ask(api, listed(issuer, 0, uri))).toEqual(granted)
    expect(await ask(api, listed(issuer, idx, uri))).toEqual(denial.inactive)
    const error = await refusal(() => authorize(api, listed(issuer, idx, uri)))
    expect(error).toMatchObject({ reason: 'status', received: value, expected: 'status 0 (VALID)' })
  })

  test.each([16, 17, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    'TSL-06 (§8.3): refuses the index %i of a list of 16',
    async (idx) => {
      const { issuer, api } = await start()
      const uri = issuer.statusList(LIST)
      expect(await ask(api, listed(issuer, idx, uri))).toEqual(denial.inactive)
      expect((await refusal(() => authorize(api, listed(issuer, idx, uri)))).received).toBe('an index beyond the list')
    }
  )

  test('TSL-06: fetches a list once more if it ends before the index, but not for every such token', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
    for (let i = 0; i < 50; i++) expect(await ask(api, listed(issuer, 16 + i, uri))).toEqual(denial.inactive)
    expect(issuer.count('status')).toBe(2)
    expect(issuer.requests.at(-1)?.headers['cache-control']).toBe('no-cache')
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
  })

  test('TSL-06 (§13.4): fetches the list again for a token that was issued after the last fetch', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
    issuer.statusList({ lst: Uint8Array.of(0xb9, 0xa3, 0x02) })
    expect(await ask(api, listed(issuer, 16, uri))).toEqual(granted)
    expect(await ask(api, listed(issuer, 17, uri))).toEqual(denial.inactive)
    expect(issuer.count('status')).toBe(2)
  })
})

describe('TSL-07 (§13.7): how long a list is kept', () => {
  /** Revokes the token at index 1. */
  const revoke = (issuer: TestIssuer, claims: JsonObject = {}): string =>
    issuer.statusList({ lst: Uint8Array.of(0xff, 0xff) }, { claims })

  test('TSL-07 (§8.2): uses its ttl of 60 s, not the max-age of an hour around it', async () => {
    const { issuer, api } = await start()
    issuer.always('status', fault.headers({ 'cache-control': 'max-age=3600' }))
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 60 } }))
    expect(await ask(api, token)).toEqual(granted)
    revoke(issuer, { ttl: 60 })
    bed.clock.advance(41)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('status')).toBe(1)
    bed.clock.advance(19)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('status')).toBe(2)
  })

  test('TSL-07 (§8.2): uses its ttl of an hour, not the no-store around it', async () => {
    const { issuer, api } = await start()
    issuer.always('status', fault.headers({ 'cache-control': 'no-store, max-age=0' }))
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 3600 } }))
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(2500)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('status')).toBe(1)
  })

  test.each([
    ['none', undefined, 300],
    ['1 s', 1, 60],
    ['12 hours', 43_200, 3600],
    ['90.5 s', 90.5, 90.5]
  ])('TSL-07 (§11.5): with a ttl of %s keeps it for %s s … %i', async (_, ttl, kept) => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl } }))
    expect(await ask(api, token)).toEqual(granted)
    revoke(issuer)
    bed.clock.advance(kept * 0.69)
    expect(await ask(api, token)).toEqual(granted)
    expect(issuer.count('status')).toBe(1)
    bed.clock.advance(kept * 0.31)
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('status')).toBe(2)
  })

  test('TSL-07 (§13.7): never keeps it past its exp, whatever its ttl is', async () => {
    const { issuer, api } = await start()
    const exp = bed.clock.now() + 100
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 3600, exp } }))
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('status', fault.status(500))
    bed.clock.advance(129)
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(denial.unavailable)
  })

  test('TSL-07: does not use a list after it has expired, nor fetch it without limit', async () => {
    const { issuer } = await start()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], clockTolerance: 0 })
    const uri = issuer.statusList(LIST, { claims: { exp: bed.clock.now() + 2 } })
    const token = listed(issuer, VALID, uri)
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(2)
    issuer.statusList(LIST, { claims: { exp: bed.clock.now() + 2 } })
    expect(await ask(api, token)).toEqual(granted)
    bed.clock.advance(2)
    for (let i = 0; i < 10; i++) expect(await ask(api, token)).toEqual(denial.unavailable)
    expect(issuer.count('status')).toBe(2)
    issuer.statusList(LIST)
    bed.clock.advance(30)
    expect(await ask(api, token)).toEqual(granted)
  })

  test('TSL-07: does not use a list that was signed before a known one, so revoked tokens stay revoked', async () => {
    const { issuer, api } = await start()
    const claims = { ttl: 60 }
    const old = { ...claims, iat: bed.clock.now() - 100 }
    const token = listed(issuer, VALID, issuer.statusList({ lst: Uint8Array.of(0xff, 0xff) }, { claims }))
    expect(await ask(api, token)).toEqual(denial.inactive)
    issuer.statusList(LIST, { claims: old })
    bed.clock.advance(59)
    expect(await ask(api, token)).toEqual(denial.inactive)
    bed.clock.advance(5)
    expect(await ask(api, token)).toEqual({ ...denial.unavailable, retryAfter: expect.any(String) })
    bed.clock.advance(300)
    expect(await ask(api, token)).toEqual({ ...denial.unavailable, retryAfter: expect.any(String) })
    issuer.statusList(LIST, { claims })
    bed.clock.advance(300)
    expect(await ask(api, token)).toEqual(granted)
  })

  test('TSL-07 (§8.2): counts its ttl from the request, however slow the response was', async () => {
    const { issuer, api } = await start()
    const gate = issuer.hold('status')
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 300 } }))
    const pending = ask(api, token)
    await issuer.received('status', 1)
    bed.clock.advance(200)
    gate.release()
    expect(await pending).toEqual(granted)
    revoke(issuer)
    // Within the ttl since it came, and not since it was asked for.
    bed.clock.advance(101)
    expect(await ask(api, token)).toEqual(denial.inactive)
  })

  describe('TSL-07: a list without exp and ttl', () => {
    const HOUR = 3600
    const warned = (issuer: TestIssuer, hours: string): unknown =>
      expect.stringContaining(
        `the status list token of ${issuer.issuer} at ${new URL(issuer.issuer).host} has neither \`exp\` nor \`ttl\`, and was signed more than 12 hours ago. It is refused ${hours} hours after its`
      )

    test.each([0, 1, 11])('TSL-07: signed %d hours ago is used without a warning', async (hours) => {
      const { issuer, api } = await start()
      const claims = { iat: bed.clock.now() - hours * HOUR }
      expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST, { claims })))).toEqual(granted)
      expect(api.health().issuers[0]?.warnings).toEqual([])
    })

    test.each([12, 20, 24])('TSL-07: signed %d hours ago is used, with a warning', async (hours) => {
      const { issuer, api } = await start()
      const claims = { iat: bed.clock.now() - hours * HOUR }
      const uri = issuer.statusList(LIST, { claims })
      // At a day to the second it is used for no time at all.
      if (hours < 24) expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
      else await ask(api, listed(issuer, VALID, uri))
      expect(api.health().issuers[0]?.warnings).toEqual([warned(issuer, '24')])
    })

    test.each([25, 24 * 365])('TSL-07 DEN-16: signed %d hours ago is refused, with the warning', async (hours) => {
      const { issuer } = await start()
      for (const onUnavailable of ['refuse', 'allow'] as const) {
        const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: { onUnavailable } }] })
        const claims = { iat: bed.clock.now() - hours * HOUR }
        const token = listed(issuer, VALID, issuer.statusList(LIST, { claims }))
        expect(await ask(api, token)).toEqual(denial.unavailable)
        expect(api.health().issuers[0]?.warnings).toEqual([warned(issuer, '24')])
      }
    })

    test('TSL-07 DEN-16: served unchanged for a day causes a warning, and is then refused', async () => {
      const { issuer, api } = await start()
      const token = listed(issuer, VALID, issuer.statusList(LIST), { exp: bed.clock.now() + 48 * HOUR })
      const seen: (number | undefined)[] = []
      for (let hours = 0; hours < 27; hours += 3) {
        const { status } = await ask(api, token)
        seen.push(status, api.health().issuers[0]?.warnings.length)
        bed.clock.advance(3 * HOUR)
      }
      expect(seen.slice(0, 8)).toEqual([200, 0, 200, 0, 200, 0, 200, 0])
      expect(seen.slice(8, 16)).toEqual([200, 1, 200, 1, 200, 1, 200, 1])
      expect(seen.slice(16)).toEqual([503, 1])
    })

    test.each(['exp', 'ttl'])('TSL-07: with %s it may be older', async (name) => {
      const { issuer, api } = await start()
      const now = bed.clock.now()
      const claims = { iat: now - 100 * HOUR, [name]: name === 'exp' ? now + HOUR : 300 }
      expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST, { claims })))).toEqual(granted)
      expect(api.health().issuers[0]?.warnings).toEqual([])
    })
  })

  describe('TSL-07: the latest iat of a list', () => {
    /** A store in memory; `values` has what it keeps. */
    function createStore(): { store: SharedOptions['store']; values: Map<string, string> } {
      const values = new Map<string, string>()
      const store: SharedOptions['store'] = {
        get: (key) => values.get(key) ?? null,
        set: (key, value) => void values.set(key, value),
        delete: (key) => void values.delete(key),
        add: () => true
      }
      return { store, values }
    }
    const secret = 'a secret of thirty-two characters'
    const mark = (values: ReadonlyMap<string, string>): string | undefined =>
      [...values].find(([name]) => name.startsWith('status-list:'))?.[1]
    const revoked = { lst: Uint8Array.of(0xff, 0xff) }

    test('TSL-07: applies in another process, and after a restart: an older list is refused', async () => {
      const { issuer } = await start()
      const { store, values } = createStore()
      const join = (): ResourceServer =>
        bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], shared: { store, secret } })
      const token = listed(issuer, VALID, issuer.statusList(revoked, { claims: { ttl: 60 } }))
      expect(await ask(join(), token)).toEqual(denial.inactive)
      await until(() => mark(values) !== undefined)
      issuer.statusList(LIST, { claims: { ttl: 60, iat: bed.clock.now() - 100 } })
      expect(await ask(join(), token)).toEqual(denial.unavailable)
      // One that was signed at the same time, or later, is used.
      issuer.statusList(LIST, { claims: { ttl: 60 } })
      expect(await ask(join(), token)).toEqual(granted)
    })

    test('TSL-07: is stored under a MAC and encrypted, and an older one does not replace it', async () => {
      const { issuer } = await start()
      const { store, values } = createStore()
      const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], shared: { store, secret } })
      const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 60 } }))
      await ask(api, token)
      await until(() => mark(values) !== undefined)
      expect([...values].join(' ')).not.toContain('/status/')
      const before = mark(values)
      const iat = bed.clock.now() - 1
      issuer.statusList(LIST, { claims: { ttl: 60, iat } })
      bed.clock.advance(61)
      expect((await ask(api, token)).status).toBe(503)
      expect(mark(values)).toBe(before)
    })

    test.each(['x', '', 'Infinity', '1750000500', 'null'])(
      'TSL-07: ignores %j in the store, which is not a past time',
      async (text) => {
        const { issuer } = await start()
        const { store } = createStore()
        const uri = issuer.statusList(LIST, { claims: { iat: bed.clock.now() - 60, ttl: 60 } })
        const shared = createShared({ store, secrets: [secret], log: undefined }, bed.clock.now)
        await shared.cache('status-list').set([issuer.issuer, uri], text, 600)
        const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], shared: { store, secret } })
        expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
      }
    )

    test('TSL-07: uses the list without waiting if the store fails', async () => {
      const { issuer } = await start()
      const fail = (): never => {
        throw new Error('down')
      }
      const store = { get: fail, set: fail, delete: fail, add: fail }
      const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], shared: { store, secret } })
      expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST)))).toEqual(granted)
    })

    test('TSL-07: is remembered after the list was evicted', async () => {
      const { issuer, api } = await start()
      const token = listed(issuer, VALID, issuer.statusList(revoked, {}, 'first'))
      expect(await ask(api, token)).toEqual(denial.inactive)
      for (let i = 0; i < 100; i++)
        expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST, {}, String(i))))).toEqual(granted)
      issuer.statusList(LIST, { claims: { iat: bed.clock.now() - 100 } }, 'first')
      expect(await ask(api, token)).toEqual(denial.unavailable)
    })
  })

  test('TSL-07: renews a list before it expires, and no request waits', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 200 } }))
    expect(await ask(api, token)).toEqual(granted)
    const gate = issuer.hold('status')
    bed.clock.advance(190)
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    await issuer.received('status', 2)
    revoke(issuer, { ttl: 200 })
    expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    gate.release()
    await until(() => {
      try {
        return authorize(api, token) instanceof Promise
      } catch {
        return true
      }
    })
    expect(await ask(api, token)).toEqual(denial.inactive)
    expect(issuer.count('status')).toBe(2)
  })
})

describe('TSL-08 (§8.3): an unavailable list', () => {
  test.each(OUTAGES)('TSL-08 DEN-16: %s is a 503', async (_, behaviour, http) => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: true }], ...(http && { http }) })
    const token = listed(issuer, VALID, issuer.statusList(LIST))
    issuer.always('status', behaviour)
    expect(await ask(api, token)).toEqual(denial.unavailable)
    const error = await refusal(() => authorize(api, token))
    expect(error).toMatchObject({ reason: 'status_list_unavailable', dependency: 'status_list' })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect(api.stats().cache.statusLists.failing).toBe(1)
  })

  const NO_LISTS: readonly [what: string, behaviour: Behaviour][] = [
    ['404', fault.status(404)],
    ['401', fault.status(401)],
    ['304', fault.status(304, { body: '' })],
    ['a list that comes with 404', ({ response, normal }) => response.writeHead(404, normal.headers).end(normal.body)],
    ['a page', fault.html200()],
    ['another content type', fault.contentType('application/jwt')],
    ['no content type', fault.contentType(undefined)]
  ]

  test.each(NO_LISTS)('TSL-08 DEN-16 (§8.2): %s is a 503 too', async (_, behaviour) => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST))
    issuer.always('status', behaviour)
    expect(await ask(api, token)).toEqual(denial.unavailable)
    issuer.always('status', undefined)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(granted)
    expect(api.stats().cache.statusLists.failing).toBe(0)
  })

  test('TSL-08 (§8.2): accepts any success status', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST))
    issuer.script('status', ({ response, normal }) => response.writeHead(203, normal.headers).end(normal.body))
    expect(await ask(api, token)).toEqual(granted)
  })

  test('TSL-08: passes on the server’s Retry-After', async () => {
    const { issuer, api } = await start()
    issuer.always('status', fault.retryAfter(7))
    expect(await ask(api, listed(issuer, VALID, issuer.statusList(LIST)))).toEqual(unavailableFor(7))
  })

  test('TSL-08: does not use a known list past its time', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST, { claims: { ttl: 60 } }))
    expect(await ask(api, token)).toEqual(granted)
    issuer.always('status', fault.status(500))
    bed.clock.advance(59)
    expect(await ask(api, token)).toEqual(granted)
    await until(() => api.stats().cache.statusLists.failing === 1)
    bed.clock.advance(1)
    expect(await ask(api, token)).toEqual(denial.unavailable)
  })

  test('TSL-08: does not fetch again for every request while it fails', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    issuer.always('status', fault.status(404))
    const tokens = Array.from({ length: 50 }, (_, i) => listed(issuer, VALID, uri, { jti: `j${i}` }))
    for (const answer of await Promise.all(tokens.map((token) => ask(api, token))))
      expect(answer).toEqual(denial.unavailable)
    for (const token of tokens) expect(await ask(api, token)).toEqual(denial.unavailable)
    expect(issuer.count('status')).toBe(1)
  })

  test('TSL-08: is a 503 if the keys to verify it cannot be fetched', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.token())).toEqual(granted)
    issuer.rotate('publish')
    const uri = issuer.statusList(LIST, { key: strangeKey('k9') })
    issuer.always('jwks', fault.status(500))
    expect(await ask(api, listed(issuer, VALID, uri))).toEqual(denial.unavailable)
  })

  describe('with onUnavailable: allow', () => {
    const allowing = { onUnavailable: 'allow' } as const

    /** Not the server's being down: an answer that is no list, and never will be one by itself. */
    const useless = (what: string): boolean => /too long|MiB|compressed/.test(what)

    test.each(OUTAGES.filter(([what]) => !useless(what)))(
      'TSL-08: %s lets the token pass',
      async (_, behaviour, http) => {
        const issuer = await bed.issuer()
        const api = bed.api({ issuers: [{ issuer: issuer.issuer, statusList: allowing }], ...(http && { http }) })
        const token = listed(issuer, VALID, issuer.statusList(LIST))
        issuer.always('status', behaviour)
        for (let i = 0; i < 2; i++) expect(await ask(api, token)).toEqual(granted)
        expect(api.stats().cache.statusLists.failing).toBe(1)
      }
    )

    test.each<[what: string, behaviour: Behaviour]>([
      ...OUTAGES.filter(([what]) => useless(what)).map(([what, behaviour]) => [what, behaviour] as [string, Behaviour]),
      ...NO_LISTS,
      ['a redirect', fault.status(302, { headers: { location: '/elsewhere' } })]
    ])('TSL-08: %s lets no token pass, since revoked ones would pass too', async (_, behaviour) => {
      const { issuer, api } = await start(allowing)
      const token = listed(issuer, INVALID, issuer.statusList(LIST))
      issuer.always('status', behaviour)
      for (let i = 0; i < 2; i++) expect(await ask(api, token)).toEqual(denial.unavailable)
      expect(api.health().issuers[0]?.warnings).toEqual([])
    })

    test('TSL-08: an expired list lets no token pass', async () => {
      const { issuer, api } = await start(allowing)
      const expired = issuer.statusList(LIST, { claims: { exp: bed.clock.now() - 30 } }, 'expired')
      expect(await ask(api, listed(issuer, INVALID, expired))).toEqual(denial.unavailable)
    })

    test('TSL-08: too many lists at once let no token pass, since a client with many tokens can cause that', async () => {
      const { issuer, api } = await start(allowing)
      expect(await ask(api, issuer.token())).toEqual(granted)
      const uris = Array.from({ length: 17 }, (_, i) => issuer.statusList(LIST, {}, String(i)))
      const gate = issuer.hold('status')
      const waiting = uris.slice(0, 16).map((uri) => ask(api, listed(issuer, INVALID, uri)))
      await issuer.received('status', 16)
      expect(await ask(api, listed(issuer, INVALID, uris[16] as string))).toEqual(unavailableFor(1))
      gate.release()
      for (const answer of await Promise.all(waiting)) expect(answer).toEqual(denial.inactive)
    })

    test('TSL-08: a closed resource server lets no token pass', async () => {
      const { issuer, api } = await start(allowing)
      await api.ready()
      await api.close()
      expect(await ask(api, listed(issuer, INVALID, issuer.statusList(LIST)))).toEqual(denial.unavailable)
    })

    test('TSL-08: warns once for each server of lists', async () => {
      const { issuer, api } = await start(allowing)
      const uris = ['1', '2'].map((name) => issuer.statusList(LIST, {}, name))
      issuer.always('status', fault.status(500))
      expect(api.health().issuers[0]?.warnings).toEqual([])
      for (const uri of uris) expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
      const { host } = new URL(issuer.issuer)
      expect(api.health().issuers[0]?.warnings).toEqual([
        `tokens were accepted although their status list at ${host} is unavailable (\`statusList.onUnavailable: 'allow'\`)`
      ])
    })

    test('TSL-08: a token whose last known status was invalid stays refused', async () => {
      const { issuer, api } = await start(allowing)
      const uri = issuer.statusList(LIST, { claims: { ttl: 60 } })
      const [valid, invalid, later] = [VALID, INVALID, 16].map((idx) => listed(issuer, idx, uri)) as [
        string,
        string,
        string
      ]
      expect(await ask(api, invalid)).toEqual(denial.inactive)
      issuer.always('status', fault.status(500))
      bed.clock.advance(60)
      for (let i = 0; i < 2; i++) {
        expect(await ask(api, invalid)).toEqual(denial.inactive)
        expect(await ask(api, valid)).toEqual(granted)
        expect(await ask(api, later)).toEqual(granted)
      }
    })

    test('TSL-08: an invalid list, or one at another origin, lets no token pass', async () => {
      const { issuer, api } = await start(allowing)
      const forged = issuer.statusList(LIST, { key: strangeKey('k1') })
      for (let i = 0; i < 2; i++) expect(await ask(api, listed(issuer, VALID, forged))).toEqual(denial.misconfigured)
      expect(await ask(api, listed(issuer, VALID, 'https://other.example/1'))).toEqual(denial.misconfigured)
      expect(await ask(api, withStatus(issuer, {}))).toEqual(denial.claim)
      expect(await ask(api, listed(issuer, INVALID, issuer.statusList(LIST, {}, '2')))).toEqual(denial.inactive)
    })
  })
})

describe('many tokens, many lists', () => {
  test('a known token with a known list is decided without a promise', async () => {
    const { issuer, api } = await start()
    const token = listed(issuer, VALID, issuer.statusList(LIST))
    await authorize(api, token)
    for (let i = 0; i < 3; i++) expect(authorize(api, token)).not.toBeInstanceOf(Promise)
    expect(issuer.count('status')).toBe(1)
  })

  test('fifty tokens of one unknown list cause one fetch', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    const tokens = Array.from({ length: 50 }, (_, i) => listed(issuer, VALID, uri, { jti: `j${i}` }))
    for (const answer of await Promise.all(tokens.map((token) => ask(api, token)))) expect(answer).toEqual(granted)
    expect(issuer.count('status')).toBe(1)
  })

  test('keeps a hundred lists of an issuer, the most recently used ones', async () => {
    const { issuer, api } = await start()
    const uris = Array.from({ length: 150 }, (_, i) => issuer.statusList(LIST, {}, String(i)))
    for (const uri of uris) {
      expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
      expect(await ask(api, listed(issuer, VALID, uris[0] as string))).toEqual(granted)
    }
    expect(issuer.count('status')).toBe(150)
    expect(api.stats().cache.statusLists).toMatchObject({ entries: 100, maxEntries: 1000 })
    expect(await ask(api, listed(issuer, VALID, uris[1] as string))).toEqual(granted)
    expect(issuer.count('status')).toBe(151)
    expect(await ask(api, listed(issuer, VALID, uris[149] as string))).toEqual(granted)
    expect(issuer.count('status')).toBe(151)
  })

  test('keeps 64 MiB of lists', async () => {
    const { issuer, api } = await start()
    const lst = deflateSync(new Uint8Array(2 * 1024 * 1024)).toString('base64url')
    for (let i = 0; i < 40; i++) {
      expect(await ask(api, listed(issuer, VALID, issuer.statusList({ lst }, {}, String(i))))).toEqual(granted)
    }
    const { entries, bytes, maxBytes } = api.stats().cache.statusLists
    expect(maxBytes).toBe(64 * 1024 * 1024)
    expect(bytes).toBeLessThanOrEqual(maxBytes)
    expect(entries).toBe(31)
  })

  test('an issuer with many lists displaces its own before those of others', async () => {
    const [few, many] = [await bed.issuer(), await bed.issuer()]
    const api = bed.api({ issuers: [few, many].map(({ issuer }) => ({ issuer, statusList: true })) })
    const invalid = listed(few, INVALID, few.statusList(LIST))
    expect(await ask(api, invalid)).toEqual(denial.inactive)
    const lst = deflateSync(new Uint8Array(2 * 1024 * 1024)).toString('base64url')
    for (let i = 0; i < 40; i++) await ask(api, listed(many, VALID, many.statusList({ lst }, {}, String(i))))
    expect(await ask(api, invalid)).toEqual(denial.inactive)
    expect([few.count('status'), many.count('status')]).toEqual([1, 40])
    expect(api.stats().cache.statusLists.entries).toBe(32)
  })

  test('keeps a thousand lists of all issuers, counting those that failed', async () => {
    const issuers = await Promise.all(Array.from({ length: 11 }, () => bed.issuer()))
    const api = bed.api({ issuers: issuers.map(({ issuer }) => ({ issuer, statusList: true })) })
    await api.ready()
    await api.close()
    for (const issuer of issuers) {
      for (let i = 0; i < 100; i++) {
        expect((await ask(api, listed(issuer, VALID, `${issuer.origin}/status/${i}`))).status).toBe(503)
      }
    }
    expect(api.stats().cache.statusLists).toMatchObject({ entries: 1000, failing: 1000 })
  })

  test('fetches sixteen lists of an issuer at once; a request that needs another gets a 503', async () => {
    const { issuer, api } = await start()
    expect(await ask(api, issuer.token())).toEqual(granted)
    const uris = Array.from({ length: 20 }, (_, i) => issuer.statusList(LIST, {}, String(i)))
    const gate = issuer.hold('status')
    const answers: Answered[] = []
    const pending = uris.map((uri) => ask(api, listed(issuer, VALID, uri)).then((answer) => answers.push(answer)))
    await until(() => answers.length === 4)
    for (const answer of answers.splice(0)) expect(answer).toEqual(unavailableFor(1))
    await issuer.received('status', 16)
    gate.release()
    await Promise.all(pending)
    for (const answer of answers) expect(answer).toEqual(granted)
    expect(issuer.count('status')).toBe(16)
    bed.clock.advance(1)
    for (const uri of uris) expect(await ask(api, listed(issuer, VALID, uri))).toEqual(granted)
    expect(issuer.count('status')).toBe(20)
  })

  test('lists of two issuers do not mix, even with the same URI', async () => {
    const one = await bed.issuer({ path: '/one' })
    const status = { idx: VALID, uri: one.statusList(LIST) }
    const other = await bed.issuer()
    const issuers = [
      { issuer: one.issuer, statusList: true },
      { issuer: other.issuer, statusList: { origins: [one.origin] } }
    ]
    const api = bed.api({ issuers })
    expect(await ask(api, one.token({ claims: { status: { status_list: status } } }))).toEqual(granted)
    expect(await ask(api, other.token({ claims: { status: { status_list: status } } }))).toEqual(denial.misconfigured)
  })
})

describe('the callers that look up a list', () => {
  test('enforce() looks it up again, because the token may have been revoked since', async () => {
    const { issuer, api } = await start()
    const uri = issuer.statusList(LIST)
    const access = await authorize(api, listed(issuer, VALID, uri))
    expect(api.enforce(access, request(), scope('read'))).toBeUndefined()
    issuer.statusList({ lst: Uint8Array.of(0xff) })
    bed.clock.advance(300)
    const error = await refusal(() => api.enforce(access, request(), scope('read')))
    expect(error).toMatchObject({ status: 401, reason: 'status' })
  })

  test('fresh() introspects, and uses a list until its time ends', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { statusList: true })] })
    const status = { status_list: { idx: VALID, uri: issuer.statusList(LIST) } }
    const token = issuer.opaque({}, issuer.token({ claims: { status } }))
    for (let i = 0; i < 2; i++) expect(await ask(api, token, scope('read'), fresh())).toEqual(granted)
    expect(issuer.count('introspection')).toBe(2)
    expect(issuer.count('status')).toBe(1)
    issuer.revoke(token)
    expect(await ask(api, token, scope('read'), fresh())).toEqual(denial.inactive)
  })

  test('a token renewed by fresh() is looked up like the original', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer, {}, { statusList: true })] })
    const status = { status_list: { idx: VALID, uri: issuer.statusList(LIST) } }
    const token = issuer.opaque({ acr: 'high' }, issuer.token({ claims: { status } }))
    const access = await authorize(api, token, fresh())
    expect(access.claims['acr']).toBe('high')
    issuer.statusList({ lst: Uint8Array.of(0xff) })
    bed.clock.advance(300)
    expect(await refusal(() => api.enforce(access, request()))).toMatchObject({ reason: 'status' })
  })
})
