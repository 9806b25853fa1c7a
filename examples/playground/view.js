// @ts-check
/** Shows alerts, notices and answers. Everything that came from a server becomes text. */

/**
 * @typedef {object} Verdicts
 * @property {string | null} reason
 * @property {string | null} hint
 * @property {string | null} [documentation]
 * @property {{ name: string, standard: string, verdict: string }[]} checks
 * @property {string} [source] who made the checks, if it was not the API
 */
/** @typedef {import('./http.js').Exchange} Exchange */

/** The header fields of an answer that matter for OAuth. */
const SHOWN_FIELDS = ['www-authenticate', 'dpop-nonce', 'cache-control', 'content-type', 'retry-after']
const MARKS = /** @type {Record<string, string>} */ ({ passed: '✓', failed: '✗', 'not reached': '–' })

/** @param {string} selector */
export const find = (selector) => /** @type {HTMLElement} */ (document.querySelector(selector))

/** @param {string | undefined} message */
export function showAlert(message) {
  find('#alert').hidden = message === undefined
  find('#alert').textContent = message ?? ''
}

/** @param {string} notice shown once, however often it is given */
export function showNotice(notice) {
  const list = find('#notices')
  if ([...list.children].some(({ textContent }) => textContent === notice)) return
  list.append(element('li', {}, [notice]))
  list.hidden = false
}

/** @param {string} title @param {Exchange} exchange @param {Verdicts | undefined} verdicts @param {string} [note] */
export function showResult(title, exchange, verdicts, note) {
  const { status } = exchange
  const region = find('#result')
  region.dataset['status'] = String(status)
  region.replaceChildren(
    element('h3', {}, [element('span', { className: `status s${String(status)[0]}` }, [String(status)]), ` ${title}`]),
    element('pre', { tabIndex: 0 }, [answerText(exchange, (name) => SHOWN_FIELDS.includes(name.toLowerCase()))]),
    copyButton('Copy as curl', () => curlOf(exchange)),
    ...(note === undefined ? [] : [element('p', { className: 'soft' }, [note])]),
    ...checksOf(verdicts)
  )
  find('#answer').hidden = false
  region.scrollIntoView({ block: 'nearest' })
}

/** @param {Verdicts | undefined} verdicts */
function checksOf(verdicts) {
  if (verdicts === undefined || verdicts.checks.length === 0)
    return [
      element('p', { className: 'soft' }, [
        'Which check failed is in the log of the API. About an opaque token only the API and its authorization server know more.'
      ])
    ]
  const { checks, reason, hint, documentation, source = 'What the API checked' } = verdicts
  return [
    element('h3', {}, [source]),
    element(
      'ol',
      { className: 'checks' },
      checks.map(({ name, standard, verdict }) =>
        element('li', { className: verdict.replace(' ', '-') }, [
          element('span', { className: 'mark', ariaHidden: 'true' }, [MARKS[verdict] ?? '']),
          element('span', {}, [
            name,
            element('span', { className: 'hidden' }, [`: ${verdict}`]),
            element('span', { className: 'soft' }, [` ${standard}`])
          ]),
          ...(verdict === 'failed' ? [reasonOf(reason, hint, documentation)] : [])
        ])
      )
    )
  ]
}

/** @param {string | null} reason @param {string | null} hint @param {string | null} [documentation] */
function reasonOf(reason, hint, documentation) {
  const about = documentation
    ? [' ', element('a', { href: documentation, target: '_blank', rel: 'noreferrer' }, [`More about ${reason}`])]
    : []
  return element('span', { className: 'hint' }, [`${reason}: ${hint}`, ...about])
}

/** @param {Exchange} exchange */
export function requestText({ method, url, sent, content }) {
  const { pathname, search, host } = new URL(url)
  const lines = [`${method} ${pathname}${search}`, `Host: ${host}`, ...sent.map(([name, value]) => `${name}: ${value}`)]
  return content === undefined ? lines.join('\n') : `${lines.join('\n')}\n\n${prettyText(content)}`
}

/** @param {Exchange} exchange @param {(name: string) => boolean} isShown */
export function answerText({ status, received, body }, isShown) {
  const fields = received.filter(([name]) => isShown(name)).map(([name, value]) => `${name}: ${value}`)
  return [String(status), ...fields, ...(body === '' ? [] : ['', prettyText(body)])].join('\n')
}

/** @param {Exchange} exchange @returns {string} the command for a POSIX shell that sends the same request */
export function curlOf({ method, url, sent, content }) {
  const quote = (/** @type {string} */ text) => `'${text.replaceAll("'", String.raw`'\''`)}'`
  const fields = sent.flatMap(([name, value]) => ['-H', quote(`${name}: ${value}`)])
  const body = content === undefined ? [] : ['--data-raw', quote(content)]
  return ['curl', '-i', ...(method === 'GET' ? [] : ['-X', method]), quote(url), ...fields, ...body].join(' ')
}

/** @param {string} label @param {() => string} text */
export function copyButton(label, text) {
  const button = element('button', { type: 'button', className: 'copy' }, [label])
  button.addEventListener('click', async () => {
    const isDone = await navigator.clipboard.writeText(text()).then(
      () => true,
      () => false
    )
    button.textContent = isDone ? 'Copied' : 'The browser did not allow it'
    setTimeout(() => (button.textContent = label), 2000)
  })
  return button
}

/** @param {string} text */
function prettyText(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text.replaceAll('&', '\n&')
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]>} properties
 * @param {(Node | string)[]} children
 * @param {Record<string, string>} [data]
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, properties, children, data = {}) {
  const made = Object.assign(document.createElement(name), properties)
  Object.assign(made.dataset, data)
  made.append(...children)
  return made
}
