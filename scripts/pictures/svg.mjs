// @ts-check
/**
 * Parts of a drawing. One file serves light and dark pages: a picture in README.md must not have a `<source>` of its own
 * for dark pages, because npm resolves the relative URL of an `<img>`, and not that of a `<source>`.
 */

/** Monospaced: 0.6 em is the width of a character in nearly every such font. */
export const MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace"
export const SANS = "system-ui,-apple-system,'Segoe UI','Liberation Sans',sans-serif"

/** Text as XML. @param {string} text */
export function xml(text) {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)
}

/**
 * @param {object} drawing
 * @param {number} drawing.width of the view box
 * @param {number} drawing.height
 * @param {string} drawing.title
 * @param {string} drawing.description read to people who cannot see the picture
 * @param {Readonly<Record<string, readonly [property: string, light: string, dark: string]>>} drawing.colours by class
 * @param {string} [drawing.style]
 * @param {readonly string[]} drawing.parts
 */
export function svg({ width, height, title, description, colours, style = '', parts }) {
  /** @param {1 | 2} theme */
  const rules = (theme) =>
    Object.entries(colours)
      .map(([name, colour]) => `.${name}{${colour[0]}:${colour[theme]}}`)
      .join('')
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="t d">`,
    `<title id="t">${xml(title)}</title>`,
    `<desc id="d">${xml(description)}</desc>`,
    `<style>${style}${rules(1)}@media (prefers-color-scheme:dark){${rules(2)}}</style>`,
    ...parts,
    '</svg>'
  ].join('\n')}\n`
}
