/**
 * Listening on the channels of this package for somebody who may fail: a logger, a meter. `node:diagnostics_channel` makes
 * an uncaught exception of what a listener throws, which ends the process; here it is told once, and requests go on.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { emitWarning } from 'node:process'
import { format } from 'node:util'

/** Calls back for what is told on a channel, by its name without the prefix. @returns ends it */
export type Listen = <Event>(channel: string, told: (event: Event) => unknown) => () => void

/** @param name whose listeners they are, for the warning that the first failure is */
export function createListen(name: string): Listen {
  let hasFailed = false
  const failed = (error: unknown): void => {
    // At every request it would be a flood, and what receives it has trouble enough.
    if (hasFailed) return
    hasFailed = true
    emitWarning(format('oauth-resource-server: what %s was given failed, which is said once: %s', name, error))
  }
  return <Event>(channel: string, told: (event: Event) => unknown) => {
    const listener = (event: unknown): void => {
      try {
        const result = told(event as Event)
        if (result instanceof Promise) result.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
    const full = `oauth-resource-server:${channel}`
    subscribe(full, listener)
    return () => void unsubscribe(full, listener)
  }
}
