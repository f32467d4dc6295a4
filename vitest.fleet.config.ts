import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/fleet/**/*.test.ts'],
    globalSetup: ['test/fleet/summary.ts'],
    pool: 'forks',
    // Each scenario has a Redis and processes of its own, and they wait most of the time; six at once leave two cores idle enough.
    maxWorkers: 2,
    maxConcurrency: 3,
    // A rotation with three kills in changing calls waits out three leases; a scenario that fails ends by its own deadlines, and
    // cleans up, before this.
    testTimeout: 600_000,
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
  },
});
