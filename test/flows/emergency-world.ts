// An emergency as an operator asks for it, and how its consumers stand.
import { expect } from 'vitest';
import { CREDENTIAL, type JobView, type World, type WorldOptions } from '../harness.ts';

export const two: WorldOptions = {
  apps: [{ name: 'app-a' }, { name: 'app-b' }],
  credential: { settle_seconds: 1 },
};

interface Asked {
  readonly [field: string]: unknown;
}

export function ask(world: World, more: Asked = {}) {
  return world.api('POST', `/tokens/${CREDENTIAL}/rotate`, {
    flow_type: 'revocation',
    idempotency_key: crypto.randomUUID(),
    ticket_id: 'SEV-1',
    confirm: CREDENTIAL,
    ...more,
  });
}

export async function begun(world: World, more: Asked = {}): Promise<string> {
  const answer = await ask(world, more);
  expect([answer.status, answer.text]).toEqual([202, expect.stringContaining('rev_revoking')]);
  return String(answer.body.job_id);
}

export const rowOf = (view: JobView, id: string) => view.consumers.find((row) => row['consumer_id'] === id);
export const lockoutOf = (view: JobView, id: string) =>
  rowOf(view, id)?.['lockout'] as Record<string, unknown>;
