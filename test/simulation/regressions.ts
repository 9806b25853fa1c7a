/**
 * Failures that the simulation has found. Each is played again by the tests. A change of the commands changes what a path
 * means: then find the failure again, or leave a test of its own in its place.
 */
import type { Campaign } from './run.js'

export interface Regression extends Omit<Campaign, 'runs'> {
  /** What went wrong. */
  readonly story: string
}

export const REGRESSIONS: readonly Regression[] = [
  {
    story:
      'while the looks of all processes are used up, a key that a renewal brings is not seen by tokens that wait for it: 429',
    seed: 1010,
    path: '528:0:0:0:0:0:0:13:13:14:10:11:11:11:11:11:11:11:11:11:11:11:12:11:12',
    replayPath: '/4:D'
  }
]
