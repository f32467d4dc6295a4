// What an error tells an operator whose test it ended. Law: nobody is told to send what is refused there.
import { VelvetError } from '../../shared/lib/errors.ts';

/** The same error; of an action that it names, that nothing is offered any more. */
export function inATest(error: VelvetError): VelvetError {
  if (!/\b(retry|skip)\b/i.test(error.detail)) return error;
  const { code, message, extra, httpStatus, kind, retryAfterMs } = error;
  return new VelvetError(code, message, {
    detail: `${error.detail} A test has ended with this and takes no action: once it is mended, start another one.`,
    extra,
    ...(httpStatus === undefined ? {} : { httpStatus }),
    ...(kind === undefined ? {} : { kind }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    cause: error,
  });
}
