// /metrics for Prometheus: what all processes measured together, and what can be counted when it is asked. No credential is named in it.
import { createRoute, z } from '@hono/zod-openapi';
import { depthStates, queueDepths } from '../../shared/queue/depths.ts';
import { keptNumbers } from '../../shared/redis/metrics.ts';
import { workerFamilies } from '../../shared/redis/system-store.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { demand } from '../auth.ts';
import { metricsText, metricsType, type Gauge } from '../metrics-text.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { refused } from '../schemas.ts';

export function metricsRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const route = createRoute({
    method: 'get',
    path: '/metrics',
    tags: ['health'],
    summary: 'Numbers for Prometheus, of all processes together',
    responses: {
      200: { description: metricsType, content: { 'text/plain': { schema: z.string() } } },
      ...refused,
    },
  });
  app.openapi(route, async (context) => {
    demand(context, 'read');
    const [kept, ...gauges] = await Promise.all([
      keptNumbers(deps.redis),
      jobsAndOutbox(deps),
      queues(deps),
      families(deps),
    ]);
    return context.text(metricsText(kept, gauges.flat()), 200, { 'content-type': metricsType });
  });
  return app;
}

async function jobsAndOutbox({ store, clock }: ApiDeps): Promise<readonly Gauge[]> {
  const now = clock.now();
  const found = await Promise.all(
    (await store.credentials()).map(async ({ credential, env }) => {
      const [jobs, tasks] = await Promise.all([
        store.openJobs(credential, env),
        store.outbox(credential, env),
      ]);
      return {
        jobs,
        lags: await Promise.all(tasks.map(async (task) => now - (await decidedAt(task, jobs)))),
      };
    }),
  );
  const counted = Map.groupBy(
    found.flatMap(({ jobs }) => jobs),
    ({ flowType, status }) => `${flowType} ${status}`,
  );
  const lags = found.flatMap((one) => one.lags);
  return [
    {
      name: 'velvet_jobs',
      help: 'Jobs that are not over, by flow and status.',
      samples: [...counted.keys()].toSorted().map((key) => {
        const [flow = '', status = ''] = key.split(' ');
        return { labels: { flow, status }, value: counted.get(key)?.length ?? 0 };
      }),
    },
    {
      name: 'velvet_outbox_tasks',
      help: 'Tasks that were decided and that no queue has taken yet.',
      samples: [{ labels: {}, value: lags.length }],
    },
    {
      name: 'velvet_outbox_lag_seconds',
      help: 'How long the oldest of them has waited for a queue to take it.',
      samples: [{ labels: {}, value: Math.max(0, ...lags) / 1000 }],
    },
  ];

  /** A task says for which version it was decided; when that was, its job says. */
  async function decidedAt(task: Task, jobs: readonly Job[]): Promise<number> {
    const job = jobs.find(({ jobId }) => jobId === task.jobId) ?? (await store.load(task));
    return job === null ? now : Math.max(job.statusSince, job.cleanupSince);
  }
}

async function queues(deps: ApiDeps): Promise<readonly Gauge[]> {
  const depths = await queueDepths(deps.queues, deps.clock);
  return [
    {
      name: 'velvet_queue_tasks',
      help: 'Tasks on each queue, by what becomes of them.',
      samples: depths.flatMap(({ queue, counts }) =>
        depthStates.map((state) => ({ labels: { queue, state }, value: counts[state] })),
      ),
    },
    {
      name: 'velvet_queue_oldest_seconds',
      help: 'How long ago the task was made that waits at the head of the queue; 0 where none waits.',
      samples: depths.map(({ queue, oldestMs }) => ({ labels: { queue }, value: oldestMs / 1000 })),
    },
  ];
}

async function families({ system }: ApiDeps): Promise<readonly Gauge[]> {
  const silent = await system.silentFamilies();
  return [
    {
      name: 'velvet_family_up',
      help: 'Whether a process of the worker family has beaten in the last 30 s.',
      samples: workerFamilies.map((family) => ({
        labels: { family },
        value: silent.includes(family) ? 0 : 1,
      })),
    },
  ];
}
