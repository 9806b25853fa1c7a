// @ts-check
/** oidc-provider, which warns of every Node.js but the LTS releases it was released for; all else it says is let through. */
const { warn } = console
console.warn = (/** @type {unknown[]} */ ...args) => {
  if (!String(args[0]).includes('Unsupported runtime')) warn(...args)
}
const loaded = await import('oidc-provider').finally(() => {
  console.warn = warn
})

export const { errors, Provider } = loaded
