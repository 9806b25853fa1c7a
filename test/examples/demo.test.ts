/** `npm start -- --once`, as a person without colours would see it. `npm test` builds `dist/` first. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../../examples/demo/main.mjs', import.meta.url))

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

describe('the demo, run once', () => {
  let demo: Run
  let lines: string[]
  let rows: string[]
  beforeAll(async () => {
    demo = await run('--once')
    lines = demo.stdout.split('\n')
    rows = lines.slice(lines.findIndex((line) => /^\s+express\s+koa\s+fastify$/.test(line)) + 1)
  }, 60_000)

  test('every answer of the three frameworks is as it must be, and the exit code says so', () => {
    expect(demo.stderr).toBe('')
    expect(demo.stdout).not.toContain('✗')
    expect(rows.filter((row) => /(?: {2}✓.*){3}$/.test(row)).length).toBeGreaterThanOrEqual(30)
    expect(lines.at(-2)).toMatch(/^✓ (\d+) of \1 answers as they must be$/)
    expect(demo.code).toBe(0)
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

test('without --once the printed tokens and requests work until Ctrl-C, which ends everything', async () => {
  const demo = spawn(process.execPath, [MAIN], { env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(demo, 'exit')
  let text = ''
  await new Promise<void>((resolve) => {
    demo.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (/^ {2}http\S+api=/m.test(text)) resolve()
    })
    void exited.then(() => resolve())
  })
  try {
    const turn = text.slice(text.indexOf('Your turn'))
    expect(turn.split('\n').filter((line) => line.length > 80)).toEqual([])
    // What a shell makes of a backslash at the end of a line.
    const [, read] = /^READ="([\w.-]+)"$/m.exec(turn.replaceAll('\\\n', '')) ?? []
    const [, write] = /^WRITE="([\w-]+)"$/m.exec(turn) ?? []
    const urls = [...turn.matchAll(/^curl -i (\S+\/orders)$/gm)].map(([, url]) => url as string)
    const statuses = await Promise.all(
      urls.flatMap((url) =>
        [read, write].map(async (token) => {
          const headers = { Authorization: `Bearer ${token}` }
          return (await fetch(url, { method: 'POST', headers })).status
        })
      )
    )
    expect(statuses).toEqual([403, 201, 403, 201, 403, 201])
    const [, playground = ''] = /^ {2}(http\S+)$/m.exec(turn) ?? []
    expect(await (await fetch(playground)).text()).toContain('<title>OAuth playground</title>')
    const api = new URL(playground).searchParams.get('api')
    expect((await fetch(`${api}/v2/messages`)).status).toBe(401)
  } finally {
    demo.kill('SIGINT')
  }
  expect(await exited).toEqual([0, null])
}, 60_000)

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
