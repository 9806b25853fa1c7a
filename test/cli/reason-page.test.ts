/** The help for one reason, as `--reason` prints it from the page of the package. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { printReason } from '../../src/cli/explain/reason-page.js'
import { LIMIT_REASONS, PROOF_REASONS, REQUEST_REASONS, TOKEN_REASONS } from '../../src/errors/reasons.js'

const page = readFileSync(join(import.meta.dirname, '../../docs/troubleshooting.md'), 'utf8')

async function print(reason: string, json = false): Promise<string> {
  let out = ''
  await printReason(reason, json, {
    isTTY: false,
    noColor: true,
    out: (text) => {
      out += text
    },
    err: () => undefined,
    input: async () => '',
    readFile: async () => '',
    readPage: async () => page,
    fetch,
    now: () => 0
  })
  return out
}

test.each([REQUEST_REASONS, TOKEN_REASONS, PROOF_REASONS, LIMIT_REASONS].flatMap((one) => Object.keys(one)))(
  'prints the help for %s',
  async (reason) => {
    const out = await print(reason)
    expect(out.startsWith(`${reason}\n\n- On the wire: `)).toBe(true)
    expect(out).toContain('\n- Means: ')
    // No part of another section, and no Markdown of a link or bold text.
    expect(out).not.toMatch(/^#|\]\(|\*\*/m)
    expect(JSON.parse(await print(reason, true))).toMatchObject({ reason, text: expect.stringContaining('**Means**') })
  }
)

test.each([
  ['audiance', 'Near: audience.'],
  ['proof_typ', 'Near: proof_type.'],
  ['signatur', 'Near: signature, proof_signature.'],
  ['nonsense', 'The reasons: malformed_authorization, '],
  ['', 'The reasons: ']
])('answers %j with near reasons or with all', async (reason, words) => {
  await expect(print(reason)).rejects.toThrow(words)
})
