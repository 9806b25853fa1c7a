/**
 * Parses `WWW-Authenticate` strictly by RFC 9110 §11.6.1, and answers the questions that many checks ask of a response.
 *
 * The parser is written from the grammar and shares nothing with the code that writes challenges in this package.
 *
 * Tests: `test/conformance/challenge.test.ts`.
 */
import type { WireResponse } from './check.js'

export interface Challenge {
  /** As written. */
  readonly scheme: string
  /** In order; names as written, repetition included. */
  readonly parameters: readonly Parameter[]
}

interface Parameter {
  readonly name: string
  /** Without quotes and escapes. */
  readonly value: string
  readonly isQuoted: boolean
}

export interface Challenges {
  /** The challenges up to the first character that the grammar forbids. */
  readonly challenges: readonly Challenge[]
  /** The problem of grammar, and its place. Undefined if nothing does. */
  readonly problem: string | undefined
}

/** `token` of RFC 9110 §5.6.2. */
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
/** `quoted-string` of RFC 9110 §5.6.4; Node.js gives octets above 0x7F as Latin-1. */
const QUOTED = /"((?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*)"/y
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y
const SPACES = / +/y
const EQUALS = /[ \t]*=[ \t]*/y
const COMMAS = /[ \t]*(?:,[ \t]*)+/y

/** All challenges of a response: a field line may hold several, and there may be several lines. */
export function challengesOf(response: WireResponse): Challenges {
  const challenges: Challenge[] = []
  for (const line of valuesOf(response, 'www-authenticate')) {
    const { challenges: found, problem } = parseLine(line)
    challenges.push(...found)
    if (problem !== undefined) return { challenges, problem: `${problem} of ${JSON.stringify(line.slice(0, 200))}` }
  }
  return { challenges, problem: undefined }
}

/** The challenge of a scheme, without regard to case. */
export function challengeOf(response: WireResponse, scheme = 'Bearer'): Challenge | undefined {
  return challengesOf(response).challenges.find((one) => one.scheme.toLowerCase() === scheme.toLowerCase())
}

/** A parameter of a challenge, without regard to case. */
export function parameterOf(challenge: Challenge | undefined, name: string): string | undefined {
  return challenge?.parameters.find((one) => one.name.toLowerCase() === name.toLowerCase())?.value
}

/** The values of all lines of a field. `name` in lower case. */
export function valuesOf({ fields }: Pick<WireResponse, 'fields'>, name: string): readonly string[] {
  return fields.filter(([one]) => one === name).map(([, value]) => value)
}

/** A field's value, lines joined by a comma. Undefined if there is no such line. */
export function fieldOf(response: Pick<WireResponse, 'fields'>, name: string): string | undefined {
  const values = valuesOf(response, name)
  return values.length === 0 ? undefined : values.join(', ')
}

function parseLine(line: string): Challenges {
  const challenges: Challenge[] = []
  let at = 0
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(line)
    if (found === null) return undefined
    at += found[0].length
    return found
  }
  const stop = (problem: string): Challenges => ({ challenges, problem: `${problem} at character ${at}` })
  let parameters: Parameter[] | undefined
  match(COMMAS)
  while (at < line.length) {
    const start = at
    const name = match(TOKEN)?.[0]
    if (name === undefined) return stop('no scheme or parameter name')
    const isParameter = parameters !== undefined && match(EQUALS) !== undefined
    if (isParameter) {
      const quoted = match(QUOTED)
      const value = quoted?.[1]?.replace(/\\(.)/g, '$1') ?? match(TOKEN)?.[0]
      if (value === undefined) return stop(`no token or quoted-string as the value of ${name}`)
      parameters?.push({ name, value, isQuoted: quoted !== undefined })
    } else {
      at = start
      const next = readScheme(match)
      if (next === undefined) return stop('no scheme')
      parameters = next
      challenges.push({ scheme: name, parameters })
      // A scheme with parameters goes on with the first of them; alone or with token68 it ends at a comma.
      if (parameters.length === 0 && line[at - 1] === ' ') continue
    }
    if (at < line.length && match(COMMAS) === undefined) return stop('neither a comma nor the end')
  }
  return { challenges, problem: undefined }
}

/** Reads a scheme, the spaces after it, and token68 if one follows. A token68 is told as a parameter without a name. */
function readScheme(match: (pattern: RegExp) => RegExpExecArray | undefined): Parameter[] | undefined {
  if (match(TOKEN) === undefined) return undefined
  if (match(SPACES) === undefined) return []
  const token68 = match(TOKEN68)?.[0]
  return token68 === undefined ? [] : [{ name: '', value: token68, isQuoted: false }]
}
