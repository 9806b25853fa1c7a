/**
 * Vendor profile: Firebase Authentication.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { ProfileProblems } from '../problems.js'

/**
 * Firebase Authentication and Google Identity Platform. Firebase calls its token for APIs an ID token and issues no
 * other kind.
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://securetoken.google.com/my-project","aud":"my-project","auth_time":…,"user_id":"…","sub":"…","iat":…,
 *  "exp":…,"email":"…","email_verified":true,"firebase":{"identities":{…},"sign_in_provider":"password"}}
 * ```
 *
 * Relaxes: `typ` is `JWT`; client, scopes and `jti` are not required. `aud` is the project, so a token is valid for
 * *every* API that trusts the project.
 * Still refuses: other projects, whose tokens the same keys sign; session cookies and custom tokens (other issuers and
 * keys); ID tokens of Google itself; and refresh tokens.
 *
 * Does NOT check the tenant of a multi-tenant project (`firebase.tenant`), nor revocation: check both where needed.
 *
 * @param options.projectId  the project ID, not its number: `my-project`
 */
export function firebase(options: { readonly projectId: string }): IssuerOptions {
  const problems = new ProfileProblems('firebase', options, ['projectId'])
  const { projectId } = options
  problems.shape(projectId, 'projectId', /^[a-z][a-z\d-]{4,28}[a-z\d]$/, 'a project ID: my-project')
  return problems.cleared({
    issuer: `https://securetoken.google.com/${projectId}`,
    jwksUri: 'https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com',
    audience: [projectId],
    algorithms: ['RS256'],
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'auth_time'],
    requiredClaimValues: { firebase: true }
  })
}
