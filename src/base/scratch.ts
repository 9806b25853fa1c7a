/**
 * Buffers that are used again, so that checking a token allocates none.
 *
 * Tests: `test/jwt/verify-signature.test.ts`.
 */

export interface Scratch {
  readonly bytes: Buffer
  /** A view of the first bytes, created once for each length. */
  first(length: number): Buffer
}

export function createScratch(size: number): Scratch {
  const bytes = Buffer.allocUnsafeSlow(size)
  const views: (Buffer | undefined)[] = Array.from({ length: size + 1 })
  return {
    bytes,
    first: (length) => {
      const view = views[length] ?? bytes.subarray(0, length)
      views[length] = view
      return view
    }
  }
}
