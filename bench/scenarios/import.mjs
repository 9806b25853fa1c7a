// @ts-check
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { atMost, exactly, labelOf } from '../lib/result.mjs'
import { deviation, median, short } from '../lib/stats.mjs'

const script = fileURLToPath(new URL('../lib/first-request.mjs', import.meta.url))
const MODULES = ['jose', 'fast-jwt', 'jsonwebtoken', 'aws-jwt-verify', 'oauth4webapi', 'express-oauth2-jwt-bearer']

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'import',
  title: 'Import and first request',
  about:
    'In a new process each time: milliseconds until the package is imported, and until the first token is accepted, including all fetches. `keys given` has the key set in the settings.',
  run: async ({ file, effort, progress }) => {
    const kinds = ['dependencies', 'ours', 'ours, keys given', ...MODULES]
    /** @type {Map<string, { imported: number[], accepted: number[], undici: boolean }>} */
    const seen = new Map(kinds.map((kind) => [kind, { imported: [], accepted: [], undici: false }]))
    for (let start = 0; start < effort.starts; start++) {
      progress(`import: ${start + 1} of ${effort.starts}`)
      for (const [kind, one] of seen) {
        const { stdout, stderr, status } = spawnSync(process.execPath, [script, file, kind], { encoding: 'utf8' })
        if (status !== 0) throw new Error(`${kind}: ${stderr}`)
        const { imported, accepted, undici } = JSON.parse(stdout)
        one.imported.push(imported)
        one.accepted.push(accepted)
        one.undici = undici
      }
    }
    const of = (/** @type {string} */ kind) => seen.get(kind)?.imported ?? []
    const beyond = median(of('ours').map((value, i) => value - (of('dependencies')[i] ?? 0)))
    return {
      targets: [
        atMost('import: milliseconds beyond the dependencies that it loads', 35, beyond),
        exactly('undici is loaded if nothing is fetched (1 is yes)', 0, seen.get('ours, keys given')?.undici ? 1 : 0),
        exactly('undici is loaded if keys are fetched (1 is yes)', 1, seen.get('ours')?.undici ? 1 : 0)
      ],
      tables: [
        {
          caption: 'Milliseconds',
          columns: ['', 'import', '±', 'first token accepted'],
          rows: [...seen].map(([kind, { imported, accepted }]) => [
            kind === 'dependencies' ? 'lru-cache, which is all that ours loads at once' : labelOf(kind),
            short(median(imported)),
            short(deviation(imported)),
            kind === 'dependencies' ? '' : short(median(accepted))
          ])
        }
      ]
    }
  }
}
