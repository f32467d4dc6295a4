// The PagerDuty simulator: what it takes, what it refuses, and what is open.
import { expect, test } from 'vitest';
import { ask } from './ask.ts';
import { startPagerDuty } from './pager-duty.ts';

test('opens an incident by its key, ends it, and refuses another key or half an event', async () => {
  await using sim = await startPagerDuty('key-1');
  const payload = { summary: 's', source: 'velvet', severity: 'critical' };
  const send = (body: unknown) => ask(sim.url, 'POST /v2/enqueue', { body });
  const event = { routing_key: 'key-1', event_action: 'trigger', dedup_key: 'job-1', payload };
  expect((await send(event)).status).toBe(202);
  await send(event);
  expect([...sim.open]).toEqual(['job-1']);
  expect((await send({ ...event, routing_key: 'other' })).status).toBe(400);
  expect((await send({ ...event, payload: { summary: 's' } })).status).toBe(400);
  await send({ routing_key: 'key-1', event_action: 'resolve', dedup_key: 'job-1' });
  expect([...sim.open]).toEqual([]);
  expect(sim.events).toHaveLength(3);
});
