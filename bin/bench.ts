// npm run bench [-- names…] [--json]: what the engine achieves, beside what it stands on. A redis-server of its own, gone afterwards.
import { alarm } from './bench/alarm.ts';
import { fanout } from './bench/fanout.ts';
import { lockout } from './bench/lockout.ts';
import type { Report } from './bench/measure.ts';
import { openPlace, type Place } from './bench/place.ts';
import { recovery } from './bench/recovery.ts';
import { jsonReport, tableReport } from './bench/report.ts';
import { walltime } from './bench/walltime.ts';
import { note, refuse, runCommand } from './cli/say.ts';
import { onReasonToStop } from './cli/signals.ts';

const benches: Readonly<Record<string, (place: Place, report: Report) => Promise<void>>> = {
  fanout,
  walltime,
  recovery,
  alarm,
  lockout,
};

await runCommand(async () => {
  const words = process.argv.slice(2);
  const asJson = words.includes('--json');
  const asked = words.filter((word) => word !== '--json');
  const unknown = asked.filter((name) => !Object.hasOwn(benches, name));
  if (unknown.length > 0)
    refuse(`There is no bench ${unknown.join(', ')}. There are: ${Object.keys(benches).join(', ')}.`);
  // What was started is ended with this process; its folder goes with it.
  onReasonToStop(() => process.exit(1));
  // Each crew of processes leaves one for the case that this process fails.
  process.setMaxListeners(0);
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  const report = asJson ? jsonReport(write) : tableReport(write);
  for (const name of asked.length === 0 ? Object.keys(benches) : asked) {
    // A fresh server for each: what one left behind is no part of the next.
    await using place = await openPlace(note);
    // Whatever a bench makes besides goes with it.
    process.env['TMPDIR'] = place.folder;
    await benches[name]?.(place, report);
  }
});
