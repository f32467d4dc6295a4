// What an answer says of the rotation by hand, and the page behind it: every consumer in order, what is inactive marked, every vendor's own way.
import { describe, expect, test } from 'vitest';
import { manualProcedure } from '../../shared/manifest/by-hand.ts';
import { loadManifest, parseManifest } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import { sopPage } from '../../shared/manifest/sop/page.ts';
import { bootstrapCredentials } from '../../shared/manifest/vendors.ts';
import { committed, edited, good, strict } from './manifest-text.ts';

const steps = (text: string) => text.split('\n').filter((line) => /^\d+\. /.test(line));
const parsed = (text: string): Manifest => parseManifest(text, 'm.yml', strict);
const pageOf = (text: string) => sopPage(parsed(text), 'HK_ONE') ?? '';

function expectInOrder(text: string, parts: readonly string[]): void {
  let from = 0;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    expect(`${part}: ${at >= from}`).toBe(`${part}: true`);
    from = at + part.length;
  }
}

describe('manual_procedure', () => {
  test('every consumer in order, the revoke after the last, and where the page is', () => {
    const text = manualProcedure(loadManifest(committed, strict), 'HK_PLATFORM_FULL');
    expectInOrder(text, [
      'docs/sop/HK_PLATFORM_FULL.md',
      'GET /docs/sop/HK_PLATFORM_FULL.md',
      'ROT-YYYY-HK_PLATFORM_FULL',
      '**heroku-config-api-staging** (prod, wave 1): config var `HEROKU_API_KEY` of the Heroku app `raxx-api-staging`',
      '**heroku-config-console-staging**',
      '**heroku-config-api-prod** (prod, wave 2)',
      '**heroku-config-console-prod**',
      'heroku authorizations:revoke <old id>',
    ]);
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
    expect(text).not.toContain('**first** (prod, wave 1) —');
    expect(
      manualProcedure(parsed(edited('entropy: high', 'entropy: high\n    active: false')), 'HK_ONE'),
    ).toContain('It is `active: false`');
  });

  test('one environment alone', () => {
    const text = edited(
      'scope: shared',
      'scope: per_env',
      edited('env: prod\n    wave', 'env: staging\n    wave'),
    );
    expect(manualProcedure(parsed(text), 'HK_ONE')).toContain('**second**');
    expect(manualProcedure(parsed(text), 'HK_ONE', 'prod')).not.toContain('**second**');
  });

  test.for(Object.keys(bootstrapCredentials))('%s has its own procedure', (name) => {
    const text = manualProcedure(parsed(good), name);
    expect(steps(text).length).toBeGreaterThan(4);
    expect(text).toContain(`docs/sop/${name}.md`);
    expect(text).toContain('>/dev/null 2>&1');
    expect(text).toContain('/healthz?deep=1');
    for (const step of bootstrapCredentials[name as keyof typeof bootstrapCredentials])
      expect(sopPage(parsed(good), name)).toContain(step);
  });

  test('an unknown name says so, and has no page', () => {
    expect(manualProcedure(parsed(good), 'HK_TWO')).toContain('HK_TWO is not in the manifest');
    expect(sopPage(parsed(good), 'HK_TWO')).toBeNull();
  });
});

describe('the page', () => {
  test('has all of it in order: verify, mint, vault, each wave written and proven, revoke, the id, the record', () => {
    expectInOrder(sopPage(loadManifest(committed, strict), 'HK_PLATFORM_FULL') ?? '', [
      'ROT-YYYY-HK_PLATFORM_FULL',
      'read -rsp',
      'works "$OLD"   # prints 200',
      'POST /oauth/authorizations',
      'npx velvet adopt HK_PLATFORM_FULL',
      '### Wave 1: heroku-config-api-staging (prod)',
      'PATCH /apps/raxx-api-staging/config-vars',
      '>/dev/null 2>&1; echo $?   # prints 0',
      "prove 'https://api-staging.example.com/healthz/heroku' 200   # prints 200 proven",
      '### Wave 1: heroku-config-console-staging (prod)',
      '### Wave 2: heroku-config-api-prod (prod)',
      '### Wave 2: heroku-config-console-prod (prod)',
      '## 6. Revoke the old token',
      'works "$OLD"   # prints 401',
      'HK_PLATFORM_FULL__AUTH_ID',
      'unset OLD NEW',
    ]);
  });

  test('inactive ones are there, and marked; without a health endpoint a person must see for themselves', () => {
    const text = pageOf(edited('consumer_id: second', 'active: false\n    consumer_id: second'));
    expect(text).toContain('### Wave 2: second (prod), INACTIVE');
    expect(text).toContain('There is no health endpoint');
    expect(pageOf(edited('entropy: high', 'entropy: high\n    active: false'))).toContain(
      'Velvet never rotates it',
    );
  });

  test('two environments with a token each are gone through one after the other', () => {
    const text = edited(
      'scope: shared',
      'scope: per_env',
      edited('env: prod\n    wave', 'env: staging\n    wave'),
    );
    expect(pageOf(text)).toContain('Each environment has a token of its own (prod, staging)');
    expect(pageOf(text)).toContain("read -rp 'Environment: ' ENVIRONMENT");
  });

  test('Infisical: by its API, with a look at what it holds, on the host of the row', () => {
    const write = (host: string) =>
      edited(
        'update_method: HEROKU_CONFIG_PATCH\n    update_endpoint: https://api.heroku.com/apps/first-app/config-vars',
        `update_method: INFISICAL_WRITE\n    update_endpoint: https://${host}/api/v4/secrets?secretPath=/apps/mail`,
      );
    expect(pageOf(write('app.infisical.com'))).toContain(
      'printf %s "$NEW" | infisical_put "$HK_BOSS_ACCESS" "$INFISICAL_PROJECT_ID" prod /apps/mail API_KEY   # prints written',
    );
    const place = { host: 'vault.example.com', projectId: null, folder: '/velvet' };
    const own = parseManifest(write('vault.example.com'), 'm.yml', { ...strict, infisicalPlace: place });
    expect(sopPage(own, 'HK_ONE')).toContain(
      'INFISICAL_SITE_URL="${INFISICAL_SITE_URL:-https://vault.example.com}"',
    );
  });

  test('Parameter Store, and a place without an API', () => {
    const ssm = edited(
      'wave: 2\n    update_method: HEROKU_CONFIG_PATCH',
      'wave: 2\n    active: false\n    update_method: SSM_PUT',
    );
    expect(pageOf(ssm)).toContain(
      `printf %s "$NEW" | aws ssm put-parameter --name 'API_KEY' --type SecureString --overwrite --value file:///dev/stdin`,
    );
    const paper = edited(
      /wave: 2[^]*$/.exec(good)?.[0] ?? '',
      'active: false\n    update_method: OPERATOR_MANUAL\n    instructions: Type it in.\n    healthcheck_endpoint: null\n    capabilities: [update]\n',
    );
    expect(pageOf(paper)).toMatch(
      /second \(prod\), INACTIVE\n\nType it in\.\n\nThere is no command for this one/,
    );
  });

  test.for([
    ['postmark', '', 'X-Postmark-Server-Token: %s', 'Postmark makes server tokens in its dashboard alone'],
    ['cloudflare', '', '"$CLOUDFLARE_API_URL$VERIFY_PATH"', 'Do not use Roll'],
    ['aws-iam', '    issuer_auth_token_name: HK_BOSS\n', 'aws sts get-caller-identity', '--status Inactive'],
    [
      'OPERATOR_MANUAL',
      '    verify: { url: "https://vendor.example.com/me", header: Authorization }\n',
      'https://vendor.example.com/me',
      'Revoke the old one at the vendor',
    ],
  ] as const)('%s: verified, made and revoked in its own way', ([issuer, more, verify, revoke]) => {
    const text = edited(
      '    issuer: heroku-oauth\n    issuer_auth_token_name: HK_BOSS\n',
      `    issuer: ${issuer}\n${more}    active: false\n`,
    );
    expectInOrder(pageOf(text), ['## 2. Verify', verify, '## 3. Make', '## 6. Revoke']);
    expect(pageOf(text)).toContain(revoke);
    // Its rows are written as any others, with an authority of their own.
    expect(pageOf(text)).toContain('heroku_api "$HK_BOSS" PATCH /apps/first-app/config-vars');
  });

  test('an address is one word for the shell', () => {
    expect(pageOf(edited('/healthz', "/health'$(id)"))).toContain(
      "prove 'https://first.example.com/health'\\''$(id)' 200",
    );
  });

  test('a block ends with each question: the next line of a block that is pasted whole would be taken for the answer', () => {
    const blocks = [...pageOf(good).matchAll(/^```bash.*\n([^]*?)^```$/gm)].map(([, text = '']) =>
      text.trimEnd(),
    );
    const asking = blocks.filter((text) => /^read /m.test(text));
    expect(asking.length).toBeGreaterThan(2);
    for (const text of asking)
      expect(text.split('\n').findIndex((line) => line.startsWith('read '))).toBe(
        text.split('\n').length - 1,
      );
  });
});
