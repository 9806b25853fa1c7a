/**
 * The report as one HTML file: no script, no other file, light and dark, and printable.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import { html, htmlPage } from './page.js'
import { countsOf, type Report, type Result } from './report.js'
import { countsLine, modeLine, sourceLine, toolLine, troubles } from './text.js'

/** Writes a report as one HTML page without scripts, light and dark. */
export function htmlReport(report: Report): string {
  const bad = troubles(report)
  return htmlPage({
    title: report.url,
    header: `<p class="url">${html(report.url)}</p>
<p>${html(report.started.slice(0, 16).replace('T', ' '))} UTC, ${html(modeLine(report))}.</p>
<p class="counts">${html(countsLine(report.counts))}</p>
<p class="notice">${html(report.notice)} Made by ${html(toolLine(report))}.</p>`,
    main: `<section>
<h2>${bad.length === 0 ? 'Nothing failed' : 'What failed'}</h2>
${bad.map((one) => failureOf(one)).join('\n')}
</section>
<section>
<h2>Checks that ran</h2>
${report.profiles
  .map((profile) =>
    tableOf(
      profile,
      report.results.filter((one) => one.profile === profile)
    )
  )
  .join('\n')}
</section>
${notApplicable(report)}`
  })
}

const MARKS: Readonly<Record<Exclude<Result['verdict'], 'not applicable'>, string>> = {
  passed: '✓ passed',
  failed: '✗ failed',
  error: '! not run'
}

function failureOf(one: Result): string {
  const { finding, source, why, exchanges, also } = one
  const rows: (readonly [string, string | undefined])[] = [
    ['Expected', finding?.expected],
    ['Received', finding?.received],
    ['Change', finding?.change],
    ['Not run', finding === undefined ? why : undefined],
    ['Also', also?.join(', ')]
  ]
  return `<article class="${one.level}" id="${html(one.id)}">
<h3>${html(one.title)}</h3>
<p class="id"><code>${html(one.id)}</code> · ${html(sourceLine(one))}</p>
<dl>${rows.flatMap(([name, value]) => (value === undefined ? [] : [`<dt>${name}</dt><dd>${html(value)}</dd>`])).join('')}</dl>
${source === undefined ? '' : `<blockquote>${html(source.quote)} <a href="${html(source.url)}">${html(`${source.name} ${source.section}`)}</a></blockquote>`}
${exchangesOf(exchanges)}
</article>`
}

/** The last exchange decided. Those before it are folded away. */
function exchangesOf(exchanges: Result['exchanges']): string {
  const texts = exchanges.map((one) => `<pre>${html(exchangeText(one))}</pre>`)
  const before = texts.slice(0, -1)
  if (before.length === 0) return texts.join('')
  const summary = before.length === 1 ? 'The request before' : `The ${before.length} requests before`
  return `${texts.at(-1)}
<details><summary>${summary}</summary>
${before.join('\n')}
</details>`
}

function exchangeText({ sent, status, fields, body, problem }: Result['exchanges'][number]): string {
  const answer = status === undefined ? [`→ no answer: ${problem}`] : [`→ ${status}`, ...(fields ?? [])]
  return [sent, ...answer.map((line) => `  ${line}`), ...(body === undefined || body === '' ? [] : [`  ${body}`])].join(
    '\n'
  )
}

function tableOf(profile: string, results: readonly Result[]): string {
  const ran = results.filter(({ verdict }) => verdict !== 'not applicable')
  if (ran.length === 0) return ''
  return `<h3>${html(profile)}: ${html(countsLine(countsOf(results)))}</h3>
<table><thead><tr><th>Result</th><th>Check</th><th>Source</th></tr></thead>
<tbody>${ran.map(rowOf).join('\n')}</tbody></table>`
}

function rowOf(one: Result): string {
  const mark =
    one.verdict === 'failed' || one.verdict === 'error'
      ? `<a href="#${html(one.id)}">${MARKS[one.verdict]}</a>`
      : MARKS.passed
  const source = html(sourceLine(one))
  return `<tr class="${one.verdict}"><td>${mark}</td><td>${html(one.title)}<br><code>${html(one.id)}</code>${one.measured === undefined ? '' : `<br>Measured: ${html(one.measured.join(', '))}`}</td><td>${one.source === undefined ? source : `<a href="${html(one.source.url)}">${source}</a>`}</td></tr>`
}

/** The ids by their reason: hundreds of rows with the same reason would hide the others. */
function notApplicable({ results }: Report): string {
  const reasons = new Map<string, string[]>()
  for (const { verdict, why = '', id } of results)
    if (verdict === 'not applicable') reasons.set(why, [...(reasons.get(why) ?? []), id])
  if (reasons.size === 0) return ''
  const parts = [...reasons]
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(
      ([why, ids]) =>
        `<h3>${ids.length} × ${html(why)}</h3>\n<p class="ids">${ids.map((id) => `<code>${html(id)}</code>`).join(' ')}</p>`
    )
  return `<section>
<h2>Not applicable</h2>
<p>The API does not have the feature, or the run did not allow the check. None of these counts as passed.</p>
${parts.join('\n')}
</section>`
}
