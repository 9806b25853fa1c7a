/** The options of `shared`, their defaults and their checks. */

import type { Problems } from '../base/problems.js'
import type { Cache, Channel, OnceStore } from './stores.js'

/** What the processes of one API share, so that they act as one. */
export interface SharedOptions {
  /** Where they share it: `redisStore(client)`. Of it come the answers of introspection, snapshots of metadata and keys, used DPoP proofs (`dpop.replayStore`) and whose turn it is to ask for keys again. */
  readonly store: Cache & OnceStore
  /** A random text of at least 32 characters, the same in every process. All that leaves a process is encrypted and authenticated with keys derived from it; DPoP nonces too are made with one (`dpop.nonceSecret`). A second one, the one before, is still accepted. */
  readonly secret: string | readonly [current: string, previous: string]
  /** Tells the other processes of revocations: `redisChannel(publisher, subscriber)`. Default: each process has its own. */
  readonly channel?: Channel
}

export interface SharedSettings {
  readonly store: Cache & OnceStore
  /** The first one writes. */
  readonly secrets: readonly string[]
  readonly channel: Channel | undefined
}

const OPTIONS: Readonly<Record<keyof SharedOptions, true>> = { store: true, secret: true, channel: true }

const MIN_SECRET_LENGTH = 32

export function readShared(value: unknown, problems: Problems): SharedSettings | undefined {
  if (value === undefined || !problems.object(value, 'shared')) return undefined
  problems.unknownKeys(value, 'shared.', Object.keys(OPTIONS))
  const { store, secret, channel } = value as unknown as Partial<SharedOptions>
  requireFunctions(store, 'shared.store', ['get', 'set', 'delete', 'add'], 'pass redisStore(client)', problems)
  if (channel !== undefined)
    requireFunctions(
      channel,
      'shared.channel',
      ['publish', 'subscribe'],
      'pass redisChannel(publisher, subscriber)',
      problems
    )
  const list: readonly unknown[] = Array.isArray(secret) ? secret : [secret]
  const secrets = list.filter((one) => typeof one === 'string' && one.length >= MIN_SECRET_LENGTH) as string[]
  // Says nothing of what it holds.
  if (secrets.length !== list.length || secrets.length < 1 || secrets.length > 2)
    problems.add(
      'shared.secret',
      'is not a secret or a pair of secrets',
      `give a random string of at least ${MIN_SECRET_LENGTH} characters, or [current, previous]`
    )
  return Object.freeze({ store: store as SharedOptions['store'], secrets: Object.freeze(secrets), channel })
}

function requireFunctions(
  value: unknown,
  option: string,
  names: readonly string[],
  cure: string,
  problems: Problems
): void {
  const missing = names.filter((name) => typeof (value as Record<string, unknown> | null)?.[name] !== 'function')
  if (value === undefined || value === null || typeof value !== 'object') problems.add(option, 'is not a store', cure)
  else if (missing.length > 0) problems.add(option, `has no function \`${missing.join('`, `')}\``, cure)
}
