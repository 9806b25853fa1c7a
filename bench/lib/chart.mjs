// @ts-check
/** Horizontal bars as SVG, for light and dark pages alike. */
import { labelOf } from './result.mjs'
import { short } from './stats.mjs'

const PANELS = [
  { key: 'express', title: "Express: share of the unprotected server's requests kept", unit: '', most: 1 },
  { key: 'koa', title: 'Koa: share kept', unit: '', most: 1 },
  { key: 'fastify', title: 'Fastify: share kept', unit: '', most: 1 },
  { key: 'hono', title: 'Hono: share kept', unit: '', most: 1 },
  // In what a bare check took meanwhile in the same process: another one may have had worse neighbours.
  { key: 'first', title: 'An RS256 token that was never seen: bare signature checks in its time', unit: '', most: 0 },
  { key: 'hot', title: 'One that was seen before: bare signature checks in its time', unit: '', most: 0 }
]
const [WIDTH, LEFT, ROW, BAR, GAP] = [840, 330, 22, 14, 34]

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .ours { fill: #0969da } .peer { fill: #8c959f } .track { fill: #eaeef2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ours { fill: #4493f8 } .peer { fill: #7d8590 } .track { fill: #21262d }
  }
`

const escaped = (/** @type {string} */ text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/**
 * @param {Readonly<Record<string, readonly (readonly [label: string, value: number])[]>>} bars by panel
 * @returns {string} an SVG document
 */
export function drawChart(bars) {
  /** @type {string[]} */
  const parts = []
  let y = 8
  for (const { key, title, unit, most } of PANELS) {
    const rows = bars[key] ?? []
    if (rows.length === 0) continue
    const scale = (WIDTH - LEFT - 80) / (most || Math.max(...rows.map(([, value]) => value)))
    parts.push(`<text class="title" x="0" y="${y + 14}">${escaped(title)}</text>`)
    y += ROW + 4
    for (const [label, value] of rows) {
      const name =
        label === 'ours, first sight' ? 'oauth-resource-server, never seen' : labelOf(label).replaceAll(/[*`]/g, '')
      const width = Math.min(WIDTH - LEFT - 80, Math.max(1, value * scale)).toFixed(1)
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escaped(name)}</text>`,
        `<rect class="track" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 80}" height="${BAR}" rx="2"/>`,
        `<rect class="${label.startsWith('ours') ? 'ours' : 'peer'}" x="${LEFT}" y="${y}" width="${width}" height="${BAR}" rx="2"/>`,
        `<text x="${WIDTH - 74}" y="${y + 12}">${short(value)}${unit}</text>`
      )
      y += ROW
    }
    y += GAP - ROW + 6
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img">
<title>Requests kept by protected servers, and processor time for a token</title>
<style>${STYLE}</style>
${parts.join('\n')}
</svg>
`
}
