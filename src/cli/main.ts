#!/usr/bin/env node
/**
 * `npx oauth-resource-server COMMAND`: finds the command, and prints its errors. Each command reads its own arguments.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { type Command, nearest, UsageError } from './command.js'
import { conformanceCommand } from './conformance-command.js'
import { doctorCommand } from './doctor/doctor-command.js'
import { explainCommand } from './explain/explain-command.js'
import { issuerCommand } from './issuer/issuer-command.js'
import { harmless, type Terminal } from './terminal.js'

/** One line for each command. */
const COMMANDS: Readonly<Record<string, Command>> = {
  conformance: conformanceCommand,
  doctor: doctorCommand,
  explain: explainCommand,
  issuer: issuerCommand
}

const NAMES = Object.keys(COMMANDS)

const HELP = `Usage:
  oauth-resource-server COMMAND [options]

${Object.values(COMMANDS)
  .map(({ summary }) => `  ${summary}`)
  .join('\n')}

Add --help to a command to see its options and exit codes.
`

/** @returns the exit code */
async function run([name, ...args]: readonly string[], terminal: Terminal): Promise<number> {
  if (name === undefined || name === '--help') {
    terminal[name === undefined ? 'err' : 'out'](HELP)
    return name === undefined ? 2 : 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    const [near] = nearest(name, NAMES)
    const advice =
      near === undefined
        ? `Use ${new Intl.ListFormat('en', { type: 'disjunction' }).format(NAMES)}.`
        : `Did you mean ${near}?`
    throw new UsageError(`There is no such command. ${advice}`)
  }
  if (args.includes('--help')) {
    terminal.out(typeof command.help === 'string' ? command.help : await command.help())
    return 0
  }
  return command.run(args, terminal)
}

const terminal: Terminal = {
  isTTY: process.stdout.isTTY === true && process.stderr.isTTY === true,
  noColor: (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb',
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  out: (line) => void process.stdout.write(line),
  err: (line) => void process.stderr.write(line),
  input: async () => {
    if (process.stdin.isTTY) process.stderr.write('Paste the token, then press Ctrl-D:\n')
    return text(process.stdin)
  },
  readFile: (path) => readFile(path, 'utf8'),
  readPage: () => readFile(new URL('../../../docs/troubleshooting.md', import.meta.url), 'utf8'),
  fetch,
  now: () => Date.now() / 1000
}

// A reader such as `head` may close its pipe early: the command goes on to its exit code.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') process.exit(2)
  })

try {
  process.exitCode = await run(process.argv.slice(2), terminal)
} catch (error) {
  const isUsage = error instanceof UsageError
  const told = isUsage ? error.message : `This is a defect of oauth-resource-server.\n${(error as Error).stack}`
  terminal.err(harmless(`${told}\n${isUsage ? 'Try --help.\n' : ''}`))
  process.exitCode = 2
}
