/**
 * The body of this package's refusals on every adapter: the JSON of OAuth, or a shape of the API's own, such as problem
 * details (RFC 9457). Changes the body and `Content-Type` only: status, challenge and all other fields stay as they are.
 */
import { STATUS_CODES } from 'node:http'
import { emitWarning } from 'node:process'
import { format } from 'node:util'
import { isPromise, type ResourceServerError } from '../../src/index.js'

/** What a body can be made of. Nothing of it comes from a token or a request. */
export interface ErrorFacts {
  /** HTTP status code: the answer has it whatever the body says. */
  readonly status: number
  /** Error code of OAuth, such as `invalid_token`; undefined for a request without credentials (RFC 6750 §3.1). */
  readonly code: string | undefined
  /** One sentence for the client; undefined for a request without credentials, and where the status is 500 or more. */
  readonly description: string | undefined
  /** Stable name of the reason. Clients are not told it by default: it says which check failed. */
  readonly reason: string
}

/** How refusals are answered in the shape of the API. */
export interface ErrorBodyOptions {
  /**
   * Makes the JSON of the body. Called for each refusal, for HEAD too; undefined: an empty body.
   *
   * Answers at once: a promise is not waited for. Where it throws, or answers a promise, anything else but an object, or more
   * than 65,536 bytes of JSON, the client gets the JSON of OAuth, and a warning of the process says so once.
   */
  readonly body: (error: ErrorFacts) => object | undefined
  /** Media type of the body. Default: `application/json`. */
  readonly contentType?: string
}

/** The body of an answer, and its media type where there is one. */
interface Content {
  readonly body: string
  readonly type: string | undefined
}

/** Makes the content of a refusal. */
export type Render = (error: ResourceServerError) => Content

/** Bytes. A refusal is small; a larger body is a mistake, and attackers choose how many refusals are sent. */
const MAX_BODY = 65_536

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w!#$&^.+-]+=[\w!#$&^.+-]+)*$/

/**
 * RFC 9457 problem details: `title` is the phrase of the status, since `type` is absent (§4.2.1), `detail` the sentence for the
 * client, `error` the error code of OAuth. A request without credentials gets `title` and `status` alone (RFC 6750 §3.1).
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
 * @throws {TypeError} for options that are not right
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
  let isTold = false
  return (error) => {
    try {
      const json = read(body(factsOf(error)))
      return json === undefined ? { body: '', type: undefined } : { body: json, type: contentType }
    } catch (fault) {
      // At every refusal it would be a flood that any client can cause.
      if (!isTold) emitWarning(format('errorHandler(): `body` failed, which is said once: %s', fault))
      isTold = true
      return oauthContent(error)
    }
  }
}

function factsOf({ status, code, description, reason, expose }: ResourceServerError): ErrorFacts {
  return Object.freeze({ status, code, description: expose && code !== undefined ? description : undefined, reason })
}

/** @throws {TypeError} for what is neither an object nor undefined */
function read(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (isPromise(value)) {
    // What nobody waits for would end the process where it rejects.
    value.then(undefined, () => undefined)
    throw new TypeError('it returned a promise, and a refusal does not wait')
  }
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`it returned ${value === null ? 'null' : `a ${typeof value}`} instead of an object`)
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError('it returned a value that JSON.stringify cannot write')
  const length = Buffer.byteLength(json)
  if (length > MAX_BODY) throw new TypeError(`it returned ${length} bytes of JSON, and at most ${MAX_BODY} are sent`)
  return json
}

/** The whole answer as a WHATWG `Response`. */
export function responseOf(error: ResourceServerError, render: Render): Response {
  const { body, type } = render(error)
  const { headers } = error.toResponse()
  headers.delete('Content-Type')
  if (type !== undefined) headers.set('Content-Type', type)
  return new Response(body === '' ? null : body, { status: error.status, headers })
}
