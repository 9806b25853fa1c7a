/**
 * The checks that need an authorization server, in the order in which they run: those that make the issuer fail, or that keep the
 * API from asking it again for a while, come last.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import type { Check } from '../../check.js'
import { jose } from '../jose/jose.js'
import { keys } from '../jose/keys.js'
import { wycheproof } from '../jose/wycheproof.js'
import { access } from './access.js'
import { fapi2 } from './fapi2.js'
import { faults } from './faults.js'
import { revocation } from './revocation.js'
import { rfc6750 } from './rfc6750.js'
import { rfc7662 } from './rfc7662.js'
import { rfc8705 } from './rfc8705.js'
import { rfc9068 } from './rfc9068.js'
import { rfc9449 } from './rfc9449.js'
import { rfc9701 } from './rfc9701.js'

export const issuerChecks: readonly Check[] = [
  ...rfc9068,
  ...rfc6750,
  ...access,
  ...jose,
  ...wycheproof,
  ...rfc7662,
  ...rfc9701,
  ...rfc9449,
  ...fapi2,
  ...rfc8705,
  ...revocation,
  ...keys,
  ...faults
]
