// POST /alarm/test: a drill. It goes the way of a leak, marked DRILL, and the answer says which channel took it.
import { createRoute } from '@hono/zod-openapi';
import { VelvetError } from '../../shared/lib/errors.ts';
import { isBehind, publicReceipt, type AlarmState, type ChannelName } from '../../shared/rotation/alarm.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { demand } from '../auth.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { anyAnswer, drillBody, jsonBody, refused } from '../schemas.ts';

export function alarmRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const test = createRoute({
    method: 'post',
    path: '/alarm/test',
    tags: ['admin'],
    summary:
      'Raise the alarm as a drill; answers with what each channel made of it, after ten seconds at most',
    request: { body: jsonBody(drillBody) },
    responses: { 202: anyAnswer("The drill, and each channel's receipt"), ...refused },
  });
  app.openapi(test, async (context) => {
    const caller = demand(context, 'admin');
    const { channels } = await deps.alarms.declared(deps.clock.now());
    if (channels.length === 0)
      throw new VelvetError('degraded', 'no alarm channel', {
        detail:
          'No worker process has a channel for the alarm: set SL_BOT_NOTIFY with SLACK_ALERT_CHANNEL, or SMTP_URL with OPS_ALERT_EMAIL, for all four worker families, and see that one of them runs.',
      });
    const drill = await deps.alarms.drill(crypto.randomUUID(), deps.clock.now(), caller.slackUserId);
    deps.log.warn('drill of the alarm', { job_id: drill.jobId, operator_id: caller.owner });
    const state = await receiptsOf(deps, drill, channels);
    const shown = channels.map((name) => [name, state === null ? null : publicReceipt(state, name)]);
    return context.json({ env: deps.env, drill_id: drill.jobId, channels: Object.fromEntries(shown) }, 202);
  });
  return app;
}

/** As soon as each channel has taken it, or given it up; else what is known after the wait. */
async function receiptsOf(
  deps: ApiDeps,
  drill: JobRef,
  channels: readonly ChannelName[],
): Promise<AlarmState | null> {
  const ends = deps.clock.monotonic() + deps.times.alarmDrillWaitMs;
  for (;;) {
    const state = await deps.alarms.of(drill);
    const done = state !== null && channels.every((name) => !isBehind(state, name));
    if (done || deps.stopping.aborted || deps.clock.monotonic() >= ends) return state;
    await new Promise((resolve) => setTimeout(resolve, deps.times.answerPollMs));
  }
}
