// @ts-check
/** What the benchmarks compare with, exactly as in the lock file; nothing to do where that is there. */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const time = (/** @type {string} */ name) =>
  statSync(new URL(name, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0

if (time('node_modules/.package-lock.json') < time('package-lock.json')) {
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: 'inherit',
    shell: process.platform === 'win32'
  })
  process.exitCode = status ?? 1
}
