// How a person who uses a command signs in the audit trail.
import { userInfo } from 'node:os';
import { isoTime, systemClock } from '../../shared/lib/clock.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';

/** The name by which the machine knows the person, marked as a command's: it is no service token's owner. */
export function operatorId(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    // In a container a user id may have no name.
    return `cli:uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

/** An audit row of something that was done with a command, outside any job. */
export function cliEvent(event: Pick<AuditEvent, 'credential' | 'env' | 'event' | 'detail'>): AuditEvent {
  return {
    ...event,
    at: isoTime(systemClock.now()),
    job_id: null,
    operator_id: operatorId(),
    from_state: null,
    to_state: null,
  };
}
