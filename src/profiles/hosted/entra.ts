/**
 * Vendor profile: Microsoft Entra ID.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { GUID, type Names, ProfileProblems } from '../problems.js'

/**
 * Microsoft Entra ID, for an API of your own: one entry for each tenant, with that tenant's discovery and keys. No
 * template covers all tenants: any customer of Microsoft can get such an `iss`, so it proves nothing.
 *
 * ```
 * {"typ":"JWT","alg":"RS256","kid":"…"}
 * {"aud":"6e74172b-…","iss":"https://login.microsoftonline.com/{tid}/v2.0","iat":…,"nbf":…,"exp":…,"azp":"…",
 *  "azpacr":"1","oid":"…","scp":"orders.read","sub":"…","tid":"{tid}","uti":"…","ver":"2.0"}
 * {"aud":"api://6e74172b-…","iss":"https://sts.windows.net/{tid}/",…,"appid":"…","appidacr":"1",…,"ver":"1.0"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the issuer of version 1 tokens; scopes in `scp`; the client in `azp` or `appid`; `jti` is
 * not required.
 * Still refuses: ID tokens (they name no client), tokens of other tenants and for other APIs, tokens for Microsoft
 * Graph (which only Graph may verify). App roles are in `roles`: the user's, or in an app-only token the application's.
 * Require them with `roles(…)`, not as scopes: unless assignment is required, every app of the tenant can get an
 * app-only token without roles.
 *
 * @param options.tenantIds  directory (tenant) IDs: GUIDs
 * @param options.audience   the API's application ID (version 2) or its Application ID URI, `api://…` (version 1)
 */
export function entra(options: { readonly tenantIds: Names; readonly audience: Names }): readonly IssuerOptions[] {
  const problems = new ProfileProblems('entra', options, ['tenantIds', 'audience'])
  const tenants = problems.list(options.tenantIds, 'tenantIds')
  for (const one of tenants) {
    if (/^(common|organizations|consumers)$/i.test(one))
      problems.add(
        'tenantIds',
        `holds '${one}', which means every tenant`,
        'list the tenants whose tokens you accept',
        {
          withoutValue: 'holds a name that means every tenant',
          text: one
        }
      )
    else problems.shape(one, 'tenantIds', GUID, 'a directory (tenant) ID, a GUID in lower case')
  }
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared(
    tenants.map(
      (tid): IssuerOptions => ({
        issuer: `https://login.microsoftonline.com/${tid}/v2.0`,
        acceptedIssuers: [`https://sts.windows.net/${tid}/`],
        metadataUrl: `https://login.microsoftonline.com/${tid}/v2.0/.well-known/openid-configuration`,
        audience,
        tokenProfile: 'legacy',
        scopeClaim: 'scp',
        rolesClaim: 'roles',
        clientIdClaim: ['azp', 'appid'],
        requiredClaims: ['sub', 'client_id', 'iat'],
        requiredClaimValues: { tid: [tid] }
      })
    )
  )
}
