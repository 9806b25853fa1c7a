/**
 * Reads the key files of `explain`: the issuer's public keys (`--jwks`), and the API's private key (`--decrypt`).
 *
 * Tests: `test/cli/explain.test.ts`.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { isObject, parseObject } from '../../base/json.js'
import type { DecryptionKey } from '../../index.js'
import { type KeySet, readKeySet } from '../../jwt/key-set.js'
import { readGivenFile, UsageError } from '../command.js'
import type { Terminal } from '../terminal.js'

export interface GivenKeys {
  readonly keys: object
  /** Unusable keys of the file, each with the reason. */
  readonly unused: readonly string[]
}

/**
 * Reads the keys of a file like a fetched set. Unusable keys are left out and reported, except keys for another use.
 *
 * @throws {UsageError} a file that is not a key set, or has no usable key
 */
export async function readKeys(path: string, terminal: Terminal): Promise<GivenKeys> {
  const content = await readGivenFile(path, '--jwks', terminal)
  const keys = parseObject(content)?.['keys']
  if (!Array.isArray(keys)) throw new UsageError('--jwks: the file is not a key set: {"keys": [...]} (RFC 7517 §5)')
  const set = readWhole({ keys })
  const unused = [...set.skipped, ...set.broken()]
  const isUsable = (key: unknown): boolean => {
    const alone = readKeySet({ keys: [key] })
    return alone.size > 0 && alone.broken().length === 0
  }
  const usable = keys.filter(isUsable)
  if (usable.length === 0)
    throw new UsageError(
      `--jwks: the file has no key that a token can be verified with${unused.map((why) => `\n- ${why}`).join('')}`
    )
  return { keys: { keys: usable }, unused }
}

function readWhole(document: object): KeySet {
  try {
    return readKeySet(document)
  } catch (error) {
    throw new UsageError(`--jwks: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Reads the private key of an API, in PEM or as a JWK, for the encrypted token with this header. The key counts as the
 * one that the header names: whether it is shows when it decrypts.
 *
 * @throws {UsageError} a file without a private key
 */
export async function readDecryptionKey(
  path: string,
  header: Readonly<Record<string, unknown>> | undefined,
  terminal: Terminal
): Promise<DecryptionKey> {
  const content = await readGivenFile(path, '--decrypt', terminal)
  const { kid, alg } = header ?? {}
  return {
    key: readPrivateKey(content),
    kid: typeof kid === 'string' && kid !== '' ? kid : 'key',
    ...(typeof alg === 'string' && { algorithm: alg as never })
  }
}

function readPrivateKey(content: string): KeyObject {
  const jwk = parseObject(content)
  if (jwk !== undefined && !isObject(jwk)) throw new UsageError(NO_KEY)
  if (jwk !== undefined && jwk['d'] === undefined)
    throw new UsageError('--decrypt: the file has no private key: a JWK with the member `d` is needed.')
  if (/BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(content))
    throw new UsageError(
      '--decrypt: the key has a passphrase. Remove it in a copy: openssl pkey -in key.pem -out plain.pem'
    )
  try {
    return jwk === undefined ? createPrivateKey(content) : createPrivateKey({ key: jwk as never, format: 'jwk' })
  } catch (cause) {
    throw new UsageError(NO_KEY, { cause })
  }
}

const NO_KEY = '--decrypt: the file has no private key that can be read: PEM (-----BEGIN PRIVATE KEY-----) or a JWK.'
