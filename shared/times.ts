// Every time constant of the product, in milliseconds, each with its reason. Passed in as a value, so that tests use their own.

export interface Times {
  readonly leaseMs: number;
  readonly lateMs: number;
  readonly vendorCallMs: number;
  readonly probeMs: number;
  readonly settlePollMs: number;
  readonly settleForMs: number;
  readonly provePollMs: number;
  readonly proveForMs: number;
  readonly proveAgainForMs: number;
  readonly inspectForMs: number;
  readonly baselineMs: number;
  readonly lockoutProbeMs: number;
  readonly lockoutPollMs: number;
  readonly healthcheckAfterHerokuMs: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly rateLimitWaitMs: number;
  readonly secondaryLimitWaitMs: number;
  readonly rateLimitWaitMaxMs: number;
  readonly loginCoolDownMs: number;
  readonly cleanupRetryMs: number;
  readonly taskLockMs: number;
  readonly stalledCheckMs: number;
  readonly sweepMs: number;
  readonly silentMs: number;
  readonly stuckAfterMs: number;
  readonly beatMs: number;
  readonly beatTtlMs: number;
  readonly availabilityMs: number;
  readonly sealMs: number;
  readonly anchorMs: number;
  readonly retireMs: number;
  readonly answerMs: number;
  readonly answerPollMs: number;
  readonly sureGroundMs: number;
  readonly deepCheckMs: number;
  readonly deepHealthMs: number;
  readonly ticketCallMs: number;
  readonly ticketMs: number;
  readonly metricsMs: number;
  readonly slackMs: number;
  readonly alarmLeaseMs: number;
  readonly alarmSendMs: number;
  readonly alarmPollMs: number;
  readonly alarmStandInPollMs: number;
  readonly alarmStandInMs: number;
  readonly alarmPaceMs: number;
  readonly alarmBackoffMs: number;
  readonly alarmBackoffMaxMs: number;
  readonly alarmPauseMaxMs: number;
  readonly alarmGiveUpMs: number;
  readonly alarmRecipientMs: number;
  readonly alarmRecipientMaxMs: number;
  readonly alarmDrillMs: number;
  readonly alarmDrillWaitMs: number;
  readonly alarmDrillGiveUpMs: number;
  readonly alarmYieldMs: number;
  readonly scheduleMs: number;
  readonly driftCheckMs: number;
  readonly overdueAfterMs: number;
  readonly heartbeatMs: number;
  readonly heartbeatCallMs: number;
  readonly streamHeartbeatMs: number;
  readonly idempotencyKeepMs: number;
  readonly valueKeepMs: number;
  readonly drainMs: number;
  readonly closeMs: number;
  readonly askingMs: number;
  readonly redisRetryMaxMs: number;
}

export const times: Times = {
  /** One changing call takes 10 s at most (vendorCallMs); 15 s leaves room for the record before and after it. */
  leaseMs: 15_000,
  /** How long after a lost answer a vendor may still apply the change, where the handler declares nothing else. */
  lateMs: 30_000,
  /** Vendors answer in about a second; Heroku's own router gives up at 30 s, and a lease lasts 15 s. */
  vendorCallMs: 10_000,
  /** A health endpoint that takes longer is not healthy, and revocation's baseline has 3 s for all consumers. */
  probeMs: 5_000,
  /** How often a destination is asked whether a write has taken effect: a Heroku release takes 1 to 5 s without a release phase. */
  settlePollMs: 2_000,
  /** A release phase may run migrations; after 10 minutes a person should look. */
  settleForMs: 600_000,
  /** How often a consumer that does not prove yet is asked again: it is usually in the middle of its restart. */
  provePollMs: 2_000,
  /** Boot time of a large Rails app, its dyno queue and the 30 s of healthcheck_after, with room. */
  proveForMs: 180_000,
  /** The specification's bound for proving again just before the revoke. */
  proveAgainForMs: 60_000,
  /** How long a test waits for a consumer that does not answer well, before it says so: a restart takes about that long. */
  inspectForMs: 30_000,
  /** The specification: all consumers are asked together just before the revoke, and it waits for no longer. */
  baselineMs: 3_000,
  /** A leak is told by two seconds after the settle window: one that hangs through its end is called unreachable then. */
  lockoutProbeMs: 2_000,
  /** How often a consumer that is not locked out yet is asked again: lock-out is measured in seconds, and there may be 200. */
  lockoutPollMs: 1_000,
  /** The specification's default for `healthcheck_after` on Heroku: old and new dynos overlap while the router drains. */
  healthcheckAfterHerokuMs: 30_000,
  /** First pause before an attempt is repeated; doubles each time. */
  retryBackoffMs: 1_000,
  /** What the doubling ends at: a message to Slack is tried for about an hour. */
  retryBackoffMaxMs: 600_000,
  /** Where a vendor names no pause: Heroku's bucket refills 75 tokens a minute, and its own client starts at 30 s. */
  rateLimitWaitMs: 30_000,
  /** GitHub's secondary limits: where it names no pause, "at least one minute". */
  secondaryLimitWaitMs: 60_000,
  /** A vendor that asks for a longer pause than this is reported instead of waited for. */
  rateLimitWaitMaxMs: 300_000,
  /** Infisical locks a client id out for 300 s after three refused logins: a refused one is not tried again before that is over. */
  loginCoolDownMs: 300_000,
  /** A cleanup that could not finish (vendor down, authority dead) is taken up again this often, until it can. */
  cleanupRetryMs: 60_000,
  /** With 10 s and 5 s a task of a killed process runs again after 14.5 s (tried); BullMQ's defaults took 89 s. */
  taskLockMs: 10_000,
  stalledCheckMs: 5_000,
  /** Relays outboxes and looks for silent jobs. */
  sweepMs: 5_000,
  /** An automatic status without a live task is kicked when nothing about it has moved for this long. */
  silentMs: 5_000,
  /** The specification's bound for `stuck`. */
  stuckAfterMs: 300_000,
  /** Three beats fit into the 30 s after which a family counts as absent. */
  beatMs: 10_000,
  beatTtlMs: 30_000,
  /** The specification: a missing or refused authority is probed again each minute. */
  availabilityMs: 60_000,
  /** The specification: sealed at most 1 s after an event; half of it is left for the sealing itself. */
  sealMs: 500,
  /** The vault learns a head about a second after it was made; Parameter Store takes three writes a second. */
  anchorMs: 1_000,
  /** What is older than VELVET_AUDIT_DAYS leaves once a day. */
  retireMs: 86_400_000,
  /** How long the API waits for a stage worker's answer: Heroku's router gives 30 s. */
  answerMs: 20_000,
  /** How often it looks for it: one GET each time, and a question is rare. */
  answerPollMs: 50,
  /** How long an operator's action waits for the look after a restart of Redis: one begins within `sweepMs`, and takes a second or two. */
  sureGroundMs: 10_000,
  /** The specification's bound for a deep check, and what of it the log-ins themselves may take: the answer has to come back. */
  deepCheckMs: 8_500,
  deepHealthMs: 10_000,
  /** A ticket is looked up while an operator waits for the revoke to begin: no delay worth naming, and no answer is no refusal. */
  ticketCallMs: 1_500,
  ticketMs: 2_000,
  /** How long what is measured is gathered before it is written: a scrape comes every 15 s or more. */
  metricsMs: 5_000,
  /** Slack answers in well under a second; the alarm's lease of 6 s must hold one whole try. */
  slackMs: 5_000,
  /** The specification: a delivery of the alarm is taken for 6 s, and tried once in it, for 5. */
  alarmLeaseMs: 6_000,
  alarmSendMs: 5_000,
  /** How often the notifier looks for an alarm beside its queue: idle, an alarm is told within a second of its flag. */
  alarmPollMs: 500,
  /** The other families look each second, and take what the notifier has left for 4 s: well within the 30 s, and rarely at the same time. */
  alarmStandInPollMs: 1_000,
  alarmStandInMs: 4_000,
  /** Slack takes about one message a second and channel. */
  alarmPaceMs: 1_000,
  /** After a failure the same process tries the channel again after this, doubled each time; another process may try at once. */
  alarmBackoffMs: 1_000,
  /** A channel that is well again must hear of the next alarm within its 30 s, however long it had failed: the wait, a look, a try. */
  alarmBackoffMaxMs: 15_000,
  /** A provider that asks for a longer pause is tried again after this all the same: an alarm is worth a refusal. */
  alarmPauseMaxMs: 60_000,
  /** An alarm that a channel refuses for a day is given up there; by then somebody heard of it, or nobody ever will. */
  alarmGiveUpMs: 86_400_000,
  /** A recipient that was turned away for the moment (greylisting lets through after one to five minutes) is tried again alone. */
  alarmRecipientMs: 60_000,
  alarmRecipientMaxMs: 1_800_000,
  /** The specification: a drill once a day. */
  alarmDrillMs: 86_400_000,
  /** How long `POST /alarm/test` waits for receipts: two tries of 5 s. */
  alarmDrillWaitMs: 10_000,
  /** A drill that arrives an hour late would only puzzle: what it has to show it shows in a minute. */
  alarmDrillGiveUpMs: 60_000,
  /** How long another notice to the alert channel steps aside while an alarm waits for Slack. */
  alarmYieldMs: 2_000,
  /** How often it is looked at what is due: a schedule is in days, and each look reads the vault. */
  scheduleMs: 60_000,
  /** The specification: daily. */
  driftCheckMs: 86_400_000,
  /** A scheduled rotation waits at a gate for a person, who has a day for it before everybody hears. */
  overdueAfterMs: 86_400_000,
  /** The specification: each minute. */
  heartbeatMs: 60_000,
  /** A monitor answers in well under a second; the next beat is a minute away. */
  heartbeatCallMs: 10_000,
  /** Heroku's router cuts a stream after 55 s of silence. */
  streamHeartbeatMs: 15_000,
  /** The specification: an idempotency key is kept while its job is open, and this long after. */
  idempotencyKeepMs: 86_400_000,
  /** The specification: what an operator typed crosses Redis sealed, and is there this long at most. */
  valueKeepMs: 600_000,
  /** SIGTERM to SIGKILL is 30 s on Heroku: 15 s for running tasks to end by themselves, 8 s for the aborted ones to let go. */
  drainMs: 15_000,
  closeMs: 8_000,
  /** A command of the API takes about a millisecond; a caller who hears nothing for 3 s is better told. */
  askingMs: 3_000,
  /** Longest pause between two attempts to reach Redis again. */
  redisRetryMaxMs: 2_000,
};
