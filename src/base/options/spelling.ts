/**
 * The options of a function with few options: refuses a misspelt name, which would otherwise have no effect, and a value
 * of another type. `problems.ts` does this for the options of `resourceServer()`.
 *
 * Tests: `test/base/options/option-names.test.ts`.
 */

/** Maximum characters of a name that is compared with others: comparing takes the square of them. */
const MAX_NAME_LENGTH = 40

/**
 * @param caller    the function, for messages: `logTo()`
 * @param examples  an example value of each option, which also tells its type
 * @throws {TypeError} listing every name that is not an option, and every value of another type than its example
 */
export function requireOptions(caller: string, options: unknown, examples: Readonly<Record<string, unknown>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw optionsError(caller, [`- \`options\` is ${shown(options)}: it must be an object`])
  const lines = Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    if (!Object.hasOwn(examples, name))
      return [`- \`${name}\` is not an option: ${meantOf(name, Object.keys(examples))}`]
    const example = examples[name]
    if (value === undefined || typeof value === typeof example) return []
    const such = typeof example === 'function' ? '' : `, such as ${name}: ${shown(example)}`
    return [`- \`${name}\` is ${shown(value)}: it must be a ${typeof example}${such}`]
  })
  if (lines.length > 0) throw optionsError(caller, lines)
}

/** The one error of a configuration, with a line for each mistake. */
export function optionsError(caller: string, lines: readonly string[]): TypeError {
  const count = lines.length === 1 ? 'a problem' : `${lines.length} problems`
  return new TypeError(`${caller} found ${count} in its options:\n${lines.join('\n')}`)
}

/** The cure of a name that is not among these. */
export function meantOf(name: string, known: readonly string[]): string {
  const meant = closest(name, known)
  return meant === undefined ? `the options are ${known.join(', ')}` : `did you mean \`${meant}\`?`
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (value === undefined) return 'missing'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : 'an object'
}

/** The name that was probably meant: one letter in three may differ, at most two, besides case and separators. */
export function closest(name: string, known: readonly string[]): string | undefined {
  return closestOf(name, known, Math.min(2, Math.floor(plain(name).length / 3)))
}

/**
 * The known name that is nearest to a name, without regard to case and separators.
 *
 * @param most  letters that may differ
 */
export function closestOf(name: string, known: readonly string[], most: number): string | undefined {
  if (name.length > MAX_NAME_LENGTH) return undefined
  const text = plain(name)
  const ranked = known.map((one) => [distance(text, plain(one)), one] as const).toSorted(([a], [b]) => a - b)
  const [best] = ranked
  return best !== undefined && best[0] <= most ? best[1] : undefined
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[_\-\s]/g, '')
}

/** Letters to insert, remove or replace, and neighbours to swap. */
function distance(a: string, b: string): number {
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(row, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swapped = isSwap ? at(before, j - 2) + 1 : replaced
      next.push(Math.min(at(row, j) + 1, at(next, j - 1) + 1, replaced, swapped))
    }
    before = row
    row = next
  }
  return at(row, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
