// @ts-check
/**
 * Holds an API of each adapter to the conformance suite, and writes docs/conformance/report.html, report.json and the table in
 * docs/conformance-suite.md. Nothing in them depends on the time, the ports or the machine.
 *
 *   npm run conformance:report [-- --only express,koa]     --only writes nothing, and prints what failed
 *
 * Takes some minutes, because outages and revocations take time. Exits 1 if a MUST or SHOULD failed.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { failuresOf, runConformance, startSuiteIssuer } from 'oauth-resource-server/conformance'
import { FACTS, FEATURES } from '../test/conformance/declared.mjs'
import { ADAPTERS, createParts } from './conformance-apis.mjs'
import { pageOf, summaryOf, tableOf } from './conformance-page.mjs'

/** @typedef {import('oauth-resource-server/conformance').Report} Report */

const root = fileURLToPath(new URL('..', import.meta.url))
const SELF = fileURLToPath(import.meta.url)

/**
 * @param {(typeof ADAPTERS)[number]} adapter @returns {Promise<Report>}
 */
async function hold({ path, create, facts = FACTS, features = FEATURES }) {
  /** @type {import('node:http').RequestListener} */
  let listener = () => {}
  const server = createServer((request, response) => listener(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const origin = `http://127.0.0.1:${port}`
  const issuer = await startSuiteIssuer({ port: 0, audience: `${origin}${path}`, scope: 'orders:read' })
  const parts = createParts(origin, path, issuer)
  listener = await create(parts)
  try {
    return await runConformance(`${origin}${path}`, {
      methods: true,
      // New RSA keys, which the suite makes in this process, may hold up an answer of the API.
      timeout: 30_000,
      issuer,
      declared: facts,
      has: features
    })
  } finally {
    server.close()
    server.closeAllConnections()
    await Promise.all([parts.api.close(), issuer.close()])
  }
}

/**
 * Runs the suite against these adapters, each in a process of its own: most of the time they wait.
 *
 * @param {readonly string[]} names @param {(line: string) => void} [tell]
 * @returns {Promise<Record<string, Report>>}
 */
export async function holdAdapters(names = ADAPTERS.map(({ name }) => name), tell = console.log) {
  const held = ADAPTERS.map(({ name }) => name).filter((name) => names.includes(name))
  const reports = await Promise.all(
    held.map(async (name) => {
      const began = performance.now()
      const { stdout } = await promisify(execFile)(process.execPath, [SELF, '--in-process', name], {
        maxBuffer: 64 * 1024 * 1024
      })
      tell(`${name}: ${Math.round((performance.now() - began) / 1000)} s`)
      return [name, JSON.parse(stdout)]
    })
  )
  return Object.fromEntries(reports)
}

/** @param {Record<string, Report>} reports */
function write(reports) {
  const summary = summaryOf(reports)
  const folder = join(root, 'docs/conformance')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(summary, null, 2)}\n`)
  writeFileSync(join(folder, 'report.html'), pageOf(summary))
  const page = join(root, 'docs/conformance-suite.md')
  const text = readFileSync(page, 'utf8')
  const [begin, end] = ['<!-- report: begin -->', '<!-- report: end -->']
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/conformance-suite.md has no markers ${begin} … ${end}`)
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n${tableOf(summary)}\n${text.slice(to)}`)
}

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string' }, 'in-process': { type: 'string' } } })
  const alone = ADAPTERS.find(({ name }) => name === values['in-process'])
  if (alone) return void process.stdout.write(JSON.stringify(await hold(alone)))
  const reports = await holdAdapters(values.only?.split(','))
  for (const [name, report] of Object.entries(reports))
    for (const { id, level, finding, why, verdict } of report.results)
      if (verdict === 'failed' || verdict === 'error')
        console.log(
          `${name}: ${id} (${level}): ${finding === undefined ? why : `${finding.expected} ${finding.received}`}`
        )
  if (values.only === undefined) write(reports)
  const isBad = Object.values(reports).some((report) => failuresOf(report).length > 0 || report.counts.errors > 0)
  process.exitCode = isBad ? 1 : 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
