/** Where adapters keep the access that a request was granted. */
import { type Access, isAccess } from '../../src/index.js'

/** The access that `protect` left, or undefined; what another package put there does not count. */
export function findAccess(value: unknown): Access | undefined {
  return isAccess(value) ? value : undefined
}

/** @throws {Error} telling what to mount, where there is none */
export function requireAccess(value: unknown, where: string): Access {
  if (isAccess(value)) return value
  throw new Error(
    `getAuth(): there is no access on ${where}. Mount protect(api, …) before this handler; ` +
      'where `optional` or `skipPreflight` lets requests through without a token, use getOptionalAuth().'
  )
}
