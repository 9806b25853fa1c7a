/**
 * The version of this package: each report names it, because checks are added and corrected from version to version.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import { createRequire } from 'node:module'

/** Read by the name of the package, so that it is found from the sources and from the bundle. */
export const TOOL_VERSION: string = (
  createRequire(import.meta.url)('oauth-resource-server/package.json') as { readonly version: string }
).version
