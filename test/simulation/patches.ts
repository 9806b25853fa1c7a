/**
 * Changes of the source for simulations, made when a file is loaded: smaller caches, because a run creates a few resource
 * servers and sends dozens of tokens; and one deliberate bug, if asked. A change whose text is not in the source is an error.
 */
import { BUGS } from './bugs.js'

export interface Patch {
  /** Path in the repository. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Room for about a hundred entries instead of ten thousand: allocating the room would take longer than a run. */
const SMALLER: readonly Patch[] = [
  { file: 'src/access-token/token-cache.ts', from: 'const PLACES = 32_768', to: 'const PLACES = 256' },
  { file: 'src/access-token/token-cache.ts', from: 'const MAX_TOKENS = 10_000', to: 'const MAX_TOKENS = 80' },
  { file: 'src/access-token/token-cache.ts', from: 'const STRANGERS = 4096', to: 'const STRANGERS = 256' },
  { file: 'src/base/cache.ts', from: 'max: maxEntries', to: 'max: Math.min(100, maxEntries)' },
  { file: 'src/base/cache.ts', from: '    max,\n', to: '    max: Math.min(100, max),\n' }
]

interface Plugin {
  readonly name: string
  readonly enforce: 'pre'
  transform(code: string, id: string): string | undefined
}

/** @param bug name of a deliberate bug. @throws {Error} unknown name */
export function changed(bug: string | undefined): Plugin {
  const own = bug === undefined || bug === '' ? [] : BUGS.find(({ name }) => name === bug)?.patches
  if (own === undefined)
    throw new Error(`no deliberate bug is named ${bug}: choose from ${BUGS.map(({ name }) => name).join(', ')}`)
  const patches = [...SMALLER, ...own]
  return {
    name: 'simulation-patches',
    enforce: 'pre',
    transform: (code, id) => {
      const path = id.split('?')[0] as string
      const mine = patches.filter(({ file }) => path.endsWith(`/${file}`))
      return mine.length === 0 ? undefined : mine.reduce((text, patch) => apply(text, patch), code)
    }
  }
}

/** @throws {Error} the text is missing */
export function apply(code: string, { file, from, to }: Patch): string {
  if (!code.includes(from))
    throw new Error(`${file} does not have the text ${JSON.stringify(from)}: mend test/simulation`)
  return code.replaceAll(from, to)
}
