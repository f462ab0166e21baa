// The test view: the serving model's scores on MNIST's test images.

import { count, element, percent } from "../element.js";
import { follow } from "../follow.js";
import { evaluate } from "../service.js";
import { confusionTable } from "./confusion.js";
import { imageList } from "./images.js";

/** The images that are shown before a cell of the matrix is chosen. */
const WORST = 20;
/** The images of a cell that are shown at most. */
const MOST = 100;

/**
 * The test view in `panel`, which runs by itself: the service keeps the answer of a version. What is
 * opened goes to `open(file)`. Gives what is to be called when the view appears.
 */
export function startEvaluation(panel, open) {
  const state = document.getElementById("evaluation-state");
  const error = document.getElementById("test-error");
  const again = document.getElementById("test-again");
  const place = document.getElementById("evaluation");
  let shownVersion = null;

  async function show({ champion }) {
    again.hidden = true;
    error.textContent = "";
    if (champion === shownVersion) return;
    panel.setAttribute("aria-busy", "true");
    state.textContent = "Reading 10,000 images";
    const scores = await evaluate().finally(() => panel.removeAttribute("aria-busy"));
    place.replaceChildren(...shown(scores, open, fail));
    place.hidden = false;
    shownVersion = champion;
    state.textContent =
      `Version ${scores.version} read ${percent(scores.accuracy, 2)} of ` +
      `${count(scores.count)} images right.`;
  }

  function fail(message) {
    if (!shownVersion) state.textContent = "";
    if (error.textContent !== message) error.textContent = message;
    again.hidden = false;
  }

  const look = follow(panel, show, fail);
  again.addEventListener("click", look);
  return look;
}

function shown(scores, open, fail) {
  const wrong = Math.round(scores.count * (1 - scores.accuracy));
  const figures = element(
    "dl",
    { class: "figures" },
    figure("Accuracy", percent(scores.accuracy, 2), "of all images right"),
    figure("Mistakes", count(wrong), `of ${count(scores.count)} images`),
    figure("Loss", scores.loss.toFixed(4), "mean cross-entropy, in nats"),
    figure("Calibration error", percent(scores.calibration_error, 2), "confidence against truth"),
  );
  const images = element("section", { "aria-live": "polite" });

  function showImages(title, words, mistakes) {
    images.replaceChildren(
      element("h2", {}, title),
      element("p", { class: "quiet" }, words),
      imageList(mistakes, open, fail),
    );
  }

  function openCell(label, digit) {
    const listed = label === digit ? scores.least_sure : scores.mistakes;
    const those = listed.filter((one) => one.label === label && one.digit === digit).slice(0, MOST);
    const all = scores.confusion_matrix[label][digit];
    const which = label === digit ? `The ${those.length} of ${all} that it was least sure of. ` : "";
    showImages(`${label} read as ${digit}`, `${which}Choose one to open it on the pad.`, those);
    images.scrollIntoView({ block: "nearest" });
  }

  const words = `Those it was most sure of first. Choose one to open it on the pad. "label?" marks labels that are known to be wrong or ambiguous.`;
  showImages("Worst mistakes", words, scores.mistakes.slice(0, WORST));
  const confusion = element(
    "section",
    {},
    element("h2", {}, "Confusion matrix"),
    confusionTable(scores.confusion_matrix, openCell),
  );
  return [figures, element("div", { class: "side-by-side" }, confusion, images)];
}

function figure(name, value, meaning) {
  return element(
    "div",
    {},
    element("dt", {}, name),
    element("dd", { class: "value" }, value),
    element("dd", { class: "quiet" }, meaning),
  );
}
