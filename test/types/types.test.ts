import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const here = dirname(fileURLToPath(import.meta.url))
const compiler = join(here, '../../node_modules/typescript/bin/tsc')

/** What the compiler says of a program, whose every `@ts-expect-error` must be one. */
async function compile(project: string): Promise<string> {
  try {
    await promisify(execFile)(process.execPath, [compiler, '-p', join(here, project), '--pretty', 'false'])
    return ''
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error)
  }
}

test('types: Express 4 and 5, Koa 2 and 3, Fastify, Hono, fetch, and the MCP SDK beside them', async () => {
  expect(await compile('tsconfig.json')).toBe('')
})

test('types: express/augment gives req.auth its type', async () => {
  expect(await compile('tsconfig.augment.json')).toBe('')
})

test('types: without express/augment no type of Express is touched', () => {
  const adapters = join(here, '../../adapters')
  const files = readdirSync(adapters, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  for (const name of files.filter((file) => file !== 'express-augment.ts')) {
    expect(readFileSync(join(adapters, name), 'utf8'), name).not.toMatch(/namespace Express|declare global/)
  }
})
