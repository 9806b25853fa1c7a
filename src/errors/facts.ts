/**
 * The default log entry of a refusal or a failure: the reason, the hint, and values that this server configured.
 * Values of the token are left out; `received` holds them.
 *
 * Does NOT decide whether a line is written: `server/voice.ts` and `logTo()` do.
 *
 * Tests: `test/server/voice.test.ts`.
 */
import type { ResourceRequest } from '../types.js'
import type { ResourceServerError } from './errors.js'

/** Fields of a log line. Unknown ones are left out. */
export interface RefusalFacts {
  readonly resource: string
  /** HTTP status code of the response. */
  readonly status: number
  readonly reason: string
  readonly hint: string
  /** URL of the section about the reason. */
  readonly documentation: string
  /** The accepted values: configured issuers, audiences, scopes, or the public URL with the path of the request. */
  readonly expected?: unknown
  readonly method?: string
  /** Pattern of the matched route. */
  readonly route?: string
  /** The host's identifier of the request. */
  readonly requestId?: string
  /** With a status of 500 or more: the code of the failure, such as `ECONNREFUSED`. */
  readonly cause?: string
}

/** Maximum characters of the method, the route and the request's identifier. */
const MAX_NAME = 256

/** Maximum characters of a value in a line of text. */
const MAX_VALUE = 1024

export function factsOf(resource: string, error: ResourceServerError, request: ResourceRequest): RefusalFacts {
  const { status, reason, hint, documentation, expected } = error
  const { method, route, requestId } = request
  return {
    resource,
    status,
    reason,
    hint,
    documentation,
    ...(expected !== undefined && { expected }),
    ...names({ method, route, requestId, cause: status < 500 ? undefined : codeOf(error.cause) })
  }
}

/** Codes of Node.js, OpenSSL and undici. A text of another form may be data. */
const CODE = /^[A-Z][A-Z0-9_]{2,63}$/

/** Maximum errors in a chain of causes that are searched for a code. */
const MAX_CAUSES = 8

/** The code of the innermost cause that has one. Messages are left out: they may hold data of an answer. */
function codeOf(cause: unknown): string | undefined {
  let found: string | undefined
  let error = cause
  for (let i = 0; i < MAX_CAUSES && error instanceof Error; i++) {
    const { code } = error as { readonly code?: unknown }
    if (typeof code === 'string' && CODE.test(code)) found = code
    error = error.cause
  }
  return found
}

/** Truncates names, because a client chooses some of them, and leaves out those that are not texts. */
function names(given: Readonly<Record<string, unknown>>): object {
  const texts = Object.entries(given).filter(([, value]) => typeof value === 'string' && value !== '')
  return Object.fromEntries(texts.map(([name, value]) => [name, (value as string).slice(0, MAX_NAME)]))
}

/**
 * The facts as one line of text, without characters that a terminal interprets.
 *
 * @param unsaid number of refusals for the same reason that had no line of their own
 * @param more further values by their names
 */
export function sentenceOf(
  { resource, status, reason, hint, documentation, expected, method, route, requestId, cause }: RefusalFacts,
  unsaid = 0,
  more: Readonly<Record<string, unknown>> = {}
): string {
  const where = [method, route].filter((one) => one !== undefined).join(' ')
  const values = Object.entries({ expected, cause, requestId, ...more }).filter(([, value]) => value !== undefined)
  const told = values.map(([name, value]) => ` ${name}: ${shown(value)}.`).join('')
  const count = unsaid > 0 ? `, and ${unsaid} more since the last line about it` : ''
  return inOneLine(
    `oauth-resource-server: ${status} ${reason}${count} (${where && `${where}, `}${resource}): ${/[.!?]$/.test(hint) ? hint : `${hint}.`}${told} See ${documentation}`
  )
}

function shown(value: unknown): string {
  try {
    const text = value instanceof Error ? value.message : JSON.stringify(value)
    return String(text ?? value).slice(0, MAX_VALUE)
  } catch {
    // A check of the application may expect a value that JSON cannot hold, or that has no text.
    return `a value of type ${typeof value}`
  }
}

/** Characters that begin a new line, or that a terminal interprets. */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]+/gu

/** Replaces characters that begin a new line, or that a terminal interprets. */
export function inOneLine(text: string): string {
  return text.replace(OBEYED, ' ')
}
