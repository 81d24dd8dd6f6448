/** A member's score as a picture and as words: how it came to be what it is. Pure. */
import type { Member, ScoreMove } from "../api/types";

export interface Point {
  /** From 0, at the left, to 1. */
  readonly x: number;
  /** From 0, at the bottom, to 1. */
  readonly y: number;
  /** Down, up, or neither: the beginning and now. */
  readonly kind: "loss" | "gain" | "end";
}

export interface Course {
  readonly points: readonly Point[];
  /** Where the score of a newcomer lies, and where nodes ask for a removal. */
  readonly start: number;
  readonly threshold: number;
}

interface Bounds {
  readonly start: number;
  readonly threshold: number;
}

/** The way of a score from a newcomer's, over its moves, to what it is now. */
export function courseOf(member: Pick<Member, "score" | "score_history">, { start, threshold }: Bounds): Course {
  const [first] = member.score_history;
  const begin = first === undefined ? start : first.after - first.points;
  const values = [begin, ...member.score_history.map((move) => move.after), member.score];
  const least = Math.min(threshold, ...values);
  const most = Math.max(start, ...values);
  const height = (value: number): number => (most === least ? 0.5 : (value - least) / (most - least));
  const last = values.length - 1;
  const kindAt = (at: number): Point["kind"] => {
    const move = member.score_history[at - 1];
    return move === undefined ? "end" : move.points < 0 ? "loss" : "gain";
  };
  return {
    points: values.map((value, at) => ({ x: at / last, y: height(value), kind: kindAt(at) })),
    start: height(start),
    threshold: height(threshold),
  };
}

/** How much of a newcomer's way down to the threshold is left, from 0 to 1. */
export function healthOf(score: number, { start, threshold }: Bounds): number {
  if (start <= threshold) return 1;
  return Math.min(1, Math.max(0, (score - threshold) / (start - threshold)));
}

export type Standing = "good" | "low" | "bad";

/** Half the way down is worth a second look; at the threshold nodes act. */
export function standingOfScore(score: number, bounds: Bounds): Standing {
  if (score <= bounds.threshold) return "bad";
  return healthOf(score, bounds) < 0.75 ? "low" : "good";
}

/** "−50", "+10": with a true minus sign. */
export const movedBy = (points: number): string => (points < 0 ? `−${-points}` : `+${points}`);

/** Newest first, as one reads it. */
export const newestFirst = (moves: readonly ScoreMove[]): readonly ScoreMove[] => moves.toReversed();

/** What the points come to that no move tells of: time without a fault, and what is longer ago. */
export function restOf(member: Pick<Member, "score" | "score_history">, start: number): number {
  const last = member.score_history.at(-1);
  return member.score - (last === undefined ? start : last.after);
}
