/**
 * Reads the option `statusList` of an issuer, with its defaults and checks.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import type { Problems } from '../base/options/problems.js'
import type { InsecureHosts } from '../base/reach.js'
import type { Means } from './introspection-settings.js'
import type { IssuerOptions, IssuerSettings } from './settings.js'

/** Token Status List (draft-ietf-oauth-status-list) for the JWTs of one issuer. */
export interface StatusListOptions {
  /** Origins that lists may be fetched from, such as `https://status.example.com`, whatever URL a token names. Default: the issuer's origin. */
  readonly origins?: readonly string[]
  /** Decides about a token whose list cannot be fetched. `'refuse'` answers 503. `'allow'` accepts the token while the list's server is down (unreachable, 408, 429, 5xx), unless the last known status was not valid. Default `'refuse'`. */
  readonly onUnavailable?: 'refuse' | 'allow'
}

export interface StatusListSettings {
  /** Origins in the form of `URL.origin`. */
  readonly origins: ReadonlySet<string>
  readonly onUnavailable: 'refuse' | 'allow'
}

/** @returns the settings, or undefined if the claim `status` is not read */
export function readStatusList(
  { issuer, statusList }: IssuerOptions,
  tokens: IssuerSettings['tokens'],
  { insecureHosts }: Means,
  path: string,
  problems: Problems
): StatusListSettings | undefined {
  if (statusList === undefined || statusList === false) return undefined
  if (tokens === 'opaque')
    problems.add(
      path,
      "has no effect with `tokens: 'opaque'`",
      'leave one of them out: this issuer’s JWTs are not verified locally'
    )
  const options: StatusListOptions = statusList !== true && problems.object(statusList, path) ? statusList : {}
  problems.unknownKeys(options, `${path}.`, ['origins', 'onUnavailable'])
  const origins = options.origins && problems.names(options.origins, `${path}.origins`)
  if (origins?.length === 0 && Array.isArray(options.origins))
    problems.add(`${path}.origins`, 'is empty', 'name at least one, or leave it out')
  const own = URL.canParse(issuer) ? [new URL(issuer).origin] : []
  return Object.freeze({
    origins: new Set(
      origins?.flatMap((one) => readListOrigin(one, `${path}.origins`, problems, insecureHosts) ?? []) ?? own
    ),
    onUnavailable:
      problems.oneOf(options.onUnavailable, `${path}.onUnavailable`, ['refuse', 'allow']) ?? ('refuse' as const)
  })
}

function readListOrigin(value: string, path: string, problems: Problems, hosts: InsecureHosts): string | undefined {
  const url = problems.url(value, path, 'an origin, such as https://status.example.com', hosts)
  return url && originOf(url, path, 'all of its paths are allowed', problems)
}

/**
 * The origin of a URL. Anything besides the origin is a problem.
 *
 * @param why  completes the message about a URL with a path, query or fragment
 */
export function originOf(
  { origin, pathname, search, hash }: URL,
  path: string,
  why: string,
  problems: Problems
): string {
  if (pathname !== '/' || search || hash)
    problems.add(path, 'has a path, a query or a fragment', `give the origin only: ${why}`)
  return origin
}
