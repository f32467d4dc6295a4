// The alarm as a PagerDuty event (Events API v2), or to whoever takes its body. One event per alarm: its dedup_key makes updates of repeats.
import type { WebhookEnv } from '../../shared/lib/env-alarm.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Times } from '../../shared/times.ts';
import type { Door } from '../vendors/http.ts';
import { leakCount, plainScript, type Message, type Part } from './alarm-messages.ts';
import { classOf, isOverNow, isUpdate, leaks } from './alarm-words.ts';
import type { Channel } from './pager.ts';

/** PagerDuty takes 512 KB, and 1,024 characters of summary. */
const ROOM = 100_000;
const SUMMARY = 1_024;

export interface WebhookDeps {
  readonly env: WebhookEnv;
  readonly door: Door;
  readonly times: Pick<Times, 'alarmSendMs'>;
}

export function webhookChannel({ env, door, times }: WebhookDeps): Channel {
  const given = new URL(env.url.reveal());
  const key = given.searchParams.get('routing_key') ?? '';
  const routingKey = key === '' ? null : new Secret(key);
  given.searchParams.delete('routing_key');
  // Of a receiver of one's own the path may be all that keeps others out.
  const parts = [given.pathname, given.search].filter((part) => part.length > 1);
  const secrets = [...parts.map((part) => new Secret(part)), ...(routingKey === null ? [] : [routingKey])];
  return {
    name: 'webhook',
    paceMs: 0,
    most: 1,
    room: ROOM,
    script: plainScript,
    audience: () => 'webhook',
    async send(call, message) {
      const [part] = message.parts;
      if (part === undefined) return { ref: '', rejected: [] };
      const { dedupKey, body } = eventOf(message, part);
      await door.send(call, {
        vendor: 'webhook',
        method: 'POST',
        url: given.href,
        json: { ...(routingKey === null ? {} : { routing_key: routingKey }), ...body },
        secrets,
        timeoutMs: times.alarmSendMs,
      });
      return { ref: dedupKey, rejected: [] };
    },
  };
}

function eventOf(
  message: Message,
  part: Part,
): { dedupKey: string; body: Readonly<Record<string, unknown>> } {
  const { subject } = part;
  const { ref, raised } = subject.state;
  const dedupKey = `${ref.jobId}.${raised.episode}`;
  // What nobody heard of is raised even where it is over by now: that somebody hears of it is what it is for.
  if (isUpdate(subject) && isOverNow(subject))
    return { dedupKey, body: { event_action: 'resolve', dedup_key: dedupKey } };
  const count = leakCount([part]);
  const summary = `${message.subject}${count === 0 ? '' : `: ${leaks(subject).map((row) => row.consumer_id).join(', ')}`}`; // prettier-ignore
  return {
    dedupKey,
    body: {
      event_action: 'trigger',
      dedup_key: dedupKey,
      payload: {
        summary: summary.slice(0, SUMMARY),
        source: 'velvet',
        severity: raised.kind === 'drill' ? 'info' : 'critical',
        timestamp: new Date(raised.raised_at).toISOString(),
        component: ref.credential,
        group: ref.env,
        class: raised.kind === 'drill' ? 'drill' : 'leak',
        custom_details: {
          env: ref.env,
          job_id: ref.jobId,
          credential: ref.credential,
          episode: raised.episode,
          consumers: leaks(subject).map((row) => ({ consumer_id: row.consumer_id, class: classOf(row) })),
          text: message.text,
        },
      },
    },
  };
}
