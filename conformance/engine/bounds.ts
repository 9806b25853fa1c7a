/**
 * The bounds of the numbers that a user gives: by a flag, in the configuration, or to `runConformance()`.
 *
 * A timer of Node.js holds about 24 days, and a longer one ends at once: a very low rate would send without a pause.
 *
 * Tests: `test/conformance/run.test.ts`, `test/conformance/command.test.ts`.
 */

/** The name of a number that has bounds. */
export type Bounded = 'rate' | 'maxRequests' | 'timeout' | 'wait' | 'revocationSeconds' | 'recoverySeconds'

interface Bound {
  readonly from: number
  readonly to: number
  readonly isWhole?: true
}

/** In requests a second, requests, and seconds. */
const BOUNDS: Readonly<Record<Bounded, Bound>> = {
  rate: { from: 0.01, to: Number.POSITIVE_INFINITY },
  maxRequests: { from: 1, to: Number.POSITIVE_INFINITY, isWhole: true },
  timeout: { from: 0.001, to: 3600 },
  wait: { from: 0, to: 86_400 },
  revocationSeconds: { from: 0, to: 86_400 },
  recoverySeconds: { from: 0, to: 86_400 }
}

/** The end of a sentence about a number that is out of its bounds. Undefined if it is within them. */
export function boundProblem(name: Bounded, value: unknown): string | undefined {
  const { from, to, isWhole } = BOUNDS[name]
  const isNumber = typeof value === 'number' && value >= from && value <= to
  const isRight = isNumber && (isWhole === undefined || Number.isInteger(value) || value === Number.POSITIVE_INFINITY)
  if (isRight) return undefined
  const end = to === Number.POSITIVE_INFINITY ? '' : ` to ${to.toLocaleString('en')}`
  return `must be a ${isWhole === undefined ? '' : 'whole '}number from ${from}${end}`
}
