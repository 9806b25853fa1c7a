/**
 * Parses the arguments of one command, and says what is wrong with them. A message names options, and never repeats an
 * argument: it may be a token.
 *
 * Tests: `test/cli/command.test.ts`.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { Terminal } from './terminal.js'

/** One line in the table of commands. */
export interface Command {
  /** For `--help` of the whole program. One line. */
  readonly summary: string
  /** For `--help` of the command. A function loads the text of a command that is loaded when it is called. */
  readonly help: string | (() => Promise<string>)
  /**
   * @param args the arguments after the name of the command
   * @returns the exit code
   * @throws {UsageError} arguments that cannot be used
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}

/** A mistake of the caller. Printed without a stack; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Flags = NonNullable<ParseArgsConfig['options']>

type Parsed<F extends Flags> = ReturnType<
  typeof parseArgs<{ readonly args: string[]; readonly allowPositionals: true; readonly options: F }>
>

/**
 * Parses the arguments of the command `name`.
 *
 * @throws {UsageError} an unknown option, an option without its value, or a value that an option does not take
 */
export function readArguments<const F extends Flags>(name: string, args: readonly string[], options: F): Parsed<F> {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    throw new UsageError(problemOf(name, error as NodeJS.ErrnoException, Object.keys(options)), { cause: error })
  }
}

function problemOf(name: string, { code, message }: NodeJS.ErrnoException, known: readonly string[]): string {
  const written = /'(?:-\w, )?--([\w-]+)/.exec(message)?.[1] ?? ''
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const [near] = nearest(written, known)
    return `${name} has no such option.${near === undefined ? '' : ` Did you mean --${near}?`}`
  }
  if (!known.includes(written)) return `${name} cannot read its options.`
  if (/does not take an argument/.test(message)) return `--${written} takes no value: write --${written} alone.`
  return `--${written} needs a value: write --${written} VALUE, or --${written}=VALUE where the value begins with a dash.`
}

/** The names that differ from `written` by at most two letters, or begin with it; nearest first. */
export function nearest(written: string, known: readonly string[]): readonly string[] {
  const distances = known.map((name) => [name, distance(written, name)] as const)
  const isNear = ([name, far]: readonly [string, number]): boolean =>
    far <= Math.min(2, name.length - 1) || (written.length > 2 && (name.startsWith(written) || name.includes(written)))
  return distances
    .filter(isNear)
    .toSorted(([, a], [, b]) => a - b)
    .map(([name]) => name)
}

/** Maximum characters that are compared: an argument may be long. */
const MAX_COMPARED = 64

/** Levenshtein distance: the letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  const left = a.slice(0, MAX_COMPARED)
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (left[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row.at(-1) as number
}

export function isUrl(value: string): boolean {
  return /^https?:\/\//.test(value) && URL.canParse(value)
}

/** @throws {UsageError} a value that is not an http or https URL */
export function requireUrl(value: string | undefined, option: string): void {
  if (value !== undefined && !isUrl(value))
    throw new UsageError(`--${option} needs a URL that begins with https:// (or http:// for this machine).`)
}

/**
 * Reads a file that an option names. The message has the error's code and not the path: where the file name was
 * forgotten, the argument is a token.
 *
 * @throws {UsageError} a file that cannot be read, or is longer than `MAX_FILE` characters
 */
export async function readGivenFile(path: string, option: string, { readFile }: Terminal): Promise<string> {
  const content = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const told = FILE_PROBLEMS[cause.code ?? ''] ?? 'the file cannot be read'
    throw new UsageError(`${option}: ${told} (${cause.code ?? cause.message}).`, { cause })
  })
  if (content.length > MAX_FILE) throw new UsageError(`${option}: the file has more than ${MAX_FILE} characters.`)
  return content
}

/** Maximum characters of a file: key sets of authorization servers are read up to 256 KiB. */
const MAX_FILE = 262_144

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'this is a directory, and a file is needed',
  EACCES: 'you may not read this file',
  EPERM: 'you may not read this file'
}
