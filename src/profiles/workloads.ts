/**
 * Profiles of servers that give a token to every workload that asks: each pod of a cluster, each job of a forge. Such a
 * token may name any audience, so its audience proves nothing. These profiles therefore require a list of callers.
 */

import type { IssuerOptions } from '../issuer/settings.js'
import { type Names, ProfileProblems } from './problems.js'

/** Where the API server is, for a pod of its cluster: the certificate of every cluster has this name. */
const IN_CLUSTER = 'https://kubernetes.default.svc'
const SUBJECT = /^system:serviceaccount:[a-z\d](?:[-a-z\d]*[a-z\d])?:[a-z\d](?:[-a-z\d.]*[a-z\d])?$/

/**
 * Kubernetes, projected service account tokens.
 *
 * ```
 * {"alg":"RS256","kid":"…"}
 * {"aud":["https://api.example.com"],"exp":…,"iat":…,"iss":"https://kubernetes.default.svc.cluster.local","jti":"…",
 *  "kubernetes.io":{"namespace":"shop","pod":{"name":"…","uid":"…"},"serviceaccount":{"name":"web","uid":"…"}},"nbf":…,
 *  "sub":"system:serviceaccount:shop:web"}
 * ```
 *
 * Relaxes: no `typ`, no client, and no `jti` (clusters before 1.30). There are no scopes: check `access.subject`.
 * Still refuses: every service account that is not in `subjects`, since any pod can ask for a token with this API's
 * audience; tokens for the API server itself; tokens from Secrets, which have no `aud`; and tokens of other clusters.
 *
 * Without `issuer` the tokens are those of the cluster that this API runs in. Its keys are read from the API server with
 * this pod's own token (`jwksAuth`), and Node must trust the cluster's CA (NODE_EXTRA_CA_CERTS). With `issuer` the keys
 * are found by public discovery, as EKS, GKE and AKS offer it.
 *
 * Does NOT ask the cluster whether the pod still exists: such a token is good until its `exp`.
 *
 * @param options.subjects  service accounts that may call: `system:serviceaccount:<namespace>:<name>`, exactly
 * @param options.audience  the `audience` of the projected volume
 * @param options.issuer    the issuer of a cluster with public discovery. Default: this cluster
 */
export function kubernetes(options: {
  readonly subjects: Names
  readonly audience: Names
  readonly issuer?: string
}): IssuerOptions {
  const problems = new ProfileProblems('kubernetes', options, ['subjects', 'audience', 'issuer'])
  const account = 'one service account: system:serviceaccount:<namespace>:<name>'
  const subjects = problems.shapes(options.subjects, 'subjects', SUBJECT, account)
  const audience = problems.list(options.audience, 'audience')
  const { issuer } = options
  if (issuer !== undefined)
    problems.address(
      issuer,
      'issuer',
      /./,
      'the issuer of the cluster: https://oidc.eks.eu-central-1.amazonaws.com/id/…'
    )
  return problems.cleared({
    ...(issuer === undefined
      ? {
          issuer: 'https://kubernetes.default.svc.cluster.local',
          jwksUri: `${IN_CLUSTER}/openid/v1/jwks`,
          jwksAuth: { tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' }
        }
      : { issuer }),
    audience,
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat'],
    requiredClaimValues: { sub: subjects }
  })
}

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
 * Relaxes: `typ` is `JWT`; no client. There are no scopes: check claims.
 * Still refuses: every repository and owner that is not listed, since any job on GitHub can ask for a token with this
 * API's audience. They are listed by ID, because a name that was given up can be registered by another user.
 *
 * Does NOT look at branch, environment, workflow or event: any job of a listed repository is let in, also one of a pull
 * request within it. Require them on the route: `claims(({ environment }) => environment === 'prod')`.
 *
 * @param options.owners        `repository_owner_id` of users and organizations, all of whose repositories may call
 * @param options.repositories  `repository_id` of single repositories. With `owners`, both must fit
 * @param options.audience      what the job asks for: `core.getIDToken('https://api.example.com')`
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
  const owners = ids('owners', 'the ID of a user or organization, as GET /users/{name} of GitHub’s API has it: "65"')
  const repositories = ids(
    'repositories',
    'the ID of a repository, as GET /repos/{owner}/{name} of GitHub’s API has it: "74"'
  )
  if (owners === undefined && repositories === undefined)
    problems.add(
      'repositories',
      'and `owners` are missing',
      'every job on GitHub would be let in: list at least one ID'
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
