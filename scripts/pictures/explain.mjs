// @ts-check
/** What `npx oauth-resource-server explain` prints about a token that was issued for another API. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTestIssuer } from 'oauth-resource-server/testing'
import { readScreen, runInTerminal } from './terminal.mjs'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
export const EXPLAIN_COMMAND = [
  'npx oauth-resource-server explain \\',
  '  --resource https://api.example.com < request.txt'
]

/** @returns the list of checks and the reason: the token before them is left out, and the links and advice behind them */
export async function explainRefusal() {
  const folder = await mkdtemp(join(tmpdir(), 'explain-'))
  const issuer = await createTestIssuer()
  try {
    await issuer.listen()
    const file = join(folder, 'request.txt')
    await writeFile(file, issuer.token({ aud: 'https://reports.example.com', scope: 'orders:read' }))
    const command = `exec '${process.execPath}' '${MAIN}' explain --resource https://api.example.com < '${file}'`
    const lines = await readScreen(await runInTerminal(command))
    const text = lines.map((spans) => spans.map((span) => span.text).join(''))
    const [first, end] = [text.indexOf('Checks'), text.findIndex((line) => /^https:.*\/reasons\//.test(line))]
    if (first === -1 || end < first)
      throw new Error(`Expected explain to print its checks and a reason, and it printed:\n${text.join('\n')}`)
    return [[{ text: '…', style: 'dim' }], ...lines.slice(first, end), [{ text: '…', style: 'dim' }]]
  } finally {
    await issuer.close()
    await rm(folder, { recursive: true })
  }
}
