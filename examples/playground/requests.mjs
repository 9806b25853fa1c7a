// @ts-check
/** Questions of the page to its own server. No other page, and no other program's page, may ask them. */

/** Maximum bytes of a question. */
const MAX_QUESTION = 65_536

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {string} origin of the playground
 * @returns {Promise<Record<string, any> | undefined>} undefined: not from the page, or not a question
 */
export async function readQuestion(request, origin) {
  const { headers, method } = request
  // The Host field ends the attack in which another name points to this address (DNS rebinding).
  const isOwn = headers.origin === origin && headers.host === new URL(origin).host
  if (method !== 'POST' || !isOwn || headers['content-type'] !== 'application/json') return undefined
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_QUESTION) return undefined
  }
  try {
    const question = JSON.parse(text)
    return typeof question === 'object' && question !== null ? question : undefined
  } catch {
    return undefined
  }
}
