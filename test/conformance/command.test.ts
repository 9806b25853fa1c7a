/** The command: flags over the file, one question about a host that is not private, reports in files, exit codes. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HELP, runCommand, type Surroundings } from '../../conformance/command.js'
import { UsageError } from '../../src/cli/command.js'
import type { Terminal } from '../../src/cli/terminal.js'
import { startOurs, startPlain } from './apis.js'

async function folder(files: Record<string, string> = {}): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'conformance-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}

async function run(
  args: readonly string[],
  surroundings: Surroundings = {},
  more: Partial<Terminal> = {}
): Promise<{ out: string; err: string; code: number }> {
  const written = { out: '', err: '' }
  const terminal: Terminal = {
    isTTY: false,
    noColor: true,
    out: (text) => {
      written.out += text
    },
    err: (text) => {
      written.err += text
    },
    input: async () => '',
    readFile: (path) => readFile(path, 'utf8'),
    readPage: async () => '',
    fetch,
    now: () => 0,
    ...more
  }
  const code = await runCommand(args, terminal, { folder: await folder(), ask: undefined, ...surroundings })
  return { ...written, code }
}

describe('the command', () => {
  test('an API of this package: nothing failed, and 0', async () => {
    const { url } = await startOurs()
    const { out, code } = await run([url])
    expect(out).toMatch(/\d+ passed, \d+ not applicable/)
    expect(out).not.toContain('✗')
    expect(code).toBe(0)
  })

  test('an API with a flaw: what to change, and 1; with --fail-on, 0', async () => {
    const url = await startPlain(({ answer }) => {
      answer.fields = answer.fields.map(([name, value]) => [name, value.replace(', error="invalid_token"', '')])
    })
    const { out, code } = await run([url])
    expect(out).toContain('✗ A refused token is answered with an error code.')
    expect(out).toContain('Change:   Add error="invalid_token"')
    expect(code).toBe(1)
    expect((await run([url, '--fail-on', 'MUST'])).code).toBe(0)
  })

  test('writes the four reports, and one to standard output', async () => {
    const url = await startPlain()
    const path = await folder()
    await run([url, '--json', 'a.json', '--junit', 'a.xml', '--html', 'a.html', '--badge', 'a.svg'], { folder: path })
    expect(JSON.parse(await readFile(join(path, 'a.json'), 'utf8'))).toMatchObject({ version: 1, url })
    for (const [name, start] of [
      ['a.xml', '<?xml'],
      ['a.html', '<!doctype html>'],
      ['a.svg', '<svg']
    ] as const)
      expect(await readFile(join(path, name), 'utf8')).toMatch(new RegExp(`^${start.replace('?', '\\?')}`))
    const { out } = await run([url, '--json', '-'])
    expect(JSON.parse(out)).toMatchObject({ version: 1 })
  })

  test('waits with --wait, and says so', async () => {
    let sent = 0
    const url = await startPlain(({ answer }) => {
      if (++sent === 1) answer.status = 503
    })
    const { err, code } = await run([url, '--wait', '60', '--only', 'rfc6750-no-token'])
    expect({ err, code }).toEqual({ err: `Waiting at most 60 seconds for ${url}.\n`, code: 0 })
  })

  test('sends tokens with DPoP if --binding says so, and refuses another binding', async () => {
    const url = await startPlain()
    const { out } = await run([url, '--binding', 'dpop', '--only', 'rfc6750-null-token', '--json', '-'])
    expect(JSON.parse(out)).toMatchObject({ binding: 'dpop', results: [{ verdict: 'passed' }] })
    await expect(run([url, '--binding', 'mtls'])).rejects.toThrow(
      'declared.binding must be dpop or certificate, and is "mtls".'
    )
  })

  test('reads the file, and a flag replaces a member', async () => {
    const url = await startPlain()
    const path = await folder({
      'conformance.config.json': JSON.stringify({ url, only: ['hardening-no-store'], json: '-' })
    })
    const ids = async (...args: string[]): Promise<string[]> =>
      JSON.parse((await run(args, { folder: path })).out).results.map(({ id }: { id: string }) => id)
    expect(await ids()).toEqual(['hardening-no-store'])
    expect(await ids('--only', 'hardening-no-cookie')).toEqual(['hardening-no-cookie'])
  })

  test('shows progress on a terminal, and nothing of it elsewhere', async () => {
    const url = await startPlain()
    const { err } = await run([url, '--only', 'hardening-no-store'], {}, { isTTY: true, columns: 80 })
    expect(err).toContain('[1/1] hardening-no-store')
    expect((await run([url, '--only', 'hardening-no-store'])).err).toBe('')
  })

  test('lists all checks, and sends nothing', async () => {
    const { out, code } = await run(['--list'])
    expect(out).toContain('rfc6750-query-token (SHOULD)\n  A token in the query is not taken.')
    expect(code).toBe(0)
  })

  test('has a help of at most 80 columns', () => {
    for (const line of HELP.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })
})

describe('a host that is neither loopback nor private', () => {
  test('is asked about once, and gets nothing after a no', async () => {
    const questions: string[] = []
    const ask = async (question: string): Promise<boolean> => {
      questions.push(question)
      return false
    }
    await expect(run(['https://192.0.2.1/orders'], { ask })).rejects.toThrow(/Nothing was sent/)
    expect(questions).toEqual([expect.stringMatching(/300 requests to 192\.0\.2\.1.*yours.*\[y\/N\]/)])
  })

  test('needs --mine where no person can answer', async () => {
    await expect(run(['https://192.0.2.1/orders'])).rejects.toThrow(/neither loopback nor private.*--mine/)
  })

  test('a private host is not asked about', async () => {
    const ask = async (): Promise<boolean> => {
      throw new Error('asked')
    }
    expect((await run([await startPlain(), '--only', 'hardening-no-store'], { ask })).code).toBe(0)
  })
})

const ISSUER = ['--test-deployment', '--port', '0'] as const

describe('mistakes', () => {
  test.each([
    [[], /needs the URL of a route/],
    [['orders'], /needs the URL of a route/],
    [['http://127.0.0.1', 'http://127.0.0.2'], /takes one URL/],
    [['http://127.0.0.1', '--rate', 'fast'], /--rate must be a number from 0\.01\./],
    [['http://127.0.0.1', '--rate', '1e-9'], /--rate must be a number from 0\.01\./],
    [['http://127.0.0.1', '--max-requests', '0.5'], /--max-requests must be a whole number from 1\./],
    [['http://127.0.0.1', '--timeout', '1e12'], /--timeout must be a number from 0\.001 to 3,600\./],
    [['http://127.0.0.1', '--wait', '1e12'], /--wait must be a number from 0 to 86,400\./],
    [['127.0.0.1:8080/orders'], /begins with https:\/\/ or http:\/\//],
    [['localhost:8080/orders'], /begins with localhost: and must begin with https:\/\//],
    [['http://127.0.0.1:0/'], /port 0, on which no server listens/],
    [['http://127.0.0.1', '--ca', 'text.pem'], /--ca: the file holds no certificate in PEM/],
    [['http://127.0.0.1', '--json', '-', '--html', '-'], /holds one report, and --json and --html name it/],
    [['http://127.0.0.1', '--json', '.'], /--json needs the name of a file, and got that of a folder/],
    [['http://127.0.0.1', '--html='], /--html needs the name of a file, and got an empty text/],
    [['http://127.0.0.1', ...ISSUER, '--issuer', 'example'], /The issuer \(--issuer\) must be http:\/\/ or https:\/\//],
    [['http://127.0.0.1', ...ISSUER, '--issuer', 'http://x:9797/tenant'], /without a path/],
    [
      ['http://127.0.0.1', ...ISSUER, '--host', 'no-such-host.invalid'],
      /cannot listen on .*Give an address of this machine/
    ],
    [
      ['http://127.0.0.1', ...ISSUER, '--tls', 'text.pem', '--tls-key', 'text.pem'],
      /--tls-key\) of the issuer cannot be used/
    ],
    [['http://127.0.0.1', ...ISSUER, '--audience='], /--audience is an empty text/],
    [
      ['http://127.0.0.1', ...ISSUER, '--certificate-field', 'Bad:Name'],
      /declared\.certificateField must be the name of a field/
    ],
    [
      ['http://127.0.0.1', ...ISSUER, '--event-target', 'events'],
      /declared\.eventTarget must be a path that begins with a slash/
    ],
    [['http://127.0.0.1', ...ISSUER, '--scoped-route', '/a='], /declared\.scopedRoutes must be a list of objects/],
    [['http://127.0.0.1', '--fail-on', 'WILL'], /--fail-on needs MUST, SHOULD/],
    [['http://127.0.0.1', '--ca', 'nothing.pem'], /--ca: there is no such file/],
    [['http://127.0.0.1', '--profile', 'x'], /x is not a profile\. Use one of these: rfc6750/],
    [['http://127.0.0.1', '--skp', 'x'], /Did you mean --skip/],
    [['http://127.0.0.1:1'], /does not answer/]
  ])('%j', async (args, expected) => {
    const readFile = async (path: string): Promise<string> => {
      if (path.endsWith('text.pem')) return 'a text'
      throw Object.assign(new Error('missing'), { code: 'ENOENT' })
    }
    const error = await run(args, {}, { readFile }).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toMatch(expected)
  })

  test('a report in a folder that does not exist, before anything is sent', async () => {
    let sent = 0
    const url = await startPlain(() => void sent++)
    await expect(run([url, '--json', 'no/such/a.json'])).rejects.toThrow(/--json cannot be written \(ENOENT\)/)
    expect(sent).toBe(0)
  })

  test('fewer requests than the run needs to begin', async () => {
    const error = await run([await startPlain(), '--max-requests', '1']).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toMatch(/All 1 requests that were allowed are sent\. Allow more: --max-requests/)
  })

  test('an API that answers the first request and no other', async () => {
    let sent = 0
    const url = await startPlain(({ request }) => {
      if (sent++ > 0) request.socket.destroy()
    })
    const error = await run([url]).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toMatch(/closes the connection without an answer \(ECONNRESET\)/)
  })

  test('a port that is in use', async () => {
    const { port } = new URL(await startPlain())
    const error = await run(['http://127.0.0.1', '--test-deployment', '--port', port]).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toMatch(/cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\).*--port/)
  })

  test('a selection of which nothing applies: 2, for nothing was shown', async () => {
    const { out, code } = await run([await startPlain(), '--profile', 'dpop'])
    expect(out).toMatch(/0 passed, \d+ not applicable/)
    expect(code).toBe(2)
  })

  test('an id that no check has, before the issuer is served', async () => {
    let told = ''
    const err = (text: string): void => {
      told += text
    }
    await expect(run(['http://127.0.0.1', ...ISSUER, '--only', 'x'], {}, { err })).rejects.toThrow(
      'No check has the id x'
    )
    expect(told).toBe('')
  })

  test('a flag replaces the same fact of the file', async () => {
    const path = await folder({
      'conformance.config.json': '{"issuer":{"test-deployment":true,"port":0},"declared":{"stream":"no path"}}'
    })
    const start = (...args: string[]): Promise<unknown> => run(['http://127.0.0.1:1', ...args], { folder: path })
    await expect(start()).rejects.toThrow('declared.stream must be a path')
    await expect(start('--stream', '/stream')).rejects.toThrow('does not answer')
  })
})
