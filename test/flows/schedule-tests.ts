// One test for each stage, over all its schedules. How many those are is printed, and asserted nowhere.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { scheduleRedis, type ScheduleRedis } from './schedule-redis.ts';
import type { StageCase } from './stage-cases.ts';

/** A stage has up to two thousand schedules of a few hundredths of a second, on a machine that may have other things to do. */
const STAGE_MS = 600_000;

export function exploring(cases: readonly StageCase[]): void {
  let server: ScheduleRedis;
  let all = 0;
  beforeAll(async () => {
    server = await scheduleRedis();
  });
  afterAll(async () => {
    console.log(`${all} schedules`);
    await server[Symbol.asyncDispose]();
  });

  test.each(cases.map((stage) => [stage.name, stage] as const))(
    '%s comes to a good end, whatever happens at any effect of it',
    async (name, stage) => {
      const began = performance.now();
      const { schedules, failures } = await explore(server.redis, stage);
      all += schedules;
      console.log(`${name}: ${schedules} schedules, ${Math.round(performance.now() - began)} ms`);
      expect(failures).toEqual([]);
    },
    STAGE_MS,
  );
}
