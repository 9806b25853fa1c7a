// @ts-check
/** The pages of the skill. Each quotes README.md and docs/; a link leads to the site, for the skill may be copied elsewhere. */
import { existsSync, readdirSync } from 'node:fs'
import { anchorOf, exampleCode, firstBlock, relink, sectionOf, titleOf } from '../site/markdown.mjs'
import { changeOf, meaningOf, reasonPages } from '../site/reasons.mjs'
import { read, urlOf } from '../site/stage.mjs'

/** What is to be known of the whole skill before it is loaded. */
const HEAD = `---
name: oauth-resource-server
description: Protects a Node.js API (Express, Koa, Fastify, Hono, fetch, NestJS, Next.js, GraphQL, tRPC, MCP, AWS Lambda) with OAuth 2.0 access tokens through the npm package oauth-resource-server. Use it to add or change token checks, to choose the options for an authorization server (Auth0, Entra ID, Keycloak, Cognito, Okta and others), to migrate from express-jwt or passport-jwt, or to find out why an API answers 401, 403 or 503.
---`

const RULES = `## Rules

- Change no check to make a token pass. Find the reason first; most often the client must ask for another token.
- An option that relaxes a check (\`tokenProfile: 'legacy'\`, \`allowMissingAudience\`, \`acceptedIssuers\`) needs the answer of a person: it lets
  in tokens that are refused today.
- Do not decode or verify a token yourself, and do not read it from a query, a form or a log. \`getAuth(…)\` has the verified claims.
- Do not answer 401 in an outage. The package answers 503, and your code should pass its errors on.
- Await each \`enforce\`, and each guard of \`fetch\`: a promise that is not awaited lets the request through.`

/** @returns {string} SKILL.md */
export function start() {
  const readme = read('README.md')
  const express = sectionOf(readme, 'A protected Express server')
  const bullets = /\n((?:- [\s\S]*?)+)\n\nIf you have no authorization server/.exec(express)?.[1]
  const trial = /(?<=\n)If you have no authorization server[\s\S]*?\n```\n/.exec(express)?.[0]
  if (bullets === undefined || trial === undefined)
    throw new Error(
      'README.md, "A protected Express server": expected a list, then "If you have no authorization server".'
    )
  return page(
    'README.md',
    HEAD,
    '# Protect a Node.js API with OAuth access tokens',
    'Read one more file for the task at hand:',
    [
      '| Task | File |',
      '|---|---|',
      '| protect an API on another framework or host | [hosts.md](./hosts.md) |',
      '| configure an authorization server by name | [profiles.md](./profiles.md) |',
      '| find out why a request is refused | [troubleshooting.md](./troubleshooting.md) |',
      `| anything else | [questions, with their pages](${urlOf('docs/README.md')}) |`
    ].join('\n'),
    RULES,
    '## Quick start',
    express.slice(0, express.indexOf('\n- ')).trim(),
    bullets.trim(),
    trial.trim(),
    '## Find out why a request is refused',
    'Save the refused request as text, such as a `curl` command, and give it to `explain` on standard input. `--config` takes the module that exports the API.',
    '```sh\nnpx oauth-resource-server explain --config ./api.mjs < request.txt   # each check, and the one that failed\nnpx oauth-resource-server explain --reason audience                   # what a reason means\nnpx oauth-resource-server doctor https://as.example.com --resource https://api.example.com   # the server, and a configuration to paste\n```'
  )
}

/** @returns {string} hosts.md: the code of each framework, and where its page is */
export function hosts() {
  const readme = read('README.md')
  const inReadme = ['Koa', 'Fastify', 'Hono', 'fetch'].map((heading) =>
    hostSection('README.md', heading, sectionOf(readme, heading))
  )
  const more = (existsSync(new URL('../../docs/hosts.md', import.meta.url)) ? read('docs/hosts.md') : '')
    .split(/^(?=## )/m)
    .slice(1)
    .filter((section) => section.includes('```'))
    .map((section) => hostSection('docs/hosts.md', /^## (.+)/.exec(section)?.[1] ?? '', section))
  const folder = new URL('../../docs/frameworks', import.meta.url)
  const own = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .toSorted()
    .map((name) =>
      hostSection(
        `docs/frameworks/${name}`,
        titleOf(read(`docs/frameworks/${name}`)),
        read(`docs/frameworks/${name}`),
        ''
      )
    )
  return page(
    'README.md',
    '# Frameworks and hosts',
    'Express is in [SKILL.md](./SKILL.md). A block with a path in the comment above it is that file of the repository, which a test runs.',
    ...inReadme,
    ...own,
    ...more,
    `## MCP servers\n\n[The page](${urlOf('docs/mcp.md')}), with scopes for each tool.`
  )
}

/** @param {string} path @param {string} heading @param {string} section @param {string} [anchor] */
function hostSection(path, heading, section, anchor = anchorOf(heading)) {
  const install = /`npm install [^`]+`/.exec(section)?.[0]
  const [, example] = /^<!-- (examples\/[^#\s]+)\S* -->\n```/m.exec(section) ?? []
  return [
    `## ${heading.replaceAll('`', '')}`,
    `${install === undefined ? '' : `${install}. `}More: [the page](${urlOf(path, anchor === '' ? '' : `#${anchor}`)}).`,
    // The page may show a part of the file; here it is whole, with its imports.
    example === undefined ? firstBlock(section) : exampleBlock(example)
  ].join('\n\n')
}

/** @returns {string} profiles.md: the tree, and the code of each profile */
export function profiles() {
  const document = read('docs/profiles.md')
  const which = sectionOf(document, 'Which profile do I need?')
  const sections = document
    .split(/^(?=## )/m)
    .filter((section) => /^import \{[^}]+\} from 'oauth-resource-server\/profiles'$/m.test(section))
    .filter((section) => section.startsWith('## '))
    .map((section) => {
      const heading = /^## (.+)/.exec(section)?.[1] ?? ''
      return `## ${heading}\n\n[What differs, and what to set at the server](${urlOf('docs/profiles.md', `#${anchorOf(heading)}`)}).\n\n${firstBlock(section)}`
    })
  return page(
    'docs/profiles.md',
    '# Profiles of authorization servers',
    'A profile is an entry of `issuers`, for one server whose tokens differ from RFC 9068. Take one access token that the API should accept, and let `explain` show its header and claims.',
    firstBlock(which),
    'Nothing in a token chooses a profile: you do. `doctor https://as.example.com` recognizes the server and prints the configuration.',
    ...sections
  )
}

/** @returns {string} troubleshooting.md: each reason in a line */
export function reasons() {
  const all = reasonPages(read('docs/troubleshooting.md'))
  const groups = [...new Set(all.map(({ group }) => group))]
  return page(
    'docs/troubleshooting.md',
    '# Why is it refused?',
    'The log of the API has the reason; the client reads only a fixed text. `npx oauth-resource-server explain --reason NAME` prints more of one reason, without a network.',
    ...groups.flatMap((group) => [
      `## ${group}`,
      '| Reason | Means | Change |\n|---|---|---|\n' +
        all
          .filter((one) => one.group === group)
          .map(
            ({ reason, text }) =>
              `| \`${reason}\` | ${cell(reason, meaningOf(text))} | ${cell(reason, changeOf(text))} |`
          )
          .join('\n')
    ])
  )
}

/** A cell of a table. A list has no room in it. @param {string} reason @param {string} text */
function cell(reason, text) {
  return text.replaceAll('|', '\\|').replace(/:$/, `: \`explain --reason ${reason}\` has the list.`)
}

/** A whole example, with the mark by which a test compares the two. @param {string} path */
function exampleBlock(path) {
  return `<!-- ${path} -->\n\`\`\`${path.endsWith('.ts') ? 'ts' : 'js'}\n${exampleCode(read(path))}\n\`\`\``
}

/** @param {string} path that links start from @param {readonly string[]} parts */
function page(path, ...parts) {
  // Links to the other pages of the skill start with a dot; none in README.md and docs/ does.
  const own = /(?<=\]\()\.\//g
  return `${relink(parts.join('\n\n').replace(own, 'skill:'), path, urlOf).replaceAll('](skill:', '](')}\n`
}
