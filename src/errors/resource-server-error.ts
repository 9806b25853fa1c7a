/**
 * The base class of all errors of this package. It carries its complete HTTP response (status, body, header fields), so
 * adapters need no knowledge of specific errors.
 *
 * The message, the first line of the stack and the body are fixed words without data of a token or request, since
 * frameworks send any of the three. `hint` tells the operator what went wrong. `received` holds the received value; it
 * is not enumerable, so logging the whole error does not print it.
 *
 * Tests: `test/errors/errors.test.ts`.
 */

import type { HeaderFields } from '../types.js'
import { reduceErrorText } from './challenge.js'

/** Folder of the site with one page per reason, made from docs/troubleshooting.md. */
const REASONS = 'https://oauth-resource-server.github.io/oauth-resource-server/reasons'

/** Details for the operator: never sent, never enumerable. */
export interface Evidence {
  readonly expected?: unknown
  readonly received?: unknown
}

/** Constructor arguments of an error. */
export interface Answer extends Evidence {
  readonly status: number
  /** OAuth error code of the body (and of the challenge, for a {@link Refusal}). */
  readonly code?: string
  readonly reason: string
  readonly description: string
  readonly hint: string
  readonly cause?: unknown
  /** `false` creates no stack trace. Default: a stack trace, as for any error. */
  readonly stack?: false
}

/** Base of all errors: a status, a body, header fields, and a reason for the log. */
export abstract class ResourceServerError extends Error {
  /** HTTP status code. */
  readonly status: number
  /** `error` of the response body, or undefined where RFC 6750 §3.1 requires none. */
  readonly code: string | undefined
  /** A stable, low-cardinality name for logs and metrics. */
  readonly reason: string
  /** One sentence for the client, in fixed words. */
  readonly description: string
  /** Advice for the operator: what to look at or change. Not sent to the client. */
  readonly hint: string
  readonly #expected: unknown
  readonly #received: unknown

  protected constructor(answer: Answer) {
    const { stackTraceLimit } = Error
    // Clients can cause these errors at any rate, and `reason` tells as much as the stack. So no stack is captured: it
    // would be most of the cost of a refusal. If the limit cannot be set, a stack is captured anyway.
    if (answer.stack === false) Reflect.set(Error, 'stackTraceLimit', 0)
    super(answer.description, answer.cause === undefined ? undefined : { cause: answer.cause })
    if (answer.stack === false) Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
    this.status = answer.status
    this.code = answer.code
    this.reason = answer.reason
    this.description = answer.description
    this.hint = answer.hint
    this.#expected = answer.expected
    this.#received = answer.received
  }

  /** The class name. */
  override get name(): string {
    return this.constructor.name
  }

  // Assignable, as on any Error.
  override set name(value: string) {
    Object.defineProperty(this, 'name', { value, configurable: true, writable: true })
  }

  /** The accepted values, where that helps. Not enumerable. */
  get expected(): unknown {
    return this.#expected
  }

  /** The received value. It comes from the token, so handle it with care. Not enumerable. */
  get received(): unknown {
    return this.#received
  }

  /**
   * URL of the page about {@link reason}: its meaning, and what to change. For the operator, as `hint` is. Not enumerable.
   * Without a network, `npx oauth-resource-server explain --reason …` prints the same.
   */
  get documentation(): string {
    return `${REASONS}/${this.reason}`
  }

  #headers: HeaderFields | undefined

  /**
   * Header fields of the response; a list has one entry per line. An adapter merges them with the response's own and
   * sets the result, because frameworks differ on whether an error's fields or the response's survive.
   */
  get headers(): HeaderFields {
    this.#headers ??= this.ownHeaders()
    return this.#headers
  }

  set headers(fields: HeaderFields) {
    this.#headers = fields
  }

  /** Clears the cached fields, so that the next read builds them again. */
  protected forgetHeaders(): void {
    this.#headers = undefined
  }

  /** Builds the header fields of this error. */
  protected abstract ownHeaders(): HeaderFields

  /** True if the client may read `message` (the convention of http-errors, which Koa follows). */
  get expose(): boolean {
    return this.status < 500
  }

  /** Same as `status`, under the name that Express and Fastify read. */
  get statusCode(): number {
    return this.status
  }

  /** The response body as a JSON value, or undefined where the response has no body. */
  toJSON(): { error: string; error_description?: string } | undefined {
    if (this.code === undefined) return undefined
    return this.expose
      ? { error: this.code, error_description: reduceErrorText(this.description) }
      : { error: this.code }
  }

  /** The complete response as a WHATWG `Response`. */
  toResponse(): Response {
    const body = this.toJSON()
    const headers = new Headers()
    for (const [name, value] of Object.entries(this.headers)) {
      for (const line of typeof value === 'string' ? [value] : value) headers.append(name, line)
    }
    if (body === undefined) return new Response(null, { status: this.status, headers })
    headers.set('Content-Type', 'application/json')
    return new Response(JSON.stringify(body), { status: this.status, headers })
  }

  /** Same as {@link toResponse}, under the name that Hono's error handler calls. */
  getResponse(): Response {
    return this.toResponse()
  }
}
