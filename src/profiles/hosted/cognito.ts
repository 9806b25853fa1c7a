/**
 * Vendor profile: Amazon Cognito.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Amazon Cognito user pools.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"sub":"…","iss":"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example","client_id":"…","origin_jti":"…",
 *  "event_id":"…","token_use":"access","scope":"orders/read","auth_time":…,"exp":…,"iat":…,"jti":"…","username":"…",
 *  "cognito:groups":["…"]}
 * ```
 *
 * Relaxes: `typ` may be missing; `client_id` replaces `aud`, so a token is valid for *every* API that lists its app
 * client. If your pool writes `aud` (resource binding), override `audienceClaim: 'aud'` and `audience`. Roles are the
 * user's groups, `cognito:groups`.
 * Still refuses: ID tokens (`token_use: "id"`), refresh tokens, tokens of other app clients and other pools.
 *
 * @param options.region      such as `eu-central-1`
 * @param options.userPoolId  such as `eu-central-1_Example`
 * @param options.clientIds   the app clients that may call this API
 */
export function cognito(options: {
  readonly region: string
  readonly userPoolId: string
  readonly clientIds: Names
}): IssuerOptions {
  const problems = new ProfileProblems('cognito', options, ['region', 'userPoolId', 'clientIds'])
  const { region, userPoolId } = options
  problems.shape(region, 'region', /^[a-z]{2}(-[a-z]+)+-\d$/, 'an AWS region: eu-central-1')
  problems.shape(userPoolId, 'userPoolId', /^[a-z\d-]+_[\dA-Za-z]+$/, 'a user pool ID: eu-central-1_Example')
  if (userPoolId && !String(userPoolId).startsWith(`${region}_`))
    problems.add('userPoolId', 'is in another region', 'it begins with its region: eu-central-1_Example')
  const audience = problems.list(options.clientIds, 'clientIds')
  const issuer = `https://cognito-idp.${region}.amazonaws.com/${userPoolId}`
  return problems.cleared({
    issuer,
    metadataUrl: `${issuer}/.well-known/openid-configuration`,
    audience,
    audienceClaim: 'client_id',
    tokenProfile: 'legacy',
    rolesClaim: 'cognito:groups',
    requiredClaims: ['sub', 'client_id', 'iat', 'jti'],
    requiredClaimValues: { token_use: ['access'] }
  })
}
