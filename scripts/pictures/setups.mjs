// @ts-check
/** Draws where an API can stand: who ends TLS, and what its processes share. Boxes, arrows and a line of text at each. */
import { MONO, SANS, svg, xml } from './svg.mjs'

/** Pixels. A page of 400 pixels shows a picture at three quarters of its width. */
const WIDTH = 480

const COLOURS = /** @type {const} */ ({
  bg: ['fill', '#ffffff', '#0d1117'],
  frame: ['stroke', '#d1d9e0', '#3d444d'],
  box: ['fill', '#f6f8fa', '#151b23'],
  own: ['fill', '#ddf4ff', '#10243e'],
  edge: ['stroke', '#0969da', '#388bfd'],
  name: ['fill', '#1f2328', '#f0f6fc'],
  soft: ['fill', '#59636e', '#9198a1'],
  key: ['fill', '#0550ae', '#79c0ff'],
  line: ['stroke', '#59636e', '#9198a1'],
  tip: ['fill', '#59636e', '#9198a1']
})
const STYLE = `.m{font:12px ${MONO}}.s{font:13px ${SANS}}.name{font-weight:600}.frame,.edge,.line{fill:none}.line{stroke-width:1.5}`
const TIP =
  '<defs><marker id="a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'

/** @typedef {{ x: number, y: number, width: number, height?: number }} Box */

/** A box with a name, and lines below it. @param {Box} at @param {string} name @param {readonly string[]} [lines] @param {boolean} [own] */
function box({ x, y, width, height = 40 }, name, lines = [], own = false) {
  const middle = x + width / 2
  const top = y + height / 2 + 4.5 - lines.length * 9
  return [
    `<rect class="${own ? 'own' : 'box'}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>`,
    `<rect class="${own ? 'edge' : 'frame'}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>`,
    text('s name', middle, top, name, 'middle'),
    ...lines.map((line, index) => text('s soft', middle, top + 18 * (index + 1), line, 'middle'))
  ].join('')
}

/** @param {string} style @param {number} x @param {number} y @param {string} words @param {'start' | 'middle'} [anchor] */
function text(style, x, y, words, anchor = 'start') {
  return `<text class="${style}" x="${x}" y="${y}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${xml(words)}</text>`
}

/** @param {string} path @param {boolean} [both] with a tip at its start too */
function arrow(path, both = false) {
  return `<path class="line"${both ? ' marker-start="url(#a)"' : ''} marker-end="url(#a)" d="${path}"/>`
}

/** @param {{ title: string, description: string, height: number, parts: readonly string[] }} picture */
function draw({ title, description, height, parts }) {
  return svg({
    width: WIDTH,
    height,
    title,
    description,
    colours: COLOURS,
    style: STYLE,
    parts: [
      TIP,
      `<rect class="bg" width="${WIDTH}" height="${height}" rx="8"/>`,
      `<rect class="frame" x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
      ...parts
    ]
  })
}

/** Who ends TLS, and how a client certificate reaches the API. */
export function drawTls() {
  return draw({
    title: 'Who ends TLS?',
    description:
      'Either the API ends TLS, and reads the certificate of the client from the connection: requestCert is true. Or a proxy ends TLS: it removes the field Client-Cert of the client, and writes the certificate there. The API reads the field only from the addresses in trustedProxies. Proofs of DPoP name the URL of the client, so set publicUrl if the API has another one.',
    height: 344,
    parts: [
      text('s name', 20, 32, 'Your API ends TLS'),
      box({ x: 20, y: 48, width: 96 }, 'Client'),
      arrow('M116 68H344'),
      text('s soft', 230, 60, 'TLS, client certificate', 'middle'),
      box({ x: 344, y: 48, width: 116 }, 'Your API', [], true),
      text('m key', 20, 112, 'createServer({ requestCert: true, … })'),
      text('s name', 20, 164, 'A proxy ends TLS'),
      box({ x: 20, y: 180, width: 96 }, 'Client'),
      arrow('M116 200H190'),
      text('s soft', 153, 192, 'TLS', 'middle'),
      box({ x: 190, y: 180, width: 84 }, 'Proxy'),
      arrow('M274 200H344'),
      text('s soft', 309, 192, 'HTTP', 'middle'),
      box({ x: 344, y: 180, width: 116 }, 'Your API', [], true),
      text('s soft', 20, 244, '1. The proxy removes Client-Cert from the request of the client,'),
      text('s soft', 36, 262, 'and writes the certificate there.'),
      text('s soft', 20, 284, '2. The API reads the field only from these addresses:'),
      text('m key', 36, 303, "clientCertificate: { trustedProxies: ['10.0.0.7'] }"),
      text('s soft', 20, 326, '3. For DPoP, set publicUrl to the URL that clients call.')
    ]
  })
}

/** What the processes of an API share. */
export function drawProcesses() {
  const processes = [1, 2, 3].map((number, index) => ({ number, x: 20 + index * 152 }))
  return draw({
    title: 'One API, several processes',
    description:
      'Three processes of an API each keep keys and verified tokens in memory, and ask the authorization server for keys and introspection. With the option shared they share a Redis or Valkey: introspection answers, used DPoP proofs, and the log of revocations, encrypted. If Redis is down, everything except DPoP continues in the processes that run.',
    height: 360,
    parts: [
      box({ x: 110, y: 16, width: 260, height: 58 }, 'Authorization server', ['keys, introspection']),
      ...processes.map(({ x }) => arrow(`M${x + 68} 130V104H240V76`)),
      ...processes.map(({ number, x }) =>
        box({ x, y: 130, width: 136, height: 58 }, `Process ${number}`, ['keys, good tokens'], true)
      ),
      ...processes.map(({ x }) => arrow(`M${x + 68} 190V228`, true)),
      box({ x: 20, y: 230, width: 440, height: 76 }, 'Redis or Valkey, encrypted', [
        'introspection answers · used DPoP proofs',
        'log of revocations · keys for a start in an outage'
      ]),
      text('s soft', 240, 336, 'If Redis is down, running processes go on, except for DPoP.', 'middle')
    ]
  })
}
