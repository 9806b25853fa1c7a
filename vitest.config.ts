import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores are enough for everybody; sockets, child processes and RSA keys are what takes the time.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default', 'json'],
    outputFile: { json: 'coverage/results.json' },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'adapters/**/*.ts'],
      // The command itself is run as a process of its own.
      exclude: ['src/types.ts', 'src/cli/main.ts', 'adapters/express-augment.ts'],
      reporter: ['text-summary', 'html'],
      thresholds: {
        'src/**/*.ts': { lines: 95, branches: 90, functions: 95, statements: 95 },
        'adapters/**/*.ts': { lines: 95, branches: 90, functions: 95, statements: 95 }
      }
    }
  }
})
