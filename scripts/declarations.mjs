// @ts-check
/** Removes from `dist` each declaration file that no entry of the package reaches: nothing can import it. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** @type {{ exports: Record<string, string | { types: string }> }} */
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** @type {Set<string>} */
const reached = new Set()
const next = Object.values(exports).flatMap((one) => (typeof one === 'string' ? [] : [join(root, one.types)]))
for (let file = next.pop(); file !== undefined; file = next.pop()) {
  if (reached.has(file)) continue
  reached.add(file)
  const from = dirname(file)
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import\(|import) ?['"](\.[^'"]+)\.js['"]/g))
    next.push(join(from, `${path}.d.ts`))
}

for (const path of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
  const file = join(root, 'dist', path)
  if (path.endsWith('.d.ts') && !reached.has(file)) rmSync(file)
}
