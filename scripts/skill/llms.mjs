// @ts-check
/** llms.txt (llmstxt.org): the pages of the site as Markdown, each with the questions it answers. */
import { posix } from 'node:path'
import { manifest, read, SITE, site } from '../site/stage.mjs'

/** @returns {string} */
export function llmsIndex() {
  const questions = questionsOfPages()
  const groups = site().sidebar.map(({ text, items }) => {
    const lines = items.map(({ text: title, link }) => {
      const place = link.endsWith('/') ? `${link.slice(1)}index.md` : `${link.slice(1)}.md`
      const asked = questions.get(place)
      return `- [${title}](${SITE}${place})${asked === undefined ? '' : `: ${asked.join(' ')}`}`
    })
    return `## ${text}\n\n${lines.join('\n')}`
  })
  return `${[
    '# oauth-resource-server',
    `> ${manifest.description}`,
    'An npm package in TypeScript for Node.js. Each page below is Markdown. The package has a skill for coding assistants in `skills/oauth-resource-server/SKILL.md`: quick start, frameworks, profiles of authorization servers, and what each reason of a refusal means.',
    ...groups
  ].join('\n\n')}\n`
}

/** The questions of docs/README.md by the page that answers them first. */
function questionsOfPages() {
  /** @type {Map<string, string[]>} */
  const questions = new Map()
  for (const [, question = '', answer = ''] of read('docs/README.md').matchAll(/^\| ([^|]+) \| (.+) \|$/gm)) {
    const [, link] = /\]\(([^)#]+)/.exec(answer) ?? []
    if (link === undefined || link.startsWith('https:')) continue
    const path = posix.join('docs', link)
    const place = path === 'README.md' ? 'guide.md' : path.replace(/^docs\//, '')
    questions.set(place, [...(questions.get(place) ?? []), question])
  }
  return questions
}
