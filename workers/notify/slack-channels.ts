// The alarm on Slack: in the alert channel, and in person to whoever moved the job last. Two channels with one provider, each with its own pace.
import type { SlackEnv } from '../../shared/lib/env-alarm.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Log } from '../../shared/lib/log.ts';
import type { Times } from '../../shared/times.ts';
import type { Door } from '../vendors/http.ts';
import { slackScript } from './alarm-messages.ts';
import type { Channel } from './pager.ts';
import { createSlack } from './slack.ts';

/** Slack shows a text best under 4,000 characters, and each alarm takes some 250: what is more comes a second later. */
const ROOM = 3_900;
const MOST = 25;

export interface SlackChannelDeps {
  readonly env: SlackEnv;
  readonly door: Door;
  readonly times: Pick<Times, 'alarmSendMs' | 'alarmPaceMs'>;
  readonly log: Log;
}

export function slackChannels({ env, door, times, log }: SlackChannelDeps): readonly Channel[] {
  const { token, apiUrl, operatorChannel, alertChannel } = env;
  const slack = createSlack({ token, apiUrl, door, timeoutMs: times.alarmSendMs });
  const form = { paceMs: times.alarmPaceMs, most: MOST, room: ROOM, script: slackScript };
  return [
    {
      ...form,
      name: 'slack',
      audience: () => alertChannel,
      async send(call, { text }, channel) {
        return { ref: await slack.post(call, channel, text), rejected: [] };
      },
    },
    {
      ...form,
      name: 'dm',
      audience({ job, state }) {
        const person = job?.movedBy?.slackUserId ?? state.raised.person;
        if (person !== null) return person;
        // Where the operators' channel is the alert channel it has the alarm already.
        return operatorChannel === alertChannel ? null : operatorChannel;
      },
      async send(call, { text }, to) {
        try {
          return { ref: await slack.post(call, to, text), rejected: [] };
        } catch (error) {
          // Somebody who left, or a mistyped id: the alarm is for whoever works on it now.
          const person = to.startsWith('U') || to.startsWith('W');
          if (!person || !isVelvetError(error) || error.code !== 'vendor_rejected') throw error;
          log.warn('alarm not told in person', { to, detail: error.detail });
          return { ref: await slack.post(call, operatorChannel, text), rejected: [] };
        }
      },
    },
  ];
}
