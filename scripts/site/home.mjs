// @ts-check
/** The home page of the site. Its code comes from examples/, its tree from docs/profiles.md: nothing is written twice. */
import { exampleCode, sectionOf } from './markdown.mjs'
import { profileTree } from './tree.mjs'

const FRAMEWORKS = /** @type {const} */ ({
  Express: { file: 'express', install: 'express' },
  Koa: { file: 'koa', install: 'koa @koa/router' },
  Fastify: { file: 'fastify', install: 'fastify' },
  Hono: { file: 'hono', install: 'hono @hono/node-server' }
})

const HERO = `---
layout: home
title: OAuth access tokens for Node.js APIs
titleTemplate: oauth-resource-server
hero:
  name: oauth-resource-server
  text: OAuth access tokens for Node.js APIs
  tagline: Verifies JWT and opaque tokens, DPoP and client certificates. Tells the client what the RFCs say, and your log why.
  image:
    src: /pictures/sequence.svg
    alt: A client calls the API without a token. The 401 names the API’s metadata, and these name the authorization server. The client gets a token there, calls the API again, and the answer is 200.
  actions:
    - theme: brand
      text: Protect an API
      link: /guide#a-protected-express-server
    - theme: alt
      text: Why is it 401?
      link: /troubleshooting
    - theme: alt
      text: Find a page by its question
      link: /questions
---`

/** @param {(path: string) => string} read @returns {string} Markdown whose links start at docs/ */
export function homePage(read) {
  const profiles = read('docs/profiles.md')
  return `${[
    HERO,
    '<div class="front">',
    '## Paste this',
    'The server is whole. `ISSUER` is your authorization server, `RESOURCE` the identifier of this API in `aud`. [More hosts](hosts.md): NestJS, Next.js, GraphQL, tRPC, AWS Lambda, Bun and Deno.',
    [
      '::: code-group',
      ...Object.entries(FRAMEWORKS).map(([name, { file, install }]) => {
        const code = exampleCode(read(`examples/${file}.mjs`))
        return `\`\`\`js [${name}]\n// npm install ${install} oauth-resource-server\n${code}\n\`\`\``
      }),
      ':::'
    ].join('\n\n'),
    'No authorization server at hand? `npx oauth-resource-server issuer` starts [one for development](testing.md#an-authorization-server-for-development).',
    '## Which profile do I need?',
    'Look at one access token that your API should accept. Not sure? `npx oauth-resource-server doctor https://as.example.com` names the profile.',
    profileTree(sectionOf(profiles, 'Which profile do I need?'), profiles),
    '## Who ends TLS?',
    'With client certificates it matters whose connection it is. [The settings](sender-constrained.md#behind-a-proxy-that-ends-tls) for nginx, HAProxy, Apache, Envoy, Traefik, AWS and Azure.',
    '![Either your API ends TLS and reads the certificate from the connection, or a proxy ends TLS and passes the certificate on in a field.](pictures/tls.svg)',
    '## One process or several?',
    'One process needs no Redis. With several, [share one](fleet.md#paste-this): a revocation then reaches all of them, and a DPoP proof counts once.',
    '![Three processes keep keys and tokens in memory, ask one authorization server, and share a Redis: introspection answers, used DPoP proofs and the log of revocations.](pictures/processes.svg)',
    '## See a refusal',
    'The [playground](../examples/playground/README.md) gets a token from nothing but the URL of an API, and breaks the request in many ways. `npm start` in a clone serves it.',
    '![The playground: the answer is 401, and in the list of checks the line "It is for this API" is red.](pictures/playground-1280-light.png){.light-only}',
    '![The playground on a dark page.](pictures/playground-1280-dark.png){.dark-only}',
    '</div>'
  ].join('\n\n')}\n`
}
