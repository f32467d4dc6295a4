// The processes of a fleet: each with its own log, signalled by its pid. Law: it signals what it started and lives, and nothing else.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { Environment } from '../../bin/cli/installation.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { until } from '../harness.ts';
import { startReaper, type Reaper } from './reaper.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Wall clock, ms. */
  readonly at: number;
}

export interface Member {
  /** `stage-2`: the second one of its kind. */
  readonly name: string;
  readonly kind: string;
  readonly pid: number;
  /** Null while it lives. */
  readonly ended: Ended | null;
  readonly gone: Promise<Ended>;
  /** Sends a signal; answers when (wall clock, ms). Throws where it is gone already: the test would be about nothing. */
  signal(signal: NodeJS.Signals): number;
  log(): string;
}

export interface MemberSpec {
  readonly kind: string;
  readonly command: readonly string[];
  /** All of it, but for the PATH. */
  readonly env: Environment;
}

export interface Members {
  start(spec: MemberSpec): Member;
  /** Those of a kind that live, oldest first. */
  living(kind: string): readonly Member[];
  /** Everybody who ever was. */
  all(): readonly Member[];
  /** SIGTERM to all, SIGKILL to what is left after `graceMs`; sleepers are woken first. */
  stop(graceMs: number): Promise<void>;
}

let reaper: Reaper | null = null;

export function createMembers(cwd: string, logDir: string): Members {
  mkdirSync(logDir, { recursive: true });
  const members: Member[] = [];
  function start({ kind, command, env }: MemberSpec): Member {
    const name = `${kind}-${members.filter((one) => one.kind === kind).length + 1}`;
    const file = join(logDir, `${name}.log`);
    const descriptor = openSync(file, 'a');
    const [program = '', ...args] = command;
    const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
    const child = spawn(program, args, {
      cwd,
      env: { ...env, PATH },
      stdio: ['ignore', descriptor, descriptor],
    });
    closeSync(descriptor);
    const member = memberOf({ name, kind, child, file });
    members.push(member);
    return member;
  }

  return {
    start,
    living: (kind) => members.filter((member) => member.kind === kind && member.ended === null),
    all: () => members,
    async stop(graceMs) {
      members.forEach((member) => end(member, 'SIGCONT'));
      members.forEach((member) => end(member, 'SIGTERM'));
      const late = setTimeout(() => members.forEach((member) => end(member, 'SIGKILL')), graceMs);
      await Promise.all(members.map((member) => member.gone));
      clearTimeout(late);
    },
  };
}

function end(member: Member, signal: NodeJS.Signals): void {
  if (member.ended === null) member.signal(signal);
}

interface Started {
  readonly name: string;
  readonly kind: string;
  readonly child: ChildProcess;
  readonly file: string;
}

function memberOf({ name, kind, child, file }: Started): Member {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} could not be started: ${child.spawnfile}`);
  let ended: Ended | null = null;
  // Should the tests end in a way that nobody foresaw, nothing that they started stays behind.
  reaper ??= startReaper();
  reaper.watch(pid);
  const gone = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      reaper?.forget(pid);
      ended = { code, signal, at: systemClock.now() };
      resolve(ended);
    });
  });
  return {
    name,
    kind,
    pid,
    get ended() {
      return ended;
    },
    gone,
    signal(signal) {
      const at = systemClock.now();
      if (ended !== null || !child.kill(signal)) throw new Error(`${name} (${pid}) is gone already`);
      return at;
    },
    log: () => readFileSync(file, 'utf8'),
  };
}

/** About a second on an idle machine; a busy one is no finding about Velvet. */
const READY_MS = 90_000;

/** Resolves once the process has said that it is ready. Throws with its log where it ends before. */
export async function ready(member: Member): Promise<Member> {
  return until(
    () => {
      if (/\bmsg="?ready\b/.test(member.log())) return member;
      if (member.ended !== null)
        throw new Error(`${member.name} ended before it was ready:\n${member.log()}`);
      return null;
    },
    READY_MS,
    () => `${member.name} to be ready:\n${member.log()}`,
  );
}
