// @ts-check
/** HTTP requests as written: `fetch` would join repeated fields, and hide how a challenge was split into lines. */
import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {string} reason phrase
 * @property {(name: string) => string[]} lines every field line of this name
 * @property {string} body
 * @property {number} [times] that this was answered, where it stands for several
 */

/**
 * @param {string} method
 * @param {string} url
 * @param {readonly string[]} authorization one field line each
 * @param {string} [proof] for the field `DPoP`
 * @returns {Promise<Answer>}
 */
export async function send(method, url, authorization = [], proof) {
  const headers = {
    ...(authorization.length > 0 && { Authorization: [...authorization] }),
    ...(proof !== undefined && { DPoP: proof })
  }
  // No keep-alive: nothing of ours holds a connection open when a server ends.
  const outgoing = request(url, { method, headers, agent: false })
  outgoing.end()
  const [incoming] = /** @type {[import('node:http').IncomingMessage]} */ (await once(outgoing, 'response'))
  const body = await text(incoming)
  return {
    status: incoming.statusCode ?? 0,
    reason: incoming.statusMessage ?? '',
    lines: (name) => incoming.headersDistinct[name.toLowerCase()] ?? [],
    body
  }
}
