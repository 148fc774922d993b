import { defineConfig } from 'vitest/config'

// Native code runs in forked processes: a crash then names its file, and every file starts with a fresh addon.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: 'test/support/temporary.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
