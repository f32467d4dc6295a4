// What a good manifest becomes: its defaults, what is let through, what jobs pin of it, and the schema for editors.
import { describe, expect, test } from 'vitest';
import {
  activeCredential,
  activeRows,
  credentialOf,
  loadManifest,
  parseManifest,
  rowsOf,
} from '../../shared/manifest/load.ts';
import { manifestJsonSchema, type Target } from '../../shared/manifest/schema.ts';
import { newRow } from '../../shared/rotation/rows.ts';
import { at, committed, edited, good, problemsOf, strict } from './manifest-text.ts';

describe('a good manifest', () => {
  test('has its defaults', () => {
    const manifest = parseManifest(good.replace('    scope: shared\n', ''), 'm.yml', strict);
    expect(manifest.credentials).toEqual([
      {
        token_name: 'HK_ONE',
        issuer: 'heroku-oauth',
        issuer_auth_token_name: 'HK_BOSS',
        scope: 'per_env',
        entropy: 'high',
        active: true,
        settle_seconds: 10,
        two_person: false,
      },
    ]);
    expect(manifest.subscribers[0]).toMatchObject({
      wave: 1,
      active: true,
      self: false,
      healthcheck_success_status: 200,
      healthcheck_after: 30,
      probe: 'self_report',
    });
    expect(manifest.subscribers[0]).not.toHaveProperty('proof');
  });

  test('is frozen to its leaves', () => {
    const manifest = parseManifest(good, 'm.yml', strict);
    const inner = [
      manifest,
      manifest.credentials,
      manifest.credentials[0],
      manifest.subscribers[0],
      manifest.subscribers[0]?.capabilities,
    ];
    expect(inner.map((part) => Object.isFrozen(part))).toEqual([true, true, true, true, true]);
  });

  test('may reach loopback addresses where that is allowed, for the vendor too', () => {
    for (const host of ['http://127.0.0.1:4001', 'http://localhost:4001', 'http://[::1]:4001']) {
      const text = good.replaceAll('https://api.heroku.com', host).replace('https://first.example.com', host);
      expect(problemsOf(text, { allowLoopback: true })).toEqual([]);
    }
    expect(problemsOf(good.replace('https://first', 'http://first'), { allowLoopback: true })).toEqual(
      at([16, 27, 'only https']),
    );
  });

  test("names an app by its id, has one id in two environments, and one environment's two tokens", () => {
    const byId = edited('/apps/first-app/', '/apps/01234567-89ab-cdef-0123-456789abcdef/');
    expect(problemsOf(byId)).toEqual([]);
    const perEnv = edited(
      'scope: shared',
      'scope: per_env',
      edited('consumer_id: second\n    env: prod', 'consumer_id: first\n    env: staging'),
    );
    expect(problemsOf(perEnv)).toEqual([]);
  });

  test('holds what comes later as long as it is inactive', () => {
    const row = edited('update_method: HEROKU_CONFIG_PATCH', 'active: false\n    update_method: SSM_PUT');
    expect(problemsOf(row)).toEqual([]);
    const credential = edited('issuer: heroku-oauth', 'active: false\n    issuer: aws-iam');
    expect(problemsOf(credential)).toEqual([]);
    const manual = edited(
      'issuer: heroku-oauth',
      'active: false\n    issuer: OPERATOR_MANUAL\n    verify: { url: "http://x.example.com", header: X-Token }',
    );
    expect(problemsOf(manual)).toEqual(at([6, 20, 'only https']));
    expect(problemsOf(manual.replace('http:', 'https:'))).toEqual([]);
  });

  test('takes the keys of schedule, drift check and probe', () => {
    const keys =
      'drift_check: daily\n    rotation: { every_days: 90, at: "03:30", auto_until: validated }\n    entropy: high';
    const text = edited(
      'update_key: API_KEY',
      'probe: presents_token\n    healthcheck_after: 0\n    proof: possession\n    instructions: Ask Ada.\n    update_key: API_KEY',
    );
    const manifest = parseManifest(edited('entropy: high', keys, text), 'm.yml', strict);
    expect(manifest.credentials[0]).toMatchObject({
      drift_check: 'daily',
      rotation: { every_days: 90, at: '03:30', auto_until: 'validated' },
    });
    expect(manifest.subscribers[0]).toMatchObject({
      probe: 'presents_token',
      healthcheck_after: 0,
      proof: 'possession',
      instructions: 'Ask Ada.',
    });
  });
});

describe('the committed manifest', () => {
  const manifest = loadManifest(committed, { ...strict, velvetApp: 'velvet-prod' });

  test('is what the runbook says', () => {
    expect(activeCredential(manifest, 'HK_PLATFORM_FULL')).toMatchObject({
      issuer: 'heroku-oauth',
      issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      scope: 'shared',
    });
    expect(
      activeRows(manifest, 'HK_PLATFORM_FULL', 'prod').map((row) => `${row.wave} ${row.consumer_id}`),
    ).toEqual([
      '1 heroku-config-api-staging',
      '1 heroku-config-console-staging',
      '2 github-actions-heroku-api-key',
      '2 heroku-config-api-prod',
      '2 heroku-config-console-prod',
    ]);
    expect(activeRows(manifest, 'HK_PLATFORM_FULL', 'staging')).toEqual([]);
    const later = { PM_SERVER_MAIL: 1, CF_DNS_EDIT_RAXX_APP: 2, AWS_ACCESS_KEY_ID: 1 };
    for (const [name, rows] of Object.entries(later)) {
      expect(activeCredential(manifest, name)).toBeNull();
      expect(rowsOf(manifest, name)).toHaveLength(rows);
    }
  });

  test('fits into what a job pins and what a destination is told', () => {
    const rows = activeRows(manifest, 'HK_PLATFORM_FULL', 'prod');
    const targets = rows.map((row) => row as Target);
    expect(new Set(targets.map((target) => target.update_method))).toEqual(
      new Set(['HEROKU_CONFIG_PATCH', 'GITHUB_SECRET_PUT']),
    );
    for (const row of rows) expect(newRow(row, 0).pinned).toBe(row);
  });

  test('has a current schema for editors', async () => {
    const text = `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot('../../manifests/subscription-manifest.schema.json');
  });
});

describe('questions to a manifest', () => {
  const inactive = edited('consumer_id: second', 'active: false\n    consumer_id: second');

  test('rows of every kind, and the active ones of one environment', () => {
    const manifest = parseManifest(inactive, 'm.yml', strict);
    expect(rowsOf(manifest, 'HK_ONE').map((row) => row.consumer_id)).toEqual(['first', 'second']);
    expect(activeRows(manifest, 'HK_ONE', 'prod').map((row) => row.consumer_id)).toEqual(['first']);
    expect(rowsOf(manifest, 'HK_TWO')).toEqual([]);
    expect(credentialOf(manifest, 'HK_TWO')).toBeNull();
  });

  test('an inactive credential has no active rows', () => {
    const manifest = parseManifest(
      edited('entropy: high', 'entropy: high\n    active: false'),
      'm.yml',
      strict,
    );
    expect(credentialOf(manifest, 'HK_ONE')?.active).toBe(false);
    expect(activeCredential(manifest, 'HK_ONE')).toBeNull();
    expect(activeRows(manifest, 'HK_ONE', 'prod')).toEqual([]);
  });
});
