// @ts-check
/** What the scripts that read our Markdown share: anchors, titles, links. Code blocks are left alone. */
import { posix } from 'node:path'

/** The anchor that GitHub gives to a heading, and the site too. @param {string} heading */
export function anchorOf(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

/** The first heading, without marks. @param {string} markdown */
export function titleOf(markdown) {
  const [, title] = /^# (.+)$/m.exec(markdown) ?? []
  if (title === undefined) throw new Error(`Expected a page that begins with "# Title", got: ${markdown.slice(0, 60)}`)
  return title.replaceAll('`', '')
}

/** Applies `change` to what is outside of code blocks. @param {string} markdown @param {(text: string) => string} change */
export function outsideCode(markdown, change) {
  return markdown
    .split(/(^ *```[\s\S]*?^ *```$)/gm)
    .map((part, index) => (index % 2 === 0 ? change(part) : part))
    .join('')
}

/**
 * Gives each relative link and picture another target.
 *
 * @param {string} markdown
 * @param {string} path of the page in the repository
 * @param {(target: string, fragment: string) => string} place called with the path of the target in the repository, and '' or '#…'
 */
export function relink(markdown, path, place) {
  const from = posix.dirname(path)
  /** @param {string} link */
  const moved = (link) => {
    if (/^(?:[a-z]+:|#)/.test(link)) return link
    const [file = '', fragment] = link.split('#')
    return place(posix.join(from, file), fragment === undefined ? '' : `#${fragment}`)
  }
  return outsideCode(markdown, (text) =>
    text.replace(/(?<=\]\()[^)\s]+(?=\))/g, moved).replace(/(?<=\b(?:src|srcset)=")[^"]+(?=")/g, moved)
  )
}

/** The section of a heading of the second level, without the heading. @param {string} markdown @param {string} heading */
export function sectionOf(markdown, heading) {
  const parts = markdown.split(/^(?=## )/m)
  const section = parts.find((part) => part.startsWith(`## ${heading}\n`))
  if (section === undefined) throw new Error(`Expected a section "## ${heading}"`)
  return section.slice(section.indexOf('\n') + 1).trim()
}

/** The first block of code. @param {string} markdown @returns {string} with its fences */
export function firstBlock(markdown) {
  const [block] = /^```[\s\S]*?^```$/m.exec(markdown) ?? []
  if (block === undefined) throw new Error(`Expected a block of code in: ${markdown.slice(0, 60)}`)
  return block
}

/** An example as a reader is shown it: without what is there for the editor and for tests. @param {string} source */
export function exampleCode(source) {
  return source.replace(/^\/\/ (?:@ts-check|#region|#endregion).*\n/gm, '').trimEnd()
}
