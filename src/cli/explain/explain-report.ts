/**
 * Writes the report of `explain` for people. Times are words here; the JSON report keeps the numbers.
 *
 * Tests: `test/cli/explain.test.ts`.
 */
import { timeInWords, timeRefusalInWords } from '../../base/times.js'
import type { explainChecks } from '../../errors/explain.js'
import { harmless, inLine, painter, say, type Terminal, writeFinding } from '../terminal.js'

export interface Report {
  readonly verdict: 'let in' | 'refused' | 'unknown'
  readonly reason: string | null
  readonly expected: unknown
  readonly received: unknown
  readonly hint: string | null
  readonly documentation: string | null
  /** The reason that the authorization server was not reached. */
  readonly cause: string | null
  readonly remedy: string | null
  readonly checks: ReturnType<typeof explainChecks>
  readonly answer: { readonly status: number; readonly headers: Record<string, string>; readonly body: string }
}

export interface Subject {
  readonly issuer: string
  readonly resource: string
  /** True for five segments that were not decrypted: a JWE (RFC 7516 §7.1). */
  readonly encrypted: boolean
  readonly header: Readonly<Record<string, unknown>> | undefined
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Options that were missing and therefore taken from the token. */
  readonly assumed: readonly string[]
  /** Unusable keys of the file, each with the reason. */
  readonly unusedKeys: readonly string[]
  /** True for a refused token with the marks of an ID token. */
  readonly idToken: boolean
  /** The settings of the API that a module exports. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/**
 * Stands for an `iss` that cannot be configured as `issuer`. The token is then refused, and the hint says how to accept
 * it.
 */
export const NO_ISSUER = 'https://issuer.invalid'

const shown = (value: unknown): string => harmless(JSON.stringify(value, null, 2) ?? 'nothing')

export function writeReport(terminal: Terminal, report: Subject & Report): void {
  const paint = painter(terminal)
  const { idToken, checks } = report
  if (idToken) {
    say(terminal, paint('red', 'This is an ID token: let the client send the access token.'))
    say(
      terminal,
      'An ID token tells a client who signed in. An API must not accept it (RFC 9068 §5, RFC 8725 §3.11).\n'
    )
  }
  writeToken(terminal, report)
  say(terminal, `\n${paint('bold', 'Checks')}`)
  if (checks.length === 0) say(terminal, 'No check was completed: the token is not the cause.')
  for (const { name, standard, verdict } of checks)
    writeFinding(terminal, { verdict, name: `${name} ${paint('dim', standard)}` })
  if (report.reason !== null) writeReason(terminal, report)
  writeAnswer(terminal, report)
}

function writeToken(terminal: Terminal, report: Subject): void {
  const paint = painter(terminal)
  const { issuer, resource, encrypted, header, payload, assumed, unusedKeys, settings } = report
  const trusted = issuer === NO_ISSUER ? 'any issuer that can be configured' : inLine(issuer)
  say(terminal, `${paint('bold', 'Token')} as seen by the API ${inLine(resource)}, which trusts ${trusted}`)
  if (encrypted)
    say(terminal, 'It is encrypted: only the API that has the key can read it. Give the key with --decrypt.')
  else if (header === undefined || payload === undefined)
    say(terminal, 'It is opaque: only the authorization server can tell what it is for.')
  else {
    terminal.out(`${paint('dim', `header ${shown(header)}\npayload ${shown(payload)}\nsignature: not shown`)}\n`)
    const times = timesOf(payload, terminal.now())
    if (times !== '') say(terminal, times)
  }
  if (assumed.length > 0)
    say(terminal, `Taken from the token itself: ${assumed.join(', ')}. Give the values that your API has, to compare.`)
  for (const why of unusedKeys) writeFinding(terminal, { verdict: 'warning', name: inLine(`Not used: ${why}`) })
  if (settings !== undefined) terminal.out(`\n${paint('bold', 'Settings')} ${paint('dim', shown(settings))}\n`)
}

/** The times of a token in one line: `Issued 2 hours ago, expired 59 minutes ago.` */
function timesOf({ iat, nbf, exp }: Readonly<Record<string, unknown>>, now: number): string {
  const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
  const told = [
    ...(isTime(iat) ? [`issued ${timeInWords(iat, now)}`] : []),
    ...(isTime(nbf) && nbf !== iat ? [`valid from ${timeInWords(nbf, now)}`] : []),
    ...(isTime(exp) ? [`${exp <= now ? 'expired' : 'expires'} ${timeInWords(exp, now)}`] : [])
  ].join(', ')
  return told === '' ? '' : sentence(told)
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`
}

function writeReason(terminal: Terminal, report: Subject & Report): void {
  const paint = painter(terminal)
  const { reason, expected, received, hint, cause, documentation, remedy } = report
  say(terminal, `\n${paint('bold', 'Why')}  ${reason}`)
  const time = timeRefusalInWords({ reason: reason ?? '', expected, received }, terminal.now())
  if (time !== undefined) say(terminal, sentence(time))
  if (expected !== null) terminal.out(`expected  ${shown(expected)}\n`)
  if (received !== null) terminal.out(`received  ${shown(received)}\n`)
  say(terminal, inLine(hint ?? ''))
  if (cause !== null) say(terminal, `cause  ${inLine(cause)}`)
  if (documentation !== null) {
    terminal.out(`${paint('dim', documentation)}\n`)
    terminal.out(`${paint('dim', `or offline: npx oauth-resource-server explain --reason ${reason}`)}\n`)
  }
  if (remedy !== null) say(terminal, `\n${paint('bold', 'What would admit it')}\n${harmless(remedy)}`)
}

function writeAnswer(terminal: Terminal, { verdict, answer }: Report): void {
  say(terminal, `\n${painter(terminal)('bold', 'The answer')}`)
  if (verdict === 'let in') say(terminal, 'The request goes on to its handler.')
  else terminal.out(`HTTP/1.1 ${answer.status}\n`)
  for (const [name, value] of Object.entries(answer.headers)) say(terminal, `${inLine(name)}: ${inLine(value)}`)
  if (answer.body !== '') terminal.out(`\n${harmless(answer.body)}\n`)
}
