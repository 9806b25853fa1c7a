/**
 * Failures that the simulation has found. Each is played again by the tests. A change of the commands changes what a path
 * means: then find the failure again, or leave a test of its own in its place.
 */
import type { Campaign } from './run.js'

export interface Regression extends Omit<Campaign, 'runs'> {
  /** What went wrong. */
  readonly story: string
}

export const REGRESSIONS: readonly Regression[] = []
