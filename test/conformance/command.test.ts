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
      'The binding is mtls, and must be dpop or certificate.'
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

describe('mistakes', () => {
  test.each([
    [[], /needs the URL of a route/],
    [['orders'], /needs the URL of a route/],
    [['http://127.0.0.1', 'http://127.0.0.2'], /takes one URL/],
    [['http://127.0.0.1', '--rate', 'fast'], /--rate needs a number above 0/],
    [['http://127.0.0.1', '--fail-on', 'WILL'], /--fail-on needs MUST, SHOULD/],
    [['http://127.0.0.1', '--ca', 'nothing.pem'], /--ca: there is no such file/],
    [['http://127.0.0.1', '--profile', 'x'], /x is not a profile\. Use one of these: rfc6750/],
    [['http://127.0.0.1', '--skp', 'x'], /Did you mean --skip/],
    [['http://127.0.0.1:1'], /does not answer/]
  ])('%j', async (args, expected) => {
    const error = await run(args).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toMatch(expected)
  })

  test('a report in a folder that does not exist', async () => {
    await expect(run([await startPlain(), '--json', 'no/such/a.json'])).rejects.toThrow(/cannot be written \(ENOENT\)/)
  })
})
