/**
 * `oauth-resource-server/conformance`: holds any API to the RFCs that concern a resource server, in your own tests or by the
 * command `oauth-resource-server conformance URL`.
 *
 * Send requests only to servers that are yours. A report does not certify anything for OpenID or MCP.
 *
 * Tests: `test/conformance/run.test.ts`.
 */
export type {
  Binding,
  Check,
  CheckContext,
  Declared,
  Finding,
  Level,
  Need,
  Profile,
  RevocationWay,
  Source,
  SuiteIssuer,
  WireRequest,
  WireResponse
} from './check.js'
export { PROFILES } from './check.js'
export { type RunningIssuer, type SuiteIssuerOptions, startSuiteIssuer } from './issuer.js'
export { badge, htmlReport, jsonReport, junitReport } from './report/index.js'
export {
  type Counts,
  type Exchange,
  exitCodeOf,
  failuresOf,
  type Report,
  type Result,
  type Verdict
} from './report/report.js'
export { type ConformanceOptions, RunProblem, runConformance } from './run.js'
