/**
 * Checks a JWS signature (RFC 7515 §5.2) with `crypto.verify`, on keys imported once, and schedules the checks. A single
 * check runs at once. A burst runs in batches, one per turn of the event loop, so other requests get their turns between
 * them. Batches are also fastest, because the code and tables of a check stay in the processor's caches.
 *
 * Does NOT parse tokens, choose keys or know issuers.
 */

import { verify } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { createScratch } from '../base/scratch.js'
import { world } from '../base/world.js'
import type { SignatureKey } from './algorithms.js'
import { decodeSignature } from './compact.js'
import { MAX_ECDSA, writeEcdsa } from './ecdsa.js'

/**
 * True if the signature over `signingInput` is by this key.
 *
 * @param signingInput ASCII
 * @param signature    canonical base64url
 */
export type VerifySignature = (key: SignatureKey, signingInput: string, signature: string) => boolean | Promise<boolean>

/** Maximum checks in one turn of the event loop that run as they come. */
const AT_ONCE = 2
/** Milliseconds per turn for waiting checks: other requests wait that long for them. */
const BATCH = 0.5
/** Share of the queue checked per turn even over budget, so that a busy event loop cannot make the queue grow. */
const PART = 1 / 4
/** Maximum checks that wait for a turn. Each check beyond that runs the oldest waiting check at once, as backpressure. */
const WAITING_AT_MOST = 256
/** Maximum checks in libuv's pool at once; more would make DNS and file system wait behind them. */
const POOLED_AT_MOST = 32
/** Bytes of the reused buffer for signing inputs on this thread; a longer input gets its own buffer. */
const SCRATCH = 4096

/** A check that waits for its turn. */
interface Waiting {
  readonly key: SignatureKey
  readonly signingInput: string
  readonly signature: string
  readonly resolve: (valid: boolean) => void
  readonly reject: (error: unknown) => void
}

/**
 * Verifies on this thread. Checks that a batch did not reach go to libuv's pool, if this process may use another core: on
 * the same core, a hop to another thread costs what it saves. While the pool is full, this thread goes on alone.
 *
 * @param now    milliseconds, from any start
 * @param cores  number of cores that this process may use
 */
export function createVerifySignature(
  now: () => number = () => world.monotonic(),
  cores: number = availableParallelism()
): VerifySignature {
  return new Checks(now, cores > 1 ? POOLED_AT_MOST : 0).verify
}

class Checks {
  private readonly now: () => number
  private readonly pooledAtMost: number
  private readonly inputs = createScratch(SCRATCH)
  private readonly ecdsa = createScratch(MAX_ECDSA)
  /** The waiting checks, oldest first from {@link first}. */
  private readonly ring = Array.from<Waiting | undefined>({ length: WAITING_AT_MOST })
  private first = 0
  private waiting = 0
  /** Checks made as they came since the counter was last reset; see {@link nextTurn}. */
  private thisTurn = 0
  /** Checks that libuv's pool has not returned yet. */
  private pooled = 0

  constructor(now: () => number, pooledAtMost: number) {
    this.now = now
    this.pooledAtMost = pooledAtMost
  }

  readonly verify: VerifySignature = (key, signingInput, signature) => {
    // Four characters are three bytes.
    if ((signature.length * 3) >> 2 !== key.signatureLength) return false
    if (this.waiting === 0 && this.thisTurn < AT_ONCE) {
      // Counted over turns until there are AT_ONCE, so most checks schedule no callback. A turn may get one check fewer.
      if (++this.thisTurn === AT_ONCE) world.soon(this.nextTurn)
      return this.verifyHere(key, signingInput, signature)
    }
    if (this.waiting === WAITING_AT_MOST) this.checkHere(this.take())
    return new Promise((resolve, reject) => {
      const place = (this.first + this.waiting++) % WAITING_AT_MOST
      this.ring[place] = { key, signingInput, signature, resolve, reject }
    })
  }

  /** Runs in each turn of the event loop while a check waits, and once after {@link AT_ONCE} checks came. */
  private readonly nextTurn = (): void => {
    this.thisTurn = 0
    if (this.waiting === 0) return
    const end = this.now() + BATCH
    const left = this.waiting - Math.ceil(this.waiting * PART)
    while (this.waiting > left || (this.waiting > 0 && this.now() < end)) this.checkHere(this.take())
    while (this.waiting > 0 && this.pooled < this.pooledAtMost) this.checkOnPool(this.take())
    if (this.waiting > 0) world.soon(this.nextTurn)
  }

  private take(): Waiting {
    const oldest = this.ring[this.first] as Waiting
    this.ring[this.first] = undefined
    this.first = (this.first + 1) % WAITING_AT_MOST
    this.waiting--
    return oldest
  }

  private verifyHere(key: SignatureKey, signingInput: string, signature: string): boolean {
    const { inputs, ecdsa } = this
    const fits = signingInput.length <= SCRATCH
    const input = fits ? inputs.first(inputs.bytes.write(signingInput, 'latin1')) : Buffer.from(signingInput, 'latin1')
    const bytes = decodeSignature(signature)
    if (bytes?.length !== key.signatureLength) return false
    return verify(key.digest, input, key.input, key.isEcdsa ? ecdsa.first(writeEcdsa(bytes, ecdsa.bytes)) : bytes)
  }

  private checkHere({ key, signingInput, signature, resolve, reject }: Waiting): void {
    try {
      resolve(this.verifyHere(key, signingInput, signature))
    } catch (error) {
      reject(error)
    }
  }

  private checkOnPool({ key, signingInput, signature, resolve, reject }: Waiting): void {
    const input = Buffer.from(signingInput, 'latin1')
    const raw = Buffer.from(signature, 'base64url')
    if (raw.length !== key.signatureLength) {
      resolve(false)
      return
    }
    const der = Buffer.allocUnsafe(MAX_ECDSA)
    const bytes = key.isEcdsa ? der.subarray(0, writeEcdsa(raw, der)) : raw
    try {
      verify(key.digest, input, key.input, bytes, (error, valid) => {
        this.pooled--
        if (error) reject(error)
        else resolve(valid)
      })
      this.pooled++
    } catch (error) {
      // Thrown from a turn of the event loop, it would be an uncaught exception.
      reject(error)
    }
  }
}
