// @ts-check
/** Sends the requests of the cases to every API, and compares the answers with the expected ones. */
import { isDeepStrictEqual } from 'node:util'
import { mark, NO_BREAK, paint, paintStatus, print, redact, wrap } from './print.mjs'
import { send } from './send.mjs'

/** @typedef {import('./apis.mjs').RunningApi} RunningApi */
/** @typedef {import('./send.mjs').Answer} Answer */

/**
 * Everything that the cases can use and change.
 * @typedef {object} World
 * @property {Awaited<ReturnType<typeof import('./authorization-server.mjs').startAuthorizationServer>>} as
 * @property {Awaited<ReturnType<typeof import('./oauth-client.mjs').createOAuthClient>>} client
 * @property {readonly RunningApi[]} apis
 * @property {{ ahead: number }} clock of the APIs, in seconds
 * @property {Awaited<ReturnType<typeof import('./tokens.mjs').getTokens>>} tokens
 */

/**
 * What must come back. A refusal's challenge and body are compared to the letter, made of these parts.
 * @typedef {object} Expected
 * @property {number} status
 * @property {string} [error]
 * @property {string} [description]
 * @property {string} [scope]
 * @property {string} [acr] that the user must have logged in with
 * @property {'Bearer' | 'DPoP'} [scheme] of the challenge; default: Bearer
 * @property {(answer: Answer, api: RunningApi) => boolean | Promise<boolean>} [check] of a success
 */

/**
 * @typedef {object} Case
 * @property {string} title
 * @property {string} why
 * @property {string} method
 * @property {string} path
 * @property {string[] | (() => Promise<string[]>)} [authorization] the field lines; a function does first what must
 *   have happened before
 * @property {(api: RunningApi) => Promise<string>} [proof] for the field `DPoP`
 * @property {(api: RunningApi) => Promise<Answer>} [answer] instead of that to one request
 * @property {Expected} expect
 */

/** @typedef {{ title: string, cases: readonly Case[] }} Group */
/** @typedef {{ api: RunningApi, answer: Answer, proof: string | undefined, problem: string | undefined }} Outcome */
/**
 * One case, and what each API answered.
 * @typedef {object} Step
 * @property {number} number from 1
 * @property {string} group title of its group
 * @property {Case} case
 * @property {readonly string[]} authorization the field lines that were sent
 * @property {readonly Outcome[]} outcomes
 */

/**
 * @param {readonly RunningApi[]} apis
 * @param {readonly Group[]} groups
 * @param {(step: Step) => void} onStep called after each case
 * @returns {Promise<Step[]>}
 */
export async function walk(apis, groups, onStep) {
  /** @type {Step[]} */
  const steps = []
  for (const { title, cases } of groups) {
    for (const one of cases) {
      const lines = typeof one.authorization === 'function' ? await one.authorization() : one.authorization
      /** @type {Outcome[]} */
      const outcomes = []
      for (const api of apis) {
        const proof = await one.proof?.(api)
        const answer = await (one.answer?.(api) ?? send(one.method, api.origin + one.path, lines, proof))
        outcomes.push({ api, answer, proof, problem: await findProblem(one, answer, api) })
      }
      const step = { number: steps.length + 1, group: title, case: one, authorization: lines ?? [], outcomes }
      steps.push(step)
      onStep(step)
    }
  }
  return steps
}

/**
 * @param {Case} one
 * @param {Answer} answer
 * @param {RunningApi} api
 * @returns {Promise<string | undefined>} the first thing that is not as it must be
 */
async function findProblem({ expect }, answer, api) {
  const { status, error, description, scope, acr, scheme = 'Bearer', check } = expect
  if (answer.status !== status) return `expected ${status}`
  const challenge = [
    error && `error="${error}"`,
    description && `error_description="${description}"`,
    scope && `scope="${scope}"`,
    acr && `acr_values="${acr}"`,
    scheme === 'DPoP' && 'algs="ES256 EdDSA Ed25519 PS256 RS256"',
    `resource_metadata="${api.origin}/.well-known/oauth-protected-resource"`
  ]
  const challenges = status >= 400 && status < 500 ? [`${scheme} ${challenge.filter(Boolean).join(', ')}`] : []
  if (!isDeepStrictEqual(answer.lines('www-authenticate'), challenges)) {
    return `expected ${challenges[0] ?? 'no challenge'}`
  }
  if (status < 400) {
    return (await (check?.(answer, api) ?? true)) === true ? undefined : 'another body was expected'
  }
  const body =
    status === 503 ? { error: 'temporarily_unavailable' } : error && { error, error_description: description }
  if (answer.body !== (body ? JSON.stringify(body) : '')) return `expected the body ${JSON.stringify(body)}`
  if (answer.lines('cache-control').join() !== 'no-store') return 'expected Cache-Control: no-store'
  if (status === 503 && !/^\d+$/.test(answer.lines('retry-after').join())) return 'expected Retry-After'
  return undefined
}

const INDENT = ' '.repeat(4)

/**
 * Prints the whole exchange: the request, the answers and the reason.
 * @param {Step} step
 */
export function tell({ number, case: one, authorization, outcomes }) {
  print(`\n${paint('dim', String(number).padStart(3))} ${paint('bold', one.title)}`)
  print(wrap(`${one.method} ${hideTokens(one.path)}`, `${INDENT}> `))
  for (const line of authorization) print(wrap(`Authorization: ${hideTokens(line)}`, `${INDENT}> `))
  const proof = outcomes[0]?.proof
  if (proof !== undefined) print(wrap(`DPoP: ${redact(proof)}`, `${INDENT}> `))
  // The three say the same but for their own address: one of them is shown, unless they differ.
  const shown = new Map(outcomes.toReversed().map((outcome) => [normalized(outcome), outcome]))
  for (const { api, answer, problem } of [...shown.values()].toReversed()) {
    if (shown.size > 1) print(`${INDENT}${paint('red', `${api.name}:`)}`)
    tellAnswer(answer)
    if (problem !== undefined) print(paint('red', wrap(problem, INDENT)))
  }
  print(paint('cyan', wrap(one.why, INDENT)))
  print(INDENT + outcomes.map(({ api, problem }) => `${mark(problem === undefined)} ${api.name}`).join('   '))
}

/** @param {Answer} answer */
function tellAnswer(answer) {
  const times = answer.times === undefined ? '' : `${answer.times} × `
  print(`${INDENT}< ${paintStatus(answer.status, `${times}${answer.status} ${answer.reason}`)}`)
  for (const name of ['WWW-Authenticate', 'Retry-After']) {
    for (const line of answer.lines(name)) print(wrap(`${name}: ${keepTogether(line)}`, `${INDENT}< `, `${INDENT}<   `))
  }
  if (answer.status < 300) {
    const room = 80 - INDENT.length - 2
    const body = answer.body.length > room ? `${answer.body.slice(0, room - 1)}…` : answer.body
    print(paint('dim', `${INDENT}< ${body}`))
  }
}

/** @param {Outcome} outcome */
function normalized({ api, answer, problem }) {
  const lines = ['www-authenticate', 'retry-after'].map(answer.lines)
  return JSON.stringify([answer.status, lines, answer.body, problem])
    .replaceAll(api.origin, '')
    .replaceAll(api.name, '')
}

/** A quoted value stays on one line, if it fits. @param {string} line */
function keepTogether(line) {
  return line.replace(/"[^"]*"/g, (quoted) => quoted.replaceAll(' ', NO_BREAK))
}

/** @param {string} text */
function hideTokens(text) {
  return text.replace(/(?<=Bearer |DPoP |access_token=)\S+/g, redact)
}
