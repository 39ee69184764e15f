import { defineConfig } from 'vitest/config'

// One file at a time: each starts a PDS, a PLC server and a Postgres, and CI has two cores.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
})
