// What GitHub's refusals mean: a 403 that is a limit and one that is none, a 404 that may be a lack of access, and answers that nobody knows.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { callOf, refusedWith } from '../contract/expectations.ts';
import { githubTarget, githubWorld } from '../contract/github-world.ts';
import type { Deed } from '../sim/faults.ts';

type World = Awaited<ReturnType<typeof githubWorld>>;

const push = ({ destination, target, authority, next }: World) =>
  destination.push(callOf(), target, authority, next);
const written = ({ store }: World) => store.values()['HEROKU_API_KEY'] === 'HRKU-next-9c2e';

const LOOKUP = 'GET /repos/:owner/:repo/installation';
const TOKEN = 'POST /app/installations/:id/access_tokens';
const KEY = 'GET /repos/:owner/:repo/actions/secrets/public-key';
const PUT = 'PUT /repos/:owner/:repo/actions/secrets/:name';

describe('limits', () => {
  const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.';
  const inS = (s: number) => String(Math.floor(systemClock.now() / 1000) + s);
  const cases: readonly (readonly [string, Deed, number, number])[] = [
    [
      '403 with retry-after',
      { status: 403, body: { message }, headers: { 'retry-after': '7' } },
      7_000,
      7_000,
    ],
    ['429 with retry-after', { rate_limited: { retry_after_s: 9 } }, 9_000, 9_000],
    ['403 of a secondary limit', { status: 403, body: { message } }, 60_000, 60_000],
    ['429 of a secondary limit', 'rate_limited', 60_000, 60_000],
    ['429 that says nothing', { status: 429, body: { message: 'no' } }, 60_000, 60_000],
    [
      "403 at the end of the hour's quota",
      {
        status: 403,
        body: { message: 'API rate limit exceeded' },
        headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inS(90) },
      },
      80_000,
      91_000,
    ],
    [
      "429 at the end of the hour's quota",
      {
        status: 429,
        body: { message: 'x' },
        headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inS(90) },
      },
      80_000,
      91_000,
    ],
    [
      'a reset that is over',
      {
        status: 403,
        body: { message: 'x' },
        headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inS(-5) },
      },
      1_000,
      1_000,
    ],
  ];
  test.for(cases)('%s says how long to wait, wherever it comes', async ([, deed, least, most]) => {
    await using world = await githubWorld();
    for (const on of [LOOKUP, TOKEN, KEY, PUT]) {
      world.sim.script({ on, do: deed });
      const error = await refusedWith('vendor_rate_limited', push(world));
      expect(error.retryAfterMs).toBeGreaterThanOrEqual(least);
      expect(error.retryAfterMs).toBeLessThanOrEqual(most);
    }
    expect(written(world)).toBe(false);
  });

  test('the quota of the hour is waited for, by GitHub’s own clock', async () => {
    const clock = { ...systemClock, now: () => systemClock.now() - 40_000 };
    await using world = await githubWorld({ clock });
    Object.assign(world.sim.limits, { remaining: 0, resetAt: clock.now() + 120_000 });
    const error = await refusedWith('vendor_rate_limited', push(world));
    expect(error.retryAfterMs).toBeGreaterThan(115_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(121_000);
  });

  test('a 403 for want of a permission is none, even with the last request of the hour', async () => {
    await using world = await githubWorld();
    const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inS(90) };
    const deed = { status: 403, body: { message: 'Resource not accessible by integration' }, headers };
    world.sim.script({ on: KEY, do: deed });
    const error = await refusedWith('vendor_forbidden', push(world));
    expect(error.message).toContain('the App needs "secrets: write" there');
  });
});

describe('refusals', () => {
  test('404 says where to look: the name, and what the App reaches', async () => {
    await using world = await githubWorld();
    const { destination, missing, authority, next } = world;
    const error = await refusedWith(
      'vendor_target_missing',
      destination.push(callOf(), missing, authority, next),
    );
    expect(error.message).toContain(
      "/repos/acme/deleted/installation: not found, or the App has no access: check the name in the manifest and the App's repositories",
    );
  });

  test('an environment that is not there is missed before anything is sealed', async () => {
    await using world = await githubWorld({ scope: 'environment' });
    const target = githubTarget('/repos/acme/console/environments/gone/secrets', 'HEROKU_API_KEY');
    await refusedWith(
      'vendor_target_missing',
      world.destination.push(callOf(), target, world.authority, world.next),
    );
    expect(world.changes()).toBe(0);
  });

  test('410 says that Velvet is too old', async () => {
    await using world = await githubWorld();
    world.sim.script({ on: LOOKUP, do: { status: 410, body: { message: 'gone' } } });
    expect((await refusedWith('vendor_rejected', push(world))).message).toContain(
      'no longer speaks version 2022-11-28',
    );
  });

  const shapes: readonly (readonly [string, string, unknown])[] = [
    ['an installation without a number', LOOKUP, { id: 'x' }],
    ['no token', TOKEN, { expires_at: '2026-01-01T00:00:00Z' }],
    ['a key that is too short', KEY, { key_id: '1', key: Buffer.alloc(31).toString('base64') }],
    [
      'a key in the URL-safe alphabet',
      KEY,
      { key_id: '1', key: Buffer.alloc(32, 0xff).toString('base64url') },
    ],
    ['a key without an id', KEY, { key: Buffer.alloc(32).toString('base64') }],
    ['a refusal that is not GitHub’s', KEY, null],
  ];
  test.for(shapes)('%s is a bad answer, and nothing is written', async ([, on, body]) => {
    await using world = await githubWorld();
    world.sim.script({ on, do: body === null ? { status: 404, body: [] } : { status: 200, body } });
    await refusedWith('vendor_bad_answer', push(world));
    expect(world.changes()).toBe(0);
  });
});
