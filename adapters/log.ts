/**
 * What this package has to say, in the log that you have: any logger with pino's order of arguments, or `console`.
 *
 * Nothing of a token is in it, unless you ask for `evidence`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { RefusalEvent, WarningEvent } from '../src/index.js'

/** pino, or `console`. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

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
 * @returns ends it
 */
export function logTo(logger: Logger, { resource: only, evidence = false }: LogOptions = {}): () => void {
  const refused = (event: unknown): void => {
    const { resource, error } = event as RefusalEvent
    if (only !== undefined && resource !== only) return
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
    if (status >= 500) logger[status === 503 ? 'warn' : 'error'](fields, message)
    else logger[reason === 'credentials_missing' ? 'debug' : 'info'](fields, message)
  }
  const warned = (event: unknown): void => {
    const { resource, issuer, message } = event as WarningEvent
    if (only === undefined || resource === only) logger.warn({ resource, issuer }, message)
  }
  subscribe('oauth-resource-server:refusal', refused)
  subscribe('oauth-resource-server:warning', warned)
  return () => {
    unsubscribe('oauth-resource-server:refusal', refused)
    unsubscribe('oauth-resource-server:warning', warned)
  }
}
