/**
 * Identifiers that are also requested as URLs: checks that the URL is requested exactly as written. `new URL`
 * normalizes a path (`/t/../x` becomes `/x`), and servers interpret more than `new URL` does (`%2f`, `..;`). Then a
 * check on the text, such as `startsWith`, does not tell where the request goes.
 *
 * Does NOT judge scheme, host, port, query and fragment, and does NOT decide whether a URL is trusted.
 */

/** Scheme, non-empty authority, and path. */
const HTTP_URL = /^https?:\/\/[^/?#]+([^?#]*)/i
/** Control characters, space and backslash, which `new URL` removes, encodes or treats as a slash. */
const MENDED = /[\0-\x20\x7f\\]/
/**
 * Sequences that `new URL` keeps and some servers decode: an encoded slash, backslash or control character, at any
 * depth of encoding; dots that are encoded twice; a dot segment, alone or with a path parameter. Node 20 keeps a dot
 * segment after a name that begins with a dot: `/.a/..`.
 */
const HIDDEN = /%(?:25)*(?:2f|5c|[01][\da-f]|7f)|%(?:25)+2e|\/(?:\.|%2e){1,2}(?:[/;]|%3b|$)/i

/** True for an http(s) URL whose path reaches the server as it is written; an empty path counts as `/`. */
export function isAskedAsWritten(text: string): boolean {
  const path = HTTP_URL.exec(text)?.[1]
  if (path === undefined || MENDED.test(text) || !URL.canParse(text)) return false
  return (path || '/') === new URL(text).pathname && !HIDDEN.test(path) && isEncodedUtf8(path)
}

/** Some servers read bytes that are not UTF-8 as another character: `%c0%af` as a slash. */
function isEncodedUtf8(path: string): boolean {
  if (!path.includes('%')) return true
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** A URL for messages, without its path, which may come from a token. */
export function withoutPath(url: string): string {
  if (!URL.canParse(url)) return 'a text that is not a URL'
  const { origin, pathname } = new URL(url)
  return pathname === '/' ? origin : `${origin}/…`
}

/** True for a text that an HTTP client could send a request to, however it is spelled; any other text is only a name. */
export function isHttp(text: string): boolean {
  return /^https?:/i.test(text) || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol))
}
