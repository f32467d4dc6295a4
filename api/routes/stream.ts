// SSE: a job's events from any point on, without a gap or a repeat. Ids are `<epoch>.<audit sequence>`; data is read from the stream alone.
import { createRoute } from '@hono/zod-openapi';
import { streamSSE, type SSEStreamingApi } from 'hono/streaming';
import { logfields } from '../../shared/lib/log.ts';
import type { NumberedEvent } from '../../shared/redis/events.ts';
import { isOver, type Job } from '../../shared/rotation/job.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { demand, type Caller } from '../auth.ts';
import { jobParam, refused } from '../schemas.ts';
import { demandJob, view } from '../rotation-lookup.ts';

const PAGE = 200;

export function streamRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const route = createRoute({
    method: 'get',
    path: '/tokens/{name}/rotations/{job_id}/stream',
    tags: ['rotations'],
    summary:
      'Follow a rotation: events status, consumer, done; reset with the whole job where a resume is not possible',
    request: { params: jobParam },
    responses: {
      200: {
        description: 'text/event-stream',
        content: { 'text/event-stream': { schema: { type: 'string' } } },
      },
      204: { description: 'Everything was sent before: do not reconnect' },
      ...refused,
    },
  });
  app.openapi(route, async (context) => {
    const { name, job_id } = context.req.valid('param');
    const caller = demand(context, 'read', name);
    const job = await demandJob(deps, name, job_id);
    const start = await startOf(deps, job, context.req.header('last-event-id'));
    if (start.kind === 'over') return context.body(null, 204);
    // Nobody reads what follows a HEAD, so a follower for it would wait for ever.
    if (context.req.method === 'HEAD')
      return context.body(null, 200, { 'content-type': 'text/event-stream' });
    // Hono sends an uncaught error's own text to the client, so nothing may escape from follow().
    return streamSSE(context, (stream) =>
      follow({ deps, job, caller, stream }, start).catch((error: unknown) =>
        deps.log.warn('stream ended', { job_id, ...logfields(error) }),
      ),
    );
  });
  return app;
}

type Start =
  | { readonly kind: 'over' }
  | { readonly kind: 'from' | 'reset'; readonly after: number; readonly epoch: string };

/** Where to begin. A client that resumes across a loss of data, or behind what is kept, gets the whole job first. */
async function startOf(deps: ApiDeps, job: Job, lastEventId: string | undefined): Promise<Start> {
  const epoch = (await deps.system.epoch()) ?? 'none';
  const { oldest, last } = await deps.feed.bounds(job.credential, job.env);
  if (lastEventId === undefined)
    return { kind: epoch === 'none' ? 'reset' : 'from', after: epoch === 'none' ? last : oldest - 1, epoch };
  const [, from, seq] = /^(\w+)\.(\d{1,15})$/.exec(lastEventId) ?? [];
  const after = Number(seq);
  if (from !== epoch || Number.isNaN(after) || after < oldest - 1 || after > last)
    return { kind: 'reset', after: last, epoch };
  if (isOver(job) && !(await moreOf(deps, job, after))) return { kind: 'over' };
  return { kind: 'from', after, epoch };
}

/** Whether the job has events after this number. Other jobs of the credential may have many. */
async function moreOf(deps: ApiDeps, job: Job, after: number): Promise<boolean> {
  for (let from = after; ;) {
    const events = await deps.feed.read(job.credential, job.env, from, PAGE);
    if (events.some((event) => event.job_id === job.jobId)) return true;
    const last = events.at(-1);
    if (last === undefined || events.length < PAGE) return false;
    from = last.seq;
  }
}

interface Following {
  readonly deps: ApiDeps;
  readonly job: Job;
  readonly caller: Caller;
  readonly stream: SSEStreamingApi;
}

async function follow(at: Following, start: Exclude<Start, { kind: 'over' }>): Promise<void> {
  const { deps, job, stream } = at;
  // The first byte at once: Heroku's router gives 30 s.
  await stream.write(': velvet\n\n');
  let wake: () => void = () => undefined;
  let woken = false;
  const unfollow = await deps.feed.follow(job.credential, job.env, () => {
    woken = true;
    wake();
  });
  const ended = deps.stopping;
  stream.onAbort(() => wake());
  const onStop = () => wake();
  ended.addEventListener('abort', onStop);
  try {
    if (start.kind === 'reset') await sendReset(at, start.epoch, start.after);
    let { epoch, after } = start;
    while (!stream.aborted && !ended.aborted) {
      woken = false;
      // Redis lost data while somebody followed: the numbers that were sent may mean something else by now.
      const present = (await deps.system.epoch()) ?? 'none';
      const { last } = await deps.feed.bounds(job.credential, job.env);
      if (present !== epoch || last < after) {
        [epoch, after] = [present, last];
        await sendReset(at, epoch, after);
      }
      const sent = await sendPage(at, epoch, after);
      after = sent.after;
      if (sent.done) return;
      if (sent.full || woken) continue;
      const quiet = await pause(
        deps.times.streamHeartbeatMs,
        (resume) => (wake = resume),
        () => woken || stream.aborted || ended.aborted,
      );
      if (quiet) await stream.write(': still here\n\n');
    }
  } finally {
    ended.removeEventListener('abort', onStop);
    unfollow();
  }
}

/** The whole job, for whoever cannot go on from where they were. */
async function sendReset(
  { deps, job, caller, stream }: Following,
  epoch: string,
  after: number,
): Promise<void> {
  const whole = await view(deps, (await deps.store.load(job)) ?? job, caller);
  await stream.writeSSE({ event: 'reset', id: `${epoch}.${after}`, data: JSON.stringify(whole) });
}

/** Sends what is there after a number. Done once the job is over and its last event was sent. */
async function sendPage(
  { deps, job, stream }: Following,
  epoch: string,
  after: number,
): Promise<{ after: number; full: boolean; done: boolean }> {
  const events = await deps.feed.read(job.credential, job.env, after, PAGE);
  for (const event of events.filter((one) => one.job_id === job.jobId)) {
    await stream.writeSSE({
      event: event.consumer_id === undefined ? 'status' : 'consumer',
      id: `${epoch}.${event.seq}`,
      data: JSON.stringify(dataOf(event)),
    });
  }
  const last = events.at(-1)?.seq ?? after;
  if (events.length === PAGE) return { after: last, full: true, done: false };
  const now = await deps.store.load(job);
  if (now === null || !isOver(now)) return { after: last, full: false, done: false };
  // The job ended: what it wrote last may have come after this page.
  const rest = await deps.feed.read(job.credential, job.env, last, 1);
  if (rest.length > 0) return { after: last, full: true, done: false };
  await stream.writeSSE({
    event: 'done',
    id: `${epoch}.${last}`,
    data: JSON.stringify({ job_id: job.jobId, status: now.status, env: now.env }),
  });
  return { after: last, full: false, done: true };
}

/** A consumer's event carries the row as it is after it, so that a follower needs no further request. */
function dataOf(event: NumberedEvent): Record<string, unknown> {
  const { row, ...detail } = event.detail;
  return {
    job_id: event.job_id,
    env: event.env,
    at: event.at,
    event: event.event,
    operator_id: event.operator_id,
    ...(event.consumer_id === undefined
      ? { from: event.from_state, status: event.to_state }
      : { consumer_id: event.consumer_id, consumer: row }),
    detail,
  };
}

/** Waits until woken, or for `ms`; true where the time ran out. */
async function pause(
  ms: number,
  arm: (resume: () => void) => void,
  already: () => boolean,
): Promise<boolean> {
  if (already()) return false;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), ms);
    arm(() => {
      clearTimeout(timer);
      resolve(false);
    });
    if (already()) {
      clearTimeout(timer);
      resolve(false);
    }
  });
}
