import { Redis } from 'ioredis';
import { test } from 'vitest';
import { startRedis } from '../redis-server.ts';
import { stageCases, operatorCases } from '../flows/stage-cases.ts';
import { explore } from '../flows/explore.ts';
import { loadScripts } from '../schedule/doors.ts';

test('whole', async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url);
  await loadScripts(redis);
  const only = process.env['ONLY']?.split(',');
  for (const stage of [...stageCases, ...operatorCases]) {
    if (only && !only.includes(stage.name)) continue;
    const t = performance.now();
    const { schedules, failures } = await explore(redis, stage);
    console.log(stage.name, schedules, `${Math.round(performance.now() - t)} ms`, failures.length);
    console.log(failures.slice(0, Number(process.env['SHOW'] ?? 6)).join('\n'));
  }
  redis.disconnect();
}, 1200000);
