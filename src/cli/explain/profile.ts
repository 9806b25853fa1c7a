/**
 * Calls the profile that `--profile` names, with the parameters that the issuer tells, secrets from the environment, and
 * the parameters of `--with`.
 *
 * Tests: `test/cli/vendors.test.ts`.
 */
import process from 'node:process'
import type { IssuerOptions } from '../../index.js'
import { nearest, UsageError } from '../command.js'
import { callProfile, PROFILE_NAMES, profileParameters } from '../vendors.js'

export interface ProfileFlags {
  readonly issuer: string
  readonly resource: string
  readonly audience: string | undefined
  /** Each as `name=value`. A name that comes twice makes a list. */
  readonly parameters: readonly string[]
}

/** @throws {UsageError} an unknown profile, or one whose parameters are missing or wrong: each by name */
export function profileEntries(name: string, flags: ProfileFlags): readonly IssuerOptions[] {
  // The name that this option had for the kind of token.
  if (name === 'legacy' || name === 'rfc9068')
    throw new UsageError(`--profile names a vendor, and ${name} is a kind of token: write --token-profile ${name}.`)
  if (!PROFILE_NAMES.includes(name)) {
    const near = nearest(name, PROFILE_NAMES)
    throw new UsageError(
      `--profile: there is no such profile. ${near.length > 0 ? `Near: ${near.join(', ')}.` : `The profiles: ${PROFILE_NAMES.join(', ')}.`}`
    )
  }
  const { known, secrets, accepts } = profileParameters(name, flags.issuer)
  // From the environment: other users of the machine can read the arguments of a process.
  const given = Object.entries(secrets).map(([secret, variable]) => [secret, process.env[variable] ?? ''] as const)
  const audience = accepts.includes('audience') ? { audience: flags.audience ?? flags.resource } : {}
  try {
    return callProfile(name, {
      ...known,
      ...Object.fromEntries(given),
      ...audience,
      ...readParameters(flags.parameters)
    })
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const cures = [
      ...Object.entries(secrets).map(
        ([secret, variable]) => `Set the environment variable ${variable} to the ${secret}.`
      ),
      ...(given.length > 0 && accepts.length === 0
        ? []
        : [`Give each with --with, such as --with ${accepts[0] ?? 'name'}=VALUE.`])
    ]
    throw new UsageError([error.message, ...cures].join('\n'), { cause: error })
  }
}

function readParameters(pairs: readonly string[]): Readonly<Record<string, string | readonly string[]>> {
  const all = new Map<string, string[]>()
  for (const pair of pairs) {
    const [, name, value] = /^(\w+)=(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined)
      throw new UsageError('--with needs a name and a value: --with clientId=orders-api')
    all.set(name, [...(all.get(name) ?? []), value])
  }
  return Object.fromEntries(
    [...all].map(([name, values]) => [name, values.length === 1 ? (values[0] as string) : values])
  )
}
