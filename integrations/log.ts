/**
 * What this package has to say, in the log that you have: any logger with pino's order of arguments, or `console`.
 *
 * Nothing of a token is in it, unless you ask for `evidence`, `access` or `subject`.
 */
import { hash } from 'node:crypto'
import type { Access, AccessEvent, Decision, RefusalEvent, WarningEvent } from '../src/index.js'
import { createListen } from './channels.js'

/** pino, or `console`. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[]

/** What `logTo()` writes, and of whom. */
export interface LogOptions {
  /** Of this API only, by its identifier. Default: of every resource server of the process. */
  readonly resource?: string
  /** Add what was expected and what came, which is from the token. For a machine of your own. Default false. */
  readonly evidence?: boolean
  /**
   * Add an audit line for each request that is let in with a token, and to the lines of refusals what such a line has: who asked, for
   * which route, and how it was decided. Default false.
   *
   * `decision` is `granted`, `refused` or `failed` (5xx); `method`; `route`, the pattern of it where the adapter knows one. Where the
   * caller was proven: `issuer`, `client` (`client_id`), `actor` (`act.sub`, RFC 8693 §4.1), and `jtiSha256`, the SHA-256 of `jti` in
   * hexadecimal, by which the line is found from a token and not the token from the line. Names are cut to 256 characters.
   *
   * Does NOT hold the token, `sub`, or the URL that was asked for.
   */
  readonly access?: boolean
  /** Add `subject` (`sub`) to audit lines: it names a person. Needs `access`. Default false. */
  readonly subject?: boolean
}

/** Characters of a name in an audit line. */
const MAX_NAME = 256

/**
 * | what | level |
 * |---|---|
 * | a request without a token | `debug`: anybody can cause it at any rate |
 * | a token, a proof or a request that is refused; a scope that lacks | `info`, with `reason`, `hint` and the URL of its `documentation` |
 * | an authorization server that cannot be asked (503) | `warn`, with its cause as `err` |
 * | a setting that is wrong (500) | `error`, with its cause as `err` |
 * | something an operator should look at: a key that cannot be used, a document that contradicts itself | `warn` |
 * | a request that is let in, with `access` alone | `info` |
 *
 * A logger that throws stops no request: the first time is a warning of the process.
 *
 * @returns ends it
 * @throws {TypeError} at once, for a logger that lacks one of the four methods, and for `subject` without `access`
 */
export function logTo(
  logger: Logger,
  { resource: only, evidence = false, access: audit = false, subject = false }: LogOptions = {}
): () => void {
  const missing = LEVELS.filter((level) => typeof logger?.[level] !== 'function')
  if (missing.length > 0) throw new TypeError(`logTo(): the logger lacks the methods ${missing.join(', ')}`)
  if (subject && !audit) throw new TypeError('logTo(): `subject` is for audit lines: give `access: true` as well')
  const refused = (event: RefusalEvent): unknown => {
    const { resource, error } = event
    if (only !== undefined && resource !== only) return undefined
    const { status, reason, hint, documentation, expected, received, cause } = error
    const fields = {
      resource,
      status,
      reason,
      hint,
      documentation,
      ...(audit && auditOf(event, status < 500 ? 'refused' : 'failed', subject)),
      ...(evidence && { expected, received }),
      ...(status >= 500 && cause !== undefined && { err: cause })
    }
    const message = `${status} ${reason}`
    if (status >= 500) return logger[status === 503 ? 'warn' : 'error'](fields, message)
    return logger[reason === 'credentials_missing' ? 'debug' : 'info'](fields, message)
  }
  const granted = (event: AccessEvent): unknown => {
    const { resource } = event
    if (only !== undefined && resource !== only) return undefined
    return logger.info({ resource, ...auditOf(event, 'granted', subject) }, 'granted')
  }
  const warned = ({ resource, issuer, message }: WarningEvent): unknown =>
    only === undefined || resource === only ? logger.warn({ resource, issuer }, message) : undefined
  const listen = createListen('logTo()')
  const ends = [listen('refusal', refused), listen('warning', warned), ...(audit ? [listen('access', granted)] : [])]
  return () => {
    for (const end of ends) end()
  }
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

/** Bounded, since a token may be long; undefined for what is not a text. */
function cut(name: unknown): string | undefined {
  return typeof name === 'string' ? name.slice(0, MAX_NAME) : undefined
}
