// How the answer changed from stroke to stroke: a film on the pad, and its moments in a row.

import { photograph } from "../draw/ink.js";
import { element, likely } from "../element.js";
import { Latest } from "../latest.js";
import { predictEach, ServiceError } from "../service.js";

/** The moments that are asked about, in one request. */
const MOMENTS = 12;
/** How long a moment is shown, in milliseconds. */
const PACE = 320;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Lets the button replay the strokes of `sheet`: `paint(strokes)` shows them on the pad, null for
 * all; `answer` recalls what was read, and `restore()` shows the present again. Gives `stop()`.
 */
export function startReplay(sheet, answer, paint, restore) {
  const button = document.getElementById("replay");
  const place = document.getElementById("replayed");
  const list = document.getElementById("moments");
  const error = document.getElementById("replay-error");
  const asking = new Latest(replay);
  let isOn = false;

  async function replay(signal) {
    const drawn = moments(sheet.strokes);
    error.textContent = "";
    place.hidden = false;
    try {
      const pictures = await Promise.all(drawn.map(photograph));
      const { predictions } = await predictEach(pictures, signal);
      const images = predictions.map(moment);
      list.replaceChildren(...images);
      if (!STILL.matches) await play(drawn, predictions, images, signal);
    } catch (fault) {
      if (!(fault instanceof ServiceError)) throw fault;
      error.textContent = fault.message;
    }
  }

  async function play(drawn, predictions, images, signal) {
    isOn = true;
    for (let index = 0; index < drawn.length; index += 1) {
      paint(drawn[index]);
      answer.recall(predictions[index]);
      images[index].classList.add("now");
      await new Promise((done) => setTimeout(done, PACE));
      images[index].classList.remove("now");
      if (signal.aborted) return;
    }
    end();
    restore();
  }

  function end() {
    if (isOn) paint(null);
    isOn = false;
  }

  button.addEventListener("click", () => {
    if (sheet.strokes.length) asking.want();
  });
  return {
    stop() {
      asking.cancel();
      end();
      place.hidden = true;
      list.replaceChildren();
      button.disabled = !sheet.strokes.length;
    },
  };
}

/** What was on the sheet at a few moments, the end of every stroke among them. */
function moments(strokes) {
  const count = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  const step = Math.max(1, Math.ceil(count / Math.max(1, MOMENTS - strokes.length)));
  const found = [];
  strokes.forEach((stroke, index) => {
    for (let end = step; end < stroke.length; end += step) {
      found.push([...strokes.slice(0, index), stroke.slice(0, end)]);
    }
    found.push(strokes.slice(0, index + 1));
  });
  return found.length <= 3 * MOMENTS ? found : found.slice(-3 * MOMENTS);
}

function moment({ digit, confidence, seen }) {
  const words = `${digit}, ${likely(confidence)} sure`;
  const image = element("img", {
    src: `data:image/png;base64,${seen.png}`,
    alt: words,
    width: 28,
    height: 28,
  });
  const label = element("span", { "aria-hidden": "true" }, element("b", {}, String(digit)));
  const sure = element("span", { class: "quiet", "aria-hidden": "true" }, likely(confidence));
  return element("li", {}, image, label, sure);
}
