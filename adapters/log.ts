/**
 * What this package has to say, in the log that you have: any logger with pino's order of arguments, or `console`.
 *
 * Nothing of a token is in it, unless you ask for `evidence`.
 */
import type { RefusalEvent, WarningEvent } from '../src/index.js'
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
}

/**
 * | what | level |
 * |---|---|
 * | a request without a token | `debug`: anybody can cause it at any rate |
 * | a token, a proof or a request that is refused; a scope that lacks | `info`, with `reason`, `hint` and the URL of its `documentation` |
 * | an authorization server that cannot be asked (503) | `warn`, with its cause as `err` |
 * | a setting that is wrong (500) | `error`, with its cause as `err` |
 * | something an operator should look at: a key that cannot be used, a document that contradicts itself | `warn` |
 *
 * A logger that throws stops no request: the first time is a warning of the process.
 *
 * @returns ends it
 * @throws {TypeError} at once, for a logger that lacks one of the four methods
 */
export function logTo(logger: Logger, { resource: only, evidence = false }: LogOptions = {}): () => void {
  const missing = LEVELS.filter((level) => typeof logger?.[level] !== 'function')
  if (missing.length > 0) throw new TypeError(`logTo(): the logger has no ${missing.join(', no ')}`)
  const refused = ({ resource, error }: RefusalEvent): unknown => {
    if (only !== undefined && resource !== only) return undefined
    const { status, reason, hint, documentation, expected, received, cause } = error
    const fields = {
      resource,
      status,
      reason,
      hint,
      documentation,
      ...(evidence && { expected, received }),
      ...(status >= 500 && cause !== undefined && { err: cause })
    }
    const message = `${status} ${reason}`
    if (status >= 500) return logger[status === 503 ? 'warn' : 'error'](fields, message)
    return logger[reason === 'credentials_missing' ? 'debug' : 'info'](fields, message)
  }
  const warned = ({ resource, issuer, message }: WarningEvent): unknown =>
    only === undefined || resource === only ? logger.warn({ resource, issuer }, message) : undefined
  const listen = createListen('logTo()')
  const ends = [listen('refusal', refused), listen('warning', warned)]
  return () => {
    for (const end of ends) end()
  }
}
