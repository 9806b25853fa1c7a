import { defineConfig } from 'vitest/config'

/** `npm run docs:test`: apart from `npm test`, because it needs the built site and Chromium. `site.yml` runs it. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/site/walk.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000
  }
})
