/** Clock times and days as people say them. */

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const EXACT_TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const DAY_OF_YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const SHORT_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

export const clockTime = (at: number): string => TIME.format(at);
export const exactTime = (at: number): string => EXACT_TIME.format(at);
export const fullTime = (at: number): string => FULL.format(at);

/** Changes at local midnight and sorts by itself: "2026-11-22". */
export function dayKey(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

export function dayName(at: number, now: number): string {
  if (dayKey(at) === dayKey(now)) return "Today";
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  if (dayKey(at) === dayKey(yesterday.getTime())) return "Yesterday";
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? DAY.format(at) : DAY_OF_YEAR.format(at);
}

/** When something happens: the time of day, with the day in front if it is not today. */
export function moment(at: number, now: number): string {
  return dayKey(at) === dayKey(now) ? exactTime(at) : `${SHORT_DAY.format(at)}, ${clockTime(at)}`;
}

/** For lists: the time today, else the day. */
export function brief(at: number, now: number): string {
  return dayKey(at) === dayKey(now) ? clockTime(at) : SHORT_DAY.format(at);
}
