// @ts-check
/** Requests of this page, each of which is kept for people to look at. */

/** @typedef {[name: string, value: string]} Field */
/**
 * @typedef {object} Exchange
 * @property {string} method
 * @property {string} url
 * @property {Field[]} sent
 * @property {string} [content]
 * @property {number} status
 * @property {Field[]} received
 * @property {string} body
 */
/** @typedef {{ method?: string, headers?: Record<string, string>, body?: string }} Message */

/** What keeps the page from going on, for whoever must do something about it. */
export class Problem extends Error {
  /** @param {string} what @param {string} remedy */
  constructor(what, remedy) {
    super(`${what} ${remedy}`)
  }
}

/** Told of each exchange. @type {(exchange: Exchange) => void} */
let listener = () => {}

/** @param {(exchange: Exchange) => void} told */
export function onExchange(told) {
  listener = told
}

/**
 * Nothing but what is written here goes out: no cookie, no referrer; and no redirect is followed with a token.
 * @param {string} url
 * @param {Message} [message]
 * @returns {Promise<Exchange & { field: (name: string) => string | null, json: () => Record<string, any> }>}
 * @throws {Problem} no answer
 */
export async function send(url, { method = 'GET', headers = {}, body } = {}) {
  const response = await fetch(url, {
    method,
    headers,
    ...(body !== undefined && { body }),
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
    redirect: 'error',
    cache: 'no-store'
  }).catch(() => {
    throw new Problem(
      `${method} ${url} got no answer that this page can read.`,
      'Is the server there, is the URL right, and does it allow other origins (CORS) to ask?'
    )
  })
  const exchange = {
    method,
    url,
    sent: /** @type {Field[]} */ (Object.entries(headers)),
    ...(body !== undefined && { content: body }),
    status: response.status,
    received: [...response.headers],
    body: await response.text()
  }
  listener(exchange)
  return {
    ...exchange,
    field: (name) => response.headers.get(name),
    json: () => parseObject(exchange.body, `${method} ${url}`)
  }
}

/** @param {string} text @param {string} where @returns {Record<string, any>} */
function parseObject(text, where) {
  try {
    const value = JSON.parse(text)
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value
  } catch {
    // Said below.
  }
  throw new Problem(`${where} did not answer with a JSON object.`, 'Is that the right URL?')
}

/**
 * `WWW-Authenticate` (RFC 9110 §11.6.1): its challenges, each with its parameters.
 * @param {string} field
 * @returns {{ scheme: string, parameters: Record<string, string> }[]}
 */
export function readChallenges(field) {
  /** @type {ReturnType<typeof readChallenges>} */
  const challenges = []
  // A parameter has a `=` behind its name, the name of a scheme has none.
  const parts = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?[ \t]*,?[ \t]*/gy
  for (const [, name = '', quoted, token] of field.matchAll(parts)) {
    const value = token ?? quoted?.replace(/\\(.)/g, '$1')
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} })
    else if (challenges.length > 0) Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value })
  }
  return challenges
}
