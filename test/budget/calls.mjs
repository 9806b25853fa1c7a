// @ts-check
/**
 * Counts the functions that a request calls, and the objects that it creates, in this package and in lru-cache. V8 counts
 * them (`Profiler.startPreciseCoverage`, by block), so a busy machine finds the same numbers as a quiet one. Runs in a
 * process of its own, because counting slows all code. Prints one JSON object: a scenario → its counts.
 *
 * An object is counted where the code creates one: a literal of an object, an array or a regular expression, `new`, a rest
 * parameter, a function inside of another. Does NOT count what Node.js and `JSON.parse` create: promises, buffers, claims.
 */
import { readFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'rolldown/parseAst'
import { createTokens, JKT, JWKS, RESOURCE, Request, seconds } from './tokens.mjs'

/** @typedef {import('node:inspector').Profiler.ScriptCoverage} ScriptCoverage */
/** @typedef {{ readonly start: number, readonly end: number, readonly isFunction: boolean, readonly earlier: readonly number[] }} Creation */

const session = new Session()
session.connect()
/** @param {string} method @param {object} [parameters] @returns {any} known at once: the session is of this thread */
function ask(method, parameters = {}) {
  let answer
  session.post(method, parameters, (error, result) => {
    if (error) throw new Error(`${method}: ${error.message}`)
    answer = result
  })
  return answer
}
ask('Profiler.enable')
ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

const { resourceServer, ResourceServerError, scope } = await import('oauth-resource-server')

// ---- where the code creates an object

const CREATORS = new Set(['ObjectExpression', 'ArrayExpression', 'NewExpression', 'RestElement'])
const FUNCTIONS = new Set(['ClassExpression', 'ArrowFunctionExpression', 'FunctionExpression', 'FunctionDeclaration'])

/**
 * @param {any} node of the syntax tree
 * @param {Creation[]} found
 * @param {readonly number[]} earlier where the statements begin that ran before it in the same function
 */
function collect(node, found, earlier) {
  if (typeof node !== 'object' || node === null) return
  const { type, start, end } = node
  if (CREATORS.has(type) || (type === 'Literal' && node.regex)) found.push({ start, end, isFunction: false, earlier })
  if (FUNCTIONS.has(type)) found.push({ start, end, isFunction: true, earlier })
  // A method is created with its object or class, and V8 has its range begin at its name.
  const isMethod = type === 'MethodDefinition' || (type === 'Property' && (node.method || node.kind !== 'init'))
  if (isMethod) {
    if (type === 'Property') found.push({ start, end, isFunction: true, earlier })
    collect(node.key, found, earlier)
    collect([node.value.params, node.value.body], found, [])
  } else if (type === 'BlockStatement') {
    const before = [...earlier]
    for (const one of node.body) {
      collect(one, found, [...before])
      if (one.type !== 'FunctionDeclaration') before.push(one.start)
    }
  } else {
    for (const one of Object.values(node)) collect(one, found, FUNCTIONS.has(type) ? [] : earlier)
  }
}

/** @type {Map<string, readonly Creation[]>} by URL */
const creations = new Map()
/** @param {string} url */
function creationsIn(url) {
  const known = creations.get(url)
  if (known) return known
  /** @type {Creation[]} */
  const found = []
  collect(parseAst(readFileSync(fileURLToPath(url), 'utf8'), { lang: 'js' }), found, [])
  creations.set(url, found)
  return found
}

/**
 * How often code ran: what the smallest range around it says; that of a function or class itself is about its calls.
 *
 * @param {ScriptCoverage} script
 * @param {Omit<Creation, 'earlier'>} code
 */
function timesOf({ functions }, { start, end, isFunction }) {
  let size = Number.POSITIVE_INFINITY
  let times = 0
  for (const { ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges) {
      if (startOffset > start || endOffset < end || endOffset - startOffset >= size) continue
      if (isFunction && startOffset === start && endOffset === end) continue
      size = endOffset - startOffset
      times = count
    }
  }
  return times
}

/**
 * V8 loses the count of what follows `a?.b` or `a && b` in code that did not run, and reports that of the function. Code
 * that follows an unreached statement was not reached either.
 *
 * @param {ScriptCoverage} script
 * @param {Creation} creation
 */
function timesCreated(script, creation) {
  const times = timesOf(script, creation)
  if (times === 0) return 0
  const isReached = creation.earlier.every((start) => timesOf(script, { start, end: start + 1, isFunction: false }) > 0)
  return isReached ? times : 0
}

/** Since it was called last. */
function counted() {
  let [functions, objects] = [0, 0]
  for (const script of /** @type {ScriptCoverage[]} */ (ask('Profiler.takePreciseCoverage').result)) {
    if (!/^file:.*(\/dist\/(src|shared|adapters)\/|\/lru-cache\/)/.test(script.url)) continue
    for (const { ranges } of script.functions) functions += ranges[0]?.count ?? 0
    for (const creation of creationsIn(script.url)) objects += timesCreated(script, creation)
  }
  return { functions, objects }
}

// ---- requests

const issuer = 'https://as.example.com'
const { accessToken, proof } = createTokens(issuer)
const api = resourceServer({ resource: RESOURCE, issuers: [{ issuer, jwks: JWKS }], dpop: { advertise: true } })
const route = api.protect(scope('read'))
await api.ready()

/** So many of each: the least is what one costs, without what happens once a second or at every second turn. */
const REPEATS = 8

/** @type {Record<string, { readonly functions: number, readonly objects: number }>} */
const results = {}
/** @param {string} name @param {() => Request} make @param {number} [status] */
async function count(name, make, status = 200) {
  /** @type {ReturnType<typeof counted>[]} */
  const each = []
  // The first of a kind also imports a key, or compiles a text.
  try {
    await route.authorize(make())
  } catch (error) {
    if (status === 200) throw error
  }
  for (let i = 0; i < REPEATS; i++) {
    const request = make()
    await new Promise((resolve) => setImmediate(resolve))
    ask('Profiler.takePreciseCoverage')
    let outcome
    try {
      outcome = route.authorize(request)
    } catch (error) {
      outcome = error
      // A server writes both: a line for each of two schemes, and the body.
      if (error instanceof ResourceServerError) JSON.stringify([error.headers, error])
    }
    each.push(counted())
    if (outcome instanceof Promise) throw new Error(`${name}: answered with a promise, so not all of it was counted`)
    const seen = outcome instanceof ResourceServerError ? outcome.status : 200
    if (seen !== status) throw outcome
  }
  results[name] = {
    functions: Math.min(...each.map(({ functions }) => functions)),
    objects: Math.min(...each.map(({ objects }) => objects))
  }
}

const hot = accessToken()
const bound = accessToken({ cnf: { jkt: JKT } })
await count('first sight', () => new Request(`Bearer ${accessToken()}`))
await count('warm', () => new Request(`Bearer ${hot}`))
await count('DPoP, warm', () => new Request(`DPoP ${bound}`, proof(bound)))
await count('refused: expired', () => new Request(`Bearer ${accessToken({ exp: seconds() - 60 })}`), 401)

console.log(JSON.stringify(results))
await api.close()
