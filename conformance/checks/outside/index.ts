/**
 * The checks that need a URL and no token of the API.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import type { Check } from '../../check.js'
import { hardeningChecks } from './hardening.js'
import { mcpChecks } from './mcp.js'
import { rfc6750Checks } from './rfc6750.js'
import { rfc9110Checks } from './rfc9110.js'
import { rfc9728Checks } from './rfc9728.js'

export const outsideChecks: readonly Check[] = [
  ...rfc6750Checks,
  ...rfc9110Checks,
  ...rfc9728Checks,
  ...mcpChecks,
  ...hardeningChecks
]
