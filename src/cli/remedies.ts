/**
 * Names the option that would admit a refused token, and says whether to use it. Options that are already set are not
 * suggested.
 *
 * Tests: `test/cli/explain.test.ts`.
 */
import type { ResourceServerError } from '../index.js'
import { certificateRemedy } from './causes.js'

/** The options that `explain` got. */
export interface Given {
  readonly token: string
  readonly resource?: string | undefined
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly tokenProfile?: 'rfc9068' | 'legacy' | undefined
  readonly jwks?: string | undefined
  readonly jwksTokenFile?: string | undefined
}

type Remedy = string | ((given: Given, error: ResourceServerError) => string)

const REMEDIES: Readonly<Record<string, Remedy>> = {
  malformed: 'If this authorization server issues opaque tokens: `introspection`. Wise: they are made for that.',
  type: remedyForType,
  audience: remedyForAudience,
  issuer: ({ issuer }) =>
    issuer === undefined
      ? '`acceptedIssuers` with the text that came, and `jwksUri`, under an https `issuer`. Wise only if the authorization server cannot be given an https name.'
      : '`issuer` written exactly as the token has it, a final slash included. Wise: no name is folded. `acceptedIssuers` is for a second name of the same keys, another entry in `issuers` for another authorization server.',
  claim: ({ tokenProfile }) =>
    tokenProfile === 'legacy'
      ? 'None: `legacy` is given, under which only `iss`, `exp` and `aud` must be there. Let the authorization server write the claim as it is expected.'
      : '`requiredClaims`, or `tokenProfile: "legacy"`. Wise for a claim that nothing in your API relies on.',
  algorithm:
    '`algorithms`. Wise for another asymmetric algorithm that this issuer really uses; `none` and HS* cannot be had.',
  expired: '`clockTolerance`, up to 300 s. Wise for clocks that differ, not for tokens that are too old.',
  not_yet_valid: '`clockTolerance`, up to 300 s. Wise for clocks that differ; better to set them.',
  unknown_key: ({ jwks }) =>
    jwks === undefined
      ? 'None. The key set is the issuer’s; look whether this is the issuer that signed it.'
      : 'None. Is the file of --jwks the key set that the issuer publishes today?',
  signature: 'None, and there must be none.',
  dpop_downgrade: 'None: the token is bound to its client’s key, and needs a proof (RFC 9449 §7). That is a property.',
  certificate_binding: 'None: the token is bound to a client certificate, and needs the TLS connection that has it.',
  insufficient_scope: 'The client must ask for the scope; or the route for less.',
  jwks_unavailable: ({ jwksTokenFile }, { hint }) => {
    if (!hint.includes('`jwksAuth`')) return ''
    return jwksTokenFile === undefined
      ? 'For the issuer: `jwksUri: "https://…/the/keys", jwksAuth: { tokenFile: "/path/of/the/token" }`; here: --jwks-uri and --jwks-token-file. Wise: the token is sent to that address alone.'
      : 'Let the server allow the token of --jwks-token-file to read the keys, or give the file of another token.'
  }
}

/** Null without advice. */
export function remedyFor(given: Given, error: ResourceServerError): string | null {
  const certificate = error.status >= 500 ? certificateRemedy(error.cause) : undefined
  const remedy = REMEDIES[error.reason]
  return certificate ?? ((typeof remedy === 'function' ? remedy(given, error) : remedy) || null)
}

export function isEncrypted(token: string): boolean {
  return token.split('.').length === 5
}

/** `typ` of a JWT that does not tell its kind; `legacy` accepts it (RFC 7519 §5.1). */
const PLAIN_JWT = /^(?:application\/)?jwt$/i

function remedyForType({ token, tokenProfile }: Given, { received }: ResourceServerError): string {
  if (isEncrypted(token))
    return 'Let the client ask for an audience, so that it gets a signed token. Or `decryptionKeys`, where the authorization server encrypts to a key of this API.'
  if (tokenProfile === 'legacy')
    return 'Let the client send the access token, and not the ID token that came with it. `requiredClaimValues`, where a claim says that this is an access token. Wise if no other kind of token has the claim with that value.'
  if (received !== undefined && !(typeof received === 'string' && PLAIN_JWT.test(received)))
    return 'None: its `typ` says that it is a token of another kind. Let the client send the access token.'
  return '`tokenProfile: "legacy"`. Wise where the authorization server cannot write `at+jwt`: most ID tokens are refused then, by their claims. With `requiredClaimValues`, where a claim of the token says that it is an access token.'
}

function remedyForAudience({ audience, resource }: Given, { hint, received }: ResourceServerError): string {
  if (hint.includes('`audienceClaim`'))
    return '`audienceClaim`, where the authorization server never writes `aud`. Wise only if the claim names this API or clients of yours.'
  if (audience === undefined)
    return '`audience: [...]` with the identifier that came. Wise only if it names this API and no other; `audience: null` never is.'
  return resource !== undefined && [received].flat().includes(resource)
    ? 'No `audience`: the token names the API by its URL, which is the default.'
    : 'An `audience` with the identifier that came, in place of the one given or beside it. Wise only if it names this API and no other; `audience: null` never is.'
}
