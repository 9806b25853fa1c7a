// @ts-check
/** The picture of the conversation: one row for each request, between the page and the API or its server. */
import { answerText, copyButton, curlOf, element, find, requestText } from './view.js'

/** @typedef {import('./http.js').Exchange} Exchange */

/** The steps in their order. Each is shown as a plan until it happened. */
const PLAN = /** @type {const} */ ([
  ['challenge', 'api', 'A request without a token', '401: where to read more', 'RFC 9728'],
  ['resource', 'api', 'Its metadata?', 'its authorization server', 'RFC 9728'],
  ['server', 'server', 'Its metadata?', 'its endpoints', 'RFC 8414'],
  ['register', 'server', 'Register this page', 'a client ID', 'RFC 7591'],
  ['authorize', 'server', 'You sign in and allow it', 'a code', 'RFC 6749'],
  ['token', 'server', 'The code, and PKCE', 'an access token', 'RFC 7636'],
  ['call', 'api', 'The request with its token', '200', 'RFC 6750']
])

/** Shows all steps that are ahead. */
export function showPlan() {
  find('#exchanges').replaceChildren(
    ...PLAN.map(([step, to, request, answer, standard]) =>
      element(
        'li',
        { className: `plan to-${to}` },
        [
          arrow('request', [`${request} `, element('span', { className: 'soft' }, [standard])]),
          arrow('answer', [answer])
        ],
        { step }
      )
    )
  )
}

/** Removes the steps that no longer come. */
export function endPlan() {
  for (const planned of document.querySelectorAll('#exchanges .plan')) planned.remove()
}

/** @param {Exchange} exchange */
export function showExchange(exchange) {
  const { to, step, method, url, status, isRelayed } = exchange
  const list = find('#exchanges')
  const planned = [...list.querySelectorAll('.plan')]
  // Steps before this one did not happen, such as a registration that was not needed.
  const index = planned.findIndex((one) => /** @type {HTMLElement} */ (one).dataset['step'] === step)
  for (const passed of planned.slice(0, index + 1)) passed.remove()
  const { pathname } = new URL(url)
  const party = to === 'api' ? 'the API' : 'the authorization server'
  const answer =
    status === 0
      ? ['you sign in there']
      : [element('span', { className: `status s${String(status)[0]}` }, [String(status)]), ` ${meaningOf(exchange)}`]
  const details = element('details', {}, [
    element('summary', {}, [
      element('span', { className: 'hidden' }, [`To ${party}: `]),
      arrow('request', [`${method} ${pathname}`]),
      element('span', { className: 'hidden' }, ['. Answer: ']),
      arrow('answer', answer)
    ]),
    ...(isRelayed ? [element('p', { className: 'soft' }, ['Sent by the server of this playground.'])] : []),
    element('pre', { tabIndex: 0 }, [
      requestText(exchange),
      ...(status === 0 ? [] : ['\n\n', answerText(exchange, () => true)])
    ]),
    copyButton('Copy as curl', () => curlOf(exchange))
  ])
  const row = element('li', { className: `to-${to}` }, [details])
  const ahead = list.querySelector('.plan')
  if (ahead) ahead.before(row)
  else list.append(row)
}

/** In a few words, which member or field of the answer matters. @param {Exchange} exchange */
function meaningOf({ step, status, received, body }) {
  if (status >= 400) return received.some(([name]) => name.toLowerCase() === 'www-authenticate') ? 'challenge' : ''
  const words = /** @type {Record<string, string>} */ ({
    resource: 'authorization_servers',
    server: 'endpoints',
    register: 'client_id',
    token: 'access_token',
    variant: 'a token with a fault',
    revoke: 'revoked'
  })
  return words[step] ?? (body.length > 0 ? 'content' : '')
}

/** @param {'request' | 'answer'} direction @param {(Node | string)[]} label */
function arrow(direction, label) {
  return element('span', { className: `arrow ${direction}` }, [element('span', { className: 'label' }, label)])
}
