// "This was a ...": what the user says about the answer, kept by the service to learn from.

import { greys } from "../answer/change.js";
import { giveFeedback, ServiceError, takeBack } from "../service.js";
import { labelWords, makeLabels } from "./digits.js";

/** The question in `place`, about one answer at a time; what is sent are its 28x28 pixels alone. */
export class Feedback {
  #place;
  #state = document.getElementById("feedback-state");
  #undo = document.getElementById("feedback-undo");
  #png = null; // what the model read
  #label = null; // what the service has kept about it
  #isBusy = false;

  constructor(place) {
    this.#place = place;
    makeLabels(document.getElementById("feedback-digits"), (digit) => this.#give(digit));
    this.#undo.addEventListener("click", () => this.#takeBack());
  }

  /** Asks about a prediction; null for none. */
  about(prediction) {
    const png = prediction?.seen.png ?? null;
    this.#place.hidden = png === null;
    if (png === this.#png) return;
    this.#png = png;
    this.#tell("", null);
  }

  #give(digit) {
    this.#send(async (png) => {
      const kept = await giveFeedback([...(await greys(png))], digit);
      return [`Kept: this was ${labelWords(kept.digit)}. Thank you.`, kept.id];
    });
  }

  #takeBack() {
    this.#send(async () => {
      await takeBack(this.#label);
      this.#place.querySelector("button").focus(); // the one that had it disappears
      return ["Taken back.", null];
    });
  }

  /** Does what is asked unless something is under way, and tells the outcome of the present answer. */
  async #send(act) {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const png = this.#png;
    let outcome;
    try {
      outcome = await act(png);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      outcome = [`Not kept. ${error.message}`, this.#label];
    } finally {
      this.#isBusy = false;
    }
    if (png === this.#png) this.#tell(...outcome);
  }

  #tell(words, label) {
    this.#state.textContent = words;
    this.#label = label;
    this.#undo.hidden = label === null;
  }
}
