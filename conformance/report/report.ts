/**
 * The report of a run: the object that `--json` writes, and that every other form is made of.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import { type Binding, type Finding, LEVELS, type Level, type Need, type Profile, type Source } from '../check.js'

/** Raised when a member changes its meaning or goes; a new member does not raise it. */
export const REPORT_VERSION = 1

/** Stands in every report. */
export const NOTICE = 'This is no certification by OpenID or MCP.'

/** The outcome of one check. `error`: it could not be run. `not applicable` is never counted as passed. */
export type Verdict = 'passed' | 'failed' | 'not applicable' | 'error'

/** A request of a check, and its answer. */
export interface Exchange {
  /** The request as a curl command; tokens are shortened. */
  readonly sent: string
  /** Undefined if no answer came. */
  readonly status?: number
  /** The fields of the answer that checks judge, one a line; tokens are shortened. */
  readonly fields?: readonly string[]
  /** At most 300 characters of the body. */
  readonly body?: string
  /** Why no answer came. */
  readonly problem?: string
}

/** The result of one check. */
export interface Result {
  readonly id: string
  readonly title: string
  readonly profile: Profile
  readonly level: Level
  readonly source?: Source
  readonly also?: readonly string[]
  readonly verdict: Verdict
  /** Only for `failed`. */
  readonly finding?: Finding
  /** Why the check is not applicable, or could not be run. */
  readonly why?: string
  /** Times that the check measured, such as `0.3 seconds from the revocation to the refusal`. */
  readonly measured?: readonly string[]
  /** True if a check that measures time failed once and was repeated. */
  readonly isRepeated?: true
  readonly exchanges: readonly Exchange[]
}

/** The result of a run: plain data, the same as `--json` writes. */
export interface Report {
  readonly version: typeof REPORT_VERSION
  readonly tool: string
  /** The version of this package that made the report. */
  readonly toolVersion: string
  readonly notice: typeof NOTICE
  readonly url: string
  /** ISO 8601. */
  readonly started: string
  readonly seconds: number
  /** `outside`: only a URL. `issuer`: the API trusts the suite's authorization server. */
  readonly mode: 'outside' | 'issuer'
  /** The key to which the API wants all tokens bound. Undefined for an API that takes tokens that are not bound. */
  readonly binding?: Binding
  /** Features that were detected or declared. */
  readonly features: readonly Need[]
  readonly profiles: readonly Profile[]
  /** Requests sent. */
  readonly requests: number
  readonly counts: Counts
  readonly results: readonly Result[]
}

/** Results by verdict; failed ones by level. */
export interface Counts {
  readonly passed: number
  readonly failed: Readonly<Record<Level, number>>
  readonly notApplicable: number
  readonly errors: number
}

export function countsOf(results: readonly Result[]): Counts {
  const count = (test: (one: Result) => boolean): number => results.filter(test).length
  const failed = (level: Level): number => count((one) => one.verdict === 'failed' && one.level === level)
  return {
    passed: count(({ verdict }) => verdict === 'passed'),
    failed: { MUST: failed('MUST'), SHOULD: failed('SHOULD'), MAY: failed('MAY'), hardening: failed('hardening') },
    notApplicable: count(({ verdict }) => verdict === 'not applicable'),
    errors: count(({ verdict }) => verdict === 'error')
  }
}

/** Failures of this level or a stricter one. */
export function failuresOf({ results }: Pick<Report, 'results'>, failOn: Level = 'SHOULD'): readonly Result[] {
  const counted = LEVELS.slice(0, LEVELS.indexOf(failOn) + 1)
  return results.filter(({ verdict, level }) => verdict === 'failed' && counted.includes(level))
}

/**
 * 0: nothing failed that counts. 1: something did. 2: nothing failed that counts, and a check could not be run or none applied: such a
 * run has shown nothing.
 */
export function exitCodeOf(report: Report, failOn?: Level): 0 | 1 | 2 {
  if (failuresOf(report, failOn).length > 0) return 1
  return report.counts.errors > 0 || report.counts.notApplicable === report.results.length ? 2 : 0
}
