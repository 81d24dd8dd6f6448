/** How long to wait before the next attempt to reach the node. */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/** Doubles from half a second to 15 s; `random` (0 to 1) spreads it by a quarter either way. */
export function retryDelayMs(attempt: number, random: number): number {
  const base = Math.min(FIRST_MS * 2 ** Math.min(attempt, 16), LONGEST_MS);
  return Math.round(base * (0.75 + random / 2));
}
