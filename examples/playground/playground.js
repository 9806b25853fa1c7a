// @ts-check
/** Connects the parts of the page: the form, the buttons, and what outlives the visit to the authorization server. */
import { BREAKS } from './breaks.js'
import { discover } from './discovery.js'
import { createKey, createProof, findKey, forgetKey } from './dpop.js'
import { ask, listen, Problem, readChallenges, send } from './http.js'
import { begin, finish, getOwnToken } from './oauth.js'
import { endPlan, showExchange, showPlan } from './sequence.js'
import { showToken } from './token.js'
import { element, find, showAlert, showNotice, showResult } from './view.js'

/** @typedef {import('./http.js').Exchange} Exchange */
/** @typedef {Record<'url' | 'way' | 'kind' | 'server' | 'scope' | 'clientId', string> & { isBound: boolean }} Choices */
/**
 * What outlives the visit to the authorization server. It holds no token and no secret.
 * @typedef {{ choices: Choices, found: import('./discovery.js').Discovered, pending: import('./oauth.js').Pending, exchanges: Exchange[], notices: string[] }} Kept
 */
/**
 * @typedef {object} Session
 * @property {import('./discovery.js').Discovered} found
 * @property {import('./oauth.js').Tokens} tokens
 * @property {CryptoKeyPair | undefined} key
 */

const KEPT = 'playground'
const form = /** @type {HTMLFormElement} */ (find('#start'))

/** @type {Exchange[]} */
const exchanges = []
/** @type {string[]} */
const notices = []
/** @type {Session | undefined} */
let session
/** The last DPoP nonce of the API. @type {string | undefined} */
let nonce

listen({
  exchange: (exchange) => {
    exchanges.push(exchange)
    showExchange(exchange)
  },
  notice: (notice) => {
    notices.push(notice)
    showNotice(notice)
  }
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(start)
})
form.addEventListener('change', showWay)
find('#restart').addEventListener('click', () => void attempt(restart))
for (const { id, title, about } of BREAKS) {
  const button = element('button', { type: 'button' }, [title, element('span', { className: 'soft' }, [about])], {
    break: id
  })
  button.setAttribute('aria-describedby', `lacks-${id}`)
  button.addEventListener('click', () => void attempt(() => breakIt(id)))
  find('.tries').append(element('li', {}, [button, element('span', { id: `lacks-${id}`, className: 'hidden' }, [])]))
}
const given = new URLSearchParams(location.search).get('url')
if (given !== null) field('url').value = given
showWay()
showPlan()
void attempt(resume)

/** @param {string} name @returns {HTMLInputElement} */
function field(name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name))
}

/** Shows the fields of the chosen way to a token. */
function showWay() {
  const way = field('way').value
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll('[data-ways]')))
    one.hidden = !one.dataset['ways']?.split(' ').includes(way)
}

/** Runs an action. Shows what went wrong. @param {() => Promise<'idle' | 'ready' | 'working'>} act */
async function attempt(act) {
  if (document.body.dataset['state'] === 'working') return
  setState('working')
  showAlert(undefined)
  try {
    setState(await act())
  } catch (error) {
    showAlert(error instanceof Problem ? error.message : `This page has a fault: ${String(error)}`)
    setState(session ? 'ready' : 'failed')
  }
}

/** @param {'idle' | 'working' | 'ready' | 'failed'} state */
function setState(state) {
  document.body.dataset['state'] = state
  for (const button of document.querySelectorAll('button[type=submit], #restart'))
    button.setAttribute('aria-disabled', String(state === 'working'))
  for (const { id, lacks } of BREAKS) {
    const missing = session && lacks?.(session)
    find(`#lacks-${id}`).textContent = missing ?? ''
    const button = find(`[data-break=${id}]`)
    button.title = missing ?? ''
    // Not `disabled`, which would take the focus away from the button that was just used.
    button.setAttribute('aria-disabled', String(missing !== undefined || state === 'working'))
  }
}

/** @returns {Choices} */
function choicesOf() {
  const url = field('url').value
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Problem(`“${url}” is not an http or https URL.`, 'Enter it like http://localhost:3000/orders.')
  const text = (/** @type {string} */ name) => field(name).value.trim()
  const [way, kind, server, scope, clientId] = ['way', 'kind', 'server', 'scope', 'clientId'].map(text)
  return /** @type {Choices} */ ({ url, way, kind, server, scope, clientId, isBound: field('dpop').checked })
}

/** @returns {Promise<'ready' | 'working'>} */
async function start() {
  session = undefined
  exchanges.length = 0
  notices.length = 0
  find('#notices').replaceChildren()
  showPlan()
  const choices = choicesOf()
  const found = await discover(choices)
  if (choices.way === 'token') return useToken(found, choices)
  const key = choices.isBound ? await createKey() : await forgetKey()
  if (choices.way === 'client') {
    const client = { clientId: choices.clientId, clientSecret: field('clientSecret').value }
    return use({ found, key, tokens: await getOwnToken(found, client, key) }, choices)
  }
  const redirectUri = `${location.origin}${location.pathname}`
  const { pending, url } = await begin(found, { ...choices, redirectUri })
  /** @type {Kept} */
  const kept = { choices, found, pending, exchanges, notices }
  sessionStorage.setItem(KEPT, JSON.stringify(kept))
  location.assign(url)
  return 'working'
}

/** @param {import('./discovery.js').Discovered} found @param {Choices} choices */
async function useToken(found, choices) {
  const accessToken = field('token')
    .value.trim()
    .replace(/^Bearer +/i, '')
  if (!/^[\w.~+/-]+=*$/.test(accessToken))
    throw new Problem('This is not an access token.', 'Paste the token alone: one word without spaces.')
  const tokens = { accessToken, refreshToken: undefined, type: 'Bearer', scope: '', clientId: choices.clientId }
  return use({ found, key: undefined, tokens }, choices)
}

/** After the visit to the authorization server, or at the first visit. @returns {Promise<'idle' | 'ready'>} */
async function resume() {
  const answer = new URLSearchParams(location.search)
  const text = sessionStorage.getItem(KEPT)
  if (text === null || !(answer.has('code') || answer.has('error'))) return 'idle'
  const kept = /** @type {Kept} */ (JSON.parse(text))
  sessionStorage.removeItem(KEPT)
  // The code is used up, and nobody needs to see it in the address.
  history.replaceState(null, '', `${location.pathname}?${new URLSearchParams({ url: kept.choices.url })}`)
  restore(kept)
  const key = kept.choices.isBound ? await findKey() : undefined
  return use({ found: kept.found, key, tokens: await finish(answer, kept.found, kept.pending, key) }, kept.choices)
}

/** @param {Kept} kept */
function restore({ choices, exchanges: before, notices: said }) {
  for (const name of /** @type {const} */ (['url', 'kind', 'server', 'scope', 'clientId']))
    field(name).value = choices[name]
  field('dpop').checked = choices.isBound
  for (const exchange of before) {
    exchanges.push(exchange)
    showExchange(exchange)
  }
  for (const notice of said) showNotice(notice)
}

/** @param {Session} made @param {Choices} choices @returns {Promise<'ready'>} */
async function use(made, { url }) {
  session = made
  showToken(made.tokens)
  find('#chosen').textContent = url
  find('#begin').hidden = true
  find('#try').hidden = false
  // On a wide screen there is room for the token beside the answer.
  find('#token details').toggleAttribute('open', matchMedia('(min-width: 64rem)').matches)
  return breakIt('good')
}

/** @returns {Promise<'working'>} the page is loaded again */
async function restart() {
  sessionStorage.removeItem(KEPT)
  await forgetKey()
  location.assign(`${location.pathname}?${new URLSearchParams({ url: field('url').value })}`)
  return 'working'
}

/** @param {string} id @returns {Promise<'ready'>} */
async function breakIt(id) {
  if (session === undefined) throw new Problem('There is no token yet.', 'Get one first.')
  const chosen = BREAKS.find((one) => one.id === id)
  const missing = chosen?.lacks?.(session)
  if (missing !== undefined) throw new Problem('That cannot be tried here.', missing)
  await chosen?.run(session, call)
  endPlan()
  return 'ready'
}

/** @param {import('./breaks.js').Call} request @returns {Promise<string | undefined>} the proof that was sent */
async function call({ title, url, method = 'GET', body, token, scheme, proof, note }) {
  const { found, tokens, key } = /** @type {Session} */ (session)
  const sent = token === undefined ? tokens.accessToken : token
  const how = scheme ?? tokens.type
  const id = crypto.randomUUID()
  const request = async () => {
    const isBound = sent !== null && how === 'DPoP' && key !== undefined
    proof ??= isBound
      ? await createProof(key, { method, url, token: sent, ...(nonce !== undefined && { nonce }) })
      : undefined
    /** @type {Record<string, string>} */
    const headers = {
      ...(sent !== null && { Authorization: `${how} ${sent}` }),
      ...(proof !== undefined && { DPoP: proof }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(found.offer && { 'Playground-Request': id })
    }
    const answer = await send(url, { to: 'api', step: 'call', method, headers, ...(body !== undefined && { body }) })
    return { answer, headers }
  }
  let { answer, headers } = await request()
  nonce = answer.field('dpop-nonce') ?? nonce
  const challenges = readChallenges(answer.field('www-authenticate') ?? '')
  // Once more, with the nonce that the API wants (RFC 9449 §9).
  if (challenges.some(({ parameters }) => parameters['error'] === 'use_dpop_nonce') && answer.field('dpop-nonce')) {
    proof = undefined
    ;({ answer, headers } = await request())
  }
  showResult(title, answer, await verdictsOf(id, { method, url, headers }), note)
  return proof
}

/**
 * The checks of the API, if it tells them; else the same checks, made by the server of the playground.
 *
 * @param {string} id
 * @param {{ method: string, url: string, headers: Record<string, string> }} request
 * @returns {Promise<import('./view.js').Verdicts | undefined>}
 */
async function verdictsOf(id, request) {
  const { resource, server, needed, offer } = /** @type {Session} */ (session).found
  if (offer === undefined)
    return /** @type {Promise<any>} */ (ask('checks', { ...request, resource, issuer: server.issuer, scope: needed }))
  const response = await fetch(offer.verdicts + id, { credentials: 'omit', referrerPolicy: 'no-referrer' }).catch(
    () => undefined
  )
  return response?.ok ? response.json() : undefined
}
