// Every script on a real Redis: each answer it can give, and the law that a repeated call is answered the same and changes nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemKeys } from '../../shared/redis/keys.ts';
import { runScript, scriptTable, type ScriptName } from '../../shared/redis/scripts.ts';
import { emptyTally } from '../../shared/rotation/rows.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { closingsByName, goodArgs, nameOfSeal, send } from './raw-calls.ts';
import { moveOn } from './others.ts';
import { codeOf, eventOf, keys, storeWorld, type StoreWorld } from './store-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const names = Object.keys(scriptTable) as ScriptName[];

/** What stands before the good call of each script: a job with two rows that claims the credential, or none. */
const arrangements: Readonly<Record<ScriptName, (world: StoreWorld) => Promise<unknown>>> = {
  openJob: async () => undefined,
  commit: (world) => world.opened(),
  writeRow: (world) => world.opened(),
  beginStep: (world) => world.opened(),
  openLease: async (world) => {
    await world.opened();
    await world.redis.set(keys.fence, '4-current0');
  },
  takeValue: async (world) => {
    await world.opened();
    await world.redis.set(keys.fence, '4-current0');
    await world.redis.set(keys.value('one'), 'sealed box');
  },
  raiseFence: async () => undefined,
  kick: (world) => world.opened(),
  adopt: async () => undefined,
  record: async () => undefined,
  seal: async () => undefined,
  retire: async (world) => {
    await world.redis.rpush(keys.seals, 'seal-1', 'seal-2', 'seal-3');
    await send(world, 'record', { commit_id: 'earlier-1' });
    await send(world, 'record', { commit_id: 'earlier-2' });
  },
  hold: async () => undefined,
  openEpoch: async () => undefined,
  raiseAlarm: async () => undefined,
  writeReceipt: async () => undefined,
  endAlarm: (world) => send(world, 'raiseAlarm'),
};

async function arranged(name: ScriptName): Promise<StoreWorld> {
  const world = await storeWorld(server.url);
  await arrangements[name](world);
  return world;
}

// oxfmt-ignore
const firstAnswers: Readonly<Record<ScriptName, readonly unknown[]>> = {
  openJob:   [0, 'job-1'],
  commit:    [0],
  writeRow:  [0, 'open'],
  beginStep: [0, '1-suffix01', 0],
  openLease: [0],
  takeValue: [0, 'sealed box'],
  raiseFence: [0, '7-suffix01'],
  kick:      [0],
  adopt:     [0, '1-suffix01'],
  record:    [0],
  seal:      [0],
  retire:    [0],
  hold:      [0],
  openEpoch: [0, 'epoch1'],
  raiseAlarm: [0],
  writeReceipt: [0],
  endAlarm:  [0],
};

/** What is read once is not answered twice: see the test of its own. */
const repeatable = names.filter((name) => name !== 'takeValue');

describe('a call that is sent twice', () => {
  test.each(repeatable)('%s answers the same and changes nothing the second time', async (name) => {
    await using world = await arranged(name);

    const before = await world.snapshot();
    const first = await send(world, name);
    const after = await world.snapshot();
    const second = await send(world, name);

    expect(first).toEqual(firstAnswers[name]);
    expect(after).not.toEqual(before);
    expect(second).toEqual(first);
    expect(await world.snapshot()).toEqual(after);
  });

  // A lease is granted for the present or not at all: see the test after this one.
  test.each(repeatable.filter((name) => name !== 'openLease'))(
    '%s does so also where others wrote in between',
    async (name) => {
      await using world = await arranged(name);

      const first = await send(world, name);
      for (let n = 1; n <= 4; n++) await moveOn(world, n);
      const before = await world.snapshot();
      const second = await send(world, name);

      expect(second).toEqual(first);
      expect(await world.snapshot()).toEqual(before);
    },
  );

  test('openLease is refused once a later attempt has begun, and changes nothing', async () => {
    await using world = await arranged('openLease');
    await send(world, 'openLease');
    await send(world, 'beginStep');
    const before = await world.snapshot();

    expect(await send(world, 'openLease')).toEqual([-3]);
    expect(await world.snapshot()).toEqual(before);
  });

  test('takeValue hands a value over once, and notes who took it; sent again it finds nothing', async () => {
    await using world = await arranged('takeValue');

    expect(await send(world, 'takeValue')).toEqual([0, 'sealed box']);
    const after = await world.snapshot();
    expect(await world.redis.exists(keys.value('one'))).toBe(0);
    expect(await world.redis.hget(keys.job('job-1'), 'minted_fence')).toBe('4-current0');

    expect(await send(world, 'takeValue')).toEqual([0, '']);
    expect(await world.snapshot()).toEqual(after);
  });

  test('adopt: the one that frees answers the same, also where another adoption began meanwhile', async () => {
    await using world = await arranged('adopt');
    await send(world, 'adopt');
    const freeing = { step: 'free', commit_id: 'call-2', events: [JSON.stringify(eventOf('adopted', null))] };

    expect(await send(world, 'adopt', freeing)).toEqual([0, '']);
    expect(await send(world, 'adopt', freeing)).toEqual([0, '']);
    await send(world, 'adopt', { claimant: 'adopt.two', commit_id: 'call-3' });
    expect(await send(world, 'adopt', freeing)).toEqual([0, '']);

    expect(await world.redis.get(keys.claim)).toBe('adopt.two');
    expect(await world.redis.xlen(keys.events)).toBe(1);
  });

  test('a row answers with the outcome that its own call had, whatever the phase came to since', async () => {
    await using world = await arranged('writeRow');
    const closings = closingsByName();
    const other = { consumer_id: 'consumer-1', commit_id: 'call-2', closings };
    const noting = { commit_id: 'call-3', rev: '1', delta: emptyTally, closings };

    const answers = [await send(world, 'writeRow', { closings }), await send(world, 'writeRow', other)];
    expect(answers).toEqual([
      [0, 'open'],
      [0, 'all'],
    ]);
    expect(await send(world, 'writeRow', noting)).toEqual([0, 'open']);

    expect(await send(world, 'writeRow', { closings })).toEqual([0, 'open']);
    expect(await send(world, 'writeRow', other)).toEqual([0, 'all']);
    expect(await send(world, 'writeRow', noting)).toEqual([0, 'open']);
  });
});

interface Answer {
  readonly script: ScriptName;
  readonly says: string;
  readonly given?: (world: StoreWorld) => Promise<unknown>;
  readonly sent?: Readonly<Record<string, unknown>>;
  readonly answer: readonly unknown[];
}

const gone = (world: StoreWorld) => world.redis.del(keys.job('job-1'), keys.rows('job-1'));
const claimedBy = (claimant: string) => (world: StoreWorld) => world.redis.set(keys.claim, claimant);
const unclaimed = (world: StoreWorld) => world.redis.del(keys.claim);
const fenceRaised = (world: StoreWorld) => world.redis.set(keys.fence, '9-later000');

// oxfmt-ignore
const refusals: readonly Answer[] = [
  { script: 'openJob',   says: 'the job that the key names already', given: (world) => send(world, 'openJob', { job_id: 'job-0' }), answer: [1, 'job-0'] },
  { script: 'openJob',   says: 'a key that was used with another body', given: (world) => send(world, 'openJob', { job_id: 'job-0', body_hash: 'other' }), answer: [-5] },
  { script: 'commit',    says: 'no such job', given: gone, answer: [-1] },
  { script: 'commit',    says: 'stale version', sent: { version: '0' }, answer: [-2] },
  { script: 'commit',    says: 'a row that moved', given: (world) => send(world, 'writeRow'), answer: [-2] },
  { script: 'commit',    says: 'a row that is not there', given: (world) => world.redis.hdel(keys.rows('job-1'), 'consumer-0'), answer: [-2] },
  { script: 'commit',    says: 'stale fence', given: fenceRaised, sent: { fence: '8-former00' }, answer: [-3] },
  { script: 'commit',    says: 'an equal counter with another suffix', given: fenceRaised, sent: { fence: '9-former00' }, answer: [-3] },
  { script: 'commit',    says: 'a fence where there is none', sent: { fence: '1-former00' }, answer: [-3] },
  { script: 'commit',    says: 'not the claimant, keeping', given: claimedBy('job-0'), answer: [-3] },
  { script: 'commit',    says: 'not the claimant, freeing', given: unclaimed, sent: { claim: 'free' }, answer: [-3] },
  { script: 'commit',    says: 'claimed by another', given: claimedBy('job-0'), sent: { claim: 'take' }, answer: [-4, 'job-0'] },
  { script: 'commit',    says: 'claimed by an adoption', given: claimedBy('adopt.x'), sent: { claim: 'take' }, answer: [-4, 'adopt.x'] },
  { script: 'writeRow',  says: 'no such job', given: gone, answer: [-1] },
  { script: 'writeRow',  says: 'no such row', sent: { consumer_id: 'nobody' }, answer: [-1] },
  { script: 'writeRow',  says: 'stale version', sent: { version: '0' }, answer: [-2] },
  { script: 'writeRow',  says: 'stale fence', given: fenceRaised, sent: { fence: '8-former00' }, answer: [-3] },
  { script: 'writeRow',  says: 'not the claimant', given: claimedBy('job-0'), answer: [-3] },
  { script: 'writeRow',  says: 'it would close the phase, and the closings are not at hand', sent: { closings: undefined, delta: { ...emptyTally, open: -2, ok: 2, proven: 2 } }, answer: [-7] },
  { script: 'writeRow',  says: 'the row moved', sent: { rev: '3' }, answer: [-6] },
  { script: 'beginStep', says: 'no such job', given: gone, answer: [-1] },
  { script: 'beginStep', says: 'stale version', sent: { status_version: '0' }, answer: [-2] },
  { script: 'beginStep', says: 'not the claimant', given: unclaimed, answer: [-3] },
  { script: 'openLease', says: 'no such job', given: gone, answer: [-1] },
  { script: 'openLease', says: 'stale fence', given: fenceRaised, answer: [-3] },
  { script: 'openLease', says: 'not the claimant', given: unclaimed, answer: [-3] },
  { script: 'takeValue', says: 'no such job', given: gone, answer: [-1] },
  { script: 'takeValue', says: 'stale fence', given: fenceRaised, answer: [-3] },
  { script: 'takeValue', says: 'not the claimant', given: unclaimed, answer: [-3] },
  { script: 'takeValue', says: 'nothing is there (any more)', given: (world) => world.redis.del(keys.value('one')), answer: [0, ''] },
  { script: 'kick',      says: 'no such job', given: gone, answer: [-1] },
  { script: 'kick',      says: 'the job moved', sent: { status_version: '0' }, answer: [-2] },
  { script: 'kick',      says: 'somebody else kicked', sent: { kick: '1' }, answer: [-2] },
  { script: 'adopt',     says: 'a job holds the credential', given: claimedBy('job-0'), answer: [-4, 'job-0'] },
  { script: 'adopt',     says: 'freed by another adoption', given: claimedBy('adopt.two'), sent: { step: 'free' }, answer: [-4, 'adopt.two'] },
  { script: 'adopt',     says: 'freed by nobody', sent: { step: 'free' }, answer: [-4, ''] },
  { script: 'seal',      says: 'somebody else sealed', given: (world) => world.redis.rpush(keys.seals, 'other'), answer: [-2] },
  { script: 'seal',      says: 'a head that is gone', sent: { head: nameOfSeal('lost') }, answer: [-2] },
  { script: 'seal',      says: 'an event came before the numbers were moved on', given: (world) => send(world, 'record'), sent: { commit_id: 'call-2', seq_from: '0', seq_to: '9' }, answer: [-2] },
  { script: 'retire',    says: 'somebody else retired', given: (world) => world.redis.lpop(keys.seals), answer: [-2] },
  { script: 'retire',    says: 'nothing is sealed', given: (world) => world.redis.del(keys.seals), answer: [-2] },
  { script: 'retire',    says: 'a job of theirs is open', given: (world) => world.redis.sadd(keys.open, 'job-0'), answer: [-4, 'job-0'] },
  { script: 'hold',      says: 'held by another', given: (world) => send(world, 'hold', { holder: 'two' }), answer: [-4, 'two'] },
  { script: 'writeReceipt', says: 'somebody else wrote the receipt', given: (world) => world.redis.hset(keys.receipts('job-1'), 'slack', '{}'), answer: [-6] },
  { script: 'writeReceipt', says: 'the receipt that was read is gone', sent: { texts: ['{}', '{"rev":1}'] }, answer: [-6] },
  { script: 'endAlarm',  says: 'it was raised again', given: (world) => send(world, 'raiseAlarm', { commit_id: 'call-2', fresh: false }), answer: [-6] },
  { script: 'endAlarm',  says: 'it is off the list', given: (world) => world.redis.del(keys.alarms), answer: [0] },
  { script: 'openEpoch', says: 'somebody else opened one', given: (world) => world.redis.set(systemKeys.epoch, 'epoch9'), answer: [1, 'epoch9'] },
];

describe('a refusal changes nothing', () => {
  test.each(refusals)('$script: $says → $answer', async ({ script, given, sent, answer }) => {
    await using world = await arranged(script);
    await given?.(world);
    const before = await world.snapshot();

    expect(await send(world, script, sent)).toEqual(answer);
    expect(await world.snapshot()).toEqual(before);
  });
});

describe('how a script is run', () => {
  test('a Redis that forgot its scripts is told them again', async () => {
    await using world = await arranged('commit');
    await send(world, 'record');
    await world.redis.script('FLUSH');
    expect(await send(world, 'commit')).toEqual([0]);
  });

  test('what Redis refuses is unknown, never refused', async () => {
    await using world = await arranged('commit');
    await world.redis.del(keys.claim);
    await world.redis.hset(keys.claim, 'not', 'a string');
    expect(await codeOf(send(world, 'commit'))).toBe('store_unavailable');
  });

  test('a call with too few keys never reaches Redis', async () => {
    await using world = await arranged('kick');
    expect(await codeOf(runScript(world.redis, 'kick', [keys.outbox], goodArgs.kick))).toBe(
      'invariant_broken',
    );
  });
});
