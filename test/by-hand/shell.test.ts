// The shell functions of docs/sop where a vendor's answer is lost or is no answer: what is not known is not said to be so.
import { execFile } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellFunctions } from '../../shared/manifest/sop/shell.ts';
import type { Deed } from '../sim/faults.ts';
import { startInfisical, type InfisicalSim } from '../sim/infisical.ts';

const VALUE = 'by-hand-5e3c-value';

let infisical: InfisicalSim;
beforeAll(async () => {
  infisical = await startInfisical();
});
afterAll(() => infisical.close());

async function inBash(script: string, env: Readonly<Record<string, string>> = {}) {
  return new Promise<{ readonly code: number; readonly out: string; readonly err: string }>((resolve) => {
    const child = execFile(
      'bash',
      ['--norc', '-c', `set -o pipefail\n${script}`],
      { env: { PATH: `${process.execPath.replace(/[^/]+$/, '')}:${process.env['PATH'] ?? ''}`, ...env } },
      (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    );
    child.stdin?.end();
  });
}

/** One write to a folder of its own, and what the folder holds afterwards. */
async function put(deed: Deed | null, approvals = false) {
  const project = infisical.createProject();
  const identity = infisical.createIdentity();
  const folder = project.folder('prod', '/velvet');
  folder.approvals = approvals;
  infisical.clearFaults();
  if (deed !== null) infisical.script({ on: 'PATCH /api/v4/secrets/batch', do: deed });
  const script = [
    ...shellFunctions(['infisical_login', 'infisical_put']),
    `access="$(infisical_login '${identity.clientId}' '${identity.clientSecret}')"`,
    `printf %s '${VALUE}' | infisical_put "$access" '${project.id}' prod /velvet NAME`,
  ].join('\n');
  const said = await inBash(script, { INFISICAL_SITE_URL: infisical.url });
  return { ...said, holds: folder.secrets.get('NAME')?.versions.at(-1) };
}

test('a write that Infisical took is written', async () => {
  expect(await put(null)).toMatchObject({ code: 0, out: 'written\n', holds: VALUE });
});

test('a change request is told as what it is', async () => {
  const { code, out, holds } = await put(null, true);
  expect([code, out, holds]).toEqual([1, 'not written: it waits for an approval\n', undefined]);
});

test.each([
  ['cut off in the middle', 'drop_mid_body', VALUE],
  ['half an answer', 'malformed', VALUE],
  ['a page of something in between', { status: 200, body: '<html>hello</html>' }, undefined],
  ['another shape', { status: 200, body: { hello: VALUE } }, undefined],
  ['a refusal', { status: 500, body: { message: VALUE } }, undefined],
] as const)(
  '%s: nobody says that it was not written, and nothing of it is shown',
  async (_what, deed, holds) => {
    const seen = await put(deed);
    expect(seen.out).toMatch(/^not known: .* read it back before you write again\n$/);
    expect(seen.code).not.toBe(0);
    expect(seen.holds).toBe(holds);
    expect(seen.out + seen.err).not.toContain(VALUE);
  },
);

test.each([
  ['field a b', '<html>secret-thing</html>'],
  ["id_of 'secret-thing'", '<html>secret-thing</html>'],
])('%s says that it got no JSON, and quotes nothing', async (call, input) => {
  const functions = shellFunctions(['field', 'id_of']).join('\n');
  const { code, out, err } = await inBash(`${functions}\nprintf %s '${input}' | ${call}`);
  expect([code, out, err]).toEqual([1, '', 'what came in is not the JSON that was expected\n']);
});
