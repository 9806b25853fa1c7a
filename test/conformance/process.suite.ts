/** The built command as a process of its own, every night: each flag, each exit code, and what it writes where. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { protect } from '../../adapters/node.js'
import type { Report } from '../../conformance/report/report.js'
import { resourceServer, scope } from '../../src/index.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { freePort } from '../support/ports.mjs'
import { listen, startPlain, startRefusing } from './apis.js'

const COMMAND = join(import.meta.dirname, '../../dist/src/cli/main.js')
const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Running {
  readonly folder: string
  readonly ended: Promise<Ended>
  /** Resolves with the match as soon as standard error has it. */
  readonly told: (pattern: RegExp) => Promise<RegExpExecArray>
}

/** Starts the command in a new folder with these files, and Node.js with these options. */
async function start(
  args: readonly string[],
  files: Record<string, string> = {},
  node: readonly string[] = []
): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const child = spawn(process.execPath, [...node, COMMAND, 'conformance', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  onTestFinished(() => void child.kill())
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }))
  const told = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(err)
      if (match !== null) return match
      if (child.exitCode !== null) throw new Error(`the command ended without ${pattern}: ${err}`)
      await Promise.race([once(child.stderr, 'data'), ended])
    }
  }
  return { folder, ended, told }
}

async function run(
  args: readonly string[],
  files?: Record<string, string>,
  node?: readonly string[]
): Promise<Ended & { folder: string }> {
  const { folder, ended } = await start(args, files, node)
  return { folder, ...(await ended) }
}

const verdictsOf = (json: string): Record<string, string> =>
  Object.fromEntries((JSON.parse(json) as Report).results.map(({ id, verdict }) => [id, verdict]))

/** An API that answers nothing before it knows its issuer. */
async function startTrusting(): Promise<{ readonly url: string; readonly trust: (issuer: string) => void }> {
  let resolve: (listener: RequestListener) => void = () => {}
  const trusting = new Promise<RequestListener>((done) => {
    resolve = done
  })
  const origin = await listen(async (request, response) => (await trusting)(request, response))
  const url = `${origin}/orders`
  const trust = (issuer: string): void => {
    const dispatcher = new Agent({ connect: { ca: authority.cert } })
    const api = resourceServer({
      resource: url,
      publicUrl: origin,
      issuers: [issuer],
      http: { dispatcher },
      log: false
    })
    onTestFinished(() => api.close())
    onTestFinished(() => dispatcher.destroy())
    const guard = protect(api, scope('orders:read'))
    resolve(async (request, response) => {
      if (await guard(request, response)) response.end('[]')
    })
  }
  return { url, trust }
}

describe('conformance as a process', () => {
  test('writes all reports, of the selected checks, and shows passed ones with --verbose: 0', async () => {
    const url = await startPlain()
    const args = '--only rfc6750-* --only hardening-no-store --skip rfc6750-https --verbose --rate 500'.split(' ')
    const files = '--json a.json --junit a.xml --html a.html --badge a.svg'.split(' ')
    const { code, out, err, folder } = await run([url, ...args, ...files])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('✓ rfc6750-no-token\n')
    const [json, junit, html, badge] = await Promise.all(
      ['a.json', 'a.xml', 'a.html', 'a.svg'].map((name) => readFile(join(folder, name), 'utf8'))
    )
    const ids = Object.keys(verdictsOf(json as string))
    expect(ids).toContain('hardening-no-store')
    expect(ids).not.toContain('rfc6750-https')
    expect(ids.filter((id) => !/^rfc6750-|^hardening-no-store$/.test(id))).toEqual([])
    expect(junit).toContain('<testsuite name="rfc6750"')
    expect(html).toContain('rfc6750-no-token')
    expect(badge).toMatch(/\d+ passed<\/text>/)
  })

  test('ends after the first failure with --bail: 1; a failure below --fail-on: 0', async () => {
    const url = await startPlain(({ answer }) => {
      answer.fields = answer.fields.map(([name, value]) => [name, value.replace(', error="invalid_token"', '')])
    })
    const [bailed, lenient] = await Promise.all([
      run([url, '--bail', '--json', '-']),
      run([url, '--only', 'rfc6750-error-code', '--fail-on', 'MUST'])
    ])
    const verdicts = Object.values(verdictsOf(bailed.out))
    expect(bailed.code).toBe(1)
    expect(verdicts.indexOf('failed')).toBe(verdicts.length - 1)
    expect(lenient.code).toBe(0)
  })

  test('sends other methods only with --methods', async () => {
    const methods = new Set<string | undefined>()
    const url = await startPlain(({ request }) => void methods.add(request.method))
    const args = [url, '--only', 'rfc6750-body-token', '--json', '-']
    expect(verdictsOf((await run(args)).out)).toEqual({ 'rfc6750-body-token': 'not applicable' })
    expect(methods).toEqual(new Set(['GET']))
    expect(verdictsOf((await run([...args, '--methods'])).out)).toEqual({ 'rfc6750-body-token': 'passed' })
    expect(methods).toContain('POST')
  })

  test('takes options from conformance.config.json, and a flag replaces a member', async () => {
    const url = await startPlain()
    const config = JSON.stringify({ url, only: ['hardening-no-store'], json: '-' })
    const ids = async (args: readonly string[]): Promise<string[]> =>
      Object.keys(verdictsOf((await run(args, { 'conformance.config.json': config, 'ci.json': config })).out))
    const other = ['--config', 'ci.json', '--only', 'hardening-no-cookie']
    expect(await Promise.all([ids([]), ids(other)])).toEqual([['hardening-no-store'], ['hardening-no-cookie']])
  })

  test('waits as long as a 429 asks for, and says so', async () => {
    let refused = 0
    const url = await startPlain(({ answer }) => {
      if (refused++ > 0) return
      answer.status = 429
      answer.fields.push(['Retry-After', '0'])
    })
    const { code, err } = await run([url, '--only', 'rfc6750-no-token'])
    expect({ code, err }).toEqual({ code: 0, err: expect.stringMatching(/^The API asks for fewer requests \(429\)/) })
  })

  test('ends with 2 where the budget of requests is spent before all checks', async () => {
    const { code, out } = await run([await startPlain(), '--only', 'rfc6750-*', '--max-requests', '4'])
    expect(code).toBe(2)
    expect(out).toContain('Allow more: --max-requests NUMBER.')
  })
})

/** Time goes on only when the command waits, which ends at once and is told. The suite takes any host for a public one. */
const CLOCK = `import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'
let now = Date.now()
Date.now = () => now
timers.setTimeout = async (milliseconds) => {
  now += milliseconds
  process.stderr.write(\`wait \${milliseconds}\\n\`)
}
dns.lookup = async () => [{ address: '192.0.2.1', family: 4 }]
syncBuiltinESMExports()
`

describe('the rate', () => {
  /** Waits of a run in milliseconds, and the requests that the API received. */
  async function paced(
    flags: readonly string[],
    host = '127.0.0.1'
  ): Promise<{ readonly waits: readonly number[]; readonly received: number }> {
    let received = 0
    const url = (await startPlain(() => void received++)).replace('127.0.0.1', host)
    const only = ['--only', 'rfc6750-unknown-token', '--only', 'hardening-long-token']
    const { code, err } = await run([url, ...only, ...flags], { 'clock.mjs': CLOCK }, ['--import', './clock.mjs'])
    expect({ code, err: err.replace(/wait [\d.]+\n/g, '') }).toEqual({ code: 0, err: '' })
    return { waits: [...err.matchAll(/wait ([\d.]+)/g)].map(([, one]) => Number(one)), received }
  }

  test('of --rate is kept: each request but the first waits for its turn', async () => {
    const { waits, received } = await paced(['--rate', '8'])
    expect(received).toBeGreaterThan(3)
    expect(waits).toEqual(Array.from({ length: received - 1 }, () => 125))
  })

  test('is two a second for a host that is not private', async () => {
    const { waits, received } = await paced(['--mine'], 'localhost')
    expect(waits).toEqual(Array.from({ length: received - 1 }, () => 500))
  })

  test('has no limit for a private host', async () => {
    expect((await paced([])).waits).toEqual([])
  })
})

describe('a run that does not begin ends with 2, and says what to change', () => {
  test('an API that does not answer', async () => {
    const { code, out, err } = await run([`http://127.0.0.1:${await freePort()}/orders`])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/does not answer \(ECONNREFUSED.*Start the API/)
  })

  test('an API that accepts connections and never answers', async () => {
    const { code, err } = await run([`${await listen(() => {})}/orders`, '--timeout', '0.2'])
    expect(code).toBe(2)
    expect(err).toMatch(/does not answer \(ETIMEDOUT: no answer in 0\.2 seconds\)/)
  })

  test('a certificate that is not trusted, and with --ca it is', async () => {
    const url = await startRefusing(own)
    const args = [url, '--only', 'rfc6750-no-token']
    const [{ code, err }, trusted] = await Promise.all([
      run(args),
      run([...args, '--ca', 'ca.pem'], { 'ca.pem': authority.cert })
    ])
    expect(code).toBe(2)
    expect(err).toMatch(/certificate of 127\.0\.0\.1:\d+ is not trusted \(.*--ca FILE/)
    expect({ code: trusted.code, err: trusted.err }).toEqual({ code: 0, err: '' })
  })

  test('a public host without --mine; with it, the host is asked', async () => {
    const args = ['https://192.0.2.1/orders', '--timeout', '0.2']
    const [unknown, mine] = await Promise.all([run(args), run([...args, '--mine'])])
    expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining('--mine') })
    expect(mine).toMatchObject({ code: 2, err: expect.stringContaining('does not answer') })
  })
})

describe('with the authorization server of the suite', () => {
  const ISSUER = /issuer of the suite is (\S+) /
  const only = ['--only', 'rfc9068-aud-other', '--only', 'jws-tampered', '--json', '-']

  test('serves https at --host with --tls, tests an API that trusts it, and says to remove it', async () => {
    const { url, trust } = await startTrusting()
    const { cert, key } = authority.issue({ commonName: 'localhost', sans: ['localhost'] })
    const tls = ['--host', 'localhost', '--tls', 'cert.pem', '--tls-key', 'key.pem']
    const { told, ended } = await start(
      [url, '--test-deployment', '--port', '0', '--scope', 'orders:read', ...tls, ...only],
      { 'cert.pem': cert, 'key.pem': key }
    )
    const issuer = (await told(ISSUER))[1] as string
    expect(issuer).toMatch(/^https:\/\/localhost:\d+$/)
    trust(issuer)
    const { code, out, err } = await ended
    expect(verdictsOf(out)).toMatchObject({ 'rfc9068-aud-other': 'passed', 'jws-tampered': 'passed' })
    expect(err).toContain(`Remove the issuer ${issuer} from the configuration of the API now.`)
    expect(code).toBe(0)
  })

  test('waits with --wait for an API that reads the metadata of the issuer while it starts', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/orders`
    const flags = ['--test-deployment', '--port', '0', '--scope', 'orders:read', '--wait', '60']
    const { told, ended } = await start([url, ...flags, ...only])
    const issuer = (await told(ISSUER))[1] as string
    await told(/Waiting at most 60 seconds for /)
    expect(await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json()).toMatchObject({ issuer })
    const api = resourceServer({ resource: url, publicUrl: new URL(url).origin, issuers: [issuer], log: false })
    onTestFinished(() => api.close())
    const guard = protect(api, scope('orders:read'))
    const late = createServer(async (request, response) => {
      if (await guard(request, response)) response.end('[]')
    }).listen(port, '127.0.0.1')
    onTestFinished(() => {
      late.close()
      late.closeAllConnections()
    })
    const { code, out } = await ended
    expect(verdictsOf(out)).toMatchObject({ 'rfc9068-aud-other': 'passed', 'jws-tampered': 'passed' })
    expect(code).toBe(0)
  })

  test('ends with 2 where the API has not started after --wait, and names its issuer', async () => {
    const args = ['http://127.0.0.1:1/orders', '--test-deployment', '--port', '0', '--wait', '0.1']
    const { code, err } = await run(args)
    const [, issuer] = ISSUER.exec(err) ?? []
    expect(code).toBe(2)
    expect(err).toContain(
      'was expected to answer within 0.1 seconds, and the last request got no answer (ECONNREFUSED)'
    )
    expect(err).toContain(`Start the API, let it trust the issuer ${issuer},`)
  })

  test('says what to configure to an API that does not trust it', async () => {
    const { url, trust } = await startTrusting()
    trust('https://as.example.com')
    const { code, err } = await run([url, '--test-deployment', '--port', '0', ...only])
    expect(code).toBe(2)
    const [, issuer] = ISSUER.exec(err) ?? []
    expect(err).toContain(`Configure it to trust the issuer ${issuer} for the audience ${url}`)
    expect(err).toContain(`Remove the issuer ${issuer}`)
  })

  test('serves nothing without --test-deployment', async () => {
    expect(await run([await startPlain(), '--port', '0'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('Add --test-deployment')
    })
  })
})
