// One seed's story while it is told: the world, its people, what is true of it, and the trail of every decision.
import type { HerokuApp } from '../sim/heroku-apps.ts';
import { CREDENTIAL, ENV, KEY } from '../schedule/outside.ts';
import type { ScheduleWorld } from '../schedule/world.ts';
import type { Strand } from '../schedule/turns.ts';
import type { JobRef, QueueName } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { isOver } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Random } from './random.ts';

/** A token's end at the vendor that no hand brought about, and who ran on it or held it then. */
export interface Cut {
  readonly token: string;
  readonly holders: readonly string[];
}

export interface Story {
  readonly seed: number;
  readonly world: ScheduleWorld;
  readonly random: Random;
  readonly trail: string[];
  /** In the order in which they were opened. */
  readonly jobs: string[];
  readonly workers: Readonly<Partial<Record<QueueName, readonly string[]>>>;
  readonly sweepers: readonly string[];
  /** Values that a consumer has because a person wrote them there, or vouched for it. */
  readonly explained: Map<string, Set<string>>;
  /** Tokens that a person ended. */
  readonly ended: Set<string>;
  readonly cuts: Cut[];
  /** Jobs whose end was looked at. */
  readonly settled: Set<string>;
  /** Handle → token, of every one that there ever was. */
  readonly tokens: Map<string, string>;
  /** Who did something that is still under way. */
  readonly busy: Map<string, Strand>;
  /** Whose answers are still to come: their places in the world's list. */
  readonly heard: { readonly at: number; readonly who: string }[];
  readonly calm: { sweptAt: number; moved: boolean; silent: number };
  /** Until then the vendor is not there, or refuses everybody. */
  outage: { readonly until: number; readonly how: 'fail' | 'spoil' };
  /** Whether anything happened since the last look at what must be true. */
  unseen: boolean;
  /** How many looks at rest there were. */
  rests: number;
  decisions: number;
}

export const refTo = (jobId: string): JobRef => ({ credential: CREDENTIAL, env: ENV, jobId });

/** The job that holds the credential; where none does, the last one that is not over; where all are, the last one that ended. */
export async function focusOf(story: Story): Promise<Job> {
  const { world, jobs } = story;
  const claimant = await world.store.claimant(refTo(''));
  if (claimant !== null) return world.job(refTo(claimant));
  const all = await Promise.all(jobs.map((id) => world.job(refTo(id))));
  const open = all.filter((job) => !isOver(job));
  const [first] = open.length > 0 ? open : all.toSorted((a, b) => b.updatedAt - a.updatedAt);
  if (first === undefined) throw new Error('a story without a job');
  return first;
}

export const held = (app: HerokuApp): readonly string[] => [app.env()[KEY] ?? '', app.config[KEY] ?? ''];

export function explain(story: Story, name: string, values: readonly string[]): void {
  const known = story.explained.get(name) ?? new Set();
  for (const value of values) known.add(value);
  story.explained.set(name, known);
}

export function appOf(story: Story, name: string): HerokuApp {
  const app = story.world.outside.apps.find((one) => one.name === name);
  if (app === undefined) throw new Error(`no app ${name}`);
  return app;
}

/** Whether a person took it upon themselves that the row is as it is. */
export function spokenFor(row: Row | undefined): boolean {
  if (row === undefined) return false;
  return (
    row.stale ||
    row.confirmed_by !== null ||
    row.distribute_status === 'skipped' ||
    row.validate_status === 'skipped'
  );
}

export function newTokenOf(story: Story, job: Job): string | null {
  return job.newAuthId === null ? null : (story.tokens.get(job.newAuthId) ?? null);
}

export function tell(story: Story, line: string): void {
  story.trail.push(line);
}

/** What differs between two tellings of one seed (ids, values, fences) by the order in which it comes up. */
export function told(trail: readonly string[]): readonly string[] {
  const ids = new Map<string, string>();
  const nameOf = (id: string) => {
    const known = ids.get(id) ?? `id-${ids.size + 1}`;
    ids.set(id, known);
    return known;
  };
  return trail.map((line) =>
    line
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, nameOf)
      .replaceAll(/(PENDING_\d+)-[A-Za-z0-9]{8}/g, '$1'),
  );
}

export function answered(answer: unknown): string {
  if (answer === undefined || answer === 'done') return answer ?? 'no answer';
  return isVelvetError(answer) ? answer.code : typeof answer;
}
