/**
 * Parameters shared by the profiles of most servers.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { Names, ProfileProblems } from '../problems.js'

/** Checks the parameters `issuer` and `audience`, which most servers need. */
export function issuerAndAudience(
  problems: ProfileProblems,
  options: { readonly issuer: string; readonly audience: Names },
  shape: RegExp,
  meaning: string
): { readonly issuer: string; readonly audience: readonly string[] } {
  const issuer = problems.address(options.issuer, 'issuer', shape, meaning)
  return { issuer, audience: problems.list(options.audience, 'audience') }
}
