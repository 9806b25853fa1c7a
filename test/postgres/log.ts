/**
 * `examples/postgres-log.mjs` over a real PostgreSQL: the contract of a log, a restart, and tables that somebody empties. Needs
 * `initdb` and `postgres` on the PATH or in PG_BIN, a user other than root, and `npm install --ignore-scripts --prefix
 * .ci/postgres`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createTable, postgresLog } from '../../examples/postgres-log.mjs'
import type { Log, LogReading } from '../../src/index.js'
import { logContract } from '../../test-kit/issuer.js'

interface Client {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, string>[] }>
  connect(): Promise<unknown>
  end(): Promise<void>
  on(event: string, listener: (argument: { payload?: string }) => void): unknown
}
type Pool = Client & { connect(): Promise<Client & { release(error?: Error): void }> }

const pg = createRequire(new URL('../../.ci/postgres/', import.meta.url))('pg') as {
  Pool: new (options: object) => Pool
  Client: new (options: object) => Client
}

/** The name of a program of PostgreSQL: Debian does not put them on the PATH. */
const program = (name: string): string => join(process.env['PG_BIN'] ?? '', name)
const asUser = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}

/** Root may not run PostgreSQL. */
function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
}

const directory = mkdtempSync(join(tmpdir(), 'postgres-'))
const options = { host: directory, user: 'postgres', database: 'postgres' }
let server: ChildProcess

async function start(): Promise<void> {
  const settings = ['-D', join(directory, 'data'), '-k', directory, '-c', 'listen_addresses=']
  server = spawn(program('postgres'), settings, { ...asUser, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  const out = server.stderr as Readable
  for await (const chunk of out.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
    if (String(chunk).includes('ready to accept connections')) break
  out.resume()
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  const exit = once(server, 'exit')
  server.kill(signal)
  await exit
}

beforeAll(async () => {
  chmodSync(directory, 0o777)
  execFileSync(
    program('initdb'),
    ['-D', join(directory, 'data'), '-U', 'postgres', '--auth=trust', '--encoding=UTF8'],
    {
      ...asUser,
      cwd: directory,
      stdio: 'ignore'
    }
  )
  await start()
  const pool = new pg.Pool(options)
  await createTable(pool)
  await pool.end()
})
afterAll(async () => {
  await stop('SIGINT')
  rmSync(directory, { recursive: true })
})

function createLog(maxEntries?: number): { readonly log: Log; readonly pool: Pool } {
  const pool = new pg.Pool({ ...options, max: 4 })
  pool.on('error', () => undefined)
  onTestFinished(() => pool.end())
  const listen = (): Client => new pg.Client(options)
  return { pool, log: postgresLog(pool, maxEntries === undefined ? { listen } : { listen, maxEntries }) }
}

const HOW = { keep: 3600, reserve: 0 }
const READING: LogReading = { keep: 3600, limit: 100 }

describe('examples/postgres-log.mjs', () => {
  const tests = logContract(({ processes, maxEntries }) =>
    Array.from({ length: processes }, () => createLog(maxEntries).log)
  )
  test.each(tests.map(({ name, run }) => [name, run] as const))('%s', (_, run) => run())

  test('keeps its entries when the server is killed, and names another run', async () => {
    const { log } = createLog()
    for (const value of ['1', '2']) await log.append('killed', value, HOW)
    const page = await log.read('killed', READING)
    await stop('SIGKILL')
    rmSync(join(directory, 'data', 'postmaster.pid'), { force: true })
    await start()
    const next = await log.read('killed', { ...READING, after: page.entries.at(-1)?.position, first: page.first })
    expect(next).toMatchObject({ entries: [], length: 2, isWhole: true })
    expect(next.incarnation).not.toBe(page.incarnation)
  })

  test.each(['oauth_log', 'oauth_log, oauth_log_state'])(
    'is not whole to a reader of its entries after TRUNCATE %s, also after new entries',
    async (tables) => {
      const { log, pool } = createLog()
      for (const value of ['1', '2']) await log.append('emptied', value, HOW)
      const { entries, first } = await log.read('emptied', READING)
      const known = { ...READING, after: entries.at(-1)?.position, first }
      await pool.query(`TRUNCATE ${tables}`)
      expect(await log.read('emptied', known)).toMatchObject({ entries: [], isWhole: false })
      await log.append('emptied', '3', { ...HOW, dropTo: first })
      expect(await log.read('emptied', known)).toMatchObject({ isWhole: false })
    }
  )
})
