// Requests while drawing come faster than answers: one runs at a time, and the latest wins.

/** How long what is outdated is still waited for, in milliseconds. */
const PATIENCE = 1000;

/** Calls `run(signal)` after each `want()`, never twice at once and never for what is outdated. */
export class Latest {
  #run;
  #isWanted = false;
  #running = null;
  #patience = null;

  constructor(run) {
    this.#run = run;
  }

  want() {
    this.#isWanted = true;
    if (!this.#running) this.#work();
    else this.#patience ??= setTimeout(() => this.#running.abort(), PATIENCE);
  }

  /** Forgets what was wanted, and drops the answer that is on its way. */
  cancel() {
    this.#isWanted = false;
    this.#running?.abort();
  }

  async #work() {
    while (this.#isWanted) {
      this.#isWanted = false;
      this.#running = new AbortController();
      try {
        await this.#run(this.#running.signal).catch(unlessAborted);
      } finally {
        clearTimeout(this.#patience);
        this.#patience = this.#running = null;
      }
    }
  }
}

function unlessAborted(error) {
  if (error.name !== "AbortError") throw error;
}
