// PagerDuty's Events API v2 with one integration: takes events, opens and ends incidents by their dedup_key, refuses what lacks a member.
import { admitAll, startSim } from './server.ts';
import type { Answer, Call, Sim } from './server.ts';

export interface PagerDutyEvent {
  readonly event_action: 'trigger' | 'acknowledge' | 'resolve';
  readonly dedup_key: string;
  readonly payload?: Readonly<Record<string, unknown>> & {
    readonly summary: string;
    readonly severity: string;
  };
}

export interface PagerDutySim extends Sim {
  /** What is configured as the alarm's address, its key in the query. */
  readonly enqueueUrl: string;
  readonly events: readonly PagerDutyEvent[];
  /** The incidents that are open, by their keys. */
  readonly open: ReadonlySet<string>;
}

export async function startPagerDuty(routingKey: string): Promise<PagerDutySim> {
  const events: PagerDutyEvent[] = [];
  const open = new Set<string>();
  const sim = await startSim<null>({
    routes: { 'POST /v2/enqueue': ({ request }: Call<null>) => enqueue(request.body) },
    authorize: admitAll,
    notFound: { status: 404, body: { status: 'not found' } },
    badBody: invalid('Event object is not valid JSON'),
    rateLimited: (retryAfterS) => ({
      status: 429,
      headers: retryAfterS === null ? {} : { 'retry-after': String(retryAfterS) },
      body: { status: 'throttle exceeded', message: 'Requests for this service are arriving too quickly.' },
    }),
  });

  function enqueue(body: unknown): Answer {
    const event = body as PagerDutyEvent & { routing_key?: string };
    if (event.routing_key !== routingKey) return invalid('Invalid routing key');
    const { payload, event_action: action, dedup_key: key } = event;
    const whole = ['summary', 'source', 'severity'].every((name) => typeof payload?.[name] === 'string');
    if (action === 'trigger' && !whole) return invalid("'payload.summary' is missing or blank");
    if (typeof payload?.summary === 'string' && payload.summary.length > 1024)
      return invalid("'payload.summary' is too long");
    events.push(event);
    if (action === 'trigger') open.add(key);
    else if (action === 'resolve') open.delete(key);
    return { status: 202, body: { status: 'success', message: 'Event processed', dedup_key: key } };
  }
  return Object.assign(sim, { enqueueUrl: `${sim.url}/v2/enqueue?routing_key=${routingKey}`, events, open });
}

function invalid(error: string): Answer {
  return {
    status: 400,
    body: { status: 'invalid event', message: 'Event object is invalid', errors: [error] },
  };
}
