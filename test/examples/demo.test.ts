/**
 * `npm start`: once, in full, and in a terminal of 80 columns and 24 lines. `npm test` builds `dist/` first.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { Terminal } from '@xterm/headless'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

const MAIN = fileURLToPath(new URL('../../examples/demo/main.mjs', import.meta.url))

/** `script` of util-linux gives a program a terminal. */
const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function environment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _, ...env } = process.env
  return { ...env, NO_COLOR: '1' }
}

function run(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { env: environment(), timeout: 60_000 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr })
    )
  })
}

describe.each([
  { title: 'run once', args: ['--once'], exchanges: 1 },
  { title: 'run once with --verbose', args: ['--once', '--verbose'], exchanges: 36 }
])('the demo, $title', ({ args, exchanges }) => {
  let demo: Run
  let lines: string[]
  let rows: string[]
  beforeAll(async () => {
    demo = await run(...args)
    lines = demo.stdout.split('\n')
    rows = lines.slice(lines.findIndex((line) => /^\s+express\s+koa\s+fastify$/.test(line)) + 1)
  }, 60_000)

  test('every framework gives the expected answers, and the exit code is 0', () => {
    expect(demo.stderr).toBe('')
    expect(demo.stdout).not.toContain('✗')
    expect(rows.filter((row) => /(?: {2}✓ \d{3} *){3}$/.test(row)).length).toBeGreaterThanOrEqual(30)
    expect(lines.at(-2)).toMatch(/^✓ (\d+) of \1 answers were as expected$/)
    expect(demo.code).toBe(0)
  })

  test('the table shows the status of each answer, and its exchanges are shown in full', () => {
    expect(rows.find((row) => row.includes('Expired'))).toMatch(/Expired +✓ 401 +✓ 401 +✓ 401$/)
    expect(demo.stdout.match(/^ {4}> (?:GET|POST) /gm)).toHaveLength(exchanges)
    expect(demo.stdout).toContain('WWW-Authenticate: Bearer error="insufficient_scope"')
  })

  test('no line is longer than 80 columns', () => {
    expect(lines.filter((line) => line.length > 80)).toEqual([])
  })

  test('NO_COLOR and a pipe leave plain text', () => {
    expect(stripVTControlCharacters(demo.stdout)).toBe(demo.stdout)
  })

  test('no token is printed whole', () => {
    expect(demo.stdout).toContain('Authorization: Bearer eyJ')
    expect(demo.stdout.match(/[\w-]+\.[\w-]{20,}\.[\w-]*|(?<=Bearer |access_token=)[\w.~+/-]{17,}/g)).toBeNull()
    // Opaque tokens have 43 characters, some of them in upper case.
    expect(demo.stdout.match(/(?=[a-z0-9_-]*[A-Z])[\w-]{40,}/g)).toBeNull()
  })
})

describe.skipIf(!hasScript)('the demo in a terminal of 80 columns and 24 lines', () => {
  let demo: ChildProcess
  let screen: string[]
  beforeAll(async () => {
    const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true })
    const command = `stty cols 80 rows 24; exec '${process.execPath}' '${MAIN}'`
    // With CI in the environment, Node.js writes no colours.
    const env = { ...environment(), NO_COLOR: undefined, CI: undefined, TERM: 'xterm-256color', SHELL: '/bin/sh' }
    demo = spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'], detached: true })
    let text = ''
    demo.stdout?.on('data', (chunk: Buffer) => {
      text += chunk
      terminal.write(chunk)
    })
    await vi.waitFor(() => expect(text).toContain('until Ctrl-C'), { timeout: 60_000 })
    await new Promise<void>((resolve) => terminal.write('', resolve))
    const { buffer } = terminal
    screen = Array.from({ length: 24 }, (_, row) => lineOf(buffer.active.getLine(buffer.active.baseY + row)))
    expect(text).toContain('\u001b[')
  }, 60_000)
  afterAll(async () => {
    const exited = once(demo, 'exit')
    demo.stdin?.write('\u0003')
    expect(await exited).toEqual([0, null])
  }, 60_000)

  test('the last screen holds the result, the playground, and the requests with their variables', async () => {
    const shown = screen.join('\n')
    expect(shown).toMatch(/^✓ (\d+) of \1 answers were as expected$/m)
    // The shell joins lines that end with a backslash.
    const [, read] = /^READ="([\w.-]+)"$/m.exec(shown.replaceAll('\\\n', '')) ?? []
    const [, write] = /^WRITE="([\w-]+)"$/m.exec(shown) ?? []
    const commands = screen.filter((line) => line.startsWith('curl '))
    expect(commands).toHaveLength(4)
    const statuses = await Promise.all(
      commands.map(async (command) => {
        const [, method = 'GET', url = '', token = ''] =
          /^curl -i(?:X (POST))? (\S+)(?: -H "Authorization: Bearer \$(READ|WRITE)")?$/.exec(command) ?? []
        const value = { READ: read, WRITE: write }[token]
        return (await fetch(url, { method, headers: value ? { Authorization: `Bearer ${value}` } : {} })).status
      })
    )
    expect(statuses).toEqual([401, 200, 403, 201])
    const [, playground = ''] = /^ {2}(http\S+)$/m.exec(shown) ?? []
    expect(await (await fetch(playground)).text()).toContain('<title>OAuth playground</title>')
    const url = new URL(playground).searchParams.get('url') ?? ''
    expect((await fetch(url)).status).toBe(401)
  })
})

/** A line of the screen without its padding. A full line keeps its last character. */
function lineOf(line: { translateToString(trim: boolean): string } | undefined): string {
  return line?.translateToString(true) ?? ''
}

test('the demo names an option that it does not have, and ends', async () => {
  const { code, stdout, stderr } = await run('--twice')
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain("'--twice'")
})

test('the demo says how it is used', async () => {
  const { code, stdout } = await run('--help')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^Usage: npm start -- \[options\]\n/)
})
