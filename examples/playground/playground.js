// @ts-check
/** The page: a form that begins, buttons that use the token and break one thing each, and everything that was said. */
import { createKey, createProof, findKey, forgetKey } from './dpop.js'
import { onExchange, Problem, readChallenges, send } from './http.js'
import { begin, discover, finish, revoke } from './oauth.js'
import { showAlert, showExchange, showResult, showToken } from './view.js'

/** @typedef {import('./http.js').Exchange} Exchange */
/** @typedef {{ api: string, kind: string, isBound: boolean }} Choices */
/**
 * What outlives the way to the authorization server and back. No token is in it.
 * @typedef {{ choices: Choices, found: import('./oauth.js').Discovered, pending: import('./oauth.js').Pending, exchanges: Exchange[] }} Kept
 */
/**
 * @typedef {object} Session
 * @property {Kept} kept
 * @property {import('./oauth.js').Tokens} tokens
 * @property {CryptoKeyPair | undefined} key
 */
/**
 * A request to the API, and what is wrong with it.
 * @typedef {object} Call
 * @property {string} title
 * @property {string} [prefix] of another API
 * @property {string} [path]
 * @property {string} [method]
 * @property {string} [body]
 * @property {string | null} [token] another one; null: none
 * @property {string} [scheme]
 * @property {string} [proof] one that was made before
 */

const KEPT = 'playground'
const form = /** @type {HTMLFormElement} */ (document.querySelector('#start'))
const apiField = /** @type {HTMLInputElement} */ (document.querySelector('#api'))
const boundField = /** @type {HTMLInputElement} */ (document.querySelector('#dpop'))

const kindField = () => /** @type {HTMLInputElement | null} */ (form.querySelector('[name=kind]:checked'))

/** @type {Exchange[]} */
const exchanges = []
/** @type {Session | undefined} */
let session
/** The last that a server gave. @type {string | undefined} */
let nonce

onExchange((exchange) => {
  exchanges.push(exchange)
  showExchange(exchange)
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(start)
})
document.querySelector('#restart')?.addEventListener('click', () => void attempt(restart))
for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('[data-break]'))) {
  button.addEventListener('click', () => void attempt(() => breakIt(button.dataset['break'] ?? '')))
}
apiField.value = new URLSearchParams(location.search).get('api') ?? apiField.value
void attempt(resume)

/** Nothing ends in silence. @param {() => Promise<'idle' | 'ready' | 'working'>} act */
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
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('button'))) {
    const lacks = button.dataset['needs'] === 'dpop' && !session?.key
    // Not `disabled`, which would take the focus away from the button that was just used.
    button.setAttribute('aria-disabled', String(lacks || state === 'working'))
  }
}

/** @returns {Promise<'working'>} the page is left */
async function start() {
  const { value: api } = apiField
  if (!URL.canParse(api) || !/^https?:$/.test(new URL(api).protocol))
    throw new Problem('The URL of the API is not an http(s) URL.', 'Write it like http://127.0.0.1:4010.')
  const choices = {
    api: api.replace(/\/+$/, ''),
    kind: kindField()?.value ?? 'jwt',
    isBound: boundField.checked
  }
  if (choices.isBound) await createKey()
  else await forgetKey()
  const found = await discover(choices.api)
  const redirectUri = `${location.origin}${location.pathname}`
  const { pending, url } = await begin(found, { ...choices, redirectUri })
  /** @type {Kept} */
  const kept = { choices, found, pending, exchanges }
  sessionStorage.setItem(KEPT, JSON.stringify(kept))
  location.assign(url)
  return 'working'
}

/** Back from the authorization server, or here for the first time. @returns {Promise<'idle' | 'ready'>} */
async function resume() {
  const answer = new URLSearchParams(location.search)
  const text = sessionStorage.getItem(KEPT)
  if (text === null || !(answer.has('code') || answer.has('error'))) return 'idle'
  const kept = /** @type {Kept} */ (JSON.parse(text))
  sessionStorage.removeItem(KEPT)
  // The code is of no use twice, and of no use to whoever looks at the URL.
  history.replaceState(null, '', `${location.pathname}?${new URLSearchParams({ api: kept.choices.api })}`)
  apiField.value = kept.choices.api
  boundField.checked = kept.choices.isBound
  for (const one of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('[name=kind]')))
    one.checked = one.value === kept.choices.kind
  for (const exchange of kept.exchanges) {
    exchanges.push(exchange)
    showExchange(exchange)
  }
  const key = kept.choices.isBound ? await findKey() : undefined
  const tokens = await finish(answer, kept.found, kept.pending, key)
  session = { kept, tokens, key }
  showToken(tokens)
  for (const id of ['try', 'answer']) document.querySelector(`#${id}`)?.removeAttribute('hidden')
  document.querySelector('#needs-dpop')?.toggleAttribute('hidden', key !== undefined)
  return breakIt('good')
}

/** @returns {Promise<'working'>} the page is loaded again */
async function restart() {
  sessionStorage.removeItem(KEPT)
  await forgetKey()
  location.assign(`${location.pathname}?${new URLSearchParams({ api: apiField.value })}`)
  return 'working'
}

/** @param {string} what @returns {Promise<'ready'>} */
async function breakIt(what) {
  if (session === undefined) throw new Problem('There is no token yet.', 'Get one first.')
  const { tokens, key, kept } = session
  const { accessToken } = tokens
  if (what === 'replay' || what === 'downgrade') {
    if (key === undefined) return 'ready'
  }
  if (what === 'replay') {
    const first = await call({ title: 'A proof, for the first time' })
    await call({ title: 'Replayed proof', proof: first.proof })
    return 'ready'
  }
  if (what === 'revoke') {
    if (tokens.refreshToken === undefined) throw new Problem('There is no refresh token.', 'Start over.')
    await revoke(kept.found.server, kept.pending, tokens.refreshToken)
    await call({ title: 'After the grant was revoked', path: '/v2/balance' })
    return 'ready'
  }
  /** @type {Record<string, Call>} */
  const calls = {
    good: { title: 'The token as it is' },
    none: { title: 'No token', token: null },
    expired: { title: 'The same API, a day from now', prefix: '/tomorrow' },
    audience: { title: 'Another API', prefix: '/elsewhere' },
    scope: {
      title: 'Sending a message',
      method: 'POST',
      body: JSON.stringify({ text: 'hello' })
    },
    tampered: { title: 'One character is another', token: tamper(accessToken) },
    downgrade: { title: 'The token without its key', scheme: 'Bearer' }
  }
  await call(/** @type {Call} */ (calls[what]))
  return 'ready'
}

/** @param {Call} request @returns {Promise<{ proof: string | undefined }>} */
async function call({ title, prefix = '', path = '/v2/messages', method = 'GET', body, token, scheme, proof }) {
  const { kept, tokens, key } = /** @type {Session} */ (session)
  const { api } = kept.choices
  const url = `${api}${prefix}${path}`
  const sent = token === undefined ? tokens.accessToken : token
  const how = scheme ?? tokens.type
  const id = crypto.randomUUID()
  const ask = async () => {
    const isBound = sent !== null && how === 'DPoP' && key !== undefined
    proof ??= isBound
      ? await createProof(key, { method, url, token: sent, ...(nonce !== undefined && { nonce }) })
      : undefined
    return send(url, {
      method,
      headers: {
        ...(sent !== null && { Authorization: `${how} ${sent}` }),
        ...(proof !== undefined && { DPoP: proof }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        'Playground-Request': id
      },
      ...(body !== undefined && { body })
    })
  }
  let answered = await ask()
  nonce = answered.field('dpop-nonce') ?? nonce
  const challenges = readChallenges(answered.field('www-authenticate') ?? '')
  // Once more with the nonce that the API wants (RFC 9449 §9).
  if (challenges.some(({ parameters }) => parameters['error'] === 'use_dpop_nonce') && answered.field('dpop-nonce')) {
    proof = undefined
    answered = await ask()
  }
  showResult(title, answered, await verdicts(`${api}/playground/verdicts/${id}`))
  return { proof }
}

/** What the API says of its checks; undefined for one that says nothing. @param {string} url */
async function verdicts(url) {
  const response = await fetch(url, { credentials: 'omit', referrerPolicy: 'no-referrer' }).catch(() => undefined)
  return response?.ok ? /** @type {Promise<import('./view.js').Verdicts>} */ (response.json()) : undefined
}

/** One character of what a JWT says, or the last one of another token. @param {string} token */
function tamper(token) {
  const [header = '', payload = '', signature] = token.split('.')
  const place = signature === undefined ? token.length - 1 : header.length + 1 + Math.floor(payload.length / 2)
  return `${token.slice(0, place)}${token[place] === 'A' ? 'B' : 'A'}${token.slice(place + 1)}`
}
