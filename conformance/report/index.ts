/**
 * The forms of the report.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
export { badge } from './badge.js'
export { htmlReport } from './html.js'
export { jsonReport } from './json.js'
export { junitReport } from './junit.js'
export { progressLine, terminalReport } from './terminal.js'
