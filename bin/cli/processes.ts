// Child processes as a process manager keeps them: named lines, restarts, an orderly end. Law: it ends only what it started.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Environment } from './installation.ts';

export interface ProcessSpec {
  readonly name: string;
  readonly command: readonly string[];
  /** All of it: nothing of this process's own environment is added but the PATH. */
  readonly env: Environment;
  /** How long to wait before it is started again, by how often it died lately; null: never again. */
  readonly againAfterMs: (deaths: number) => number | null;
}

export interface CrewOptions {
  readonly cwd: string;
  readonly onLine: (name: string, line: string) => void;
  /** Started, died, started again: in words, for a person. */
  readonly onEvent: (name: string, text: string) => void;
}

export interface Crew {
  /** Does nothing once the crew is being stopped. */
  start(spec: ProcessSpec): void;
  /** Name → process id, of those that run now. */
  pids(): ReadonlyMap<string, number>;
  /** SIGTERM to all, SIGKILL to what is left after `graceMs`; resolves when all are gone and their last lines were read. */
  stop(graceMs: number): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly closed: Promise<void>;
}

/** One that ran for a minute was well; what kills it then is no repetition. */
const WELL_AFTER_MS = 60_000;

export function createCrew({ cwd, onLine, onEvent }: CrewOptions): Crew {
  const running = new Map<string, Running>();
  const waiting = new Set<NodeJS.Timeout>();
  let stopping = false;
  // Should this process fail in a way that nobody foresaw, nothing that it started stays behind.
  process.once('exit', () => running.forEach(({ child }) => killGroup(child)));

  function run(spec: ProcessSpec, deathsBefore: number): void {
    const startedAt = systemClock.monotonic();
    const [file = '', ...args] = spec.command;
    const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
    // A group of its own: the terminal's Ctrl-C reaches this process alone, which ends the others in their order.
    const child = spawn(file, args, {
      cwd,
      env: { ...spec.env, PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const closed = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.once('error', () => resolve());
    });
    running.set(spec.name, { child, closed });
    readLines(child.stdout, (line) => onLine(spec.name, line));
    readLines(child.stderr, (line) => onLine(spec.name, line));
    child.once('error', (error) => ended(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => ended(`died (${signal ?? `exit code ${code}`})`));

    function ended(how: string): void {
      // While it is being stopped, `stop` still waits for its last lines.
      if (stopping) return;
      running.delete(spec.name);
      const deaths = systemClock.monotonic() - startedAt > WELL_AFTER_MS ? 1 : deathsBefore + 1;
      const againMs = spec.againAfterMs(deaths);
      onEvent(spec.name, againMs === null ? how : `${how}; starting it again in ${againMs / 1000} s`);
      if (againMs === null) return;
      const timer = setTimeout(() => {
        waiting.delete(timer);
        run(spec, deaths);
        onEvent(spec.name, `started again, pid ${running.get(spec.name)?.child.pid ?? 'unknown'}`);
      }, againMs);
      waiting.add(timer);
    }
  }

  return {
    start(spec) {
      if (!stopping) run(spec, 0);
    },

    pids() {
      const pids = [...running].map(([name, { child }]) => [name, child.pid] as const);
      return new Map(pids.filter((entry): entry is [string, number] => entry[1] !== undefined));
    },

    async stop(graceMs) {
      stopping = true;
      waiting.forEach(clearTimeout);
      const all = [...running.values()];
      all.forEach(({ child }) => child.kill('SIGTERM'));
      const late = setTimeout(() => all.forEach(({ child }) => killGroup(child)), graceMs);
      await Promise.all(all.map(({ closed }) => closed));
      clearTimeout(late);
      running.clear();
    },
  };
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on('line', onLine);
}

/** The group that was made for this child, so that nothing it started outlives it. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself in this moment.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

export interface Procfile {
  readonly name: string;
  readonly command: readonly string[];
}

/** The lines of a Procfile that keep running; `release` is a step of a deploy, not a process. */
export function readProcfile(file: string): readonly Procfile[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, name, command] = /^([A-Za-z0-9_-]+):\s*(.+)$/.exec(line.trim()) ?? [];
      if (name === undefined || command === undefined || name === 'release') return [];
      // exec: the process itself gets the signals and has the pid that is shown, not a shell in front of it.
      return [{ name, command: ['sh', '-c', `exec ${command}`] }];
    });
}

/** 1 s, then twice as long each time, half a minute at most. */
export function doubling(deaths: number): number {
  return Math.min(30_000, 1_000 * 2 ** (deaths - 1));
}
