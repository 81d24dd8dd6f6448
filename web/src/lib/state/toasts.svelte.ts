/** Short sentences that appear over the page: what was done, what was refused, what can be undone. */

export interface Toast {
  readonly key: number;
  readonly kind: "done" | "error";
  readonly sentence: string;
  readonly undo: (() => void) | null;
}

const DONE_MS = 6000;
const TOASTS_MAX = 4;

export class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #nextKey = 1;

  done(sentence: string): void {
    const key = this.#add("done", sentence, null);
    setTimeout(() => this.dismiss(key), DONE_MS);
  }

  /** Stays until it is dismissed. */
  error(sentence: string): void {
    if (this.list.some((toast) => toast.kind === "error" && toast.sentence === sentence)) return;
    this.#add("error", sentence, null);
  }

  /** Runs `act` after `delayMs` unless it is undone before. */
  undoable(sentence: string, delayMs: number, act: () => void, undone: () => void): void {
    const timer = setTimeout(() => {
      this.dismiss(key);
      act();
    }, delayMs);
    const key = this.#add("done", sentence, () => {
      clearTimeout(timer);
      this.dismiss(key);
      undone();
    });
  }

  dismiss(key: number): void {
    this.list = this.list.filter((toast) => toast.key !== key);
  }

  #add(kind: Toast["kind"], sentence: string, undo: (() => void) | null): number {
    const key = this.#nextKey;
    this.#nextKey += 1;
    this.list = [...this.list, { key, kind, sentence, undo }].slice(-TOASTS_MAX);
    return key;
  }
}
