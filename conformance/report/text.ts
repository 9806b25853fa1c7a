/**
 * Sentences of a result that several forms of the report share.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import type { Counts, Report, Result } from './report.js'

/** `RFC 6750 §3.1, SHOULD`, or `hardening: no text demands this`. */
export function sourceLine({ source, level }: Result): string {
  if (level === 'hardening')
    return source === undefined ? 'hardening: no text demands this' : `hardening, see ${source.name} ${source.section}`
  return source === undefined ? level : `${source.name} ${source.section}, ${level}`
}

/** `61 passed, 2 failed (MUST), 1 failed (SHOULD), 3 to harden, 40 not applicable`. */
export function countsLine({ passed, failed, notApplicable, errors }: Counts): string {
  const parts = [
    `${passed} passed`,
    ...(['MUST', 'SHOULD', 'MAY'] as const)
      .filter((level) => failed[level] > 0)
      .map((level) => `${failed[level]} failed (${level})`),
    ...(failed.hardening > 0 ? [`${failed.hardening} to harden`] : []),
    ...(errors > 0 ? [`${errors} could not be run`] : []),
    `${notApplicable} not applicable`
  ]
  return parts.join(', ')
}

/** `oauth-resource-server conformance 0.1.0`. */
export function toolLine({ tool, toolVersion }: Report): string {
  return `${tool} ${toolVersion}`
}

const BOUND: Readonly<Record<NonNullable<Report['binding']>, string>> = {
  dpop: 'tokens sent with DPoP',
  certificate: 'tokens bound to a client certificate'
}

/** The mode, requests and time of the run, in one line. */
export function modeLine({ mode, binding, requests, seconds }: Report): string {
  const how = mode === 'outside' ? 'from outside, without a token of the API' : "with the suite's authorization server"
  return `${how}${binding === undefined ? '' : `, ${BOUND[binding]}`}; ${requests} requests in ${seconds} seconds`
}

/** The worst first: MUST, SHOULD, MAY, hardening, then what could not be run. */
export function troubles({ results }: Pick<Report, 'results'>): readonly Result[] {
  const levels = ['MUST', 'SHOULD', 'MAY', 'hardening'] as const
  return [
    ...levels.flatMap((level) => results.filter((one) => one.verdict === 'failed' && one.level === level)),
    ...results.filter(({ verdict }) => verdict === 'error')
  ]
}
