/** How long something still takes, in words that stay calm: the nearer, the finer. */

/** Between a number and its unit: no line breaks there. */
const NBSP = "\u00a0";
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** "2 min 10 s", "1 h 5 min", "3 days 4 h"; seconds are rounded up, so that nothing ends early in words. */
export function duration(ms: number): string {
  const whole = Math.ceil(Math.max(0, ms) / SECOND_MS) * SECOND_MS;
  const days = Math.floor(whole / DAY_MS);
  const hours = Math.floor((whole % DAY_MS) / HOUR_MS);
  const minutes = Math.floor((whole % HOUR_MS) / MINUTE_MS);
  const seconds = Math.floor((whole % MINUTE_MS) / SECOND_MS);
  if (days > 0)
    return join(days === 1 ? `1${NBSP}day` : `${days}${NBSP}days`, hours > 0 ? `${hours}${NBSP}h` : "");
  if (hours > 0) return join(`${hours}${NBSP}h`, minutes > 0 ? `${minutes}${NBSP}min` : "");
  if (minutes > 0) return join(`${minutes}${NBSP}min`, seconds > 0 ? `${seconds}${NBSP}s` : "");
  return `${seconds}${NBSP}s`;
}

/** Until `deadline`: "in 2 min 10 s", or "now" once it is over. */
export function until(deadline: number, now: number): string {
  return deadline <= now ? "now" : `in ${duration(deadline - now)}`;
}

function join(large: string, small: string): string {
  return small === "" ? large : `${large} ${small}`;
}
