// @ts-check
/** The entries of docs/troubleshooting.md, one for each reason. The site has a page for each: errors link there. */

/**
 * @typedef {object} ReasonPage
 * @property {string} reason
 * @property {string} group such as `401: no token, or a bad one`
 * @property {string} text what the page says of it, as Markdown whose links start at docs/
 */

/** @param {string} page docs/troubleshooting.md @returns {ReasonPage[]} in the order of the page */
export function reasonPages(page) {
  return page.split(/^(?=## )/m).flatMap((section) => {
    const [, group = ''] = /^## (.+)\n/.exec(section) ?? []
    return section
      .split(/^(?=### )/m)
      .slice(1)
      .flatMap((entry) => {
        const [, reason, text = ''] = /^### `(\w+)`\n([\s\S]*)$/.exec(entry) ?? []
        return reason === undefined ? [] : [{ reason, group, text: text.trim() }]
      })
  })
}

/**
 * The page of a reason: what it means and what to change first, what the client and the log see after it.
 *
 * @param {ReasonPage} entry
 * @param {readonly ReasonPage[]} all
 */
export function reasonMarkdown({ reason, group, text }, all) {
  const linked = text.replace(/\]\(#([\w-]+)\)/g, (_, name) =>
    all.some((one) => one.reason === name) ? `](reasons/${name}.md)` : `](troubleshooting.md#${name})`
  )
  const at = linked.indexOf('- **Means**')
  return `${[
    `# \`${reason}\``,
    `This is the reason of an error: ${group.replace(/^(\d+): /, '$1, ')}. [All reasons](reasons/index.md).`,
    linked.slice(at),
    '## What the client and the log see',
    linked.slice(0, at).trim(),
    '## Find the cause',
    'Give the refused request to [`explain`](troubleshooting.md#why-is-it-401). It prints each check, the value it expected and the value that came:',
    '```sh\nnpx oauth-resource-server explain --resource https://api.example.com < request.txt\n```',
    `Without a network, \`npx oauth-resource-server explain --reason ${reason}\` prints the first two parts. See also [all symptoms](troubleshooting.md#symptoms).`
  ].join('\n\n')}\n`
}

/** @param {readonly ReasonPage[]} all */
export function reasonIndex(all) {
  const groups = [...new Set(all.map(({ group }) => group))]
  return `${[
    '# Reasons',
    'Each refusal has a reason. Your log shows it with a link to its page; the client reads only a fixed text. [Why is it 401?](troubleshooting.md#why-is-it-401) says how to print the reason.',
    ...groups.flatMap((group) => [
      `## ${group}`,
      '| Reason | Means |\n|---|---|\n' +
        all
          .filter((one) => one.group === group)
          .map(({ reason, text }) => `| [\`${reason}\`](reasons/${reason}.md) | ${meaningOf(text)} |`)
          .join('\n')
    ])
  ].join('\n\n')}\n`
}

/** What a reason means, in one line. @param {string} text */
export function meaningOf(text) {
  return partOf(text, 'Means')
}

/** What to change, in one line. @param {string} text */
export function changeOf(text) {
  return partOf(text, 'Change')
}

/** @param {string} text @param {'Means' | 'Change'} name */
function partOf(text, name) {
  const [, part = ''] =
    new RegExp(`^- \\*\\*${name}\\*\\*: ([\\s\\S]*?)(?=\\n- \\*\\*|\\n\\n|\\n {2}[-|]|$(?![\\s\\S]))`, 'm').exec(
      text
    ) ?? []
  return part
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .trim()
}
