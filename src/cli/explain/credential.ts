/**
 * Finds the access token in pasted text: a token alone, an `Authorization` field, a `curl` command, a request, or the
 * answer of a token endpoint. A DPoP proof, the method and the URL are taken where they come with it.
 *
 * Does NOT verify anything, and no message repeats the text.
 *
 * Tests: `test/cli/credential.test.ts`.
 */
import { parseObject } from '../../base/json.js'
import { UsageError } from '../command.js'

export interface Credential {
  readonly token: string
  readonly scheme: 'Bearer' | 'DPoP'
  /** The `DPoP` field, where one came with the token. */
  readonly proof?: string | undefined
  /** Default `GET`. */
  readonly method: string
  /** Path and query of the request. Default `/`. */
  readonly target: string
}

/** Maximum characters of pasted text. Tokens have at most 65,536. */
const MAX_PASTED = 262_144

/** The end of a line that goes on: `\` in a shell, `^` in cmd, a backtick in PowerShell. */
const CONTINUED = /[\\^`]\r?\n[ \t]*/g

/** The characters of a token (RFC 6750 §2.1). */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/

/** Before a field's name: the beginning, a quote, or white space. */
const FIELD = String.raw`(?<![\w-])`
const SCHEMED = new RegExp(
  String.raw`${FIELD}(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?<scheme>bearer|dpop)\s+(?<token>[^\s"',;\\]+)`,
  'gi'
)
const CURL_BEARER = /--oauth2-bearer[= ]\s*["']?(?<token>[^\s"']+)/gi
/** White space and quotes are one run: two runs of white space in a row would be tried in every division of it. */
const PROOF = new RegExp(String.raw`${FIELD}dpop["']?\s*:["'\s]*(?<proof>[\w-]+\.[\w-]+\.[\w-]+)`, 'gi')
const HAS_FIELD = new RegExp(String.raw`${FIELD}authorization["']?\s*:`, 'i')

/** @throws {UsageError} no token, more than one, or text that no API would accept as a token */
export function readCredential(pasted: string): Credential {
  const text = pasted.replace(/^\uFEFF/, '').trim()
  if (text === '')
    throw new UsageError('There is no token: the input is empty. Write: oauth-resource-server explain < token.txt')
  if (text.length > MAX_PASTED)
    throw new UsageError(`The input has ${text.length} characters, and at most ${MAX_PASTED} are read. Is it a token?`)
  if (text.startsWith('{')) return fromTokenResponse(text)
  const joined = text.replace(CONTINUED, ' ')
  const found = [...joined.matchAll(SCHEMED), ...joined.matchAll(CURL_BEARER)]
  if (found.length > 1 && new Set(found.map(({ groups }) => groups?.['token'])).size > 1)
    throw new UsageError('The request has more than one access token: paste it with one Authorization field.')
  const [first] = found
  if (first !== undefined) {
    const { scheme = 'bearer', token = '' } = first.groups ?? {}
    return { ...requestOf(joined), token: requireToken(token), scheme: schemeOf(scheme) }
  }
  if (HAS_FIELD.test(joined))
    throw new UsageError(
      'The Authorization field has no access token. The client must send exactly `Authorization: Bearer <token>` or `Authorization: DPoP <token>`.'
    )
  if (/^(?:\$ )?curl(?:\.exe)?\s/i.test(joined))
    throw new UsageError('The curl command sends no token: it needs -H "Authorization: Bearer <token>".')
  const { scheme = 'bearer', token = '' } =
    /^(?:(?<scheme>bearer|dpop)\s+)?(?<token>[\s\S]*)$/i.exec(text)?.groups ?? {}
  return {
    token: requireToken(token.replace(/^(["'])(.*)\1$/s, '$2')),
    scheme: schemeOf(scheme),
    method: 'GET',
    target: '/'
  }
}

function schemeOf(written: string): Credential['scheme'] {
  return written.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer'
}

/** Reads the access token of a token endpoint's answer (RFC 6749 §5.1). */
function fromTokenResponse(text: string): Credential {
  const { access_token: token, token_type: type = 'bearer' } = parseObject(text) ?? {}
  if (typeof token !== 'string')
    throw new UsageError('The input is JSON without an `access_token`. Paste the access token alone.')
  const scheme = schemeOf(String(type))
  return { token: requireToken(token), scheme, method: 'GET', target: '/' }
}

/** @throws {UsageError} text that cannot be a token */
function requireToken(text: string): string {
  if (text === '') throw new UsageError('There is a scheme and no token behind it. Is a variable of the client empty?')
  if (text.startsWith('-----BEGIN '))
    throw new UsageError('This is a key or a certificate (PEM), and not an access token.')
  if (/^(?:\$|\{\{|<[\w -]+>$|%\w+%)/.test(text))
    throw new UsageError('There is a placeholder in place of the token. Paste the text with its value.')
  if (/[\r\n]/.test(text) && !text.startsWith('<'))
    throw new UsageError(
      'The token has a line break in it, or more than the token was pasted. A client that sends it like this is refused. Paste one token, on one line.'
    )
  if (/\s/.test(text) && !text.startsWith('<'))
    throw new UsageError('The input has more than one word. Paste one token, or a whole curl command.')
  if (!TOKEN68.test(text))
    throw new UsageError('This is not an access token: it has characters that no token has (RFC 6750 §2.1).')
  return text
}

/** The method, the target and the proof of a `curl` command or a request. */
function requestOf(text: string): Pick<Credential, 'method' | 'target' | 'proof'> {
  const proofs = new Set([...text.matchAll(PROOF)].map(({ groups }) => groups?.['proof']))
  if (proofs.size > 1) throw new UsageError('The request has more than one DPoP field: a client must send one.')
  const [proof] = proofs
  const line = /^([A-Z]+) (\/\S*|https?:\/\/\S+) HTTP\/[\d.]+/m.exec(text)
  const option = /(?:\s-X\s*|--request[= ]\s*)["']?([A-Za-z]+)/.exec(text)?.[1]
  const posts = /\s(?:-d|--data(?:-\w+)?|--json|-F|--form)[= ]/.test(text)
  // The values of other fields and the body may have URLs too.
  const rest = text.replace(/(?:-H|--header|-d|--data(?:-\w+)?|--json|-e|--referer)[= ]?\s*(?:'[^']*'|"[^"]*")/g, ' ')
  const url = line?.[2] ?? /https?:\/\/[^\s"']+/.exec(rest)?.[0]
  return {
    method: (line?.[1] ?? option ?? (posts ? 'POST' : 'GET')).toUpperCase(),
    target: url === undefined ? '/' : targetOf(url),
    ...(proof !== undefined && { proof })
  }
}

function targetOf(url: string): string {
  if (url.startsWith('/')) return url
  if (!URL.canParse(url)) return '/'
  const { pathname, search } = new URL(url)
  return pathname + search
}
