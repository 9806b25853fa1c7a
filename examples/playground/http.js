// @ts-check
/** The requests of this page. Each one is recorded and shown. */

/** @typedef {[name: string, value: string]} Field */
/**
 * @typedef {object} Exchange
 * @property {'api' | 'server'} to the API, or the authorization server
 * @property {string} step its place in the flow, such as `token`
 * @property {string} method
 * @property {string} url
 * @property {Field[]} sent
 * @property {string} [content]
 * @property {number} status 0: the browser went there itself
 * @property {Field[]} received
 * @property {string} body
 * @property {boolean} [isRelayed] the playground's server made the request, because the browser may not
 */
/** @typedef {Exchange & { field: (name: string) => string | null, json: () => Record<string, any> }} Answered */
/**
 * @typedef {object} Message
 * @property {'api' | 'server'} to
 * @property {string} step
 * @property {string} [method]
 * @property {Record<string, string>} [headers]
 * @property {string} [body]
 */

/** A fault that the person at the page can mend. */
export class Problem extends Error {
  /** @param {string} what happened @param {string} remedy what to do about it */
  constructor(what, remedy) {
    super(`${what} ${remedy}`)
  }
}

/** @type {(exchange: Exchange) => void} */
let onExchange = () => {}
/** @type {(notice: string) => void} */
let onNotice = () => {}

/**
 * @param {object} listeners
 * @param {(exchange: Exchange) => void} listeners.exchange called with each request and its answer
 * @param {(notice: string) => void} listeners.notice called with each thing that a page of another origin misses
 */
export function listen({ exchange, notice }) {
  onExchange = exchange
  onNotice = notice
}

/** @param {Exchange} exchange */
export function record(exchange) {
  onExchange(exchange)
}

/**
 * Sends a request without cookies and without a referrer, and follows no redirect. Where the server allows no other
 * origin (CORS), the server of the playground sends it.
 *
 * @param {string} url
 * @param {Message} message
 * @returns {Promise<Answered>}
 * @throws {Problem} no answer came
 */
export async function send(url, message) {
  const { method = 'GET', headers = {}, body } = message
  const response = await fetch(url, {
    method,
    headers,
    ...(body !== undefined && { body }),
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
    redirect: 'error',
    cache: 'no-store'
  }).catch(() => undefined)
  if (response === undefined) return relay(url, message)
  const { status } = response
  return answered(url, message, { status, received: [...response.headers], body: await response.text() })
}

/**
 * Sends a request through the server of the playground, which no browser rule binds.
 *
 * @param {string} url
 * @param {Message} message
 * @returns {Promise<Answered>}
 * @throws {Problem} no answer came, with the reason
 */
export async function relay(url, message) {
  const { method = 'GET', headers = {}, body } = message
  const response = await ask('relay', { url, method, headers, body })
  if (response === undefined)
    throw new Problem(
      `${method} ${url} got no answer that this page may read.`,
      'Does the server run, is the URL right, and may pages of other origins call it (CORS)?'
    )
  if (typeof response['problem'] === 'string') throw new Problem(response['problem'], response['remedy'])
  const { origin } = new URL(url)
  onNotice(
    `${origin} does not let a page of another origin call it. An app in a browser needs CORS there: allow the origin of the app and the request fields Authorization, DPoP and Content-Type, and expose WWW-Authenticate and DPoP-Nonce. The playground's own server made the request for you.`
  )
  const { status, received, body: text } = response
  return answered(url, message, { status, received, body: text, isRelayed: true })
}

/**
 * Asks the server of the playground itself.
 *
 * @param {'relay' | 'checks'} path
 * @param {object} question
 * @returns {Promise<Record<string, any> | undefined>} undefined if it is not there
 */
export async function ask(path, question) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(question)
  }).catch(() => undefined)
  return response?.ok ? response.json() : undefined
}

/**
 * @param {string} url
 * @param {Message} message
 * @param {Pick<Exchange, 'status' | 'received' | 'body' | 'isRelayed'>} answer
 * @returns {Answered}
 */
function answered(url, { to, step, method = 'GET', headers = {}, body: content }, answer) {
  const sent = /** @type {Field[]} */ (Object.entries(headers))
  const exchange = { to, step, method, url, sent, ...(content !== undefined && { content }), ...answer }
  onExchange(exchange)
  return {
    ...exchange,
    field: (name) => {
      const values = answer.received.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)
      return values.length === 0 ? null : values.join(', ')
    },
    json: () => parseObject(answer.body, `${method} ${url}`)
  }
}

/** @param {string} text @param {string} where @returns {Record<string, any>} */
function parseObject(text, where) {
  try {
    const value = JSON.parse(text)
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value
  } catch {
    // Reported below.
  }
  throw new Problem(`The answer to ${where} is not a JSON object.`, 'Is that the right URL?')
}

/**
 * Reads `WWW-Authenticate` (RFC 9110 §11.6.1).
 *
 * @param {string} field
 * @returns {{ scheme: string, parameters: Record<string, string> }[]} its challenges
 */
export function readChallenges(field) {
  /** @type {ReturnType<typeof readChallenges>} */
  const challenges = []
  // A parameter has `=` after its name. The name of a scheme does not.
  const parts = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?[ \t]*,?[ \t]*/gy
  for (const [, name = '', quoted, token] of field.matchAll(parts)) {
    const value = token ?? quoted?.replace(/\\(.)/g, '$1')
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} })
    else if (challenges.length > 0) Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value })
  }
  return challenges
}
