// What others write while a call is on its way: everything that a script looks at moves on.
import type { ScriptName } from '../../shared/redis/scripts.ts';
import { emptyTally } from '../../shared/rotation/rows.ts';
import { said, send } from './raw-calls.ts';
import { keys, rowInProgress, type StoreWorld } from './store-world.ts';

/** The job and its versions, both rows, fence, lease and claim, or an adoption where there is no job; and an audit row. */
export async function moveOn(world: StoreWorld, n: number): Promise<void> {
  const hasJob = (await world.redis.exists(keys.job('job-1'))) === 1;
  await (hasJob ? moveJob(world, n) : adopt(world, n));
  await succeed(world, 'record', { commit_id: `other-record-${n}` });
}

async function moveJob(world: StoreWorld, n: number): Promise<void> {
  const { redis } = world;
  await redis.set(keys.claim, 'job-1');
  const version = await redis.hget(keys.job('job-1'), 'version');
  const fields = Object.entries(await redis.hgetall(keys.rows('job-1')));
  const rows = Object.fromEntries(fields.filter(([field]) => !field.startsWith('~')));
  const next = String(Number(version) + 1);
  const revOf = (id: string) => (JSON.parse(rows[id] ?? '{}') as { rev: number }).rev;
  const written = (id: string, times: number) =>
    JSON.stringify({ ...rowInProgress(id), rev: revOf(id) + times });
  await succeed(world, 'commit', {
    commit_id: `other-commit-${n}`,
    version,
    rows: Object.keys(rows).map((id) => [id, String(revOf(id))]),
    texts: [...Object.keys(rows).map((id) => written(id, 1)), ...said('others_moved')],
    fields: { version: next, status_version: next, kick: '0' },
    tasks: [],
    close_ms: 0,
  });
  await succeed(world, 'writeRow', {
    commit_id: `other-row-${n}`,
    version: next,
    rev: String(revOf('consumer-0') + 1),
    texts: [written('consumer-0', 2), ...said('others_wrote')],
    delta: emptyTally,
  });
  await succeed(world, 'kick', {
    commit_id: `other-kick-${n}`,
    status_version: next,
    task_id: `other-${n}`,
  });
  const begun = await succeed(world, 'beginStep', { suffix: `others0${n}`, status_version: next });
  await succeed(world, 'openLease', { fence: begun[1], until_ms: '9999' });
  await redis.del(keys.claim);
}

function adopt(world: StoreWorld, n: number) {
  const claimant = `adopt.other-${n}`;
  return succeed(world, 'adopt', { claimant, commit_id: `other-adopt-${n}`, suffix: `others0${n}` });
}

async function succeed(world: StoreWorld, name: ScriptName, different: Readonly<Record<string, unknown>>) {
  const answer = await send(world, name, different);
  if (answer[0] !== 0) throw new Error(`the other's ${name} was answered ${answer.join(' ')}`);
  return answer;
}
