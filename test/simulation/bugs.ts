/** Deliberate bugs, each of which the simulation must find: the proof that its rules can fail. */
import type { Patch } from './patches.js'

export interface Bug {
  readonly name: string
  /** As the table in docs/reliability.md says it. */
  readonly what: string
  readonly patches: readonly Patch[]
}

export const BUGS: readonly Bug[] = [
  {
    name: 'no-recheck',
    what: 'A cached token is not checked against revocations again',
    patches: [
      {
        file: 'src/revocation/live.ts',
        from: '    requireNotRevoked(accessToken)\n    if (!accessToken.hasStatus) return undefined',
        to: '    if (!accessToken.hasStatus) return undefined'
      }
    ]
  },
  {
    name: 'early-acknowledgement',
    what: 'A revocation is acknowledged before the log has it',
    patches: [
      {
        file: 'src/revocation/revocation-log.ts',
        from: '  await log?.append(list, by)\n',
        to: '  log?.append(list, by).catch(() => undefined)\n'
      }
    ]
  },
  {
    name: 'no-wait-at-start',
    what: 'A process does not wait for the log when it starts',
    patches: [
      {
        file: 'src/revocation/live.ts',
        from: 'const reading = log?.wait()',
        to: 'const reading = undefined as Promise<void> | undefined'
      }
    ]
  },
  {
    name: 'log-not-mended',
    what: 'A log that has lost its last entries is not completed',
    patches: [{ file: 'src/revocation/log-keeper.ts', from: 'if ((hasLost || ', to: 'if ((' }]
  },
  {
    name: 'failed-append-forgotten',
    what: 'A revocation that the log did not take is not appended later',
    patches: [
      {
        file: 'src/revocation/log-keeper.ts',
        from: '      this.isBehind = true\n      if (this.refused.length < MAX_REFUSED) this.refused.push(...revocations)\n',
        to: ''
      }
    ]
  },
  {
    name: 'no-reserve',
    what: 'Events of transmitters may take the reserve of the operator',
    patches: [
      {
        file: 'src/revocation/revocations.ts',
        from: 'const SENDERS_RESERVE: number = 1 / 8',
        to: 'const SENDERS_RESERVE: number = 0'
      },
      {
        file: 'src/revocation/revocations.ts',
        from: 'size: Math.max(1, Math.ceil(maxEntries * SENDERS_RESERVE))',
        to: 'size: 0'
      }
    ]
  },
  {
    name: 'outage-is-401',
    what: 'A key that cannot be looked for in an outage is refused with 401',
    patches: [
      {
        file: 'src/jwt/looks.ts',
        from: '      this.budget.failed(since)\n      for (const { reject } of this.resolveFound(asked)) reject(error)',
        to: '      this.budget.failed(since)\n      const held = this.means.held()\n      for (const { reject, resolve } of asked) held === undefined ? reject(error) : resolve(held)'
      }
    ]
  },
  {
    name: 'early-look-counts',
    what: 'A look that began before a token came decides about its key',
    patches: [
      {
        file: 'src/jwt/looks.ts',
        from: 'const isAfter = set.fetchedAt >= came',
        to: 'const isAfter = true || came > 0'
      },
      {
        file: 'src/jwt/looks.ts',
        from: '({ missing, since: came }) => set.fetchedAt >= came ||',
        to: '({ missing }) => true ||'
      }
    ]
  },
  {
    name: 'replay-in-outage',
    what: 'A proof is accepted when the store fails',
    patches: [
      {
        file: 'src/confirmation/dpop.ts',
        from: "  throw new Unavailable('replay', 'the replay store of DPoP proofs failed', { cause })",
        to: '  return undefined as never'
      },
      {
        file: 'src/confirmation/dpop.ts',
        from: 'if (added !== true) throw',
        to: 'if (added !== true && added !== undefined) throw'
      }
    ]
  },
  {
    name: 'stale-key',
    what: 'Tokens of a withdrawn key stay in the cache',
    patches: [
      {
        file: 'src/issuer/published-keys.ts',
        from: 'if ([...this.previous].some((fingerprint) => !set.fingerprints.has(fingerprint))) this.version++',
        to: ''
      }
    ]
  },
  {
    name: 'swapped-writes',
    what: 'A revocation is appended to the log before the memory has it: two writes are swapped',
    patches: [
      {
        file: 'src/revocation/revocation-log.ts',
        from: '  try {\n    revocations.revoke(list, by)\n',
        to: '  await log?.append(list, by)\n  try {\n    revocations.revoke(list, by)\n'
      },
      {
        file: 'src/revocation/revocation-log.ts',
        from: '  await log?.append(list, by)\n  if (full !== undefined)',
        to: '  if (full !== undefined)'
      }
    ]
  },
  {
    name: 'timer-leak',
    what: 'A timer is not cancelled when its request is answered',
    patches: [{ file: 'src/base/awaitable.ts', from: '    world.cancel(timer)\n', to: '' }]
  },
  {
    name: 'past-the-port',
    what: 'The package rolls dice past its port',
    patches: [
      { file: 'src/documents/document.ts', from: '(0.5 + world.random() / 2)', to: '(0.5 + Math.random() / 2)' }
    ]
  }
]
