// @ts-check
/** What is shown. Whatever came from a server becomes text, and nothing else. */

/** @typedef {{ reason: string | null, hint: string | null, checks: { name: string, standard: string, verdict: string }[] }} Verdicts */
/** @typedef {import('./http.js').Exchange} Exchange */

/** Fields of answers that say something about OAuth. */
const TELLING = ['www-authenticate', 'dpop-nonce', 'cache-control', 'content-type', 'retry-after']
const MARKS = /** @type {Record<string, string>} */ ({ passed: '✓', failed: '✗', 'not reached': '–' })

/** @param {string} selector */
const find = (selector) => /** @type {HTMLElement} */ (document.querySelector(selector))

/** @param {string | undefined} message */
export function showAlert(message) {
  find('#alert').hidden = message === undefined
  find('#alert').textContent = message ?? ''
}

/** @param {Exchange} exchange */
export function showExchange(exchange) {
  const { method, url, status } = exchange
  const { pathname, origin } = new URL(url)
  find('#nothing').hidden = true
  find('#exchanges').append(
    element('li', {}, [
      element('details', {}, [
        element('summary', {}, [
          element('span', { className: `status s${String(status)[0]}` }, [String(status)]),
          ` ${method} ${pathname} `,
          element('span', { className: 'soft' }, [origin])
        ]),
        element('pre', { tabIndex: 0 }, [requestText(exchange), '\n\n', answerText(exchange, () => true)])
      ])
    ])
  )
}

/** @param {import('./oauth.js').Tokens} tokens */
export function showToken({ accessToken, type, scope }) {
  const parts = accessToken.split('.')
  const section = find('#token')
  section.hidden = false
  section.append(
    element('p', {}, [`${type}, for `, element('strong', {}, [scope])]),
    element('pre', { tabIndex: 0, className: 'wrap' }, [accessToken])
  )
  if (parts.length !== 3)
    section.append(element('p', {}, ['Opaque: only the authorization server knows what it means.']))
  else
    for (const [i, name] of ['Header', 'Payload'].entries())
      section.append(element('h3', {}, [name]), element('pre', { tabIndex: 0 }, [pretty(decode(parts[i] ?? ''))]))
}

/** @param {string} title @param {Exchange} exchange @param {Verdicts | undefined} verdicts */
export function showResult(title, exchange, verdicts) {
  const { status } = exchange
  const region = find('#result')
  region.dataset['status'] = String(status)
  const checks = verdicts?.checks.map(({ name, standard, verdict }) =>
    element('li', { className: verdict.replace(' ', '-') }, [
      element('span', { className: 'mark', ariaHidden: 'true' }, [MARKS[verdict] ?? '']),
      element('span', {}, [name, ' ', element('span', { className: 'soft' }, [`${verdict}, ${standard}`])]),
      ...(verdict === 'failed' && verdicts.hint !== null
        ? [element('span', { className: 'hint' }, [`${verdicts.reason}: ${verdicts.hint}`])]
        : [])
    ])
  )
  region.replaceChildren(
    element('h3', {}, [element('span', { className: `status s${String(status)[0]}` }, [String(status)]), ` ${title}`]),
    element('pre', { tabIndex: 0 }, [answerText(exchange, (name) => TELLING.includes(name))]),
    element('h3', {}, ['What the API checked']),
    checks && checks.length > 0
      ? element('ol', { className: 'checks' }, checks)
      : element('p', { className: 'soft' }, ['This API does not show its reasons.'])
  )
  region.scrollIntoView({ block: 'nearest' })
}

/** @param {Exchange} exchange */
function requestText({ method, url, sent, content }) {
  const { pathname, search, host } = new URL(url)
  const lines = [`${method} ${pathname}${search}`, `Host: ${host}`, ...sent.map(([name, value]) => `${name}: ${value}`)]
  return content === undefined ? lines.join('\n') : `${lines.join('\n')}\n\n${prettyText(content)}`
}

/** @param {Exchange} exchange @param {(name: string) => boolean} isShown */
function answerText({ status, received, body }, isShown) {
  const fields = received.filter(([name]) => isShown(name)).map(([name, value]) => `${name}: ${value}`)
  return [String(status), ...fields, ...(body === '' ? [] : ['', prettyText(body)])].join('\n')
}

/** @param {string} text */
function prettyText(text) {
  try {
    return pretty(JSON.parse(text))
  } catch {
    return text.replaceAll('&', '\n&')
  }
}

/** @param {unknown} value */
function pretty(value) {
  return JSON.stringify(value, null, 2)
}

/** @param {string} segment */
function decode(segment) {
  const bytes = Uint8Array.from(atob(segment.replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0))
  return JSON.parse(new TextDecoder().decode(bytes))
}

/**
 * @param {string} name
 * @param {Partial<HTMLElement>} properties
 * @param {(Node | string)[]} children
 */
function element(name, properties, children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}
