/** An API as bundlers write it, run for real: with undici in the bundle, beside it, and missing. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'rolldown'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createBed } from '../support/exchange.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const entry = join(root, 'test/http/ask.mjs')
const esbuild = join(root, '.ci/hosts/node_modules/esbuild/lib/main.js')
const bed = createBed()
const run = promisify(execFile)

/** Where `undici` is found, and where it is not. */
let beside: string
let alone: string
beforeAll(() => {
  mkdirSync(join(root, 'test/.tmp'), { recursive: true })
  beside = mkdtempSync(join(root, 'test/.tmp/bundle-'))
  alone = mkdtempSync(join(tmpdir(), 'bundle-'))
})
afterAll(() => {
  for (const folder of [beside, alone]) rmSync(folder, { recursive: true })
})

/** What the bundled API answers to a good token. */
async function answerOf(file: string): Promise<{ readonly status: number; readonly hint?: string }> {
  const issuer = await bed.issuer({ now: () => Math.floor(Date.now() / 1000) })
  const argument = JSON.stringify({ options: { issuers: [issuer.issuer] }, token: issuer.token() })
  const { stdout } = await run(process.execPath, [file, argument])
  return JSON.parse(stdout)
}

interface Options {
  readonly file: string
  readonly external?: readonly string[]
  readonly banner?: string
}

const withRolldown = async ({ file, external = [], banner }: Options): Promise<void> => {
  await build({
    input: entry,
    platform: 'neutral',
    external: [/^node:/, ...external],
    logLevel: 'silent',
    resolve: { mainFields: ['module', 'main'] },
    output: { file, codeSplitting: false, format: 'esm', ...(banner && { banner }) }
  })
}

const withEsbuild = async ({ file, external = [], banner }: Options): Promise<void> => {
  const { build: bundle } = await import(pathToFileURL(esbuild).href)
  await bundle({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: file,
    external,
    logLevel: 'silent',
    ...(banner && { banner: { js: banner } })
  })
}

describe.each([
  ['rolldown', withRolldown, true],
  ['esbuild', withEsbuild, existsSync(esbuild)]
] as const)('an ESM bundle by %s', (_, bundle, isInstalled) => {
  test.skipIf(!isInstalled)(
    'answers 500 with undici in the bundle, and the hint says to mark it as external',
    async () => {
      const file = join(beside, 'inside.mjs')
      await bundle({ file })
      expect(await answerOf(file)).toMatchObject({
        status: 500,
        hint: expect.stringMatching(
          /mark undici as external \(esbuild: --external:undici\) and install it beside .*fetchDispatcher\(\)/
        )
      })
    },
    60_000
  )

  test.skipIf(!isInstalled)(
    'accepts a request with undici as external where undici is installed, and otherwise says so',
    async () => {
      const [found, missing] = [join(beside, 'external.mjs'), join(alone, 'external.mjs')]
      for (const file of [found, missing]) await bundle({ file, external: ['undici'] })
      expect(await answerOf(found)).toEqual({ status: 200 })
      expect(await answerOf(missing)).toMatchObject({
        status: 500,
        hint: expect.stringMatching(/undici was not found: install it .*npm install undici@7.*fetchDispatcher\(\)/)
      })
    },
    60_000
  )

  test.skipIf(!isInstalled)(
    'accepts a request with undici in the bundle if its banner has a `require`',
    async () => {
      const file = join(alone, 'banner.mjs')
      const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
      await bundle({ file, banner })
      expect(await answerOf(file)).toEqual({ status: 200 })
    },
    60_000
  )
})
