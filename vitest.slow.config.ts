import { defineConfig } from 'vitest/config'

/** What takes minutes and is run by name, one file after the other. */
export default defineConfig({
  test: {
    include: ['test/**/*.slow.test.ts'],
    exclude: ['test/e2e/**', '**/node_modules/**'],
    globalSetup: ['test/support/global-setup.ts'],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
})
