// @ts-check
/**
 * The pages of the site, from README.md, docs/ and the other Markdown of the repository. These files link to one another as
 * GitHub reads them; here each link gets the target's place on the site, or its URL on GitHub if the site does not have it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { homePage } from './home.mjs'
import { outsideCode, relink, titleOf } from './markdown.mjs'
import { reasonIndex, reasonMarkdown, reasonPages } from './reasons.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** @type {{ homepage: string, description: string, repository: { url: string } }} */
export const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
/** The URL of the site, with a slash at its end. */
export const SITE = manifest.homepage
const REPOSITORY = manifest.repository.url.replace(/^git\+|\.git$/g, '')

/** Markdown outside of docs/ → its page. */
const OTHERS = /** @type {const} */ ({
  'README.md': 'guide.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'SECURITY.md': 'security-policy.md',
  'examples/README.md': 'examples.md',
  'examples/authorization-server/README.md': 'authorization-server.md',
  'examples/playground/README.md': 'playground.md'
})
/** The list of rules and the like repeat the words of every guide: a search would find them first. */
const NOT_SEARCHED = ['rules.md', 'mutation.md', 'changelog.md', 'contributing.md']

/** Badges are pictures of other servers, which the site does not ask. */
const BADGES = /^\[!\[.+\]\(https:.+\n/gm

/** Titles that do not say enough in a list of all pages. @type {Readonly<Record<string, string>>} */
const NAMES = { 'README.md': 'Guide', 'SECURITY.md': 'Security policy' }

/** @typedef {{ text: string, items: { text: string, link: string }[] }} Group */
/**
 * @typedef {object} Site
 * @property {ReadonlyMap<string, string>} pages Markdown by its place on the site
 * @property {ReadonlyMap<string, string>} pictures files of the repository by their place on the site
 * @property {readonly Group[]} sidebar
 */

/** @param {string} path */
export function read(path) {
  return readFileSync(join(ROOT, path), 'utf8').replaceAll('\r\n', '\n')
}

/** @returns {Site} */
export function site() {
  /** @type {Map<string, string>} */
  const pages = new Map()
  /** @type {Map<string, string>} */
  const pictures = new Map()
  const places = placesOfPages()
  const reasons = reasonPages(read('docs/troubleshooting.md'))
  for (const { reason } of reasons) places.set(`docs/reasons/${reason}.md`, `reasons/${reason}.md`)
  places.set('docs/reasons/index.md', 'reasons/index.md')

  /** @param {string} markdown @param {string} path that its links start from @param {string} place @param {string} [edit] */
  const add = (markdown, path, place, edit = path) => {
    const linked = relink(markdown, path, (target, fragment) => {
      const page = places.get(target)
      if (page !== undefined) return between(place, page) + fragment
      if (/\.(?:svg|png)$/.test(target)) {
        const picture = target.replace(/^docs\//, '')
        pictures.set(picture, target)
        return between(place, picture)
      }
      return onGitHub(target, fragment, path)
    })
    const search = NOT_SEARCHED.includes(place) ? 'search: false\n' : ''
    // No page comes before or after a reason: a reader comes from an error.
    const alone = place.startsWith('reasons/') ? 'prev: false\nnext: false\n' : ''
    const frontmatter =
      place === 'index.md' ? '' : `---\neditUrl: ${REPOSITORY}/edit/main/${edit}\n${search}${alone}---\n\n`
    pages.set(place, frontmatter + withoutTemplates(linked.replace(BADGES, '')))
  }

  for (const [path, place] of places) {
    if (!path.startsWith('docs/reasons/')) add(read(path), path, place)
  }
  for (const one of reasons)
    add(reasonMarkdown(one, reasons), 'docs/_', `reasons/${one.reason}.md`, 'docs/troubleshooting.md')
  add(reasonIndex(reasons), 'docs/_', 'reasons/index.md', 'docs/troubleshooting.md')
  add(homePage(read), 'docs/_', 'index.md', 'scripts/site/home.mjs')
  return { pages, pictures, sidebar: sidebarOf(places) }
}

/** @param {string} target @param {string} fragment @param {string} [path] of the page with the link */
function onGitHub(target, fragment, path = 'A page') {
  if (!existsSync(join(ROOT, target))) throw new Error(`${path} links to ${target}, which does not exist.`)
  return `${REPOSITORY}/${/\.\w+$/.test(target) ? 'blob' : 'tree'}/main/${target.replace(/\/$/, '')}${fragment}`
}

/** The URL of a file of the repository: its page on the site, or GitHub's. @param {string} path @param {string} [fragment] */
export function urlOf(path, fragment = '') {
  const place = placesOfPages().get(path)
  return place === undefined ? onGitHub(path, fragment) : SITE + addressOf(place) + fragment
}

/** Each Markdown file of the repository that the site has → its place there. */
function placesOfPages() {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.md'))
    .toSorted()
  return new Map([
    ...Object.entries(OTHERS),
    .../** @type {[string, string][]} */ (
      docs.map((path) => [
        `docs/${path}`,
        path === 'README.md' ? 'questions.md' : path.replace(/\/README\.md$/, '/index.md')
      ])
    )
  ])
}

/** A link from one page to another. @param {string} from @param {string} to */
function between(from, to) {
  const path = posix.relative(dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}

/** VitePress takes `{{` for an expression, also in inline code. @param {string} markdown */
function withoutTemplates(markdown) {
  return outsideCode(markdown, (text) => text.replaceAll('{{', '&#123;&#123;'))
}

/**
 * The groups of docs/README.md, each with its pages. A page stands in the group that links to the whole of it, or else in the
 * one that links to most of its parts.
 *
 * @param {ReadonlyMap<string, string>} places
 * @returns {Group[]}
 */
function sidebarOf(places) {
  const index = 'docs/README.md'
  const sections = read(index)
    .split(/^## /m)
    .slice(1)
    .map((section) => ({
      text: section.slice(0, section.indexOf('\n')),
      links: [...section.matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)].map(([, path = '', part]) => ({
        path: posix.join(posix.dirname(index), path),
        weight: part === undefined ? 100 : 1
      }))
    }))
  /** @param {string} path @param {(typeof sections)[number]} section */
  const weigh = (path, { links }) => links.reduce((sum, one) => sum + (one.path === path ? one.weight : 0), 0)
  const pages = [...places.keys()].filter((path) => path !== index && !path.startsWith('docs/reasons/'))
  const groups = sections.map((section) => ({
    text: section.text,
    items: [...new Set(section.links.map(({ path }) => path))]
      .filter((path) => pages.includes(path))
      .filter((path) => section === sections.toSorted((a, b) => weigh(path, b) - weigh(path, a))[0])
      .map((path) => ({ path, text: nameOf(path), link: linkTo(places.get(path) ?? '') }))
  }))
  const named = new Set(groups.flatMap(({ items }) => items.map(({ path }) => path)))
  const rest = pages
    .filter((path) => !named.has(path))
    .map((path) => ({ text: nameOf(path), link: linkTo(places.get(path) ?? '') }))
  return [...groups, { text: 'More', items: rest }]
    .filter(({ items }) => items.length > 0)
    .map(({ text, items }, place) => ({
      text,
      items: [
        ...(place === 0 ? [{ text: 'Find a page by its question', link: '/questions' }] : []),
        ...items.map((item) => ({ text: item.text, link: item.link })),
        ...(items.some(({ link }) => link === '/troubleshooting') ? [{ text: 'Reasons', link: '/reasons/' }] : [])
      ]
    }))
}

/** The path of a page: `a/index.md` is `a/`. @param {string} place */
function addressOf(place) {
  return place.replace(/(?:(?<=\/)index)?\.md$/, '')
}

/** @param {string} place */
function linkTo(place) {
  return `/${addressOf(place)}`
}

/** @param {string} path */
function nameOf(path) {
  return NAMES[path] ?? titleOf(read(path))
}
