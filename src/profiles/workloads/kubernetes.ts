/**
 * Vendor profile: Kubernetes, service account tokens.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/** The API server's address for a pod of its cluster: every cluster's certificate has this name. */
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
 * Relaxes: `typ` may be missing; client and `jti` are not required (`jti` exists since 1.30). The tokens have no
 * scopes: check `access.subject`.
 * Still refuses: every service account that is not in `subjects`, since any pod can request a token with this API's
 * audience; tokens for the API server itself; tokens from Secrets, which have no `aud`; and tokens of other clusters.
 *
 * Without `issuer`, accepts tokens of the cluster that this API runs in. Its keys are fetched from the API server with
 * this pod's own token (`jwksAuth`), and Node must trust the cluster's CA (NODE_EXTRA_CA_CERTS). With `issuer`, the
 * keys are found by public discovery, as EKS, GKE and AKS offer it.
 *
 * Does NOT check that the pod still exists: a token is valid until its `exp`.
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
