// @ts-check
/** What the management API answers when it refuses: `{"errors": [{ code, title, detail }]}`. */

/** @typedef {{ code: string, title: string, detail: string, source?: { pointer: string } }} Problem */

export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {Problem[]} errors
   * @param {Record<string, string>} [headers]
   */
  constructor(status, errors, headers = {}) {
    super(errors[0]?.detail)
    this.status = status
    this.errors = errors
    this.headers = headers
  }
}

/** @param {number} retryAfter seconds */
export const tooManyRequests = (retryAfter) =>
  problem(429, '10011', 'Too many requests', 'Wait for as long as Retry-After says.', {
    'Retry-After': String(retryAfter)
  })

export const unauthorized = () =>
  problem(401, '10009', 'Authentication failed', 'No valid API key came with the request: Authorization: Bearer KEY.', {
    'WWW-Authenticate': 'Bearer'
  })

export const forbidden = () => problem(403, '10010', 'Authorization failed', 'This API key may only read.')

/** @param {string} what */
export const notFound = (what) => problem(404, '10005', 'Resource not found', `There is no such ${what}.`)

/** @param {string} detail */
export const badRequest = (detail) => problem(400, '10015', 'Bad request', detail)

/** @param {{ [pointer: string]: string }} details by JSON pointer (RFC 6901) */
export const unprocessable = (details) =>
  new ApiProblem(
    422,
    Object.entries(details).map(([pointer, detail]) => ({
      code: '10004',
      title: 'Invalid parameter',
      detail,
      source: { pointer }
    }))
  )

/**
 * @param {number} status
 * @param {string} code
 * @param {string} title
 * @param {string} detail
 * @param {Record<string, string>} [headers]
 */
function problem(status, code, title, detail, headers) {
  return new ApiProblem(status, [{ code, title, detail }], headers)
}

/** @type {import('koa').Middleware} */
export async function renderProblems(ctx, next) {
  try {
    await next()
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error
    ctx.status = error.status
    ctx.set(error.headers)
    ctx.body = { errors: error.errors }
  }
}
