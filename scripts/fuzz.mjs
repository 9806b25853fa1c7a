/**
 * Fuzzing: new inputs, made from those of test/fuzz/corpus, for every place where this package reads what somebody else
 * wrote. Inputs that break a rule are written to coverage/fuzz, or with `--keep` into the corpus, which `npm test` replays.
 *
 *   npm run fuzz -- [--seconds 60] [--seed 1] [--target dpop] [--keep]
 *
 * `--seconds` is for all targets together. Exits 1 where something was found, and names the files it wrote to. Leaves its
 * counts in coverage/fuzz.json.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    target: { type: 'string' },
    keep: { type: 'boolean' }
  }
})
const { seconds = '60', seed = String(Date.now() % 1_000_000), target, keep = false } = values
const report = join(root, 'coverage', 'fuzz.json')

rmSync(report, { force: true })
const { status } = spawnSync(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--config', 'test/fuzz/vitest.config.ts'],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FUZZ: JSON.stringify({ seconds: Number(seconds), seed: Number(seed), target, keep }) }
  }
)
for (const { target: name, executions, verdicts, findings, written, growth } of JSON.parse(readFileSync(report, 'utf8'))
  .reports) {
  const accepted = Object.entries(verdicts).filter(([verdict]) => /^(accepted|taken)/.test(verdict))
  const passed = accepted.reduce((sum, [, count]) => sum + count, 0)
  const kinds = Object.keys(verdicts).length
  const megabytes = Math.round(growth / 1024 / 1024)
  console.log(
    `${name}: ${executions} inputs, ${passed} accepted, ${kinds} outcomes, ${findings.length} findings, heap ${megabytes} MB`
  )
  for (const file of written)
    console.log(
      `  written to ${file}${keep ? ', which npm test replays' : '; --keep adds to test/fuzz/corpus instead'}`
    )
}
console.log(`seed ${seed}`)
process.exitCode = status ?? 1
