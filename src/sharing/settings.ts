/**
 * The options of `shared`: types, defaults and checks.
 *
 * Tests: `test/server/settings.test.ts`.
 */

import type { Problems } from '../base/options/problems.js'
import type { Cache, Log, OnceStore } from './stores.js'

/** State that the processes of one API share, so that they act as one. */
export interface SharedOptions {
  /**
   * The shared store: `redisStore(client)`. Holds introspection answers, copies of metadata and keys, used DPoP proofs
   * (`dpop.replayStore`), and claims on the next fetch of keys.
   */
  readonly store: Cache & OnceStore
  /**
   * A random text of at least 32 characters, the same in every process. All data that leaves a process is encrypted and
   * authenticated with keys derived from it. DPoP nonces use a derived key too, unless `dpop.nonceSecret` is set. A
   * second secret, the previous one, is still accepted.
   */
  readonly secret: string | readonly [current: string, previous: string]
  /**
   * Keeps the revocations of all processes: `redisLog(client)`. Default: each process knows only its own, until it ends.
   */
  readonly log?: Log
}

export interface SharedSettings {
  readonly store: Cache & OnceStore
  /** The first one writes; all of them read. */
  readonly secrets: readonly string[]
  readonly log: Log | undefined
}

const OPTIONS: Readonly<Record<keyof SharedOptions, true>> = { store: true, secret: true, log: true }

export function readShared(value: unknown, problems: Problems): SharedSettings | undefined {
  if (value === undefined || !problems.object(value, 'shared')) return undefined
  problems.unknownKeys(value, 'shared.', Object.keys(OPTIONS))
  const { store, secret, log } = value as unknown as Partial<SharedOptions>
  requireFunctions(store, 'shared.store', ['get', 'set', 'delete', 'add'], 'pass redisStore(client)', problems)
  if (log !== undefined) requireFunctions(log, 'shared.log', ['append', 'read'], 'pass redisLog(client)', problems)
  const secrets = problems.secrets(secret, 'shared.secret')
  return Object.freeze({ store: store as SharedOptions['store'], secrets: Object.freeze(secrets), log })
}

function requireFunctions(
  value: unknown,
  option: string,
  names: readonly string[],
  cure: string,
  problems: Problems
): void {
  const missing = names.filter((name) => typeof (value as Record<string, unknown> | null)?.[name] !== 'function')
  if (value === undefined || value === null || typeof value !== 'object') problems.add(option, 'is not an object', cure)
  else if (missing.length > 0) problems.add(option, `has no function \`${missing.join('`, `')}\``, cure)
}
