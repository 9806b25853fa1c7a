// @ts-check
/**
 * `src`, `adapters`, `integrations` and `test-kit` → the JavaScript in `dist`: a file for each entry of the package, and what they share. A program
 * that starts loads a few files instead of seventy, in a third of the time. Nothing is minified, and nothing from npm is in
 * it. The types beside are `tsc`'s, and have the docstrings; for `require` each entry has a `.cjs` and a `.d.cts`, which
 * name the same module. Comments and source maps stay in the repository, which a release names by its provenance.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
/** @type {{ exports: Record<string, string | { default: string, types: string, require: { types: string, default: string } }>, bin: Record<string, string> }} */
const { exports, bin } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
const targets = Object.values(exports).flatMap((one) => (typeof one === 'string' ? [] : [one]))
const entries = targets.map((one) => one.default)
const names = [...entries, ...Object.values(bin)].map((path) => path.replace(/^\.\/dist\/(.*)\.js$/, '$1'))

await build({
  cwd: root,
  input: Object.fromEntries(names.map((name) => [name, `${name}.ts`])),
  external: /^[^./]/,
  platform: 'node',
  resolve: { extensionAlias: { '.js': ['.ts'] } },
  onLog: (_level, { message }) => {
    throw new Error(message)
  },
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'shared/[name].js',
    // Names of classes and checks are in what errors say.
    keepNames: true,
    comments: { jsdoc: false, annotation: true, legal: true }
  }
})

// For CommonJS: TypeScript with `module: node16` or `node18` refuses to `require` an ES module, which Node.js can do since
// 20.19. Without these files, each import there would be its error 1479.
const REFUSED = '// @ts-ignore: error 1479 of `module: node16` and `node18`. Node.js 20.19 and later can do this.'
for (const { default: file, types, require } of targets) {
  const from = `'./${basename(file)}'`
  const lines = [REFUSED, `export * from ${from}`]
  let code = `module.exports = require(${from})\n`
  if (/\bas default\b|\bexport default\b/.test(readFileSync(`${root}/${types}`, 'utf8'))) {
    lines.push(REFUSED, `export { default } from ${from}`)
    // Told apart from `module.exports =` by tools that read the file.
    code = `Object.assign(exports, require(${from}))\nexports.default = require(${from}).default\nexports.__esModule = true\n`
  }
  writeFileSync(`${root}/${require.types}`, `${lines.join('\n')}\n`)
  writeFileSync(`${root}/${require.default}`, code)
}
