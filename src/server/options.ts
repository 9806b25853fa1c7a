/** What a user may configure: types of options, and nothing else. Defaults and checks are in `settings.ts` and `settings.ts`. */
import type { SenderOptions } from '../confirmation/settings.js'
import type { HttpOptions } from '../http/settings.js'
import type { IssuerOptions, IssuerResolver } from '../issuer/settings.js'
import type { DecryptionKey } from '../jwt/decryption-keys.js'
import type { RevocationOptions } from '../revocation/settings.js'
import type { SharedOptions } from '../sharing/settings.js'
import type { Check } from '../types.js'

/** What `resourceServer()` is told. All mistakes in it are reported together. */
export interface ResourceServerOptions<Scope extends string = string, Role extends string = string>
  extends SenderOptions {
  /** This API's identifier (RFC 8707 §2, RFC 9728 §1.2): an `https` URL without fragment, kept byte for byte. The expected audience unless an issuer says otherwise. */
  readonly resource: string
  /** The authorization servers whose tokens are accepted, or a function that knows them. */
  readonly issuers: readonly (string | IssuerOptions)[] | IssuerResolver
  /** Every scope the routes use: a scope not in this list does not compile, and does not start. */
  readonly scopes?: readonly Scope[]
  /** Every role the routes use: a role not in this list does not compile, and does not start. */
  readonly roles?: readonly Role[]
  /** A granted scope → the scopes it includes: `{ admin: ['read', 'write'] }`. Followed to any depth. */
  readonly scopeHierarchy?: Readonly<Record<string, readonly string[]>>
  /** Checks for every request, before a route's own. */
  readonly checks?: readonly Check<Scope, string>[]
  /** Seconds by which `exp` and `nbf` may be missed (RFC 7519 §4.1.4). Default 30, at most 300. */
  readonly clockTolerance?: number
  /** The current time in seconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /** `realm` of every challenge (RFC 9110 §11.5). Default: none, unless a challenge would be empty without. */
  readonly realm?: string
  /** Further members of the protected resource metadata (RFC 9728 §2), by their names on the wire; `false` publishes and advertises none. */
  readonly metadata?: Readonly<Record<string, unknown>> | false
  /**
   * Serve older MCP clients (revision 2025-03-26), which know nothing of RFC 9728: the metadata at the root as well where `resource` has a
   * path, and the authorization server's own metadata (RFC 8414) at `/.well-known/oauth-authorization-server` of this origin, as its
   * discovery found it, with its limits; 503 while it cannot be had. Of several issuers, the first. Never asks another URL. Default false.
   */
  readonly legacyClients?: boolean
  /** Refuse (400) a request whose query carries `access_token`, to find clients that leak tokens into logs. A query token is never read. Default false. */
  readonly rejectQueryToken?: boolean
  /** Characters that a token may have; a longer one is refused (401) unread. Default 16384, 1024 to 65536. Node itself refuses (431) more than 16 KiB of header fields unless it is started with `--max-http-header-size`, which proxies limit too. */
  readonly maxTokenLength?: number
  readonly http?: HttpOptions
  /** Seconds that a function of yours may take: `introspection.auth`, `jwksAuth`, the function `issuers`, a `replayStore`, a `shared.channel`, and the functions of `securityEventReceiver()`. Then the request gets 503. Default 5, 0.01 to 120. */
  readonly callbackTimeout?: number
  /** Private keys for encrypted tokens, the current one first; those before it stay while tokens for them live. Their public keys are published. */
  readonly decryptionKeys?: readonly DecryptionKey[]
  /** Tokens that are refused though they verify: see `api.revoke()`. */
  readonly revocation?: RevocationOptions
  /** What all processes of this API share, where there is more than one. Default: each keeps to itself. */
  readonly shared?: SharedOptions
}
