// @ts-check
/**
 * Writes what programs read that write code: llms.txt, an index of the site, and skills/oauth-resource-server, a skill for
 * coding assistants. Both are in the package. Their code and tables are those of README.md, docs/ and examples/, which tests
 * compile and run.
 *
 *   node scripts/skill.mjs           writes them
 *   node scripts/skill.mjs --check   writes nothing; exits 1 if a file is not current
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { llmsIndex } from './skill/llms.mjs'
import { hosts, profiles, reasons, start } from './skill/pages.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SKILL = 'skills/oauth-resource-server'

const files = {
  'llms.txt': llmsIndex(),
  [`${SKILL}/SKILL.md`]: start(),
  [`${SKILL}/hosts.md`]: hosts(),
  [`${SKILL}/profiles.md`]: profiles(),
  [`${SKILL}/troubleshooting.md`]: reasons()
}
const isCheck = process.argv.includes('--check')
const stale = Object.entries(files).flatMap(([path, text]) => {
  const file = join(ROOT, path)
  if (existsSync(file) && readFileSync(file, 'utf8').replaceAll('\r\n', '\n') === text) return []
  if (isCheck) return [path]
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return []
})
for (const path of stale) console.error(`${path} is not current: run npm run skill.`)
process.exitCode = stale.length > 0 ? 1 : 0
