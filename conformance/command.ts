/**
 * The command `conformance`: reads flags and the configuration file, asks once about a host that is not private, shows progress,
 * and writes the reports.
 *
 * Tests: `test/conformance/command.test.ts`.
 */
import { X509Certificate } from 'node:crypto'
import { access, constants, stat, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline/promises'
import { createSecureContext } from 'node:tls'
import { readArguments, readGivenFile, UsageError } from '../src/cli/command.js'
import type { Terminal } from '../src/cli/terminal.js'
import { type Binding, type Level, PROFILES, type Profile } from './check.js'
import { CHECKS } from './checks/index.js'
import { type Config, readConfig } from './config.js'
import { type Bounded, boundProblem } from './engine/bounds.js'
import { isPrivateHost } from './engine/place.js'
import {
  declaredBy,
  farewell,
  ISSUER_FLAGS,
  ISSUER_HELP,
  type IssuerValues,
  startIssuer,
  wantsIssuer
} from './issuer-flags.js'
import { badge, htmlReport, jsonReport, junitReport, progressLine, terminalReport } from './report/index.js'
import { exitCodeOf, type Report } from './report/report.js'
import { type ConformanceOptions, RunProblem, readyRun, runConformance } from './run.js'

export const HELP: string = `Usage:
  oauth-resource-server conformance URL [options]

Holds an API, in any language, to the RFCs that concern a resource server: give
the URL of a route that needs a token. Test only servers that are yours.

  --profile NAME          only this group of checks; may be repeated:
                          ${PROFILES.slice(0, 6).join(' ')}
                          ${PROFILES.slice(6).join(' ')}
  --only ID, --skip ID    only, or all but, these checks; rfc6750-* for several
  --bail                  end after the first failure
  --list                  print the checks, and send nothing
  --methods               allow methods other than GET, HEAD and OPTIONS
  --rate NUMBER           requests a second (2; unlimited for a private host)
  --max-requests NUMBER   requests in all (300; unlimited for a private host)
  --timeout SECONDS       until a request without an answer fails (10)
  --wait SECONDS          for an API that starts after this command (0)
  --binding NAME          the API takes only tokens bound by dpop or certificate
  --mine                  the host is yours: do not ask
  --ca FILE               PEM of the authority of the API's certificate
  --fail-on LEVEL         MUST, SHOULD (default), MAY or hardening
  --verbose               passed checks, all requests, and the texts
  --json FILE, --junit FILE, --html FILE, --badge FILE
                          write a report; - is standard output
  --config FILE           default: conformance.config.json, .mjs or .js
${ISSUER_HELP}
Exit code:
  0  nothing failed of the level of --fail-on or a stricter one
  1  something failed
  2  the API was not reached, a check was not run, none of the checks applied,
     or the arguments are wrong

This is no certification by OpenID or MCP.
`

const FLAGS = {
  profile: { type: 'string', multiple: true },
  only: { type: 'string', multiple: true },
  skip: { type: 'string', multiple: true },
  bail: { type: 'boolean' },
  list: { type: 'boolean' },
  methods: { type: 'boolean' },
  rate: { type: 'string' },
  'max-requests': { type: 'string' },
  timeout: { type: 'string' },
  wait: { type: 'string' },
  binding: { type: 'string' },
  mine: { type: 'boolean' },
  ca: { type: 'string' },
  'fail-on': { type: 'string' },
  verbose: { type: 'boolean' },
  json: { type: 'string' },
  junit: { type: 'string' },
  html: { type: 'string' },
  badge: { type: 'string' },
  config: { type: 'string' },
  ...ISSUER_FLAGS
} as const

/** Parts that tests replace. */
export interface Surroundings {
  /** Where the configuration file and the reports are. Default: the current folder. */
  readonly folder?: string
  /** Asks a question of yes and no. Default: on an interactive terminal; otherwise undefined, and `--mine` is needed. */
  readonly ask?: ((question: string) => Promise<boolean>) | undefined
}

/** @returns the exit code */
export async function runCommand(
  args: readonly string[],
  terminal: Terminal,
  surroundings: Surroundings = {}
): Promise<number> {
  const { folder = process.cwd(), ask = process.stdin.isTTY ? askOnTerminal : undefined } = surroundings
  try {
    const { values, positionals } = readArguments('conformance', args, FLAGS)
    if (values.list === true) return list(terminal)
    if (positionals.length > 1) throw new UsageError('conformance takes one URL, and got more than one argument.')
    const config = merge(await readConfig(folder, values.config), values, positionals[0], folder)
    const url = config.url
    if (url === undefined || !URL.canParse(url))
      throw new UsageError(
        'conformance needs the URL of a route that needs a token, which begins with https:// or http://: conformance https://api.example.com/orders'
      )
    await requireFiles(config, folder)
    const mine = config.mine === true || (await isMine(new URL(url), ask))
    const report = await runWithIssuer(url, { ...config, mine }, { ...config.issuer, ...values }, terminal)
    await write(report, config, folder, terminal)
    return exitCodeOf(report, config.failOn)
  } catch (error) {
    if (error instanceof RunProblem) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** Runs the checks, with the authorization server of the suite if a flag asks for it. */
async function runWithIssuer(url: string, config: Config, values: IssuerValues, terminal: Terminal): Promise<Report> {
  const options = await optionsOf(config, terminal)
  const tellWait = (): void => {
    if (config.wait !== undefined) terminal.err(`Waiting at most ${config.wait} seconds for ${url}.\n`)
  }
  if (!wantsIssuer(values)) {
    tellWait()
    return runConformance(url, options)
  }
  const { declared: flagged, has } = declaredBy(values)
  const declared = { ...config.declared, ...flagged }
  readyRun(url, { ...options, declared })
  const issuer = await startIssuer(values, new URL(url), terminal)
  try {
    tellWait()
    return await runConformance(url, {
      ...options,
      issuer,
      declared,
      has: [...has, ...(config.has ?? [])],
      methods: config.methods ?? (declared.eventTarget !== undefined || declared.logoutTarget !== undefined)
    })
  } finally {
    await issuer.close()
    terminal.err(farewell(issuer))
  }
}

function list(terminal: Terminal): number {
  for (const { id, level, title } of CHECKS) terminal.out(`${id} (${level})\n  ${title}\n`)
  return 0
}

type Values = ReturnType<typeof readArguments<typeof FLAGS>>['values']

/** Flags over the members of the file. */
function merge(config: Config, values: Values, url: string | undefined, folder: string): Config {
  const failOn = values['fail-on'] ?? config.failOn
  if (failOn !== undefined && !['MUST', 'SHOULD', 'MAY', 'hardening'].includes(failOn))
    throw new UsageError('--fail-on needs MUST, SHOULD, MAY or hardening.')
  const base = values.config === undefined ? folder : dirname(resolve(folder, values.config))
  const given: Config = {
    ...(url !== undefined && { url }),
    ...(values.profile !== undefined && { profiles: values.profile as Profile[] }),
    ...(values.only !== undefined && { only: values.only }),
    ...(values.skip !== undefined && { skip: values.skip }),
    ...(values.bail !== undefined && { bail: values.bail }),
    ...(values.verbose !== undefined && { verbose: values.verbose }),
    ...(values.methods !== undefined && { methods: values.methods }),
    ...(values.mine !== undefined && { mine: values.mine }),
    ...(values.rate !== undefined && { rate: numberOf(values.rate, 'rate') }),
    ...(values['max-requests'] !== undefined && {
      maxRequests: numberOf(values['max-requests'], 'max-requests', 'maxRequests')
    }),
    ...(values.timeout !== undefined && { timeout: numberOf(values.timeout, 'timeout') }),
    ...(values.wait !== undefined && { wait: numberOf(values.wait, 'wait') }),
    ...(values.binding !== undefined && { declared: { ...config.declared, binding: values.binding as Binding } }),
    ...(values.json !== undefined && { json: values.json }),
    ...(values.junit !== undefined && { junit: values.junit }),
    ...(values.html !== undefined && { html: values.html }),
    ...(values.badge !== undefined && { badge: values.badge })
  }
  const ca = values.ca === undefined ? config.ca && resolve(base, config.ca) : resolve(folder, values.ca)
  return {
    ...config,
    ...given,
    ...(ca !== undefined && { ca }),
    ...(failOn !== undefined && { failOn: failOn as Level })
  }
}

function numberOf(text: string, flag: string, name: Bounded = flag as Bounded): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const problem = boundProblem(name, value)
  if (problem === undefined) return value
  throw new UsageError(`--${flag} ${problem}.`)
}

/** Asks once. Without a terminal, the run itself says that --mine is missing. */
async function isMine(url: URL, ask: Surroundings['ask']): Promise<boolean> {
  if (ask === undefined || (await isPrivateHost(url).catch(() => true))) return false
  const isYes = await ask(
    `The suite will send up to 300 requests to ${url.host}, some of them malformed. Is this server yours, or may you test it? [y/N] `
  )
  if (!isYes) throw new UsageError('Nothing was sent. Test servers that are yours.')
  return true
}

async function askOnTerminal(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(?:es)?$/i.test((await lines.question(question)).trim())
  } finally {
    lines.close()
  }
}

async function optionsOf(config: Config, terminal: Terminal): Promise<ConformanceOptions> {
  const clear = (): void => {
    if (terminal.isTTY) terminal.err('\r\u001b[K')
  }
  const { url: _url, issuer: _issuer, ...options } = config
  return {
    ...options,
    ca: config.ca === undefined ? undefined : await readAuthority(config.ca, terminal),
    timeout: config.timeout === undefined ? undefined : config.timeout * 1000,
    onStart: ({ id }, index, total) => {
      if (terminal.isTTY) terminal.err(`\r\u001b[K${progressLine(index, total, id, terminal.columns)}`)
    },
    onWait: (seconds) => {
      clear()
      terminal.err(`The API asks for fewer requests (429): waiting ${seconds} seconds. Lower --rate to avoid this.\n`)
    },
    onResult: clear
  }
}

/** @throws {UsageError} a file that has no certificate in PEM */
async function readAuthority(path: string, terminal: Terminal): Promise<string> {
  const pem = await readGivenFile(path, '--ca', terminal)
  try {
    createSecureContext({ ca: new X509Certificate(pem).toString() })
    return pem
  } catch (cause) {
    throw new UsageError(
      '--ca: the file holds no certificate in PEM. Give a file with -----BEGIN CERTIFICATE-----, the certificate of the authority.',
      { cause }
    )
  }
}

/**
 * Looks at the files of the reports before anything is sent: a run may take ten minutes.
 *
 * @throws {UsageError} two reports on standard output, or a file that cannot be written
 */
async function requireFiles({ json, junit, html, badge }: Config, folder: string): Promise<void> {
  const files = Object.entries({ json, junit, html, badge }).filter(([, file]) => file !== undefined)
  const standard = files.filter(([, file]) => file === '-').map(([flag]) => `--${flag}`)
  if (standard.length > 1)
    throw new UsageError(
      `Standard output holds one report, and ${standard.join(' and ')} name it. Write the others to files.`
    )
  for (const [flag, file = ''] of files) {
    if (file === '-') continue
    if (file === '') throw new UsageError(`--${flag} needs the name of a file, and got an empty text.`)
    const path = resolve(folder, file)
    if (
      await stat(path).then(
        (one) => one.isDirectory(),
        () => false
      )
    )
      throw new UsageError(`--${flag} needs the name of a file, and got that of a folder (EISDIR).`)
    await access(dirname(path), constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
      throw new UsageError(
        `The report of --${flag} cannot be written (${cause.code}): name a file in a folder that exists and that you may write to.`,
        { cause }
      )
    })
  }
}

async function write(report: Report, config: Config, folder: string, terminal: Terminal): Promise<void> {
  const forms = [
    [config.json, () => jsonReport(report)],
    [config.junit, () => junitReport(report, config.failOn)],
    [config.html, () => htmlReport(report)],
    [config.badge, () => badge(report)]
  ] as const
  for (const [file, text] of forms) {
    if (file === '-') terminal.out(text())
    else if (file !== undefined) await writeTo(resolve(folder, file), text())
  }
  // Standard output holds one report.
  if (forms.some(([file]) => file === '-')) return
  const style = { columns: Math.min(terminal.columns ?? 80, 100), hasColour: terminal.isTTY && !terminal.noColor }
  terminal.out(terminalReport(report, style, config.verbose))
}

async function writeTo(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text)
  } catch (cause) {
    throw new UsageError(
      `The report cannot be written (${(cause as NodeJS.ErrnoException).code}): check the folder of the file.`,
      { cause }
    )
  }
}
