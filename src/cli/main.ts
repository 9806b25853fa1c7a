#!/usr/bin/env node
/** `npx oauth-resource-server doctor | explain`: the command. What it does is in the files beside; here it is read. */
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { doctor } from './doctor.js'
import { explain } from './explain.js'
import { harmless, type Terminal } from './terminal.js'

const HELP = `Usage:
  oauth-resource-server doctor ISSUER [--resource URL] [--json]
  oauth-resource-server explain [TOKEN | -] [options] [--json]

doctor looks at what an authorization server publishes, and at an API before it,
and ends with a configuration to paste. It sends no secret.

  --resource URL     an API: its metadata, and what it answers without a token

explain shows what a resource server makes of a token, check by check, and why.
The token comes from standard input, unless it is given: then it is in the
history of your shell.

  --issuer URL       whom the API trusts; default: whom the token names
  --resource URL     the API; default: the token's audience
  --audience TEXT    what the API is called in tokens, if not by its URL
  --token-profile legacy  tokens whose typ is JWT, or none
  --scope "a b"      what the route asks for
  --jwks FILE        the issuer's keys: nobody is asked for anything

  --json             for programs
  --help             this

Exit code: 0 well, let in; 1 not well, refused; 2 nobody could be asked, usage.
`

/** @returns the exit code */
async function run(args: string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      resource: { type: 'string' },
      issuer: { type: 'string' },
      audience: { type: 'string' },
      'token-profile': { type: 'string' },
      scope: { type: 'string' },
      jwks: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const [command, argument, ...more] = positionals
  if (values.help) {
    terminal.out(HELP)
    return 0
  }
  if (command === 'doctor') {
    if (more.length > 0) throw new TypeError('doctor needs one URL.')
    if (argument === undefined || !isUrl(argument)) throw new TypeError('doctor needs the URL of an issuer.')
    requireUrl(values.resource, '--resource')
    return doctor({ issuer: argument, resource: values.resource, json: values.json }, terminal)
  }
  if (command === 'explain') {
    requireUrl(values.issuer, '--issuer')
    requireUrl(values.resource, '--resource')
    const { 'token-profile': tokenProfile, ...options } = values
    if (tokenProfile !== undefined && tokenProfile !== 'rfc9068' && tokenProfile !== 'legacy')
      throw new TypeError('--token-profile: rfc9068 or legacy.')
    // Where nobody put quotes around `Bearer …`, it is two. What was written is not repeated: it is a token.
    const isPiped = argument === undefined || (argument === '-' && more.length === 0)
    const given = isPiped ? await terminal.input() : [argument, ...more].join(' ')
    const token = given
      .trim()
      .replace(/^Authorization: *|^Bearer +/gi, '')
      .replace(/^Bearer +/i, '')
    if (token === '' || /\s/.test(token))
      throw new TypeError('explain needs one token, on standard input or as an argument.')
    return explain({ ...options, token, tokenProfile }, terminal)
  }
  throw new TypeError(
    command === undefined ? 'Which command? doctor or explain.' : 'There is no such command: doctor or explain.'
  )
}

function isUrl(value: string): boolean {
  return /^https?:/.test(value) && URL.canParse(value)
}

function requireUrl(value: string | undefined, option: string): void {
  if (value !== undefined && !isUrl(value)) throw new TypeError(`${option}: not an http(s) URL.`)
}

const terminal: Terminal = {
  isTTY: process.stdout.isTTY === true && process.stderr.isTTY === true,
  noColor: (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb',
  out: (line) => void process.stdout.write(line),
  err: (line) => void process.stderr.write(line),
  input: async () => {
    if (process.stdin.isTTY) process.stderr.write('Paste the token, then Ctrl-D:\n')
    return text(process.stdin)
  },
  readFile: (path) => readFile(path, 'utf8'),
  fetch,
  now: () => Date.now() / 1000
}

try {
  process.exitCode = await run(process.argv.slice(2), terminal)
} catch (error) {
  // What was asked wrongly; anything else is a fault of ours, and says where.
  const { code, message, stack } = error as NodeJS.ErrnoException
  const usage = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? 'There is no such option.' : message
  process.stderr.write(harmless(`${error instanceof TypeError ? usage : String(stack)}\nTry --help.\n`))
  process.exitCode = 2
}
