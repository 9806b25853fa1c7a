/**
 * The pictures of README.md and docs/ are what `scripts/pictures.mjs` makes of the running package. Needs `npm run build`. CI
 * compares the screenshots too, by `npm run pictures -- --check`: that takes a minute, so it is not repeated here.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateSync } from 'node:zlib'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { constant } from '../../scripts/pictures/playground.mjs'
import { reduce, sizeOf } from '../../scripts/pictures/png.mjs'
import { hasTerminal } from '../../scripts/pictures/terminal.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PICTURES = 'docs/pictures'
/** Markdown files with pictures. */
const PAGES = [
  'README.md',
  'docs/troubleshooting.md',
  'docs/sender-constrained.md',
  'docs/fleet.md',
  'examples/playground/README.md'
]

// The scripts start servers, in processes of their own.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pictures-'))
  cpSync(join(ROOT, PICTURES), folder, { recursive: true })
  onTestFinished(() => rmSync(folder, { recursive: true }))
})

/** Runs the check on a copy of the pictures. */
function check(only: string) {
  const args = ['scripts/pictures.mjs', '--check', '--only', only, '--folder', folder]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

function change(name: string, from: string, to: string): void {
  const text = readFileSync(join(folder, name), 'utf8')
  expect(text).toContain(from)
  writeFileSync(join(folder, name), text.replace(from, to))
}

test('the sequence of README.md is what a client, examples/express.mjs and the issuer command say to one another', () => {
  expect(check('sequence')).toEqual({ status: 0, output: 'The pictures are current.\n' })
})

test('the check names a picture with a status that the API does not answer', () => {
  change('sequence.svg', '401 Unauthorized', '403 Forbidden')
  const { status, output } = check('sequence')
  expect(status).toBe(1)
  expect(output).toContain('sequence.svg is not current: run npm run pictures')
})

test('the pictures of TLS and of processes are what the script draws', () => {
  expect(check('setups')).toEqual({ status: 0, output: 'The pictures are current.\n' })
  change('tls.svg', 'A proxy ends TLS', 'Nothing ends TLS')
  expect(check('setups').status).toBe(1)
})

test.skipIf(!hasTerminal())('the picture of explain is what it prints on a terminal, with its colours', () => {
  expect(check('explain')).toEqual({ status: 0, output: 'The pictures are current.\n' })
  change('explain.svg', 'class="red"', 'class="green"')
  expect(check('explain').status).toBe(1)
})

test('where Chromium is missing, the check says which pictures it did not compare', () => {
  const args = ['scripts/pictures.mjs', '--check', '--only', 'playground']
  const env = { ...process.env, CHROMIUM: 'hidden' }
  const run = (...more: string[]) =>
    spawnSync(process.execPath, [...args, ...more], { cwd: ROOT, encoding: 'utf8', env })
  const { status, stderr } = run()
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: 'Skipped: the screenshots need Chromium (Debian: apt-get install chromium; or set CHROMIUM).\n'
  })
  expect(run('--no-skips').status).toBe(1)
})

test('every picture is shown by a page, with a text for people who cannot see it, and has less than 150 KiB', () => {
  const shown = PAGES.flatMap((page) => {
    const text = readFileSync(join(ROOT, page), 'utf8')
    const inMarkdown = [...text.matchAll(/!\[([^\]]*)\]\((?!https:)([^)]+)\)/g)].map(([, alt, file]) => [alt, file])
    const inHtml = [...text.matchAll(/<img src="([^"]+)"[^>]* alt="([^"]*)"/g)].map(([, file, alt]) => [alt, file])
    const sources = [...text.matchAll(/srcset="([^"]+)"/g)].map(([, file]) => ['(the alt of its img)', file])
    return [...inMarkdown, ...inHtml, ...sources].map(([alt = '', file = '']) => ({
      alt,
      file: relative(join(ROOT, PICTURES), join(ROOT, dirname(page), file))
    }))
  })
  expect(shown.filter(({ alt }) => alt.length < 20)).toEqual([])
  const files = readdirSync(join(ROOT, PICTURES)).filter((name) => name !== 'pages.json')
  expect(shown.map(({ file }) => file).toSorted()).toEqual(expect.arrayContaining(files.toSorted()))
  expect(shown.filter(({ file }) => !existsSync(join(ROOT, PICTURES, file)))).toEqual([])
  expect(files.filter((name) => statSync(join(ROOT, PICTURES, name)).size >= 150 * 1024)).toEqual([])
})

test('README.md shows no picture by a source of its own: npm resolves only the URL of an img', () => {
  expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).not.toMatch(/srcset=/)
})

test('the package has no pictures', () => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { stdout } = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }]
  expect(files.length).toBeGreaterThan(100)
  expect(files.filter(({ path }) => /\.(?:png|svg)$/.test(path))).toEqual([])
})

test('a page is the same page with other ports, tokens and times, and another one with another word', () => {
  const page = (port: number, token: string, ago: string, verdict: string) =>
    constant(`<p>http://127.0.0.1:${port}/</p><code>${token}</code><b>${ago}</b><li class="${verdict}">`)
  const jwt = (text: string) => `${btoa(text)}.${text.repeat(30)}.${text.repeat(30)}`
  const first = page(40_001, jwt('one'), '1 second ago', 'failed')
  expect(page(40_002, jwt('two'), '12 seconds ago', 'failed')).toBe(first)
  expect(page(40_001, jwt('one'), '1 second ago', 'passed')).not.toBe(first)
})

test('a screenshot with few colours keeps each of them, by any filter of its rows', () => {
  const width = 3
  const rows = [
    [0, 10, 20, 30, 10, 20, 30, 200, 0, 0],
    // Left, above, average of both, Paeth: each repeats the pixels before.
    [1, 10, 20, 30, 0, 0, 0, 190, 236, 226],
    [2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [3, 5, 10, 15, 0, 0, 0, 95, 246, 241],
    [4, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  ]
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(rows.length, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const chunk = (type: string, data: Buffer) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(data.length)
    return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)])
  }
  const png = Buffer.concat([
    Buffer.alloc(8),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.from(rows.flat())))
  ])
  const reduced = reduce(png)
  expect(sizeOf(reduced)).toEqual({ width, height: rows.length })
  const palette = reduced.indexOf('PLTE')
  expect([...reduced.subarray(palette + 4, palette + 10)]).toEqual([10, 20, 30, 200, 0, 0])
  expect(reduced.readUInt32BE(palette - 4)).toBe(6)
})
