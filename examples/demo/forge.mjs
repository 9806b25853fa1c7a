// @ts-check
/** What an attacker would make of a good JWT. */

/** @param {string} token */
const split = (token) => /** @type {[string, string, string]} */ (token.split('.'))
/** @param {string} part */
const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString())
/** @param {object} value */
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Another payload under the signature of the first. @param {string} token @param {object} claims */
export function tamper(token, claims) {
  const [header, payload, signature] = split(token)
  return [header, encode({ ...decode(payload), ...claims }), signature].join('.')
}

/** The same payload, not signed at all (`alg: none`). @param {string} token */
export function unsign(token) {
  const [header, payload] = split(token)
  return [encode({ ...decode(header), alg: 'none' }), payload, ''].join('.')
}

/** The key that a token says it was signed with. @param {string} token @returns {string} */
export function keyIdOf(token) {
  return decode(split(token)[0]).kid
}
