/**
 * A strict reader of `WWW-Authenticate` for tests: RFC 9110 §11.6.1 and §5.6, with the character sets of RFC 6750 §3 and
 * nothing forgiven. Written from the grammar, not from the code that writes challenges, so that one checks the other.
 */

export interface Challenge {
  readonly scheme: string
  /** Parameters in order; names as written. */
  readonly parameters: readonly Parameter[]
}

export interface Parameter {
  readonly name: string
  readonly value: string
  /** True for a quoted-string, false for a token. */
  readonly quoted: boolean
}

/** `token` of RFC 9110 §5.6.2. */
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
/** `quoted-string` of RFC 9110 §5.6.4, of ASCII: no control character but the tab, every `"` and `\` escaped. */
const QUOTED_STRING = /"((?:[\t \x21\x23-\x5B\x5D-\x7E]|\\[\t \x21-\x7E])*)"/y
const OPTIONAL_SPACE = /[ \t]*/y

/** What RFC 6750 §3 allows in each of its own parameters, after unquoting. */
const VALUES: Readonly<Record<string, RegExp>> = {
  error: /^[\x20\x21\x23-\x5B\x5D-\x7E]+$/,
  error_description: /^[\x20\x21\x23-\x5B\x5D-\x7E]+$/,
  error_uri: /^[\x21\x23-\x5B\x5D-\x7E]+$/,
  scope: /^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$/
}

/**
 * The one challenge that a field line holds.
 *
 * @throws {SyntaxError} anything that the grammar does not allow: no parameter, a repeated one, an unquoted `realm`,
 *   a character out of place, a second challenge
 */
export function parseChallenge(line: string): Challenge {
  let at = 0
  const fail = (problem: string): never => {
    throw new SyntaxError(`${problem} at ${at} of ${JSON.stringify(line)}`)
  }
  const match = (pattern: RegExp, name: string): RegExpExecArray => {
    pattern.lastIndex = at
    const found = pattern.exec(line) ?? fail(`no ${name}`)
    at += found[0].length
    return found
  }
  const scheme = match(TOKEN, 'auth-scheme')[0]
  if (line[at] !== ' ') fail('no space after the scheme')
  while (line[at] === ' ') at += 1
  const parameters: Parameter[] = []
  const seen = new Set<string>()
  for (;;) {
    const name = match(TOKEN, 'parameter name')[0]
    if (seen.has(name.toLowerCase())) fail(`${name} again`)
    seen.add(name.toLowerCase())
    if (line[at] !== '=') fail('no = after the name')
    at += 1
    const quoted = line[at] === '"'
    const found = match(quoted ? QUOTED_STRING : TOKEN, 'value')
    const value = quoted ? (found[1] as string).replace(/\\(.)/g, '$1') : found[0]
    if (!quoted) fail(`${name} is not quoted`)
    if (VALUES[name] && !VALUES[name].test(value)) fail(`${name} has a character that RFC 6750 §3 forbids`)
    parameters.push({ name, value, quoted })
    if (at === line.length) return { scheme, parameters }
    match(OPTIONAL_SPACE, 'space')
    if (line[at] !== ',') fail('neither a comma nor the end')
    at += 1
    match(OPTIONAL_SPACE, 'space')
  }
}
