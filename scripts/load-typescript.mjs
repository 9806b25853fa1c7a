// @ts-check
/** Loads a module of TypeScript that stands alone, or with others of the repository: Node.js 20 reads none. */
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))

/** @param {string} path from the root of the repository @returns {Promise<any>} */
export async function loadTypeScript(path) {
  const bundle = await rolldown({ input: `${root}${path}`, resolve: { extensionAlias: { '.js': ['.ts'] } } })
  const { output } = await bundle.generate({ format: 'esm' })
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`)
}
