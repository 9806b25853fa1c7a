/**
 * The pages of the development issuer: plain HTML of escaped text, without a script.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { createHash } from 'node:crypto'
import type { Answer } from './answers.js'

const STYLE = `
:root { color-scheme: light dark; --soft: #57606a; --line: #d5dae1; --act: #0a58ca; --on-act: #fff }
@media (prefers-color-scheme: dark) { :root { --soft: #a9b3bf; --line: #363e49; --act: #7ab0ff; --on-act: #08111f } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 34rem; padding: 2rem 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.35rem; line-height: 1.3 }
h2 { font-size: 1rem }
ul { margin: 0; padding: .5rem 1rem .5rem 2rem; border: 1px solid var(--line); border-radius: .5rem }
.soft { color: var(--soft) }
form { display: flex; gap: .75rem; margin-top: 1.5rem }
button { flex: 1; padding: .75rem; border: 1px solid var(--act); border-radius: .5rem; font: inherit; font-weight: 600;
  cursor: pointer; background: transparent; color: var(--act) }
button[value=allow] { background: var(--act); color: var(--on-act) }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Header fields of every page. @param forms where a form may lead, for Content-Security-Policy */
export function pageHeaders(forms = "'none'"): Readonly<Record<string, string>> {
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
    // The form names its origin. Other sites learn nothing.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY'
  }
}

interface Asked {
  readonly uid: string
  readonly user: string
  /** The client's name, which the client chose. */
  readonly name: string
  readonly redirectUri: string
  readonly resources: readonly string[]
  readonly scopes: readonly string[]
}

export function consentPage({ uid, user, name, redirectUri, resources, scopes }: Asked): Answer {
  const items = scopes.map((scope) => `<li><code>${escapeHtml(scope)}</code></li>`).join('')
  const body = `<h1>${escapeHtml(name)} asks for access</h1>
<p>You are <strong>${escapeHtml(user)}</strong>. The API is <strong>${escapeHtml(resources.join(' '))}</strong>.</p>
<h2 id="scopes">Scopes</h2>
${items === '' ? '<p>No scopes.</p>' : `<ul aria-labelledby="scopes">${items}</ul>`}
<form method="post" action="/consent/${escapeHtml(uid)}">
<button name="decision" value="deny">Deny</button>
<button name="decision" value="allow">Allow</button>
</form>
<p class="soft">Afterwards the browser goes to <strong>${escapeHtml(placeOf(redirectUri))}</strong>.</p>`
  // Chromium applies form-action to the redirect after the form as well.
  const headers = pageHeaders(`'self' ${sourceOf(redirectUri)}`)
  return { status: 200, headers, body: htmlOf(`${name} asks for access`, body) }
}

export function errorPage(message: string): string {
  return htmlOf('This did not work', `<h1>This did not work</h1><p>${escapeHtml(message)}</p>`)
}

/** @param clients true if clients can register, with oidc-provider */
export function frontPage(issuer: string, resources: readonly string[], clients: boolean): string {
  const links = ['/.well-known/oauth-authorization-server', '/jwks']
  return htmlOf(
    'Authorization server for development',
    `<h1>Authorization server for development</h1>
<p>The issuer <strong>${escapeHtml(issuer)}</strong> gives tokens for <strong>${escapeHtml(resources.join(' '))}</strong>.
${clients ? 'Clients can register, and you can consent in this browser.' : 'Registration and consent need the package oidc-provider: <code>npm i -D oidc-provider</code>'}</p>
<ul>${links.map((link) => `<li><a href="${link}">${link}</a></li>`).join('')}</ul>`
  )
}

function htmlOf(title: string, main: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>${main}
</main>
</body>
</html>
`
}

/** Where the browser goes next, in a few words. */
function placeOf(uri: string): string {
  const { protocol, host } = new URL(uri)
  return /^https?:$/.test(protocol) ? host : `an application on this device (${protocol})`
}

/** For Content-Security-Policy: the origin or the scheme alone, which cannot add a directive. */
function sourceOf(uri: string): string {
  const { protocol, origin } = new URL(uri)
  return /^https?:$/.test(protocol) ? origin : protocol
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
