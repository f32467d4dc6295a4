// Whatever somebody does to a trail in Redis, it is found; and what nobody touched is intact. Exhaustive over a small installation, without chance.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseAnchor, type Anchor } from '../../shared/audit/anchor.ts';
import { keyring } from '../../shared/audit/signing-key.ts';
import { verifyTrail, type Verdict } from '../../shared/audit/verify.ts';
import { readAnchor } from '../../workers/vault/anchors.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import {
  borrowedName,
  byteEdits,
  forgedNotes,
  resealed,
  rollBacks,
  strangersKey,
  structural,
  trailOf,
  type Tampering,
} from './forgery.ts';
import {
  keep,
  ONE,
  ownKey,
  put,
  trailWorld,
  TWO,
  type Kept,
  type Stage,
  type TrailWorld,
} from './trail-world.ts';

let server: RedisServer;
let world: TrailWorld;
let stage: Stage;
/** Every state that the trail of a credential was in between two seals, the empty one first. */
let states: Readonly<Record<string, readonly Kept[]>>;
let anchors: Readonly<Record<string, Anchor>>;
const credentials = [ONE, TWO];

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  world = await trailWorld(server.url);
  stage = world.stage();
  const seen: Record<string, Kept[]> = { [ONE]: [], [TWO]: [] };
  const note = async () => {
    for (const credential of credentials) seen[credential]?.push(await keep(world.redis, credential));
  };
  await note();
  for (const events of [1, 3, 2]) {
    for (const credential of credentials) {
      await world.write(credential, events, `job-${events}-${credential}`);
      world.clock.move(1_000);
    }
    await stage.settle();
    await note();
  }
  states = seen;
  anchors = Object.fromEntries(
    await Promise.all(
      credentials.map(
        async (one) => [one, parseAnchor(one, (await readAnchor(world.vault, one)) ?? '')] as const,
      ),
    ),
  );
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => server.stop());

const now = (credential: string): Kept => states[credential]?.at(-1) as Kept;

async function verdictOf(credential: string, kept: Kept): Promise<Verdict> {
  const anchor = anchors[credential] as Anchor;
  return (await verifyTrail(trailOf(credential, kept), anchor, keyring(ownKey, anchor.keys))).verdict;
}

/** Tries each, and answers with what was not found and how many there were. */
async function missed(credential: string, tamperings: Iterable<Tampering>) {
  const found: string[] = [];
  let tried = 0;
  for (const { says, kept } of tamperings) {
    tried += 1;
    if ((await verdictOf(credential, kept)) === 'intact') found.push(says);
  }
  return { found, tried };
}

function told(what: string, tried: number): void {
  console.log(`tried ${tried}: ${what}`);
}

test('untouched, every trail is intact, in Redis and as it was kept', async () => {
  for (const credential of credentials) {
    expect(await stage.verdict(credential)).toMatchObject({
      verdict: 'intact',
      sealed_to: 6,
      anchored_to: 6,
    });
    expect(await verdictOf(credential, now(credential))).toBe('intact');
    expect(states[credential]?.map((state) => state.seals.length)).toEqual([0, 1, 2, 3]);
  }
});

test('every single byte of every event and seal, changed in one bit', { timeout: 120_000 }, async () => {
  // The lowest bit, the one between upper and lower case, and the one that leaves ASCII.
  const one = await missed(ONE, byteEdits(now(ONE), [0, 5, 7]));
  const two = await missed(TWO, byteEdits(now(TWO), [0]));
  told('single-bit changes of every byte of every event and seal', one.tried + two.tried);
  expect([...one.found, ...two.found]).toEqual([]);
  expect(one.tried).toBeGreaterThan(7_000);
});

test(
  'every byte of the events changed, and sealed again with another key',
  { timeout: 120_000 },
  async () => {
    function* forged() {
      for (const { says, kept } of byteEdits({ ...now(ONE), seals: [] }, [0]))
        for (const key of [strangersKey, borrowedName])
          yield { says, kept: resealed({ ...kept, seals: now(ONE).seals }, key) };
    }
    const { found, tried } = await missed(ONE, forged());
    told('changes of events, sealed again by a stranger', tried);
    expect(found).toEqual([]);
    expect(tried).toBeGreaterThan(2_000);
  },
);

test('every deletion, swap, truncation and insertion, as it is and sealed again with another key', async () => {
  let tried = 0;
  for (const credential of credentials) {
    const plain = [...structural(now(credential))];
    const again = [strangersKey, borrowedName].flatMap((key) =>
      plain.map(({ says, kept }) => ({ says: `${says}, sealed again`, kept: resealed(kept, key) })),
    );
    const result = await missed(credential, [...plain, ...again]);
    tried += result.tried;
    expect(result.found).toEqual([]);
  }
  told('deletions, swaps, truncations, insertions', tried);
  expect(tried).toBeGreaterThan(400);
});

test('the roll-back to each earlier state, of each part and of all together, as it is and sealed again', async () => {
  let tried = 0;
  for (const credential of credentials) {
    const earlier = (states[credential] ?? []).slice(0, -1);
    const plain = [...rollBacks(earlier, now(credential))];
    const again = [strangersKey, borrowedName].flatMap((key) =>
      plain
        // With no seal left there is nothing to sign.
        .filter(({ kept }) => kept.seals.length > 0)
        .map(({ says, kept }) => ({ says: `${says}, sealed again`, kept: resealed(kept, key) })),
    );
    const result = await missed(credential, [...plain, ...again]);
    tried += result.tried;
    expect(result.found).toEqual([]);
    for (const state of earlier) expect(await verdictOf(credential, state)).toBe('shorter_than_anchor');
  }
  told('roll-backs', tried);
});

test('a forged note that events were lost, or had left, is nobody’s word', async () => {
  for (const key of [strangersKey, borrowedName])
    expect((await missed(ONE, forgedNotes(now(ONE), key))).found).toEqual([]);
});

test('a trail that stands in for another', async () => {
  expect(await verdictOf(ONE, now(TWO))).toBe('altered');
  expect(await verdictOf(TWO, now(ONE))).toBe('altered');
});

test('in Redis itself: what was done to the real stream is found by the process that is asked', async () => {
  const tamperings = [...structural(now(ONE)), ...rollBacks((states[ONE] ?? []).slice(0, -1), now(ONE))];
  const found: string[] = [];
  for (const { says, kept } of tamperings) {
    await put(world.redis, ONE, kept);
    if ((await stage.verdict()).verdict === 'intact') found.push(says);
  }
  told('the same on a real Redis', tamperings.length);
  expect(found).toEqual([]);
  await put(world.redis, ONE, now(ONE));
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact' });
  expect(await stage.verdict(TWO)).toMatchObject({ verdict: 'intact' });
});
