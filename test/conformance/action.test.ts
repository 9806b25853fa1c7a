/** The GitHub Action: its script, run by bash with a stand-in for npx, passes inputs on as arguments and never as text. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { HELP } from '../../conformance/command.js'

const text = readFileSync(join(import.meta.dirname, '../../.github/actions/conformance/action.yml'), 'utf8')
const script = (/run: \|\n([\s\S]*)$/.exec(text)?.[1] ?? '').replace(/^ {8}/gm, '')

/** The arguments that npx gets. */
function run(env: Record<string, string>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'action-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'npx'), '#!/bin/bash\nprintf "%s\\n" "$@"\n')
  chmodSync(join(folder, 'npx'), 0o755)
  const defaults = { URL: '', VERSION: 'latest', PROFILES: '', FAIL_ON: 'SHOULD', MINE: 'false', FOLDER: folder }
  const out = execFileSync('bash', ['-e', '-c', script], {
    env: { PATH: `${folder}:${process.env['PATH']}`, ...defaults, ...env }
  })
  return out.toString().trimEnd().split('\n')
}

test('passes every input on, and only flags that the command has', () => {
  const given = run({
    URL: 'http://127.0.0.1/orders',
    VERSION: '1.2.3',
    PROFILES: 'rfc6750 mcp',
    FAIL_ON: 'MUST',
    MINE: 'true'
  })
  expect(given).toEqual(
    '--yes oauth-resource-server@1.2.3 conformance --fail-on MUST --json conformance.json --junit conformance.xml --html conformance.html http://127.0.0.1/orders --mine --profile rfc6750 --profile mcp'.split(
      ' '
    )
  )
  for (const flag of given.slice(3).filter((one) => one.startsWith('--'))) expect(HELP).toContain(`${flag} `.trimEnd())
})

test('runs nothing that an input holds', () => {
  expect(run({ URL: '"; echo gone; $(echo gone)' })).toContain('"; echo gone; $(echo gone)')
  expect(script).not.toContain('${{')
})

test('leaves out what is not given', () => {
  expect(run({})).not.toContain('--mine')
  expect(run({}).at(-1)).toBe('conformance.html')
})
