// @ts-check
/** Bodies of requests: read within a bound, and passed on as what oidc-provider reads. */
import { Readable } from 'node:stream'
import { ApiProblem, badRequest } from './problems.mjs'

const MAX_BYTES = 56 * 1024

/** @param {import('koa').Context} ctx @returns {Promise<string>} */
export async function readText(ctx) {
  const chunks = []
  let bytes = 0
  for await (const chunk of ctx.req) {
    bytes += chunk.length
    if (bytes > MAX_BYTES)
      throw new ApiProblem(413, [{ code: '10015', title: 'Content too large', detail: `At most ${MAX_BYTES} bytes.` }])
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Members of a JSON object; none for an empty body. @param {import('koa').Context} ctx @returns {Promise<Record<string, unknown>>} */
export async function readJson(ctx) {
  const text = await readText(ctx)
  if (text.trim() === '') return {}
  /** @type {unknown} */
  let value
  try {
    value = JSON.parse(text)
  } catch {
    throw badRequest('The body is not JSON.')
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw badRequest('The body is not a JSON object.')
  return /** @type {Record<string, unknown>} */ (value)
}

/** Of a form or, which is tolerated, of a JSON object. @param {import('koa').Context} ctx */
export async function readParameters(ctx) {
  if (!ctx.is('json')) return new URLSearchParams(await readText(ctx))
  const members = Object.entries(await readJson(ctx)).filter(([, value]) => value !== null)
  return new URLSearchParams(Object.fromEntries(members.map(([name, value]) => [name, String(value)])))
}

/**
 * The same request with another body.
 * @param {import('koa').Context} ctx
 * @param {string} type
 * @param {string} body
 */
export function replaceBody(ctx, type, body) {
  const { method, url, httpVersion, socket, rawHeaders } = ctx.req
  const bytes = Buffer.from(body)
  const headers = { ...ctx.req.headers, 'content-type': type, 'content-length': String(bytes.length) }
  ctx.req = /** @type {any} */ (
    Object.assign(Readable.from([bytes]), { method, url, httpVersion, socket, rawHeaders, headers })
  )
}
