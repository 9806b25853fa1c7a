/**
 * Names that other suites have for checks of ours: modules of the OpenID conformance suite (`testName`, FAPI 2.0 Security Profile
 * Final), and checks of MCP's conformance project (the `check` ids of its requirement lists by SEP).
 *
 * A check bears a name only if that suite sends the same request or holds a server to the same sentence.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */

const FAPI2 = 'fapi2-security-profile-final'

/** One module sends many proofs: each of the checks that bear its name sends one of them. */
export const FAPI2_DPOP: string = `${FAPI2}-dpop-negative-tests`
export const FAPI2_IAT_BEFORE: string = `${FAPI2}-ensure-dpopproof-with-iat-10seconds-before-succeeds`
export const FAPI2_IAT_AFTER: string = `${FAPI2}-ensure-dpopproof-with-iat-10seconds-after-succeeds`
export const FAPI2_NBF_EXP: string = `${FAPI2}-check-dpop-proof-nbf-exp`
export const FAPI2_SCHEME_CASE: string = `${FAPI2}-access-token-type-header-case-sensitivity`
/** Sends the token in the query, beside other things. */
export const FAPI2_HAPPY_FLOW: string = `${FAPI2}-happy-flow`

export const SEP_PROOF: string = 'sep-1932-server-validate-proof'
export const SEP_IAT: string = 'sep-1932-server-iat-window'
export const SEP_401: string = 'sep-1932-server-reject-401'
export const SEP_ASYMMETRIC: string = 'sep-1932-asymmetric-alg-only'
export const SEP_NONCE: string = 'sep-1932-server-nonce'
export const SEP_AUDIENCE: string = 'sep-1932-server-audience-validation'
