/** `scripts/language.mjs`, run on small folders of source with sentences planted in their comments. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const SCRIPT = join(ROOT, 'scripts/language.mjs')
const TEMPORARY = join(ROOT, 'test/.tmp')

interface Outcome {
  readonly code: number
  readonly lines: readonly string[]
  readonly errors: string
}

function run(files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Outcome> {
  mkdirSync(TEMPORARY, { recursive: true })
  const folder = mkdtempSync(join(TEMPORARY, 'language-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, '--root', folder, ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), lines: stdout.trimEnd().split('\n'), errors: stderr })
    })
  })
}

const inComment = (...sentences: readonly string[]): string =>
  `/**\n${sentences.map((one) => ` * ${one}`).join('\n')}\n */\nexport const value = 1\n`

const PLANTED: readonly (readonly [kind: string, sentence: string])[] = [
  ['opening', 'Of a list, the first entry counts.'],
  ['pronoun', 'Whoever comes first gets the place.'],
  ['opening', 'Also an empty answer counts.'],
  ['opening', 'Else the request would wait.'],
  ['opening', 'What does not open counts as missing.'],
  ['opening', 'The first sentence is right. What is left is not.'],
  ['opening', '@returns What a caller may rely on'],
  ['pronoun', 'This keeps nobody out.'],
  ['pronoun', 'Tells somebody of the failure.'],
  ['pronoun', 'A place that anybody can take.'],
  ['pronoun', 'Passes the answer to whoever asked.'],
  ['negated noun', 'A text that is no URL.'],
  ['negated noun', 'Such values are no scopes.'],
  ['none', 'An error for a requirement that is none.'],
  ['to the letter', 'The value must match to the letter.'],
  ['noun clause', 'Returns the part of what is held.']
]

const RIGHT = [
  'The key is not a URL.',
  'The token is no longer valid, and there is no other one.',
  'The wait is no more than 5 seconds.',
  'The last failure; undefined if there is none.',
  'The message says what is missing and what to change.',
  'What happens to a waiting request?',
  'Returns one of the keys, or none of them.',
  'The names of a list that the client sent, and also of the next one.',
  'A letter to the operator.',
  'Calls `somebody()`, which {@link nobody} defines.'
]

describe('scripts/language.mjs', () => {
  test.each(PLANTED)('finds a planted %s: %s', async (kind, sentence) => {
    const { code, lines } = await run({ 'src/jwt/a.ts': inComment(sentence) }, '--list')
    expect(code).toBe(0)
    expect(lines[0]).toMatch(new RegExp(`^src.jwt.a\\.ts:1 ${kind}: `))
    expect(lines.at(-1)).toMatch(/ 1 found /)
  })

  test.each(RIGHT)('passes a right sentence: %s', async (sentence) => {
    const { code, lines } = await run({ 'src/a.ts': inComment(sentence) }, '--check', '--maximum', '0', '--list')
    expect(lines).toEqual([expect.stringMatching(/^src .* 0 found/), expect.stringMatching(/^total .* 0 found/)])
    expect(code).toBe(0)
  })

  test('ignores code, strings and code blocks in comments, and reads a run of line comments as one', async () => {
    const { lines } = await run({
      'adapters/a.ts': [
        "export const text = 'What is no URL is nobody’s'",
        '/**',
        ' * An example:',
        ' * ```ts',
        ' * // What is none',
        ' * ```',
        ' */',
        '// The sentence begins here, and goes on with',
        '// What the next line has.'
      ].join('\n')
    })
    expect(lines.at(-1)).toMatch(/ 0 found /)
  })

  test('counts by folder, per 1,000 words of comments', async () => {
    const { lines } = await run({
      'src/jwt/deep/a.ts': inComment('This keeps nobody out.'),
      'src/a.ts': inComment('One two three four.'),
      'test-kit/a.ts': inComment('One two three four.'),
      'docs/a.ts': inComment('Nobody reads this.')
    })
    expect(lines.map((line) => line.trim().split(/\s+/))).toEqual([
      ['src', '4', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['src/jwt', '4', 'words', '1', 'found', '250.00', 'per', '1,000'],
      ['test-kit', '4', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['total', '12', 'words', '1', 'found', '83.33', 'per', '1,000']
    ])
  })

  test('--check exits 1 above the maximum and names the cure; at the maximum it exits 0', async () => {
    const files = { 'src/a.ts': inComment('This keeps nobody out.') }
    const above = await run(files, '--check', '--maximum', '249.9')
    expect(above.code).toBe(1)
    expect(above.errors).toContain('250.00 sentences in 1,000 words of comments are hard to read; at most 249.9 may be')
    expect((await run(files, '--check', '--maximum', '250')).code).toBe(0)
  })

  test('--docs counts each page, without code, headings, heads of tables, addresses of links, and generated pages', async () => {
    const { lines } = await run(
      {
        'README.md':
          '# What is checked\n\n<!-- What is hidden. -->\n\n```js\n// Whoever reads this\n```\n\nOne two three four.\n',
        'docs/a.md':
          '| What is it | Nobody |\n|---|---|\n| One two | `nobody` |\n\n[Three](nobody.md#whoever) **four**\n',
        'docs/reference.md': 'Nobody reads this.\n',
        'CHANGELOG.md': '## 1.0.0\n\n- One two three.\n',
        'examples/x/README.md': 'One two three\nfour.\n'
      },
      '--docs'
    )
    expect(lines.map((line) => line.trim().split(/\s+/))).toEqual([
      ['CHANGELOG.md', '3', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['docs/a.md', '5', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['examples/x/README.md', '4', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['README.md', '4', 'words', '0', 'found', '0.00', 'per', '1,000'],
      ['total', '16', 'words', '0', 'found', '0.00', 'per', '1,000']
    ])
  })

  test.each([
    ['a paragraph that goes on', 'A text that is\nno URL.\n', 'README.md:1 negated noun: A text that is no URL.'],
    ['a list item', 'A list:\n\n- **Place.** What is left is not.\n', 'README.md:3 opening: What is left is not.'],
    ['a row of a table', '| A | B |\n|---|---|\n| c | nobody |\n', 'README.md:3 pronoun: nobody']
  ])('--docs finds a sentence in %s', async (_where, text, expected) => {
    const { lines } = await run({ 'README.md': text }, '--docs', '--list')
    expect(lines[0]).toBe(expected)
    expect(lines.at(-1)).toMatch(/ 1 found /)
  })

  test('--docs --check has a maximum of its own', async () => {
    const { docs } = JSON.parse(readFileSync(join(ROOT, 'scripts/language.json'), 'utf8')) as { docs: number }
    const planted = await run({ 'README.md': 'Nobody', 'src/a.ts': inComment('A sentence.') }, '--docs', '--check')
    expect(planted.code).toBe(1)
    expect(planted.errors).toContain(`1,000 words of documents are hard to read; at most ${docs} may be`)
    expect((await run({ 'README.md': 'A word' }, '--docs', '--check')).code).toBe(0)
  })

  test('--check without --maximum reads scripts/language.json, and says when it can be lowered', async () => {
    const { maximum } = JSON.parse(readFileSync(join(ROOT, 'scripts/language.json'), 'utf8')) as { maximum: number }
    expect(maximum).toBeLessThan(1000)
    const planted = await run({ 'src/a.ts': inComment('Nobody') }, '--check')
    expect(planted.code).toBe(1)
    expect(planted.errors).toContain(`at most ${maximum} may be`)
    const clean = await run({ 'src/a.ts': inComment('A sentence.') }, '--check', '--maximum', '1')
    expect(clean.lines.at(-1)).toBe('The maximum in scripts/language.json is 1: lower it to 0.0.')
  })
})
