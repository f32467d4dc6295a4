// What an answer says of the rotation by hand: the order of things and the page that has every command. The page itself is sop/page.ts.
import { credentialOf, rowsOf } from './load.ts';
import type { Manifest, Subscriber } from './schema.ts';
import { consumerProcedure } from './sop/consumers.ts';
import { issuerProcedure } from './sop/issuers.ts';
import { isBootstrap, sopPath } from './sop/page.ts';
import { bootstrapCredentials } from './vendors.ts';

/**
 * Markdown that begins with what to do and where the page is; then the consumers in order, inactive ones included and marked;
 * `env` narrows them to one environment. For a bootstrap credential its own steps; for an unknown name a sentence that says so.
 */
export function manualProcedure(manifest: Manifest, name: string, env?: string): string {
  if (isBootstrap(name))
    return numbered(
      `Replace ${name} by hand. Velvet itself lives on it and can never rotate it. ${whereIs(name)}`,
      bootstrapCredentials[name],
    );
  const credential = credentialOf(manifest, name);
  if (credential === null)
    return `${name} is not in the manifest: find out who uses it before you replace it, and register them in manifests/subscription-manifest.yml.\n`;

  const all = rowsOf(manifest, name);
  const rows = all.filter((row) => env === undefined || row.env === env);
  const inactive = credential.active
    ? ''
    : ' It is `active: false` in the manifest: Velvet does not rotate it.';
  return numbered(`Rotate ${name} by hand.${inactive} ${whereIs(name)} In short:`, [
    `Open a ticket, \`ROT-YYYY-${name}\`; verify the present token; make a new one; put it into the vault.`,
    ...rows.map(written),
    `Only when every consumer is proven on it: ${issuerProcedure(credential, all).inShort}. This cannot be undone.`,
  ]);
}

/** Installations with a manifest of their own write their pages themselves; web makes them from the one that it runs on. */
function whereIs(name: string): string {
  return `Every command is in ${sopPath(name)} of the repository (\`npm run sop\` writes it from your manifest); while web answers, also at GET /${sopPath(name)}.`;
}

function written(row: Subscriber): string {
  const mark = row.active
    ? ''
    : ' — INACTIVE in the manifest, so Velvet leaves it out; write it if it holds a copy';
  return `**${row.consumer_id}** (${row.env}, wave ${row.wave})${mark}: ${consumerProcedure(row).place}.${row.instructions === undefined ? '' : ` ${row.instructions}`}`;
}

function numbered(title: string, steps: readonly string[]): string {
  return `${title}\n\n${steps.map((step, index) => `${index + 1}. ${step.replaceAll('\n', '\n   ')}`).join('\n')}\n`;
}
