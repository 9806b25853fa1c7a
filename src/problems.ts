/** Collects what is wrong with a configuration, so that one start shows everything there is to mend. */

interface Primitives {
  string: string
  boolean: boolean
  // biome-ignore lint/suspicious/noExplicitAny: the caller names the function's own type
  function: (...args: any[]) => any
}

/** The characters of RFC 3986, after a scheme and an authority. */
const URI = /^https?:\/\/[\w\-.~:?#[\]@!$&'()*+,;=%][\w\-.~:/?#[\]@!$&'()*+,;=%]*$/i
/** Not `*.localhost`: what a resolver makes of such a name is not certain. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** True for a URL that stays on this machine, where plain http is no risk. */
export function isLoopback(url: URL): boolean {
  return LOOPBACK.test(url.hostname)
}

export class Problems {
  readonly #lines: string[] = []
  readonly #prefix: string

  /** @param subject what is configured, the first words of the error */
  constructor(subject: string = 'resourceServer()') {
    this.#prefix = subject
  }

  get any(): boolean {
    return this.#lines.length > 0
  }

  add(option: string, problem: string, cure: string): void {
    this.#lines.push(`- \`${option}\` ${problem}: ${cure}`)
  }

  error(): TypeError {
    const count = this.#lines.length === 1 ? 'a problem' : `${this.#lines.length} problems`
    return new TypeError(`${this.#prefix} found ${count} in its options:\n${this.#lines.join('\n')}`)
  }

  object(value: unknown, option: string): value is Record<string, unknown> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return true
    this.add(option, `is ${describe(value)}`, 'it must be an object')
    return false
  }

  /** @param renamed  a former name → the line that takes its place */
  unknownKeys(
    value: object,
    path: string,
    known: readonly string[],
    renamed: Readonly<Record<string, string>> = {}
  ): void {
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue
      const line = Object.hasOwn(renamed, key) ? renamed[key] : undefined
      if (line === undefined) this.add(`${path}${key}`, 'is not an option', `the options are ${known.join(', ')}`)
      else this.add(`${path}${key}`, 'was renamed', `write ${line}`)
    }
  }

  optional<T>(value: unknown, option: string, type: keyof Primitives): T | undefined {
    if (value === undefined || typeof value === type) return value as T | undefined
    this.add(option, `is ${describe(value)}`, `it must be a ${type}`)
    return undefined
  }

  number(
    value: unknown,
    option: string,
    { default: fallback, min, max, unit }: { default: number; min: number; max: number; unit: string }
  ): number {
    if (value === undefined) return fallback
    if (typeof value === 'number' && value >= min && value <= max) return value
    this.add(option, `is ${describe(value)}`, `it must be a number of ${unit} from ${min} to ${max}`)
    return fallback
  }

  oneOf<T extends string>(value: unknown, option: string, allowed: readonly T[]): T | undefined {
    if (value === undefined || allowed.includes(value as T)) return value as T | undefined
    this.add(option, `is ${describe(value)}`, `it must be one of ${allowed.map((one) => `'${one}'`).join(', ')}`)
    return undefined
  }

  arrayOf<T>(value: unknown, option: string, type: keyof Primitives): readonly T[] | undefined {
    if (Array.isArray(value) && value.every((one) => typeof one === type)) return value as T[]
    const other = Array.isArray(value) ? value.find((one) => typeof one !== type) : undefined
    const problem = Array.isArray(value) ? `holds ${describe(other)}` : `is ${describe(value)}`
    this.add(option, problem, `it must be an array of ${type}s`)
    return undefined
  }

  /** Several names, none of them empty. */
  names(value: unknown, option: string): readonly string[] {
    const list = this.arrayOf<string>(value, option, 'string') ?? []
    if (list.includes('')) this.add(option, 'holds an empty name', 'is a variable unset?')
    return list
  }

  /** An absolute https URL; http only on the loopback interface. The text is kept by the caller as it is. */
  url(value: unknown, option: string, meaning: string): URL | undefined {
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    // What a URL parser mends (blanks, tabs, backslashes, other alphabets) would be one thing here and another on the wire.
    if (!url || !URI.test(value as string)) {
      this.add(option, `is ${describe(value)}`, `it must be ${meaning}`)
      return undefined
    }
    if (url.protocol === 'http:' && !isLoopback(url)) {
      this.add(option, `is ${describe(value)}`, 'use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only')
    }
    if (/^[^/]*\/\/[^/?#]*@/.test(value as string))
      this.add(option, 'holds a user name or password', 'take it out of the URL')
    return url
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
