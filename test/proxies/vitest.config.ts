import { defineConfig } from 'vitest/config'

/** `npm run proxies`: apart from `npm test`, because it needs nginx, HAProxy and Apache. Those that are missing are told as skipped. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/proxies/certificates.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
