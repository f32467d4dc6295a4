// velvet vault read: shows one value to the person who holds the vault's key. Law: recorded before it is shown, and shown to a terminal alone.
import { systemClock } from '../../shared/lib/clock.ts';
import { requireParts, type CliEnv } from '../../shared/lib/env.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { times } from '../../shared/times.ts';
import { fileVault, slotOfRef } from '../../workers/vault/file.ts';
import { cliEvent, operatorId } from './operator.ts';
import { withRedis } from './redis.ts';
import { note, refuse } from './say.ts';

export async function readFromVault(env: CliEnv, ref: string): Promise<void> {
  const whole = requireParts(env, 'appEnv', 'redis', 'vault');
  if (whole.vault.kind !== 'file')
    refuse(
      "VELVET_VAULT names Infisical here, and this command reads the file vault alone; the job's `vault_ref` has Infisical's own command.",
    );
  const { folder, env: refEnv, slot } = slotOfRef(ref);
  if (folder !== whole.vault.folder || refEnv !== whole.appEnv) {
    refuse(
      `${ref} belongs to the folder ${folder} of ${refEnv}; this environment is ${whole.vault.folder} of ${whole.appEnv}. Set APP_ENV, VELVET_VAULT_FOLDER and the key of that installation, or mend the reference.`,
    );
  }
  if (!process.stdout.isTTY) {
    refuse(
      'A value is shown on a terminal only: a pipe or a file would keep a copy that nobody knows of. Run it without redirection.',
    );
  }
  const vault = fileVault({ dir: whole.vault.dir, key: whole.vault.key, folder, env: refEnv });
  const value = await vault.read(slot);
  if (value === null)
    refuse(`${ref} is empty. Its job's \`vault_ref\`, or the slots in the folder, say what there is.`);
  const credential = slot.replace(/__(?:PENDING_.*|PREVIOUS_.*|AUTH_ID)$/, '');
  await withRedis(whole, (redis) =>
    createClaims(redis, systemClock, times.leaseMs).record(
      credential,
      whole.appEnv,
      cliEvent({ credential, env: whole.appEnv, event: 'value_read', detail: { vault_ref: ref } }),
    ),
  );
  note(`Recorded in the audit trail of ${credential}: ${ref}, read by ${operatorId()}.`);
  // The one place outside the workers where a value is revealed: to a person, on their own terminal.
  process.stdout.write(`${value.reveal()}\n`);
}
