/**
 * The preset `fapi2()`: options tightened to the FAPI 2.0 Security Profile §5.3.4 and §5.4. Its effect is visible in
 * the returned options and in `describe()`. No other code knows that a preset was used.
 *
 * Does NOT replace `resourceServer()`, which checks the returned options: `resourceServer(fapi2({ resource, issuers
 * }))`. Options that contradict the profile cause one TypeError with all of them; doubtful ones cause a process
 * warning.
 *
 * Tests: `test/rfc/fapi2.test.ts`.
 */
import { emitWarning } from 'node:process'
import { andThen } from '../base/awaitable.js'
import { mistakesOf, Problems } from '../base/options/problems.js'
import { withoutPath } from '../base/place.js'
import type { DpopOptions } from '../confirmation/settings.js'
import { Misconfigured } from '../errors/errors.js'
import type { IssuerOptions, IssuerResolver } from '../issuer/settings.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import type { ResourceServerOptions } from '../server/options.js'

/**
 * Algorithms of tokens and proofs (FAPI 2.0 Security Profile §5.4.1). `Ed25519` is the name in RFC 9864 for the former
 * `EdDSA`.
 */
const FAPI_ALGORITHMS: readonly SignatureAlgorithm[] = ['PS256', 'ES256', 'EdDSA', 'Ed25519']

/** Maximum age of a proof, and maximum clock tolerance, in seconds. */
const FAPI_TIME = 60

/** Maximum issuers that are warned about: a resolver may return any number. */
const MAX_WARNED = 20

/**
 * FAPI 2.0 Security Profile, requirements for the resource server (§5.3.4, §5.4).
 *
 * - Each issuer: `algorithms` PS256, ES256, EdDSA, Ed25519; your own list may only narrow it. Issuers returned by a
 *   resolver must meet the same rule.
 * - Tokens must be bound to a key: `requireSenderConstrained: true`, unless you set `'dpop'` or `'certificate'`.
 * - `dpop`: advertised. Proofs use the same algorithms and are at most 60 s old. Without `dpop` and with
 *   `requireSenderConstrained: 'certificate'`: `false`.
 * - `rejectQueryToken: true`. `clockTolerance` at most 60 s.
 *
 * An issuer with neither `introspection` nor `statusList` cannot tell revoked tokens, which §5.3.4 requires. Each such
 * issuer causes one process warning with the code `OAUTH_RS_FAPI_REVOCATION`, for at most 20 issuers. Use lifetimes of
 * minutes for its tokens, or configure one of the two. JWTs are introspected with `tokens: 'opaque'`, or on routes with
 * `fresh()`.
 *
 * Does NOT check the TLS of the API (TLS 1.2, BCP 195), nor how `introspection.auth` authenticates: §5.3.3 requires
 * `privateKeyJwt` or mutual TLS. Does NOT support HTTP signatures or `x-fapi-interaction-id`.
 *
 * @throws {TypeError} listing every contradiction
 */
export function fapi2<const Scope extends string = string, const Role extends string = string>(
  options: ResourceServerOptions<Scope, Role>
): ResourceServerOptions<Scope, Role> {
  const problems = new Problems('fapi2()')
  if (!problems.object(options, 'options')) throw problems.error()
  const { issuers, requireSenderConstrained = true, clockTolerance } = options as ResourceServerOptions<Scope, Role>
  const warned = new Set<string>()
  const tightened: ResourceServerOptions<Scope, Role> = {
    ...(options as ResourceServerOptions<Scope, Role>),
    issuers: Array.isArray(issuers)
      ? issuers.map((one, i) => fapiIssuer(one, `issuers[${i}]`, problems, warned, String))
      : typeof issuers === 'function'
        ? fapiResolver(issuers, warned)
        : issuers,
    dpop: fapiDpop(options as ResourceServerOptions<Scope, Role>, problems),
    requireSenderConstrained,
    rejectQueryToken: true
  }
  if (options.rejectQueryToken === false)
    problems.add('rejectQueryToken', 'is false', 'a token in the query is refused (§5.3.4)')
  if (typeof clockTolerance === 'number' && clockTolerance > FAPI_TIME)
    problems.add('clockTolerance', `is ${clockTolerance}`, `at most ${FAPI_TIME} seconds`)
  if (options.http?.insecureHosts !== undefined)
    problems.add('http.insecureHosts', 'is set', 'connections to other servers use TLS (§5.2.1): leave it out')
  if (requireSenderConstrained === false)
    problems.add('requireSenderConstrained', 'is false', 'tokens must be bound to a key (§5.3.4)')
  if (problems.any) throw problems.error()
  return tightened
}

function fapiIssuer(
  entry: string | IssuerOptions,
  path: string,
  problems: Problems,
  warned: Set<string>,
  shown: (issuer: string) => string
): string | IssuerOptions {
  const issuer = typeof entry === 'string' ? { issuer: entry } : entry
  if (!problems.object(issuer, path)) return entry
  const { issuer: name, introspection, statusList, algorithms } = issuer as unknown as IssuerOptions
  requireSubset(algorithms, `${path}.algorithms`, problems)
  if (introspection === undefined && !statusList && !warned.has(name) && warned.size < MAX_WARNED) {
    warned.add(name)
    emitWarning(
      `fapi2(): the issuer ${shown(name)} has neither \`introspection\` nor \`statusList\`, so a revoked token is accepted until it expires`,
      {
        code: 'OAUTH_RS_FAPI_REVOCATION',
        detail: 'FAPI 2.0 Security Profile §5.3.4 requires a check of the revocation status. See docs/profiles.md.'
      }
    )
  }
  return { ...(issuer as unknown as IssuerOptions), algorithms: algorithms ?? FAPI_ALGORITHMS }
}

/** @throws {Misconfigured} from the resolver, if its answer contradicts the profile: a 500, as for its other mistakes */
function fapiResolver(resolve: IssuerResolver, warned: Set<string>): IssuerResolver {
  return (unverifiedIssuer) =>
    andThen(resolve(unverifiedIssuer), (answer) => {
      if (answer === undefined || answer === null) return answer
      const problems = new Problems('fapi2()')
      const issuer = fapiIssuer(answer, 'answer', problems, warned, withoutPath)
      if (problems.any) throw new Misconfigured(mistakesOf(problems.error())?.withoutValues ?? '')
      return issuer
    })
}

function fapiDpop(
  { dpop, requireSenderConstrained }: ResourceServerOptions<string>,
  problems: Problems
): DpopOptions | false {
  const byCertificate = requireSenderConstrained === 'certificate'
  if (dpop === false || (dpop === undefined && byCertificate)) {
    if (!byCertificate)
      problems.add(
        'dpop',
        'is false',
        "then tokens must be bound to a certificate: requireSenderConstrained: 'certificate'"
      )
    return false
  }
  if (dpop !== undefined && !problems.object(dpop, 'dpop')) return dpop
  const { algorithms, proofLifetime }: DpopOptions = dpop ?? {}
  requireSubset(algorithms, 'dpop.algorithms', problems)
  if (typeof proofLifetime === 'number' && proofLifetime > FAPI_TIME)
    problems.add('dpop.proofLifetime', `is ${proofLifetime}`, `at most ${FAPI_TIME} seconds`)
  return {
    advertise: true,
    ...dpop,
    algorithms: algorithms ?? FAPI_ALGORITHMS,
    proofLifetime: proofLifetime ?? FAPI_TIME
  }
}

function requireSubset(algorithms: unknown, path: string, problems: Problems): void {
  const given: unknown[] = Array.isArray(algorithms) ? algorithms : []
  const others = given.filter((one) => !FAPI_ALGORITHMS.includes(one as SignatureAlgorithm))
  if (others.length > 0)
    problems.add(path, `holds ${others.map(String).join(', ')}`, `§5.4.1 allows ${FAPI_ALGORITHMS.join(', ')}`, {
      withoutValue: 'holds another algorithm'
    })
}
