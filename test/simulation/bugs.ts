/** Deliberate bugs, each of which the simulation must find: the proof that its rules can fail. */
import type { Patch } from './patches.js'

export interface Bug {
  readonly name: string
  readonly patches: readonly Patch[]
}

export const BUGS: readonly Bug[] = []
