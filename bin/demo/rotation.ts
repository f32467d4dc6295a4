// The demo's own scenario, and the runbook's on top of it: one rotation from its creation to done, then what the stream and Slack told of it.
import { systemClock } from '../../shared/lib/clock.ts';
import { pause } from './client.ts';
import { printProofs, printTrail } from './report.ts';
import { checkStream, runbook, type StreamCheck } from './runbook.ts';
import type { Stage, Story } from './story.ts';
import { walk, type Walk } from './walk.ts';

/** The consumer that fails in the runbook's scenario. */
const FAILING_APP = 'raxx-api-prod';
const TOLD_MS = 5_000;

export function rotation({ asRunbook }: { readonly asRunbook: boolean }): Story {
  return {
    wishes: { simulated: asRunbook ? ['--missing-app', FAILING_APP] : [], haste: null },

    async tell(stage) {
      const { client, screen, credential, pids } = stage;
      const scenario = asRunbook
        ? runbook({ screen, credential, second: await stage.second(), webPid: () => pids().get('web') })
        : null;
      const walked = await walk({ ...stage, scenario });
      printTrail(screen, walked);
      printProofs(screen, walked.rows);
      const stream = await checkStream(client, credential, walked);
      screen.say(streamWords(stream));
      await untilTold(stage, walked);
      return {
        result: { ...resultOf(walked), stream },
        wrong: [...wrongIn(walked), ...wrongInStream(stream)],
        witness: walked.jobId,
        values: [],
        morePlaces: () => Promise.resolve({}),
      };
    },
  };
}

function resultOf({ jobId, status, rows, retried, confirmed }: Walk) {
  return {
    job_id: jobId,
    status,
    consumers: rows.length,
    waves: new Set(rows.map((row) => row.wave)).size,
    retried,
    confirmed_by_hand: confirmed,
  };
}

function wrongIn({ status }: Walk): readonly string[] {
  return status === 'done' ? [] : [`the rotation ended ${status}`];
}

export function wrongInStream({ lost, doubled }: StreamCheck): readonly string[] {
  return lost + doubled === 0 ? [] : [`the stream lost ${lost} events and told ${doubled} twice`];
}

export function streamWords({ events, lost, doubled }: StreamCheck): string {
  return `\nThe stream told ${events - lost} of the ${events} events in the audit trail, ${doubled} of them twice.`;
}

/** The message is part of what is searched; a rotation does not depend on it, so neither does the demo. */
async function untilTold({ screen, logText }: Stage, { jobId }: Walk): Promise<void> {
  const end = systemClock.monotonic() + TOLD_MS;
  const told = () =>
    logText('notifier')
      .split('\n')
      .some((line) => line.includes('operator told') && line.includes(jobId));
  while (!told() && systemClock.monotonic() < end) await pause(100);
  screen.say(told() ? '\nSlack: the operator was told.' : '\nSlack: no message was seen within 5 s.');
}
