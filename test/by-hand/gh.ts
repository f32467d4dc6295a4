// Stands in for GitHub's command line, which no test machine has: `gh secret set` and `gh secret list` as the pages of docs/sop use them, over GitHub's API.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import sodium, { ready } from 'libsodium-wrappers';

const { GH_API_URL = '', GH_TOKEN = '' } = process.env;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    repo: { type: 'string' },
    env: { type: 'string' },
    org: { type: 'string' },
    visibility: { type: 'string' },
    repos: { type: 'string' },
    json: { type: 'string' },
    jq: { type: 'string' },
  },
});
const [noun, verb, name = ''] = positionals;
if (noun !== 'secret') throw new Error(`no such command: ${positionals.join(' ')}`);
const folder =
  values.org !== undefined
    ? `/orgs/${values.org}/actions/secrets`
    : values.env === undefined
      ? `/repos/${values.repo ?? ''}/actions/secrets`
      : `/repos/${values.repo ?? ''}/environments/${encodeURIComponent(values.env)}/secrets`;

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`${GH_API_URL}${folder}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${GH_TOKEN}`,
      accept: 'application/vnd.github+json',
      'user-agent': 'gh',
      'x-github-api-version': '2022-11-28',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return text === '' ? null : (JSON.parse(text) as unknown);
}

if (verb === 'set') {
  const value = readFileSync(0, 'utf8');
  await ready;
  const { key, key_id } = (await ask('GET', '/public-key')) as {
    readonly key: string;
    readonly key_id: string;
  };
  const sealed = sodium.crypto_box_seal(value, Buffer.from(key, 'base64'));
  await ask('PUT', `/${name}`, {
    encrypted_value: Buffer.from(sealed).toString('base64'),
    key_id,
    ...(values.visibility === undefined ? {} : { visibility: values.visibility }),
  });
  process.stdout.write(`✓ Set Actions secret ${name}\n`);
} else {
  // The one filter that the pages use.
  const [, wanted = '', field = ''] =
    /^\.\[\] \| select\(\.name == "(\w+)"\) \| \.(updatedAt|visibility)$/.exec(values.jq ?? '') ?? [];
  if (verb !== 'list' || wanted === '') throw new Error(`not understood: ${process.argv.slice(2).join(' ')}`);
  const found = (await ask('GET', `/${wanted}`)) as Readonly<Record<string, string>>;
  process.stdout.write(`${found[field === 'updatedAt' ? 'updated_at' : field] ?? ''}\n`);
}
