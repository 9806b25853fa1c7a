/** `jwksAuth`: credentials for a key endpoint that wants them, over real sockets. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type IssuerOptions, type JwksAuth, resourceServer, Unavailable } from '../../src/index.js'
import { kubernetes } from '../../src/profiles/index.js'
import {
  ask,
  authorize,
  createBed,
  denial,
  granted,
  RESOURCE,
  redirectingAgent,
  refusal,
  strangeKey
} from '../support/exchange.js'
import { fault, type TestIssuer } from '../support/issuer.js'

const bed = createBed()
const folder = mkdtempSync(join(tmpdir(), 'jwks-auth-'))
const tokenFile = join(folder, 'token')
afterAll(() => rmSync(folder, { recursive: true }))
beforeAll(() => import('undici'))

const MISSING = join(folder, 'missing')
const fields = ({ requests }: TestIssuer): (string | undefined)[] =>
  requests.filter(({ path }) => path === '/jwks').map(({ headers }) => headers.authorization)

async function start(jwksAuth: JwksAuth, options: Partial<Parameters<typeof resourceServer>[0]> = {}) {
  const issuer = await bed.issuer()
  const entry: IssuerOptions = { issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks`, jwksAuth }
  return { issuer, api: bed.api({ ...options, issuers: [entry] }) }
}

describe('a key endpoint that requires credentials', () => {
  test('gets the token of a file, which is read again before each fetch', async () => {
    writeFileSync(tokenFile, 'first.token\n')
    const { issuer, api } = await start({ tokenFile })
    expect(await ask(api, issuer.token())).toEqual(granted)
    writeFileSync(tokenFile, '  second.token')
    bed.clock.advance(31)
    expect(await ask(api, issuer.token({ key: strangeKey('new') }))).toEqual(denial.signature)
    expect(fields(issuer)).toEqual(['Bearer first.token', 'Bearer second.token'])
  })

  test('gets the header fields of a function, which is called before each fetch and not for a cached token', async () => {
    let calls = 0
    const { issuer, api } = await start(async () => ({ Authorization: `Key ${++calls}`, 'x-tenant': 'a b' }))
    for (let i = 0; i < 3; i++) expect(await ask(api, issuer.token())).toEqual(granted)
    await api.refresh()
    expect(fields(issuer)).toEqual(['Key 1', 'Key 2'])
    expect(issuer.requests[0]?.headers).toMatchObject({ 'x-tenant': 'a b', accept: expect.stringContaining('json') })
  })

  test('is the only one to get them: a redirect to another origin is not followed, and no metadata is fetched', async () => {
    const elsewhere = await bed.issuer()
    const { issuer, api } = await start(() => ({ authorization: 'Bearer secret' }))
    issuer.always('jwks', fault.redirect(`${elsewhere.origin}/jwks`))
    expect(await ask(api, issuer.token())).toMatchObject({ status: 503 })
    expect(elsewhere.requests).toEqual([])
    expect(issuer.count('metadata')).toBe(0)
  })

  test('that answers 401 without them is an outage, and the message names both options', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.status(401))
    const api = bed.api({ issuers: [{ issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }] })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect((await refusal(() => authorize(api, issuer.token()))).hint).toContain('`jwksUri` and `jwksAuth`')
  })

  test('the held keys stay in use while the file is missing', async () => {
    writeFileSync(tokenFile, 'a.token')
    const { issuer, api } = await start({ tokenFile })
    expect(await ask(api, issuer.token())).toEqual(granted)
    rmSync(tokenFile)
    bed.clock.advance(601)
    expect(await ask(api, issuer.token({ claims: { exp: bed.clock.now() + 300 } }))).toEqual(granted)
    expect(api.health().issuers[0]?.status).toBe('degraded')
  })

  test('gets no request if the function does not answer, and neither does another issuer: 503 after callbackTimeout', async () => {
    const { issuer, api } = await start(() => new Promise(() => {}), { callbackTimeout: 0.01 })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
    expect(issuer.requests).toEqual([])
  })

  test('is an outage if the function throws Unavailable', async () => {
    const { issuer, api } = await start(() => {
      throw new Unavailable('jwks', 'the vault is sealed')
    })
    expect(await ask(api, issuer.token())).toEqual(denial.unavailable)
  })

  test.each<readonly [what: string, jwksAuth: unknown]>([
    [
      'a function that throws',
      () => {
        throw new Error('SECRET')
      }
    ],
    ['a function that returns nothing', () => undefined],
    ['a function that returns a list', () => ['SECRET']],
    ['an empty value', () => ({ authorization: '' })],
    ['a line break in a value', () => ({ authorization: 'Bearer SECRET\r\nx: y' })],
    ['a value that is no text', () => ({ authorization: ['SECRET'] })],
    ['a character beyond ASCII', () => ({ authorization: 'SECRET ä' })],
    ['a name that is none', () => ({ 'SECRET x': 'y' })],
    ['the field Host', () => ({ Host: 'SECRET.example' })],
    ['the field Transfer-Encoding', () => ({ 'transfer-encoding': 'chunked' })],
    ['a file that is not there', { tokenFile: MISSING }],
    ['a folder', { tokenFile: folder }]
  ])('gets no request with %s: 500, and the message shows no value', async (_what, jwksAuth) => {
    const { issuer, api } = await start(jwksAuth as JwksAuth)
    expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
    expect(issuer.requests).toEqual([])
    expect((await refusal(() => authorize(api, issuer.token()))).hint).not.toContain('SECRET')
  })

  test.each<readonly [what: string, text: string]>([
    ['nothing', ' \n'],
    ['two words', 'one two'],
    ['two lines', 'one\ntwo'],
    ['more than 16 KiB', 'a'.repeat(16 * 1024 + 1)]
  ])('gets no request with a token file that contains %s: 500', async (_what, text) => {
    writeFileSync(tokenFile, text)
    const { issuer, api } = await start({ tokenFile })
    expect(await ask(api, issuer.token())).toEqual(denial.misconfigured)
    expect(issuer.requests).toEqual([])
  })
})

describe('the option jwksAuth', () => {
  const problem = (entry: object): string => {
    try {
      resourceServer({ resource: RESOURCE, issuers: [{ issuer: 'https://as.example.com', ...entry }] })
      return ''
    } catch (error) {
      return (error as TypeError).message
    }
  }
  const jwksUri = 'https://as.example.com/jwks'

  test.each<readonly [entry: object, expected: string]>([
    [{ jwksAuth: () => ({}) }, '`issuers[0].jwksAuth` is set without `jwksUri`'],
    [{ jwksUri, jwksAuth: 'Bearer a' }, '`issuers[0].jwksAuth` is a string: it must be an object'],
    [{ jwksUri, jwksAuth: {} }, '`issuers[0].jwksAuth.tokenFile` holds missing'],
    [{ jwksUri, jwksAuth: { tokenFile: '' } }, 'is a variable unset?'],
    [{ jwksUri, jwksAuth: { tokenFile: 'a', file: 'b' } }, '`issuers[0].jwksAuth.file` is not an option']
  ])('refuses %j at start', (entry, expected) => {
    expect(problem(entry)).toContain(expected)
  })

  test('is described by its file, or as a function, never by its result', () => {
    const described = (jwksAuth: JwksAuth): unknown =>
      resourceServer({
        resource: RESOURCE,
        issuers: [{ issuer: 'https://as.example.com', jwksUri, jwksAuth }]
      }).describe()['issuers']
    expect(described(() => ({ authorization: 'SECRET' }))).toMatchObject([{ jwksAuth: 'a function' }])
    expect(described({ tokenFile: '/run/token' })).toMatchObject([{ jwksAuth: { tokenFile: '/run/token' } }])
  })
})

test('for a resolver’s issuer the latest function applies, and the issuer keeps its keys', async () => {
  const issuer = await bed.issuer()
  let answers = 0
  const api = bed.api({
    issuers: () => {
      const answer = ++answers
      return {
        issuer: issuer.issuer,
        jwksUri: `${issuer.origin}/jwks`,
        jwksAuth: () => ({ authorization: `Bearer ${answer}` })
      }
    },
    http: { publicAddressesOnly: false }
  })
  expect(await ask(api, issuer.token())).toEqual(granted)
  bed.clock.advance(301)
  expect(await ask(api, issuer.token())).toEqual(granted)
  await api.refresh()
  expect(fields(issuer)).toEqual(['Bearer 1', 'Bearer 2'])
})

test('kubernetes() of this cluster fetches the keys from the API server with the token of the pod', async () => {
  writeFileSync(tokenFile, 'pod.token')
  const server = await bed.issuer({ algorithms: ['RS256'] })
  const profile = kubernetes({ audience: RESOURCE, subjects: 'system:serviceaccount:shop:web' })
  expect(profile).toMatchObject({
    issuer: 'https://kubernetes.default.svc.cluster.local',
    jwksUri: 'https://kubernetes.default.svc/openid/v1/jwks',
    jwksAuth: { tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' }
  })
  server.always('other', (exchange) => fault.body({ keys: server.jwks.keys })(exchange))
  const agent = redirectingAgent({ 'https://kubernetes.default.svc': server.origin })
  const api = bed.api({
    issuers: [{ ...profile, jwksAuth: { tokenFile } }],
    http: { dispatcher: bed.closing(agent) }
  })
  const token = (sub: string): string =>
    server.token({
      header: { typ: undefined },
      claims: { iss: profile.issuer, sub, client_id: undefined, scope: undefined, jti: undefined }
    })
  const none = (): undefined => undefined
  expect(await ask(api, token('system:serviceaccount:shop:web'), none)).toEqual(granted)
  expect((await ask(api, token('system:serviceaccount:other:web'), none)).status).toBe(401)
  expect(server.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
    ['/openid/v1/jwks', 'Bearer pod.token']
  ])
})
