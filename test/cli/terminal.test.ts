/** Lines for people: wrapped between words, to the width of the terminal. */
import { stripVTControlCharacters, styleText } from 'node:util'
import { expect, test } from 'vitest'
import { harmless, inLine, json, say, type Terminal, writeFinding } from '../../src/cli/terminal.js'

function written(columns: number | undefined, write: (terminal: Terminal) => void): string {
  let out = ''
  write({
    isTTY: columns !== undefined,
    noColor: columns === undefined,
    columns,
    out: (text) => {
      out += text
    },
    err: () => undefined,
    input: async () => '',
    readFile: async () => '',
    readPage: async () => '',
    fetch,
    now: () => 0
  })
  return out
}

const words = 'one two three four five six seven eight'

test('wraps between words, and never within one', () => {
  expect(written(20, (terminal) => say(terminal, words))).toBe('one two three four\nfive six seven eight\n')
  const url = 'https://as.example.com/.well-known/openid-configuration'
  expect(written(20, (terminal) => say(terminal, `see ${url} there`))).toBe(`see\n${url}\nthere\n`)
  expect(written(20, (terminal) => say(terminal, ''))).toBe('\n')
})

test('does not wrap where the output is not a terminal, and wraps at 100 characters on a wide one', () => {
  const long = 'word '.repeat(60).trim()
  expect(written(undefined, (terminal) => say(terminal, long))).toBe(`${long}\n`)
  const lines = written(300, (terminal) => say(terminal, long)).split('\n')
  expect(Math.max(...lines.map((line) => line.length))).toBe(99)
})

test('stands under the text of a finding and of a list item', () => {
  const finding = { verdict: 'failed', name: 'one two three four five', detail: 'six seven eight nine\nten' } as const
  const out = stripVTControlCharacters(written(18, (terminal) => writeFinding(terminal, finding)))
  expect(out).toBe('✗ one two three\n  four five\n    six seven\n    eight nine\n    ten\n')
  expect(written(18, (terminal) => say(terminal, '- one two three four'))).toBe('- one two three\n  four\n')
})

test('counts no width for colours', () => {
  const red = styleText('red', 'three', { validateStream: false })
  expect(written(18, (terminal) => say(terminal, `one two ${red} four`))).toBe(`one two ${red} four\n`)
})

test('writes a line of 500,000 characters that is not wrapped in linear time', () => {
  const long = 'a '.repeat(250_000).trim()
  expect(written(undefined, (terminal) => say(terminal, long))).toBe(`${long}\n`)
})

test('U+2028 and U+2029 end no line: in printed code they would end a comment', () => {
  const text = '// client_secret_basic\u2028process.exit()\u2029'
  for (const safe of [inLine, harmless]) expect(safe(text)).toBe('// client_secret_basic�process.exit()�')
  expect(json(text)).toBe('"// client_secret_basic\\u2028process.exit()\\u2029"\n')
})
