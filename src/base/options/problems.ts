/**
 * Collects the mistakes in a configuration, so that one start shows all of them.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import { isObject } from '../json.js'
import { isAskedAsWritten } from '../place.js'
import { type InsecureHosts, isInsecureHost, isLoopback } from '../reach.js'
import { optionsError } from './spelling.js'
import { exampleOf, placeOf, suggest } from './suggestions.js'

interface Primitives {
  string: string
  boolean: boolean
  // biome-ignore lint/suspicious/noExplicitAny: the caller names the function's own type
  function: (...args: any[]) => any
}

/** The characters of RFC 3986, after a scheme and an authority. */
const URI = /^https?:\/\/[\w\-.~:?#[\]@!$&'()*+,;=%][\w\-.~:/?#[\]@!$&'()*+,;=%]*$/i
/** An option name as written in code. Any other name may contain a value. */
const PLAIN_NAME = /^[\w$.[\]()-]{1,128}$/

/** One mistake in a configuration. */
interface Problem {
  readonly line: string
  /** The line without the value that was given. */
  readonly withoutValue: string
  /** The given text, if the option is an address or a name. */
  readonly text: string | undefined
}

/** Views of an error that {@link Problems} created. The error's own message shows every given value. */
export interface Mistakes {
  /** The message without the given values: for a log, because values may come from a token. */
  readonly withoutValues: string
  /** True if every mistake is in an address or a name that was built from this text, or from a part of it. */
  isAllMadeOf(source: string): boolean
}

/** Options that hold secrets, or objects with secrets: no message shows a value of theirs, of whatever type. */
const SECRET =
  /(?:^|\.)(?:secret|nonceSecret|auth|authorization|jwksAuth|tokenFile|key|decryptionKeys|proxy|introspection|shared)(?:\[\d+\])?$/

/** Minimum characters of a secret. */
export const MIN_SECRET_LENGTH = 32

const MISTAKES = new WeakMap<object, Mistakes>()

/** Returns undefined for an error that {@link Problems} did not create. */
export function mistakesOf(error: unknown): Mistakes | undefined {
  return MISTAKES.get(Object(error) as object)
}

/** How a problem is worded where the given value may not be shown. */
interface Given {
  /** Replaces the problem where the value may not be shown. */
  readonly withoutValue?: string
  /** Replaces the cure there, if the cure shows the value. */
  readonly cureWithoutValue?: string
  readonly text?: string
}

export class Problems {
  readonly #problems: Problem[] = []
  readonly #prefix: string
  readonly #isResourceServer: boolean

  /**
   * @param subject           the function or object being configured: the first words of the error
   * @param isResourceServer  true if options have the places of `resourceServer()`'s, so that lines can show them
   */
  constructor(subject: string = 'resourceServer()', isResourceServer: boolean = subject === 'resourceServer()') {
    this.#prefix = subject
    this.#isResourceServer = isResourceServer
  }

  get any(): boolean {
    return this.#problems.length > 0
  }

  add(
    option: string,
    problem: string,
    cure: string,
    { withoutValue = problem, cureWithoutValue = cure, text }: Given = {}
  ): void {
    const name = PLAIN_NAME.test(option) ? option : `${option.split('.', 1)[0]?.slice(0, 32)}.…`
    this.#problems.push({
      line: `- \`${option}\` ${problem}: ${cure}`,
      withoutValue: `- \`${name}\` ${withoutValue}: ${cureWithoutValue}`,
      text
    })
  }

  /** Adds a problem with the value itself, and shows the value, except a secret's. */
  addValue(
    option: string,
    value: unknown,
    cure: string,
    how: 'is' | 'holds' = 'is',
    cureWithoutValue: string = cure
  ): void {
    this.add(option, `${how} ${SECRET.test(option) ? typeOf(value) : describe(value)}`, cure, {
      withoutValue: `${how} ${SECRET.test(option) ? typeOf(value) : kindOf(value)}`,
      cureWithoutValue,
      ...(typeof value === 'string' && { text: value })
    })
  }

  error(): TypeError {
    const problems = [...this.#problems]
    const error = optionsError(
      this.#prefix,
      problems.map(({ line }) => line)
    )
    MISTAKES.set(error, {
      withoutValues: optionsError(
        this.#prefix,
        problems.map(({ withoutValue }) => withoutValue)
      ).message,
      isAllMadeOf: (source) =>
        problems.every(
          ({ text }) => text !== undefined && text !== '' && (text.includes(source) || source.includes(text))
        )
    })
    return error
  }

  object(value: unknown, option: string): value is Record<string, unknown> {
    if (isObject(value)) return true
    this.addValue(option, value, this.#mustBe('an object', option))
    return false
  }

  /** Adds a problem for each name that is not an option, with the line to write instead. Shows no value. */
  unknownKeys(value: object, path: string, known: readonly string[]): void {
    const place = this.#isResourceServer ? placeOf(path.replace(/\.$/, '')) : undefined
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue
      const { problem, cure } = suggest(key, place, known)
      this.add(`${path}${key}`, problem, cure)
    }
  }

  #mustBe(type: string, option: string): string {
    const example = this.#isResourceServer ? exampleOf(option) : undefined
    return `it must be ${type}${example === undefined ? '' : `, such as ${example}`}`
  }

  optional<T>(value: unknown, option: string, type: keyof Primitives): T | undefined {
    if (value === undefined || typeof value === type) return value as T | undefined
    this.addValue(option, value, this.#mustBe(`a ${type}`, option))
    return undefined
  }

  number(
    value: unknown,
    option: string,
    { default: fallback, min, max, unit }: { default: number; min: number; max: number; unit: string }
  ): number {
    if (value === undefined) return fallback
    if (typeof value === 'number' && value >= min && value <= max) return value
    this.addValue(option, value, `it must be a number of ${unit} from ${min} to ${max}`)
    return fallback
  }

  oneOf<T extends string>(value: unknown, option: string, allowed: readonly T[]): T | undefined {
    if (value === undefined || allowed.includes(value as T)) return value as T | undefined
    this.addValue(option, value, `it must be one of ${allowed.map((one) => `'${one}'`).join(', ')}`)
    return undefined
  }

  arrayOf<T>(value: unknown, option: string, type: keyof Primitives): readonly T[] | undefined {
    if (Array.isArray(value) && value.every((one) => typeof one === type)) return value as T[]
    const [wrong, how] = Array.isArray(value)
      ? ([value.find((one) => typeof one !== type), 'holds'] as const)
      : ([value, 'is'] as const)
    this.addValue(option, wrong, this.#mustBe(`an array of ${type}s`, option), how)
    return undefined
  }

  /** A list of names, none of them empty. */
  names(value: unknown, option: string): readonly string[] {
    const list = this.arrayOf<string>(value, option, 'string') ?? []
    if (list.includes('')) this.add(option, 'holds an empty name', 'is a variable unset?')
    return list
  }

  /** One secret, or the current and the previous one. The problem does not show the value. */
  secrets(value: unknown, option: string): readonly string[] {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value]
    const fit = list.filter((one): one is string => typeof one === 'string' && one.length >= MIN_SECRET_LENGTH)
    if (fit.length !== list.length || fit.length < 1 || fit.length > 2)
      this.add(
        option,
        'is not a secret or a pair of secrets',
        `give a random string of at least ${MIN_SECRET_LENGTH} characters, or [current, previous]`
      )
    return fit
  }

  /**
   * An absolute https URL; http only on the loopback interface. The caller keeps the text unchanged.
   *
   * @param insecureHosts hosts where http is accepted too; undefined if the URL does not belong to an authorization
   * server
   */
  url(value: unknown, option: string, meaning: string, insecureHosts?: InsecureHosts): URL | undefined {
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    // A URL parser repairs spaces, tabs, backslashes and non-ASCII letters: the URL here would differ from the one on
    // the wire.
    if (!url || !URI.test(value as string)) {
      this.addValue(option, value, `it must be ${meaning}`)
      return undefined
    }
    if (url.protocol === 'http:' && !isLoopback(url) && !(insecureHosts && isInsecureHost(url, insecureHosts))) {
      const others = insecureHosts ? ', unless `http.insecureHosts` names the host and port' : ''
      this.addValue(option, value, `use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only${others}`)
    }
    if (/^[^/]*\/\/[^/?#]*@/.test(value as string))
      this.add(option, 'holds a user name or password', 'remove it from the URL', { text: value as string })
    return url
  }

  /** A {@link url} that requests are sent to: its path must reach the server as it is written. */
  place(value: unknown, option: string, meaning: string, insecureHosts?: InsecureHosts): URL | undefined {
    const url = this.url(value, option, meaning, insecureHosts)
    if (url === undefined || isAskedAsWritten(value as string)) return url
    const cure = 'write it without . and .. segments, encoded slashes and backslashes'
    this.addValue(
      option,
      value,
      `its path would be requested as ${url.pathname}, or a server may interpret it differently: ${cure}`,
      'is',
      `its path would be requested otherwise than it is written, or a server may interpret it differently: ${cure}`
    )
    return undefined
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (typeof value === 'string') {
    // A URL may hold a password, whichever option it was given to.
    const shown = value.replace(/\/\/[^/?#]*@/g, '//…@')
    return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 80)}…` : shown)
  }
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** A value by its type alone. */
function typeOf(value: unknown): string {
  if (typeof value !== 'object') return value === undefined ? 'missing' : `a ${typeof value}`
  return describe(value)
}

/** A value without its text, which may be a token's. */
function kindOf(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty' : `a string of ${value.length} characters`
  return describe(value)
}
