import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Minutes of real waiting: `npm run test:fleet`.
    exclude: ['test/fleet/**'],
    pool: 'forks',
    // Each file starts its own redis-server and simulators; two files at once fill two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
