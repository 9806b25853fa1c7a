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
  ['{"rate":"2"}', /rate must be a number above 0, and is "2"/],
  ['{"only":"x"}', /only must be a list of texts/],
  ['{"bail":1}', /bail must be true or false/],
  ['{"profiles":["x"]}', /x is not a profile\. Use one of these: rfc6750/],
  ['{"failOn":"WILL"}', /failOn must be one of MUST/]
])('%s: says what is wrong', async (text, expected) => {
  await expect(readConfig(await folderWith({ 'conformance.config.json': text }))).rejects.toThrow(expected)
})

test('names a file that is not there', async () => {
  await expect(readConfig(await folderWith({}), 'other.json')).rejects.toThrow(/other\.json cannot be read: ENOENT/)
})
