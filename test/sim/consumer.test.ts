// A consumer's answer is true: it runs on what its process was started with, whatever the dynos show.
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ask } from './ask.ts';
import { startConsumer } from './consumer.ts';
import type { ConsumerOptions } from './consumer.ts';
import { startHeroku } from './heroku.ts';
import type { HerokuOptions } from './heroku.ts';
import type { AppKind } from './heroku-apps.ts';

const proofOf = (token: string, nonce: string) =>
  `v1=${createHmac('sha256', token).update(nonce).digest('base64url')}`;

/** An app with a consumer on it, and a second token to move it to. */
async function consumerWorld(
  kind: AppKind,
  options: Partial<ConsumerOptions> = {},
  pace: HerokuOptions = {},
) {
  const heroku = await startHeroku(pace);
  const account = heroku.createAccount();
  const old = account.authorize({ description: 'old' });
  const next = account.authorize({ description: 'next' });
  const app = heroku.createApp(account, 'raxx-web', { config: { HEROKU_API_KEY: old.token }, kind });
  const settings = {
    heroku: heroku.url,
    app,
    key: 'HEROKU_API_KEY',
    path: '/healthz/heroku',
    answersChallenge: true,
  };
  const consumer = await startConsumer({ ...settings, ...options });
  const probe = (headers: Record<string, string> = { 'velvet-challenge': 'n1' }) =>
    ask(consumer.url, 'GET /healthz/heroku', { headers }).then(({ status, headers: got }) => [
      status,
      got.get('velvet-proof'),
    ]);
  const close = async () => {
    await consumer.close();
    await heroku.close();
  };
  return { heroku, account, old, next, app, consumer, probe, [Symbol.asyncDispose]: close };
}

describe('consumers', () => {
  test('a normal app proves the old token, is 503 while it boots, and proves the new one after', async () => {
    await using w = await consumerWorld('normal', {}, { bootMs: 60_000 });
    const before = await w.probe();
    w.app.patchConfig({ HEROKU_API_KEY: w.next.token });
    const booting = await w.probe();
    w.heroku.hurry();

    expect(before).toEqual([200, proofOf(w.old.token, 'n1')]);
    expect(booting).toEqual([503, null]);
    expect(await w.probe({ 'velvet-challenge': 'n2' })).toEqual([200, proofOf(w.next.token, 'n2')]);
    expect(await w.probe({})).toEqual([200, null]);
  });

  test.each<AppKind>(['never_restarts', 'never_restarts_looks_new'])(
    'a %s app answers 200 and proves the old token',
    async (kind) => {
      await using w = await consumerWorld(kind);
      w.app.patchConfig({ HEROKU_API_KEY: w.next.token });
      expect(await w.probe()).toEqual([200, proofOf(w.old.token, 'n1')]);
      w.account.revoke(w.old.id);
      expect(await w.probe()).toEqual([401, proofOf(w.old.token, 'n1')]);
    },
  );

  test('a crashed app is 503, and so is one without the config var, or with a vendor that fails', async () => {
    await using crashed = await consumerWorld('crashes');
    crashed.app.patchConfig({ HEROKU_API_KEY: crashed.next.token });
    await using bare = await consumerWorld('normal', { key: 'NOTHING' });
    await using failing = await consumerWorld('normal');
    failing.heroku.script({ on: 'GET /account', times: 2, do: 'edge' });

    expect(await crashed.probe()).toEqual([503, null]);
    expect(await bare.probe()).toEqual([503, null]);
    expect(await failing.probe({})).toEqual([503, null]);
    expect(failing.heroku.requests.at(-1)?.headers['user-agent']).toBe('consumer/raxx-web');
  });

  test('a challenge is answered by nobody who was told not to, and with a probe key only to its holder', async () => {
    await using silent = await consumerWorld('normal', { answersChallenge: false });
    await using guarded = await consumerWorld('normal', { probeKey: 'k' });

    expect(await silent.probe()).toEqual([200, null]);
    expect(await guarded.probe()).toEqual([200, null]);
    expect(await guarded.probe({ 'velvet-challenge': 'n', 'velvet-probe-key': 'wrong' })).toEqual([
      200,
      null,
    ]);
    expect(await guarded.probe({ 'velvet-challenge': 'n', 'velvet-probe-key': 'k' })).toEqual([
      200,
      proofOf(guarded.old.token, 'n'),
    ]);
  });

  test('a consumer can be told to fail, too', async () => {
    await using w = await consumerWorld('normal');
    w.consumer.script({ on: 'GET /healthz/heroku', do: { status: 500 } });
    expect(await w.probe()).toEqual([500, null]);
    expect(await w.probe()).toEqual([200, proofOf(w.old.token, 'n1')]);
  });
});
