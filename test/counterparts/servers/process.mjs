/** What the servers of this folder share: a folder of their own, a process that ends with the test. */
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** @param {string} name */
export const createFolder = (name) => mkdtempSync(join(tmpdir(), `${name}-`))

/**
 * Runs a server until `close()`, which also removes its folder. Its output goes to `log` in the folder.
 *
 * @param {{ command: string, args: string[], folder: string, url: string, env?: Record<string, string> }} options
 *   `url` must be answered, with any status, before the server counts as started
 */
export async function run({ command, args, folder, url, env = {} }) {
  const log = join(folder, 'log')
  const output = openSync(log, 'a')
  // A group of its own: what the server starts ends with it.
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output],
    detached: true
  })
  closeSync(output)
  /** @type {Promise<unknown>} */
  const ended = new Promise((resolve) => {
    child.once('exit', resolve)
    child.once('error', resolve)
  })
  const close = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGKILL')
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
  while (!(await fetch(url).catch(() => undefined))) {
    if (child.pid === undefined || child.exitCode !== null)
      throw new Error(`${command} ended with ${child.exitCode}:\n${readFileSync(log, 'utf8').slice(-4000)}`)
    await sleep(100)
  }
  return { close, log: () => readFileSync(log, 'utf8') }
}

/** @param {string} id @param {string} secret */
export const basic = (id, secret) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

/**
 * POSTs a form.
 *
 * @param {string} url
 * @param {Record<string, string>} fields
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>} the JSON of the answer, or nothing if it is empty
 */
export async function post(url, fields, headers = {}) {
  const response = await fetch(url, { method: 'POST', headers, body: new URLSearchParams(fields) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text.slice(0, 1000)}`)
  return text.startsWith('{') ? JSON.parse(text) : undefined
}
