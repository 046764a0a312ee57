import { WireError } from '../wire/parse';
import type { Fault } from '../wire/server';

/** A failure that can be shown as it is: what happened, why, and the next step. */
export class FaultError extends Error {
  override readonly name = 'FaultError';

  constructor(readonly fault: Fault) {
    super(fault.message);
  }
}

/** Turns whatever was thrown into words. */
export function faultOf(error: unknown): Fault {
  if (error instanceof FaultError) {
    return error.fault;
  }
  if (error instanceof WireError) {
    return {
      message: `The reply is not what this page expects: ${error.message}`,
      reason: error.name,
      hint: null
    };
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { message, reason: name, hint: null };
}

/** Whether the work was given up on purpose: nothing to tell anybody. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
