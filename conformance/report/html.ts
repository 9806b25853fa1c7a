/**
 * The report as one HTML file: no script, no other file, light and dark, and printable.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import type { Report, Result } from './report.js'
import { STYLE } from './style.js'
import { countsLine, modeLine, sourceLine, troubles } from './text.js'

/** Writes a report as one HTML page without scripts, light and dark. */
export function htmlReport(report: Report): string {
  const bad = troubles(report)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Resource server checks: ${html(report.url)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Resource server checks</h1>
<p class="url">${html(report.url)}</p>
<p>${html(report.started.slice(0, 16).replace('T', ' '))} UTC, ${html(modeLine(report))}.</p>
<p class="counts">${html(countsLine(report.counts))}</p>
<p class="notice">${html(report.notice)} Made by ${html(report.tool)}.</p>
</header>
<main>
<section>
<h2>${bad.length === 0 ? 'Nothing failed' : 'What failed'}</h2>
${bad.map((one) => failureOf(one)).join('\n')}
</section>
<section>
<h2>All checks</h2>
${report.profiles
  .map((profile) =>
    tableOf(
      profile,
      report.results.filter((one) => one.profile === profile)
    )
  )
  .join('\n')}
</section>
</main>
</body>
</html>
`
}

const MARKS: Readonly<Record<Result['verdict'], string>> = {
  passed: '✓ passed',
  failed: '✗ failed',
  'not applicable': '– not applicable',
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
  return `<article class="${one.level}">
<h3>${html(one.title)}</h3>
<p class="id"><code>${html(one.id)}</code> <span>${html(sourceLine(one))}</span></p>
<dl>${rows.flatMap(([name, value]) => (value === undefined ? [] : [`<dt>${name}</dt><dd>${html(value)}</dd>`])).join('')}</dl>
${source === undefined ? '' : `<blockquote>${html(source.quote)} <a href="${html(source.url)}">${html(`${source.name} ${source.section}`)}</a></blockquote>`}
${exchanges.map((each) => `<pre>${html(exchangeText(each))}</pre>`).join('\n')}
</article>`
}

function exchangeText({ sent, status, fields, body, problem }: Result['exchanges'][number]): string {
  const answer = status === undefined ? [`no answer: ${problem}`] : [`${status}`, ...(fields ?? [])]
  return [sent, ...answer.map((line) => `  ${line}`), ...(body === undefined || body === '' ? [] : [`  ${body}`])].join(
    '\n'
  )
}

function tableOf(profile: string, results: readonly Result[]): string {
  const rows = results.map(
    (one) =>
      `<tr class="${one.verdict.replace(' ', '-')}"><td>${MARKS[one.verdict]}</td><td>${html(one.title)}${one.verdict === 'not applicable' ? ` <i>${html(one.why ?? '')}</i>` : ''}</td><td><code>${html(one.id)}</code></td><td>${one.source === undefined ? html(one.level) : `<a href="${html(one.source.url)}">${html(sourceLine(one))}</a>`}</td></tr>`
  )
  return `<h3>${html(profile)}</h3>
<table><thead><tr><th>Result</th><th>Check</th><th>Id</th><th>Source</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`
}

/** Escapes text, and replaces what would reorder or hide it. */
function html(text: string): string {
  return text
    .replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu, '\uFFFD')
    .replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
}
