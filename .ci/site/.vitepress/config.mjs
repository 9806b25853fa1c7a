/** The site. Its pages and sidebar come from scripts/site.mjs, which writes them into `pages` before VitePress reads them. */
import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'
import { anchorOf } from '../../../scripts/site/markdown.mjs'

/**
 * A question is a few words, and a page may lack one of them, so one word is enough: the page with most of them comes first.
 * The functions run in the browser, without anything around them.
 */
const SEARCH = {
  combineWith: 'OR',
  fuzzy: 0.1,
  prefix: true,
  boost: { title: 3, titles: 1, text: 1 },
  processTerm: (term) =>
    /^(?:an?|and|are|by|can|do|does|for|from|get|how|i|in|is|it|my|of|on|or|the|to|what|which|with)$/i.test(term)
      ? null
      : term
          .toLowerCase()
          .replace(/^nextjs$/, 'next')
          .replace(/^unauthori[sz]ed$/, '401')
          .replace(/^sign-?out$/, 'logout'),
  // Lists repeat the words of the guides, and hosts.md only links to the frameworks: a search would find these first.
  boostDocument: (id) =>
    id.includes('/reference') ? 0.4 : /\/(?:questions|performance|conformance|examples|hosts)/.test(id) ? 0.6 : 1
}
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0550ae"/><path d="M9 16h10m-4-5 5 5-5 5M23 8v16" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>'
const { homepage, repository } = readJson('../../../package.json')
const sidebar = readJson('../pages/sidebar.json')

export default defineConfig({
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: '.vitepress/cache',
  base: new URL(homepage).pathname,
  lang: 'en',
  title: 'oauth-resource-server',
  description: 'Protect a Node.js API with OAuth 2.0 access tokens.',
  cleanUrls: true,
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  // The home page of the theme has no main landmark; the script of the theme does the same after a click.
  transformHtml: (html, _id, { page }) =>
    page === 'index.md' ? html.replace('id="VPContent"', 'id="VPContent" role="main"') : html,
  sitemap: { hostname: homepage },
  markdown: { anchor: { slugify: anchorOf }, languageAlias: { haproxy: 'nginx' } },
  themeConfig: {
    search: { provider: 'local', options: { detailedView: true, miniSearch: { searchOptions: SEARCH } } },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Guide', link: '/guide' },
      { text: 'Why is it 401?', link: '/troubleshooting' },
      { text: 'Questions', link: '/questions' },
      { text: 'Reference', link: '/reference' }
    ],
    sidebar: sidebar.map((group) => ({ ...group, collapsed: false })),
    socialLinks: [
      { icon: 'github', link: repository.url.replace(/^git\+|\.git$/g, ''), ariaLabel: 'Repository on GitHub' }
    ],
    editLink: {
      // Runs in the browser, where only the page is known.
      pattern: ({ frontmatter }) => frontmatter.editUrl,
      text: 'Edit this page'
    },
    footer: { message: 'MIT License. The site asks no other server.' }
  }
})

function readJson(path) {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}
