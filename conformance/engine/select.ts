/**
 * Selects the checks of a run: by profile, by id, and by the features of the API.
 *
 * Tests: `test/conformance/run.test.ts`.
 */
import { type Check, type Need, PROFILES, type Profile } from '../check.js'

export interface Selection {
  readonly profiles?: readonly Profile[] | undefined
  /** Ids, or the beginnings of ids that end with `*`. */
  readonly only?: readonly string[] | undefined
  readonly skip?: readonly string[] | undefined
}

/** The run cannot begin, or cannot go on: the message says what to change. */
export class RunProblem extends Error {
  override readonly name = 'RunProblem'
}

/** @throws {RunProblem} a profile that does not exist, or an id that no check has */
export function select(checks: readonly Check[], { profiles, only, skip }: Selection): readonly Check[] {
  for (const one of profiles ?? [])
    if (!PROFILES.includes(one))
      throw new RunProblem(`${one} is not a profile. Use one of these: ${PROFILES.join(', ')}.`)
  for (const pattern of [...(only ?? []), ...(skip ?? [])])
    if (!checks.some(({ id }) => matches(id, pattern)))
      throw new RunProblem(`No check has the id ${pattern}. List them: oauth-resource-server conformance --list.`)
  const chosen = checks.filter(
    ({ id, profile }) =>
      (profiles === undefined || profiles.includes(profile)) &&
      (only === undefined || only.some((pattern) => matches(id, pattern))) &&
      !(skip ?? []).some((pattern) => matches(id, pattern))
  )
  if (chosen.length === 0) throw new RunProblem('No check is left: relax --profile, --only or --skip.')
  return chosen
}

function matches(id: string, pattern: string): boolean {
  return pattern.endsWith('*') ? id.startsWith(pattern.slice(0, -1)) : id === pattern
}

/** Why a check does not apply, by the feature that is missing. */
export const WHY: Readonly<Record<Need, string>> = {
  bearer: 'the API takes no Bearer tokens, only DPoP',
  issuer: 'needs the authorization server of the suite (--test-deployment), and an API that accepts its JWTs',
  introspection: 'needs an API that introspects tokens',
  dpop: 'needs an API that accepts DPoP-bound tokens',
  mtls: 'needs an API that accepts certificate-bound tokens',
  metadata: 'the API serves no protected resource metadata (RFC 9728)',
  scopes: 'needs a route and its scope',
  'second-issuer': 'needs an API that trusts two issuers',
  https: 'the URL is not https',
  methods: 'sends other methods than GET, HEAD and OPTIONS: allow them with --methods',
  fapi2: 'needs an API that follows FAPI 2.0: declare it by --profile fapi2',
  revocation: 'needs an API that takes revocations'
}

/** Why a check does not apply to the API. Undefined if it does. */
export function whyNot({ needs = [] }: Check, has: ReadonlySet<Need>): string | undefined {
  const missing = needs.find((need) => !has.has(need))
  return missing === undefined ? undefined : WHY[missing]
}
