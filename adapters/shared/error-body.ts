/**
 * The body of this package's refusals on every adapter: the JSON of OAuth, or the API's own shape, such as problem
 * details (RFC 9457). Changes only the body and `Content-Type`: status, challenge and all other fields stay.
 */
import { STATUS_CODES } from 'node:http'
import { emitWarning } from 'node:process'
import { format } from 'node:util'
import { isPromise, requireOptions } from '../../src/adapter.js'
import type { ResourceServerError } from '../../src/index.js'

/** Input for an error body. Contains no data of a token or request. */
export interface ErrorFacts {
  /** HTTP status code of the response. The body does not change it. */
  readonly status: number
  /** Error code of OAuth, such as `invalid_token`; undefined for a request without credentials (RFC 6750 §3.1). */
  readonly code: string | undefined
  /** One sentence for the client; undefined for a request without credentials, and for a status of 500 or more. */
  readonly description: string | undefined
  /** Stable name of the reason. By default clients do not see it, because it tells which check failed. */
  readonly reason: string
}

/** Options for refusals in the shape of the API. */
export interface ErrorBodyOptions {
  /**
   * Creates the body's JSON. Called for each refusal, including HEAD; undefined gives an empty body.
   *
   * Must be synchronous. If it throws, or returns a promise, a value that is not an object, or more than 65,536 bytes
   * of JSON, the client gets the JSON of OAuth, and a process warning is emitted once.
   */
  readonly body: (error: ErrorFacts) => object | undefined
  /** Media type of the body. Default: `application/json`. */
  readonly contentType?: string
}

/** The body of a response, and its media type if it has one. */
interface Content {
  readonly body: string
  readonly type: string | undefined
}

/** Creates the content of a refusal. */
export type Render = (error: ResourceServerError) => Content

/** Maximum bytes of a body. A larger one is a mistake, and attackers control how many refusals are sent. */
const MAX_BODY = 65_536

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w!#$&^.+-]+=[\w!#$&^.+-]+)*$/

/**
 * RFC 9457 problem details: `title` is the status phrase, since `type` is absent (§4.2.1), `detail` the sentence for
 * the client, `error` the error code of OAuth. A request without credentials gets only `title` and `status` (RFC 6750
 * §3.1).
 */
export const problemDetails: ErrorBodyOptions = Object.freeze({
  body: ({ status, code, description }: ErrorFacts) => ({
    title: STATUS_CODES[status],
    status,
    detail: description,
    error: code
  }),
  contentType: 'application/problem+json'
})

/** The JSON of OAuth; empty for a request without credentials (RFC 6750 §3.1). */
export const oauthContent: Render = (error) => {
  const content = error.toJSON()
  return content === undefined
    ? { body: '', type: undefined }
    : { body: JSON.stringify(content), type: 'application/json' }
}

/**
 * @param options undefined: the JSON of OAuth
 * @throws {TypeError} for invalid options
 */
export function createRender(options: ErrorBodyOptions | undefined): Render {
  if (options === undefined) return oauthContent
  const { body, contentType = 'application/json' } = options ?? {}
  if (typeof body !== 'function')
    throw new TypeError(
      'errorHandler(): `body` is not a function: give { body: (error) => ({ … }) }, or problemDetails'
    )
  if (typeof contentType !== 'string' || !MEDIA_TYPE.test(contentType))
    throw new TypeError('errorHandler(): `contentType` is not a media type, such as application/problem+json')
  requireOptions('errorHandler()', options, problemDetails as Required<ErrorBodyOptions>)
  let isTold = false
  return (error) => {
    try {
      const json = read(body(factsOf(error)))
      return json === undefined ? { body: '', type: undefined } : { body: json, type: contentType }
    } catch (fault) {
      // A warning per refusal would be a flood that any client can cause.
      if (!isTold)
        emitWarning(
          format(
            'errorHandler(): `body` failed, so clients get the JSON of OAuth. This warning is emitted once. The error: %s',
            fault
          )
        )
      isTold = true
      return oauthContent(error)
    }
  }
}

/** The facts that clients may read. */
export function factsOf({ status, code, description, reason, expose }: ResourceServerError): ErrorFacts {
  return Object.freeze({ status, code, description: expose && code !== undefined ? description : undefined, reason })
}

/** @throws {TypeError} a value that is neither an object nor undefined */
function read(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (isPromise(value)) {
    // An unhandled rejection would end the process.
    value.then(undefined, () => undefined)
    throw new TypeError('it returned a promise, but it must be synchronous')
  }
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`it returned ${value === null ? 'null' : `a ${typeof value}`} instead of an object`)
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError('it returned a value that JSON.stringify cannot write')
  const length = Buffer.byteLength(json)
  if (length > MAX_BODY) throw new TypeError(`it returned ${length} bytes of JSON, but at most ${MAX_BODY} are allowed`)
  return json
}

/** The complete response as a WHATWG `Response`. */
export function responseOf(error: ResourceServerError, render: Render): Response {
  const { body, type } = render(error)
  const { headers } = error.toResponse()
  headers.delete('Content-Type')
  if (type !== undefined) headers.set('Content-Type', type)
  return new Response(body === '' ? null : body, { status: error.status, headers })
}
