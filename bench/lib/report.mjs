// @ts-check
/** Results on the terminal, and as docs/performance.md with its chart. */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { drawChart } from './chart.mjs'
import { isReached } from './result.mjs'
import { short } from './stats.mjs'

/** @typedef {{ readonly scenario: import('./result.mjs').Scenario, readonly result: import('./result.mjs').Result }} Finding */

const SIGNS = { '>=': '≥', '<=': '≤', '=': '' }
const docs = new URL('../../docs/', import.meta.url)

/** @param {import('./result.mjs').Target} target */
const wish = ({ relation, target }) => `${SIGNS[relation]} ${target}`.trim()
/** @param {import('./result.mjs').Target} target */
const verdict = (target) => (isReached(target) ? 'reached' : '**not reached**')

/** @param {Finding} finding */
export function printResult({ scenario, result }) {
  console.log(`\n${scenario.title}`)
  for (const { caption, columns, rows } of result.tables) {
    const lines = [[caption, ...columns.slice(1)], ...rows].map((cells) =>
      cells.map((cell) => String(cell).replaceAll(/[*`]/g, ''))
    )
    const widths = columns.map((_, i) => Math.max(...lines.map((cells) => cells[i]?.length ?? 0)))
    for (const cells of lines) {
      console.log(
        `  ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart((widths[i] ?? 0) + 2))).join('')}`
      )
    }
    console.log('')
  }
  for (const target of result.targets) {
    console.log(
      `  ${isReached(target) ? 'reached    ' : 'NOT REACHED'}  ${target.what}: ${short(target.got)} (${wish(target)})`
    )
  }
}

/** @param {readonly (readonly (string | number)[])[]} rows @param {readonly string[]} columns */
const markdown = (columns, rows) =>
  [columns, columns.map((_, i) => (i === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')

/** Exact versions, as they are installed. */
function versions() {
  const { devDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return Object.keys(devDependencies).map((name) => {
    const path = new URL(`../node_modules/${name}/package.json`, import.meta.url)
    return `${name} ${JSON.parse(readFileSync(path, 'utf8')).version}`
  })
}

/**
 * @param {readonly Finding[]} findings
 * @param {{ readonly seconds: number, readonly neighbours: string }} run how long it took, and what other programs used
 */
export function writeReport(findings, { seconds, neighbours }) {
  const targets = findings.flatMap(({ result }) => result.targets)
  const sections = findings.map(({ scenario, result }) =>
    [
      `## ${scenario.title}`,
      `${scenario.about} (\`bench/scenarios/${scenario.name}.mjs\`)`,
      ...result.tables.map(({ caption, columns, rows }) => markdown([caption, ...columns.slice(1)], rows))
    ].join('\n\n')
  )
  const [cpu] = cpus()
  const text = `# Performance

Made by \`npm run bench\` in ${Math.round(seconds / 60)} minutes; every figure here is from one run.

![Requests kept by protected servers, and processor time for a token](performance.svg)

Compare ratios, not microseconds. Each package has a process of its own, in which it and the raw signature check take turns
every few milliseconds, so that other work on the machine slows both. A ratio is the median over all rounds, ± the median
absolute deviation; above 1 is faster. Processor time is that of all threads, with the garbage collector. Beside it stands the
ratio by median call: the median of single calls, hardly any of which meets the collector or another program. Each package is configured as its README
recommends, with its cache if it has one, in a short file in \`bench/peers\`.

The targets were set on a quiet machine whose raw RS256 check takes 20 µs. A host that is shared with others changes these
figures: [how much](#what-is-left).

## Targets and results

${markdown(
  ['', 'target', 'measured', ''],
  targets.map((target) => [target.what, wish(target), short(target.got), verdict(target)])
)}

${sections.join('\n\n')}

${readFileSync(new URL('../tried.md', import.meta.url), 'utf8').trim()}

## The machine and the versions

${availableParallelism()} cores of ${cpu?.model.trim() ?? 'an unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB. ${neighbours} Node.js
${process.versions.node}, OpenSSL ${process.versions.openssl}, V8 ${process.versions.v8}, ${process.platform} ${process.arch}.

${versions().join(', ')}.
`
  writeFileSync(new URL('performance.md', docs), text)
  writeFileSync(
    new URL('performance.svg', docs),
    drawChart(Object.assign({}, ...findings.map(({ result }) => result.bars ?? {})))
  )
  console.log('\nwrote docs/performance.md and docs/performance.svg')
}
