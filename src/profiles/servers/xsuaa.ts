/**
 * Vendor profile: SAP XSUAA.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { ORIGIN, ProfileProblems } from '../problems.js'

/**
 * SAP XSUAA (Authorization and Trust Management), one entry for each tenant's subdomain.
 *
 * ```
 * {"alg":"RS256","jku":"https://acme.authentication.eu10.hana.ondemand.com/token_keys","kid":"…","typ":"JWT"}
 * {"jti":"…","sub":"…","scope":["orders!t1.Read","openid"],"client_id":"sb-orders!t1","cid":"sb-orders!t1","azp":"sb-orders!t1",
 *  "grant_type":"authorization_code","rev_sig":"…","iat":…,"exp":…,"zid":"…","aud":["orders!t1","openid"],
 *  "iss":"https://acme.authentication.eu10.hana.ondemand.com/oauth/token"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the client is in `cid` or `azp`. Scopes keep their prefix: `orders!t1.Read`.
 * Still refuses: ID tokens (their `aud` is only the client), refresh tokens (no `scope`), other applications, and other
 * subdomains. The header's `jku` is never followed.
 *
 * @param options.url        `url` of the service binding: `https://acme.authentication.eu10.hana.ondemand.com`
 * @param options.xsappname  `xsappname` of the service binding: `orders!t1`, not the client `sb-orders!t1`
 */
export function xsuaa(options: { readonly url: string; readonly xsappname: string }): IssuerOptions {
  const problems = new ProfileProblems('xsuaa', options, ['url', 'xsappname'])
  const url = problems.address(options.url, 'url', ORIGIN, 'https://acme.authentication.eu10.hana.ondemand.com')
  const { xsappname } = options
  problems.shape(
    xsappname,
    'xsappname',
    /^(?!sb-)./,
    'the xsappname, orders!t1: sb-… is the client, which ID tokens name'
  )
  return problems.cleared({
    issuer: `${url}/oauth/token`,
    jwksUri: `${url}/token_keys`,
    audience: [xsappname],
    tokenProfile: 'legacy',
    scopeClaim: 'scope',
    clientIdClaim: ['cid', 'azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat', 'jti', 'scope']
  })
}
