/** Reads the access that adapters store on a request. */
import { type Access, isAccess } from '../../src/index.js'

/** The access that `protect` stored, or undefined. Values that another package stored there are ignored. */
export function findAccess(value: unknown): Access | undefined {
  return isAccess(value) ? value : undefined
}

/** @throws {Error} there is no access; the message says what to mount */
export function requireAccess(value: unknown, where: string): Access {
  if (isAccess(value)) return value
  throw new Error(
    `getAuth(): there is no access on ${where}. Mount protect(api, …) before this handler; ` +
      'where `optional` or `skipPreflight` lets requests through without a token, use getOptionalAuth().'
  )
}
