// @ts-check
/** `node first-request.mjs <fixture file> <kind>`: how long from nothing to the first token; JSON on stdout. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [file = '', kind = 'ours'] = process.argv.slice(2)
/** @type {import('./types.d.ts').Fixture} */
const fixture = JSON.parse(readFileSync(file, 'utf8'))
const entry = pathToFileURL(join(fixture.package, 'dist/src/index.js')).href
const isOurs = kind.startsWith('ours')
const require = createRequire(entry)
const what = kind === 'dependencies' ? pathToFileURL(require.resolve('lru-cache')).href : isOurs ? entry : kind

const start = performance.now()
await import(what)
const imported = performance.now() - start
if (kind !== 'dependencies') {
  const { default: peer } = await import(new URL(`../peers/${isOurs ? 'ours' : kind}.mjs`, import.meta.url).href)
  const verify = await peer.verify({ ...fixture, variant: kind.endsWith('given') ? { issuers: 1 } : {} })
  await verify(`Bearer ${fixture.tokens['rs256']?.[0]}`)
}
const accepted = performance.now() - start
const undici = Object.keys(require.cache).some((path) => /[\\/]node_modules[\\/]undici[\\/]/.test(path))
process.stdout.write(JSON.stringify({ imported, accepted, undici }), () => process.exit())
