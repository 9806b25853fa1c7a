// @ts-check
/** The consent page: plain HTML that needs no script, is made of escaped text only, and is framed by nobody. */
import { createHash } from 'node:crypto'

/**
 * @typedef {object} Asked
 * @property {string} uid
 * @property {string} account
 * @property {string} client_id
 * @property {string} name
 * @property {string | null} logo_uri
 * @property {string | null} policy_uri
 * @property {string | null} tos_uri
 * @property {string} redirect_uri
 * @property {{ id: string, name?: string, description?: string }[]} requested_scopes
 * @property {boolean} verified
 */

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --back: #f3f5f8; --card: #fff; --line: #d5dae1;
  --good: #0b6b3a; --warn: #8a4b00; --act: #0a58ca; --on-act: #fff }
@media (prefers-color-scheme: dark) { :root { --text: #e8ebef; --soft: #a9b3bf; --back: #0f1318; --card: #181d24;
  --line: #363e49; --good: #5fd29a; --warn: #f0b26b; --act: #7ab0ff; --on-act: #08111f } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 30rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; overflow-wrap: anywhere }
header { display: flex; gap: 1rem; align-items: center; margin-bottom: 1rem }
.logo { width: 3.5rem; height: 3.5rem; flex: none; border-radius: .6rem; border: 1px solid var(--line); object-fit: contain;
  display: grid; place-items: center; font-size: 1.5rem; font-weight: 600; background: var(--back) }
h1 { font-size: 1.25rem; line-height: 1.3; margin: 0 }
h2 { font-size: 1rem; margin: 1.5rem 0 .5rem }
p { margin: .5rem 0 }
.mark { font-size: .9rem; font-weight: 600; margin: .2rem 0 0 }
.verified { color: var(--good) }
.unverified { color: var(--warn) }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: .5rem }
li { padding: .7rem .9rem }
li + li { border-top: 1px solid var(--line) }
li strong { display: block }
.soft, li span { color: var(--soft) }
.soft { font-size: .9rem }
form { display: flex; gap: .75rem; margin-top: 1.5rem }
button { flex: 1; padding: .75rem; border-radius: .5rem; border: 1px solid var(--act); font: inherit; font-weight: 600;
  cursor: pointer; background: transparent; color: var(--act) }
button[value=allow] { background: var(--act); color: var(--on-act) }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
a { color: var(--act) }
`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** @param {import('koa').Context} ctx @param {Asked} asked */
export function consentPage(ctx, asked) {
  const { name, logo_uri: logo, policy_uri: policy, tos_uri: terms, redirect_uri: redirect, verified } = asked
  const links = [policy && link(policy, 'Privacy policy'), terms && link(terms, 'Terms of service')].filter(Boolean)
  const scopes = asked.requested_scopes.map(
    (scope) => `<li><strong>${text(scope.name)}</strong> <span>${text(scope.description)}</span></li>`
  )
  const page = `
<header>
${isWeb(logo) ? `<img class="logo" src="${text(logo)}" alt="">` : `<div class="logo" aria-hidden="true">${text(initialOf(name))}</div>`}
<div>
<h1>${text(name)} asks for access to your account</h1>
<p class="mark ${verified ? 'verified' : 'unverified'}">${verified ? '✓ Verified application' : 'Not verified: we have not checked who runs this application'}</p>
</div>
</header>
<p>You are signed in as <strong>${text(asked.account)}</strong>.</p>
<h2 id="scopes">${text(name)} will be able to</h2>
${scopes.length > 0 ? `<ul aria-labelledby="scopes">${scopes.join('')}</ul>` : '<p>know that you allowed it, and nothing else.</p>'}
<p class="soft">You can revoke this at any time. Afterwards you go on to <strong>${text(placeOf(redirect))}</strong>.</p>
${links.length > 0 ? `<p class="soft">${links.join(' · ')}</p>` : ''}
<form method="post" action="/consent/${text(asked.uid)}">
<input type="hidden" name="consent_token" value="${text(asked.uid)}">
<button name="decision" value="deny">Deny</button>
<button name="decision" value="allow">Allow</button>
</form>`
  // Chromium holds what a form's answer redirects to against form-action, too.
  render(ctx, 200, `${name} asks for access`, page, {
    images: isWeb(logo) ? new URL(logo).origin : "'none'",
    forms: `'self' ${sourceOf(redirect)}`
  })
}

/**
 * What this server is, for a person who opens its address.
 *
 * @param {import('koa').Context} ctx
 * @param {string} origin
 */
export function frontPage(ctx, origin) {
  const places = [
    ['/v2/messages', 'A protected API: 401 without a token, with a challenge'],
    ['/.well-known/oauth-protected-resource', 'Where its tokens come from (RFC 9728)'],
    ['/.well-known/oauth-authorization-server', 'The endpoints of this server (RFC 8414)'],
    ['/v2/oauth/jwks', 'Its public keys (RFC 7517)']
  ]
  const rows = places.map(
    ([path = '', words]) => `<li><a href="${text(path)}">${text(path)}</a> <span>${text(words)}</span></li>`
  )
  render(
    ctx,
    200,
    'An authorization server for development',
    `<h1>An authorization server for development</h1>
<p>It issues access tokens for the API at <strong>${text(origin)}</strong>. It has one account, and no passwords.</p>
<ul>${rows.join('')}</ul>
<p class="soft">The playground, whose address the terminal shows, walks through all of it.</p>`
  )
}

/** @param {import('koa').Context} ctx @param {number} status @param {string} message */
export function errorPage(ctx, status, message) {
  render(ctx, status, 'This did not work', `<h1>This did not work</h1><p>${text(message)}</p>`)
}

/**
 * @param {import('koa').Context} ctx
 * @param {number} status
 * @param {string} title
 * @param {string} main
 * @param {{ images: string, forms: string }} [sources]
 */
function render(ctx, status, title, main, { images, forms } = { images: "'none'", forms: "'none'" }) {
  ctx.status = status
  ctx.type = 'html'
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src ${images}; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
    'Cross-Origin-Opener-Policy': 'same-origin',
    // Of other sites' pages nothing; of this one, the form names its origin.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY'
  })
  ctx.body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>${main}
</main>
</body>
</html>
`
}

/** @param {string} uri @param {string} words */
function link(uri, words) {
  return isWeb(uri) ? `<a href="${text(uri)}" target="_blank" rel="noopener noreferrer">${text(words)}</a>` : ''
}

/** @param {string | null} uri @returns {uri is string} */
function isWeb(uri) {
  return uri !== null && URL.canParse(uri) && /^https?:$/.test(new URL(uri).protocol)
}

/** Where a person is led to, in a few words. @param {string} uri */
function placeOf(uri) {
  const { protocol, host } = new URL(uri)
  return isWeb(uri) ? host : `an application on this device (${protocol})`
}

/** For Content-Security-Policy, which an address cannot add to: only its origin or scheme is used. @param {string} uri */
function sourceOf(uri) {
  const { protocol, origin } = new URL(uri)
  return isWeb(uri) ? origin : protocol
}

/** What a person takes for the first letter. @param {string} name */
function initialOf(name) {
  const [first] = new Intl.Segmenter().segment(name)
  return first?.segment
}

/** @param {string | undefined} value */
function text(value = '') {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
