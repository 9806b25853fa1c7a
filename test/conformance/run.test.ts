/** The run: what it says of URLs that cannot be tested, which checks it runs, and what a check may send. */
import { describe, expect, test } from 'vitest'
import type { Check, Declared } from '../../conformance/check.js'
import { outsideChecks } from '../../conformance/checks/outside/index.js'
import { isPrivateHost } from '../../conformance/engine/place.js'
import { runConformance } from '../../conformance/index.js'
import { exitCodeOf } from '../../conformance/report/report.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { listen, startPlain, startRefusing } from './apis.js'

const checkOf = (more: Partial<Check>): Check => ({
  id: 'test-check',
  title: 'A check of the tests.',
  profile: 'rfc6750',
  level: 'hardening',
  run: async () => {},
  ...more
})

describe('bad input', () => {
  test.each([
    ['orders', /is not a URL: write https:/],
    ['ftp://api.example.com/', /begins with ftp: and must begin with https:/],
    ['https://user:secret@api.example.com/', /has a user name or password/],
    ['http://127.0.0.1:1/', /does not answer \(ECONNREFUSED.*Start the API/],
    ['http://no-such-host.invalid/', /is not a known host \(E.*Check the URL/],
    ['https://192.0.2.1/', /neither loopback nor private.*--mine/]
  ])('%s: says what to change', async (url, expected) => {
    const error = await runConformance(url).catch((one: unknown) => one)
    expect(error).toMatchObject({ name: 'RunProblem', message: expect.stringMatching(expected) })
    expect(String(error)).not.toContain('secret')
  })

  test('an API that answers 429, however long the suite waits', async () => {
    const url = await startPlain(({ answer }) => Object.assign(answer, { status: 429, fields: [['Retry-After', '0']] }))
    await expect(runConformance(url)).rejects.toThrow(/answers 429, however long the suite waits\. Raise its limit/)
  })

  test.each([
    [{ rate: 1e-9 }, 'rate must be a number from 0.01, and is 1e-9.'],
    [{ maxRequests: 0 }, 'maxRequests must be a whole number from 1, and is 0.'],
    [{ timeout: 1e12 }, 'timeout must be a number from 0.001 to 3,600 seconds, and is 1000000000.'],
    [{ has: ['xyz' as 'mtls'] }, 'has names the unknown feature xyz. Known: bearer'],
    [{ declared: { scopedroutes: [] } as Declared }, 'declared has the unknown member scopedroutes. Known: binding'],
    [{ declared: { request: { methd: 'POST' } as never } }, 'declared.request must be an object with method'],
    [{ declared: { request: { method: 'GET', fields: [['A']] as never } } }, 'declared.request must be'],
    [{ declared: { stepUp: { target: '/admin' } } }, 'declared.stepUp must be an object such as'],
    [{ declared: { revokedBy: ['fax' as 'event'] } }, 'declared.revokedBy must be a list of introspection'],
    [
      { declared: { revocationSeconds: -1 } },
      'declared.revocationSeconds must be a number from 0 to 86,400, and is -1.'
    ],
    [{ declared: { restart: 'npm start' as never } }, 'declared.restart must be a function, and is "npm start".']
  ])('%j: says what is wrong', async (options, message) => {
    const error = await runConformance('http://127.0.0.1:1', options).catch((one: unknown) => one)
    expect(error).toMatchObject({ name: 'RunProblem', message: expect.stringContaining(message) })
  })

  test('a route that does not exist', async () => {
    const url = await startPlain()
    await expect(runConformance(url.replace('/orders', '/other'))).rejects.toThrow(/answers 404.*a route that exists/)
  })

  test('an https URL of a server that speaks http', async () => {
    const url = await startPlain()
    await expect(runConformance(url.replace('http:', 'https:'))).rejects.toThrow(/does not speak TLS/)
  })

  test('an API that refuses the first good token of the suite', async () => {
    const key = { jkt: 'x', proof: () => 'proof' }
    const issuer = {
      url: 'http://127.0.0.1:9797',
      token: () => 'good',
      opaque: () => 'opaque',
      dpopKey: () => key
    } as never
    await expect(runConformance(await startPlain(), { issuer, checks: [checkOf({})] })).rejects.toThrow(
      /refuses a good token of the suite \(401\).*trust the issuer http:\/\/127\.0\.0\.1:9797/
    )
  })

  test('a profile, and an id, that do not exist', async () => {
    await expect(runConformance('http://127.0.0.1:1', { profiles: ['x' as 'mcp'] })).rejects.toThrow(
      /x is not a profile\. Use one of these: rfc6750/
    )
    await expect(runConformance('http://127.0.0.1:1', { only: ['x'] })).rejects.toThrow(/No check has the id x.*--list/)
  })
})

test.each([
  ['http://127.9.9.9', true],
  ['http://[::1]:1', true],
  ['http://10.1.2.3', true],
  ['http://172.31.0.1', true],
  ['http://192.168.1.1', true],
  ['http://localhost', true],
  ['http://0.0.0.0', true],
  ['http://[::]', true],
  ['http://[::ffff:10.0.0.1]', true],
  ['http://[::ffff:192.0.2.1]', false],
  ['http://172.32.0.1', false],
  ['http://8.8.8.8', false],
  ['http://[2001:db8::1]', false]
])('%s: private is %s', async (url, expected) => {
  expect(await isPrivateHost(new URL(url))).toBe(expected)
})

describe('the run', () => {
  test('sends GET, HEAD and OPTIONS only, with a User-Agent that names the tool', async () => {
    const methods = new Set<string>()
    const agents = new Set<string>()
    const url = await startPlain(({ request }) => {
      methods.add(request.method ?? '')
      agents.add(request.headers['user-agent'] ?? '')
    })
    const report = await runConformance(url, { checks: outsideChecks })
    expect([...methods].toSorted()).toEqual(['GET', 'HEAD', 'OPTIONS'])
    expect([...agents]).toEqual([expect.stringContaining('oauth-resource-server conformance')])
    expect(report.results.find(({ id }) => id === 'rfc6750-body-token')).toMatchObject({
      verdict: 'not applicable',
      why: expect.stringContaining('--methods')
    })
    expect(report.requests).toBeLessThan(300)
  })

  test('a check that sends another method without its need is an error, and nothing is sent', async () => {
    let posts = 0
    const url = await startPlain(({ request }) => {
      if (request.method === 'POST') posts++
    })
    const report = await runConformance(url, {
      checks: [checkOf({ run: async ({ send }) => void (await send({ method: 'POST' })) })]
    })
    expect(report.results[0]).toMatchObject({
      verdict: 'error',
      why: expect.stringContaining('must name the need methods')
    })
    expect(posts).toBe(0)
    expect(exitCodeOf(report)).toBe(2)
  })

  test('runs the checks of MCP where they are selected or the path says so', async () => {
    const url = await startPlain()
    const verdict = async (target: string, options: object): Promise<string | undefined> =>
      (await runConformance(target, options)).results.find(({ id }) => id === 'mcp-metadata')?.verdict
    expect(await verdict(url, { checks: outsideChecks })).toBe('not applicable')
    expect(await verdict(url, { profiles: ['mcp'] })).toBe('passed')
    expect(await verdict(url, { only: ['mcp-*'] })).toBe('passed')
    const origin = await listen(
      (_request, response) => void response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="x"' }).end()
    )
    expect(await verdict(`${origin}/v1/mcp`, { checks: outsideChecks })).toBe('failed')
  })

  test('shows the first request where a failed check sent none', async () => {
    const url = await startPlain(({ answer }) => void answer.fields.push(['Set-Cookie', 'a=1']))
    const { results } = await runConformance(url, { only: ['hardening-no-cookie'] })
    expect(results[0]?.exchanges).toEqual([expect.objectContaining({ sent: `curl -i '${url}'`, status: 401 })])
  })

  test('stops sending when the requests are spent', async () => {
    let seen = 0
    const url = await startPlain(() => void seen++)
    const report = await runConformance(url, { checks: outsideChecks, maxRequests: 10 })
    expect(seen).toBe(10)
    expect(report.counts.errors).toBeGreaterThan(10)
    expect(report.results.find(({ verdict }) => verdict === 'error')?.why).toContain('--max-requests')
  })

  test('repeats a check that measures time once, and no other', async () => {
    let timed = 0
    let others = 0
    const failure = { expected: 'a', received: 'b', change: 'c' }
    const report = await runConformance(await startPlain(), {
      checks: [
        checkOf({
          id: 'test-timed',
          isTimed: true,
          run: async ({ fail }) => (++timed === 1 ? fail(failure) : undefined)
        }),
        checkOf({
          run: async ({ fail }) => {
            others++
            fail(failure)
          }
        })
      ]
    })
    expect(report.results.map(({ verdict, isRepeated }) => [verdict, isRepeated])).toEqual([
      ['passed', true],
      ['failed', undefined]
    ])
    expect([timed, others]).toEqual([2, 1])
  })

  test('keeps the last exchange of a check that sends many', async () => {
    const check = checkOf({
      run: async ({ send }) => {
        for (let index = 0; index < 20; index++) await send({ target: `/orders?index=${index}` })
      }
    })
    const { results } = await runConformance(await startPlain(), { checks: [check] })
    expect(results[0]?.exchanges).toHaveLength(12)
    expect(results[0]?.exchanges[0]?.sent).toContain('index=0')
    expect(results[0]?.exchanges.at(-1)?.sent).toContain('index=19')
  })

  test('tells what a check measured, whether it passes or fails', async () => {
    const failure = { expected: 'a', received: 'b', change: 'c' }
    const { results } = await runConformance(await startPlain(), {
      checks: [
        checkOf({ run: async ({ measured }) => measured(0.26, 'from the revocation to the refusal') }),
        checkOf({
          id: 'test-slow',
          run: async ({ measured, fail }) => {
            measured(61, 'after the revocation without a refusal')
            fail(failure)
          }
        }),
        checkOf({ id: 'test-other' })
      ]
    })
    expect(results.map(({ measured }) => measured)).toEqual([
      ['0.3 seconds from the revocation to the refusal'],
      ['61.0 seconds after the revocation without a refusal'],
      undefined
    ])
  })

  test('takes the order and the ids that are selected, and ends at the first failure with bail', async () => {
    const url = await startPlain(({ answer }) => {
      answer.fields = answer.fields.filter(([name]) => name === 'WWW-Authenticate')
    })
    const report = await runConformance(url, { only: ['hardening-no-*'], skip: ['hardening-no-cookie'], bail: true })
    expect(report.results.map(({ id, verdict }) => [id, verdict])).toEqual([['hardening-no-store', 'failed']])
  })

  test('shows with a good token after each profile that the API still works', async () => {
    let refuses = false
    const origin = await listen((request, response) => {
      const isGood = request.headers.authorization === 'Bearer good' && !refuses
      if (request.headers.authorization === 'Bearer bad') refuses = true
      response.writeHead(isGood ? 200 : 401, { 'WWW-Authenticate': 'Bearer realm="x"' }).end()
    })
    const key = { jkt: 'x', proof: () => 'proof' }
    const issuer = {
      url: 'http://127.0.0.1:9797',
      token: () => 'good',
      opaque: () => 'opaque',
      dpopKey: () => key
    } as never
    const bad = checkOf({
      needs: ['issuer'],
      run: async ({ send }) => void (await send({ fields: [['Authorization', 'Bearer bad']] }))
    })
    const { results } = await runConformance(origin, { issuer, checks: [bad] })
    expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['test-check', 'passed'],
      ['good-token-after-rfc6750', 'failed']
    ])
  })
})

describe('https', () => {
  const authority = createCertificateAuthority()
  const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })

  test('a certificate that is not trusted: says so, and names --ca', async () => {
    await expect(runConformance(await startRefusing(own))).rejects.toThrow(
      /certificate of 127\.0\.0\.1:\d+ is not trusted \(.*--ca FILE/
    )
  })

  const only = ['rfc9325-tls11', 'hardening-hsts', 'rfc6750-https']
  const verdicts = async (url: string): Promise<Record<string, string>> => {
    const { results } = await runConformance(url, { ca: authority.cert, only })
    return Object.fromEntries(results.map(({ id, verdict }) => [id, verdict]))
  }

  test('an API with TLS 1.2 and Strict-Transport-Security passes', async () => {
    expect(await verdicts(await startRefusing(own, ['Strict-Transport-Security', 'max-age=31536000']))).toEqual({
      'rfc6750-https': 'passed',
      'rfc9325-tls11': 'passed',
      'hardening-hsts': 'passed'
    })
  })

  test('an API with TLS 1.1 and without Strict-Transport-Security fails', async () => {
    expect(
      await verdicts(await startRefusing({ ...own, minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
    ).toEqual({
      'rfc6750-https': 'passed',
      'rfc9325-tls11': 'failed',
      'hardening-hsts': 'failed'
    })
  })
})
