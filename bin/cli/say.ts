// How a command speaks: results on stdout, everything else on stderr. Law: a failure is a sentence that says what to do, never a stack.
import { EnvError } from '../../shared/lib/env.ts';
import { isVelvetError, VelvetError } from '../../shared/lib/errors.ts';
import { ManifestError } from '../../shared/manifest/load.ts';

/** Ends the command with this sentence and exit code 1. */
export function refuse(sentence: string): never {
  throw new VelvetError('invalid_request', sentence, { detail: sentence });
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What a person reads of a failure. The code is there to be looked up; a command's own refusal has none that would help. */
export function wordsFor(error: unknown): string {
  if (error instanceof ManifestError || error instanceof EnvError) return error.message;
  if (isVelvetError(error))
    return error.code === 'invalid_request' ? error.detail : `${error.detail} (${error.code})`;
  const said = error instanceof Error ? `${error.name}: ${error.message}` : 'no error at all';
  return `Something that nobody foresaw (${said}). Nothing more is known; report it with the command that you gave.`;
}

/** Runs a command to its end; what it throws becomes words on stderr and exit code 1. */
export async function runCommand(command: () => Promise<void> | void): Promise<void> {
  try {
    await command();
  } catch (error) {
    note(wordsFor(error));
    process.exitCode = 1;
  }
}
