// @ts-check
/** The token: its three parts in colour, and each claim explained. */
import { copyButton, element, find } from './view.js'

const PARTS = ['header', 'payload', 'signature']

/** @type {Readonly<Record<string, string>>} */
const MEANINGS = {
  typ: 'what kind of token it is: at+jwt is an access token',
  alg: 'the algorithm of the signature',
  kid: 'which published key signed it',
  iss: 'the authorization server that issued it',
  sub: 'whom it stands for',
  aud: 'the API that it is for',
  client_id: 'the application that got it',
  azp: 'the application that got it',
  scope: 'what it allows',
  scp: 'what it allows',
  exp: 'until when it is accepted',
  iat: 'when it was issued',
  nbf: 'from when it is accepted',
  auth_time: 'when the user signed in',
  acr: 'how the user signed in',
  amr: 'how the user signed in',
  jti: 'its own identifier',
  cnf: 'the key that it is bound to',
  sid: 'the session of the user',
  roles: 'the roles of the user',
  act: 'who acts for the subject'
}
const TIMES = ['exp', 'iat', 'nbf', 'auth_time']

/** @param {import('./oauth.js').Tokens} tokens */
export function showToken({ accessToken, type, scope }) {
  const parts = accessToken.split('.')
  const section = find('#token')
  section.hidden = false
  const isJwt = parts.length === 3
  find('#token-body').replaceChildren(
    element('p', {}, [
      `${type}, ${isJwt ? 'a JWT' : 'opaque'}`,
      ...(scope === '' ? [] : [', for ', element('strong', {}, [scope])])
    ]),
    element('pre', { tabIndex: 0, className: 'whole' }, isJwt ? coloured(parts) : [accessToken]),
    copyButton('Copy the token', () => accessToken),
    ...(isJwt ? [claimTable('header', parts[0] ?? ''), claimTable('payload', parts[1] ?? '')] : [opaque()])
  )
}

function opaque() {
  return element('p', { className: 'soft' }, [
    'It says nothing by itself. The API asks the authorization server about it (RFC 7662).'
  ])
}

/** @param {string[]} parts */
function coloured(parts) {
  return parts.flatMap((part, i) => [
    ...(i === 0 ? [] : ['.']),
    element('span', { className: PARTS[i] ?? '', title: PARTS[i] ?? '' }, [part])
  ])
}

/** @param {string} name of the part @param {string} segment */
function claimTable(name, segment) {
  const claims = decode(segment)
  if (claims === undefined) return element('p', { className: 'soft' }, [`The ${name} cannot be read.`])
  return element('table', {}, [
    element('caption', { className: name }, [name]),
    element(
      'tbody',
      {},
      Object.entries(claims).map(([claim, value]) =>
        element('tr', {}, [
          element('th', { scope: 'row' }, [claim]),
          element('td', {}, [
            element('code', {}, [typeof value === 'string' ? value : JSON.stringify(value)]),
            ...(TIMES.includes(claim) && typeof value === 'number' ? [` ${distance(value)}`] : []),
            ...(MEANINGS[claim] ? [element('span', { className: 'soft' }, [` ${MEANINGS[claim]}`])] : [])
          ])
        ])
      )
    )
  ])
}

const UNITS = /** @type {const} */ ([
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1]
])

/** @param {number} time seconds since the epoch @returns {string} such as `in 59 minutes` */
function distance(time) {
  const seconds = Math.round(time - Date.now() / 1000)
  const [unit, size] = UNITS.find(([, one]) => Math.abs(seconds) >= one) ?? ['second', 1]
  return new Intl.RelativeTimeFormat('en').format(Math.trunc(seconds / size), unit)
}

/** @param {string} segment @returns {Record<string, unknown> | undefined} */
function decode(segment) {
  try {
    const text = atob(segment.replaceAll('-', '+').replaceAll('_', '/'))
    const value = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (one) => one.charCodeAt(0))))
    return value !== null && typeof value === 'object' ? value : undefined
  } catch {
    return undefined
  }
}
