// What one worker family does: its tasks, its duties, and what runs beside them.
import type { Duty } from './duties.ts';
import type { GroundDeps } from './on-sure-ground.ts';
import type { Handlers } from './run.ts';

export interface RunningFamily {
  readonly ready: Promise<unknown>;
  stop(): Promise<void>;
}

export interface Work {
  readonly handlers: Handlers;
  readonly duties: readonly Duty[];
  readonly reconcile?: GroundDeps['reconcile'];
  /** Credentials that are held against the world although Redis may know nothing of them. */
  readonly alsoLooked?: () => Promise<readonly { readonly credential: string; readonly env: string }[]>;
  /** What runs beside tasks and duties, and ends after them. */
  readonly beside?: readonly RunningFamily[];
}
