// The rotation by hand that a manifest spells out: every consumer in order, what is inactive marked, and the bootstrap procedures.
import { describe, expect, test } from 'vitest';
import { manualProcedure } from '../../shared/manifest/by-hand.ts';
import { loadManifest, parseManifest } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import { bootstrapCredentials } from '../../shared/manifest/vendors.ts';
import { committed, edited, good, strict } from './manifest-text.ts';

const steps = (text: string) => text.split('\n').filter((line) => /^\d+\. /.test(line));
const parsed = (text: string): Manifest => parseManifest(text, 'm.yml', strict);

describe('by hand', () => {
  test('every consumer in order, with the commands, the revoke after the last', () => {
    const text = manualProcedure(loadManifest(committed, strict), 'HK_PLATFORM_FULL');
    const order = [
      'ROT-YYYY-HK_PLATFORM_FULL',
      'heroku authorizations:create',
      'read -rs NEW',
      '**heroku-config-api-staging** (prod, wave 1)',
      'heroku config:set HEROKU_API_KEY="$NEW" --app raxx-api-staging >/dev/null 2>&1',
      "'https://api-staging.example.com/healthz/heroku'` must print 200",
      '**heroku-config-console-staging**',
      '**heroku-config-api-prod** (prod, wave 2)',
      '**heroku-config-console-prod**',
      'heroku config:set HEROKU_API_KEY="$NEW" --app raxx-console-prod >/dev/null 2>&1',
      'heroku authorizations:revoke <old id>',
      'npx velvet adopt HK_PLATFORM_FULL',
    ].map((part) => text.indexOf(part));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
    expect(steps(text).map((line) => Number.parseInt(line, 10))).toEqual(
      steps(text).map((_, index) => index + 1),
    );
  });

  test('inactive rows and credentials are there, and marked', () => {
    const text = manualProcedure(
      parsed(edited('consumer_id: second', 'active: false\n    consumer_id: second')),
      'HK_ONE',
    );
    expect(text).toContain('**second** (prod, wave 2) — INACTIVE');
    expect(text).toContain('There is no health endpoint');
    expect(text).not.toContain('**first** (prod, wave 1) —');
    expect(
      manualProcedure(parsed(edited('entropy: high', 'entropy: high\n    active: false')), 'HK_ONE'),
    ).toContain('It is `active: false`');
  });

  test('one environment alone, and what comes later in words', () => {
    const text = edited(
      'scope: shared',
      'scope: per_env',
      edited('env: prod\n    wave', 'env: staging\n    wave'),
    );
    const later = edited(
      'wave: 2\n    update_method: HEROKU_CONFIG_PATCH',
      'active: false\n    update_method: SSM_PUT',
      text,
    );
    expect(manualProcedure(parsed(later), 'HK_ONE')).toContain(
      'Each environment has a token of its own (prod, staging)',
    );
    expect(manualProcedure(parsed(later), 'HK_ONE')).toContain('as `API_KEY` (SSM_PUT)');
    expect(manualProcedure(parsed(later), 'HK_ONE', 'prod')).not.toContain('**second**');
  });

  test('Infisical with its own command, quiet, and with a look at what it holds', () => {
    const write = (host: string) =>
      edited(
        'update_method: HEROKU_CONFIG_PATCH\n    update_endpoint: https://api.heroku.com/apps/first-app/config-vars',
        `update_method: INFISICAL_WRITE\n    update_endpoint: https://${host}/api/v4/secrets?secretPath=/apps/mail`,
      );
    const text = manualProcedure(parsed(write('app.infisical.com')), 'HK_ONE');
    expect(text).toContain(
      'infisical secrets set API_KEY="$NEW" --path /apps/mail --env prod --projectId "$INFISICAL_PROJECT_ID" >/dev/null 2>&1; echo $?',
    );
    expect(text).toContain('--expand=false --plain --silent)" = "$NEW" ]');
    const place = { host: 'vault.example.com', projectId: null, folder: '/velvet' };
    const own = parseManifest(write('vault.example.com'), 'm.yml', { ...strict, infisicalPlace: place });
    expect(manualProcedure(own, 'HK_ONE')).toContain('--domain https://vault.example.com/api');
  });

  test('an address is one word for the shell', () => {
    const text = manualProcedure(parsed(edited('/healthz', "/health'$(id)")), 'HK_ONE');
    expect(text).toContain("'https://first.example.com/health'\\''$(id)'");
  });

  test.for(Object.keys(bootstrapCredentials))('%s has its own procedure', (name) => {
    const text = manualProcedure(parsed(good), name);
    expect(steps(text).length).toBeGreaterThan(4);
    expect(text).toContain(name);
    expect(text).toContain('>/dev/null 2>&1');
    expect(text).toContain('/healthz?deep=1');
  });

  test('an unknown name says so', () => {
    expect(manualProcedure(parsed(good), 'HK_TWO')).toContain('HK_TWO is not in the manifest');
  });
});
