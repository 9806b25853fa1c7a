/**
 * Subscribes listeners that may fail, such as a logger or a meter, to this package's channels.
 * `node:diagnostics_channel` turns a listener's error into an uncaught exception, which ends the process. Here, the
 * first error becomes a process warning, and requests continue.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { emitWarning } from 'node:process'
import { format } from 'node:util'

/**
 * Subscribes to a channel, by its name without the prefix.
 *
 * @returns a function that unsubscribes
 */
export type Listen = <Event>(channel: string, told: (event: Event) => unknown) => () => void

/** @param name the integration that owns the listeners, for the warning about the first failure */
export function createListen(name: string): Listen {
  let hasFailed = false
  const failed = (error: unknown): void => {
    // A warning per request would be a flood, and the log already has problems.
    if (hasFailed) return
    hasFailed = true
    emitWarning(
      format(
        'oauth-resource-server: a function or object that was passed to %s failed. This warning is emitted once. The error: %s',
        name,
        error
      )
    )
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
