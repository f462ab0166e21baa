// Requests while drawing come faster than answers: one runs at a time, and the latest wins.

/** Calls `run(signal)` after each `want()`, never twice at once and never for what is outdated. */
export class Latest {
  #run;
  #isWanted = false;
  #running = null;

  constructor(run) {
    this.#run = run;
  }

  want() {
    this.#isWanted = true;
    if (!this.#running) this.#work();
  }

  /** Forgets what was wanted, and drops the answer that is on its way. */
  cancel() {
    this.#isWanted = false;
    this.#running?.abort();
  }

  async #work() {
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        this.#running = new AbortController();
        await this.#run(this.#running.signal).catch(unlessAborted);
      }
    } finally {
      this.#running = null;
    }
  }
}

function unlessAborted(error) {
  if (error.name !== "AbortError") throw error;
}
