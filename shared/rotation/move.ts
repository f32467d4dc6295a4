// One change of a job's status, as whoever watches is told of it: once it is on record, and before the tasks that it causes are on their way, so that what they log comes after it.
import type { Job } from './job.ts';
import type { Status } from './statuses.ts';

export interface Move {
  /** As it was before. */
  readonly job: Job;
  readonly to: Status;
  /** What happened. */
  readonly on: string;
  /** The person, or who signs for Velvet. */
  readonly operatorId: string;
  readonly now: number;
}
