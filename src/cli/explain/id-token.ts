/**
 * Recognises an ID token, so that `explain` can say first that the client sends the wrong token. For advice only: the
 * resource server refuses ID tokens by its own rules.
 *
 * Tests: `test/cli/explain.test.ts`.
 */
type Claims = Readonly<Record<string, unknown>>

/** Claims with which authorization servers name an ID token: Cognito, Keycloak, PingAM, FusionAuth, Curity. */
const NAMED: Readonly<Record<string, RegExp>> = {
  token_use: /^id$/i,
  typ: /^ID$/i,
  tokenName: /^id_token$/i,
  tty: /^idt?$/i,
  purpose: /^id$/i
}

/** Hashes that only ID tokens have (OpenID Connect Core §3.3.2.11). */
const HASHES = ['at_hash', 'c_hash', 's_hash']

/** Claims that show a client or a scope, as access tokens have. */
const ACCESS = ['scope', 'scp', 'client_id', 'cid', 'appid', 'permissions']

/** True for a token with the marks of an ID token. Only a header `typ` of `at+jwt` outweighs them. */
export function isIdToken(header: Claims | undefined, payload: Claims | undefined): boolean {
  if (payload === undefined || /^(?:application\/)?at\+jwt$/i.test(String(header?.['typ']))) return false
  if (Object.entries(NAMED).some(([claim, name]) => name.test(String(payload[claim])))) return true
  if (HASHES.some((claim) => payload[claim] !== undefined)) return true
  if (ACCESS.some((claim) => payload[claim] !== undefined)) return false
  const { nonce, azp, aud } = payload
  return nonce !== undefined || (typeof azp === 'string' && [aud].flat().every((one) => one === azp))
}
