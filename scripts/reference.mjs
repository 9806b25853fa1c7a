/**
 * Writes docs/reference.md: every public name of every entry, as declared, with its docstring. From the built declarations, so
 * `npm run build` comes first.
 *
 *   node scripts/reference.mjs           writes the page
 *   node scripts/reference.mjs --check   writes nothing; exits 1 if the page is out of date, or a public name says nothing of itself
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
// The compiler API, which TypeScript 7 does not have.
import ts from 'typescript60'

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const page = join(root, 'docs/reference.md')
const { name: packageName, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.entries(exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([path, { types }]) => ({ name: packageName + path.slice(1), file: join(root, types) }))

const program = ts.createProgram({
  rootNames: entries.map(({ file }) => file),
  options: {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    types: ['node'],
    skipLibCheck: true,
    strict: true
  }
})
const checker = program.getTypeChecker()
const problems = []
/** Symbol → the entry under which it stands, and its heading. */
const described = new Map()

const sections = entries.map(({ name, file }) => {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file))
  const about = introduction(file)
  const names = (module ? checker.getExportsOfModule(module) : [])
    .map((symbol) => ({ alias: symbol.name, symbol: original(symbol) }))
    .sort((a, b) => rank(a.symbol) - rank(b.symbol) || a.alias.localeCompare(b.alias, 'en'))
  for (const { alias, symbol } of names) if (!described.has(symbol)) described.set(symbol, { name, alias })
  return { name, about, names }
})
/** Entry and name → anchor: of equal headings, GitHub numbers the later ones. */
const anchors = new Map()
const counts = new Map([['reference', 1]])
for (const { name, names } of sections) {
  for (const heading of [name, ...names.map(({ alias, symbol }) => headingOf(alias, symbol))]) {
    const count = counts.get(anchor(heading)) ?? 0
    counts.set(anchor(heading), count + 1)
    anchors.set(`${name} ${heading}`, count === 0 ? anchor(heading) : `${anchor(heading)}-${count}`)
  }
}

const text = `${[
  '# Reference',
  'Written by `npm run reference` from the docstrings: each public name, by entry. The options of `resourceServer()` are explained in [options.md](options.md).',
  sections
    .map(({ name, names }) => `[${shortOf(name)}](#${anchor(name)})${names.length > 0 ? ` (${names.length})` : ''}`)
    .join(' · '),
  ...sections.flatMap(({ name, about, names }) => [
    `## ${name}`,
    links(about, name),
    ...indexOf(name, names),
    ...names.map(({ alias, symbol }) => entry(name, alias, symbol))
  ])
]
  .filter(Boolean)
  .join('\n\n')}\n`

if (process.argv.includes('--check')) {
  if (!existsSync(page) || readFileSync(page, 'utf8').replaceAll('\r\n', '\n') !== text)
    problems.push('docs/reference.md is out of date: run npm run build && npm run reference')
} else {
  writeFileSync(page, text)
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
console.log(`${described.size} public names in ${entries.length} entries`)

/** The names of an entry as links, by kind: a reader finds one without a search. */
function indexOf(name, names) {
  return ['Functions and values', 'Classes', 'Types'].flatMap((kind, index) => {
    const of = names.filter(({ symbol }) => rank(symbol) === index)
    const list = of.map(({ alias, symbol }) => `[\`${alias}\`](#${anchors.get(`${name} ${headingOf(alias, symbol)}`)})`)
    return list.length > 0 ? [`${kind}: ${list.join(' · ')}`] : []
  })
}

function original(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** Functions and values first, then classes, then types. */
function rank({ flags }) {
  if (flags & ts.SymbolFlags.Class) return 1
  return flags & ts.SymbolFlags.Value ? 0 : 2
}

/** The comment with which the source of an entry begins: declarations leave it out. */
function introduction(file) {
  const source = readFileSync(file.replace(join(root, 'dist'), root).replace(/\.d\.ts$/, '.ts'), 'utf8')
  return plain(/^(\/\*\*[\s\S]*?\*\/)/.exec(source)?.[1] ?? '')
}

function plain(comment) {
  return comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .trim()
}

function entry(name, alias, symbol) {
  const place = described.get(symbol)
  const title = `### ${headingOf(alias, symbol)}`
  if (place.name !== name) return `${title}\n\nThe same as in [${shortOf(place.name)}](#${anchorOf(place, symbol)}).`
  const documentation = ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()
  if (documentation === '') problems.push(`${name}: ${alias} has no docstring`)
  const tags = symbol
    .getJsDocTags(checker)
    .map((one) => tag(one, name))
    .filter(Boolean)
  return [title, links(documentation, name), tags.join('\n'), `\`\`\`ts\n${declarationsOf(symbol, alias)}\n\`\`\``]
    .filter(Boolean)
    .join('\n\n')
}

function tag({ name, text }, entryName) {
  const said = links(
    ts
      .displayPartsToString(text)
      .replace(/\s*\n\s*/g, ' ')
      .trim(),
    entryName
  )
  if (name === 'param') {
    const [, parameter = '', rest = ''] = /^(\S+)\s*-?\s*(.*)$/s.exec(said) ?? []
    return rest === '' ? '' : `- \`${parameter}\`: ${rest}`
  }
  if (name === 'returns') return `- Returns ${said}`
  if (name === 'throws') return `- Throws ${said.replace(/^\{([^}]*)\}/, '`$1`:').replace(/:$/, '')}`
  if (name === 'typeParam' || name === 'template') return ''
  return `- ${name}: ${said}`
}

/** As declared, each overload; without its docstring, which stands above, and without what is private. */
function declarationsOf(symbol, alias) {
  return symbol.declarations
    .map((declaration) => {
      const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
      return node
        .getText()
        .replace(/^(export )?(default )?(declare )?/, '')
        .replace(/^ *(#private|private [^\n]*);\n/gm, '')
        .replace(`function ${symbol.name}`, `function ${alias === 'default' ? symbol.name : alias}`)
        .replace(/\n\n+/g, '\n')
    })
    .join('\n')
}

function headingOf(alias, symbol) {
  return alias === 'default' ? `default: ${symbol.name}` : alias
}

function anchorOf({ name, alias }, symbol) {
  return anchors.get(`${name} ${headingOf(alias, symbol)}`)
}

/** `{@link Access}` → a link to where it stands on this page, in the same entry if there is one; or its name. */
function links(documentation, name) {
  return documentation.replace(/\{@link ([\w.]+)[^}]*\}/g, (_, target) => {
    const [own] = target.split('.')
    const [symbol, place] = [...described].find(([, { alias, name: at }]) => alias === own && at === name) ??
      [...described].find(([, { alias }]) => alias === own) ?? [undefined, undefined]
    return symbol ? `[\`${target}\`](#${anchorOf(place, symbol)})` : `\`${target}\``
  })
}

function shortOf(name) {
  return name === packageName ? packageName : name.slice(packageName.length + 1)
}

/** The anchor that GitHub gives to a heading; of several equal ones, that of the first. */
function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}
