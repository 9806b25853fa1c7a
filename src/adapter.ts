/** Names for this package's own adapters, besides the public names. Not an entry of the package. */

export { isPromise } from './base/awaitable.js'
export { requireOptions } from './base/options/spelling.js'
export { type Timer, world } from './base/world.js'
export { MAX_EVENT_LENGTH } from './receivers/receiver.js'
