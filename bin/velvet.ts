#!/usr/bin/env node
// The operator's command line: keys, manifest, service tokens, vault. Law: no secret is ever an argument, where `ps` and the shell's history would keep it.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { readEnv, type CliEnv } from '../shared/lib/env.ts';
import { loadManifest } from '../shared/manifest/load.ts';
import { installationEnv } from './cli/installation.ts';
import { keygen } from './cli/keygen.ts';
import { runCommand } from './cli/say.ts';
import type { TokenOptions } from './cli/service-token.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const velvet = new Command('velvet')
  .description(
    'Rotates credentials and proves that every consumer runs on the new one before it revokes the old.',
  )
  .version(version)
  .showHelpAfterError('(--help shows what there is)');

velvet
  .command('keygen')
  .description('keys for a new installation, as .env lines: on a terminal, or in a new file of mode 600')
  .option('--out <file>', 'the file to make; one that is there is never overwritten')
  .action((options: { out?: string }) => runCommand(() => keygen(options.out)));

const manifest = velvet.command('manifest').description('the list of credentials and their consumers');
manifest
  .command('check')
  .description('every mistake at once, each with file, line and column')
  .argument('[file]', 'instead of the one that this installation uses')
  .action((file: string | undefined) =>
    runCommand(() => {
      const { manifestPath, allowLoopback, velvetApp, infisicalPlace } = environment();
      const { credentials, subscribers } = loadManifest(file ?? manifestPath, {
        allowLoopback,
        velvetApp,
        infisicalPlace,
      });
      process.stdout.write(
        `ok: ${counted(credentials.length, 'credential')}, ${counted(subscribers.length, 'row')}\n`,
      );
    }),
  );

const token = velvet.command('token').description('service tokens for the API');
token
  .command('create')
  .description('make one, straight in Redis; it is printed this once, alone on stdout')
  .requiredOption('--owner <person>', 'who answers for it; two tokens of one owner are one person')
  .requiredOption('--scopes <list>', 'read, rotate, revoke, admin, separated by commas')
  .option('--credentials <list>', 'limit it to these: names, or beginnings that end in *')
  .option('--expires-in <time>', '12h, 30d, 8w; a year at most', '30d')
  .option('--name <name>', "what it is called in lists; the owner's name unless given")
  .option('--slack-user <id>', 'who gets the direct messages, e.g. U012AB3CD')
  .addHelpText(
    'after',
    '\nExample: VELVET_TOKEN="$(npx velvet token create --owner ada --scopes rotate,admin)"',
  )
  .action((options: TokenOptions) =>
    runCommand(async () => {
      // The API's schemas take a moment to load, and no other command needs them.
      const { createServiceToken } = await import('./cli/service-token.ts');
      await createServiceToken(environment(), options);
    }),
  );

velvet
  .command('adopt')
  .description(
    "put a credential's present value, or an authority, into the vault; typed when asked, or piped",
  )
  .argument('<name>', 'as the manifest spells it')
  .option('--force', 'take a value that its issuer refuses, or that could not be checked', false)
  .addHelpText(
    'after',
    '\nThe value is never an argument: `printf %s "$VALUE" | npx velvet adopt HK_PLATFORM_FULL`',
  )
  .action((name: string, options: { force: boolean }) =>
    runCommand(async () => {
      const { adopt } = await import('./cli/adopt.ts');
      await adopt(environment(), name, options);
    }),
  );

velvet
  .command('submit')
  .description('the new token of a rotation that is minted by hand; typed when asked, or piped')
  .argument('<credential>', 'as the manifest spells it')
  .addHelpText(
    'after',
    '\nNeeds VELVET_URL and VELVET_TOKEN. The value is never an argument: `printf %s "$NEW" | npx velvet submit PM_SERVER_MAIL`',
  )
  .action((name: string) =>
    runCommand(async () => {
      const { submit } = await import('./cli/submit.ts');
      await submit(environment(), name);
    }),
  );

const vault = velvet.command('vault').description("Velvet's own vault of encrypted files");
vault
  .command('read')
  .description('show one value on this terminal; the audit trail keeps that you did')
  .argument('<vault_ref>', 'as a job shows it, e.g. file:/velvet/prod/HK_PLATFORM_FULL')
  .action((ref: string) =>
    runCommand(async () => {
      const { readFromVault } = await import('./cli/vault-read.ts');
      await readFromVault(environment(), ref);
    }),
  );

const audit = velvet.command('audit').description('the sealed audit trail');
audit
  .command('key')
  .description('the public half of the key that seals it, for whoever verifies what left')
  .action(() =>
    runCommand(async () => {
      const { publicKey } = await import('./cli/audit-verify.ts');
      publicKey(installationEnv(process.cwd()));
    }),
  );
audit
  .command('verify')
  .description('check what left the trail for the log, offline; exit code 0 only where it is intact')
  .argument('<file>', 'the log of the stage process, or its lines that say `audit segment left`')
  .requiredOption(
    '--key <public key...>',
    'what `velvet audit key` prints, or a file that holds it; several where the key was replaced',
  )
  .action((file: string, options: { key: string[] }) =>
    runCommand(async () => {
      const { verifyExport } = await import('./cli/audit-verify.ts');
      verifyExport(file, options.key);
    }),
  );

await velvet.parseAsync();

function environment(): CliEnv {
  return readEnv('cli', installationEnv(process.cwd()));
}

function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
