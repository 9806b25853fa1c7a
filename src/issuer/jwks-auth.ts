/**
 * Credentials for a key endpoint that requires them, as Kubernetes' `/openid/v1/jwks` does: header fields from a function
 * of yours, or a bearer token from a file. Each fetch reads them anew, because such tokens are rotated.
 *
 * The fields are sent to `jwksUri` alone: settings without it have no credentials, and redirects are not followed.
 * Does NOT keep a credential, and no error shows one.
 */
import { withDeadline } from '../base/awaitable.js'
import { isObject } from '../base/json.js'
import { Misconfigured, Unavailable } from '../errors/errors.js'
import type { IssuerSettings, JwksAuth } from './settings.js'

type Fields = Readonly<Record<string, string>>

/** Maximum bytes of a token file: Node refuses longer header fields anyway. */
const MAX_TOKEN_FILE = 16 * 1024
const FIELD_NAME = /^[!#$%&'*+.^_`|~\dA-Za-z-]{1,128}$/
/** Visible ASCII with spaces or tabs inside (RFC 9110 §5.5): other characters could end the field. */
const FIELD_VALUE = /^[\x21-\x7E](?:[\x20-\x7E\t]*[\x21-\x7E])?$/
/** Fields that frame the message or state the formats that we can read: setting them would break the exchange. */
const RESERVED: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade'
])

/**
 * @param deadline maximum seconds for the function or the file
 * @returns the fields, by their lower-case names; empty without `jwksAuth`
 * @throws {Unavailable} the function or file took longer than `deadline`, or the function threw this error
 * @throws {Misconfigured} the function failed, the file cannot be read, or a field cannot be sent
 */
export async function jwksAuthFields(
  { jwksAuth, label }: Pick<IssuerSettings, 'jwksAuth' | 'label'>,
  deadline: number
): Promise<Fields> {
  if (jwksAuth === undefined) return {}
  const late = (): Error => new Unavailable('jwks', `\`jwksAuth\` of ${label} did not answer within ${deadline} s`)
  let fields: unknown
  try {
    fields = await withDeadline(ask(jwksAuth), deadline, late)
  } catch (cause) {
    if (cause instanceof Unavailable || cause instanceof Misconfigured) throw cause
    const failed = typeof jwksAuth === 'function' ? '`jwksAuth`' : '`jwksAuth.tokenFile`'
    throw new Misconfigured(`${failed} of ${label} could not be read`, { cause })
  }
  return requireFields(fields, label)
}

async function ask(auth: JwksAuth): Promise<Fields> {
  return typeof auth === 'function' ? auth() : { authorization: `Bearer ${await readToken(auth.tokenFile)}` }
}

/** The file's text without leading and trailing white space. */
async function readToken(path: string): Promise<string> {
  // Imported on first use, because not every host has a file system.
  const { open } = await import('node:fs/promises')
  const file = await open(path)
  try {
    const buffer = Buffer.alloc(MAX_TOKEN_FILE + 1)
    let length = 0
    // A pipe returns its bytes in parts.
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = (await file.read(buffer, length, buffer.length - length, null)).bytesRead
    const token = buffer.toString('latin1', 0, length).trim()
    if (length > MAX_TOKEN_FILE)
      throw new Misconfigured(`\`jwksAuth.tokenFile\` is longer than ${MAX_TOKEN_FILE} bytes`)
    if (!/^[\x21-\x7E]+$/.test(token))
      throw new Misconfigured(
        '`jwksAuth.tokenFile` must contain exactly one token, but it is empty or contains a space'
      )
    return token
  } finally {
    await file.close()
  }
}

/** Checks the fields. Its errors never quote a value, because values are secrets. */
function requireFields(fields: unknown, label: string): Fields {
  if (!isObject(fields)) throw new Misconfigured(`\`jwksAuth\` of ${label} must return an object of header fields`)
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: readonly [string, unknown]) => {
      const field = name.toLowerCase()
      if (!FIELD_NAME.test(name) || RESERVED.has(field))
        throw new Misconfigured(`\`jwksAuth\` of ${label} returned a header field that it may not set`)
      if (typeof value !== 'string' || !FIELD_VALUE.test(value))
        throw new Misconfigured(
          `\`jwksAuth\` of ${label} returned a value for \`${field}\` that is empty or not a string of visible ASCII: is a variable unset?`
        )
      return [field, value]
    })
  )
}
