/**
 * The requests and answers of the development issuer: bounded bodies, parameters (RFC 6749 §3.2), client credentials
 * (§2.3.1) and errors (§5.2).
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Maximum bytes of a request's body. */
const MAX_BODY = 64 * 1024

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** An object becomes JSON, a text is HTML. */
  readonly body?: object | string
}

export interface Credentials {
  readonly clientId: string
  readonly clientSecret: string
}

/** An error that the client is told, in the form of RFC 6749 §5.2. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError'
  readonly answer: Answer

  constructor(status: number, error: string, description: string, headers: Readonly<Record<string, string>> = {}) {
    super(description)
    this.answer = {
      status,
      headers: { 'Cache-Control': 'no-store', ...headers },
      body: { error, error_description: description }
    }
  }
}

/** @throws {OAuthError} 413 for more than {@link MAX_BODY} bytes */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length
    if (bytes > MAX_BODY)
      throw new OAuthError(413, 'invalid_request', `The body must have at most ${MAX_BODY} bytes.`, {
        Connection: 'close'
      })
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

/** Parses the parameters of a form. @throws {OAuthError} 400 for another media type, and for a repeated parameter */
export function readForm({ headers }: IncomingMessage, body: Buffer): URLSearchParams {
  if (!/^application\/x-www-form-urlencoded *(?:;|$)/i.test(headers['content-type'] ?? ''))
    throw new OAuthError(400, 'invalid_request', 'Content-Type must be application/x-www-form-urlencoded.')
  return new URLSearchParams(body.toString())
}

/** @throws {OAuthError} 400 for a repeated parameter (RFC 6749 §3.2) */
export function parameter(form: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = form.getAll(name)
  if (more.length > 0) throw new OAuthError(400, 'invalid_request', `${name} must not be repeated.`)
  // An empty parameter counts as missing (RFC 6749 §3.1).
  return value === '' ? undefined : value
}

/**
 * Reads `client_secret_basic` or `client_secret_post`.
 *
 * @returns undefined if the request has no complete credentials @throws {OAuthError} 400 if it has both kinds
 */
export function readCredentials({ headers }: IncomingMessage, form: URLSearchParams): Credentials | undefined {
  const [, basic] = /^basic +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  const clientId = parameter(form, 'client_id')
  const clientSecret = parameter(form, 'client_secret')
  if (basic === undefined)
    return clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret }
  if (clientSecret !== undefined)
    throw new OAuthError(400, 'invalid_request', 'Send the client secret once: in Authorization or in the form.')
  const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString()) ?? []
  try {
    return { clientId: formDecode(id), clientSecret: formDecode(secret) }
  } catch {
    return undefined
  }
}

/** @throws {URIError} malformed percent-encoding */
function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/** @throws {OAuthError} 401 unless the credentials are the expected ones */
export function requireClient(given: Credentials | undefined, expected: Credentials): void {
  const matches =
    given !== undefined &&
    isEqual(given.clientId, expected.clientId) &&
    isEqual(given.clientSecret, expected.clientSecret)
  if (!matches)
    throw new OAuthError(
      401,
      'invalid_client',
      `Authenticate as the client ${JSON.stringify(expected.clientId)} with the secret that was printed at the start.`,
      { 'WWW-Authenticate': 'Basic realm="oauth-resource-server issuer"' }
    )
}

/** Compares digests, so the time does not reveal where the texts differ. */
function isEqual(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
