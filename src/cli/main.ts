#!/usr/bin/env node
/**
 * `npx oauth-resource-server doctor | explain`: parses the command line. `doctor.ts` and `explain.ts` do the work.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { doctor } from './doctor.js'
import { explain } from './explain.js'
import { harmless, type Terminal } from './terminal.js'

const HELP = `Usage:
  oauth-resource-server doctor ISSUER [options] [--json]
  oauth-resource-server explain [TOKEN | -] [options] [--json]
  oauth-resource-server issuer --resource URL [--scope SCOPE] [options]

doctor looks at what an authorization server publishes, as a resource server
reads it, and at an API before it. It ends with a configuration to paste.

  --resource URL          an API: its metadata, and its answer without a token

explain shows what a resource server makes of a token, check by check, and why.
Give the token on standard input: as an argument it stays in your shell history.

  --issuer URL            the issuer that the API trusts; default: the token's
  --resource URL          the API; default: the token's audience
  --audience TEXT         the API's name in tokens, if it is not its URL
  --token-profile legacy  accept tokens whose typ is JWT or missing
  --scope "a b"           the scopes that the route requires
  --jwks FILE             the issuer's keys: no server is asked for anything

issuer starts an authorization server to develop an API against: issuer --help

doctor and explain, as the options of an issuer:

  --metadata-url URL      the metadata, if they are not at a well-known place
  --jwks-uri URL          the keys, if the metadata do not say where
  --jwks-token-file FILE  a bearer token for --jwks-uri; it is sent there alone

  --json                  for programs
  --help                  this text

Exit code: 0 well, let in; 1 not well, refused; 2 no server reached, usage.
`

/** @returns the exit code */
async function run(args: string[], terminal: Terminal): Promise<number> {
  if (args[0] === 'issuer') return (await import('./issuer/command.js')).issuer(args.slice(1), terminal)
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
      'metadata-url': { type: 'string' },
      'jwks-uri': { type: 'string' },
      'jwks-token-file': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const [command, argument, ...more] = positionals
  if (values.help) {
    terminal.out(HELP)
    return 0
  }
  const issuerPlaces = {
    metadataUrl: values['metadata-url'],
    jwksUri: values['jwks-uri'],
    jwksTokenFile: values['jwks-token-file']
  }
  for (const option of ['issuer', 'resource', 'metadata-url', 'jwks-uri'] as const) requireUrl(values[option], option)
  if (issuerPlaces.jwksTokenFile !== undefined && issuerPlaces.jwksUri === undefined)
    throw new TypeError('--jwks-token-file: it needs --jwks-uri, the one address that the token is sent to.')
  if (command === 'doctor') {
    if (more.length > 0) throw new TypeError('doctor needs one URL.')
    if (argument === undefined || !isUrl(argument)) throw new TypeError('doctor needs the URL of an issuer.')
    return doctor({ issuer: argument, resource: values.resource, json: values.json, ...issuerPlaces }, terminal)
  }
  if (command === 'explain') {
    const { 'token-profile': tokenProfile, issuer, resource, audience, scope, jwks, json } = values
    if (jwks !== undefined && issuerPlaces.jwksUri !== undefined)
      throw new TypeError('--jwks and --jwks-uri: give the keys or the place to fetch them, not both.')
    if (tokenProfile !== undefined && tokenProfile !== 'rfc9068' && tokenProfile !== 'legacy')
      throw new TypeError('--token-profile: rfc9068 or legacy.')
    // `Bearer …` without quotes arrives as two arguments. Messages do not repeat the input, because it is a token.
    const isPiped = argument === undefined || (argument === '-' && more.length === 0)
    const given = isPiped ? await terminal.input() : [argument, ...more].join(' ')
    const token = given
      .trim()
      .replace(/^Authorization: *|^Bearer +/gi, '')
      .replace(/^Bearer +/i, '')
    if (token === '' || /\s/.test(token))
      throw new TypeError('explain needs one token, on standard input or as an argument.')
    return explain({ token, issuer, resource, audience, scope, jwks, json, tokenProfile, ...issuerPlaces }, terminal)
  }
  throw new TypeError(
    command === undefined ? 'Which command? doctor or explain.' : 'There is no such command: doctor or explain.'
  )
}

function isUrl(value: string): boolean {
  return /^https?:/.test(value) && URL.canParse(value)
}

function requireUrl(value: string | undefined, option: string): void {
  if (value !== undefined && !isUrl(value)) throw new TypeError(`--${option}: not an http(s) URL.`)
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
  // A TypeError is a usage error. Any other error is a defect of this package and is printed with its stack.
  const { code, message, stack } = error as NodeJS.ErrnoException
  const usage = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? 'There is no such option.' : message
  process.stderr.write(harmless(`${error instanceof TypeError ? usage : String(stack)}\nTry --help.\n`))
  process.exitCode = 2
}
