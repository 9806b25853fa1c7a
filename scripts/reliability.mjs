// @ts-check
/**
 * Puts what was measured last into docs/reliability.md, between its markers: the table that `npm run test:chaos` left in
 * coverage/reliability.json, and the one that `npm run soak` left in coverage/soak.json, where it has run.
 *
 *   npm run test:chaos && node scripts/reliability.mjs
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { markdown, markdownFloods } from '../test/chaos/table.mjs'

const inProject = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url)
const page = inProject('docs/reliability.md')
let text = readFileSync(page, 'utf8')

const machine = `Node.js ${process.versions.node}, ${cpus().length} cores`

const chaos = read('coverage/reliability.json')
if (chaos) {
  const { apps, rounds, step, lines, floods } = /** @type {import('../test/chaos/table.mjs').Report} */ (chaos)
  const requests = lines.reduce((sum, line) => sum + line.requests, 0)
  replace(
    'faults',
    `${lines.length} faults, ${requests.toLocaleString('en')} requests: ${rounds} rounds, ${step} s apart, to each of ${list(apps)}. ${machine}.\n\n${markdown(lines)}`
  )
  replace('floods', markdownFloods(floods))
}

const soak = read('coverage/soak.json')
if (soak) {
  const { requests, seconds, warmUp, before, after, handles } =
    /** @type {{ requests: number, seconds: number, warmUp: number, before: number, after: number, handles: string[] }} */ (
      soak
    )
  const mebibytes = (/** @type {number} */ bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
  const rows = [
    ['requests', 'seconds', 'heap after warm-up', 'heap at the end', 'ratio', 'open handles after `close()`'],
    ['--:', '--:', '--:', '--:', '--:', '--:'],
    [
      requests.toLocaleString('en'),
      seconds.toFixed(0),
      `${mebibytes(before)} (${warmUp.toLocaleString('en')} requests)`,
      mebibytes(after),
      (after / before).toFixed(3),
      String(handles.length)
    ]
  ]
  replace('soak', `${machine}.\n\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}`)
}

if (!chaos && !soak) throw new Error('nothing was measured: run `npm run test:chaos` or `npm run soak` first')
writeFileSync(page, text)

/** @param {string} path @returns {unknown} */
function read(path) {
  return existsSync(inProject(path)) ? JSON.parse(readFileSync(inProject(path), 'utf8')) : undefined
}

/** @param {string} name @param {string} content */
function replace(name, content) {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/reliability.md has no markers ${begin} … ${end}`)
  text = `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`
}

/** @param {readonly string[]} names */
function list(names) {
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
