// Two versions side by side: on what is on the pad, and on MNIST's test images.

import { makeBars } from "../answer/bars.js";
import { element, likely, percent } from "../element.js";
import { evaluate, predict, ServiceError } from "../service.js";
import { imageList } from "./images.js";

/** A section that compares two of the `versions`; `pad` has what is drawn, and opens images. */
export function comparison(versions, pad) {
  const choices = versions.map((version) => [version, `Version ${version}`]);
  const pair = [choice("One version", choices, 0), choice("The other version", choices, 1)];
  const button = element("button", { class: "main-button" }, "Compare");
  const state = element("p", { class: "quiet", role: "status" });
  const error = element("p", { class: "error", role: "alert" });
  const place = element("div", { class: "compared" });

  async function compare() {
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    error.textContent = "";
    state.textContent = "Asking both versions …";
    const chosen = pair.map((select) => select.value);
    try {
      const read = pad.current() ? await inTurn(chosen, (version) => onDrawing(version, pad.current())) : [];
      const scores = await inTurn(chosen, evaluate);
      place.replaceChildren(...drawing(read), testSet(scores), ...differences(scores, pad, error));
      state.textContent = `Compared version ${chosen.join(" with version ")}.`;
    } catch (fault) {
      if (!(fault instanceof ServiceError)) throw fault;
      state.textContent = "";
      error.textContent = fault.message;
    }
    button.removeAttribute("aria-disabled");
  }

  button.addEventListener("click", compare);
  return element(
    "section",
    { class: "compare" },
    element("h2", {}, "Compare two versions"),
    element("div", { class: "choices" }, ...pair, button),
    state,
    error,
    place,
  );
}

function choice(name, choices, chosen) {
  const options = choices.map(([value, text], index) =>
    element("option", { value, selected: index === Math.min(chosen, choices.length - 1) }, text),
  );
  return element("select", { "aria-label": name }, ...options);
}

async function inTurn(versions, ask) {
  const found = [];
  for (const version of versions) found.push(await ask(version));
  return found;
}

async function onDrawing(version, picture) {
  const { predictions } = await predict(picture, null, { version });
  return { version, ...predictions[0] };
}

function drawing(read) {
  if (!read.length) return [element("p", { class: "quiet" }, "Draw something, and it is compared too.")];
  const parts = read.map(({ version, digit, confidence, probabilities }) => {
    const bars = element("ol", { class: "bars", role: "list", "aria-label": `Bars of version ${version}` });
    makeBars(bars)(probabilities);
    const words = element("p", { class: "reads" }, element("b", {}, String(digit)), ` ${likely(confidence)} sure`);
    return element("div", {}, element("h3", {}, `Version ${version} on your drawing`), words, bars);
  });
  return [element("div", { class: "side-by-side" }, ...parts)];
}

function testSet(scores) {
  const rows = [
    ["Accuracy", (one) => percent(one.accuracy, 2)],
    ["Mistakes", (one) => String(Math.round(one.count * (1 - one.accuracy)))],
    ["Loss", (one) => one.loss.toFixed(4)],
    ["Calibration error", (one) => percent(one.calibration_error, 2)],
  ].map(([name, value]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      ...scores.map((one) => element("td", {}, value(one))),
    ),
  );
  const heads = scores.map(({ version }) => element("th", { scope: "col" }, `Version ${version}`));
  return element(
    "table",
    { class: "rows" },
    element("caption", { class: "unseen" }, "Both versions on the test images"),
    element("thead", {}, element("tr", {}, element("td", {}), ...heads)),
    element("tbody", {}, ...rows),
  );
}

/** The test images that one version misreads and the other does not, and those of both. */
function differences([one, other], pad, error) {
  const wrong = [one, other].map(({ mistakes }) => new Map(mistakes.map((each) => [each.index, each])));
  const only = (at) => [...wrong[at].values()].filter(({ index }) => !wrong[1 - at].has(index));
  const both = [...wrong[0].values()].filter(({ index }) => wrong[1].has(index));
  const fail = (message) => (error.textContent = message);
  return [
    [`Only version ${one.version} misreads`, only(0)],
    [`Only version ${other.version} misreads`, only(1)],
    ["Both misread", both],
  ].map(([title, images]) => {
    const head = element("summary", {}, `${title} ${images.length} images`);
    return element("details", {}, head, imageList(images, pad.open, fail));
  });
}
