/** What every target of the fuzzer has in common, the same on every run: names, the time, keys, and what is good. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { thumbprintOf } from '../support/dpop.js'

type Json = Record<string, unknown>
type KeyName = 'ed' | 'ec' | 'rsa' | 'client' | 'stranger'

export const ISSUER = 'https://as.example.com'
export const RESOURCE = 'https://api.example.com'
export const TRANSMITTER = 'https://ssf.example.com'
export const CLIENT = 'api'
export const NOW = 1_750_000_000
export const TOLERANCE = 30
export const STATUS_URI = `${ISSUER}/status/1`
export const STATUS_INDEX = 5

/** Private keys, made for this: nothing else is ever signed with them. */
export const KEYS = JSON.parse(readFileSync(new URL('keys.json', import.meta.url), 'utf8')) as Readonly<
  Record<KeyName, Json>
>

function publicOf(name: KeyName, more: Json = {}): Json {
  const { kty, crv, x, y, n, e } = KEYS[name]
  return JSON.parse(JSON.stringify({ kty, crv, x, y, n, e, ...more })) as Json
}

/** The issuer's key set. The RSA key leaves the algorithm open. */
export const JWKS: { readonly keys: Json[] } = {
  keys: [
    publicOf('ed', { kid: 'ed', use: 'sig', alg: 'EdDSA' }),
    publicOf('ec', { kid: 'ec', use: 'sig', alg: 'ES256' }),
    publicOf('rsa', { kid: 'rsa', use: 'sig' })
  ]
}

const CLIENT_JWK = publicOf('client')
export const JKT: string = thumbprintOf(CLIENT_JWK)

const claims = {
  iss: ISSUER,
  aud: RESOURCE,
  sub: 'u1',
  client_id: 'c1',
  iat: NOW - 10,
  exp: NOW + 300,
  jti: 't1',
  scope: 'read'
}

/** Of RFC 9440, appendix A: the certificate CN=BC. */
export const CERTIFICATE =
  'MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk='

/** For nonces of the target `dpop`. */
export const NONCE_SECRET = 'a secret that is nothing but a test secret'

/** What can be altered under a short name; with a header it is signed. */
export const DEFAULTS: Readonly<Record<string, { payload: Json; header?: Json; key?: string }>> = {
  token: { key: 'ed', header: { typ: 'at+jwt' }, payload: claims },
  proof: {
    key: 'client',
    header: { typ: 'dpop+jwt', alg: 'EdDSA', jwk: CLIENT_JWK },
    payload: { jti: 'p1', htm: 'GET', htu: `${RESOURCE}/items`, iat: NOW, ath: '<<ath>>' }
  },
  bound: { key: 'ed', header: { typ: 'at+jwt' }, payload: { ...claims, cnf: { jkt: JKT } } },
  answer: {
    key: 'ed',
    header: { typ: 'token-introspection+jwt' },
    payload: {
      iss: ISSUER,
      aud: CLIENT,
      iat: NOW,
      token_introspection: { active: true, token_type: 'Bearer', ...claims }
    }
  },
  list: {
    key: 'ed',
    header: { typ: 'statuslist+jwt' },
    payload: { iss: ISSUER, sub: STATUS_URI, iat: NOW, ttl: 300, status_list: { bits: 1, lst: '<<z 00*16>>' } }
  },
  set: {
    key: 'ed',
    header: { typ: 'secevent+jwt' },
    payload: {
      iss: TRANSMITTER,
      aud: RESOURCE,
      iat: NOW,
      jti: 's1',
      sub_id: { format: 'iss_sub', iss: ISSUER, sub: 'u1' },
      events: { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': { event_timestamp: NOW } }
    }
  },
  logout: {
    key: 'ed',
    header: { typ: 'logout+jwt' },
    payload: {
      iss: ISSUER,
      aud: CLIENT,
      iat: NOW,
      exp: NOW + 120,
      jti: 'l1',
      sub: 'u1',
      sid: 'x1',
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} }
    }
  },
  active: { payload: { active: true, token_type: 'Bearer', ...claims } },
  metadata: {
    payload: { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks`, token_endpoint: `${ISSUER}/token` }
  },
  ed: { payload: JWKS.keys[0] as Json },
  ec: { payload: JWKS.keys[1] as Json },
  rsa: { payload: JWKS.keys[2] as Json },
  stranger: { payload: publicOf('stranger', { kid: 'ed', use: 'sig', alg: 'EdDSA' }) }
}

export function sha256(text: string | Uint8Array): string {
  return hash('sha256', text, 'base64url')
}
