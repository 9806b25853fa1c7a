/** The configuration file: each mistake is named, and nothing is guessed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../conformance/config.js'

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

test('is empty without a file', async () => {
  expect(await readConfig(await folderWith({}))).toEqual({})
})

test('reads JSON, or a module, and JSON first', async () => {
  const json = '{"url":"http://127.0.0.1/","profiles":["mcp"],"rate":5,"declared":{"eventTarget":"/events"}}'
  expect(await readConfig(await folderWith({ 'conformance.config.json': json }))).toEqual(JSON.parse(json))
  const module = 'export default { bail: true }'
  expect(await readConfig(await folderWith({ 'conformance.config.mjs': module }))).toEqual({ bail: true })
  const both = await folderWith({ 'conformance.config.json': '{"mine":true}', 'conformance.config.mjs': module })
  expect(await readConfig(both)).toEqual({ mine: true })
  expect(await readConfig(both, 'conformance.config.mjs')).toEqual({ bail: true })
})

test.each([
  ['{', /cannot be read: .*Write a JSON object/],
  ['[]', /holds a list\. Write a JSON object/],
  ['{"urls":"x"}', /unknown member urls\. Known: url, profiles/],
  ['{"__proto__x":1}', /unknown member __proto__x/],
  ['{"constructor":1}', /unknown member constructor/],
  ['{"rate":"2"}', /rate must be a number, and is "2"/],
  ['{"rate":1e-9}', /rate must be a number from 0\.01, and is 1e-9/],
  ['{"timeout":1e999}', /timeout must be a number from 0\.001 to 3,600, and is Infinity/],
  ['null', /holds null\. Write a JSON object/],
  ['{"issuer":{"prt":"9797"}}', /issuer has the unknown member prt\. Known: test-deployment, port/],
  ['{"issuer":{"test-deployment":"yes"}}', /issuer\.test-deployment must be true or false, and is "yes"/],
  ['{"issuer":{"scoped-route":{}}}', /issuer\.scoped-route must be a list of texts, and is \{\}/],
  ['{"issuer":{"tls":["a"]}}', /issuer\.tls must be a text, and is \["a"\]/],
  ['{"only":"x"}', /only must be a list of texts/],
  ['{"bail":1}', /bail must be true or false/],
  ['{"profiles":["x"]}', /x is not a profile\. Use one of these: rfc6750/],
  ['{"failOn":"WILL"}', /failOn must be one of MUST/]
])('%s: says what is wrong', async (text, expected) => {
  await expect(readConfig(await folderWith({ 'conformance.config.json': text }))).rejects.toThrow(expected)
})

test('reads a number as the text of a flag', async () => {
  const folder = await folderWith({ 'conformance.config.json': '{"issuer":{"port":9797,"revoked-by":["event"]}}' })
  expect(await readConfig(folder)).toEqual({ issuer: { port: '9797', 'revoked-by': ['event'] } })
})

test('a module without a default export', async () => {
  const folder = await folderWith({ 'conformance.config.mjs': 'export const url = 1' })
  await expect(readConfig(folder)).rejects.toThrow(/holds no default export\. Write/)
})

test('names a file that is not there', async () => {
  await expect(readConfig(await folderWith({}), 'other.json')).rejects.toThrow(/other\.json cannot be read: ENOENT/)
})
