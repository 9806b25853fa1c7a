/**
 * Vendor profile: GitHub Actions, tokens of jobs.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

const ID = /^[1-9]\d{0,18}$/

/**
 * GitHub Actions, the OIDC tokens of workflow jobs.
 *
 * ```
 * {"typ":"JWT","alg":"RS256","x5t":"…","kid":"…"}
 * {"jti":"…","sub":"repo:acme/shop:environment:prod","aud":"https://api.example.com","ref":"refs/heads/main","sha":"…",
 *  "repository":"acme/shop","repository_id":"74","repository_owner":"acme","repository_owner_id":"65","environment":"prod",
 *  "workflow":"deploy","job_workflow_ref":"acme/shop/.github/workflows/deploy.yml@refs/heads/main","event_name":"push",…,
 *  "iss":"https://token.actions.githubusercontent.com","nbf":…,"exp":…,"iat":…}
 * ```
 *
 * Relaxes: `typ` is `JWT`; a client claim is not required. The tokens have no scopes: check claims.
 * Still refuses: every repository and owner that is not listed, since any job on GitHub can request a token with this
 * API's audience. List them by ID, because another user can register an abandoned name.
 *
 * Does NOT check branch, environment, workflow or event: any job of a listed repository is accepted, including one for
 * a pull request within it. Require them on the route: `claims(({ environment }) => environment === 'prod')`.
 *
 * @param options.owners        `repository_owner_id` of users and organizations, all of whose repositories may call
 * @param options.repositories  `repository_id` of single repositories. With `owners`, both must match
 * @param options.audience      the audience that the job requests: `core.getIDToken('https://api.example.com')`
 */
export function githubActions(
  options: { readonly audience: Names } & (
    | { readonly owners: Names; readonly repositories?: Names }
    | { readonly owners?: Names; readonly repositories: Names }
  )
): IssuerOptions {
  const problems = new ProfileProblems('githubActions', options, ['owners', 'repositories', 'audience'])
  const ids = (option: 'owners' | 'repositories', meaning: string): readonly string[] | undefined =>
    options[option] === undefined ? undefined : problems.shapes(options[option], option, ID, meaning)
  const owners = ids(
    'owners',
    'the ID of a user or organization, as GET /users/{name} of GitHub’s API returns it: "65"'
  )
  const repositories = ids(
    'repositories',
    'the ID of a repository, as GET /repos/{owner}/{name} of GitHub’s API returns it: "74"'
  )
  if (owners === undefined && repositories === undefined)
    problems.add(
      'repositories',
      'and `owners` are missing',
      'every job on GitHub would be accepted: list at least one ID'
    )
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared({
    issuer: 'https://token.actions.githubusercontent.com',
    audience,
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'jti'],
    requiredClaimValues: {
      ...(owners && { repository_owner_id: owners }),
      ...(repositories && { repository_id: repositories })
    }
  })
}
