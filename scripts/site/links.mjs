// @ts-check
/** Follows each link of the built site to a file, and to an element with the name of its fragment. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param {string} folder of the built site
 * @param {string} base path of the site on its host
 * @returns {string[]} a line for each link that leads nowhere
 */
export function brokenLinks(folder, base) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.html') && path !== '404.html')
  /** @type {Map<string, ReadonlySet<string>>} */
  const names = new Map()
  /** @param {string} file */
  const namesIn = (file) => {
    const known =
      names.get(file) ??
      new Set([...readFileSync(file, 'utf8').matchAll(/\bid="([^"]+)"/g)].map(([, id = '']) => decode(id)))
    names.set(file, known)
    return known
  }
  return files.flatMap((path) => {
    const here = new URL(path, `https://site.example${base}`)
    const links = [...readFileSync(join(folder, path), 'utf8').matchAll(/\b(?:href|src)="([^"]+)"/g)]
    return [...new Set(links.map(([, link = '']) => decode(link)))].flatMap((link) => {
      const { origin, pathname, hash } = new URL(link, here)
      if (origin !== here.origin) return []
      const file = fileAt(folder, decodeURIComponent(pathname), base)
      if (file === undefined) return [`${path}: ${link} leads to no file`]
      if (hash === '' || namesIn(file).has(decodeURIComponent(hash.slice(1)))) return []
      return [`${path}: ${link} leads to no heading`]
    })
  })
}

/** The file that a host of static pages answers with. @param {string} folder @param {string} path @param {string} base */
function fileAt(folder, path, base) {
  if (!path.startsWith(base)) return undefined
  const file = join(folder, path.slice(base.length))
  return [file, `${file}.html`, join(file, 'index.html')].find((one) => existsSync(one) && statSync(one).isFile())
}

/** @param {string} text */
function decode(text) {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))).replaceAll('&amp;', '&')
}
