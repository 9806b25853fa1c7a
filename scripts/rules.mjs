/**
 * Writes docs/rules.md: every rule of test/rfc/checklist.json beside the tests whose titles name it.
 *
 *   node scripts/rules.mjs           writes the page
 *   node scripts/rules.mjs --check   writes nothing; exits 1 if the page is out of date, a title names an unknown
 *                                          rule, or a rule has neither a test nor a reason in test/rfc/not-covered.json
 *
 * A title is a string literal that names a rule and says something, `'ATV-06 (RFC 9068 §4): a token is refused …'`, or
 * a row of a table: `id: 'ATV-06', title: '…'` or `['ATV-06', '…'`. Comments and other strings do not count.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const page = join(root, 'docs', 'rules.md')
const NAMED_TESTS = 4
const ID = /\b[A-Z]{3,4}-\d{2}\b/g

const rules = readJson('test/rfc/checklist.json')
const reasons = readJson('test/rfc/not-covered.json')
const known = new Map(rules.map((rule) => [rule.id, rule]))
const prefixes = new Set(rules.map((rule) => rule.id.split('-')[0]))

const titles = testFiles().flatMap(titlesOf)
const tests = new Map(
  rules.map(({ id }) => [id, titles.filter((title) => title.ids.includes(id)).sort(byDirectness(id))])
)
const covered = rules.filter((rule) => tests.get(rule.id).length > 0)
const text = render()

const problems = [
  ...titles.flatMap((title) => unknownIds(title).map((id) => `${title.file}: there is no rule ${id}: ${title.text}`)),
  ...Object.keys(reasons)
    .filter((id) => !known.has(id))
    .map((id) => `test/rfc/not-covered.json: there is no rule ${id}`),
  ...rules
    .filter((rule) => !covered.includes(rule) && !reasons[rule.id])
    .map((rule) => `${rule.id} has no test and no reason in test/rfc/not-covered.json: ${rule.rule.slice(0, 60)}`)
]
const stale = covered.filter((rule) => reasons[rule.id])

if (process.argv.includes('--check')) {
  const current = existsSync(page) ? readFileSync(page, 'utf8').replaceAll('\r\n', '\n') : ''
  if (current !== text) problems.push('docs/rules.md is out of date: run node scripts/rules.mjs')
  for (const problem of problems) console.error(problem)
  for (const rule of stale) console.error(`note: ${rule.id} is covered; its reason in test/rfc/not-covered.json can go`)
  process.exitCode = problems.length > 0 ? 1 : 0
} else {
  writeFileSync(page, text)
}
console.log(`${covered.length} of ${rules.length} rules are covered by a test's title`)

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}

/** Test files, and the tables in files of test/ that they import, such as a contract shared by adapters. */
function testFiles() {
  const all = readdirSync(join(root, 'test'), { recursive: true }).map((name) => join(root, 'test', name))
  const files = new Set(all.filter((file) => file.endsWith('.test.ts')))
  for (const file of files) {
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']*)\.js'/g)) {
      const imported = resolve(dirname(file), `${path}.ts`)
      const [folder, ...rest] = relative(join(root, 'test'), imported).split(sep)
      if (folder !== '..' && !(folder === 'support' && rest.length > 0) && existsSync(imported)) files.add(imported)
    }
  }
  return [...files].sort((a, b) => (a < b ? -1 : 1)) // Not by locale: the page is the same everywhere.
}

/** The string literals of a file that name rules and count as titles: `{ file, text, ids }`. */
function titlesOf(path) {
  const file = relative(root, path).split(sep).join('/')
  const literals = stringLiterals(readFileSync(path, 'utf8'))
  return literals.flatMap((literal, index) => {
    const ids = [...new Set(literal.text.match(ID))]
    if (ids.length === 0 || /\.(skip|todo)\(\s*$/.test(literal.before)) return []
    if (/[a-z]{2}/.test(literal.text.replaceAll(ID, ''))) return [{ file, text: literal.text, ids }]
    // A bare ID is a title only as part of a table's row, together with the sentence that follows it.
    const isRow = /(\b(id|ids|rule|rules|title|name)['"]?\s*:\s*\[?|\[)\s*$/.test(literal.before)
    const sentence = literals.slice(index + 1).find((next) => !/^[\s,]*$/.test(next.text.replaceAll(ID, '')))
    return isRow && sentence ? [{ file, text: `${literal.text}: ${sentence.text.replace(/^[^a-z]*: /, '')}`, ids }] : []
  })
}

/**
 * Every string literal of JavaScript or TypeScript source, with the code before it: `{ text, before }`.
 * Comments and regular expressions are passed over; an expression in a template becomes `…`.
 */
function stringLiterals(source) {
  const found = []
  let at = 0
  code()
  return found

  function code(closing) {
    let depth = 0
    let last = '' // The last token that matters for telling a division from a regular expression.
    while (at < source.length) {
      const char = source[at]
      const start = at
      if (source.startsWith('//', at)) at = end('\n')
      else if (source.startsWith('/*', at)) at = end('*/') + 2
      else if (char === "'" || char === '"' || char === '`') string(char)
      else if (
        char === '/' &&
        (last === '' || /[([{,;:=!?&|+\-*%<>~^]$|^(return|typeof|case|in|of|await|yield)$/.test(last))
      )
        regularExpression()
      else if (char === closing && depth === 0) return
      else {
        if (char === '{') depth += 1
        if (char === '}') depth -= 1
        at += /^[\w$]+|^./su.exec(source.slice(at, at + 80))[0].length
      }
      if (!/^(\s|\/\/|\/\*)/.test(source.slice(start, start + 2))) last = source.slice(start, at)
    }
  }

  function end(mark) {
    const index = source.indexOf(mark, at)
    return index < 0 ? source.length : index
  }

  function string(quote) {
    const entry = { text: '', before: source.slice(Math.max(0, at - 60), at) }
    found.push(entry)
    at += 1
    while (at < source.length && source[at] !== quote) {
      if (source[at] === '\\') {
        entry.text += source[at + 1]
        at += 2
      } else if (quote === '`' && source.startsWith('${', at)) {
        entry.text += '…'
        at += 2
        code('}')
        at += 1
      } else {
        entry.text += source[at]
        at += 1
      }
    }
    at += 1
  }

  function regularExpression() {
    let inClass = false
    at += 1
    while (at < source.length && (inClass || source[at] !== '/')) {
      if (source[at] === '[') inClass = true
      if (source[at] === ']') inClass = false
      at += source[at] === '\\' ? 2 : 1
    }
    at += 1
  }
}

/** `UTF-16` in the middle of a sentence is no rule; a misspelt rule has one of our prefixes, or begins its title. */
function unknownIds({ ids, text }) {
  return ids.filter(
    (id) => !known.has(id) && (prefixes.has(id.split('-')[0]) || text.startsWith(id)) && !id.startsWith('UTF-')
  )
}

/** Titles that begin with the rule come before those that only mention it. */
function byDirectness(id) {
  const rank = (title) => (title.text.split(/[:(]/)[0].includes(id) ? 0 : 1)
  return (a, b) => rank(a) - rank(b)
}

function render() {
  const all = [...groupBySection()]
  return `${[
    intro(),
    '## Totals',
    table(
      ['Section', 'Covered', 'Rules'],
      [
        ...all.map(([section, items]) => [`[${section}](#${anchor(section)})`, count(items), items.length]),
        ['**All**', `**${covered.length}**`, `**${rules.length}**`]
      ]
    ),
    ...all.flatMap(([section, items]) => [
      `## ${section}`,
      table(['ID', 'Level', 'Rule', 'Source', 'Tests'], items.map(row))
    ])
  ].join('\n\n')}\n`
}

function intro() {
  return `# Rules and their tests

<!-- Written by scripts/rules.mjs from test/rfc/checklist.json and the titles of the tests: do not edit. -->

The rules that this package is held to, the text each comes from, and the tests whose titles name it. A rule without a
test has a reason instead: most often that the feature is planned. Run one rule's tests with
\`npx vitest run -t ATV-06\`.

- **MUST**, **SHOULD**, **SHOULD NOT**, **MAY**: the cited text says so (RFC 2119).
- **MUST†**: this package's own rule, stricter than the cited text or filling a gap in it. To change one takes an explicit
  option, where it can be changed at all.
- **DEFAULT**: what is done where the specifications leave a choice. **OPTION**: what an authorization server is known to
  do otherwise, tolerated only by an option for that issuer. **n/a**: nothing for a resource server to do.
- DEN-01 to DEN-27 are the answers to refused requests; other rules refer to them by these names. A challenge is quoted
  without the URL of \`resource_metadata\`.
- MCP is the Model Context Protocol's authorization specification, revision 2026-07-28. A \`kid\`, \`typ\` or \`aud\` is a
  member of a token; "the authorization server" is the token's issuer.
- At most ${NAMED_TESTS} tests are named for each rule.

This page is about this package. To hold any API to these texts, see [the conformance suite](conformance-suite.md).`
}

function groupBySection() {
  const sections = new Map()
  for (const rule of rules) sections.set(rule.section, [...(sections.get(rule.section) ?? []), rule])
  return sections
}

function count(items) {
  return items.filter((item) => covered.includes(item)).length
}

function row(rule) {
  return [rule.id, rule.level, cell(rule.rule), cell(rule.source), holders(rule)]
}

function holders(rule) {
  const held = tests.get(rule.id)
  if (held.length === 0) return `*${reasons[rule.id] ?? 'no test yet'}*`
  const named = held.slice(0, NAMED_TESTS).map((test) => `\`${test.file.replace(/^test\//, '')}\`: ${cell(test.text)}`)
  if (held.length > NAMED_TESTS) named.push(`and ${held.length - NAMED_TESTS} more`)
  return named.join('<br>')
}

/** Text for a cell: a pipe ends a cell even in code, and only outside code do the other characters mean something. */
function cell(value) {
  const parts = value.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').split('`')
  if (parts.length % 2 === 0) return mark(parts.join('\\`'))
  return parts.map((part, index) => (index % 2 === 0 ? mark(part) : `\`${part}\``)).join('')
}

function mark(value) {
  return value.replaceAll(/[*<_[\]]/g, '\\$&')
}

function table(heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}

/** The fragment that GitHub gives a heading. */
function anchor(heading) {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}
