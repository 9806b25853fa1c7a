/**
 * The error that all others here are: it carries its whole HTTP answer (status, body, header fields), so that no adapter
 * needs to look inside.
 *
 * The message, the first line of the stack and the body are fixed words: nothing from a token or a request is in them, since
 * frameworks send any of the three. What went wrong on our side is in `hint`; what was received is on `received`, which is
 * not enumerable, so that an error logged whole does not carry it.
 */

import type { HeaderFields } from '../types.js'
import { reduceErrorText } from './challenge.js'

/** A section for each reason. */
const TROUBLESHOOTING =
  'https://github.com/oauth-resource-server/oauth-resource-server/blob/main/docs/troubleshooting.md'

/** What a refusal may tell the operator: never sent, never enumerable. */
export interface Evidence {
  readonly expected?: unknown
  readonly received?: unknown
}

/** What an error is made of. */
export interface Answer extends Evidence {
  readonly status: number
  /** OAuth error code of the body (and of the challenge, for a {@link Refusal}). */
  readonly code?: string
  readonly reason: string
  readonly description: string
  readonly hint: string
  readonly cause?: unknown
  /** false: no stack trace. Default: as any error. */
  readonly stack?: false
}

/** Common to all: a status, a body, header fields, and a reason for the log. */
export abstract class ResourceServerError extends Error {
  /** HTTP status code. */
  readonly status: number
  /** `error` of the answer's body, or undefined where RFC 6750 §3.1 wants none. */
  readonly code: string | undefined
  /** A stable, low-cardinality name for logs and metrics. */
  readonly reason: string
  /** One sentence for the client: fixed words. */
  readonly description: string
  /** What the operator should look at or change. Not sent to the client. */
  readonly hint: string
  readonly #expected: unknown
  readonly #received: unknown

  protected constructor(answer: Answer) {
    const { stackTraceLimit } = Error
    // Where the stack says nothing that `reason` does not, and anybody can cause it at any rate, none is made: that would
    // be most of what the refusal costs. Where the limit cannot be set, one is made all the same.
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

  /** The name of its class. */
  override get name(): string {
    return this.constructor.name
  }

  // As with any error, it may be given another one.
  override set name(value: string) {
    Object.defineProperty(this, 'name', { value, configurable: true, writable: true })
  }

  /** What would have been accepted, where that helps. Not enumerable. */
  get expected(): unknown {
    return this.#expected
  }

  /** What came instead: from the token, so for careful eyes only. Not enumerable. */
  get received(): unknown {
    return this.#received
  }

  /** URL of the section about {@link reason}: what it means, and what to change. For the operator, as `hint` is; not enumerable. */
  get documentation(): string {
    return `${TROUBLESHOOTING}#${this.reason}`
  }

  #headers: HeaderFields | undefined

  /**
   * The answer's header fields; a list is one line each. An adapter sets them to what they are together with the
   * response's own: frameworks disagree on whether an error's fields or the response's survive.
   */
  get headers(): HeaderFields {
    this.#headers ??= this.ownHeaders()
    return this.#headers
  }

  set headers(fields: HeaderFields) {
    this.#headers = fields
  }

  /** They are made again when they are read. */
  protected forgetHeaders(): void {
    this.#headers = undefined
  }

  /** The header fields that this error asks for by itself. */
  protected abstract ownHeaders(): HeaderFields

  /** True if the client may read `message` (the convention of http-errors, which Koa follows). */
  get expose(): boolean {
    return this.status < 500
  }

  /** The same as `status`, by the name that Express and Fastify read. */
  get statusCode(): number {
    return this.status
  }

  /** The answer's body as a JSON value, or undefined where the answer has no body. */
  toJSON(): { error: string; error_description?: string } | undefined {
    if (this.code === undefined) return undefined
    return this.expose
      ? { error: this.code, error_description: reduceErrorText(this.description) }
      : { error: this.code }
  }

  /** The whole answer as a WHATWG `Response`. */
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

  /** {@link toResponse}, by the name that Hono's error handler calls. */
  getResponse(): Response {
    return this.toResponse()
  }
}
