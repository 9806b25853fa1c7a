// @ts-check
/**
 * The site: docs/ and the other Markdown of the repository, with a search and a page for each reason. VitePress is in a
 * package of its own, .ci/site: 105 packages with 99 MB that only this needs. It is installed on first use.
 *
 *   node scripts/site.mjs            serves the site, and follows changes of the Markdown
 *   node scripts/site.mjs build      writes .ci/site/dist; exits 1 if a link or an anchor leads nowhere
 *   node scripts/site.mjs preview    serves .ci/site/dist
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brokenLinks } from './site/links.mjs'
import { SITE, site } from './site/stage.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = join(ROOT, '.ci/site')
const PAGES = join(FOLDER, 'pages')
const DIST = join(FOLDER, 'dist')
const VITEPRESS = join(FOLDER, 'node_modules/vitepress/bin/vitepress.js')
/** Folders of the repository with Markdown, for `watch`. */
const WATCHED = ['.', 'docs', 'examples']

const [command = 'dev', ...more] = process.argv.slice(2)
if (!['dev', 'build', 'preview'].includes(command))
  throw new Error(`The command is dev, build or preview, and got ${command}.`)

install()
if (command !== 'preview') stage()
if (command === 'build') process.exitCode = build()
else serve()

function install() {
  if (existsSync(VITEPRESS)) return
  console.log('Installing the generator of the site into .ci/site, once.')
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER]
  const { status } = spawnSync('npm', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) throw new Error('npm could not install .ci/site: see the lines above.')
}

/** Writes the pages. Those that are the same stay as they are, so that VitePress reloads only what has changed. */
function stage() {
  const { pages, pictures, sidebar } = site()
  const files = new Map([...pages, ['sidebar.json', `${JSON.stringify(sidebar)}\n`]])
  for (const [place, text] of files) {
    const file = join(PAGES, place)
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  for (const [place, path] of pictures) cpSync(join(ROOT, path), join(PAGES, place))
  // The picture beside the title is named by the configuration of a page, which VitePress does not bundle.
  cpSync(join(ROOT, 'docs/pictures/sequence.svg'), join(PAGES, 'public/pictures/sequence.svg'))
  for (const place of readdirSync(PAGES, { recursive: true, encoding: 'utf8' }))
    if (place.endsWith('.md') && !files.has(place.replaceAll('\\', '/'))) rmSync(join(PAGES, place))
}

/** @returns {number} the exit code */
function build() {
  rmSync(DIST, { recursive: true, force: true })
  const { status } = spawnSync(process.execPath, [VITEPRESS, 'build', '.', ...more], { cwd: FOLDER, stdio: 'inherit' })
  if (status !== 0) return 1
  // For programs that read Markdown: llms.txt names these files.
  const { pages } = site()
  for (const [place, text] of pages)
    if (place !== 'index.md') writeFileSync(join(DIST, place), text.replace(/^---\n[\s\S]*?\n---\n\n/, ''))
  cpSync(join(ROOT, 'llms.txt'), join(DIST, 'llms.txt'))
  const broken = brokenLinks(DIST, new URL(SITE).pathname)
  for (const line of broken) console.error(line)
  console.log(
    broken.length === 0
      ? `${pages.size} pages, and every link leads somewhere.`
      : `${broken.length} links lead nowhere.`
  )
  return broken.length === 0 ? 0 : 1
}

function serve() {
  const child = spawn(process.execPath, [VITEPRESS, command, '.', ...more], { cwd: FOLDER, stdio: 'inherit' })
  child.on('exit', (code) => process.exit(code ?? 1))
  if (command !== 'dev') return
  for (const folder of WATCHED) {
    watch(join(ROOT, folder), { recursive: folder !== '.' }, (_, name) => {
      if (!/\.(?:md|mjs|svg|png)$/.test(name ?? '')) return
      try {
        stage()
      } catch (error) {
        // Such as a link to a file that is about to be saved.
        console.error(error instanceof Error ? error.message : error)
      }
    })
  }
}
