/**
 * Authorization servers that other people wrote, and an API in front of each. The command `doctor` asks the server. The
 * configuration that it prints, or that docs/profiles.md shows, then runs unchanged in a process of its own.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WORK = join(ROOT, 'test/.tmp/counterparts')
const COMMAND = join(ROOT, 'dist/src/cli/main.js')

/** The API's identifier in the configuration of `doctor`, unless it is told another one. */
export const RESOURCE = 'https://api.example.com'

/** A running authorization server. */
export interface Counterpart {
  readonly issuer: string
  /** Texts of the documented configuration, and what stands for them here. The issuer is always replaced. */
  readonly values?: Readonly<Record<string, string>>
  /** The API's own secret at the server, if it introspects. */
  readonly clientSecret?: string
  /** A token that the API should accept. */
  readonly token: () => Promise<string>
  /** A token for another API, or of a client that may not call this API. */
  readonly otherToken?: () => Promise<string>
  readonly idToken?: () => Promise<string>
  readonly revoke?: (token: string) => Promise<unknown>
  /** Makes a new key sign some tokens or all. The old key stays published. */
  readonly rotate?: () => Promise<unknown>
  readonly close: () => Promise<void>
}

export interface Seen {
  readonly status: number
  readonly challenge: string | null
  readonly body: unknown
}

export interface Api {
  ask(token: string, path?: '/' | '/fresh'): Promise<Seen>
  close(): Promise<void>
}

interface Printed {
  readonly code: number
  readonly out: string
}

function command(args: readonly string[], input = ''): Promise<Printed> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [COMMAND, ...args], (error, out) =>
      resolve({ code: error === null ? 0 : Number(error.code), out })
    )
    child.stdin?.end(input)
  })
}

export interface Examined extends Printed {
  readonly configuration: string
}

export async function doctor(issuer: string): Promise<Examined> {
  const printed = await command(['doctor', issuer, '--json'])
  return { ...printed, configuration: String(JSON.parse(printed.out).configuration) }
}

/** What the configuration of `doctor` says to run when a token is refused. */
export function explain(issuer: string, token: string): Promise<Printed> {
  return command(['explain', '--issuer', issuer, '--resource', RESOURCE], token)
}

/** The configuration of this section of docs/profiles.md, with the server's own values. */
export function documented(section: string, { issuer, values = {} }: Counterpart): string {
  const page = readFileSync(join(ROOT, 'docs/profiles.md'), 'utf8')
  const [, block] = page.split(`\n### ${section}\n`)[1]?.match(/^```ts\n([\s\S]*?)^```$/m) ?? []
  if (block === undefined) throw new Error(`docs/profiles.md has no block of code under "### ${section}"`)
  const [, from] = /issuer: '([^']+)'/.exec(block) ?? []
  let configuration = block
  for (const [text, value] of Object.entries({ [String(from)]: issuer, ...values })) {
    if (!configuration.includes(text)) throw new Error(`${section}: the documented configuration lacks ${text}`)
    configuration = configuration.replaceAll(text, value)
  }
  return configuration
}

const SERVE = `
import express from 'express'
import { fresh } from 'oauth-resource-server'
import { errorHandler, getAuth, protect } from 'oauth-resource-server/express'

const app = express()
app.get('/', protect(api), (req, res) => {
  const { subject, clientId, scopes } = getAuth(req)
  res.json({ subject, clientId, scopes })
})
// An API without credentials at the server cannot ask it.
if (process.env.CLIENT_SECRET) app.get('/fresh', protect(api, fresh()), (req, res) => res.json({}))
app.use(errorHandler())
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
`

interface ApiOptions {
  readonly clientSecret?: string | undefined
  /** Seconds by which the API's clock is ahead: every token of the server has expired. */
  readonly ahead?: number
}

/** Runs this configuration as a program. The rest of the program answers who the caller is. */
export async function startApi(configuration: string, { clientSecret, ahead = 0 }: ApiOptions = {}): Promise<Api> {
  mkdirSync(WORK, { recursive: true })
  const folder = mkdtempSync(join(WORK, 'api-'))
  writeFileSync(join(folder, 'api.mjs'), configuration + SERVE)
  writeFileSync(join(folder, 'clock.mjs'), `const real = Date.now\nDate.now = () => real() + ${ahead * 1000}\n`)
  const child = spawn(process.execPath, ['--import', './clock.mjs', 'api.mjs'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      NODE_NO_WARNINGS: '1',
      ...(clientSecret !== undefined && { CLIENT_SECRET: clientSecret })
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the API ended with ${code}:\n${configuration}`)))
  })
  return {
    ask: async (token, path = '/') => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${token}` } })
      const { status, headers } = response
      return { status, challenge: headers.get('www-authenticate'), body: await response.json() }
    },
    close: async () => {
      await end(child)
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** The answer to a token that the API refuses with 401. */
export function refused(description: string): unknown {
  return {
    status: 401,
    challenge: expect.stringContaining('error="invalid_token"'),
    body: { error: 'invalid_token', error_description: description }
  }
}

/** Status codes that occurred, each once. */
export interface Traffic {
  readonly old: readonly number[]
  readonly renewed: readonly number[]
}

/**
 * Calls the API without a pause with a token of the old key while the server rotates its keys, then with a token of the new key until
 * the API admits it. Before that a 429 may tell the client to retry: the key set may not be fetched again at once.
 */
export async function rotateUnderTraffic(
  rotate: () => Promise<unknown>,
  issue: () => Promise<string>,
  api: Api
): Promise<Traffic> {
  const token = await issue()
  const old = new Set<number>()
  const renewed = new Set<number>()
  let isDone = false
  const traffic = [1, 2, 3].map(async () => {
    while (!isDone) old.add((await api.ask(token)).status)
  })
  try {
    await rotate()
    let next = await issue()
    while (kidOf(next) === kidOf(token)) next = await issue()
    for (;;) {
      const { status } = await api.ask(next)
      renewed.add(status)
      if (status !== 429) break
      await sleep(200)
    }
  } finally {
    isDone = true
    await Promise.all(traffic)
  }
  return { old: [...old], renewed: [...renewed].filter((status) => status !== 429) }
}

function kidOf(token: string): unknown {
  return JSON.parse(Buffer.from(String(token.split('.')[0]), 'base64url').toString()).kid
}
