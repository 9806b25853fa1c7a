/**
 * All checks of the suite, in the order in which they run within a profile.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import type { Check } from '../check.js'
import { issuerChecks } from './issuer/index.js'
import { outsideChecks } from './outside/index.js'

export const CHECKS: readonly Check[] = [...outsideChecks, ...issuerChecks]
