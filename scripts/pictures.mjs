// @ts-check
/**
 * Makes the pictures of README.md and docs/ from the running package: real processes answer, and what they answer is drawn.
 * Needs the build, which `npm run pictures` makes first.
 *
 *   node scripts/pictures.mjs                writes docs/pictures; a screenshot only if its page has changed, or the file is missing
 *   node scripts/pictures.mjs --check        writes nothing; exits 1 if a picture is not current
 *   … --only sequence                        one of: sequence, explain, setups, playground
 *   … --folder DIR                           another folder than docs/pictures
 *   … --no-skips                             exits 1 if something is not installed: Chromium, or `script` of util-linux
 *
 * Drawings are compared by their bytes: ports, tokens and times are constants there. Screenshots depend on the fonts of a
 * machine, so their pages are compared, by the hashes in pages.json.
 */
import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { converse } from './pictures/conversation.mjs'
import { EXPLAIN_COMMAND, explainRefusal } from './pictures/explain.mjs'
import { sizeOf } from './pictures/png.mjs'
import { drawSequence } from './pictures/sequence.mjs'
import { drawProcesses, drawTls } from './pictures/setups.mjs'
import { drawTerminal, hasTerminal } from './pictures/terminal.mjs'

const { values: options } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    only: { type: 'string' },
    folder: { type: 'string', default: fileURLToPath(new URL('../docs/pictures', import.meta.url)) },
    'no-skips': { type: 'boolean', default: false }
  }
})
/** @type {string[]} */
const stale = []
/** @type {string[]} */
const skipped = []

/** @type {Readonly<Record<string, () => Promise<void>>>} */
const PICTURES = {
  sequence: async () =>
    keep(
      'sequence.svg',
      drawSequence({
        title: 'From a 401 to a 200',
        description:
          'A client calls the API without a token, and is answered 401 with the URL of the API’s metadata. The metadata names the authorization server, whose metadata name the token endpoint. The client gets a token there, and calls the API with it: 200.',
        exchanges: await converse()
      })
    ),
  explain: async () => {
    if (!hasTerminal()) return void skipped.push('explain.svg needs `script` (Debian: apt-get install bsdutils)')
    await keep(
      'explain.svg',
      drawTerminal({
        title: 'oauth-resource-server explain',
        description:
          'The command lists the checks. The check that the token is for this API has failed, and the later ones were not reached. Below stand the audience that was expected, the one that came, and what to do.',
        command: EXPLAIN_COMMAND,
        lines: await explainRefusal()
      })
    )
  },
  setups: async () => {
    await keep('tls.svg', drawTls())
    await keep('processes.svg', drawProcesses())
  },
  playground: photographs
}

await mkdir(options.folder, { recursive: true })
for (const [name, make] of Object.entries(chosen())) {
  await make()
  if (!options.check) console.log(`made ${name}`)
}
for (const name of stale) console.error(`${name} is not current: run npm run pictures, and look at it.`)
for (const what of skipped) console.error(`Skipped: ${what}.`)
if (options.check && stale.length === 0) console.log('The pictures are current.')
process.exitCode = stale.length > 0 || (options['no-skips'] && skipped.length > 0) ? 1 : 0

function chosen() {
  if (options.only === undefined) return PICTURES
  const make = PICTURES[options.only]
  if (make === undefined) throw new Error(`--only takes ${Object.keys(PICTURES).join(', ')}, and got ${options.only}.`)
  return { [options.only]: make }
}

/** Writes a drawing, or compares it. @param {string} name @param {string} text */
async function keep(name, text) {
  const file = join(options.folder, name)
  if (!options.check) return writeFile(file, text)
  // A checkout on Windows may have other line ends.
  if (!existsSync(file) || (await readFile(file, 'utf8')).replaceAll('\r\n', '\n') !== text) stale.push(name)
}

async function photographs() {
  // Loads the browser's client and the authorization server, which the drawings do not need.
  const { hasChromium, photograph } = await import('./pictures/playground.mjs')
  if (!hasChromium)
    return void skipped.push('the screenshots need Chromium (Debian: apt-get install chromium; or set CHROMIUM)')
  const list = join(options.folder, 'pages.json')
  /** @type {Record<string, unknown>} */
  const known = existsSync(list) ? JSON.parse(await readFile(list, 'utf8')) : {}
  /** @type {Record<string, unknown>} */
  const entries = {}
  await photograph(async ({ name, page, take }) => {
    const file = join(options.folder, name)
    const before = existsSync(file) ? entryOf(page, await readFile(file)) : undefined
    const isCurrent = before !== undefined && JSON.stringify(before) === JSON.stringify(known[name])
    if (options.check && !isCurrent) stale.push(name)
    entries[name] = before
    if (options.check || isCurrent) return
    const image = await take()
    await writeFile(file, image)
    entries[name] = entryOf(page, image)
  })
  if (!options.check) await writeFile(list, `${JSON.stringify(entries, null, 2)}\n`)
}

/** @param {string} page @param {Buffer} image */
function entryOf(page, image) {
  return { ...sizeOf(image), page, image: hash('sha256', image) }
}
