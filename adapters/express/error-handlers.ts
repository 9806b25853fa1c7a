/** Whether an Express app has an error handler. Does NOT find out whether that handler gets the errors of a given route. */

/** The used part of an Express app: version 4 has `_router`, version 5 `router`. */
export interface ExpressApp {
  /** The app that this one is mounted on. */
  readonly parent?: ExpressApp
  readonly _router?: Router
  readonly router?: Router
}

interface Router {
  readonly stack?: readonly { readonly handle?: Router & { readonly length?: number } }[]
}

/** Apps that were searched. An app gets its handlers before its first request. */
const searched = new WeakMap<ExpressApp, boolean>()

/** True for an app of another form too: nothing is known of it. */
export function hasErrorHandler(app: ExpressApp | undefined): boolean {
  if (app === undefined) return true
  let found = searched.get(app)
  if (found === undefined) {
    found = search(app)
    searched.set(app, found)
  }
  return found
}

function search(app: ExpressApp): boolean {
  try {
    // In Express 4, reading `router` throws.
    const router = app._router ?? app.router
    if (!Array.isArray(router?.stack)) return true
    return inRouter(router) || (app.parent !== undefined && hasErrorHandler(app.parent))
  } catch {
    return true
  }
}

/** Express calls functions with four parameters for errors. */
function inRouter({ stack = [] }: Router): boolean {
  return stack.some(({ handle }) => handle?.length === 4 || (Array.isArray(handle?.stack) && inRouter(handle)))
}
