/**
 * Requests of frameworks with a log of their own, where lines about refusals and failures belong, and what else these
 * frameworks tell about their application. Does NOT decide which
 * lines are written: the core does.
 */
import type { LogLine } from '../../src/index.js'
import { NodeRequest } from './node-request.js'

/** The used part of a Fastify request. */
interface FastifyHost {
  /** The instance of the route. */
  readonly server?: { readonly errorHandler?: unknown }
  readonly log?: { readonly [Level in LogLine['level']]?: (fields: object, message: string) => void }
}

/** Writes to `request.log`, unless it is switched off: then all its methods are the same empty function. */
export class FastifyNodeRequest extends NodeRequest {
  tell({ level, fields, message }: LogLine): boolean {
    const { log } = this.host as FastifyHost
    if (typeof log?.[level] !== 'function' || log.error === log.info) return false
    log[level](fields, message)
    return true
  }

  override get mistake(): string | undefined {
    const { server } = this.host as FastifyHost
    const isDefault = (server?.errorHandler as { readonly name?: unknown } | undefined)?.name === 'defaultErrorHandler'
    return super.mistake ?? (isDefault ? NO_HANDLER : undefined)
  }
}

const NO_HANDLER =
  'Fastify’s default error handler answers refusals, so their body is not the JSON of OAuth. Write app.setErrorHandler(errorHandler).'

/** The used part of a Koa context. */
interface KoaHost {
  readonly app?: KoaApp
}

/** The used part of a Koa application, an event emitter. */
export interface KoaApp {
  readonly onerror?: unknown
  listeners?(event: 'error'): readonly unknown[]
  emit?(event: 'error', error: unknown, context: object): unknown
}

/** Leaves a 5xx to the application's own `error` listeners, which get the error itself. */
export class KoaNodeRequest extends NodeRequest {
  tell({ level }: LogLine): boolean {
    return level !== 'info' && hasOwnListener((this.host as KoaHost).app)
  }
}

/** False for an application that has only Koa's default listener: it prints the stack, and the hint is not part of it. */
export function hasOwnListener(app: KoaApp | undefined): boolean {
  return app?.listeners?.('error').some((listener) => listener !== app.onerror) ?? false
}
