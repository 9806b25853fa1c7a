/**
 * Writes this package's messages to your log: any logger with pino's order of arguments, or `console`.
 *
 * Does NOT log token data, unless you set `evidence`, `access` or `subject`.
 */
import { hash } from 'node:crypto'
import { requireOptions } from '../src/base/options/spelling.js'
import type { Access, AccessEvent, Decision, RefusalEvent, WarningEvent } from '../src/index.js'
import { createListen } from './channels.js'

/** A logger such as pino or `console`. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[]

type Level = (typeof LEVELS)[number]

/** A console prints an object over many lines, so it gets one text. */
type TextLogger = Readonly<Record<Level, (line: string) => void>>

/** Options of `logTo()`. */
export interface LogOptions {
  /** Log only this API, by its identifier; others keep their process warnings. Default: every resource server of the process. */
  readonly resource?: string
  /** Add the received value, which comes from the token. For development machines. Default false. */
  readonly evidence?: boolean
  /**
   * Write an audit line for each request that is accepted with a token, and add the same fields to the lines of
   * refusals: the caller, the route and the decision. Default false.
   *
   * `decision` is `granted`, `refused` or `failed` (5xx); `method`; `route` is the route's pattern, if the adapter
   * knows it. If the sender was confirmed, the line has `issuer`, `scheme`, `client` (`client_id`), `actor` (`act.sub`,
   * RFC 8693 §4.1), and `jtiSha256`, the SHA-256 of `jti` in hexadecimal. The hash finds the line of a given token, but
   * does not reveal the token. Names are truncated to 256 characters.
   *
   * Does NOT contain the token, `sub`, or the requested URL.
   */
  readonly access?: boolean
  /** Add `subject` (`sub`) to audit lines: it identifies a person. Needs `access`. Default false. */
  readonly subject?: boolean
}

const EXAMPLES: Readonly<Record<keyof LogOptions, unknown>> = {
  resource: 'https://api.example.com',
  evidence: true,
  access: true,
  subject: true
}

/** Maximum characters of a name in an audit line. */
const MAX_NAME = 256

/**
 * Logs refusals, warnings and, with `access`, accepted requests.
 *
 * | event | level |
 * |---|---|
 * | a request without a token | `debug`: clients can cause it at any rate |
 * | a refused token, proof or request; a missing scope | `info` |
 * | an authorization server that is not available (503) | `warn`, with its cause as `err` |
 * | a wrong setting (500) | `error`, with its cause as `err` |
 * | a warning for the operator: an unusable key, a contradictory document | `warn` |
 * | an accepted request, only with `access` | `info` |
 *
 * The lines of refusals have `reason`, `hint`, `documentation`, `expected` (the accepted values, such as the configured
 * audiences) and, where the adapter knows them, `method`, `route` and `requestId`. A console gets one line of text.
 *
 * The process warnings of these APIs end, until the returned function is called.
 *
 * A logger that throws does not stop requests: the first error becomes a process warning.
 *
 * @returns a function that stops logging
 * @throws {TypeError} at once, for a logger that lacks one of the four methods, and for `subject` without `access`
 */
export function logTo(logger: Logger, options: LogOptions = {}): () => void {
  requireOptions('logTo()', options, EXAMPLES)
  const { resource: only, evidence = false, access: audit = false, subject = false } = options
  const missing = LEVELS.filter((level) => typeof logger?.[level] !== 'function')
  if (missing.length > 0) throw new TypeError(`logTo(): the logger lacks the methods ${missing.join(', ')}`)
  if (subject && !audit) throw new TypeError('logTo(): `subject` is for audit lines: give `access: true` as well')
  const refused = (event: RefusalEvent): unknown => {
    const { facts, error } = event
    if (only !== undefined && facts.resource !== only) return undefined
    const { status, reason } = facts
    const more = {
      ...(audit && auditOf(event, status < 500 ? 'refused' : 'failed', subject)),
      ...(evidence && { received: error.received }),
      ...(status >= 500 && error.cause !== undefined && { err: error.cause })
    }
    const level = levelOf(status, reason)
    return isConsole(logger)
      ? logger[level](event.sentence(more))
      : logger[level]({ ...facts, ...more }, `${status} ${reason}`)
  }
  const write = (level: Level, fields: object, message: string): unknown =>
    isConsole(logger) ? logger[level](lineOf(message, fields)) : logger[level](fields, message)
  const granted = (event: AccessEvent): unknown => {
    const { resource } = event
    if (only !== undefined && resource !== only) return undefined
    return write('info', { resource, ...auditOf(event, 'granted', subject) }, 'granted')
  }
  const warned = ({ resource, issuer, message }: WarningEvent): unknown =>
    only === undefined || resource === only ? write('warn', { resource, issuer }, message) : undefined
  const listen = createListen('logTo()')
  const ends = [
    listen('refusal', refused),
    listen('warning', warned),
    ...(audit ? [listen('access', granted)] : []),
    // Nothing is published here: the core looks whether anyone listens, and ends its own warnings.
    listen(only === undefined ? 'log' : `log:${only}`, () => undefined)
  ]
  return () => {
    for (const end of ends) end()
  }
}

function levelOf(status: number, reason: string): Level {
  if (status >= 500) return status === 503 ? 'warn' : 'error'
  return reason === 'credentials_missing' ? 'debug' : 'info'
}

/** True for `console` and for instances of `Console`: loggers have no method `table`. */
function isConsole(logger: Logger | TextLogger): logger is TextLogger {
  return typeof (logger as { readonly table?: unknown }).table === 'function'
}

/** Characters that begin a new line, or that a terminal interprets. */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]+/gu

function lineOf(message: string, fields: object): string {
  return `oauth-resource-server: ${message} ${JSON.stringify(fields)}`.replace(OBEYED, ' ')
}

function auditOf({ access, request }: Decision, decision: 'granted' | 'refused' | 'failed', subject: boolean): object {
  const { method, route } = request
  const line = { decision, method: cut(method), route: cut(route), ...(access && whoOf(access, subject)) }
  return Object.fromEntries(Object.entries(line).filter(([, value]) => value !== undefined))
}

function whoOf({ issuer, clientId, subject, scheme, claims }: Access, withSubject: boolean): object {
  const { jti, act } = claims
  return {
    issuer,
    scheme,
    client: cut(clientId),
    actor: cut((act as { readonly sub?: unknown } | null | undefined)?.sub),
    jtiSha256: typeof jti === 'string' ? hash('sha256', jti, 'hex') : undefined,
    ...(withSubject && { subject: cut(subject) })
  }
}

/** Truncates a name, since token values may be long; undefined for a value that is not a text. */
function cut(name: unknown): string | undefined {
  return typeof name === 'string' ? name.slice(0, MAX_NAME) : undefined
}
