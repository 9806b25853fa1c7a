// @ts-check
/** Sends a request for the page where the browser may not, and says why there is no answer. */

/** Milliseconds. */
const TIMEOUT = 10_000
/** Maximum bytes of an answer. */
const MAX_BODY = 262_144
/** The request fields that the page sends. */
const FIELDS = ['accept', 'authorization', 'content-type', 'dpop', 'playground-request']

/**
 * @typedef {{ status: number, received: [string, string][], body: string }} Relayed
 * @typedef {{ problem: string, remedy: string }} Failed
 */

/**
 * @param {Record<string, any>} question
 * @returns {Promise<Relayed | Failed>}
 */
export async function relay({ url, method = 'GET', headers = {}, body }) {
  if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    return { problem: `${url} is not an http or https URL.`, remedy: 'Correct the URL.' }
  const fields = Object.entries(headers).filter(([name]) => FIELDS.includes(name.toLowerCase()))
  try {
    const response = await fetch(url, {
      method,
      headers: /** @type {[string, string][]} */ (fields),
      ...(typeof body === 'string' && { body }),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT)
    })
    return { status: response.status, received: [...response.headers], body: await readBody(response) }
  } catch (error) {
    return failureOf(new URL(url), /** @type {Error} */ (error))
  }
}

/** @param {Response} response */
async function readBody(response) {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_BODY) return `${text.slice(0, MAX_BODY)}… (cut off)`
  }
  return text
}

/** By the code of the cause. @type {Readonly<Record<string, string>>} */
const CERTIFICATE = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'is from an authority that this machine does not trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'is from an authority that this machine does not trust',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'is from an authority that this machine does not trust',
  CERT_HAS_EXPIRED: 'has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another name'
}

/** @param {URL} url @param {Error} error @returns {Failed} */
function failureOf({ href, host, hostname }, error) {
  const { code = '' } = /** @type {NodeJS.ErrnoException} */ (error.cause ?? error)
  if (error.name === 'TimeoutError')
    return { problem: `${href} did not answer within ${TIMEOUT / 1000} seconds.`, remedy: 'Look at its log.' }
  if (code === 'ECONNREFUSED')
    return { problem: `Nothing listens at ${host}.`, remedy: 'Start the API, or correct the port of the URL.' }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return { problem: `There is no host named ${hostname}.`, remedy: 'Correct the name in the URL.' }
  const certificate = CERTIFICATE[code]
  if (certificate !== undefined)
    return {
      problem: `The certificate of ${host} ${certificate}.`,
      remedy:
        'Trust it: start the playground with NODE_EXTRA_CA_CERTS=certificate.pem, and open the URL in this browser once.'
    }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO')
    return { problem: `${host} does not speak TLS.`, remedy: 'Write http:// instead of https://.' }
  return { problem: `${href} gave no HTTP answer (${code || error.message}).`, remedy: 'Is the URL right?' }
}
