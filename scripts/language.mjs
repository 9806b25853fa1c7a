/**
 * Counts sentences that are hard to read, per 1,000 words: in the comments of the source by folder, or in the documents by page.
 *
 *   node scripts/language.mjs            prints the count of each folder of source
 *   node scripts/language.mjs --docs     prints the count of each document written by hand
 *   node scripts/language.mjs --list     prints each sentence as well, with its file and line
 *   node scripts/language.mjs --check    exits 1 if the total is above the maximum in scripts/language.json
 *
 * A maximum may only go down: lower it when the total allows. `--root DIRECTORY` counts another tree, and
 * `--maximum NUMBER` replaces the stored maximum.
 *
 * Does NOT count messages, test titles, or the headings of documents and of their tables. Inline code and code blocks are ignored.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseSync } from 'rolldown/utils'

const here = dirname(fileURLToPath(import.meta.url))
const { values: options } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    root: { type: 'string', default: resolve(here, '..') },
    maximum: { type: 'string' }
  }
})

const FOLDERS = ['src', 'adapters', 'integrations', 'test-kit', 'conformance']
const PAGES = ['.', 'docs', 'examples', 'adapters']
/** Pages that a script writes from docstrings and test titles. */
const NOT_COUNTED = ['docs/rules.md', 'docs/reference.md']
const BE = '(?:is|are|was|were|be|been)'

/** Each kind with the pattern that finds it in one sentence. Comments beside a pattern name the right sentences it leaves alone. */
const KINDS = [
  // A question may begin with What. Whoever is among the pronouns.
  { name: 'opening', pattern: /^(?:Of|Also|Else|What)\b(?!.*\?$)/g },
  { name: 'pronoun', pattern: /\b(?:whoever|whomever|nobody|somebody|anybody|everybody)\b/gi },
  // "there is no key", "it is no longer valid", "is no more than 5" are right.
  {
    name: 'negated noun',
    pattern: new RegExp(`(?<!\\bthere )\\b${BE} no (?!(?:longer|more|less|fewer|later|earlier|other)\\b)[a-z]`, 'gi')
  },
  // "undefined if there is none", "none of them" are right.
  { name: 'none', pattern: new RegExp(`(?<!\\bthere )\\b${BE} none\\b(?! of\\b)`, 'gi') },
  { name: 'to the letter', pattern: /\bto the letter\b/gi },
  // "says what is wrong" is an indirect question, and right; at the beginning of a sentence it is an opening.
  {
    name: 'noun clause',
    pattern:
      /(?<!^)(?<!\b(?:says?|said|tells?|told|shows?|knows?|knew|sees?|asks?|asked|decides?|explains?|interprets?|learns?) )\bwhat (?:is|are|was|were|has|have|had|comes?|came|goes|stands?|belongs?)\b/gi
  }
]

const root = resolve(options.root)
const counts = new Map()
const found = []
for (const path of options.docs ? PAGES.flatMap(pagesOf) : FOLDERS.flatMap(filesOf)) {
  const name = options.docs ? slashed(path) : folderOf(path)
  const count = counts.get(name) ?? { words: 0, odd: 0 }
  counts.set(name, count)
  for (const { text, line } of options.docs ? paragraphsOf(path) : commentsOf(path)) {
    count.words += text.match(/[A-Za-z][\w'’-]*/g)?.length ?? 0
    for (const sentence of sentencesOf(text)) {
      for (const { name: kind, pattern } of KINDS) {
        const odd = sentence.match(pattern)?.length ?? 0
        count.odd += odd
        if (odd > 0) found.push(`${relative(root, path)}:${line} ${kind}: ${sentence}`)
      }
    }
  }
}
report()

function report() {
  const total = { words: 0, odd: 0 }
  if (options.list) for (const one of found) console.log(one)
  for (const [name, { words, odd }] of [...counts].sort(([a], [b]) => a.localeCompare(b, 'en'))) {
    total.words += words
    total.odd += odd
    console.log(rowOf(name, words, odd))
  }
  console.log(rowOf('total', total.words, total.odd))
  if (!options.check) return
  const [subject, key] = options.docs ? ['documents', 'docs'] : ['comments', 'maximum']
  const maximum = Number(options.maximum ?? JSON.parse(readFileSync(join(here, 'language.json'), 'utf8'))[key])
  const figure = perThousand(total.words, total.odd)
  if (!(figure <= maximum)) {
    console.error(
      `${figure.toFixed(2)} sentences in 1,000 words of ${subject} are hard to read; at most ${maximum} may be. Run with --list and rewrite them: subject, verb, object.`
    )
    process.exitCode = 1
  } else if (figure <= maximum - 0.1) {
    console.log(
      `The ${key === 'maximum' ? key : `maximum for ${key}`} in scripts/language.json is ${maximum}: lower it to ${(Math.ceil(figure * 10) / 10).toFixed(1)}.`
    )
  }
}

function rowOf(name, words, odd) {
  return `${name.padEnd(22)} ${String(words).padStart(7)} words ${String(odd).padStart(5)} found ${perThousand(words, odd).toFixed(2).padStart(6)} per 1,000`
}

function perThousand(words, odd) {
  return words === 0 ? 0 : (odd * 1000) / words
}

function filesOf(folder) {
  try {
    return readdirSync(join(root, folder), { recursive: true })
      .filter((name) => /\.(?:ts|mjs)$/.test(name))
      .sort((a, b) => a.localeCompare(b, 'en'))
      .map((name) => join(root, folder, name))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

/** The documents that lie directly in a folder, and in the folders of the examples. */
function pagesOf(folder) {
  try {
    return readdirSync(join(root, folder), { recursive: folder === 'examples' })
      .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
      .sort((a, b) => a.localeCompare(b, 'en'))
      .map((name) => join(root, folder, name))
      .filter((path) => !NOT_COUNTED.includes(slashed(path)))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

function slashed(path) {
  return relative(root, path).split(sep).join('/')
}

/** The prose of a document, by paragraph, list item or row: without code, comments, headings, and the headings of tables. */
function paragraphsOf(path) {
  const blank = (text) => text.replace(/[^\n]/g, '')
  const lines = readFileSync(path, 'utf8')
    .replace(/^( *)(```+)[\s\S]*?^\1\2[ \t]*$/gm, blank)
    .replace(/<!--[\s\S]*?-->/g, blank)
    .split('\n')
  const paragraphs = []
  let begins = true
  for (const [index, line] of lines.entries()) {
    const isTitle = /^#{1,6} /.test(line) || /^\|[ :|-]+$/.test(lines[index + 1] ?? '')
    const isRow = line.startsWith('|')
    if (line.trim() === '' || isTitle || /^\|[ :|-]+$/.test(line)) {
      begins = true
      continue
    }
    if (begins || isRow || /^\s*(?:[-*]|\d+\.) /.test(line)) paragraphs.push({ text: line.trim(), line: index + 1 })
    else paragraphs.at(-1).text += ` ${line.trim()}`
    begins = isRow
  }
  return paragraphs.map(({ text, line }) => ({ text: proseOf(withoutMarks(text)), line }))
}

/** Without the address of a link, and without the marks of bold text. */
function withoutMarks(text) {
  return text
    .replace(/\]\([^)\s]*\)/g, ']')
    .replace(/!?\[([^\]]*)\]/g, '$1')
    .replace(/\*\*/g, '')
}

/** `src/jwt` for a file in it or below; the first folder for files that lie directly in it, and outside of src. */
function folderOf(path) {
  const [first, second, third] = relative(root, path).split(sep)
  return first === 'src' && third !== undefined ? `${first}/${second}` : first
}

/** The comments of a file; line comments that follow one another are one comment. */
function commentsOf(path) {
  const source = readFileSync(path, 'utf8')
  const { comments, errors } = parseSync(path, source)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`)
  const joined = []
  let end = 0
  for (const { type, value, start, end: next } of comments) {
    const last = joined.at(-1)
    const follows = type === 'Line' && last?.type === 'Line' && /^\r?\n[ \t]*$/.test(source.slice(end, start))
    if (follows) last.value += `\n${value}`
    else joined.push({ type, value, line: source.slice(0, start).split('\n').length })
    end = next
  }
  return joined
    .filter(({ value }) => !/^\s*biome-ignore/.test(value))
    .map(({ value, line }) => ({ text: proseOf(value), line }))
}

/** Without the asterisks of a block, code blocks and inline code. */
function proseOf(comment) {
  return comment
    .replace(/^[ \t]*\*[ \t]?/gm, '')
    .replace(/^```[\s\S]*?^```.*$/gm, '')
    .replace(/`[^`\n]*`|\{@link[^}]*\}/g, 'Code')
}

/** Paragraphs, list items, table cells and tags begin a sentence, as a capital after a full stop does. */
function sentencesOf(text) {
  return text
    .split(/\n\s*\n|\n(?=\s*(?:- |\d+\. |@|\|))|\|/)
    .map((part) => part.replace(/\s+/g, ' ').trim())
    .map((part) => part.replace(/^(?:- |\d+\. )/, '').replace(/^@\w+ /, ''))
    .flatMap((part) => part.split(/(?<=[.!?])\s+(?=[A-Z])/))
    .filter(Boolean)
}
