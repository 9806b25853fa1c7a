/**
 * Checks a JWS signature (RFC 7515 §5.2) with `crypto.verify`, on keys imported once, and decides where and when: a check
 * that comes alone is made at once, and of a burst a batch in each turn of the event loop, between which other requests
 * have theirs. Batches are also what is fastest, because the code and the tables of a check stay in the processor's caches.
 *
 * Does NOT parse tokens, choose keys or know issuers.
 */
import { verify } from 'node:crypto'
import { availableParallelism } from 'node:os'
// Not the global one: whoever fakes that in his tests would have requests wait for ever.
import { setImmediate } from 'node:timers'
import type { SignatureKey } from './algorithms.js'
import { MAX_ECDSA, writeEcdsa } from './ecdsa.js'

/**
 * True if the signature over `signingInput` is by this key.
 *
 * @param signingInput ASCII
 * @param signature    canonical base64url
 */
export type VerifySignature = (key: SignatureKey, signingInput: string, signature: string) => boolean | Promise<boolean>

/** Checks in one turn of the event loop that are made as they come. */
const AT_ONCE = 2
/** Milliseconds of a turn for those that wait: so long may other requests have to wait for them. */
const BATCH = 0.5
/** The part of them that has its turn however long it takes: where turns are long for other reasons, they would only become more. */
const PART = 1 / 4
/** Checks that wait for a turn. For each that comes on top, the one that waits longest is made at once: the sender waits. */
const WAITING_AT_MOST = 256
/** Checks given to libuv's pool and not back yet; more would keep DNS and file system waiting behind them. */
const POOLED_AT_MOST = 32
/** Bytes that a check on this thread has for what is signed; what is longer gets its own. */
const SCRATCH = 4096
/** Bytes of a signature: of RSA with 8192 bits. */
const MAX_SIGNATURE = 1024

/** A check that waits for its turn. */
interface Waiting {
  readonly key: SignatureKey
  readonly signingInput: string
  readonly signature: string
  readonly resolve: (valid: boolean) => void
  readonly reject: (error: unknown) => void
}

/**
 * Whom a batch did not come to, libuv's pool takes, where there is another core that it can run on: on the same one, a
 * hop to another thread costs what it saves. When the pool is busy with other things, this thread goes on alone.
 *
 * @param now    milliseconds, from any start
 * @param cores  that this process may use
 */
export function createVerifySignature(
  now: () => number = () => performance.now(),
  cores: number = availableParallelism()
): VerifySignature {
  const inputs = createScratch(SCRATCH)
  const signatures = createScratch(MAX_SIGNATURE)
  const ecdsa = createScratch(MAX_ECDSA)
  const pooledAtMost = cores > 1 ? POOLED_AT_MOST : 0
  const ring = Array.from<Waiting | undefined>({ length: WAITING_AT_MOST })
  /** Where the one is that waits longest. */
  let first = 0
  let waiting = 0
  let thisTurn = 0
  let pooled = 0

  const verifyHere = (key: SignatureKey, signingInput: string, signature: string): boolean => {
    const fits = signingInput.length <= SCRATCH
    const input = fits ? inputs.write(signingInput, 'latin1') : Buffer.from(signingInput, 'latin1')
    const bytes = signatures.write(signature, 'base64url')
    // Fewer, where the decoder passed over a character that no caller lets through.
    if (bytes.length !== key.signatureLength) return false
    return verify(key.digest, input, key.input, key.isEcdsa ? ecdsa.first(writeEcdsa(bytes, ecdsa.bytes)) : bytes)
  }

  const take = (): Waiting => {
    const one = ring[first] as Waiting
    ring[first] = undefined
    first = (first + 1) % WAITING_AT_MOST
    waiting--
    return one
  }

  const checkHere = ({ key, signingInput, signature, resolve, reject }: Waiting): void => {
    try {
      resolve(verifyHere(key, signingInput, signature))
    } catch (error) {
      reject(error)
    }
  }

  const checkOnPool = ({ key, signingInput, signature, resolve, reject }: Waiting): void => {
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
        pooled--
        if (error) reject(error)
        else resolve(valid)
      })
      pooled++
    } catch (error) {
      // In a turn of the event loop nobody would catch it.
      reject(error)
    }
  }

  /** Due as long as somebody waits, or this turn has had its checks, and then once. */
  const nextTurn = (): void => {
    thisTurn = 0
    if (waiting === 0) return
    const end = now() + BATCH
    const left = waiting - Math.ceil(waiting * PART)
    while (waiting > left || (waiting > 0 && now() < end)) checkHere(take())
    while (waiting > 0 && pooled < pooledAtMost) checkOnPool(take())
    if (waiting > 0) setImmediate(nextTurn)
  }

  return (key, signingInput, signature) => {
    // Four characters are three bytes.
    if ((signature.length * 3) >> 2 !== key.signatureLength) return false
    if (waiting === 0 && thisTurn < AT_ONCE) {
      // Counted over turns until there are so many: most checks then cost no callback. It may be one less in a turn.
      if (++thisTurn === AT_ONCE) setImmediate(nextTurn)
      return verifyHere(key, signingInput, signature)
    }
    if (waiting === WAITING_AT_MOST) checkHere(take())
    return new Promise((resolve, reject) => {
      ring[(first + waiting++) % WAITING_AT_MOST] = { key, signingInput, signature, resolve, reject }
    })
  }
}

interface Scratch {
  readonly bytes: Buffer
  first(length: number): Buffer
  write(text: string, encoding: 'latin1' | 'base64url'): Buffer
}

/** Memory that is written anew for each check on this thread, and its first so many bytes, made once for each number. */
function createScratch(size: number): Scratch {
  const bytes = Buffer.allocUnsafeSlow(size)
  const views = Array.from<Buffer | undefined>({ length: size + 1 })
  const first = (length: number): Buffer => {
    const view = views[length] ?? bytes.subarray(0, length)
    views[length] = view
    return view
  }
  return { bytes, first, write: (text, encoding) => first(bytes.write(text, encoding)) }
}
