// Each fault of Infisical, once, at each request that a rotation makes to its vault there: the job goes on by itself and ends as it should.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import type { SimRequest } from '../sim/requests.ts';
import { deedOf, faultKinds, TOO_LONG, type VendorCallCase } from './fault-cases.ts';
import { drive, endedWell, failedStatuses, inWorld } from './fault-world.ts';

vi.setConfig({ maxConcurrency: 6 });

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const options: WorldOptions = {
  infisical: true,
  apps: [{ name: 'proof-app' }],
  times: { vendorCallMs: 800, leaseMs: 1_600, lateMs: 60, rateLimitWaitMs: 15, sweepMs: 150 },
};

const raw = '/api/v3/secrets/raw';
const ofSlot = (pattern: RegExp) => (request: SimRequest) => pattern.test(request.params['name'] ?? '');

// oxfmt-ignore
const calls: readonly (Pick<VendorCallCase, 'name' | 'on' | 'from'> & { readonly where?: (request: SimRequest) => boolean })[] = [
  { name: 'verify: the current value',   on: `GET ${raw}/:name`,    from: 'init',      where: ofSlot(/^HK_PLATFORM_FULL$/) },
  { name: 'mint: the slots left over',   on: `GET ${raw}`,          from: 'verified' },
  { name: 'mint: the previous value',    on: `POST ${raw}/:name`,   from: 'verified',  where: ofSlot(/__PREVIOUS_/) },
  { name: 'mint: the new value',         on: `POST ${raw}/:name`,   from: 'verified',  where: ofSlot(/__PENDING_/) },
  { name: 'distribute: the new value',   on: `GET ${raw}/:name`,    from: 'verified',  where: ofSlot(/__PENDING_/) },
  { name: 'revoke: the promotion',       on: `PATCH ${raw}/:name`,  from: 'validated', where: ofSlot(/^HK_PLATFORM_FULL$/) },
  { name: 'revoke: emptying the slots',  on: `DELETE ${raw}/:name`, from: 'validated' },
];
// What asks for an hour is not waited for, and a person is asked.
const passing = faultKinds.filter(({ name }) => name !== TOO_LONG);

describe.each(calls)('$name', ({ on, from, where }) => {
  test.concurrent.each(passing)('$name', async (fault) => {
    const end = await inWorld(redis.url, options, async (run) => {
      await drive(run, from);
      const deed = deedOf({ at: 'infisical' }, fault);
      const scripted = run.world.infisical?.sim.script({
        on,
        do: deed,
        ...(where === undefined ? {} : { where }),
      });
      const reached = await drive(run);
      expect(scripted?.fired).toBe(1);
      expect(await failedStatuses(run)).toEqual([]);
      await endedWell(run);
      return reached;
    });
    expect(end).toBe('done');
  });
});
