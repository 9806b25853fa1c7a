/**
 * Setup of every test file: resource servers of this process emit no process warnings about refusals, as with `logTo()`.
 * The tests of those warnings end it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'

const MARKER = 'oauth-resource-server:log'
const listener = (): void => undefined

subscribe(MARKER, listener)

export function endQuiet(): void {
  unsubscribe(MARKER, listener)
}
