/** What a target of the fuzzer is, and what holds for every answer, whatever was sent. */
import { expect } from 'vitest'
import { Refusal, type ResourceRequest, ResourceServerError } from '../../src/index.js'
import { parseChallenge } from '../support/challenge-parser.js'
import type { Expected } from './oracle.js'

export interface Target {
  /**
   * Sends this and checks the answer.
   *
   * @param input a character is a byte
   * @returns what became of it: `accepted`, or the reason of the refusal
   * @throws what breaks a rule, which is a finding
   */
  run(input: string): Promise<string>
  close(): Promise<void>
}

/** Bytes of an answer's fields and body, none of which is made of what was sent. */
const MAX_ANSWER = 2048
/** Characters of what an operator is told. */
const MAX_HINT = 32_768

/**
 * The reason of a refusal, after a look at all of it.
 *
 * @param statuses those that such an input may lead to
 */
export async function reasonOf(error: unknown, statuses: readonly number[]): Promise<string> {
  if (!(error instanceof ResourceServerError)) throw error
  expect(statuses, `${error.reason}: ${error.hint}`).toContain(error.status)
  const response = error.toResponse()
  const lines = [error.headers['WWW-Authenticate'] ?? []].flat()
  const size = [...response.headers].flat().join().length + (await response.text()).length
  expect(size).toBeLessThan(MAX_ANSWER)
  expect(error.hint.length).toBeLessThan(MAX_HINT)
  expect(error.message).toBe(error.description)
  // A challenge is for those who can do something about it.
  expect(lines.length > 0).toBe(error instanceof Refusal)
  expect(error instanceof Refusal).toBe(error.status < 500)
  for (const line of lines) parseChallenge(line)
  return error.reason
}

/** `accepted`, or the reason of the refusal. */
export async function verdictOf(attempt: () => unknown, statuses: readonly number[]): Promise<string> {
  try {
    await attempt()
    return 'accepted'
  } catch (error) {
    return reasonOf(error, statuses)
  }
}

/** @throws an answer that the oracle would not have given */
export function requireExpected(verdict: string, expected: Expected): void {
  if (expected === 'either') return
  expect(verdict === 'accepted' ? 'accepted' : 'refused', verdict).toBe(expected)
}

/** `GET /items` with these field lines. */
export function requestWith(
  fields: Readonly<Record<string, readonly string[]>>,
  more: Partial<ResourceRequest> = {}
): ResourceRequest {
  return { method: 'GET', url: '/items', fieldLines: (name) => fields[name] ?? [], ...more }
}
