/** Option types. This file defines no values. `settings.ts` has the defaults and checks. */
import type { SenderOptions } from '../confirmation/settings.js'
import type { HttpOptions } from '../http/settings.js'
import type { IssuerOptions, IssuerResolver } from '../issuer/settings.js'
import type { DecryptionKey } from '../jwt/decryption-keys.js'
import type { RevocationOptions } from '../revocation/settings.js'
import type { SharedOptions } from '../sharing/settings.js'
import type { Check } from '../types.js'

/** Options of `resourceServer()`. All mistakes are reported together. */
export interface ResourceServerOptions<Scope extends string = string, Role extends string = string>
  extends SenderOptions {
  /** This API's identifier (RFC 8707 §2, RFC 9728 §1.2): an `https` URL without fragment, kept byte for byte. The expected audience unless an issuer says otherwise. */
  readonly resource: string
  /** The authorization servers whose tokens are accepted, or a function that resolves an issuer. */
  readonly issuers: readonly (string | IssuerOptions)[] | IssuerResolver
  /** All scopes of the routes. A route with another scope does not compile, and `protect()` throws. Default: any scope. */
  readonly scopes?: readonly Scope[]
  /** All roles of the routes. A route with another role does not compile, and `protect()` throws. Default: any role. */
  readonly roles?: readonly Role[]
  /** Maps a granted scope to the scopes that it includes: `{ admin: ['read', 'write'] }`. Applied transitively. */
  readonly scopeHierarchy?: Readonly<Record<string, readonly string[]>>
  /** Checks for every request. They run before a route's own. */
  readonly checks?: readonly Check<Scope, string>[]
  /** Seconds of leeway for `exp` and `nbf` (RFC 7519 §4.1.4). Default 30, 0 to 300. */
  readonly clockTolerance?: number
  /** The current time in seconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /**
   * `realm` of every challenge (RFC 9110 §11.5). Default: omitted. With `metadata: false` the default is `resource`, so
   * that no challenge is empty.
   */
  readonly realm?: string
  /**
   * Additional members of the protected resource metadata (RFC 9728 §2), by their wire names. `false` neither publishes
   * nor advertises metadata. Default `{}`.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | false
  /**
   * Support older MCP clients (revision 2025-03-26), which do not know RFC 9728. Serves the metadata at the root too,
   * if `resource` has a path. Serves the first issuer's metadata (RFC 8414) at
   * `/.well-known/oauth-authorization-server` of this origin, as discovery found it, and 503 while it is unavailable.
   * Fetches no other URL. Default false.
   */
  readonly legacyClients?: boolean
  /**
   * Refuse (400) requests with `access_token` in the query, to find clients that leak tokens into logs. A token in the
   * query is never used. Default false.
   */
  readonly rejectQueryToken?: boolean
  /**
   * Maximum characters of a token. Longer tokens are refused (401) unread. Default 16384, 1024 to 65536. Node itself
   * refuses (431) more than 16 KiB of header fields unless it is started with `--max-http-header-size`; proxies have
   * limits too.
   */
  readonly maxTokenLength?: number
  readonly http?: HttpOptions
  /**
   * Maximum seconds for a callback of yours: `introspection.auth`, `jwksAuth`, the function `issuers`, a `replayStore`,
   * `shared.log`, and the functions of `securityEventReceiver()`. After that the request gets 503. Default 5,
   * 0.01 to 120.
   */
  readonly callbackTimeout?: number
  /**
   * Private keys for encrypted tokens, the current key first. Keep earlier keys while tokens encrypted to them are
   * valid. Their public keys are published.
   */
  readonly decryptionKeys?: readonly DecryptionKey[]
  /** Limits of the list of revoked tokens: see `api.revoke()`. */
  readonly revocation?: RevocationOptions
  /**
   * `false`: say nothing about refusals and failures. By default, while no `logTo()` logs this API, they become process
   * warnings (on Fastify, lines of `request.log`): 500 and 503 once per issuer, reason and minute; others once per
   * reason and hour, at most 20 an hour; never a request without a token. Nothing in them comes from a token.
   */
  readonly log?: false
  /** Store and log that all processes of this API share. Default: each process works alone. */
  readonly shared?: SharedOptions
}
