// @ts-check
/** DPoP (RFC 9449): a key that never leaves this browser, and the proofs that it signs. */

const STORE = 'keys'

/** @param {ArrayBuffer | Uint8Array | string} value */
export function base64url(value) {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : new Uint8Array(value)
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}

/** @param {string} text */
export async function sha256(text) {
  return base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}

/** A new key, in place of the one before. Its private part cannot be read, by this page either. */
export async function createKey() {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  await onStore('readwrite', (store) => store.put(pair, 'dpop'))
  return pair
}

/** The one that was made before this page was left. @returns {Promise<CryptoKeyPair | undefined>} */
export async function findKey() {
  return onStore('readonly', (store) => store.get('dpop'))
}

export async function forgetKey() {
  await onStore('readwrite', (store) => store.delete('dpop'))
}

/**
 * @param {CryptoKeyPair} pair
 * @param {object} request
 * @param {string} request.method
 * @param {string} request.url
 * @param {string} [request.token] that comes with it
 * @param {string} [request.nonce] that the server gave
 */
export async function createProof({ publicKey, privateKey }, { method, url, token, nonce }) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const { origin, pathname } = new URL(url)
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  const payload = {
    jti: crypto.randomUUID(),
    htm: method,
    htu: `${origin}${pathname}`,
    iat: Math.floor(Date.now() / 1000),
    ...(token !== undefined && { ath: await sha256(token) }),
    ...(nonce !== undefined && { nonce })
  }
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`
  const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
  const signature = await crypto.subtle.sign(algorithm, privateKey, new TextEncoder().encode(input))
  return `${input}.${base64url(signature)}`
}

/**
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} act
 * @returns {Promise<any>}
 */
async function onStore(mode, act) {
  const opening = indexedDB.open('playground', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE)
  const database = await settled(opening)
  try {
    return await settled(act(database.transaction(STORE, mode).objectStore(STORE)))
  } finally {
    database.close()
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
