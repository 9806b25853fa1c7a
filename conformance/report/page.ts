/**
 * The frame of the HTML reports: of one API, and of the adapters of this package together.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
/** Each pair of colours has a contrast of at least 4.5. */
const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --dim: #57606a; --ground: #fff; --box: #f3f5f7; --line: #d0d7de; --must: #b42318; --should: #8a5a00; --good: #1a7f37; --link: #0a5ad4 }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9aa6b2; --ground: #0d1117; --box: #171c23; --line: #333b45; --must: #ff8a80; --should: #e3b341; --good: #56d364; --link: #79b8ff } }
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground) }
h1 { margin: 0; font-size: 1.5rem } h2 { margin-top: 2.5rem; font-size: 1.25rem } h3 { font-size: 1rem; margin: 1rem 0 .25rem }
a { color: var(--link) } p { margin: .25rem 0 } .url { font-size: 1.1rem; overflow-wrap: anywhere } .counts { font-weight: 600 } .notice, .id, i { color: var(--dim) }
article { margin: 1rem 0; padding: .25rem 1rem 1rem; border: 1px solid var(--line); border-left: .4rem solid var(--dim); border-radius: .25rem }
article.MUST { border-left-color: var(--must) } article.SHOULD, article.MAY { border-left-color: var(--should) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 } dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
blockquote { margin: .75rem 0; padding-left: 1rem; border-left: .2rem solid var(--line); color: var(--dim) }
pre { margin: .5rem 0; padding: .5rem .75rem; background: var(--box); border-radius: .25rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }
table { width: 100%; border-collapse: collapse; font-size: .9rem } th, td { padding: .3rem .5rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
td:first-child { white-space: nowrap } td code { overflow-wrap: anywhere } .passed td:first-child { color: var(--good) } .failed td:first-child, .error td:first-child { color: var(--must) } td code, .ids code { color: var(--dim); font-size: .8rem } .ids code { margin-right: .6em; white-space: nowrap } td:last-child { white-space: nowrap }
.failed td:first-child a, .error td:first-child a { color: var(--must) } summary { cursor: pointer; color: var(--dim) } article:target { outline: 2px solid var(--link) }
@media (max-width: 40rem) { thead { display: none } tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line) } td { display: block; border: 0; padding: .1rem 0 } td:last-child { white-space: normal } }
@media print { :root { color-scheme: light; --text: #000; --dim: #444; --ground: #fff; --box: #f3f5f7; --line: #bbb; --must: #900; --should: #640; --good: #060; --link: #000 } body { max-width: none; padding: 0 } article, tr { break-inside: avoid } h2, h3 { break-after: avoid } details { display: none } pre { border: 1px solid #bbb } }
`

/** The parts of a page, as HTML. */
export interface Page {
  /** Text, which is escaped. */
  readonly title: string
  readonly header: string
  readonly main: string
  /** CSS after the common one. */
  readonly style?: string
}

/** One file without scripts, light and dark. */
export function htmlPage({ title, header, main, style = '' }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Resource server checks: ${html(title)}</title>
<style>${STYLE}${style}</style>
</head>
<body>
<header>
<h1>Resource server checks</h1>
${header}
</header>
<main>
${main}
</main>
</body>
</html>
`
}

/** Escapes text, and replaces what would reorder or hide it. */
export function html(text: string): string {
  return text
    .replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu, '\uFFFD')
    .replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
}
