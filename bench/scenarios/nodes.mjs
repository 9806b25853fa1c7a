// @ts-check
import { installNode, NODES } from '../lib/nodes.mjs'
import { short } from '../lib/stats.mjs'

/** @typedef {import('../lib/context.mjs').Context} Context */
/** @typedef {Parameters<Context['compare']>[1]} Work */

const refused = { expect: /** @type {const} */ ('refused') }
const good = { tokens: 'rs256', expect: /** @type {const} */ ('good') }
/** First sights first: a hot token is remembered. @type {readonly (readonly [caption: string, work: Work])[]} */
const WORK = [
  ['first sight RS256', { drill: 'turn', tokens: 'rs256', filled: true }],
  ['first sight ES256', { drill: 'turn', tokens: 'es256', filled: true }],
  ['DPoP', { drill: 'dpop' }],
  ['refusing expired', { drill: 'turn', tokens: 'expired', lanes: [refused, good] }],
  ['one hot token', { drill: 'hot', tokens: 'rs256', distinct: 1 }]
]

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'nodes',
  title: 'Versions of Node.js',
  about:
    'Times raw, by median call, in the version that made all other figures and in later ones. Raw is the signature check of the same version, whose OpenSSL differs too. A refusal is compared with a raw RS256 check, and DPoP with an ES256 one.',
  run: async ({ compare, progress }) => {
    const versions = [
      { version: process.versions.node, path: process.execPath },
      ...NODES.map((version) => ({ version, path: installNode(version) }))
    ]
    /** @type {(readonly string[])[]} */
    const rows = []
    for (const { version, path } of versions) {
      progress(`nodes: ${version}`)
      if (path === undefined) {
        rows.push([`${version}: not available from npm for this platform`, '', ...WORK.map(() => '-')])
        continue
      }
      const lanes = /** @type {const} */ ([{ module: 'ours', variant: { purpose: 'nodes' } }, { module: 'raw' }])
      /** @type {string[]} */
      const cells = []
      let raw = Number.NaN
      for (const [, work] of WORK) {
        const { call, other } = await compare(lanes, work, [], path)
        if (Number.isNaN(raw)) raw = other.call
        cells.push(short(call))
      }
      rows.push([version, short(raw), ...cells])
    }
    return {
      targets: [],
      tables: [{ caption: 'Node.js', columns: ['', 'raw RS256, µs', ...WORK.map(([name]) => name)], rows }]
    }
  }
}
