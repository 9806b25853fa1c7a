/** The pages of the site before VitePress reads them, the links of the built ones, and the skill. The rest is in test/site. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { brokenLinks } from '../../scripts/site/links.mjs'
import { exampleCode, relink, sectionOf } from '../../scripts/site/markdown.mjs'
import { reasonPages } from '../../scripts/site/reasons.mjs'
import { read, site } from '../../scripts/site/stage.mjs'
import { profileTree } from '../../scripts/site/tree.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { pages, pictures, sidebar } = site()

test('every document of docs/ is a page, and the sidebar has each page once, those of reasons by their list', () => {
  const documents = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.md')
  )
  expect(documents.length).toBeGreaterThan(20)
  const places = documents.map((path) =>
    path === 'README.md' ? 'questions.md' : path.replace(/\/README\.md$/, '/index.md')
  )
  expect(places.filter((place) => !pages.has(place))).toEqual([])
  const links = sidebar.flatMap(({ items }) => items.map(({ link }) => link))
  const listed = [...pages.keys()].filter((place) => place !== 'index.md' && !/^reasons\/(?!index)/.test(place))
  expect(links.toSorted()).toEqual(listed.map((place) => `/${place.replace(/(?:(?<=\/)index)?\.md$/, '')}`).toSorted())
})

test('each reason has a page that says first what to change, and the list of reasons links to each', () => {
  const reasons = reasonPages(read('docs/troubleshooting.md'))
  expect(reasons.length).toBeGreaterThan(50)
  for (const { reason } of reasons) {
    const page = pages.get(`reasons/${reason}.md`) ?? ''
    expect(page, reason).toMatch(
      /\n# `\w+`\n[\s\S]*\n- \*\*Means\*\*: [\s\S]*\n- \*\*Change\*\*: [\s\S]*\n- \*\*On the wire\*\*: /
    )
    expect(pages.get('reasons/index.md'), reason).toContain(`(./${reason}.md)`)
  }
})

test('each relative link of a page leads to a page or a picture of the site', () => {
  const lost = [...pages].flatMap(([place, text]) => {
    const found: string[] = []
    relink(text, place, (target) => {
      const isThere = pages.has(target) || pictures.has(target)
      if (!isThere) found.push(`${place}: ${target}`)
      return target
    })
    return found
  })
  expect(lost).toEqual([])
})

test('relink changes links and pictures, and leaves code, fragments and other hosts alone', () => {
  const moved = relink(
    'See [a](b.md#c), ![p](../p.svg) and [d](#d), [e](https://example.com/e.md).\n\n```md\n[a](b.md)\n```\n',
    'docs/x/y.md',
    (target, fragment) => `<${target}${fragment}>`
  )
  expect(moved).toBe(
    'See [a](<docs/x/b.md#c>), ![p](<docs/p.svg>) and [d](#d), [e](https://example.com/e.md).\n\n```md\n[a](b.md)\n```\n'
  )
})

test('the tree of profiles is a list whose profiles are links to their sections', () => {
  const profiles = read('docs/profiles.md')
  const tree = profileTree(sectionOf(profiles, 'Which profile do I need?'), profiles)
  expect(tree).toContain(
    '<li class="leaf">Entra ID → <a href="./profiles#microsoft-entra-id"><code>entra</code></a></li>'
  )
  expect(tree).toMatch(/<li>the token is not a JWT \(no two dots\)<ul><li class="leaf">Google/)
  const named = [...profiles.matchAll(/^import \{ (\w+) \} from 'oauth-resource-server\/profiles'$/gm)].map(
    ([, name]) => name
  )
  expect(named.length).toBeGreaterThan(20)
  const presets = ['fapi2', 'mcp', 'logto']
  expect(named.filter((name) => !presets.includes(name ?? '') && !new RegExp(`<code>${name}\\b`).test(tree))).toEqual(
    []
  )
})

test('the home page shows whole examples', () => {
  for (const name of ['express', 'koa', 'fastify', 'hono'])
    expect(pages.get('index.md')).toContain(exampleCode(read(`examples/${name}.mjs`)))
})

test('a built site with a link to a missing page, or to a missing heading, is told so', () => {
  const folder = mkdtempSync(join(tmpdir(), 'site-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'reasons'))
  const page = (path: string, body: string): void => writeFileSync(join(folder, path), `<!DOCTYPE html>${body}`)
  page(
    'index.html',
    '<a href="/base/guide#a&#38;b">1</a><a href="./reasons/one">2</a><a href="https://example.com/x">3</a>'
  )
  page('guide.html', '<h2 id="a&amp;b">A</h2><a href="#a&amp;b">4</a><a href="/base/">5</a>')
  page('reasons/one.html', '<a href="../guide">6</a>')
  expect(brokenLinks(folder, '/base/')).toEqual([])
  page('reasons/one.html', '<a href="../guid">6</a><a href="../guide#c">7</a><a href="/guide">8</a>')
  expect(brokenLinks(folder, '/base/')).toEqual([
    'reasons/one.html: ../guid leads to no file',
    'reasons/one.html: ../guide#c leads to no heading',
    'reasons/one.html: /guide leads to no file'
  ])
})

test('the skill and llms.txt are what the script makes of the documents', () => {
  const args = ['scripts/skill.mjs', '--check']
  expect(spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
})

test('the skill has a head by which it is chosen, each of its files, and each reason', () => {
  const folder = 'skills/oauth-resource-server'
  const start = read(`${folder}/SKILL.md`)
  const [, name, description = ''] = /^---\nname: (\S+)\ndescription: (.+)\n---\n/.exec(start) ?? []
  expect(name).toBe(posix.basename(folder))
  // The longest that assistants read.
  expect(description.length).toBeLessThanOrEqual(1024)
  const others = readdirSync(join(ROOT, folder)).filter((file) => file !== 'SKILL.md')
  expect(others.filter((file) => !start.includes(`](${file})`))).toEqual([])
  const table = read(`${folder}/troubleshooting.md`)
  for (const { reason } of reasonPages(read('docs/troubleshooting.md'))) expect(table).toContain(`| \`${reason}\` | `)
})

test('every release in CHANGELOG.md has a date, newest first', () => {
  const headings = [...readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').matchAll(/^## (.+)$/gm)].map(
    ([, text]) => text ?? ''
  )
  expect(headings[0]).toBe('Unreleased')
  const dates = headings.slice(1).map((text) => /^\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d)\)$/.exec(text)?.[1])
  expect(dates.length).toBeGreaterThan(0)
  expect(dates).toEqual(dates.toSorted((one, other) => `${other}`.localeCompare(`${one}`)))
  expect(dates).not.toContain(undefined)
})
