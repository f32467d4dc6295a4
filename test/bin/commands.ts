// Runs the commands of bin/ as an operator does: as processes, with an environment of their own, piped or on a terminal.
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from '../harness.ts';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
  /** A folder of the test's own, so that the checkout's .env is no part of it. */
  readonly cwd: string;
}

const pathOf = (script: string) => fileURLToPath(new URL(`../../bin/${script}`, import.meta.url));

export function begin(script: string, args: readonly string[], { env = {}, cwd }: RunOptions): ChildProcess {
  return spawn(process.execPath, [pathOf(script), ...args], {
    cwd,
    env: { ...env, PATH: process.env['PATH'] },
  });
}

export async function run(script: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const child = begin(script, args, options);
  child.stdin?.end(options.input ?? '');
  const said = listen(child);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...said() };
}

export function velvet(args: readonly string[], options: RunOptions): Promise<Ran> {
  return run('velvet.ts', args, options);
}

/** On a pseudo-terminal, where stdout and stderr are one; `typed` is sent once `prompt` is on the screen. */
export async function onTerminal(
  args: readonly string[],
  { env = {}, cwd }: RunOptions,
  { prompt, typed }: { readonly prompt: string; readonly typed: string } = { prompt: '', typed: '' },
): Promise<{ readonly code: number | null; readonly screen: string }> {
  const command = [process.execPath, pathOf('velvet.ts'), ...args];
  const line = command.map((word) => `'${word}'`).join(' ');
  const argv = process.platform === 'darwin' ? ['-q', '/dev/null', ...command] : ['-qefc', line, '/dev/null'];
  const child = spawn('/usr/bin/script', argv, {
    cwd,
    env: { ...env, PATH: process.env['PATH'], SHELL: '/bin/sh' },
  });
  const said = listen(child);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  if (prompt !== '') {
    await until(
      () => (said().stdout.includes(prompt) ? true : null),
      10_000,
      () => `the prompt; there is: ${said().stdout}`,
    );
    child.stdin.write(typed);
  }
  return { code: await ended, screen: said().stdout };
}

function listen(child: ChildProcess): () => { readonly stdout: string; readonly stderr: string } {
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => (said.stdout += chunk.toString('utf8')));
  child.stderr?.on('data', (chunk: Buffer) => (said.stderr += chunk.toString('utf8')));
  return () => ({ ...said });
}
