// Takes a value from a person or a pipe. Law: it is never an argument, is never echoed, and leaves here as a Secret alone.
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { Secret } from '../../shared/lib/secret.ts';
import { faultOfValue } from '../../shared/lib/typed-value.ts';
import { refuse } from './say.ts';

/** No vendor's token comes near it; a larger text is a file that was piped by mistake. */
const BYTES_MAX = 64 * 1024;

/** Typed into a terminal without echo, else all of stdin. Throws for what cannot be one value, naming the command to give again. */
export async function readValue(name: string, command: 'adopt' | 'submit'): Promise<Secret> {
  const text = process.stdin.isTTY ? await typed(`Value of ${name} (not shown): `) : await piped();
  const value = text.replace(/\r?\n$/, '');
  if (value === '')
    refuse(
      `No value came in. Type it when asked, or pipe it: \`printf %s "$VALUE" | npx velvet ${command} ${name}\`.`,
    );
  const fault = faultOfValue(value);
  if (fault !== null) refuse(`The value ${fault}. Type or pipe the value alone.`);
  return new Secret(value);
}

async function typed(prompt: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  // With a terminal of its own readline switches the echo off before anything is asked, and edits into nowhere.
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  try {
    process.stderr.write(prompt);
    return await new Promise<string>((resolve, reject) => {
      reader.once('line', resolve);
      reader.once('close', () => resolve(''));
      reader.once('SIGINT', () => reject(new Error('interrupted')));
    }).catch(() => refuse('Stopped; nothing was changed.'));
  } finally {
    process.stderr.write('\n');
    reader.close();
  }
}

async function piped(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > BYTES_MAX) refuse('More than 64 KiB came in, which is no token. Pipe the value alone.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    return refuse('What came in is not text in UTF-8. Pipe the value alone.');
  }
}
