// @ts-check
/**
 * Decides from the reports of many servers which checks of the suite may be wrong. It names checks, never a server: what the suite
 * finds of other people's servers is not published.
 *
 * Tests: `test/scripts/false-alarms.test.ts`.
 */

/** Servers that must have the feature of a check, before "all of them fail" says anything. */
const ENOUGH = 3

/**
 * @typedef {{ id: string, level: string, verdict: string, why?: string | undefined }} Result
 * @typedef {{ name: string, isOurs?: true | undefined, results: readonly Result[] }} Report
 */

/**
 * @typedef {object} Judgement
 * @property {readonly string[]} problems each one ends the run with exit code 1
 * @property {readonly string[]} notes to read, without consequence
 */

/**
 * Judges the reports of one run.
 *
 * - A check that fails on a server of this package is wrong, or the package is.
 * - A MUST or SHOULD that fails on every other server that has the feature is suspect: read its text again, and write the result into
 *   `read.json`.
 * - A check that could not be run is a fault of the suite or of the server's program.
 *
 * @param {readonly Report[]} reports
 * @param {Readonly<Record<string, string>>} read suspects that were read by hand: the id, and why the check is right
 * @returns {Judgement}
 */
export function judge(reports, read) {
  const problems = []
  const notes = []
  const seen = new Set()
  for (const id of new Set(reports.flatMap(({ results }) => results.map((one) => one.id)))) {
    const { ours, others, level } = verdictsOf(reports, id)
    if (ours.includes('failed')) problems.push(`${id}: fails on this package.`)
    const errors = [...ours, ...others].filter((verdict) => verdict === 'error').length
    if (errors > 0) problems.push(`${id}: could not be run on ${errors} of ${ours.length + others.length} servers.`)
    const isSuspect = others.length >= ENOUGH && others.every((verdict) => verdict === 'failed')
    if (!isSuspect || ours.includes('failed')) continue
    seen.add(id)
    const told = `${id} (${level}): fails on all ${others.length} other servers that it applies to`
    if (Object.hasOwn(read, id)) notes.push(`${told}. Read: ${read[id]}`)
    else if (level === 'MUST' || level === 'SHOULD') problems.push(`${told}, and on none of ours.`)
    else notes.push(`${told}. No text demands it.`)
  }
  for (const id of Object.keys(read))
    if (!seen.has(id)) notes.push(`${id}: is in read.json, and did not fail everywhere in this run.`)
  return { problems, notes }
}

/** Verdicts on one check where it applies. @param {readonly Report[]} reports @param {string} id */
function verdictsOf(reports, id) {
  /** @type {string[]} */
  const ours = []
  /** @type {string[]} */
  const others = []
  let level = ''
  for (const { isOurs, results } of reports)
    for (const one of results) {
      if (one.id !== id || one.verdict === 'not applicable') continue
      level = one.level
      ;(isOurs ? ours : others).push(one.verdict)
    }
  return { ours, others, level }
}
