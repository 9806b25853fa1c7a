/**
 * Findings of the suite that were wrong on servers of others, each once: the suite must not report them again.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Level } from '../../conformance/check.js'
import { CHECKS } from '../../conformance/checks/index.js'
import { type ConformanceOptions, runConformance } from '../../conformance/index.js'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import type { Report } from '../../conformance/report/report.js'
import { listen } from './apis.js'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com/orders' })
})
afterAll(() => issuer.close())

/** True for a token that the API accepts. */
type Read = (token: string) => Promise<boolean>

/** Runs checks against an API that accepts the tokens that `read` accepts. */
async function reportOf(read: Read, only: readonly string[], options: ConformanceOptions = {}): Promise<Report> {
  const origin = await listen(async (request, response) => {
    const [, token] = /^Bearer ([\w.-]+)$/.exec(request.headers.authorization ?? '') ?? []
    if (token !== undefined && (await read(token).catch(() => false))) response.writeHead(200).end('[]')
    else response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="orders"' }).end()
  })
  return runConformance(`${origin}/orders`, { issuer, only, declared: { recoverySeconds: 1 }, ...options })
}

const introspects: Read = async (token) => {
  const body = new URLSearchParams({ token })
  const answer = await fetch(`${issuer.url}/introspect`, { method: 'POST', body }).then((one) => one.json())
  return (answer as { active: unknown }).active === true
}

/** An API that reads the claims with the parser of JavaScript, which takes the last member, and compares `exp` only. */
const comparesExp: Read = async (token) => {
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp: number }
  return exp > Date.now() / 1000
}

function verdicts({ results }: Report): Record<string, string> {
  return Object.fromEntries(results.map(({ id, verdict }) => [id, verdict]))
}

test('an API that introspects every token is tested with opaque tokens, and checks of JWTs do not apply', async () => {
  const report = await reportOf(introspects, ['rfc7662-inactive', 'rfc7662-aud-other', 'rfc9068-typ-jwt'])
  expect(verdicts(report)).toEqual({
    'rfc7662-inactive': 'passed',
    'rfc7662-aud-other': 'failed',
    'good-token-after-rfc7662': 'passed',
    'rfc9068-typ-jwt': 'not applicable'
  })
  expect(report.features).toContain('introspection')
  expect(report.features).not.toContain('issuer')
  expect(report.results.find(({ id }) => id === 'rfc9068-typ-jwt')?.why).toMatch(/an API that accepts its JWTs$/)
})

test('a revocation that the API learns of is measured', async () => {
  const report = await reportOf(introspects, ['revocation-introspection'], {
    declared: { revokedBy: ['introspection'] }
  })
  expect(report.results[0]).toMatchObject({
    verdict: 'passed',
    measured: [expect.stringMatching(/^\d+\.\d seconds from the revocation to the refusal$/)]
  })
})

test('a member that stands twice is not judged where the API accepts its last value alone', async () => {
  const report = await reportOf(comparesExp, ['jwt-exp-twice', 'jwt-aud-twice', 'jws-typ-twice'])
  expect(verdicts(report)).toMatchObject({
    'jwt-exp-twice': 'passed',
    'jwt-aud-twice': 'not applicable',
    'jws-typ-twice': 'not applicable'
  })
})

test('an outage is not judged where the API has refused good tokens since an earlier check', async () => {
  const ids = ['keys-removed', 'faults-known-keys', 'faults-keys-500', 'faults-introspection-500']
  let requests = 0
  // The probe and the requests that detect features are answered as by a good API.
  const report = await reportOf(async () => ++requests <= 3, ids)
  expect(verdicts(report)).toMatchObject(Object.fromEntries(ids.map((id) => [id, 'not applicable'])))
})

test('an API that waits for a silent authorization server longer than the suite does has failed, and was tested', async () => {
  const report = await reportOf(introspects, ['faults-introspection-silence'], { timeout: 2000 })
  const [result] = report.results
  expect(result).toMatchObject({ verdict: 'failed', isRepeated: true })
  expect(result?.finding?.received).toMatch(/did not answer: no answer in 2 seconds/)
  expect(report.counts.errors).toBe(0)
})

test('an API that fails on a token in place of refusing it breaks RFC 6750 §3.1, a SHOULD, and not the text that forbids to accept', async () => {
  const origin = await listen((request, response) => {
    const [, head = ''] = /^Bearer ([\w-]+)\./.exec(request.headers.authorization ?? '') ?? []
    const isOther = Buffer.from(head, 'base64url').toString().includes('"JWT"')
    response.writeHead(head === '' ? 401 : isOther ? 500 : 200, { 'WWW-Authenticate': 'Bearer realm="orders"' }).end()
  })
  const only = ['rfc9068-typ-jwt', 'rfc9068-typ-missing', 'rfc9068-claim-sub']
  const { results, counts } = await runConformance(`${origin}/orders`, { issuer, only })
  expect(results.map(({ id, level }) => [id, level])).toMatchObject([
    ['rfc9068-typ-jwt', 'SHOULD'],
    ['rfc9068-typ-missing', 'MUST'],
    ['rfc9068-claim-sub', 'hardening'],
    ['good-token-after-rfc9068', 'hardening']
  ])
  expect(counts.failed).toEqual({ MUST: 1, SHOULD: 1, MAY: 0, hardening: 1 })
})

test('a redirect to the login page is neither acceptance nor a refusal, and a redirect of a good request is acceptance', async () => {
  const origin = await listen((request, response) => {
    const [, body = ''] = /^Bearer [\w-]+\.([\w-]+)\./.exec(request.headers.authorization ?? '') ?? []
    const isGood = body !== '' && !Buffer.from(body, 'base64url').toString().includes('another')
    const Location = isGood ? 'https://files.example/1' : `/login?next=${encodeURIComponent(request.url ?? '')}`
    response.writeHead(302, { Location }).end()
  })
  const only = ['rfc9068-aud-other', 'rfc9068-aud-array', 'rfc9068-iss-other']
  const { results } = await runConformance(`${origin}/orders`, { issuer, only })
  expect(results.map(({ id, verdict, level, finding }) => [id, verdict, level, finding?.received])).toEqual([
    ['rfc9068-iss-other', 'failed', 'SHOULD', 'The API answered 302. It redirected in place of refusing.'],
    ['rfc9068-aud-other', 'failed', 'SHOULD', 'The API answered 302. It redirected in place of refusing.'],
    ['rfc9068-aud-array', 'failed', 'MUST', 'The API answered 302.'],
    ['good-token-after-rfc9068', 'passed', 'hardening', undefined]
  ])
})

test('404 in place of 401 or 403 is advice, and good tokens tell that the route exists', async () => {
  const origin = await listen(async (request, response) => {
    const [, token] = /^Bearer ([\w.-]+)$/.exec(request.headers.authorization ?? '') ?? []
    const isGood = token !== undefined && (await comparesExp(token).catch(() => false))
    response.writeHead(isGood && request.url === '/orders' ? 200 : 404).end()
  })
  const declared = { scopedRoutes: [{ target: '/write', scope: 'orders:write' }] }
  const only = ['rfc6750-*', 'scope-challenge', 'rfc9068-error-code', 'rfc9110-*']
  const skip = ['rfc6750-good-*', 'rfc6750-unsigned-*', 'rfc6750-jwt-*', 'rfc6750-unknown-issuer']
  const report = await runConformance(`${origin}/orders`, { issuer, only, skip, declared })
  expect(report.counts.failed).toMatchObject({ MUST: 0, SHOULD: 0, MAY: 0 })
  const failed = report.results.filter(({ verdict }) => verdict === 'failed').map(({ id }) => id)
  expect(failed).toEqual(expect.arrayContaining(['rfc6750-no-token', 'rfc6750-error-code', 'scope-challenge']))
})

test('a route that answers 404 to a good token too is not tested', async () => {
  const origin = await listen((_request, response) => response.writeHead(404).end())
  await expect(runConformance(`${origin}/orders`, { issuer })).rejects.toThrow(
    /answers 404 without a token, and 404 to a good token of the suite\. Give the URL of a route that exists/
  )
})

test('an API that redirects each request to its login page does not trust the issuer', async () => {
  const origin = await listen((_request, response) => response.writeHead(302, { Location: '/login' }).end())
  await expect(runConformance(`${origin}/orders`, { issuer })).rejects.toThrow(/refuses a good token of the suite/)
})

test('an answer that is not HTTP has failed, such as one to HEAD that has a body', async () => {
  const server = createNetServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () =>
      socket.end('HTTP/1.0 401 No\r\nWWW-Authenticate: Bearer realm="x"\r\nContent-Length: 1\r\n\r\nx')
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`
  const { results } = await runConformance(url, { only: ['rfc9110-head'] })
  expect(results[0]).toMatchObject({
    verdict: 'failed',
    level: 'SHOULD',
    finding: { received: expect.stringContaining('HPE_') }
  })
})

test('an API that closes the connection has failed, and one that no longer listens ends the check as an error of the run', async () => {
  let isUp = true
  const server = createServer((request, response) => {
    if (request.headers.authorization !== 'Bearer null')
      return response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="orders"' }).end()
    isUp = false
    server.close()
    return server.closeAllConnections()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`
  const report = await runConformance(url, {
    only: ['rfc6750-no-token', 'rfc6750-null-token', 'rfc6750-undefined-token']
  })
  expect(isUp).toBe(false)
  expect(verdicts(report)).toEqual({
    'rfc6750-no-token': 'passed',
    'rfc6750-null-token': 'failed',
    'rfc6750-undefined-token': 'error'
  })
  expect(report.results[1]).toMatchObject({
    level: 'SHOULD',
    finding: { received: expect.stringMatching(/closed the connection/) }
  })
})

test('a 503 with Retry-After on a token of an unknown key is asked again, and judged then', async () => {
  let refusals = 0
  const origin = await listen((request, response) => {
    const [, head = ''] = /^Bearer ([\w-]+)\./.exec(request.headers.authorization ?? '') ?? []
    const isOther = Buffer.from(head, 'base64url').toString().includes('etc/passwd')
    const fields = { 'WWW-Authenticate': 'Bearer realm="orders"' }
    if (isOther && ++refusals === 1) response.writeHead(503, { 'Retry-After': '0' }).end()
    else response.writeHead(head === '' || isOther ? 401 : 200, fields).end()
  })
  const report = await runConformance(`${origin}/orders`, { issuer, only: ['jws-kid-path'] })
  expect(verdicts(report)).toMatchObject({ 'jws-kid-path': 'passed' })
  expect(refusals).toBe(2)
})

test.each([
  [undefined, 'not applicable'],
  [['orders:read'], 'failed']
])(
  'the challenge of an MCP server whose metadata has scopes_supported %j need not name scopes: %s',
  async (scopes, verdict) => {
    let origin = ''
    origin = await listen((request, response) => {
      if (request.url?.startsWith('/.well-known/oauth-protected-resource') !== true)
        return response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="mcp"' }).end()
      const document = { resource: `${origin}/mcp`, scopes_supported: scopes }
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(document))
    })
    const report = await runConformance(`${origin}/mcp`, { only: ['mcp-challenge-scope'] })
    expect(verdicts(report)).toEqual({ 'mcp-challenge-scope': verdict })
  }
)

/** Sections whose first sentence has the keyword of the list that the quote is from. */
const KEYWORD_BEFORE = /^RFC (?:9449 §4\.3|7515 §4\.1\.11|7515 §5\.2|9470 §3|9728 §3\.2)$/
const STRICTNESS: readonly Level[] = ['hardening', 'MAY', 'SHOULD', 'MUST']

test('no check is stricter than the keyword of its quote', () => {
  const stricter = CHECKS.filter(({ level, source }) => {
    if (source === undefined || KEYWORD_BEFORE.test(`${source.name} ${source.section}`)) return false
    // "shall" of a text of OpenID is the "MUST" of an RFC.
    const quote = source.name.startsWith('FAPI') ? source.quote.replaceAll('shall', 'MUST') : source.quote
    const words = quote.replaceAll('REQUIRED', 'MUST').match(/\b(?:MUST|SHOULD|MAY)\b/g) ?? ['hardening']
    const strictest = Math.max(...words.map((word) => STRICTNESS.indexOf(word as Level)))
    return STRICTNESS.indexOf(level) > strictest
  })
  expect(stricter.map(({ id }) => id)).toEqual([])
})

test.each([
  ['jws-crit-empty', 'MAY'],
  ['jws-crit-text', 'MAY'],
  ['dpop-good-htu-query', 'hardening'],
  ['dpop-good-scheme-case', 'hardening']
])('%s is of level %s: no text obliges the API', (id, level) => {
  expect(CHECKS.find((check) => check.id === id)?.level).toBe(level)
})

test('an API that shares one introspection passes, although its requests come one after another', async () => {
  const asking = new Map<string, Promise<boolean>>()
  let arrived = 0
  const shares: Read = async (token) => {
    await sleep(10 * (arrived++ % 20))
    const asked = asking.get(token) ?? introspects(token).finally(() => asking.delete(token))
    asking.set(token, asked)
    return asked
  }
  const report = await reportOf(shares, ['faults-stampede'])
  expect(verdicts(report)['faults-stampede']).toBe('passed')
})
