// The champion in use: whether its answers drift, how accurate it is now, and who challenges it.

import { challenger, drift, ServiceError } from "../service.js";
import { element } from "../element.js";
import { challengerSection } from "./challenger.js";
import { driftSection } from "./drift.js";

/** How often the service is asked, in milliseconds. */
const PACE = 5000;

/** While `panel` is shown, keeps its `place` up to date `about(model, card)`. */
export function startUse(panel) {
  const parts = { drift: element("div", {}), challenger: element("div", {}) };
  const place = element("div", { class: "use" }, parts.challenger, parts.drift);
  const known = {};
  let asked = {}; // what there is to ask about
  let isAsking = false;

  async function look() {
    if (panel.hidden || document.hidden || isAsking) return;
    isAsking = true;
    await update("challenger", asked.challenger, challenger, challengerSection);
    await update("drift", asked.drift, drift, driftSection);
    isAsking = false;
  }

  async function update(name, isThere, ask, section) {
    let content = null;
    try {
      content = isThere ? await ask() : null;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      if (error.isPassing) return; // what is shown holds for a moment longer
      asked[name] = false;
    }
    const text = JSON.stringify(content);
    if (text !== known[name]) parts[name].replaceChildren(...(content ? [section(content)] : []));
    known[name] = text;
  }

  setInterval(look, PACE);
  return {
    place,
    about(model, card) {
      asked = { challenger: Boolean(model.challenger), drift: Boolean(card.reference) };
      look();
    },
  };
}
