// @ts-check
/** The reports of several APIs as one: data without times and ports, a page, and a table for Markdown. */
import { loadTypeScript } from './load-typescript.mjs'

/**
 * @typedef {import('oauth-resource-server/conformance').Report} Report
 * @typedef {import('oauth-resource-server/conformance').Result} Result
 * @typedef {{ name: string, mode: string, features: readonly string[], counts: Report['counts'] }} Api
 * @typedef {Pick<Result, 'id' | 'title' | 'profile' | 'level' | 'source'> & { verdicts: Record<string, Result['verdict']> }} Check
 * @typedef {{ api: string, id: string, why: string }} Remark
 * @typedef {{ version: 1, tool: string, toolVersion: string, notice: string, apis: Api[], checks: Check[], failed: (Remark & { level: string, expected: string, change: string })[], notApplicable: Remark[], errors: Remark[] }} Summary
 */

/** @type {typeof import('../conformance/report/page.ts')} */
const { html, htmlPage } = await loadTypeScript('conformance/report/page.ts')

/** The table of all checks is wide. */
const MATRIX = `.scroll { overflow-x: auto } .matrix td, .matrix th { text-align: center } .matrix td:first-child, .matrix th:first-child { text-align: left; white-space: normal; min-width: 14rem; color: var(--text) }
.matrix .good { color: var(--good) } .matrix .bad { color: var(--must); font-weight: 700 } .matrix .none { color: var(--dim) }
@media (max-width: 40rem) { .matrix thead { display: table-header-group } .matrix tr { display: table-row } .matrix td { display: table-cell; padding: .3rem .5rem } }
`

const MARKS = { passed: '✓', failed: '✗', 'not applicable': '–', error: '!' }

/** Ports are another at each run. @param {string} [text] */
const withoutPorts = (text = '') => text.replace(/127\.0\.0\.1:\d+/g, '127.0.0.1')

/** @param {Record<string, Report>} reports @returns {Summary} */
export function summaryOf(reports) {
  const [first] = Object.values(reports)
  if (first === undefined) throw new Error('there is no report')
  /** @type {Map<string, Check>} */
  const checks = new Map()
  for (const [name, { results }] of Object.entries(reports))
    for (const { id, title, profile, level, source, verdict } of results) {
      const known = checks.get(id) ?? { id, title, profile, level, ...(source && { source }), verdicts: {} }
      known.verdicts[name] = verdict
      checks.set(id, known)
    }
  const all = Object.entries(reports).flatMap(([api, { results }]) => results.map((one) => ({ api, ...one })))
  const remarks = (/** @type {Result['verdict']} */ verdict) =>
    all.filter((one) => one.verdict === verdict).map(({ api, id, why }) => ({ api, id, why: withoutPorts(why) }))
  return {
    version: 1,
    tool: first.tool,
    toolVersion: first.toolVersion,
    notice: first.notice,
    apis: Object.entries(reports).map(([name, { mode, features, counts }]) => ({ name, mode, features, counts })),
    checks: [...checks.values()],
    failed: all
      .filter(({ verdict }) => verdict === 'failed')
      .map(({ api, id, level, finding }) => ({
        api,
        id,
        level,
        why: withoutPorts(finding?.received),
        expected: withoutPorts(finding?.expected),
        change: withoutPorts(finding?.change)
      })),
    notApplicable: remarks('not applicable'),
    errors: remarks('error')
  }
}

/** A table of Markdown: an API in each row. @param {Summary} summary */
export function tableOf({ apis, toolVersion }) {
  const rows = apis.map(({ name, mode, counts: { passed, failed, notApplicable, errors } }) => [
    `\`${name}\``,
    mode === 'issuer' ? 'with the issuer' : 'outside',
    passed,
    failed.MUST,
    failed.SHOULD,
    failed.hardening,
    notApplicable,
    errors
  ])
  const heads = ['Adapter', 'Mode', 'Passed', 'Failed MUST', 'Failed SHOULD', 'To harden', 'Not applicable', 'Not run']
  return [`Version ${toolVersion}:`, '', heads, heads.map((_, i) => (i < 2 ? '---' : '--:')), ...rows]
    .map((line) => (Array.isArray(line) ? `| ${line.join(' | ')} |` : line))
    .join('\n')
}

/** One page without scripts, in the style of the report of a single API. @param {Summary} summary */
export function pageOf(summary) {
  const { apis, checks, failed, errors, notApplicable, notice, tool, toolVersion } = summary
  const profiles = [...new Set(checks.map(({ profile }) => profile))]
  return htmlPage({
    title: 'the adapters of oauth-resource-server',
    style: MATRIX,
    header: `<p class="url">The adapters of oauth-resource-server</p>
<p>An API of each adapter, configured as in the README and with every feature that the suite can test.</p>
<p class="notice">${html(notice)} Made by ${html(tool)} ${html(toolVersion)}. The suite and the adapters have the same authors.</p>`,
    main: `<section>
<h2>Totals</h2>
${matrix(['', ...apis.map(({ name }) => name)], totalsOf(apis))}
</section>
<section>
<h2>${failed.length + errors.length === 0 ? 'Nothing failed' : 'What failed'}</h2>
${groups(failed, ({ id, level, why, expected, change }) => [level, id, why, expected, change])}
${groups(errors, ({ id, why }) => ['error', id, why, undefined, undefined])}
</section>
<section>
<h2>All checks</h2>
<p>✓ passed, ✗ failed, – not applicable, ! not run.</p>
${profiles
  .map(
    (profile) =>
      `<h3>${html(profile)}</h3>\n${checkRows(
        checks.filter((one) => one.profile === profile),
        apis
      )}`
  )
  .join('\n')}
</section>
<section>
<h2>Not applicable</h2>
<p>None of these counts as passed.</p>
${reasons(notApplicable)}
</section>`
  })
}

/** @param {Api[]} apis @returns {string[][]} */
function totalsOf(apis) {
  /** @type {[string, (api: Api) => string | number][]} */
  const rows = [
    ['tested', ({ mode }) => (mode === 'issuer' ? 'with the issuer' : 'outside')],
    ['passed', ({ counts }) => counts.passed],
    ['failed (MUST)', ({ counts }) => counts.failed.MUST],
    ['failed (SHOULD)', ({ counts }) => counts.failed.SHOULD],
    ['failed (MAY)', ({ counts }) => counts.failed.MAY],
    ['to harden', ({ counts }) => counts.failed.hardening],
    ['not applicable', ({ counts }) => counts.notApplicable],
    ['not run', ({ counts }) => counts.errors]
  ]
  return rows.map(([name, value]) => [`<td>${name}</td>`, ...apis.map((api) => `<td>${value(api)}</td>`)])
}

/** @param {Check[]} checks @param {Api[]} apis */
function checkRows(checks, apis) {
  return matrix(
    ['Check', ...apis.map(({ name }) => name)],
    checks.map(({ id, title, level, source, verdicts }) => {
      const text =
        source === undefined
          ? level
          : `<a href="${html(source.url)}">${html(`${source.name} ${source.section}`)}</a>, ${level}`
      return [
        `<td>${html(title)}<br><code>${html(id)}</code> ${text}</td>`,
        ...apis.map(({ name }) => {
          const verdict = verdicts[name] ?? 'not applicable'
          const tone = verdict === 'passed' ? 'good' : verdict === 'not applicable' ? 'none' : 'bad'
          return `<td class="${tone}" title="${verdict}">${MARKS[verdict]}</td>`
        })
      ]
    })
  )
}

/** @param {string[]} heads @param {string[][]} rows */
function matrix(heads, rows) {
  return `<div class="scroll"><table class="matrix"><thead><tr>${heads.map((one) => `<th>${html(one)}</th>`).join('')}</tr></thead>
<tbody>${rows.map((row) => `<tr>${row.join('')}</tr>`).join('\n')}</tbody></table></div>`
}

/**
 * The same finding of several APIs once.
 *
 * @template {Remark} T @param {T[]} remarks
 * @param {(one: T) => [level: string, id: string, why: string, expected: string | undefined, change: string | undefined]} parts
 */
function groups(remarks, parts) {
  const byId = groupedById(remarks)
  return [...byId.values()]
    .map((same) => {
      const [level, id, why, expected, change] = parts(/** @type {T} */ (same[0]))
      const rows = [
        ['APIs', same.map(({ api }) => api).join(', ')],
        ['Expected', expected],
        ['Received', why],
        ['Change', change]
      ]
      const list = rows.map(([name, value]) => (value === undefined ? '' : `<dt>${name}</dt><dd>${html(value)}</dd>`))
      return `<article class="${level}"><h3>${html(id)} (${html(level)})</h3><dl>${list.join('')}</dl></article>`
    })
    .join('\n')
}

/** @template {Remark} T @param {T[]} remarks */
function groupedById(remarks) {
  /** @type {Map<string, T[]>} */
  const byId = new Map()
  for (const one of remarks) byId.set(one.id, [...(byId.get(one.id) ?? []), one])
  return byId
}

/** @param {Remark[]} remarks */
function reasons(remarks) {
  /** @type {Map<string, Map<string, string[]>>} */
  const byWhy = new Map()
  for (const { api, id, why } of remarks) {
    const ids = byWhy.get(why) ?? new Map()
    byWhy.set(why, ids.set(id, [...(ids.get(id) ?? []), api]))
  }
  const names = new Set(remarks.map(({ api }) => api)).size
  return [...byWhy]
    .map(([why, ids]) => {
      const list = [...ids].map(
        ([id, apis]) => `<code>${html(id)}${apis.length === names ? '' : ` (${apis.join(', ')})`}</code>`
      )
      return `<h3>${html(why)}</h3>\n<p class="ids">${list.join(' ')}</p>`
    })
    .join('\n')
}
