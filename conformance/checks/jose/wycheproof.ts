/**
 * Checks after the groups of Project Wycheproof for JSON Web Signature and JSON Web Key: paddings, salts, and numbers out of their
 * range; and published keys that must verify nothing. The suite makes signatures with keys of its own, over good claims.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check, CheckContext, OddKey, Source, TokenFlaw } from '../../check.js'
import { pkcs1 } from '../../issuer/odd-keys.js'
import {
  isAccepted,
  recoverySeconds,
  refuses,
  requireAcceptance,
  requireRefusal,
  sendUntil,
  told,
  withToken
} from '../issuer/judge.js'
import * as source from '../sources.js'
import { requestsFor } from './jose.js'

const profile = 'rfc9068'
const change = 'Verify signatures with a library that passes the vectors of Project Wycheproof, and update it.'

/** The order of the base point of Ed25519 (RFC 8032 §5.1), as little-endian octets. */
const ORDER = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex')

const signatures: readonly (readonly [id: string, title: string, flaw: TokenFlaw, text?: Source])[] = [
  [
    'rsa-pkcs1-garbage',
    'An RSA signature with octets behind the hash is refused.',
    { encoding: (input) => encodedWith(input, (info, hash) => [info, hash, Buffer.alloc(64, 0xa5)]) },
    source.VALID_SIGNATURE
  ],
  [
    'rsa-pkcs1-no-null',
    'An RSA signature whose DigestInfo lacks its parameters is refused.',
    {
      encoding: (input) =>
        encodedWith(input, (_, hash) => [Buffer.from('302f300b0609608648016503040201', 'hex'), Buffer.of(4, 32), hash])
    }
  ],
  [
    'ps256-salt',
    'A PS256 signature without a salt is refused.',
    { algorithm: 'PS256', saltLength: 0 },
    source.PSS_SALT
  ],
  [
    'eddsa-malleable',
    'An Ed25519 signature whose number S is above the order is refused.',
    { algorithm: 'EdDSA', signature: aboveOrder },
    source.EDDSA_RANGE
  ],
  [
    'jws-unused-bits',
    'A signature whose last character has bits that mean nothing is refused.',
    { text: (token) => `${token.slice(0, -1)}${nextCharacter(token.at(-1) as string)}` }
  ]
]

function encodedWith(input: string, parts: (info: Buffer, hash: Buffer) => readonly Buffer[]): Buffer {
  const info = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  return pkcs1(input, 256, (hash) => Buffer.concat(parts(info, hash)))
}

/** Adds the order to S, the second half of the signature. */
function aboveOrder(signature: Buffer): Buffer {
  const other = Buffer.from(signature)
  let carry = 0
  for (let i = 0; i < 32; i++) {
    carry += (other[32 + i] as number) + (ORDER[i] as number)
    other[32 + i] = carry & 0xff
    carry >>= 8
  }
  return other
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The character after this one: an RSA signature of 256 octets leaves four bits of its last character unused. */
function nextCharacter(character: string): string {
  return ALPHABET[ALPHABET.indexOf(character) + 1] as string
}

const changeSet = 'Skip the keys of a set that you cannot use, and use the others (RFC 7517 §5).'
const changeKey =
  'Check a published key before you use it: its type, size, exponent, curve, `use`, `key_ops` and `alg`.'

/** In the notes of a run: the API has not read a set with odd keys, or refuses the good key in it. */
const UNREAD = 'a set with odd keys was not read'

/**
 * Publishes the odd keys, and waits until the API accepts a token of the good key among them.
 *
 * @throws {Failed} it fetched the set and accepts no such token @throws {NotApplicable} it did not fetch the set
 */
async function publishOddKeys(context: CheckContext): Promise<void> {
  const { issuer, notes } = context
  if (issuer.hasOddKeys) return
  if (notes.has(UNREAD)) context.skip('the API has not read a set with keys that it cannot use: see jwk-set-unusable')
  issuer.publishOddKeys(true)
  const before = requestsFor(context, '/keys')
  const seconds = recoverySeconds(context)
  const { response, isRight } = await sendUntil(context, () => withToken(issuer.odd('control')), isAccepted, seconds)
  if (isRight) return
  issuer.publishOddKeys(false)
  notes.add(UNREAD)
  if (requestsFor(context, '/keys') === before)
    context.skip(`the API did not fetch the keys within ${seconds} seconds, although a token named a new one`)
  const expected = `The API accepts tokens of a new good key within ${seconds} seconds, although the set has keys that it cannot use.`
  context.fail({ expected, received: told(response), change: changeSet })
}

const set: Check = {
  id: 'jwk-set-unusable',
  title: 'Keys that cannot be used do not make the other keys of the set unusable.',
  profile,
  level: 'SHOULD',
  source: source.IGNORE_KEYS,
  needs: ['issuer'],
  run: async (context) => {
    context.issuer.publishOddKeys(false)
    await publishOddKeys(context)
  }
}

const ODD: readonly (readonly [key: OddKey, id: string, title: string, text?: Source])[] = [
  ['exponent', 'rsa-exponent', 'A published RSA key with the exponent 1 verifies nothing.'],
  ['roca', 'rsa-roca', 'A published RSA key whose factors can be computed (CVE-2017-15361) verifies nothing.'],
  ['operations', 'jwk-key-ops', 'A published key whose `key_ops` are not for signatures verifies nothing.'],
  ['curve', 'alg-curve', 'A published key of P-384 does not verify ES256.'],
  ['sha1', 'alg-sha1', 'A token signed with SHA-1 (RS1) is refused.', source.ALLOWED_ALGORITHMS]
]

const odd: readonly Check[] = ODD.map(([key, id, title, text]) => ({
  id,
  title,
  profile,
  level: text === undefined ? 'hardening' : 'MUST',
  ...(text && { source: text }),
  needs: ['issuer'],
  run: async (context) => {
    await publishOddKeys(context)
    await requireRefusal(context, withToken(context.issuer.odd(key)), 'The API refuses the token with 401.', changeKey)
  }
}))

const range: Check = {
  id: 'ecdsa-above-order',
  title: 'An ECDSA signature whose number s is above the order of the curve is refused.',
  profile,
  level: 'MUST',
  source: source.VALID_SIGNATURE,
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    await publishOddKeys(context)
    const small = await context.send(withToken(issuer.odd('ecdsa-one')))
    if (!isAccepted(small)) context.skip('the API does not accept the same signature with s = 1, which is valid')
    const request = withToken(issuer.odd('ecdsa-above-order'))
    await requireRefusal(context, request, 'The API refuses the token with 401.', change)
  }
}

const after: Check = {
  id: 'jwk-set-after',
  title: 'Good tokens are accepted after the unusable keys were withdrawn.',
  profile,
  level: 'hardening',
  needs: ['issuer'],
  run: async (context) => {
    context.issuer.publishOddKeys(false)
    await requireAcceptance(context, withToken(context.issuer.token()), 'The API accepts the token.', changeSet)
  }
}

/** The checks for which the set has keys that no API may use. */
export const oddKeyChecks: readonly Check[] = [set, ...odd, range, after]

/** Signatures that a lenient library takes, and keys that it should not. */
export const wycheproof: readonly Check[] = [
  ...signatures.map(([id, title, flaw, text]) =>
    refuses({
      id,
      title,
      profile,
      flaw,
      change,
      ...(text && { source: text }),
      level: text === source.VALID_SIGNATURE ? 'MUST' : 'hardening'
    })
  ),
  ...oddKeyChecks
]
