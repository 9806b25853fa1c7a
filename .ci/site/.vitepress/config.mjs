/** The site. Its pages and sidebar come from scripts/site.mjs, which writes them into `pages` before VitePress reads them. */
import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'
import { anchorOf } from '../../../scripts/site/markdown.mjs'

/** A question is a few words, of which a page may lack one; its title counts more than its text. */
const SEARCH = { combineWith: 'AND', fuzzy: 0.1, prefix: true, boost: { title: 4, titles: 2, text: 1 } }
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
