/**
 * Compares the target URI of a request, as the client called it, with a DPoP proof's `htu` (RFC 9449 §4.3). Query and
 * fragment are ignored. Both sides get only the syntax- and scheme-based normalization of RFC 3986 §6.2.2 and §6.2.3. A
 * trailing slash, a double slash, the case of a path and `%2F` count as differences.
 *
 * The origin comes from the settings, never from `Host` or `X-Forwarded-*`, which the sender of a stolen proof could
 * choose.
 */

/** Scheme, authority, path. The rest is not compared. */
const HTTP_URI = /^(https?):\/\/([^/?#]*)([^?#]*)/i

/**
 * @param bases external URLs of this server's `/`, without trailing slash, query and fragment
 * @param target the request target: a path, and optionally a query
 * @param htu the claim of the proof
 */
export function isTargetUri(bases: readonly string[], target: string, htu: string): boolean {
  const path = pathOf(target)
  // Text without a leading slash would extend the authority of the base.
  if (path !== '' && path[0] !== '/') return false
  const normal = normalizePath(path)
  for (const base of bases) if (htu.length === base.length + normal.length && htu === base + normal) return true
  const claimed = normalizeUri(htu)
  // The path was normalized alone, so its dot segments cannot climb out of the base's path.
  return claimed !== undefined && bases.some((base) => normalizeUri(base + normal) === claimed)
}

function pathOf(target: string): string {
  const end = target.search(/[?#]/)
  return end < 0 ? target : target.slice(0, end)
}

/** Normalizes scheme, authority and path. Returns undefined for a text that is not an http(s) URI with a host. */
export function normalizeUri(uri: string): string | undefined {
  const [, scheme = '', authority = '', path = ''] = HTTP_URI.exec(uri) ?? []
  // Requires ASCII without spaces: URI parsers disagree about other characters.
  if (authority === '' || authority.includes('@') || !/^[\x21-\x7E]*$/.test(authority + path)) return undefined
  const lower = scheme.toLowerCase()
  const host = authority.toLowerCase().replace(lower === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
  return `${lower}://${host}${normalizePath(path) || '/'}`
}

function normalizePath(path: string): string {
  return removeDotSegments(path.includes('%') ? normalizePercent(path) : path)
}

/** Decodes unreserved characters and writes other triplets in upper case (RFC 3986 §6.2.2.1, §6.2.2.2). */
function normalizePercent(path: string): string {
  return path.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16))
    return /[A-Za-z0-9\-._~]/.test(character) ? character : triplet.toUpperCase()
  })
}

/** RFC 3986 §5.2.4, for a path that is empty or begins with a slash. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path
  const kept: string[] = []
  const segments = path.slice(1).split('/')
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (last) kept.push('')
  }
  return `/${kept.join('/')}`
}
