/**
 * Reads `conformance.config.json`, `.mjs` or `.js`: the options of the command, for CI.
 *
 * Tests: `test/conformance/config.test.ts`.
 */
import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Declared, type Level, type Need, PROFILES, type Profile } from './check.js'
import { type Bounded, boundProblem } from './engine/bounds.js'
import { RunProblem } from './engine/select.js'
import { type IssuerValues, issuerValuesOf } from './issuer-flags.js'

/** Members of the file. A flag of the command replaces the member of the same meaning. */
export interface Config {
  readonly url?: string
  readonly profiles?: readonly Profile[]
  readonly only?: readonly string[]
  readonly skip?: readonly string[]
  readonly bail?: boolean
  readonly verbose?: boolean
  readonly methods?: boolean
  readonly mine?: boolean
  /** Requests a second. */
  readonly rate?: number
  readonly maxRequests?: number
  /** Seconds. */
  readonly timeout?: number
  /** Seconds to wait for the API to start. */
  readonly wait?: number
  /** A PEM file, from the folder of the configuration. */
  readonly ca?: string
  readonly failOn?: Level
  /** Files that the reports are written to. */
  readonly json?: string
  readonly junit?: string
  readonly html?: string
  readonly badge?: string
  /** Features of the API that no request can find out. */
  readonly has?: readonly Need[]
  readonly declared?: Declared
  /** Flags of the authorization server of the suite, by their names without dashes. */
  readonly issuer?: IssuerValues
}

const NAMES = ['conformance.config.json', 'conformance.config.mjs', 'conformance.config.js']

type Kind = 'string' | 'boolean' | 'number' | 'strings' | 'object'

const KINDS: Readonly<Record<keyof Config, Kind>> = {
  url: 'string',
  profiles: 'strings',
  only: 'strings',
  skip: 'strings',
  bail: 'boolean',
  verbose: 'boolean',
  methods: 'boolean',
  mine: 'boolean',
  rate: 'number',
  maxRequests: 'number',
  timeout: 'number',
  wait: 'number',
  ca: 'string',
  failOn: 'string',
  json: 'string',
  junit: 'string',
  html: 'string',
  badge: 'string',
  has: 'strings',
  declared: 'object',
  issuer: 'object'
}

const LEVELS: readonly string[] = ['MUST', 'SHOULD', 'MAY', 'hardening']

/**
 * The configuration of a file, or of the first of the three names in the folder. Empty if there is none.
 *
 * @throws {RunProblem} a file that cannot be read, an unknown member, or a member of another type
 */
export async function readConfig(folder: string, file?: string): Promise<Config> {
  const path = file === undefined ? await findConfig(folder) : resolve(folder, file)
  if (path === undefined) return {}
  return checkConfig(await load(path), path)
}

async function findConfig(folder: string): Promise<string | undefined> {
  for (const name of NAMES) {
    const path = join(folder, name)
    const isThere = await access(path).then(
      () => true,
      () => false
    )
    if (isThere) return path
  }
  return undefined
}

async function load(path: string): Promise<unknown> {
  try {
    if (path.endsWith('.json')) return JSON.parse(await readFile(path, 'utf8'))
    return ((await import(pathToFileURL(path).href)) as { default?: unknown }).default
  } catch (cause) {
    throw new RunProblem(
      `${path} cannot be read: ${(cause as Error).message}. Write a JSON object, or export default an object.`,
      { cause }
    )
  }
}

/** @throws {RunProblem} */
function checkConfig(value: unknown, path: string): Config {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RunProblem(`${path} holds ${kindOf(value)}. Write a JSON object, or export default an object.`)
  for (const [name, member] of Object.entries(value)) {
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name as keyof Config] : undefined
    if (kind === undefined)
      throw new RunProblem(`${path} has the unknown member ${name}. Known: ${Object.keys(KINDS).join(', ')}.`)
    if (!isOfKind(member, kind))
      throw new RunProblem(`${path}: ${name} must be ${WORDS[kind]}, and is ${JSON.stringify(member)?.slice(0, 60)}.`)
    const problem = kind === 'number' ? boundProblem(name as Bounded, member) : undefined
    if (problem !== undefined) throw new RunProblem(`${path}: ${name} ${problem}, and is ${String(member)}.`)
  }
  const config = value as Config
  const profile = config.profiles?.find((one) => !PROFILES.includes(one))
  if (profile !== undefined)
    throw new RunProblem(`${path}: ${profile} is not a profile. Use one of these: ${PROFILES.join(', ')}.`)
  if (config.failOn !== undefined && !LEVELS.includes(config.failOn))
    throw new RunProblem(`${path}: failOn must be one of ${LEVELS.join(', ')}.`)
  return config.issuer === undefined ? config : { ...config, issuer: issuerValuesOf(config.issuer, path) }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'no default export'
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

const WORDS: Readonly<Record<Kind, string>> = {
  string: 'a text',
  boolean: 'true or false',
  number: 'a number',
  strings: 'a list of texts',
  object: 'an object'
}

function isOfKind(value: unknown, kind: Kind): boolean {
  if (kind === 'strings') return Array.isArray(value) && value.every((one) => typeof one === 'string')
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === kind
}
