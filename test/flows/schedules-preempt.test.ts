// An emergency that stops a rotation before or after any effect of it leaves no live token that no record names.
import { emergencyCases } from './emergency-cases.ts';
import { exploring } from './schedule-tests.ts';

exploring(emergencyCases.filter(({ part }) => part === 'preempt'));
