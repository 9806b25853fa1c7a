// @ts-check
/** An authorization server's keys and tokens, a client's DPoP proofs, and requests with them. */
import { generateKeyPairSync, hash, sign } from 'node:crypto'

export const RESOURCE = 'https://api.example.com'
const ISSUER_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const CLIENT_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const JWKS = {
  keys: [{ ...ISSUER_KEY.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }]
}

const { kty, crv, x, y } = CLIENT_KEY.publicKey.export({ format: 'jwk' })
/** Thumbprint of the client's key. */
export const JKT = hash('sha256', JSON.stringify({ crv, kty, x, y }), 'base64url')

const base64url = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')
export const seconds = () => Math.floor(Date.now() / 1000)

/** @param {object} header @param {object} claims @param {import('node:crypto').KeyObject} key */
function jws(header, claims, key) {
  const input = `${base64url(header)}.${base64url(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** @param {string} issuer */
export function createTokens(issuer) {
  let serial = 0
  return {
    /** @param {object} [claims] @param {object} [header] */
    accessToken: (claims, header) => {
      const iat = seconds()
      const all = {
        iss: issuer,
        aud: RESOURCE,
        sub: 'user',
        client_id: 'app',
        iat,
        exp: iat + 600,
        jti: `t${serial++}`
      }
      return jws(
        { typ: 'at+jwt', alg: 'ES256', kid: 'k1', ...header },
        { ...all, scope: 'read write', ...claims },
        ISSUER_KEY.privateKey
      )
    },

    /** @param {string} token */
    proof: (token) => {
      const claims = {
        jti: `p${serial++}`,
        htm: 'GET',
        htu: `${RESOURCE}/`,
        iat: seconds(),
        ath: hash('sha256', token, 'base64url')
      }
      return jws({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }, claims, CLIENT_KEY.privateKey)
    }
  }
}

/** @type {readonly string[]} */
const NONE = Object.freeze([])

/** A request as an adapter would make it: its own strings. */
export class Request {
  method = 'GET'
  url = '/'

  /** @param {string} authorization @param {string} [dpop] */
  constructor(authorization, dpop) {
    this.authorization = [Buffer.from(authorization).toString('latin1')]
    this.dpop = dpop === undefined ? NONE : [Buffer.from(dpop).toString('latin1')]
  }

  /** @param {string} name */
  fieldLines(name) {
    if (name === 'authorization') return this.authorization
    return name === 'dpop' ? this.dpop : NONE
  }
}
