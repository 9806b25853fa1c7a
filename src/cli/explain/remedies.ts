/**
 * Names the option that would admit a refused token, and says whether to use it. Options that are already set are not
 * suggested.
 *
 * Tests: `test/cli/explain.test.ts`.
 */
import type { ResourceServerError } from '../../index.js'
import { certificateRemedy } from '../causes.js'
import { recognise } from '../vendors.js'

/** The options that `explain` got. */
export interface Given {
  readonly token: string
  readonly resource?: string | undefined
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly tokenProfile?: 'rfc9068' | 'legacy' | undefined
  readonly profile?: string | undefined
  readonly jwks?: string | undefined
  readonly jwksTokenFile?: string | undefined
}

/** The facts about a token that `explain` found. */
export interface Found {
  /** The issuer that the API trusts. */
  readonly issuer: string
  /** True for a token with the marks of an ID token. */
  readonly idToken: boolean
}

type Remedy = string | ((given: Given, error: ResourceServerError, found: Found) => string)

const REMEDIES: Readonly<Record<string, Remedy>> = {
  malformed:
    'If this authorization server issues opaque tokens, set `introspection`: the authorization server decides.',
  type: remedyForType,
  audience: remedyForAudience,
  issuer: ({ issuer }) =>
    issuer === undefined
      ? '`acceptedIssuers` with the value that came, and `jwksUri`, under an https `issuer`. Use them only if the authorization server cannot have an https name.'
      : 'Write `issuer` exactly as the token has it, including a final slash. Use `acceptedIssuers` for a second name of the same keys, and another entry in `issuers` for another authorization server.',
  claim: ({ tokenProfile }) =>
    tokenProfile === 'legacy'
      ? 'No option: `legacy` is given, and requires only `iss`, `exp` and `aud`. Let the authorization server write the claim as it is expected.'
      : '`requiredClaims`, or `tokenProfile: "legacy"`. That is safe for a claim that nothing in your API relies on.',
  algorithm:
    '`algorithms`: add another asymmetric algorithm, if this issuer uses it. `none` and HS* are never accepted.',
  expired: '`clockTolerance`, up to 300 s. Use it for clocks that differ, not for tokens that are too old.',
  not_yet_valid: '`clockTolerance`, up to 300 s. Use it for clocks that differ. Setting the clocks (NTP) is better.',
  unknown_key: ({ jwks }) =>
    jwks === undefined
      ? 'No option. Check that this issuer signed the token: the key set is the issuer’s.'
      : 'No option. Check that the file of --jwks is the key set that the issuer publishes today.',
  signature: 'No option, on purpose.',
  dpop_downgrade:
    'No option: the token is bound to a key of its client, and needs a proof (RFC 9449 §7). Paste the whole request, with its DPoP field.',
  proof_freshness:
    'No option helps with a copy: a proof is accepted for a minute. Paste the request right after the client made it.',
  certificate_binding:
    'No option: the token is bound to a client certificate, and needs the TLS connection that has it.',
  insufficient_scope: 'Let the client ask for the scope, or let the route require less.',
  jwks_unavailable: ({ jwksTokenFile }, { hint }) => {
    if (!hint.includes('`jwksAuth`')) return ''
    return jwksTokenFile === undefined
      ? 'For the issuer: `jwksUri: "https://…/the/keys", jwksAuth: { tokenFile: "/path/of/the/token" }`; here: --jwks-uri and --jwks-token-file. The token is sent to that address alone.'
      : 'Let the server allow the token of --jwks-token-file to read the keys, or give the file of another token.'
  }
}

/** Null without advice. */
export function remedyFor(given: Given, error: ResourceServerError, found: Found): string | null {
  if (found.idToken) return 'No option: let the client send the access token, which came together with this ID token.'
  const certificate = error.status >= 500 ? certificateRemedy(error.cause) : undefined
  const remedy = REMEDIES[error.reason]
  return certificate ?? ((typeof remedy === 'function' ? remedy(given, error, found) : remedy) || null)
}

export function isEncrypted(token: string): boolean {
  return token.split('.').length === 5
}

/** `typ` of a JWT that does not tell its kind; `legacy` accepts it (RFC 7519 §5.1). */
const PLAIN_JWT = /^(?:application\/)?jwt$/i

function remedyForType(
  { token, tokenProfile, profile }: Given,
  { received }: ResourceServerError,
  { issuer }: Found
): string {
  if (isEncrypted(token))
    return 'Let the client ask for an audience, so that it gets a signed token. Or set `decryptionKeys`, if the authorization server encrypts to a key of this API; here: --decrypt.'
  if (tokenProfile === 'legacy')
    return 'Let the client send the access token, and not the ID token that came with it. Or set `requiredClaimValues`, if a claim says that this is an access token and no other kind of token has that value.'
  if (received !== undefined && !(typeof received === 'string' && PLAIN_JWT.test(received)))
    return 'No option: its `typ` says that it is a token of another kind. Let the client send the access token.'
  const vendor = recognise(issuer)
  if (vendor?.profile !== undefined && profile === undefined)
    return `The profile \`${vendor.profile}\` of oauth-resource-server/profiles: the issuer looks like ${vendor.name}. Try it here: --profile ${vendor.profile}`
  return '`tokenProfile: "legacy"`, if the authorization server cannot write `at+jwt`. Most ID tokens are refused then by their claims. Add `requiredClaimValues`, if a claim says that this is an access token.'
}

function remedyForAudience({ audience, resource }: Given, { hint, received }: ResourceServerError): string {
  if (hint.includes('`audienceClaim`'))
    return '`audienceClaim`, if the authorization server never writes `aud`. Use it only if the claim names this API or clients of yours.'
  if (audience === undefined)
    return '`audience: [...]` with the identifier that came. Use it only if it names this API and no other. Never use `audience: null`.'
  return resource !== undefined && [received].flat().includes(resource)
    ? 'Leave `audience` out: the token names the API by its URL, which is the default.'
    : 'An `audience` with the identifier that came, instead of the given one or beside it. Use it only if it names this API and no other. Never use `audience: null`.'
}
