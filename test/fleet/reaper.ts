// Ends what a test process started and can no longer end, however it died. Law: it signals only the ids that were told to it and not taken back.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Reaper {
  watch(pid: number): void;
  /** It is gone: its id may be somebody else's by now. */
  forget(pid: number): void;
}

/** Starts a process that outlives this one by a moment: when this one's end closes its input, it kills what is left. */
export function startReaper(): Reaper {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    // In a group of its own: Ctrl-C, and what ends this process's group, must leave it alive until it has done its work.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin.on('error', () => undefined);
  child.unref();
  const { stdin } = child;
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  return {
    watch: (pid) => void stdin.write(`+${pid}\n`),
    forget: (pid) => void stdin.write(`-${pid}\n`),
  };
}

async function reap(): Promise<void> {
  const pids = new Set<number>();
  for await (const line of createInterface({ input: process.stdin })) {
    const pid = Number(line.slice(1));
    if (line.startsWith('+')) pids.add(pid);
    else pids.delete(pid);
  }
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // It ended in this moment.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await reap();
