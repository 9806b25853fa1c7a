import { defineConfig } from 'vitest/config'

/** `npm run counterparts`: apart from `npm test`, because these servers come from Debian's packages. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/counterparts-nightly/debian.ts'],
    testTimeout: 120_000,
    hookTimeout: 180_000
  }
})
