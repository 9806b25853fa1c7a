// @ts-check
/**
 * The tree of docs/profiles.md ("Which profile do I need?") as a list in HTML: on a narrow page the drawing of lines would
 * have to be scrolled, and its profiles are links here.
 */
import { anchorOf, firstBlock } from './markdown.mjs'

/** @typedef {{ text: string, answers: { when: string, choose: string }[], children: Node[] }} Node */

/** @param {string} section with the drawing @param {string} profiles the page, for the headings of profiles */
export function profileTree(section, profiles) {
  const [, question = '', ...lines] = firstBlock(section).split('\n').slice(0, -1)
  return `<div class="tree">\n<p>${question}</p>\n${list(parse(lines), anchorsOfProfiles(profiles))}\n</div>`
}

/** @param {readonly string[]} lines @returns {Node[]} */
function parse(lines) {
  /** @type {Node} */
  const root = { text: '', answers: [], children: [] }
  const open = [root]
  for (const line of lines) {
    const [, rails = '', corner = '', words = ''] = /^((?:│ {2}| {3})*)(?:([├└]─ ))?\s*(.*)$/.exec(line) ?? []
    if (corner === '') {
      // The answer to the line above, which had no room for it.
      const last = /** @type {Node} */ (open.at(-1))
      last.answers.push({ when: '', choose: words.trim() })
      continue
    }
    const depth = rails.length / 3
    const answers = [...words.matchAll(/(?:^|(?<= {2}))(\S.*?) \.{3,} (.+?)(?= {2,}|$)/g)].map(
      ([, when = '', choose = '']) => ({ when, choose })
    )
    /** @type {Node} */
    const node = { text: answers.length > 0 ? '' : words, answers, children: [] }
    open.length = depth + 1
    const parent = open[depth]
    if (parent === undefined) throw new Error(`The tree of docs/profiles.md skips a level at: ${line}`)
    parent.children.push(node)
    open.push(node)
  }
  return root.children
}

/** @param {readonly Node[]} nodes @param {ReadonlyMap<string, string>} anchors @returns {string} */
function list(nodes, anchors) {
  const items = nodes.map(({ text, answers, children }) => {
    const known = answers.map(({ when, choose }) => `${html(when)}${when && ' → '}${answerOf(choose, anchors)}`)
    const below = children.length > 0 ? list(children, anchors) : ''
    if (text !== '') return `<li>${html(text)}${known.map((one) => ` → ${one}`).join('')}${below}</li>`
    return known.map((one) => `<li class="leaf">${one}</li>`).join('')
  })
  return `<ul>${items.join('')}</ul>`
}

/** @param {string} choose such as `auth0`, or words @param {ReadonlyMap<string, string>} anchors */
function answerOf(choose, anchors) {
  const anchor = anchors.get(/^\w+/.exec(choose)?.[0] ?? '')
  return anchor === undefined ? html(choose) : `<a href="./profiles#${anchor}"><code>${html(choose)}</code></a>`
}

/** The name of a profile → the heading of its section. @param {string} profiles @returns {Map<string, string>} */
function anchorsOfProfiles(profiles) {
  return new Map(
    profiles
      .split(/^(?=## )/m)
      .flatMap((section) => {
        const [, heading = ''] = /^## (.+)\n/.exec(section) ?? []
        const [, names = ''] = /import \{([^}]+)\} from 'oauth-resource-server\/profiles'/.exec(section) ?? []
        return heading === ''
          ? []
          : names.split(',').map((name) => /** @type {[string, string]} */ ([name.trim(), anchorOf(heading)]))
      })
      .filter(([name]) => name !== '')
  )
}

/** @param {string} text */
function html(text) {
  return text.replace(/[&<>"{}]/g, (one) => `&#${one.charCodeAt(0)};`)
}
