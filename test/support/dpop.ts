/**
 * A DPoP client (RFC 9449 §4.2) made of `node:crypto` alone, so that it shares no mistake with the code it tests: keys,
 * their RFC 7638 thumbprints, and proofs that are right in every respect but the one a test is about.
 *
 * ```ts
 * const key = createDpopKey()
 * const token = accessToken({ claims: { cnf: { jkt: key.jkt } } })
 * key.proof({ token })                                   // for GET https://api.example.com/items, at NOW
 * key.proof({ token, claims: { htm: 'POST' } })          // one flaw
 * ```
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Scheme } from '../../src/index.js'
import { type Algorithm, createSigningKey, type Signer, type SigningKey, signJws } from './issuer.js'
import { NOW, type Outcome, RESOURCE_METADATA } from './refusals.js'

type JsonObject = Record<string, unknown>

/** What a proof is for, and in what it is wrong. */
export interface Proof {
  /** Default `GET`. */
  readonly method?: string
  /** `htu`. Default `https://api.example.com/items`. */
  readonly url?: string
  /** The access token, for `ath`; without it the proof has none. */
  readonly token?: string
  readonly nonce?: string
  /** `iat`. Default: {@link NOW}. */
  readonly at?: number
  /** Members of the header set, or with `undefined` removed. */
  readonly header?: JsonObject
  /** Claims set, or with `undefined` removed. */
  readonly claims?: JsonObject
  /** Signs with this instead of the key in the header. */
  readonly key?: Signer
  /** Makes the signature itself. */
  readonly sign?: (input: string, key: Signer) => Uint8Array
}

export interface DpopKey {
  /** RFC 7638 thumbprint, as an authorization server writes it into `cnf.jkt`. */
  readonly jkt: string
  /** The public key as it stands in a proof's header: no more than the members it needs. */
  readonly jwk: JsonObject
  readonly key: SigningKey
  /** One proof: every call makes another `jti`. */
  proof(proof?: Proof): string
}

/** What `dpop.algorithms` is by default, as a challenge says it. */
export const ALGS = 'ES256 EdDSA Ed25519 PS256 RS256'
export const URL_OF_ITEMS = 'https://api.example.com/items'

/** The members of each type of key that its thumbprint is over, in lexicographic order (RFC 7638 §3.2, RFC 8037 §2). */
const THUMBPRINT_MEMBERS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
  ['RSA', ['e', 'kty', 'n']]
])

/** RFC 7638: base64url of the SHA-256 of the required members, in order and without white space. */
export function thumbprintOf(jwk: JsonObject): string {
  const members = THUMBPRINT_MEMBERS.get(jwk['kty']) ?? []
  const text = `{${members.map((name) => `"${name}":"${String(jwk[name])}"`).join(',')}}`
  return createHash('sha256').update(text, 'utf8').digest('base64url')
}

/** `ath` (RFC 9449 §4.2). */
export function athOf(token: string): string {
  return createHash('sha256').update(token, 'ascii').digest('base64url')
}

/** A new key of a client, or this one. */
export function createDpopKey(alg: Algorithm = 'ES256', key: SigningKey = createSigningKey(alg)): DpopKey {
  const { kid: _kid, alg: _alg, use: _use, ...jwk } = key.publicJwk
  return {
    jkt: thumbprintOf(jwk),
    jwk,
    key,
    proof: ({ method = 'GET', url = URL_OF_ITEMS, token, nonce, at = NOW, header, claims, key: other, sign } = {}) =>
      signJws(
        { typ: 'dpop+jwt', alg: key.alg, jwk, ...header },
        {
          jti: randomUUID(),
          htm: method,
          htu: url,
          iat: at,
          ath: token === undefined ? undefined : athOf(token),
          nonce,
          ...claims
        },
        other ?? key,
        sign
      )
  }
}

/** Parts of a challenge after its scheme. */
const described = (code: string, description: string): string => `error="${code}", error_description="${description}", `

/** The challenge line of one scheme, of a route that needs the scope `read` of an API with the default algorithms. */
export function challengeOf(scheme: Scheme, error = '', scope = 'scope="read", ', algs = ALGS): string {
  return `${scheme} ${error}${scope}${scheme === 'DPoP' ? `algs="${algs}", ` : ''}resource_metadata="${RESOURCE_METADATA}"`
}

function outcomeWith(status: number, code: string, reason: string, description: string, scope: string): Outcome {
  return {
    status,
    code,
    reason,
    headers: {
      'WWW-Authenticate': [challengeOf('DPoP', described(code, description), scope)],
      'Cache-Control': 'no-store'
    },
    body: { error: code, error_description: description }
  }
}

/** `error_description` of each refusal of a proof: SPEC §12. */
export const PROOF_TEXTS = {
  proof_missing: 'DPoP proof is required',
  proof_multiple: 'Multiple DPoP proofs are not allowed',
  proof_malformed: 'DPoP proof is malformed',
  proof_claim: 'DPoP proof lacks a required claim',
  proof_type: 'DPoP proof typ is not dpop+jwt',
  proof_algorithm: 'DPoP proof alg is not accepted',
  proof_key: 'DPoP proof jwk is not a public key',
  proof_signature: 'DPoP proof signature is invalid',
  proof_method: 'DPoP proof htm mismatch',
  proof_target: 'DPoP proof htu mismatch',
  proof_freshness: 'DPoP proof is not fresh',
  proof_token: 'DPoP proof ath mismatch',
  proof_replayed: 'DPoP proof has been used already'
} as const

/** DEN-22: 401 `invalid_dpop_proof`, one challenge. */
export function proofRefused(reason: keyof typeof PROOF_TEXTS): Outcome {
  return outcomeWith(401, 'invalid_dpop_proof', reason, PROOF_TEXTS[reason], 'scope="read", ')
}

/** A 401 `invalid_token` of a request that used DPoP: one challenge. */
export function dpopRefused(reason: string, description: string): Outcome {
  return outcomeWith(401, 'invalid_token', reason, description, 'scope="read", ')
}

/** DEN-23: the key of the proof is not the token's. */
export const bindingRefused: Outcome = dpopRefused('dpop_binding', 'Invalid DPoP key binding')
/** DEN-23: a token that is bound to no key. */
export const unboundRefused: Outcome = dpopRefused('dpop_unbound', 'The access token is not DPoP-bound')

/** DEN-24, with this nonce. */
export function nonceRequired(nonce: unknown): Outcome {
  const one = outcomeWith(401, 'use_dpop_nonce', 'proof_nonce', 'Resource server requires nonce in DPoP proof', '')
  return { ...one, headers: { ...one.headers, 'DPoP-Nonce': nonce as string } }
}

/** DEN-25. */
export function dpopInsufficient(scopes: string): Outcome {
  return outcomeWith(
    403,
    'insufficient_scope',
    'insufficient_scope',
    'The access token lacks a required scope',
    `scope="${scopes}", `
  )
}

/** DEN-16 of the replay store. */
export const replayUnavailable: Outcome = {
  status: 503,
  code: 'temporarily_unavailable',
  reason: 'replay_unavailable',
  headers: { 'Retry-After': '5', 'Cache-Control': 'no-store' },
  body: { error: 'temporarily_unavailable' }
}

/** A refusal whose answer names every scheme: one line each, with the error under the scheme that was used, or all. */
export function bothSchemes(
  status: number,
  code: string | undefined,
  reason: string,
  description: string,
  {
    under = ['Bearer', 'DPoP'] as readonly Scheme[],
    schemes = ['Bearer', 'DPoP'] as readonly Scheme[],
    scope = 'scope="read", '
  } = {}
): Outcome {
  const error = code === undefined ? '' : described(code, description)
  return {
    status,
    code,
    reason,
    headers: {
      'WWW-Authenticate': schemes.map((scheme) => challengeOf(scheme, under.includes(scheme) ? error : '', scope)),
      'Cache-Control': 'no-store'
    },
    body: code === undefined ? null : { error: code, error_description: description }
  }
}
