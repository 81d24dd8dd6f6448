/** The present, once a second. A timer, not an animation frame: frames stop in hidden tabs. */

const TICK_MS = 1000;

export class Clock {
  now = $state(Date.now());

  /** Returns how to stop it. */
  start(): () => void {
    const timer = setInterval(() => {
      this.now = Date.now();
    }, TICK_MS);
    return () => clearInterval(timer);
  }
}
