/** How `npm run false-alarms` tells checks that may be wrong from findings. The run itself is nightly: it needs the servers. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { CHECKS } from '../../conformance/checks/index.js'
import { judge, type Report } from '../false-alarms/judge.mjs'
import read from '../false-alarms/read.json' with { type: 'json' }

const SCRIPT = join(import.meta.dirname, '../../scripts/false-alarms.mjs')

/** Reports of two servers of ours and some of others, of one check. */
function reportsOf(ours: string, others: readonly string[], level = 'MUST'): readonly Report[] {
  const result = (verdict: string) => [{ id: 'a-check', level, verdict }]
  return [
    { name: 'ours', isOurs: true, results: result(ours) },
    ...others.map((verdict, index) => ({ name: `secret-name-${index}`, results: result(verdict) }))
  ]
}

const failed = (count: number): string[] => Array.from({ length: count }, () => 'failed')

describe('a check is a problem', () => {
  test.each([
    ['if it fails on this package', reportsOf('failed', ['passed']), /^a-check: fails on this package\.$/],
    [
      'if it could not be run',
      reportsOf('passed', ['error', 'passed']),
      /^a-check: could not be run on 1 of 3 servers\.$/
    ],
    ['if it fails on all others', reportsOf('passed', failed(3)), /^a-check \(MUST\): fails on all 3 other servers/],
    [
      'if it fails on all others to which it applies',
      reportsOf('passed', ['not applicable', ...failed(3)], 'SHOULD'),
      /^a-check \(SHOULD\): fails on all 3 other servers/
    ]
  ])('%s', (_, reports, expected) => {
    const { problems, notes } = judge(reports, {})
    expect(problems).toEqual([expect.stringMatching(expected)])
    expect(notes).toEqual([])
  })

  test.each([
    ['if one other server passes', reportsOf('passed', [...failed(5), 'passed'])],
    ['if it applies to two others only', reportsOf('passed', ['not applicable', ...failed(2)])]
  ])('and not %s', (_, reports) => {
    expect(judge(reports, {})).toEqual({ problems: [], notes: [] })
  })
})

describe('a check is a note', () => {
  test.each([
    [
      'if no text demands it',
      reportsOf('passed', failed(3), 'hardening'),
      {},
      /fails on all 3 .*No text demands it\.$/
    ],
    ['if somebody has read its text again', reportsOf('passed', failed(3)), { 'a-check': 'Right.' }, /Read: Right\.$/],
    [
      'if it is listed as read, and no longer fails everywhere',
      reportsOf('passed', ['passed', ...failed(2)]),
      { 'a-check': 'Right.' },
      /^a-check: is in read\.json, and did not fail everywhere/
    ]
  ])('%s', (_, reports, list, expected) => {
    expect(judge(reports, list)).toEqual({ problems: [], notes: [expect.stringMatching(expected)] })
  })
})

test('no line names a server of others', () => {
  for (const reports of [reportsOf('failed', failed(4)), reportsOf('passed', ['error', ...failed(3)])])
    expect(JSON.stringify(judge(reports, {}))).not.toContain('secret-name')
})

test('read.json lists ids of checks', () => {
  const ids = CHECKS.map(({ id }) => id)
  expect(Object.keys(read).filter((id) => !ids.includes(id))).toEqual([])
})

test('--findings is refused in CI, whose logs are public', async () => {
  const env = { ...process.env, CI: 'true' }
  const run = promisify(execFile)(process.execPath, [SCRIPT, '--findings', '/nonexistent'], { env })
  await expect(run).rejects.toMatchObject({ stderr: expect.stringMatching(/--findings is for your own machine/) })
})
