// @ts-check
/**
 * The floor: the least code with our checks of a JWT, in one function for one issuer, one audience and one scope. It has no
 * cache of tokens, no batches, no introspection, no events and no errors with a challenge. Not a package: what ours costs more
 * is the price of these.
 */
import { isUtf8 } from 'node:buffer'
import { createPublicKey, verify } from 'node:crypto'
import { derOf } from '../lib/der.mjs'

const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const LONGEST = 16 * 1024
const DEEPEST = 64

class Refused extends Error {}

/** @param {unknown} holds @returns {asserts holds} */
function must(holds) {
  if (!holds) throw new Refused('refused')
}

/** No other text decodes to the same bytes. @param {string} segment */
function isCanonical(segment) {
  const rest = segment.length % 4
  const unused = rest === 2 ? 15 : 3
  return rest === 0 || (rest !== 1 && (ALPHABET.indexOf(segment.charAt(segment.length - 1)) & unused) === 0)
}

/** @param {any} value @param {number} levels */
function freeze(value, levels) {
  must(levels > 0)
  for (const name in value) if (typeof value[name] === 'object' && value[name]) freeze(value[name], levels - 1)
  return Object.freeze(value)
}

/** Bytes that are used again, and a view of each length. */
function scratch() {
  const bytes = Buffer.allocUnsafeSlow(LONGEST)
  /** @type {(Buffer | undefined)[]} */
  const views = Array.from({ length: LONGEST + 1 })
  return { bytes, first: (/** @type {number} */ length) => (views[length] ??= bytes.subarray(0, length)) }
}

/** @param {import('../lib/types.d.ts').Setup} setup @returns {(authorization: string) => unknown} */
function create({ issuer, audience, jwks }) {
  const keys = new Map(
    jwks.keys.map((/** @type {any} */ jwk) => [
      jwk.kid,
      { alg: jwk.alg, length: jwk.kty === 'RSA' ? 256 : 64, key: createPublicKey({ key: jwk, format: 'jwk' }) }
    ])
  )
  /** Headers that were checked, by their text. @type {Map<string, any>} */
  const headers = new Map()
  /** @type {Map<string, readonly string[]>} */
  const scopes = new Map()
  const [input, payload, signature] = [scratch(), scratch(), scratch()]

  const keyOf = (/** @type {string} */ text) => {
    must(isCanonical(text))
    const header = JSON.parse(Buffer.from(text, 'base64url').toString())
    const key = keys.get(header.kid)
    must(header.typ === 'at+jwt' && header.crit === undefined && header.b64 !== false && header.alg === key?.alg)
    headers.set(text, key)
    return key
  }

  return (authorization) => {
    must(authorization.startsWith('Bearer ') && authorization.length <= LONGEST)
    const token = authorization.slice(7)
    must(TOKEN.test(token))
    const first = token.indexOf('.')
    const last = token.indexOf('.', first + 1)
    const header = token.slice(0, first)
    const { alg, key, length } = headers.get(header) ?? keyOf(header)
    const [middle, end] = [token.slice(first + 1, last), token.slice(last + 1)]
    must(isCanonical(middle) && isCanonical(end))
    const decoded = payload.bytes.write(middle, 'base64url')
    const text = payload.bytes.toString('utf8', 0, decoded)
    must(!text.includes('\uFFFD') || isUtf8(payload.first(decoded)))
    const claims = JSON.parse(text)
    must(typeof claims === 'object' && claims !== null && !Array.isArray(claims))
    const { iss, aud, exp, nbf, iat, sub, jti, client_id: client, scope } = claims
    const now = Math.floor(Date.now() / 1000)
    must(iss === issuer && (aud === audience || (Array.isArray(aud) && aud.includes(audience))))
    must(Number.isFinite(exp) && now < exp && Number.isFinite(iat) && iat <= now + 60)
    must(nbf === undefined || (Number.isFinite(nbf) && nbf <= now))
    must(typeof sub === 'string' && typeof jti === 'string' && typeof client === 'string' && typeof scope === 'string')
    must(signature.bytes.write(end, 'base64url') === length)
    const signed = input.first(input.bytes.write(token.slice(0, last), 'latin1'))
    const bytes = signature.first(length)
    must(verify('sha256', signed, key, alg === 'ES256' ? derOf(bytes) : bytes))
    let granted = scopes.get(scope)
    if (granted === undefined) {
      granted = Object.freeze(scope.split(' '))
      scopes.set(scope, granted)
    }
    must(granted.includes('read'))
    return { claims: freeze(claims, DEEPEST), scopes: granted, subject: sub, clientId: client, expiresAt: exp }
  }
}

/** @type {import('../lib/types.d.ts').Peer} */
export default { name: 'minimal', packages: [], verify: create }
