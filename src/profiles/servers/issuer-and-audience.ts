/** Vendor profile: The two parameters that most servers need. */
import type { Names, ProfileProblems } from '../problems.js'

/** The two parameters that most servers need, checked. */
export function issuerAndAudience(
  problems: ProfileProblems,
  options: { readonly issuer: string; readonly audience: Names },
  shape: RegExp,
  meaning: string
): { readonly issuer: string; readonly audience: readonly string[] } {
  const issuer = problems.address(options.issuer, 'issuer', shape, meaning)
  return { issuer, audience: problems.list(options.audience, 'audience') }
}
