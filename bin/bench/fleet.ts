// Worker processes of a bench, each family in one of its own, with the product's own times.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { WorkerFamily } from '../../shared/redis/system-store.ts';
import { until } from '../../test/harness.ts';
import { createCrew } from '../cli/processes.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const READY_MS = 30_000;
const GRACE_MS = 2_000;

export interface Fleet extends AsyncDisposable {
  /** The last lines of all of them, for the case that something fails. */
  readonly said: () => string;
}

/** Resolves when all of them take tasks. */
export async function startFleet(
  families: readonly WorkerFamily[],
  env: Readonly<Record<string, string>>,
): Promise<Fleet> {
  const lines: string[] = [];
  const ready = new Set<string>();
  const crew = createCrew({
    cwd: root,
    onLine(name, line) {
      lines.push(`${name} ${line}`);
      if (lines.length > 200) lines.shift();
      if (/ msg=ready/.test(line)) ready.add(name);
    },
    onEvent: (name, text) => lines.push(`${name} ${text}`),
  });
  const said = () => lines.slice(-20).join('\n');
  for (const name of families)
    crew.start({
      name,
      command: [process.execPath, 'workers/main.ts', name],
      env: envOf(name, env),
      againAfterMs: () => null,
    });
  try {
    await until(() => families.every((name) => ready.has(name)) || null, READY_MS, said);
  } catch (error) {
    await crew.stop(0);
    throw error;
  }
  return { said, [Symbol.asyncDispose]: () => crew.stop(GRACE_MS) };
}

/** What that family finds in its environment. */
export function envOf(
  family: WorkerFamily,
  env: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  if (family !== 'stage') return env;
  return { ...env, VELVET_AUDIT_SIGNING_KEY: randomBytes(32).toString('base64') };
}
