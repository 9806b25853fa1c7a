/**
 * Values that the checks of `doctor` share.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import type { Finding } from '../terminal.js'

/** Adds a finding to the report. */
export type Add = (verdict: Finding['verdict'], name: string, detail?: string) => void

/** The texts in a list. Other members may be too deeply nested to print. */
export function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined
}

export function quoted(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : 'none'
}
